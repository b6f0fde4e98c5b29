//! A budget in device-seconds becomes a step count, by timing a few steps on a scratch copy of the state.

use super::inputs::step_inputs;
use super::trainer::{Job, optimiser_step};
use crate::engine::{Engine, EngineError};

/// Timed steps at least, after one untimed step that warms caches and allocators.
const MIN_STEPS: usize = 5;
/// Calibration stops after this many seconds, once it has its fewest steps.
const MAX_SECONDS: f64 = 1.0;

/// Median seconds of an optimiser step. The engine's state is spoilt afterwards: the caller loads it anew.
pub(super) fn seconds_per_step(job: &Job<'_>, engine: &mut dyn Engine, budget: f64) -> Result<f64, EngineError> {
    // Never more than a tenth of the budget itself, if that still leaves the fewest steps.
    let limit = MAX_SECONDS.min(budget / 10.0);
    let mut seconds = Vec::new();
    let begin = job.clock.monotonic();
    for step in 0.. {
        let start = job.clock.monotonic();
        // The schedule's length is not known yet; a rate of zero takes the same time.
        let inputs = crate::engine::StepInputs { learning_rate: 0.0, ..step_inputs(job.experiment, step, 1) };
        optimiser_step(job, engine, &inputs)?;
        let now = job.clock.monotonic();
        if step > 0 {
            seconds.push(now - start);
        }
        if seconds.len() >= MIN_STEPS && now - begin >= limit {
            break;
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}

/// Whole steps that fit into `budget` seconds, at least one.
pub(super) fn steps_within(budget: f64, seconds_per_step: f64) -> u64 {
    // A clock too coarse to see a step must not make the run endless.
    ((budget / seconds_per_step.max(1e-6)) as u64).max(1)
}
