//! The compiled plan: what the static programs become before anything runs. Engine-neutral.
//!
//! ```text
//! step      a fused step: a root op, the element-wise tail that rides on its output, where everything lives
//! fuse      program -> steps: tails, losses in one pass, gradients straight into their buffers
//! layout    the flat state: parameters, gradients, slots, averages side by side in one order
//! gather    products of embedded tokens moved before the gathering, where that is less work
//! last      attention whose last query alone is read
//! arena     lifetimes of everything else, packed into one allocation
//! update    the `apply` program as one pass over the flat state
//! tasks     the plan as pieces of work, for the cost model
//! display   the plan for people
//! ```
//! Boundary: pure functions of the programs. Must not know threads, kernels or devices; an engine decides how a step is
//! executed, never what it does.

mod arena;
mod display;
mod fuse;
mod gather;
mod last;
mod layout;
mod step;
mod tasks;
#[cfg(test)]
mod tests;
mod update;

pub use display::describe;
pub(in crate::engine) use display::name;
pub(in crate::engine) use fuse::MAX_TAIL;
pub use layout::{Region, StateLayout};
pub use step::{Into, LossKind, Place, Root, Schedule, Step, Tail, Tensor};
pub(in crate::engine) use tasks::{of_step, tasks};
pub use update::{Segment, Update, UpdateRule};

use super::EngineError;
use crate::graph::StepPrograms;

/// All three programs, planned.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Where state tensors live.
    pub layout: StateLayout,
    /// Forward, loss and backward.
    pub micro: Schedule,
    /// Evaluation.
    pub eval: Schedule,
    /// The update.
    pub update: Update,
}

impl Plan {
    /// Plans verified programs.
    ///
    /// # Errors
    /// A program that does not hold together, or an `apply` of another form than [`Update`] knows.
    pub fn new(programs: &StepPrograms) -> Result<Self, EngineError> {
        programs.verify().map_err(EngineError::Shape)?;
        let layout = StateLayout::new(&programs.state);
        let schedule = |program| fuse::schedule(&gather::products_before_gathering(program), &programs.state, &layout);
        Ok(Plan {
            micro: schedule(&programs.micro),
            eval: schedule(&programs.eval),
            update: update::update(&programs.apply, &programs.state, &layout)?,
            layout,
        })
    }

    /// Elements of the arena that serves both programs.
    pub fn arena(&self) -> usize {
        self.micro.arena.max(self.eval.arena)
    }
}
