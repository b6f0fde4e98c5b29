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
mod tests {
    use super::*;
    use crate::record::{FORMAT, JobEnd, Outcome};
    use crate::units::{Bytes, DeviceTime};
    use std::collections::BTreeMap;

    fn silent() -> Evidence {
        Evidence {
            outcome: None,
            exit_code: None,
            signal: None,
            killed_for_time: false,
            never_started: false,
            scheduler: None,
            job: None,
            seconds: 3.0,
            log_tail: String::new(),
        }
    }

    fn said(end: End) -> Evidence {
        let outcome = Outcome {
            format: FORMAT,
            end,
            step: 7,
            metrics: BTreeMap::new(),
            seconds: 3.0,
            training_seconds: 2.0,
            device_time: DeviceTime::of(1, 3.0),
            peak_memory: Bytes(1),
            weights: None,
            checkpoint: None,
            node: None,
            utilization: None,
        };
        Evidence { outcome: Some(outcome), ..silent() }
    }

    fn crashed(code: Option<i32>, signal: Option<i32>) -> Class {
        Class::Crashed { code, signal }
    }

    #[test]
    fn the_outcome_is_the_first_witness() {
        let text = || "because".to_string();
        let table = [
            (End::Completed, Class::Completed),
            (End::Diverged { reason: text() }, Class::Diverged),
            (End::Checkpointed, Class::Checkpointed),
            (End::Paused, Class::Paused),
            (End::TimedOut { limit_seconds: 60.0 }, Class::TimedOut),
            (End::OutOfMemory { wanted: Bytes(2), limit: Bytes(1), of: MemoryKind::Host }, Class::OutOfMemory),
            (End::OutOfMemory { wanted: Bytes(2), limit: Bytes(1), of: MemoryKind::Device }, Class::DeviceOutOfMemory),
            (End::Missing { message: text() }, Class::Missing),
            (End::Full { message: text() }, Class::Missing),
            (End::Refused { message: text() }, Class::Refused),
            (End::Failed { message: text() }, Class::Failed),
        ];
        let faults =
            Fault::ALL.map(|fault| (End::DeviceFailed { fault, message: text() }, Class::DeviceFailed { fault }));
        for (end, class) in table.into_iter().chain(faults) {
            let plain = said(end);
            assert_eq!(classify(&plain), class);
            // Every contradiction by the second witness, alone and together, changes nothing but why it was asked to stop.
            let for_time = if class == Class::Checkpointed { Class::TimedOut } else { class };
            let contradicted = Evidence {
                exit_code: Some(101),
                signal: Some(9),
                killed_for_time: true,
                never_started: true,
                log_tail: "memory allocation of 4096 bytes failed".to_string(),
                ..plain.clone()
            };
            assert_eq!(classify(&contradicted), for_time);
            assert_eq!(classify(&Evidence { signal: Some(9), ..plain }), class);
        }
    }

    #[test]
    fn without_an_outcome_the_process_speaks() {
        let exit = |code| Evidence { exit_code: Some(code), ..silent() };
        let signal = |signal| Evidence { signal: Some(signal), ..silent() };
        let log = |evidence: Evidence, text: &str| Evidence { log_tail: text.to_string(), ..evidence };
        let oom = "step 3\nmemory allocation of 8589934592 bytes failed\n";
        let table = [
            // Silence is never success.
            (silent(), crashed(None, None)),
            (exit(0), crashed(Some(0), None)),
            (exit(1), crashed(Some(1), None)),
            (exit(101), crashed(Some(101), None)),
            // Never started beats an exit code; killed for time beats the signal it was done with.
            (Evidence { never_started: true, ..silent() }, Class::NeverStarted),
            (Evidence { never_started: true, ..exit(1) }, Class::NeverStarted),
            (Evidence { killed_for_time: true, ..signal(9) }, Class::TimedOut),
            (Evidence { killed_for_time: true, ..silent() }, Class::TimedOut),
            (Evidence { killed_for_time: true, ..exit(0) }, Class::TimedOut),
            // A signal that nobody here sent.
            (signal(9), crashed(None, Some(9))),
            (signal(11), crashed(None, Some(11))),
            (signal(6), crashed(None, Some(6))),
            (log(signal(6), "thread main panicked"), crashed(None, Some(6))),
            // The log's last words count where the process's end fits them, and only there.
            (log(signal(6), oom), Class::OutOfMemory),
            (log(silent(), oom), Class::OutOfMemory),
            (log(exit(134), oom), Class::OutOfMemory),
            (log(signal(11), oom), crashed(None, Some(11))),
            (log(exit(1), oom), crashed(Some(1), None)),
            (log(signal(6), "memory allocation of many bytes failed"), crashed(None, Some(6))),
            (log(signal(6), "memory allocation of  bytes failed"), crashed(None, Some(6))),
            (log(signal(6), &format!("{oom}then more")), crashed(None, Some(6))),
            // Asked to stop, but too early or too hurried for an outcome.
            (signal(15), Class::Checkpointed),
            (signal(12), Class::Checkpointed),
            (exit(75), Class::Checkpointed),
            (exit(143), Class::Checkpointed),
            (exit(2), Class::Refused),
            // Signals as wrappers report them.
            (exit(137), crashed(None, Some(9))),
            (exit(139), crashed(None, Some(11))),
            (exit(128), crashed(Some(128), None)),
            (exit(160), crashed(Some(160), None)),
            (exit(255), crashed(Some(255), None)),
        ];
        for (evidence, class) in table {
            assert_eq!(classify(&evidence), class, "{evidence:?}");
            assert!(!describe(&evidence).is_empty());
        }
    }

    #[test]
    fn the_scheduler_s_word_comes_after_the_worker_s() {
        let word = |word: SchedulerEnd| Evidence { scheduler: Some(word), ..silent() };
        let table = [
            (SchedulerEnd::Preempted, Class::Preempted),
            (SchedulerEnd::NodeFailed, Class::NodeFailed),
            (SchedulerEnd::LaunchFailed("why".into()), Class::LaunchFailed),
            (SchedulerEnd::Missing("why".into()), Class::Missing),
            (SchedulerEnd::OutOfMemory, Class::OutOfMemory),
            (SchedulerEnd::Cancelled(Some(7)), Class::Cancelled),
            (SchedulerEnd::Deadline, Class::Cancelled),
            (SchedulerEnd::Refused("why".into()), Class::Refused),
            (SchedulerEnd::Barred("why".into()), Class::Barred),
        ];
        for (end, class) in table {
            assert_eq!(classify(&word(end.clone())), class, "{end:?}");
            assert_eq!(classify(&Evidence { scheduler: Some(end.clone()), ..said(End::Completed) }), Class::Completed);
            // A job that nobody began is what the scheduler says, too.
            assert_eq!(classify(&Evidence { never_started: true, ..word(end.clone()) }), class, "{end:?}");
            // A worker that was asked to stop knows only that; who asked says the scheduler.
            let stopped = Evidence { scheduler: Some(end.clone()), ..said(End::Checkpointed) };
            let tells = matches!(class, Class::Preempted | Class::NodeFailed | Class::Cancelled);
            assert_eq!(classify(&stopped), if tells { class } else { Class::Checkpointed }, "{end:?}");
        }
        let stopped = Evidence { scheduler: Some(SchedulerEnd::Cancelled(Some(7))), ..said(End::Checkpointed) };
        assert_eq!(describe(&stopped), "cancelled by the user with id 7 at step 7, with a checkpoint");
        let job = JobEnd { id: Some(12), state: "NODE_FAIL".into(), node: Some("n1".into()), ..JobEnd::default() };
        let failed = Evidence { job: Some(job), ..word(SchedulerEnd::NodeFailed) };
        assert_eq!(describe(&failed), "its node failed (job 12 on n1: NODE_FAIL)");
        assert!(describe(&word(SchedulerEnd::Refused("no such partition".into()))).contains("no such partition"));
    }

    #[test]
    fn descriptions_carry_the_worker_s_message() {
        assert_eq!(describe(&said(End::Refused { message: "no such dataset".into() })), "refused: no such dataset");
        let mut lost = said(End::DeviceFailed { fault: Fault::DeviceLost, message: "it is gone".into() });
        assert_eq!(describe(&lost), "the device failed at step 7 (device-lost): it is gone");
        lost.outcome.as_mut().unwrap().node = Some("n3".into());
        assert_eq!(describe(&lost), "the device failed on node n3 at step 7 (device-lost): it is gone");
        let short = End::OutOfMemory { wanted: Bytes(3 << 30), limit: Bytes(1 << 30), of: MemoryKind::Device };
        assert_eq!(describe(&said(short)), "out of GPU memory at step 7: 3.0 GiB wanted where there were 1.0 GiB");
        assert!(describe(&Evidence { signal: Some(9), ..silent() }).contains("memory"));
        assert!(describe(&Evidence { exit_code: Some(3), ..silent() }).contains("exit code 3"));
    }

    #[test]
    fn classes_survive_the_journal() {
        let lost = Class::DeviceFailed { fault: Fault::DeviceLost };
        for class in [Class::Completed, crashed(None, Some(9)), crashed(Some(1), None), Class::NeverStarted, lost]
            .into_iter()
            .chain([
                Class::Preempted,
                Class::NodeFailed,
                Class::LaunchFailed,
                Class::Missing,
                Class::Barred,
                Class::TimedOut,
                Class::OutOfMemory,
                Class::DeviceOutOfMemory,
            ])
        {
            let json = serde_json::to_string(&class).unwrap();
            assert_eq!(serde_json::from_str::<Class>(&json).unwrap(), class, "{json}");
            assert!(json.contains(&format!("\"kind\":\"{}\"", class.name())), "{json}");
        }
    }
}
