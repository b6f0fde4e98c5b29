//! Causal attention over packed `qkv`, as two batched matrix products around an explicit softmax.
//!
//! The query heads that share a key/value head are stacked along the rows, `[B * kv_heads, group * T, d]`, so that
//! grouped heads need no copies of keys and values and their gradients are summed by the matrix product itself.
//! Samples are taken a few at a time to bound the size of the score matrices; the rows are independent, so the portion
//! does not change the result.

use super::super::EngineError;
use super::call::Call;
use super::real::{Real, largest, sum_by, sum_by2};
use candle_core::{Device, Tensor};

/// Elements of score matrices held at once, unless one sample already has more.
pub(super) const SCORE_ELEMENTS: usize = 1 << 18;

/// The dimensions of one attention op.
#[derive(Debug, Clone, Copy)]
struct Layout {
    samples: usize,
    length: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Layout {
    fn of(call: &Call, heads: usize, kv_heads: usize) -> Result<Self, EngineError> {
        let [samples, length, packed] = call.dims::<3>(0)?;
        let total = heads + 2 * kv_heads;
        if !packed.is_multiple_of(total) || !heads.is_multiple_of(kv_heads) {
            return Err(call.wrong("the packed width is not a multiple of its heads"));
        }
        Ok(Layout { samples, length, heads, kv_heads, head_dim: packed / total })
    }

    fn packed(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Samples computed together.
    fn portion(&self) -> usize {
        (SCORE_ELEMENTS / (self.heads * self.length * self.length)).clamp(1, self.samples.max(1))
    }

    /// Copies `count` heads from column `first` of rows `[samples, T, columns]` into `[samples, count, T, d]`.
    fn gather<T: Real>(&self, rows: &[T], columns: usize, first: usize, count: usize) -> Vec<T> {
        let mut out = Vec::with_capacity(rows.len() / columns * count * self.head_dim);
        for sample in rows.chunks_exact(self.length * columns) {
            for head in 0..count {
                let start = (first + head) * self.head_dim;
                for row in sample.chunks_exact(columns) {
                    out.extend_from_slice(&row[start..start + self.head_dim]);
                }
            }
        }
        out
    }

    /// The reverse of [`gather`](Self::gather).
    fn scatter<T: Real>(&self, heads: &[T], columns: usize, first: usize, count: usize, rows: &mut [T]) {
        let blocks = heads.chunks_exact(count * self.length * self.head_dim);
        for (sample, block) in rows.chunks_exact_mut(self.length * columns).zip(blocks) {
            for (head, values) in block.chunks_exact(self.length * self.head_dim).enumerate() {
                let start = (first + head) * self.head_dim;
                for (row, value) in sample.chunks_exact_mut(columns).zip(values.chunks_exact(self.head_dim)) {
                    row[start..start + self.head_dim].copy_from_slice(value);
                }
            }
        }
    }

    /// Queries, keys, values (with their stacked shapes) of a portion of the packed rows.
    fn split<T: Real>(&self, rows: &[T], device: &Device) -> Result<[Tensor; 3], EngineError> {
        let part = |first, count| -> Result<Tensor, EngineError> {
            self.stacked(self.gather(rows, self.packed(), first, count), count, device)
        };
        Ok([part(0, self.heads)?, part(self.heads, self.kv_heads)?, part(self.heads + self.kv_heads, self.kv_heads)?])
    }

    /// `[samples * kv_heads, (count / kv_heads) * T, d]`.
    fn stacked<T: Real>(&self, values: Vec<T>, count: usize, device: &Device) -> Result<Tensor, EngineError> {
        let rows = count / self.kv_heads * self.length;
        let groups = values.len() / (rows * self.head_dim);
        Ok(Tensor::from_vec(values, (groups, rows, self.head_dim), device)?)
    }

    fn scale<T: Real>(&self) -> T {
        T::of(1.0 / (self.head_dim as f64).sqrt())
    }
}

/// The elements of a tensor that nobody else holds any more, or a copy.
fn take<T: Real>(tensor: &Tensor) -> Result<Vec<T>, EngineError> {
    Ok(super::call::elements::<T>(tensor)?.to_vec())
}

/// `qkv -> out [B,T,heads*d], lse [B,heads,T]`.
pub(super) fn attention<T: Real>(call: &Call, heads: usize, kv_heads: usize) -> Result<Vec<Tensor>, EngineError> {
    let layout = Layout::of(call, heads, kv_heads)?;
    let Layout { samples, length, head_dim, .. } = layout;
    let (qkv, scale) = (call.real::<T>(0)?, layout.scale::<T>());
    let width = heads * head_dim;
    let mut out = vec![T::zero(); samples * length * width];
    let mut lse = Vec::with_capacity(samples * heads * length);
    let portion = layout.portion() * length;
    for (rows, out) in qkv.chunks(portion * layout.packed()).zip(out.chunks_mut(portion * width)) {
        let [q, k, v] = layout.split(rows, call.device)?;
        let product = q.matmul(&k.t()?)?;
        let shape = product.dims().to_vec();
        let mut scores = take::<T>(&product)?;
        drop(product);
        for (i, row) in scores.chunks_exact_mut(length).enumerate() {
            let (seen, unseen) = row.split_at_mut(i % length + 1);
            let top = largest(seen);
            seen.iter_mut().for_each(|s| *s = ((*s - top) * scale).exp());
            let sum = sum_by(seen, |v| v);
            let inverse = T::one() / sum;
            seen.iter_mut().for_each(|s| *s *= inverse);
            unseen.fill(T::zero());
            lse.push(top * scale + T::of(sum.wide().ln()));
        }
        let mixed = Tensor::from_vec(scores, shape, call.device)?.matmul(&v)?;
        layout.scatter(&super::call::elements::<T>(&mixed)?, width, 0, heads, out);
    }
    Ok(vec![call.output(0, out)?, call.output(1, lse)?])
}

/// `qkv, out, lse, dout -> dqkv`. With P the probabilities: `dV = P' dO`, `dP = dO V'`,
/// `dS = P (dP - rowsum(dO O)) / sqrt(d)`, `dQ = dS K`, `dK = dS' Q`.
pub(super) fn attention_grad<T: Real>(call: &Call, heads: usize, kv_heads: usize) -> Result<Vec<Tensor>, EngineError> {
    let layout = Layout::of(call, heads, kv_heads)?;
    let Layout { samples, length, head_dim, .. } = layout;
    let (qkv, out, lse, dout) = (call.real::<T>(0)?, call.real::<T>(1)?, call.real::<T>(2)?, call.real::<T>(3)?);
    let (width, packed, scale) = (heads * head_dim, layout.packed(), layout.scale::<T>());
    let mut dqkv = vec![T::zero(); samples * length * packed];
    let portion = layout.portion();
    for first in (0..samples).step_by(portion) {
        let count = portion.min(samples - first);
        let (from, rows) = (first * length, count * length);
        let [q, k, v] = layout.split(&qkv[from * packed..][..rows * packed], call.device)?;
        let o = layout.gather(&out[from * width..][..rows * width], width, 0, heads);
        let d = layout.gather(&dout[from * width..][..rows * width], width, 0, heads);
        let pulls: Vec<T> =
            o.chunks_exact(head_dim).zip(d.chunks_exact(head_dim)).map(|(o, d)| sum_by2(o, d, |a, b| a * b)).collect();
        let d = layout.stacked(d, heads, call.device)?;
        let product = q.matmul(&k.t()?)?;
        let shape = product.dims().to_vec();
        let mut p = take::<T>(&product)?;
        let mut ds = take::<T>(&d.matmul(&v.t()?)?)?;
        drop(product);
        let lse = &lse[first * heads * length..];
        for (i, (p, ds)) in p.chunks_exact_mut(length).zip(ds.chunks_exact_mut(length)).enumerate() {
            let (seen, unseen) = p.split_at_mut(i % length + 1);
            let (slopes, dead) = ds.split_at_mut(seen.len());
            for (p, ds) in seen.iter_mut().zip(slopes) {
                *p = (*p * scale - lse[i]).exp();
                *ds = *p * (*ds - pulls[i]) * scale;
            }
            unseen.fill(T::zero());
            dead.fill(T::zero());
        }
        let p = Tensor::from_vec(p, shape.as_slice(), call.device)?;
        let ds = Tensor::from_vec(ds, shape.as_slice(), call.device)?;
        let rows = &mut dqkv[from * packed..][..rows * packed];
        let parts = [
            (ds.matmul(&k)?, 0, heads),
            (ds.t()?.matmul(&q)?, heads, kv_heads),
            (p.t()?.matmul(&d)?, heads + kv_heads, kv_heads),
        ];
        for (part, first, count) in parts {
            layout.scatter(&super::call::elements::<T>(&part)?, packed, first, count, rows);
        }
    }
    Ok(vec![call.output(0, dqkv)?])
}
