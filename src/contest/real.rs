//! Arms of a real campaign: what each is run as, and what its journal says came of it.

use super::{Arm, Trace};
use crate::analysis::Verdict;
use crate::campaign::{Purpose, Run, RunResult, State, correction};
use crate::config::{Campaign, Direction};
use crate::failure::Class;
use std::collections::BTreeMap;

/// The campaign of an arm with a seed: the same in everything but the planner, whose further settings stay.
pub fn campaign(template: &Campaign, arm: &Arm, seed: u64) -> Campaign {
    let mut campaign = template.clone();
    let own = arm.planner(seed);
    let kept = &template.planner;
    campaign.planner =
        crate::config::PlannerSpec { startup: kept.startup, candidates: kept.candidates, results: kept.results, ..own };
    campaign.name = format!("{}-{}-{seed}", template.name, arm.name);
    campaign.name.truncate(64);
    campaign
}

/// What came of a concluded campaign, as a trace: complete first looks in the order in which they ended, against the device
/// time settled by then, baseline and confirmations included.
pub fn trace(state: &State, arm: &str, seed: u64) -> Trace {
    let sign = if state.direction() == Direction::Maximize { -1.0 } else { 1.0 };
    let mut ended: Vec<(f64, f64, &Run)> = Vec::new();
    for run in &state.runs {
        for end in run.attempts.iter().filter_map(|a| a.ended.as_ref()) {
            ended.push((end.at, end.used.time.seconds(), run));
        }
    }
    ended.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.2.id.cmp(&b.2.id)));
    let (mut spent, mut results, mut wasted) = (0.0, Vec::new(), BTreeMap::new());
    for (at, seconds, run) in ended {
        spent += seconds;
        let last = run.attempts.last().and_then(|a| a.ended.as_ref()).is_some_and(|end| end.at == at);
        let look = matches!(run.purpose, Purpose::Candidate { .. });
        if let (true, true, Some(value)) = (last, look, state.value(run)) {
            results.push((spent, sign * value));
        }
        if matches!(run.result, Some(RunResult::Failed { .. })) {
            *wasted.entry(kind(run).to_string()).or_insert(0.0) += seconds;
        }
    }
    let decided = correction::compared(state).iter().filter(|c| c.verdict != Verdict::Undecided).count();
    Trace {
        arm: arm.to_string(),
        seed,
        budget: state.ledger.budget().seconds(),
        results,
        spent,
        runs: state.runs.iter().filter(|r| matches!(r.purpose, Purpose::Candidate { .. })).count(),
        wasted,
        decided: Some(decided),
        survivors: Some(correction::survivors(state).len()),
    }
}

/// What a run without a value died of, by its last attempt.
fn kind(run: &Run) -> &'static str {
    match run.attempts.last().and_then(|a| a.ended.as_ref()).map(|e| e.class) {
        Some(Class::OutOfMemory | Class::DeviceOutOfMemory) => "memory",
        Some(Class::Diverged) => "diverged",
        Some(Class::TimedOut) => "time",
        Some(_) => "other",
        None => "not started",
    }
}
