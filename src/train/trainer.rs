//! The loop itself.

use super::cadence::Cadence;
use super::calibrate;
use super::error::TrainError;
use super::evaluate::{beyond_guessing, evaluate, validation_samples};
use super::fingerprint::{differences, fingerprint};
use super::inputs::step_inputs;
use super::observer::{Event, Observer, Stepped};
use super::resume;
use super::source::BatchSource;
use crate::config::{Experiment, TrainingBudget};
use crate::data::Part;
use crate::engine::{Engine, EngineError, HostState, StepInputs};
use crate::graph::{DType, StateRole, StepPrograms};
use crate::ids::RunKey;
use crate::record::{
    Best, CHECKPOINTS_FOLDER, CheckpointInfo, End, FORMAT, METRICS_FILE, Metrics, MetricsWriter, Tensors, Timing,
    checkpoint_path, clean_checkpoints, prune_checkpoints, weights_hash, write_checkpoint, write_model,
};
use crate::sys::clock::Clock;
use crate::sys::process::{give_back_freed_memory, resident_memory};
use crate::sys::signal::StopFlag;
use crate::units::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Everything about a training that is given.
#[derive(Clone)]
pub struct Job<'a> {
    /// What is trained, with its seed.
    pub experiment: &'a Experiment,
    /// Its step programs.
    pub programs: &'a StepPrograms,
    /// Its data.
    pub source: &'a dyn BatchSource,
    /// Makes the state at step 0. It is made when it is needed and not kept: beside its engine's state a training holds copies
    /// only while a checkpoint is read or written.
    pub initial: &'a dyn Fn() -> HostState,
    /// What the run is.
    pub key: &'a RunKey,
    /// The attempt's folder; nothing outside it is written.
    pub folder: &'a Path,
    /// A checkpoint of an earlier attempt to go on from, where this attempt has none of its own.
    pub resume_from: Option<&'a Path>,
    /// Asks for a checkpoint and an early end.
    pub stop: &'a StopFlag,
    /// Step after which to checkpoint and end although the run goes further; the schedule does not depend on it.
    pub stop_at: Option<u64>,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Wall-clock limit.
    pub limit: Option<Limit>,
}

/// When to stop for the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Reading of [`Job::clock`]'s monotonic time beyond which no step is begun.
    pub deadline: f64,
    /// The limit as it was asked for, in seconds, for the record.
    pub seconds: f64,
}

/// How a training ended and what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// How.
    pub end: End,
    /// Steps done, of the run.
    pub step: u64,
    /// Metrics of the last evaluation.
    pub metrics: BTreeMap<String, f64>,
    /// Seconds inside optimiser steps, of this attempt.
    pub training_seconds: f64,
    /// Hash of the final weights, of completed runs.
    pub weights: Option<String>,
    /// Newest checkpoint in the attempt's folder, relative to it.
    pub checkpoint: Option<PathBuf>,
}

/// A training that knows where it begins and how far it goes.
pub struct Trainer<'a> {
    job: Job<'a>,
    engine: &'a mut dyn Engine,
    fingerprint: BTreeMap<String, String>,
    warnings: Vec<String>,
    total: u64,
    metrics_file: MetricsWriter,
    // Where the run stands.
    step: u64,
    metrics: BTreeMap<String, f64>,
    best: Option<Best>,
    checkpoint: Option<PathBuf>,
    // Time.
    seconds_before: f64,
    begin: f64,
    training_seconds: f64,
    since_line: Since,
    memory: Memory,
}

/// Work since the last line of training metrics.
#[derive(Debug, Default)]
struct Since {
    samples: u64,
    seconds: f64,
}

/// Resident memory, read at most every tenth of a second: a read costs as much as a small step.
#[derive(Debug, Default)]
struct Memory {
    read_at: Option<f64>,
    resident: Bytes,
}

/// Tokens in one sample; 1 where the data has none.
pub fn tokens_per_sample(programs: &StepPrograms) -> usize {
    match programs.micro.batch.first() {
        Some(input) if input.dtype == DType::U32 => input.shape[1..].iter().product(),
        _ => 1,
    }
}

/// One optimiser step; returns (mean training loss, gradient norm).
pub(super) fn optimiser_step(
    job: &Job<'_>,
    engine: &mut dyn Engine,
    inputs: &StepInputs,
) -> Result<(f64, f64), EngineError> {
    let size = job.programs.micro_batch;
    let indices = job.source.train_indices(inputs.seed, inputs.step, size * job.programs.micro_steps);
    let mut weight = 0.0;
    for (micro, chunk) in indices.chunks(size).enumerate() {
        let batch = job.source.batch(Part::Train, chunk, size);
        weight += batch.weight.iter().map(|&w| f64::from(w)).sum::<f64>();
        engine.micro(&batch, inputs, (micro * size) as u32)?;
    }
    let output = engine.apply(inputs)?;
    Ok((output.loss_sum / weight, output.grad_norm))
}

impl<'a> Trainer<'a> {
    /// Finds where to begin, loads the state there and resolves the number of steps. Nothing is trained yet, so the
    /// caller can record [`total_steps`](Self::total_steps) and [`warnings`](Self::warnings) first.
    pub fn prepare(job: Job<'a>, engine: &'a mut dyn Engine, observer: &mut dyn Observer) -> Result<Self, TrainError> {
        clean_checkpoints(&job.folder.join(CHECKPOINTS_FOLDER))?;
        let mut warnings = Vec::new();
        let point = resume::find(&job, &mut warnings, observer)?;
        let fingerprint = fingerprint(engine, job.programs);
        let total = match &point {
            Some(point) => point.checkpoint.info.total_steps,
            None => resolve_total(&job, engine, observer)?,
        };
        let mut trainer = Trainer {
            metrics_file: MetricsWriter::open(
                &job.folder.join(METRICS_FILE),
                point.as_ref().map_or(0, |p| p.checkpoint.info.metrics_bytes),
            )?,
            step: 0,
            metrics: BTreeMap::new(),
            best: None,
            checkpoint: None,
            seconds_before: 0.0,
            begin: job.clock.monotonic(),
            training_seconds: 0.0,
            since_line: Since::default(),
            memory: Memory::default(),
            job,
            engine,
            fingerprint,
            warnings,
            total,
        };
        match point {
            Some(point) => trainer.go_on(point, observer)?,
            None => trainer.engine.load(&(trainer.job.initial)())?,
        }
        give_back_freed_memory();
        Ok(trainer)
    }

    fn go_on(&mut self, point: resume::Point, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let info = point.checkpoint.info;
        if info.fingerprint != self.fingerprint {
            let text = format!(
                "the run goes on under another fingerprint than that of its checkpoint at step {} ({}): its results \
                 agree with an undisturbed run within tolerance, not bit for bit",
                info.step,
                differences(&info.fingerprint, &self.fingerprint)
            );
            observer.on_event(&Event::Warning(text.clone()));
            self.warnings.push(text);
        }
        self.engine.load(&HostState { tensors: point.checkpoint.tensors })?;
        self.step = info.step;
        self.metrics = info.metrics;
        self.best = info.best;
        self.seconds_before = info.seconds;
        if point.own {
            self.checkpoint = point.path.strip_prefix(self.job.folder).ok().map(Path::to_path_buf);
        }
        Ok(())
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.total
    }

    /// Steps already done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// Validation samples of each evaluation.
    pub fn validation_samples(&self) -> usize {
        validation_samples(self.job.source, &self.job.experiment.evaluation)
    }

    /// See [`fingerprint`].
    pub fn fingerprint(&self) -> &BTreeMap<String, String> {
        &self.fingerprint
    }

    /// What went wrong on the way to the first step.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Trains to the end, or until something ends it earlier.
    pub fn run(mut self, observer: &mut dyn Observer) -> Ended {
        observer.on_start(self.total, self.step);
        let (end, weights) = match self.train(observer) {
            Ok(reached) => reached,
            Err(error) => (error.end(self.job.experiment.resources.device), None),
        };
        Ended {
            end,
            step: self.step,
            metrics: self.metrics,
            training_seconds: self.training_seconds,
            weights,
            checkpoint: self.checkpoint,
        }
    }

    fn train(&mut self, observer: &mut dyn Observer) -> Result<(End, Option<String>), TrainError> {
        self.begin = self.job.clock.monotonic();
        let cadence = Cadence::new(&self.job.experiment.evaluation, self.total);
        while self.step < self.total {
            if self.job.stop_at.is_some_and(|step| self.step >= step) {
                self.save(observer)?;
                return Ok((End::Paused, None));
            }
            if self.job.stop.requested() {
                self.save(observer)?;
                return Ok((End::Checkpointed, None));
            }
            if let Some(limit) = self.job.limit.filter(|l| self.job.clock.monotonic() >= l.deadline) {
                self.save(observer)?;
                return Ok((End::TimedOut { limit_seconds: limit.seconds }, None));
            }
            if let Some(reason) = self.one_step(&cadence, observer)? {
                return Ok((End::Diverged { reason }, None));
            }
            let mut new_best = false;
            if cadence.evaluates(self.step) {
                match self.evaluate(observer)? {
                    Ok(better) => new_best = better,
                    Err(reason) => return Ok((End::Diverged { reason }, None)),
                }
            }
            if self.step < self.total && cadence.checkpoints(self.step, new_best) {
                self.save(observer)?;
            }
        }
        let tensors = self.save(observer)?;
        let weights = evaluated_weights(self.job.programs, &tensors);
        write_model(self.job.folder, &weights, self.job.experiment)?;
        Ok((End::Completed, Some(weights_hash(&weights))))
    }

    /// One optimiser step with its record; `Some` says what became non-finite.
    fn one_step(&mut self, cadence: &Cadence, observer: &mut dyn Observer) -> Result<Option<String>, TrainError> {
        let start = self.job.clock.monotonic();
        let inputs = step_inputs(self.job.experiment, self.step, self.total);
        let (loss, grad_norm) = optimiser_step(&self.job, self.engine, &inputs)?;
        let spent = self.job.clock.monotonic() - start;
        self.step += 1;
        self.training_seconds += spent;
        self.since_line.seconds += spent;
        self.since_line.samples += (self.job.programs.micro_batch * self.job.programs.micro_steps) as u64;
        for (name, value) in [("training loss", loss), ("gradient norm", grad_norm)] {
            if !value.is_finite() {
                return Ok(Some(format!("the {name} became {value} at step {}", self.step)));
            }
        }
        let timing = self.timing(self.since_line.samples, self.since_line.seconds);
        let lr = inputs.learning_rate;
        if cadence.records(self.step) {
            self.metrics_file.append(&Metrics::Train { step: self.step, loss, lr, grad_norm, timing })?;
            self.since_line = Since::default();
        }
        let training_seconds = self.training_seconds;
        observer.on_step(&Stepped { step: self.step, loss, lr, grad_norm, timing, training_seconds });
        Ok(None)
    }

    /// Evaluates and records; whether it is the best so far, or what became non-finite.
    fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<Result<bool, String>, TrainError> {
        let start = self.job.clock.monotonic();
        let spec = &self.job.experiment.evaluation;
        let metrics = evaluate(self.engine, self.job.programs, self.job.source, spec)?;
        let timing = self.timing(self.validation_samples() as u64, self.job.clock.monotonic() - start);
        if let Some((name, value)) = metrics.iter().find(|(_, v)| !v.is_finite()) {
            return Ok(Err(format!("the validation {name} became {value} at step {}", self.step)));
        }
        self.metrics_file.append(&Metrics::Eval { step: self.step, metrics: metrics.clone(), timing })?;
        if let Some(reason) = beyond_guessing(self.job.programs, &metrics) {
            return Ok(Err(format!("{reason}, at step {}", self.step)));
        }
        observer.on_eval(self.step, &metrics);
        let loss = metrics["loss"];
        let better = self.best.is_none_or(|best| loss < best.loss);
        if better {
            self.best = Some(Best { loss, step: self.step });
        }
        self.metrics = metrics;
        Ok(Ok(better))
    }

    fn timing(&mut self, samples: u64, seconds: f64) -> Timing {
        let now = self.job.clock.monotonic();
        if self.memory.read_at.is_none_or(|at| now - at >= 0.1) {
            self.memory = Memory { read_at: Some(now), resident: Bytes(resident_memory().0) };
        }
        Timing {
            seconds: self.seconds_so_far(),
            samples_per_second: if seconds > 0.0 { samples as f64 / seconds } else { 0.0 },
            memory: self.memory.resident,
        }
    }

    fn seconds_so_far(&self) -> f64 {
        self.seconds_before + (self.job.clock.monotonic() - self.begin)
    }

    /// Makes sure that this step's checkpoint is in the attempt's folder; returns the state.
    fn save(&mut self, observer: &mut dyn Observer) -> Result<Tensors, TrainError> {
        let state = self.engine.save()?;
        let path = checkpoint_path(Path::new(CHECKPOINTS_FOLDER), self.step);
        if self.checkpoint.as_ref() == Some(&path) {
            return Ok(state.tensors);
        }
        // The metrics go to disk first: a checkpoint must never count lines that a power cut can take back.
        let metrics_bytes = self.metrics_file.sync()?;
        let info = CheckpointInfo {
            format: FORMAT,
            step: self.step,
            total_steps: self.total,
            seed: self.job.experiment.training.seed,
            key: self.job.key.clone(),
            fingerprint: self.fingerprint.clone(),
            metrics_bytes,
            seconds: self.seconds_so_far(),
            metrics: self.metrics.clone(),
            best: self.best,
            state_hash: String::new(),
            checksum: String::new(),
        };
        let folder = self.job.folder.join(CHECKPOINTS_FOLDER);
        write_checkpoint(&folder, &state.tensors, info)?;
        self.checkpoint = Some(path.clone());
        observer.on_event(&Event::Checkpoint { step: self.step, path });
        let keep = self.job.experiment.evaluation.keep_checkpoints;
        prune_checkpoints(&folder, keep, self.best.map(|b| b.step))?;
        Ok(state.tensors)
    }
}

/// The length of a run that begins at step 0.
fn resolve_total(job: &Job<'_>, engine: &mut dyn Engine, observer: &mut dyn Observer) -> Result<u64, TrainError> {
    let training = &job.experiment.training;
    let samples = job.source.samples(Part::Train);
    if let Some(steps) = training.budget.steps(samples, training.batch_size, tokens_per_sample(job.programs)) {
        return Ok(steps);
    }
    if let Some(total) = resume::recorded_total(job) {
        return Ok(total);
    }
    let TrainingBudget::DeviceSeconds(budget) = training.budget else {
        unreachable!("every other budget is resolved without a measurement");
    };
    engine.load(&(job.initial)())?;
    let seconds_per_step = calibrate::seconds_per_step(job, engine, budget)?;
    let total = calibrate::steps_within(budget, seconds_per_step);
    observer.on_event(&Event::Calibrated { seconds_per_step, total });
    Ok(total)
}

/// The parameters as they are evaluated: their moving averages where the state has them, under the parameters' names.
fn evaluated_weights(programs: &StepPrograms, tensors: &Tensors) -> Tensors {
    let average = |param: usize| programs.state.tensors.iter().find(|t| t.role == StateRole::Ema(param));
    programs
        .state
        .params()
        .filter_map(|(index, tensor)| {
            let source = average(index).unwrap_or(tensor);
            tensors.get(&source.name).map(|value| (tensor.name.clone(), value.clone()))
        })
        .collect()
}
