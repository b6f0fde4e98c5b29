//! A person's word before something is spent.
//!
//! Boundary: pure; says what must be asked before a run is planned. The person's answer is an event like any other.

use super::conclude;
use super::events::Event;
use super::facts::{Purpose, RunResult};
use super::ledger::Amount;
use super::run::Run;
use super::state::State;
use crate::config::Approval;
use crate::ids::RunKey;
use crate::units::DeviceTime;
use serde::{Deserialize, Serialize};

/// What a person is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
pub enum Subject {
    /// The campaign's first run.
    Start,
    /// A candidate's first run.
    Candidate {
        /// Index of the proposal.
        index: u64,
    },
    /// One run.
    Run {
        /// Its identity.
        key: RunKey,
        /// Device time that one attempt of it may take: a word holds up to there. None: whatever it takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        up_to: Option<DeviceTime>,
    },
}

impl Subject {
    /// The candidate it is about.
    pub fn candidate(&self) -> Option<u64> {
        match self {
            Subject::Candidate { index } => Some(*index),
            Subject::Start | Subject::Run { .. } => None,
        }
    }

    /// Whether a word about this one settles `other` as well: leave for a run holds for less time, a refusal for more.
    fn settles(&self, other: &Subject, granted: bool) -> bool {
        match (self, other) {
            (Subject::Run { key, up_to: Some(said) }, Subject::Run { key: asked, up_to: Some(now) }) => {
                key == asked && if granted { now <= said } else { now >= said }
            }
            (Subject::Run { key, up_to: None }, Subject::Run { key: asked, .. }) => key == asked,
            _ => self == other,
        }
    }
}

/// What was asked of a person and what was said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Approvals {
    /// The question that is open, in words.
    pub asked: Option<(Subject, String)>,
    /// What may go on.
    pub granted: Vec<Subject>,
    /// What may not.
    pub refused: Vec<Subject>,
}

impl Approvals {
    fn granted(&self, subject: &Subject) -> bool {
        self.granted.iter().any(|s| s.settles(subject, true))
    }

    fn refused(&self, subject: &Subject) -> bool {
        self.refused.iter().any(|s| s.settles(subject, false))
    }
}

impl State {
    /// Whether a person can refuse it and the campaign goes on: the baseline cannot be done without.
    pub fn refusable(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Start => false,
            Subject::Candidate { .. } => true,
            // Runs that are asked about after the baseline's are a candidate's; a batch has no baseline.
            Subject::Run { .. } => self.baseline.is_some() || self.campaign.batch.is_some(),
        }
    }
}

/// What follows from a refused run: its candidate is given up, a finalist is judged by the seeds it has. None for the
/// baseline's.
fn refused(state: &State, purpose: Purpose) -> Option<Vec<Event>> {
    match purpose {
        Purpose::Baseline => None,
        Purpose::Candidate { index } => {
            Some(vec![Event::ProposalRejected { index, reason: "a person refused its run".to_string() }])
        }
        // What of it is under way still counts.
        Purpose::Confirm { .. } if state.live().next().is_some() => Some(Vec::new()),
        Purpose::Confirm { index } => {
            let candidate = state.candidates.get(index as usize)?;
            let confidence = state.campaign.objective.confidence;
            Some(vec![conclude::judge(state, candidate, confidence, Some("a person refused a further seed of it"))])
        }
    }
}

/// What stands between a run and its next attempt: a limit that was raised after the first may take it beyond what a person let
/// it take unasked, or beyond what was agreed to.
pub(super) fn again(state: &State, run: &Run) -> Option<Vec<Event>> {
    let Approval::Above(hours) = state.campaign.approval else { return None };
    let amount = run.limits.reservation(&state.campaign);
    let subject = Subject::Run { key: run.key.clone(), up_to: Some(amount.time) };
    if amount.time.hours() <= hours || state.approvals.granted(&subject) {
        return None;
    }
    if state.approvals.refused(&subject) {
        let reason = "a person refused a further attempt".to_string();
        return Some(vec![Event::RunFinished { id: run.id, result: RunResult::Failed { reason } }]);
    }
    ask(state, subject, amount, &format!("a further attempt of run {}", run.id))
}

/// The question to a person; empty where it is open already.
fn ask(state: &State, subject: Subject, amount: Amount, what: &str) -> Option<Vec<Event>> {
    if state.approvals.asked.as_ref().is_some_and(|(asked, _)| *asked == subject) {
        return Some(Vec::new());
    }
    let dollars = if amount.dollars.micro > 0 { format!(" ({})", amount.dollars) } else { String::new() };
    let words = format!("{what}; it may take up to {}{dollars}", amount.time);
    Some(vec![Event::ApprovalAsked { subject, words }])
}

/// What stands between a run and its reservation: nothing, a question to record, what follows from a refusal, or (empty) a
/// person who has not answered.
pub(super) fn gate(state: &State, purpose: Purpose, key: &RunKey, amount: Amount, what: &str) -> Option<Vec<Event>> {
    let subject = match (state.campaign.approval, purpose) {
        (Approval::Never, _) => return None,
        (Approval::First, _) if state.runs.is_empty() => Subject::Start,
        (Approval::Each, Purpose::Candidate { index }) => Subject::Candidate { index },
        (Approval::Above(hours), _) if amount.time.hours() > hours => {
            Subject::Run { key: key.clone(), up_to: Some(amount.time) }
        }
        _ => return None,
    };
    if state.approvals.granted(&subject) {
        return None;
    }
    if state.approvals.refused(&subject)
        && let Some(follows) = refused(state, purpose)
    {
        return Some(follows);
    }
    ask(state, subject, amount, what)
}
