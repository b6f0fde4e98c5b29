//! Datasets: readers, tokenisers, seeded splits, batches.
//!
//! Boundary: turns files into plain arrays; must not know models, programs, engines or runs.

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
