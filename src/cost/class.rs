//! Ops that share a speed.

use crate::graph::Op;
use serde::{Deserialize, Serialize};

/// A class of ops for which one overhead, one FLOP rate and one bandwidth are measured. Backward ops are apart from
/// their forward ones where they do different work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpClass {
    /// Matrix products.
    Matmul,
    /// Matrix products over the rows of both factors: gradients of weights.
    MatmulGrad,
    /// Convolutions.
    Conv,
    /// Gradients of convolutions.
    ConvGrad,
    /// Attention.
    Attention,
    /// Gradient of attention.
    AttentionGrad,
    /// Attention over a handful of positions, or of one query, forward and backward.
    ShortAttention,
    /// Additions, scalings, activations, dropout.
    Elementwise,
    /// The same on the output of another op while it is at hand.
    Tail,
    /// Sums over leading dimensions, norms of gradients, sums to a scalar.
    Reduce,
    /// Layer, RMS, group and query-key norms.
    Norm,
    /// Their gradients.
    NormGrad,
    /// Embeddings, rotations, positions picked.
    Gather,
    /// Pooling over pixels, forward and backward.
    Pool,
    /// Cross-entropy and squared error, their gradients and metrics.
    Loss,
    /// Parameter updates and averages.
    Update,
}

impl OpClass {
    /// The class of an op; none for those that do nothing when they are executed.
    pub fn of(op: &Op) -> Option<OpClass> {
        Some(match op {
            Op::State(_) | Op::Batch(_) | Op::Host(_) | Op::Fill(_) | Op::Reshape => return None,
            Op::MatMul { trans_a: true, .. } => OpClass::MatmulGrad,
            Op::MatMul { .. } => OpClass::Matmul,
            Op::Conv2d => OpClass::Conv,
            Op::Conv2dGradInput | Op::Conv2dGradWeight => OpClass::ConvGrad,
            Op::Attention { .. } => OpClass::Attention,
            Op::AttentionGrad { .. } => OpClass::AttentionGrad,
            Op::Add
            | Op::AddBroadcast
            | Op::Scale(_)
            | Op::Activate(_)
            | Op::ActivateGrad(_)
            | Op::Swiglu
            | Op::SwigluGrad
            | Op::Dropout { .. } => OpClass::Elementwise,
            Op::SumLeading | Op::GlobalNorm | Op::ClipFactor { .. } | Op::WeightedSum => OpClass::Reduce,
            Op::LayerNorm { .. } | Op::RmsNorm { .. } | Op::GroupNorm { .. } | Op::QkNorm { .. } => OpClass::Norm,
            Op::LayerNormGrad | Op::RmsNormGrad | Op::GroupNormGrad { .. } | Op::QkNormGrad { .. } => OpClass::NormGrad,
            Op::Embedding | Op::EmbeddingGrad | Op::Rope { .. } | Op::LastToken | Op::LastTokenGrad => OpClass::Gather,
            Op::MaxPool2
            | Op::MaxPool2Grad
            | Op::MeanPool2
            | Op::MeanPool2Grad
            | Op::MeanPixels
            | Op::MeanPixelsGrad => OpClass::Pool,
            Op::CrossEntropy { .. }
            | Op::CrossEntropyGrad { .. }
            | Op::SquaredError
            | Op::SquaredErrorGrad { .. }
            | Op::CorrectSum => OpClass::Loss,
            Op::Sgd { .. } | Op::AdamW { .. } | Op::Ema { .. } => OpClass::Update,
        })
    }
}
