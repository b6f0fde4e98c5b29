//! The files of an attempt's folder, as types: what the controller hands to a worker and what comes back.
//!
//! ```text
//! runs/0007/attempts/01/
//!   attempt.json      written by the controller before launch: AttemptSpec
//!   config.toml       the resolved experiment (for people; attempt.json carries the same)
//!   claim             created exclusively, once: by the worker when it starts, or by a controller that gives it up
//!   manifest.json     written by the worker before the first step: Manifest
//!   metrics.jsonl     one Metrics line a record
//!   outcome.json      written once, by atomic rename, when it ended: Outcome
//!   worker.log        stderr of the worker
//!   checkpoints/step-00001000/{state.safetensors,checkpoint.json}
//!   model.safetensors + config.json   at the end of a completed run
//! ```
//! Boundary: formats and their readers and writers; knows no engine and no campaign. Every format carries a version; a
//! newer one is refused with what to do.

mod claim;

pub use claim::{CLAIM_FILE, Claim};

use crate::config::Experiment;
use crate::ids::{AttemptId, RunKey};
use crate::units::{Bytes, DeviceTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of every format in this module.
pub const FORMAT: u32 = 1;

/// What a worker is to do: one attempt, complete in itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptSpec {
    /// [`FORMAT`].
    pub format: u32,
    /// Which attempt this is; a standalone `train` is attempt 1 of run 1.
    pub id: AttemptId,
    /// The experiment with its seed, defaults and presets filled in.
    pub experiment: Experiment,
    /// Folder that the experiment's relative data paths refer to.
    pub base: PathBuf,
    /// What the run is.
    pub key: RunKey,
    /// Checkpoint folder (`.../checkpoints/step-00001000`) of an earlier attempt to go on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_from: Option<PathBuf>,
    /// Wall-clock limit in seconds, start-up included; 0 for none. Beyond it the worker ends itself with `TimedOut`.
    pub wall_seconds: f64,
    /// Resident memory limit; 0 for none. Beyond it the worker ends itself with `OutOfMemory`.
    pub memory: Bytes,
}

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
    /// Predicted seconds of the whole attempt, where a throughput profile was at hand.
    #[serde(default)]
    pub predicted_seconds: Option<f64>,
    /// Predicted peak memory of the programs.
    pub predicted_memory: Bytes,
    /// Hash of the dataset's content.
    pub data_hash: String,
    /// When the attempt started, RFC 3339 UTC.
    pub started: String,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Metrics {
    /// After an optimiser step (every step, or thinned for long runs).
    Train {
        /// Steps done, from 1.
        step: u64,
        /// Mean training loss of the step.
        loss: f64,
        /// Learning rate of the step.
        lr: f64,
        /// Gradient norm before clipping.
        grad_norm: f64,
        /// Timing: the only columns that may differ between a run and its repetition.
        #[serde(flatten)]
        timing: Timing,
    },
    /// After an evaluation.
    Eval {
        /// Steps done.
        step: u64,
        /// Validation metrics by name: `loss`, `accuracy`, `bits_per_byte`, `r2`.
        metrics: BTreeMap<String, f64>,
        /// See `Train`.
        #[serde(flatten)]
        timing: Timing,
    },
}

/// Columns that depend on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct Timing {
    /// Seconds since the run's first step, earlier attempts' training included.
    pub seconds: f64,
    /// Samples a second since the last line of this kind.
    pub samples_per_second: f64,
    /// Resident memory of the process.
    pub memory: Bytes,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`FORMAT`].
    pub format: u32,
    /// What happened.
    pub end: End,
    /// Steps done when it ended, of the run.
    pub step: u64,
    /// Metrics of the last evaluation.
    pub metrics: BTreeMap<String, f64>,
    /// Wall seconds of this attempt, start-up included.
    pub seconds: f64,
    /// Seconds of this attempt inside optimiser steps.
    pub training_seconds: f64,
    /// What this attempt held.
    pub device_time: DeviceTime,
    /// Largest resident memory seen.
    pub peak_memory: Bytes,
    /// BLAKE3 of the final weights, of completed runs.
    #[serde(default)]
    pub weights: Option<String>,
    /// Newest checkpoint of the attempt, relative to its folder.
    #[serde(default)]
    pub checkpoint: Option<PathBuf>,
}

/// The end of an attempt, as its worker saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum End {
    /// All steps done.
    Completed,
    /// The loss or a gradient became infinite or not a number: a result, not a failure of the machine.
    Diverged {
        /// What became non-finite, and its value.
        reason: String,
    },
    /// Stopped on SIGUSR2 or SIGTERM after writing a checkpoint (exit 75).
    Checkpointed,
    /// The wall-clock limit passed; a checkpoint was written if a step boundary was reached.
    TimedOut {
        /// The limit.
        limit_seconds: f64,
    },
    /// Memory beyond the limit, or an allocation that failed.
    OutOfMemory {
        /// What was used or wanted.
        wanted: Bytes,
        /// The limit or what was free.
        limit: Bytes,
    },
    /// The config, data or checkpoint was refused.
    Refused {
        /// The problem's paragraph.
        message: String,
    },
    /// Anything else.
    Failed {
        /// The problem's paragraph.
        message: String,
    },
}

/// What is known about an ended attempt; `failure` classifies it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The worker's own word, the first witness.
    pub outcome: Option<Outcome>,
    /// Exit code, where this process was the parent.
    pub exit_code: Option<i32>,
    /// Signal that ended it, where this process was the parent.
    pub signal: Option<i32>,
    /// The executor killed it for passing the wall limit.
    pub killed_for_time: bool,
    /// The claim file says that no worker ever started and none can start any more.
    pub never_started: bool,
    /// Wall seconds from launch to end, by the best witness at hand.
    pub seconds: f64,
    /// Last lines of the worker's log, untrusted text.
    pub log_tail: String,
}
