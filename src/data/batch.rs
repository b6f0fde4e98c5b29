//! What a step program is fed: samples side by side, with weights.

/// A column of a batch, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Pixels, features, regression targets, weights.
    F32(Vec<f32>),
    /// Tokens and labels.
    U32(Vec<u32>),
}

/// Samples side by side, as a program's batch inputs want them.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Number of samples B, padding included.
    pub samples: usize,
    /// `[B, ...sample shape]`.
    pub input: Column,
    /// Classes or tokens `[B * targets]`, or regression targets `[B, K]`.
    pub target: Column,
    /// One weight for each target row; 0 marks padding.
    pub weight: Vec<f32>,
}

/// Which part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// To learn from.
    Train,
    /// To be judged by.
    Validation,
}

impl Part {
    /// `training` or `validation`, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "training",
            Part::Validation => "validation",
        }
    }
}

/// Weights of `samples` samples with `targets` target rows each, of which the first `real` samples are not padding.
pub(super) fn weights(real: usize, samples: usize, targets: usize) -> Vec<f32> {
    let mut weight = vec![1.0; real * targets];
    weight.resize(samples * targets, 0.0);
    weight
}
