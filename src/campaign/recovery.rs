//! From an ended attempt to what follows: the failure rules' answer in terms of this run's limits.

use super::events::{Event, NextStep, RunResult};
use super::state::{Attempt, AttemptEnd, Limits, Run, State};
use crate::failure::{self, Change, Class, Policy, Recovery};
use crate::record::Blame;
use crate::units::Bytes;
use std::collections::BTreeMap;

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
    let again = |why: &str| Event::RecoveryDecided {
        id: attempt.id,
        next: attempt.limits.retry(true, false, None),
        why: why.to_string(),
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
    let execution = &state.campaign.execution;
    let policy = Policy { retries: execution.retries, elsewhere: execution.site.is_some() };
    let detail = &end.evidence.detail;
    let give_up = |why: &str| NextStep::GiveUp { reason: format!("{detail}; {why}") };
    let (next, why) = match failure::recover(end.class, &history, &policy) {
        Recovery::Done if end.class == Class::Paused => (NextStep::Pause, detail.clone()),
        Recovery::Done => (NextStep::Finish, detail.clone()),
        Recovery::Result => (NextStep::Accept { reason: detail.clone() }, detail.clone()),
        Recovery::GiveUp { reason } => (give_up(&reason), format!("{detail}; given up: {reason}")),
        Recovery::Retry { resume, change, charged } => match changed(state, run, attempt.limits, end, change) {
            Some((limits, words)) => {
                let from = if resume { "from its last checkpoint" } else { "from the start" };
                let not_before = match change {
                    Change::Wait { seconds } => Some(end.at + seconds),
                    _ => None,
                };
                (limits.retry(resume, charged, not_before), format!("{detail}; again, {from}{words}"))
            }
            None => {
                let reason = match end.class {
                    Class::DeviceOutOfMemory => "neither a smaller micro-batch nor a bigger GPU is possible",
                    _ => "neither a smaller micro-batch nor a higher memory limit is possible",
                };
                (give_up(reason), format!("{detail}; given up: {reason}"))
            }
        },
    };
    Event::RecoveryDecided { id: attempt.id, next, why }
}

/// The limits of the next attempt, and the change in words; none where the change is not possible.
fn changed(state: &State, run: &Run, limits: Limits, end: &AttemptEnd, change: Change) -> Option<(Limits, String)> {
    match change {
        Change::None => Some((limits, String::new())),
        Change::BiggerDevice => bigger_device(state, limits, end),
        // Which nodes are left out follows from the run's attempts when the next one is launched.
        Change::Elsewhere => {
            let node = end.evidence.node.as_ref();
            Some((limits, node.map_or_else(String::new, |node| format!(", on another node than {node}"))))
        }
        Change::Wait { seconds } => Some((limits, format!(", in {seconds:.0} s"))),
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
                None if end.class == Class::DeviceOutOfMemory => bigger_device(state, limits, end),
                None => more_memory(limits, 1.5),
            }
        }
    }
}

/// Asks for a GPU that holds what was wanted, where the cluster is known to have one, larger than the one that did not.
fn bigger_device(state: &State, limits: Limits, end: &AttemptEnd) -> Option<(Limits, String)> {
    let execution = &state.campaign.execution;
    let largest = Bytes(execution.device_memory_mib << 20);
    let (wanted, there) = end.evidence.shortage?;
    // A little more than was free there, so that one of the same kind does not do.
    let needed = wanted.max(Bytes(there.0.saturating_add(there.0 / 20)));
    let possible = execution.site.is_some() && needed.0 > 0 && needed <= largest && needed > limits.device_memory;
    possible.then(|| (Limits { device_memory: needed, ..limits }, format!(", on a GPU with {needed} of memory")))
}

/// How many failures of the hardware make a node one to leave alone.
const QUARANTINE_AFTER: usize = 2;

/// The next node to leave alone: its devices failed twice. A fault that may be the program's own counts for nothing here, and
/// neither does what a node merely lacks: that is likely to be so on all of them.
pub fn quarantine(state: &State) -> Option<Event> {
    let mut faults: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for attempt in state.runs.iter().flat_map(|run| &run.attempts) {
        let Some(AttemptEnd { class: Class::DeviceFailed { fault }, evidence, .. }) = &attempt.ended else { continue };
        if let Some(node) = evidence.node.as_deref().filter(|_| fault.blame() == Blame::Hardware) {
            faults.entry(node).or_default().push(format!("{fault} in attempt {}", attempt.id));
        }
    }
    let (node, seen) =
        faults.into_iter().find(|(node, f)| f.len() >= QUARANTINE_AFTER && !state.quarantined.contains(*node))?;
    Some(Event::NodeQuarantined { node: node.to_string(), why: format!("its devices failed: {}", seen.join(", ")) })
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
