//! A batch: a list of experiments that somebody else made, each run once, in order; no baseline, no search, no verdict.
//!
//! Everything else is a campaign's: prices, budget, attempts, recovery, the journal. The list comes from the sampler
//! ([`crate::planner::Sampler::experiment`]); each entry passes through the events of a candidate, so that the state, its
//! viewers and a restart need to know nothing new. Boundary: the part of [`super::decide`] that is about batches; pure.

use super::conclude;
use super::decide::{Mind, Wanted};
use super::events::Event;
use super::facts::{Purpose, Reason};
use super::room::{self, Need};
use super::run::Limits;
use super::state::{Candidate, Standing, State};
use super::{Pricer, facts::Seen};
use crate::config::Experiment;
use crate::problem::{Class, Problem, Result};

impl Mind<'_> {
    /// The next of the list, or the end.
    pub(super) fn batch(&self, count: usize) -> Result<Vec<Event>> {
        let state = self.state;
        let waits = |c: &&Candidate| c.standing == Standing::Proposed && state.search_ended.is_none();
        if let Some(candidate) = state.candidates.iter().find(waits) {
            return self.take_up_entry(candidate);
        }
        let index = state.candidates.len();
        if index < count && state.search_ended.is_none() {
            return if self.slot_free() { Ok(vec![self.entry(index as u64)?]) } else { Ok(Vec::new()) };
        }
        let reason = state.search_ended.as_ref().map_or(Reason::CandidatesDone, |(reason, _)| *reason);
        let open = state.runs.iter().any(|r| r.result.is_none());
        Ok(if open || self.live > 0 { Vec::new() } else { vec![conclude::concluded(state, reason)] })
    }

    fn experiment(&self, index: u64) -> Result<Experiment> {
        self.advice.sampler.experiment(index).ok_or_else(|| {
            Problem::failed(format!("entry {index} of the batch is not there")).remedy(
                "the list of a batch is kept in its folder as batch.jsonl: restore it, and run the command again",
            )
        })
    }

    fn entry(&self, index: u64) -> Result<Event> {
        let price = match self.advice.pricer.price(&self.experiment(index)?) {
            Ok(price) => Some(price),
            Err(problem) if problem.class == Class::Usage => None,
            Err(problem) => return Err(problem),
        };
        let assignment = self.advice.sampler.label(index);
        let why = format!("line {} of the list", assignment.get("line").map_or(index + 1, |l| l.as_u64().unwrap_or(0)));
        Ok(Event::ProposalMade {
            index,
            planner: self.advice.sampler.name().to_string(),
            assignment,
            observed: 0,
            seen: Seen::default(),
            why,
            price,
            gain: None,
            weighed: None,
            design: None,
        })
    }

    fn take_up_entry(&self, candidate: &Candidate) -> Result<Vec<Event>> {
        let (state, index) = (self.state, candidate.index);
        let experiment = self.experiment(index)?;
        let Some(price) = &candidate.price else {
            return match self.advice.pricer.price(&experiment) {
                Err(problem) if problem.class != Class::Usage => Err(problem),
                Err(problem) => Ok(vec![Event::ProposalRejected { index, reason: problem.what }]),
                Ok(_) => Ok(vec![Event::ProposalRejected { index, reason: "it could not be priced".to_string() }]),
            };
        };
        let seed = experiment.training.seed;
        if let Some(run) = self.existing(&experiment, seed, price) {
            return Ok(vec![Event::RunReused { index, run: run.id, seed }]);
        }
        if !self.slot_free() {
            return Ok(Vec::new());
        }
        if !room::fits(state, Need::run(state, &Limits::first(&experiment, price))) {
            if self.live > 0 {
                return Ok(Vec::new());
            }
            let why = format!("entry {index} does not fit in the budget: {} are free", state.ledger.free().time);
            return Ok(vec![Event::SearchEnded { reason: Reason::BudgetSpent, why }]);
        }
        let wanted =
            Wanted { experiment, seed, purpose: Purpose::Candidate { index }, price, why: candidate.why.clone() };
        self.plan(&wanted, self.scope.confirm, Vec::new())
    }
}

/// What stands for the scope of a batch: nothing is repeated, nothing is downscaled.
pub(super) fn scope(state: &State, pricer: &dyn Pricer) -> Result<Event> {
    let baseline = &state.campaign.baseline;
    Ok(Event::Scoped {
        baseline: Box::new(baseline.clone()),
        price: pricer.price(baseline)?,
        seeds: Vec::new(),
        confirm: 0,
        downscaled: Vec::new(),
    })
}

/// What came of a batch, in a sentence.
pub(super) fn finding(state: &State, count: usize) -> String {
    let of = |wanted: fn(&Standing) -> bool| state.candidates.iter().filter(|c| wanted(&c.standing)).count();
    let finished = of(|s| *s == Standing::Screened);
    let failed = of(|s| matches!(s, Standing::Failed { .. }));
    let refused = of(|s| matches!(s, Standing::Rejected { .. }));
    let left = count - (finished + failed + refused).min(count);
    let part = |n: usize, what: &str| if n > 0 { format!(", {n} {what}") } else { String::new() };
    format!(
        "{finished} of {count} experiments have a result{}{}{}",
        part(failed, "failed"),
        part(refused, "were refused"),
        part(left, "were not run")
    )
}
