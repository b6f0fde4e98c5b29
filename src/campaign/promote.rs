//! Successive halving in a campaign: at which steps candidates wait, and who goes on.
//!
//! Boundary: the part of [`super::decide`] that is about rungs; the rule itself is [`crate::planner::halving`]'s.

use super::decide::Mind;
use super::events::Event;
use super::facts::{Price, Purpose, RunResult};
use super::room::{self, Need, Outlay};
use super::run::{Limits, Run};
use super::state::{Standing, State};
use crate::config::{Direction, Experiment};
use crate::planner::halving::{Entrant, best_waiting, promotable, rung_steps, trains_on};

impl Mind<'_> {
    /// The steps at which a run for this purpose waits: a candidate's first look under halving; none for all others.
    pub(super) fn rungs(&self, experiment: &Experiment, price: &Price, purpose: Purpose) -> Vec<u64> {
        match (self.state.campaign.planner.halving, purpose) {
            (Some(halving), Purpose::Candidate { .. }) => rung_steps(&halving, &experiment.evaluation, price.steps),
            _ => Vec::new(),
        }
    }

    /// What a candidate's first attempt may use.
    pub(super) fn first_look(&self, experiment: &Experiment, price: &Price, index: u64) -> Limits {
        let rungs = self.rungs(experiment, price, Purpose::Candidate { index });
        let stop_at = self.state.campaign.planner.halving.and_then(|halving| halving.first_stop(&rungs));
        Limits::part(experiment, price, 0, stop_at)
    }

    /// The promotion that is due, if any: by the asynchronous rule while the search goes on; when nobody new starts, also
    /// the best who wait, until there are enough complete candidates to choose finalists from. `Some(empty)` to wait for
    /// room.
    pub(super) fn promotion(&self) -> Option<Vec<Event>> {
        let state = self.state;
        let halving = state.campaign.planner.halving?;
        if !self.slot_free() {
            return None;
        }
        let entrants = entrants(state);
        let rungs = state.runs.iter().map(|r| r.rungs.len()).max()?;
        let asked = promotable(&entrants, rungs, halving.factor).map(|(id, _)| (id, "among the best of its rung"));
        let left = || {
            let complete = state.candidates.iter().filter(|c| c.value.is_some()).count();
            let open = state.search_ended.is_some() && self.live == 0 && complete < state.campaign.seeds.finalists;
            let best = best_waiting(&entrants, rungs).filter(|_| open);
            best.map(|(id, _)| (id, "the best of those who wait, and nobody new starts"))
        };
        let (id, why) = asked.or_else(left)?;
        let run = state.runs.get(id as usize)?;
        let (rung, done) = (run.reached.len(), run.reached.last().map_or(0, |r| r.step));
        let stop_at = run.rungs.get(rung).copied().filter(|_| !halving.running);
        let part = Limits::part(&run.experiment, &run.price, done, stop_at);
        let limits = Limits { wall_seconds: part.wall_seconds, ..run.limits };
        let kept = room::kept_back(state, self.scope.confirm, None);
        let look = Outlay::of(state, &limits, &run.price);
        if !room::leaves(state, look, 0, Need { runs: 0, ..kept }) {
            // With nothing to wait for, it does not go on: what is left may still hold a new candidate's first rung.
            return (self.live > 0).then(Vec::new);
        }
        let (place, of) = rank(&entrants, id, rung.saturating_sub(1));
        Some(vec![Event::RunPromoted {
            id: run.id,
            rung,
            stop_at,
            wall_seconds: limits.wall_seconds,
            why: format!("{why} (number {place} of {of} at step {done})"),
        }])
    }
}

/// What becomes of a run that has passed a rung while it trained on, where that is not decided yet: it trains on, or is asked
/// to leave with a checkpoint.
pub(super) fn judgement(state: &State) -> Option<Event> {
    let halving = state.campaign.planner.halving.filter(|halving| halving.running)?;
    let unjudged = |run: &Run| run.judged < run.reached.len() && run.live().is_some_and(|attempt| !attempt.stopping);
    let (position, run) = state.runs.iter().enumerate().find(|(_, run)| unjudged(run))?;
    let rung = run.judged;
    let (place, of) = rank(&entrants(state), position as u64, rung);
    let step = run.reached.get(rung)?.step;
    // Whoever nobody waits for any more has nothing to be compared for.
    let stop = screens(state, run) && !trains_on(place, of, halving.factor);
    let why = format!("number {place} of {of} at step {step}, of which one in {} goes on", halving.factor);
    Some(Event::RungJudged { id: run.id, rung, stop, why })
}

/// Every candidate's first look as halving sees it, named by its position among the runs.
fn entrants(state: &State) -> Vec<Entrant> {
    let sign = if state.direction() == Direction::Maximize { -1.0 } else { 1.0 };
    let entrant = |(position, run): (usize, &Run)| Entrant {
        id: position as u64,
        values: run.reached.iter().map(|r| sign * r.value).collect(),
        waiting: run.paused && screens(state, run),
    };
    state.runs.iter().enumerate().filter(|(_, run)| !run.rungs.is_empty()).map(entrant).collect()
}

/// Whether a candidate still waits for the run.
fn screens(state: &State, run: &Run) -> bool {
    !matches!(run.result, Some(RunResult::Failed { .. }))
        && state.candidates.iter().any(|c| c.standing == Standing::Screening && c.screening == Some(run.id))
}

/// Place of an entrant among those who reached a rung, from 1, and their number.
fn rank(entrants: &[Entrant], id: u64, rung: usize) -> (usize, usize) {
    let own = entrants.iter().find(|e| e.id == id).and_then(|e| e.values.get(rung)).copied().unwrap_or(f64::NAN);
    let there = || entrants.iter().filter_map(|e| e.values.get(rung));
    (1 + there().filter(|v| **v < own).count(), there().count())
}
