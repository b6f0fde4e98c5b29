//! Convolutions and pooling: tiles of images.

use super::{Context, whole_rows};
use crate::engine::cpu::kernels::conv::{self, Pass};
use crate::engine::cpu::kernels::pool;
use crate::engine::cpu::lower::Cut;
use crate::engine::plan::{Step, Tensor};
use crate::graph::Op;

pub(super) unsafe fn convolution(context: &Context, step: &Step, cut: &Cut, tile: usize, scratch: &mut [f32]) {
    let Cut::Conv(shape, pass) = cut else { return };
    let memory = &context.memory;
    let (first, count) = shape.tile(*pass, tile);
    let images = |tensor: &Tensor, channels: usize| {
        let each = shape.pixels() * channels;
        debug_assert_eq!(tensor.elements(), each * shape.images);
        (first * each, count * each)
    };
    let (input, output) = (|i: usize| &step.inputs[i], &step.outputs[0]);
    // SAFETY: see the module.
    unsafe {
        match pass {
            Pass::Forward => {
                let ((x, xs), (y, ys)) = (images(input(0), shape.inputs), images(output, shape.outputs));
                let weights = memory.all(input(1));
                conv::forward(*shape, memory.read(input(0), x, xs), weights, memory.write(output, y, ys), scratch);
            }
            Pass::Input => {
                let ((dy, dys), (dx, dxs)) = (images(input(1), shape.outputs), images(output, shape.inputs));
                let weights = memory.all(input(0));
                conv::grad_input(
                    *shape,
                    weights,
                    memory.read(input(1), dy, dys),
                    memory.write(output, dx, dxs),
                    scratch,
                );
            }
            Pass::Weight => {
                let ((x, xs), (dy, dys)) = (images(input(0), shape.inputs), images(input(1), shape.outputs));
                // One sum is the gradient itself; several are added up afterwards.
                let dw = match cut.chunks() {
                    1 => (memory.at(output), context.adds(step.into[0])),
                    _ => (memory.partials.add(shape.chunk(tile) * output.elements()), false),
                };
                let images = (memory.read(input(0), x, xs), memory.read(input(1), dy, dys));
                return conv::grad_weight(*shape, tile, images, dw, scratch);
            }
        }
        let pixels = first * shape.pixels()..(first + count) * shape.pixels();
        context.tail(step, whole_rows(&pixels, if *pass == Pass::Forward { shape.outputs } else { shape.inputs }));
    }
}

/// Height, width and channels of `[B, H, W, C]`.
fn size(tensor: &Tensor) -> pool::Size {
    [tensor.shape[1], tensor.shape[2], tensor.shape[3]]
}

pub(super) unsafe fn pooling(context: &Context, step: &Step, op: &Op, samples: &std::ops::Range<usize>) {
    let memory = &context.memory;
    let (image, out) = (&step.inputs[0], &step.outputs[0]);
    let (large, small) = (image.elements() / image.shape[0].max(1), out.elements() / image.shape[0].max(1));
    for sample in samples.clone() {
        // SAFETY: see the module.
        unsafe {
            let (x, y) = (memory.read(image, sample * large, large), memory.write(out, sample * small, small));
            match op {
                Op::MaxPool2 => {
                    let index = memory.write(&step.outputs[1], sample * small, small);
                    let index = std::slice::from_raw_parts_mut(index.as_mut_ptr().cast::<u32>(), small);
                    pool::max_pool(x, size(image), y, index);
                }
                Op::MeanPool2 => pool::mean_pool(x, size(image), y),
                _ => pool::mean_pixels(x, y),
            }
        }
    }
}

pub(super) unsafe fn pooling_grad(context: &Context, step: &Step, op: &Op, samples: &std::ops::Range<usize>) {
    let memory = &context.memory;
    let out = &step.outputs[0];
    let gradient = step.inputs.last().expect("a backward op reads a gradient");
    let (large, small) = (out.elements() / out.shape[0].max(1), gradient.elements() / out.shape[0].max(1));
    for sample in samples.clone() {
        // SAFETY: see the module.
        unsafe {
            let (dy, dx) = (memory.read(gradient, sample * small, small), memory.write(out, sample * large, large));
            match op {
                Op::MaxPool2Grad => {
                    pool::max_pool_grad(memory.ids(&step.inputs[0], sample * small, small), dy, size(out), dx);
                }
                Op::MeanPool2Grad => pool::mean_pool_grad(dy, size(out), dx),
                _ => pool::mean_pixels_grad(dy, dx),
            }
        }
    }
}
