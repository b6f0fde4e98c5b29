//! The update of a range of the flat state.

use super::kernels::optimizer::{self, AdamW};
use crate::engine::StepInputs;
use crate::engine::plan::{Plan, Region, UpdateRule};
use std::ops::Range;

/// Elements of the flat state in one tile of the update at least.
const UPDATE_ELEMENTS: usize = 16_384;
/// Tiles of the update at most.
const UPDATE_TILES: usize = 64;

/// How many tiles the update is cut into.
pub(super) fn tiles(plan: &Plan) -> usize {
    plan.layout.region.div_ceil(UPDATE_ELEMENTS).clamp(1, UPDATE_TILES)
}

/// Updates a range of the flat state.
pub(super) fn update<'f>(
    plan: &Plan,
    inputs: &StepInputs,
    norm: f32,
    range: &Range<usize>,
    flat: &dyn Fn(Region) -> &'f mut [f32],
) {
    let clip = plan.update.max_norm.map_or(1.0, |limit| {
        let factor = limit / (norm + 1e-6);
        // NaN stays NaN: a gradient that is no number must not pass as a small one.
        if factor > 1.0 { 1.0 } else { factor }
    });
    let learning_rate = inputs.learning_rate as f32;
    for segment in &plan.update.segments {
        let (from, to) = (segment.start.max(range.start), segment.end.min(range.end));
        if from >= to {
            continue;
        }
        let here = from - range.start..to - range.start;
        let (g, p) = (&flat(Region::Grads)[here.clone()], &mut flat(Region::Params)[here.clone()]);
        let rate = learning_rate * segment.lr_scale;
        match plan.update.rule {
            UpdateRule::AdamW { beta1, beta2, eps } => {
                let settings = AdamW {
                    clip,
                    rate,
                    weight_decay: segment.weight_decay,
                    beta1,
                    beta2,
                    eps,
                    correction1: inputs.bias_correction1 as f32,
                    correction2: inputs.bias_correction2 as f32,
                };
                let (m, v) = (&mut flat(Region::Slot(0))[here.clone()], &mut flat(Region::Slot(1))[here.clone()]);
                optimizer::adamw(settings, g, p, m, v);
            }
            UpdateRule::Sgd { momentum: 0.0, .. } => optimizer::sgd(clip, rate, segment.weight_decay, g, p),
            UpdateRule::Sgd { momentum, nesterov } => {
                let m = &mut flat(Region::Slot(0))[here.clone()];
                optimizer::sgd_momentum(clip, rate, segment.weight_decay, momentum, nesterov, g, p, m);
            }
        }
        if let Some(decay) = plan.update.average {
            optimizer::average(decay, p, &mut flat(Region::Average)[here]);
        }
    }
}
