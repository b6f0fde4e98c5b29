//! The recovery table, row by row.

use super::*;
use proptest::prelude::*;

const SEGFAULT: Class = Class::Crashed { code: None, signal: Some(11) };
const KILLED: Class = Class::Crashed { code: None, signal: Some(9) };
const LOST: Class = Class::DeviceFailed { fault: Fault::DeviceLost };
const ALL: [Class; 20] = [
    Class::Completed,
    Class::Diverged,
    Class::Checkpointed,
    Class::TimedOut,
    Class::OutOfMemory,
    Class::Refused,
    Class::NeverStarted,
    SEGFAULT,
    KILLED,
    Class::Crashed { code: None, signal: None },
    Class::Failed,
    Class::Cancelled,
    LOST,
    Class::DeviceOutOfMemory,
    Class::DeviceFailed { fault: Fault::Busy },
    Class::Preempted,
    Class::NodeFailed,
    Class::LaunchFailed,
    Class::Missing,
    Class::Barred,
];

fn retry(resume: bool, change: Change) -> Recovery {
    Recovery::Retry { resume, change, charged: true }
}

#[test]
fn every_row_of_the_table() {
    use Change::*;
    let policy = Policy { retries: 9, elsewhere: false };
    let oom = Class::OutOfMemory;
    let table: Vec<(Class, Vec<Class>, Recovery)> = vec![
        (Class::Completed, vec![], Recovery::Done),
        (Class::Completed, vec![Class::Failed; 50], Recovery::Done),
        (Class::Diverged, vec![], Recovery::Result),
        (Class::Diverged, vec![SEGFAULT; 50], Recovery::Result),
        (Class::Checkpointed, vec![], Recovery::Retry { resume: true, change: None, charged: false }),
        (Class::TimedOut, vec![], retry(true, MoreWall { factor: 2.0 })),
        (Class::TimedOut, vec![Class::TimedOut], retry(true, MoreWall { factor: 2.0 })),
        (oom, vec![], retry(true, HalveMicroBatch)),
        (oom, vec![SEGFAULT, oom], retry(true, HalveMicroBatch)),
        (oom, vec![oom, oom], retry(true, MoreMemory { factor: 1.5 })),
        (SEGFAULT, vec![], retry(true, None)),
        (SEGFAULT, vec![KILLED, SEGFAULT], retry(true, None)),
        (KILLED, vec![], retry(true, None)),
        (KILLED, vec![SEGFAULT], retry(true, None)),
        (Class::Preempted, vec![], Recovery::Retry { resume: true, change: None, charged: false }),
        (Class::NodeFailed, vec![], retry(true, None)),
        (Class::LaunchFailed, vec![Class::NodeFailed], retry(true, None)),
        (KILLED, vec![KILLED], retry(true, HalveMicroBatch)),
        (Class::NeverStarted, vec![], retry(true, None)),
        (Class::Failed, vec![], retry(true, None)),
        (Class::Failed, vec![Class::Failed, SEGFAULT], retry(true, None)),
        (Class::Failed, vec![SEGFAULT, Class::Failed], retry(false, None)),
    ];
    for (class, history, expected) in table {
        assert_eq!(recover(class, &history, &policy), expected, "{class:?} after {history:?}");
    }
    for class in [Class::Refused, Class::Cancelled] {
        assert!(matches!(recover(class, &[], &policy), Recovery::GiveUp { .. }));
    }
    for class in [Class::Missing, Class::Barred] {
        assert!(matches!(recover(class, &[class; 9], &policy), Recovery::Halt { .. }));
    }
    // On a cluster there are other nodes, and more memory.
    let cluster = Policy { retries: 9, elsewhere: true };
    for class in [Class::NodeFailed, Class::LaunchFailed] {
        assert_eq!(recover(class, &[], &cluster), retry(true, Elsewhere));
    }
    assert_eq!(recover(oom, &[], &cluster), retry(true, MoreMemory { factor: 1.5 }));
    assert_eq!(recover(oom, &[oom], &cluster), retry(true, MoreMemory { factor: 1.5 }));
    assert_eq!(recover(oom, &[oom, oom], &cluster), retry(true, HalveMicroBatch));
}

/// What follows from the first fault, and from the same once more, on one machine and on a cluster.
#[test]
fn every_row_of_the_table_of_devices() {
    use Change::{Elsewhere, None as Same, Wait};
    let device = |fault| Class::DeviceFailed { fault };
    let ask = |class, history: &[Class], elsewhere| recover(class, history, &Policy { retries: 9, elsewhere });
    let rows: Vec<(Fault, [Option<Recovery>; 4])> = vec![
        // First here, again here; first on a cluster, again there. None: given up, or nothing more is started where it
        // is the installation that lacks something.
        (Fault::NoSupport, [None, None, None, None]),
        (Fault::NoDriver, [None, None, Some(retry(true, Elsewhere)), None]),
        (Fault::NoDevice, [None, None, Some(retry(true, Elsewhere)), None]),
        (Fault::DriverTooOld, [None, None, Some(retry(true, Elsewhere)), None]),
        (Fault::WrongChip, [None, None, Some(retry(true, Elsewhere)), None]),
        (Fault::LibraryMissing, [None, None, Some(retry(true, Elsewhere)), None]),
        (Fault::Busy, {
            let wait = |seconds| Some(Recovery::Retry { resume: true, change: Wait { seconds }, charged: false });
            [wait(30.0), wait(60.0), wait(30.0), wait(60.0)]
        }),
        (Fault::IllegalAccess, [Some(retry(true, Same)), None, Some(retry(true, Elsewhere)), None]),
        (
            Fault::Ecc,
            [
                Some(retry(true, Same)),
                Some(retry(true, Same)),
                Some(retry(true, Elsewhere)),
                Some(retry(true, Elsewhere)),
            ],
        ),
        (
            Fault::Xid,
            [
                Some(retry(true, Same)),
                Some(retry(true, Same)),
                Some(retry(true, Elsewhere)),
                Some(retry(true, Elsewhere)),
            ],
        ),
        (
            Fault::DeviceLost,
            [
                Some(retry(true, Same)),
                Some(retry(true, Same)),
                Some(retry(true, Elsewhere)),
                Some(retry(true, Elsewhere)),
            ],
        ),
        (
            Fault::Other,
            [Some(retry(true, Same)), Some(retry(false, Same)), Some(retry(true, Same)), Some(retry(false, Same))],
        ),
    ];
    assert_eq!(rows.len(), Fault::ALL.len());
    for (fault, expected) in rows {
        let class = device(fault);
        let found =
            [ask(class, &[], false), ask(class, &[class], false), ask(class, &[], true), ask(class, &[class], true)];
        for (found, expected) in found.into_iter().zip(expected) {
            match expected {
                Some(expected) => assert_eq!(found, expected, "{fault}"),
                None if fault.blame() == Blame::Installation => {
                    assert!(matches!(found, Recovery::Halt { .. }), "{fault}: {found:?}");
                }
                None => assert!(matches!(found, Recovery::GiveUp { .. }), "{fault}: {found:?}"),
            }
        }
    }
    // What one machine lacks and what the next one lacks need not be the same.
    let lacking = ask(device(Fault::NoDriver), &[device(Fault::LibraryMissing)], true);
    assert!(matches!(lacking, Recovery::Halt { .. }), "{lacking:?}");
    // Waits are bounded.
    let busy = device(Fault::Busy);
    assert!(matches!(
        ask(busy, &[busy; BUSY_BOUND - 1], false),
        Recovery::Retry { change: Wait { seconds: 480.0 }, .. }
    ));
    assert!(matches!(ask(busy, &[busy; BUSY_BOUND], false), Recovery::GiveUp { .. }));
}

#[test]
fn the_gpu_s_memory_has_halvings_then_a_bigger_gpu_then_nothing() {
    let oom = Class::DeviceOutOfMemory;
    let ask = |history: &[Class]| recover(oom, history, &Policy { retries: 0, elsewhere: true });
    let uncharged = |change| Recovery::Retry { resume: true, change, charged: false };
    assert_eq!(ask(&[]), uncharged(Change::HalveMicroBatch));
    assert_eq!(ask(&[LOST, oom]), uncharged(Change::HalveMicroBatch));
    assert_eq!(ask(&[oom; DEVICE_HALVINGS - 1]), uncharged(Change::HalveMicroBatch));
    assert_eq!(ask(&[oom; DEVICE_HALVINGS]), uncharged(Change::BiggerDevice));
    assert!(matches!(ask(&[oom; DEVICE_MEMORY_BOUND]), Recovery::GiveUp { .. }));
    // The host's memory is another matter.
    assert_eq!(recover(oom, &[Class::OutOfMemory; 9], &Policy { retries: 0, elsewhere: false }), ask(&[]));
}

#[test]
fn charged_classes_share_one_bound_and_stops_have_their_own() {
    let policy = Policy { retries: 2, elsewhere: false };
    let gives_up = |class, history: &[Class]| matches!(recover(class, history, &policy), Recovery::GiveUp { .. });
    for class in ALL.into_iter().filter(charged) {
        assert!(!gives_up(class, &[SEGFAULT]), "{class:?}");
        assert!(gives_up(class, &[SEGFAULT, Class::TimedOut]), "{class:?}");
        // Stops on request use up no retry.
        assert!(!gives_up(class, &[[Class::Checkpointed; 20].as_slice(), &[SEGFAULT]].concat()), "{class:?}");
    }
    assert!(!gives_up(Class::Checkpointed, &[SEGFAULT; 2]));
    assert!(!gives_up(Class::Checkpointed, &[Class::Checkpointed; CHECKPOINT_BOUND - 1]));
    assert!(gives_up(Class::Checkpointed, &[Class::Checkpointed; CHECKPOINT_BOUND]));
    assert!(!gives_up(Class::Preempted, &[Class::Preempted; CHECKPOINT_BOUND - 1]));
    assert!(gives_up(Class::Preempted, &[Class::Checkpointed; CHECKPOINT_BOUND]));
    assert!(matches!(recover(SEGFAULT, &[], &Policy { retries: 0, elsewhere: false }), Recovery::GiveUp { .. }));
}

proptest! {
    /// Whatever the machine does, a run has at most `attempts_bound` attempts.
    #[test]
    fn never_more_attempts_than_the_bound(ends in prop::collection::vec(0..ALL.len(), 80), retries in 0usize..6) {
        let policy = Policy { retries, elsewhere: false };
        let mut history = Vec::new();
        for end in ends {
            let next = recover(ALL[end], &history, &policy);
            history.push(ALL[end]);
            prop_assert!(history.len() <= attempts_bound(&policy), "{history:?}");
            if !matches!(next, Recovery::Retry { .. }) {
                break;
            }
        }
    }

    /// The same where every end asks for another attempt, which is the worst case for the bound.
    #[test]
    fn the_bound_is_reached_and_held(ends in prop::collection::vec(2usize..5, 80), retries in 0usize..6) {
        let policy = Policy { retries, elsewhere: true };
        let mut history = Vec::new();
        loop {
            let class = ALL[ends[history.len()]];
            let next = recover(class, &history, &policy);
            history.push(class);
            prop_assert!(history.len() <= attempts_bound(&policy));
            if let Recovery::GiveUp { .. } = next {
                break;
            }
        }
        prop_assert!(history.len() > retries);
    }
}
