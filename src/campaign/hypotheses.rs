//! How hypotheses stand, from the results of the experiments designed for them.
//!
//! Boundary: pure; statistics decide, not the language model that made the claim.

use super::counsel::{Part, Posed};
use super::state::{Candidate, Standing, State};
use crate::analysis::single_run_floor;
use serde::Serialize;

/// How a hypothesis stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing was measured for it yet.
    Untested,
    /// One look, which decides nothing.
    Open,
    /// Repeated over seeds: the whole interval clears the noise floor on the predicted side.
    Supported,
    /// Repeated over seeds: the interval excludes the predicted effect, or lies beyond the floor on the other side.
    Refuted,
}

/// A hypothesis's standing with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The evidence in words.
    pub words: String,
    /// Proposals that it rests on.
    pub proposals: Vec<u64>,
}

/// Of hypothesis `number` (from 1).
pub fn judge(state: &State, number: usize) -> Judgement {
    let untested = Judgement { verdict: Verdict::Untested, words: "not tested yet".into(), proposals: Vec::new() };
    let Some(posed) = number.checked_sub(1).and_then(|i| state.counsel.hypotheses.get(i)) else { return untested };
    let of = |part: Part| {
        let designs = state.counsel.designs.iter();
        let own = designs.filter(move |d| d.design.hypothesis == Some(number) && d.design.part == part);
        own.filter_map(|d| state.candidates.get(d.proposal? as usize)).collect::<Vec<&Candidate>>()
    };
    let tests = of(Part::Test);
    let proposals: Vec<u64> = tests.iter().map(|c| c.index).collect();
    if let Some(judgement) = tests.iter().rev().find_map(|c| over_seeds(state, posed, c)) {
        return Judgement { proposals, ..judgement };
    }
    let control = of(Part::Control).into_iter().find_map(|c| c.value);
    let baseline = state.baseline.as_ref();
    let against = match (control, baseline) {
        (Some(value), _) => Some((value, "its control")),
        (None, Some(b)) => Some((b.interval.mean, "the baseline")),
        _ => None,
    };
    let look = tests.iter().rev().find_map(|c| c.value);
    let (Some(value), Some((reference, whom))) = (look, against) else { return Judgement { proposals, ..untested } };
    let floor = baseline.map_or(f64::INFINITY, |b| single_run_floor(&b.values.values().copied().collect::<Vec<_>>()));
    let difference = value - reference;
    let side = if difference.abs() <= floor {
        "within the noise of single runs"
    } else if difference * posed.hypothesis.effect > 0.0 {
        "on the predicted side"
    } else {
        "against the prediction"
    };
    let words = format!(
        "one look: {difference:+.4} from {whom}, {side} ({floor:.4}); predicted {:+.4}",
        posed.hypothesis.effect
    );
    Judgement { verdict: Verdict::Open, words, proposals }
}

/// From a test that was repeated over seeds.
fn over_seeds(state: &State, posed: &Posed, candidate: &Candidate) -> Option<Judgement> {
    let Standing::Judged { difference: Some(d), .. } = &candidate.standing else { return None };
    let floor = state.baseline.as_ref()?.floor;
    let effect = posed.hypothesis.effect;
    // Turned so that the prediction is positive.
    let (low, high) = if effect >= 0.0 { (d.low, d.high) } else { (-d.high, -d.low) };
    let verdict = if low > floor {
        Verdict::Supported
    } else if high < effect.abs() || high < -floor {
        Verdict::Refuted
    } else {
        Verdict::Open
    };
    let words = format!("{d:.4} over {} seeds, noise floor {floor:.4}; predicted {effect:+.4}", d.n);
    Some(Judgement { verdict, words, proposals: Vec::new() })
}
