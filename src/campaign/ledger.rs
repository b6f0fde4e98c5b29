//! The account of device time and dollars: reserved before an attempt, settled after it, the rest refunded.
//!
//! All amounts are integers, so sums are exact in any order. The invariant, checked by a property test over random
//! orders of events, is `reserved + settled <= budget` in both columns, always.
//! Boundary: knows attempts by their number and nothing of what they do.

use crate::config::Campaign;
use crate::ids::AttemptId;
use crate::problem::{Problem, Result};
use crate::units::{DeviceTime, Dollars};
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Device time and what it costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Devices held times wall time.
    pub time: DeviceTime,
    /// Its price.
    pub dollars: Dollars,
}

impl Amount {
    /// `time` at a price for the device-hour, rounded up to the micro-dollar.
    pub fn priced(time: DeviceTime, dollars_per_device_hour: f64) -> Self {
        Amount { time, dollars: Dollars::of(time.hours() * dollars_per_device_hour) }
    }

    /// With what an attempt costs beside its device-hours.
    pub fn with_overhead(self, campaign: &Campaign) -> Self {
        let overhead = Dollars::of(campaign.budget.overhead_dollars_per_attempt);
        Amount { dollars: Dollars { micro: self.dollars.micro.saturating_add(overhead.micro) }, ..self }
    }

    /// This amount `n` times.
    pub fn times(self, n: usize) -> Self {
        let n = n as u64;
        Amount {
            time: DeviceTime { ms: self.time.ms.saturating_mul(n) },
            dollars: Dollars { micro: self.dollars.micro.saturating_mul(n) },
        }
    }

    /// Column by column, the smaller one.
    pub fn min(self, other: Self) -> Self {
        Amount { time: self.time.min(other.time), dollars: self.dollars.min(other.dollars) }
    }

    /// Column by column, the larger one.
    pub fn max(self, other: Self) -> Self {
        Amount { time: self.time.max(other.time), dollars: self.dollars.max(other.dollars) }
    }

    /// Column by column, `self - other` or zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Amount {
            time: self.time.saturating_sub(other.time),
            dollars: Dollars { micro: self.dollars.micro.saturating_sub(other.dollars.micro) },
        }
    }

    /// Whether both columns are at most the other's.
    pub fn within(self, other: Self) -> bool {
        self.time <= other.time && self.dollars <= other.dollars
    }

    fn checked_add(self, other: Self) -> Option<Self> {
        Some(Amount {
            time: DeviceTime { ms: self.time.ms.checked_add(other.time.ms)? },
            dollars: Dollars { micro: self.dollars.micro.checked_add(other.dollars.micro)? },
        })
    }
}

impl std::ops::Add for Amount {
    type Output = Self;
    /// Column by column; stops at the largest number instead of wrapping (budgets are compared, never wrapped).
    fn add(self, other: Self) -> Self {
        Amount {
            time: DeviceTime { ms: self.time.ms.saturating_add(other.time.ms) },
            dollars: Dollars { micro: self.dollars.micro.saturating_add(other.dollars.micro) },
        }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// The account of one campaign.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    budget_time: DeviceTime,
    /// None: dollars are counted but not limited.
    budget_dollars: Option<Dollars>,
    /// Open reservations, in the order in which they were made.
    open: Vec<(AttemptId, Amount)>,
    settled: Amount,
    refunded: Amount,
    /// Time that attempts held beyond their reservation. It is charged to nobody, and never hidden.
    overrun: DeviceTime,
    /// Set aside for a question to a language model.
    #[serde(default)]
    asking: Dollars,
    /// Paid for answered ones.
    #[serde(default)]
    asked: Dollars,
}

impl Ledger {
    /// An empty account.
    pub fn new(time: DeviceTime, dollars: Option<Dollars>) -> Self {
        Ledger { budget_time: time, budget_dollars: dollars, ..Ledger::default() }
    }

    /// What may be spent in device time.
    pub fn budget(&self) -> DeviceTime {
        self.budget_time
    }

    /// What may be spent in dollars; `None` where only device time is limited.
    pub fn budget_dollars(&self) -> Option<Dollars> {
        self.budget_dollars
    }

    /// Held by attempts that have not been settled.
    pub fn reserved(&self) -> Amount {
        self.open.iter().fold(Amount::default(), |sum, (_, a)| sum + *a)
    }

    /// Used by attempts that ended.
    pub fn settled(&self) -> Amount {
        self.settled
    }

    /// Reserved once and given back.
    pub fn refunded(&self) -> Amount {
        self.refunded
    }

    /// Device time held beyond reservations (an attempt that outlived its kill margin).
    pub fn overrun(&self) -> DeviceTime {
        self.overrun
    }

    /// Reserved plus settled, questions to language models included.
    pub fn committed(&self) -> Amount {
        let questions = Dollars { micro: self.asking.micro.saturating_add(self.asked.micro) };
        self.reserved() + self.settled + Amount { time: DeviceTime::default(), dollars: questions }
    }

    /// Paid for questions to language models.
    pub fn asked(&self) -> Dollars {
        self.asked
    }

    /// Sets aside what a question may cost; refuses what does not fit.
    pub fn ask(&mut self, allowance: Dollars) -> Result<()> {
        if !self.fits(Amount { time: DeviceTime::default(), dollars: allowance }) {
            return Err(Problem::failed(format!("a question for {allowance} does not fit in what is left")));
        }
        self.asking = allowance;
        Ok(())
    }

    /// Pays for a question what it cost: never more than was set aside where dollars are limited, which the asker sees to.
    pub fn answer(&mut self, cost: Dollars) {
        let limit = if self.budget_dollars.is_some() { self.asking } else { cost };
        self.asking = Dollars::default();
        self.asked.micro = self.asked.micro.saturating_add(cost.min(limit).micro);
    }

    /// What is neither reserved nor settled. Without a dollar limit the dollar column is the largest number.
    pub fn free(&self) -> Amount {
        let limit =
            Amount { time: self.budget_time, dollars: self.budget_dollars.unwrap_or(Dollars { micro: u64::MAX }) };
        limit.saturating_sub(self.committed())
    }

    /// The open reservation of an attempt.
    pub fn reservation(&self, id: AttemptId) -> Option<Amount> {
        self.open.iter().find(|(other, _)| *other == id).map(|(_, amount)| *amount)
    }

    /// Whether `amount` could be reserved now.
    pub fn fits(&self, amount: Amount) -> bool {
        self.committed().checked_add(amount).is_some() && amount.within(self.free())
    }

    /// Reserves before an attempt is launched; refuses what does not fit and what is reserved already.
    pub fn reserve(&mut self, id: AttemptId, amount: Amount) -> Result<()> {
        if self.reservation(id).is_some() {
            return Err(Problem::failed(format!("attempt {id} has a reservation already")));
        }
        if !self.fits(amount) {
            let free = self.free();
            return Err(Problem::failed(format!(
                "a reservation of {} ({}) for attempt {id} does not fit: {} of {} are free",
                amount.time, amount.dollars, free.time, self.budget_time
            )));
        }
        self.open.push((id, amount));
        Ok(())
    }

    /// Settles what an attempt used and refunds the rest. Of a use beyond the reservation only the reservation is
    /// settled; the excess is returned and kept in [`overrun`](Self::overrun).
    pub fn settle(&mut self, id: AttemptId, used: Amount) -> Result<DeviceTime> {
        let Some(position) = self.open.iter().position(|(other, _)| *other == id) else {
            return Err(Problem::failed(format!("attempt {id} has no open reservation to settle")));
        };
        let (_, reserved) = self.open.remove(position);
        let charged = used.min(reserved);
        let overrun = used.time.saturating_sub(reserved.time);
        self.settled += charged;
        self.refunded += reserved.saturating_sub(charged);
        self.overrun += overrun;
        Ok(overrun)
    }

    /// Another budget; refused where more than that is committed already.
    pub fn set_budget(&mut self, time: DeviceTime, dollars: Option<Dollars>) -> Result<()> {
        let committed = self.committed();
        if committed.time > time || dollars.is_some_and(|limit| committed.dollars > limit) {
            return Err(Problem::usage(format!(
                "the budget cannot be lowered to {time}{}: {} ({}) are spent or reserved already",
                dollars.map(|d| format!(" and {d}")).unwrap_or_default(),
                committed.time,
                committed.dollars
            ))
            .at("budget")
            .remedy("choose a larger budget, or stop the campaign"));
        }
        self.budget_time = time;
        self.budget_dollars = dollars;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RunId;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Move {
        Reserve(u32, u64, u64),
        Settle(u32, u64, u64),
        Budget(u64, u64),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            (0..12u32, 0..900u64, 0..900u64).prop_map(|(i, t, d)| Move::Reserve(i, t, d)),
            (0..12u32, 0..1200u64, 0..1200u64).prop_map(|(i, t, d)| Move::Settle(i, t, d)),
            (0..3000u64, 0..3000u64).prop_map(|(t, d)| Move::Budget(t, d)),
        ];
        proptest::collection::vec(one, 0..80)
    }

    fn id(number: u32) -> AttemptId {
        AttemptId { run: RunId(1), number }
    }

    fn amount(ms: u64, micro: u64) -> Amount {
        Amount { time: DeviceTime { ms }, dollars: Dollars { micro } }
    }

    proptest! {
        /// Against a plain model of the account: whatever the order, what is accepted keeps the invariant, what is
        /// refused changes nothing, and every unit reserved is in exactly one of open, settled, refunded.
        #[test]
        fn never_over_budget(moves in moves(), limited in any::<bool>()) {
            let dollars = |micro| limited.then_some(Dollars { micro });
            let mut ledger = Ledger::new(DeviceTime { ms: 2000 }, dollars(2000));
            let mut reserved_ever = Amount::default();
            for step in moves {
                let before = ledger.clone();
                let accepted = match step {
                    Move::Reserve(i, t, d) => {
                        let accepted = ledger.reserve(id(i), amount(t, d)).is_ok();
                        if accepted { reserved_ever += amount(t, d) }
                        accepted
                    }
                    Move::Settle(i, t, d) => ledger.settle(id(i), amount(t, d)).is_ok(),
                    Move::Budget(t, d) => ledger.set_budget(DeviceTime { ms: t }, dollars(d)).is_ok(),
                };
                if !accepted { prop_assert_eq!(&ledger, &before) }
                let committed = ledger.committed();
                prop_assert!(committed.time <= ledger.budget());
                if let Some(limit) = ledger.budget_dollars() { prop_assert!(committed.dollars <= limit) }
                prop_assert_eq!(ledger.reserved() + ledger.settled() + ledger.refunded(), reserved_ever);
            }
        }
    }

    #[test]
    fn use_beyond_a_reservation_is_noted_and_not_charged() {
        let mut ledger = Ledger::new(DeviceTime { ms: 1000 }, None);
        ledger.reserve(id(1), amount(600, 6)).unwrap();
        assert_eq!(ledger.settle(id(1), amount(750, 7)).unwrap(), DeviceTime { ms: 150 });
        assert_eq!(ledger.settled(), amount(600, 6));
        assert_eq!(ledger.overrun(), DeviceTime { ms: 150 });
        assert!(ledger.settle(id(1), amount(1, 1)).is_err(), "an attempt is settled once");
    }

    #[test]
    fn a_reservation_that_just_fits_is_made_and_one_more_is_not() {
        let mut ledger = Ledger::new(DeviceTime { ms: 1000 }, Some(Dollars { micro: 10 }));
        assert!(!ledger.fits(amount(1001, 0)));
        assert!(!ledger.fits(amount(1, 11)));
        ledger.reserve(id(1), amount(1000, 10)).unwrap();
        assert!(ledger.reserve(id(2), amount(1, 0)).is_err());
        ledger.settle(id(1), amount(999, 10)).unwrap();
        ledger.reserve(id(2), amount(1, 0)).unwrap();
        assert!(ledger.fits(Amount::default()));
    }
}
