//! A config as static programs: `micro`, `apply` and `eval` over one state.
//!
//! Boundary: knows shapes, never data or devices; computes nothing but shapes, gradients (as further ops), FLOPs and
//! bytes. Must not know engines, files, clocks. What it must know of a dataset is in [`DataShape`](crate::config::DataShape), which `data` fills.

mod op;
mod program;

pub use op::*;
pub use program::*;
