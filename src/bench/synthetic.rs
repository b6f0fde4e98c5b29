//! Batches of the right shape and of no meaning, for measuring engines without any dataset.

use crate::config::{DataShape, InputShape, TargetShape};
use crate::data::{Batch, Column};
use crate::graph::{DType, Init, Program, StateRole, StateSpec};
use crate::record::Tensors;
use crate::rng::{Sequence, Stream};

/// Drawn values of a tensor before they repeat; prime, so that no two rows of a matrix are the same.
const DRAWN: usize = 4093;

/// A state of the right shape and size of values, which is not any seed's: drawing millions of normals would take longer
/// than the steps that are to be timed.
pub fn state(spec: &StateSpec) -> Tensors {
    let values = |role: &StateRole, elements: usize| -> Option<Vec<f32>> {
        let bound = match role {
            StateRole::Param { init: Init::Ones, .. } => return Some(vec![1.0; elements]),
            StateRole::Param { init: Init::Normal(deviation), .. } => deviation * 3f64.sqrt(),
            StateRole::Param { init: Init::Uniform(bound), .. } => *bound,
            StateRole::Param { init: Init::Zeros, .. } | StateRole::Slot(_) | StateRole::Ema(_) => 0.0,
            StateRole::Grad(_) | StateRole::LossSum => return None,
        };
        let mut random = Sequence::new(0, Stream::Init, 0, 0);
        let drawn: Vec<f32> =
            (0..elements.min(DRAWN)).map(|_| (bound * (2.0 * random.uniform() - 1.0)) as f32).collect();
        Some(drawn.iter().copied().cycle().take(elements).collect())
    };
    let kept = spec.tensors.iter().filter_map(|tensor| {
        let values = values(&tensor.role, tensor.shape.iter().product())?;
        Some((tensor.name.clone(), (tensor.shape.clone(), values)))
    });
    kept.collect()
}

/// Ids that are valid as inputs and as targets of data of this shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    input: u64,
    target: u64,
}

impl Ids {
    /// Of data of this shape.
    pub fn of(shape: &DataShape) -> Self {
        let input = match shape.input {
            InputShape::Tokens { vocabulary, .. } => vocabulary,
            InputShape::Features(_) | InputShape::Image { .. } => 1,
        };
        let target = match shape.target {
            TargetShape::Class { classes } => classes,
            TargetShape::NextToken { vocabulary } => vocabulary,
            TargetShape::Real { .. } => 1,
        };
        Ids { input: input.max(1) as u64, target: target.max(1) as u64 }
    }
}

/// Samples `first..` of step `number`, as many as the program's (micro-)batch has: uniform ids, uniform reals in [0, 1),
/// all weights 1. A sample's values do not depend on how a step is cut into micro-batches.
pub fn batch(program: &Program, ids: Ids, number: u32, first: usize) -> Batch {
    let samples = program.batch.first().and_then(|input| input.shape.first()).copied().unwrap_or(0);
    let column = |name: &str, below: u64, salt: usize| {
        let input = program.batch.iter().find(|input| input.name == name);
        let each = input.map_or(0, |input| input.shape.iter().product::<usize>()) / samples.max(1);
        let draw = |sample: usize| Sequence::new(0, Stream::Data, number, (2 * (first + sample) + salt) as u32);
        match input.map(|input| input.dtype) {
            Some(DType::U32) => {
                let mut values = Vec::with_capacity(samples * each);
                for mut random in (0..samples).map(draw) {
                    values.extend((0..each).map(|_| random.below(below) as u32));
                }
                Column::U32(values)
            }
            _ => {
                let mut values = Vec::with_capacity(samples * each);
                for mut random in (0..samples).map(draw) {
                    values.extend((0..each).map(|_| random.uniform() as f32));
                }
                Column::F32(values)
            }
        }
    };
    let rows =
        program.batch.iter().find(|input| input.name == "weight").map_or(0, |input| input.shape.iter().product());
    let (input, target) = (column("input", ids.input, 0), column("target", ids.target, 1));
    Batch { samples, input, target, weight: vec![1.0; rows] }
}
