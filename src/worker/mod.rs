//! One attempt, from its folder to its exit code.
//!
//! [`run`] is the worker process that a controller starts; [`train_here`] does the same for a person's own `train`
//! command, in a folder of theirs. Both load the data, build the programs, train, and leave exactly one `outcome.json`;
//! beside them a watchdog enforces the limits on memory and wall time that the loop itself cannot see in time, and a thread
//! looks once a second at what the process and its device do (`utilization.jsonl`).
//!
//! Boundary: knows one attempt and nothing beyond its folder: no campaign, no other attempt but the checkpoint that it
//! was told to go on from. It prints only what belongs into `worker.log`.

mod execute;
mod here;
mod hold;
mod log;
mod perform;
mod report;
mod run;
mod sampling;
mod watchdog;

#[cfg(test)]
mod sampling_tests;
#[cfg(test)]
mod tests;

pub use here::{Expected, Here, train_here};
pub use perform::exit_code;
pub use run::run;
