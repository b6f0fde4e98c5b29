//! Recomputation: cheap results of the forward pass are computed again for the backward pass instead of being kept.
//!
//! Kept from the forward pass are the inputs of backward ops. Where such an input is the result of an op that is cheap
//! beside a matrix product (an activation, a norm, dropout) on values that the backward pass needs anyway, the op is done
//! again right before its first use there. Arithmetic and order stay the same, and so do all bits; attention, products and
//! convolutions are never done twice. (Selective recomputation: Korthikanti et al. 2022, arXiv 2205.05198, section 5.)

use super::{Node, Op, Program, ValueId};
use crate::config::Activation;
use std::collections::BTreeMap;

/// The same program with cheap values computed again where its backward part reads them.
pub(super) fn recompute(program: &Program) -> Program {
    let is_loss = |node: &Node| matches!(node.op, Op::CrossEntropy { .. } | Op::SquaredError);
    let Some(boundary) = program.nodes.iter().position(is_loss) else { return program.clone() };
    let mut pass = Pass::new(program, boundary);
    for position in 0..program.nodes.len() {
        if position > boundary {
            pass.rewrite(position);
        } else {
            pass.nodes.push(program.nodes[position].clone());
        }
    }
    let (nodes, values) = (pass.nodes, pass.values);
    Program { nodes, values, ..program.clone() }
}

struct Pass<'p> {
    program: &'p Program,
    boundary: usize,
    /// Position of the node that makes a value.
    maker: BTreeMap<ValueId, usize>,
    /// Whether a value is read behind the boundary by what keeps it whatever is done here: a backward op that wants the
    /// input of its forward op.
    kept: Vec<bool>,
    /// Values that were computed again, by what they are copies of.
    again: BTreeMap<ValueId, ValueId>,
    nodes: Vec<Node>,
    values: Vec<super::Value>,
}

impl<'p> Pass<'p> {
    fn new(program: &'p Program, boundary: usize) -> Self {
        let mut maker = BTreeMap::new();
        for (position, node) in program.nodes.iter().enumerate() {
            maker.extend(node.outputs.iter().map(|output| (*output, position)));
        }
        let mut kept = vec![false; program.values.len()];
        for node in &program.nodes[boundary..] {
            node.inputs.iter().for_each(|input| kept[input.0] = true);
        }
        for (_, value) in &program.outputs {
            kept[value.0] = true;
        }
        let (nodes, values) = (Vec::new(), program.values.clone());
        let mut pass = Pass { program, boundary, maker, kept, again: BTreeMap::new(), nodes, values };
        // What can be had again need not be kept; whoever depends on it has to ask for it again in turn. Later values first,
        // so that a chain of cheap ops is judged from its end.
        for value in (0..program.values.len()).rev().map(ValueId) {
            if pass.kept[value.0] && pass.forward(value) && pass.can_be_had_without(value) {
                pass.kept[value.0] = false;
            }
        }
        pass
    }

    fn forward(&self, value: ValueId) -> bool {
        self.maker.get(&value).is_some_and(|position| *position < self.boundary)
    }

    /// Whether a value can be computed from others that are kept, cheaply.
    fn can_be_had_without(&self, value: ValueId) -> bool {
        let Some(node) = self.maker.get(&value).map(|position| &self.program.nodes[*position]) else { return false };
        // Statistics of a norm are small.
        node.outputs[0] == value && cheap(&node.op) && node.inputs.iter().all(|input| self.at_hand(*input, node))
    }

    fn at_hand(&self, value: ValueId, reader: &Node) -> bool {
        let Some(node) = self.maker.get(&value).map(|position| &self.program.nodes[*position]) else { return true };
        matches!(node.op, Op::State(_) | Op::Batch(_) | Op::Host(_))
            || self.kept[value.0]
            // A chain: dropout of an activation.
            || (reader.op != node.op && self.can_be_had_without(value))
    }

    /// Adds a node of the backward part, its inputs computed again before it where they are not kept.
    fn rewrite(&mut self, position: usize) {
        let mut node = self.program.nodes[position].clone();
        for input in &mut node.inputs {
            if self.forward(*input) && !self.kept[input.0] && self.can_be_had_without(*input) {
                *input = self.once_more(*input);
            }
        }
        self.nodes.push(node);
    }

    fn once_more(&mut self, value: ValueId) -> ValueId {
        if let Some(copy) = self.again.get(&value) {
            return *copy;
        }
        let mut node = self.program.nodes[self.maker[&value]].clone();
        for input in &mut node.inputs {
            let leaf = matches!(self.program.nodes[self.maker[input]].op, Op::State(_) | Op::Batch(_) | Op::Host(_));
            if !leaf && !self.kept[input.0] {
                *input = self.once_more(*input);
            }
        }
        for output in &mut node.outputs {
            self.values.push(self.program.values[output.0].clone());
            *output = ValueId(self.values.len() - 1);
        }
        let copy = node.outputs[0];
        self.nodes.push(node);
        self.again.insert(value, copy);
        copy
    }
}

/// Ops that take little time beside the products around them. ReLU and tanh are not among them: their slopes are told from
/// their results, which are kept for that.
fn cheap(op: &Op) -> bool {
    match op {
        Op::Activate(f) => matches!(f, Activation::Gelu | Activation::Silu | Activation::ReluSquared),
        Op::Swiglu | Op::Dropout { .. } => true,
        Op::LayerNorm { .. } | Op::RmsNorm { .. } => true,
        _ => false,
    }
}
