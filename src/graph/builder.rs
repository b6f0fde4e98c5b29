//! Appends nodes to a program, with shapes from the ops' rules.

use super::{BatchInput, DType, Node, Op, Program, Shape, Value, ValueId};
use crate::problem::{Problem, Result};
use std::collections::BTreeMap;

/// Largest tensor that programs may contain (4 TiB); sizes beyond it are refused before a product of sizes can overflow.
const MAX_ELEMENTS: usize = 1 << 40;

/// A program under construction.
pub(super) struct Builder {
    program: Program,
    /// A state tensor is read by one node, however often it is used.
    state: BTreeMap<usize, ValueId>,
}

impl Builder {
    pub(super) fn new(name: &'static str) -> Self {
        let program = Program { name, values: vec![], nodes: vec![], batch: vec![], writes: vec![], outputs: vec![] };
        Builder { program, state: BTreeMap::new() }
    }

    /// Appends a node and returns its outputs. `declared` is the first output's shape, needed only by ops whose inputs
    /// leave it open.
    ///
    /// Errors: a usage problem if a tensor gets too large; a failure with all operands if shapes do not fit, which the
    /// checks before building should have made impossible.
    pub(super) fn push(&mut self, op: Op, inputs: &[ValueId], declared: &[usize]) -> Result<Vec<ValueId>> {
        self.push_typed(op, inputs, Value { shape: declared.to_vec(), dtype: DType::F32 })
    }

    fn push_typed(&mut self, op: Op, inputs: &[ValueId], declared: Value) -> Result<Vec<ValueId>> {
        check_elements(&declared.shape)?;
        let operands: Vec<&Value> = inputs.iter().map(|id| &self.program.values[id.0]).collect();
        let made = op
            .infer(&operands, &declared)
            .map_err(|e| Problem::failed(format!("the {} program cannot be built: {e}", self.program.name)))?;
        let mut outputs = Vec::with_capacity(made.len());
        for value in made {
            check_elements(&value.shape)?;
            outputs.push(ValueId(self.program.values.len()));
            self.program.values.push(value);
        }
        self.program.nodes.push(Node { op, inputs: inputs.to_vec(), outputs: outputs.clone() });
        Ok(outputs)
    }

    /// Appends a node and returns its first output.
    pub(super) fn one(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        Ok(self.push(op, inputs, &[])?[0])
    }

    /// Appends a node whose output shape is declared and returns its output.
    pub(super) fn shaped(&mut self, op: Op, inputs: &[ValueId], shape: &[usize]) -> Result<ValueId> {
        Ok(self.push(op, inputs, shape)?[0])
    }

    /// The value of a state tensor.
    pub(super) fn state(&mut self, index: usize, shape: &[usize]) -> Result<ValueId> {
        if let Some(&value) = self.state.get(&index) {
            return Ok(value);
        }
        let value = self.shaped(Op::State(index), &[], shape)?;
        self.state.insert(index, value);
        Ok(value)
    }

    /// A new batch input.
    pub(super) fn batch(&mut self, name: &'static str, shape: Shape, dtype: DType) -> Result<ValueId> {
        let index = self.program.batch.len();
        self.program.batch.push(BatchInput { name, shape: shape.clone(), dtype });
        Ok(self.push_typed(Op::Batch(index), &[], Value { shape, dtype })?[0])
    }

    /// Sets a state tensor's new value.
    pub(super) fn write(&mut self, state: usize, value: ValueId) {
        self.program.writes.push((state, value));
    }

    /// Hands a scalar back to the host.
    pub(super) fn output(&mut self, name: &'static str, value: ValueId) {
        self.program.outputs.push((name, value));
    }

    pub(super) fn shape(&self, value: ValueId) -> Shape {
        self.program.values[value.0].shape.clone()
    }

    /// The nodes so far.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.program.nodes
    }

    /// Number of values so far.
    pub(super) fn value_count(&self) -> usize {
        self.program.values.len()
    }

    pub(super) fn finish(self) -> Program {
        self.program
    }
}

fn check_elements(shape: &[usize]) -> Result<()> {
    let elements = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match elements {
        Some(n) if n <= MAX_ELEMENTS => Ok(()),
        _ => Err(Problem::usage(format!("a tensor of shape {shape:?} has more than 2^40 elements"))
            .at("model")
            .remedy("make the model, the context or the (micro-)batch smaller")),
    }
}
