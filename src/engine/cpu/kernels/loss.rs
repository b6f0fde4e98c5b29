//! Losses, their gradients and the sums that are reported, in one pass over the rows. Sums are in f64.

use crate::engine::cpu::simd::kernel;
use crate::engine::reference::real::{Real, largest, sum_by};

/// What a row of predictions counts for.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::cpu) struct Wanted<'a> {
    /// Weight of each row; rows of weight 0 count for nothing, whatever their values.
    pub(in crate::engine::cpu) weights: &'a [f32],
    /// Normalisation of the gradient; none for no gradient, which leaves `logits` as they are.
    pub(in crate::engine::cpu) scale: Option<f32>,
    /// Whether right predictions are counted.
    pub(in crate::engine::cpu) correct: bool,
}

kernel! {
    /// Cross-entropy of `logits [rows, classes]`, which become their own gradient where one is wanted. Targets are below
    /// the number of classes. Returns the weighted sums of the losses and of the right predictions.
    pub(in crate::engine::cpu) fn cross_entropy(
        logits: &mut [f32], targets: &[u32], smoothing: f32, wanted: Wanted<'_>,
    ) -> [f64; 2] {
        let classes = logits.len() / targets.len().max(1);
        let (mut loss_sum, mut right) = (0.0f64, 0.0f64);
        let spread = smoothing / classes as f32;
        for ((row, &target), &weight) in logits.chunks_exact_mut(classes).zip(targets).zip(wanted.weights) {
            let target = target as usize;
            let top = largest(row);
            if weight != 0.0 && wanted.correct {
                // The first of several largest wins. A NaN is never larger.
                let first = row.iter().position(|&v| v == top);
                right += if first == Some(target) { f64::from(weight) } else { 0.0 };
            }
            let lse = top + sum_by(row, |v| Real::exp(v - top)).ln();
            if weight != 0.0 {
                let mut loss = (1.0 - smoothing) * (lse - row[target]);
                if smoothing > 0.0 {
                    loss += smoothing * (sum_by(row, |v| lse - v) / classes as f32);
                }
                loss_sum += f64::from(loss) * f64::from(weight);
            }
            if let Some(scale) = wanted.scale {
                let factor = weight * scale;
                row.iter_mut().for_each(|v| *v = factor * (Real::exp(*v - lse) - spread));
                row[target] -= factor * (1.0 - smoothing);
            }
        }
        [loss_sum, right]
    }
}

kernel! {
    /// Mean squared error of `predictions [rows, K]`, which become their own gradient where one is wanted.
    pub(in crate::engine::cpu) fn squared_error(predictions: &mut [f32], targets: &[f32], wanted: Wanted<'_>) -> f64 {
        let width = predictions.len() / wanted.weights.len().max(1);
        let mut loss_sum = 0.0f64;
        let rows = predictions.chunks_exact_mut(width).zip(targets.chunks_exact(width)).zip(wanted.weights);
        for ((row, target), &weight) in rows {
            if weight != 0.0 {
                let sum: f64 = row.iter().zip(target).map(|(&p, &t)| f64::from((p - t) * (p - t))).sum();
                loss_sum += sum / width as f64 * f64::from(weight);
            }
            if let Some(scale) = wanted.scale {
                let factor = weight * (scale * 2.0 / width as f32);
                row.iter_mut().zip(target).for_each(|(p, &t)| *p = factor * (*p - t));
            }
        }
        loss_sum
    }
}
