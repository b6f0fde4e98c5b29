//! Evidence to class. Two witnesses: the worker's own outcome, then how the process ended. The log is untrusted text and
//! only ever refines what the second witness already says.

use crate::record::{End, Evidence, Fault, MemoryKind, SchedulerEnd, shortage};
use crate::units::duration;
use serde::{Deserialize, Serialize};

/// Exit code of a worker that checkpointed on request.
const EXIT_CHECKPOINTED: i32 = 75;
/// Exit code of a worker that refused its command line, config or input.
const EXIT_REFUSED: i32 = 2;

/// How an attempt ended, as far as it matters for what to do next. There is no "unknown": what no rule explains is a
/// crash, never a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Class {
    /// All steps done, results stored.
    Completed,
    /// Loss or gradient became non-finite: a result.
    Diverged,
    /// Asked to stop.
    Checkpointed,
    /// The cluster took its node back for somebody else.
    Preempted,
    /// Trained as far as its controller had told it to, and no further.
    Paused,
    /// Beyond its wall-clock limit.
    TimedOut,
    /// Beyond its memory, by its own word or by a failed allocation.
    OutOfMemory,
    /// The GPU's memory ran out, or was predicted to before the first step.
    DeviceOutOfMemory,
    /// The device was not to be had, or failed.
    DeviceFailed {
        /// What was wrong with it.
        fault: Fault,
    },
    /// Its node failed or did not come up.
    NodeFailed,
    /// Its node could not begin the job.
    LaunchFailed,
    /// Something that it needs is not on the machine it ran on, and is likely to be missing on the others too: a dataset, a
    /// library, room on the filesystem.
    Missing,
    /// The config, data or checkpoint was refused: the same again would be refused again.
    Refused,
    /// The cluster takes none of the site's jobs as they are asked for.
    Barred,
    /// No worker ever started, and none can.
    NeverStarted,
    /// It ended without a word: by a signal, by an exit code, or (both none) unseen.
    Crashed {
        /// Exit code, where known.
        code: Option<i32>,
        /// Signal, where known.
        signal: Option<i32>,
    },
    /// The worker reported an error that is none of the above.
    Failed,
    /// Somebody ended its job, who was not this program: respected.
    Cancelled,
}

impl Class {
    /// The name it has in the journal, for tables.
    pub fn name(&self) -> &'static str {
        match self {
            Class::Completed => "completed",
            Class::Diverged => "diverged",
            Class::Checkpointed => "checkpointed",
            Class::Preempted => "preempted",
            Class::Paused => "paused",
            Class::TimedOut => "timed-out",
            Class::OutOfMemory => "out-of-memory",
            Class::DeviceOutOfMemory => "device-out-of-memory",
            Class::DeviceFailed { .. } => "device-failed",
            Class::NodeFailed => "node-failed",
            Class::LaunchFailed => "launch-failed",
            Class::Missing => "missing",
            Class::Refused => "refused",
            Class::Barred => "barred",
            Class::NeverStarted => "never-started",
            Class::Crashed { .. } => "crashed",
            Class::Failed => "failed",
            Class::Cancelled => "cancelled",
        }
    }
}

/// Classifies an ended attempt. The first rule that applies decides:
///
/// 1. an outcome that the worker wrote is believed, whatever the process did afterwards: it is written last, by atomic
///    rename, after everything it speaks of was stored (so Completed with signal 9 is Completed). A worker that was asked to
///    stop does not know by whom: there the executor says whether it was its limit, preemption, a person, or a failing node;
/// 2. the scheduler's word: refused, ended by somebody, a failed node, a failed launch, something missing, preempted, memory;
/// 3. never started; then killed for time: timed out;
/// 4. SIGABRT, or an end nobody saw, with Rust's `memory allocation of N bytes failed` as the log's last words: out of memory;
/// 5. SIGTERM, SIGUSR2 or exit 75: asked to stop, before or while it could write its outcome;
/// 6. exit 2: refused before an outcome could be written (the command line, `attempt.json`);
/// 7. everything else, exit 0 and SIGKILL included: crashed.
///
/// Exit codes 129-159 are read as signals, as shells and container wrappers report them.
pub fn classify(evidence: &Evidence) -> Class {
    let told = evidence.scheduler.as_ref().map(scheduler_class);
    if let Some(outcome) = &evidence.outcome {
        return match &outcome.end {
            End::Completed => Class::Completed,
            End::Diverged { .. } => Class::Diverged,
            End::Checkpointed => match told {
                // It was told to stop at its limit, and not before.
                _ if evidence.killed_for_time => Class::TimedOut,
                Some(by @ (Class::Preempted | Class::Cancelled | Class::NodeFailed)) => by,
                _ => Class::Checkpointed,
            },
            End::Paused => Class::Paused,
            End::TimedOut { .. } => Class::TimedOut,
            End::OutOfMemory { of: MemoryKind::Host, .. } => Class::OutOfMemory,
            End::OutOfMemory { of: MemoryKind::Device, .. } => Class::DeviceOutOfMemory,
            End::DeviceFailed { fault, .. } => Class::DeviceFailed { fault: *fault },
            End::Missing { .. } | End::Full { .. } => Class::Missing,
            End::Refused { .. } => Class::Refused,
            End::Failed { .. } => Class::Failed,
        };
    }
    if let Some(class) = told {
        return class;
    }
    if evidence.never_started {
        return Class::NeverStarted;
    }
    if evidence.killed_for_time {
        return Class::TimedOut;
    }
    let (code, signal) = match (evidence.exit_code, evidence.signal) {
        (Some(wrapped @ 129..=159), None) => (None, Some(wrapped - 128)),
        other => other,
    };
    let unseen = code.is_none() && signal.is_none();
    if (signal == Some(libc::SIGABRT) || unseen) && ends_in_failed_allocation(&evidence.log_tail) {
        return Class::OutOfMemory;
    }
    match (code, signal) {
        (_, Some(libc::SIGTERM | libc::SIGUSR2)) | (Some(EXIT_CHECKPOINTED), None) => Class::Checkpointed,
        (Some(EXIT_REFUSED), None) => Class::Refused,
        (code, signal) => Class::Crashed { code, signal },
    }
}

/// What the scheduler's word means by itself.
fn scheduler_class(word: &SchedulerEnd) -> Class {
    match word {
        SchedulerEnd::Preempted => Class::Preempted,
        SchedulerEnd::NodeFailed => Class::NodeFailed,
        SchedulerEnd::LaunchFailed(_) => Class::LaunchFailed,
        SchedulerEnd::Missing(_) => Class::Missing,
        SchedulerEnd::OutOfMemory => Class::OutOfMemory,
        SchedulerEnd::Cancelled(_) | SchedulerEnd::Deadline => Class::Cancelled,
        SchedulerEnd::Refused(_) => Class::Refused,
        SchedulerEnd::Barred(_) => Class::Barred,
    }
}

/// Whether the last words of a log are those of Rust's allocation error handler: `memory allocation of N bytes failed`.
fn ends_in_failed_allocation(log: &str) -> bool {
    let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
    let number = last.trim().strip_prefix("memory allocation of ").and_then(|rest| rest.strip_suffix(" bytes failed"));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// One sentence for people: what happened, by which witness, with the worker's message where there is one, and the cluster's
/// record of the job where the attempt was one.
pub fn describe(evidence: &Evidence) -> String {
    match &evidence.job {
        Some(job) => format!("{} ({})", what_happened(evidence), job.story()),
        None => what_happened(evidence),
    }
}

fn what_happened(evidence: &Evidence) -> String {
    if let Some(outcome) = &evidence.outcome {
        return match &outcome.end {
            End::Completed => format!("completed at step {}", outcome.step),
            End::Checkpointed if classify(evidence) == Class::TimedOut => {
                format!("its time limit ended it at step {}, with a checkpoint", outcome.step)
            }
            End::Checkpointed if classify(evidence) == Class::Preempted => {
                format!("preempted at step {}, with a checkpoint", outcome.step)
            }
            End::Checkpointed if classify(evidence) == Class::NodeFailed => {
                format!("its node failed; it had time for a checkpoint at step {}", outcome.step)
            }
            End::Checkpointed if classify(evidence) == Class::Cancelled => {
                format!("{} at step {}, with a checkpoint", ended_by(evidence), outcome.step)
            }
            End::Diverged { reason } => format!("diverged at step {}: {reason}", outcome.step),
            End::Checkpointed => format!("stopped on request at step {}, with a checkpoint", outcome.step),
            End::Paused => format!("paused at step {}, with a checkpoint", outcome.step),
            End::TimedOut { limit_seconds } => {
                format!("passed its limit of {} at step {}", duration(*limit_seconds), outcome.step)
            }
            End::OutOfMemory { wanted, limit, of } => {
                format!("out of {}memory at step {}{}", of.prefix(), outcome.step, shortage(*wanted, *limit))
            }
            End::DeviceFailed { fault, message } => {
                let node = outcome.node.as_ref().map(|node| format!(" on node {node}")).unwrap_or_default();
                format!("the device failed{node} at step {} ({fault}): {message}", outcome.step)
            }
            End::Missing { message } => {
                let node = outcome.node.as_ref().map(|node| format!(" on node {node}")).unwrap_or_default();
                format!("something is missing{node}: {message}")
            }
            End::Full { message } => format!("no room left at step {}: {message}", outcome.step),
            End::Refused { message } => format!("refused: {message}"),
            End::Failed { message } => format!("failed at step {}: {message}", outcome.step),
        };
    }
    match &evidence.scheduler {
        Some(SchedulerEnd::Refused(why)) => return format!("its job was refused: {why}"),
        Some(SchedulerEnd::Barred(why)) => return format!("the cluster takes no such jobs: {why}"),
        Some(SchedulerEnd::Cancelled(_) | SchedulerEnd::Deadline) => return ended_by(evidence),
        Some(SchedulerEnd::LaunchFailed(why)) => return format!("its node could not begin it: {why}"),
        Some(SchedulerEnd::Missing(why)) => return format!("something is missing on its node: {why}"),
        Some(SchedulerEnd::Preempted) => return "preempted before it could say how far it had come".to_string(),
        Some(SchedulerEnd::NodeFailed) => return "its node failed".to_string(),
        Some(SchedulerEnd::OutOfMemory) => return "its job was ended for host memory".to_string(),
        None => {}
    }
    match classify(evidence) {
        Class::NeverStarted => "no worker ever started".to_string(),
        Class::TimedOut => format!("killed for passing its wall-clock limit, after {}", duration(evidence.seconds)),
        Class::OutOfMemory => "an allocation failed and the process aborted (the log's last line)".to_string(),
        Class::Checkpointed => "stopped on request before it could say how far it had come".to_string(),
        Class::Refused => "the worker refused its input (exit code 2); see its log".to_string(),
        Class::Crashed { signal: Some(libc::SIGKILL), .. } => {
            "killed by signal 9, not by this program: possibly the kernel, for memory".to_string()
        }
        Class::Crashed { signal: Some(signal), .. } => format!("crashed with signal {signal}"),
        Class::Crashed { code: Some(code), .. } => format!("ended with exit code {code} and no outcome"),
        // Without an outcome no rule yields another class than an unseen crash.
        _ => "ended unseen and without an outcome".to_string(),
    }
}

/// Who ended it, of a job that somebody ended.
fn ended_by(evidence: &Evidence) -> String {
    match &evidence.scheduler {
        Some(SchedulerEnd::Cancelled(Some(uid))) => format!("cancelled by the user with id {uid}"),
        Some(SchedulerEnd::Deadline) => "its deadline passed".to_string(),
        _ => "somebody cancelled its job".to_string(),
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
