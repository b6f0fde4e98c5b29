//! Causal attention as batched matrix products, a key/value head at a time with the query heads that share it.

use super::array::{Answer, Array, Reduce};
use super::context::{Call, Constant};

/// How packed queries, keys and values lie, and how they are laid out for products.
struct Layout {
    samples: usize,
    length: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Layout {
    fn of<A: Array>(call: &Call<A>, heads: usize, kv_heads: usize) -> Answer<Self> {
        let [samples, length, packed] = call.dims::<3>(0)?;
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) || !packed.is_multiple_of(heads + 2 * kv_heads) {
            return Err(call.wrong("heads do not divide the features"));
        }
        Ok(Layout { samples, length, heads, kv_heads, head_dim: packed / (heads + 2 * kv_heads) })
    }

    /// Query heads on one key/value head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// `count` heads of `[B, T, features]` from head `first` on, as `[B * kv, count / kv * T, d]`.
    fn stack<A: Array>(&self, x: &A, first: usize, count: usize) -> Answer<A> {
        let Layout { samples, length, kv_heads, head_dim, .. } = *self;
        let each = count / kv_heads;
        let x = x.reshape(&[samples, length, x.count() / (samples * length)])?;
        let part = if x.features() == count * head_dim { x } else { x.narrow(2, first * head_dim, count * head_dim)? };
        let part = part.reshape(&[samples, length, kv_heads, each, head_dim])?.permute(&[0, 2, 3, 1, 4])?;
        part.reshape(&[samples * kv_heads, each * length, head_dim])
    }

    /// The inverse of [`stack`](Self::stack) for heads that stand alone: `[B, T, count * d]`.
    fn unstack<A: Array>(&self, x: &A, count: usize) -> Answer<A> {
        let Layout { samples, length, kv_heads, head_dim, .. } = *self;
        let each = count / kv_heads;
        let x = x.reshape(&[samples, kv_heads, each, length, head_dim])?.permute(&[0, 3, 1, 2, 4])?;
        x.reshape(&[samples, length, count * head_dim])
    }

    /// Queries, keys and values in the compute type.
    fn split<A: Array>(&self, call: &Call<A>) -> Answer<[A; 3]> {
        let qkv = call.input(0)?.cast(call.context.compute)?;
        Ok([
            self.stack(&qkv, 0, self.heads)?,
            self.stack(&qkv, self.heads, self.kv_heads)?,
            self.stack(&qkv, self.heads + self.kv_heads, self.kv_heads)?,
        ])
    }

    /// Scaled scores in f32 with the future masked: `[B * kv * g, T, T]`.
    fn scores<A: Array>(&self, call: &Call<A>, q: &A, k: &A) -> Answer<A> {
        let raw = q.matmul(k, (false, true))?.reshape(&self.square())?.wide()?;
        let scaled = raw.scale(self.factor())?;
        drop(raw);
        scaled.add(&call.context.constant(Constant::Causal(self.length))?)
    }

    fn square(&self) -> [usize; 3] {
        [self.samples * self.kv_heads * self.group(), self.length, self.length]
    }

    /// Squares of the query heads of one key/value head under each other: `[B * kv, g * T, T]`.
    fn tall(&self) -> [usize; 3] {
        [self.samples * self.kv_heads, self.group() * self.length, self.length]
    }

    fn factor(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }
}

/// `qkv -> out [B,T,heads*d], lse [B,heads,T]`.
pub(super) fn attention<A: Array>(call: &Call<A>, heads: usize, kv_heads: usize) -> Answer<Vec<A>> {
    let layout = Layout::of(call, heads, kv_heads)?;
    let [q, k, v] = layout.split(call)?;
    let scores = layout.scores(call, &q, &k)?;
    let top = scores.reduce(Reduce::Max, 2)?;
    let exponentials = scores.sub(&top)?.exp()?;
    drop(scores);
    let sum = exponentials.sum(2)?;
    let shares = exponentials.div(&sum)?.reshape(&layout.tall())?;
    drop(exponentials);
    let out = shares.cast(call.context.compute)?.matmul(&v, (false, false))?;
    let lse = top.add(&sum.ln()?)?;
    Ok(vec![call.keep(0, &layout.unstack(&out, heads)?)?, call.exact(1, &lse)?])
}

/// `qkv, out, lse, dout -> dqkv`. With P the probabilities: `dV = P' dO`, `dP = dO V'`,
/// `dS = P (dP - rowsum(dO O)) / sqrt(d)`, `dQ = dS K`, `dK = dS' Q`.
pub(super) fn attention_grad<A: Array>(call: &Call<A>, heads: usize, kv_heads: usize) -> Answer<Vec<A>> {
    let layout = Layout::of(call, heads, kv_heads)?;
    let compute = call.context.compute;
    let [q, k, v] = layout.split(call)?;
    let dout = layout.stack(&call.input(3)?.cast(compute)?, 0, heads)?;
    let [squares, length, _] = layout.square();
    let column = [squares, length, 1];
    let pulls = {
        let out = layout.stack(call.input(1)?, 0, heads)?.wide()?;
        out.mul(&dout.wide()?)?.sum(2)?.reshape(&column)?
    };
    let lse = call.wide(2)?.reshape(&column)?;
    let p = layout.scores(call, &q, &k)?.sub(&lse)?.exp()?;
    let dv = p.reshape(&layout.tall())?.cast(compute)?.matmul(&dout, (true, false))?;
    let dp = dout.matmul(&v, (false, true))?.reshape(&layout.square())?.wide()?;
    let ds = dp.sub(&pulls)?.mul(&p)?.scale(layout.factor())?.reshape(&layout.tall())?.cast(compute)?;
    drop((p, dp));
    let dq = ds.matmul(&k, (false, false))?;
    let dk = ds.matmul(&q, (true, false))?;
    let parts = [layout.unstack(&dq, heads)?, layout.unstack(&dk, kv_heads)?, layout.unstack(&dv, kv_heads)?];
    Ok(vec![call.keep(0, &A::cat(&parts, 2)?)?])
}
