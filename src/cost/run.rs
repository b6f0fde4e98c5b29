//! What a whole run takes: start-up, steps, evaluations, checkpoints.

use super::{Estimate, Prediction};
use crate::config::{Experiment, TrainingBudget};
use crate::graph::{DType, StepPrograms};
use crate::units::{Bytes, DeviceTime};
use serde::{Deserialize, Serialize};

/// Sizes of the data's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Samples {
    /// Training samples.
    pub train: usize,
    /// Validation samples, before `evaluation.samples` limits them.
    pub validation: usize,
}

/// A run before it is run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RunCost {
    /// Optimiser steps.
    pub steps: u64,
    /// Evaluations of the validation part.
    pub evaluations: u64,
    /// Wall seconds from start to end of the worker.
    pub wall: Estimate,
    /// Devices times wall time.
    pub device_time: DeviceTime,
    /// Peak memory of the process on its host.
    pub memory: Bytes,
    /// Peak memory of its GPU; none for a run on a CPU.
    #[serde(default)]
    pub device_memory: Option<Bytes>,
}

impl RunCost {
    /// The same run when everything takes `factor` times as long; see [`super::overhead_factor`].
    pub fn scaled(self, factor: f64) -> Self {
        let Estimate { seconds, low, high } = self.wall;
        let wall = Estimate { seconds: factor * seconds, low: factor * low, high: factor * high };
        RunCost { wall, device_time: DeviceTime::of(DEVICES, wall.seconds), ..self }
    }

    /// With the memory of a run on a CPU: the engine's own, which knows its buffers, beside what every run holds.
    pub fn on_cpu(self, engine: Bytes, host: HostMemory) -> Self {
        RunCost { memory: Bytes(engine.0 + host.sum().0), device_memory: None, ..self }
    }

    /// The same where the engine's memory is a GPU's.
    pub fn on_gpu(self, engine: Bytes, host: HostMemory) -> Self {
        RunCost { memory: host.sum(), device_memory: Some(engine), ..self }
    }
}

/// What a run holds in its host's memory beside its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostMemory {
    /// The process before it has any state: [`super::Machine::process_memory`].
    pub process: Bytes,
    /// The dataset.
    pub data: Bytes,
    /// The state that checkpoints keep, once: parameters, optimiser moments, averages.
    pub checkpoint: Bytes,
}

impl HostMemory {
    /// While a checkpoint is written there are two copies of it: the values, and the file. At the start there is one: the values
    /// that the run begins with.
    fn sum(self) -> Bytes {
        Bytes(self.process.0 + self.data.0 + 2 * self.checkpoint.0)
    }
}

/// Devices an attempt holds: on CPU one slot.
const DEVICES: u32 = 1;

/// The cost of one run of `experiment` on one device. A budget in device-seconds is taken at its word, and the steps are
/// what fits in it.
pub fn run_cost(
    experiment: &Experiment,
    programs: &StepPrograms,
    prediction: &Prediction,
    samples: Samples,
) -> RunCost {
    let (training, evaluation) = (&experiment.training, &experiment.evaluation);
    let step = prediction.step_seconds.seconds;
    let steps = training.budget.steps(samples.train, training.batch_size, tokens_per_sample(programs));
    let (steps, stepping) = match (steps, training.budget) {
        (None, TrainingBudget::DeviceSeconds(budget)) => (((budget / step) as u64).max(1), budget),
        (steps, _) => (steps.unwrap_or(1), steps.unwrap_or(1) as f64 * step),
    };
    // The same cadence as the training loop, and always the last step.
    let evaluations = steps.div_ceil(evaluation.interval(steps));
    let evaluated = match evaluation.samples {
        0 => samples.validation,
        limit => limit.min(samples.validation),
    };
    let batches = evaluated.div_ceil(evaluation.batch_size.max(1));
    // At the end there is one more checkpoint and the model itself. In between one at each new best evaluation too: most of
    // them are, while a run learns.
    let every = evaluation.checkpoint_every;
    let checkpoints = match steps.checked_div(every) {
        None => 2,
        // Those that fall on a regular checkpoint, or on the end, are none more.
        Some(regular) => 2 + regular + evaluations.saturating_sub(1 + steps / lcm(every, evaluation.interval(steps))),
    };
    let seconds = prediction.startup_seconds
        + stepping
        + (evaluations as usize * batches) as f64 * prediction.eval_seconds
        + checkpoints as f64 * prediction.checkpoint_seconds;
    RunCost {
        steps,
        evaluations,
        wall: Estimate::new(seconds, prediction.log_spread),
        device_time: DeviceTime::of(DEVICES, seconds),
        memory: prediction.memory,
        device_memory: None,
    }
}

fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b).max(1)
}

/// Tokens in one sample; 1 for data without tokens.
fn tokens_per_sample(programs: &StepPrograms) -> usize {
    match programs.micro.batch.first() {
        Some(input) if input.dtype == DType::U32 => input.shape[1..].iter().product(),
        _ => 1,
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
