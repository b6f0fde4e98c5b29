//! What is known of a campaign: everything that viewers show and decisions rest on, made from events alone.
//!
//! Boundary: data and questions about it. It changes only in [`super::apply`]; nothing here reads a file or a clock.

use super::events::{Conclusion, Downscaled, EvidenceSummary, NextStep, Price, Purpose, Reason, RunResult};
use super::ledger::{Amount, Ledger};
use crate::analysis::{Interval, Verdict};
use crate::config::{Campaign, Direction, Experiment};
use crate::failure;
use crate::ids::{AttemptId, RunId, RunKey};
use crate::planner::{Assignment, Observation};
use crate::units::{Bytes, DeviceTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    /// Indexes of candidates in the order in which their first result (or failure) became known.
    pub known: Vec<u64>,
    /// The noise floor, once the baseline's repetitions are done.
    pub baseline: Option<Baseline>,
    /// Why no further candidates are proposed.
    pub search_ended: Option<(Reason, String)>,
    /// What a person asked for.
    pub halt: Option<Halt>,
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
    /// Seeds a confirmation has now, the screening seed included.
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
        }
    }

    /// What must be reserved for an attempt: one device for the wall limit and the kill margin.
    pub fn reservation(&self, campaign: &Campaign) -> Amount {
        let held = self.wall_seconds + campaign.execution.kill_margin_seconds;
        Amount::priced(DeviceTime::of(1, held), campaign.budget.dollars_per_device_hour)
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
    /// When it was reserved.
    pub reserved_at: f64,
    /// When the executor had it; none if that was never seen.
    pub launched_at: Option<f64>,
    /// A later controller found it without an end and took it over.
    #[serde(default)]
    pub adopted: bool,
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
    /// The planner's words.
    pub why: String,
    /// Expected cost; none where it could not be priced.
    pub price: Option<Price>,
    /// Expected improvement in noise floors, where the planner had an opinion.
    pub gain: Option<f64>,
    /// When.
    pub proposed: f64,
    /// Its runs by seed; the first one is the screening.
    pub runs: BTreeMap<u64, RunId>,
    /// The objective on the screening seed.
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

    /// `planned`, `running`, `retrying`, `finished` or `failed`.
    pub fn status(&self) -> &'static str {
        match (&self.result, self.live(), self.attempts.is_empty()) {
            (Some(RunResult::Finished { .. }), ..) => "finished",
            (Some(RunResult::Failed { .. }), ..) => "failed",
            (None, Some(_), _) => "running",
            (None, None, true) => "planned",
            (None, None, false) => "retrying",
        }
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

    /// The seed on which candidates are first looked at: the first of the baseline's that gave a value.
    pub fn screening_seed(&self) -> Option<u64> {
        let (scope, baseline) = (self.scope.as_ref()?, self.baseline.as_ref()?);
        scope.seeds.iter().copied().find(|seed| baseline.values.contains_key(seed))
    }

    /// Seeds of a confirmation, the screening seed first.
    pub fn confirmation_seeds(&self) -> Vec<u64> {
        let (Some(scope), Some(baseline)) = (&self.scope, &self.baseline) else { return Vec::new() };
        scope.seeds.iter().copied().filter(|s| baseline.values.contains_key(s)).take(scope.confirm).collect()
    }

    /// What the planner sees before proposal `index` when `known` results are known: those, in the order in which they
    /// became known, then the proposals that are still under way. Depends on nothing else, so that every proposal can
    /// be derived again from the journal.
    pub fn observations(&self, index: u64, known: usize) -> Vec<Observation> {
        let sign = if self.direction() == Direction::Maximize { -1.0 } else { 1.0 };
        let seen = &self.known[..known.min(self.known.len())];
        let finished = seen.iter().filter_map(|i| self.candidates.get(*i as usize)).map(|c| Observation {
            assignment: c.assignment.clone(),
            value: c.value.map(|v| sign * v),
            failed: c.value.is_none(),
            trained: 1.0,
        });
        let pending = self.candidates.iter().filter(|c| c.index < index && !seen.contains(&c.index));
        let pending = pending.map(|c| Observation::pending(c.assignment.clone()));
        finished.chain(pending).collect()
    }

    /// Screened candidates that beat the baseline on the seed both were run with, best first. Candidates that share
    /// their run (equal experiments) count once. What was judged already keeps its rank.
    pub fn contenders(&self) -> Vec<&Candidate> {
        let Some(reference) = self.screening_seed().and_then(|s| self.baseline.as_ref()?.values.get(&s)) else {
            return Vec::new();
        };
        let ranked = |c: &&Candidate| {
            matches!(c.standing, Standing::Screened | Standing::Confirming | Standing::Judged { .. })
                && c.value.is_some_and(|v| self.better(v, *reference))
        };
        let mut contenders: Vec<&Candidate> = self.candidates.iter().filter(ranked).collect();
        contenders.sort_by(|a, b| {
            let (x, y) = (a.value.unwrap_or(f64::NAN), b.value.unwrap_or(f64::NAN));
            let order = x.total_cmp(&y);
            let order = if self.direction() == Direction::Maximize { order.reverse() } else { order };
            order.then(a.index.cmp(&b.index))
        });
        let mut seen = Vec::new();
        contenders.retain(|c| {
            let screening = c.runs.values().next().copied();
            let new = !seen.contains(&screening);
            seen.push(screening);
            new
        });
        contenders
    }

    /// The best candidate that cleared the noise floor: by its mean over seeds.
    pub fn best(&self) -> Option<&Candidate> {
        let mut best: Option<(&Candidate, f64)> = None;
        for candidate in &self.candidates {
            if let Standing::Judged { verdict: Verdict::Better, own: Some(own), .. } = &candidate.standing
                && best.is_none_or(|(_, mean)| self.better(own.mean, mean))
            {
                best = Some((candidate, own.mean));
            }
        }
        best.map(|(candidate, _)| candidate)
    }

    /// Everything decided about a run and the candidate it serves, in order; for `why RUN`.
    pub fn why(&self, id: RunId) -> Vec<&Decision> {
        let serves = |c: &Candidate| c.runs.values().any(|r| *r == id);
        let candidates: Vec<u64> = self.candidates.iter().filter(|c| serves(c)).map(|c| c.index).collect();
        let about = |d: &&Decision| {
            d.run == Some(id) || (d.run.is_none() && d.candidate.is_some_and(|c| candidates.contains(&c)))
        };
        self.decisions.iter().filter(about).collect()
    }
}
