//! Checks of whole programs: order, arity, shapes, and that what is read and written fits the state.

use super::{DType, Node, Op, Program, StateRole, StepPrograms, Value, ValueId};
use std::collections::BTreeMap;

impl Program {
    /// Checks every node (inputs made earlier, arity, shapes and element types by the op's rule), the batch inputs,
    /// the writes and the outputs.
    ///
    /// Errors: one line with the program, the node and its operands. A program that [`super::build`] returned never fails.
    pub fn verify(&self) -> Result<(), String> {
        let mut made = vec![false; self.values.len()];
        let mut state: BTreeMap<usize, &[usize]> = BTreeMap::new();
        for (position, node) in self.nodes.iter().enumerate() {
            let fail = |reason: String| format!("{} node {position}: {reason}", self.name);
            self.verify_node(node, &made).map_err(fail)?;
            for output in &node.outputs {
                if std::mem::replace(&mut made[output.0], true) {
                    return Err(fail(format!("{output} is made twice")));
                }
            }
            if let Op::State(index) = node.op {
                let shape = &self.values[node.outputs[0].0].shape;
                if state.insert(index, shape).is_some_and(|other| other != shape) {
                    return Err(fail(format!("state {index} is read with two shapes, one of them {shape:?}")));
                }
            }
        }
        if let Some(never) = made.iter().position(|made| !made) {
            return Err(format!("{}: {} {} is never made", self.name, ValueId(never), self.values[never]));
        }
        let mut written = BTreeMap::new();
        for &(index, value) in &self.writes {
            let new = self.made_value(value)?;
            if new.dtype != DType::F32 {
                return Err(format!("{}: state {index} is written with {new}; the state is f32", self.name));
            }
            if let Some(old) = state.get(&index)
                && *old != new.shape
            {
                return Err(format!("{}: state {index} {old:?} is written with {new}", self.name));
            }
            if let Some(earlier) = written.insert(index, value) {
                return Err(format!("{}: state {index} is written twice, with {earlier} and {value}", self.name));
            }
        }
        for &(name, value) in &self.outputs {
            let output = self.made_value(value)?;
            if !output.shape.is_empty() || output.dtype != DType::F32 {
                return Err(format!("{}: output {name} is {output}, not a scalar", self.name));
            }
        }
        Ok(())
    }

    fn made_value(&self, id: ValueId) -> Result<&Value, String> {
        self.values.get(id.0).ok_or_else(|| format!("{}: {id} of {} values", self.name, self.values.len()))
    }

    fn verify_node(&self, node: &Node, made: &[bool]) -> Result<(), String> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &input in &node.inputs {
            if !made.get(input.0).copied().unwrap_or(false) {
                return Err(format!("{} reads {input} before it is made", node.op));
            }
            inputs.push(&self.values[input.0]);
        }
        let mut outputs = Vec::with_capacity(node.outputs.len());
        for &output in &node.outputs {
            outputs.push(self.made_value(output)?.clone());
        }
        let Some(declared) = outputs.first() else {
            return Err(format!("{} makes nothing", node.op));
        };
        if let Op::Batch(index) = node.op {
            let input = self.batch.get(index).ok_or_else(|| format!("batch input {index} of {}", self.batch.len()))?;
            if input.shape != declared.shape || input.dtype != declared.dtype {
                return Err(format!("batch input {} {:?} is read as {declared}", input.name, input.shape));
            }
        }
        let inferred = node.op.infer(&inputs, declared)?;
        if inferred != outputs {
            let list = |values: &[Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(format!("{} makes ({}), not ({})", node.op, list(&inferred), list(&outputs)));
        }
        Ok(())
    }
}

impl StepPrograms {
    /// Checks the three programs, and all that they read and write, against the state.
    ///
    /// Errors: one line that names the program and the tensor.
    pub fn verify(&self) -> Result<(), String> {
        let count = self.state.tensors.len();
        for (index, tensor) in self.state.tensors.iter().enumerate() {
            if let StateRole::Grad(of) | StateRole::Slot(of) | StateRole::Ema(of) = tensor.role {
                let param = self.state.tensors.get(of).filter(|p| matches!(p.role, StateRole::Param { .. }));
                if param.is_none_or(|p| p.shape != tensor.shape) {
                    return Err(format!("state {index} {} {:?} belongs to no parameter", tensor.name, tensor.shape));
                }
            }
        }
        for program in [&self.micro, &self.apply, &self.eval] {
            program.verify()?;
            let reads = program.nodes.iter().filter_map(|node| match node.op {
                Op::State(index) => Some((index, node.outputs[0])),
                _ => None,
            });
            for (index, value) in reads.chain(program.writes.iter().copied()) {
                let value = &program.values[value.0];
                let Some(tensor) = self.state.tensors.get(index) else {
                    return Err(format!("{}: state {index} of {count}", program.name));
                };
                if tensor.shape != value.shape {
                    let (name, shape) = (&tensor.name, &tensor.shape);
                    return Err(format!("{}: state {index} {name} {shape:?} is used as {value}", program.name));
                }
            }
        }
        Ok(())
    }
}
