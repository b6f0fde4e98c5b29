//! Seconds of each of an experiment's programs on this machine.

use super::synthetic::{self, Ids};
use crate::config::{DataShape, Experiment};
use crate::cost::{StepTasks, Task};
use crate::data::Batch;
use crate::engine::{self, Engine, EngineError, HostState, PartTime, Placement, StepInputs};
use crate::graph::{self, Program, StepPrograms};
use crate::problem::Result;
use crate::sys::clock::Stopwatch;

/// Seconds of one execution of each program: the lower quartile over repetitions.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What was measured.
    pub programs: StepPrograms,
    /// What its engine executes for them.
    pub tasks: StepTasks,
    /// Of `micro`.
    pub micro: f64,
    /// Of `apply`.
    pub apply: f64,
    /// Of `eval`.
    pub eval: f64,
    /// Of the parts of `micro` and of the update, where the engine can tell them apart and they were asked for.
    pub parts: Vec<(Vec<Task>, f64)>,
}

impl Measured {
    /// Seconds of one optimiser step.
    pub fn step(&self) -> f64 {
        self.micro * self.programs.micro_steps as f64 + self.apply
    }
}

/// Rounds at least, of which the first warms up; models too slow for more are measured well enough by the fewer.
const LEAST: usize = 3;
/// Seconds after which a model so slow that one round takes long is not repeated further.
const PATIENCE: f64 = 12.0;

/// Builds the experiment for data of the given shape and times it on random batches for about `seconds` of wall time, and
/// its parts for as long again, where they are wanted.
pub fn measure(experiment: &Experiment, shape: &DataShape, seconds: f64, with_parts: bool) -> Result<Measured> {
    Ok(timed(experiment, graph::build(experiment, shape)?, shape, seconds, with_parts)?)
}

/// As [`measure`], without parts; `None` where the device has no memory for the experiment.
pub(super) fn measure_where_it_fits(
    experiment: &Experiment,
    shape: &DataShape,
    seconds: f64,
) -> Result<Option<Measured>> {
    match timed(experiment, graph::build(experiment, shape)?, shape, seconds, false) {
        Err(EngineError::OutOfMemory { .. }) => Ok(None),
        measured => Ok(Some(measured?)),
    }
}

fn timed(
    experiment: &Experiment,
    programs: StepPrograms,
    shape: &DataShape,
    seconds: f64,
    with_parts: bool,
) -> std::result::Result<Measured, EngineError> {
    let placement = Placement::of(experiment);
    let tasks = engine::tasks(placement, &programs)?;
    let mut engine = engine::create(placement, programs.clone())?;
    engine.load(&HostState { tensors: synthetic::state(&programs.state) })?;
    let ids = Ids::of(shape);
    let inputs = StepInputs { seed: 1, step: 0, learning_rate: 1e-4, bias_correction1: 0.1, bias_correction2: 0.001 };
    let step =
        |engine: &mut dyn Engine, (program, batch): &(&Program, Batch)| -> std::result::Result<f64, EngineError> {
            let watch = Stopwatch::start();
            match program.name {
                "micro" => engine.micro(batch, &inputs, 0)?,
                "apply" => {
                    engine.apply(&inputs)?;
                }
                _ => {
                    engine.eval(batch)?;
                }
            }
            Ok(watch.seconds())
        };
    let mut times: [Vec<f64>; 3] = Default::default();
    let all = [&programs.micro, &programs.apply, &programs.eval].map(|p| (p, synthetic::batch(p, ids, 0, 0)));
    let watch = Stopwatch::start();
    // The programs take turns, so that a disturbance of the machine falls on all of them. The first round warms up; it
    // counts only where a round takes so long that warming up is nothing beside it.
    let mut round = 0;
    while (round < LEAST && watch.seconds() < PATIENCE) || (watch.seconds() < seconds && round < 400) {
        for (i, program) in all.iter().enumerate() {
            let time = step(engine.as_mut(), program)?;
            if round == 1 && watch.seconds() < PATIENCE {
                times[i].clear();
            }
            times[i].push(time);
        }
        round += 1;
    }
    let [micro, apply, eval] = times.map(undisturbed);
    let mut rounds: Vec<Vec<PartTime>> = Vec::new();
    let watch = Stopwatch::start();
    let (_, batch) = &all[0];
    let mut round = 0;
    while with_parts && (round + 1 < LEAST || watch.seconds() < seconds) && watch.seconds() < PATIENCE && round < 400 {
        rounds.push(engine.profile(batch, &inputs)?);
        round += 1;
    }
    Ok(Measured { programs, tasks, micro, apply, eval, parts: parts(rounds) })
}

/// The parts' times in the quarter of the rounds that were fastest in all: where another process takes a core, one part seems
/// to take long, and those that the other threads did meanwhile no time at all.
fn parts(mut rounds: Vec<Vec<PartTime>>) -> Vec<(Vec<Task>, f64)> {
    let total = |round: &Vec<PartTime>| round.iter().map(|part| part.seconds).sum::<f64>();
    rounds.sort_by(|a, b| total(a).total_cmp(&total(b)));
    rounds.truncate(rounds.len().div_ceil(4));
    let Some(first) = rounds.first() else { return Vec::new() };
    let times = |i: usize| rounds.iter().filter_map(|round| Some(round.get(i)?.seconds)).collect();
    first.iter().enumerate().map(|(i, part)| (part.tasks.clone(), median(times(i)))).collect()
}

/// The time that a quarter of all stayed below: what it takes where nothing else runs, as long as that is so now and then.
fn undisturbed(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 4]
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
