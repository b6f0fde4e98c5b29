//! The element-wise nodes that a step takes in.

use super::{Draft, Fuser, Source};
use crate::config::Activation;
use crate::engine::plan::step::{Tail, Tensor};
use crate::graph::{Node, Op};

/// Stages of a tail at most.
pub(in crate::engine) const MAX_TAIL: usize = 12;

/// A tail stage whose tensors are still values.
pub(super) enum Stage {
    Bias(usize),
    Add(usize),
    Scale(f32),
    Activate(Activation),
    /// The slope takes the place of the input.
    ActivateKeepSlope(Activation, usize),
    Multiply(usize),
    ActivateGrad(Activation, usize),
    ActivateGradFromOutput(Activation, usize),
    Dropout {
        p: f32,
        site: u32,
        sample: usize,
    },
    Store(usize),
}

impl Fuser<'_> {
    /// Takes in the element-wise nodes that follow the draft's first output.
    pub(super) fn grow(&mut self, draft: &mut Draft) {
        loop {
            let current = draft.outputs[0];
            if self.sinks.contains_key(&current) {
                return;
            }
            if draft.tail.len() + 2 > MAX_TAIL {
                return;
            }
            let followers: Vec<usize> = self.readers[current].iter().copied().filter(|&p| !self.covered[p]).collect();
            let next = followers.iter().find_map(|&position| {
                let node = &self.program.nodes[position];
                let (stream, stage) = self.stage(node, Some(current))?;
                (stream == current && self.stage_ready(&stage, draft)).then_some((position, node, stage))
            });
            let Some((position, node, stage)) = next else { return };
            let result = node.outputs[0].0;
            let stage = self.keep_slope(stage, node, position, &followers);
            let replaced = self.output_of.get(&current) == Some(&result) || stage.writes() == Some(current);
            let others = followers.len() > 1 && !replaced;
            if others || self.kept[current] {
                draft.tail.push(Stage::Store(current));
            }
            if others || self.kept[current] || stage.writes().is_some() {
                self.made[current] = true;
            }
            self.covered[position] = true;
            draft.tail.push(stage);
            draft.nodes.push(position);
            draft.outputs[0] = result;
        }
    }

    /// An activation whose input is read by nothing but its gradient leaves something better for that: ReLU and tanh only
    /// their output, from which the slope can be told; others the slope itself, which costs less here than there.
    fn keep_slope(&mut self, stage: Stage, node: &Node, position: usize, followers: &[usize]) -> Stage {
        let Stage::Activate(f) = stage else { return stage };
        let (input, output) = (self.root_of(node.inputs[0]), node.outputs[0].0);
        let slopes: Vec<usize> = followers.iter().copied().filter(|&p| p != position).collect();
        let only_slopes = slopes.iter().all(|&p| {
            let other = &self.program.nodes[p];
            other.op == Op::ActivateGrad(f) && self.root_of(other.inputs[0]) == input
        });
        if slopes.is_empty() || !only_slopes || self.kept[input] {
            return stage;
        }
        match f {
            Activation::Relu | Activation::Tanh => {
                self.output_of.insert(input, output);
                self.readers[output].extend(slopes);
                self.readers[output].sort_unstable();
                stage
            }
            Activation::Gelu | Activation::Silu => {
                self.slopes.insert(input);
                Stage::ActivateKeepSlope(f, input)
            }
            Activation::ReluSquared => stage,
        }
    }

    /// A node as a stage of a tail, with the value that streams through it. `current` breaks ties.
    pub(super) fn stage(&self, node: &Node, current: Option<usize>) -> Option<(usize, Stage)> {
        let input = |i: usize| self.root_of(node.inputs[i]);
        let made = |value: usize| matches!(self.source[value], Source::Made(_));
        Some(match &node.op {
            Op::Add => {
                let (a, b) = (input(0), input(1));
                if a == b {
                    return None;
                }
                // The later of the two streams where nothing else decides.
                let stream = match current {
                    Some(current) => current,
                    None if made(b) && !made(a) => b,
                    None => a,
                };
                let other = if stream == a { b } else { a };
                (stream, Stage::Add(other))
            }
            Op::AddBroadcast => (input(0), Stage::Bias(input(1))),
            Op::Scale(factor) => (input(0), Stage::Scale(*factor)),
            Op::Activate(f) => (input(0), Stage::Activate(*f)),
            Op::ActivateGrad(f) => {
                if input(0) == input(1) {
                    return None;
                }
                let stage = match self.output_of.get(&input(0)) {
                    _ if self.slopes.contains(&input(0)) => Stage::Multiply(input(0)),
                    Some(&output) => Stage::ActivateGradFromOutput(*f, output),
                    None => Stage::ActivateGrad(*f, input(0)),
                };
                (input(1), stage)
            }
            Op::Dropout { p, site } => {
                let shape = &self.program.values[node.outputs[0].0].shape;
                let sample = shape.iter().skip(1).product();
                (input(0), Stage::Dropout { p: *p, site: *site, sample })
            }
            _ => return None,
        })
    }

    /// Whether the other operand of a stage exists before the draft's step runs.
    fn stage_ready(&self, stage: &Stage, draft: &Draft) -> bool {
        stage.reads().is_none_or(|v| {
            self.made[v] && !draft.outputs.contains(&v) && !draft.tail.iter().any(|s| s.writes() == Some(v))
        })
    }
}

impl Stage {
    /// The value it reads beside the stream.
    pub(super) fn reads(&self) -> Option<usize> {
        match self {
            Stage::Bias(v) | Stage::Add(v) | Stage::Multiply(v) => Some(*v),
            Stage::ActivateGrad(_, v) | Stage::ActivateGradFromOutput(_, v) => Some(*v),
            _ => None,
        }
    }

    /// The value it makes beside the stream.
    pub(super) fn writes(&self) -> Option<usize> {
        match self {
            Stage::Store(v) | Stage::ActivateKeepSlope(_, v) => Some(*v),
            _ => None,
        }
    }

    pub(super) fn place(&self, tensor: &dyn Fn(usize) -> Tensor) -> Tail {
        match *self {
            Stage::Bias(v) => Tail::Bias(tensor(v)),
            Stage::Add(v) => Tail::Add(tensor(v)),
            Stage::Scale(factor) => Tail::Scale(factor),
            Stage::Activate(f) => Tail::Activate(f),
            Stage::ActivateKeepSlope(f, v) => Tail::ActivateKeepSlope(f, tensor(v)),
            Stage::Multiply(v) => Tail::Multiply(tensor(v)),
            Stage::ActivateGrad(f, v) => Tail::ActivateGrad(f, tensor(v)),
            Stage::ActivateGradFromOutput(f, v) => Tail::ActivateGradFromOutput(f, tensor(v)),
            Stage::Dropout { p, site, sample } => Tail::Dropout { p, site, sample },
            Stage::Store(v) => Tail::Store(tensor(v)),
        }
    }
}
