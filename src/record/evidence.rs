//! Everything that witnesses said about an ended attempt, before anybody judges it.

use super::Outcome;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};

/// What a scheduler says of a job's end beyond its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchedulerEnd {
    /// It took the nodes back for somebody else.
    Preempted,
    /// A node failed, or did not come up.
    NodeFailed,
    /// The node could not begin the job: a prolog that failed, a folder or a program that is not there. What was said.
    LaunchFailed(String),
    /// Something that the worker needs is not installed there, so that it could not even begin. What was said.
    Missing(String),
    /// Host memory ran out.
    OutOfMemory,
    /// Somebody ended it, not this program; the user's id, where it was said.
    Cancelled(Option<u32>),
    /// Its deadline passed.
    Deadline,
    /// It was refused, or can never start as it was asked for. Why.
    Refused(String),
    /// It was refused for the site's settings or this user's rights, as every other job would be. Why.
    Barred(String),
}

/// A job as the cluster's records have it after its end, and what happened to it on the way. Times are the cluster's own, in
/// Unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobEnd {
    /// Its id, where it became known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Its last state, in the cluster's words; empty where nobody said any.
    pub state: String,
    /// Exit code and signal as the cluster writes them (`0:9`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// Its node, where it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The partition in which it was seen last, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// When it was submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted: Option<i64>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<i64>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
    /// Host memory that it was given; 0 where that is not known.
    #[serde(skip_serializing_if = "nothing")]
    pub memory: Bytes,
    /// Whose record that is.
    pub by: Witness,
    /// What else happened to it: answers that were lost, holds, records that came late; in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<String>,
}

/// Who told of a job's end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// Nobody: only the worker's files, or nothing at all.
    #[default]
    Nobody,
    /// The queue.
    Queue,
    /// The accounting database.
    Accounting,
}

fn nothing(bytes: &Bytes) -> bool {
    bytes.0 == 0
}

impl JobEnd {
    /// Seconds for which it waited in the queue; none where that is not known.
    pub fn waited(&self) -> Option<f64> {
        let (submitted, started) = (self.submitted?, self.started?);
        Some((started - submitted).max(0) as f64)
    }

    /// `job 12 on n1: TIMEOUT 0:0; held: JobHeldUser, let go after 24 s`: its record, and what happened to it on the way.
    pub fn story(&self) -> String {
        const TOLD: usize = 3;
        let told: Vec<&str> = self.incidents.iter().take(TOLD).map(String::as_str).collect();
        let more = if self.incidents.len() > TOLD { ", ..." } else { "" };
        let incidents = if told.is_empty() { String::new() } else { format!("; {}{more}", told.join(", ")) };
        format!("{}{incidents}", self.words())
    }

    /// `job 12 on n1: TIMEOUT 0:0`.
    pub fn words(&self) -> String {
        let id = self.id.map_or_else(|| "its job".to_string(), |id| format!("job {id}"));
        let node = self.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        let exit = self.exit.as_ref().map(|exit| format!(" {exit}")).unwrap_or_default();
        let state = if self.state.is_empty() { "not in SLURM's records" } else { &self.state };
        format!("{id}{node}: {state}{exit}")
    }
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
    /// What the cluster's records say of its job, where it was one.
    pub job: Option<JobEnd>,
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
        job: None,
        seconds: 0.0,
        log_tail: String::new(),
    };
}
