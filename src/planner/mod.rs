//! Who proposes what to try next.
//!
//! Boundary: sees a search space and observations, returns assignments; pure and seeded, so that every proposal can be
//! derived again from the journal. Must not know files, processes, campaigns' state, clocks.
//!
//! All samplers see a space as a [`space::Tree`] (parents before their conditional children), read randomness only from
//! (planner seed, proposal index), and pass one suite, `conformance`. How they compare on functions with a known optimum
//! and with Optuna is in `docs/benchmarks/samplers.md`, kept true by `performance`.

mod calibration;
mod choose;
mod cma;
mod distance;
mod evolution;
mod forest;
mod grid;
pub mod halving;
mod listed;
mod manual;
mod parzen;
mod queue;
mod random;
mod rank;
mod space;
mod taken;
mod tpe;
mod verdict_gain;
mod weigh;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod performance;

pub use calibration::{Calibration, Group, Outcome};
pub use choose::{Purse, choose};
pub use distance::{Distance, novelty};
pub use forest::{Belief, Forest};
pub use listed::{Entry, Listed};
pub use queue::{Queue, is_new};
pub use rank::ranked;
pub use space::active;
pub use verdict_gain::verdict_gain;
pub use weigh::{Model, Prospect, expected_improvement, novelty_among, portfolio, prioritise};

use crate::config::{Experiment, Parameter, PlannerKind, PlannerSpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Values for the parameters of a search space that are present: path to value.
pub type Assignment = BTreeMap<String, Value>;

/// The space as a sampler sees it.
pub type Space = BTreeMap<String, Parameter>;

/// What came of a proposal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// What was tried.
    pub assignment: Assignment,
    /// The objective, smaller is better (already negated for maximisation); none while running or when it failed.
    pub value: Option<f64>,
    /// It ended without a value: diverged, did not fit, crashed for good.
    pub failed: bool,
    /// Share of its training after which the value was measured, in (0, 1]; less than 1 where it waits at a rung of
    /// successive halving. Values of different shares are not compared by size; see [`ranked`].
    pub trained: f64,
}

impl Observation {
    /// After the whole training.
    pub fn complete(assignment: Assignment, value: Option<f64>) -> Self {
        Observation { assignment, value, failed: value.is_none(), trained: 1.0 }
    }

    /// Under way.
    pub fn pending(assignment: Assignment) -> Self {
        Observation { assignment, value: None, failed: false, trained: 1.0 }
    }

    /// Whether anything came of it yet.
    pub fn ended(&self) -> bool {
        self.failed || self.value.is_some()
    }

    /// Its value, where it is one that can be ranked.
    pub fn usable(&self) -> Option<f64> {
        self.value.filter(|v| v.is_finite() && !self.failed)
    }
}

/// Proposes assignments.
pub trait Sampler {
    /// Name in configs and reports.
    fn name(&self) -> &'static str;
    /// The `index`-th proposal (from 0) given all observations so far, pending ones included. `None`: the space is
    /// exhausted. Never repeats an assignment that was observed. Deterministic in its arguments.
    ///
    /// `accept` refuses what must not be tried (constraints, shapes, what does not fit). Finite spaces are searched to
    /// the end before `None` is said, unless they have more than 100,000 members; otherwise after 10,000 draws.
    fn propose(
        &self,
        space: &Space,
        observations: &[Observation],
        index: u64,
        accept: &dyn Fn(&Assignment) -> bool,
    ) -> Option<Assignment>;
    /// What it believes of where good values lie, a line each, for a language model beside it; empty while it believes
    /// nothing yet, or never does. Deterministic in its arguments.
    fn belief(&self, _space: &Space, _observations: &[Observation]) -> Vec<String> {
        Vec::new()
    }
    /// Of a list of whole experiments, the `index`-th; only batches have one.
    fn experiment(&self, _index: u64) -> Option<Experiment> {
        None
    }
    /// What that is called: its line, and its maker's own name for it.
    fn label(&self, _index: u64) -> Assignment {
        Assignment::new()
    }
}

/// The sampler that a campaign asks for.
pub fn sampler(spec: &PlannerSpec) -> Box<dyn Sampler> {
    match spec.sampler() {
        PlannerKind::Random => Box::new(random::Random::new(spec.seed)),
        PlannerKind::Grid => Box::new(grid::Grid::new(spec.seed)),
        PlannerKind::Tpe => Box::new(tpe::Tpe::new(spec.seed, spec.startup)),
        PlannerKind::CmaEs => Box::new(cma::CmaEs::new(spec.seed, spec.startup)),
        PlannerKind::Evolution => Box::new(evolution::Evolution::new(spec.seed, spec.startup, spec.population)),
        PlannerKind::Manual => Box::new(manual::Manual::new(spec.list.clone())),
        // A language model's answers are no function of the results: they come as events (see `campaign::counsel`).
        PlannerKind::Llm | PlannerKind::Hybrid => Box::new(tpe::Tpe::new(spec.seed, spec.startup)),
    }
}
