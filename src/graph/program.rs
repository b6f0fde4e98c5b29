//! Programs over static shapes, and the state they share.

use super::{Op, StateRole};
use crate::units::{Bytes, Flops};

/// A dense row-major shape; empty for a scalar.
pub type Shape = Vec<usize>;

/// Element type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// Real numbers; 4 bytes (the reference engine can compute them in f64 for tests).
    F32,
    /// Token ids, labels, indices; 4 bytes.
    U32,
}

/// Index of a value in [`Program::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub usize);

/// One tensor of a program.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Row-major shape.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

impl Value {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Size in memory.
    pub fn bytes(&self) -> Bytes {
        Bytes(4 * self.elements() as u64)
    }
}

/// One application of an op. Nodes are in execution order; every input is an output of an earlier node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Inputs, in the op's order.
    pub inputs: Vec<ValueId>,
    /// Outputs, in the op's order.
    pub outputs: Vec<ValueId>,
}

/// A tensor that the data hands to a program each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchInput {
    /// `input`, `target` or `weight`.
    pub name: &'static str,
    /// Shape with the (micro-)batch first.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

/// A pure function from state and inputs to new state and outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// `micro`, `apply` or `eval`.
    pub name: &'static str,
    /// All tensors.
    pub values: Vec<Value>,
    /// All operations, in execution order.
    pub nodes: Vec<Node>,
    /// What the data provides.
    pub batch: Vec<BatchInput>,
    /// State tensors that get a new value: (state index, value).
    pub writes: Vec<(usize, ValueId)>,
    /// Named scalars handed back to the host: `loss_sum`, `correct_sum`, `grad_norm`.
    pub outputs: Vec<(&'static str, ValueId)>,
}

/// One tensor of the state.
#[derive(Debug, Clone, PartialEq)]
pub struct StateTensor {
    /// Dotted name, unique, stable across versions: `blocks.0.qkv.weight`, `adam.m/blocks.0.qkv.weight`.
    pub name: String,
    /// Row-major shape; always f32.
    pub shape: Shape,
    /// What it is for.
    pub role: StateRole,
}

/// Everything that lives from step to step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StateSpec {
    /// In a fixed order: all parameters first.
    pub tensors: Vec<StateTensor>,
}

impl StateTensor {
    /// Whether it outlives a step: gradients and the running loss are zero then.
    pub fn is_kept(&self) -> bool {
        !matches!(self.role, StateRole::Grad(_) | StateRole::LossSum)
    }
}

impl StateSpec {
    /// Indices and tensors of the trained parameters.
    pub fn params(&self) -> impl Iterator<Item = (usize, &StateTensor)> {
        self.tensors.iter().enumerate().filter(|(_, t)| matches!(t.role, StateRole::Param { .. }))
    }

    /// Indices and tensors of what outlives a step: all but gradients and the running loss.
    pub fn kept(&self) -> impl Iterator<Item = (usize, &StateTensor)> {
        self.tensors.iter().enumerate().filter(|(_, t)| t.is_kept())
    }

    /// Number of trained numbers.
    pub fn parameter_count(&self) -> u64 {
        self.params().map(|(_, t)| t.shape.iter().product::<usize>() as u64).sum()
    }
}

/// The whole training step of one experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct StepPrograms {
    /// The state that the three programs share.
    pub state: StateSpec,
    /// Forward, loss, backward of one micro-batch; adds to the gradients and the loss sum.
    pub micro: Program,
    /// Clip, update, average; clears gradients and the loss sum. Outputs `grad_norm` and `loss_sum`.
    pub apply: Program,
    /// Forward and metrics of one padded evaluation batch. Outputs `loss_sum` and, for classes, `correct_sum`.
    pub eval: Program,
    /// Micro-batches in one step.
    pub micro_steps: usize,
    /// Samples in one micro-batch.
    pub micro_batch: usize,
    /// Targets (loss terms) in one sample: the context length for text, else 1.
    pub targets_per_sample: usize,
}

/// Work of one node: floating-point operations and bytes moved to and from memory at least once.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Work {
    /// Multiply-add counts as two.
    pub flops: Flops,
    /// Inputs read plus outputs written.
    pub bytes: Bytes,
}
