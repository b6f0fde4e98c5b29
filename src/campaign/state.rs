//! What is known of a campaign: everything that viewers show and decisions rest on, made from events alone.
//!
//! Boundary: data and simple questions about it; those about seeds, candidates and the planner are in [`super::questions`].
//! It changes only in [`super::apply`]; nothing here reads a file or a clock.

use super::approval::Approvals;
use super::counsel::Counsel;
use super::facts::{
    Conclusion, Downscaled, EvidenceSummary, NextStep, Price, Purpose, Reason, RunResult, Seen, Weighed,
};
use super::ledger::{Amount, Ledger};
use super::writing::Writing;
use crate::analysis::{Interval, Verdict};
use crate::config::{Campaign, Direction, Experiment};
use crate::failure;
use crate::ids::{AttemptId, RunId, RunKey};
use crate::planner::Assignment;
use crate::slurm::Placed;
use crate::units::{Bytes, DeviceTime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A campaign as its events tell it. Times are seconds since the Unix epoch, as the journal's writer saw them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The campaign as it is now (budgets may have been edited).
    pub campaign: Campaign,
    /// Folder that relative data paths refer to, relative to the campaign's folder.
    pub base: PathBuf,
    /// When it was created.
    pub created: f64,
    /// Time of the last event.
    pub updated: f64,
    /// Number of events so far.
    pub events: u64,
    /// The account.
    pub ledger: Ledger,
    /// What the budget allows; none before the first decision.
    pub scope: Option<Scope>,
    /// Run `n` is at `n - 1`.
    pub runs: Vec<Run>,
    /// Proposal `i` is at `i`.
    pub candidates: Vec<Candidate>,
    /// What became known of candidates, in that order: results, failures, and values at rungs.
    pub known: Vec<Known>,
    /// The noise floor, once the baseline's repetitions are done.
    pub baseline: Option<Baseline>,
    /// Why no further candidates are proposed.
    pub search_ended: Option<(Reason, String)>,
    /// Nodes of the cluster that are left alone.
    #[serde(default)]
    pub quarantined: BTreeSet<String>,
    /// What attempts need and do not find where they run; somebody has to put it there and resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// What a person asked for.
    pub halt: Option<Halt>,
    /// A person wants nothing new to start.
    #[serde(default)]
    pub paused: bool,
    /// What people were asked before something is spent.
    #[serde(default)]
    pub approvals: Approvals,
    /// Attempts that the present controller's executor can have at once; 0 where it is not known.
    #[serde(default)]
    pub slots: usize,
    /// What language models were asked and said.
    #[serde(default)]
    pub counsel: Counsel,
    /// What was asked for texts about it.
    #[serde(default, skip_serializing_if = "Writing::is_empty")]
    pub writing: Writing,
    /// What came of it.
    pub conclusion: Option<Conclusion>,
    /// Every decision with its reason, in order; see [`why`](Self::why).
    pub decisions: Vec<Decision>,
}

/// What the budget allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// The baseline as it is run (seed 0 stands for all).
    pub baseline: Experiment,
    /// Of one run of it.
    pub price: Price,
    /// Its seeds.
    pub seeds: Vec<u64>,
    /// Seeds a confirmation has now.
    pub confirm: usize,
    /// What was given up for the whole campaign.
    pub downscaled: Vec<Downscaled>,
}

/// The baseline's repetitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The objective, by seed.
    pub values: BTreeMap<u64, f64>,
    /// Of the mean.
    pub interval: Interval,
    /// Differences smaller than this are noise.
    pub floor: f64,
}

/// Something that became known of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Index of the proposal.
    pub index: u64,
    /// The objective; none where it ended without.
    pub value: Option<f64>,
    /// Share of the training it rests on; 1 for the whole of it.
    pub trained: f64,
}

/// A rung that a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Steps done.
    pub step: u64,
    /// The objective there.
    pub value: f64,
}

/// What a person asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Halt {
    /// Let running attempts end, start nothing.
    Stop,
    /// Kill running attempts.
    Cancel,
}

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

/// A proposal and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// From 0.
    pub index: u64,
    /// Who proposed it.
    pub planner: String,
    /// What it sets in the baseline.
    pub assignment: Assignment,
    /// Results the planner had seen.
    pub observed: usize,
    /// Which those are.
    pub seen: Seen,
    /// The planner's words.
    pub why: String,
    /// Expected cost; none where it could not be priced.
    pub price: Option<Price>,
    /// Expected improvement in noise floors, where the planner had an opinion.
    pub gain: Option<f64>,
    /// What it was chosen by, where several were weighed.
    #[serde(default)]
    pub weighed: Option<Weighed>,
    /// When.
    pub proposed: f64,
    /// Its runs by seed.
    pub runs: BTreeMap<u64, RunId>,
    /// The one of them by which it was first looked at, and chosen or not.
    pub screening: Option<RunId>,
    /// The objective of that run.
    pub value: Option<f64>,
    /// How it stands.
    pub standing: Standing,
}

/// How a candidate stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Standing {
    /// Waiting for a place or for budget.
    Proposed,
    /// Not run.
    Rejected {
        /// In words.
        reason: String,
    },
    /// Its first run is under way.
    Screening,
    /// Its first run gave a value.
    Screened,
    /// Its first run gave none.
    Failed {
        /// In words.
        reason: String,
    },
    /// Its repetitions are under way.
    Confirming,
    /// Compared with the baseline.
    Judged {
        /// `Better`: confirmed.
        verdict: Verdict,
        /// Candidate minus baseline, paired by seed.
        difference: Option<Interval>,
        /// Of its own mean.
        own: Option<Interval>,
        /// In words.
        why: String,
    },
}

/// A decision and its reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: f64,
    /// The run it is about.
    pub run: Option<RunId>,
    /// The candidate it is about.
    pub candidate: Option<u64>,
    /// What was decided, and why, in one line.
    pub text: String,
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

impl Candidate {
    /// Its runs but the one it was chosen by, by seed: what a verdict may rest on.
    pub fn fresh(&self) -> impl Iterator<Item = (u64, RunId)> + '_ {
        self.runs.iter().filter(|(_, run)| Some(**run) != self.screening).map(|(seed, run)| (*seed, *run))
    }
}

impl State {
    /// The run of that number.
    pub fn run(&self, id: RunId) -> Option<&Run> {
        (id.0 as usize).checked_sub(1).and_then(|i| self.runs.get(i))
    }

    /// The attempt of that number.
    pub fn attempt(&self, id: AttemptId) -> Option<&Attempt> {
        self.run(id.run).and_then(|r| r.attempt(id.number))
    }

    /// The run with that identity: it is never paid for twice.
    pub fn run_with(&self, key: &RunKey) -> Option<&Run> {
        self.runs.iter().find(|r| r.key == *key)
    }

    /// Attempts that hold a reservation, in the order of their runs.
    pub fn live(&self) -> impl Iterator<Item = &Attempt> {
        self.runs.iter().filter_map(Run::live)
    }

    /// Name of the objective's metric.
    pub fn metric(&self) -> &'static str {
        self.campaign.objective.metric.name()
    }

    /// Which way is better.
    pub fn direction(&self) -> Direction {
        self.campaign.objective.direction()
    }

    /// The objective of a finished run.
    pub fn value(&self, run: &Run) -> Option<f64> {
        run.metric(self.metric())
    }

    /// Whether objective `a` is better than `b`.
    pub fn better(&self, a: f64, b: f64) -> bool {
        match self.direction() {
            Direction::Minimize => a < b,
            Direction::Maximize => a > b,
        }
    }

    /// Whether the whole interval lies beyond the goal.
    pub fn meets_goal(&self, interval: &Interval) -> bool {
        match (self.campaign.objective.goal, self.direction()) {
            (None, _) => false,
            (Some(goal), Direction::Minimize) => interval.high < goal,
            (Some(goal), Direction::Maximize) => interval.low > goal,
        }
    }
}
