//! Layer, RMS and group norms with their gradients.

use super::super::EngineError;
use super::call::Call;
use super::real::{ColumnSums, Real, sum_by, sum_by2};
use candle_core::Tensor;

/// `x, gain, bias -> y, mean [rows], rstd [rows]`.
pub(super) fn layer_norm<T: Real>(call: &Call, eps: f32) -> Result<Vec<Tensor>, EngineError> {
    let (x, gain, bias) = (call.real::<T>(0)?, call.real::<T>(1)?, call.real::<T>(2)?);
    let (gain, bias): (&[T], &[T]) = (&gain, &bias);
    let width = gain.len();
    let count = T::of(width as f64);
    let (mut y, mut means, mut rstds) = (Vec::with_capacity(x.len()), Vec::new(), Vec::new());
    for row in x.chunks_exact(width) {
        let mean = sum_by(row, |v| v) / count;
        let variance = sum_by(row, |v| (v - mean) * (v - mean)) / count;
        let rstd = T::one() / (variance + T::of(f64::from(eps))).sqrt();
        y.extend(row.iter().zip(gain).zip(bias).map(|((&v, &g), &b)| (v - mean) * rstd * g + b));
        means.push(mean);
        rstds.push(rstd);
    }
    Ok(vec![call.output(0, y)?, call.output(1, means)?, call.output(2, rstds)?])
}

/// `x, gain, mean, rstd, dy -> dx, dgain, dbias`: with x^ = (x - mean) rstd and g = gain dy,
/// `dx = rstd (g - mean(g) - x^ mean(g x^))`.
pub(super) fn layer_norm_grad<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (x, gain) = (call.real::<T>(0)?, call.real::<T>(1)?);
    let (means, rstds, dy) = (call.real::<T>(2)?, call.real::<T>(3)?, call.real::<T>(4)?);
    let (gain, means, rstds): (&[T], &[T], &[T]) = (&gain, &means, &rstds);
    let width = gain.len();
    let count = T::of(width as f64);
    let mut dx = Vec::with_capacity(x.len());
    let (mut dgain, mut dbias) = (ColumnSums::<T>::new(width), ColumnSums::<T>::new(width));
    let (mut normal, mut pulled) = (vec![T::zero(); width], vec![T::zero(); width]);
    for (i, (row, dy)) in x.chunks_exact(width).zip(dy.chunks_exact(width)).enumerate() {
        let (mean, rstd) = (means[i], rstds[i]);
        for ((n, p), ((&v, &d), &g)) in normal.iter_mut().zip(&mut pulled).zip(row.iter().zip(dy).zip(gain)) {
            *n = (v - mean) * rstd;
            *p = d * g;
        }
        let average = sum_by(&pulled, |v| v) / count;
        let along = sum_by2(&pulled, &normal, |p, n| p * n) / count;
        dx.extend(pulled.iter().zip(&normal).map(|(&p, &n)| rstd * (p - average - n * along)));
        dgain.add(dy, &normal, |d, n| d * n);
        dbias.add(dy, dy, |d, _| d);
    }
    Ok(vec![call.output(0, dx)?, call.output(1, dgain.finish())?, call.output(2, dbias.finish())?])
}

/// `x, gain -> y, rstd [rows]`.
pub(super) fn rms_norm<T: Real>(call: &Call, eps: f32) -> Result<Vec<Tensor>, EngineError> {
    let (x, gain) = (call.real::<T>(0)?, call.real::<T>(1)?);
    let gain: &[T] = &gain;
    let width = gain.len();
    let (mut y, mut rstds) = (Vec::with_capacity(x.len()), Vec::new());
    for row in x.chunks_exact(width) {
        let rstd = reciprocal_rms(row, eps);
        y.extend(row.iter().zip(gain).map(|(&v, &g)| v * rstd * g));
        rstds.push(rstd);
    }
    Ok(vec![call.output(0, y)?, call.output(1, rstds)?])
}

/// `1 / sqrt(mean(x^2) + eps)`.
#[inline(always)]
pub(super) fn reciprocal_rms<T: Real>(row: &[T], eps: f32) -> T {
    let square = sum_by(row, |v| v * v) / T::of(row.len() as f64);
    T::one() / (square + T::of(f64::from(eps))).sqrt()
}

/// `x, gain, rstd, dy -> dx, dgain`: with x^ = x rstd and g = gain dy, `dx = rstd (g - x^ mean(g x^))`.
pub(super) fn rms_norm_grad<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (x, gain, rstds, dy) = (call.real::<T>(0)?, call.real::<T>(1)?, call.real::<T>(2)?, call.real::<T>(3)?);
    let (gain, rstds): (&[T], &[T]) = (&gain, &rstds);
    let width = gain.len();
    let count = T::of(width as f64);
    let mut dx = Vec::with_capacity(x.len());
    let mut dgain = ColumnSums::<T>::new(width);
    let (mut normal, mut pulled) = (vec![T::zero(); width], vec![T::zero(); width]);
    for (i, (row, dy)) in x.chunks_exact(width).zip(dy.chunks_exact(width)).enumerate() {
        let rstd = rstds[i];
        for ((n, p), ((&v, &d), &g)) in normal.iter_mut().zip(&mut pulled).zip(row.iter().zip(dy).zip(gain)) {
            *n = v * rstd;
            *p = d * g;
        }
        let along = sum_by2(&pulled, &normal, |p, n| p * n) / count;
        dx.extend(pulled.iter().zip(&normal).map(|(&p, &n)| rstd * (p - n * along)));
        dgain.add(dy, &normal, |d, n| d * n);
    }
    Ok(vec![call.output(0, dx)?, call.output(1, dgain.finish())?])
}

/// `x [B,H,W,C], gain [C], bias [C] -> y, mean [B,G], rstd [B,G]`.
pub(super) fn group_norm<T: Real>(call: &Call, groups: usize, eps: f32) -> Result<Vec<Tensor>, EngineError> {
    let [samples, height, width, channels] = call.dims::<4>(0)?;
    let (x, gain, bias) = (call.real::<T>(0)?, call.real::<T>(1)?, call.real::<T>(2)?);
    let (gain, bias): (&[T], &[T]) = (&gain, &bias);
    let (size, members) = (height * width * channels, channels / groups);
    let count = T::of((height * width * members) as f64);
    let mut y = Vec::with_capacity(x.len());
    let (mut means, mut rstds) = (Vec::with_capacity(samples * groups), Vec::with_capacity(samples * groups));
    for image in x.chunks_exact(size) {
        let mean = per_group(image, channels, groups, |v, _| v).into_iter().map(|s| s / count).collect::<Vec<_>>();
        let rstd = per_group(image, channels, groups, |v, group| (v - mean[group]) * (v - mean[group]))
            .into_iter()
            .map(|s| T::one() / (s / count + T::of(f64::from(eps))).sqrt())
            .collect::<Vec<_>>();
        for pixel in image.chunks_exact(channels) {
            for (c, &v) in pixel.iter().enumerate() {
                let group = c / members;
                y.push((v - mean[group]) * rstd[group] * gain[c] + bias[c]);
            }
        }
        means.extend(mean);
        rstds.extend(rstd);
    }
    Ok(vec![call.output(0, y)?, call.output(1, means)?, call.output(2, rstds)?])
}

/// Sums of `f(value, group)` over the pixels and channels of each group of an image. Channels are summed first in `T`
/// over short runs of pixels, then in f64.
fn per_group<T: Real>(image: &[T], channels: usize, groups: usize, f: impl Fn(T, usize) -> T) -> Vec<T> {
    let members = channels / groups;
    let group_of: Vec<usize> = (0..channels).map(|c| c / members).collect();
    let mut total = vec![0.0f64; groups];
    let mut block = vec![T::zero(); channels];
    for run in image.chunks(32 * channels) {
        block.fill(T::zero());
        for pixel in run.chunks_exact(channels) {
            for ((sum, &v), &group) in block.iter_mut().zip(pixel).zip(&group_of) {
                *sum += f(v, group);
            }
        }
        for (sum, &group) in block.iter().zip(&group_of) {
            total[group] += sum.wide();
        }
    }
    total.into_iter().map(T::of).collect()
}

/// `x, gain, mean, rstd, dy -> dx, dgain, dbias`: as for the layer norm, with averages over a group.
pub(super) fn group_norm_grad<T: Real>(call: &Call, groups: usize) -> Result<Vec<Tensor>, EngineError> {
    let [_, height, width, channels] = call.dims::<4>(0)?;
    let (x, gain) = (call.real::<T>(0)?, call.real::<T>(1)?);
    let (means, rstds, dy) = (call.real::<T>(2)?, call.real::<T>(3)?, call.real::<T>(4)?);
    let gain: &[T] = &gain;
    let (size, members) = (height * width * channels, channels / groups);
    let count = T::of((height * width * members) as f64);
    let mut dx = Vec::with_capacity(x.len());
    let (mut dgain, mut dbias) = (ColumnSums::<T>::new(channels), ColumnSums::<T>::new(channels));
    let (mut normal, mut pulled) = (vec![T::zero(); size], vec![T::zero(); size]);
    for (b, (image, dy)) in x.chunks_exact(size).zip(dy.chunks_exact(size)).enumerate() {
        let (mean, rstd) = (&means[b * groups..][..groups], &rstds[b * groups..][..groups]);
        for start in (0..size).step_by(channels) {
            for (c, &g) in gain.iter().enumerate() {
                let (i, group) = (start + c, c / members);
                normal[i] = (image[i] - mean[group]) * rstd[group];
                pulled[i] = dy[i] * g;
            }
            dgain.add(&dy[start..start + channels], &normal[start..start + channels], |d, n| d * n);
            dbias.add(&dy[start..start + channels], &dy[start..start + channels], |d, _| d);
        }
        let average = per_group(&pulled, channels, groups, |v, _| v);
        let product: Vec<T> = pulled.iter().zip(&normal).map(|(&p, &n)| p * n).collect();
        let along = per_group(&product, channels, groups, |v, _| v);
        for start in (0..size).step_by(channels) {
            for c in 0..channels {
                let (i, group) = (start + c, c / members);
                dx.push(rstd[group] * (pulled[i] - average[group] / count - normal[i] * (along[group] / count)));
            }
        }
    }
    Ok(vec![call.output(0, dx)?, call.output(1, dgain.finish())?, call.output(2, dbias.finish())?])
}
