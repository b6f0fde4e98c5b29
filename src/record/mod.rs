//! The files of an attempt's folder, as types: what the controller hands to a worker and what comes back.
//!
//! ```text
//! runs/0007/attempts/01/
//!   attempt.json      written by the controller before launch: AttemptSpec
//!   config.toml       the resolved experiment (for people; attempt.json carries the same)
//!   place.json        on a cluster: where its job was sent, and what was weighed (`exec`)
//!   claim             created exclusively, once: by the worker when it starts, or by a controller that gives it up
//!   manifest.json     written by the worker before the first step: Manifest
//!   metrics.jsonl     one Metrics line a record
//!   utilization.jsonl one Utilization line about a second: device, power, processor, memory
//!   outcome.json      written once, by atomic rename, when it ended: Outcome
//!   worker.log        stderr of the worker
//!   checkpoints/step-00001000/{state.safetensors,checkpoint.json}
//!   model.safetensors + config.json   at the end of a completed run
//! ```
//! Boundary: formats and their readers and writers; knows no engine and no campaign. Every JSON file carries a version
//! and a newer one is refused with what to do; the lines of `metrics.jsonl` have the version of the manifest beside them.
//! Readers take any bytes whatever: they answer with a [`Problem`](crate::problem::Problem), never with a panic.

mod attempt;
mod checkpoint;
mod claim;
mod evidence;
mod fault;
mod format;
mod manifest;
mod metrics;
mod outcome;
mod utilization;
mod utilization_summary;
mod weights;

pub use attempt::*;
pub use checkpoint::*;
pub use claim::*;
pub use evidence::*;
pub use fault::*;
pub use format::FORMAT;
pub use manifest::*;
pub use metrics::*;
pub use outcome::*;
pub use utilization::*;
pub use utilization_summary::*;
pub use weights::*;

#[cfg(test)]
mod tests;
