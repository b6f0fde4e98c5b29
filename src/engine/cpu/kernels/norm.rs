//! Layer, RMS, group and query-key norms with their gradients, a range of rows at a time.
//!
//! Gradients of gains and biases are summed over the rows that are given and *added* to `dgain` and `dbias`; the caller
//! gives each fixed chunk of rows a zeroed buffer and adds the chunks up in order.

use crate::engine::cpu::simd::kernel;
use crate::engine::reference::real::{sum_by, sum_by2};

kernel! {
    /// `x [rows, C] -> y, mean [rows], rstd [rows]`.
    pub(in crate::engine::cpu) fn layer_norm(
        x: &[f32], gain: &[f32], bias: &[f32], eps: f32, y: &mut [f32], mean: &mut [f32], rstd: &mut [f32],
    ) {
        let width = gain.len();
        let count = width as f32;
        let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(mean.iter_mut().zip(rstd));
        for ((x, y), (mean, rstd)) in rows {
            let m = sum_by(x, |v| v) / count;
            let variance = sum_by(x, |v| (v - m) * (v - m)) / count;
            let r = 1.0 / (variance + eps).sqrt();
            (*mean, *rstd) = (m, r);
            for (((y, &v), &g), &b) in y.iter_mut().zip(x).zip(gain).zip(bias) {
                *y = (v - m) * r * g + b;
            }
        }
    }
}

kernel! {
    /// `x, gain, mean, rstd, dy -> dx`, `+= dgain`, `+= dbias`: with x^ = (x - mean) rstd and g = gain dy,
    /// `dx = rstd (g - mean(g) - x^ mean(g x^))`.
    pub(in crate::engine::cpu) fn layer_norm_grad(
        x: &[f32], gain: &[f32], mean: &[f32], rstd: &[f32], dy: &[f32], dx: &mut [f32], dgain: &mut [f32], dbias: &mut [f32],
    ) {
        let width = gain.len();
        let count = width as f32;
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
        for (((x, dy), dx), (&m, &r)) in rows.zip(mean.iter().zip(rstd)) {
            let average = sum_by2(dy, gain, |d, g| d * g) / count;
            // dx holds g x^ until its mean is known.
            for ((out, (&v, &d)), &g) in dx.iter_mut().zip(x.iter().zip(dy)).zip(gain) {
                *out = d * g * ((v - m) * r);
            }
            let along = sum_by(dx, |v| v) / count;
            for ((out, (&v, &d)), &g) in dx.iter_mut().zip(x.iter().zip(dy)).zip(gain) {
                *out = r * (d * g - average - (v - m) * r * along);
            }
            for ((sum, &d), &v) in dgain.iter_mut().zip(dy).zip(x) {
                *sum += d * ((v - m) * r);
            }
            dbias.iter_mut().zip(dy).for_each(|(sum, &d)| *sum += d);
        }
    }
}

kernel! {
    /// `x [rows, C] -> y, rstd [rows]`.
    pub(in crate::engine::cpu) fn rms_norm(x: &[f32], gain: &[f32], eps: f32, y: &mut [f32], rstd: &mut [f32]) {
        let width = gain.len();
        for ((x, y), rstd) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(rstd) {
            let r = 1.0 / (sum_by(x, |v| v * v) / width as f32 + eps).sqrt();
            *rstd = r;
            for ((y, &v), &g) in y.iter_mut().zip(x).zip(gain) {
                *y = v * r * g;
            }
        }
    }
}

kernel! {
    /// `x, gain, rstd, dy -> dx`, `+= dgain`: with x^ = x rstd and g = gain dy, `dx = rstd (g - x^ mean(g x^))`.
    pub(in crate::engine::cpu) fn rms_norm_grad(
        x: &[f32], gain: &[f32], rstd: &[f32], dy: &[f32], dx: &mut [f32], dgain: &mut [f32],
    ) {
        let width = gain.len();
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)).zip(rstd);
        for (((x, dy), dx), &r) in rows {
            for ((out, (&v, &d)), &g) in dx.iter_mut().zip(x.iter().zip(dy)).zip(gain) {
                *out = d * g * (v * r);
            }
            let along = sum_by(dx, |v| v) / width as f32;
            for ((out, (&v, &d)), &g) in dx.iter_mut().zip(x.iter().zip(dy)).zip(gain) {
                *out = r * (d * g - v * r * along);
            }
            for ((sum, &d), &v) in dgain.iter_mut().zip(dy).zip(x) {
                *sum += d * (v * r);
            }
        }
    }
}

kernel! {
    /// One image `x [pixels, C] -> y, mean [G], rstd [G]`; `scratch` holds C elements.
    pub(in crate::engine::cpu) fn group_norm(
        x: &[f32], gain: &[f32], bias: &[f32], eps: f32, y: &mut [f32], mean: &mut [f32], rstd: &mut [f32], scratch: &mut [f32],
    ) {
        let (channels, groups) = (gain.len(), mean.len());
        let members = channels / groups;
        let count = (x.len() / channels * members) as f32;
        let sums = &mut scratch[..channels];
        column_sums(x, sums, |v, _| v);
        for (mean, sums) in mean.iter_mut().zip(sums.chunks_exact(members)) {
            *mean = wide(sums) / count;
        }
        sums.fill(0.0);
        for pixel in x.chunks_exact(channels) {
            for (group, (sums, pixel)) in sums.chunks_exact_mut(members).zip(pixel.chunks_exact(members)).enumerate() {
                let m = mean[group];
                sums.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += (v - m) * (v - m));
            }
        }
        for (rstd, sums) in rstd.iter_mut().zip(sums.chunks_exact(members)) {
            *rstd = 1.0 / (wide(sums) / count + eps).sqrt();
        }
        for (pixel, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            for group in 0..groups {
                let (from, m, r) = (group * members, mean[group], rstd[group]);
                for c in from..from + members {
                    y[c] = (pixel[c] - m) * r * gain[c] + bias[c];
                }
            }
        }
    }
}

kernel! {
    /// One image `x, gain, mean [G], rstd [G], dy -> dx`, `+= dgain`, `+= dbias`; `scratch` holds 2 C elements.
    pub(in crate::engine::cpu) fn group_norm_grad(
        x: &[f32], gain: &[f32], mean: &[f32], rstd: &[f32], dy: &[f32], dx: &mut [f32], dgain: &mut [f32],
        dbias: &mut [f32], scratch: &mut [f32],
    ) {
        let (channels, groups) = (gain.len(), mean.len());
        let members = channels / groups;
        let count = (x.len() / channels * members) as f32;
        // Per channel: the sum of dy, and of dy x^; the groups' averages follow from these.
        let (plain, along) = scratch[..2 * channels].split_at_mut(channels);
        column_sums(dy, plain, |d, _| d);
        along.fill(0.0);
        for (pixel, dy) in x.chunks_exact(channels).zip(dy.chunks_exact(channels)) {
            for group in 0..groups {
                let (from, m, r) = (group * members, mean[group], rstd[group]);
                for c in from..from + members {
                    along[c] += dy[c] * ((pixel[c] - m) * r);
                }
            }
        }
        dbias.iter_mut().zip(plain.iter()).for_each(|(sum, &s)| *sum += s);
        dgain.iter_mut().zip(along.iter()).for_each(|(sum, &s)| *sum += s);
        plain.iter_mut().zip(gain).for_each(|(sum, &g)| *sum *= g);
        along.iter_mut().zip(gain).for_each(|(sum, &g)| *sum *= g);
        for group in 0..groups {
            let (from, m, r) = (group * members, mean[group], rstd[group]);
            let average = wide(&plain[from..from + members]) / count;
            let pull = wide(&along[from..from + members]) / count;
            for start in (from..x.len()).step_by(channels) {
                for i in start..start + members {
                    dx[i] = r * (dy[i] * gain[i - start + from] - average - (x[i] - m) * r * pull);
                }
            }
        }
    }
}

/// Per channel, the sum of `f(value, channel)` over the pixels.
#[inline(always)]
fn column_sums(x: &[f32], sums: &mut [f32], f: impl Fn(f32, usize) -> f32) {
    sums.fill(0.0);
    for pixel in x.chunks_exact(sums.len()) {
        for (c, (sum, &v)) in sums.iter_mut().zip(pixel).enumerate() {
            *sum += f(v, c);
        }
    }
}

#[inline(always)]
fn wide(values: &[f32]) -> f32 {
    values.iter().map(|&v| f64::from(v)).sum::<f64>() as f32
}

kernel! {
    /// `x [rows, packed] -> y` with the first `rstd.len() / rows` heads of each row normalised; the rest is copied.
    pub(in crate::engine::cpu) fn qk_norm(
        x: &[f32], packed: usize, head_dim: usize, eps: f32, y: &mut [f32], rstd: &mut [f32],
    ) {
        let heads = rstd.len() / (x.len() / packed).max(1);
        for ((x, y), rstd) in x.chunks_exact(packed).zip(y.chunks_exact_mut(packed)).zip(rstd.chunks_exact_mut(heads)) {
            y.copy_from_slice(x);
            for (head, rstd) in y.chunks_exact_mut(head_dim).zip(rstd) {
                let r = 1.0 / (sum_by(head, |v| v * v) / head_dim as f32 + eps).sqrt();
                *rstd = r;
                head.iter_mut().for_each(|v| *v *= r);
            }
        }
    }
}

kernel! {
    /// `x, rstd, dy -> dx`: `dx = rstd (dy - x^ mean(dy x^))` for the normalised heads.
    pub(in crate::engine::cpu) fn qk_norm_grad(
        x: &[f32], packed: usize, head_dim: usize, rstd: &[f32], dy: &[f32], dx: &mut [f32],
    ) {
        let heads = rstd.len() / (x.len() / packed).max(1);
        let rows = x.chunks_exact(packed).zip(dy.chunks_exact(packed)).zip(dx.chunks_exact_mut(packed));
        for (((x, dy), dx), rstd) in rows.zip(rstd.chunks_exact(heads)) {
            dx.copy_from_slice(dy);
            for ((head, d), &r) in x.chunks_exact(head_dim).zip(dx.chunks_exact_mut(head_dim)).zip(rstd) {
                let along = sum_by2(head, d, |v, d| v * d) * r / head_dim as f32;
                for (d, &v) in d.iter_mut().zip(head) {
                    *d = r * (*d - v * r * along);
                }
            }
        }
    }
}

kernel! {
    /// `+= sums`: column sums of rows.
    pub(in crate::engine::cpu) fn sum_rows(x: &[f32], sums: &mut [f32]) {
        for row in x.chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += v);
        }
    }
}

kernel! {
    /// Adds up chunks of partial sums, in order and in f64: element i of chunk c is `partials[c * stride + i]`.
    pub(in crate::engine::cpu) fn add_up(partials: &[f32], stride: usize, chunks: usize, add: bool, out: &mut [f32]) {
        const BLOCK: usize = 256;
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let mut sums = [0.0f64; BLOCK];
            if add {
                sums.iter_mut().zip(out.iter()).for_each(|(sum, out)| *sum = f64::from(*out));
            }
            for chunk in 0..chunks {
                let partials = &partials[chunk * stride + block * BLOCK..][..out.len()];
                sums.iter_mut().zip(partials).for_each(|(sum, partial)| *sum += f64::from(*partial));
            }
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum as f32);
        }
    }
}
