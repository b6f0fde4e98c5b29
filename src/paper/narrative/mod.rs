//! A paper by rules: outline, sections, captions and tables from a campaign's facts, without a language model.
//!
//! ```text
//! outline    the main finding, comparisons worth making, what failed
//! front      title, abstract, introduction, related work
//! method     method and setup
//! results    results, effects, scaling, failures
//! back       limitations, data and ethics, compute and reproducibility
//! floats     figures and tables with their captions
//! ```
//! Sentences are markup like anybody's and pass the same compiler: no number is written here. What a campaign does not have
//! (energy, seeds, a candidate that was repeated) changes what is said, and is never filled in.

mod back;
mod floats;
mod front;
mod method;
mod outline;
mod results;

use super::document::{Draft, DraftSection};
use super::fact::Facts;
use crate::campaign::State;
use crate::literature::Record;
use std::collections::BTreeSet;
use std::path::Path;

pub use outline::{Finding, Outline};

/// What the rules write from.
pub(super) struct Story<'a> {
    pub folder: &'a Path,
    pub state: &'a State,
    pub facts: &'a Facts,
    pub outline: Outline,
    keys: BTreeSet<&'a str>,
}

/// The whole draft of a campaign. `library`: what may be cited.
pub fn draft(folder: &Path, state: &State, facts: &Facts, library: &[Record]) -> Draft {
    let keys = library.iter().map(|r| r.key.as_str()).collect();
    let story = Story { folder, state, facts, outline: Outline::of(state, facts), keys };
    let mut sections = Vec::new();
    let mut add = |label: &str, title: &str, source: String| {
        if !source.trim().is_empty() {
            let (label, title) = (format!("sec:{label}"), title.to_string());
            sections.push(DraftSection { label, title, source });
        }
    };
    add("introduction", "Introduction", front::introduction(&story));
    add("related", "Related work", front::related(&story));
    add("method", "Method", method::method(&story));
    add("setup", "Experimental setup", method::setup(&story));
    add("results", "Results", results::results(&story));
    add("effects", "What the settings did", results::effects(&story));
    add("failures", "What failed", results::failures(&story));
    add("conclusion", "Conclusion", results::conclusion(&story));
    add("limitations", "Limitations", back::limitations(&story));
    add("ethics", "Data, licences and ethics", back::ethics(&story));
    add("compute", "Compute and reproducibility", back::compute(&story));
    let (figures, tables) = floats::all(&story, &sections);
    Draft {
        title: front::title(&story),
        summary: front::summary(&story),
        sections,
        figures,
        tables,
        names: library.iter().flat_map(|r| names_in(&r.title)).collect(),
    }
}

/// Names with digits in a cited title, such as GPT-2.
fn names_in(title: &str) -> Vec<String> {
    title
        .split_whitespace()
        .map(|w| w.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|w| w.chars().next().is_some_and(char::is_uppercase) && w.chars().any(|c| c.is_ascii_digit()))
        .map(str::to_string)
        .collect()
}

impl Story<'_> {
    pub fn has(&self, id: &str) -> bool {
        self.facts.known(id)
    }

    pub fn number(&self, id: &str) -> f64 {
        self.facts.number(id).unwrap_or(f64::NAN)
    }

    pub fn text(&self, id: &str) -> &str {
        self.facts.text(id).unwrap_or_default()
    }

    /// A citation of those keys that are known, with the space before it; empty where none is.
    pub fn cite(&self, keys: &[&str]) -> String {
        let known: Vec<String> = keys.iter().filter(|k| self.keys.contains(*k)).map(|k| format!("@{k}")).collect();
        if known.is_empty() { String::new() } else { format!(" [{}]", known.join("; ")) }
    }

    /// `was` or `were` by a count.
    pub fn was(&self, id: &str) -> &'static str {
        if self.number(id) == 1.0 { "was" } else { "were" }
    }

    /// `p = {id}` or `p {id}` where it is below what is shown.
    pub fn p(&self, id: &str) -> String {
        if self.number(id) < 0.001 { format!("p\u{a0}{{{id}}}") } else { format!("p\u{a0}=\u{a0}{{{id}}}") }
    }

    /// The objective in prose: `validation accuracy`.
    pub fn metric(&self) -> &'static str {
        super::facts::words::metric_name(self.state.campaign.objective.metric)
    }

    /// `a fully connected network`.
    pub fn model(&self) -> String {
        format!("a {}", self.text("model.kind"))
    }
}

/// Paragraphs, the empty ones left out.
fn paragraphs(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().filter(|p| !p.trim().is_empty()).collect::<Vec<_>>().join("\n\n")
}
