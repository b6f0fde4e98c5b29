//! Pooling over 2x2 windows and over all pixels, one image `[H, W, C]` at a time.

use crate::engine::cpu::simd::kernel;

/// Height, width and channels of the larger image.
pub(in crate::engine::cpu) type Size = [usize; 3];

/// The four elements of a window, row-major, as offsets in the image.
#[inline(always)]
fn window([_, width, channels]: Size, y: usize, x: usize) -> [usize; 4] {
    let first = (2 * y * width + 2 * x) * channels;
    [first, first + channels, first + width * channels, first + (width + 1) * channels]
}

kernel! {
    /// Largest of each window and which it is; the first of several largest wins.
    pub(in crate::engine::cpu) fn max_pool(image: &[f32], size: Size, out: &mut [f32], index: &mut [u32]) {
        let [height, width, channels] = size;
        let (rows, columns) = (height / 2, width / 2);
        for y in 0..rows {
            for x in 0..columns {
                let to = (y * columns + x) * channels;
                let [a, b, c, d] = window(size, y, x).map(|at| &image[at..at + channels]);
                let (out, index) = (&mut out[to..to + channels], &mut index[to..to + channels]);
                for i in 0..channels {
                    let (mut best, mut which) = (a[i], 0);
                    for (k, other) in [b, c, d].into_iter().enumerate() {
                        let larger = other[i] > best;
                        best = if larger { other[i] } else { best };
                        which = if larger { k as u32 + 1 } else { which };
                    }
                    (out[i], index[i]) = (best, which);
                }
            }
        }
    }
}

kernel! {
    /// Gradients go to the largest of each window.
    pub(in crate::engine::cpu) fn max_pool_grad(index: &[u32], dy: &[f32], size: Size, dx: &mut [f32]) {
        let [height, width, channels] = size;
        let (rows, columns) = (height / 2, width / 2);
        dx.fill(0.0);
        for y in 0..rows {
            for x in 0..columns {
                let from = (y * columns + x) * channels;
                for (k, at) in window(size, y, x).into_iter().enumerate() {
                    let dx = &mut dx[at..at + channels];
                    let pairs = index[from..from + channels].iter().zip(&dy[from..from + channels]);
                    dx.iter_mut().zip(pairs).for_each(|(dx, (&i, &d))| *dx = if i == k as u32 { d } else { 0.0 });
                }
            }
        }
    }
}

kernel! {
    /// Mean of each window.
    pub(in crate::engine::cpu) fn mean_pool(image: &[f32], size: Size, out: &mut [f32]) {
        let [height, width, channels] = size;
        let (rows, columns) = (height / 2, width / 2);
        for y in 0..rows {
            for x in 0..columns {
                let to = (y * columns + x) * channels;
                let [a, b, c, d] = window(size, y, x).map(|at| &image[at..at + channels]);
                let out = &mut out[to..to + channels];
                for i in 0..channels {
                    out[i] = 0.25 * (a[i] + b[i] + c[i] + d[i]);
                }
            }
        }
    }
}

kernel! {
    /// A quarter of the gradient to each of the window.
    pub(in crate::engine::cpu) fn mean_pool_grad(dy: &[f32], size: Size, dx: &mut [f32]) {
        let [height, width, channels] = size;
        let (rows, columns) = (height / 2, width / 2);
        dx.fill(0.0);
        for y in 0..rows {
            for x in 0..columns {
                let from = (y * columns + x) * channels;
                for at in window(size, y, x) {
                    let pairs = dx[at..at + channels].iter_mut().zip(&dy[from..from + channels]);
                    pairs.for_each(|(dx, &d)| *dx = 0.25 * d);
                }
            }
        }
    }
}

kernel! {
    /// Mean over the pixels of one image `[pixels, C]`.
    pub(in crate::engine::cpu) fn mean_pixels(image: &[f32], out: &mut [f32]) {
        let channels = out.len();
        out.fill(0.0);
        for pixel in image.chunks_exact(channels) {
            out.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += v);
        }
        let count = (image.len() / channels) as f32;
        out.iter_mut().for_each(|sum| *sum /= count);
    }
}

kernel! {
    /// An equal share of the gradient to each pixel.
    pub(in crate::engine::cpu) fn mean_pixels_grad(dy: &[f32], dx: &mut [f32]) {
        let count = (dx.len() / dy.len()) as f32;
        for pixel in dx.chunks_exact_mut(dy.len()) {
            pixel.iter_mut().zip(dy).for_each(|(dx, &d)| *dx = d / count);
        }
    }
}
