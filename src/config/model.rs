//! The closed vocabulary of models. A preset in `models/*.toml` is a value of [`ModelSpec`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model. `kind` chooses the family; input and output sizes follow from the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ModelSpec {
    /// Fully connected layers.
    Mlp(MlpModel),
    /// A decoder-only transformer.
    Gpt(GptModel),
    /// A convolutional network.
    Cnn(CnnModel),
}

/// Element-wise non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(0, x), with derivative 0 at 0.
    #[default]
    Relu,
    /// x * Phi(x) by the tanh approximation of Hendrycks and Gimpel (arXiv 1606.08415).
    Gelu,
    /// max(0, x)^2 (So et al., Primer, arXiv 2109.08668).
    ReluSquared,
    /// x * sigmoid(x).
    Silu,
    /// tanh(x).
    Tanh,
}

/// Normalisation of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// No normalisation.
    #[default]
    None,
    /// Layer norm with gain and bias, epsilon 1e-5 (Ba et al., arXiv 1607.06450).
    Layer,
    /// RMS norm with gain, epsilon 1e-5 (Zhang and Sennrich, arXiv 1910.07467).
    Rms,
}

/// Fully connected network: for each width a linear layer, norm, activation, dropout, and a residual where widths agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MlpModel {
    /// Width of each hidden layer, in units; empty makes a linear model. Default [128].
    #[serde(default = "mlp_widths")]
    pub widths: Vec<usize>,
    /// Non-linearity after each hidden layer. Default `relu`.
    #[serde(default)]
    pub activation: Activation,
    /// Norm before each activation. Default `none`.
    #[serde(default)]
    pub norm: Norm,
    /// Add the layer's input to its output where both have the same width. Default false.
    #[serde(default)]
    pub residual: bool,
    /// Probability of zeroing a hidden unit in training, in [0, 1). Default 0.
    #[serde(default)]
    pub dropout: f64,
}

/// How a transformer knows positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// A learned vector for each position.
    #[default]
    Learned,
    /// Rotation of queries and keys, base 10,000, halves convention (Su et al., arXiv 2104.09864).
    Rotary,
}

/// The feed-forward part of a transformer block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FeedForward {
    /// Two linear layers with GELU (tanh).
    #[default]
    Gelu,
    /// Two linear layers with ReLU.
    Relu,
    /// Two linear layers with squared ReLU.
    ReluSquared,
    /// Gated: silu(x W1) * (x W2), then a linear layer (Shazeer, arXiv 2002.05202).
    Swiglu,
}

/// Decoder-only transformer with pre-norm blocks: `x += attn(norm(x)); x += ffn(norm(x))`, a final norm and a linear head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GptModel {
    /// Number of blocks. Default 4.
    #[serde(default = "four")]
    pub depth: usize,
    /// Width of the residual stream; `heads` must divide it. Default 128.
    #[serde(default = "gpt_width")]
    pub width: usize,
    /// Query heads. Default 4.
    #[serde(default = "four")]
    pub heads: usize,
    /// Key and value heads, a divisor of `heads` (grouped-query attention). Default: as many as `heads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_heads: Option<usize>,
    /// Tokens in a training window; fixed by the data for modular arithmetic (3). Default 64.
    #[serde(default = "gpt_context")]
    pub context: usize,
    /// Norm before attention, feed-forward and head. Default `layer`.
    #[serde(default = "layer_norm")]
    pub norm: Norm,
    /// How tokens know their positions. Default `learned`.
    #[serde(default)]
    pub positions: Positions,
    /// Non-linearity of the feed-forward part, or its gated form. Default `gelu`.
    #[serde(default)]
    pub feed_forward: FeedForward,
    /// Hidden width of the feed-forward part as a multiple of `width`. Default 4 (SwiGLU: 8/3, rounded up to a multiple of 8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expansion: Option<f64>,
    /// Bias in the linear layers of the blocks. Default true.
    #[serde(default = "yes")]
    pub bias: bool,
    /// Use the token embedding as output layer. Default true; refused where inputs and outputs have different vocabularies.
    #[serde(default = "yes")]
    pub tied: bool,
    /// RMS-normalise each head's queries and keys (no gain) before attention. Default false.
    #[serde(default)]
    pub qk_norm: bool,
    /// Probability of zeroing, after the embedding and each block part, in [0, 1). Default 0.
    #[serde(default)]
    pub dropout: f64,
    /// Standard deviation of initial weights; projections into the residual stream get it divided by sqrt(2 depth). Default 0.02.
    #[serde(default = "init_scale")]
    pub init_scale: f64,
}

/// How a convolution stage ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Keep the image size.
    None,
    /// 2x2 maximum, stride 2 (the first maximum wins).
    #[default]
    Max,
    /// 2x2 mean, stride 2.
    Mean,
}

/// One stage: `convs` times (convolution, norm, activation), then pooling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvStage {
    /// Output channels of each convolution of the stage.
    pub channels: usize,
    /// Convolutions in the stage, each "same"-padded with stride 1. Default 1.
    #[serde(default = "one")]
    pub convs: usize,
    /// Side of the square kernel, odd, in pixels. Default 3.
    #[serde(default = "three")]
    pub kernel: usize,
    /// What follows the stage: 2x2 pooling, which halves the image, or none. Default `max`.
    #[serde(default)]
    pub pool: Pooling,
}

/// What joins the convolutions to the classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CnnHead {
    /// All pixels and channels as one vector.
    #[default]
    Flatten,
    /// Mean over the pixels of each channel.
    Mean,
}

/// Convolutional network over NHWC images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CnnModel {
    /// The stages, in order. Default: 32 channels without pooling, then 64 with.
    #[serde(default = "cnn_stages")]
    pub stages: Vec<ConvStage>,
    /// Add a convolution's input to its output where both have the same shape. Default false.
    #[serde(default)]
    pub residual: bool,
    /// Groups of a group norm after each convolution; 0 for none; must divide every stage's channels. Default 0.
    #[serde(default)]
    pub norm_groups: usize,
    /// Non-linearity after each convolution and each fully connected layer. Default `relu`.
    #[serde(default)]
    pub activation: Activation,
    /// What the fully connected layers see of the last stage. Default `flatten`.
    #[serde(default)]
    pub head: CnnHead,
    /// Widths of fully connected layers before the output. Default [128].
    #[serde(default = "mlp_widths")]
    pub widths: Vec<usize>,
    /// Probability of zeroing a unit of the fully connected layers in training, in [0, 1). Default 0.
    #[serde(default)]
    pub dropout: f64,
}

fn mlp_widths() -> Vec<usize> {
    vec![128]
}
fn one() -> usize {
    1
}
fn three() -> usize {
    3
}
fn four() -> usize {
    4
}
fn gpt_width() -> usize {
    128
}
fn gpt_context() -> usize {
    64
}
fn layer_norm() -> Norm {
    Norm::Layer
}
fn yes() -> bool {
    true
}
fn init_scale() -> f64 {
    0.02
}
fn cnn_stages() -> Vec<ConvStage> {
    vec![
        ConvStage { channels: 32, convs: 1, kernel: 3, pool: Pooling::None },
        ConvStage { channels: 64, convs: 1, kernel: 3, pool: Pooling::Max },
    ]
}
