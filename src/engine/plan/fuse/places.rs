//! Lifetimes of a program's values, and where everything goes.

use super::tail::Stage;
use super::{Draft, Fuser, Source};
use crate::engine::plan::arena::{Block, pack};
use crate::engine::plan::layout::StateLayout;
use crate::engine::plan::step::{Into, Place, Root, Schedule, Step, Tail, Tensor};
use crate::graph::{DType, Work};
use crate::units::{Bytes, Flops};
use std::collections::BTreeMap;

impl Fuser<'_> {
    /// Gives everything its place.
    pub(super) fn place(self, layout: &StateLayout) -> Schedule {
        let end = self.drafts.len();
        // Lifetimes of the values that live in the arena.
        let mut life: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (step, draft) in self.drafts.iter().enumerate() {
            let stored = draft.tail.iter().filter_map(Stage::writes);
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
