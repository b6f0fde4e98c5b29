//! Gains of candidates: what was expected of them and what came of it, and what a campaign knows for expecting more.
//!
//! A gain is an improvement over the best first look so far (the baseline's mean where nothing is better), in noise floors.
//! It is realised when a candidate's first look is complete; one that failed realised nothing, and one that halving stopped
//! says nothing. Boundary: pure questions about the state.

use super::facts::RunResult;
use super::room;
use super::run::{Attempt, Run};
use super::state::{Candidate, State};
use crate::config::Direction;
use crate::cost::overhead_factor;
use crate::planner::{Assignment, Calibration, Outcome};

/// Factor from predicted to expected seconds, learned from complete runs with all that their attempts held: what was lost to
/// failures and preemption is part of what a run takes here.
pub fn alpha(state: &State) -> f64 {
    let pair = |run: &Run| {
        let whole = matches!(run.result, Some(RunResult::Finished { .. }));
        let held: f64 = run.attempts.iter().filter_map(|a| a.ended.as_ref()).map(|end| end.evidence.seconds).sum();
        whole.then_some((run.price.seconds, held))
    };
    overhead_factor(&state.runs.iter().filter_map(pair).collect::<Vec<_>>())
}

/// Seconds that a job waits in the queue, as far as is known: the mean of those that ended last; before any has, what was
/// expected of those under way. 0 where attempts do not wait.
pub fn expected_wait(state: &State) -> f64 {
    /// Waits change with the hour of the day.
    const LATEST: usize = 20;
    let attempts = || state.runs.iter().flat_map(|run| &run.attempts);
    let waited = |a: &Attempt| Some((a.ended.as_ref()?.at, a.ended.as_ref()?.evidence.job.as_ref()?.waited()?));
    let mut waits: Vec<(f64, f64)> = attempts().filter_map(waited).collect();
    waits.sort_by(|a, b| b.0.total_cmp(&a.0));
    waits.truncate(LATEST);
    let mean = |of: &[f64]| if of.is_empty() { None } else { Some(of.iter().sum::<f64>() / of.len() as f64) };
    let measured: Vec<f64> = waits.into_iter().map(|(_, seconds)| seconds).collect();
    let foreseen: Vec<f64> =
        state.live().filter_map(|a| Some(a.placed.as_ref()?.offers.first()?.wait_seconds)).collect();
    mean(&measured).or_else(|| mean(&foreseen)).unwrap_or(0.0)
}

/// What waiting for a run is worth, in device-seconds: its expected wait at the site's price of an hour waited, over the price
/// of a device-hour. 0 where one of the prices is not known.
pub fn waiting(state: &State) -> f64 {
    let (worth, hour) = (state.campaign.execution.dollars_per_hour_waited, room::expected_hour(state));
    if worth > 0.0 && hour > 0.0 { expected_wait(state) * worth / hour } else { 0.0 }
}

/// Device-seconds that candidates may still use: what is free and not kept back for confirmations.
pub fn left(state: &State, confirm: usize) -> f64 {
    let kept = room::kept_back(state, confirm, None);
    state.ledger.free().time.saturating_sub(kept.amount.time).seconds()
}

fn sign(state: &State) -> f64 {
    if state.direction() == Direction::Maximize { -1.0 } else { 1.0 }
}

/// The baseline as a point of the space with its mean, smaller being better; nothing before it is known.
pub fn baseline(state: &State) -> Vec<(Assignment, f64)> {
    let (Some(scope), Some(baseline)) = (&state.scope, &state.baseline) else { return Vec::new() };
    let mut assignment = Assignment::new();
    for path in state.campaign.space.keys() {
        assignment.extend(scope.baseline.get(path).map(|value| (path.clone(), value)));
    }
    let active = crate::planner::active(&state.campaign.space, &assignment);
    assignment.retain(|path, _| active.contains(path));
    vec![(assignment, sign(state) * baseline.interval.mean)]
}

/// What a candidate's first look gained over what was known when it was proposed, in noise floors; none while that is not
/// known.
pub fn realised(state: &State, candidate: &Candidate) -> Option<f64> {
    let baseline = state.baseline.as_ref()?;
    let news = state.known.iter().rev().find(|k| k.index == candidate.index)?;
    if news.trained < 1.0 {
        return None;
    }
    let Some(value) = news.value else { return Some(0.0) };
    let seen = state.observations(candidate.index, candidate.observed, candidate.seen);
    let complete = seen.iter().filter(|o| o.trained >= 1.0).filter_map(|o| o.usable());
    let best = complete.fold(sign(state) * baseline.interval.mean, f64::min);
    let floor = if baseline.floor > 0.0 && baseline.floor.is_finite() { baseline.floor } else { 1.0 };
    Some((best - sign(state) * value).max(0.0) / floor)
}

/// Every prediction of which the outcome is known.
pub fn outcomes(state: &State) -> Vec<Outcome> {
    let outcome = |c: &Candidate| {
        let chosen = c.weighed.as_ref()?.pool.first()?;
        Some(Outcome {
            kind: c.planner.clone(),
            cost: chosen.cost,
            predicted: chosen.raw_gain?,
            realised: realised(state, c)?,
        })
    };
    state.candidates.iter().filter_map(outcome).collect()
}

/// How far predicted gains can be trusted.
pub fn calibration(state: &State) -> Calibration {
    Calibration::of(&outcomes(state))
}
