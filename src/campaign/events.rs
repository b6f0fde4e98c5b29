//! What may happen to a campaign, as it stands in `events.jsonl`.
//!
//! An event is a fact that will not change: it carries values, not references to code that could compute them
//! differently tomorrow. Intents are events too (`AttemptReserved` is written before a process is started), so that a
//! controller killed between two lines leaves a journal from which the next one can go on.
//! Boundary: data only; what events carry is in [`super::facts`], what they mean in [`super::apply`].

use super::approval::Subject;
use super::counsel::{Inquiry, Paid, Reply};
use super::facts::is_nothing;
use super::writing::WritingQuestion;
use crate::analysis::{Interval, Verdict};
use crate::config::{Campaign, Experiment};
use crate::failure;
use crate::ids::{AttemptId, RunId, RunKey};
use crate::knowledge::Finding;
use crate::planner::Assignment;
use crate::problem::{Problem, Result};
use crate::slurm::Placed;
use crate::units::{Bytes, DeviceTime, Dollars};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub use super::facts::{
    Conclusion, Downscaled, EvidenceSummary, NextStep, Price, Purpose, Reason, RunResult, Seen, Weighed,
};

/// Version of the events written by this program; a journal with a newer one is refused.
pub const VERSION: u32 = 1;

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
        /// Attempts that its executor can have at once; 0 in journals of before it was said.
        #[serde(default, skip_serializing_if = "is_none_said")]
        slots: usize,
        /// Language models that it can ask; none: it asks nobody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// What earlier campaigns found that matters to this one.
    Recalled {
        /// The nearest first.
        findings: Vec<Finding>,
    },
    /// A question goes to a language model, and what it may cost is set aside.
    Asked {
        /// From 1, without gaps.
        number: usize,
        /// What is asked.
        inquiry: Inquiry,
        /// What may be spent on it; none where dollars are not limited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allowance: Option<Dollars>,
        /// In words.
        why: String,
    },
    /// A question that is not asked for want of dollars; said once until one fits again.
    Unasked {
        /// What would have been asked.
        inquiry: Inquiry,
        /// What it could cost and what is left, in words.
        why: String,
    },
    /// What came back, and what it cost.
    Answered {
        /// Which question.
        number: usize,
        /// The answer, checked.
        reply: Box<Reply>,
        /// Its cost.
        paid: Paid,
    },
    /// A question goes to a language model for a text about the campaign.
    WritingAsked {
        /// The question, with what is set aside for it.
        question: WritingQuestion,
    },
    /// It is over.
    WritingAnswered {
        /// Which.
        number: usize,
        /// Its cost.
        paid: Paid,
        /// Why nothing of use came back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// A person is asked before something is spent.
    ApprovalAsked {
        /// About what.
        subject: Subject,
        /// In words.
        words: String,
    },
    /// A person's answer.
    ApprovalGiven {
        /// About what.
        subject: Subject,
        /// Whether it may go on.
        granted: bool,
    },
    /// A person's remark.
    Noted {
        /// In words.
        text: String,
    },
    /// A person wants nothing new to start for a while, or again.
    PauseSet {
        /// Whether it is paused from now on.
        on: bool,
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
        /// Results the planner had seen. With `index`, `seen` and the journal this is enough to derive the proposal again.
        observed: usize,
        /// Which results those are.
        #[serde(default)]
        seen: Seen,
        /// In words.
        why: String,
        /// Expected cost; none where it could not be priced (a rejection follows).
        price: Option<Price>,
        /// Expected improvement in noise floors, where the planner has an opinion.
        gain: Option<f64>,
        /// What it was chosen by, where several were weighed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weighed: Option<Box<Weighed>>,
        /// Number of the design that it is, from 0 in the order in which they came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        design: Option<usize>,
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
        /// Steps at which it waits for its promotion; none for a run that trains to its end.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rungs: Vec<u64>,
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
        /// Memory that its GPU must have; 0 for any.
        #[serde(default, skip_serializing_if = "is_nothing")]
        device_memory: Bytes,
        /// Checkpoint of an earlier attempt, relative to the campaign folder.
        resume_from: Option<PathBuf>,
        /// Step at which it is to stop although the run goes further.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_at: Option<u64>,
    },
    /// The executor has it.
    AttemptLaunched {
        /// Which.
        id: AttemptId,
    },
    /// Where on the cluster it was sent, with what was weighed.
    AttemptPlaced {
        /// Which.
        id: AttemptId,
        /// The choice and its inputs.
        place: Box<Placed>,
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
    /// A node of the cluster is left alone from now on.
    NodeQuarantined {
        /// Its name.
        node: String,
        /// What happened there, in words.
        why: String,
    },
    /// A run was seen to pass a rung of successive halving while it trained on.
    RungPassed {
        /// Which.
        id: RunId,
        /// Which rung, from 0.
        rung: usize,
        /// Steps done.
        step: u64,
        /// The objective there.
        value: f64,
    },
    /// Whether a run that passed a rung trains on.
    RungJudged {
        /// Which.
        id: RunId,
        /// Which rung.
        rung: usize,
        /// It is asked to leave with a checkpoint.
        stop: bool,
        /// In words.
        why: String,
    },
    /// A run waits at a rung of successive halving.
    RungReached {
        /// Which.
        id: RunId,
        /// Which rung, from 0.
        rung: usize,
        /// Steps done.
        step: u64,
        /// The objective there.
        value: f64,
    },
    /// A run that waits goes on.
    RunPromoted {
        /// Which.
        id: RunId,
        /// To which rung; the number of rungs for the end.
        rung: usize,
        /// The step of that rung; none for the end.
        stop_at: Option<u64>,
        /// Wall limit of the next attempt, in seconds.
        wall_seconds: f64,
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

/// For a field that is left out where nothing is said.
fn is_none_said(slots: &usize) -> bool {
    *slots == 0
}

impl Event {
    /// Whether it is something that came from outside: from people, attempts, models, other campaigns. The others are
    /// decisions, and follow from what came before.
    pub fn is_observation(&self) -> bool {
        use Event as E;
        matches!(
            self,
            E::Created { .. }
                | E::ControllerStarted { .. }
                | E::ControllerStopped { .. }
                | E::Edited { .. }
                | E::Recalled { .. }
                | E::Answered { .. }
                | E::WritingAsked { .. }
                | E::WritingAnswered { .. }
                | E::ApprovalGiven { .. }
                | E::Noted { .. }
                | E::PauseSet { .. }
                | E::AttemptLaunched { .. }
                | E::AttemptPlaced { .. }
                | E::AttemptEnded { .. }
                | E::RungPassed { .. }
                | E::StopRequested
                | E::CancelRequested
                | E::Reopened { .. }
        )
    }

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
#[path = "events_tests.rs"]
mod tests;
