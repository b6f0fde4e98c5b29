//! A campaign: one question, a baseline, a search space, a budget and a planner.

use super::{Metric, Parameter, PlannerSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A campaign. The baseline is an experiment, inline under `[baseline]` or by path in `baseline_file`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// Short name; also the default folder name. Letters, digits, `-` and `_`.
    pub name: String,
    /// The research question, one sentence; shown in every report.
    pub question: String,
    /// What is optimised.
    pub objective: Objective,
    /// The experiment everything is compared with.
    pub baseline: super::Experiment,
    /// The search space: experiment path (`optimizer.learning_rate`) to its values. Order does not matter.
    pub space: BTreeMap<String, Parameter>,
    /// Relations between parameters that a candidate must satisfy: for each a section `[[constraints]]` with `left`,
    /// `relation` and `right`. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// What may be spent.
    pub budget: Budget,
    /// Repetition over seeds.
    #[serde(default)]
    pub seeds: Seeds,
    /// Who proposes candidates.
    #[serde(default)]
    pub planner: PlannerSpec,
    /// How attempts are executed.
    #[serde(default)]
    pub execution: Execution,
    /// A language model that helps planning. Default none: the classical planner works alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm: Option<super::LlmSpec>,
    /// Before what a person is asked: `never`, `first` (the first run), `each` (every candidate), or `above-N-gpu-hours` (every
    /// run whose reservation is larger). Default `never`.
    #[serde(default, skip_serializing_if = "super::Approval::is_never")]
    pub approval: super::Approval,
    /// File in which findings outlive the campaign, relative to this file's folder; other campaigns start from what is in it.
    /// Default: with an `[llm]` section one for this user, else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knowledge: Option<String>,
    /// It is a batch: a list of experiments that somebody else made, run as they are. Written by `nanoresearch batch`, not by
    /// people. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchSpec>,
}

/// A list of experiments, kept as `batch.jsonl` in the campaign's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchSpec {
    /// Their number.
    pub experiments: usize,
    /// BLAKE3 of the file, so that it stays the same list.
    pub hash: String,
}

impl Campaign {
    /// The campaign that a batch is. `first`: the first experiment, which stands where others have a baseline.
    pub fn batch(name: &str, first: super::Experiment, batch: BatchSpec) -> Campaign {
        Campaign {
            name: if name.is_empty() { "batch".to_string() } else { name.to_string() },
            question: format!("What do these {} experiments give?", batch.experiments),
            objective: Objective { metric: Metric::Loss, direction: None, goal: None, confidence: confidence() },
            baseline: first,
            space: BTreeMap::new(),
            constraints: Vec::new(),
            budget: Budget {
                device_hours: 1.0,
                runs: 0,
                dollars_per_device_hour: 0.0,
                dollars: 0.0,
                overhead_dollars_per_attempt: 0.0,
                downscale: Vec::new(),
            },
            seeds: Seeds::default(),
            planner: PlannerSpec::default(),
            execution: Execution::default(),
            llm: None,
            approval: super::Approval::default(),
            knowledge: None,
            batch: Some(batch),
        }
    }
}

/// What is optimised and in which direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The metric, read at the last evaluation of a run.
    pub metric: Metric,
    /// Whether smaller or larger is better. Default: by the metric (loss and bits per byte down, the others up).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Stop as soon as a confirmed candidate's interval lies wholly beyond this value. Default: spend the budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<f64>,
    /// Coverage of all reported intervals, in (0.5, 1). Default 0.95.
    #[serde(default = "confidence")]
    pub confidence: f64,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

impl Objective {
    /// The direction, by the metric where none is written.
    pub fn direction(&self) -> Direction {
        self.direction.unwrap_or(match self.metric {
            Metric::Loss | Metric::BitsPerByte => Direction::Minimize,
            Metric::Accuracy | Metric::R2 => Direction::Maximize,
        })
    }
}

/// `left` compared with `right`, each a parameter path or a number; a candidate that violates it is never proposed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// A path of the experiment, e.g. `model.width`, or a number.
    pub left: Value,
    /// The relation.
    pub relation: Relation,
    /// A path of the experiment or a number.
    pub right: Value,
}

/// Relation of a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// left <= right
    AtMost,
    /// left >= right
    AtLeast,
    /// right divides left
    MultipleOf,
}

/// What may be spent. Reserved plus settled never exceeds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Devices held times wall time, in hours; on CPU one attempt slot counts as one device. Attempts that share a GPU
    /// (`execution.attempts_per_device`) are charged their share of it.
    pub device_hours: f64,
    /// Runs at most, baseline and confirmations included; 0 for no limit. Default 0.
    #[serde(default)]
    pub runs: usize,
    /// Price of a device-hour in dollars, for the ledger's second column. On a site with prices of its own attempts are
    /// charged those, and this is raised to the dearest of them, at which they are reserved. Default 0.
    #[serde(default)]
    pub dollars_per_device_hour: f64,
    /// Dollars at most, of devices, language model and overhead together; 0 for no limit. Default 0.
    #[serde(default)]
    pub dollars: f64,
    /// What each started attempt costs beside its device-hours, in dollars: storage, transfer, submission. Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overhead_dollars_per_attempt: f64,
    /// What to give up, in this order, when a run does not fit in what is left. Default [steps, seeds].
    #[serde(default = "downscale_order")]
    pub downscale: Vec<Downscale>,
}

/// One way to make a run cheaper; each use is recorded as a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Downscale {
    /// Fewer training steps (halved, at most three times).
    Steps,
    /// Fewer confirmation seeds (down to two).
    Seeds,
    /// A smaller model (widths halved, at most twice; only the baseline's own multiples stay legal).
    Model,
}

/// Repetition over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// Seeds of the baseline, run before anything is compared; they give the noise floor. At least 2. Default 3.
    #[serde(default = "three")]
    pub baseline: usize,
    /// Seeds a promising candidate is run with before it counts: the baseline's first ones, so that both are compared seed by
    /// seed. They are fresh to the candidate: it was chosen on another. At least 2, at most `baseline`. Default 3.
    #[serde(default = "three")]
    pub confirm: usize,
    /// Candidates confirmed at the end, best at first look first. Default 2.
    #[serde(default = "two")]
    pub finalists: usize,
    /// First seed; the baseline's others follow it, then the one on which candidates are first looked at. Default 1.
    #[serde(default = "first_seed")]
    pub first: u64,
    /// Run no further seeds of a finalist once its verdict is clear, at a correction for looking often. Default false.
    #[serde(default)]
    pub racing: bool,
}

impl Default for Seeds {
    fn default() -> Self {
        Seeds { baseline: three(), confirm: three(), finalists: two(), first: first_seed(), racing: false }
    }
}

/// How attempts are executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// Attempts at once; each is a process and counts as one device, or as its share of one. On GPUs never more than there
    /// are places on them. Default 1.
    #[serde(default = "one")]
    pub parallel: usize,
    /// Further attempts a run may have after failures. Default 2.
    #[serde(default = "two")]
    pub retries: usize,
    /// Time between the end of an attempt's wall time and its being killed, in seconds; reserved with it. Default 5.
    #[serde(default = "margin")]
    pub kill_margin_seconds: f64,
    /// Attempts that share one GPU of this machine; each then holds, and is charged, that share of it. Only for GPUs and
    /// without a site. Default 1.
    #[serde(default = "one")]
    pub attempts_per_device: usize,
    /// GPUs of this machine that attempts may use; 0 for all that the controller sees. Default 0.
    #[serde(default)]
    pub devices: usize,
    /// Memory of the largest GPU that an attempt can get, in MiB, for the planner's memory filter and for runs that need a
    /// bigger GPU; 0 where it is not known. Default 0, or what the site file says.
    #[serde(default)]
    pub device_memory_mib: u64,
    /// Site file of a SLURM cluster whose jobs the attempts are, relative to this file's folder. Default: none, attempts are
    /// processes of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// What an hour of waiting for an attempt is worth in dollars, for the planner. Default 0, or what the site file says.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dollars_per_hour_waited: f64,
    /// Command for `sh -c` when the campaign is concluded, with the outcome in NANORESEARCH_NAME, _FOLDER, _REASON, _FINDING,
    /// _BEST, _RUNS, _FAILED, _DEVICE_HOURS and _DOLLARS. Its failure changes nothing. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
}

impl Default for Execution {
    fn default() -> Self {
        Execution {
            parallel: one(),
            retries: two(),
            kill_margin_seconds: margin(),
            attempts_per_device: one(),
            devices: 0,
            device_memory_mib: 0,
            site: None,
            dollars_per_hour_waited: 0.0,
            notify: None,
        }
    }
}

fn confidence() -> f64 {
    0.95
}
fn downscale_order() -> Vec<Downscale> {
    vec![Downscale::Steps, Downscale::Seeds]
}
fn one() -> usize {
    1
}
fn two() -> usize {
    2
}
fn three() -> usize {
    3
}
fn first_seed() -> u64 {
    1
}
fn margin() -> f64 {
    5.0
}
fn is_zero(dollars: &f64) -> bool {
    *dollars == 0.0
}
