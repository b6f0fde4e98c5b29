//! A paper's text by a language model: the draft by rules, with title, abstract and sections in its words.
//!
//! What it writes passes the compiler that the rules pass; what does not build goes back to it with the sentences named, in a
//! bounded dialogue, and where that ends without a text the draft by rules stays. Figures, tables and their captions are not
//! its own. Every question is charged to the campaign (`campaign::Desk`).
//! Boundary: must not know the command line, nor who reviews.

use super::document::{Draft, check};
use super::fact::{Facts, Shows, Value};
use super::prose::Finding;
use crate::campaign::{Ask, Desk, Heard};
use crate::config::LlmRole;
use crate::literature::Record;
use crate::llm::{Answer, fence, fill_template};
use crate::problem::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// The prompt.
const TEMPLATE: &str = include_str!("../../prompts/writer.md");
/// Characters of one text that are taken.
const LONGEST: usize = 20_000;
/// Findings that the model is told of at once.
const TOLD: usize = 10;

/// A paper's texts, in markup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PaperText {
    /// The title.
    pub title: String,
    /// The abstract.
    pub summary: String,
    /// Every section by its label.
    pub sections: Vec<SectionText>,
}

/// A section's text, in markup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SectionText {
    /// Its label: `sec:results`.
    pub label: String,
    /// Its text.
    pub source: String,
}

impl Answer for PaperText {
    const NAME: &'static str = "paper_text";
}

impl PaperText {
    /// The draft with these words; what cannot be taken in words otherwise.
    fn onto(&self, draft: &Draft) -> std::result::Result<Draft, String> {
        let mut written = draft.clone();
        written.title.clone_from(&self.title);
        written.summary.clone_from(&self.summary);
        for text in &self.sections {
            if text.source.chars().count() > LONGEST {
                return Err(format!("the section `{}` is longer than {LONGEST} characters", text.label));
            }
            match written.sections.iter_mut().find(|s| s.label == text.label) {
                Some(section) => section.source.clone_from(&text.source),
                None => return Err(format!("there is no section `{}`", text.label)),
            }
        }
        let told = |label: &String| self.sections.iter().any(|s| s.label == *label);
        match draft.sections.iter().find(|s| !told(&s.label)) {
            Some(missing) => Err(format!("the section `{}` is missing", missing.label)),
            None => Ok(written),
        }
    }
}

/// Asks for the text. `demands`: what reviewers of an earlier version want changed.
///
/// # Errors
/// What must stop the writing: a journal or tape that cannot be written.
pub fn ask(
    desk: &mut Desk,
    facts: &Facts,
    draft: &Draft,
    library: &[Record],
    demands: &[String],
    round: usize,
) -> Result<Heard<Draft>> {
    let (system, prompt) = prompt(facts, draft, library, demands);
    let judge = |text: &PaperText| {
        let written = text.onto(draft)?;
        check(facts, &written, library).map(drop).map_err(|findings| told(&findings))
    };
    let what = format!("the paper's text, round {round}");
    let ask = Ask { role: LlmRole::Writer, what: &what, system: &system, prompt: &prompt, check: &judge };
    let heard = desk.ask::<PaperText>(&ask)?;
    Ok(heard.and_then(|text| text.onto(draft)))
}

/// Findings as the model is told of them.
fn told(findings: &[Finding]) -> String {
    let mut text = "these sentences do not build:".to_string();
    for finding in findings.iter().take(TOLD) {
        let _ = write!(text, "\n- in {}: \"{}\": {}", finding.place, finding.sentence, finding.what);
    }
    if findings.len() > TOLD {
        let _ = write!(text, "\nand {} more", findings.len() - TOLD);
    }
    text
}

fn prompt(facts: &Facts, draft: &Draft, library: &[Record], demands: &[String]) -> (String, String) {
    let works: Vec<String> = library.iter().map(|r| format!("{}: {}, {}", r.key, r.short(), r.title)).collect();
    let floats = draft
        .figures
        .iter()
        .map(|f| (&f.label, &f.caption))
        .chain(draft.tables.iter().map(|t| (&t.label, &t.caption)))
        .map(|(label, caption)| format!("{label}: {caption}"))
        .collect::<Vec<_>>();
    let mut rules = format!("title: {}\n\nsummary:\n{}\n", draft.title, draft.summary);
    for section in &draft.sections {
        let _ = write!(rules, "\n[{}] {}\n{}\n", section.label, section.title, section.source);
    }
    let demands = match demands {
        [] => String::new(),
        all => format!("# What reviewers want changed\n{}\n", fence("reviews", &all.join("\n"), 8_000)),
    };
    let values = [
        ("facts", fence("facts", &facts_text(facts), 60_000)),
        ("works", fence("works", &works.join("\n"), 12_000)),
        ("floats", floats.join("\n")),
        ("draft", rules),
        ("demands", demands),
    ];
    fill_template(TEMPLATE, &values)
}

/// Facts in lines, those of single runs left out.
fn facts_text(facts: &Facts) -> String {
    let mut text = String::new();
    for fact in facts.facts.iter().filter(|f| !f.id.starts_with("run.") && !f.id.starts_with("figure.")) {
        let shows = match fact.shows {
            Some(Shows::Improvement) => ", shows an improvement",
            Some(Shows::Harm) => ", shows harm",
            Some(Shows::Association) => ", shows an association",
            Some(Shows::Nothing) => ", shows nothing",
            None => "",
        };
        let missing = if matches!(fact.value, Value::Missing(_)) { ", missing" } else { "" };
        let bounds = fact.bounds().map(|b| format!(" {b}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "{} = {}{bounds} | {} | about {}{shows}{missing}",
            fact.id,
            fact.shown(),
            fact.what,
            fact.subject
        );
    }
    text
}
