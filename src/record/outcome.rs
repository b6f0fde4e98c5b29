//! `outcome.json`: a worker's own word on how its attempt ended.

use super::utilization_summary::UtilizationSummary;
use super::{Fault, format};
use crate::problem::Result;
use crate::units::{Bytes, DeviceTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Name of the file in the attempt's folder.
pub const OUTCOME_FILE: &str = "outcome.json";

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
    /// One device for `seconds`. Where attempts share a device (`execution.attempts_per_device`) the campaign's ledger
    /// charges the attempt's share.
    pub device_time: DeviceTime,
    /// Largest resident memory seen.
    pub peak_memory: Bytes,
    /// BLAKE3 of the final weights, of completed runs.
    #[serde(default)]
    pub weights: Option<String>,
    /// Newest checkpoint of the attempt, relative to its folder.
    #[serde(default)]
    pub checkpoint: Option<PathBuf>,
    /// The cluster's name of the node that it ran on, where SLURM says so; never the name of another host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it used of the machine, by its own looks; absent in outcomes of before they were taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilization: Option<UtilizationSummary>,
}

/// Which memory ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryKind {
    /// The machine's.
    #[default]
    Host,
    /// The GPU's.
    Device,
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
    /// Trained to the step at which it was told to stop, evaluated and checkpointed; not the end of its training.
    Paused,
    /// The wall-clock limit passed; a checkpoint was written if a step boundary was reached.
    TimedOut {
        /// The limit.
        limit_seconds: f64,
    },
    /// Memory beyond the limit, or an allocation that failed.
    OutOfMemory {
        /// What was used or wanted; 0 where nobody knows.
        wanted: Bytes,
        /// The limit or what was free; 0 where nobody knows.
        limit: Bytes,
        /// Which memory.
        #[serde(default)]
        of: MemoryKind,
    },
    /// The device was not to be had, or failed.
    DeviceFailed {
        /// What was wrong with it.
        fault: Fault,
        /// The problem's paragraph.
        message: String,
    },
    /// Something that it needs is not on the machine it ran on: the dataset that its controller had read.
    Missing {
        /// The problem's paragraph: what, where, and what to install.
        message: String,
    },
    /// A filesystem had no room left for what it writes.
    Full {
        /// The problem's paragraph.
        message: String,
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

impl MemoryKind {
    /// What stands before the word `memory` in a message.
    pub fn prefix(self) -> &'static str {
        match self {
            MemoryKind::Host => "",
            MemoryKind::Device => "GPU ",
        }
    }
}

/// Sizes in words, with the colon before them; empty where they are not known.
pub fn shortage(wanted: Bytes, limit: Bytes) -> String {
    match (wanted.0, limit.0) {
        (0, 0) => String::new(),
        (_, 0) => format!(": {wanted} wanted"),
        (0, _) => format!(": there were {limit}"),
        _ => format!(": {wanted} wanted where there were {limit}"),
    }
}

impl fmt::Display for End {
    /// In words, for logs and people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Completed => f.write_str("completed"),
            End::Diverged { reason } => write!(f, "diverged: {reason}"),
            End::Checkpointed => f.write_str("checkpointed on request"),
            End::Paused => f.write_str("stopped where it was told to, with a checkpoint"),
            End::TimedOut { limit_seconds } => write!(f, "out of time: the limit of {limit_seconds} s passed"),
            End::OutOfMemory { wanted, limit, of } => {
                write!(f, "out of {}memory{}", of.prefix(), shortage(*wanted, *limit))
            }
            End::DeviceFailed { fault, message } => write!(f, "the device failed ({fault}): {message}"),
            End::Missing { message } => write!(f, "not there: {message}"),
            End::Full { message } => write!(f, "no room: {message}"),
            End::Refused { message } => write!(f, "refused: {message}"),
            End::Failed { message } => write!(f, "failed: {message}"),
        }
    }
}

impl Outcome {
    /// Reads `outcome.json` of an attempt's folder; `None` while there is none.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        format::read_json_if_there(&folder.join(OUTCOME_FILE), "an attempt's outcome")
    }

    /// Writes `outcome.json` into an attempt's folder, atomically.
    pub fn write(&self, folder: &Path) -> Result<()> {
        format::write_json(&folder.join(OUTCOME_FILE), self)
    }
}
