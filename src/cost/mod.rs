//! What a run will cost before it is run: program work and a measured throughput profile become seconds and memory.
//!
//! ```text
//! class      which ops share a speed
//! profile    measured speeds of one machine and engine, as a versioned format
//! fit        (program, seconds) samples -> profile       (nnls: the solver)
//! predict    programs + profile -> seconds of each program and of a step, with error bars
//! run        + experiment and data sizes -> seconds, device time and memory of a whole run
//! overhead   the factor between predicted and paid, learned from the ledger
//! ```
//! Boundary: pure arithmetic over programs and numbers that others measured. Must not know engines (it is the bench
//! that measures), files, clocks or campaigns.

mod class;
mod fit;
mod nnls;
mod overhead;
mod predict;
mod profile;
mod run;

pub use class::OpClass;
pub use fit::{Sample, fit};
pub use overhead::overhead_factor;
pub use predict::{Estimate, Prediction, checkpoint_bytes, predict};
pub use profile::{Machine, PROFILE_FORMAT, Rate, ThroughputProfile};
pub use run::{HostMemory, RunCost, Samples, run_cost};
