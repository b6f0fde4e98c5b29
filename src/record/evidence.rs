//! Everything that witnesses said about an ended attempt, before anybody judges it.

use super::Outcome;

/// What a scheduler says of a job's end beyond its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchedulerEnd {
    /// It took the nodes back for somebody else.
    Preempted,
    /// A node failed.
    NodeFailed,
    /// Host memory ran out.
    OutOfMemory,
    /// Somebody ended it, or its deadline did; not this program.
    Cancelled,
    /// It was refused, or can never start as it was asked for. Why.
    Refused(String),
}

/// What is known about an ended attempt; `failure` classifies it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The worker's own word, the first witness.
    pub outcome: Option<Outcome>,
    /// Exit code, where this process was the parent.
    pub exit_code: Option<i32>,
    /// Signal that ended it, where this process was the parent.
    pub signal: Option<i32>,
    /// The executor killed it for passing the wall limit.
    pub killed_for_time: bool,
    /// The claim file says that no worker ever started and none can start any more.
    pub never_started: bool,
    /// The word of the scheduler that ran it, where one did and had one.
    pub scheduler: Option<SchedulerEnd>,
    /// Wall seconds from launch to end, by the best witness at hand.
    pub seconds: f64,
    /// Last lines of the worker's log, untrusted text.
    pub log_tail: String,
}

impl Evidence {
    /// Of an attempt that was given up before any worker came.
    pub const NEVER_STARTED: Evidence = Evidence {
        outcome: None,
        exit_code: None,
        signal: None,
        killed_for_time: false,
        never_started: true,
        scheduler: None,
        seconds: 0.0,
        log_tail: String::new(),
    };
}
