//! Projections of a campaign for people: a summary, results.tsv, and one self-contained report.html.
//!
//! Boundary: reads a campaign's state, its runs' metrics and its attempts' looks at the machine; changes nothing in the campaign and decides nothing.
//! Everything written here can be deleted and made again with `nanoresearch report`.

mod counsel;
mod effects;
mod figures;
mod html;
mod page;
mod summary;
#[cfg(test)]
mod tests;
mod utilization;

use crate::campaign::{State, results_tsv};
use crate::problem::Result;
use crate::sys::fs;
use std::path::{Path, PathBuf};

pub use counsel::LanguageModel;
pub use figures::counted;
pub use page::page;
pub use summary::{
    Account, BaselineSummary, CandidateSummary, JobSummary, RunSummary, Summary, decimals, effects, percent, what,
};

/// Names of the derived files in the campaign's folder.
pub const REPORT_FILE: &str = "report.html";
const RESULTS_FILE: &str = "results.tsv";

/// Whether what [`write`] writes is there.
pub fn is_written(folder: &Path) -> bool {
    [REPORT_FILE, RESULTS_FILE].iter().all(|name| folder.join(name).exists())
}

/// Writes results.tsv into the campaign's folder.
pub fn write_results(folder: &Path, state: &State) -> Result<PathBuf> {
    let path = folder.join(RESULTS_FILE);
    fs::write_atomic(&path, results_tsv(state).as_bytes())?;
    Ok(path)
}

/// Writes results.tsv and report.html into the campaign's folder and returns their paths.
pub fn write(folder: &Path, state: &State) -> Result<Vec<PathBuf>> {
    let results = write_results(folder, state)?;
    let report = folder.join(REPORT_FILE);
    fs::write_atomic(&report, page(folder, state).as_bytes())?;
    Ok(vec![report, results])
}
