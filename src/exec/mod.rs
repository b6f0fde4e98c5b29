//! Executors start attempts and tell what became of them. Poll-based: nothing here blocks or decides.
//!
//! Boundary: knows attempts, folders and processes; must not know campaigns, planners, budgets.

use crate::ids::AttemptId;
use crate::problem::Result;
use crate::record::Evidence;
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
}

/// What is known of an attempt right now.
#[derive(Debug, Clone, PartialEq)]
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
    /// Starts a worker on an attempt. Called once an attempt and controller process; after a crash use [`adopt`](Self::adopt).
    fn launch(&mut self, launch: &Launch) -> Result<()>;
    /// Takes over an attempt that an earlier controller launched, or was about to: afterwards it is watched like one's
    /// own, or is known never to start.
    fn adopt(&mut self, launch: &Launch) -> Result<()>;
    /// What is known of it now. Cheap; never blocks.
    fn poll(&mut self, id: AttemptId) -> Result<Status>;
    /// Asks the worker to checkpoint and leave (`gentle`), or kills it.
    fn stop(&mut self, id: AttemptId, gentle: bool) -> Result<()>;
}
