//! What campaigns found, in a file that outlives them, and what of it matters to another question.
//!
//! Boundary: findings as plain records and words; must not know campaigns' state, planners, or who reads them. A finding
//! is untrusted text to whoever shows it to a model: another campaign, or another person, wrote it.

mod relevance;
mod store;

pub use relevance::relevant;
pub use store::{Store, default_path};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Version of the records.
pub const FORMAT: u32 = 1;

/// One thing that a campaign found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Version of this format.
    pub format: u32,
    /// The same for the same finding of the same campaign: a later record replaces an earlier one.
    pub id: String,
    /// Name of the campaign.
    pub campaign: String,
    /// Its question.
    pub question: String,
    /// What kind of finding.
    pub kind: Kind,
    /// In one or two sentences, numbers included.
    pub text: String,
    /// Metric of its objective.
    pub metric: String,
    /// Kinds of data, model and optimiser it is about.
    #[serde(default)]
    pub about: Vec<String>,
    /// Settings it is about: path to value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Value>,
    /// The measured difference from the baseline; none where nothing was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Runs of the campaign that it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<u32>,
}

/// Kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Confirmed over seeds beyond the noise floor.
    Confirmed,
    /// Repeated over seeds, and worse or within the noise.
    Refuted,
    /// A hypothesis with its standing.
    Hypothesis,
    /// Settings that gave no result, and why.
    Failure,
    /// A reading of results by a language model.
    Reading,
}

/// A difference from the baseline, paired by seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Mean difference, in the metric's unit.
    pub difference: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Pairs of seeds.
    pub seeds: usize,
}
