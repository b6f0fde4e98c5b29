//! How runs, their attempts and their rungs change the state.

use super::{Event, State, inconsistent};
use crate::campaign::facts::{NextStep, RunResult};
use crate::campaign::ledger::Amount;
use crate::campaign::run::{Attempt, AttemptEnd, Limits, Reached, Run};
use crate::campaign::state::Standing;
use crate::problem::Result;

/// Applies one of them, read at `time` (seconds since the Unix epoch).
pub(super) fn apply(state: &mut State, event: &Event, time: f64) -> Result<()> {
    match event {
        Event::RunPlanned { .. } => plan(state, event, time)?,
        Event::AttemptReserved {
            id,
            time: device_time,
            dollars,
            wall_seconds,
            memory,
            micro_batch,
            device_memory,
            resume_from,
            stop_at,
        } => {
            let run = state.run_mut(id.run)?;
            if run.live().is_some() || run.result.is_some() || id.number as usize != run.attempts.len() + 1 {
                return Err(inconsistent(&format!("attempt {id} does not follow from its run's attempts")));
            }
            let (memory, micro_batch, device_memory) = (*memory, *micro_batch, *device_memory);
            let limits = Limits { wall_seconds: *wall_seconds, memory, micro_batch, device_memory };
            let reserved = Amount { time: *device_time, dollars: *dollars };
            run.next = None;
            run.attempts.push(Attempt {
                id: *id,
                reserved,
                limits,
                resume_from: resume_from.clone(),
                stop_at: *stop_at,
                reserved_at: time,
                launched_at: None,
                adopted: false,
                stopping: false,
                placed: None,
                ended: None,
            });
            state.ledger.reserve(*id, reserved)?;
            let from = resume_from.as_ref().map(|p| format!(", resuming {}", p.display())).unwrap_or_default();
            let until = stop_at.map(|step| format!(", up to step {step}")).unwrap_or_default();
            let text = format!("attempt {id}: {device_time} reserved, wall limit {wall_seconds:.0} s{from}{until}");
            state.decided(Some(id.run), None, text);
        }
        Event::AttemptLaunched { id } => state.live_mut(*id)?.launched_at = Some(time),
        Event::AttemptPlaced { id, place } => {
            state.live_mut(*id)?.placed = Some(place.clone());
            state.decided(Some(id.run), None, format!("attempt {id} goes to {}", place.words()));
        }
        Event::AttemptEnded { id, class, evidence, time: device_time, dollars, overrun, checkpoint, cancelled } => {
            let used = Amount { time: *device_time, dollars: *dollars };
            state.live_mut(*id)?.ended = Some(AttemptEnd {
                at: time,
                class: *class,
                evidence: evidence.clone(),
                used,
                overrun: *overrun,
                checkpoint: checkpoint.clone(),
                cancelled: *cancelled,
            });
            // The overrun travels separately, so that the account shows it and nobody pays it.
            let seen = Amount { time: *device_time + *overrun, dollars: *dollars };
            state.ledger.settle(*id, seen)?;
        }
        Event::RecoveryDecided { id, next, why } => {
            let run = state.run_mut(id.run)?;
            if run.attempts.last().is_none_or(|a| a.id != *id || a.ended.is_none()) {
                return Err(inconsistent(&format!(
                    "a recovery from attempt {id}, which is not the last to have ended"
                )));
            }
            if let NextStep::Retry { wall_seconds, memory, micro_batch, device_memory, .. } = *next {
                run.limits = Limits { wall_seconds, memory, micro_batch, device_memory };
            }
            run.next = Some(next.clone());
            if let NextStep::Halt { reason } = next {
                state.missing = Some(reason.clone());
            }
            state.decided(Some(id.run), None, format!("attempt {id}: {why}"));
        }
        Event::RungPassed { id, rung, step, value } => {
            let run = state.run_mut(*id)?;
            if run.live().is_none() || run.reached.len() != *rung {
                return Err(inconsistent(&format!("run {id} passes rung {rung} out of order")));
            }
            state.reaches(*id, Reached { step: *step, value: *value })?;
            let text = format!("run {id} passes rung {rung}, step {step}, with {} {value:.5}", state.metric());
            state.decided(Some(*id), None, text);
        }
        Event::RungJudged { id, rung, stop, why } => {
            let run = state.run_mut(*id)?;
            let attempt = run.attempts.last_mut().filter(|a| a.ended.is_none());
            match attempt {
                Some(attempt) if *rung == run.judged && *rung < run.reached.len() => attempt.stopping |= stop,
                _ => return Err(inconsistent(&format!("run {id} is judged at rung {rung} out of order"))),
            }
            run.judged += 1;
            let verdict = if *stop { "is stopped" } else { "trains on" };
            state.decided(Some(*id), None, format!("run {id} {verdict}: {why}"));
        }
        Event::RungReached { id, rung, step, value } => {
            let run = state.run_mut(*id)?;
            // One that was stopped while it trained on was seen to pass the rung at which it waits.
            let passed = usize::from(run.attempts.last().is_some_and(|a| a.stopping));
            let out_of_order = run.reached.len() != *rung + passed;
            if run.next != Some(NextStep::Pause) || run.paused || run.result.is_some() || out_of_order {
                return Err(inconsistent(&format!("run {id} comes to rung {rung} out of order")));
            }
            run.paused = true;
            if passed == 0 {
                state.reaches(*id, Reached { step: *step, value: *value })?;
            }
            let text = format!("run {id} waits at rung {rung}, step {step}, with {} {value:.5}", state.metric());
            state.decided(Some(*id), None, text);
        }
        Event::RunPromoted { id, rung, stop_at, wall_seconds, why } => {
            let run = state.run_mut(*id)?;
            if !run.paused || *rung < run.reached.len() {
                return Err(inconsistent(&format!(
                    "run {id} is promoted to rung {rung}, where it does not wait before"
                )));
            }
            run.paused = false;
            run.stop_at = *stop_at;
            run.limits.wall_seconds = *wall_seconds;
            run.next = Some(run.limits.retry(true, false, None));
            let to = stop_at.map_or_else(|| "its end".to_string(), |step| format!("step {step}"));
            state.decided(Some(*id), None, format!("run {id} goes on to {to}: {why}"));
        }
        Event::RunFinished { id, result } => {
            let run = state.run_mut(*id)?;
            if run.result.is_some() || run.live().is_some() {
                return Err(inconsistent(&format!("run {id} ends twice or while an attempt lives")));
            }
            run.result = Some(result.clone());
            run.finished = Some(time);
            let text = match result {
                RunResult::Finished { metrics } => {
                    let list: Vec<String> = metrics.iter().map(|(k, v)| format!("{k} {v:.5}")).collect();
                    format!("run {id} finished: {}", list.join(", "))
                }
                RunResult::Failed { reason } => format!("run {id} failed: {reason}"),
            };
            state.decided(Some(*id), None, text);
            let waiting: Vec<u64> = state
                .candidates
                .iter()
                .filter(|c| c.standing == Standing::Screening && c.screening == Some(*id))
                .map(|c| c.index)
                .collect();
            for index in waiting {
                state.screened(index, *id)?;
            }
        }
        _ => return Err(inconsistent("an event of no run was taken for one")),
    }
    Ok(())
}

fn plan(state: &mut State, event: &Event, time: f64) -> Result<()> {
    let Event::RunPlanned { id, key, experiment, seed, purpose, price, rungs, confirm, downscaled, why } = event else {
        return Err(inconsistent("a run is planned by another event"));
    };
    if id.0 as usize != state.runs.len() + 1 || state.run_with(key).is_some() {
        return Err(inconsistent(&format!("run {id} is out of order, or the same experiment was planned before")));
    }
    if let Some(scope) = &mut state.scope {
        scope.confirm = *confirm;
    }
    let stop_at = state.campaign.planner.halving.and_then(|halving| halving.first_stop(rungs));
    state.runs.push(Run {
        id: *id,
        key: key.clone(),
        experiment: (**experiment).clone(),
        seed: *seed,
        purpose: *purpose,
        price: price.clone(),
        downscaled: downscaled.clone(),
        planned: time,
        limits: Limits::part(experiment, price, 0, stop_at),
        attempts: Vec::new(),
        next: None,
        rungs: rungs.clone(),
        reached: Vec::new(),
        judged: 0,
        stop_at,
        paused: false,
        result: None,
        finished: None,
    });
    if let Some(index) = purpose.candidate() {
        let candidate = state.candidate_mut(index)?;
        candidate.takes(*seed, *id);
    }
    let given_up: Vec<String> = downscaled.iter().map(|d| format!("; {} instead of {}", d.to, d.from)).collect();
    state.decided(Some(*id), purpose.candidate(), format!("run {id} (seed {seed}): {why}{}", given_up.concat()));
    Ok(())
}
