//! Losses and metrics on top of a model's outputs, and the gradient from which the backward pass starts.

use super::builder::Builder;
use super::{Op, ValueId};
use crate::config::TargetShape;
use crate::problem::Result;

/// A model's outputs beside what they should be.
pub(super) struct Predicted {
    /// Logits `[N, V]` or predictions `[N, K]`.
    pub(super) output: ValueId,
    /// Classes u32 `[N]` or numbers f32 `[N, K]`.
    pub(super) target: ValueId,
    /// f32 `[N]`.
    pub(super) weight: ValueId,
}

impl Predicted {
    /// The weighted sum of the training loss, and the gradient with respect to the output of that sum times `scale`.
    pub(super) fn training(
        &self,
        builder: &mut Builder,
        target: &TargetShape,
        smoothing: f32,
        scale: f32,
    ) -> Result<(ValueId, ValueId)> {
        let Predicted { output, target: wanted, weight } = *self;
        if let TargetShape::Real { .. } = target {
            let loss = builder.one(Op::SquaredError, &[output, wanted])?;
            let sum = builder.one(Op::WeightedSum, &[loss, weight])?;
            let gradient = builder.one(Op::SquaredErrorGrad { scale }, &[output, wanted, weight])?;
            return Ok((sum, gradient));
        }
        let made = builder.push(Op::CrossEntropy { smoothing }, &[output, wanted], &[])?;
        let (loss, lse) = (made[0], made[1]);
        let sum = builder.one(Op::WeightedSum, &[loss, weight])?;
        let gradient = builder.one(Op::CrossEntropyGrad { smoothing, scale }, &[output, wanted, lse, weight])?;
        Ok((sum, gradient))
    }

    /// Weighted sums of the plain loss and, for classes, of right predictions, as outputs of the program.
    pub(super) fn evaluation(&self, builder: &mut Builder, target: &TargetShape) -> Result<()> {
        let real = matches!(target, TargetShape::Real { .. });
        let op = if real { Op::SquaredError } else { Op::CrossEntropy { smoothing: 0.0 } };
        let loss = builder.one(op, &[self.output, self.target])?;
        let sum = builder.one(Op::WeightedSum, &[loss, self.weight])?;
        builder.output("loss_sum", sum);
        if !real {
            let correct = builder.one(Op::CorrectSum, &[self.output, self.target, self.weight])?;
            builder.output("correct_sum", correct);
        }
        Ok(())
    }
}
