//! Class and history to what happens next. Every chain of recoveries is bounded by [`attempts_bound`].

use super::Class;
use crate::record::{Blame, Fault};
use serde::{Deserialize, Serialize};

/// How often a run may be stopped on request and go on without a retry being charged.
pub const CHECKPOINT_BOUND: usize = 20;

/// How much more wall time a timed-out run gets: factor for its next attempt's limit.
const WALL_FACTOR: f64 = 2.0;
/// How much more memory a run gets that halving its micro-batch did not help.
const MEMORY_FACTOR: f64 = 1.5;
/// After how many recoveries for memory halving is given up for more memory.
const HALVINGS: usize = 2;
/// How often the micro-batch is halved for the GPU's memory before a bigger GPU is asked for: a sixty-fourth is left.
const DEVICE_HALVINGS: usize = 6;
/// How often a run may go on after the GPU's memory ran out: the halvings, and one bigger GPU.
pub const DEVICE_MEMORY_BOUND: usize = DEVICE_HALVINGS + 1;
/// How often a run may wait for a busy device.
pub const BUSY_BOUND: usize = 5;
/// Seconds of the first such wait; each is twice as long as the one before.
const FIRST_WAIT: f64 = 30.0;

/// What a campaign allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Charged retries a run may have.
    pub retries: usize,
    /// Whether there are other machines than the one on which an attempt ended: the nodes of a cluster.
    pub elsewhere: bool,
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
    /// A GPU with more memory. Where there is none, the caller can only give up.
    BiggerDevice,
    /// On another machine than the one on which it ended.
    Elsewhere,
    /// The same again after a while.
    Wait {
        /// How long, in seconds.
        seconds: f64,
    },
    /// The wall-clock limit that the measured rate calls for.
    MoreWall {
        /// New limit over the old one, where no rate was measured.
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
    /// Nothing more of the campaign, until somebody has put in place what is missing; then another attempt, uncharged.
    Halt {
        /// Why, in a sentence.
        reason: String,
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
/// | checkpointed, preempted | resume, up to [`CHECKPOINT_BOUND`] times in all | no |
/// | node failed, launch failed | resume, on another node where there are some | yes |
/// | timed out | resume with the wall time that the measured rate calls for; twice the old where none was measured | yes |
/// | out of memory, one machine | resume with half the micro-batch; from the third time with more memory | yes |
/// | out of memory, cluster | resume with more memory; from the third time with half the micro-batch | yes |
/// | missing (a dataset, a library, room on the filesystem) | halt: the others would miss it too; uncharged once it is there | no |
/// | crashed | resume; a second SIGKILL that nobody sent counts as the kernel's, for memory: half the micro-batch | yes |
/// | failed | resume; after two in a row from the start, in case the checkpoint is the cause | yes |
/// | out of GPU memory | resume with half the micro-batch, [`DEVICE_HALVINGS`] times; then on a bigger GPU, once | no |
/// | device: ecc, xid, device-lost | resume, on another machine where there are some | yes |
/// | device: illegal-access | the same, once: it may be this program's fault | yes |
/// | device: no-driver, no-device, driver-too-old, wrong-chip, library-missing | once on another machine, else halt: the others would lack it too | yes; no |
/// | device: busy | resume after a wait, [`BUSY_BOUND`] times, each twice as long | no |
/// | device: no-support | give up: this program is the same everywhere | |
/// | device: other | as failed | yes |
/// | never started | again | yes |
/// | refused | give up: the same would be refused again, and the planner should know | |
/// | barred | halt: the cluster would refuse the others too; uncharged once the site file is mended | no |
/// | cancelled | give up: a person ended its job, or its deadline did | |
pub fn recover(class: Class, history: &[Class], policy: &Policy) -> Recovery {
    let earlier = |wanted: fn(&Class) -> bool| history.iter().filter(|c| wanted(c)).count();
    let give_up = |reason: String| Recovery::GiveUp { reason };
    let away = if policy.elsewhere { Change::Elsewhere } else { Change::None };
    let (resume, change) = match class {
        Class::Completed | Class::Paused => return Recovery::Done,
        Class::Diverged => return Recovery::Result,
        Class::Refused => {
            return Recovery::GiveUp { reason: "its input was refused; the same again would be too".to_string() };
        }
        Class::Cancelled => {
            return Recovery::GiveUp { reason: "somebody ended its job, and that is respected".to_string() };
        }
        Class::Barred => {
            return Recovery::Halt { reason: "it would refuse the others too, so nothing more is started".to_string() };
        }
        Class::Missing => {
            return Recovery::Halt { reason: "the other runs need it too, so nothing more is started".to_string() };
        }
        Class::Checkpointed | Class::Preempted => {
            let stops = earlier(stopped);
            if stops >= CHECKPOINT_BOUND {
                return Recovery::GiveUp {
                    reason: format!("it was stopped {} times, and {CHECKPOINT_BOUND} is the bound", stops + 1),
                };
            }
            return Recovery::Retry { resume: true, change: Change::None, charged: false };
        }
        Class::DeviceOutOfMemory => {
            let change = match earlier(|c| *c == Class::DeviceOutOfMemory) {
                ..DEVICE_HALVINGS => Change::HalveMicroBatch,
                DEVICE_HALVINGS => Change::BiggerDevice,
                n => return give_up(format!("the GPU's memory ran out {} times", n + 1)),
            };
            return Recovery::Retry { resume: true, change, charged: false };
        }
        Class::DeviceFailed { fault: Fault::Busy } => {
            let waits = earlier(|c| *c == Class::DeviceFailed { fault: Fault::Busy });
            if waits >= BUSY_BOUND {
                return give_up(format!("the device was still busy after {waits} waits"));
            }
            let seconds = FIRST_WAIT * 2f64.powi(waits as i32);
            return Recovery::Retry { resume: true, change: Change::Wait { seconds }, charged: false };
        }
        Class::DeviceFailed { fault: Fault::NoSupport } => {
            return give_up("this program cannot use the device, here or elsewhere".to_string());
        }
        Class::DeviceFailed { fault: Fault::IllegalAccess } => {
            if earlier(|c| *c == Class::DeviceFailed { fault: Fault::IllegalAccess }) > 0 {
                return give_up("the same fault a second time: most likely it is this program's".to_string());
            }
            (true, away)
        }
        Class::DeviceFailed { fault } => match fault.blame() {
            // What is not installed here is lacking for every run, as a dataset would be.
            Blame::Installation if !policy.elsewhere => {
                return Recovery::Halt {
                    reason: "this machine lacks it for the other runs too, so nothing more is started".to_string(),
                };
            }
            Blame::Installation if earlier(lacks_something) > 0 => {
                return Recovery::Halt {
                    reason: "a second node could not run it either, so nothing more is started".to_string(),
                };
            }
            Blame::Installation | Blame::Hardware => (true, away),
            _ => (history.last() != Some(&class), Change::None),
        },
        Class::TimedOut => (true, Change::MoreWall { factor: WALL_FACTOR }),
        // A machine's memory is what it is, so the run is made smaller first; a cluster gives more on asking.
        Class::OutOfMemory => {
            let first = earlier(|c| *c == Class::OutOfMemory) < HALVINGS;
            let change = if first == policy.elsewhere {
                Change::MoreMemory { factor: MEMORY_FACTOR }
            } else {
                Change::HalveMicroBatch
            };
            (true, change)
        }
        Class::NodeFailed | Class::LaunchFailed => (true, away),
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
    1 + policy.retries + CHECKPOINT_BOUND + DEVICE_MEMORY_BOUND + BUSY_BOUND
}

/// Whether recovering from this class uses up a retry.
fn charged(class: &Class) -> bool {
    match class {
        Class::TimedOut | Class::OutOfMemory | Class::NeverStarted | Class::Crashed { .. } | Class::Failed => true,
        Class::NodeFailed | Class::LaunchFailed => true,
        Class::DeviceFailed { fault } => *fault != Fault::Busy,
        Class::Completed
        | Class::DeviceOutOfMemory
        | Class::Paused
        | Class::Diverged
        | Class::Checkpointed
        | Class::Preempted
        | Class::Missing
        | Class::Barred
        | Class::Refused
        | Class::Cancelled => false,
    }
}

/// Whether it ended for something that its machine's installation lacks.
fn lacks_something(class: &Class) -> bool {
    matches!(class, Class::DeviceFailed { fault } if fault.blame() == Blame::Installation)
}

/// Whether it ended because somebody needed its place, or wished so.
fn stopped(class: &Class) -> bool {
    matches!(class, Class::Checkpointed | Class::Preempted)
}

fn killed(class: &Class) -> bool {
    matches!(class, Class::Crashed { signal: Some(libc::SIGKILL), .. })
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
