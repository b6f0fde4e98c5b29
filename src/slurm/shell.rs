//! Quoting for the shell and for `#SBATCH` lines.

use crate::problem::{Problem, Result};
use std::path::Path;

/// A path as text that scripts and SLURM can hold: UTF-8, without control characters, quotes and backslashes.
pub(super) fn path(path: &Path) -> Result<&str> {
    let text = path.to_str().filter(|t| !t.chars().any(|c| c.is_control() || "\"'\\".contains(c)));
    text.filter(|t| t.starts_with('/')).ok_or_else(|| {
        Problem::usage(
            "SLURM cannot be given this path: quotes, backslashes and control characters have meanings of their own",
        )
        .at(path.display().to_string())
        .remedy("keep the campaign in a folder with plain characters, and name it by its absolute path")
    })
}

/// A path for `--output`, where `%` begins a pattern.
pub(super) fn log_path(at: &Path) -> Result<String> {
    Ok(path(at)?.replace('%', "%%"))
}
