//! The step that begins at a node.

use super::gradients::sinks;
use super::{Draft, Fuser};
use crate::engine::plan::step::{LossKind, Root};
use crate::graph::Op;

impl Fuser<'_> {
    /// Drafts the step that begins at a node.
    pub(super) fn step_at(&mut self, position: usize) {
        let node = &self.program.nodes[position];
        if self.loss(position) || self.last_query(position) {
            return;
        }
        let inputs: Vec<usize> = node.inputs.iter().map(|i| i.0).collect();
        let outputs: Vec<usize> = node.outputs.iter().map(|o| o.0).collect();
        self.covered[position] = true;
        let mut draft = Draft {
            root: Root::Op(node.op.clone()),
            inputs,
            outputs,
            sinks: Vec::new(),
            tail: Vec::new(),
            nodes: vec![position],
            in_place: None,
        };
        if let Some((stream, stage)) = self.stage(node, None) {
            draft.root = Root::Map;
            draft.inputs = vec![stream];
            draft.tail.push(stage);
            draft.in_place = Some(stream);
        } else if matches!(node.op, Op::Rope { .. }) {
            draft.in_place = Some(self.root[draft.inputs[0]]);
        }
        if carries_tail(&draft.root) {
            self.grow(&mut draft);
        }
        self.finish(draft);
    }

    /// Drafts loss, sums and gradient in one, if a loss begins here.
    fn loss(&mut self, position: usize) -> bool {
        let node = &self.program.nodes[position];
        let kind = match node.op {
            Op::CrossEntropy { smoothing } => LossKind::CrossEntropy { smoothing },
            Op::SquaredError => LossKind::SquaredError,
            _ => return false,
        };
        let (prediction, target) = (self.root_of(node.inputs[0]), self.root_of(node.inputs[1]));
        let mut nodes = vec![position];
        let (mut weight, mut gradient, mut correct) = (None, None, false);
        for (p, other) in self.program.nodes.iter().enumerate().skip(position + 1) {
            let reads = |i: usize, value: usize| other.inputs.get(i).is_some_and(|v| self.root_of(*v) == value);
            match other.op {
                Op::WeightedSum if reads(0, node.outputs[0].0) => weight = Some(self.root_of(other.inputs[1])),
                Op::CrossEntropyGrad { scale, .. } | Op::SquaredErrorGrad { scale }
                    if reads(0, prediction) && reads(1, target) =>
                {
                    gradient = Some((scale, other.outputs[0].0));
                }
                Op::CorrectSum if reads(0, prediction) && reads(1, target) => correct = true,
                _ => continue,
            }
            nodes.push(p);
        }
        let Some(weight) = weight else { return false };
        nodes.iter().for_each(|&p| self.covered[p] = true);
        for output in nodes.iter().flat_map(|&p| &self.program.nodes[p].outputs) {
            self.kept[output.0] = false;
        }
        let root = Root::Loss { kind, gradient: gradient.map(|(scale, _)| scale), correct };
        let outputs: Vec<usize> = gradient.iter().map(|(_, value)| *value).collect();
        let in_place = gradient.map(|_| prediction);
        let inputs = vec![node.inputs[0].0, node.inputs[1].0, weight];
        self.finish(Draft { root, inputs, outputs, sinks: Vec::new(), tail: Vec::new(), nodes, in_place });
        true
    }

    /// Drafts attention of the last query, if this node is a part of it.
    fn last_query(&mut self, position: usize) -> bool {
        let Some(last) = self.last.clone() else { return false };
        let nodes = &self.program.nodes;
        let (reads, makes, covers) = match last.grads {
            _ if position == last.attention => {
                (nodes[position].inputs.clone(), nodes[last.last].outputs[0], vec![position, last.last])
            }
            // Its gradient is drafted where attention's is.
            Some((spread, _)) if position == spread => return true,
            Some((spread, grad)) if position == grad => {
                (vec![nodes[grad].inputs[0], nodes[spread].inputs[0]], nodes[grad].outputs[0], vec![spread, grad])
            }
            _ => return false,
        };
        let (Op::Attention { heads, kv_heads } | Op::AttentionGrad { heads, kv_heads }) = nodes[position].op else {
            return false;
        };
        covers.iter().for_each(|&p| self.covered[p] = true);
        self.finish(Draft {
            root: Root::LastQuery { heads, kv_heads, gradient: position != last.attention },
            inputs: reads.iter().map(|v| v.0).collect(),
            outputs: vec![makes.0],
            sinks: Vec::new(),
            tail: Vec::new(),
            nodes: covers,
            in_place: None,
        });
        true
    }

    fn finish(&mut self, mut draft: Draft) {
        let op = match &draft.root {
            Root::Op(op) if draft.tail.is_empty() => Some(op.clone()),
            _ => None,
        };
        draft.sinks = (0..draft.outputs.len())
            .map(|i| {
                let alone = self.readers[draft.outputs[i]].len() == 1;
                let able = alone && op.as_ref().is_some_and(|op| sinks(op, i));
                self.sinks.get(&draft.outputs[i]).copied().filter(|_| able)
            })
            .collect();
        for (i, &output) in draft.outputs.iter().enumerate() {
            if draft.sinks[i].is_none() {
                self.made[output] = true;
            }
        }
        let left: Vec<(usize, (usize, bool))> = draft
            .outputs
            .iter()
            .enumerate()
            .filter(|(i, _)| draft.sinks[*i].is_none())
            .filter_map(|(_, value)| Some((*value, *self.sinks.get(value)?)))
            .collect();
        self.drafts.push(draft);
        // A part of a gradient that its maker cannot add itself is added by a step of its own.
        for (value, sink) in left {
            self.drafts.push(Draft {
                root: Root::Map,
                inputs: vec![value],
                outputs: vec![value],
                sinks: vec![Some(sink)],
                tail: Vec::new(),
                nodes: Vec::new(),
                in_place: None,
            });
        }
    }
}

/// Whether a root's first output passes by in pieces that a tail can work on.
fn carries_tail(root: &Root) -> bool {
    match root {
        Root::Map => true,
        Root::Op(op) => matches!(
            op,
            Op::MatMul { .. }
                | Op::Conv2d
                | Op::Conv2dGradInput
                | Op::LayerNorm { .. }
                | Op::RmsNorm { .. }
                | Op::LayerNormGrad
                | Op::RmsNormGrad
                | Op::Embedding
        ),
        Root::Loss { .. } | Root::LastQuery { .. } => false,
    }
}
