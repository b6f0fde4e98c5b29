//! The training loop of one attempt: steps, evaluations, checkpoints, divergence, stops and limits.
//!
//! [`Trainer::prepare`] finds where to begin (a checkpoint, or step 0) and how far to go; [`Trainer::run`] goes there.
//! Everything that decides bits is a function of (experiment, data, seed, step), and everything else that a run has to
//! remember is in its checkpoints, so a run that was killed at any moment ends as if it had not been.
//!
//! Boundary: knows engines, batches, records and the clock; never prints (an [`Observer`] is told), never starts a
//! process, knows nothing of attempts' limits on memory, of claims or of campaigns.

mod cadence;
mod calibrate;
mod error;
mod evaluate;
mod fingerprint;
mod inputs;
mod observer;
mod resume;
mod source;
mod trainer;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod toy;

pub use error::TrainError;
pub use fingerprint::fingerprint;
pub use inputs::step_inputs;
pub use observer::{Event, Observer, Silent, Stepped};
pub use source::{BatchSource, DatasetSource};
pub use trainer::{Ended, Job, Limit, Trainer, tokens_per_sample};
