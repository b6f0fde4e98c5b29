//! A learning curve in a few numbers, journaled with an attempt's end: what readers of results want to know of it.
//!
//! Boundary: numbers from recorded metrics; a file that is missing or damaged gives none.

use crate::record::{METRICS_FILE, Metrics, read_metrics};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Records that a curve needs.
const ENOUGH: usize = 8;
/// A last quarter that changes the loss by less than this share of it is flat.
const FLAT: f64 = 0.01;

/// Of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Mean training loss of the first tenth of the recorded steps.
    pub first: f64,
    /// Mean training loss of the last tenth.
    pub last: f64,
    /// Change of the training loss over the last quarter, by least squares.
    pub late_change: f64,
    /// Validation loss at the last evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
    /// Smallest validation loss, and the step at which it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowest: Option<(u64, f64)>,
    /// Last step recorded.
    pub step: u64,
}

impl Curve {
    /// From the metrics in an attempt's folder.
    pub fn read(folder: &Path) -> Option<Self> {
        let path = folder.join(METRICS_FILE);
        let records = if path.exists() { read_metrics(&path).ok()? } else { return None };
        Self::of(&records)
    }

    /// From its records; none where there are too few.
    pub fn of(records: &[Metrics]) -> Option<Self> {
        let mut training: Vec<(f64, f64)> = Vec::new();
        let mut validation: Vec<(u64, f64)> = Vec::new();
        for record in records {
            match record {
                Metrics::Train { step, loss, .. } => training.push((*step as f64, *loss)),
                Metrics::Eval { step, metrics, .. } => validation.extend(metrics.get("loss").map(|l| (*step, *l))),
            }
        }
        if training.len() < ENOUGH {
            return None;
        }
        let n = training.len();
        let mean = |part: &[(f64, f64)]| part.iter().map(|p| p.1).sum::<f64>() / part.len() as f64;
        let tenth = n.div_ceil(10);
        let late = &training[n - n.div_ceil(4).max(2)..];
        let lowest = validation.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
        let curve = Curve {
            first: mean(&training[..tenth]),
            last: mean(&training[n - tenth..]),
            late_change: slope(late) * (late[late.len() - 1].0 - late[0].0),
            validation: validation.last().map(|v| v.1),
            lowest,
            step: records.last().map_or(0, Metrics::step),
        };
        let finite = [curve.first, curve.last, curve.late_change].iter().all(|x| x.is_finite());
        finite.then_some(curve)
    }

    /// In one line.
    pub fn words(&self) -> String {
        let late = if self.late_change.abs() <= FLAT * self.last.abs() {
            "flat at the end".to_string()
        } else {
            format!("{:+.3} over the last quarter", self.late_change)
        };
        let mut text = format!("training loss {:.3} to {:.3}, {late}", self.first, self.last);
        if let (Some(validation), Some((step, lowest))) = (self.validation, self.lowest) {
            text += &format!(", validation loss {validation:.3} ({:+.3} above training", validation - self.last);
            let rising = validation > lowest * (1.0 + FLAT) && step < self.step;
            text += &if rising { format!(", lowest {lowest:.3} at step {step} of {})", self.step) } else { ")".into() };
        }
        text
    }
}

fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let (xy, xx) = points.iter().fold((0.0, 0.0), |(xy, xx), (x, y)| (xy + (x - mx) * (y - my), xx + (x - mx).powi(2)));
    if xx > 0.0 { xy / xx } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Timing;

    fn records(loss: impl Fn(f64) -> f64, validation: impl Fn(f64) -> f64) -> Vec<Metrics> {
        let timing = Timing::default();
        let mut all = Vec::new();
        for step in 1..=40u64 {
            all.push(Metrics::Train { step, loss: loss(step as f64), lr: 0.1, grad_norm: 1.0, timing });
            if step.is_multiple_of(10) {
                let metrics = [("loss".to_string(), validation(step as f64))].into();
                all.push(Metrics::Eval { step, metrics, timing });
            }
        }
        all
    }

    #[test]
    fn slopes_plateaus_and_overfitting_are_told() {
        let falling = Curve::of(&records(|s| 4.0 - 0.05 * s, |s| 4.2 - 0.05 * s)).unwrap();
        // Ten steps, nine intervals of 0.05.
        assert!((falling.late_change + 0.45).abs() < 1e-9 && falling.lowest == Some((40, 2.2)));
        assert!(falling.words().contains("-0.450 over the last quarter") && !falling.words().contains("lowest"));
        let overfit = Curve::of(&records(|s| 1.0 / s, |s| 1.0 + 0.01 * (s - 20.0).abs())).unwrap();
        assert!(overfit.words().contains("lowest 1.000 at step 20 of 40"), "{}", overfit.words());
        let flat = Curve::of(&records(|_| 2.0, |_| 2.0)).unwrap();
        assert!(flat.words().contains("flat at the end"), "{}", flat.words());
        assert_eq!(Curve::of(&records(|_| 2.0, |_| 2.0)[..4]), None);
        assert_eq!(Curve::read(Path::new("/nonexistent")), None);
    }
}
