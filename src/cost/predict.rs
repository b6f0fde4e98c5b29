//! Seconds of programs on a machine whose profile is known.

use super::{StepTasks, Task, ThroughputProfile};
use crate::graph::StepPrograms;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};

/// Seconds with an 80% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Best guess.
    pub seconds: f64,
    /// The truth is below with 10% probability.
    pub low: f64,
    /// The truth is above with 10% probability.
    pub high: f64,
}

impl Estimate {
    /// Seconds whose logarithm is uncertain by `log_spread`: the errors of a profile are relative ones.
    pub(super) fn new(seconds: f64, log_spread: f64) -> Self {
        Estimate { seconds, low: seconds * (-log_spread).exp(), high: seconds * log_spread.exp() }
    }
}

/// What the parts of a run take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Seconds of one micro-batch.
    pub micro_seconds: f64,
    /// Seconds of one update.
    pub apply_seconds: f64,
    /// Seconds of one evaluation batch.
    pub eval_seconds: f64,
    /// One optimiser step: all micro-batches and the update.
    pub step_seconds: Estimate,
    /// Seconds to write one checkpoint.
    pub checkpoint_seconds: f64,
    /// Seconds before the first step.
    pub startup_seconds: f64,
    /// State, the largest of the programs, and the process itself.
    pub memory: Bytes,
    /// Half-width of the 80% interval of the logarithm of all these seconds; see [`ThroughputProfile::log_spread`].
    pub log_spread: f64,
}

/// Predicts by adding up the tasks of an engine. Errors of a profile are shared by all tasks of a class, so they do not average out over
/// a program, and the interval of any part is as wide, relatively, as that of the whole.
pub fn predict(programs: &StepPrograms, tasks: &StepTasks, profile: &ThroughputProfile) -> Prediction {
    let micro = seconds(&tasks.micro, profile);
    let apply = seconds(&tasks.apply, profile);
    let checkpoint = checkpoint_bytes(programs);
    let largest = [&programs.micro, &programs.apply, &programs.eval].map(|p| p.peak_bytes().0).into_iter().max();
    Prediction {
        micro_seconds: micro,
        apply_seconds: apply,
        eval_seconds: seconds(&tasks.eval, profile),
        step_seconds: Estimate::new(programs.micro_steps as f64 * micro + apply, profile.log_spread),
        checkpoint_seconds: profile.machine.checkpoint_seconds
            + checkpoint.0 as f64 * profile.machine.write_seconds_per_byte,
        startup_seconds: profile.machine.startup_seconds,
        memory: Bytes(profile.machine.process_memory.0 + programs.state.bytes().0 + largest.unwrap_or(0)),
        log_spread: profile.log_spread,
    }
}

/// Bytes of the state that a checkpoint keeps: all but gradients and the running loss.
pub fn checkpoint_bytes(programs: &StepPrograms) -> Bytes {
    Bytes(programs.state.kept().map(|(_, t)| 4 * t.shape.iter().product::<usize>() as u64).sum())
}

/// Seconds of one execution.
fn seconds(tasks: &[Task], profile: &ThroughputProfile) -> f64 {
    tasks.iter().map(|task| profile.rate(task.class).seconds(task.work)).sum()
}
