//! `slurm.json`: what the controller knows of an attempt's job, written before each thing it does to it.

use crate::problem::{Problem, Result};
use crate::sys::fs;
use serde::{Deserialize, Serialize};
use std::path::Path;

const NOTE_FILE: &str = "slurm.json";
/// How many incidents are kept of one job.
const INCIDENTS: usize = 16;
/// Version of the file's form.
const FORMAT: u32 = 1;

/// The note. Its first writing is the intent to submit, made by exclusive creation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    pub format: u32,
    /// The job's name, this attempt's own.
    pub name: String,
    /// When it was handed to `sbatch` (Unix seconds); none: not yet, so there is no job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<f64>,
    /// The job's id, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<u64>,
    /// The partition in which the queue showed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Whether this program asked SLURM to end it.
    #[serde(default)]
    pub ended_by_us: bool,
    /// Why there is no use in waiting for it: `sbatch` refused it, or it can never start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What was said when its node could not begin it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_failed: Option<String>,
    /// Since when (Unix seconds) it waits for a hand, and not for its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<f64>,
    /// Submitted without the list of nodes to stay away from, since nothing was left of the cluster.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anywhere: bool,
    /// What happened on the way, in words; becomes part of the attempt's evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<String>,
    /// State as SLURM last said it, with the reason for waiting; for people.
    #[serde(default)]
    pub state: String,
}

impl Note {
    pub fn new(name: String) -> Self {
        Note {
            format: FORMAT,
            name,
            sent: None,
            job: None,
            partition: None,
            ended_by_us: false,
            refused: None,
            launch_failed: None,
            held_since: None,
            anywhere: false,
            incidents: Vec::new(),
            state: String::new(),
        }
    }

    /// Remembers that something happened; the first [`INCIDENTS`] of them.
    pub fn happened(&mut self, what: String) {
        if self.incidents.len() < INCIDENTS {
            self.incidents.push(what);
        }
    }

    /// The note in a folder, if there is one.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(NOTE_FILE);
        let Some(bytes) = fs::read_if_there(&path)? else { return Ok(None) };
        let bad = |why: String| {
            Problem::failed(format!("not a note of a SLURM job: {why}"))
                .at(path.display().to_string())
                .remedy("use the version of the program that wrote it; `squeue --me` and `sacct` show the job")
        };
        let note: Note = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
        if note.format > FORMAT {
            return Err(bad(format!("its format is {}, and this program reads formats up to {FORMAT}", note.format)));
        }
        Ok(Some(note))
    }

    /// Writes it down for the first time. `false`: somebody did so before.
    pub fn begin(&self, folder: &Path) -> Result<bool> {
        fs::create_exclusive(&folder.join(NOTE_FILE), &self.json()?)
    }

    /// Writes it anew.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::write_atomic(&folder.join(NOTE_FILE), &self.json()?)
    }

    fn json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Problem::failed(format!("cannot write the note of a SLURM job: {e}")))
    }
}
