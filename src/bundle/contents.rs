//! Which files of a campaign's folder go along.
//!
//! Only what is named here goes: a file of a kind that is not known stays. What stays for good: the owner's files (host and
//! process), requests of people, the site and its job scripts (accounts, partitions), the program's own copy, caches of TeX.

use crate::campaign::{State, attempt_path, run_path};
use crate::sys::fs;
use std::path::{Path, PathBuf};

/// What goes along beside what always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Extra {
    /// Trained weights.
    pub weights: bool,
    /// What workers and jobs wrote on their output; names paths and nodes.
    pub logs: bool,
}

/// Files of the campaign's own folder.
const CAMPAIGN: [&str; 7] =
    ["campaign.toml", "events.jsonl", "prices.jsonl", "batch.jsonl", "results.jsonl", "results.tsv", "report.html"];
/// Files of a run and of an attempt.
const RUN: [&str; 4] = ["config.toml", "manifest.json", "outcome.json", "metrics.jsonl"];
const ATTEMPT: [&str; 3] = ["attempt.json", "utilization.jsonl", "place.json"];
const WEIGHTS: [&str; 2] = ["model.safetensors", "config.json"];
const LOGS: [&str; 2] = ["worker.log", "slurm.out"];
/// What TeX leaves beside a document, with this machine's paths in it.
const TEX_LEAVINGS: [&str; 9] = ["aux", "log", "out", "fls", "fdb_latexmk", "blg", "toc", "synctex", "gz"];

/// Paths relative to the campaign's folder, sorted; regular files that are there, and no links.
pub(super) fn contents(folder: &Path, state: &State, extra: Extra) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = CAMPAIGN.iter().map(PathBuf::from).collect();
    let tape = |path: &Path| path.extension().is_some_and(|e| e == "json");
    found.extend(below(folder, Path::new("llm")).into_iter().filter(|p| tape(p)));
    found.extend(below(folder, Path::new("paper")).into_iter().filter(|p| !is_leaving(p)));
    for run in &state.runs {
        let path = run_path(run.id);
        found.extend(RUN.iter().map(|name| path.join(name)));
        for attempt in &run.attempts {
            let path = attempt_path(attempt.id);
            found.extend(RUN.iter().chain(&ATTEMPT).map(|name| path.join(name)));
            found.extend(WEIGHTS.iter().filter(|_| extra.weights).map(|name| path.join(name)));
            found.extend(LOGS.iter().filter(|_| extra.logs).map(|name| path.join(name)));
        }
    }
    found.retain(|path| is_plain(folder, path));
    found.sort();
    found.dedup();
    found
}

/// All files below a folder of the campaign, at any depth that a person would make.
fn below(folder: &Path, relative: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(relative.to_path_buf(), 0)];
    while let Some((relative, depth)) = folders.pop() {
        for path in fs::entries(&folder.join(&relative)) {
            let Some(name) = path.file_name() else { continue };
            let relative = relative.join(name);
            if name.to_string_lossy().starts_with('.') || path.is_symlink() {
            } else if path.is_dir() && depth < 8 {
                folders.push((relative, depth + 1));
            } else if path.is_file() {
                found.push(relative);
            }
        }
    }
    found
}

fn is_leaving(path: &Path) -> bool {
    path.extension().is_some_and(|e| TEX_LEAVINGS.iter().any(|l| e == *l))
}

/// A regular file, reached without a link out of the folder.
fn is_plain(folder: &Path, relative: &Path) -> bool {
    let mut path = folder.to_path_buf();
    for part in relative.components() {
        path.push(part);
        if path.is_symlink() {
            return false;
        }
    }
    path.is_file()
}
