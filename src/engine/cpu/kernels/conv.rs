//! Convolutions as products over unfolded patches, some images at a time: the patches of one tile stay in the
//! second-level cache. Images `[H, W, C]`, kernels `[Cout, k, k, Cin]`, stride 1, "same" padding.

use super::gemm::{Strided, gemm};

/// Elements of a tile's patches, unless one image has more.
const PATCHES: usize = 1 << 17;

/// The dimensions of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::cpu) struct Shape {
    pub(in crate::engine::cpu) images: usize,
    pub(in crate::engine::cpu) height: usize,
    pub(in crate::engine::cpu) width: usize,
    pub(in crate::engine::cpu) inputs: usize,
    pub(in crate::engine::cpu) outputs: usize,
    pub(in crate::engine::cpu) kernel: usize,
}

/// Which of the three products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::cpu) enum Pass {
    Forward,
    Input,
    Weight,
}

impl Shape {
    /// Pixels of an image.
    pub(in crate::engine::cpu) fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Elements of a kernel: of one output channel's weights.
    pub(in crate::engine::cpu) fn taps(&self) -> usize {
        self.kernel * self.kernel * self.inputs
    }

    /// Elements of one pixel's patch.
    fn patch(&self, pass: Pass) -> usize {
        self.kernel * self.kernel * if pass == Pass::Input { self.outputs } else { self.inputs }
    }

    /// Images of one tile.
    pub(in crate::engine::cpu) fn portion(&self, pass: Pass) -> usize {
        (PATCHES / (self.pixels() * self.patch(pass))).clamp(1, self.images.max(1))
    }

    /// Number of tiles. The weight's gradient is summed by tile, so it has few.
    pub(in crate::engine::cpu) fn tiles(&self, pass: Pass) -> usize {
        let portion = match pass {
            Pass::Weight => self.images.div_ceil(16),
            _ => self.portion(pass),
        };
        self.images.div_ceil(portion).max(1)
    }

    /// Images of a tile: first and number.
    pub(in crate::engine::cpu) fn tile(&self, pass: Pass, tile: usize) -> (usize, usize) {
        let each = self.images.div_ceil(self.tiles(pass));
        let first = (tile * each).min(self.images);
        (first, each.min(self.images - first))
    }

    /// Elements of scratch of one tile.
    pub(in crate::engine::cpu) fn scratch(&self, pass: Pass) -> usize {
        let patches = self.portion(pass) * self.pixels() * self.patch(pass);
        patches + if pass == Pass::Input { self.taps() * self.outputs } else { 0 }
    }
}

/// Images `x -> y` (both of this tile only): `y = patches(x) w'`.
pub(in crate::engine::cpu) fn forward(shape: Shape, x: &[f32], w: &[f32], y: &mut [f32], scratch: &mut [f32]) {
    let (pixels, taps) = (shape.pixels(), shape.taps());
    let portion = shape.portion(Pass::Forward);
    let parts = x.chunks(portion * pixels * shape.inputs).zip(y.chunks_mut(portion * pixels * shape.outputs));
    for (x, y) in parts {
        let rows = y.len() / shape.outputs;
        unfold(shape, shape.inputs, x, scratch);
        let (patches, weights) = (Strided::rows_of(scratch.as_ptr(), taps), Strided::rows_of(w.as_ptr(), taps));
        // SAFETY: slices of these sizes.
        unsafe {
            gemm((rows, shape.outputs, taps), patches, weights.transposed(), y.as_mut_ptr(), shape.outputs, false)
        };
    }
}

/// `dy -> dx` of this tile: a convolution of `dy` with the kernel turned by half a turn.
pub(in crate::engine::cpu) fn grad_input(shape: Shape, w: &[f32], dy: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
    let Shape { inputs, outputs, kernel, .. } = shape;
    let patch = kernel * kernel * outputs;
    let (turned, patches) = scratch.split_at_mut(shape.taps() * outputs);
    for place in 0..kernel * kernel {
        for output in 0..outputs {
            let from = (output * kernel * kernel + kernel * kernel - 1 - place) * inputs;
            turned[(place * outputs + output) * inputs..][..inputs].copy_from_slice(&w[from..from + inputs]);
        }
    }
    let portion = shape.portion(Pass::Input);
    let parts = dy.chunks(portion * shape.pixels() * outputs).zip(dx.chunks_mut(portion * shape.pixels() * inputs));
    for (dy, dx) in parts {
        let rows = dy.len() / outputs;
        unfold(shape, outputs, dy, patches);
        let (a, b) = (Strided::rows_of(patches.as_ptr(), patch), Strided::rows_of(turned.as_ptr(), inputs));
        // SAFETY: slices of these sizes.
        unsafe { gemm((rows, inputs, patch), a, b, dx.as_mut_ptr(), inputs, false) };
    }
}

/// `x, dy -> dw` summed over this tile's images.
pub(in crate::engine::cpu) fn grad_weight(shape: Shape, x: &[f32], dy: &[f32], dw: &mut [f32], scratch: &mut [f32]) {
    let (pixels, taps, outputs) = (shape.pixels(), shape.taps(), shape.outputs);
    let portion = shape.portion(Pass::Weight);
    let parts = x.chunks(portion * pixels * shape.inputs).zip(dy.chunks(portion * pixels * outputs));
    for (i, (x, dy)) in parts.enumerate() {
        let rows = dy.len() / outputs;
        unfold(shape, shape.inputs, x, scratch);
        let (a, b) = (Strided::rows_of(dy.as_ptr(), outputs).transposed(), Strided::rows_of(scratch.as_ptr(), taps));
        // SAFETY: slices of these sizes.
        unsafe { gemm((outputs, taps, rows), a, b, dw.as_mut_ptr(), taps, i > 0) };
    }
}

/// Writes each pixel's patch as a row: kernel rows from top to bottom, pixels from left to right, zero outside.
fn unfold(shape: Shape, channels: usize, images: &[f32], patches: &mut [f32]) {
    let Shape { height, width, kernel, .. } = shape;
    let (pad, line) = (kernel / 2, kernel * channels);
    let image_size = height * width * channels;
    let rows = patches.chunks_exact_mut(kernel * line);
    let pixels = images
        .chunks_exact(image_size)
        .flat_map(|image| (0..height).flat_map(move |y| (0..width).map(move |x| (image, y, x))));
    for (patch, (image, y, x)) in rows.zip(pixels) {
        let (left, right) = (x.saturating_sub(pad), (x + pad + 1).min(width));
        let skipped = (left + pad - x) * channels;
        let length = (right - left) * channels;
        for (row, patch) in patch.chunks_exact_mut(line).enumerate() {
            if y + row < pad || y + row - pad >= height {
                patch.fill(0.0);
                continue;
            }
            let from = ((y + row - pad) * width + left) * channels;
            if length < line {
                patch[..skipped].fill(0.0);
                patch[skipped + length..].fill(0.0);
            }
            patch[skipped..skipped + length].copy_from_slice(&image[from..from + length]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(n: usize, salt: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + salt * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    /// Calls `f(output element, input element, weight element)` for every product of the convolution.
    fn products(s: Shape, mut f: impl FnMut(usize, usize, usize)) {
        let pad = s.kernel / 2;
        for image in 0..s.images {
            for (y, x) in (0..s.height).flat_map(|y| (0..s.width).map(move |x| (y, x))) {
                for (ky, kx) in (0..s.kernel).flat_map(|a| (0..s.kernel).map(move |b| (a, b))) {
                    let (sy, sx) = (y + ky, x + kx);
                    if sy < pad || sx < pad || sy - pad >= s.height || sx - pad >= s.width {
                        continue;
                    }
                    let (to, from) =
                        (image * s.pixels() + y * s.width + x, image * s.pixels() + (sy - pad) * s.width + sx - pad);
                    for (o, i) in (0..s.outputs).flat_map(|o| (0..s.inputs).map(move |i| (o, i))) {
                        f(
                            to * s.outputs + o,
                            from * s.inputs + i,
                            ((o * s.kernel + ky) * s.kernel + kx) * s.inputs + i,
                        );
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn all_three_passes_agree_with_plain_loops(
            images in 1usize..5, height in 1usize..8, width in 1usize..8, inputs in 1usize..6, outputs in 1usize..6,
            half in 0usize..3,
        ) {
            let s = Shape { images, height, width, inputs, outputs, kernel: 2 * half + 1 };
            let (x, w) = (values(images * s.pixels() * inputs, 1), values(outputs * s.taps(), 2));
            let dy = values(images * s.pixels() * outputs, 3);
            let (mut y, mut dx, mut dw) = (vec![0.0f64; dy.len()], vec![0.0f64; x.len()], vec![0.0f64; w.len()]);
            products(s, |to, from, tap| {
                y[to] += f64::from(x[from]) * f64::from(w[tap]);
                dx[from] += f64::from(dy[to]) * f64::from(w[tap]);
                dw[tap] += f64::from(dy[to]) * f64::from(x[from]);
            });
            // Scratch begins with anything.
            let scratch = |pass| vec![f32::NAN; s.scratch(pass)];
            let (mut a, mut b, mut c) = (vec![0.0f32; y.len()], vec![0.0f32; dx.len()], vec![0.0f32; dw.len()]);
            forward(s, &x, &w, &mut a, &mut scratch(Pass::Forward));
            grad_input(s, &w, &dy, &mut b, &mut scratch(Pass::Input));
            grad_weight(s, &x, &dy, &mut c, &mut scratch(Pass::Weight));
            for (got, wanted) in [(a, y), (b, dx), (c, dw)] {
                for (g, w) in got.iter().zip(wanted) {
                    prop_assert!((f64::from(*g) - w).abs() < 1e-4, "{s:?}: {g} {w}");
                }
            }
        }
    }
}
