//! The number type that programs are computed in: `f32` for runs, `f64` for gradient tests.
//!
//! The `f32` functions are branch-free polynomials, so that loops over slices become SIMD code on the baseline
//! instruction set, and contain no fused multiply-add, so that their bits are the same on every CPU.

use candle_core::WithDType;
use std::ops::Neg;

/// A real number with the few functions that the ops need.
pub(in crate::engine) trait Real: WithDType + Neg<Output = Self> {
    /// Size in memory.
    const BYTES: u64;

    /// From `f64`, rounded.
    fn of(value: f64) -> Self {
        Self::from_f64(value)
    }
    /// As `f64`.
    fn wide(self) -> f64 {
        self.to_f64()
    }
    /// e^x.
    fn exp(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Whether it is not a number.
    fn is_nan(self) -> bool;

    /// 1 / (1 + e^-x).
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Self::one() / (Self::one() + (-self).exp())
    }
}

impl Real for f64 {
    const BYTES: u64 = 8;

    fn exp(self) -> Self {
        f64::exp(self)
    }
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }
}

impl Real for f32 {
    const BYTES: u64 = 4;

    /// Cephes' `expf` (S. Moshier): x = n ln 2 + r, a polynomial in r, then the exponent. Relative error below 2e-7;
    /// below -87 the result is 0 instead of a subnormal number.
    #[inline(always)]
    fn exp(self) -> Self {
        const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the rounded integer in the low bits
        let x = self.clamp(-87.4, 89.0);
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let p = 1.987_569_1e-4f32;
        let p = p * r + 1.398_199_9e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 1.666_666_5e-1;
        let p = p * r + 0.5;
        let y = p * (r * r) + r + 1.0;
        // 2^n as 2^(n-1) * 2, so that n = 128 (just below overflow) still has a finite factor.
        let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(126);
        y * f32::from_bits(exponent << 23) * 2.0
    }

    /// Eigen's rational approximation of tanh (`generic_fast_tanh_float`): odd degree 13 over even degree 6.
    /// Relative error below 5e-7.
    #[inline(always)]
    fn tanh(self) -> Self {
        let x = self.clamp(-7.905_311, 7.905_311);
        let s = x * x;
        let p = -2.760_768_5e-16f32;
        let p = p * s + 2.000_188e-13;
        let p = p * s - 8.604_672e-11;
        let p = p * s + 5.122_297e-8;
        let p = p * s + 1.485_722_4e-5;
        let p = p * s + 6.372_619e-4;
        let p = p * s + 4.893_524_6e-3;
        let q = 1.198_258_4e-6f32;
        let q = q * s + 1.185_347e-4;
        let q = q * s + 2.268_434_6e-3;
        let q = q * s + 4.893_525e-3;
        x * p / q
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }
}

/// Running sums kept side by side, added up at the end in a fixed order: vectorises, loses fewer bits than one chain.
pub(in crate::engine) const LANES: usize = 16;

/// Sum of `f(a)` in a fixed order.
#[inline(always)]
pub(in crate::engine) fn sum_by<T: Real>(a: &[T], f: impl Fn(T) -> T) -> T {
    let mut lanes = [T::zero(); LANES];
    let mut chunks = a.chunks_exact(LANES);
    for chunk in chunks.by_ref() {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += f(v);
        }
    }
    for (lane, &v) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane += f(v);
    }
    fold(lanes)
}

/// Sum of `f(a, b)` over two slices of equal length, in a fixed order.
#[inline(always)]
pub(in crate::engine) fn sum_by2<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut lanes = [T::zero(); LANES];
    let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (x, y) in left.by_ref().zip(right.by_ref()) {
        for ((lane, &u), &v) in lanes.iter_mut().zip(x).zip(y) {
            *lane += f(u, v);
        }
    }
    for ((lane, &u), &v) in lanes.iter_mut().zip(left.remainder()).zip(right.remainder()) {
        *lane += f(u, v);
    }
    fold(lanes)
}

/// Adds up running sums.
#[inline(always)]
pub(in crate::engine) fn fold<T: Real>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            let other = lanes[i + width];
            lanes[i] += other;
        }
        width /= 2;
    }
    lanes[0]
}

/// Largest element of a slice that is not empty. A NaN may be missed: the sums of exponentials it is for become NaN anyway.
#[inline(always)]
pub(in crate::engine) fn largest<T: Real>(a: &[T]) -> T {
    let mut lanes = [a[0]; LANES];
    for chunk in a.chunks(LANES) {
        for (best, &v) in lanes.iter_mut().zip(chunk) {
            *best = if v > *best { v } else { *best };
        }
    }
    lanes.into_iter().fold(a[0], |best, v| if v > best { v } else { best })
}

/// Column sums of rows that arrive one by one: blocks of rows are summed in `T`, the blocks in `f64`.
pub(super) struct ColumnSums<T> {
    block: Vec<T>,
    rows: usize,
    total: Vec<f64>,
}

impl<T: Real> ColumnSums<T> {
    pub(super) fn new(columns: usize) -> Self {
        ColumnSums { block: vec![T::zero(); columns], rows: 0, total: vec![0.0; columns] }
    }

    /// Adds `f(a, b)` for each column of a row.
    #[inline(always)]
    pub(super) fn add(&mut self, a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
        for ((sum, &u), &v) in self.block.iter_mut().zip(a).zip(b) {
            *sum += f(u, v);
        }
        self.rows += 1;
        if self.rows == 32 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for (total, sum) in self.total.iter_mut().zip(&mut self.block) {
            *total += sum.wide();
            *sum = T::zero();
        }
        self.rows = 0;
    }

    pub(super) fn finish(mut self) -> Vec<T> {
        self.flush();
        self.total.into_iter().map(T::of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_functions_agree_with_the_library() {
        for i in -100_000..=100_000 {
            let x = i as f32 * 1e-3;
            let (exp, tanh) = (Real::exp(x), Real::tanh(x));
            let exact = f64::from(x).exp();
            if (-86.9..88.7).contains(&x) {
                assert!((f64::from(exp) / exact - 1.0).abs() < 2.5e-7, "exp({x}) = {exp}, not {exact}");
            }
            let exact = f64::from(x).tanh();
            assert!((f64::from(tanh) - exact).abs() <= 5e-7 * exact.abs(), "tanh({x}) = {tanh}, not {exact}");
        }
        assert_eq!((Real::exp(-1000f32), Real::exp(0f32), Real::exp(1000f32)), (0.0, 1.0, f32::INFINITY));
        assert!(Real::exp(f32::NAN).is_nan() && Real::tanh(f32::NAN).is_nan());
        assert_eq!((Real::sigmoid(-200f32), Real::sigmoid(0f32), Real::sigmoid(200f32)), (0.0, 0.5, 1.0));
    }

    #[test]
    fn sums_take_every_element_once() {
        for n in [0, 1, 15, 16, 17, 100] {
            let a: Vec<f64> = (0..n).map(f64::from).collect();
            assert_eq!(sum_by(&a, |v| v), f64::from(n * (n - 1) / 2));
            assert_eq!(sum_by2(&a, &a, |u, v| u - v + 1.0), f64::from(n));
        }
        let mut columns = ColumnSums::<f32>::new(2);
        for i in 0..100 {
            columns.add(&[i as f32, 1.0], &[1.0, 0.5], |u, v| u * v);
        }
        assert_eq!(columns.finish(), [4950.0, 50.0]);
    }
}
