//! How the learning rate moves over a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Learning-rate schedule: linear warm-up from 0 to the peak, then the shape, down to `final_scale` times the peak at the last step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSpec {
    /// How the learning rate falls after the warm-up. Default `cosine`.
    #[serde(default)]
    pub shape: ScheduleShape,
    /// Share of all steps spent warming up, in [0, 1). Default 0.05.
    #[serde(default = "warmup")]
    pub warmup_fraction: f64,
    /// Learning rate at the last step as a share of the peak, in [0, 1]; ignored by `constant`. Default 0.1.
    #[serde(default = "final_scale")]
    pub final_scale: f64,
    /// Share of all steps spent decaying, in (0, 1]; only for `warmup-stable-decay`. Default 0.2.
    #[serde(default = "decay")]
    pub decay_fraction: f64,
}

/// Shape after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleShape {
    /// Stay at the peak.
    Constant,
    /// A straight line down.
    Linear,
    /// Half a cosine down (Loshchilov and Hutter, arXiv 1608.03983).
    #[default]
    Cosine,
    /// Stay at the peak, then a straight line down over the last `decay_fraction` (Hu et al., MiniCPM, arXiv 2404.06395).
    WarmupStableDecay,
}

impl Default for ScheduleSpec {
    fn default() -> Self {
        ScheduleSpec {
            shape: ScheduleShape::default(),
            warmup_fraction: warmup(),
            final_scale: final_scale(),
            decay_fraction: decay(),
        }
    }
}

impl ScheduleSpec {
    /// Factor on the peak learning rate at `step` of `total` steps, both counted from 0, in f64.
    ///
    /// Warm-up of w steps: `(step + 1) / w`. Afterwards progress p runs from 0 at the first step after the warm-up
    /// to 1 at the last step.
    pub fn factor(&self, step: u64, total: u64) -> f64 {
        let warm = (self.warmup_fraction * total as f64).round() as u64;
        if step < warm {
            return (step + 1) as f64 / warm as f64;
        }
        let last = total.saturating_sub(1).max(warm + 1);
        let p = ((step - warm) as f64 / (last - warm) as f64).min(1.0);
        let down = |p: f64| 1.0 - (1.0 - self.final_scale) * p;
        match self.shape {
            ScheduleShape::Constant => 1.0,
            ScheduleShape::Linear => down(p),
            ScheduleShape::Cosine => {
                self.final_scale + (1.0 - self.final_scale) * 0.5 * (1.0 + (std::f64::consts::PI * p).cos())
            }
            ScheduleShape::WarmupStableDecay => {
                let decay = (self.decay_fraction * total as f64).round().max(1.0);
                let start = (total as f64 - decay).max(warm as f64);
                if (step as f64) < start { 1.0 } else { down(((step as f64 - start + 1.0) / decay).min(1.0)) }
            }
        }
    }
}

fn warmup() -> f64 {
    0.05
}
fn final_scale() -> f64 {
    0.1
}
fn decay() -> f64 {
    0.2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Learning rates of PyTorch 2.13's schedulers with peak 1 over 20 steps: `SequentialLR` of `LinearLR(1/4, 1, 3)` for
    /// 4 steps, then `CosineAnnealingLR(15, eta_min=0.1)`, `LinearLR(1, 0.1, 15)`, nothing, or nothing until step 15 and
    /// `LinearLR(0.82, 0.1, 4)`.
    const PYTORCH: [(ScheduleShape, [f64; 20]); 4] = [
        (
            ScheduleShape::Cosine,
            [
                0.25,
                0.5,
                0.75,
                1.0,
                1.0,
                0.99016642,
                0.961095456,
                0.914057647,
                0.851108773,
                0.775,
                0.689057647,
                0.597037808,
                0.502962192,
                0.410942353,
                0.325,
                0.248891227,
                0.185942353,
                0.138904544,
                0.10983358,
                0.1,
            ],
        ),
        (
            ScheduleShape::Linear,
            [
                0.25, 0.5, 0.75, 1.0, 1.0, 0.94, 0.88, 0.82, 0.76, 0.7, 0.64, 0.58, 0.52, 0.46, 0.4, 0.34, 0.28, 0.22,
                0.16, 0.1,
            ],
        ),
        (
            ScheduleShape::Constant,
            [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        ),
        (
            ScheduleShape::WarmupStableDecay,
            [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.82, 0.64, 0.46, 0.28, 0.1],
        ),
    ];

    #[test]
    fn every_shape_agrees_with_pytorch() {
        for (shape, expected) in PYTORCH {
            let spec = ScheduleSpec { shape, warmup_fraction: 0.2, final_scale: 0.1, decay_fraction: 0.25 };
            for (step, want) in expected.into_iter().enumerate() {
                let got = spec.factor(step as u64, 20);
                assert!((got - want).abs() < 1e-8, "{shape:?}, step {step}: {got}, PyTorch {want}");
            }
        }
    }

    #[test]
    fn short_and_odd_runs_stay_within_the_peak() {
        for (shape, _) in PYTORCH {
            for total in 1..30 {
                for warmup_fraction in [0.0, 0.3, 0.99] {
                    let spec = ScheduleSpec { shape, warmup_fraction, final_scale: 0.0, decay_fraction: 1.0 };
                    for step in 0..total {
                        let factor = spec.factor(step, total);
                        assert!((0.0..=1.0).contains(&factor), "{shape:?} {step}/{total}: {factor}");
                    }
                }
            }
        }
    }
}
