//! Matrix products, element-wise ops, broadcasts and dropout.

use super::array::{Answer, Array, Binary, Compare};
use super::context::Call;
use crate::config::Activation;
use crate::rng::{self, Stream};
use candle_core::DType;

/// `a, b -> a' b'`, both seen as `[rows, features]`, in the compute type.
pub(super) fn matmul<A: Array>(call: &Call<A>, transposed: (bool, bool)) -> Answer<Vec<A>> {
    let side = |i: usize| call.input(i)?.matrix()?.cast(call.context.compute);
    Ok(vec![call.keep(0, &side(0)?.matmul(&side(1)?, transposed)?)?])
}

/// `a, b -> a + b`. A sum with an f32 side (an accumulated gradient) is f32, any other is kept in the compute type.
pub(super) fn add<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let sum = if a.dtype() == b.dtype() { a.add(b)? } else { a.wide()?.add(&b.wide()?)? };
    Ok(vec![call.exact(0, &sum)?])
}

/// `x, b -> x + b` with `b`'s shape a suffix of `x`'s.
pub(super) fn add_broadcast<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (x, b) = (call.input(0)?, call.input(1)?);
    let (rows, width) = (x.count() / b.count().max(1), b.count());
    let sum = x.reshape(&[rows, width])?.wide()?.add(&b.reshape(&[1, width])?.wide()?)?;
    Ok(vec![call.keep(0, &sum)?])
}

/// Sum over the leading dimensions, down to the output's shape; a gradient of a parameter, so f32.
pub(super) fn sum_leading<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let columns: usize = call.declared(0)?.iter().product();
    let x = call.input(0)?;
    let x = x.reshape(&[x.count() / columns.max(1), columns])?.wide()?;
    Ok(vec![call.exact(0, &call.column_sums(&x)?)?])
}

/// `x -> factor * x`.
pub(super) fn scale<A: Array>(call: &Call<A>, factor: f32) -> Answer<Vec<A>> {
    let x = call.input(0)?;
    let y = x.wide()?.scale(f64::from(factor))?.cast(x.dtype())?;
    Ok(vec![call.exact(0, &y)?])
}

/// `x -> f(x)`.
pub(super) fn activate<A: Array>(call: &Call<A>, which: Activation) -> Answer<Vec<A>> {
    let x = call.wide(0)?;
    let y = match which {
        Activation::Relu => relu(call, &x)?,
        Activation::Gelu => x.scale(0.5)?.mul(&gelu_tanh(&x)?.affine(1.0, 1.0)?)?,
        Activation::ReluSquared => relu(call, &x)?.square()?,
        Activation::Silu => x.mul(&sigmoid(&x)?)?,
        Activation::Tanh => x.tanh()?,
    };
    Ok(vec![call.keep(0, &y)?])
}

/// `x, dy -> f'(x) dy`.
pub(super) fn activate_grad<A: Array>(call: &Call<A>, which: Activation) -> Answer<Vec<A>> {
    let x = call.wide(0)?;
    let slope = match which {
        Activation::Relu => x.compare(Compare::Gt, &zero(call)?)?.wide()?,
        Activation::Gelu => {
            let t = gelu_tanh(&x)?;
            // 0.5 (1 + t) + 0.5 x (1 - t^2) c (1 + 3 a x^2)
            let inner = x.square()?.affine(3.0 * GELU.1 * GELU.0, GELU.0)?;
            let bend = x.scale(0.5)?.mul(&t.square()?.affine(-1.0, 1.0)?)?.mul(&inner)?;
            t.affine(0.5, 0.5)?.add(&bend)?
        }
        Activation::ReluSquared => relu(call, &x)?.scale(2.0)?,
        Activation::Silu => silu_slope(&x)?,
        Activation::Tanh => x.tanh()?.square()?.affine(-1.0, 1.0)?,
    };
    Ok(vec![call.keep(0, &slope.mul(&call.wide(1)?)?)?])
}

/// sqrt(2 / pi) and the cubic coefficient of the tanh approximation.
const GELU: (f64, f64) = (0.797_884_560_802_865_4, 0.044715);

/// `tanh(c (x + a x^3))`.
fn gelu_tanh<A: Array>(x: &A) -> Answer<A> {
    x.mul(&x.square()?.affine(GELU.0 * GELU.1, GELU.0)?)?.tanh()
}

/// `1 / (1 + e^-x)` as `0.5 + 0.5 tanh(x / 2)`, which never overflows.
fn sigmoid<A: Array>(x: &A) -> Answer<A> {
    x.scale(0.5)?.tanh()?.affine(0.5, 0.5)
}

/// `s (1 + x (1 - s))`.
fn silu_slope<A: Array>(x: &A) -> Answer<A> {
    let s = sigmoid(x)?;
    let inner = x.mul(&s.affine(-1.0, 1.0)?)?.affine(1.0, 1.0)?;
    s.mul(&inner)
}

/// A zero to compare with, `[1]`.
fn zero<A: Array>(call: &Call<A>) -> Answer<A> {
    A::filled(&call.context.device, &[1], 0.0)
}

/// 0 where `x < 0`, else x: what is no number stays so, which candle's own does not do.
fn relu<A: Array>(call: &Call<A>, x: &A) -> Answer<A> {
    let nothing = A::filled(&call.context.device, x.shape(), 0.0)?;
    nothing.compare(Compare::Gt, x)?.choose(&nothing, x)
}

/// `x [.., 2h] -> silu(x[.., :h]) * x[.., h:]`.
pub(super) fn swiglu<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (gate, value) = halves(&call.matrix(0)?)?;
    let y = gate.mul(&sigmoid(&gate)?)?.mul(&value)?;
    Ok(vec![call.keep(0, &y)?])
}

/// `x [.., 2h], dy [.., h] -> dx [.., 2h]`.
pub(super) fn swiglu_grad<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let ((gate, value), dy) = (halves(&call.matrix(0)?)?, call.matrix(1)?);
    let dgate = silu_slope(&gate)?.mul(&value)?.mul(&dy)?;
    let dvalue = gate.mul(&sigmoid(&gate)?)?.mul(&dy)?;
    Ok(vec![call.keep(0, &A::cat(&[dgate, dvalue], 1)?)?])
}

fn halves<A: Array>(x: &A) -> Answer<(A, A)> {
    let half = x.features() / 2;
    Ok((x.narrow(1, 0, half)?, x.narrow(1, half, half)?))
}

/// Zeroes elements at random and scales the others up; its own backward. The mask is drawn on the host, where the
/// generator is exact integer arithmetic, and sent over.
pub(super) fn dropout<A: Array>(call: &Call<A>, p: f32, site: u32) -> Answer<Vec<A>> {
    let x = call.input(0)?;
    let samples = x.shape().first().copied().unwrap_or(1);
    let width = x.count() / samples.max(1);
    let (seed, step, stream) = (call.inputs_of_step.seed, call.inputs_of_step.step, Stream::dropout(site));
    let keep = (1.0 / (1.0 - f64::from(p))) as f32;
    let mask = A::real(&call.context.device, x.shape(), || {
        let mut mask = Vec::with_capacity(samples * width);
        for sample in 0..samples {
            let global = call.first_sample.wrapping_add(sample as u32);
            for block in 0..width.div_ceil(4) {
                // Four elements share a Philox block.
                let bits = rng::philox4x32([block as u32, global, step as u32, stream], seed);
                let here = (width - 4 * block).min(4);
                mask.extend(bits[..here].iter().map(|&b| if rng::unit_f32(b) >= p { keep } else { 0.0 }));
            }
        }
        mask
    })?;
    Ok(vec![call.keep(0, &x.wide()?.binary(Binary::Mul, &mask)?)?])
}

/// `average, p -> decay * average + (1 - decay) * p`.
pub(super) fn ema<A: Array>(call: &Call<A>, decay: f64) -> Answer<Vec<A>> {
    let mixed = call.input(0)?.scale(decay)?.add(&call.input(1)?.scale(1.0 - decay)?)?;
    Ok(vec![call.exact(0, &mixed.cast(DType::F32)?)?])
}
