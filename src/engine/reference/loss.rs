//! Losses, their gradients and the sums that are reported.

use super::super::EngineError;
use super::call::Call;
use super::real::{Real, largest, sum_by, sum_by2};
use candle_core::Tensor;

/// A class that must be below the number of logits.
fn class(call: &Call, target: u32, classes: usize) -> Result<usize, EngineError> {
    let target = target as usize;
    if target < classes { Ok(target) } else { Err(call.wrong(&format!("target {target} is not below {classes}"))) }
}

/// `logits, target -> loss [N], lse [N]`.
pub(super) fn cross_entropy<T: Real>(call: &Call, smoothing: f32) -> Result<Vec<Tensor>, EngineError> {
    let (logits, targets, classes) = (call.real::<T>(0)?, call.integers(1)?, call.features(0)?);
    let smoothing = T::of(f64::from(smoothing));
    let (mut losses, mut lses) = (Vec::with_capacity(targets.len()), Vec::with_capacity(targets.len()));
    for (row, &target) in logits.chunks_exact(classes).zip(targets.iter()) {
        let target = class(call, target, classes)?;
        let top = largest(row);
        let lse = top + T::of(sum_by(row, |v| (v - top).exp()).wide().ln());
        // Differences to the log-sum-exp are summed, not the logits, so that large common offsets cancel exactly.
        let mean = sum_by(row, |v| lse - v) / T::of(classes as f64);
        losses.push((T::one() - smoothing) * (lse - row[target]) + smoothing * mean);
        lses.push(lse);
    }
    Ok(vec![call.output(0, losses)?, call.output(1, lses)?])
}

/// `logits, target, lse, weight -> dlogits`: `weight scale (softmax - (1-s) onehot - s/V)`.
pub(super) fn cross_entropy_grad<T: Real>(call: &Call, smoothing: f32, scale: f32) -> Result<Vec<Tensor>, EngineError> {
    let (logits, targets, classes) = (call.real::<T>(0)?, call.integers(1)?, call.features(0)?);
    let (lses, weights) = (call.real::<T>(2)?, call.real::<T>(3)?);
    let (smoothing, scale) = (T::of(f64::from(smoothing)), T::of(f64::from(scale)));
    let spread = smoothing / T::of(classes as f64);
    let mut slopes = Vec::with_capacity(logits.len());
    for (i, row) in logits.chunks_exact(classes).enumerate() {
        let (target, lse, factor) = (class(call, targets[i], classes)?, lses[i], weights[i] * scale);
        let start = slopes.len();
        slopes.extend(row.iter().map(|&v| factor * ((v - lse).exp() - spread)));
        slopes[start + target] -= factor * (T::one() - smoothing);
    }
    Ok(vec![call.output(0, slopes)?])
}

/// `prediction [N,K], target [N,K] -> loss [N]`.
pub(super) fn squared_error<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (prediction, target, width) = (call.real::<T>(0)?, call.real::<T>(1)?, call.features(0)?);
    let rows = prediction.chunks_exact(width).zip(target.chunks_exact(width));
    let loss = rows.map(|(p, t)| sum_by2(p, t, |p, t| (p - t) * (p - t)) / T::of(width as f64)).collect();
    Ok(vec![call.output(0, loss)?])
}

/// `prediction, target, weight -> dprediction`.
pub(super) fn squared_error_grad<T: Real>(call: &Call, scale: f32) -> Result<Vec<Tensor>, EngineError> {
    let (prediction, target, weights) = (call.real::<T>(0)?, call.real::<T>(1)?, call.real::<T>(2)?);
    let width = call.features(0)?;
    let factor = T::of(f64::from(scale) * 2.0 / width as f64);
    let mut slopes = Vec::with_capacity(prediction.len());
    for ((p, t), &w) in prediction.chunks_exact(width).zip(target.chunks_exact(width)).zip(weights.iter()) {
        slopes.extend(p.iter().zip(t).map(|(&p, &t)| w * factor * (p - t)));
    }
    Ok(vec![call.output(0, slopes)?])
}

/// `values, weight -> sum(values * weight)`, summed in f64. A row of weight 0 counts for nothing, whatever its value:
/// padding must not turn a sum into NaN.
pub(super) fn weighted_sum<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (values, weights) = (call.real::<T>(0)?, call.real::<T>(1)?);
    let terms = values.iter().zip(weights.iter()).filter(|(_, w)| **w != T::zero());
    let sum: f64 = terms.map(|(v, w)| v.wide() * w.wide()).sum();
    Ok(vec![call.output(0, vec![T::of(sum)])?])
}

/// `logits, target, weight -> weight where the first largest logit is the target, summed`.
pub(super) fn correct_sum<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (logits, targets, weights) = (call.real::<T>(0)?, call.integers(1)?, call.real::<T>(2)?);
    let mut sum = 0.0;
    for ((row, &target), &weight) in logits.chunks_exact(call.features(0)?).zip(targets.iter()).zip(weights.iter()) {
        let mut best = 0;
        for (i, &v) in row.iter().enumerate() {
            if v > row[best] {
                best = i;
            }
        }
        if best == target as usize {
            sum += weight.wide();
        }
    }
    Ok(vec![call.output(0, vec![T::of(sum)])?])
}
