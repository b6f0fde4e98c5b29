//! Convolutions as products over unfolded patches, some images at a time: the patches of one tile stay in the
//! second-level cache. Images `[H, W, C]`, kernels `[Cout, k, k, Cin]`, stride 1, "same" padding.

use super::gemm::{Strided, gemm};

/// Elements of a tile's patches, unless one image has more.
const PATCHES: usize = 1 << 17;
/// Operations of a tile at least, where a pass is cut into several, and tiles that are then enough.
const TILE_FLOPS: usize = 3_000_000;
const TILES: usize = 8;
/// Elements read and written by a tile at least, where it is they that take the time.
const TILE_ELEMENTS: usize = 16_384;
/// From this many elements of a patch's line on, the gradient of each line of the kernels is a product of its own: that
/// needs no sums apart, and products of so many columns are as fast as wider ones.
const LINE: usize = 48;
/// Pixels at least whose gradients are summed apart: else adding up the sums is more work than the products.
const CHUNK_PIXELS: usize = 128;

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
    pub(in crate::engine::cpu) fn patch(&self, pass: Pass) -> usize {
        self.kernel * self.kernel * if pass == Pass::Input { self.outputs } else { self.inputs }
    }

    /// Tiles that are enough for the work.
    fn wanted(&self) -> usize {
        let pixels = self.images * self.pixels();
        let flops = 2 * pixels * self.taps() * self.outputs / TILE_FLOPS;
        let elements = pixels * (self.patch(Pass::Forward).min(self.patch(Pass::Input)) + self.outputs) / TILE_ELEMENTS;
        flops.max(elements).clamp(1, TILES)
    }

    /// Images that are unfolded together.
    pub(in crate::engine::cpu) fn portion(&self, pass: Pass) -> usize {
        let fit = PATCHES / (self.pixels() * self.patch(pass));
        let most = match pass {
            Pass::Weight => self.images.div_ceil(self.chunks()),
            _ => self.images.div_ceil(self.wanted()),
        };
        fit.clamp(1, most.max(1))
    }

    /// Number of tiles.
    pub(in crate::engine::cpu) fn tiles(&self, pass: Pass) -> usize {
        match pass {
            Pass::Weight => self.lines() * self.chunks(),
            _ => self.images.div_ceil(self.portion(pass)).max(1),
        }
    }

    /// Parts of the kernels whose gradients are products of their own: their lines, or the whole.
    fn lines(&self) -> usize {
        if self.kernel * self.inputs >= LINE { self.kernel } else { 1 }
    }

    /// Portions of the images over which gradients of weights are summed apart. One where the parts of the kernels are
    /// tiles enough; else few, since all these sums are added up again.
    pub(in crate::engine::cpu) fn chunks(&self) -> usize {
        let missing = self.wanted().div_ceil(self.lines());
        // An even number of tiles, so that two threads have as many.
        let even = if missing > 1 { missing.next_multiple_of(2) } else { missing };
        let most = (self.images * self.pixels() / CHUNK_PIXELS).min(self.images);
        let chunks = even.min(most).max(1);
        self.images.div_ceil(self.images.div_ceil(chunks).max(1)).max(1)
    }

    /// The portion of the images that a tile of the gradient of weights sums over.
    pub(in crate::engine::cpu) fn chunk(&self, tile: usize) -> usize {
        tile / self.lines()
    }

    /// Images of a tile: first and number.
    pub(in crate::engine::cpu) fn tile(&self, pass: Pass, tile: usize) -> (usize, usize) {
        let (tile, parts) = match pass {
            Pass::Weight => (self.chunk(tile), self.chunks()),
            _ => (tile, self.tiles(pass)),
        };
        let each = self.images.div_ceil(parts);
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

/// `x, dy -> dw` of this tile's lines of the kernels, summed over its images; `dw` is the whole of these sums.
///
/// # Safety
/// Nobody else may touch this tile's lines of `dw`.
pub(in crate::engine::cpu) unsafe fn grad_weight(
    shape: Shape,
    tile: usize,
    (x, dy): (&[f32], &[f32]),
    (dw, add): (*mut f32, bool),
    scratch: &mut [f32],
) {
    let (pixels, taps, outputs) = (shape.pixels(), shape.taps(), shape.outputs);
    let lines = shape.lines();
    let (columns, line) = (taps / lines, (lines > 1).then_some(tile % lines));
    // SAFETY: lines are parts of a kernel's elements.
    let dw = unsafe { dw.add(line.unwrap_or(0) * columns) };
    let portion = shape.portion(Pass::Weight);
    let parts = x.chunks(portion * pixels * shape.inputs).zip(dy.chunks(portion * pixels * outputs));
    for (i, (x, dy)) in parts.enumerate() {
        let rows = dy.len() / outputs;
        match line {
            None => unfold(shape, shape.inputs, x, scratch),
            Some(line) => unfold_line(shape, line, x, scratch),
        }
        let (a, b) = (Strided::rows_of(dy.as_ptr(), outputs).transposed(), Strided::rows_of(scratch.as_ptr(), columns));
        // SAFETY: slices of these sizes.
        unsafe { gemm((outputs, columns, rows), a, b, dw, taps, add || i > 0) };
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

/// The same for one line of the kernel only.
fn unfold_line(shape: Shape, line: usize, images: &[f32], patches: &mut [f32]) {
    let Shape { height, width, inputs, kernel, .. } = shape;
    let (pad, length) = (kernel / 2, kernel * inputs);
    let rows = patches.chunks_exact_mut(length * width);
    let lines = images.chunks_exact(height * width * inputs).flat_map(|image| (0..height).map(move |y| (image, y)));
    for (patches, (image, y)) in rows.zip(lines) {
        if y + line < pad || y + line - pad >= height {
            patches.fill(0.0);
            continue;
        }
        let row = &image[(y + line - pad) * width * inputs..][..width * inputs];
        for (x, patch) in patches.chunks_exact_mut(length).enumerate() {
            let (left, right) = (x.saturating_sub(pad), (x + pad + 1).min(width));
            let (before, copied) = ((left + pad - x) * inputs, (right - left) * inputs);
            patch[..before].fill(0.0);
            patch[before..before + copied].copy_from_slice(&row[left * inputs..right * inputs]);
            patch[before + copied..].fill(0.0);
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
            images in 1usize..5, height in 1usize..8, width in 1usize..8, inputs in (1usize..6).prop_flat_map(|n| prop_oneof![Just(n), Just(20 * n)]),
            outputs in 1usize..6,
            half in 0usize..3,
        ) {
            let s = Shape { images, height, width, inputs, outputs, kernel: 2 * half + 1 };
            let (x, w) = (values(images * s.pixels() * inputs, 1), values(outputs * s.taps(), 2));
            let dy = values(images * s.pixels() * outputs, 3);
            // Each with the sum of its terms' sizes, by which rounding is measured.
            let sums = |n: usize| vec![[0.0f64; 2]; n];
            let (mut y, mut dx, mut dw) = (sums(dy.len()), sums(x.len()), sums(w.len()));
            products(s, |to, from, tap| {
                let add = |sum: &mut [f64; 2], a: f32, b: f32| {
                    let term = f64::from(a) * f64::from(b);
                    (sum[0], sum[1]) = (sum[0] + term, sum[1] + term.abs());
                };
                add(&mut y[to], x[from], w[tap]);
                add(&mut dx[from], dy[to], w[tap]);
                add(&mut dw[tap], dy[to], x[from]);
            });
            // Scratch begins with anything.
            let scratch = |pass| vec![f32::NAN; s.scratch(pass)];
            let (mut a, mut b, mut c) = (vec![0.0f32; y.len()], vec![0.0f32; dx.len()], vec![0.0f32; dw.len()]);
            forward(s, &x, &w, &mut a, &mut scratch(Pass::Forward));
            grad_input(s, &w, &dy, &mut b, &mut scratch(Pass::Input));
            for tile in 0..s.lines() {
                // SAFETY: the vector has this size.
                unsafe { grad_weight(s, tile, (&x, &dy), (c.as_mut_ptr(), false), &mut scratch(Pass::Weight)) };
            }
            for (got, wanted) in [(a, y), (b, dx), (c, dw)] {
                for (g, [w, terms]) in got.iter().zip(wanted) {
                    prop_assert!((f64::from(*g) - w).abs() < 1e-6 + 2e-6 * terms, "{s:?}: {g} {w}");
                }
            }
        }
    }
}
