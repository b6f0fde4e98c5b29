//! Embeddings, rotary positions, query-key norm, last token.

use super::super::EngineError;
use super::call::Call;
use super::norm::reciprocal_rms;
use super::real::{Real, sum_by2};
use candle_core::Tensor;

/// `table [V,C], ids [..] -> y [.., C]`.
pub(super) fn embedding<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (table, ids, width) = (call.real::<T>(0)?, call.integers(1)?, call.features(0)?);
    let mut y = Vec::with_capacity(ids.len() * width);
    for &id in ids.iter() {
        let start = id as usize * width;
        let row = table.get(start..start + width).ok_or_else(|| {
            call.wrong(&format!("token id {id} is not below the vocabulary of {}", table.len() / width.max(1)))
        })?;
        y.extend_from_slice(row);
    }
    Ok(vec![call.output(0, y)?])
}

/// `ids, dy -> dtable`: rows of equal id are summed in order of position.
pub(super) fn embedding_grad<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (ids, dy, width) = (call.integers(0)?, call.real::<T>(1)?, call.features(1)?);
    let mut table = vec![T::zero(); call.outputs[0].elements()];
    for (&id, row) in ids.iter().zip(dy.chunks_exact(width)) {
        let start = id as usize * width;
        let sums = table
            .get_mut(start..start + width)
            .ok_or_else(|| call.wrong(&format!("token id {id} is not in the vocabulary")))?;
        for (sum, &d) in sums.iter_mut().zip(row) {
            *sum += d;
        }
    }
    Ok(vec![call.output(0, table)?])
}

/// Rotates the leading heads of packed `qkv` by position. Angles are computed in f64: `t * base^(-2i/d)`.
pub(super) fn rope<T: Real>(
    call: &Call,
    rotated_heads: usize,
    head_dim: usize,
    base: f32,
    inverse: bool,
) -> Result<Vec<Tensor>, EngineError> {
    let [_, length, packed] = call.dims::<3>(0)?;
    let x = call.real::<T>(0)?;
    let (half, direction) = (head_dim / 2, if inverse { -1.0 } else { 1.0 });
    let (mut cosines, mut sines) = (Vec::with_capacity(length * half), Vec::with_capacity(length * half));
    for t in 0..length {
        for i in 0..half {
            let angle = t as f64 * f64::from(base).powf(-2.0 * i as f64 / head_dim as f64);
            cosines.push(T::of(angle.cos()));
            sines.push(T::of(direction * angle.sin()));
        }
    }
    let mut y = x.to_vec();
    for (position, row) in y.chunks_exact_mut(packed).enumerate() {
        let start = (position % length) * half;
        let (cos, sin) = (&cosines[start..start + half], &sines[start..start + half]);
        for head in row[..rotated_heads * head_dim].chunks_exact_mut(head_dim) {
            let (first, second) = head.split_at_mut(half);
            for i in 0..half {
                let (a, b) = (first[i], second[i]);
                first[i] = a * cos[i] - b * sin[i];
                second[i] = a * sin[i] + b * cos[i];
            }
        }
    }
    Ok(vec![call.output(0, y)?])
}

/// `qkv -> qkv, rstd [B,T,normed_heads]`: RMS norm without gain of the leading heads.
pub(super) fn qk_norm<T: Real>(
    call: &Call,
    normed_heads: usize,
    head_dim: usize,
    eps: f32,
) -> Result<Vec<Tensor>, EngineError> {
    let (x, packed) = (call.real::<T>(0)?, call.features(0)?);
    let mut y = x.to_vec();
    let mut rstds = Vec::with_capacity(x.len() / packed.max(1) * normed_heads);
    for row in y.chunks_exact_mut(packed) {
        for head in row[..normed_heads * head_dim].chunks_exact_mut(head_dim) {
            let rstd = reciprocal_rms(head, eps);
            head.iter_mut().for_each(|v| *v *= rstd);
            rstds.push(rstd);
        }
    }
    Ok(vec![call.output(0, y)?, call.output(1, rstds)?])
}

/// `qkv (before the norm), rstd, dqkv -> dqkv`.
pub(super) fn qk_norm_grad<T: Real>(
    call: &Call,
    normed_heads: usize,
    head_dim: usize,
) -> Result<Vec<Tensor>, EngineError> {
    let (x, rstds, dy, packed) = (call.real::<T>(0)?, call.real::<T>(1)?, call.real::<T>(2)?, call.features(0)?);
    let count = T::of(head_dim as f64);
    let mut dx = dy.to_vec();
    let mut rstds = rstds.iter();
    for (row, out) in x.chunks_exact(packed).zip(dx.chunks_exact_mut(packed)) {
        let normed = normed_heads * head_dim;
        let heads = row[..normed].chunks_exact(head_dim).zip(out[..normed].chunks_exact_mut(head_dim));
        for ((head, d), &rstd) in heads.zip(rstds.by_ref()) {
            // dx = rstd (dy - x^ mean(dy x^)) with x^ = x rstd.
            let along = sum_by2(head, d, |v, d| v * d) * rstd / count;
            for (d, &v) in d.iter_mut().zip(head) {
                *d = rstd * (*d - v * rstd * along);
            }
        }
    }
    Ok(vec![call.output(0, dx)?])
}

/// `x [B,T,C] -> y [B,C]`.
pub(super) fn last_token(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let [_, length, _] = call.dims::<3>(0)?;
    let last = call.input(0)?.narrow(1, length - 1, 1)?;
    Ok(vec![call.shaped(0, &last)?])
}

/// `dy [B,C] -> dx [B,T,C]`.
pub(super) fn last_token_grad<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (dy, width) = (call.real::<T>(0)?, call.features(0)?);
    let mut dx = vec![T::zero(); call.outputs[0].elements()];
    let samples = (dy.len() / width.max(1)).max(1);
    let size = dx.len() / samples;
    for (row, out) in dy.chunks_exact(width).zip(dx.chunks_exact_mut(size)) {
        out[size - width..].copy_from_slice(row);
    }
    Ok(vec![call.output(0, dx)?])
}
