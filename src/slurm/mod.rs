//! What SLURM's commands are asked and what they answer, as types; and the script that is submitted.
//!
//! Boundary: pure. It knows no processes, no files and no clock: which arguments to give ([`squeue::arguments`] and its
//! siblings) and what an answer means live here side by side, and somebody above runs the commands, with
//! [`ENVIRONMENT`] set. Readers take any bytes whatever. Three rules hold everywhere:
//!
//! - what is not known (a state, a reason, a unit) is kept as data, never guessed and never an error of the whole;
//! - a row that does not parse, or a last line that does not end, makes the answer *partial* ([`Listing::whole`]): from
//!   a partial answer nothing follows about what is absent from it;
//! - no answer is a success by default: only the word COMPLETED, read whole, is one.
//!
//! Replayed against real output of SLURM 22.05.8 (`tests/fixtures/slurm`). Fixed fields with separators are asked for, since
//! the JSON forms differ between versions and columns truncate.

mod audit;
mod choose;
mod cluster;
mod environment;
mod listing;
mod nodes;
mod placed;
mod propose;
mod reason;
mod request;
mod script;
mod shell;
mod state;
mod time;
mod tres;
mod values;

pub mod sacct;
pub mod sbatch;
pub mod scancel;
pub mod scontrol;
pub mod sinfo;
pub mod squeue;

pub use audit::{Finding, Severity, audit};
pub use choose::{Look, Supply, choose, narrowed, ways};
pub use cluster::{Association, Cluster, association_arguments};
pub use environment::{ENVIRONMENT, is_inherited};
pub use listing::Listing;
pub use nodes::{compress_nodes, expand_nodes};
pub use placed::{Offer, Placed};
pub use propose::propose;
pub use reason::{Reason, Waiting};
pub use request::{Need, Request};
pub use script::{ControllerJob, Job, ProbeJob, job_name, question, render, render_controller, render_probe};
pub use state::{Phase, State};
pub use time::{Limit, parse_duration, parse_time};
pub use tres::Tres;
pub use values::{ExitStatus, parse_memory};

#[cfg(test)]
mod tests;
