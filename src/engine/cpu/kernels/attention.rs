//! Causal attention, a few queries at a time: their scores exist for the keys that they see, never T x T.
//!
//! Keys and values are packed once for all queries of a unit, which is one sample and one key/value head with the query
//! heads that share it. A strip of queries then takes three steps in the innermost cache: scores, softmax, values. The
//! backward pass computes the probabilities again from the saved log-sum-exp (Dao et al., arXiv 2205.14135).

use super::gemm::{Strided, gemm};
use super::panels::{Panels, STRIP};
use crate::engine::cpu::simd::kernel;
use crate::engine::reference::real::{LANES, Real, fold, largest, sum_by2};

/// Queries whose probabilities are kept until they are summed over, backward: whole strips.
const QUERIES: usize = 4 * STRIP;

/// The dimensions of one attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::cpu) struct Shape {
    pub(in crate::engine::cpu) samples: usize,
    pub(in crate::engine::cpu) length: usize,
    pub(in crate::engine::cpu) heads: usize,
    pub(in crate::engine::cpu) kv_heads: usize,
    pub(in crate::engine::cpu) head_dim: usize,
}

impl Shape {
    pub(super) fn packed(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    pub(super) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    pub(super) fn scale(&self) -> f32 {
        (1.0 / (self.head_dim as f64).sqrt()) as f32
    }

    /// Elements from one row of scores to the next: whole vectors.
    fn stride(&self) -> usize {
        self.length.next_multiple_of(LANES)
    }

    /// Keys or values with the positions as columns.
    fn across(&self) -> Panels {
        Panels::new(self.head_dim, self.length)
    }

    /// Keys or values with the positions as rows.
    fn down(&self) -> Panels {
        Panels::new(self.length, self.head_dim)
    }

    /// Independent parts.
    pub(in crate::engine::cpu) fn units(&self) -> usize {
        self.samples * self.kv_heads
    }

    /// Elements of scratch that a unit needs, forward or backward.
    pub(in crate::engine::cpu) fn scratch(&self) -> usize {
        2 * self.across().elements() + self.down().elements() + (2 * QUERIES + 1) * self.stride()
    }
}

/// One unit forward: `qkv -> out, lse`.
///
/// # Safety
/// The pointers must be good for whole tensors of this shape, and no other unit of this number may run.
pub(in crate::engine::cpu) unsafe fn forward(
    shape: Shape,
    unit: usize,
    qkv: *const f32,
    out: *mut f32,
    lse: *mut f32,
    scratch: &mut [f32],
) {
    let Shape { length, heads, kv_heads, head_dim, .. } = shape;
    let (sample, kv) = (unit / kv_heads, unit % kv_heads);
    let (packed, width, stride) = (shape.packed(), shape.width(), shape.stride());
    let (keys, rest) = scratch.split_at_mut(shape.across().elements());
    let (values, rest) = rest.split_at_mut(shape.down().elements());
    let scores = &mut rest[..STRIP * stride];
    // SAFETY: all offsets lie within the tensors' shapes.
    unsafe {
        let qkv = qkv.add(sample * length * packed);
        let out = out.add(sample * length * width);
        let keys = shape.across().pack(Strided::rows_of(qkv.add((heads + kv) * head_dim), packed).transposed(), keys);
        let values = shape.down().pack(Strided::rows_of(qkv.add((heads + kv_heads + kv) * head_dim), packed), values);
        for head in kv * shape.group()..(kv + 1) * shape.group() {
            let queries = Strided::rows_of(qkv.add(head * head_dim), packed);
            let lse = std::slice::from_raw_parts_mut(lse.add((sample * heads + head) * length), length);
            for (strip, lse) in lse.chunks_mut(STRIP).enumerate() {
                let (first, rows) = (strip * STRIP, lse.len());
                let seen = first + rows;
                let target = out.add(first * width + head * head_dim);
                keys.multiply((rows, seen, head_dim), queries.from(first, 0), scores.as_mut_ptr(), stride, false);
                let mut inverse = [0.0; STRIP];
                softmax(scores, stride, first, shape.scale(), lse, &mut inverse);
                let p = Strided::rows_of(scores.as_ptr(), stride);
                values.multiply((rows, head_dim, seen), p, target, width, false);
                divide(&inverse[..rows], target, width, head_dim);
            }
        }
    }
}

/// Elements of a row of scores that are gone over: those of the keys that the query sees, and the rest of the last vector,
/// which is made to count for nothing. Beyond, up to `until`, the row becomes zero.
#[inline(always)]
fn visible(row: &mut [f32], seen: usize, until: usize) -> &mut [f32] {
    let whole = seen.next_multiple_of(LANES);
    let (visible, rest) = row.split_at_mut(whole);
    rest[..until.saturating_sub(whole)].fill(0.0);
    visible[seen..].fill(f32::NEG_INFINITY);
    visible
}

kernel! {
    /// Scores of a strip whose first query is at position `first` become exponentials relative to their row's largest; the
    /// inverse of their sums comes back, and the logarithm goes to `lse`.
    fn softmax(scores: &mut [f32], stride: usize, first: usize, scale: f32, lse: &mut [f32], inverse: &mut [f32; STRIP]) {
        let rows = lse.len();
        let strip = scores.chunks_exact_mut(stride).zip(lse.iter_mut().zip(inverse));
        for (i, (row, (lse, inverse))) in strip.enumerate() {
            let row = visible(row, first + i + 1, first + rows);
            let top = largest(row);
            let mut sums = [0.0f32; LANES];
            for part in row.chunks_exact_mut(LANES) {
                for (s, sum) in part.iter_mut().zip(&mut sums) {
                    *s = Real::exp((*s - top) * scale);
                    *sum += *s;
                }
            }
            let sum = fold(sums);
            *inverse = 1.0 / sum;
            *lse = top * scale + sum.ln();
        }
    }
}

kernel! {
    /// Rows of the output, each times its factor.
    fn divide(factors: &[f32], out: *mut f32, stride: usize, head_dim: usize) {
        for (i, &factor) in factors.iter().enumerate() {
            // SAFETY: the row belongs to this unit's output.
            let out = unsafe { std::slice::from_raw_parts_mut(out.add(i * stride), head_dim) };
            out.iter_mut().for_each(|v| *v *= factor);
        }
    }
}

/// What the backward pass reads.
#[derive(Clone, Copy)]
pub(in crate::engine::cpu) struct Saved {
    pub(in crate::engine::cpu) qkv: *const f32,
    pub(in crate::engine::cpu) out: *const f32,
    pub(in crate::engine::cpu) lse: *const f32,
    pub(in crate::engine::cpu) dout: *const f32,
}

/// One unit backward: `qkv, out, lse, dout -> dqkv`. With P the probabilities: `dV = P' dO`, `dP = dO V'`,
/// `dS = P (dP - rowsum(dO O)) / sqrt(d)`, `dQ = dS K`, `dK = dS' Q`.
///
/// # Safety
/// As for [`forward`].
pub(in crate::engine::cpu) unsafe fn backward(
    shape: Shape,
    unit: usize,
    saved: Saved,
    dqkv: *mut f32,
    scratch: &mut [f32],
) {
    let Shape { length, heads, kv_heads, head_dim, .. } = shape;
    let (sample, kv) = (unit / kv_heads, unit % kv_heads);
    let (packed, width, stride) = (shape.packed(), shape.width(), shape.stride());
    let (keys, rest) = scratch.split_at_mut(shape.across().elements());
    let (values, rest) = rest.split_at_mut(shape.across().elements());
    let (key_rows, rest) = rest.split_at_mut(shape.down().elements());
    let (p, rest) = rest.split_at_mut(QUERIES * stride);
    let (ds, pulls) = rest.split_at_mut(QUERIES * stride);
    // SAFETY: all offsets lie within the tensors' shapes.
    unsafe {
        let qkv = saved.qkv.add(sample * length * packed);
        let dqkv = dqkv.add(sample * length * packed);
        let (key, value) = ((heads + kv) * head_dim, (heads + kv_heads + kv) * head_dim);
        let keys = shape.across().pack(Strided::rows_of(qkv.add(key), packed).transposed(), keys);
        let values = shape.across().pack(Strided::rows_of(qkv.add(value), packed).transposed(), values);
        let key_rows = shape.down().pack(Strided::rows_of(qkv.add(key), packed), key_rows);
        let to = |row: usize, column: usize| dqkv.add(row * packed + column);
        for (turn, head) in (kv * shape.group()..(kv + 1) * shape.group()).enumerate() {
            let start = sample * length * width + head * head_dim;
            let douts = Strided::rows_of(saved.dout.add(start), width);
            let queries = Strided::rows_of(qkv.add(head * head_dim), packed);
            let lse = std::slice::from_raw_parts(saved.lse.add((sample * heads + head) * length), length);
            row_products(saved.out.add(start), douts.at, width, head_dim, &mut pulls[..length]);
            for first in (0..length).step_by(QUERIES) {
                let rows = QUERIES.min(length - first);
                for strip in (0..rows).step_by(STRIP) {
                    let (at, count) = (first + strip, STRIP.min(rows - strip));
                    let seen = at + count;
                    let (p, ds) = (&mut p[strip * stride..], &mut ds[strip * stride..]);
                    keys.multiply((count, seen, head_dim), queries.from(at, 0), p.as_mut_ptr(), stride, false);
                    values.multiply((count, seen, head_dim), douts.from(at, 0), ds.as_mut_ptr(), stride, false);
                    let until = first + rows;
                    slopes(p, ds, stride, (at, until), shape.scale(), &lse[at..seen], &pulls[at..seen]);
                    let ds = Strided::rows_of(ds.as_ptr(), stride);
                    key_rows.multiply((count, head_dim, seen), ds, to(at, head * head_dim), packed, false);
                }
                // The first queries that see a key set its row of dK and dV, the others add.
                let (p, ds) = (Strided::rows_of(p.as_ptr(), stride), Strided::rows_of(ds.as_ptr(), stride));
                let (d, q) = (douts.from(first, 0), queries.from(first, 0));
                for (from, count, later) in [(0, first, true), (first, rows, turn > 0)] {
                    let size = (count, head_dim, rows);
                    gemm(size, p.from(0, from).transposed(), d, to(from, value), packed, later);
                    gemm(size, ds.from(0, from).transposed(), q, to(from, key), packed, later);
                }
            }
        }
    }
}

kernel! {
    /// `rowsum(dO O)` of every row.
    fn row_products(out: *const f32, dout: *const f32, stride: usize, head_dim: usize, products: &mut [f32]) {
        for (i, product) in products.iter_mut().enumerate() {
            // SAFETY: the rows belong to the tensors of this unit.
            let row = |at: *const f32| unsafe { std::slice::from_raw_parts(at.add(i * stride), head_dim) };
            *product = sum_by2(row(out), row(dout), |a, b| a * b);
        }
    }
}

kernel! {
    /// Scores of a strip become probabilities, and `dP` becomes `dS`; zero for keys that a query does not see, up to where
    /// the last of its neighbours in the scratch sees.
    fn slopes(
        p: &mut [f32], ds: &mut [f32], stride: usize, keys: (usize, usize), scale: f32, lse: &[f32], pulls: &[f32],
    ) {
        let (first, until) = keys;
        let strip = p.chunks_exact_mut(stride).zip(ds.chunks_exact_mut(stride)).zip(lse.iter().zip(pulls));
        for (i, ((p, ds), (&lse, &pull))) in strip.enumerate() {
            let seen = first + i + 1;
            let p = visible(p, seen, until);
            let end = p.len().max(until);
            ds[seen..end].fill(0.0);
            for (p, ds) in p.iter_mut().zip(ds) {
                *p = Real::exp(*p * scale - lse);
                *ds = *p * (*ds - pull) * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Plain attention in f64: out, lse, and dqkv for the given dout.
    fn plain(s: Shape, qkv: &[f32], dout: &[f32]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let (t, d, packed, width) = (s.length, s.head_dim, s.packed(), s.width());
        let scale = 1.0 / (d as f64).sqrt();
        let mut out = vec![0.0; s.samples * t * width];
        let mut lse = vec![0.0; s.samples * s.heads * t];
        let mut dqkv = vec![0.0; qkv.len()];
        for (b, h) in (0..s.samples).flat_map(|b| (0..s.heads).map(move |h| (b, h))) {
            let kv = h / s.group();
            let at = |row: usize, head: usize, i: usize| (b * t + row) * packed + head * d + i;
            let x = |index: usize| f64::from(qkv[index]);
            let (key, value) = (s.heads + kv, s.heads + s.kv_heads + kv);
            for q in 0..t {
                let score = |k: usize| (0..d).map(|i| x(at(q, h, i)) * x(at(k, key, i))).sum::<f64>() * scale;
                let scores: Vec<f64> = (0..=q).map(score).collect();
                let sum: f64 = scores.iter().map(|v| v.exp()).sum();
                lse[(b * s.heads + h) * t + q] = sum.ln();
                let p: Vec<f64> = scores.iter().map(|v| v.exp() / sum).collect();
                let o = |i: usize| (b * t + q) * width + h * d + i;
                for i in 0..d {
                    out[o(i)] = (0..=q).map(|k| p[k] * x(at(k, value, i))).sum();
                }
                let g: Vec<f64> = (0..d).map(|i| f64::from(dout[o(i)])).collect();
                let dp: Vec<f64> = (0..=q).map(|k| (0..d).map(|i| g[i] * x(at(k, value, i))).sum()).collect();
                let pull: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
                for k in 0..=q {
                    let ds = p[k] * (dp[k] - pull) * scale;
                    for i in 0..d {
                        dqkv[at(q, h, i)] += ds * x(at(k, key, i));
                        dqkv[at(k, key, i)] += ds * x(at(q, h, i));
                        dqkv[at(k, value, i)] += p[k] * g[i];
                    }
                }
            }
        }
        (out, lse, dqkv)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn blocks_agree_with_plain_attention(
            samples in 1usize..3, length in 1usize..150, kv_heads in 1usize..3, group in 1usize..3, head_dim in 1usize..130,
        ) {
            let s = Shape { samples, length, heads: kv_heads * group, kv_heads, head_dim };
            let value = |i: usize, salt: usize| ((i * 7919 + salt) % 1013) as f32 / 300.0 - 1.7;
            let qkv: Vec<f32> = (0..samples * length * s.packed()).map(|i| value(i, 5)).collect();
            let dout: Vec<f32> = (0..samples * length * s.width()).map(|i| value(i, 77)).collect();
            let (mut out, mut lse) = (vec![f32::NAN; dout.len()], vec![f32::NAN; samples * s.heads * length]);
            let mut dqkv = vec![f32::NAN; qkv.len()];
            let mut scratch = vec![f32::NAN; s.scratch()];
            for unit in (0..s.units()).rev() {
                // SAFETY: buffers of this shape.
                unsafe { forward(s, unit, qkv.as_ptr(), out.as_mut_ptr(), lse.as_mut_ptr(), &mut scratch) };
            }
            for unit in 0..s.units() {
                let saved = Saved { qkv: qkv.as_ptr(), out: out.as_ptr(), lse: lse.as_ptr(), dout: dout.as_ptr() };
                // SAFETY: as above.
                unsafe { backward(s, unit, saved, dqkv.as_mut_ptr(), &mut scratch) };
            }
            let (a, b, c) = plain(s, &qkv, &dout);
            for (what, got, wanted) in [("out", out, a), ("lse", lse, b), ("dqkv", dqkv, c)] {
                let scale = wanted.iter().fold(1.0f64, |m, v| m.max(v.abs()));
                for (g, w) in got.iter().zip(wanted) {
                    prop_assert!((f64::from(*g) - w).abs() < 2e-5 * scale, "{s:?} {what}: {g} {w}");
                }
            }
        }
    }
}
