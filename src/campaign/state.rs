//! What is known of a campaign: everything that viewers show and decisions rest on, made from events alone.
//!
//! Boundary: data and simple questions about it; runs and attempts are in [`super::run`], questions about
//! seeds, candidates and the planner in [`super::questions`].
//! It changes only in [`super::apply`]; nothing here reads a file or a clock.

use super::approval::Approvals;
use super::counsel::Counsel;
use super::facts::{Conclusion, Downscaled, Price, Reason, Seen, Weighed};
use super::ledger::Ledger;
use super::run::{Attempt, Run};
use super::writing::Writing;
use crate::analysis::{Interval, Verdict};
use crate::config::{Campaign, Direction, Experiment};
use crate::ids::{AttemptId, RunId, RunKey};
use crate::planner::Assignment;
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

/// What a person asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Halt {
    /// Let running attempts end, start nothing.
    Stop,
    /// Kill running attempts.
    Cancel,
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
