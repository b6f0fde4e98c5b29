//! Values that are parts of gradients: the steps that make them write into the gradients' buffers.

use super::{Fuser, Source};
use crate::graph::{Op, StateRole};

impl Fuser<'_> {
    /// Finds the additions into gradient buffers and the loss sum; their parts go there directly.
    pub(super) fn gradients(&mut self) {
        for &(index, value) in &self.program.writes {
            let value = self.root_of(value);
            let Some((position, node)) = self.maker(value).filter(|(_, n)| n.op == Op::Add) else { continue };
            let accumulated = node.inputs.iter().position(|i| self.source[i.0] == Source::State(index));
            let Some(old) = accumulated else { continue };
            let sum = self.root_of(node.inputs[1 - old]);
            match self.spec.tensors[index].role {
                StateRole::Grad(_) => {
                    self.covered[position] = true;
                    self.kept[value] = false;
                    let mut parts = Vec::new();
                    self.parts(sum, &mut parts);
                    parts.sort_by_key(|&part| self.maker(part).map(|(position, _)| position));
                    for (i, part) in parts.into_iter().enumerate() {
                        self.sinks.insert(part, (index, i == 0));
                    }
                }
                StateRole::LossSum => {
                    self.covered[position] = true;
                    self.kept[value] = false;
                }
                _ => {}
            }
        }
    }

    /// The terms of a sum that is used for nothing else.
    fn parts(&mut self, value: usize, parts: &mut Vec<usize>) {
        let sum = self.maker(value).filter(|(_, n)| n.op == Op::Add && self.readers[value].len() == 1);
        match sum {
            Some((position, node)) if node.inputs.iter().all(|i| self.can_sink(self.root_of(*i))) => {
                self.covered[position] = true;
                for input in node.inputs.clone() {
                    let input = self.root_of(input);
                    self.parts(input, parts);
                }
            }
            _ => parts.push(value),
        }
    }

    /// Whether a value is made by an op that can write into a gradient buffer, or is a sum of such, and nobody else reads it.
    fn can_sink(&self, value: usize) -> bool {
        if self.readers[value].len() != 1 || self.kept[value] {
            return false;
        }
        self.maker(value).is_some_and(|(_, node)| match node.op {
            Op::Add => node.inputs.iter().all(|i| self.can_sink(self.root_of(*i))),
            ref op => sinks(op, node.outputs.iter().position(|o| o.0 == value).unwrap_or(0)),
        })
    }
}

/// Whether an op can write its output of this index into a gradient buffer, adding to what is there.
pub(super) fn sinks(op: &Op, output: usize) -> bool {
    match op {
        Op::MatMul { .. } | Op::SumLeading | Op::EmbeddingGrad | Op::Conv2dGradWeight => output == 0,
        Op::LayerNormGrad | Op::RmsNormGrad | Op::GroupNormGrad { .. } => output > 0,
        _ => false,
    }
}
