//! Embeddings, rotary positions, last token.

use super::array::{Answer, Array, Compare};
use super::context::{Call, Constant};
use super::norm::leading_heads;

/// Vocabularies up to this size have the gradient of their embedding summed by a matrix product with one-hot rows, which
/// is fast and exact; larger ones row after row.
const ONE_HOT: usize = 4096;

/// `table [V,C], ids [..] -> y [.., C]`.
pub(super) fn embedding<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let ids = call.input(1)?;
    let rows = call.input(0)?.rows(&ids.reshape(&[ids.count()])?)?;
    Ok(vec![call.keep(0, &rows)?])
}

/// `ids, dy -> dtable`, in f32.
pub(super) fn embedding_grad<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (ids, dy) = (call.input(0)?, call.matrix(1)?);
    let count = call.declared(0)?[0];
    let table = if count <= ONE_HOT {
        one_hot(call, ids, count)?.matmul(&dy, (true, false))?
    } else {
        dy.scatter_rows(&ids.reshape(&[ids.count()])?, count)?
    };
    Ok(vec![call.exact(0, &table)?])
}

/// `[N, count]` f32 with a 1 at each id.
pub(super) fn one_hot<A: Array>(call: &Call<A>, ids: &A, count: usize) -> Answer<A> {
    ids.reshape(&[ids.count(), 1])?.compare(Compare::Eq, &call.context.constant(Constant::Count(count))?)?.wide()
}

/// Rotates the leading heads of packed `qkv` by position.
pub(super) fn rope<A: Array>(
    call: &Call<A>,
    heads: usize,
    head_dim: usize,
    base: f32,
    inverse: bool,
) -> Answer<Vec<A>> {
    let [samples, length, _] = call.dims::<3>(0)?;
    let half = head_dim / 2;
    let (x, rest) = leading_heads(&call.wide(0)?, heads, head_dim)?;
    let x = x.reshape(&[samples, length, heads, head_dim])?;
    let (a, b) = (x.narrow(3, 0, half)?, x.narrow(3, half, half)?);
    drop(x);
    let cos = call.context.constant(Constant::Cosines(length, half, base.to_bits()))?;
    let sin = call.context.constant(Constant::Sines(length, half, base.to_bits()))?;
    let (ac, bs, as_, bc) = (a.mul(&cos)?, b.mul(&sin)?, a.mul(&sin)?, b.mul(&cos)?);
    let (first, second) = if inverse { (ac.add(&bs)?, bc.sub(&as_)?) } else { (ac.sub(&bs)?, as_.add(&bc)?) };
    let turned = A::cat(&[first, second], 3)?.reshape(&[samples * length, heads * head_dim])?;
    Ok(vec![call.keep(0, &A::cat(&[turned, rest], 1)?)?])
}

/// `x [B,T,C] -> y [B,C]`.
pub(super) fn last_token<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let [_, length, _] = call.dims::<3>(0)?;
    Ok(vec![call.exact(0, &call.input(0)?.narrow(1, length - 1, 1)?)?])
}

/// `dy [B,C] -> dx [B,T,C]`.
pub(super) fn last_token_grad<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (dy, declared) = (call.input(0)?, call.declared(0)?);
    let alone = dy.reshape(&[declared[0], 1, declared[2]])?;
    Ok(vec![call.keep(0, &alone.pad(1, declared[1] - 1, 0)?)?])
}
