//! Fused steps over fixed places.

use crate::config::Activation;
use crate::graph::{DType, Op, Work};
use crate::units::Flops;

/// Where a tensor's first element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the arena, as an offset in elements of 4 bytes.
    Arena(usize),
    /// In the flat state, as an offset in elements.
    State(usize),
    /// A column of the batch.
    Batch(usize),
}

/// A tensor at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Where.
    pub place: Place,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// Element type; 4 bytes either way.
    pub dtype: DType,
}

impl Tensor {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// All leading dimensions together, and the last.
    pub fn rows_columns(&self) -> (usize, usize) {
        let columns = self.shape.last().copied().unwrap_or(1);
        (self.elements() / columns.max(1), columns)
    }
}

/// How an output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// It replaces what was there.
    Set,
    /// It is added to what is there: a later part of a gradient.
    Add,
    /// It replaces in the first micro-batch of a step and is added in the others: the first part of a gradient, whose
    /// buffer therefore never has to be cleared.
    Gradient,
}

/// What is done to a root's output while it is at hand, element by element, in order. `y` is the current value.
#[derive(Debug, Clone, PartialEq)]
pub enum Tail {
    /// `y + bias`, the bias repeating over the elements.
    Bias(Tensor),
    /// `y + other`.
    Add(Tensor),
    /// `factor y`.
    Scale(f32),
    /// `f(y)`.
    Activate(Activation),
    /// `f(y)`; the slope `f'(y)` is kept for the backward pass.
    ActivateKeepSlope(Activation, Tensor),
    /// `x y`: with a slope that was kept.
    Multiply(Tensor),
    /// `f'(x) y`.
    ActivateGrad(Activation, Tensor),
    /// `f'(x) y` with the slope told from `f(x)`.
    ActivateGradFromOutput(Activation, Tensor),
    /// Zeroes at random and scales the rest.
    Dropout {
        /// Probability of zeroing.
        p: f32,
        /// Dropout site of the model.
        site: u32,
        /// Elements of one sample.
        sample: usize,
    },
    /// Keeps `y` for a later step.
    Store(Tensor),
}

impl Tail {
    /// The tensor it reads or writes, if any.
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Tail::Bias(t) | Tail::Add(t) | Tail::Multiply(t) | Tail::Store(t) => Some(t),
            Tail::ActivateGrad(_, t) | Tail::ActivateGradFromOutput(_, t) | Tail::ActivateKeepSlope(_, t) => Some(t),
            Tail::Scale(_) | Tail::Activate(_) | Tail::Dropout { .. } => None,
        }
    }
}

/// What a fused loss computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LossKind {
    /// Cross-entropy with label smoothing.
    CrossEntropy {
        /// The smoothing.
        smoothing: f32,
    },
    /// Mean squared error.
    SquaredError,
}

/// What a step begins with.
#[derive(Debug, Clone, PartialEq)]
pub enum Root {
    /// An op of the graph with its own inputs and outputs.
    Op(Op),
    /// Reads its one input; everything it does is in the tail.
    Map,
    /// Weighted loss sum, with the gradient or the count of right predictions in the same pass over the rows.
    /// Inputs: predictions, targets, weights. Outputs: the gradient, if any.
    Loss {
        /// Which.
        kind: LossKind,
        /// Normalisation of the gradient; none where only the sums are wanted.
        gradient: Option<f32>,
        /// Whether right predictions are counted.
        correct: bool,
    },
    /// Causal attention of the last position's queries alone. Inputs: `qkv [B,T,..]` and, for the gradient, `dy [B,C]`.
    /// Output: `y [B,C]`, or `dqkv`.
    LastQuery {
        /// Query heads.
        heads: usize,
        /// Key/value heads.
        kv_heads: usize,
        /// Backward.
        gradient: bool,
    },
}

/// One fused step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it begins with.
    pub root: Root,
    /// The root's inputs.
    pub inputs: Vec<Tensor>,
    /// The root's outputs; the tail's end is in the first.
    pub outputs: Vec<Tensor>,
    /// How each output is written.
    pub into: Vec<Into>,
    /// What happens to the first output on the way.
    pub tail: Vec<Tail>,
    /// Positions of the graph's nodes that this step covers.
    pub nodes: Vec<usize>,
    /// Operations of those nodes, and the bytes that this step moves.
    pub work: Work,
    /// Of the operations, those of the tail.
    pub tail_flops: Flops,
}

/// A program as fused steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// `micro` or `eval`.
    pub name: &'static str,
    /// In order.
    pub steps: Vec<Step>,
    /// Elements of the arena.
    pub arena: usize,
    /// Elements of the same values if none shared memory, for comparison.
    pub unshared: usize,
}
