//! Checkpoints: folders that are whole or absent, checked bit for bit when they are read.
//!
//! A checkpoint is written into a temporary folder, synced, and renamed. Removing one goes the other way round: it is
//! renamed to a temporary name first. So whatever moment a process dies at, a folder named `step-NNNNNNNN` is complete.

use super::format::{self, FORMAT, damaged};
use super::weights::{Tensors, from_safetensors, to_safetensors};
use crate::ids::RunKey;
use crate::problem::{Problem, Result};
use crate::sys::fs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Name of the folder of checkpoints in the attempt's folder.
pub const CHECKPOINTS_FOLDER: &str = "checkpoints";
const STATE_FILE: &str = "state.safetensors";
const INFO_FILE: &str = "checkpoint.json";

/// Everything but the tensors that a run needs to go on as if nothing had happened. Random numbers are indexed by step,
/// so there is no generator state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointInfo {
    /// [`FORMAT`].
    pub format: u32,
    /// Steps done.
    pub step: u64,
    /// Steps of the whole run, resolved from its budget once and for all.
    pub total_steps: u64,
    /// Seed of the run.
    pub seed: u64,
    /// What the run is.
    pub key: RunKey,
    /// What decided the bits of the steps so far; see [`super::Manifest::fingerprint`].
    pub fingerprint: BTreeMap<String, String>,
    /// Length of `metrics.jsonl` at this step, in bytes.
    pub metrics_bytes: u64,
    /// Seconds since the run's first step, as in [`super::Timing::seconds`].
    pub seconds: f64,
    /// Metrics of the last evaluation.
    pub metrics: BTreeMap<String, f64>,
    /// The smallest validation loss so far and its step.
    #[serde(default)]
    pub best: Option<Best>,
    /// BLAKE3 of `state.safetensors`; filled in by [`write_checkpoint`].
    pub state_hash: String,
    /// BLAKE3 of this record as compact JSON with an empty checksum; filled in by [`write_checkpoint`].
    pub checksum: String,
}

/// The best evaluation so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Validation loss.
    pub loss: f64,
    /// Steps done when it was measured.
    pub step: u64,
}

/// A checkpoint that was read and found whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Where the run stood.
    pub info: CheckpointInfo,
    /// The state.
    pub tensors: Tensors,
}

impl CheckpointInfo {
    fn computed_checksum(&self) -> Result<String> {
        let bare = CheckpointInfo { checksum: String::new(), ..self.clone() };
        let bytes = serde_json::to_vec(&bare).map_err(|e| Problem::failed(format!("cannot write as JSON: {e}")))?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }
}

/// `step-00001000` in a folder of checkpoints.
pub fn checkpoint_path(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("step-{step:08}"))
}

/// Writes the checkpoint of `info.step` into a folder of checkpoints and returns its path. The hash and checksum in
/// `info` are computed here. An existing checkpoint of that step is replaced.
pub fn write_checkpoint(folder: &Path, tensors: &Tensors, mut info: CheckpointInfo) -> Result<PathBuf> {
    let path = checkpoint_path(folder, info.step);
    let temporary = temporary_name(&path);
    fs::create_dir(folder)?;
    fs::remove_dir(&temporary)?;
    fs::create_dir(&temporary)?;
    let state = to_safetensors(tensors)?;
    info.format = FORMAT;
    info.state_hash = blake3::hash(&state).to_hex().to_string();
    info.checksum = info.computed_checksum()?;
    let write = || -> Result<()> {
        fs::write_new(&temporary.join(STATE_FILE), &state)?;
        fs::write_new(&temporary.join(INFO_FILE), &format::to_json(&info)?)?;
        fs::sync_dir(&temporary)?;
        remove_checkpoint(&path)?;
        fs::rename(&temporary, &path)
    };
    write().inspect_err(|_| {
        // Best effort: on a full disk the half-written folder is in the way of everything else.
        let _ = fs::remove_dir(&temporary);
    })?;
    Ok(path)
}

/// Reads one checkpoint and verifies everything that can be verified without knowing the experiment.
pub fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    let info_path = path.join(INFO_FILE);
    let info: CheckpointInfo = format::parse_json(&fs::read(&info_path)?, &info_path, "a checkpoint's record")?;
    let checksum = info.computed_checksum()?;
    if checksum != info.checksum {
        return Err(damaged(
            &info_path,
            format!("its checksum is {} but its content gives {}", short(&info.checksum), short(&checksum)),
        ));
    }
    let state_path = path.join(STATE_FILE);
    let state = fs::read(&state_path)?;
    let hash = blake3::hash(&state).to_hex().to_string();
    if hash != info.state_hash {
        return Err(damaged(
            &state_path,
            format!(
                "its BLAKE3 hash is {} ({} bytes) but {} was recorded",
                short(&hash),
                state.len(),
                short(&info.state_hash)
            ),
        ));
    }
    let tensors = from_safetensors(&state, &state_path)?;
    Ok(Checkpoint { info, tensors })
}

/// Whether a later version of this program wrote the checkpoint: it is not damaged then, and not this program's to judge.
pub fn is_newer_checkpoint(path: &Path) -> bool {
    format::is_newer(&path.join(INFO_FILE))
}

/// Steps and paths of the checkpoints in a folder of checkpoints, oldest first; none where the folder is absent.
pub fn list_checkpoints(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found: Vec<(u64, PathBuf)> = names(folder)?
        .into_iter()
        .filter_map(|name| {
            let digits = name.strip_prefix("step-")?;
            let step = digits.parse().ok()?;
            // Only names that this program writes: `step-1` or `step-00000001.damaged` are somebody else's.
            (digits == format!("{step:08}")).then(|| (step, folder.join(name)))
        })
        .collect();
    found.sort();
    Ok(found)
}

/// Removes all but the latest `keep` checkpoints (at least one) and that of step `best`.
pub fn prune_checkpoints(folder: &Path, keep: usize, best: Option<u64>) -> Result<()> {
    let mut all = list_checkpoints(folder)?;
    all.truncate(all.len().saturating_sub(keep.max(1)));
    for (step, path) in all {
        if Some(step) != best {
            remove_checkpoint(&path)?;
        }
    }
    Ok(())
}

/// Puts a checkpoint that cannot be read out of the way, as `step-NNNNNNNN.damaged`, for a person to look at.
pub fn set_aside_checkpoint(path: &Path) -> Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    let aside = PathBuf::from(name);
    fs::remove_dir(&aside)?;
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Removes what killed processes left half-written in a folder of checkpoints; returns how many folders that were.
pub fn clean_checkpoints(folder: &Path) -> Result<usize> {
    let leftovers: Vec<String> =
        names(folder)?.into_iter().filter(|n| n.starts_with(".step-") && n.ends_with(".tmp")).collect();
    for name in &leftovers {
        fs::remove_dir(&folder.join(name))?;
    }
    Ok(leftovers.len())
}

/// Renames before it deletes, so that no complete-looking folder with missing files is ever seen.
fn remove_checkpoint(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let temporary = path.with_file_name(format!("{}.old.tmp", hidden(path)));
    fs::remove_dir(&temporary)?;
    fs::rename(path, &temporary)?;
    fs::remove_dir(&temporary)
}

/// Enough of a hash to tell two apart.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn temporary_name(path: &Path) -> PathBuf {
    path.with_file_name(format!("{}.tmp", hidden(path)))
}

fn hidden(path: &Path) -> String {
    format!(".{}", path.file_name().unwrap_or_default().to_string_lossy())
}

/// UTF-8 names in a folder that may be absent.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Problem::io("list the folder", folder, &e)),
    };
    entries
        .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()
        .map_err(|e| Problem::io("list the folder", folder, &e))
}
