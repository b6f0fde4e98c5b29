//! Where batches come from. [`Dataset`](crate::data::Dataset) is the real one; the loop's tests have a toy.

use crate::data::{Batch, Part};

/// Samples by index, in an order that depends on nothing but seed and step.
pub trait BatchSource {
    /// Number of samples in a part.
    fn samples(&self, part: Part) -> usize;
    /// Indices of the training samples of one step, `batch_size` of them.
    fn train_indices(&self, seed: u64, step: u64, batch_size: usize) -> Vec<usize>;
    /// The samples at `indices`, padded with weight 0 up to `pad_to` samples.
    fn batch(&self, part: Part, indices: &[usize], pad_to: usize) -> Batch;
    /// Bytes of text one token stands for; only for text.
    fn bytes_per_token(&self) -> Option<f64>;
    /// Mean squared deviation of the validation targets from their mean; only for regression.
    fn target_variance(&self) -> Option<f64>;
}
