//! Convolution as matrix products over unfolded patches, and pooling. Layout NHWC, kernels `[Cout, k, k, Cin]`.
//!
//! Images are unfolded a few at a time, which bounds the memory; the portion depends on the shapes only.

use super::super::EngineError;
use super::call::{Call, elements};
use super::real::{ColumnSums, Real};
use candle_core::Tensor;

/// Elements of unfolded patches held at once, unless one image already has more.
pub(super) const PATCH_ELEMENTS: usize = 1 << 19;

/// The dimensions of one convolution.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    height: usize,
    width: usize,
    /// Input channels.
    channels: usize,
    kernel: usize,
}

impl Geometry {
    fn new(call: &Call, image: &[usize], kernel: &[usize]) -> Result<Self, EngineError> {
        match (image, kernel) {
            (&[_, height, width, _], &[_, k, across, channels]) if k == across && k % 2 == 1 => {
                Ok(Geometry { height, width, channels, kernel: k })
            }
            _ => Err(call.wrong("a convolution wants images [B,H,W,C] and odd square kernels [Cout,k,k,Cin]")),
        }
    }

    fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Elements of one pixel's patch.
    fn patch(&self) -> usize {
        self.kernel * self.kernel * self.channels
    }

    /// Images unfolded together.
    fn portion(&self) -> usize {
        (PATCH_ELEMENTS / (self.height * self.width * self.patch())).max(1)
    }

    /// Calls `f(offset in the patch matrix, offset in the image, length)` for every run of elements that a patch shares
    /// with the image: whole kernel rows where they lie inside.
    #[inline(always)]
    fn runs(&self, mut f: impl FnMut(usize, usize, usize)) {
        let (pad, channels) = (self.kernel / 2, self.channels);
        for y in 0..self.height {
            for x in 0..self.width {
                let patch = (y * self.width + x) * self.patch();
                let (left, right) = (x.saturating_sub(pad), (x + pad + 1).min(self.width));
                let skipped = left + pad - x;
                for row in 0..self.kernel {
                    if y + row < pad || y + row - pad >= self.height {
                        continue;
                    }
                    let source = ((y + row - pad) * self.width + left) * channels;
                    f(patch + (row * self.kernel + skipped) * channels, source, (right - left) * channels);
                }
            }
        }
    }

    /// `[images * H * W, k * k * Cin]`, zero outside the image.
    fn unfold<T: Real>(&self, images: &[T]) -> Vec<T> {
        let size = self.height * self.width * self.patch();
        let mut patches = vec![T::zero(); images.len() / self.image() * size];
        for (image, out) in images.chunks_exact(self.image()).zip(patches.chunks_exact_mut(size)) {
            self.runs(|to, from, length| out[to..to + length].copy_from_slice(&image[from..from + length]));
        }
        patches
    }

    /// The transpose of [`unfold`](Self::unfold): adds each patch back into its image.
    fn fold<T: Real>(&self, patches: &[T], images: &mut [T]) {
        let size = self.height * self.width * self.patch();
        for (image, patch) in images.chunks_exact_mut(self.image()).zip(patches.chunks_exact(size)) {
            self.runs(|from, to, length| {
                for (sum, &v) in image[to..to + length].iter_mut().zip(&patch[from..from + length]) {
                    *sum += v;
                }
            });
        }
    }
}

/// `x, w -> y` (cross-correlation, "same" padding).
pub(super) fn conv2d<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (x, w) = (call.real::<T>(0)?, call.input(1)?);
    let geometry = Geometry::new(call, call.input(0)?.dims(), w.dims())?;
    let kernels = w.reshape(((), geometry.patch()))?.t()?;
    let mut y = Vec::with_capacity(call.outputs[0].elements());
    for images in x.chunks(geometry.portion() * geometry.image()) {
        let patches = Tensor::from_vec(
            geometry.unfold(images),
            (images.len() / geometry.channels, geometry.patch()),
            call.device,
        )?;
        y.extend_from_slice(&elements::<T>(&patches.matmul(&kernels)?)?);
    }
    Ok(vec![call.output(0, y)?])
}

/// `w, dy -> dx`.
pub(super) fn conv2d_grad_input<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (w, dy) = (call.input(0)?, call.real::<T>(1)?);
    let geometry = Geometry::new(call, &call.outputs[0].shape, w.dims())?;
    let (kernels, channels) = (w.reshape(((), geometry.patch()))?, call.features(1)?);
    let (portion, pixels) = (geometry.portion(), geometry.height * geometry.width);
    let mut dx = vec![T::zero(); call.outputs[0].elements()];
    let images = dx.chunks_mut(portion * geometry.image());
    for (dy, dx) in dy.chunks(portion * pixels * channels).zip(images) {
        let patches = Tensor::from_slice(dy, (dy.len() / channels, channels), call.device)?.matmul(&kernels)?;
        geometry.fold(&elements::<T>(&patches)?, dx);
    }
    Ok(vec![call.output(0, dx)?])
}

/// `x, dy -> dw`.
pub(super) fn conv2d_grad_weight<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (x, dy, channels) = (call.real::<T>(0)?, call.real::<T>(1)?, call.features(1)?);
    let geometry = Geometry::new(call, call.input(0)?.dims(), &call.outputs[0].shape)?;
    let (portion, pixels) = (geometry.portion(), geometry.height * geometry.width);
    let mut dw = vec![T::zero(); call.outputs[0].elements()];
    let slopes = dy.chunks(portion * pixels * channels);
    for (images, dy) in x.chunks(portion * geometry.image()).zip(slopes) {
        let patches = Tensor::from_vec(
            geometry.unfold(images),
            (images.len() / geometry.channels, geometry.patch()),
            call.device,
        )?;
        let part = Tensor::from_slice(dy, (dy.len() / channels, channels), call.device)?.t()?.matmul(&patches)?;
        for (sum, &v) in dw.iter_mut().zip(elements::<T>(&part)?.iter()) {
            *sum += v;
        }
    }
    Ok(vec![call.output(0, dw)?])
}

/// Walks the 2x2 windows of `[B,H,W,C]`: `f(output offset, [offsets of the window's four pixels])`, offsets of channel 0.
fn windows(shape: [usize; 4], mut f: impl FnMut(usize, [usize; 4])) {
    let [samples, height, width, channels] = shape;
    let mut output = 0;
    for b in 0..samples {
        for y in 0..height / 2 {
            for x in 0..width / 2 {
                let corner = ((b * height + 2 * y) * width + 2 * x) * channels;
                let below = corner + width * channels;
                f(output, [corner, corner + channels, below, below + channels]);
                output += channels;
            }
        }
    }
}

fn image_shape(call: &Call, shape: &[usize]) -> Result<[usize; 4], EngineError> {
    shape.try_into().map_err(|_| call.wrong("images have four dimensions"))
}

/// `x -> y, index`: the first maximum of each window wins.
pub(super) fn max_pool<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let shape = call.dims::<4>(0)?;
    let (x, channels) = (call.real::<T>(0)?, shape[3]);
    let x: &[T] = &x;
    let count = call.outputs[0].elements();
    let (mut y, mut index) = (Vec::with_capacity(count), Vec::with_capacity(count));
    windows(shape, |_, pixels| {
        for c in 0..channels {
            let (mut best, mut at) = (x[pixels[0] + c], 0u32);
            for (i, pixel) in pixels.iter().enumerate().skip(1) {
                let v = x[pixel + c];
                if v > best || (v.is_nan() && !best.is_nan()) {
                    (best, at) = (v, i as u32);
                }
            }
            y.push(best);
            index.push(at);
        }
    });
    Ok(vec![call.output(0, y)?, call.output(1, index)?])
}

/// `index, dy -> dx`.
pub(super) fn max_pool_grad<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (index, dy, channels) = (call.integers(0)?, call.real::<T>(1)?, call.features(1)?);
    let (index, dy): (&[u32], &[T]) = (&index, &dy);
    let mut dx = vec![T::zero(); call.outputs[0].elements()];
    windows(image_shape(call, &call.outputs[0].shape)?, |from, pixels| {
        for c in 0..channels {
            dx[pixels[(index[from + c] & 3) as usize] + c] = dy[from + c];
        }
    });
    Ok(vec![call.output(0, dx)?])
}

/// `x -> y`: mean over 2x2 windows.
pub(super) fn mean_pool<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let shape = call.dims::<4>(0)?;
    let (x, quarter) = (call.real::<T>(0)?, T::of(0.25));
    let x: &[T] = &x;
    let mut y = Vec::with_capacity(call.outputs[0].elements());
    windows(shape, |_, [a, b, c, d]| {
        y.extend((0..shape[3]).map(|i| quarter * ((x[a + i] + x[b + i]) + (x[c + i] + x[d + i]))));
    });
    Ok(vec![call.output(0, y)?])
}

/// `dy -> dx`.
pub(super) fn mean_pool_grad<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let (dy, channels, quarter) = (call.real::<T>(0)?, call.features(0)?, T::of(0.25));
    let dy: &[T] = &dy;
    let mut dx = vec![T::zero(); call.outputs[0].elements()];
    windows(image_shape(call, &call.outputs[0].shape)?, |from, pixels| {
        for pixel in pixels {
            for c in 0..channels {
                dx[pixel + c] = quarter * dy[from + c];
            }
        }
    });
    Ok(vec![call.output(0, dx)?])
}

/// `x [B,H,W,C] -> y [B,C]`.
pub(super) fn mean_pixels<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let [samples, height, width, channels] = call.dims::<4>(0)?;
    let x = call.real::<T>(0)?;
    let share = T::of(1.0 / (height * width) as f64);
    let mut y = Vec::with_capacity(samples * channels);
    for image in x.chunks_exact(height * width * channels) {
        let mut sums = ColumnSums::<T>::new(channels);
        for pixel in image.chunks_exact(channels) {
            sums.add(pixel, pixel, |v, _| v);
        }
        y.extend(sums.finish().into_iter().map(|s| s * share));
    }
    Ok(vec![call.output(0, y)?])
}

/// `dy [B,C] -> dx [B,H,W,C]`.
pub(super) fn mean_pixels_grad<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    let [_, height, width, channels] = image_shape(call, &call.outputs[0].shape)?;
    let dy = call.real::<T>(0)?;
    let share = T::of(1.0 / (height * width) as f64);
    let mut dx = Vec::with_capacity(call.outputs[0].elements());
    for row in dy.chunks_exact(channels) {
        let pixel: Vec<T> = row.iter().map(|&d| d * share).collect();
        (0..height * width).for_each(|_| dx.extend_from_slice(&pixel));
    }
    Ok(vec![call.output(0, dx)?])
}
