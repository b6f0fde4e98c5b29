//! A config as static programs: `micro`, `apply` and `eval` over one state.
//!
//! ```text
//! build      experiment + data shape -> StepPrograms        (check: what is refused, and why)
//! mlp gpt cnn   forward nodes of one model family           (net: layers and parameters; builder: nodes)
//! loss       metrics and the gradient that the backward pass starts from
//! grad       reverse mode: forward nodes -> backward nodes
//! recompute  cheap values computed again in the backward pass instead of kept
//! update     the `apply` program
//! shape      output shapes of every op;  verify: whole programs against them
//! cost       FLOPs and bytes of every op;  footprint: live memory
//! init       initial values, the same for every engine
//! ```
//! Boundary: knows shapes, never data or devices; computes nothing but shapes, gradients (as further ops), FLOPs,
//! bytes and initial values. Must not know engines, files, clocks. What it must know of a dataset is in
//! [`DataShape`](crate::config::DataShape), which `data` fills.

mod build;
mod builder;
mod check;
mod cnn;
mod cost;
mod display;
mod footprint;
mod gpt;
mod grad;
mod init;
mod loss;
mod mlp;
mod net;
mod op;
mod program;
mod recompute;
mod shape;
mod update;
mod verify;

#[cfg(test)]
mod tests;

pub use build::build;
pub use init::initial_values;
pub use op::*;
pub use program::*;
