//! From steps to jobs: how each step is cut into tiles, and what scratch and partial sums it needs. Depends on shapes
//! only, never on threads.

use super::kernels::conv::{self, Pass};
use super::kernels::short_attention::SHORT;
use super::kernels::tiling::Tiling;
use super::kernels::{attention, gemm, tokens};
use crate::engine::plan::{LossKind, Place, Root, Schedule, Step, Tensor};
use crate::graph::Op;
use std::ops::Range;

/// Elements of a tile of an element-wise or row-wise step at least: some microseconds of work.
const LEAST_ELEMENTS: usize = 8192;
/// Tiles of such a step at most.
const MOST_TILES: usize = 32;
/// Chunks whose partial sums are kept apart at most.
const MOST_CHUNKS: usize = 16;
/// Elements of partial sums that a tile adds up at least, where there are several.
const ADDED_ELEMENTS: usize = 32_768;
/// From this many columns on, column sums are cut by columns instead of rows.
const WIDE: usize = 2048;

/// How a step is cut.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cut {
    /// Over the rows and columns of a product.
    Product(Tiling),
    /// So many rows of so many columns each tile.
    Rows { rows: usize, columns: usize, each: usize },
    /// So many columns each tile, all rows.
    Columns { columns: usize, each: usize },
    /// Samples and key/value heads.
    Attention(attention::Shape),
    /// Images.
    Conv(conv::Shape, Pass),
    /// Rows, with a table of cosines and sines.
    Rope { rows: usize, columns: usize, each: usize, table: Vec<f32> },
    /// Not cut.
    Whole,
}

/// A part of a step whose tiles are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) step: usize,
    /// The second part of a step with partial sums: they are added up.
    pub(super) adds_up: bool,
    /// Of the blocks that the depth of a product is cut into, this one.
    pub(super) block: usize,
    pub(super) tiles: usize,
}

/// A schedule, ready to be executed.
pub(super) struct Lowered {
    pub(super) schedule: Schedule,
    /// By step.
    pub(super) cuts: Vec<Cut>,
    pub(super) jobs: Vec<Job>,
    /// Runs of jobs between which threads meet: one job of several tiles, or several of one tile each.
    pub(super) stages: Vec<Range<usize>>,
    /// Elements of partial sums that the most demanding step needs.
    pub(super) partials: usize,
    /// Chunks of the loss's sums.
    pub(super) sums: usize,
    /// Elements of scratch a thread needs.
    pub(super) scratch: usize,
    /// Elements that the library beneath products keeps for each thread: operands in the order in which it reads them.
    pub(super) packed: usize,
    /// Columns of the batch that hold ids, and what these must be below.
    pub(super) limits: Vec<(usize, usize)>,
}

impl Lowered {
    pub(super) fn new(schedule: Schedule) -> Self {
        let cuts: Vec<Cut> = schedule.steps.iter().map(cut).collect();
        let (mut jobs, mut partials, mut sums, mut scratch, mut packed) = (Vec::new(), 0, 0, 0, 0);
        let mut limits = Vec::new();
        for (i, (step, cut)) in schedule.steps.iter().zip(&cuts).enumerate() {
            jobs.extend((0..cut.blocks()).map(|block| Job { step: i, adds_up: false, block, tiles: cut.tiles() }));
            let partial = partial_elements(step, cut);
            if partial > 0 {
                partials = partials.max(partial * cut.chunks());
                let tiles = (partial * cut.chunks() / ADDED_ELEMENTS).clamp(1, MOST_CHUNKS);
                jobs.push(Job { step: i, adds_up: true, block: 0, tiles });
            }
            if matches!(step.root, Root::Loss { .. }) {
                sums = sums.max(cut.tiles());
            }
            scratch = scratch.max(scratch_elements(step, cut));
            packed = packed.max(packed_elements(cut));
            limits.extend(limit(step));
        }
        let stages = stages(&jobs);
        Lowered { schedule, cuts, jobs, stages, partials, sums, scratch, packed, limits }
    }
}

/// Jobs of one tile that follow each other need no meeting in between: one thread does them.
fn stages(jobs: &[Job]) -> Vec<Range<usize>> {
    let mut stages: Vec<Range<usize>> = Vec::new();
    for (i, job) in jobs.iter().enumerate() {
        match stages.last_mut() {
            Some(last) if job.tiles == 1 && jobs[last.end - 1].tiles == 1 => last.end = i + 1,
            _ => stages.push(i..i + 1),
        }
    }
    stages
}

impl Cut {
    /// Number of partial sums, where a step has them: one a tile, but for those whose tiles share one.
    pub(super) fn chunks(&self) -> usize {
        match self {
            Cut::Conv(shape, Pass::Weight) => shape.chunks(),
            _ => self.tiles(),
        }
    }

    /// Number of jobs over the same tiles, one after the other.
    fn blocks(&self) -> usize {
        match self {
            Cut::Product(tiling) => tiling.blocks(),
            _ => 1,
        }
    }

    /// Number of tiles.
    pub(super) fn tiles(&self) -> usize {
        match self {
            Cut::Product(tiling) => tiling.count(),
            Cut::Rows { rows, each, .. } | Cut::Rope { rows, each, .. } => rows.div_ceil(*each).max(1),
            Cut::Columns { columns, each } => columns.div_ceil(*each).max(1),
            Cut::Attention(shape) => shape.units(),
            Cut::Conv(shape, pass) => shape.tiles(*pass),
            Cut::Whole => 1,
        }
    }
}

/// A tile's part of `total`.
pub(super) fn part(total: usize, each: usize, tile: usize) -> Range<usize> {
    let from = (tile * each).min(total);
    from..(from + each).min(total)
}

fn rows(rows: usize, columns: usize, most: usize) -> Cut {
    let each = rows.div_ceil(most).max(LEAST_ELEMENTS.div_ceil(columns.max(1))).max(1);
    Cut::Rows { rows, columns, each }
}

fn columns(columns: usize, parts: usize) -> Cut {
    Cut::Columns { columns, each: columns.div_ceil(parts.max(1)).next_multiple_of(16).max(1) }
}

/// `[B, H, W, C]`
fn image(tensor: &Tensor) -> [usize; 4] {
    let s = &tensor.shape;
    [s[0], s[1], s[2], s[3]]
}

fn conv(images: &Tensor, kernel: &Tensor) -> conv::Shape {
    let ([samples, height, width, _], [outputs, side, _, inputs]) = (image(images), image(kernel));
    conv::Shape { images: samples, height, width, inputs, outputs, kernel: side }
}

pub(super) fn attention_shape(qkv: &Tensor, heads: usize, kv_heads: usize) -> attention::Shape {
    let head_dim = qkv.shape[2] / (heads + 2 * kv_heads);
    attention::Shape { samples: qkv.shape[0], length: qkv.shape[1], heads, kv_heads, head_dim }
}

fn cut(step: &Step) -> Cut {
    let by_rows = |tensor: &Tensor, most: usize| {
        let (r, c) = tensor.rows_columns();
        rows(r, c, most)
    };
    // Samples are the rows of images.
    let by_sample =
        |tensor: &Tensor, most: usize| rows(tensor.shape[0], tensor.elements() / tensor.shape[0].max(1), most);
    let op = match &step.root {
        Root::Map => return by_rows(&step.outputs[0], MOST_TILES),
        Root::Loss { .. } => return by_rows(&step.inputs[0], MOST_CHUNKS),
        Root::LastQuery { .. } => return by_sample(&step.inputs[0], MOST_TILES),
        Root::Op(op) => op,
    };
    match *op {
        Op::MatMul { trans_a, trans_b } => {
            let ((rows, depth), (b_rows, b_columns)) = (step.inputs[0].rows_columns(), step.inputs[1].rows_columns());
            let (m, k) = if trans_a { (depth, rows) } else { (rows, depth) };
            let n = if trans_b { b_rows } else { b_columns };
            Cut::Product(Tiling::new((m, n, k), trans_a))
        }
        Op::SumLeading => {
            let out = step.outputs[0].elements();
            if out >= WIDE {
                return columns(out, step.inputs[0].elements() / LEAST_ELEMENTS.max(1) + 1);
            }
            rows(step.inputs[0].elements() / out.max(1), out, MOST_CHUNKS)
        }
        Op::LayerNormGrad | Op::RmsNormGrad => by_rows(&step.inputs[0], MOST_CHUNKS),
        Op::GroupNorm { .. } => by_sample(&step.inputs[0], MOST_TILES),
        Op::GroupNormGrad { .. } => by_sample(&step.inputs[0], MOST_CHUNKS),
        Op::LayerNorm { .. } | Op::RmsNorm { .. } | Op::QkNorm { .. } | Op::QkNormGrad { .. } => {
            by_rows(&step.inputs[0], MOST_TILES)
        }
        Op::Embedding | Op::Swiglu => by_rows(&step.outputs[0], MOST_TILES),
        Op::SwigluGrad => by_rows(&step.inputs[1], MOST_TILES),
        Op::EmbeddingGrad => {
            let (_, width) = step.outputs[0].rows_columns();
            columns(width, (step.inputs[1].elements() / LEAST_ELEMENTS).clamp(1, 8))
        }
        Op::Rope { head_dim, base, inverse, .. } => {
            let (r, c) = step.inputs[0].rows_columns();
            let Cut::Rows { rows, columns, each } = rows(r, c, MOST_TILES) else { return Cut::Whole };
            let table = tokens::rope_table(step.inputs[0].shape[1], head_dim, base, inverse);
            Cut::Rope { rows, columns, each, table }
        }
        Op::Attention { .. } | Op::AttentionGrad { .. } if step.inputs[0].shape[1] <= SHORT => {
            by_sample(&step.inputs[0], MOST_TILES)
        }
        Op::Attention { heads, kv_heads } | Op::AttentionGrad { heads, kv_heads } => {
            Cut::Attention(attention_shape(&step.inputs[0], heads, kv_heads))
        }
        Op::Conv2d => Cut::Conv(conv(&step.inputs[0], &step.inputs[1]), Pass::Forward),
        Op::Conv2dGradInput => Cut::Conv(conv(&step.inputs[1], &step.inputs[0]), Pass::Input),
        Op::Conv2dGradWeight => Cut::Conv(conv(&step.inputs[0], &step.outputs[0]), Pass::Weight),
        Op::LastToken | Op::MaxPool2 | Op::MeanPool2 | Op::MeanPixels => by_sample(&step.inputs[0], MOST_TILES),
        Op::LastTokenGrad | Op::MaxPool2Grad | Op::MeanPool2Grad | Op::MeanPixelsGrad => {
            by_sample(&step.outputs[0], MOST_TILES)
        }
        _ => Cut::Whole,
    }
}

/// Elements of the partial sums of one tile; 0 for steps without.
pub(super) fn partial_elements(step: &Step, cut: &Cut) -> usize {
    match (&step.root, cut) {
        (Root::Op(Op::SumLeading), Cut::Rows { columns, .. }) => *columns,
        (Root::Op(Op::LayerNormGrad | Op::GroupNormGrad { .. }), _) => 2 * step.inputs[1].elements(),
        (Root::Op(Op::RmsNormGrad), _) => step.inputs[1].elements(),
        (Root::Op(Op::Conv2dGradWeight), _) if cut.chunks() > 1 => step.outputs[0].elements(),
        _ => 0,
    }
}

fn scratch_elements(step: &Step, cut: &Cut) -> usize {
    match (&step.root, cut) {
        (_, Cut::Attention(shape)) => shape.scratch(),
        (
            Root::LastQuery { heads, kv_heads, .. }
            | Root::Op(Op::Attention { heads, kv_heads } | Op::AttentionGrad { heads, kv_heads }),
            _,
        ) => attention_shape(&step.inputs[0], *heads, *kv_heads).short_scratch(),
        (_, Cut::Conv(shape, pass)) => shape.scratch(*pass),
        (Root::Op(Op::GroupNorm { .. } | Op::GroupNormGrad { .. }), _) => 2 * step.inputs[1].elements(),
        _ => 0,
    }
}

fn packed_elements(cut: &Cut) -> usize {
    match cut {
        Cut::Product(tiling) => gemm::packed_elements(tiling.tile_columns, tiling.depth),
        Cut::Conv(shape, Pass::Forward) => gemm::packed_elements(shape.outputs, shape.taps()),
        Cut::Conv(shape, Pass::Input) => gemm::packed_elements(shape.inputs, shape.patch(Pass::Input)),
        Cut::Conv(shape, Pass::Weight) => {
            gemm::packed_elements(shape.taps(), shape.portion(Pass::Weight) * shape.pixels())
        }
        _ => 0,
    }
}

/// What a step's ids must be below, where they come from the batch.
fn limit(step: &Step) -> Option<(usize, usize)> {
    let (ids, below) = match &step.root {
        Root::Op(Op::Embedding) => (&step.inputs[1], step.inputs[0].shape[0]),
        Root::Loss { kind: LossKind::CrossEntropy { .. }, .. } => (&step.inputs[1], step.inputs[0].rows_columns().1),
        _ => return None,
    };
    match ids.place {
        Place::Batch(index) => Some((index, below)),
        _ => None,
    }
}
