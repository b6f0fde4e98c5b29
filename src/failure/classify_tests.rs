//! The classes of ends, row by row.

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
    let faults = Fault::ALL.map(|fault| (End::DeviceFailed { fault, message: text() }, Class::DeviceFailed { fault }));
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
