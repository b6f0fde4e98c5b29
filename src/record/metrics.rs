//! `metrics.jsonl`: one line a record, appended as training goes.

use crate::problem::{Problem, Result};
use crate::sys::fs;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Name of the file in the attempt's folder.
pub const METRICS_FILE: &str = "metrics.jsonl";

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

impl Metrics {
    /// Steps done when the line was written.
    pub fn step(&self) -> u64 {
        match self {
            Metrics::Train { step, .. } | Metrics::Eval { step, .. } => *step,
        }
    }

    /// The same record with the machine-dependent columns zeroed: what two equal runs agree on, bit for bit.
    pub fn without_timing(mut self) -> Self {
        match &mut self {
            Metrics::Train { timing, .. } | Metrics::Eval { timing, .. } => *timing = Timing::default(),
        }
        self
    }

    /// The first value that JSON has no number for.
    fn non_finite(&self) -> Option<(&str, f64)> {
        let bad = |pairs: &[(&'static str, f64)]| pairs.iter().copied().find(|(_, v)| !v.is_finite());
        let timing = |t: &Timing| bad(&[("seconds", t.seconds), ("samples_per_second", t.samples_per_second)]);
        match self {
            Metrics::Train { loss, lr, grad_norm, timing: t, .. } => {
                bad(&[("loss", *loss), ("lr", *lr), ("grad_norm", *grad_norm)]).or_else(|| timing(t))
            }
            Metrics::Eval { metrics, timing: t, .. } => {
                metrics.iter().find(|(_, v)| !v.is_finite()).map(|(name, v)| (name.as_str(), *v)).or_else(|| timing(t))
            }
        }
    }
}

/// Appends records; every line reaches the operating system before the next step begins.
#[derive(Debug)]
pub struct MetricsWriter {
    file: fs::Appender,
    bytes: u64,
}

impl MetricsWriter {
    /// Opens or creates the file and cuts it back to its first `keep` bytes: what a killed process wrote after its last
    /// checkpoint is written again by the process that goes on from there. An error if there are fewer.
    pub fn open(path: &Path, keep: u64) -> Result<Self> {
        let file = fs::Appender::open(path)?;
        let there = std::fs::metadata(path).map_err(|e| Problem::io("read the length of", path, &e))?.len();
        if there < keep {
            return Err(Problem::failed(format!("{there} bytes where the checkpoint counted {keep}"))
                .at(path.display().to_string())
                .remedy("restore the file, or resume from an older checkpoint"));
        }
        if there > keep {
            fs::truncate(path, keep)?;
        }
        Ok(MetricsWriter { file, bytes: keep })
    }

    /// Appends one line. Numbers that are not finite are refused: JSON cannot carry them, and a divergence belongs in
    /// the outcome.
    pub fn append(&mut self, record: &Metrics) -> Result<()> {
        if let Some((name, value)) = record.non_finite() {
            return Err(Problem::failed(format!("metric {name} of step {} is {value}", record.step()))
                .remedy("this is a bug: non-finite values must end the run before they are recorded"));
        }
        let mut line =
            serde_json::to_vec(record).map_err(|e| Problem::failed(format!("cannot write a metrics line: {e}")))?;
        line.push(b'\n');
        self.file.append(&line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Waits until everything is on disk; returns the file's length in bytes.
    pub fn sync(&mut self) -> Result<u64> {
        self.file.sync()?;
        Ok(self.bytes)
    }
}

/// Reads a metrics file that may be absent (no records) or still being written (a torn last line is left out).
pub fn read_metrics(path: &Path) -> Result<Vec<Metrics>> {
    match fs::read_if_there(path)? {
        Some(bytes) => parse_metrics(&bytes, &path.display().to_string()),
        None => Ok(Vec::new()),
    }
}

/// BLAKE3 of the whole lines of a metrics file, by which a later change of it shows.
pub fn metrics_hash(bytes: &[u8]) -> String {
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    blake3::hash(&bytes[..whole]).to_hex().to_string()
}

/// The records in `bytes`; what follows the last line break is a line still being written, and left out.
pub fn parse_metrics(bytes: &[u8], place: &str) -> Result<Vec<Metrics>> {
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split(|&b| b == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(index, line)| {
            serde_json::from_slice(line).map_err(|e| {
                Problem::usage(format!("not a metrics record: {e}")).at(format!("{place}:{}", index + 1)).remedy(
                    "the file is damaged or written by a newer nanoresearch: restore it, or run the attempt again",
                )
            })
        })
        .collect()
}
