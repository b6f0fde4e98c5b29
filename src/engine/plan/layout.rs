//! The flat state: parameters, gradients, optimiser slots and averages as regions of one buffer, each holding every
//! parameter's tensor at the same offset, so that updates run over whole regions.

use crate::graph::{StateRole, StateSpec};

/// Tensors begin at multiples of this many elements (64 bytes).
const ALIGN: usize = 16;

/// A part of the flat state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// Trained parameters.
    Params,
    /// Accumulated gradients.
    Grads,
    /// The optimiser's buffers of this index.
    Slot(usize),
    /// Moving averages.
    Average,
}

/// Offsets of everything in the flat state, in elements.
#[derive(Debug, Clone, PartialEq)]
pub struct StateLayout {
    /// Elements of one region, padding included. Padding is zero and stays so.
    pub region: usize,
    /// Number of optimiser slots.
    pub slots: usize,
    /// Whether there are averages.
    pub averages: bool,
    /// Offset of each state tensor; none for the loss sum, which is kept in f64 outside.
    offsets: Vec<Option<usize>>,
}

impl StateLayout {
    /// Lays out a state.
    pub fn new(spec: &StateSpec) -> Self {
        let mut within = vec![0; spec.tensors.len()];
        let mut region = 0;
        for (index, tensor) in spec.params() {
            within[index] = region;
            region += tensor.shape.iter().product::<usize>().next_multiple_of(ALIGN);
        }
        // Slots of one parameter come in the optimiser's order.
        let mut seen = vec![0; spec.tensors.len()];
        let mut slots = 0;
        let mut averages = false;
        let mut parts = Vec::with_capacity(spec.tensors.len());
        for (index, tensor) in spec.tensors.iter().enumerate() {
            parts.push(match tensor.role {
                StateRole::Param { .. } => Some((Region::Params, index)),
                StateRole::Grad(of) => Some((Region::Grads, of)),
                StateRole::Slot(of) => {
                    let slot = seen[of];
                    seen[of] += 1;
                    slots = slots.max(slot + 1);
                    Some((Region::Slot(slot), of))
                }
                StateRole::Ema(of) => {
                    averages = true;
                    Some((Region::Average, of))
                }
                StateRole::LossSum => None,
            });
        }
        let mut layout = StateLayout { region, slots, averages, offsets: Vec::new() };
        layout.offsets = parts.into_iter().map(|part| part.map(|(r, of)| layout.start(r) + within[of])).collect();
        layout
    }

    /// Where a region begins.
    pub fn start(&self, region: Region) -> usize {
        self.region
            * match region {
                Region::Params => 0,
                Region::Grads => 1,
                Region::Slot(slot) => 2 + slot,
                Region::Average => 2 + self.slots,
            }
    }

    /// Where a state tensor begins.
    pub fn offset(&self, tensor: usize) -> Option<usize> {
        self.offsets.get(tensor).copied().flatten()
    }

    /// Elements of the whole state.
    pub fn elements(&self) -> usize {
        self.region * (2 + self.slots + usize::from(self.averages))
    }
}
