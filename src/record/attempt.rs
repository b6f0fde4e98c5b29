//! `attempt.json`: what the controller asks of a worker.

use super::format::{self, FORMAT};
use crate::config::Experiment;
use crate::ids::{AttemptId, RunKey};
use crate::problem::Result;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Name of the file in the attempt's folder.
pub const ATTEMPT_FILE: &str = "attempt.json";

/// What a worker is to do: one attempt, complete in itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptSpec {
    /// [`FORMAT`].
    pub format: u32,
    /// Which attempt this is; a standalone `train` is attempt 1 of run 1.
    pub id: AttemptId,
    /// The experiment with its seed, defaults and presets filled in.
    pub experiment: Experiment,
    /// Folder that the experiment's relative data paths refer to, relative to the attempt's folder.
    pub base: PathBuf,
    /// What the run is.
    pub key: RunKey,
    /// Checkpoint folder (`.../checkpoints/step-00001000`) of an earlier attempt to go on from, relative to this one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_from: Option<PathBuf>,
    /// Step after which it checkpoints and ends although the run is not complete, one that is evaluated; none for the whole
    /// run. The schedule is that of the whole run either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<u64>,
    /// Wall-clock limit in seconds, start-up included; 0 for none. Beyond it the worker ends itself with `TimedOut`.
    pub wall_seconds: f64,
    /// Resident memory limit; 0 for none. Beyond it the worker ends itself with `OutOfMemory`.
    pub memory: Bytes,
    /// Wall seconds that the cost model expects, for the manifest; none where nobody asked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_seconds: Option<f64>,
    /// Whose speeds these seconds were made from; none where a campaign has put its own experience in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_from: Option<SpeedSource>,
}

/// Whose speeds a prediction is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeedSource {
    /// Those of the machine itself.
    Measured,
    /// Those of another one, since nobody has measured this one: a guess.
    Assumed,
}

impl AttemptSpec {
    /// An attempt at a whole run from its start, without limits and without a prediction.
    pub fn new(id: AttemptId, experiment: Experiment, base: PathBuf, key: RunKey) -> Self {
        AttemptSpec {
            format: FORMAT,
            id,
            experiment,
            base,
            key,
            resume_from: None,
            stop_at: None,
            wall_seconds: 0.0,
            memory: Bytes(0),
            predicted_seconds: None,
            predicted_from: None,
        }
    }

    /// Reads `attempt.json` of an attempt's folder.
    pub fn read(folder: &Path) -> Result<Self> {
        format::read_json(&folder.join(ATTEMPT_FILE), "an attempt's specification")
    }

    /// Writes `attempt.json` into an attempt's folder, atomically.
    pub fn write(&self, folder: &Path) -> Result<()> {
        format::write_json(&folder.join(ATTEMPT_FILE), self)
    }
}
