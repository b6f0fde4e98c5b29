//! One tile of a job: places become slices, and the slices go to a kernel.
//!
//! All unsafe code here rests on the same ground: tensors have the shapes that the graph's verification checked, places
//! lie within their buffers and living tensors do not overlap (the plan), and tiles of a job write disjoint elements
//! that no other tile of it reads (the cuts).

use super::kernels::conv::{self, Pass};
use super::kernels::gemm::{Strided, gemm};
use super::kernels::loss::{self, Wanted};
use super::kernels::tail::{self, Moment, Stage, Tile};
use super::kernels::{attention, norm, pool, short_attention, tokens};
use super::lower::{Cut, Job, Lowered, attention_shape, part, partial_elements};
use super::memory::Memory;
use crate::engine::plan::{Into, LossKind, MAX_TAIL, Root, Step, Tail, Tensor};
use crate::graph::Op;
use crate::rng::Stream;

/// What is the same for all tiles of a run.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) memory: Memory,
    pub(super) moment: Moment,
    /// The first micro-batch of a step sets the gradients, the others add.
    pub(super) first: bool,
}

impl Context {
    fn adds(&self, into: Into) -> bool {
        match into {
            Into::Set => false,
            Into::Add => true,
            Into::Gradient => !self.first,
        }
    }

    /// Runs the tail over a tile of the step's first output.
    ///
    /// # Safety
    /// The tile is this caller's alone.
    unsafe fn tail(&self, step: &Step, tile: Tile) {
        if step.tail.is_empty() {
            return;
        }
        let mut stages = [Stage::Scale(1.0); MAX_TAIL];
        for (stage, tail) in stages.iter_mut().zip(&step.tail) {
            *stage = match tail {
                Tail::Bias(t) => Stage::Bias { at: self.memory.at(t), length: t.elements() },
                Tail::Add(t) => Stage::Add(self.memory.at(t)),
                Tail::Scale(factor) => Stage::Scale(*factor),
                Tail::Activate(f) => Stage::Activate(*f),
                Tail::ActivateGrad(f, t) => Stage::ActivateGrad(*f, self.memory.at(t)),
                Tail::ActivateGradFromOutput(f, t) => Stage::ActivateGradFromOutput(*f, self.memory.at(t)),
                Tail::Dropout { p, site, sample } => {
                    Stage::Dropout { p: *p, stream: Stream::dropout(*site), sample: *sample }
                }
                Tail::Store(t) => Stage::Store(self.memory.at(t)),
            };
        }
        tail::apply(&stages[..step.tail.len()], self.memory.at(&step.outputs[0]), tile, self.moment);
    }
}

/// Executes one tile.
///
/// # Safety
/// Tiles of one job may run at the same time, each once; jobs must follow each other. `scratch` is the caller's alone.
pub(super) unsafe fn tile(context: &Context, lowered: &Lowered, job: Job, tile: usize, scratch: &mut [f32]) {
    let (step, cut) = (&lowered.schedule.steps[job.step], &lowered.cuts[job.step]);
    // SAFETY: see the module.
    unsafe {
        if job.adds_up {
            return add_up(context, step, cut, (tile, job.tiles));
        }
        match &step.root {
            Root::Map => map(context, step, cut, tile),
            Root::Loss { kind, gradient, correct } => loss(context, step, cut, tile, *kind, *gradient, *correct),
            Root::LastQuery { heads, kv_heads, gradient } => {
                let first = step.inputs[0].shape[1] - 1;
                short(context, step, cut, tile, (*heads, *kv_heads), first, *gradient, scratch);
            }
            Root::Op(op) => operation(context, step, cut, op, tile, scratch),
        }
    }
}

/// Whole rows of a tile of width `columns`.
fn whole_rows(rows: &std::ops::Range<usize>, columns: usize) -> Tile {
    Tile { row: rows.start, rows: rows.len(), column: 0, columns, width: columns }
}

/// The rows of a tile.
fn rows_of(cut: &Cut, tile: usize) -> (std::ops::Range<usize>, usize) {
    match cut {
        Cut::Rows { rows, columns, each } | Cut::Rope { rows, columns, each, .. } => {
            (part(*rows, *each, tile), *columns)
        }
        _ => (0..0, 0),
    }
}

unsafe fn map(context: &Context, step: &Step, cut: &Cut, tile: usize) {
    let memory = &context.memory;
    let (rows, columns) = rows_of(cut, tile);
    let (start, length) = (rows.start * columns, rows.len() * columns);
    let (from, to) = (&step.inputs[0], &step.outputs[0]);
    // SAFETY: see the module; where input and output share a place, only the output is made into a slice.
    unsafe {
        if memory.at(from) != memory.at(to) {
            let (x, y) = (memory.read(from, start, length), memory.write(to, start, length));
            if context.adds(step.into[0]) {
                norm::sum_rows(x, y);
            } else {
                y.copy_from_slice(x);
            }
        }
        context.tail(step, whole_rows(&rows, columns));
    }
}

#[allow(clippy::too_many_arguments)]
unsafe fn loss(
    context: &Context,
    step: &Step,
    cut: &Cut,
    tile: usize,
    kind: LossKind,
    gradient: Option<f32>,
    correct: bool,
) {
    let memory = &context.memory;
    let (rows, columns) = rows_of(cut, tile);
    let (start, length) = (rows.start * columns, rows.len() * columns);
    let (predictions, target) = (&step.inputs[0], &step.inputs[1]);
    // SAFETY: see the module. Without a gradient the predictions are only read, so that a tile may borrow its own rows.
    unsafe {
        let to = step.outputs.first().unwrap_or(predictions);
        if memory.at(to) != memory.at(predictions) {
            memory.write(to, start, length).copy_from_slice(memory.read(predictions, start, length));
        }
        let values = memory.write(to, start, length);
        let weights = memory.read(&step.inputs[2], rows.start, rows.len());
        let wanted = Wanted { weights, scale: gradient, correct };
        let sums = match kind {
            LossKind::CrossEntropy { smoothing } => {
                loss::cross_entropy(values, memory.ids(target, rows.start, rows.len()), smoothing, wanted)
            }
            LossKind::SquaredError => [loss::squared_error(values, memory.read(target, start, length), wanted), 0.0],
        };
        *memory.sums.add(tile) = sums;
    }
}

/// Adds up the partial sums of a step's chunks.
unsafe fn add_up(context: &Context, step: &Step, cut: &Cut, (tile, tiles): (usize, usize)) {
    let (stride, chunks) = (partial_elements(step, cut), cut.chunks());
    // Norms have their sums behind dx: of the gain, and of the bias.
    let outputs = match step.root {
        Root::Op(Op::LayerNormGrad | Op::RmsNormGrad | Op::GroupNormGrad { .. }) => 1..step.outputs.len(),
        _ => 0..1,
    };
    let mut from = 0;
    for i in outputs {
        let output = &step.outputs[i];
        let part = part(output.elements(), output.elements().div_ceil(tiles).next_multiple_of(16), tile);
        // SAFETY: see the module; this job's tiles are disjoint parts of the output.
        unsafe {
            let first = context.memory.partials.add(from + part.start);
            let partials = std::slice::from_raw_parts(first, (chunks - 1) * stride + part.len());
            let out = context.memory.write(output, part.start, part.len());
            norm::add_up(partials, stride, chunks, context.adds(step.into[i]), out);
        }
        from += output.elements();
    }
}

unsafe fn product(context: &Context, step: &Step, cut: &Cut, tile: usize, trans_a: bool, trans_b: bool) {
    let Cut::Product { tiling, depth } = cut else { return };
    let memory = &context.memory;
    let (row, rows, column, columns) = tiling.tile(tile);
    let view = |tensor: &Tensor, transposed: bool| {
        let whole = Strided::rows_of(memory.at(tensor), tensor.rows_columns().1);
        if transposed { whole.transposed() } else { whole }
    };
    // SAFETY: see the module.
    unsafe {
        let a = view(&step.inputs[0], trans_a).from(row, 0);
        let b = view(&step.inputs[1], trans_b).from(0, column);
        let c = memory.at(&step.outputs[0]).add(row * tiling.columns + column);
        gemm((rows, columns, *depth), a, b, c, tiling.columns, context.adds(step.into[0]));
        context.tail(step, Tile { row, rows, column, columns, width: tiling.columns });
    }
}

/// Attention of the queries from position `first` on, some samples.
#[allow(clippy::too_many_arguments)]
unsafe fn short(
    context: &Context,
    step: &Step,
    cut: &Cut,
    tile: usize,
    (heads, kv_heads): (usize, usize),
    first: usize,
    gradient: bool,
    scratch: &mut [f32],
) {
    let memory = &context.memory;
    let shape = attention_shape(&step.inputs[0], heads, kv_heads);
    let (samples, each) = rows_of(cut, tile);
    let width = (shape.length - first) * heads * shape.head_dim;
    for sample in samples {
        // SAFETY: see the module.
        unsafe {
            let qkv = memory.read(&step.inputs[0], sample * each, each);
            if gradient {
                let dout = step.inputs.last().expect("a backward step reads a gradient");
                let dout = memory.read(dout, sample * width, width);
                let dqkv = memory.write(&step.outputs[0], sample * each, each);
                short_attention::backward(shape, first, qkv, dout, dqkv, scratch);
            } else {
                let out = memory.write(&step.outputs[0], sample * width, width);
                short_attention::forward(shape, first, qkv, out, scratch);
            }
        }
    }
}

#[allow(clippy::too_many_lines, reason = "one arm an op, each a line or a few")]
unsafe fn operation(context: &Context, step: &Step, cut: &Cut, op: &Op, tile: usize, scratch: &mut [f32]) {
    let memory = &context.memory;
    let (rows, columns) = rows_of(cut, tile);
    let (start, length) = (rows.start * columns, rows.len() * columns);
    let (input, output) = (|i: usize| &step.inputs[i], |i: usize| &step.outputs[i]);
    // SAFETY: see the module.
    unsafe {
        let read = |i: usize| memory.read(input(i), start, length);
        let write = |i: usize| memory.write(output(i), start, length);
        // One value a row.
        let row_values = |i: usize| memory.read(input(i), rows.start, rows.len());
        let row_outputs = |i: usize| memory.write(output(i), rows.start, rows.len());
        // Several values a row of the first input, such as one a head or a group.
        let per_row = |tensor: &Tensor| {
            let each = tensor.elements() * columns / input(0).elements().max(1);
            (rows.start * each, rows.len() * each)
        };
        match *op {
            Op::MatMul { trans_a, trans_b } => product(context, step, cut, tile, trans_a, trans_b),
            Op::SumLeading => match cut {
                Cut::Columns { columns: all, each } => {
                    let columns = part(*all, *each, tile);
                    let (x, out) = (memory.all(input(0)), memory.write(output(0), columns.start, columns.len()));
                    if !context.adds(step.into[0]) {
                        out.fill(0.0);
                    }
                    for row in x.chunks_exact(*all) {
                        norm::sum_rows(&row[columns.clone()], out);
                    }
                }
                _ => {
                    let sums = memory.partial(tile, columns);
                    sums.fill(0.0);
                    norm::sum_rows(read(0), sums);
                }
            },
            Op::LayerNorm { eps } => {
                let (gain, bias) = (memory.all(input(1)), memory.all(input(2)));
                norm::layer_norm(read(0), gain, bias, eps, write(0), row_outputs(1), row_outputs(2));
                context.tail(step, whole_rows(&rows, columns));
            }
            Op::LayerNormGrad => {
                let sums = memory.partial(tile, 2 * columns);
                sums.fill(0.0);
                let (dgain, dbias) = sums.split_at_mut(columns);
                let (mean, rstd) = (row_values(2), row_values(3));
                norm::layer_norm_grad(read(0), memory.all(input(1)), mean, rstd, read(4), write(0), dgain, dbias);
                context.tail(step, whole_rows(&rows, columns));
            }
            Op::RmsNorm { eps } => {
                norm::rms_norm(read(0), memory.all(input(1)), eps, write(0), row_outputs(1));
                context.tail(step, whole_rows(&rows, columns));
            }
            Op::RmsNormGrad => {
                let dgain = memory.partial(tile, columns);
                dgain.fill(0.0);
                norm::rms_norm_grad(read(0), memory.all(input(1)), row_values(2), read(3), write(0), dgain);
                context.tail(step, whole_rows(&rows, columns));
            }
            Op::GroupNorm { groups, eps } => {
                let (gain, bias) = (memory.all(input(1)), memory.all(input(2)));
                for image in rows.clone() {
                    let x = memory.read(input(0), image * columns, columns);
                    let y = memory.write(output(0), image * columns, columns);
                    let mean = memory.write(output(1), image * groups, groups);
                    let rstd = memory.write(output(2), image * groups, groups);
                    norm::group_norm(x, gain, bias, eps, y, mean, rstd, scratch);
                }
            }
            Op::GroupNormGrad { groups } => {
                let gain = memory.all(input(1));
                let sums = memory.partial(tile, 2 * gain.len());
                sums.fill(0.0);
                let (dgain, dbias) = sums.split_at_mut(gain.len());
                for image in rows.clone() {
                    let (x, dy) = (
                        memory.read(input(0), image * columns, columns),
                        memory.read(input(4), image * columns, columns),
                    );
                    let mean = memory.read(input(2), image * groups, groups);
                    let rstd = memory.read(input(3), image * groups, groups);
                    let dx = memory.write(output(0), image * columns, columns);
                    norm::group_norm_grad(x, gain, mean, rstd, dy, dx, dgain, dbias, scratch);
                }
            }
            Op::QkNorm { head_dim, eps, .. } => {
                let (from, count) = per_row(output(1));
                norm::qk_norm(read(0), columns, head_dim, eps, write(0), memory.write(output(1), from, count));
            }
            Op::QkNormGrad { head_dim, .. } => {
                let (from, count) = per_row(input(1));
                norm::qk_norm_grad(read(0), columns, head_dim, memory.read(input(1), from, count), read(2), write(0));
            }
            Op::Embedding => {
                let ids = memory.ids(input(1), rows.start, rows.len());
                tokens::embedding(memory.all(input(0)), ids, columns, write(0));
                context.tail(step, whole_rows(&rows, columns));
            }
            Op::EmbeddingGrad => {
                let Cut::Columns { columns: width, each } = cut else { return };
                let columns = part(*width, *each, tile);
                let ids = memory.ids(input(0), 0, input(0).elements());
                let (table, add) = (memory.at(output(0)), context.adds(step.into[0]));
                let (vocabulary, _) = output(0).rows_columns();
                let dy = memory.all(input(1));
                tokens::embedding_grad(ids, dy, table, vocabulary, *width, columns.start, columns.end, add);
            }
            Op::Rope { rotated_heads, head_dim, .. } => {
                let Cut::Rope { table, .. } = cut else { return };
                if memory.at(input(0)) != memory.at(output(0)) {
                    write(0).copy_from_slice(read(0));
                }
                let time = input(0).shape[1];
                tokens::rope(write(0), columns, rotated_heads, head_dim, table, time, rows.start % time);
            }
            Op::Swiglu => tokens::swiglu(memory.read(input(0), 2 * start, 2 * length), columns, write(0)),
            Op::SwigluGrad => {
                let (x, dx) =
                    (memory.read(input(0), 2 * start, 2 * length), memory.write(output(0), 2 * start, 2 * length));
                tokens::swiglu_grad(x, columns, read(1), dx);
            }
            Op::Attention { heads, kv_heads } if matches!(cut, Cut::Rows { .. }) => {
                short(context, step, cut, tile, (heads, kv_heads), 0, false, scratch);
            }
            Op::AttentionGrad { heads, kv_heads } if matches!(cut, Cut::Rows { .. }) => {
                short(context, step, cut, tile, (heads, kv_heads), 0, true, scratch);
            }
            Op::Attention { .. } => {
                let Cut::Attention(shape) = cut else { return };
                let (out, lse) = (memory.at(output(0)), memory.at(output(1)));
                attention::forward(*shape, tile, memory.at(input(0)), out, lse, scratch);
            }
            Op::AttentionGrad { .. } => {
                let Cut::Attention(shape) = cut else { return };
                let [qkv, out, lse, dout] = [0, 1, 2, 3].map(|i| memory.at(input(i)).cast_const());
                let saved = attention::Saved { qkv, out, lse, dout };
                attention::backward(*shape, tile, saved, memory.at(output(0)), scratch);
            }
            Op::LastToken => {
                let (_, width) = input(0).rows_columns();
                tokens::last_token(memory.all(input(0)), width, memory.write(output(0), 0, output(0).elements()));
            }
            Op::LastTokenGrad => {
                let (_, width) = input(0).rows_columns();
                tokens::last_token_grad(memory.all(input(0)), width, memory.write(output(0), 0, output(0).elements()));
            }
            Op::Conv2d | Op::Conv2dGradInput | Op::Conv2dGradWeight => convolution(context, step, cut, tile, scratch),
            Op::MaxPool2 | Op::MeanPool2 | Op::MeanPixels => pooling(context, step, op, &rows),
            Op::MaxPool2Grad | Op::MeanPool2Grad | Op::MeanPixelsGrad => pooling_grad(context, step, op, &rows),
            // The plan makes other roots of all others, or none at all.
            _ => debug_assert!(false, "{op} is no root"),
        }
    }
}

unsafe fn convolution(context: &Context, step: &Step, cut: &Cut, tile: usize, scratch: &mut [f32]) {
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

unsafe fn pooling(context: &Context, step: &Step, op: &Op, samples: &std::ops::Range<usize>) {
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

unsafe fn pooling_grad(context: &Context, step: &Step, op: &Op, samples: &std::ops::Range<usize>) {
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
