//! The outline: the main finding, the comparisons worth making, what failed.

use crate::analysis::{EffectKind, Verdict};
use crate::campaign::{Standing, State, correction};
use crate::paper::fact::{Facts, Shows};
use serde::Serialize;

/// What a campaign found, in the words that decide how its paper is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// A candidate cleared the noise floor and survived the correction.
    Confirmed,
    /// One cleared the noise floor, and did not survive the correction.
    NotAfterCorrection,
    /// Candidates were repeated, and none cleared the noise floor.
    NotConfirmed,
    /// Candidates were tried, and none was repeated.
    NotRepeated,
    /// The baseline was measured, and nothing compared with it.
    BaselineOnly,
    /// Not even the baseline has a mean.
    Nothing,
}

/// What the paper is built around.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outline {
    /// The main finding.
    pub finding: Finding,
    /// Candidates that were repeated, the best first.
    pub compared: Vec<u64>,
    /// Parameters whose association with the objective is told apart from none, strongest first.
    pub associated: Vec<String>,
    /// Numeric parameters without one.
    pub unclear: Vec<String>,
    /// Parameters that are choices.
    pub choices: Vec<String>,
    /// There is a fit over model sizes.
    pub scaling: bool,
    /// Runs or attempts that failed.
    pub failures: bool,
    /// Intervals rest on fewer than five values.
    pub few_seeds: bool,
}

impl Outline {
    /// Of a campaign.
    pub fn of(state: &State, facts: &Facts) -> Self {
        let judged = correction::compared(state);
        let finding = match (&state.baseline, state.best()) {
            (None, _) => Finding::Nothing,
            (Some(_), Some(_)) => Finding::Confirmed,
            (Some(_), None) if judged.iter().any(|c| c.verdict == Verdict::Better) => Finding::NotAfterCorrection,
            (Some(_), None) if !judged.is_empty() => Finding::NotConfirmed,
            (Some(_), None) if facts.number("search.tried").is_some_and(|n| n > 0.0) => Finding::NotRepeated,
            _ => Finding::BaselineOnly,
        };
        let mut compared: Vec<(u64, f64)> = judged
            .iter()
            .filter_map(|c| match &state.candidates.get(c.index as usize)?.standing {
                Standing::Judged { own: Some(own), .. } => Some((c.index, own.mean)),
                _ => None,
            })
            .collect();
        compared.sort_by(|a, b| {
            let order = a.1.total_cmp(&b.1);
            if state.better(1.0, 0.0) { order.reverse() } else { order }
        });
        let (mut associated, mut unclear, mut choices) = (Vec::new(), Vec::new(), Vec::new());
        for effect in effects(state) {
            let slug = super::super::facts::words::slug(&effect.parameter);
            let shows = facts.get(&format!("effect.{slug}.rho")).and_then(|f| f.shows);
            match (&effect.kind, shows) {
                (EffectKind::Groups { .. }, _) => choices.push(effect.parameter),
                (_, Some(Shows::Association)) => associated.push(effect.parameter),
                _ => unclear.push(effect.parameter),
            }
        }
        let number = |id: &str| facts.number(id).unwrap_or(0.0);
        Outline {
            finding,
            compared: compared.into_iter().map(|c| c.0).collect(),
            associated,
            unclear,
            choices,
            scaling: facts.known("scaling.exponent"),
            failures: ["runs.failed", "attempts.failed", "search.rejected"].iter().any(|id| number(id) > 0.0),
            few_seeds: number("seeds.confirm") < 5.0,
        }
    }
}

/// What each parameter did at first looks, strongest first.
pub fn effects(state: &State) -> Vec<crate::analysis::Effect> {
    if state.campaign.batch.is_some() {
        return Vec::new();
    }
    let trial = |c: &crate::campaign::Candidate| {
        Some(crate::analysis::Trial { assignment: c.assignment.clone(), value: c.value? })
    };
    let trials: Vec<_> = state.candidates.iter().filter_map(trial).collect();
    crate::analysis::main_effects(&trials, state.campaign.objective.confidence)
}
