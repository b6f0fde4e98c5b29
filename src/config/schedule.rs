//! How the learning rate moves over a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Learning-rate schedule: linear warm-up from 0 to the peak, then the shape, down to `final_scale` times the peak at the last step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSpec {
    /// Default `cosine`.
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
