//! Projections of a campaign for people: a summary, results.tsv, and one self-contained report.html.
//!
//! Boundary: reads a campaign's state, its runs' metrics and its attempts' looks at the machine; changes nothing in the campaign and decides nothing.
//! Everything written here can be deleted and made again with `nanoresearch report`.

mod counsel;
mod curves;
mod figures;
mod html;
mod page;
mod summary;
mod timelines;
mod utilization;

use crate::campaign::{State, results_tsv};
use crate::problem::Result;
use crate::sys::fs;
use std::path::{Path, PathBuf};

pub use counsel::LanguageModel;
pub use page::page;
pub use summary::{
    Account, BaselineSummary, CandidateSummary, JobSummary, RunSummary, Summary, effects, percent, what,
};

/// Writes results.tsv into the campaign's folder.
pub fn write_results(folder: &Path, state: &State) -> Result<PathBuf> {
    let path = folder.join("results.tsv");
    fs::write_atomic(&path, results_tsv(state).as_bytes())?;
    Ok(path)
}

/// Writes results.tsv and report.html into the campaign's folder and returns their paths.
pub fn write(folder: &Path, state: &State) -> Result<Vec<PathBuf>> {
    let results = write_results(folder, state)?;
    let report = folder.join("report.html");
    fs::write_atomic(&report, page(folder, state).as_bytes())?;
    Ok(vec![report, results])
}
