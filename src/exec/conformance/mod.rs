//! One suite for every executor: the fake machine, processes here, jobs of a fake SLURM, and jobs of a real one where there is
//! a testbed.
#![allow(clippy::disallowed_methods)]

mod beds;
mod suite;

pub(super) use beds::LocalBed;

use super::{Executor, Launch, Status};
use crate::record::Evidence;
use beds::FakeBed;

/// What a worker in the suite does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Behaviour {
    /// Completes soon.
    Completes,
    /// Completes, claiming its attempt only after some seconds.
    StartsAfter(f64),
    /// Runs until told otherwise, then completes the moment it is released.
    Hangs,
    /// As `Hangs`, ignoring SIGTERM.
    Deaf,
    /// Writes a line to its log and exits with code 3.
    Crashes,
    /// Is ended by SIGKILL.
    IsKilled,
    /// Completes, then fails to leave in order.
    CompletesThenIsKilled,
}

/// A machine with executors on it.
pub(super) trait Bed {
    /// Another controller's executor on the same machine.
    fn executor(&self) -> Box<dyn Executor + '_>;
    /// A new attempt, not launched.
    fn attempt(&self, behaviour: Behaviour) -> Launch;
    /// Lets a little time pass.
    fn wait(&self);
    /// How many waits are a reasonable patience.
    fn patience(&self) -> usize;
    /// The signal that an attempt is known to have ended by where its wall limit ended it.
    fn signal_of_the_limit(&self) -> Option<i32> {
        Some(9)
    }
    /// Whether only the executor that launched a worker learns its exit code.
    fn only_parents_learn(&self) -> bool {
        true
    }
    /// Whether a worker is told to stop ahead of its wall limit, so that one that listens leaves before it.
    fn warns(&self) -> bool {
        false
    }
    /// Whether an adopted attempt's end is known at the first look.
    fn knows_at_once(&self) -> bool {
        true
    }
}

/// Polls until the attempt has ended.
pub(super) fn end_of(bed: &dyn Bed, executor: &mut dyn Executor, launch: &Launch) -> Evidence {
    for _ in 0..bed.patience() {
        if let Status::Ended(evidence) = executor.poll(launch.id).unwrap() {
            return evidence;
        }
        bed.wait();
    }
    panic!("attempt {} never ended", launch.id)
}

/// Polls until the worker has claimed the attempt.
pub(super) fn running(bed: &dyn Bed, executor: &mut dyn Executor, launch: &Launch) {
    for _ in 0..bed.patience() {
        match executor.poll(launch.id).unwrap() {
            Status::Running => return,
            Status::Pending => bed.wait(),
            Status::Ended(evidence) => panic!("ended too soon: {evidence:?}"),
        }
    }
    panic!("attempt {} never ran", launch.id)
}

macro_rules! conformance {
    ($($name:ident)*) => {
        mod fake {
            $(#[test] fn $name() { super::suite::$name(&super::FakeBed::default()) })*
        }
        mod local {
            $(#[test] fn $name() { super::suite::$name(&super::LocalBed::default()) })*
        }
        mod slurm {
            use crate::exec::slurm::tests::SlurmBed;
            $(#[test] fn $name() { super::suite::$name(&SlurmBed::default()) })*
        }
        mod real {
            use crate::exec::slurm::real::RealBed;
            $(#[test] fn $name() { RealBed::with(stringify!($name), |bed| super::suite::$name(bed)) })*
        }
    };
}

mod late {
    //! A worker that has not begun yet: a process is given up, a job in a queue is waited for.
    use super::{FakeBed, LocalBed, suite};
    use crate::exec::slurm::real::RealBed;
    use crate::exec::slurm::tests::SlurmBed;

    #[test]
    fn fake() {
        suite::a_worker_that_comes_late_finds_itself_given_up(&FakeBed::default());
    }
    #[test]
    fn local() {
        suite::a_worker_that_comes_late_finds_itself_given_up(&LocalBed::default());
    }
    #[test]
    fn slurm() {
        suite::a_waiting_job_is_adopted_and_runs_once(&SlurmBed::default());
    }
    #[test]
    fn real() {
        RealBed::with("a_waiting_job_is_adopted_and_runs_once", |bed| {
            suite::a_waiting_job_is_adopted_and_runs_once(bed);
        });
    }
}

conformance! {
    a_completed_attempt
    a_crash_with_its_log
    a_death_by_signal
    an_outcome_counts_more_than_the_death_after_it
    the_wall_limit_kills
    a_gentle_stop_checkpoints
    a_deaf_worker_needs_a_hard_stop
    a_running_attempt_is_adopted
    an_adopted_attempt_keeps_its_limit
    what_ended_unwatched_is_found_out
    what_was_never_launched_never_starts
    attempts_do_not_disturb_each_other
    a_stranger_is_a_problem
}
