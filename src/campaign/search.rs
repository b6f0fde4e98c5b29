//! The search: proposals, candidates taken up, repetitions of finalists.
//!
//! Boundary: the part of [`super::decide`] that is about candidates; pure as all of it.

use super::admission::{Admission, LeftOut};
use super::approval::Subject;
use super::conclude;
use super::consult::{self, LLM};
use super::decide::{Advice, Mind, Wanted};
use super::downscale::{self, Plan};
use super::events::Event;
use super::facts::{Price, Purpose, Reason, Seen, Weighed};
use super::gain;
use super::rejections;
use super::room::{self, Need, Outlay};
use super::run::Limits;
use super::state::{Candidate, Standing, State};
use crate::config::{Downscale, Experiment};
use crate::planner::{Assignment, Prospect, Purse, Queue, Sampler, choose};
use crate::problem::{Class, Problem, Result};
use std::cell::{Cell, RefCell};

/// Proposals in a row that cannot be run before the space counts as exhausted.
const REJECTIONS: usize = 100;

impl Mind<'_> {
    /// The next repetition of a finalist; `Some(empty)` to wait, `None` where nothing is left to repeat.
    pub(super) fn confirmations(&self) -> Result<Option<Vec<Event>>> {
        for candidate in self.state.candidates.iter().filter(|c| c.standing == Standing::Confirming) {
            let Some(screening) = candidate.screening.and_then(|id| self.state.run(id)) else { continue };
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
                self.state.campaign.objective.confidence,
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
    pub(super) fn take_up(&self, candidate: &Candidate) -> Result<Vec<Event>> {
        let (state, index) = (self.state, candidate.index);
        let reject = |reason: String| Ok(vec![Event::ProposalRejected { index, reason }]);
        if state.approvals.refused.contains(&Subject::Candidate { index }) {
            return reject("a person refused it".to_string());
        }
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
        let outlays = |plan: &Plan| {
            let look = self.first_look(&plan.experiment, &plan.price, index);
            let whole = Limits::first(&plan.experiment, &plan.price);
            [look, whole].map(|limits| Outlay::of(state, &limits, &plan.price))
        };
        let fits = |plan: &Plan| {
            let [look, whole] = outlays(plan);
            room::leaves(state, look, 1, room::kept_back(state, plan.confirm, Some(whole)))
        };
        let takes = |plan: &Plan| (outlays(plan)[0].expected.time.seconds(), fits(plan));
        let plan =
            Plan { experiment, price: price.clone(), seeds: self.scope.seeds.len(), confirm: self.scope.confirm };
        if !fits(&plan) && self.live > 0 {
            return Ok(Vec::new());
        }
        // Seeds are given up for having any candidate at all, never for one more: over two seeds little can be confirmed.
        let first = state.candidates.iter().all(|c| c.runs.is_empty());
        let order: Vec<Downscale> =
            state.campaign.budget.downscale.iter().copied().filter(|d| first || *d != Downscale::Seeds).collect();
        match downscale::fit(plan, &order, false, self.advice.pricer, &takes)? {
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
                let why = self.no_room_for(index);
                Ok(vec![Event::SearchEnded { reason: Reason::BudgetSpent, why }])
            }
        }
    }

    /// Which limit a candidate that fits in no form runs into: the number of runs or the device time.
    fn no_room_for(&self, index: u64) -> String {
        let state = self.state;
        let limit = state.campaign.budget.runs;
        let left = limit.saturating_sub(state.runs.len());
        // As it was asked when it did not fit: its own confirmations count, unless better ones take their place.
        let confirmations = room::kept_back(state, self.scope.confirm, Some(room::Outlay::default())).runs;
        if limit > 0 && left < 1 + confirmations {
            return format!(
                "of {limit} runs {left} are left, and with candidate {index} up to {} would be needed: its first look and \
                 {confirmations} confirmations of the best; a larger budget.runs allows more",
                1 + confirmations
            );
        }
        let (free, kept) = (state.ledger.free().time, room::kept_back(state, self.scope.confirm, None));
        format!(
            "candidate {index} does not fit in the budget, even downscaled: {free} are free, {} of them kept back for \
             confirmations",
            kept.amount.time
        )
    }

    /// Asks for the next proposal.
    pub(super) fn propose(&self) -> Result<Vec<Event>> {
        let (state, campaign) = (self.state, &self.state.campaign);
        let end = |reason: Reason, why: String| Ok(vec![Event::SearchEnded { reason, why }]);
        let rejected = |c: &&Candidate| matches!(c.standing, Standing::Rejected { .. });
        let tried = state.candidates.len() - state.candidates.iter().filter(rejected).count();
        if campaign.planner.candidates > 0 && tried >= campaign.planner.candidates {
            return end(Reason::CandidatesDone, format!("{tried} candidates were asked for and tried"));
        }
        if state.candidates.iter().rev().take_while(rejected).count() >= REJECTIONS {
            let why = rejections::words(&rejections::rejections(state));
            return end(Reason::SpaceExhausted, format!("the last {REJECTIONS} proposals could not be run ({why})"));
        }
        let index = state.candidates.len() as u64;
        // Results that the proposal must rest on are still under way.
        let Some((observed, seen)) = state.due() else { return Ok(Vec::new()) };
        let mut drawn = None;
        let seconds = |a: &Assignment| Some(self.advice.pricer.price(&self.scope.baseline.with(a).ok()?).ok()?.seconds);
        for waiting in consult::waiting(state, index, &seconds) {
            let queue = Queue::new(waiting.name, waiting.settings);
            let Proposal { pool, weighed, .. } = draw(state, self.advice, &queue, index, observed, seen)?;
            if let Some(pool) = pool {
                let why = consult::reason(state, waiting.name, &pool[0].assignment);
                drawn = Some((pool, weighed, waiting.name, why));
                break;
            }
        }
        if drawn.is_none() {
            if let Some(asked) = self.ask_for_designs(index) {
                return Ok(asked);
            }
            let own = propose(state, self.advice, index, observed, seen)?;
            let (name, left_out) = (self.advice.sampler.name(), own.left_out.words());
            let Some(pool) = own.pool else {
                return end(Reason::SpaceExhausted, format!("{name} has nothing new to propose{left_out}"));
            };
            drawn = Some((pool, own.weighed, name, left_out));
        }
        let Some((mut pool, weighed, name, reason)) = drawn else {
            return end(Reason::SpaceExhausted, "nothing new is proposed".to_string());
        };
        let chosen = pool.swap_remove(0);
        let (assignment, gain) = (chosen.assignment, chosen.gain);
        let experiment = self.scope.baseline.with(&assignment)?;
        let price = match self.advice.pricer.price(&experiment) {
            Ok(price) => Some(price),
            Err(problem) if problem.class == Class::Usage => None,
            Err(problem) => return Err(problem),
        };
        self.same_data(&experiment, price.as_ref())?;
        let known = state.observations(index, observed, seen).iter().filter(|o| o.ended()).count();
        let pending = state.candidates.len() - known;
        let reason = if reason.is_empty() { reason } else { format!(", {reason}") };
        let open = |d: &super::counsel::Designed| d.proposal.is_none() && !d.dropped && d.design.settings == assignment;
        Ok(vec![Event::ProposalMade {
            index,
            planner: name.to_string(),
            why: format!("{name}, from {known} results, {pending} taken as under way{reason}"),
            design: state.counsel.designs.iter().position(open).filter(|_| name == LLM),
            assignment,
            observed,
            seen,
            price,
            // Without weighing there is none: the classical samplers rank proposals and predict no values.
            gain,
            weighed: weighed.map(Box::new),
        }])
    }
}

/// What a sampler came up with.
pub struct Proposal {
    /// The chosen one first; none where there is nothing new.
    pub pool: Option<Vec<Prospect>>,
    /// What it was chosen by, where several were weighed.
    pub weighed: Option<Weighed>,
    /// What it drew in vain.
    pub left_out: LeftOut,
}

/// What is proposed as number `index` when it rests on `observed` results: the chosen one first, and what it was chosen by
/// where several were weighed. Without weighing it depends on the journal and the prices alone; with it also on what was
/// left of the budget, so it is derived again from the journal up to the proposal.
pub fn propose(state: &State, advice: &Advice, index: u64, observed: usize, seen: Seen) -> Result<Proposal> {
    draw(state, advice, advice.sampler, index, observed, seen)
}

/// As [`propose`], from any sampler.
fn draw(
    state: &State,
    advice: &Advice,
    sampler: &dyn Sampler,
    index: u64,
    observed: usize,
    seen: Seen,
) -> Result<Proposal> {
    let Some(scope) = state.scope.as_ref() else {
        return Ok(Proposal { pool: None, weighed: None, left_out: LeftOut::default() });
    };
    let spec = &state.campaign.planner;
    // Asked again and again while a pool is drawn; the pricer may be slow.
    let prices: RefCell<Vec<(Assignment, Option<Price>)>> = RefCell::default();
    let broken: RefCell<Option<Problem>> = RefCell::default();
    let price = |assignment: &Assignment| -> Option<Price> {
        if let Some((_, known)) = prices.borrow().iter().find(|(a, _)| a == assignment) {
            return known.clone();
        }
        let price = match scope.baseline.with(assignment).and_then(|e| advice.pricer.price(&e)) {
            Ok(price) => Some(price),
            Err(problem) => {
                if problem.class != Class::Usage {
                    broken.borrow_mut().get_or_insert(problem);
                }
                None
            }
        };
        prices.borrow_mut().push((assignment.clone(), price.clone()));
        price
    };
    let (admission, left_out) = (Admission::of(&state.campaign, &scope.baseline), Cell::default());
    let accept = |a: &Assignment| admission.admits(a, &price, &left_out);
    let execution = &state.campaign.execution;
    let observations = state.observations(index, observed, seen);
    let alpha = gain::alpha(state);
    let sharers = execution.attempts_per_device.max(1) as f64;
    // Every run waits as long, so waiting is part of what one costs beside another: where queues are long, few long runs are
    // better than many short ones.
    let waiting = gain::waiting(state);
    let cost = |a: &Assignment| price(a).map(|p| alpha * p.seconds / sharers + waiting);
    let (known, calibration) = (gain::baseline(state), gain::calibration(state));
    let left = gain::left(state, scope.confirm);
    let share_left = left / state.ledger.budget().seconds().max(1e-9);
    let purse = Purse {
        // Without weighing nothing is compared, and nothing needs a price before the proposal is made.
        cost: if spec.weighing.is_some() { &cost } else { &|_| None },
        left,
        share_left,
        known: &known,
        floor: state.baseline.as_ref().map_or(1.0, |b| b.floor),
        calibration: &calibration,
    };
    let space = &state.campaign.space;
    let pool = choose(spec, sampler, space, &observations, index, &accept, &purse);
    if let Some(problem) = broken.into_inner() {
        return Err(problem);
    }
    let weighed = |pool: &Vec<Prospect>| {
        let beta = spec.weighing.filter(|_| pool.len() > 1)?.beta * share_left.clamp(0.0, 1.0);
        Some(Weighed { beta, alpha, left, pool: pool.clone() })
    };
    let weighed = pool.as_ref().and_then(weighed);
    Ok(Proposal { pool, weighed, left_out: left_out.get() })
}
