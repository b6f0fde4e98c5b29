//! What an engine executes for the programs: pieces of work, each of a class that shares a speed.

use super::OpClass;
use crate::graph::{Program, StepPrograms, Work};

/// A piece of work that an engine does in one go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    /// What kind of work: its speed.
    pub class: OpClass,
    /// How much of it.
    pub work: Work,
}

/// The tasks of the three programs. An engine that fuses ops, or leaves out work that nobody needs, has fewer of them than
/// the programs have ops; what is predicted and what a profile is fitted to must be counted the same way.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepTasks {
    /// Of one micro-batch, forward and backward.
    pub micro: Vec<Task>,
    /// Of the update.
    pub apply: Vec<Task>,
    /// Of one evaluation batch.
    pub eval: Vec<Task>,
}

impl StepTasks {
    /// Every op a task: the work of an engine that executes programs as they are.
    pub fn op_by_op(programs: &StepPrograms) -> Self {
        StepTasks { micro: op_by_op(&programs.micro), apply: op_by_op(&programs.apply), eval: op_by_op(&programs.eval) }
    }
}

/// The ops of a program that do something when they are executed.
pub fn op_by_op(program: &Program) -> Vec<Task> {
    let nodes = program.nodes.iter();
    nodes.filter_map(|node| Some(Task { class: OpClass::of(&node.op)?, work: program.work(node) })).collect()
}
