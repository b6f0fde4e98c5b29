//! The work itself: data, programs, engine, manifest, training.

use super::perform::Setting;
use crate::cost::checkpoint_bytes;
use crate::data::Dataset;
use crate::engine::{self, EngineError, HostState, Placement};
use crate::graph::{self, StepPrograms};
use crate::problem::{Problem, Result};
use crate::record::{FORMAT, Manifest};
use crate::sys::clock::{Clock, rfc3339};
use crate::sys::{env, http::Network, process};
use crate::train::{BatchSource, DatasetSource, Ended, Job, Limit, Observer, TrainError, Trainer};
use crate::units::Bytes;
use crate::{data::Part, record::AttemptSpec};
use std::path::Path;

/// Reads the dataset of an experiment, from the cache or the network where it is a named one.
pub(super) fn load_data(spec: &crate::config::DataSpec, base: &Path, observer: &mut dyn Observer) -> Result<Dataset> {
    let mut progress = |done, total| observer.on_download(done, total);
    Dataset::load(spec, base, &env::data_dir(), &Network, &mut progress)
}

/// Builds the programs and refuses what cannot be trained on this data.
pub(super) fn build(experiment: &crate::config::Experiment, dataset: &Dataset) -> Result<StepPrograms> {
    let programs = graph::build(experiment, &dataset.shape())?;
    DatasetSource::new(dataset, &experiment.model).check(experiment.training.batch_size)?;
    Ok(programs)
}

/// Trains the attempt of a setting. `dataset` spares reading it again where the caller has it.
pub(super) fn execute(
    setting: &Setting<'_>,
    dataset: Option<Dataset>,
    observer: &mut dyn Observer,
) -> Result<Ended, TrainError> {
    let spec = setting.spec;
    let experiment = &spec.experiment;
    let dataset = match dataset {
        Some(dataset) => dataset,
        // Whoever planned this attempt had the data, so what is wrong is wrong with this machine.
        None => load_data(&experiment.data, &setting.folder.join(&spec.base), observer).map_err(TrainError::Missing)?,
    };
    let programs = build(experiment, &dataset)?;
    check_key(spec, &dataset)?;
    room(spec, &programs)?;
    let source = DatasetSource::new(&dataset, &experiment.model);
    let mut engine = engine::create(Placement::of(experiment), programs.clone())?;
    let initial = || {
        let values = graph::initial_values(&programs.state, experiment.training.seed);
        HostState { tensors: values.into_iter().map(|(name, shape, values)| (name, (shape, values))).collect() }
    };
    let wall = spec.wall_seconds;
    let resume_from = spec.resume_from.as_ref().map(|path| setting.folder.join(path));
    let job = Job {
        experiment,
        programs: &programs,
        source: &source,
        initial: &initial,
        key: &spec.key,
        folder: setting.folder,
        resume_from: resume_from.as_deref(),
        stop: setting.stop,
        stop_at: spec.stop_at,
        clock: setting.clock,
        // The clock began with the attempt, so its reading is the wall time used.
        limit: (wall > 0.0).then_some(Limit { deadline: wall, seconds: wall }),
    };
    let predicted_memory = engine.footprint();
    let trainer = Trainer::prepare(job, &mut *engine, observer)?;
    let now = setting.clock;
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_string(),
        fingerprint: trainer.fingerprint().clone(),
        host: env::host_facts().into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        parameters: programs.state.parameter_count(),
        total_steps: trainer.total_steps(),
        train_samples: source.samples(Part::Train) as u64,
        validation_samples: trainer.validation_samples() as u64,
        step_flops: programs.step_flops().0,
        predicted_seconds: spec.predicted_seconds,
        predicted_from: spec.predicted_from,
        predicted_memory,
        data_hash: dataset.hash().to_string(),
        started: rfc3339(now.unix() - now.monotonic()),
        warnings: trainer.warnings().to_vec(),
    };
    manifest.write(setting.folder)?;
    Ok(trainer.run(observer))
}

/// Refuses, before anything of it is allocated, a run whose predicted peak is beyond the attempt's memory limit or what a
/// limit on address space leaves. The watchdog would end it for the first, and the second would abort the process.
fn room(spec: &AttemptSpec, programs: &StepPrograms) -> Result<(), EngineError> {
    let placement = Placement::of(&spec.experiment);
    // An engine on a GPU compares its own memory with what is free there.
    let engine = if placement.device.is_gpu() { Bytes(0) } else { engine::footprint(placement, programs)? };
    // While a checkpoint is written there are two copies of the state: the values, and the file.
    let state = checkpoint_bytes(programs).0;
    let more = engine.0 + 2 * state;
    let refuse = |wanted: u64, free: u64| Err(EngineError::OutOfMemory { wanted: Bytes(wanted), free: Bytes(free) });
    let peak = process::resident_memory().0 + more;
    if spec.memory.0 > 0 && peak > spec.memory.0 {
        return refuse(peak, spec.memory.0);
    }
    let stacks = (engine::thread_count(placement.threads) as u64 + OWN_THREADS) * STACK;
    let space = more + stacks;
    match process::address_space_left() {
        Some(left) if space > left => refuse(space, left),
        _ => Ok(()),
    }
}

/// Address space of a thread: its stack.
const STACK: u64 = 2 << 20;
/// Threads of an attempt beside its engine's.
const OWN_THREADS: u64 = 2;

/// A run is what its key says. Other data under the same path would give results under a wrong name.
fn check_key(spec: &AttemptSpec, dataset: &Dataset) -> Result<()> {
    let found = spec.experiment.run_key(dataset.hash());
    if found == spec.key {
        return Ok(());
    }
    Err(Problem::usage(format!(
        "experiment and data make run {found}, but the attempt is for run {}: the dataset (BLAKE3 {}) is not the one \
         that the attempt was planned with",
        spec.key,
        dataset.hash()
    ))
    .at("data")
    .remedy("restore the dataset, or plan the run again with the new one"))
}
