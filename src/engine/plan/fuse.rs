//! From a program to fused steps.
//!
//! Every node of the program is covered by exactly one step. A step takes in the element-wise nodes that follow its root
//! as long as their other operands exist already; a value that others still need on the way is stored in passing. The
//! loss and its gradient are one pass. What is added to a gradient buffer is written there by the step that makes it.

use super::arena::{Block, pack};
use super::last::{LastQuery, last_query};
use super::layout::StateLayout;
use super::step::{Into, LossKind, Place, Root, Schedule, Step, Tail, Tensor};
use crate::config::Activation;
use crate::graph::{DType, Node, Op, Program, StateRole, StateSpec, ValueId, Work};
use crate::units::{Bytes, Flops};
use std::collections::BTreeMap;

/// Stages of a tail at most.
pub(in crate::engine) const MAX_TAIL: usize = 12;

/// Plans a program that was verified.
pub(super) fn schedule(program: &Program, spec: &StateSpec, layout: &StateLayout) -> Schedule {
    let mut fuser = Fuser::new(program, spec);
    fuser.gradients();
    for position in 0..program.nodes.len() {
        if !fuser.covered[position] {
            fuser.step_at(position);
        }
    }
    fuser.place(layout)
}

/// Where a value comes from, through reshapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    State(usize),
    Batch(usize),
    /// A value that a step makes.
    Made(usize),
}

/// A step whose tensors are still values.
struct Draft {
    root: Root,
    /// As the op sees them, reshapes included: their shapes matter.
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    /// Gradient (state index) and whether it is the first part, by output.
    sinks: Vec<Option<(usize, bool)>>,
    tail: Vec<Stage>,
    nodes: Vec<usize>,
    /// Output 0 may take the memory of this input, if it dies here.
    in_place: Option<usize>,
}

/// A tail stage whose tensors are still values.
enum Stage {
    Bias(usize),
    Add(usize),
    Scale(f32),
    Activate(Activation),
    ActivateGrad(Activation, usize),
    ActivateGradFromOutput(Activation, usize),
    Dropout { p: f32, site: u32, sample: usize },
    Store(usize),
}

struct Fuser<'p> {
    program: &'p Program,
    spec: &'p StateSpec,
    /// Each value's source value: itself, or what it is a reshape of.
    root: Vec<usize>,
    source: Vec<Source>,
    /// Nodes that read a source value, reshapes seen through, in order.
    readers: Vec<Vec<usize>>,
    /// Values that must exist at the end.
    kept: Vec<bool>,
    covered: Vec<bool>,
    /// Value to the gradient it is a part of.
    sinks: BTreeMap<usize, (usize, bool)>,
    /// Number of drafts when a value came to be; none while nothing makes it.
    made: Vec<bool>,
    /// Activation outputs whose slope can be told from themselves, by their input.
    output_of: BTreeMap<usize, usize>,
    drafts: Vec<Draft>,
    last: Option<LastQuery>,
}

impl<'p> Fuser<'p> {
    fn new(program: &'p Program, spec: &'p StateSpec) -> Self {
        let count = program.values.len();
        let mut root: Vec<usize> = (0..count).collect();
        let mut source: Vec<Source> = (0..count).map(Source::Made).collect();
        let mut readers = vec![Vec::new(); count];
        let mut covered = vec![false; program.nodes.len()];
        let mut made = vec![false; count];
        for (position, node) in program.nodes.iter().enumerate() {
            let output = node.outputs[0].0;
            match node.op {
                Op::State(index) => source[output] = Source::State(index),
                Op::Batch(index) => source[output] = Source::Batch(index),
                Op::Reshape => {
                    root[output] = root[node.inputs[0].0];
                    source[output] = source[root[output]];
                }
                _ => {
                    for input in &node.inputs {
                        let readers: &mut Vec<usize> = &mut readers[root[input.0]];
                        if readers.last() != Some(&position) {
                            readers.push(position);
                        }
                    }
                    continue;
                }
            }
            covered[position] = true;
            made[output] = true;
        }
        let mut kept = vec![false; count];
        for value in program.writes.iter().map(|(_, v)| v).chain(program.outputs.iter().map(|(_, v)| v)) {
            kept[root[value.0]] = true;
        }
        Fuser {
            program,
            spec,
            root,
            source,
            readers,
            kept,
            covered,
            sinks: BTreeMap::new(),
            made,
            output_of: BTreeMap::new(),
            drafts: Vec::new(),
            last: last_query(program),
        }
    }

    fn root_of(&self, value: ValueId) -> usize {
        self.root[value.0]
    }

    /// The node that makes a value.
    fn maker(&self, value: usize) -> Option<(usize, &'p Node)> {
        let found = self.program.nodes.iter().enumerate().find(|(_, n)| n.outputs.iter().any(|o| o.0 == value));
        found.filter(|(_, n)| !matches!(n.op, Op::State(_) | Op::Batch(_)))
    }

    /// Finds the additions into gradient buffers and the loss sum; their parts go there directly.
    fn gradients(&mut self) {
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

    /// Drafts the step that begins at a node.
    fn step_at(&mut self, position: usize) {
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

    /// Takes in the element-wise nodes that follow the draft's first output.
    fn grow(&mut self, draft: &mut Draft) {
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
            // ReLU and tanh: the slope can be told from the output, so the input need not be kept for it.
            if let Op::Activate(f @ (Activation::Relu | Activation::Tanh)) = node.op {
                let others = followers.iter().filter(|&&p| p != position);
                let only_slopes = others.clone().all(|&p| {
                    let other = &self.program.nodes[p];
                    other.op == Op::ActivateGrad(f) && self.root_of(other.inputs[0]) == current
                });
                let slopes: Vec<usize> = others.copied().collect();
                if only_slopes && !slopes.is_empty() && !self.kept[current] {
                    self.output_of.insert(current, result);
                    self.readers[result].extend(slopes);
                    self.readers[result].sort_unstable();
                }
            }
            let replaced = self.output_of.get(&current) == Some(&result);
            let others = followers.len() > 1 && !replaced;
            if others || self.kept[current] {
                draft.tail.push(Stage::Store(current));
                self.made[current] = true;
            }
            self.covered[position] = true;
            draft.tail.push(stage);
            draft.nodes.push(position);
            draft.outputs[0] = result;
        }
    }

    /// A node as a stage of a tail, with the value that streams through it. `current` breaks ties.
    fn stage(&self, node: &Node, current: Option<usize>) -> Option<(usize, Stage)> {
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
                match self.output_of.get(&input(0)) {
                    Some(&output) => (input(1), Stage::ActivateGradFromOutput(*f, output)),
                    None => (input(1), Stage::ActivateGrad(*f, input(0))),
                }
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
        match stage {
            Stage::Bias(v) | Stage::Add(v) | Stage::ActivateGrad(_, v) | Stage::ActivateGradFromOutput(_, v) => {
                self.made[*v]
                    && !draft.outputs.contains(v)
                    && !draft.tail.iter().any(|s| matches!(s, Stage::Store(kept) if kept == v))
            }
            _ => true,
        }
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

    /// Gives everything its place.
    fn place(self, layout: &StateLayout) -> Schedule {
        let end = self.drafts.len();
        // Lifetimes of the values that live in the arena.
        let mut life: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (step, draft) in self.drafts.iter().enumerate() {
            let stored = draft.tail.iter().filter_map(|s| if let Stage::Store(v) = s { Some(*v) } else { None });
            let outputs = draft.outputs.iter().zip(&draft.sinks).filter(|(_, sink)| sink.is_none()).map(|(v, _)| *v);
            for value in outputs.chain(stored) {
                life.entry(value).or_insert((step, step));
            }
            let inputs = draft.inputs.iter().map(|v| self.root[*v]);
            for value in inputs.chain(draft.tail.iter().filter_map(Stage::reads)) {
                if let Some(entry) = life.get_mut(&value) {
                    entry.1 = step;
                }
            }
        }
        for (value, entry) in &mut life {
            if self.kept[*value] {
                entry.1 = end;
            }
        }
        // A value that is made where another one dies may take its block.
        let mut block_of: BTreeMap<usize, usize> = BTreeMap::new();
        let mut blocks: Vec<Block> = Vec::new();
        let elements = |value: usize| self.program.values[value].elements();
        for (step, draft) in self.drafts.iter().enumerate() {
            let born: Vec<usize> = life.iter().filter(|(_, l)| l.0 == step).map(|(v, _)| *v).collect();
            for value in born {
                let heir = draft.in_place.filter(|&old| {
                    draft.outputs.first() == Some(&value)
                        && draft.sinks.first() == Some(&None)
                        && life.get(&old).is_some_and(|l| l.1 == step && l.0 < step)
                        && elements(old) == elements(value)
                        && !draft.tail.iter().any(|s| s.reads() == Some(old))
                });
                let dies = life[&value].1;
                match heir.and_then(|old| block_of.get(&old).copied()) {
                    Some(block) => {
                        blocks[block].dies = blocks[block].dies.max(dies);
                        block_of.insert(value, block);
                    }
                    None => {
                        block_of.insert(value, blocks.len());
                        blocks.push(Block { elements: elements(value), born: step, dies });
                    }
                }
            }
        }
        let (offsets, arena) = pack(&blocks);
        let unshared = life.keys().map(|v| elements(*v)).sum();
        let tensor = |value: usize| {
            let shape = self.program.values[value].shape.clone();
            let place = match self.source[value] {
                Source::State(index) => Place::State(layout.offset(index).unwrap_or(0)),
                Source::Batch(index) => Place::Batch(index),
                Source::Made(root) => Place::Arena(block_of.get(&root).map_or(0, |block| offsets[*block])),
            };
            Tensor { place, shape, dtype: self.program.values[value].dtype }
        };
        let steps = self.drafts.iter().map(|draft| self.step(draft, layout, &tensor)).collect();
        Schedule { name: self.program.name, steps, arena, unshared }
    }

    fn step(&self, draft: &Draft, layout: &StateLayout, tensor: &dyn Fn(usize) -> Tensor) -> Step {
        let inputs: Vec<Tensor> = draft.inputs.iter().map(|v| tensor(*v)).collect();
        let mut outputs = Vec::new();
        let mut into = Vec::new();
        for (value, sink) in draft.outputs.iter().zip(&draft.sinks) {
            match *sink {
                Some((state, first)) => {
                    let shape = self.spec.tensors[state].shape.clone();
                    let place = Place::State(layout.offset(state).unwrap_or(0));
                    outputs.push(Tensor { place, shape, dtype: DType::F32 });
                    into.push(if first { Into::Gradient } else { Into::Add });
                }
                None => {
                    outputs.push(tensor(*value));
                    into.push(Into::Set);
                }
            }
        }
        let tail: Vec<Tail> = draft.tail.iter().map(|stage| stage.place(tensor)).collect();
        let of_node = |&p: &usize| self.program.work(&self.program.nodes[p]).flops.0;
        let flops: f64 = draft.nodes.iter().map(of_node).sum();
        let flops = match draft.root {
            // One query of all.
            Root::LastQuery { .. } => flops / inputs[0].shape[1].max(1) as f64,
            _ => flops,
        };
        let tail_flops = match draft.root {
            Root::Op(_) => draft.nodes.iter().skip(1).map(of_node).sum(),
            _ => 0.0,
        };
        let tensors = inputs.iter().chain(&outputs).chain(tail.iter().filter_map(Tail::tensor));
        let bytes = Bytes(tensors.map(|t| 4 * t.elements() as u64).sum());
        let work = Work { flops: Flops(flops), bytes };
        Step {
            root: draft.root.clone(),
            inputs,
            outputs,
            into,
            tail,
            nodes: draft.nodes.clone(),
            work,
            tail_flops: Flops(tail_flops),
        }
    }
}

/// Whether an op can write its output of this index into a gradient buffer, adding to what is there.
fn sinks(op: &Op, output: usize) -> bool {
    match op {
        Op::MatMul { .. } | Op::SumLeading | Op::EmbeddingGrad | Op::Conv2dGradWeight => output == 0,
        Op::LayerNormGrad | Op::RmsNormGrad | Op::GroupNormGrad { .. } => output > 0,
        _ => false,
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

impl Stage {
    /// The value it reads beside the stream.
    fn reads(&self) -> Option<usize> {
        match self {
            Stage::Bias(v) | Stage::Add(v) | Stage::ActivateGrad(_, v) | Stage::ActivateGradFromOutput(_, v) => {
                Some(*v)
            }
            _ => None,
        }
    }

    fn place(&self, tensor: &dyn Fn(usize) -> Tensor) -> Tail {
        match *self {
            Stage::Bias(v) => Tail::Bias(tensor(v)),
            Stage::Add(v) => Tail::Add(tensor(v)),
            Stage::Scale(factor) => Tail::Scale(factor),
            Stage::Activate(f) => Tail::Activate(f),
            Stage::ActivateGrad(f, v) => Tail::ActivateGrad(f, tensor(v)),
            Stage::ActivateGradFromOutput(f, v) => Tail::ActivateGradFromOutput(f, tensor(v)),
            Stage::Dropout { p, site, sample } => Tail::Dropout { p, site, sample },
            Stage::Store(v) => Tail::Store(tensor(v)),
        }
    }
}

impl Tail {
    /// The tensor it reads or writes, if any.
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Tail::Bias(t) | Tail::Add(t) | Tail::ActivateGrad(_, t) | Tail::ActivateGradFromOutput(_, t) => Some(t),
            Tail::Store(t) => Some(t),
            Tail::Scale(_) | Tail::Activate(_) | Tail::Dropout { .. } => None,
        }
    }
}
