//! How much room the budget has for one thing more, and what is kept back for confirmations.
//!
//! The rule, so that a search never eats what its finalists need: before a candidate's run is reserved, enough must stay
//! free for confirming `finalists` candidates, or as many as there are so far (this one included) if those are fewer.
//! Only candidates that may still become finalists count, each with `confirm` further runs at the largest reservation
//! among them. Confirmations themselves, and the baseline, may use everything that is free.

use super::ledger::Amount;
use super::state::{Limits, Run, Standing, State};

/// What is needed: an amount, and a number of runs where the campaign limits those.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Need {
    /// Device time and dollars.
    pub amount: Amount,
    /// Runs.
    pub runs: usize,
}

impl Need {
    /// One further run under `limits`.
    pub fn run(state: &State, limits: &Limits) -> Self {
        Need { amount: limits.reservation(&state.campaign), runs: 1 }
    }

    /// This `n` times.
    pub fn times(self, n: usize) -> Self {
        Need { amount: self.amount.times(n), runs: self.runs.saturating_mul(n) }
    }
}

impl std::ops::Add for Need {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Need { amount: self.amount + other.amount, runs: self.runs + other.runs }
    }
}

/// Whether all of it could be reserved now.
pub fn fits(state: &State, need: Need) -> bool {
    let limit = state.campaign.budget.runs;
    (limit == 0 || state.runs.len() + need.runs <= limit) && state.ledger.fits(need.amount)
}

/// What must stay free for confirmations while something for a new candidate (its limits, if one is considered) is
/// reserved. `confirm`: seeds of a confirmation.
pub fn kept_back(state: &State, confirm: usize, new: Option<&Limits>) -> Need {
    let mut open: usize = 0;
    let mut largest = Amount::default();
    let mut promised = Need::default();
    let mut count = |limits: &Limits| {
        open += 1;
        largest = largest.max(limits.reservation(&state.campaign));
    };
    new.iter().for_each(|limits| count(limits));
    let contenders: Vec<u64> = state.contenders().iter().map(|c| c.index).collect();
    for candidate in &state.candidates {
        let Some(screening) = candidate.screening.and_then(|id| state.run(id)) else { continue };
        match candidate.standing {
            Standing::Screening => count(&screening.whole_limits()),
            Standing::Screened if contenders.contains(&candidate.index) => count(&screening.whole_limits()),
            Standing::Confirming => {
                let missing = confirm.saturating_sub(candidate.fresh().count());
                let one = Need { amount: screening.whole_limits().reservation(&state.campaign), runs: 1 };
                promised = promised + one.times(missing);
            }
            _ => {}
        }
    }
    let finalists = open.min(state.campaign.seeds.finalists);
    promised + Need { amount: largest, runs: 1 }.times(finalists * confirm)
}

/// Whether another attempt of a planned run may be reserved: a candidate's first look leaves alone what is kept back.
pub fn has_room_for_attempt(state: &State, run: &Run, screening: bool) -> bool {
    let mut need = Need { amount: run.limits.reservation(&state.campaign), runs: 0 };
    if screening && let Some(scope) = &state.scope {
        need.amount += kept_back(state, scope.confirm, None).amount;
    }
    state.ledger.fits(need.amount)
}
