//! Executors start attempts and tell what became of them. Poll-based: nothing here blocks or decides.
//!
//! No attempt is lost or run twice, whenever a controller is killed, by this protocol around `record::Claim`:
//!
//! 1. the campaign journals its intent, then calls [`Executor::launch`];
//! 2. the worker takes the attempt's claim by exclusive creation before anything else, and leaves where it cannot;
//! 3. a later controller calls [`Executor::adopt`] on every attempt whose end is not in its journal: an outcome means
//!    ended; a worker's claim means running while that process lives; no claim is taken as abandoned on the spot, so
//!    that a worker that was just about to start finds the attempt given up. (A job of SLURM that waits in the queue is
//!    watched on; it is taken as abandoned only when SLURM knows of no such job.)
//!
//! Boundary: knows attempts, folders and processes; must not know campaigns, planners, budgets.

pub mod fake;

mod cards;
#[cfg(test)]
mod conformance;
mod evidence;
mod local;
mod slurm;

#[cfg(test)]
pub(crate) use slurm::tests::SlurmBed;

pub use cards::Cards;
pub use local::LocalExecutor;
pub use slurm::{CLUSTER_FILE, SlurmExecutor, job_state, last_look};

use crate::ids::AttemptId;
use crate::problem::Result;
use crate::record::Evidence;
use crate::slurm::Placed;
use crate::units::Bytes;
use std::path::PathBuf;

/// Everything an executor needs to start an attempt; its folder and `attempt.json` already exist.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Which attempt.
    pub id: AttemptId,
    /// Its folder.
    pub folder: PathBuf,
    /// When to kill it from outside, in wall seconds (the worker's own limit plus the kill margin); 0 for never.
    pub kill_after_seconds: f64,
    /// Where it may run.
    pub place: Place,
}

/// Where an attempt may run, as far as its campaign knows something about that. On one machine there is nothing to choose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// Nodes to stay away from.
    pub exclude: Vec<String>,
    /// Memory that its GPU must have at least; 0 for any.
    pub device_memory: Bytes,
    /// Host memory that it is expected to need; 0 where nothing is expected. A limit of its own counts more.
    pub memory: Bytes,
}

/// What is known of an attempt right now.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "made one at a time and taken apart at once, never kept in numbers")]
pub enum Status {
    /// Launched but no sign of the worker yet.
    Pending,
    /// The worker claimed the attempt and lives.
    Running,
    /// It ended; the evidence says how.
    Ended(Evidence),
}

/// Starts and watches attempts.
pub trait Executor {
    /// How many attempts may be live at once.
    fn slots(&self) -> usize;
    /// Starts a worker on an attempt. Called at most once an attempt; after a crash use [`adopt`](Self::adopt). On an error
    /// this call started nothing. Whether there is a slot for it is for the caller to know.
    fn launch(&mut self, launch: &Launch) -> Result<()>;
    /// Takes over an attempt that an earlier controller launched, or was about to: afterwards it is watched like one's
    /// own, or is known never to start.
    fn adopt(&mut self, launch: &Launch) -> Result<()>;
    /// What is known of it now. Cheap; never blocks. This is also where limits are enforced, so it is to be called often.
    /// Once `Ended`, it stays so, with the same evidence.
    fn poll(&mut self, id: AttemptId) -> Result<Status>;
    /// Seconds after which looking again is worth while.
    fn nap(&self) -> f64 {
        0.1
    }
    /// Where an attempt was sent and what was weighed for it, once that is decided; none where there is nothing to choose.
    fn placed(&self, _id: AttemptId) -> Option<Placed> {
        None
    }
    /// Dollars a device-hour at the place where an attempt runs or ran; none where places have no prices of their own.
    fn hour(&self, _id: AttemptId) -> Option<f64> {
        None
    }
    /// Whether nothing is under way that a controller which leaves now would have to begin again.
    fn settled(&self) -> bool {
        true
    }
    /// Asks the worker to checkpoint and leave (`gentle`), or kills it. Fine on one that has ended.
    fn stop(&mut self, id: AttemptId, gentle: bool) -> Result<()>;
}
