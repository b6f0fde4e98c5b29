//! Gradient norm, clipping and the parameter updates.

use super::super::EngineError;
use super::call::Call;
use super::real::{Real, sum_by};
use candle_core::Tensor;

/// `g0, g1, ... -> sqrt(sum of all squares)`: blocks in `T`, their sum in f64.
pub(super) fn global_norm<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let mut sum = 0.0;
    for i in 0..call.inputs.len() {
        let gradient = call.real::<T>(i)?;
        sum += gradient.chunks(1024).map(|block| sum_by(block, |v| v * v).wide()).sum::<f64>();
    }
    Ok(vec![call.output(0, vec![T::of(sum.sqrt())])?])
}

/// `norm -> min(1, max_norm / (norm + 1e-6))`.
pub(super) fn clip_factor<T: Real>(call: &Call, max_norm: f32) -> Result<Vec<Tensor>, EngineError> {
    let norm = call.scalar::<T>(0)?;
    let factor = T::of(f64::from(max_norm)) / (norm + T::of(1e-6));
    // NaN stays NaN: a gradient that is no number must not pass as a small one.
    Ok(vec![call.output(0, vec![if factor > T::one() { T::one() } else { factor }])?])
}

/// `p, g, clip, lr[, m] -> p'[, m']`.
pub(super) fn sgd<T: Real>(
    call: &Call,
    momentum: f32,
    nesterov: bool,
    weight_decay: f32,
    lr_scale: f32,
) -> Result<Vec<Tensor>, EngineError> {
    let (p, g, clip) = (call.real::<T>(0)?, call.real::<T>(1)?, call.scalar::<T>(2)?);
    let rate = call.scalar::<T>(3)? * T::of(f64::from(lr_scale));
    let kept = T::one() - rate * T::of(f64::from(weight_decay));
    if momentum == 0.0 {
        let p = p.iter().zip(g.iter()).map(|(&p, &g)| kept * p - rate * (g * clip)).collect();
        return Ok(vec![call.output(0, p)?]);
    }
    let (old, momentum) = (call.real::<T>(4)?, T::of(f64::from(momentum)));
    let m: Vec<T> = old.iter().zip(g.iter()).map(|(&m, &g)| momentum * m + g * clip).collect();
    let p = if nesterov {
        p.iter().zip(g.iter()).zip(&m).map(|((&p, &g), &m)| kept * p - rate * (g * clip + momentum * m)).collect()
    } else {
        p.iter().zip(&m).map(|(&p, &m)| kept * p - rate * m).collect()
    };
    Ok(vec![call.output(0, p)?, call.output(1, m)?])
}

/// `p, g, clip, lr, c1, c2, m, v -> p', m', v'`.
pub(super) fn adamw<T: Real>(
    call: &Call,
    beta1: f64,
    beta2: f64,
    eps: f32,
    weight_decay: f32,
    lr_scale: f32,
) -> Result<Vec<Tensor>, EngineError> {
    let (p, g, clip) = (call.real::<T>(0)?, call.real::<T>(1)?, call.scalar::<T>(2)?);
    let rate = call.scalar::<T>(3)? * T::of(f64::from(lr_scale));
    let (c1, c2) = (call.scalar::<T>(4)?, call.scalar::<T>(5)?);
    let (m, v) = (call.real::<T>(6)?, call.real::<T>(7)?);
    let (b1, b2) = (T::of(beta1), T::of(beta2));
    let (a1, a2) = (T::of(1.0 - beta1), T::of(1.0 - beta2));
    let (eps, kept) = (T::of(f64::from(eps)), T::one() - rate * T::of(f64::from(weight_decay)));
    let m: Vec<T> = m.iter().zip(g.iter()).map(|(&m, &g)| b1 * m + a1 * (g * clip)).collect();
    let v: Vec<T> = v.iter().zip(g.iter()).map(|(&v, &g)| b2 * v + a2 * (g * clip) * (g * clip)).collect();
    let p =
        p.iter().zip(&m).zip(&v).map(|((&p, &m), &v)| kept * p - rate * (m / c1) / ((v / c2).sqrt() + eps)).collect();
    Ok(vec![call.output(0, p)?, call.output(1, m)?, call.output(2, v)?])
}

/// `average, p -> decay * average + (1 - decay) * p`.
pub(super) fn ema<T: Real>(call: &Call, decay: f64) -> Result<Vec<Tensor>, EngineError> {
    let (average, p) = (call.real::<T>(0)?, call.real::<T>(1)?);
    let (kept, new) = (T::of(decay), T::of(1.0 - decay));
    let values = average.iter().zip(p.iter()).map(|(&a, &p)| kept * a + new * p).collect();
    Ok(vec![call.output(0, values)?])
}
