//! How gradients become updates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The optimiser. `kind` chooses the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerSpec {
    /// Stochastic gradient descent with optional momentum.
    Sgd(Sgd),
    /// Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).
    Adamw(AdamW),
}

/// `m = momentum * m + g; p -= lr * (g + momentum * m if nesterov, else m)`, as PyTorch defines it, with decoupled weight decay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// Peak learning rate, per step; the schedule scales it. Default 0.1.
    #[serde(default = "sgd_rate")]
    pub learning_rate: f64,
    /// In [0, 1); 0 keeps no buffer. Default 0.9.
    #[serde(default = "momentum")]
    pub momentum: f64,
    /// Look-ahead form; needs momentum above 0. Default false.
    #[serde(default)]
    pub nesterov: bool,
    /// Decoupled: each step first multiplies decayed weights by 1 - lr * weight_decay. Default 0.
    #[serde(default)]
    pub weight_decay: f64,
    /// Exceptions by parameter role. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParamGroup>,
}

/// Adam's moments with bias correction; weight decay times the learning rate, apart from the moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// Peak learning rate, per step; the schedule scales it. Default 0.001.
    #[serde(default = "adam_rate")]
    pub learning_rate: f64,
    /// Decay of the first moment, in [0, 1). Default 0.9.
    #[serde(default = "momentum")]
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1). Default 0.999.
    #[serde(default = "beta2")]
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-8.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// Decoupled; applies to weights of two or more dimensions other than embeddings. Default 0.01.
    #[serde(default = "decay")]
    pub weight_decay: f64,
    /// Exceptions by parameter role. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParamGroup>,
}

/// What a parameter is for; optimiser groups select by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ParamRole {
    /// A matrix or kernel inside the network.
    Weight,
    /// A bias vector.
    Bias,
    /// A gain of a norm.
    Gain,
    /// A token or position table.
    Embedding,
    /// The output layer's matrix, when not tied.
    Head,
}

/// Other settings for all parameters of one role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParamGroup {
    /// The role this applies to; each role at most once.
    pub role: ParamRole,
    /// Factor on the learning rate. Default 1.
    #[serde(default = "unit")]
    pub learning_rate_scale: f64,
    /// Instead of the optimiser's weight decay for this role. Default: the optimiser's for weights and head, 0 for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

fn sgd_rate() -> f64 {
    0.1
}
fn adam_rate() -> f64 {
    1e-3
}
fn momentum() -> f64 {
    0.9
}
fn beta2() -> f64 {
    0.999
}
fn epsilon() -> f64 {
    1e-8
}
fn decay() -> f64 {
    0.01
}
fn unit() -> f64 {
    1.0
}
