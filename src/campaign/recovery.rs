//! From an ended attempt to what follows: the failure rules' answer in terms of this run's limits.

use super::events::{Event, NextStep, RunResult};
use super::run::{Attempt, AttemptEnd, Limits, Run};
use super::state::State;
use crate::failure::{self, Change, Class, Policy, Recovery};
use crate::record::Blame;
use crate::units::{Bytes, duration};
use std::collections::BTreeMap;
use std::path::Path;

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
    // Whoever was asked to leave at its rung waits there, however it left; where it has failed on the way, it does that again
    // from its last checkpoint if it is ever promoted.
    let resultless = !matches!(
        end.class,
        Class::Completed
            | Class::Paused
            | Class::Diverged
            | Class::Refused
            | Class::Missing
            | Class::Barred
            | Class::Cancelled
    );
    if attempt.stopping && resultless {
        let why = format!("{}; it was asked to leave at its rung", end.evidence.detail);
        return Event::RecoveryDecided { id: attempt.id, next: NextStep::Pause, why };
    }
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
        Recovery::Halt { reason } => {
            (NextStep::Halt { reason: detail.clone() }, format!("{detail}; the campaign waits: {reason}"))
        }
        Recovery::Retry { resume, change, charged } => match changed(state, run, attempt.limits, end, change) {
            Some((limits, words)) => {
                let from = match (resume, newest(run)) {
                    (false, _) => "from the start".to_string(),
                    (true, Some(step)) => format!("from its checkpoint at step {step}"),
                    (true, None) => "from the start, since it left no checkpoint".to_string(),
                };
                let not_before = match change {
                    Change::Wait { seconds } => Some(end.at + seconds),
                    _ => None,
                };
                (limits.retry(resume, charged, not_before), format!("{detail}; again, {from}{words}"))
            }
            None => {
                let reason = match end.class {
                    Class::DeviceOutOfMemory => "neither a smaller micro-batch nor a bigger GPU is possible",
                    Class::OutOfMemory if limits_unknown(attempt, end) => {
                        "nobody knows how much memory it had, and a smaller micro-batch is not possible"
                    }
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
            let (wall_seconds, why) = match called_for(run) {
                Some((seconds, rate)) => (seconds, format!(", which its {} a step call for", duration(rate))),
                None => (limits.wall_seconds * factor, ", since no rate was measured".to_string()),
            };
            Some((Limits { wall_seconds, ..limits }, format!(", with {} of wall time{why}", duration(wall_seconds))))
        }
        Change::MoreMemory { factor } => more_memory(limits, end, factor).or_else(|| smaller_micro_batch(run, limits)),
        Change::HalveMicroBatch => smaller_micro_batch(run, limits).or_else(|| match end.class {
            Class::DeviceOutOfMemory => bigger_device(state, limits, end),
            _ => more_memory(limits, end, 1.5),
        }),
    }
}

/// Half the samples at once: the largest divisor of the batch that is at most half of the present micro-batch.
fn smaller_micro_batch(run: &Run, limits: Limits) -> Option<(Limits, String)> {
    let batch = run.experiment.training.batch_size;
    let now = if limits.micro_batch == 0 { batch } else { limits.micro_batch };
    let micro_batch = (1..=now / 2).rev().find(|m| batch.is_multiple_of(*m))?;
    Some((Limits { micro_batch, ..limits }, format!(", {micro_batch} samples at once")))
}

/// The step of the newest checkpoint that any attempt of the run left.
fn newest(run: &Run) -> Option<u64> {
    let checkpoints = run.attempts.iter().filter_map(|a| a.ended.as_ref()?.checkpoint.as_ref());
    checkpoints.filter_map(|path| step_of(path)).max()
}

fn step_of(checkpoint: &Path) -> Option<u64> {
    checkpoint.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()
}

/// Factor on the time that the measured rate gives for what is left; once more for every time that it was not enough.
const WALL_MARGIN: f64 = 1.5;
/// Seconds for start, data and a slow disk.
const START_SECONDS: f64 = 10.0;

/// The wall time that a run's next attempt needs at the rate that its attempts showed, and that rate in seconds a step; none
/// where none was measured. What an attempt spent outside of steps (start, evaluations) is added as its worker counted it.
fn called_for(run: &Run) -> Option<(f64, f64)> {
    let (mut steps, mut seconds, mut outside) = (0u64, 0.0f64, 0.0f64);
    for attempt in &run.attempts {
        let Some(end) = &attempt.ended else { continue };
        let from = attempt.resume_from.as_deref().and_then(step_of).unwrap_or(0);
        let done = end.evidence.step.saturating_sub(from);
        if done == 0 || end.evidence.training_seconds <= 0.0 {
            continue;
        }
        steps += done;
        seconds += end.evidence.training_seconds;
        // Only a worker that gave its word was at work all the time; another may have been stuck.
        if end.evidence.end.is_some() {
            outside = outside.max(end.evidence.seconds - end.evidence.training_seconds);
        }
    }
    if steps == 0 {
        return None;
    }
    let rate = seconds / steps as f64;
    let until = run.stop_at.unwrap_or(run.price.steps);
    let left = until.saturating_sub(newest(run).unwrap_or(0)).max(1) as f64;
    let timeouts = run.attempts.iter().filter(|a| a.ended.as_ref().is_some_and(|e| e.class == Class::TimedOut)).count();
    Some((WALL_MARGIN.powi(timeouts.max(1) as i32) * left * rate + outside.max(0.0) + START_SECONDS, rate))
}

fn limits_unknown(attempt: &Attempt, end: &AttemptEnd) -> bool {
    memory_there(attempt.limits, end).is_none()
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

/// How many failures make a node one to leave alone.
const QUARANTINE_AFTER: usize = 2;

/// The next node to leave alone: it, its devices or the launch of jobs there failed twice. A fault that may be the program's
/// own counts for nothing here, and neither does what a node merely lacks: that is likely to be so on all of them. A node
/// that goes down takes all its jobs with it, which is one failure: one counts beside an earlier one if its attempt was
/// reserved after that one was seen. Device faults count each.
pub fn quarantine(state: &State) -> Option<Event> {
    let mut faults: BTreeMap<&str, Vec<(f64, String)>> = BTreeMap::new();
    let mut ended: Vec<(&Attempt, &AttemptEnd)> =
        state.runs.iter().flat_map(|r| &r.attempts).filter_map(|a| Some((a, a.ended.as_ref()?))).collect();
    ended.sort_by(|a, b| a.1.at.total_cmp(&b.1.at));
    for (attempt, end) in ended {
        let Some(node) = end.evidence.node.as_deref() else { continue };
        let (what, separate) = match end.class {
            Class::DeviceFailed { fault } if fault.blame() == Blame::Hardware => (fault.to_string(), true),
            Class::NodeFailed => ("it failed".to_string(), false),
            Class::LaunchFailed => ("it could not begin a job".to_string(), false),
            _ => continue,
        };
        let seen = faults.entry(node).or_default();
        if separate || seen.last().is_none_or(|(at, _)| attempt.reserved_at > *at) {
            seen.push((end.at, format!("{what} in attempt {}", attempt.id)));
        }
    }
    let (node, seen) =
        faults.into_iter().find(|(node, f)| f.len() >= QUARANTINE_AFTER && !state.quarantined.contains(*node))?;
    let seen: Vec<String> = seen.into_iter().map(|(_, what)| what).collect();
    Some(Event::NodeQuarantined { node: node.to_string(), why: format!("it failed repeatedly: {}", seen.join(", ")) })
}

/// Memory that an attempt which ran out of it had: its limit, what its job was given, or what was told to be there.
fn memory_there(limits: Limits, end: &AttemptEnd) -> Option<Bytes> {
    let given = end.evidence.job.as_ref().map_or(Bytes(0), |job| job.memory);
    let told = end.evidence.shortage.map_or(Bytes(0), |(_, there)| there);
    [limits.memory, given, told].into_iter().max().filter(|most| most.0 > 0)
}

fn more_memory(limits: Limits, end: &AttemptEnd, factor: f64) -> Option<(Limits, String)> {
    let there = memory_there(limits, end)?;
    // What was wanted when it ended, where that is known, was not the most that it would have wanted.
    let wanted = end.evidence.shortage.map_or(Bytes(0), |(wanted, _)| wanted).max(end.evidence.peak_memory);
    let memory = Bytes((there.max(wanted).0 as f64 * factor) as u64);
    Some((Limits { memory, ..limits }, format!(", with {memory} of memory where it had {there}")))
}

/// The result of a run after which no attempt follows; none where one does.
pub fn result(state: &State, run: &Run) -> Option<RunResult> {
    let end = run.attempts.last()?.ended.as_ref()?;
    match run.next.as_ref()? {
        NextStep::Retry { .. } | NextStep::Halt { .. } => None,
        NextStep::Pause if end.evidence.metrics.contains_key(state.metric()) || stopped(run) => None,
        NextStep::Finish if end.evidence.metrics.contains_key(state.metric()) => {
            Some(RunResult::Finished { metrics: end.evidence.metrics.clone() })
        }
        NextStep::Finish | NextStep::Pause => {
            Some(RunResult::Failed { reason: format!("its last evaluation has no finite {}", state.metric()) })
        }
        NextStep::Accept { reason } | NextStep::GiveUp { reason } => Some(RunResult::Failed { reason: reason.clone() }),
    }
}

/// Whether its last attempt was asked to leave at a rung that it had passed.
fn stopped(run: &Run) -> bool {
    run.attempts.last().is_some_and(|attempt| attempt.stopping)
}

/// The rung at which a run waits since its last attempt ended, where that is not noted yet.
pub fn rung(state: &State, run: &Run) -> Option<Event> {
    let end = run.attempts.last()?.ended.as_ref()?;
    if run.next != Some(NextStep::Pause) || run.paused {
        return None;
    }
    if stopped(run) {
        let last = run.reached.last()?;
        return Some(Event::RungReached {
            id: run.id,
            rung: run.reached.len() - 1,
            step: last.step,
            value: last.value,
        });
    }
    let value = *end.evidence.metrics.get(state.metric())?;
    Some(Event::RungReached { id: run.id, rung: run.reached.len(), step: end.evidence.step, value })
}
