//! Statistics over measured values: how sure a number is, whether a difference is real, what a curve looks like.
//!
//! Boundary: plain slices in, plain numbers out. Must not know runs, files, campaigns, planners or engines, and never
//! reads a clock; the bootstrap's randomness is counter-based and seeded. What cannot be known (the interval of a
//! single value, the floor under one baseline seed) is infinite here and `null` in JSON, never a made-up number.

mod bootstrap;
mod curves;
mod effects;
mod interval;
mod line;
mod noise;
mod outliers;
mod race;
mod significance;

pub use bootstrap::{bootstrap_interval, paired_bootstrap, percentile};
pub use curves::{BandPoint, Point, best_so_far, resample, seed_band};
pub use effects::{Effect, EffectKind, Group, Trial, main_effects, spearman};
pub use interval::{Interval, mean, mean_interval, paired_interval, standard_deviation, t_quantile};
pub use line::{Line, fit_line};
pub use noise::{Verdict, noise_floor, single_run_floor, verdict};
pub use outliers::quartile_fence;
pub use race::{Race, race};
pub use significance::{holm, paired_p_value};
