//! Holm's correction over a campaign's candidates: who compares several with the baseline finds something by chance more
//! often than who compares one.
//!
//! Boundary: pure questions about the verdicts in a state.

use super::state::{Standing, State};
use crate::analysis::{Interval, Verdict, holm};

/// A candidate that was compared with the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// Index of the proposal.
    pub index: u64,
    /// Its verdict by the noise floor.
    pub verdict: Verdict,
    /// Two-sided p value of its paired difference; a race's, which looked more than once, multiplied by its looks.
    pub p_value: f64,
    /// The same after the correction over all that were compared so far.
    pub adjusted: f64,
}

/// Every candidate with a verdict, in the order of the proposals.
pub fn compared(state: &State) -> Vec<Compared> {
    // An interval at a higher confidence than the campaign's decided a race: it had a share of the error only.
    let error = 1.0 - state.campaign.objective.confidence;
    let p_value = |d: &Interval| (d.p_value() * (error / (1.0 - d.confidence)).max(1.0)).min(1.0);
    let judged: Vec<(u64, Verdict, f64)> = state
        .candidates
        .iter()
        .filter_map(|c| match &c.standing {
            Standing::Judged { verdict, difference, .. } => {
                Some((c.index, *verdict, difference.as_ref().map_or(1.0, p_value)))
            }
            _ => None,
        })
        .collect();
    let adjusted = holm(&judged.iter().map(|j| j.2).collect::<Vec<_>>());
    let one = |((index, verdict, p_value), adjusted)| Compared { index, verdict, p_value, adjusted };
    judged.into_iter().zip(adjusted).map(one).collect()
}

/// The confirmed candidates whose p value stays below the campaign's error after the correction.
pub fn survivors(state: &State) -> Vec<u64> {
    let error = 1.0 - state.campaign.objective.confidence;
    // The interval and the p value round differently.
    let survives = |c: &Compared| c.verdict == Verdict::Better && c.adjusted <= error + 1e-9;
    compared(state).into_iter().filter(survives).map(|c| c.index).collect()
}

/// ` (p = 0.003 after Holm's correction over 2 candidates)`, to go at the end of a finding.
pub fn words(state: &State, index: u64) -> String {
    let all = compared(state);
    let Some(own) = all.iter().find(|c| c.index == index) else { return String::new() };
    let p = match p_value(own.adjusted) {
        small if small.starts_with('<') => "p below 0.001".to_string(),
        p => format!("p = {p}"),
    };
    match all.len() {
        1 => format!(" ({p})"),
        n => format!(" ({p} after Holm's correction over {n} candidates)"),
    }
}

/// A p value to three digits; `<0.001` where they would all be zero.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".to_string() } else { format!("{p:.3}") }
}
