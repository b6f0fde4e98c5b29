//! A campaign in numbers, as stable JSON for programs and as the source of every table and sentence for people.
//!
//! Boundary: reads a [`State`]; decides nothing, prints nothing.

use super::counsel::{LanguageModel, small};
use crate::analysis::{self, Effect, Interval, Trial, Verdict};
use crate::campaign::{
    Conclusion, Forecast, Halt, Overhead, PlaceSum, Rejections, Run, RunResult, Standing, State, Usage, assignment,
    goal_met, places, rejections,
};
use crate::config::Direction;
use crate::ids::RunId;
use crate::planner::Assignment;
use crate::units::{DeviceTime, Dollars};
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything `status` shows.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Name of the campaign.
    pub name: String,
    /// The research question.
    pub question: String,
    /// `running`, `paused`, `stopping`, `cancelling` or `concluded`.
    pub phase: &'static str,
    /// Metric of the objective.
    pub metric: &'static str,
    /// Which way is better.
    pub direction: Direction,
    /// What the objective is to reach, where the campaign names it.
    pub goal: Option<Goal>,
    /// The finding, once there is one.
    pub conclusion: Option<Conclusion>,
    /// The account.
    pub budget: Account,
    /// What ended attempts held against what they used of it.
    pub usage: Usage,
    /// Waiting for a place, and what failures wasted.
    pub overhead: Overhead,
    /// What ended attempts held and cost by the place where they ran; absent where attempts have none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<PlaceSum>,
    /// What is expected of the rest; none where there is no rest, or nothing is known.
    pub expected: Option<Forecast>,
    /// Jobs under way, where attempts are jobs and whoever makes this reads their notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobSummary>,
    /// Nodes that are left alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<String>,
    /// What language models were asked; absent where nobody can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language_model: Option<LanguageModel>,
    /// What a person is asked before it goes on; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for_approval: Option<String>,
    /// The baseline's repetitions.
    pub baseline: Option<BaselineSummary>,
    /// Best confirmed candidate.
    pub best: Option<CandidateSummary>,
    /// Proposals that could not be run, by reason; absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejections>,
    /// Runs by status: `planned`, `queued` (where jobs are known), `running`, `retrying`, `finished`, `failed`.
    pub runs_by_status: BTreeMap<&'static str, usize>,
    /// All runs.
    pub runs: Vec<RunSummary>,
}

/// A campaign's goal.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Goal {
    /// The value of the objective.
    pub value: f64,
    /// Whether the baseline or a confirmed candidate lies wholly beyond it.
    pub reached: bool,
}

/// A job under way, as the controller last saw it.
#[derive(Debug, Clone, Serialize)]
pub struct JobSummary {
    /// The attempt.
    pub attempt: String,
    /// Its job's id, once known.
    pub job: Option<u64>,
    /// State in the cluster's words, with the reason for waiting: `PENDING (Resources)`.
    pub state: String,
}

/// The ledger, in people's units.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Account {
    /// What may be spent, in device-hours.
    pub limit_device_hours: f64,
    /// What ended attempts used.
    pub settled_device_hours: f64,
    /// What live attempts hold.
    pub reserved_device_hours: f64,
    /// What is left for new attempts.
    pub free_device_hours: f64,
    /// Dollars settled.
    pub settled_dollars: f64,
    /// Dollars reserved.
    pub reserved_dollars: f64,
    /// Dollars paid for language models, beside those settled; absent where there are none.
    #[serde(skip_serializing_if = "nothing")]
    pub llm_dollars: f64,
    /// Dollars at most; absent where they are not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_dollars: Option<f64>,
}

fn nothing(dollars: &f64) -> bool {
    *dollars == 0.0
}

/// The baseline's repetitions.
#[derive(Debug, Clone, Serialize)]
pub struct BaselineSummary {
    /// The objective by seed.
    pub values: BTreeMap<u64, f64>,
    /// Of the mean.
    pub interval: Interval,
    /// Differences smaller than this are noise.
    pub noise_floor: f64,
}

/// A candidate that was compared with the baseline.
#[derive(Debug, Clone, Serialize)]
pub struct CandidateSummary {
    /// Index of the proposal.
    pub index: u64,
    /// What it sets in the baseline.
    pub assignment: Assignment,
    /// Its verdict.
    pub verdict: Verdict,
    /// Candidate minus baseline, paired by seed.
    pub difference: Option<Interval>,
    /// Its own mean.
    pub own: Option<Interval>,
    /// Its runs by seed.
    pub runs: BTreeMap<u64, RunId>,
    /// The one of them by which it was chosen; no part of the verdict.
    pub screening: Option<RunId>,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct RunSummary {
    /// Its number.
    pub id: RunId,
    /// `baseline`, `candidate` or `confirm`.
    pub purpose: &'static str,
    /// Index of the proposal it serves.
    pub candidate: Option<u64>,
    /// The seed.
    pub seed: u64,
    /// `planned`, `queued`, `running`, `retrying`, `finished`, `failed`.
    pub status: &'static str,
    /// The objective, once finished.
    pub value: Option<f64>,
    /// Number of attempts so far.
    pub attempts: usize,
    /// Settled so far.
    pub device_seconds: f64,
    /// What its ended attempts held against what they used of it.
    pub usage: Usage,
    /// What differs from the baseline, in words.
    pub what: String,
    /// Why it failed.
    pub failure: Option<String>,
}

/// Decimals for a column of device seconds: three digits of the longest run, so that short runs are not all 0.0.
pub fn decimals(runs: &[RunSummary]) -> usize {
    match runs.iter().map(|run| run.device_seconds).fold(0.0, f64::max) {
        longest if longest < 1.0 => 3,
        longest if longest < 10.0 => 2,
        _ => 1,
    }
}

impl Summary {
    /// Of a campaign as it stands.
    pub fn of(state: &State) -> Self {
        let mut runs_by_status = BTreeMap::new();
        for run in &state.runs {
            *runs_by_status.entry(run.status()).or_insert(0) += 1;
        }
        Summary {
            name: state.campaign.name.clone(),
            question: state.campaign.question.clone(),
            phase: phase(state),
            metric: state.metric(),
            direction: state.direction(),
            goal: state.campaign.objective.goal.map(|value| Goal { value, reached: goal_met(state) }),
            conclusion: state.conclusion.clone(),
            budget: Account::of(state),
            usage: Usage::of(state),
            overhead: Overhead::of(state),
            places: places(state),
            expected: Forecast::of(state),
            jobs: Vec::new(),
            quarantined: state.quarantined.iter().cloned().collect(),
            language_model: LanguageModel::of(state),
            waits_for_approval: state.approvals.asked.as_ref().map(|(_, words)| words.clone()),
            baseline: state.baseline.as_ref().map(|b| BaselineSummary {
                values: b.values.clone(),
                interval: b.interval,
                noise_floor: b.floor,
            }),
            best: best(state),
            rejected: rejections(state),
            runs_by_status,
            runs: state.runs.iter().map(|run| RunSummary::of(state, run)).collect(),
        }
    }

    /// Takes the jobs of attempts under way: a run whose job waits is `queued`, and nothing of it runs.
    pub fn take_jobs(&mut self, jobs: Vec<JobSummary>) {
        const QUEUED: &str = "queued";
        for job in jobs.iter().filter(|job| job.waits()) {
            let of = |run: &&mut RunSummary| job.attempt.split('/').next() == Some(&run.id.to_string());
            let Some(run) = self.runs.iter_mut().find(of).filter(|run| run.status == "running") else { continue };
            if let Some(n) = self.runs_by_status.get_mut(run.status) {
                *n -= 1;
            }
            run.status = QUEUED;
            *self.runs_by_status.entry(QUEUED).or_insert(0) += 1;
        }
        self.runs_by_status.retain(|_, n| *n > 0);
        self.jobs = jobs;
    }
}

impl JobSummary {
    /// Whether it has not begun yet, as far as the controller has seen.
    fn waits(&self) -> bool {
        ["PENDING", "CONFIGURING", "not submitted", "submitted", "looked for"].iter().any(|w| self.state.starts_with(w))
    }
}

impl RunSummary {
    /// Of one run.
    pub fn of(state: &State, run: &Run) -> Self {
        RunSummary {
            id: run.id,
            purpose: run.purpose.name(),
            candidate: run.purpose.candidate(),
            seed: run.seed,
            status: run.status(),
            value: state.value(run),
            attempts: run.attempts.len(),
            device_seconds: run.used().time.seconds(),
            usage: Usage::of_run(run),
            what: what(state, run),
            failure: match &run.result {
                Some(RunResult::Failed { reason }) => Some(reason.clone()),
                _ => None,
            },
        }
    }
}

impl Account {
    /// Of a campaign as it stands.
    pub fn of(state: &State) -> Self {
        let ledger = &state.ledger;
        let (settled, reserved) = (ledger.settled(), ledger.reserved());
        Account {
            limit_device_hours: ledger.budget().hours(),
            settled_device_hours: settled.time.hours(),
            reserved_device_hours: reserved.time.hours(),
            free_device_hours: ledger.free().time.hours(),
            settled_dollars: settled.dollars.value(),
            reserved_dollars: reserved.dollars.value(),
            llm_dollars: ledger.asked().value(),
            limit_dollars: ledger.budget_dollars().map(Dollars::value),
        }
    }

    /// `used 12.3 device-s of 2.0 device-min (10%), 3.0 device-s reserved`.
    pub fn words(&self) -> String {
        let time = |hours: f64| DeviceTime { ms: (hours * 3.6e6).round() as u64 };
        let mut text = format!(
            "used {} of {} ({:.0}%)",
            time(self.settled_device_hours),
            time(self.limit_device_hours),
            100.0 * self.settled_device_hours / self.limit_device_hours.max(f64::MIN_POSITIVE)
        );
        if self.reserved_device_hours > 0.0 {
            text += &format!(", {} reserved", time(self.reserved_device_hours));
        }
        let total = self.settled_dollars + self.llm_dollars;
        if total > 0.0 {
            text += &format!(", {}", Dollars::of(total));
            if let Some(limit) = self.limit_dollars {
                text += &format!(" of {}", Dollars::of(limit));
            }
            if self.llm_dollars > 0.0 {
                text += &format!(" ({} for the language model)", small(self.llm_dollars));
            }
        }
        text
    }
}

/// A share as a whole percentage for tables; `-` where it is not known.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_string(), |share| format!("{:.0}%", 100.0 * share))
}

/// `running`, `paused`, `stopping`, `cancelling` or `concluded`.
fn phase(state: &State) -> &'static str {
    match (&state.conclusion, state.halt) {
        (Some(_), _) => "concluded",
        (None, Some(Halt::Stop)) => "stopping",
        (None, Some(Halt::Cancel)) => "cancelling",
        (None, None) if state.paused => "paused",
        (None, None) => "running",
    }
}

fn best(state: &State) -> Option<CandidateSummary> {
    let candidate = state.best()?;
    match &candidate.standing {
        Standing::Judged { verdict, difference, own, .. } => Some(CandidateSummary {
            index: candidate.index,
            assignment: candidate.assignment.clone(),
            verdict: *verdict,
            difference: *difference,
            own: *own,
            runs: candidate.runs.clone(),
            screening: candidate.screening,
        }),
        _ => None,
    }
}

/// What a run changes in the baseline, shortest names that are still unambiguous: `learning_rate=0.012, width=64`.
pub fn what(state: &State, run: &Run) -> String {
    let Some(candidate) = run.purpose.candidate().and_then(|i| state.candidates.get(i as usize)) else {
        return "baseline".to_string();
    };
    assignment(&candidate.assignment)
}

/// What each parameter did to the objective, strongest first, over all screened candidates.
pub fn effects(state: &State) -> Vec<Effect> {
    // Whole experiments in a list have no parameters in common.
    if state.campaign.batch.is_some() {
        return Vec::new();
    }
    let trials: Vec<Trial> = state
        .candidates
        .iter()
        .filter_map(|c| c.value.map(|value| Trial { assignment: c.assignment.clone(), value }))
        .collect();
    analysis::main_effects(&trials, state.campaign.objective.confidence)
}
