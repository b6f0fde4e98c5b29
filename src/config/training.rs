//! How long and in what portions a run trains, how it is evaluated.

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
    /// What matrix products and activations are computed in; parameters, gradients and the optimiser's state are always
    /// f32. A run in another precision is another run. Default `f32`.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
}

/// The number format of activations and matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit IEEE floats throughout; no TF32.
    #[default]
    F32,
    /// bfloat16 activations and matrix products with f32 master weights; norms' statistics, softmax and losses in f32.
    Bf16,
}

impl Precision {
    fn is_default(&self) -> bool {
        *self == Precision::default()
    }
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

impl Default for TrainingSpec {
    fn default() -> Self {
        TrainingSpec {
            batch_size: batch(),
            budget: TrainingBudget::default(),
            label_smoothing: 0.0,
            clip_norm: clip(),
            ema_decay: 0.0,
            seed: 0,
            precision: Precision::default(),
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
