//! What follows from what is known: the one place where a campaign makes up its mind.
//!
//! [`decide`] returns the next decisions as events, or nothing when it is time to wait; the driver writes them down,
//! applies them and asks again. It is a pure function of the state and of an adviser's deterministic answers, so a
//! controller killed between two decisions decides the same again. The order of the questions is the policy:
//!
//! 1. what follows from attempts that ended, and which runs have their result;
//! 2. a person's stop or cancel, or something missing where attempts run: nothing new starts;
//! 3. what the budget allows at all: the baseline's seeds and one confirmed candidate, downscaled where needed;
//! 4. attempts that are owed: retries, and runs planned before a crash;
//! 5. the baseline over its seeds, and nothing else before its noise floor is known;
//! 6. verdicts, the goal, repetitions of finalists;
//! 7. candidates, while the search goes on;
//! 8. finalists, then the conclusion.
//!
//! What does not fit while attempts are under way waits for their refunds; it is downscaled, or given up, only when
//! nothing is left to wait for. What is asked of candidates and finalists is in [`super::search`].

use super::approval;
use super::batch;
use super::conclude;
use super::counsel::Counsellor;
use super::downscale::{self, Plan};
use super::events::{Downscaled, Event, NextStep, Price, Purpose, Reason, RunResult};
use super::promote;
use super::recovery;
use super::room::{self, Need, Outlay};
use super::run::{Limits, Run};
use super::state::{Halt, Scope, Standing, State};
use super::{Pricer, words};
use crate::config::{Campaign, Experiment};
use crate::ids::{AttemptId, RunId};
use crate::planner::Sampler;
use crate::problem::{Problem, Result};
use std::path::PathBuf;

pub use super::search::{Proposal, propose};

/// Who is asked. Both answer deterministically.
pub struct Advice<'a> {
    /// What runs take.
    pub pricer: &'a dyn Pricer,
    /// What to try.
    pub sampler: &'a dyn Sampler,
    /// Whom to ask; only for what a question may cost: whether anybody is asked follows from the state.
    pub counsel: Option<&'a dyn Counsellor>,
    /// How many attempts the executor can have at once.
    pub slots: usize,
    /// The time (Unix seconds): attempts that wait for something to pass begin when it comes.
    pub now: f64,
}

/// The next decisions, to be recorded in this order; none when there is nothing to do but wait (or all is done).
pub fn decide(state: &State, advice: &Advice) -> Result<Vec<Event>> {
    if state.conclusion.is_some() {
        return Ok(Vec::new());
    }
    if let Some(event) = consequences(state) {
        return Ok(vec![event]);
    }
    let live = state.live().count();
    if let Some(halt) = state.halt {
        let reason = if halt == Halt::Stop { Reason::Stopped } else { Reason::Cancelled };
        return Ok(if live == 0 { vec![conclude::concluded(state, reason)] } else { Vec::new() });
    }
    if state.missing.is_some() {
        return Ok(if live == 0 { vec![conclude::concluded(state, Reason::Missing)] } else { Vec::new() });
    }
    if let Some(event) = promote::judgement(state) {
        return Ok(vec![event]);
    }
    if state.paused {
        return Ok(Vec::new());
    }
    let Some(scope) = &state.scope else {
        return match state.campaign.batch {
            Some(_) => Ok(vec![batch::scope(state, advice.pricer)?]),
            None => scope_campaign(state, advice.pricer),
        };
    };
    let mind = Mind { state, scope, advice, live };
    if let Some(events) = mind.owed() {
        return Ok(events);
    }
    if let Some(spec) = &state.campaign.batch {
        return mind.batch(spec.experiments);
    }
    if state.baseline.is_none() {
        return mind.baseline();
    }
    mind.search()
}

/// What follows from an ended attempt, or a run's result.
fn consequences(state: &State) -> Option<Event> {
    if let Some(event) = recovery::quarantine(state) {
        return Some(event);
    }
    for run in state.runs.iter().filter(|r| r.result.is_none()) {
        if let Some(attempt) = run.attempts.last()
            && let Some(end) = &attempt.ended
        {
            if run.next.is_none() {
                return Some(recovery::decide(state, run, attempt, end));
            }
            if let Some(result) = recovery::result(state, run) {
                return Some(Event::RunFinished { id: run.id, result });
            }
            if let Some(reached) = recovery::rung(state, run) {
                return Some(reached);
            }
        }
    }
    None
}

/// Fits the baseline and one confirmed candidate into the budget, or says that nothing fits.
fn scope_campaign(state: &State, pricer: &dyn Pricer) -> Result<Vec<Event>> {
    let campaign = &state.campaign;
    let place = |p: Problem| if p.place.is_some() { p } else { p.at("baseline") };
    let price = pricer.price(&campaign.baseline).map_err(place)?;
    let seeds = campaign.seeds.baseline.max(2);
    let confirm = campaign.seeds.confirm.clamp(2, seeds);
    // Attempts that need more than they may halve their micro-batch; nothing helps where one sample at a time is too much.
    let limit = campaign.baseline.resources.memory_mib;
    if limit > 0 && price.memory.0 > limit.saturating_mul(1 << 20) {
        let mut least = campaign.baseline.clone();
        least.resources.micro_batch = 1;
        let least = pricer.price(&least).map_err(place)?.memory;
        if least.0 > limit.saturating_mul(1 << 20) {
            let what =
                format!("the baseline needs about {least} even for one sample at a time, and may use {limit} MiB");
            return Err(Problem::usage(what).at("baseline.resources.memory_mib").remedy(
                "raise it (0 is no limit), or make the baseline smaller: every attempt would be ended for it",
            ));
        }
    }
    let plan = Plan { experiment: campaign.baseline.clone(), price, seeds, confirm };
    // The baseline, the first look at one candidate, and its confirmation.
    let need = |plan: &Plan| {
        let one = Outlay::of(state, &Limits::first(&plan.experiment, &plan.price), &plan.price);
        one.in_turn(state, plan.seeds + 1 + plan.confirm)
    };
    let takes = |plan: &Plan| (need(plan).amount.time.seconds(), room::fits(state, need(plan)));
    let whole = need(&plan);
    Ok(match downscale::fit(plan, &campaign.budget.downscale, true, pricer, &takes)? {
        Some((plan, downscaled)) => vec![Event::Scoped {
            baseline: Box::new(plan.experiment),
            price: plan.price,
            seeds: (0..plan.seeds as u64).map(|i| campaign.seeds.first + i).collect(),
            confirm: plan.confirm,
            downscaled,
        }],
        None => vec![conclude::too_small(state, whole)],
    })
}

/// What a campaign would begin with: its baseline as it would be run, or why nothing would be.
pub fn first_plan(campaign: &Campaign, pricer: &dyn Pricer) -> Result<std::result::Result<Scope, String>> {
    let created = Event::Created { campaign: Box::new(campaign.clone()), base: PathBuf::new(), version: String::new() };
    let state = State::replay([(0.0, &created)])?;
    let first = scope_campaign(&state, pricer)?;
    let refusal = first.iter().find_map(|event| match event {
        Event::Concluded(conclusion) => Some(conclusion.sentence.clone()),
        _ => None,
    });
    let state = State::replay([&created].into_iter().chain(&first).map(|event| (0.0, event)))?;
    Ok(state.scope.ok_or(refusal.unwrap_or_default()))
}

/// Everything the later questions need.
pub(super) struct Mind<'a> {
    pub(super) state: &'a State,
    pub(super) scope: &'a Scope,
    pub(super) advice: &'a Advice<'a>,
    pub(super) live: usize,
}

/// A run that could be planned.
pub(super) struct Wanted<'a> {
    pub(super) experiment: Experiment,
    pub(super) seed: u64,
    pub(super) purpose: Purpose,
    pub(super) price: &'a Price,
    pub(super) why: String,
}

impl Mind<'_> {
    pub(super) fn slot_free(&self) -> bool {
        self.live < self.state.campaign.execution.parallel.min(self.advice.slots).max(1)
    }

    /// Attempts of runs that are planned or wait for a retry. They come before anything new, so that they do not starve.
    /// Where all of them wait for a device that is busy, nothing new is begun on it either.
    fn owed(&self) -> Option<Vec<Event>> {
        let owed = || self.state.runs.iter().filter(|r| r.result.is_none() && r.live().is_none() && !r.paused);
        owed().next()?;
        let due = |run: &&Run| match run.next {
            Some(NextStep::Retry { not_before: Some(time), .. }) => time <= self.advice.now,
            _ => true,
        };
        let Some(waiting) = owed().find(due) else { return Some(Vec::new()) };
        if !self.slot_free() {
            return Some(Vec::new());
        }
        let screening = matches!(waiting.purpose, Purpose::Candidate { .. });
        if room::has_room_for_attempt(self.state, waiting, screening) {
            if let Some(events) = approval::again(self.state, waiting) {
                return Some(events);
            }
            return Some(vec![self.reservation(waiting)]);
        }
        if self.live > 0 {
            return Some(Vec::new());
        }
        let reason = match waiting.attempts.is_empty() {
            true => "its attempt does not fit in what is left of the budget",
            false => "a further attempt does not fit in what is left of the budget",
        };
        let result = RunResult::Failed { reason: reason.to_string() };
        Some(vec![Event::RunFinished { id: waiting.id, result }])
    }

    /// The reservation of a run's next attempt.
    fn reservation(&self, run: &Run) -> Event {
        let limits = run.limits;
        let amount = limits.reservation(&self.state.campaign);
        let resume = !matches!(run.next, Some(NextStep::Retry { resume: false, .. }));
        let newest = run.attempts.iter().filter_map(|a| a.ended.as_ref()?.checkpoint.as_ref());
        Event::AttemptReserved {
            id: AttemptId { run: run.id, number: run.attempts.len() as u32 + 1 },
            time: amount.time,
            dollars: amount.dollars,
            wall_seconds: limits.wall_seconds,
            memory: limits.memory,
            micro_batch: limits.micro_batch,
            device_memory: limits.device_memory,
            // Names of checkpoint folders carry the step with leading zeros, so the newest is the last by name.
            resume_from: newest.max_by_key(|p| p.file_name().map(|n| n.to_os_string())).filter(|_| resume).cloned(),
            stop_at: run.stop_at,
        }
    }

    /// The run as planned, with its first attempt reserved, both in one breath.
    pub(super) fn plan(&self, wanted: &Wanted, confirm: usize, downscaled: Vec<Downscaled>) -> Result<Vec<Event>> {
        let mut experiment = wanted.experiment.clone();
        experiment.training.seed = wanted.seed;
        let rungs = self.rungs(&experiment, wanted.price, wanted.purpose);
        let stop_at = self.state.campaign.planner.halving.and_then(|halving| halving.first_stop(&rungs));
        let limits = Limits::part(&experiment, wanted.price, 0, stop_at);
        let amount = limits.reservation(&self.state.campaign);
        let id = RunId(self.state.runs.len() as u32 + 1);
        let key = experiment.run_key(&wanted.price.data_hash);
        let settings = wanted.purpose.candidate().and_then(|i| self.state.candidates.get(i as usize));
        let what = settings.map_or_else(String::new, |c| format!(": {}", words::in_words(&c.assignment, 160)));
        let what = format!("run {id} ({}{what})", wanted.why);
        if let Some(events) = approval::gate(self.state, wanted.purpose, &key, amount, &what) {
            return Ok(events);
        }
        let planned = Event::RunPlanned {
            id,
            key,
            experiment: Box::new(experiment),
            seed: wanted.seed,
            purpose: wanted.purpose,
            price: wanted.price.clone(),
            rungs,
            confirm,
            downscaled,
            why: wanted.why.clone(),
        };
        let reserved = Event::AttemptReserved {
            id: AttemptId { run: id, number: 1 },
            time: amount.time,
            dollars: amount.dollars,
            wall_seconds: limits.wall_seconds,
            memory: limits.memory,
            micro_batch: limits.micro_batch,
            device_memory: limits.device_memory,
            resume_from: None,
            stop_at,
        };
        Ok(vec![planned, reserved])
    }

    /// The run that computes the same, if there is one.
    pub(super) fn existing(&self, experiment: &Experiment, seed: u64, price: &Price) -> Option<&Run> {
        let mut experiment = experiment.clone();
        experiment.training.seed = seed;
        self.state.run_with(&experiment.run_key(&price.data_hash))
    }

    /// Repeats the baseline until its noise is known.
    fn baseline(&self) -> Result<Vec<Event>> {
        let scope = self.scope;
        let runs = || self.state.runs.iter().filter(|r| r.purpose == Purpose::Baseline);
        if let Some(seed) = scope.seeds.iter().find(|seed| !runs().any(|r| r.seed == **seed)) {
            let wanted = Wanted {
                experiment: scope.baseline.clone(),
                seed: *seed,
                purpose: Purpose::Baseline,
                price: &scope.price,
                why: "repetition of the baseline, for the noise floor".to_string(),
            };
            let need = Need::run(self.state, &Limits::first(&wanted.experiment, wanted.price));
            if room::fits(self.state, need) {
                return if self.slot_free() { self.plan(&wanted, scope.confirm, Vec::new()) } else { Ok(Vec::new()) };
            }
        }
        if runs().any(|r| r.result.is_none()) {
            return Ok(Vec::new());
        }
        Ok(vec![conclude::baseline(self.state)])
    }

    /// Everything after the noise floor is known.
    fn search(&self) -> Result<Vec<Event>> {
        let state = self.state;
        if let Some(judged) = conclude::judged(state) {
            return Ok(vec![judged]);
        }
        if conclude::goal_met(state) {
            let concluded = || self.last_word().unwrap_or_else(|| vec![conclude::concluded(state, Reason::GoalMet)]);
            return Ok(if self.live == 0 { concluded() } else { Vec::new() });
        }
        if let Some(suspect) = conclude::goal_suspect(state) {
            return Ok(vec![suspect]);
        }
        if let Some(events) = self.confirmations()? {
            return Ok(events);
        }
        if let Some(events) = self.promotion() {
            return Ok(events);
        }
        if let Some(repeated) = self.repetition() {
            return Ok(vec![repeated]);
        }
        if state.search_ended.is_none() {
            return match state.candidates.iter().find(|c| c.standing == Standing::Proposed) {
                Some(candidate) => self.take_up(candidate),
                None if self.slot_free() => self.consult().map_or_else(|| self.propose(), Ok),
                None => Ok(Vec::new()),
            };
        }
        if self.live > 0 {
            return Ok(Vec::new());
        }
        let finalists = conclude::finalists(state);
        if !finalists.is_empty() {
            return Ok(finalists);
        }
        let reason = state.search_ended.as_ref().map_or(Reason::BudgetSpent, |(reason, _)| *reason);
        Ok(self.last_word().unwrap_or_else(|| vec![conclude::concluded(state, reason)]))
    }
}
