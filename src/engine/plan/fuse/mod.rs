//! From a program to fused steps.
//!
//! Every node of the program is covered by exactly one step. A step takes in the element-wise nodes that follow its root
//! as long as their other operands exist already; a value that others still need on the way is stored in passing. The
//! loss and its gradient are one pass. What is added to a gradient buffer is written there by the step that makes it.
//!
//! ```text
//! gradients   which values are parts of which gradients
//! roots       the step that begins at a node: an op, the loss, attention of the last query
//! tail        the element-wise nodes that a step takes in
//! places      lifetimes, and where everything goes
//! ```

mod gradients;
mod places;
mod roots;
mod tail;

use super::last::{LastQuery, last_query};
use super::layout::StateLayout;
use super::step::{Root, Schedule};
use crate::graph::{Node, Op, Program, StateSpec, ValueId};
use std::collections::{BTreeMap, BTreeSet};
use tail::Stage;

pub(in crate::engine) use tail::MAX_TAIL;

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
    /// Activation inputs in whose place their slopes are kept.
    slopes: BTreeSet<usize>,
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
            slopes: BTreeSet::new(),
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
}
