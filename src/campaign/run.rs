//! Runs, their attempts and what these may use: the part of the [`super::state`] that says what was trained.
//!
//! Boundary: data and simple questions about it; it changes only in [`super::apply`].

use super::facts::{Downscaled, EvidenceSummary, NextStep, Price, Purpose, RunResult};
use super::ledger::Amount;
use crate::config::{Campaign, Experiment};
use crate::failure;
use crate::ids::{AttemptId, RunId, RunKey};
use crate::slurm::Placed;
use crate::units::{Bytes, DeviceTime};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One training of one experiment with one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Its identity.
    pub key: RunKey,
    /// Complete, seed included.
    pub experiment: Experiment,
    /// The seed.
    pub seed: u64,
    /// Why it is made.
    pub purpose: Purpose,
    /// What it was expected to take.
    pub price: Price,
    /// What was given up so that it fits.
    pub downscaled: Vec<Downscaled>,
    /// When it was decided on.
    pub planned: f64,
    /// What the next attempt may use.
    pub limits: Limits,
    /// Attempt `n` is at `n - 1`.
    pub attempts: Vec<Attempt>,
    /// What follows from the last attempt's end; none while it lives and before it is decided.
    pub next: Option<NextStep>,
    /// Steps at which it waits for its promotion.
    #[serde(default)]
    pub rungs: Vec<u64>,
    /// The rungs it came to, from the first.
    #[serde(default)]
    pub reached: Vec<Reached>,
    /// How many of those it was judged at while it trained on.
    #[serde(default)]
    pub judged: usize,
    /// Step at which its next attempt is to stop; none for the end.
    #[serde(default)]
    pub stop_at: Option<u64>,
    /// It waits at the last rung it came to.
    #[serde(default)]
    pub paused: bool,
    /// How it ended; none before.
    pub result: Option<RunResult>,
    /// When it ended.
    pub finished: Option<f64>,
}

/// What an attempt may use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall seconds, start-up included.
    pub wall_seconds: f64,
    /// Resident memory; 0 for no limit.
    pub memory: Bytes,
    /// Samples processed at once; 0 for the whole batch.
    pub micro_batch: usize,
    /// Memory that its GPU must have; 0 for any.
    #[serde(default)]
    pub device_memory: Bytes,
}

impl Limits {
    /// Of a run's first attempt: what the experiment says, else the price with a margin. The price's upper end is
    /// passed by one attempt in ten, so the limit is twice that, and 5 seconds for a slow start.
    pub fn first(experiment: &Experiment, price: &Price) -> Self {
        let resources = &experiment.resources;
        let wall = resources.wall_seconds;
        Limits {
            wall_seconds: if wall > 0.0 { wall } else { 2.0 * price.high_seconds + 5.0 },
            memory: Bytes(resources.memory_mib.saturating_mul(1 << 20)),
            micro_batch: resources.micro_batch,
            device_memory: Bytes(0),
        }
    }

    /// Of an attempt at the steps after `from` and up to `to` (none for the end) of a run: the wall limit follows from the
    /// share of the steps.
    pub fn part(experiment: &Experiment, price: &Price, from: u64, to: Option<u64>) -> Self {
        let whole = Self::first(experiment, price);
        if experiment.resources.wall_seconds > 0.0 || (from == 0 && to.is_none()) {
            return whole;
        }
        let steps = to.unwrap_or(price.steps).saturating_sub(from);
        let share = (steps as f64 / price.steps.max(1) as f64).min(1.0);
        Limits { wall_seconds: 2.0 * share * price.high_seconds + 5.0, ..whole }
    }

    /// What must be reserved for an attempt: its share of one device for the wall limit and the kill margin.
    pub fn reservation(&self, campaign: &Campaign) -> Amount {
        let held = self.wall_seconds + campaign.execution.kill_margin_seconds;
        let time = DeviceTime::share(campaign.execution.attempts_per_device, held);
        Amount::priced(time, campaign.budget.dollars_per_device_hour).with_overhead(campaign)
    }

    /// The next step that gives another attempt under these limits.
    pub fn retry(self, resume: bool, charged: bool, not_before: Option<f64>) -> NextStep {
        let Limits { wall_seconds, memory, micro_batch, device_memory } = self;
        NextStep::Retry { resume, charged, wall_seconds, memory, micro_batch, device_memory, not_before }
    }
}

/// One execution of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number.
    pub id: AttemptId,
    /// What was reserved for it.
    pub reserved: Amount,
    /// What it may use.
    pub limits: Limits,
    /// Checkpoint it went on from, relative to the campaign folder.
    pub resume_from: Option<PathBuf>,
    /// Step at which it is to stop although the run goes further.
    #[serde(default)]
    pub stop_at: Option<u64>,
    /// When it was reserved.
    pub reserved_at: f64,
    /// When the executor had it; none if that was never seen.
    pub launched_at: Option<f64>,
    /// A later controller found it without an end and took it over.
    #[serde(default)]
    pub adopted: bool,
    /// It was judged at a rung and is asked to leave with a checkpoint.
    #[serde(default)]
    pub stopping: bool,
    /// Where on the cluster it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Box<Placed>>,
    /// How it ended; none while it lives.
    pub ended: Option<AttemptEnd>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// When that was seen.
    pub at: f64,
    /// What kind of end.
    pub class: failure::Class,
    /// What was seen.
    pub evidence: EvidenceSummary,
    /// Settled.
    pub used: Amount,
    /// Used beyond the reservation.
    pub overrun: DeviceTime,
    /// Newest complete checkpoint, relative to the campaign folder.
    pub checkpoint: Option<PathBuf>,
    /// Killed because a person cancelled the campaign.
    pub cancelled: bool,
}

/// A rung that a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Steps done.
    pub step: u64,
    /// The objective there.
    pub value: f64,
}

impl Run {
    /// The attempt that holds a reservation now.
    pub fn live(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|a| a.ended.is_none())
    }

    /// Its attempt of that number.
    pub fn attempt(&self, number: u32) -> Option<&Attempt> {
        (number as usize).checked_sub(1).and_then(|i| self.attempts.get(i))
    }

    /// A metric of the finished run.
    pub fn metric(&self, name: &str) -> Option<f64> {
        match &self.result {
            Some(RunResult::Finished { metrics }) => metrics.get(name).copied(),
            _ => None,
        }
    }

    /// Settled for all its attempts.
    pub fn used(&self) -> Amount {
        self.attempts.iter().filter_map(|a| a.ended.as_ref()).fold(Amount::default(), |sum, e| sum + e.used)
    }

    /// Largest memory seen in any attempt.
    pub fn peak_memory(&self) -> Bytes {
        let peaks = self.attempts.iter().filter_map(|a| a.ended.as_ref()).map(|e| e.evidence.peak_memory.0);
        Bytes(peaks.max().unwrap_or(0))
    }

    /// What a repetition of it may use: as much as its own last attempt at least.
    pub fn whole_limits(&self) -> Limits {
        let whole = Limits::first(&self.experiment, &self.price);
        Limits { wall_seconds: whole.wall_seconds.max(self.limits.wall_seconds), ..self.limits }
    }

    /// `planned`, `running`, `paused`, `retrying`, `finished` or `failed`.
    pub fn status(&self) -> &'static str {
        if self.paused {
            return "paused";
        }
        match (&self.result, self.live(), self.attempts.is_empty()) {
            (Some(RunResult::Finished { .. }), ..) => "finished",
            (Some(RunResult::Failed { .. }), ..) => "failed",
            (None, Some(_), _) => "running",
            (None, None, true) => "planned",
            (None, None, false) => "retrying",
        }
    }
}
