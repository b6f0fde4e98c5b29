//! How much room the budget has for one thing more, and what is kept back for confirmations.
//!
//! What is reserved for one attempt is its worst case, and that is several times what most attempts use. So of runs that
//! take turns only those that run at the same time count with their reservations, and the others with what they are
//! expected to use: the upper end of their price, stretched by what ended attempts took beyond theirs. The ledger itself
//! knows no expectations: an attempt starts only where its whole reservation is free.
//!
//! The rule, so that a search never eats what its finalists need: before a candidate's run is reserved, enough must stay
//! free for confirming `finalists` candidates, or as many as there are so far (this one included) if those are fewer.
//! Only candidates that may still become finalists count, each with `confirm` further runs as dear as the dearest among
//! them. Confirmations themselves, and the baseline, may use everything that is free.

use super::facts::Price;
use super::gain;
use super::ledger::Amount;
use super::run::{Limits, Run};
use super::state::{Standing, State};
use crate::units::DeviceTime;

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
}

/// What one run takes: at worst, and as far as can be foreseen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outlay {
    /// Reserved before it starts.
    pub reserved: Amount,
    /// Used in nine cases of ten; at most what is reserved.
    pub expected: Amount,
}

impl Outlay {
    /// Of a run under `limits` at this price.
    pub fn of(state: &State, limits: &Limits, price: &Price) -> Self {
        Self::stretched(state, Experience::of(state), limits, price)
    }

    /// The same where the experience is known: it takes a look at every run.
    fn stretched(state: &State, experience: Experience, limits: &Limits, price: &Price) -> Self {
        let campaign = &state.campaign;
        let reserved = limits.reservation(campaign);
        let seconds = experience.alpha * price.high_seconds;
        let time = DeviceTime::share(campaign.execution.attempts_per_device, seconds);
        let expected = Amount::priced(time, experience.dollars_per_device_hour).min(reserved);
        Outlay { reserved, expected }
    }

    fn max(self, other: Self) -> Self {
        Outlay { reserved: self.reserved.max(other.reserved), expected: self.expected.max(other.expected) }
    }

    /// Of `n` such runs that take turns, as many at once as the campaign has attempts in parallel.
    pub fn in_turn(self, state: &State, n: usize) -> Need {
        let at_once = state.campaign.execution.parallel.min(n);
        let held = self.reserved.saturating_sub(self.expected).times(at_once);
        Need { amount: self.expected.times(n) + held, runs: n }
    }
}

/// What ended attempts tell of further ones.
#[derive(Debug, Clone, Copy)]
struct Experience {
    /// Factor from predicted to expected seconds.
    alpha: f64,
    /// What a device-hour is expected to cost.
    dollars_per_device_hour: f64,
}

impl Experience {
    fn of(state: &State) -> Self {
        Experience { alpha: gain::alpha(state), dollars_per_device_hour: expected_hour(state) }
    }
}

/// Dollars that a further device-hour is expected to cost: the mean over what ended attempts held at places with prices of
/// their own; what the campaign says where there were none. Reserved is always at the dearest.
pub fn expected_hour(state: &State) -> f64 {
    let (mut hours, mut dollars) = (0.0, 0.0);
    for end in state.runs.iter().flat_map(|run| &run.attempts).filter_map(|attempt| attempt.ended.as_ref()) {
        if let Some(rate) = end.evidence.dollars_per_device_hour {
            hours += end.used.time.hours();
            dollars += end.used.time.hours() * rate;
        }
    }
    if hours > 0.0 { dollars / hours } else { state.campaign.budget.dollars_per_device_hour }
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

/// What must stay free for confirmations while something for a new candidate (what it takes as a whole, if one is
/// considered) is reserved. `confirm`: seeds of a confirmation.
pub fn kept_back(state: &State, confirm: usize, new: Option<Outlay>) -> Need {
    let (mut open, mut promised) = (usize::from(new.is_some()), 0usize);
    let (mut dearest, experience) = (new.unwrap_or_default(), Experience::of(state));
    let contenders: Vec<u64> = state.contenders().iter().map(|c| c.index).collect();
    for candidate in &state.candidates {
        let Some(screening) = candidate.screening.and_then(|id| state.run(id)) else { continue };
        match candidate.standing {
            Standing::Screening => open += 1,
            Standing::Screened if contenders.contains(&candidate.index) => open += 1,
            Standing::Confirming => promised += confirm.saturating_sub(candidate.fresh().count()),
            _ => continue,
        }
        dearest = dearest.max(Outlay::stretched(state, experience, &screening.whole_limits(), &screening.price));
    }
    let finalists = open.min(state.campaign.seeds.finalists);
    dearest.in_turn(state, promised + finalists * confirm)
}

/// Whether a candidate's look that takes `look` may be reserved, and leaves alone what is kept back.
pub fn leaves(state: &State, look: Outlay, runs: usize, kept: Need) -> bool {
    let then = Need { amount: look.expected, runs } + kept;
    fits(state, Need { amount: look.reserved, runs }) && fits(state, then)
}

/// Whether another attempt of a planned run may be reserved: a candidate's first look leaves alone what is kept back.
pub fn has_room_for_attempt(state: &State, run: &Run, screening: bool) -> bool {
    let outlay = Outlay::of(state, &run.limits, &run.price);
    let kept = match &state.scope {
        Some(scope) if screening => kept_back(state, scope.confirm, None).amount,
        _ => Amount::default(),
    };
    leaves(state, outlay, 0, Need { amount: kept, runs: 0 })
}
