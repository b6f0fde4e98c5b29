//! From an ended attempt to what follows: the failure rules' answer in terms of this run's limits.

use super::events::{Event, NextStep, RunResult};
use super::state::{Attempt, AttemptEnd, Limits, Run, State};
use crate::failure::{self, Change, Class, Policy, Recovery};
use crate::units::Bytes;

/// Whether the attempt says nothing about the run: it was killed for a person, or a controller died before its worker
/// could claim it, and the next one gave it up. Both are bounded by how often people and controllers do that, and cost
/// the run no retry. (A launch that failed is tried and charged: it has the same class, but its own controller saw it.)
fn excused(attempt: &Attempt, end: &AttemptEnd) -> bool {
    let never_tried = end.class == Class::NeverStarted && (attempt.launched_at.is_none() || attempt.adopted);
    let unfinished = !matches!(end.class, Class::Completed | Class::Paused | Class::Diverged);
    never_tried || (end.cancelled && unfinished)
}

/// Decides what follows the run's last attempt, which has ended.
pub fn decide(state: &State, run: &Run, attempt: &Attempt, end: &AttemptEnd) -> Event {
    let again = |why: &str| {
        let Limits { wall_seconds, memory, micro_batch } = attempt.limits;
        let next = NextStep::Retry { resume: true, charged: false, wall_seconds, memory, micro_batch };
        Event::RecoveryDecided { id: attempt.id, next, why: why.to_string() }
    };
    if excused(attempt, end) {
        return again(match end.cancelled {
            true => "killed on request; it goes on if the campaign does",
            false => "its controller died before the worker started; once more",
        });
    }
    let history: Vec<Class> = run
        .attempts
        .iter()
        .take(run.attempts.len() - 1)
        .filter_map(|a| a.ended.as_ref().filter(|e| !excused(a, e)).map(|e| e.class))
        .collect();
    let policy = Policy { retries: state.campaign.execution.retries };
    let detail = &end.evidence.detail;
    let give_up = |why: &str| NextStep::GiveUp { reason: format!("{detail}; {why}") };
    let (next, why) = match failure::recover(end.class, &history, &policy) {
        Recovery::Done if end.class == Class::Paused => (NextStep::Pause, detail.clone()),
        Recovery::Done => (NextStep::Finish, detail.clone()),
        Recovery::Result => (NextStep::Accept { reason: detail.clone() }, detail.clone()),
        Recovery::GiveUp { reason } => (give_up(&reason), format!("{detail}; given up: {reason}")),
        Recovery::Retry { resume, change, charged } => match changed(run, attempt.limits, change) {
            Some((limits, words)) => {
                let Limits { wall_seconds, memory, micro_batch } = limits;
                let from = if resume { "from its last checkpoint" } else { "from the start" };
                let next = NextStep::Retry { resume, charged, wall_seconds, memory, micro_batch };
                (next, format!("{detail}; again, {from}{words}"))
            }
            None => {
                let reason = "neither a smaller micro-batch nor a higher memory limit is possible";
                (give_up(reason), format!("{detail}; given up: {reason}"))
            }
        },
    };
    Event::RecoveryDecided { id: attempt.id, next, why }
}

/// The limits of the next attempt, and the change in words; none where the change is not possible.
fn changed(run: &Run, limits: Limits, change: Change) -> Option<(Limits, String)> {
    match change {
        Change::None => Some((limits, String::new())),
        Change::MoreWall { factor } => {
            let wall_seconds = limits.wall_seconds * factor;
            Some((Limits { wall_seconds, ..limits }, format!(", with {wall_seconds:.0} s of wall time")))
        }
        Change::MoreMemory { factor } => more_memory(limits, factor),
        Change::HalveMicroBatch => {
            let batch = run.experiment.training.batch_size;
            let now = if limits.micro_batch == 0 { batch } else { limits.micro_batch };
            // The largest divisor of the batch that is at most half of the present micro-batch.
            match (1..=now / 2).rev().find(|m| batch.is_multiple_of(*m)) {
                Some(micro_batch) => {
                    Some((Limits { micro_batch, ..limits }, format!(", {micro_batch} samples at once")))
                }
                None => more_memory(limits, 1.5),
            }
        }
    }
}

fn more_memory(limits: Limits, factor: f64) -> Option<(Limits, String)> {
    if limits.memory.0 == 0 {
        return None;
    }
    let memory = Bytes((limits.memory.0 as f64 * factor) as u64);
    Some((Limits { memory, ..limits }, format!(", with {memory} of memory")))
}

/// The result of a run after which no attempt follows; none where one does.
pub fn result(state: &State, run: &Run) -> Option<RunResult> {
    let end = run.attempts.last()?.ended.as_ref()?;
    match run.next.as_ref()? {
        NextStep::Retry { .. } => None,
        NextStep::Pause if end.evidence.metrics.contains_key(state.metric()) => None,
        NextStep::Finish if end.evidence.metrics.contains_key(state.metric()) => {
            Some(RunResult::Finished { metrics: end.evidence.metrics.clone() })
        }
        NextStep::Finish | NextStep::Pause => {
            Some(RunResult::Failed { reason: format!("its last evaluation has no finite {}", state.metric()) })
        }
        NextStep::Accept { reason } | NextStep::GiveUp { reason } => Some(RunResult::Failed { reason: reason.clone() }),
    }
}

/// The rung at which a run waits since its last attempt ended, where that is not noted yet.
pub fn rung(state: &State, run: &Run) -> Option<Event> {
    let end = run.attempts.last()?.ended.as_ref()?;
    if run.next != Some(NextStep::Pause) || run.paused {
        return None;
    }
    let value = *end.evidence.metrics.get(state.metric())?;
    Some(Event::RungReached { id: run.id, rung: run.reached.len(), step: end.evidence.step, value })
}
