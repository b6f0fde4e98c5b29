//! What an attempt's end means, and what to do about it: written rules, each tested, no cleverness.
//!
//! [`classify`] turns evidence into a [`Class`]; [`recover`] turns a class and the run's history into what happens next.
//! Infrastructure failures end here and never reach a planner; a refusal and a divergence do.
//!
//! Boundary: pure functions over records. Must not know executors, campaigns, budgets, files or clocks: who asks decides
//! whether a recovery can be paid for.

mod classify;
mod recover;

pub use classify::{Class, classify, describe};
pub use recover::{
    BUSY_BOUND, CHECKPOINT_BOUND, Change, DEVICE_MEMORY_BOUND, Policy, Recovery, attempts_bound, recover,
};
