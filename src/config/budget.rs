//! A training budget in optimiser steps.

use super::TrainingBudget;

impl TrainingBudget {
    /// Whole optimiser steps of this budget, at least one: epochs are rounded to the nearest step of an epoch without its
    /// last partial batch, tokens up. `None` for device-seconds, which only a measurement on the machine can tell.
    ///
    /// `tokens_per_sample` is 1 for data without tokens; `batch_size` is in `1..=train_samples`.
    pub fn steps(self, train_samples: usize, batch_size: usize, tokens_per_sample: usize) -> Option<u64> {
        let batch = batch_size.max(1);
        let steps = match self {
            TrainingBudget::Steps(steps) => steps,
            TrainingBudget::Epochs(epochs) => (epochs * (train_samples / batch) as f64).round() as u64,
            TrainingBudget::Tokens(tokens) => tokens.div_ceil((batch * tokens_per_sample.max(1)) as u64),
            TrainingBudget::DeviceSeconds(_) => return None,
        };
        Some(steps.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::TrainingBudget::*;

    #[test]
    fn every_unit_becomes_whole_steps() {
        assert_eq!(Steps(7).steps(100, 30, 1), Some(7));
        assert_eq!(Epochs(2.0).steps(100, 30, 1), Some(6), "three whole batches an epoch");
        assert_eq!(Epochs(0.5).steps(100, 30, 1), Some(2), "1.5 steps, rounded away from zero");
        assert_eq!(Epochs(0.01).steps(100, 30, 1), Some(1), "never none");
        assert_eq!(Tokens(1000).steps(100, 10, 16), Some(7), "6.25 steps of 160 tokens, rounded up");
        assert_eq!(DeviceSeconds(5.0).steps(100, 10, 16), None);
    }
}
