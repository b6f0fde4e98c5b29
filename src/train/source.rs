//! Where batches come from: a dataset cut for a model's context, or a toy in the loop's tests.

use crate::config::ModelSpec;
use crate::data::{Batch, Dataset, Part};

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
    /// Mean squared deviation of the first `samples` validation targets from their mean; only for regression.
    fn target_variance(&self, samples: usize) -> Option<f64>;
}

/// A dataset as one model sees it.
#[derive(Debug, Clone, Copy)]
pub struct DatasetSource<'a> {
    dataset: &'a Dataset,
    context: usize,
}

impl<'a> DatasetSource<'a> {
    /// Text is cut into windows of the model's context; other data is not.
    pub fn new(dataset: &'a Dataset, model: &ModelSpec) -> Self {
        let context = match model {
            ModelSpec::Gpt(gpt) => gpt.context,
            ModelSpec::Mlp(_) | ModelSpec::Cnn(_) => 0,
        };
        DatasetSource { dataset, context }
    }

    /// Refuses a batch or context that the data is too small for; the other methods rely on it.
    pub fn check(&self, batch_size: usize) -> crate::problem::Result<()> {
        self.dataset.check(batch_size, self.context)
    }
}

impl BatchSource for DatasetSource<'_> {
    fn samples(&self, part: Part) -> usize {
        self.dataset.samples(part, self.context)
    }
    fn train_indices(&self, seed: u64, step: u64, batch_size: usize) -> Vec<usize> {
        self.dataset.train_indices(seed, step, batch_size, self.context)
    }
    fn batch(&self, part: Part, indices: &[usize], pad_to: usize) -> Batch {
        self.dataset.batch(part, self.context, indices, pad_to)
    }
    fn bytes_per_token(&self) -> Option<f64> {
        self.dataset.bytes_per_token()
    }
    fn target_variance(&self, samples: usize) -> Option<f64> {
        self.dataset.target_variance(samples)
    }
}
