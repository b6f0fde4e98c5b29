//! What a reviewer says, and what of it makes sense.

use super::manuscript::Manuscript;
use crate::llm::Answer;
use crate::text::hidden;
use crate::units::Dollars;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Demands of one reviewer, at most.
pub(super) const DEMANDS: usize = 8;
/// Characters of a summary, and of one demand.
const SUMMARY: usize = 1500;
/// See [`SUMMARY`].
const DEMAND: usize = 600;

/// How a paper stands on the three things that are scored, 1 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Whether its claims follow.
    pub soundness: f64,
    /// Whether its comparisons are.
    pub statistics: f64,
    /// Whether it can be read.
    pub clarity: f64,
}

/// How much a demand matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A claim does not follow: the paper must not go out like this.
    Blocking,
    /// Something that a reader needs is missing or misleading.
    Major,
    /// Wording.
    Minor,
}

impl Severity {
    /// As reviews write it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Blocking => "blocking",
            Severity::Major => "major",
            Severity::Minor => "minor",
        }
    }
}

/// One thing to be changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    /// A passage of the paper, word for word; empty for what is missing altogether.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub quote: String,
    /// What is to be changed.
    pub what: String,
    /// How much it matters.
    pub severity: Severity,
}

/// What one reviewer says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// Who: `rule checks`, `the statistician`.
    pub by: String,
    /// Scores.
    pub scores: Scores,
    /// In a few sentences.
    pub summary: String,
    /// The most important first.
    pub demands: Vec<Demand>,
    /// Numbers that it states and the paper does not: a reader should not take them from here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_numbers: Vec<String>,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// From 1.
    pub round: usize,
    /// Of all reviewers.
    pub opinions: Vec<Opinion>,
    /// Median over reviewers.
    pub scores: Scores,
    /// Whether nothing blocks it and each score is at least 6.
    pub passes: bool,
    /// Reviewers that were asked and said nothing of use, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
    /// What its language model cost.
    pub dollars: Dollars,
}

impl Review {
    /// Least score with which a paper passes.
    pub const PASSES: f64 = 6.0;

    /// Of these opinions.
    pub fn of(round: usize, opinions: Vec<Opinion>, silent: Vec<String>, dollars: Dollars) -> Self {
        let scores = Scores {
            soundness: median(opinions.iter().map(|o| o.scores.soundness)),
            statistics: median(opinions.iter().map(|o| o.scores.statistics)),
            clarity: median(opinions.iter().map(|o| o.scores.clarity)),
        };
        let blocked = opinions.iter().flat_map(|o| &o.demands).any(|d| d.severity == Severity::Blocking);
        let least = scores.soundness.min(scores.statistics).min(scores.clarity);
        Review { round, opinions, scores, passes: !blocked && least >= Self::PASSES, silent, dollars }
    }

    /// All demands of at least this weight, the heaviest first.
    pub fn demands(&self, least: Severity) -> Vec<&Demand> {
        let mut all: Vec<&Demand> =
            self.opinions.iter().flat_map(|o| &o.demands).filter(|d| d.severity <= least).collect();
        all.sort_by_key(|d| d.severity);
        all
    }
}

/// 1 of none: what nobody judged is not good.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 1.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// A language model's answer.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    /// Whether the claims follow, 1 to 10.
    pub soundness: u8,
    /// Whether the comparisons hold, 1 to 10.
    pub statistics: u8,
    /// Whether it can be read, 1 to 10.
    pub clarity: u8,
    /// What the paper claims and whether it holds.
    pub summary: String,
    /// The most important first.
    pub demands: Vec<Demand>,
}

impl Answer for Form {
    const NAME: &'static str = "opinion";
}

impl Form {
    /// Whether it makes sense; what the reviewer is told otherwise.
    pub fn check(&self, paper: &Manuscript) -> Result<(), String> {
        for (name, score) in [("soundness", self.soundness), ("statistics", self.statistics), ("clarity", self.clarity)]
        {
            if !(1..=10).contains(&score) {
                return Err(format!("{name} = {score} is not in 1 to 10"));
            }
        }
        words("summary", &self.summary, SUMMARY)?;
        if self.demands.len() > DEMANDS {
            return Err(format!("demands has {} entries; at most {DEMANDS}", self.demands.len()));
        }
        for (i, demand) in self.demands.iter().enumerate() {
            words(&format!("demands[{i}].what"), &demand.what, DEMAND)?;
            if !demand.quote.trim().is_empty() && !paper.holds(&demand.quote) {
                return Err(format!(
                    "demands[{i}].quote is no passage of the paper; copy it word for word, or leave it empty"
                ));
            }
        }
        Ok(())
    }

    pub fn opinion(self, by: &str, paper: &Manuscript) -> Opinion {
        let said = self.demands.iter().map(|d| d.what.as_str()).chain([self.summary.as_str()]);
        let mut foreign: Vec<String> = said.flat_map(numbers).filter(|n| !numbers(&paper.text).contains(n)).collect();
        foreign.sort();
        foreign.dedup();
        let [soundness, statistics, clarity] = [self.soundness, self.statistics, self.clarity].map(f64::from);
        let mut demands = self.demands;
        demands.sort_by_key(|d| d.severity);
        Opinion {
            by: by.to_string(),
            scores: Scores { soundness, statistics, clarity },
            summary: self.summary,
            demands,
            foreign_numbers: foreign,
        }
    }
}

/// Numbers with a decimal point or of two digits and more: what a reader could take for a result.
fn numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_digit() || (c == '.' && !current.is_empty()) {
            current.push(c);
            continue;
        }
        let number = current.trim_end_matches('.');
        if number.len() > 1 {
            found.push(number.to_string());
        }
        current.clear();
    }
    found
}

fn words(what: &str, text: &str, most: usize) -> Result<(), String> {
    match text.chars().count() {
        0 => Err(format!("{what} is empty")),
        n if n > most => Err(format!("{what} has {n} characters; at most {most}")),
        _ => hidden(text).map_or(Ok(()), |c| Err(format!("{what} holds {c:?}, which cannot be seen: leave it out"))),
    }
}
