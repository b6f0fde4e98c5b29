//! The closed set of operations that step programs are made of.
//!
//! Ops are coarse and may have several outputs; each has an explicit backward op, so nothing is ever found by pattern
//! matching. Layouts are row-major with features last: tokens `[B, T, C]`, images `[B, H, W, C]` (NHWC). "Rows" are all
//! leading dimensions taken together, "features" the last. Values are f32 unless said to be u32.
//! Subgradients are defined here: ReLU'(0) = 0; in max pooling the first maximum (row-major in the window) wins.

use crate::config::{Activation, ParamRole};

/// A number computed on the host in f64 for every step and handed to the program in its small input buffer (as f32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostScalar {
    /// Scheduled learning rate of this step (peak x factor), before group scales.
    LearningRate,
    /// `1 - beta1^(step+1)`.
    BiasCorrection1,
    /// `1 - beta2^(step+1)`.
    BiasCorrection2,
}

/// One operation. In the comments `x -> y` lists inputs and outputs in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    // ---- leaves -------------------------------------------------------------------------------------------------
    /// `() -> y`: a tensor of the state, by index into [`super::StateSpec::tensors`].
    State(usize),
    /// `() -> y`: a tensor of the batch, by index into [`super::Program::batch`].
    Batch(usize),
    /// `() -> y []`: a host scalar.
    Host(HostScalar),
    /// `() -> y`: all elements equal.
    Fill(f32),

    // ---- linear algebra -----------------------------------------------------------------------------------------
    /// `a, b -> a' b'`: 2-D product after optional transposes: `[M,K] x [K,N] -> [M,N]`. Inputs of more dimensions
    /// are seen as `[rows, features]`; the output has the declared shape with M*N elements.
    MatMul {
        /// Use `a` transposed.
        trans_a: bool,
        /// Use `b` transposed.
        trans_b: bool,
    },

    // ---- element-wise -------------------------------------------------------------------------------------------
    /// `a, b -> a + b`, equal shapes.
    Add,
    /// `x, b -> x + b` with `b`'s shape a suffix of `x`'s (bias, learned positions).
    AddBroadcast,
    /// `dy -> db`: sum over the leading dimensions down to the output's shape (a suffix of the input's).
    SumLeading,
    /// `x -> factor * x`.
    Scale(f32),
    /// `x -> f(x)`.
    Activate(Activation),
    /// `x, dy -> f'(x) dy`.
    ActivateGrad(Activation),
    /// `x [.., 2h] -> silu(x[.., :h]) * x[.., h:]`.
    Swiglu,
    /// `x [.., 2h], dy [.., h] -> dx [.., 2h]`.
    SwigluGrad,
    /// `x -> x * mask / (1 - p)`; keeps element e of the sample with global index s where
    /// `rng::unit_f32(rng::bits(seed, Stream::dropout(site), step, s, e)) >= p`, e counted within the sample (all
    /// dimensions but the first). Its own backward: the same op on `dy`.
    Dropout {
        /// Probability of zeroing.
        p: f32,
        /// Index of the dropout site in the model.
        site: u32,
    },

    // ---- normalisation (epsilon in the op; statistics per row) ----------------------------------------------------
    /// `x, gain [C], bias [C] -> y, mean [rows], rstd [rows]`; `rstd = 1/sqrt(var + eps)`, biased variance.
    LayerNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// `x, gain, mean, rstd, dy -> dx, dgain, dbias`.
    LayerNormGrad,
    /// `x, gain [C] -> y, rstd [rows]`; `rstd = 1/sqrt(mean(x^2) + eps)`.
    RmsNorm {
        /// Added to the mean square.
        eps: f32,
    },
    /// `x, gain, rstd, dy -> dx, dgain`.
    RmsNormGrad,
    /// `x [B,H,W,C], gain [C], bias [C] -> y, mean [B,G], rstd [B,G]` over pixels and the channels of a group.
    GroupNorm {
        /// Number of groups G, a divisor of C.
        groups: usize,
        /// Added to the variance.
        eps: f32,
    },
    /// `x, gain, mean, rstd, dy -> dx, dgain, dbias`.
    GroupNormGrad {
        /// Number of groups.
        groups: usize,
    },

    // ---- tokens and attention (packed qkv: [B, T, (heads + 2 kv_heads) * head_dim], queries, then keys, then values) --
    /// `table [V,C], ids u32 [..] -> y [.., C]`.
    Embedding,
    /// `ids, dy -> dtable [V,C]`: rows of equal id are summed in order of position.
    EmbeddingGrad,
    /// `qkv -> qkv` with queries and keys rotated by position, halves convention: for i < head_dim/2,
    /// `(a_i, a_{i+d/2}) -> (a_i cos - a_{i+d/2} sin, a_i sin + a_{i+d/2} cos)`, angle `t * base^(-2i/head_dim)`.
    Rope {
        /// Heads rotated, counted from the front: queries and keys.
        rotated_heads: usize,
        /// Features of a head, even.
        head_dim: usize,
        /// Base of the frequencies.
        base: f32,
        /// Rotate back: the backward op.
        inverse: bool,
    },
    /// `qkv -> qkv, rstd [B,T,normed_heads]`: RMS norm without gain of each query and key head.
    QkNorm {
        /// Heads normalised, counted from the front.
        normed_heads: usize,
        /// Features of a head.
        head_dim: usize,
        /// Added to the mean square.
        eps: f32,
    },
    /// `qkv (before the norm), rstd, dqkv -> dqkv`.
    QkNormGrad {
        /// Heads normalised.
        normed_heads: usize,
        /// Features of a head.
        head_dim: usize,
    },
    /// `qkv -> out [B,T,heads*head_dim], lse [B,heads,T]`: causal `softmax(q k' / sqrt(head_dim)) v`; `lse` is the log
    /// of the sum of the exponentials of each row's scaled scores. Query head h reads key/value head h / (heads/kv_heads).
    Attention {
        /// Query heads.
        heads: usize,
        /// Key and value heads.
        kv_heads: usize,
    },
    /// `qkv, out, lse, dout -> dqkv`.
    AttentionGrad {
        /// Query heads.
        heads: usize,
        /// Key and value heads.
        kv_heads: usize,
    },
    /// `x [B,T,C] -> y [B,C]`: the last position.
    LastToken,
    /// `dy [B,C] -> dx [B,T,C]`: zero but for the last position.
    LastTokenGrad,

    // ---- images (NHWC; kernels [Cout, k, k, Cin]; stride 1, "same" padding) ---------------------------------------
    /// `x [B,H,W,Cin], w -> y [B,H,W,Cout]` (cross-correlation).
    Conv2d,
    /// `w, dy -> dx`.
    Conv2dGradInput,
    /// `x, dy -> dw`.
    Conv2dGradWeight,
    /// `x -> y, index u32`: 2x2 windows, stride 2, odd edges dropped; `index` is 0..4 within the window.
    MaxPool2,
    /// `index, dy -> dx` (odd edges get 0).
    MaxPool2Grad,
    /// `x -> y`: mean over 2x2 windows, stride 2, odd edges dropped.
    MeanPool2,
    /// `dy -> dx`.
    MeanPool2Grad,
    /// `x [B,H,W,C] -> y [B,C]`: mean over the pixels.
    MeanPixels,
    /// `dy [B,C] -> dx [B,H,W,C]`.
    MeanPixelsGrad,
    /// `x -> y`: the same elements under the declared shape.
    Reshape,

    // ---- losses (rows [N]; weights f32 [N], 0 for padding) ----------------------------------------------------------
    /// `logits [N,V], target u32 [N] -> loss [N], lse [N]`: cross-entropy with `smoothing` spread evenly over all V
    /// classes (PyTorch's convention): `lse - (1-s) logit_target - s mean(logits)`.
    CrossEntropy {
        /// Label smoothing s.
        smoothing: f32,
    },
    /// `logits, target, lse, weight -> dlogits`, times `scale` (1 / the effective batch's total weight).
    CrossEntropyGrad {
        /// Label smoothing s.
        smoothing: f32,
        /// Normalisation of the loss.
        scale: f32,
    },
    /// `prediction [N,K], target f32 [N,K] -> loss [N]`: mean over K of the squared error.
    SquaredError,
    /// `prediction, target, weight -> dprediction`, times `scale`.
    SquaredErrorGrad {
        /// Normalisation of the loss.
        scale: f32,
    },
    /// `values [N], weight [N] -> sum(values * weight) []`.
    WeightedSum,
    /// `logits [N,V], target u32 [N], weight [N] -> weight where the (first) largest logit is the target, summed []`.
    CorrectSum,

    // ---- optimiser ----------------------------------------------------------------------------------------------------
    /// `g0, g1, ... -> sqrt(sum of all squares) []`.
    GlobalNorm,
    /// `norm -> min(1, max_norm / (norm + 1e-6)) []` (PyTorch's `clip_grad_norm_`).
    ClipFactor {
        /// Largest norm.
        max_norm: f32,
    },
    /// `p, g, clip [], lr [] -> p'` without momentum, or `p, g, clip [], lr [], m -> p', m'` with.
    Sgd {
        /// Momentum; 0 for the form without buffer.
        momentum: f32,
        /// Nesterov's form.
        nesterov: bool,
        /// Decoupled weight decay of this parameter's group.
        weight_decay: f32,
        /// Group factor on the learning rate.
        lr_scale: f32,
    },
    /// `p, g, clip [], lr [], c1 [], c2 [], m, v -> p', m', v'`: `p(1 - lr wd) - lr (m'/c1) / (sqrt(v'/c2) + eps)`.
    ///
    /// The decays are f64: engines form `1 - beta` in f64 and round it once. Formed from an f32 of 0.999 it would be off by
    /// 1e-5 of itself, against the bias correction, which is exact.
    AdamW {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root.
        eps: f32,
        /// Decoupled weight decay of this parameter's group.
        weight_decay: f32,
        /// Group factor on the learning rate.
        lr_scale: f32,
    },
    /// `average, p -> decay * average + (1 - decay) * p`, with `1 - decay` formed in f64 and rounded once.
    Ema {
        /// Decay a step.
        decay: f64,
    },
}

/// How an initial parameter value is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform in +-bound.
    Uniform(f64),
}

/// What a tensor of the state is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StateRole {
    /// A trained parameter.
    Param {
        /// Selects optimiser groups.
        role: ParamRole,
        /// How it starts.
        init: Init,
    },
    /// The accumulated gradient of the parameter with this state index; zero between steps.
    Grad(usize),
    /// An optimiser's buffer for the parameter with this state index; starts at zero.
    Slot(usize),
    /// The moving average of the parameter with this state index; starts as its value.
    Ema(usize),
    /// Sum of weighted training losses since the last `apply`; a scalar.
    LossSum,
}
