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

/// Each window of an image: where its channels are in the smaller image, and its four elements.
#[inline(always)]
fn windows(size: Size) -> impl Iterator<Item = (usize, [usize; 4])> {
    let [height, width, channels] = size;
    let (rows, columns) = (height / 2, width / 2);
    (0..rows).flat_map(move |y| (0..columns).map(move |x| ((y * columns + x) * channels, window(size, y, x))))
}

kernel! {
    /// Largest of each window and which it is; the first of several largest wins.
    pub(in crate::engine::cpu) fn max_pool(image: &[f32], size: Size, out: &mut [f32], index: &mut [u32]) {
        let channels = size[2];
        for (to, window) in windows(size) {
            let [a, b, c, d] = window.map(|at| &image[at..at + channels]);
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

kernel! {
    /// Gradients go to the largest of each window.
    pub(in crate::engine::cpu) fn max_pool_grad(index: &[u32], dy: &[f32], size: Size, dx: &mut [f32]) {
        let channels = size[2];
        dx.fill(0.0);
        for (from, window) in windows(size) {
            for (k, at) in window.into_iter().enumerate() {
                let dx = &mut dx[at..at + channels];
                let pairs = index[from..from + channels].iter().zip(&dy[from..from + channels]);
                dx.iter_mut().zip(pairs).for_each(|(dx, (&i, &d))| *dx = if i == k as u32 { d } else { 0.0 });
            }
        }
    }
}

kernel! {
    /// Mean of each window.
    pub(in crate::engine::cpu) fn mean_pool(image: &[f32], size: Size, out: &mut [f32]) {
        let channels = size[2];
        for (to, window) in windows(size) {
            let [a, b, c, d] = window.map(|at| &image[at..at + channels]);
            let out = &mut out[to..to + channels];
            for i in 0..channels {
                out[i] = 0.25 * (a[i] + b[i] + c[i] + d[i]);
            }
        }
    }
}

kernel! {
    /// A quarter of the gradient to each of the window.
    pub(in crate::engine::cpu) fn mean_pool_grad(dy: &[f32], size: Size, dx: &mut [f32]) {
        let channels = size[2];
        dx.fill(0.0);
        for (from, window) in windows(size) {
            for at in window {
                let pairs = dx[at..at + channels].iter_mut().zip(&dy[from..from + channels]);
                pairs.for_each(|(dx, &d)| *dx = 0.25 * d);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_their_gradients() {
        // Odd edges are dropped; the first of equals wins.
        let size = [3, 5, 2];
        let image: Vec<f32> = (0..30).map(|i| ((i * 7) % 11) as f32).collect();
        let at = |y: usize, x: usize, c: usize| image[(y * 5 + x) * 2 + c];
        let (mut largest, mut index, mut mean) = ([0.0; 4], [9u32; 4], [0.0; 4]);
        max_pool(&image, size, &mut largest, &mut index);
        mean_pool(&image, size, &mut mean);
        for (x, c) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let four = [at(0, 2 * x, c), at(0, 2 * x + 1, c), at(1, 2 * x, c), at(1, 2 * x + 1, c)];
            let first = (0..4).rev().max_by(|&a, &b| four[a].total_cmp(&four[b])).unwrap();
            let to = x * 2 + c;
            assert_eq!((largest[to], index[to], mean[to]), (four[first], first as u32, four.iter().sum::<f32>() / 4.0));
        }
        let dy = [1.0, 2.0, 3.0, 4.0];
        let (mut by_max, mut by_mean) = ([7.0; 30], [7.0; 30]);
        max_pool_grad(&index, &dy, size, &mut by_max);
        mean_pool_grad(&dy, size, &mut by_mean);
        assert_eq!((by_max.iter().sum::<f32>(), by_mean.iter().sum::<f32>()), (10.0, 10.0));
        for (i, d) in dy.iter().enumerate() {
            let (x, c) = (i / 2, i % 2);
            let to = ((index[i] as usize / 2) * 5 + 2 * x + index[i] as usize % 2) * 2 + c;
            assert_eq!(by_max[to], *d);
        }
        let mut pixels = [0.0; 2];
        mean_pixels(&image, &mut pixels);
        assert_eq!(pixels[0], (0..15).map(|i| image[2 * i]).sum::<f32>() / 15.0);
        let mut spread = [0.0; 6];
        mean_pixels_grad(&[3.0, 6.0], &mut spread);
        assert_eq!(spread, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    }
}
