//! Causal attention in blocks: scores exist for one block of queries and keys at a time, never T x T.
//!
//! Forward: running maximum and sum of each query row, the output rescaled when the maximum grows (Milakov and
//! Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135). Backward: probabilities again from the saved log-sum-exp.
//! One unit is one sample and one key/value head with the query heads that share it.

use super::gemm::{Strided, gemm};
use crate::engine::cpu::simd::kernel;
use crate::engine::reference::real::{Real, largest, sum_by, sum_by2};

/// Rows and columns of a block of scores: with head dimensions up to 128 everything a block touches stays in the
/// second-level cache.
const BLOCK: usize = 64;

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

    fn block(&self) -> usize {
        BLOCK.min(self.length)
    }

    pub(super) fn scale(&self) -> f32 {
        (1.0 / (self.head_dim as f64).sqrt()) as f32
    }

    /// Independent parts.
    pub(in crate::engine::cpu) fn units(&self) -> usize {
        self.samples * self.kv_heads
    }

    /// Elements of scratch that a unit needs, forward or backward.
    pub(in crate::engine::cpu) fn scratch(&self) -> usize {
        2 * self.block() * self.block() + 2 * self.length.max(BLOCK)
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
    let (packed, width, block) = (shape.packed(), shape.width(), shape.block());
    let (scores, rest) = scratch.split_at_mut(block * block);
    let (tops, sums) = rest[block * block..].split_at_mut(BLOCK.max(block));
    // SAFETY: all offsets lie within the tensors' shapes.
    unsafe {
        let qkv = qkv.add(sample * length * packed);
        let out = out.add(sample * length * width);
        let keys = Strided::rows_of(qkv.add((heads + kv) * head_dim), packed);
        let values = Strided::rows_of(qkv.add((heads + kv_heads + kv) * head_dim), packed);
        for head in kv * shape.group()..(kv + 1) * shape.group() {
            let queries = Strided::rows_of(qkv.add(head * head_dim), packed);
            let lse = std::slice::from_raw_parts_mut(lse.add((sample * heads + head) * length), length);
            for first in (0..length).step_by(block) {
                let rows = block.min(length - first);
                let target = out.add(first * width + head * head_dim);
                for from in (0..=first).step_by(block) {
                    let columns = block.min(length - from);
                    let scores = &mut scores[..rows * columns];
                    let (q, k) = (queries.from(first, 0), keys.from(from, 0).transposed());
                    gemm((rows, columns, head_dim), q, k, scores.as_mut_ptr(), columns, false);
                    let softmax = Softmax { columns, first, from, scale: shape.scale() };
                    softmax_block(scores, softmax, &mut tops[..rows], &mut sums[..rows], target, width, head_dim);
                    let p = Strided::rows_of(scores.as_ptr(), columns);
                    gemm((rows, head_dim, columns), p, values.from(from, 0), target, width, from > 0);
                }
                finish(
                    &tops[..rows],
                    &sums[..rows],
                    shape.scale(),
                    target,
                    width,
                    head_dim,
                    &mut lse[first..first + rows],
                );
            }
        }
    }
}

/// Where a block of scores lies.
#[derive(Clone, Copy)]
struct Softmax {
    columns: usize,
    /// Position of the first query.
    first: usize,
    /// Position of the first key.
    from: usize,
    scale: f32,
}

kernel! {
    /// Scores become exponentials relative to the running maximum; the outputs so far are rescaled where it grew.
    fn softmax_block(
        scores: &mut [f32], block: Softmax, tops: &mut [f32], sums: &mut [f32], out: *mut f32, stride: usize, head_dim: usize,
    ) {
        let Softmax { columns, first, from, scale } = block;
        for (i, row) in scores.chunks_exact_mut(columns).enumerate() {
            let (seen, unseen) = row.split_at_mut((first + i - from + 1).min(columns));
            let new = largest(seen);
            let top = if from == 0 || new > tops[i] { new } else { tops[i] };
            seen.iter_mut().for_each(|s| *s = Real::exp((*s - top) * scale));
            unseen.fill(0.0);
            let sum = sum_by(seen, |v| v);
            if from == 0 {
                sums[i] = sum;
            } else {
                let shrink = Real::exp((tops[i] - top) * scale);
                sums[i] = sums[i] * shrink + sum;
                // SAFETY: the row belongs to this unit's output.
                let out = unsafe { std::slice::from_raw_parts_mut(out.add(i * stride), head_dim) };
                out.iter_mut().for_each(|v| *v *= shrink);
            }
            tops[i] = top;
        }
    }
}

kernel! {
    /// Divides by the sums and keeps their logarithms.
    fn finish(
        tops: &[f32], sums: &[f32], scale: f32, out: *mut f32, stride: usize, head_dim: usize, lse: &mut [f32],
    ) {
        for (i, lse) in lse.iter_mut().enumerate() {
            let inverse = 1.0 / sums[i];
            // SAFETY: the row belongs to this unit's output.
            let out = unsafe { std::slice::from_raw_parts_mut(out.add(i * stride), head_dim) };
            out.iter_mut().for_each(|v| *v *= inverse);
            *lse = tops[i] * scale + sums[i].ln();
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
    let (packed, width, block) = (shape.packed(), shape.width(), shape.block());
    let (p, rest) = scratch.split_at_mut(block * block);
    let (ds, pulls) = rest.split_at_mut(block * block);
    // SAFETY: all offsets lie within the tensors' shapes.
    unsafe {
        let qkv = saved.qkv.add(sample * length * packed);
        let dqkv = dqkv.add(sample * length * packed);
        let (key, value) = ((heads + kv) * head_dim, (heads + kv_heads + kv) * head_dim);
        let keys = Strided::rows_of(qkv.add(key), packed);
        let values = Strided::rows_of(qkv.add(value), packed);
        for (turn, head) in (kv * shape.group()..(kv + 1) * shape.group()).enumerate() {
            let start = sample * length * width + head * head_dim;
            let douts = Strided::rows_of(saved.dout.add(start), width);
            let queries = Strided::rows_of(qkv.add(head * head_dim), packed);
            let lse = std::slice::from_raw_parts(saved.lse.add((sample * heads + head) * length), length);
            row_products(saved.out.add(start), douts.at, width, head_dim, &mut pulls[..length]);
            for from in (0..length).step_by(block) {
                let columns = block.min(length - from);
                for first in (from..length).step_by(block) {
                    let rows = block.min(length - first);
                    let (p, ds) = (&mut p[..rows * columns], &mut ds[..rows * columns]);
                    let (q, d) = (queries.from(first, 0), douts.from(first, 0));
                    let (k, v) = (keys.from(from, 0), values.from(from, 0));
                    gemm((rows, columns, head_dim), q, k.transposed(), p.as_mut_ptr(), columns, false);
                    gemm((rows, columns, head_dim), d, v.transposed(), ds.as_mut_ptr(), columns, false);
                    let at = Softmax { columns, first, from, scale: shape.scale() };
                    slopes(p, ds, at, &lse[first..first + rows], &pulls[first..first + rows]);
                    let (p, ds) = (Strided::rows_of(p.as_ptr(), columns), Strided::rows_of(ds.as_ptr(), columns));
                    // The first block that reaches a row of dK, dV or dQ sets it, the others add.
                    let later = turn > 0 || first > from;
                    let to = |row: usize, column: usize| dqkv.add(row * packed + column);
                    gemm((columns, head_dim, rows), p.transposed(), d, to(from, value), packed, later);
                    gemm((columns, head_dim, rows), ds.transposed(), q, to(from, key), packed, later);
                    gemm((rows, head_dim, columns), ds, k, to(first, head * head_dim), packed, from > 0);
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
    /// Scores become probabilities, and `dP` becomes `dS`; zero above the diagonal.
    fn slopes(p: &mut [f32], ds: &mut [f32], block: Softmax, lse: &[f32], pulls: &[f32]) {
        let Softmax { columns, first, from, scale } = block;
        for (i, (p, ds)) in p.chunks_exact_mut(columns).zip(ds.chunks_exact_mut(columns)).enumerate() {
            let count = (first + i - from + 1).min(columns);
            let (seen, unseen) = p.split_at_mut(count);
            let (slopes, dead) = ds.split_at_mut(count);
            let (lse, pull) = (lse[i], pulls[i]);
            for (p, ds) in seen.iter_mut().zip(slopes) {
                *p = Real::exp(*p * scale - lse);
                *ds = *p * (*ds - pull) * scale;
            }
            unseen.fill(0.0);
            dead.fill(0.0);
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
            samples in 1usize..3, length in 1usize..150, kv_heads in 1usize..3, group in 1usize..3, head_dim in 1usize..20,
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
