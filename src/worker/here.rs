//! A person's own training, in a folder of their choice, with the machinery of an attempt.

use super::execute::{build, load_data};
use super::perform::{Setting, perform};
use crate::config::{self, Experiment, to_toml};
use crate::data::Dataset;
use crate::engine::limit_threads;
use crate::graph::StepPrograms;
use crate::ids::{AttemptId, RunId};
use crate::problem::{Class, Problem, Result};
use crate::record::{
    ATTEMPT_FILE, AttemptSpec, CHECKPOINTS_FOLDER, End, MANIFEST_FILE, METRICS_FILE, MODEL_FILE, OUTCOME_FILE, Outcome,
    SpeedSource, list_checkpoints, read_model, weights_hash,
};
use crate::sys::clock::SystemClock;
use crate::sys::fs::{self, Lock, Locking};
use crate::sys::shell;
use crate::sys::signal::StopFlag;
use crate::train::{Event, Observer};
use crate::units::Bytes;
use std::path::Path;

/// Locked while a process trains in the folder.
const LOCK_FILE: &str = "lock";

/// What to train and where.
#[derive(Clone, Copy)]
pub struct Here<'a> {
    /// The experiment, validated.
    pub experiment: &'a Experiment,
    /// Folder that its relative data paths refer to.
    pub base: &'a Path,
    /// The folder to work in; it becomes attempt 1 of run 1. Made where it is absent.
    pub folder: &'a Path,
    /// Go on with what is in the folder; an empty one is begun.
    pub resume: bool,
    /// Asks for a checkpoint and an early end.
    pub stop: &'a StopFlag,
    /// What the whole run is expected to take, for the manifest; none where nobody wants to know.
    pub expect: &'a dyn Fn(&Dataset, &StepPrograms) -> Option<Expected>,
}

/// What a whole run is expected to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Wall seconds.
    pub seconds: f64,
    /// Optimiser steps.
    pub steps: u64,
    /// Whose speeds it was made from.
    pub from: SpeedSource,
}

impl Expected {
    /// Seconds of what is left to do after some steps.
    fn after(self, done: u64) -> f64 {
        // The share first: all of the steps are to be all of the seconds, to the last bit.
        self.seconds * (self.steps.saturating_sub(done) as f64 / self.steps.max(1) as f64)
    }
}

/// Trains and returns the outcome, which is also in the folder. What is impossible is refused before anything is
/// written. Resuming a run that has completed or diverged returns its outcome again.
///
/// Limits on memory and wall time in the experiment's resources end the whole process, as they do for a worker.
pub fn train_here(here: &Here<'_>, observer: &mut dyn Observer) -> Result<Outcome> {
    let clock = SystemClock::default();
    let Here { experiment, base, folder, resume, stop, expect } = *here;
    limit_threads(experiment.resources.threads);
    if !resume && begun(folder) {
        return Err(Problem::usage("the folder holds a run already")
            .at(folder.display().to_string())
            .remedy("go on with that run by adding --resume, or choose another folder with --out"));
    }
    let dataset = load_data(&experiment.data, base, observer)?;
    let programs = build(experiment, &dataset)?;
    refuse_foreign(folder, resume)?;
    if resume && !folder.join(ATTEMPT_FILE).exists() && !folder.join(MANIFEST_FILE).exists() {
        let what = format!("there is no run in {} to go on with: it begins at step 0", folder.display());
        observer.on_event(&Event::Warning(what));
    }
    fs::create_named_dir(folder)?;
    let expected = expect(&dataset, &programs);
    let spec = AttemptSpec {
        wall_seconds: experiment.resources.wall_seconds,
        memory: Bytes(experiment.resources.memory_mib << 20),
        predicted_seconds: expected.map(|whole| whole.after(newest_step(folder))),
        predicted_from: expected.map(|whole| whole.from),
        ..AttemptSpec::new(
            AttemptId { run: RunId(1), number: 1 },
            experiment.clone(),
            fs::relative(folder, base)?,
            experiment.run_key(dataset.hash()),
        )
    };
    let _lock = lock(folder)?;
    clean(folder)?;
    if folder.join(ATTEMPT_FILE).exists() {
        let earlier =
            AttemptSpec::read(folder).map_err(|p| aside(p, folder, ATTEMPT_FILE, "it only repeats the settings"))?;
        if earlier.key != spec.key && begun(folder) {
            return Err(another_run(&earlier, &spec, folder));
        }
        match Outcome::read(folder).map_err(|p| aside(p, folder, OUTCOME_FILE, "it only says how the run ended"))? {
            Some(outcome) if stands(&outcome, folder, observer) => return Ok(outcome),
            Some(_) => fs::remove_file(&folder.join(OUTCOME_FILE))?,
            None => {}
        }
    }
    // First: it is what makes the folder this program's own.
    spec.write(folder)?;
    // As seen from the folder, so that it can be trained again as it is.
    let config = to_toml(&experiment.seen_from(&fs::relative(folder, base)?));
    fs::write_atomic(&folder.join("config.toml"), config.as_bytes())?;
    let setting = Setting { spec: &spec, folder, stop, clock: &clock };
    perform(&setting, Some(dataset), observer).map(|(outcome, _)| outcome)
}

/// The step of the newest checkpoint; 0 where there is none.
fn newest_step(folder: &Path) -> u64 {
    let steps = list_checkpoints(&folder.join(CHECKPOINTS_FOLDER)).unwrap_or_default();
    steps.last().map_or(0, |(step, _)| *step)
}

/// What to do about a file that cannot be read and that the run can go on without: checkpoints and manifest know which run it is.
fn aside(problem: Problem, folder: &Path, file: &str, only: &str) -> Problem {
    let newer = problem.what.contains("newer");
    if problem.class != Class::Usage || newer {
        return problem;
    }
    let file = shell::path(&folder.join(file));
    problem.remedy(format!(
        "{only}: set it aside (`mv {file} {file}.damaged`) and give this command again; the run goes on from its newest \
         checkpoint, or from its start where it has none"
    ))
}

/// Whether a run is in the folder. One that did not get its device, or was not given the memory, has left its word on that and
/// nothing else, so another may take its place.
fn begun(folder: &Path) -> bool {
    let unavailable = |end: &End| match end {
        End::DeviceFailed { fault, .. } => fault.is_unavailable(),
        End::OutOfMemory { .. } => !folder.join(METRICS_FILE).exists(),
        _ => false,
    };
    let outcome = Outcome::read(folder).ok().flatten();
    folder.join(ATTEMPT_FILE).exists() && !outcome.is_some_and(|o| o.step == 0 && unavailable(&o.end))
}

/// Whether the outcome is final and what it speaks of is there. A damaged model is made again from the last checkpoint.
fn stands(outcome: &Outcome, folder: &Path, observer: &mut dyn Observer) -> bool {
    match outcome.end {
        End::Diverged { .. } => return true,
        End::Completed => {}
        _ => return false,
    }
    let fault = match read_model(folder) {
        Ok(weights) if Some(weights_hash(&weights)) == outcome.weights => return true,
        Ok(_) => "its weights are not those that the run recorded".to_string(),
        Err(problem) => problem.what,
    };
    observer.on_event(&Event::Warning(format!(
        "{}: {fault}\n  it is made again from the last good checkpoint",
        folder.join(MODEL_FILE).display()
    )));
    false
}

/// The folder's run is not the one asked for; says in what they differ.
fn another_run(earlier: &AttemptSpec, asked: &AttemptSpec, folder: &Path) -> Problem {
    let differences = config::differences(&earlier.experiment, &asked.experiment);
    // Resources decide no results, so they may differ.
    let mut said: Vec<String> =
        differences.iter().filter(|d| !d.key.starts_with("resources.")).map(ToString::to_string).collect();
    if said.is_empty() {
        said.push("the dataset's content, or the program's numerics".to_string());
    }
    Problem::usage(format!("this folder holds another run; asked for now is one that changes {}", said.join(", ")))
        .at(folder.display().to_string())
        .remedy("give the settings and data that the run was begun with, or choose another folder with --out")
}

/// Refuses a folder with somebody else's files, some of which (a config.toml, say) would be replaced.
fn refuse_foreign(folder: &Path, resume: bool) -> Result<()> {
    // A run without its specification is still a run: it is checked against its checkpoints.
    if folder.join(ATTEMPT_FILE).exists() || (resume && folder.join(MANIFEST_FILE).exists()) {
        return Ok(());
    }
    // What a process leaves that was killed before it could write the attempt's specification.
    let ours = |name: &str| name == LOCK_FILE || name.starts_with('.');
    let mut names = fs::entries(folder).into_iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    match names.find(|name| !ours(name)) {
        None => Ok(()),
        Some(name) => Err(Problem::usage(format!("the folder holds other things than a run, {name} for one"))
            .at(folder.display().to_string())
            .remedy("choose a new or empty folder with --out; nothing was changed")),
    }
}

/// Removes what a killed process left half-written: the temporary names of atomic writes.
fn clean(folder: &Path) -> Result<()> {
    let hidden = |name: &str| name.starts_with('.') && name.ends_with(".tmp");
    let left = fs::entries(folder).into_iter().filter(|p| p.file_name().is_some_and(|n| hidden(&n.to_string_lossy())));
    left.into_iter().try_for_each(|path| fs::remove_file(&path))
}

/// Two processes in one folder would write over each other. A filesystem without locks is taken at its word.
fn lock(folder: &Path) -> Result<Option<Lock>> {
    match Lock::attempt(&folder.join(LOCK_FILE))? {
        Locking::Taken(lock) => Ok(Some(lock)),
        Locking::Unsupported => Ok(None),
        Locking::Held => Err(Problem::new(Class::Owned, "another process is training in this folder")
            .at(folder.display().to_string())
            .remedy("wait for it, or choose another folder with --out")),
    }
}
