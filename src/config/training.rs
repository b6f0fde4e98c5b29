//! How long and in what portions a run trains, how it is evaluated, and what it may use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The training loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    /// Samples (images, rows, text windows, pairs) in one optimiser step. Default 64.
    #[serde(default = "batch")]
    pub batch_size: usize,
    /// How long to train; exactly one unit. Default 300 steps.
    #[serde(default)]
    pub budget: TrainingBudget,
    /// Share of the target spread over the other classes in cross-entropy, in [0, 1). Default 0.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Scale gradients down to this global L2 norm; 0 never clips. Default 1.
    #[serde(default = "clip")]
    pub clip_norm: f64,
    /// Decay of an exponential moving average of the weights that is evaluated instead of them, in (0, 1); 0 for none. Default 0.
    #[serde(default)]
    pub ema_decay: f64,
    /// Seed of initial values, sample order and dropout; campaigns set it. Default 0.
    #[serde(default)]
    pub seed: u64,
}

/// Length of training in exactly one unit; the others are converted to whole steps before training starts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrainingBudget {
    /// Optimiser steps.
    Steps(u64),
    /// Passes over the training part; may be a fraction.
    Epochs(f64),
    /// Tokens (samples, where the data has no tokens).
    Tokens(u64),
    /// Seconds of training on one device, resolved to steps after a calibration and recorded.
    DeviceSeconds(f64),
}

impl Default for TrainingBudget {
    fn default() -> Self {
        TrainingBudget::Steps(300)
    }
}

/// What a run is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean validation loss (cross-entropy without smoothing, in nats; or mean squared error in standardised units).
    Loss,
    /// Share of validation targets predicted right, in [0, 1].
    Accuracy,
    /// Cross-entropy in bits per byte of text.
    BitsPerByte,
    /// Coefficient of determination of a regression, at most 1.
    R2,
}

impl Metric {
    /// The name used in configs, tables and metrics files.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Loss => "loss",
            Metric::Accuracy => "accuracy",
            Metric::BitsPerByte => "bits_per_byte",
            Metric::R2 => "r2",
        }
    }
}

/// Evaluation on the validation part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSpec {
    /// Steps between evaluations; the last step is always evaluated. Default: a tenth of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Samples in one evaluation batch. Default 256.
    #[serde(default = "eval_batch")]
    pub batch_size: usize,
    /// At most this many validation samples each time, the same ones always; 0 for all. Default 0.
    #[serde(default)]
    pub samples: usize,
    /// Steps between checkpoints; 0 for only at the end and on a signal. Default 0.
    #[serde(default)]
    pub checkpoint_every: u64,
    /// How many of the latest checkpoints to keep, beside the best. Default 2.
    #[serde(default = "keep")]
    pub keep_checkpoints: usize,
}

impl EvaluationSpec {
    /// Steps between evaluations in a run of `total` steps: as written, else a tenth of the run, at least one.
    pub fn interval(&self, total: u64) -> u64 {
        self.every.unwrap_or(total / 10).max(1)
    }
}

impl Default for EvaluationSpec {
    fn default() -> Self {
        EvaluationSpec {
            every: None,
            batch_size: eval_batch(),
            samples: 0,
            checkpoint_every: 0,
            keep_checkpoints: keep(),
        }
    }
}

/// Which engine executes the step programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// The whole step planned once: fused, in one arena, multi-threaded.
    #[default]
    Compiled,
    /// Op by op on candle tensors: slow and plain, what the other is measured against.
    Reference,
}

/// What a run may use; not part of a run's identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourcesSpec {
    /// Default `compiled`.
    #[serde(default)]
    pub engine: EngineKind,
    /// CPU threads; 0 for all cores. Results do not depend on it. Default 1.
    #[serde(default = "threads")]
    pub threads: usize,
    /// Samples processed at once, a divisor of the batch size; 0 for the whole batch. Less needs less memory. Default 0.
    #[serde(default)]
    pub micro_batch: usize,
    /// Wall time an attempt may take, in seconds; 0 for what the cost model predicts with a margin. Default 0.
    #[serde(default)]
    pub wall_seconds: f64,
    /// Host memory an attempt may use, in MiB; 0 for no limit. Default 0.
    #[serde(default)]
    pub memory_mib: u64,
}

impl Default for ResourcesSpec {
    fn default() -> Self {
        ResourcesSpec {
            engine: EngineKind::default(),
            threads: threads(),
            micro_batch: 0,
            wall_seconds: 0.0,
            memory_mib: 0,
        }
    }
}

impl Default for TrainingSpec {
    fn default() -> Self {
        TrainingSpec {
            batch_size: batch(),
            budget: TrainingBudget::default(),
            label_smoothing: 0.0,
            clip_norm: clip(),
            ema_decay: 0.0,
            seed: 0,
        }
    }
}

fn batch() -> usize {
    64
}
fn clip() -> f64 {
    1.0
}
fn eval_batch() -> usize {
    256
}
fn keep() -> usize {
    2
}
fn threads() -> usize {
    1
}
