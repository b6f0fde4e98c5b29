//! Step times and memory on a GPU.

use super::calibrate::profile;
use super::family::Family;
use super::measure::median;
use super::session::{Session, StepSize};
use super::train::Subject;
use crate::config::{DeviceSpec, Experiment, Precision};
use crate::cost::{Estimate, predict};
use crate::engine::{self, DeviceMemory, Placement};
use crate::graph;
use crate::problem::Result;
use crate::sys::clock::Stopwatch;
use crate::units::Bytes;
use serde::Serialize;

/// Seconds of one block of steps; a block ends when the device has done its work.
const BLOCK_SECONDS: f64 = 0.05;
/// Blocks at least.
const MIN_BLOCKS: usize = 5;
/// Steps before the first block: kernels are loaded, the allocator's pool is filled.
const WARM_UP: usize = 5;

/// One experiment in one precision.
#[derive(Debug, Clone, Serialize)]
pub struct GpuRow {
    /// Name of the config.
    pub config: String,
    /// The engine's own name.
    pub engine: String,
    /// What it computed in.
    pub precision: Precision,
    /// Samples in a step.
    pub samples: usize,
    /// Tokens in a step; as many as samples where there are none.
    pub tokens: usize,
    /// FLOPs of matrix products, convolutions and attention in a step.
    pub step_flops: f64,
    /// Steps timed.
    pub steps: usize,
    /// Seconds from making the engine to the end of the first step.
    pub first_step_seconds: f64,
    /// Seconds of a step: median over blocks.
    pub seconds: f64,
    /// The fastest and the slowest block.
    pub spread: (f64, f64),
    /// What the cost model said beforehand, where it was asked.
    pub predicted_step: Option<Estimate>,
    /// Losses of the first steps.
    pub losses: Vec<f64>,
    /// Device memory that was predicted for the process.
    pub predicted_memory: Bytes,
    /// What the driver counted.
    pub memory: Option<DeviceMemory>,
}

/// The experiment as it is timed.
fn there(subject: &Subject<'_>, device: DeviceSpec, precision: Precision) -> Experiment {
    let mut experiment = subject.experiment.clone();
    experiment.resources.device = device;
    experiment.resources.engine = None;
    experiment.training.precision = precision;
    experiment
}

/// Seconds of a step as the cost model predicts them, from the card's profile, which is measured first where there is none.
pub fn predict_on_gpu(
    subject: &Subject<'_>,
    device: DeviceSpec,
    precision: Precision,
    say: &mut dyn FnMut(&str),
) -> Result<Estimate> {
    let experiment = there(subject, device, precision);
    let placement = Placement::of(&experiment);
    let programs = graph::build(&experiment, subject.shape)?;
    let profile = profile(placement, Family::of(&experiment.model), say)?;
    Ok(predict(&programs, &engine::tasks(placement, &programs)?, &profile).step_seconds)
}

/// Times an experiment on a GPU for about `seconds`.
pub fn time_on_gpu(subject: &Subject<'_>, device: DeviceSpec, precision: Precision, seconds: f64) -> Result<GpuRow> {
    let experiment = there(subject, device, precision);
    let begin = Stopwatch::start();
    let mut session = Session::new(&experiment, subject.shape, None, experiment.resources.threads)?;
    let mut losses = vec![session.step()?];
    let first_step_seconds = begin.seconds();
    for _ in 1..WARM_UP {
        losses.push(session.step()?);
    }
    let one = session.block(1)?.0;
    let steps = ((BLOCK_SECONDS / one.max(1e-7)) as usize).clamp(1, 10_000);
    let begin = Stopwatch::start();
    let mut times = Vec::new();
    while times.len() < MIN_BLOCKS || begin.seconds() < seconds {
        times.push(session.block(steps)?.0 / steps as f64);
    }
    // For its memory: the prediction covers it.
    session.evaluate(subject.shape)?;
    let size = StepSize::of(session.programs());
    let spread = times.iter().fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), &t| (low.min(t), high.max(t)));
    Ok(GpuRow {
        config: subject.name.clone(),
        engine: session.engine().to_string(),
        precision,
        samples: size.samples,
        tokens: size.tokens,
        step_flops: size.flops,
        steps: steps * times.len(),
        first_step_seconds,
        seconds: median(times),
        spread,
        predicted_step: None,
        losses,
        predicted_memory: session.footprint(),
        memory: session.device_memory(),
    })
}
