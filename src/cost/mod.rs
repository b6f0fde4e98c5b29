//! What a run will cost before it is run: program work and a measured throughput profile become seconds and memory.
//!
//! ```text
//! class      which ops share a speed
//! task       what an engine executes for the programs, as pieces of work
//! profile    measured speeds of one machine and engine, as a versioned format
//! fit        (tasks, seconds) samples -> profile       (nnls: the solver)
//! launched   the same for engines of whole-tensor operations on a GPU: two numbers, convolutions apart
//! predict    programs, their tasks + profile -> seconds of each program and of a step, with error bars
//! run        + experiment and data sizes -> seconds, device time and memory of a whole run
//! overhead   the factor between predicted and paid, learned from the ledger
//! ```
//! Boundary: pure arithmetic over programs and numbers that others measured. Must not know engines (it is the bench
//! that measures), files, clocks or campaigns.

mod class;
mod fit;
mod launched;
mod nnls;
mod overhead;
mod predict;
mod profile;
mod run;
mod task;

pub use class::OpClass;
pub use fit::{Sample, fit, spread};
pub use launched::fit_launched;
pub use overhead::overhead_factor;
pub use predict::{Estimate, Prediction, checkpoint_bytes, predict};
pub use profile::{Machine, PROFILE_FORMAT, Rate, ThroughputProfile};
pub use run::{HostMemory, RunCost, Samples, run_cost};
pub use task::{StepTasks, Task, op_by_op};
