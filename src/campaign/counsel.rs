//! What a language model is asked in a campaign and what it may answer, as typed values; and the door to whoever answers.
//!
//! An answer can name settings of the campaign's space and values within it, and nothing else: no paths, files, modules,
//! sites or budgets. Answers are journaled like the ends of attempts, so decisions that rest on them stay pure.
//! Boundary: data and the trait; when something is asked is in [`super::consult`], prompts are above this module.

use super::state::State;
use crate::config::LlmRole;
use crate::knowledge::Finding;
use crate::llm::Usage;
use crate::planner::Assignment;
use crate::problem::Result;
use crate::units::Dollars;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "kebab-case")]
pub enum Inquiry {
    /// The ideator: hypotheses.
    Ideas,
    /// The designer: experiments, from proposal `index` on.
    Designs {
        /// Index of the proposal.
        index: u64,
    },
    /// The analyst: what the results say, and how to go on.
    Analysis {
        /// Nothing further will be run.
        last: bool,
    },
}

impl Inquiry {
    /// Who is asked.
    pub fn role(self) -> LlmRole {
        match self {
            Inquiry::Ideas => LlmRole::Ideator,
            Inquiry::Designs { .. } => LlmRole::Designer,
            Inquiry::Analysis { .. } => LlmRole::Analyst,
        }
    }

    /// What for, in words.
    pub fn words(self) -> &'static str {
        match self {
            Inquiry::Ideas => "for hypotheses",
            Inquiry::Designs { .. } => "for experiments",
            Inquiry::Analysis { last: false } => "what the results say so far",
            Inquiry::Analysis { last: true } => "what the results say",
        }
    }
}

/// A part of one parameter's domain: a range, or some of the choices.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Smallest value; for ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Largest value; for ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Allowed values; for choices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
}

impl Region {
    /// Whether a value lies in it.
    pub fn contains(&self, value: &Value) -> bool {
        let chosen = self.values.is_empty() || self.values.iter().any(|v| crate::config::same_value(v, value));
        let within = |bound: Option<f64>, holds: &dyn Fn(f64, f64) -> bool| match (bound, value.as_f64()) {
            (None, _) => true,
            (Some(bound), Some(x)) => holds(x, bound),
            (Some(_), None) => false,
        };
        chosen && within(self.low, &|x, low| x >= low) && within(self.high, &|x, high| x <= high)
    }
}

/// A claim under test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hypothesis {
    /// The claim, in one sentence.
    pub claim: String,
    /// Predicted change of the objective against the baseline, in the objective's unit, with its sign.
    pub effect: f64,
    /// Probability that the claim is true, between 0 and 1.
    pub belief: f64,
    /// What result would refute it, in one sentence.
    pub refuted_if: String,
    /// The part of the search space that it is about: path of a parameter to a range or some of its choices.
    #[serde(default)]
    pub region: BTreeMap<String, Region>,
}

/// What an experiment is to its hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What the claim is about.
    Test,
    /// The same without what the claim is about; the test is compared with it instead of the baseline.
    Control,
    /// The test with one of its settings taken back.
    Ablation,
}

/// An experiment as a typed value: settings of the search space, the baseline for the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// Number of the hypothesis it is part of; left out for a candidate on its own merits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypothesis: Option<usize>,
    /// What it is to the hypothesis.
    pub part: Part,
    /// Path of a parameter of the search space to a value within its range. What is left out stays as in the baseline.
    pub settings: Assignment,
    /// Seeds it should be run on; above 1 it is repeated on the campaign's seeds right after its first look.
    pub seeds: usize,
    /// Why, in one sentence.
    pub why: String,
}

/// How to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// On the same hypotheses.
    Refine,
    /// On other hypotheses.
    Pivot,
    /// Nothing further is worth its cost: confirm the best and end.
    Conclude,
}

/// A reading of results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Analysis {
    /// How to go on.
    pub course: Course,
    /// Why, in a few sentences.
    pub reasons: String,
    /// What was learned, each with the runs that show it.
    pub findings: Vec<Claim>,
}

/// Something learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// In one sentence.
    pub text: String,
    /// Numbers of the runs that show it.
    pub runs: Vec<u32>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case")]
pub enum Reply {
    /// Of the ideator.
    Ideas {
        /// Each with its prediction.
        hypotheses: Vec<Hypothesis>,
    },
    /// Of the designer.
    Designs {
        /// In the order of their importance.
        designs: Vec<Design>,
    },
    /// Of the analyst.
    Analysis(Analysis),
    /// Nothing of use.
    Nothing {
        /// Why, in words.
        why: String,
        /// Settled from the tape by a controller that did not hear the answer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unheard: bool,
    },
}

/// What a question cost, repairs and failed tries included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Paid {
    /// Tokens.
    pub usage: Usage,
    /// Their price.
    pub dollars: Dollars,
    /// Numbers of its entries on the tape.
    pub entries: Vec<u32>,
}

/// A question that waits for its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// From 1.
    pub number: usize,
    /// What is asked.
    pub inquiry: Inquiry,
    /// What may be spent on it; none where dollars are not limited.
    pub allowance: Option<Dollars>,
    /// When it was asked.
    pub at: f64,
}

/// A question with what came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The question.
    pub question: Question,
    /// What it cost.
    pub paid: Paid,
    /// Why there is nothing of use; none where there is.
    pub failure: Option<String>,
    /// Nobody waited for the answer: the question may be asked again.
    #[serde(default)]
    pub unheard: bool,
    /// Seconds from the question to the answer.
    pub seconds: f64,
}

/// A hypothesis under its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Posed {
    /// The claim.
    pub hypothesis: Hypothesis,
    /// The question that brought it.
    pub question: usize,
    /// The analyst turned to others.
    pub dropped: bool,
}

/// A design under its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Designed {
    /// The experiment.
    pub design: Design,
    /// The question that brought it.
    pub question: usize,
    /// The proposal it became.
    pub proposal: Option<u64>,
    /// Its hypothesis was dropped before its turn.
    pub dropped: bool,
}

/// An analysis and when it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysed {
    /// The reading.
    pub analysis: Analysis,
    /// The question that brought it.
    pub question: usize,
    /// Results that were known then.
    pub known: usize,
}

/// A person's remark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// When.
    pub at: f64,
    /// Words.
    pub text: String,
}

/// Everything that was asked and said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counsel {
    /// Models that the present controller can ask, in words; none: nobody is asked.
    pub model: Option<String>,
    /// The question that waits for its answer.
    pub asking: Option<Question>,
    /// All others, in order.
    pub answered: Vec<Answered>,
    /// Questions in a row that brought nothing.
    pub failures: usize,
    /// Hypothesis `n` is at `n - 1`.
    pub hypotheses: Vec<Posed>,
    /// All designs, in the order in which they came.
    pub designs: Vec<Designed>,
    /// All analyses, in order.
    pub analyses: Vec<Analysed>,
    /// Remarks of people, in order.
    pub notes: Vec<Note>,
    /// Findings of earlier campaigns that this one started from; none before they were looked for.
    pub recalled: Option<Vec<Finding>>,
    /// The last question that was due did not fit in the dollars that are left, which was said.
    pub priced_out: bool,
}

impl Counsel {
    /// What all answered questions cost.
    pub fn paid(&self) -> (Usage, Dollars) {
        self.answered.iter().fold(Default::default(), |(usage, dollars): (Usage, Dollars), a| {
            (usage.plus(a.paid.usage), Dollars { micro: dollars.micro.saturating_add(a.paid.dollars.micro) })
        })
    }

    /// Whether anything was ever asked.
    pub fn used(&self) -> bool {
        self.asking.is_some() || !self.answered.is_empty()
    }

    /// The design that a proposal came from.
    pub fn design_of(&self, proposal: u64) -> Option<&Designed> {
        self.designs.iter().find(|d| d.proposal == Some(proposal))
    }
}

/// Answers questions, in its own time, and remembers across campaigns.
pub trait Counsellor {
    /// Models that it can ask, in words; none where it has nobody to ask.
    fn model(&self) -> Option<String>;
    /// The most that the first call of a question can cost; none where its model has no price. Depends on the state alone.
    fn worst(&self, state: &State, inquiry: Inquiry) -> Option<Dollars>;
    /// Begins to ask. Only one question is ever under way.
    fn ask(&mut self, state: &State, question: &Question) -> Result<()>;
    /// What came back, once. Never blocks. Errors: only what must stop a campaign (a tape that cannot be written).
    fn poll(&mut self) -> Result<Option<(Reply, Paid)>>;
    /// Findings of earlier campaigns that matter to this one.
    fn recall(&self, state: &State) -> Result<Vec<Finding>>;
    /// Keeps what the campaign found. Called when it is concluded.
    fn keep(&self, state: &State) -> Result<()>;
}
