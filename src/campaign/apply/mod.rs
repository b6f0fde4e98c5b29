//! How events change the state: the one function that live operation and restart share.
//!
//! It refuses an event that cannot follow what came before (a damaged or foreign journal, or a mistake in `decide`); the
//! state may then hold half of it, so the driver goes back to the journal, in which such an event is never written.
//! Boundary: no decisions, no effects, no clock.

mod advice;
mod candidates;
mod runs;

use super::events::Event;
use super::facts::RunResult;
use super::ledger::Ledger;
use super::run::{Attempt, Reached, Run};
use super::state::{Baseline, Candidate, Decision, Halt, Known, Scope, Standing, State};
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
        Event::NodeQuarantined { node, why } => {
            if !state.quarantined.insert(node.clone()) {
                return Err(inconsistent(&format!("node {node} is quarantined twice")));
            }
            state.decided(None, None, format!("node {node} is left alone from now on: {why}"));
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
        Event::ProposalMade { .. }
        | Event::ProposalRejected { .. }
        | Event::RunReused { .. }
        | Event::FinalistChosen { .. }
        | Event::CandidateJudged { .. } => candidates::apply(state, event, time)?,
        Event::RunPlanned { .. }
        | Event::AttemptReserved { .. }
        | Event::AttemptLaunched { .. }
        | Event::AttemptPlaced { .. }
        | Event::AttemptEnded { .. }
        | Event::RecoveryDecided { .. }
        | Event::RungPassed { .. }
        | Event::RungJudged { .. }
        | Event::RungReached { .. }
        | Event::RunPromoted { .. }
        | Event::RunFinished { .. } => runs::apply(state, event, time)?,
        Event::Recalled { .. }
        | Event::Asked { .. }
        | Event::Unasked { .. }
        | Event::Answered { .. }
        | Event::WritingAsked { .. }
        | Event::WritingAnswered { .. }
        | Event::ApprovalAsked { .. }
        | Event::ApprovalGiven { .. }
        | Event::Noted { .. } => advice::apply(state, event, time)?,
    }
    Ok(())
}
