//! `review.json` for programs, `review.md` for people: the last review, and how it came to it.

use super::opinion::{Opinion, Review};
use crate::problem::{Problem, Result};
use crate::sys::fs;
use std::path::{Path, PathBuf};

/// The reviews as JSON, all rounds.
pub const REVIEW_FILE: &str = "review.json";
/// The last review as text.
pub const REVIEW_TEXT: &str = "review.md";

/// Writes both into the paper's folder and returns their paths.
pub fn write(folder: &Path, reviews: &[Review]) -> Result<Vec<PathBuf>> {
    let mut json = serde_json::to_vec_pretty(reviews)
        .map_err(|e| Problem::failed(format!("a review cannot be written as JSON: {e}")))?;
    json.push(b'\n');
    let (data, text) = (folder.join(REVIEW_FILE), folder.join(REVIEW_TEXT));
    fs::write_atomic(&data, &json)?;
    fs::write_atomic(&text, to_markdown(reviews).as_bytes())?;
    Ok(vec![text, data])
}

/// The last review as Markdown. Words of reviewers stand as text: no markup of theirs has an effect.
pub fn to_markdown(reviews: &[Review]) -> String {
    let Some(last) = reviews.last() else { return "# Review\n\nNobody reviewed this paper.\n".to_string() };
    let verdict = match last.passes {
        true => "It passes: nothing blocks it, and no median score is below 6.",
        false => "It does not pass: something blocks it, or a median score is below 6.",
    };
    let rounds = match reviews.len() {
        1 => "One round.".to_string(),
        n => {
            let passed: Vec<String> = reviews.iter().map(|r| format!("{:.1}", r.scores.soundness)).collect();
            format!("{n} rounds, the paper revised between them; median soundness {}.", passed.join(", then "))
        }
    };
    let mut out = format!(
        "# Review\n\n{verdict} {rounds}\n\n| reviewer | soundness | statistics | clarity |\n|---|---|---|---|\n"
    );
    let row = |name: &str, o: &super::Scores| {
        format!("| {name} | {} | {} | {} |\n", score(o.soundness), score(o.statistics), score(o.clarity))
    };
    for opinion in &last.opinions {
        out += &row(&text(&opinion.by), &opinion.scores);
    }
    out += &row("**median**", &last.scores);
    out += "\nScores are from 1 (unusable) to 10 (nothing to mend).";
    if last.dollars.micro > 0 {
        out += &format!(" The language model cost {}, charged to the campaign.", last.dollars);
    }
    out += "\n";
    for silent in &last.silent {
        out += &format!("\nAsked and of no use: {}.\n", text(silent));
    }
    for opinion in &last.opinions {
        out += &section(opinion);
    }
    out
}

fn score(score: f64) -> String {
    if score.fract() == 0.0 { format!("{score:.0}") } else { format!("{score:.1}") }
}

fn section(opinion: &Opinion) -> String {
    let mut name = opinion.by.clone();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let mut out = format!("\n## {}\n\n{}\n", text(&name), text(&opinion.summary));
    if !opinion.foreign_numbers.is_empty() {
        out += &format!(
            "\nNumbers that this reviewer states and the paper does not: {}. They were not checked.\n",
            opinion.foreign_numbers.iter().map(|n| text(n)).collect::<Vec<_>>().join(", ")
        );
    }
    if opinion.demands.is_empty() {
        return out + "\nNo demands.\n";
    }
    out += "\n";
    for demand in &opinion.demands {
        out += &format!("- **{}**: {}", demand.severity.name(), text(&demand.what));
        if !demand.quote.is_empty() {
            out += &format!(" (\"{}\")", text(&demand.quote));
        }
        out += "\n";
    }
    out
}

/// Somebody's words on one line, as text: without anything that Markdown or HTML reads as more.
fn text(words: &str) -> String {
    let mut out = String::new();
    for c in words.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '*' | '_' | '`' | '[' | ']' | '|' | '#' | '\\' | '!' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}
