//! Who proposes candidates: the `[planner]` of a campaign.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Who proposes candidates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannerSpec {
    /// Default `hybrid` with an `[llm]` section, else `tpe`.
    #[serde(default)]
    pub kind: PlannerKind,
    /// Sampler beside the language model of `hybrid`, and in place of one that fails. Default `tpe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classical: Option<PlannerKind>,
    /// Share of its proposals that `hybrid` asks the language model for, at most 0.3. Default 0.3.
    #[serde(default = "llm_share", skip_serializing_if = "is_default_share")]
    pub llm_share: f64,
    /// Seed of the proposals. Default 0.
    #[serde(default)]
    pub seed: u64,
    /// Random proposals before `tpe`, `cma-es` and `evolution` learn from results. Default 8.
    #[serde(default = "startup")]
    pub startup: usize,
    /// Niches that `evolution` breeds from, at most. Default 12.
    #[serde(default = "population")]
    pub population: usize,
    /// What `manual` tries, in this order: each entry sets parameters of the space, those left out stay as in the baseline. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<BTreeMap<String, Value>>,
    /// Candidates at most; 0 for as many as the budget allows. Default 0.
    #[serde(default)]
    pub candidates: usize,
    /// Which results a proposal may rest on while attempts run side by side. Default `fixed`.
    #[serde(default)]
    pub results: PlannerResults,
    /// Stop candidates early that are behind: asynchronous successive halving. Default: every candidate trains to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halving: Option<Halving>,
    /// Choose among several proposals by their expected gain for their cost. Default: the planner's own proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighing: Option<Weighing>,
    /// Never propose what is predicted to need more host memory than `resources.memory_mib`, or on a GPU more device memory
    /// than `execution.device_memory_mib`. Default true.
    #[serde(default = "yes")]
    pub memory_filter: bool,
}

/// Compute-aware choice: priority = gain / cost + beta x novelty, each as a share of the largest in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weighing {
    /// Proposals to choose among. Default 8.
    #[serde(default = "pool")]
    pub pool: usize,
    /// Weight of novelty while the whole budget is left; falls in proportion to what is left. Default 0.2.
    #[serde(default = "beta")]
    pub beta: f64,
    /// Whether the cost counts; false only to find out what it is worth. Default true.
    #[serde(default = "yes")]
    pub cost: bool,
}

impl Default for Weighing {
    fn default() -> Self {
        Weighing { pool: pool(), beta: beta(), cost: true }
    }
}

/// Asynchronous successive halving (Li et al., arXiv 1810.05934): candidates wait at rungs of their training, and the best
/// of each rung go on from their checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Halving {
    /// Share of a run's training steps at the first rung, in (0, 0.5]; the evaluation nearest to it counts. Default one ninth.
    #[serde(default = "first_rung")]
    pub first: f64,
    /// Each rung has this many times the steps of the one before, and one in so many goes on. Default 3.
    #[serde(default = "rung_factor")]
    pub factor: u32,
    /// Candidates train on through their rungs, and the controller stops those that are behind: they leave with a
    /// checkpoint, and what was reserved for the rest is given back. Where attempts are jobs, nobody who goes on waits in the
    /// queue a second time. Default false: every attempt ends at its rung.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub running: bool,
}

impl Halving {
    /// The step at which a run with these rungs ends its first attempt; none where it goes on.
    pub fn first_stop(&self, rungs: &[u64]) -> Option<u64> {
        rungs.first().copied().filter(|_| !self.running)
    }
}

impl Default for Halving {
    fn default() -> Self {
        Halving { first: first_rung(), factor: rung_factor(), running: false }
    }
}

impl Default for PlannerSpec {
    fn default() -> Self {
        PlannerSpec {
            kind: PlannerKind::default(),
            classical: None,
            llm_share: llm_share(),
            seed: 0,
            startup: startup(),
            population: population(),
            list: Vec::new(),
            candidates: 0,
            halving: None,
            weighing: None,
            memory_filter: true,
            results: PlannerResults::default(),
        }
    }
}

/// Which results a proposal may rest on while attempts run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlannerResults {
    /// Exactly those of the proposals made at least `execution.parallel` earlier: equal seeds give equal proposals, in
    /// whatever order runs end; a free place may wait for the oldest run.
    #[default]
    Fixed,
    /// All that are there: no place waits, and proposals depend on the order in which runs end.
    Latest,
}

/// Sampler of the planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlannerKind {
    /// Independent draws.
    Random,
    /// Every combination, in a seeded order.
    Grid,
    /// Tree-structured Parzen estimator (Bergstra et al., NIPS 2011).
    #[default]
    Tpe,
    /// Covariance matrix adaptation (Hansen, arXiv 1604.00772), whole numbers with margin, choices by probability.
    CmaEs,
    /// Crossover and mutation of the best, one of each niche.
    Evolution,
    /// The campaign's own list, in its order.
    Manual,
    /// The language model proposes everything it can; without one, `classical` does.
    Llm,
    /// `classical` proposes most, the language model a minority with the results in view; without one, `classical` all.
    Hybrid,
}

impl PlannerKind {
    /// Whether a language model is asked where there is one.
    pub fn asks(self) -> bool {
        matches!(self, PlannerKind::Llm | PlannerKind::Hybrid)
    }
}

impl PlannerSpec {
    /// The sampler that proposes where no language model does.
    pub fn sampler(&self) -> PlannerKind {
        if self.kind.asks() { self.classical.unwrap_or_default() } else { self.kind }
    }

    /// Share of the proposals that a language model is asked for.
    pub fn share(&self) -> f64 {
        match self.kind {
            PlannerKind::Llm => 1.0,
            PlannerKind::Hybrid => self.llm_share,
            _ => 0.0,
        }
    }
}

fn startup() -> usize {
    8
}
fn pool() -> usize {
    8
}
fn beta() -> f64 {
    0.2
}
fn yes() -> bool {
    true
}
fn first_rung() -> f64 {
    1.0 / 9.0
}
fn rung_factor() -> u32 {
    3
}
fn population() -> usize {
    12
}
fn llm_share() -> f64 {
    0.3
}
fn is_default_share(share: &f64) -> bool {
    *share == llm_share()
}
