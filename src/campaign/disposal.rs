//! What of a campaign's files nothing needs any more.
//!
//! | run | checkpoints | weights |
//! |---|---|---|
//! | under way: an attempt lives | kept | kept |
//! | not ended, or waiting at a rung | the newest is kept, it goes on from there | kept |
//! | the baseline's; of a confirmed candidate; of a finalist without a verdict | the newest is kept | kept |
//! | every other that ended | freed | freed where that is asked for |
//!
//! Metrics, logs, outcomes, manifests and configs, which reports and papers are made of, are never touched; so are files that
//! the campaign does not know. Boundary: reads folders, removes nothing.

use super::facts::Purpose;
use super::placement;
use super::run::Run;
use super::state::{Standing, State};
use crate::analysis::Verdict;
use crate::ids::RunId;
use crate::sys::fs;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Something that can go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disposal {
    /// Whose it is.
    pub run: RunId,
    /// Where it is, relative to the campaign's folder.
    pub path: PathBuf,
    /// What it takes.
    pub bytes: u64,
    /// Why nothing needs it.
    pub why: &'static str,
    /// A folder with everything in it, or a file.
    #[serde(skip)]
    pub is_folder: bool,
}

/// What is to be kept of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Everything,
    Newest,
    Nothing,
}

/// Everything that can go, in the order of the runs. `weights`: those of runs that nothing rests on, too.
pub fn disposable(folder: &Path, state: &State, weights: bool) -> Vec<Disposal> {
    state.runs.iter().flat_map(|run| of_run(folder, state, run, weights)).collect()
}

fn of_run(folder: &Path, state: &State, run: &Run, weights: bool) -> Vec<Disposal> {
    let keep = keep(state, run);
    let mut found = Vec::new();
    if keep == Keep::Everything {
        return found;
    }
    let checkpoints: Vec<PathBuf> = run
        .attempts
        .iter()
        .flat_map(|a| fs::entries(&folder.join(placement::attempt_path(a.id)).join("checkpoints")))
        .filter(|path| path.is_dir())
        .collect();
    // Their names carry the step with leading zeros. Of equal ones the later attempt's is the one to go on from.
    let whole = |path: &&PathBuf| path.join("checkpoint.json").is_file();
    let newest =
        checkpoints.iter().filter(whole).max_by_key(|path| path.file_name().map(|n| n.to_os_string())).cloned();
    let mut add = |path: &Path, why: &'static str| {
        if let Ok(relative) = path.strip_prefix(folder) {
            let (bytes, is_folder) = (size(path), path.is_dir());
            found.push(Disposal { run: run.id, path: relative.to_path_buf(), bytes, why, is_folder });
        }
    };
    for path in &checkpoints {
        match keep {
            Keep::Newest if Some(path) == newest.as_ref() => {}
            Keep::Newest => add(path, "a newer one is there"),
            _ => add(path, "the run has ended and nothing rests on it"),
        }
    }
    if keep == Keep::Nothing && weights {
        for attempt in &run.attempts {
            let path = folder.join(placement::attempt_path(attempt.id)).join("model.safetensors");
            if path.is_file() {
                add(&path, "weights of a run that nothing rests on");
            }
        }
    }
    found
}

fn keep(state: &State, run: &Run) -> Keep {
    if run.live().is_some() {
        return Keep::Everything;
    }
    if run.result.is_none() {
        return Keep::Newest;
    }
    let rests = |index: u64| {
        state.candidates.get(index as usize).is_some_and(|c| match &c.standing {
            Standing::Judged { verdict, .. } => *verdict == Verdict::Better,
            Standing::Confirming | Standing::Screening => true,
            // Until the search is over any of them may become a finalist, and its first look is looked at again.
            Standing::Screened => state.conclusion.is_none() || state.campaign.batch.is_some(),
            _ => false,
        })
    };
    match run.purpose {
        Purpose::Baseline => Keep::Newest,
        Purpose::Candidate { index } | Purpose::Confirm { index } if rests(index) => Keep::Newest,
        _ => Keep::Nothing,
    }
}

/// Bytes of a file, or of all files in a folder.
fn size(path: &Path) -> u64 {
    match path.is_dir() && !path.is_symlink() {
        true => fs::entries(path).iter().map(|entry| size(entry)).sum(),
        false => fs::length(path).unwrap_or(0),
    }
}
