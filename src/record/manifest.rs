//! `manifest.json`: what a worker knows before its first step.

use super::SpeedSource;
use super::format;
use crate::problem::Result;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Name of the file in the attempt's folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// What is known before the first step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// Everything that decides bits beside the run's identity.
    pub fingerprint: BTreeMap<String, String>,
    /// Host facts for people: cores, memory, kernel. No host name in shared artefacts.
    pub host: BTreeMap<String, String>,
    /// Number of trained parameters.
    pub parameters: u64,
    /// Steps this run will take, resolved from its budget.
    pub total_steps: u64,
    /// Samples in the training and validation parts.
    pub train_samples: u64,
    /// Samples in the validation part that are evaluated.
    pub validation_samples: u64,
    /// FLOPs of one optimiser step.
    pub step_flops: f64,
    /// Predicted seconds of the whole attempt; none where it was nobody's plan (a training repeated to compare its results).
    #[serde(default)]
    pub predicted_seconds: Option<f64>,
    /// Whose speeds these were made from; none where a campaign has put its own experience in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_from: Option<SpeedSource>,
    /// Predicted peak memory of the programs.
    pub predicted_memory: Bytes,
    /// Hash of the dataset's content.
    pub data_hash: String,
    /// When the attempt started, RFC 3339 UTC.
    pub started: String,
    /// What went wrong on the way to the first step without stopping it: an unreadable checkpoint, other hardware.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Manifest {
    /// Reads `manifest.json` of an attempt's folder; `None` where the attempt did not get that far.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        format::read_json_if_there(&folder.join(MANIFEST_FILE), "an attempt's manifest")
    }

    /// Writes `manifest.json` into an attempt's folder, atomically.
    pub fn write(&self, folder: &Path) -> Result<()> {
        format::write_json(&folder.join(MANIFEST_FILE), self)
    }
}
