//! Causal attention over few positions, or for the last query alone: a row of scores at a time, without matrix products,
//! whose preparation would take longer than the work.

use super::attention::Shape;
use crate::engine::cpu::simd::kernel;
use crate::engine::reference::real::{Real, largest, sum_by, sum_by2};

/// Positions up to which whole attention goes this way.
pub(in crate::engine::cpu) const SHORT: usize = 8;

impl Shape {
    /// Elements of scratch for rows of scores.
    pub(in crate::engine::cpu) fn short_scratch(&self) -> usize {
        2 * self.length
    }
}

/// Probabilities of the keys up to the query's position.
#[inline(always)]
fn probabilities(scale: f32, query: &[f32], keys: &[f32], packed: usize, p: &mut [f32]) {
    for (t, p) in p.iter_mut().enumerate() {
        *p = sum_by2(query, &keys[t * packed..][..query.len()], |q, k| q * k);
    }
    let top = largest(p);
    p.iter_mut().for_each(|p| *p = Real::exp((*p - top) * scale));
    let inverse = 1.0 / sum_by(p, |v| v);
    p.iter_mut().for_each(|p| *p *= inverse);
}

kernel! {
    /// One sample, queries from position `first` on: `qkv [T, packed] -> out [T - first, width]`.
    pub(in crate::engine::cpu) fn forward(shape: Shape, first: usize, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        let Shape { length, heads, kv_heads, head_dim, .. } = shape;
        let (packed, group, scale) = (shape.packed(), shape.group(), shape.scale());
        let rows = out.chunks_exact_mut(heads * head_dim);
        for (t, out) in (first..length).zip(rows) {
            for (head, out) in out.chunks_exact_mut(head_dim).enumerate() {
                let query = &qkv[t * packed + head * head_dim..][..head_dim];
                let key = (heads + head / group) * head_dim;
                let p = &mut scratch[..t + 1];
                probabilities(scale, query, &qkv[key..], packed, p);
                out.fill(0.0);
                let values = &qkv[key + kv_heads * head_dim..];
                for (s, &p) in p.iter().enumerate() {
                    out.iter_mut().zip(&values[s * packed..][..head_dim]).for_each(|(o, &v)| *o += p * v);
                }
            }
        }
    }
}

kernel! {
    /// One sample backward: `qkv, dout [T - first, width] -> dqkv`. The probabilities are computed again.
    pub(in crate::engine::cpu) fn backward(
        shape: Shape, first: usize, qkv: &[f32], dout: &[f32], dqkv: &mut [f32], scratch: &mut [f32],
    ) {
        let Shape { length, heads, kv_heads, head_dim, .. } = shape;
        let (packed, group, scale) = (shape.packed(), shape.group(), shape.scale());
        dqkv.fill(0.0);
        let rows = dout.chunks_exact(heads * head_dim);
        for (t, dout) in (first..length).zip(rows) {
            for (head, dout) in dout.chunks_exact(head_dim).enumerate() {
                let at = t * packed + head * head_dim;
                let (key, value) = ((heads + head / group) * head_dim, (heads + kv_heads + head / group) * head_dim);
                let query = &qkv[at..at + head_dim];
                let (p, dp) = scratch[..2 * (t + 1)].split_at_mut(t + 1);
                probabilities(scale, query, &qkv[key..], packed, p);
                for (s, dp) in dp.iter_mut().enumerate() {
                    *dp = sum_by2(dout, &qkv[value + s * packed..][..head_dim], |d, v| d * v);
                }
                let pull = sum_by2(p, dp, |p, d| p * d);
                for (s, (&p, &dp)) in p.iter().zip(dp.iter()).enumerate() {
                    let ds = p * (dp - pull) * scale;
                    let (from, to) = (key + s * packed, value + s * packed);
                    dqkv[at..at + head_dim].iter_mut().zip(&qkv[from..]).for_each(|(dq, &k)| *dq += ds * k);
                    dqkv[from..from + head_dim].iter_mut().zip(query).for_each(|(dk, &q)| *dk += ds * q);
                    dqkv[to..to + head_dim].iter_mut().zip(dout).for_each(|(dv, &d)| *dv += p * d);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::attention::{Saved, backward as blocks_backward, forward as blocks_forward};
    use super::*;

    /// Rows agree with blocks, which are tested against plain loops; and the last query alone with the last of all.
    #[test]
    fn rows_agree_with_blocks() {
        for (length, kv_heads, group, head_dim) in [(1, 1, 1, 4), (3, 4, 1, 32), (8, 2, 2, 20), (70, 1, 3, 7)] {
            let shape = Shape { samples: 1, length, heads: kv_heads * group, kv_heads, head_dim };
            let width = shape.heads * head_dim;
            let value = |i: usize, salt: usize| ((i * 7919 + salt) % 1013) as f32 / 300.0 - 1.7;
            let qkv: Vec<f32> = (0..length * shape.packed()).map(|i| value(i, 5)).collect();
            let mut scratch = vec![f32::NAN; shape.scratch().max(shape.short_scratch())];
            for first in [0, length - 1] {
                let mut dout: Vec<f32> = (0..length * width).map(|i| value(i, 77)).collect();
                dout[..first * width].fill(0.0);
                let (mut out, mut lse) = (vec![f32::NAN; dout.len()], vec![f32::NAN; shape.heads * length]);
                let mut dqkv = vec![f32::NAN; qkv.len()];
                for unit in 0..shape.units() {
                    // SAFETY: buffers of this shape.
                    unsafe {
                        blocks_forward(shape, unit, qkv.as_ptr(), out.as_mut_ptr(), lse.as_mut_ptr(), &mut scratch);
                        let saved =
                            Saved { qkv: qkv.as_ptr(), out: out.as_ptr(), lse: lse.as_ptr(), dout: dout.as_ptr() };
                        blocks_backward(shape, unit, saved, dqkv.as_mut_ptr(), &mut scratch);
                    }
                }
                let (mut rows, mut grads) = (vec![f32::NAN; (length - first) * width], vec![f32::NAN; qkv.len()]);
                forward(shape, first, &qkv, &mut rows, &mut scratch);
                backward(shape, first, &qkv, &dout[first * width..], &mut grads, &mut scratch);
                let close =
                    |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs()));
                assert!(close(&rows, &out[first * width..]) && close(&grads, &dqkv), "{shape:?} from {first}");
            }
        }
    }
}
