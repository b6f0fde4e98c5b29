//! What events carry: prices, purposes, results, reasons and conclusions, as they stand in `events.jsonl`.
//!
//! Boundary: data and the words for it; what may happen to a campaign is in [`super::events`].

use crate::config::Downscale;
use crate::planner::Prospect;
use crate::record::{JobEnd, UtilizationSummary};
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a run is expected to take, from the programs and the measured throughput of this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// Expected wall seconds of an undisturbed attempt, start-up and evaluation included.
    pub seconds: f64,
    /// Upper end of an 80% interval for it.
    pub high_seconds: f64,
    /// Expected peak resident memory.
    pub memory: Bytes,
    /// Expected peak memory of its GPU; none for a run on a CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory: Option<Bytes>,
    /// Optimiser steps of the run.
    pub steps: u64,
    /// Hash of the dataset's content; part of the run's identity.
    pub data_hash: String,
}

/// Why a run is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "kebab-case")]
pub enum Purpose {
    /// One of the baseline's repetitions.
    Baseline,
    /// The first look at a candidate, on a seed that no comparison uses.
    Candidate {
        /// Index of the proposal.
        index: u64,
    },
    /// A repetition of a finalist on one of the baseline's seeds.
    Confirm {
        /// Index of the proposal.
        index: u64,
    },
}

impl Purpose {
    /// The candidate it is about.
    pub fn candidate(self) -> Option<u64> {
        match self {
            Purpose::Baseline => None,
            Purpose::Candidate { index } | Purpose::Confirm { index } => Some(index),
        }
    }

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Baseline => "baseline",
            Purpose::Candidate { .. } => "candidate",
            Purpose::Confirm { .. } => "confirm",
        }
    }
}

/// What a proposal was chosen by, where several were weighed against each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weighed {
    /// Weight of novelty at the time.
    pub beta: f64,
    /// Factor from predicted to expected device-seconds at the time.
    pub alpha: f64,
    /// Device-seconds that were free for candidates.
    pub left: f64,
    /// Everything considered: the chosen one first, the others by priority.
    pub pool: Vec<Prospect>,
}

impl Weighed {
    /// The inputs of the choice in one line.
    pub fn words(&self) -> String {
        let number = |x: Option<f64>| x.map_or_else(|| "unknown".to_string(), |x| format!("{x:.3}"));
        let Some(first) = self.pool.first() else { return String::new() };
        let calibration = match (first.gain, first.raw_gain) {
            (Some(gain), Some(raw)) if raw > 0.0 => format!(" ({raw:.3} before calibration by {:.2})", gain / raw),
            _ => String::new(),
        };
        let others: Vec<String> = self.pool[1..]
            .iter()
            .take(3)
            .map(|p| format!("gain {} at {:.1} s has {:.2}", number(p.gain), p.cost, p.priority))
            .collect();
        format!(
            "gain {} noise floors{calibration}, cost {:.1} device-s (alpha {:.2}), novelty {:.2}, beta {:.3}, priority {:.2}, \
             chosen of {}; {:.0} device-s are left{}{}",
            number(first.gain),
            first.cost,
            self.alpha,
            first.novelty,
            self.beta,
            first.priority,
            self.pool.len(),
            self.left,
            if others.is_empty() { "" } else { "; passed over: " },
            others.join(", ")
        )
    }
}

/// One thing that was given up so that a run fits in what is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Downscaled {
    /// What.
    pub what: Downscale,
    /// Before, in words with the unit: `300 steps`.
    pub from: String,
    /// After.
    pub to: String,
}

/// What was seen of an ended attempt, without logs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EvidenceSummary {
    /// The worker's word for its end (`completed`, `diverged`, ...), where it left one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Steps done, of the run.
    pub step: u64,
    /// Finite metrics of the last evaluation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Exit code, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Signal, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Wall seconds from launch to end.
    pub seconds: f64,
    /// Seconds inside optimiser steps.
    pub training_seconds: f64,
    /// Largest resident memory.
    pub peak_memory: Bytes,
    /// Memory that was wanted and memory that there was, of an attempt that ended for memory; 0 where one is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<(Bytes, Bytes)>,
    /// The cluster's name of its node, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What the cluster's records say of its job, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Box<JobEnd>>,
    /// Dollars a device-hour at the place where it ran, where places have prices of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dollars_per_device_hour: Option<f64>,
    /// BLAKE3 of the final weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// What it used of the machine, by its own looks; absent in journals of before they were taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilization: Option<Box<UtilizationSummary>>,
    /// Its learning curve in a few numbers, where it left one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Box<super::curve::Curve>>,
    /// BLAKE3 of the whole lines of its metrics; absent in journals of before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_hash: Option<String>,
    /// One line in words: the worker's message, or what is missing.
    pub detail: String,
}

/// What follows from an attempt's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "then", rename_all = "kebab-case")]
pub enum NextStep {
    /// The run is complete.
    Finish,
    /// The end is a result of its own (it diverged).
    Accept {
        /// What the result is, in words.
        reason: String,
    },
    /// Another attempt.
    Retry {
        /// Go on from the newest checkpoint.
        resume: bool,
        /// Counts against the retries that are allowed.
        charged: bool,
        /// Wall limit of the next attempt, in seconds.
        wall_seconds: f64,
        /// Memory limit of the next attempt; 0 for none.
        memory: Bytes,
        /// Micro-batch of the next attempt; 0 for the whole batch.
        micro_batch: usize,
        /// Memory that the GPU of the next attempt must have; 0 for any.
        #[serde(default, skip_serializing_if = "is_nothing")]
        device_memory: Bytes,
        /// It does not begin before this time (Unix seconds).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_before: Option<f64>,
    },
    /// It waits at a rung of successive halving until it is promoted.
    Pause,
    /// It waits until somebody has put in place what it lacks, and so does the campaign.
    Halt {
        /// What is missing, in words.
        reason: String,
    },
    /// No further attempt.
    GiveUp {
        /// What happened, and why there is no further attempt.
        reason: String,
    },
}

/// For fields that are left out where they say nothing.
pub(super) fn is_nothing(bytes: &Bytes) -> bool {
    bytes.0 == 0
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum RunResult {
    /// Trained to the end.
    Finished {
        /// Metrics of the last evaluation.
        metrics: BTreeMap<String, f64>,
    },
    /// Without a value.
    Failed {
        /// Why, in words.
        reason: String,
    },
}

/// Why a campaign, or its search, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A confirmed candidate's interval lies beyond the goal.
    GoalMet,
    /// Nothing further fits in the budget.
    BudgetSpent,
    /// The planner has nothing new to propose.
    SpaceExhausted,
    /// As many candidates as were asked for have been tried.
    CandidatesDone,
    /// The analyst saw nothing further worth its cost.
    Advised,
    /// A person asked it to stop.
    Stopped,
    /// A person had its attempts killed.
    Cancelled,
    /// Something that attempts need is not there where they run.
    Missing,
    /// Too few repetitions of the baseline ended with a value to compare anything with.
    BaselineFailed,
}

impl Reason {
    /// In words, to go after "it ended because".
    pub fn words(self) -> &'static str {
        match self {
            Reason::GoalMet => "the goal is met",
            Reason::BudgetSpent => "nothing further fits in the budget of time, dollars or runs",
            Reason::SpaceExhausted => "the planner has nothing new to propose",
            Reason::CandidatesDone => "all candidates that were asked for have been tried",
            Reason::Advised => "the analyst saw nothing further worth its cost",
            Reason::Stopped => "a person stopped it",
            Reason::Cancelled => "a person cancelled it",
            Reason::Missing => "its attempts cannot run where they are sent before something is put right",
            Reason::BaselineFailed => "the baseline failed",
        }
    }
}

/// What came of a campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conclusion {
    /// Why it ended.
    pub reason: Reason,
    /// The best confirmed candidate, if any cleared the noise floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<u64>,
    /// The finding in one sentence, numbers included.
    pub sentence: String,
}

/// Which results a proposal rests on, of those its event counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// The first to become known, in that order.
    #[default]
    Arrived,
    /// Those of the first proposals, in the order in which they were proposed.
    Earliest,
}
