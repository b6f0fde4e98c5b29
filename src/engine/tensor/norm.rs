//! Layer, RMS, group and query-key norms with their gradients, all in f32.

use super::array::{Answer, Array};
use super::context::Call;

/// Mean over the last dimension of a matrix, `[rows, 1]`.
fn mean<A: Array>(x: &A) -> Answer<A> {
    x.sum(1)?.scale(1.0 / x.features() as f64)
}

/// `1 / sqrt(v + eps)`.
fn reciprocal_root<A: Array>(v: &A, eps: f32) -> Answer<A> {
    let root = v.affine(1.0, f64::from(eps))?.sqrt()?;
    root.affine(0.0, 1.0)?.div(&root)
}

/// Mean and `1 / sqrt(var + eps)` of the rows of a matrix, and the rows less their mean.
fn moments<A: Array>(x: &A, eps: f32) -> Answer<(A, A, A)> {
    let average = mean(x)?;
    let centred = x.sub(&average)?;
    let rstd = reciprocal_root(&mean(&centred.square()?)?, eps)?;
    Ok((average, rstd, centred))
}

/// The gradient through a normalisation whose result was `normal`: `rstd (g - mean(g) - x^ mean(g x^))`; without the
/// first mean where only the scale was normalised.
fn through<A: Array>(pulled: &A, normal: &A, rstd: &A, centred: bool) -> Answer<A> {
    let along = normal.mul(&mean(&pulled.mul(normal)?)?)?;
    let inner = pulled.sub(&along)?;
    let inner = if centred { inner.sub(&mean(pulled)?)? } else { inner };
    inner.mul(rstd)
}

/// `x, gain, bias -> y, mean [rows], rstd [rows]`.
pub(super) fn layer_norm<A: Array>(call: &Call<A>, eps: f32) -> Answer<Vec<A>> {
    let x = call.matrix(0)?;
    let (average, rstd, centred) = moments(&x, eps)?;
    let y = centred.mul(&rstd)?.mul(call.input(1)?)?.add(call.input(2)?)?;
    Ok(vec![call.keep(0, &y)?, call.exact(1, &average)?, call.exact(2, &rstd)?])
}

/// `x, gain, mean, rstd, dy -> dx, dgain, dbias`.
pub(super) fn layer_norm_grad<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (x, dy) = (call.matrix(0)?, call.matrix(4)?);
    let column = [x.shape()[0], 1];
    let (average, rstd) = (call.wide(2)?.reshape(&column)?, call.wide(3)?.reshape(&column)?);
    let normal = x.sub(&average)?.mul(&rstd)?;
    drop(x);
    let dgain = call.column_sums(&dy.mul(&normal)?)?;
    let dbias = call.column_sums(&dy)?;
    let dx = through(&dy.mul(call.input(1)?)?, &normal, &rstd, true)?;
    Ok(vec![call.keep(0, &dx)?, call.exact(1, &dgain)?, call.exact(2, &dbias)?])
}

/// `x, gain -> y, rstd [rows]`.
pub(super) fn rms_norm<A: Array>(call: &Call<A>, eps: f32) -> Answer<Vec<A>> {
    let x = call.matrix(0)?;
    let rstd = reciprocal_root(&mean(&x.square()?)?, eps)?;
    let y = x.mul(&rstd)?.mul(call.input(1)?)?;
    Ok(vec![call.keep(0, &y)?, call.exact(1, &rstd)?])
}

/// `x, gain, rstd, dy -> dx, dgain`.
pub(super) fn rms_norm_grad<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (x, dy) = (call.matrix(0)?, call.matrix(3)?);
    let rstd = call.wide(2)?.reshape(&[x.shape()[0], 1])?;
    let normal = x.mul(&rstd)?;
    drop(x);
    let dgain = call.column_sums(&dy.mul(&normal)?)?;
    let dx = through(&dy.mul(call.input(1)?)?, &normal, &rstd, false)?;
    Ok(vec![call.keep(0, &dx)?, call.exact(1, &dgain)?])
}

/// Images with each group's pixels and channels together, one group a row, and back.
struct Groups {
    image: [usize; 4],
    groups: usize,
}

impl Groups {
    fn rows<A: Array>(&self, x: &A) -> Answer<A> {
        let [samples, height, width, channels] = self.image;
        let (pixels, members) = (height * width, channels / self.groups);
        let apart = x.reshape(&[samples, pixels, self.groups, members])?.permute(&[0, 2, 1, 3])?;
        apart.reshape(&[samples * self.groups, pixels * members])
    }

    /// `[samples * pixels, channels]`.
    fn image<A: Array>(&self, rows: &A) -> Answer<A> {
        let [samples, height, width, channels] = self.image;
        let (pixels, members) = (height * width, channels / self.groups);
        let together = rows.reshape(&[samples, self.groups, pixels, members])?.permute(&[0, 2, 1, 3])?;
        together.reshape(&[samples * pixels, channels])
    }
}

/// `x [B,H,W,C], gain [C], bias [C] -> y, mean [B,G], rstd [B,G]`.
pub(super) fn group_norm<A: Array>(call: &Call<A>, groups: usize, eps: f32) -> Answer<Vec<A>> {
    let layout = Groups { image: call.dims(0)?, groups };
    let (average, rstd, centred) = moments(&layout.rows(&call.wide(0)?)?, eps)?;
    let normal = layout.image(&centred.mul(&rstd)?)?;
    let y = normal.mul(call.input(1)?)?.add(call.input(2)?)?;
    Ok(vec![call.keep(0, &y)?, call.exact(1, &average)?, call.exact(2, &rstd)?])
}

/// `x, gain, mean, rstd, dy -> dx, dgain, dbias`.
pub(super) fn group_norm_grad<A: Array>(call: &Call<A>, groups: usize) -> Answer<Vec<A>> {
    let layout = Groups { image: call.dims(0)?, groups };
    let (rows, dy) = (layout.rows(&call.wide(0)?)?, call.matrix(4)?);
    let column = [rows.shape()[0], 1];
    let (average, rstd) = (call.wide(2)?.reshape(&column)?, call.wide(3)?.reshape(&column)?);
    let normal = rows.sub(&average)?.mul(&rstd)?;
    let dgain = call.column_sums(&dy.mul(&layout.image(&normal)?)?)?;
    let dbias = call.column_sums(&dy)?;
    let pulled = layout.rows(&dy.mul(call.input(1)?)?)?;
    let dx = layout.image(&through(&pulled, &normal, &rstd, true)?)?;
    Ok(vec![call.keep(0, &dx)?, call.exact(1, &dgain)?, call.exact(2, &dbias)?])
}

/// The leading heads of packed `[B, T, features]`, one head a row, and the rest.
pub(super) fn leading_heads<A: Array>(x: &A, heads: usize, head_dim: usize) -> Answer<(A, A)> {
    let (matrix, width) = (x.matrix()?, heads * head_dim);
    let rest = matrix.features() - width;
    let (rows, first) = (matrix.shape()[0], matrix.narrow(1, 0, width)?);
    Ok((first.reshape(&[rows * heads, head_dim])?, matrix.narrow(1, width, rest)?))
}

/// `qkv -> qkv, rstd [B,T,normed_heads]`: RMS norm without gain of the leading heads.
pub(super) fn qk_norm<A: Array>(call: &Call<A>, heads: usize, head_dim: usize, eps: f32) -> Answer<Vec<A>> {
    let (x, rest) = leading_heads(&call.wide(0)?, heads, head_dim)?;
    let rstd = reciprocal_root(&mean(&x.square()?)?, eps)?;
    let y = x.mul(&rstd)?.reshape(&[rest.shape()[0], heads * head_dim])?;
    Ok(vec![call.keep(0, &A::cat(&[y, rest], 1)?)?, call.exact(1, &rstd)?])
}

/// `qkv (before the norm), rstd, dqkv -> dqkv`.
pub(super) fn qk_norm_grad<A: Array>(call: &Call<A>, heads: usize, head_dim: usize) -> Answer<Vec<A>> {
    let (x, _) = leading_heads(&call.wide(0)?, heads, head_dim)?;
    let (dy, rest) = leading_heads(&call.wide(2)?, heads, head_dim)?;
    let rstd = call.wide(1)?.reshape(&[x.shape()[0], 1])?;
    let dx = through(&dy, &x.mul(&rstd)?, &rstd, false)?.reshape(&[rest.shape()[0], heads * head_dim])?;
    Ok(vec![call.keep(0, &A::cat(&[dx, rest], 1)?)?])
}
