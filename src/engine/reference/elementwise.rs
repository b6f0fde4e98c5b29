//! Element-wise ops, broadcasts and dropout.

use super::super::EngineError;
use super::call::Call;
use super::real::{ColumnSums, Real};
use crate::config::Activation;
use crate::rng::{self, Stream};
use candle_core::Tensor;

/// `x, b -> x + b` with `b`'s shape a suffix of `x`'s.
pub(super) fn add_broadcast<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (x, b) = (call.real::<T>(0)?, call.real::<T>(1)?);
    let (x, b): (&[T], &[T]) = (&x, &b);
    if b.is_empty() || !x.len().is_multiple_of(b.len()) {
        return Err(call.wrong("the second input does not repeat in the first"));
    }
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks_exact(b.len()) {
        y.extend(row.iter().zip(b).map(|(&u, &v)| u + v));
    }
    Ok(vec![call.output(0, y)?])
}

/// Sum over the leading dimensions, down to the output's shape.
pub(super) fn sum_leading<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let x = call.real::<T>(0)?;
    let columns = call.outputs[0].elements();
    let mut sums = ColumnSums::<T>::new(columns);
    for row in x.chunks_exact(columns.max(1)) {
        sums.add(row, row, |v, _| v);
    }
    Ok(vec![call.output(0, sums.finish())?])
}

/// `x -> f(x)`.
pub(super) fn activate<T: Real>(call: &Call, which: Activation) -> Result<Vec<Tensor>, EngineError> {
    let x = call.real::<T>(0)?;
    let x: &[T] = &x;
    #[inline(always)]
    fn run<T: Real>(x: &[T], f: impl Fn(T) -> T) -> Vec<T> {
        x.iter().map(|&v| f(v)).collect()
    }
    let y = match which {
        Activation::Relu => run(x, relu),
        Activation::Gelu => run(x, gelu),
        Activation::ReluSquared => run(x, relu_squared),
        Activation::Silu => run(x, silu),
        Activation::Tanh => run(x, T::tanh),
    };
    Ok(vec![call.output(0, y)?])
}

/// `x, dy -> f'(x) dy`.
pub(super) fn activate_grad<T: Real>(call: &Call, which: Activation) -> Result<Vec<Tensor>, EngineError> {
    let (x, dy) = (call.real::<T>(0)?, call.real::<T>(1)?);
    let (x, dy): (&[T], &[T]) = (&x, &dy);
    #[inline(always)]
    fn run<T: Real>(x: &[T], dy: &[T], slope: impl Fn(T) -> T) -> Vec<T> {
        x.iter().zip(dy).map(|(&v, &d)| slope(v) * d).collect()
    }
    let dx = match which {
        Activation::Relu => run(x, dy, relu_slope),
        Activation::Gelu => run(x, dy, gelu_slope),
        Activation::ReluSquared => run(x, dy, relu_squared_slope),
        Activation::Silu => run(x, dy, silu_slope),
        Activation::Tanh => run(x, dy, tanh_slope),
    };
    Ok(vec![call.output(0, dx)?])
}

/// Written so that NaN stays NaN.
#[inline(always)]
pub(in crate::engine) fn relu<T: Real>(x: T) -> T {
    if x < T::zero() { T::zero() } else { x }
}

#[inline(always)]
pub(in crate::engine) fn relu_slope<T: Real>(x: T) -> T {
    if x > T::zero() { T::one() } else { T::zero() }
}

#[inline(always)]
pub(in crate::engine) fn relu_squared<T: Real>(x: T) -> T {
    let y = relu(x);
    y * y
}

#[inline(always)]
pub(in crate::engine) fn relu_squared_slope<T: Real>(x: T) -> T {
    let y = relu(x);
    y + y
}

/// sqrt(2 / pi) and the cubic coefficient of the tanh approximation.
const GELU: (f64, f64) = (0.797_884_560_802_865_4, 0.044715);

#[inline(always)]
pub(in crate::engine) fn gelu<T: Real>(x: T) -> T {
    let (c, a) = (T::of(GELU.0), T::of(GELU.1));
    let t = (c * (x + a * x * x * x)).tanh();
    T::of(0.5) * x * (T::one() + t)
}

#[inline(always)]
pub(in crate::engine) fn gelu_slope<T: Real>(x: T) -> T {
    let (c, a, half) = (T::of(GELU.0), T::of(GELU.1), T::of(0.5));
    let t = (c * (x + a * x * x * x)).tanh();
    half * (T::one() + t) + half * x * (T::one() - t * t) * c * (T::one() + T::of(3.0) * a * x * x)
}

/// Both of the above, the same bits with one hyperbolic tangent.
#[inline(always)]
pub(in crate::engine) fn gelu_and_slope<T: Real>(x: T) -> (T, T) {
    let (c, a, half) = (T::of(GELU.0), T::of(GELU.1), T::of(0.5));
    let t = (c * (x + a * x * x * x)).tanh();
    let slope = half * (T::one() + t) + half * x * (T::one() - t * t) * c * (T::one() + T::of(3.0) * a * x * x);
    (half * x * (T::one() + t), slope)
}

#[inline(always)]
pub(in crate::engine) fn silu<T: Real>(x: T) -> T {
    x * x.sigmoid()
}

#[inline(always)]
pub(in crate::engine) fn silu_slope<T: Real>(x: T) -> T {
    let s = x.sigmoid();
    s * (T::one() + x * (T::one() - s))
}

/// Both of the above, the same bits with one exponential.
#[inline(always)]
pub(in crate::engine) fn silu_and_slope<T: Real>(x: T) -> (T, T) {
    let s = x.sigmoid();
    (x * s, s * (T::one() + x * (T::one() - s)))
}

#[inline(always)]
pub(in crate::engine) fn tanh_slope<T: Real>(x: T) -> T {
    let t = x.tanh();
    T::one() - t * t
}

/// `x [.., 2h] -> silu(x[.., :h]) * x[.., h:]`.
pub(super) fn swiglu<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (x, width) = (call.real::<T>(0)?, call.features(0)?);
    let mut y = Vec::with_capacity(x.len() / 2);
    for row in x.chunks_exact(width) {
        let (gate, value) = row.split_at(width / 2);
        y.extend(gate.iter().zip(value).map(|(&g, &v)| silu(g) * v));
    }
    Ok(vec![call.output(0, y)?])
}

/// `x [.., 2h], dy [.., h] -> dx [.., 2h]`.
pub(super) fn swiglu_grad<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (x, dy, width) = (call.real::<T>(0)?, call.real::<T>(1)?, call.features(0)?);
    let mut dx = vec![T::zero(); x.len()];
    for ((row, d), out) in x.chunks_exact(width).zip(dy.chunks_exact(width / 2)).zip(dx.chunks_exact_mut(width)) {
        let (gate, value) = row.split_at(width / 2);
        let (dgate, dvalue) = out.split_at_mut(width / 2);
        for i in 0..gate.len() {
            dgate[i] = silu_slope(gate[i]) * value[i] * d[i];
            dvalue[i] = silu(gate[i]) * d[i];
        }
    }
    Ok(vec![call.output(0, dx)?])
}

/// Zeroes elements at random and scales the others up; its own backward.
pub(super) fn dropout<T: Real>(call: &Call, p: f32, site: u32) -> Result<Vec<Tensor>, EngineError> {
    let x = call.real::<T>(0)?;
    let samples = call.input(0)?.dims().first().copied().unwrap_or(1);
    let width = x.len() / samples.max(1);
    let (moment, stream) = (call.moment, Stream::dropout(site));
    let keep = T::of(1.0 / (1.0 - f64::from(p)));
    let mut y = Vec::with_capacity(x.len());
    for (sample, row) in x.chunks_exact(width.max(1)).enumerate() {
        let global = moment.first_sample.wrapping_add(sample as u32);
        for (block, values) in row.chunks(4).enumerate() {
            // Four elements share a Philox block: the same numbers as `rng::bits` one by one.
            let bits = rng::philox4x32([block as u32, global, moment.step as u32, stream], moment.seed);
            y.extend(values.iter().zip(bits).map(|(&v, b)| if rng::unit_f32(b) >= p { v * keep } else { T::zero() }));
        }
    }
    Ok(vec![call.output(0, y)?])
}
