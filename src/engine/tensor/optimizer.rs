//! Gradient norm, clipping and the parameter updates, all in f32.

use super::array::{Answer, Array, Compare};
use super::context::Call;

/// `g0, g1, ... -> sqrt(sum of all squares)`.
pub(super) fn global_norm<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let mut sums = Vec::with_capacity(call.inputs.len());
    for gradient in call.inputs {
        sums.push(gradient.wide()?.square()?.total()?);
    }
    let sum = A::cat(&sums, 1)?.sum(1)?;
    Ok(vec![call.exact(0, &sum.sqrt()?)?])
}

/// `norm -> min(1, max_norm / (norm + 1e-6))`. NaN stays NaN: a gradient that is no number must not pass as a small one.
pub(super) fn clip_factor<A: Array>(call: &Call<A>, max_norm: f32) -> Answer<Vec<A>> {
    let norm = call.wide(0)?;
    let one = A::filled(&call.context.device, norm.shape(), 1.0)?;
    let factor = one.scale(f64::from(max_norm))?.div(&norm.affine(1.0, 1e-6)?)?;
    let clipped = factor.compare(Compare::Gt, &one)?.choose(&one, &factor)?;
    Ok(vec![call.exact(0, &clipped)?])
}

/// The clipped gradient, and the learning rate of the parameter's group, `[1]`-shaped for broadcasting.
fn clipped<A: Array>(call: &Call<A>, lr_scale: f32) -> Answer<(A, A)> {
    let scalar = |i: usize| call.wide(i)?.reshape(&[1]);
    Ok((call.wide(1)?.mul(&scalar(2)?)?, scalar(3)?.scale(f64::from(lr_scale))?))
}

/// `(1 - rate * decay) p`.
fn decayed<A: Array>(p: &A, rate: &A, weight_decay: f32) -> Answer<A> {
    if weight_decay == 0.0 {
        return Ok(p.clone());
    }
    p.mul(&rate.affine(-f64::from(weight_decay), 1.0)?)
}

/// `p, g, clip, lr[, m] -> p'[, m']`.
pub(super) fn sgd<A: Array>(
    call: &Call<A>,
    momentum: f32,
    nesterov: bool,
    weight_decay: f32,
    lr_scale: f32,
) -> Answer<Vec<A>> {
    let (g, rate) = clipped(call, lr_scale)?;
    let kept = decayed(call.input(0)?, &rate, weight_decay)?;
    if momentum == 0.0 {
        return Ok(vec![call.exact(0, &kept.sub(&g.mul(&rate)?)?)?]);
    }
    let momentum = f64::from(momentum);
    let m = call.wide(4)?.scale(momentum)?.add(&g)?;
    let direction = if nesterov { g.add(&m.scale(momentum)?)? } else { m.clone() };
    Ok(vec![call.exact(0, &kept.sub(&direction.mul(&rate)?)?)?, call.exact(1, &m)?])
}

/// `p, g, clip, lr, c1, c2, m, v -> p', m', v'`.
pub(super) fn adamw<A: Array>(
    call: &Call<A>,
    beta1: f64,
    beta2: f64,
    eps: f32,
    weight_decay: f32,
    lr_scale: f32,
) -> Answer<Vec<A>> {
    let (g, rate) = clipped(call, lr_scale)?;
    let correction = |i: usize| call.wide(i)?.reshape(&[1]);
    let m = call.wide(6)?.scale(beta1)?.add(&g.scale(1.0 - beta1)?)?;
    let v = call.wide(7)?.scale(beta2)?.add(&g.square()?.scale(1.0 - beta2)?)?;
    drop(g);
    let root = v.div(&correction(5)?)?.sqrt()?.affine(1.0, f64::from(eps))?;
    let update = m.div(&correction(4)?)?.div(&root)?.mul(&rate)?;
    drop(root);
    let p = decayed(call.input(0)?, &rate, weight_decay)?.sub(&update)?;
    Ok(vec![call.exact(0, &p)?, call.exact(1, &m)?, call.exact(2, &v)?])
}
