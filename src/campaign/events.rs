//! What may happen to a campaign, as it stands in `events.jsonl`.
//!
//! An event is a fact that will not change: it carries values, not references to code that could compute them
//! differently tomorrow. Intents are events too (`AttemptReserved` is written before a process is started), so that a
//! controller killed between two lines leaves a journal from which the next one can go on.
//! Boundary: data only; what an event means is in [`super::apply`].

use crate::analysis::{Interval, Verdict};
use crate::config::{Campaign, Downscale, Experiment};
use crate::failure;
use crate::ids::{AttemptId, RunId, RunKey};
use crate::planner::Assignment;
use crate::problem::{Problem, Result};
use crate::units::{Bytes, DeviceTime, Dollars};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of the events written by this program; a journal with a newer one is refused.
pub const VERSION: u32 = 1;

/// What a run is expected to take, from the programs and the measured throughput of this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// Expected wall seconds of an undisturbed attempt, start-up and evaluation included.
    pub seconds: f64,
    /// Upper end of an 80% interval for it.
    pub high_seconds: f64,
    /// Expected peak resident memory.
    pub memory: Bytes,
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
    /// The first look at a candidate, on the first seed of the baseline.
    Candidate {
        /// Index of the proposal.
        index: u64,
    },
    /// A repetition of a finalist on another seed of the baseline.
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
    /// BLAKE3 of the final weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
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
    },
    /// No further attempt.
    GiveUp {
        /// What happened, and why there is no further attempt.
        reason: String,
    },
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
    /// A person asked it to stop.
    Stopped,
    /// A person had its attempts killed.
    Cancelled,
    /// Too few repetitions of the baseline ended with a value to compare anything with.
    BaselineFailed,
}

impl Reason {
    /// In words, to go after "it ended because".
    pub fn words(self) -> &'static str {
        match self {
            Reason::GoalMet => "the goal is met",
            Reason::BudgetSpent => "nothing further fits in the budget",
            Reason::SpaceExhausted => "the planner has nothing new to propose",
            Reason::CandidatesDone => "all candidates that were asked for have been tried",
            Reason::Stopped => "a person stopped it",
            Reason::Cancelled => "a person cancelled it",
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

/// Something that happened, or that was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "kebab-case")]
pub enum Event {
    /// The first line: the campaign as it was understood, all defaults and presets filled in.
    Created {
        /// The resolved campaign.
        campaign: Box<Campaign>,
        /// Folder that relative data paths of experiments refer to, relative to the campaign's folder.
        base: PathBuf,
        /// Version of the program.
        version: String,
    },
    /// A controller took over.
    ControllerStarted {
        /// Version of the program.
        version: String,
    },
    /// A controller left while the campaign goes on.
    ControllerStopped {
        /// Why, in words.
        why: String,
    },
    /// `campaign.toml` was changed between two controllers.
    Edited {
        /// The campaign as it is from now on.
        campaign: Box<Campaign>,
        /// Keys that changed, each with its old and new value.
        changes: Vec<String>,
    },
    /// What the budget allows: the baseline as it will be run, on which seeds.
    Scoped {
        /// The baseline, after any downscaling.
        baseline: Box<Experiment>,
        /// Of one run of it.
        price: Price,
        /// Seeds of the baseline.
        seeds: Vec<u64>,
        /// Seeds of a confirmation.
        confirm: usize,
        /// What was given up.
        downscaled: Vec<Downscaled>,
    },
    /// The planner proposed something.
    ProposalMade {
        /// From 0.
        index: u64,
        /// Name of the planner.
        planner: String,
        /// What to set in the baseline.
        assignment: Assignment,
        /// Results the planner had seen. With `index` and the journal this is enough to derive the proposal again.
        observed: usize,
        /// In words.
        why: String,
        /// Expected cost; none where it could not be priced (a rejection follows).
        price: Option<Price>,
        /// Expected improvement in noise floors, where the planner has an opinion.
        gain: Option<f64>,
    },
    /// A proposal that will not be run.
    ProposalRejected {
        /// Which.
        index: u64,
        /// The problem's words.
        reason: String,
    },
    /// A run was decided on.
    RunPlanned {
        /// Numbered from 1, without gaps.
        id: RunId,
        /// Its identity.
        key: RunKey,
        /// Complete, seed included.
        experiment: Box<Experiment>,
        /// The seed.
        seed: u64,
        /// Why it is made.
        purpose: Purpose,
        /// What it is expected to take.
        price: Price,
        /// Seeds of a confirmation from now on.
        confirm: usize,
        /// What was given up so that it fits.
        downscaled: Vec<Downscaled>,
        /// In words.
        why: String,
    },
    /// A candidate needs a run that exists already: its result is used again and nothing is paid.
    RunReused {
        /// Index of the proposal.
        index: u64,
        /// The run.
        run: RunId,
        /// The seed.
        seed: u64,
    },
    /// An attempt is about to be launched, and its worst case is set aside.
    AttemptReserved {
        /// Which.
        id: AttemptId,
        /// Devices x (wall limit + kill margin).
        time: DeviceTime,
        /// Its price.
        dollars: Dollars,
        /// The worker's own wall limit, in seconds.
        wall_seconds: f64,
        /// Memory limit; 0 for none.
        memory: Bytes,
        /// Micro-batch; 0 for the whole batch.
        micro_batch: usize,
        /// Checkpoint of an earlier attempt, relative to the campaign folder.
        resume_from: Option<PathBuf>,
    },
    /// The executor has it.
    AttemptLaunched {
        /// Which.
        id: AttemptId,
    },
    /// It is over, and settled.
    AttemptEnded {
        /// Which.
        id: AttemptId,
        /// How it ended.
        class: failure::Class,
        /// What was seen.
        evidence: EvidenceSummary,
        /// Settled: what it used, never more than was reserved.
        time: DeviceTime,
        /// The price of that.
        dollars: Dollars,
        /// Used beyond the reservation.
        overrun: DeviceTime,
        /// Newest complete checkpoint, relative to the campaign folder.
        checkpoint: Option<PathBuf>,
        /// It was killed because a person cancelled the campaign.
        cancelled: bool,
    },
    /// What follows from an attempt's end.
    RecoveryDecided {
        /// Which attempt.
        id: AttemptId,
        /// What follows.
        next: NextStep,
        /// In words.
        why: String,
    },
    /// A run has its result.
    RunFinished {
        /// Which.
        id: RunId,
        /// The result.
        result: RunResult,
    },
    /// The baseline's repetitions are done.
    BaselineEstablished {
        /// The objective, by seed.
        values: BTreeMap<u64, f64>,
        /// Of the mean.
        interval: Interval,
        /// Differences smaller than this are noise.
        floor: f64,
    },
    /// No further candidates will be proposed.
    SearchEnded {
        /// Why.
        reason: Reason,
        /// In words.
        why: String,
    },
    /// A candidate is worth its confirmation.
    FinalistChosen {
        /// Which.
        index: u64,
        /// In words.
        why: String,
    },
    /// A finalist was compared with the baseline, seed by seed.
    CandidateJudged {
        /// Which.
        index: u64,
        /// `Better`: confirmed.
        verdict: Verdict,
        /// Candidate minus baseline on the same seeds; none with fewer than two pairs.
        difference: Option<Interval>,
        /// Of the candidate's own mean.
        own: Option<Interval>,
        /// In words.
        why: String,
    },
    /// A person wants running attempts to end by themselves and nothing new to start.
    StopRequested,
    /// A person wants running attempts killed.
    CancelRequested,
    /// A concluded campaign goes on.
    Reopened {
        /// Why.
        why: String,
    },
    /// It is over.
    Concluded(Conclusion),
}

impl Event {
    /// As an envelope's `(kind, version, data)`.
    pub fn encode(&self) -> Result<(String, u32, Value)> {
        let broken = |e: &dyn std::fmt::Display| Problem::failed(format!("an event cannot be written as JSON: {e}"));
        let mut value = serde_json::to_value(self).map_err(|e| broken(&e))?;
        let kind = value["kind"].as_str().ok_or_else(|| broken(&"no kind"))?.to_string();
        Ok((kind, VERSION, value.get_mut("data").map(Value::take).unwrap_or(Value::Null)))
    }

    /// From an envelope's `(kind, version, data)`.
    pub fn decode(kind: &str, version: u32, data: &Value) -> Result<Self> {
        if version > VERSION {
            return Err(Problem::usage(format!(
                "event `{kind}` has version {version}; this program reads up to version {VERSION}"
            ))
            .remedy("use a newer nanoresearch: this campaign was written by one"));
        }
        let mut value = serde_json::Map::new();
        value.insert("kind".into(), kind.into());
        if !data.is_null() {
            value.insert("data".into(), data.clone());
        }
        serde_json::from_value(Value::Object(value)).map_err(|e| {
            Problem::usage(format!("event `{kind}` cannot be understood: {e}")).remedy(
                "the journal is damaged or was written by another version: restore events.jsonl, or start a new campaign",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_as_they_were_written() {
        let id = AttemptId { run: RunId(7), number: 2 };
        let all = [
            Event::StopRequested,
            Event::Concluded(Conclusion { reason: Reason::GoalMet, best: Some(3), sentence: "it is".into() }),
            Event::AttemptLaunched { id },
            Event::RecoveryDecided {
                id,
                next: NextStep::Retry {
                    resume: true,
                    charged: false,
                    wall_seconds: 1.5,
                    memory: Bytes(0),
                    micro_batch: 8,
                },
                why: "it was killed".into(),
            },
            Event::RunReused { index: 4, run: RunId(1), seed: 9 },
        ];
        for event in all {
            let (kind, version, data) = event.encode().unwrap();
            assert_eq!(Event::decode(&kind, version, &data).unwrap(), event);
        }
    }

    #[test]
    fn newer_and_unknown_events_are_refused_with_what_to_do() {
        let newer = Event::decode("stop-requested", VERSION + 1, &Value::Null).unwrap_err();
        assert!(newer.remedy.is_some() && newer.what.contains("version"));
        let unknown = Event::decode("teleported", VERSION, &Value::Null).unwrap_err();
        assert!(unknown.what.contains("teleported") && unknown.remedy.is_some());
    }
}
