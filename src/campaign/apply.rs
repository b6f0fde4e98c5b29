//! How events change the state: the one function that live operation and restart share.
//!
//! It refuses an event that cannot follow what came before (a damaged or foreign journal, or a mistake in `decide`); the
//! state may then hold half of it, so the driver goes back to the journal, in which such an event is never written. Boundary: no decisions, no effects, no clock.

use super::consult;
use super::counsel::{Analysed, Answered, Course, Designed, Note, Posed, Question, Reply};
use super::events::Event;
use super::facts::{NextStep, RunResult};
use super::ledger::{Amount, Ledger};
use super::state::{
    Attempt, AttemptEnd, Baseline, Candidate, Decision, Halt, Known, Limits, Reached, Run, Scope, Standing, State,
};
use crate::config::Campaign;
use crate::ids::{AttemptId, RunId};
use crate::problem::{Problem, Result};
use crate::units::{DeviceTime, Dollars};

/// The budget's two columns.
fn budget(campaign: &Campaign) -> (DeviceTime, Option<Dollars>) {
    let limit = campaign.budget.dollars;
    // Rounded down, as the time is: a budget must never be exceeded.
    let dollars = (limit > 0.0).then_some(Dollars { micro: (limit * 1e6) as u64 });
    (DeviceTime::from_hours(campaign.budget.device_hours), dollars)
}

impl State {
    /// The state after the events, the first of which must have created the campaign.
    pub fn replay<'a>(events: impl IntoIterator<Item = (f64, &'a Event)>) -> Result<Self> {
        let mut state: Option<State> = None;
        for (time, event) in events {
            match (&mut state, event) {
                (None, Event::Created { campaign, base, .. }) => {
                    let (time_budget, dollars) = budget(campaign);
                    state = Some(State {
                        campaign: (**campaign).clone(),
                        base: base.clone(),
                        created: time,
                        updated: time,
                        events: 1,
                        ledger: Ledger::new(time_budget, dollars),
                        scope: None,
                        runs: Vec::new(),
                        candidates: Vec::new(),
                        known: Vec::new(),
                        baseline: None,
                        search_ended: None,
                        quarantined: Default::default(),
                        missing: None,
                        halt: None,
                        paused: false,
                        approvals: Default::default(),
                        slots: 0,
                        counsel: Default::default(),
                        writing: Default::default(),
                        conclusion: None,
                        decisions: Vec::new(),
                    });
                }
                (None, _) => return Err(inconsistent("the first event did not create a campaign")),
                (Some(state), event) => apply(state, event, time)?,
            }
        }
        state.ok_or_else(|| inconsistent("the journal has no events"))
    }

    fn run_mut(&mut self, id: RunId) -> Result<&mut Run> {
        let index = (id.0 as usize).wrapping_sub(1);
        self.runs.get_mut(index).ok_or_else(|| inconsistent(&format!("there is no run {id}")))
    }

    fn live_mut(&mut self, id: AttemptId) -> Result<&mut Attempt> {
        let attempt = self.run_mut(id.run)?.attempts.last_mut().filter(|a| a.id == id && a.ended.is_none());
        attempt.ok_or_else(|| inconsistent(&format!("attempt {id} is not under way")))
    }

    fn candidate_mut(&mut self, index: u64) -> Result<&mut Candidate> {
        let candidate = self.candidates.get_mut(index as usize);
        candidate.ok_or_else(|| inconsistent(&format!("there is no proposal {index}")))
    }

    fn decided(&mut self, run: Option<RunId>, candidate: Option<u64>, text: String) {
        self.decisions.push(Decision { at: self.updated, run, candidate, text });
    }

    /// Notes what a run has come to at a rung, for its candidate too.
    fn reaches(&mut self, id: RunId, reached: Reached) -> Result<()> {
        let run = self.run_mut(id)?;
        run.reached.push(reached);
        // In hundredths: runs of different lengths meet at the same rung although their steps are rounded.
        let trained = (100.0 * reached.step as f64 / run.price.steps.max(1) as f64).round() / 100.0;
        let waiting = |c: &&Candidate| c.standing == Standing::Screening && c.screening == Some(id);
        let waiting: Vec<u64> = self.candidates.iter().filter(waiting).map(|c| c.index).collect();
        let value = Some(reached.value);
        self.known.extend(waiting.into_iter().map(|index| Known { index, value, trained }));
        Ok(())
    }

    /// Notes what the screening run of a candidate gave, once.
    fn screened(&mut self, index: u64, run: RunId) -> Result<()> {
        let run = self.run(run).ok_or_else(|| inconsistent(&format!("there is no run {run}")))?;
        let (value, failure) = match &run.result {
            None => return Ok(()),
            Some(RunResult::Finished { .. }) => (self.value(run), "the run has no value of the objective".to_string()),
            Some(RunResult::Failed { reason }) => (None, reason.clone()),
        };
        let candidate = self.candidate_mut(index)?;
        if candidate.standing != Standing::Screening {
            return Ok(());
        }
        candidate.value = value;
        candidate.standing = if value.is_some() { Standing::Screened } else { Standing::Failed { reason: failure } };
        self.known.push(Known { index, value, trained: 1.0 });
        Ok(())
    }
}

impl Candidate {
    /// Has this run; its first one is the screening.
    fn takes(&mut self, seed: u64, run: RunId) {
        self.runs.insert(seed, run);
        if self.standing == Standing::Proposed {
            self.screening = Some(run);
            self.standing = Standing::Screening;
        }
    }
}

fn inconsistent(what: &str) -> Problem {
    Problem::failed(format!("the journal contradicts itself: {what}"))
        .at("events.jsonl")
        .remedy("restore the file from a copy, or start a new campaign in another folder")
}

/// Applies one event, read at `time` (seconds since the Unix epoch).
pub fn apply(state: &mut State, event: &Event, time: f64) -> Result<()> {
    state.updated = time;
    state.events += 1;
    match event {
        Event::Created { .. } => return Err(inconsistent("it creates the campaign twice")),
        Event::ControllerStarted { version, slots, model } => {
            state.slots = *slots;
            state.counsel.model = model.clone();
            state.counsel.failures = 0;
            let attempts = state.runs.iter_mut().filter_map(|run| run.attempts.last_mut());
            attempts.filter(|a| a.ended.is_none()).for_each(|a| a.adopted = true);
            state.decided(None, None, format!("a controller ({version}) took over"))
        }
        Event::Recalled { findings } => {
            state.counsel.recalled = Some(findings.clone());
            if !findings.is_empty() {
                let from: std::collections::BTreeSet<&str> = findings.iter().map(|f| f.campaign.as_str()).collect();
                let from: Vec<&str> = from.into_iter().collect();
                let text =
                    format!("{} findings of earlier campaigns matter here ({})", findings.len(), from.join(", "));
                state.decided(None, None, text);
            }
        }
        Event::Asked { number, inquiry, allowance, why } => {
            if state.counsel.asking.is_some() || *number != state.counsel.answered.len() + 1 {
                return Err(inconsistent(&format!("question {number} is out of order")));
            }
            state.ledger.ask(allowance.unwrap_or_default())?;
            state.counsel.priced_out = false;
            state.counsel.asking =
                Some(Question { number: *number, inquiry: *inquiry, allowance: *allowance, at: time });
            let most = allowance.map_or_else(String::new, |d| format!(", for {d} at most"));
            let text =
                format!("question {number}: the {} is asked {}{most}: {why}", inquiry.role().name(), inquiry.words());
            state.decided(None, None, text);
        }
        Event::Unasked { inquiry, why } => {
            state.counsel.priced_out = true;
            let text = format!("the {} is not asked {}: {why}", inquiry.role().name(), inquiry.words());
            state.decided(None, None, text);
        }
        Event::Answered { number, reply, paid } => answered(state, *number, reply, paid, time)?,
        Event::WritingAsked { question } => {
            let text = state.writing_asked(question)?;
            state.decided(None, None, text);
        }
        Event::WritingAnswered { number, paid, failure } => {
            let text = state.writing_answered(*number, paid, failure.as_deref())?;
            state.decided(None, None, text);
        }
        Event::ApprovalAsked { subject, words } => {
            state.approvals.asked = Some((subject.clone(), words.clone()));
            state.decided(None, subject.candidate(), format!("a person is asked: {words}"));
        }
        Event::ApprovalGiven { subject, granted } => {
            if state.approvals.asked.as_ref().is_none_or(|(asked, _)| asked != subject) {
                return Err(inconsistent("a person answered what was not asked"));
            }
            state.approvals.asked = None;
            let list = if *granted { &mut state.approvals.granted } else { &mut state.approvals.refused };
            list.push(subject.clone());
            let word = if *granted { "agreed" } else { "refused" };
            state.decided(None, subject.candidate(), format!("a person {word}"));
        }
        Event::Noted { text } => {
            state.counsel.notes.push(Note { at: time, text: text.clone() });
            state.decided(None, None, format!("a person remarked: {text}"));
        }
        Event::PauseSet { on } => {
            state.paused = *on;
            let text = if *on { "a person paused it: nothing new starts" } else { "a person let it go on" };
            state.decided(None, None, text.to_string());
        }
        Event::ControllerStopped { why } => state.decided(None, None, format!("the controller left: {why}")),
        Event::Edited { campaign, changes } => {
            let (time_budget, dollars) = budget(campaign);
            state.ledger.set_budget(time_budget, dollars)?;
            state.counsel.priced_out = false;
            state.campaign = (**campaign).clone();
            state.decided(None, None, format!("campaign.toml was edited: {}", changes.join("; ")));
        }
        Event::Scoped { baseline, price, seeds, confirm, downscaled } => {
            state.scope = Some(Scope {
                baseline: (**baseline).clone(),
                price: price.clone(),
                seeds: seeds.clone(),
                confirm: *confirm,
                downscaled: downscaled.clone(),
            });
            let given_up: Vec<String> =
                downscaled.iter().map(|d| format!(", {} instead of {}", d.to, d.from)).collect();
            let text = format!(
                "the budget holds {} baseline seeds and confirmations over {confirm}{}",
                seeds.len(),
                given_up.concat()
            );
            state.decided(None, None, text);
        }
        Event::ProposalMade { index, planner, assignment, observed, seen, why, price, gain, weighed, design } => {
            if *index != state.candidates.len() as u64 {
                return Err(inconsistent(&format!("proposal {index} follows {} others", state.candidates.len())));
            }
            state.candidates.push(Candidate {
                index: *index,
                planner: planner.clone(),
                assignment: assignment.clone(),
                observed: *observed,
                seen: *seen,
                why: why.clone(),
                price: price.clone(),
                gain: *gain,
                weighed: weighed.as_deref().cloned(),
                proposed: time,
                runs: Default::default(),
                screening: None,
                value: None,
                standing: Standing::Proposed,
            });
            if let Some(design) = design {
                let designed = state.counsel.designs.get_mut(*design).filter(|d| d.proposal.is_none());
                let designed =
                    designed.ok_or_else(|| inconsistent(&format!("there is no design {design} to propose")))?;
                designed.proposal = Some(*index);
            }
            state.decided(None, Some(*index), format!("candidate {index} proposed: {why}"));
            if let Some(weighed) = weighed {
                state.decided(None, Some(*index), format!("candidate {index} chosen by {}", weighed.words()));
            }
        }
        Event::ProposalRejected { index, reason } => {
            let candidate = state.candidate_mut(*index)?;
            if candidate.standing != Standing::Proposed {
                return Err(inconsistent(&format!("proposal {index} was taken up before it was rejected")));
            }
            candidate.standing = Standing::Rejected { reason: reason.clone() };
            state.known.push(Known { index: *index, value: None, trained: 1.0 });
            state.decided(None, Some(*index), format!("candidate {index} rejected: {reason}"));
        }
        Event::RunPlanned { .. } => plan(state, event, time)?,
        Event::RunReused { index, run, seed } => {
            if state.run(*run).is_none() {
                return Err(inconsistent(&format!("proposal {index} uses run {run}, which does not exist")));
            }
            let candidate = state.candidate_mut(*index)?;
            candidate.takes(*seed, *run);
            state.screened(*index, *run)?;
            let text = format!("candidate {index} uses run {run} (seed {seed}): it is the same experiment");
            state.decided(None, Some(*index), text);
        }
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
        Event::NodeQuarantined { node, why } => {
            if !state.quarantined.insert(node.clone()) {
                return Err(inconsistent(&format!("node {node} is quarantined twice")));
            }
            state.decided(None, None, format!("node {node} is left alone from now on: {why}"));
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
        Event::BaselineEstablished { values, interval, floor } => {
            state.baseline = Some(Baseline { values: values.clone(), interval: *interval, floor: *floor });
            let text = format!(
                "baseline {} {interval:.4} over {} seeds; noise floor {floor:.4}",
                state.metric(),
                values.len()
            );
            state.decided(None, None, text);
        }
        Event::SearchEnded { reason, why } => {
            state.search_ended = Some((*reason, why.clone()));
            state.decided(None, None, format!("the search ended: {why}"));
        }
        Event::FinalistChosen { index, why } => {
            let candidate = state.candidate_mut(*index)?;
            if candidate.standing != Standing::Screened {
                return Err(inconsistent(&format!("finalist {index} was never screened")));
            }
            candidate.standing = Standing::Confirming;
            state.decided(None, Some(*index), format!("candidate {index} is a finalist: {why}"));
        }
        Event::CandidateJudged { index, verdict, difference, own, why } => {
            state.candidate_mut(*index)?.standing =
                Standing::Judged { verdict: *verdict, difference: *difference, own: *own, why: why.clone() };
            state.decided(None, Some(*index), format!("candidate {index}: {why}"));
        }
        Event::StopRequested => {
            state.halt = Some(Halt::Stop);
            state.decided(None, None, "a person asked to stop: running attempts may end, nothing new starts".into());
        }
        Event::CancelRequested => {
            state.halt = Some(Halt::Cancel);
            state.decided(None, None, "a person cancelled: running attempts are killed".into());
        }
        Event::Reopened { why } => {
            state.conclusion = None;
            state.missing = None;
            state.halt = None;
            state.search_ended = None;
            state.decided(None, None, format!("the campaign goes on: {why}"));
        }
        Event::Concluded(conclusion) => {
            state.conclusion = Some(conclusion.clone());
            state.decided(None, None, format!("concluded: {}", conclusion.sentence));
        }
    }
    Ok(())
}

/// Takes in what came back to a question.
fn answered(state: &mut State, number: usize, reply: &Reply, paid: &super::counsel::Paid, time: f64) -> Result<()> {
    let question = state.counsel.asking.take().filter(|q| q.number == number);
    let question = question.ok_or_else(|| inconsistent(&format!("question {number} was not asked")))?;
    state.ledger.answer(paid.dollars);
    let counsel = &mut state.counsel;
    let known = state.known.len();
    counsel.failures = if matches!(reply, Reply::Nothing { unheard: false, .. }) { counsel.failures + 1 } else { 0 };
    match reply {
        Reply::Ideas { hypotheses } => {
            let posed = hypotheses.iter().map(|h| Posed { hypothesis: h.clone(), question: number, dropped: false });
            counsel.hypotheses.extend(posed);
        }
        Reply::Designs { designs } => counsel.designs.extend(designs.iter().map(|d| Designed {
            design: d.clone(),
            question: number,
            proposal: None,
            dropped: false,
        })),
        Reply::Analysis(analysis) => {
            if analysis.course == Course::Pivot {
                counsel.hypotheses.iter_mut().for_each(|h| h.dropped = true);
                counsel.designs.iter_mut().filter(|d| d.proposal.is_none()).for_each(|d| d.dropped = true);
            }
            counsel.analyses.push(Analysed { analysis: analysis.clone(), question: number, known });
        }
        Reply::Nothing { .. } => {}
    }
    let failure = match reply {
        Reply::Nothing { why, .. } => Some(why.clone()),
        _ => None,
    };
    let seconds = time - question.at;
    let inquiry = question.inquiry;
    let role = inquiry.role().name();
    let unheard = matches!(reply, Reply::Nothing { unheard: true, .. });
    counsel.answered.push(Answered { question, paid: paid.clone(), failure, unheard, seconds });
    let gave_up = counsel.failures == consult::FAILURES;
    let (input, output) = (paid.usage.input_tokens, paid.usage.output_tokens);
    let mut text = format!(
        "{}: the {role} said {} ({input} tokens sent, {output} answered, {:.4} dollars)",
        consult::words(state, number),
        consult::said(inquiry, reply),
        paid.dollars.value()
    );
    if gave_up {
        text += &format!("; {} questions in a row brought nothing: this controller asks no more", consult::FAILURES);
    }
    state.decided(None, None, text);
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
