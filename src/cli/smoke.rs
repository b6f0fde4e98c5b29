//! `run --smoke`: a few steps of the baseline, one save and resume, one evaluation, in a temporary folder.

use super::output::{print, significant};
use crate::config::{Experiment, TrainingBudget};
use crate::problem::{Problem, Result};
use crate::record::End;
use crate::sys::signal::StopFlag;
use crate::sys::{env, fs};
use crate::train::{Observer, Silent, Stepped};
use crate::worker::{Here, train_here};
use std::path::Path;

const STEPS: u64 = 6;
const STOP_AFTER: u64 = 3;

/// Runs it and says what was seen; `next` is the command to try then.
pub fn run(baseline: &Experiment, base: &Path, next: &str) -> Result<()> {
    let mut experiment = baseline.clone();
    experiment.training.budget = TrainingBudget::Steps(STEPS);
    experiment.evaluation.every = Some(STEPS);
    let folder = env::scratch_dir().join(format!("smoke-{}", std::process::id()));
    let result = twice(&experiment, base, &folder);
    fs::remove_dir(&folder)?;
    result?;
    print(&format!("next      {next}\n"));
    Ok(())
}

fn twice(experiment: &Experiment, base: &Path, folder: &Path) -> Result<()> {
    let stop = StopFlag::inert();
    let here = Here { experiment, base, folder, resume: false, stop: &stop, expect: &|_, _| None };
    let first = train_here(&here, &mut StopAfter(stop.clone()))?;
    if first.end != End::Checkpointed {
        return Err(unexpected("stopping after three steps", &first.end));
    }
    print(&format!("ok  {} steps, then a checkpoint on request\n", first.step));
    let go_on = StopFlag::inert();
    let second = train_here(&Here { resume: true, stop: &go_on, ..here }, &mut Silent)?;
    if second.end != End::Completed {
        return Err(unexpected("resuming", &second.end));
    }
    let metrics: Vec<String> = second.metrics.iter().map(|(k, v)| format!("{k} {}", significant(*v, 4))).collect();
    print(&format!("ok  resumed to step {} and evaluated: {}\n", second.step, metrics.join(", ")));
    Ok(())
}

fn unexpected(doing: &str, end: &End) -> Problem {
    Problem::failed(format!("{doing} did not go as planned: {end}"))
        .remedy("see `nanoresearch check` on the same file, and train the baseline alone, as a file of its own")
}

/// Asks for a checkpoint once enough steps are done.
struct StopAfter(StopFlag);

impl Observer for StopAfter {
    fn on_step(&mut self, step: &Stepped) {
        if step.step >= STOP_AFTER {
            self.0.request();
        }
    }
}
