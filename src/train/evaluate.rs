//! One pass over the validation part, and the metrics that come of it.

use super::source::BatchSource;
use crate::config::EvaluationSpec;
use crate::data::Part;
use crate::engine::{Engine, EngineError, EvalOutput};
use crate::graph::{Op, StepPrograms};
use std::collections::BTreeMap;

/// How many times the loss of guessing counts as a divergence.
const WORSE_THAN_GUESSING: f64 = 100.0;

/// Validation samples that are evaluated each time, always the first ones.
pub(super) fn validation_samples(source: &dyn BatchSource, spec: &EvaluationSpec) -> usize {
    let there = source.samples(Part::Validation);
    if spec.samples == 0 { there } else { spec.samples.min(there) }
}

/// Runs the evaluation program over the validation samples, in order and in f64 sums.
pub(super) fn evaluate(
    engine: &mut dyn Engine,
    programs: &StepPrograms,
    source: &dyn BatchSource,
    spec: &EvaluationSpec,
) -> Result<BTreeMap<String, f64>, EngineError> {
    let indices: Vec<usize> = (0..validation_samples(source, spec)).collect();
    let batch_size = programs.eval.batch.first().map_or(spec.batch_size, |input| input.shape[0]).max(1);
    let mut sums = EvalOutput::default();
    for chunk in indices.chunks(batch_size) {
        let output = engine.eval(&source.batch(Part::Validation, chunk, batch_size))?;
        sums.loss_sum += output.loss_sum;
        sums.correct_sum += output.correct_sum;
        sums.weight_sum += output.weight_sum;
    }
    let counts_correct = programs.eval.outputs.iter().any(|(name, _)| *name == "correct_sum");
    Ok(metrics(&sums, counts_correct, source.bytes_per_token(), source.target_variance(indices.len())))
}

/// A cross-entropy so far above that of guessing that nothing is being learned: finite, and a divergence all the same.
/// Regression has no such mark, since targets may lie anywhere.
pub(super) fn beyond_guessing(programs: &StepPrograms, metrics: &BTreeMap<String, f64>) -> Option<String> {
    let loss = *metrics.get("loss")?;
    let logits = programs.eval.nodes.iter().find(|n| matches!(n.op, Op::CrossEntropy { .. }))?.inputs.first()?;
    let classes = *programs.eval.values.get(logits.0)?.shape.last()? as f64;
    let guessing = classes.max(2.0).ln();
    (loss > WORSE_THAN_GUESSING * guessing).then(|| {
        format!("the validation loss of {loss:.3e} is over {WORSE_THAN_GUESSING} times that of guessing, {guessing:.2}")
    })
}

/// Metrics by name. Those that do not apply are absent, never zero.
fn metrics(
    sums: &EvalOutput,
    counts_correct: bool,
    bytes_per_token: Option<f64>,
    target_variance: Option<f64>,
) -> BTreeMap<String, f64> {
    let loss = sums.loss_sum / sums.weight_sum;
    let mut metrics = BTreeMap::from([("loss".to_string(), loss)]);
    if counts_correct {
        metrics.insert("accuracy".to_string(), sums.correct_sum / sums.weight_sum);
    }
    if let Some(bytes) = bytes_per_token.filter(|&b| b > 0.0) {
        metrics.insert("bits_per_byte".to_string(), loss / std::f64::consts::LN_2 / bytes);
    }
    // R^2 = 1 - MSE / variance; targets that are all equal leave nothing to explain and have no R^2.
    if let Some(variance) = target_variance.filter(|&v| v > 0.0) {
        metrics.insert("r2".to_string(), 1.0 - loss / variance);
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_has_its_metrics_and_no_others() {
        let sums = EvalOutput { loss_sum: 6.0, correct_sum: 3.0, weight_sum: 4.0 };
        let names = |m: &BTreeMap<String, f64>| m.keys().cloned().collect::<Vec<_>>();
        let classes = metrics(&sums, true, None, None);
        assert_eq!(names(&classes), ["accuracy", "loss"]);
        assert_eq!((classes["accuracy"], classes["loss"]), (0.75, 1.5));
        let text = metrics(&sums, true, Some(1.5), None);
        assert!((text["bits_per_byte"] - 1.0 / std::f64::consts::LN_2).abs() < 1e-12);
        let regression = metrics(&sums, false, None, Some(2.0));
        assert_eq!(names(&regression), ["loss", "r2"]);
        assert_eq!(regression["r2"], 0.25);
        assert_eq!(names(&metrics(&sums, false, None, Some(0.0))), ["loss"], "constant targets have no R^2");
    }
}
