//! Around the work: the watchdog, the looks at the machine, panics, the one outcome, the exit code.

use super::execute::execute;
use super::report::{Report, Reporting};
use super::sampling::Sampling;
use super::watchdog::{Limits, watch};
use crate::data::Dataset;
use crate::problem::{Class, Result};
use crate::record::{AttemptSpec, End, Outcome};
use crate::sys::clock::SystemClock;
use crate::sys::process::exit_now;
use crate::sys::signal::StopFlag;
use crate::train::{Ended, Observer, TrainError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// One attempt and the process that executes it.
pub(super) struct Setting<'a> {
    pub spec: &'a AttemptSpec,
    pub folder: &'a Path,
    pub stop: &'a StopFlag,
    /// Began with the attempt.
    pub clock: &'a SystemClock,
}

/// The process exit code that goes with an end.
pub fn exit_code(end: &End) -> u8 {
    match end {
        End::Completed | End::Paused | End::Diverged { .. } => 0,
        End::Checkpointed => 75,
        End::Refused { .. } => 2,
        End::Missing { .. } => Class::Unavailable.exit_code(),
        End::DeviceFailed { fault, .. } if fault.is_unavailable() => Class::Unavailable.exit_code(),
        End::TimedOut { .. } | End::OutOfMemory { .. } | End::DeviceFailed { .. } => 1,
        End::Full { .. } | End::Failed { .. } => 1,
    }
}

/// Executes the attempt and writes its outcome; returns it with the exit code. Fails only where the outcome itself
/// cannot be written.
pub(super) fn perform(
    setting: &Setting<'_>,
    dataset: Option<Dataset>,
    observer: &mut dyn Observer,
) -> Result<(Outcome, u8)> {
    let sampling = Sampling::start(setting.spec, setting.folder, *setting.clock);
    let report = Report::new(setting.folder, *setting.clock).with(sampling);
    let limits = Limits::of(setting.spec);
    std::thread::scope(|scope| {
        if limits.any() {
            scope.spawn(|| watch(limits, &report, || exit_now(1)));
        }
        let mut reporting = Reporting { report: &report, inner: observer };
        let result = catch_unwind(AssertUnwindSafe(|| execute(setting, dataset, &mut reporting)));
        let (end, code) = match result {
            Ok(Ok(ended)) => {
                let code = exit_code(&ended.end);
                (accept(&report, ended), code)
            }
            Ok(Err(error)) => {
                let end = error.end(setting.spec.experiment.resources.device);
                let code = match &error {
                    TrainError::Problem(problem) if problem.class == Class::Unavailable => problem.class.exit_code(),
                    _ => exit_code(&end),
                };
                (end, code)
            }
            Err(payload) => {
                let end = End::Failed { message: panic_message(&*payload) };
                (end, 1)
            }
        };
        report.finish(end).map(|outcome| (outcome, code))
    })
}

/// What the loop knows is newer than what the observer was told.
fn accept(report: &Report<'_>, ended: Ended) -> End {
    report.update(|s| {
        s.step = ended.step;
        s.metrics = ended.metrics;
        s.training_seconds = ended.training_seconds;
        s.weights = ended.weights;
        s.checkpoint = ended.checkpoint.or(s.checkpoint.take());
    });
    ended.end
}

/// A panic is a bug of this program; the place it happened at is in the log, on stderr.
fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let said = payload
        .downcast_ref::<&str>()
        .map(|s| s.to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_string());
    format!("the worker panicked: {said}\n  this is a bug; worker.log says where, and the run can be resumed")
}
