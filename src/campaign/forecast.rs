//! When a campaign will be done, as far as can be foreseen: for people who look at it. Nothing is decided by it.
//!
//! ```text
//! still to run   the baseline's seeds, candidates that were asked for, and confirmations; never more than the budget holds
//! a run          its predicted seconds x alpha, the wait in the queue, and the time until its end is seen
//! done           what live attempts still need, and the rest in turns of as many as run at once
//! ```
//! Boundary: a pure question about the state.

use super::facts::Purpose;
use super::gain;
use super::state::{Standing, State};
use serde::Serialize;

/// Seconds beyond which nobody was looking: the end waited for a controller, which says nothing about the next ones.
const LONGEST_NOTICE: f64 = 600.0;

/// What is expected of the rest of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Forecast {
    /// Runs still to be begun, at most.
    pub runs: usize,
    /// Runs under way.
    pub live: usize,
    /// As many as run at once.
    pub at_once: usize,
    /// Expected seconds of one run, failures included.
    pub run_seconds: f64,
    /// Expected seconds of its wait in a queue.
    pub wait_seconds: f64,
    /// Seconds from the end of a job until the controller saw it, on average: it looks once an interval.
    pub notice_seconds: f64,
    /// Seconds until all of it is done.
    pub seconds: f64,
    /// The budget ends it, and not what was asked for.
    pub by_budget: bool,
}

impl Forecast {
    /// Of a campaign under way; none where nothing is known yet, and of one that is concluded, stopping or paused.
    pub fn of(state: &State) -> Option<Forecast> {
        if state.conclusion.is_some() || state.halt.is_some() || state.missing.is_some() || state.paused {
            return None;
        }
        let scope = state.scope.as_ref()?;
        let campaign = &state.campaign;
        let run_seconds = gain::alpha(state) * mean_price(state).unwrap_or(scope.price.seconds);
        let (wait_seconds, notice_seconds) = (gain::expected_wait(state), notice(state));
        let whole = run_seconds + wait_seconds + notice_seconds;
        let wanted = wanted(state);
        let sharers = campaign.execution.attempts_per_device.max(1) as f64;
        let affordable = (state.ledger.free().time.seconds() * sharers / run_seconds.max(1e-9)) as usize;
        let by_number = match campaign.budget.runs {
            0 => usize::MAX,
            limit => limit.saturating_sub(state.runs.len()),
        };
        let runs = wanted.min(affordable).min(by_number);
        let slots = if state.slots == 0 { usize::MAX } else { state.slots };
        let at_once = campaign.execution.parallel.min(slots).max(1);
        let left = |a: &super::run::Attempt| {
            let since = a.launched_at.map_or(0.0, |at| (state.updated - at).max(0.0));
            (whole - since).max(0.0)
        };
        let live: Vec<f64> = state.live().map(left).collect();
        let work = live.iter().sum::<f64>() + runs as f64 * whole;
        // Whoever is longest under way is not done sooner than by itself.
        let longest = live.iter().copied().fold(if runs > 0 { whole } else { 0.0 }, f64::max);
        let seconds = (work / at_once as f64).max(longest);
        let by_budget = runs < wanted;
        Some(Forecast {
            runs,
            live: live.len(),
            at_once,
            run_seconds,
            wait_seconds,
            notice_seconds,
            seconds,
            by_budget,
        })
    }
}

/// Mean seconds between a job's own end and the event that records it; 0 where attempts are no jobs.
fn notice(state: &State) -> f64 {
    let late = |a: &super::run::Attempt| {
        let end = a.ended.as_ref()?;
        let ended = end.evidence.job.as_ref()?.ended?;
        Some((end.at - ended as f64).clamp(0.0, LONGEST_NOTICE))
    };
    let all: Vec<f64> = state.runs.iter().flat_map(|run| &run.attempts).filter_map(late).collect();
    if all.is_empty() { 0.0 } else { all.iter().sum::<f64>() / all.len() as f64 }
}

/// Mean predicted seconds of the runs so far.
fn mean_price(state: &State) -> Option<f64> {
    let n = state.runs.len();
    (n > 0).then(|| state.runs.iter().map(|run| run.price.seconds).sum::<f64>() / n as f64)
}

/// Runs that the campaign would still begin if its budget had no end; the largest number where candidates have none.
fn wanted(state: &State) -> usize {
    let Some(scope) = &state.scope else { return 0 };
    if let Some(batch) = &state.campaign.batch {
        return batch.experiments.saturating_sub(state.runs.len());
    }
    let begun = |purpose: fn(&Purpose) -> bool| state.runs.iter().filter(|run| purpose(&run.purpose)).count();
    let baseline = scope.seeds.len().saturating_sub(begun(|p| *p == Purpose::Baseline));
    let rejected = |s: &Standing| matches!(s, Standing::Rejected { .. });
    let tried = state.candidates.iter().filter(|c| !c.runs.is_empty()).count();
    let open = state.candidates.iter().filter(|c| c.runs.is_empty() && !rejected(&c.standing)).count();
    let candidates = match (state.search_ended.is_some(), state.campaign.planner.candidates) {
        (true, _) => open,
        (false, 0) => return usize::MAX,
        (false, asked) => asked.saturating_sub(tried),
    };
    let confirmations = (state.campaign.seeds.finalists * scope.confirm)
        .saturating_sub(begun(|p| matches!(p, Purpose::Confirm { .. })));
    baseline + candidates + confirmations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::tests::lab::{Lab, campaign, completes};

    /// In the middle of a campaign of a known number of runs of two seconds each, and without waiting.
    #[test]
    fn the_rest_is_counted_and_timed() {
        let campaign =
            campaign("planner = { candidates = 12 }\nexecution = { parallel = 2 }\nseeds = { finalists = 1 }");
        let mut lab = Lab::new(&campaign, |spec, _| completes(spec));
        lab.die_after = Some(40);
        assert!(lab.drive_until_killed(&campaign).is_none());
        let state = lab.state();
        let forecast = Forecast::of(&state).unwrap();
        let begun = state.runs.len();
        // Three seeds of the baseline, twelve candidates, three confirmations of one.
        assert_eq!(forecast.runs + begun, 18, "{forecast:?}, {begun} begun");
        assert!((1.5..4.0).contains(&forecast.run_seconds) && forecast.wait_seconds == 0.0, "{forecast:?}");
        assert!(!forecast.by_budget && forecast.at_once == 2);
        let turns = forecast.runs as f64 * forecast.run_seconds / 2.0;
        assert!(forecast.seconds >= turns && forecast.seconds <= turns + 2.0 * forecast.run_seconds, "{forecast:?}");
        lab.die_after = None;
        lab.conclude(&campaign);
        assert_eq!(Forecast::of(&lab.state()), None, "a concluded one has no rest");
    }

    #[test]
    fn without_a_number_of_candidates_the_budget_is_the_end() {
        let campaign = campaign("planner = { kind = \"random\", candidates = 0 }\nbudget = { device_hours = 0.02 }");
        let mut lab = Lab::new(&campaign, |spec, _| completes(spec));
        lab.die_after = Some(30);
        assert!(lab.drive_until_killed(&campaign).is_none());
        let forecast = Forecast::of(&lab.state()).unwrap();
        // 72 s in all.
        assert!(forecast.by_budget && (5..36).contains(&forecast.runs), "{forecast:?}");
    }
}
