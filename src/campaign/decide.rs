//! What follows from what is known: the one place where a campaign makes up its mind.
//!
//! [`decide`] returns the next decisions as events, or nothing when it is time to wait; the driver writes them down,
//! applies them and asks again. It is a pure function of the state and of an adviser's deterministic answers, so a
//! controller killed between two decisions decides the same again. The order of the questions is the policy:
//!
//! 1. what follows from attempts that ended, and which runs have their result;
//! 2. a person's stop or cancel: nothing new starts;
//! 3. what the budget allows at all: the baseline's seeds and one confirmed candidate, downscaled where needed;
//! 4. attempts that are owed: retries, and runs planned before a crash;
//! 5. the baseline over its seeds, and nothing else before its noise floor is known;
//! 6. verdicts, the goal, repetitions of finalists;
//! 7. candidates, while the search goes on;
//! 8. finalists, then the conclusion.
//!
//! What does not fit while attempts are under way waits for their refunds; it is downscaled, or given up, only when
//! nothing is left to wait for.

use super::Pricer;
use super::conclude;
use super::downscale::{self, Plan};
use super::events::{Downscaled, Event, Price, Purpose, Reason, RunResult};
use super::recovery;
use super::room::{self, Need};
use super::state::{Candidate, Halt, Limits, Run, Scope, Standing, State};
use crate::config::{Constraint, Downscale, Experiment};
use crate::ids::{AttemptId, RunId};
use crate::planner::{self, Assignment, Sampler};
use crate::problem::{Class, Problem, Result};

/// Proposals in a row that cannot be run before the space counts as exhausted.
const REJECTIONS: usize = 100;

/// Who is asked. Both answer deterministically.
pub struct Advice<'a> {
    /// What runs take.
    pub pricer: &'a dyn Pricer,
    /// What to try.
    pub sampler: &'a dyn Sampler,
    /// How many attempts the executor can have at once.
    pub slots: usize,
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
    let Some(scope) = &state.scope else { return scope_campaign(state, advice.pricer) };
    let mind = Mind { state, scope, advice, live };
    if let Some(events) = mind.owed() {
        return Ok(events);
    }
    if state.baseline.is_none() {
        return mind.baseline();
    }
    mind.search()
}

/// What follows from an ended attempt, or a run's result.
fn consequences(state: &State) -> Option<Event> {
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
    let plan = Plan { experiment: campaign.baseline.clone(), price, seeds, confirm };
    let fits = |plan: &Plan| {
        let one = Need::run(state, &Limits::first(&plan.experiment, &plan.price));
        room::fits(state, one.times(plan.seeds + plan.confirm))
    };
    Ok(match downscale::fit(plan, &campaign.budget.downscale, true, pricer, &fits)? {
        Some((plan, downscaled)) => vec![Event::Scoped {
            baseline: Box::new(plan.experiment),
            price: plan.price,
            seeds: (0..plan.seeds as u64).map(|i| campaign.seeds.first + i).collect(),
            confirm: plan.confirm,
            downscaled,
        }],
        None => vec![conclude::concluded(state, Reason::BudgetSpent)],
    })
}

/// Everything the later questions need.
struct Mind<'a> {
    state: &'a State,
    scope: &'a Scope,
    advice: &'a Advice<'a>,
    live: usize,
}

/// A run that could be planned.
struct Wanted<'a> {
    experiment: Experiment,
    seed: u64,
    purpose: Purpose,
    price: &'a Price,
    why: String,
}

impl Mind<'_> {
    fn slot_free(&self) -> bool {
        self.live < self.state.campaign.execution.parallel.min(self.advice.slots).max(1)
    }

    /// Attempts of runs that are planned or wait for a retry. They come before anything new, so that they do not starve.
    fn owed(&self) -> Option<Vec<Event>> {
        let waiting = self.state.runs.iter().find(|r| r.result.is_none() && r.live().is_none())?;
        if !self.slot_free() {
            return Some(Vec::new());
        }
        let screening = matches!(waiting.purpose, Purpose::Candidate { .. });
        if room::has_room_for_attempt(self.state, waiting, screening) {
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
        let resume = !matches!(run.next, Some(super::events::NextStep::Retry { resume: false, .. }));
        let newest = run.attempts.iter().filter_map(|a| a.ended.as_ref()?.checkpoint.as_ref());
        Event::AttemptReserved {
            id: AttemptId { run: run.id, number: run.attempts.len() as u32 + 1 },
            time: amount.time,
            dollars: amount.dollars,
            wall_seconds: limits.wall_seconds,
            memory: limits.memory,
            micro_batch: limits.micro_batch,
            // Names of checkpoint folders carry the step with leading zeros, so the newest is the last by name.
            resume_from: newest.max_by_key(|p| p.file_name().map(|n| n.to_os_string())).filter(|_| resume).cloned(),
        }
    }

    /// The run as planned, with its first attempt reserved, both in one breath.
    fn plan(&self, wanted: &Wanted, confirm: usize, downscaled: Vec<Downscaled>) -> Result<Vec<Event>> {
        let mut experiment = wanted.experiment.clone();
        experiment.training.seed = wanted.seed;
        let limits = Limits::first(&experiment, wanted.price);
        let amount = limits.reservation(&self.state.campaign);
        let id = RunId(self.state.runs.len() as u32 + 1);
        let planned = Event::RunPlanned {
            id,
            key: experiment.run_key(&wanted.price.data_hash),
            experiment: Box::new(experiment),
            seed: wanted.seed,
            purpose: wanted.purpose,
            price: wanted.price.clone(),
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
            resume_from: None,
        };
        Ok(vec![planned, reserved])
    }

    /// The run that computes the same, if there is one.
    fn existing(&self, experiment: &Experiment, seed: u64, price: &Price) -> Option<&Run> {
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
            let concluded = || vec![conclude::concluded(state, Reason::GoalMet)];
            return Ok(if self.live == 0 { concluded() } else { Vec::new() });
        }
        if let Some(suspect) = conclude::goal_suspect(state) {
            return Ok(vec![suspect]);
        }
        if let Some(events) = self.confirmations()? {
            return Ok(events);
        }
        if state.search_ended.is_none() {
            return match state.candidates.iter().find(|c| c.standing == Standing::Proposed) {
                Some(candidate) => self.take_up(candidate),
                None if self.slot_free() => self.propose(),
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
        Ok(vec![conclude::concluded(state, reason)])
    }

    /// The next repetition of a finalist; `Some(empty)` to wait, `None` where nothing is left to repeat.
    fn confirmations(&self) -> Result<Option<Vec<Event>>> {
        for candidate in self.state.candidates.iter().filter(|c| c.standing == Standing::Confirming) {
            let Some(screening) = candidate.runs.values().next().and_then(|id| self.state.run(*id)) else { continue };
            let Some(seed) = self.state.confirmation_seeds().into_iter().find(|s| !candidate.runs.contains_key(s))
            else {
                continue;
            };
            let index = candidate.index;
            if let Some(run) = self.existing(&screening.experiment, seed, &screening.price) {
                return Ok(Some(vec![Event::RunReused { index, run: run.id, seed }]));
            }
            let wanted = Wanted {
                experiment: screening.experiment.clone(),
                seed,
                purpose: Purpose::Confirm { index },
                price: &screening.price,
                why: format!("confirmation of candidate {index}"),
            };
            if room::fits(self.state, Need::run(self.state, &Limits::first(&wanted.experiment, wanted.price))) {
                let free = self.slot_free();
                return Ok(Some(if free { self.plan(&wanted, self.scope.confirm, Vec::new())? } else { Vec::new() }));
            }
            if self.live > 0 {
                return Ok(Some(Vec::new()));
            }
            // Nothing is left to wait for: it is judged by the seeds it has.
            return Ok(Some(vec![conclude::judge(
                self.state,
                candidate,
                Some("the budget holds no further seed of it"),
            )]));
        }
        Ok(None)
    }

    /// Refuses to go on where the dataset is gone or another than the baseline was measured on: no proposal is to blame
    /// for that, and results on other data would be compared with the baseline's. `price` is that of `experiment`, if it
    /// has one.
    fn same_data(&self, experiment: &Experiment, price: Option<&Price>) -> Result<()> {
        let found = match price {
            Some(_) if experiment.data != self.scope.baseline.data => return Ok(()),
            Some(price) => price.data_hash.clone(),
            None => self.advice.pricer.price(&self.scope.baseline)?.data_hash,
        };
        if found == self.scope.price.data_hash {
            return Ok(());
        }
        Err(Problem::usage("the dataset is not the one that this campaign's baseline was measured on")
            .at("baseline.data")
            .remedy("restore the dataset and resume, or start a new campaign with this one; what was measured is kept"))
    }

    /// Runs a proposal, uses an equal run again, or gives it up.
    fn take_up(&self, candidate: &Candidate) -> Result<Vec<Event>> {
        let (state, index) = (self.state, candidate.index);
        let reject = |reason: String| Ok(vec![Event::ProposalRejected { index, reason }]);
        let Some(seed) = state.screening_seed() else {
            return reject("the baseline has no value to compare with".into());
        };
        let experiment = match self.scope.baseline.with(&candidate.assignment) {
            Ok(experiment) => experiment,
            Err(problem) => return reject(problem.what),
        };
        let Some(price) = &candidate.price else {
            return match self.advice.pricer.price(&experiment) {
                Ok(_) => reject("it could not be priced when it was proposed".to_string()),
                Err(problem) if problem.class == Class::Usage => reject(problem.what),
                Err(problem) => Err(problem),
            };
        };
        if let Some(run) = self.existing(&experiment, seed, price) {
            return Ok(vec![Event::RunReused { index, run: run.id, seed }]);
        }
        if !self.slot_free() {
            return Ok(Vec::new());
        }
        let fits = |plan: &Plan| {
            let limits = Limits::first(&plan.experiment, &plan.price);
            room::fits(state, Need::run(state, &limits) + room::kept_back(state, plan.confirm, Some(&limits)))
        };
        let plan =
            Plan { experiment, price: price.clone(), seeds: self.scope.seeds.len(), confirm: self.scope.confirm };
        if !fits(&plan) && self.live > 0 {
            return Ok(Vec::new());
        }
        // Seeds are given up for having any candidate at all, never for one more: over two seeds little can be confirmed.
        let first = state.candidates.iter().all(|c| c.runs.is_empty());
        let order: Vec<Downscale> =
            state.campaign.budget.downscale.iter().copied().filter(|d| first || *d != Downscale::Seeds).collect();
        match downscale::fit(plan, &order, false, self.advice.pricer, &fits)? {
            Some((plan, downscaled)) => {
                if let Some(run) = self.existing(&plan.experiment, seed, &plan.price) {
                    return Ok(vec![Event::RunReused { index, run: run.id, seed }]);
                }
                let wanted = Wanted {
                    experiment: plan.experiment,
                    seed,
                    purpose: Purpose::Candidate { index },
                    price: &plan.price,
                    why: format!("first look at candidate {index}"),
                };
                self.plan(&wanted, plan.confirm, downscaled)
            }
            // The proposal stays as it is: with a larger budget it is the first to be taken up.
            None => {
                let (free, kept) = (state.ledger.free().time, room::kept_back(state, self.scope.confirm, None));
                let why = format!(
                    "candidate {index} does not fit in the budget, even downscaled: {free} are free, {} of them kept back for confirmations",
                    kept.amount.time
                );
                Ok(vec![Event::SearchEnded { reason: Reason::BudgetSpent, why }])
            }
        }
    }

    /// Asks for the next proposal.
    fn propose(&self) -> Result<Vec<Event>> {
        let (state, campaign) = (self.state, &self.state.campaign);
        let end = |reason: Reason, why: String| Ok(vec![Event::SearchEnded { reason, why }]);
        let rejected = |c: &&Candidate| matches!(c.standing, Standing::Rejected { .. });
        let tried = state.candidates.len() - state.candidates.iter().filter(rejected).count();
        if campaign.planner.candidates > 0 && tried >= campaign.planner.candidates {
            return end(Reason::CandidatesDone, format!("{tried} candidates were asked for and tried"));
        }
        if state.candidates.iter().rev().take_while(rejected).count() >= REJECTIONS {
            return end(Reason::SpaceExhausted, format!("the last {REJECTIONS} proposals could not be run"));
        }
        let index = state.candidates.len() as u64;
        let observed = state.known.len();
        let Some(assignment) = propose(state, self.advice.sampler, index, observed) else {
            return end(Reason::SpaceExhausted, format!("{} has nothing new to propose", self.advice.sampler.name()));
        };
        let experiment = self.scope.baseline.with(&assignment)?;
        let price = match self.advice.pricer.price(&experiment) {
            Ok(price) => Some(price),
            Err(problem) if problem.class == Class::Usage => None,
            Err(problem) => return Err(problem),
        };
        self.same_data(&experiment, price.as_ref())?;
        let pending = state.candidates.len() - observed;
        let name = self.advice.sampler.name();
        Ok(vec![Event::ProposalMade {
            index,
            planner: name.to_string(),
            why: format!("{name}, knowing {observed} results, {pending} under way"),
            assignment,
            observed,
            price,
            // The classical samplers rank proposals and predict no values, so there is no honest number to write.
            gain: None,
        }])
    }
}

/// Whether an assignment makes a valid experiment of the baseline and keeps the constraints.
pub fn acceptable(baseline: &Experiment, constraints: &[Constraint], assignment: &Assignment) -> bool {
    baseline.with(assignment).is_ok_and(|e| planner::satisfies(constraints, &|path| e.get(path)))
}

/// What the sampler proposes as number `index` when `observed` results are known. Depends on the journal alone, so any
/// proposal of a campaign can be derived again.
pub fn propose(state: &State, sampler: &dyn Sampler, index: u64, observed: usize) -> Option<Assignment> {
    let scope = state.scope.as_ref()?;
    let accept = |assignment: &Assignment| acceptable(&scope.baseline, &state.campaign.constraints, assignment);
    sampler.propose(&state.campaign.space, &state.observations(index, observed), index, &accept)
}
