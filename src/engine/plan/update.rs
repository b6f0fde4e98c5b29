//! The `apply` program as one pass over the flat state: norm, clip, update, average.

use super::layout::{Region, StateLayout};
use crate::engine::EngineError;
use crate::graph::{Op, Program, StateSpec};

/// The update rule, the same for all parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UpdateRule {
    /// With one slot where the momentum is not 0.
    Sgd {
        /// Momentum.
        momentum: f32,
        /// Nesterov's form.
        nesterov: bool,
    },
    /// With two slots.
    AdamW {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root.
        eps: f32,
    },
}

/// A run of neighbouring parameters with equal settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    /// First element, within a region.
    pub start: usize,
    /// Past the last.
    pub end: usize,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Factor on the learning rate.
    pub lr_scale: f32,
}

/// The whole update.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// How.
    pub rule: UpdateRule,
    /// Largest gradient norm; none for no clipping.
    pub max_norm: Option<f32>,
    /// Decay of the averages, where there are any.
    pub average: Option<f64>,
    /// Settings by range; they cover the region without gaps.
    pub segments: Vec<Segment>,
}

/// Reads an update off its program.
pub(super) fn update(program: &Program, spec: &StateSpec, layout: &StateLayout) -> Result<Update, EngineError> {
    let other = |what: &str| EngineError::Shape(format!("the apply program cannot be planned: {what}"));
    let state_of = |value: crate::graph::ValueId| {
        program.nodes.iter().find_map(|node| match node.op {
            Op::State(index) if node.outputs[0] == value => Some(index),
            _ => None,
        })
    };
    let mut rule = None;
    let (mut max_norm, mut average) = (None, None);
    let mut segments: Vec<Segment> = Vec::new();
    for node in &program.nodes {
        let (this, weight_decay, lr_scale) = match node.op {
            Op::ClipFactor { max_norm: limit } => {
                max_norm = Some(limit);
                continue;
            }
            Op::Ema { decay } => {
                average = Some(decay);
                continue;
            }
            Op::Sgd { momentum, nesterov, weight_decay, lr_scale } => {
                (UpdateRule::Sgd { momentum, nesterov }, weight_decay, lr_scale)
            }
            Op::AdamW { beta1, beta2, eps, weight_decay, lr_scale } => {
                (UpdateRule::AdamW { beta1, beta2, eps }, weight_decay, lr_scale)
            }
            _ => continue,
        };
        if *rule.get_or_insert(this) != this {
            return Err(other("its parameters have different rules"));
        }
        let index = state_of(node.inputs[0]).ok_or_else(|| other("it updates no parameter"))?;
        let start = layout.offset(index).ok_or_else(|| other("it updates what is no parameter"))?;
        let elements = spec.tensors[index].shape.iter().product::<usize>();
        segments.push(Segment { start, end: start + elements, weight_decay, lr_scale });
    }
    segments.sort_by_key(|s| s.start);
    let mut merged: Vec<Segment> = Vec::new();
    for segment in segments {
        match merged.last_mut() {
            // Padding lies between: zero in every region, and zero after the update.
            Some(last) if (last.weight_decay, last.lr_scale) == (segment.weight_decay, segment.lr_scale) => {
                last.end = segment.end;
            }
            _ => merged.push(segment),
        }
    }
    if let Some(last) = merged.last_mut() {
        last.end = layout.region;
    }
    for i in 1..merged.len() {
        merged[i - 1].end = merged[i].start;
    }
    let covered = spec.params().count()
        == program.nodes.iter().filter(|n| matches!(n.op, Op::Sgd { .. } | Op::AdamW { .. })).count();
    if !covered || layout.start(Region::Params) != 0 {
        return Err(other("it leaves parameters out"));
    }
    Ok(Update { rule: rule.ok_or_else(|| other("it updates nothing"))?, max_norm, average, segments: merged })
}
