//! One tile of a job: places become slices, and the slices go to a kernel.
//!
//! All unsafe code here rests on the same ground: tensors have the shapes that the graph's verification checked, places
//! lie within their buffers and living tensors do not overlap (the plan), and tiles of a job write disjoint elements
//! that no other tile of it reads (the cuts).

mod images;
mod operation;

use super::kernels::gemm::{Strided, gemm};
use super::kernels::loss::{self, Wanted};
use super::kernels::tail::{self, Moment, Stage, Tile};
use super::kernels::{norm, short_attention};
use super::lower::{Cut, Job, Lowered, attention_shape, part, partial_elements};
use super::memory::Memory;
use crate::engine::plan::{Into, LossKind, MAX_TAIL, Root, Step, Tail, Tensor};
use crate::graph::Op;
use crate::rng::Stream;
use operation::operation;

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
                Tail::ActivateKeepSlope(f, t) => Stage::ActivateKeepSlope(*f, self.memory.at(t)),
                Tail::Multiply(t) => Stage::Multiply(self.memory.at(t)),
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
            Root::Op(op) => operation(context, step, cut, op, (job.block, tile), scratch),
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

unsafe fn product(context: &Context, step: &Step, cut: &Cut, (block, tile): (usize, usize), transposed: (bool, bool)) {
    let Cut::Product(tiling) = cut else { return };
    let memory = &context.memory;
    let (row, rows, column, columns) = tiling.tile(tile);
    let depth = part(tiling.depth, tiling.block, block);
    let view = |tensor: &Tensor, transposed: bool| {
        let whole = Strided::rows_of(memory.at(tensor), tensor.rows_columns().1);
        if transposed { whole.transposed() } else { whole }
    };
    let adds = block > 0 || context.adds(step.into[0]);
    // SAFETY: see the module.
    unsafe {
        let a = view(&step.inputs[0], transposed.0).from(row, depth.start);
        let b = view(&step.inputs[1], transposed.1).from(depth.start, column);
        let c = memory.at(&step.outputs[0]).add(row * tiling.columns + column);
        gemm((rows, columns, depth.len()), a, b, c, tiling.columns, adds);
        if depth.end == tiling.depth {
            context.tail(step, Tile { row, rows, column, columns, width: tiling.columns });
        }
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
