//! Class and history to what happens next. Every chain of recoveries is bounded by [`attempts_bound`].

use super::Class;
use serde::{Deserialize, Serialize};

/// How often a run may be stopped on request and go on without a retry being charged.
pub const CHECKPOINT_BOUND: usize = 20;

/// How much more wall time a timed-out run gets: factor for its next attempt's limit.
const WALL_FACTOR: f64 = 2.0;
/// How much more memory a run gets that halving its micro-batch did not help.
const MEMORY_FACTOR: f64 = 1.5;
/// After how many recoveries for memory halving is given up for more memory.
const HALVINGS: usize = 2;

/// What a campaign allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Charged retries a run may have.
    pub retries: usize,
}

/// What is different in the next attempt. None of these changes a run's identity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// The same again.
    None,
    /// Half the micro-batch under the same effective batch, so the same results. Where it is 1 already, the caller can only
    /// give more memory, or give up.
    HalveMicroBatch,
    /// A longer wall-clock limit.
    MoreWall {
        /// New limit over the old one.
        factor: f64,
    },
    /// A higher memory limit.
    MoreMemory {
        /// New limit over the old one.
        factor: f64,
    },
}

/// What to do about an ended attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Recovery {
    /// Nothing: it completed.
    Done,
    /// Nothing: how it ended is the result (it diverged).
    Result,
    /// Another attempt.
    Retry {
        /// Go on from the newest sound checkpoint of any earlier attempt of the run, where there is one.
        resume: bool,
        /// What is different.
        change: Change,
        /// Whether it counts against [`Policy::retries`].
        charged: bool,
    },
    /// No further attempt.
    GiveUp {
        /// Why, in a sentence.
        reason: String,
    },
}

/// Decides what follows an attempt of class `class`, the run's earlier attempts having ended as `history`, oldest first
/// (`class` itself not among them).
///
/// | class | next | charged |
/// |---|---|---|
/// | completed | done | |
/// | paused | done, as far as it was asked for | |
/// | diverged | a result | |
/// | checkpointed | resume, up to [`CHECKPOINT_BOUND`] times | no |
/// | timed out | resume with twice the wall time | yes |
/// | out of memory | resume with half the micro-batch; from the third time with more memory | yes |
/// | crashed | resume; a second SIGKILL that nobody sent counts as the kernel's, for memory: half the micro-batch | yes |
/// | failed | resume; after two in a row from the start, in case the checkpoint is the cause | yes |
/// | never started | again | yes |
/// | refused | give up: the same would be refused again, and the planner should know | |
/// | cancelled | give up: a person ended its job, or its deadline did | |
pub fn recover(class: Class, history: &[Class], policy: &Policy) -> Recovery {
    let earlier = |wanted: fn(&Class) -> bool| history.iter().filter(|c| wanted(c)).count();
    let (resume, change) = match class {
        Class::Completed | Class::Paused => return Recovery::Done,
        Class::Diverged => return Recovery::Result,
        Class::Refused => {
            return Recovery::GiveUp { reason: "its input was refused; the same again would be too".to_string() };
        }
        Class::Cancelled => {
            return Recovery::GiveUp { reason: "somebody ended its job, and that is respected".to_string() };
        }
        Class::Checkpointed => {
            let stops = earlier(|c| *c == Class::Checkpointed);
            if stops >= CHECKPOINT_BOUND {
                return Recovery::GiveUp {
                    reason: format!("it was stopped {} times, and {CHECKPOINT_BOUND} is the bound", stops + 1),
                };
            }
            return Recovery::Retry { resume: true, change: Change::None, charged: false };
        }
        Class::TimedOut => (true, Change::MoreWall { factor: WALL_FACTOR }),
        Class::OutOfMemory if earlier(|c| *c == Class::OutOfMemory) < HALVINGS => (true, Change::HalveMicroBatch),
        Class::OutOfMemory => (true, Change::MoreMemory { factor: MEMORY_FACTOR }),
        Class::Crashed { .. } if killed(&class) && earlier(killed) > 0 => (true, Change::HalveMicroBatch),
        Class::Crashed { .. } => (true, Change::None),
        Class::Failed => (history.last() != Some(&Class::Failed), Change::None),
        Class::NeverStarted => (true, Change::None),
    };
    let spent = earlier(charged);
    if spent >= policy.retries {
        let reason = match policy.retries {
            0 => "the campaign allows no retries".to_string(),
            n => format!("all {n} retries are used up"),
        };
        return Recovery::GiveUp { reason };
    }
    Recovery::Retry { resume, change, charged: true }
}

/// The most attempts a run can have under a policy.
pub fn attempts_bound(policy: &Policy) -> usize {
    1 + policy.retries + CHECKPOINT_BOUND
}

/// Whether recovering from this class uses up a retry.
fn charged(class: &Class) -> bool {
    match class {
        Class::TimedOut | Class::OutOfMemory | Class::NeverStarted | Class::Crashed { .. } | Class::Failed => true,
        Class::Completed
        | Class::Paused
        | Class::Diverged
        | Class::Checkpointed
        | Class::Refused
        | Class::Cancelled => false,
    }
}

fn killed(class: &Class) -> bool {
    matches!(class, Class::Crashed { signal: Some(libc::SIGKILL), .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEGFAULT: Class = Class::Crashed { code: None, signal: Some(11) };
    const KILLED: Class = Class::Crashed { code: None, signal: Some(9) };
    const ALL: [Class; 12] = [
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
    ];

    fn retry(resume: bool, change: Change) -> Recovery {
        Recovery::Retry { resume, change, charged: true }
    }

    #[test]
    fn every_row_of_the_table() {
        use Change::*;
        let policy = Policy { retries: 9 };
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
    }

    #[test]
    fn charged_classes_share_one_bound_and_stops_have_their_own() {
        let policy = Policy { retries: 2 };
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
        assert!(matches!(recover(SEGFAULT, &[], &Policy { retries: 0 }), Recovery::GiveUp { .. }));
    }

    proptest! {
        /// Whatever the machine does, a run has at most `attempts_bound` attempts.
        #[test]
        fn never_more_attempts_than_the_bound(ends in prop::collection::vec(0..ALL.len(), 80), retries in 0usize..6) {
            let policy = Policy { retries };
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
            let policy = Policy { retries };
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
}
