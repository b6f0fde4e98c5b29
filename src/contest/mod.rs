//! Planners against each other: the same device-hours, the same seeds, what came of it.
//!
//! ```text
//! arms       what competes: a planner's settings under a name
//! functions  standard functions with costs, memory and learning curves
//! recorded   a surrogate fitted to recorded real runs
//! simulate   one arm on one task in virtual time, under a budget of device-seconds
//! real       one arm of a real campaign: its settings, and what its journal says came of it
//! score      traces to numbers: best so far, waste, time to random search's best, paired intervals
//! picture    traces to figures: the best so far of every arm, and its distance from the first arm's
//! ```
//! Boundary: proposes and stops by the planner's own functions, the ones that campaigns use; draws no conclusions for
//! the reader. Must not know tensors, processes or the command line.

pub mod arms;
pub mod functions;
pub mod picture;
pub mod real;
pub mod recorded;
pub mod score;
pub mod simulate;

pub use arms::Arm;
pub use score::{Standing, score};
pub use simulate::{Task, simulate};

use serde::{Deserialize, Serialize};

/// What came of one arm with one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Name of the arm.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// Device-seconds of the budget.
    pub budget: f64,
    /// Device-seconds spent when each complete result was known, and the result (smaller is better), in order.
    pub results: Vec<(f64, f64)>,
    /// Device-seconds spent in all.
    pub spent: f64,
    /// Runs that were started.
    pub runs: usize,
    /// Device-seconds that went to runs without a value, by the kind of failure.
    pub wasted: std::collections::BTreeMap<String, f64>,
    /// Candidates with a decided verdict, better or worse than the baseline beyond the noise floor; none where nothing is
    /// confirmed.
    pub decided: Option<usize>,
    /// Changes that survive Holm's correction over the candidates compared; none where nothing is confirmed.
    pub survivors: Option<usize>,
}

#[cfg(test)]
impl Trace {
    /// A made up one of 100 device-seconds.
    fn made_up(arm: &str, seed: u64, results: &[(f64, f64)]) -> Self {
        Trace {
            arm: arm.into(),
            seed,
            budget: 100.0,
            results: results.to_vec(),
            spent: 100.0,
            runs: results.len(),
            wasted: Default::default(),
            decided: None,
            survivors: None,
        }
    }
}

impl Trace {
    /// The best complete result when `spent` device-seconds were gone; none before the first.
    pub fn best_at(&self, spent: f64) -> Option<f64> {
        self.results.iter().filter(|r| r.0 <= spent).map(|r| r.1).reduce(f64::min)
    }

    /// The best of all.
    pub fn best(&self) -> Option<f64> {
        self.best_at(f64::INFINITY)
    }

    /// Device-seconds spent when a result was first at least as good as `value`.
    pub fn reached(&self, value: f64) -> Option<f64> {
        self.results.iter().find(|r| r.1 <= value).map(|r| r.0)
    }
}
