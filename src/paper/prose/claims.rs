//! Claims: a sentence that says that something is better, worse, changed or associated must hold a fact that shows it beyond
//! the noise.
//!
//! What is denied, asked, supposed or predicted is no claim; what a cited work is said to have found is that work's claim. Both
//! are judged clause by clause, and a denial that denies nothing ("no doubt", "not only") counts for nothing.
//!
//! Boundary: pure; knows items and facts, no markup.

use super::items::Item;
use super::subjects::kind;
use crate::paper::fact::{Facts, Shows, Value};

/// What a sentence claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Better,
    Worse,
    /// The objective moved, whichever way.
    Changed,
    Associated,
}

const BETTER: [&str; 22] = [
    "improve",
    "improvement",
    "improving",
    "better",
    "outperform",
    "superior",
    "superiority",
    "surpass",
    "beat",
    "beating",
    "outdo",
    "outdoes",
    "won",
    "advantage",
    "boost",
    "enhance",
    "enhancing",
    "significant",
    "significantly",
    "state-of-the-art",
    "exceed",
    "helps",
];
const WORSE: [&str; 8] = ["worse", "inferior", "harm", "hurt", "degrade", "degradation", "deteriorate", "underperform"];
const MOVES: [&str; 20] = [
    "raise",
    "increase",
    "increasing",
    "lift",
    "lower",
    "reduce",
    "reducing",
    "reduction",
    "decrease",
    "decreasing",
    "cut",
    "drop",
    "shrink",
    "grow",
    "fall",
    "rise",
    "gain",
    "push",
    "bring",
    "trim",
];
const COMPARATIVES: [&str; 9] =
    ["higher", "lower", "greater", "larger", "smaller", "less", "fewer", "more", "stronger"];
const ASSOCIATED: [&str; 6] = ["correlate", "correlation", "associate", "association", "govern", "determine"];

const DENIALS: [&str; 19] = [
    "no", "not", "none", "nothing", "never", "neither", "nor", "cannot", "without", "nobody", "hardly", "whether",
    "if", "unless", "would", "could", "might", "may", "should",
];
/// Words that make what follows a question, a condition or a forecast.
const SUPPOSED: [&str; 14] = [
    "question",
    "asks",
    "ask",
    "predicted",
    "predict",
    "predicts",
    "expected",
    "expects",
    "hypothesis",
    "hypotheses",
    "intended",
    "until",
    "before",
    "requires",
];
/// Denials that deny nothing.
const EMPTY: [&[&str]; 14] = [
    &["no", "doubt"],
    &["not", "in", "doubt"],
    &["without", "doubt"],
    &["without", "question"],
    &["no", "question"],
    &["nothing", "but"],
    &["not", "only"],
    &["not", "merely"],
    &["not", "just"],
    &["cannot", "be", "denied"],
    &["never", "fails"],
    &["not", "fail"],
    &["no", "surprise"],
    &["without", "exception"],
];
/// Definitions: they say what counts, not that it happened.
const DEFINITIONS: [&[&str]; 12] = [
    &["smaller", "is", "better"],
    &["larger", "is", "better"],
    &["lower", "is", "better"],
    &["higher", "is", "better"],
    &["smaller", "values", "are", "better"],
    &["larger", "values", "are", "better"],
    &["significant", "digits"],
    &["counts", "as", "an", "improvement"],
    &["counts", "as", "confirmed"],
    &["rank", "correlation"],
    &["rank", "correlations"],
    &["correlation", "ratio"],
];
/// Conjunctions after which a denial no longer holds.
const TURNS: [&str; 9] = ["but", "while", "whereas", "although", "though", "yet", "instead", "because", "since"];
/// Verbs after which "to improve" is a finding and not a purpose.
const FOUND: [&str; 11] =
    ["shown", "found", "seen", "proved", "proven", "known", "demonstrated", "able", "observed", "confirmed", "proves"];
const OURS: [&str; 8] = ["our", "ours", "we", "us", "here", "this", "these", "it"];

/// The first claim of a sentence that none of its facts carries, in words.
pub(super) fn check(items: &[Item], facts: &Facts) -> Option<String> {
    let claims = claims(items, facts);
    if claims.is_empty() || is_of_others(items) || is_question(items) {
        return None;
    }
    let carried: Vec<(&str, Shows)> = items
        .iter()
        .filter_map(|item| match item {
            Item::Fact(id) => Some((id.as_str(), shown(facts, id)?)),
            _ => None,
        })
        .collect();
    let carries = |wanted: &[Shows]| carried.iter().any(|(_, shows)| wanted.contains(shows));
    let (_, word) = claims.into_iter().find(|(claim, _)| !match claim {
        Claim::Better => carries(&[Shows::Improvement]),
        Claim::Worse => carries(&[Shows::Harm]),
        Claim::Changed => carries(&[Shows::Improvement, Shows::Harm]),
        Claim::Associated => carries(&[Shows::Association, Shows::Improvement, Shows::Harm]),
    })?;
    Some(match carried.first() {
        Some((id, Shows::Nothing)) => {
            format!("\u{201c}{word}\u{201d} is a claim, and the interval of `{id}` does not clear the noise")
        }
        Some((id, _)) => format!("\u{201c}{word}\u{201d} is a claim of another kind than `{id}` shows"),
        None => format!("\u{201c}{word}\u{201d} is a claim, and no fact in the sentence shows it beyond the noise"),
    })
}

fn shown(facts: &Facts, id: &str) -> Option<Shows> {
    let fact = facts.get(id)?;
    // That some candidates were confirmed is shown by their number.
    let confirmed = fact.id == "search.confirmed" && matches!(fact.value, Value::Number(n) if n > 0.0);
    fact.shows.or(confirmed.then_some(Shows::Improvement))
}

/// A sentence that asks, and means it.
fn is_question(items: &[Item]) -> bool {
    const ASKING: [&str; 14] =
        ["does", "do", "did", "is", "are", "was", "which", "what", "how", "why", "can", "would", "will", "whether"];
    let first = items.iter().map(Item::lower).find(|w| !w.is_empty()).unwrap_or_default();
    let ends = items.iter().rev().find(|i| !matches!(i, Item::Mark('\u{201d}' | '"'))).is_some_and(|i| i.is('?'));
    ends && ASKING.contains(&first.as_str()) && !items.iter().any(|i| i.lower().starts_with("doubt"))
}

/// A sentence that reports what a cited work found, and nothing of this campaign.
fn is_of_others(items: &[Item]) -> bool {
    let cited = items.contains(&Item::Cite);
    let ours = items.iter().any(|item| match item {
        Item::Mention { key, .. } => kind(key) == "arm",
        Item::Fact(_) => true,
        other => OURS.contains(&other.lower().as_str()),
    });
    cited && !ours
}

fn claims(items: &[Item], facts: &Facts) -> Vec<(Claim, String)> {
    let mut lower: Vec<String> = items.iter().map(Item::lower).collect();
    for phrase in EMPTY.iter().chain(&DEFINITIONS) {
        for at in 0..lower.len() {
            if phrase.iter().enumerate().all(|(i, word)| lower.get(at + i).is_some_and(|w| w == word)) {
                lower[at..at + phrase.len()].iter_mut().for_each(String::clear);
            }
        }
    }
    let mut out = Vec::new();
    for at in 0..lower.len() {
        let Some(claim) = claim_at(&lower, at, facts) else { continue };
        if !supposed(items, &lower, at) {
            out.push((claim, lower[at].clone()));
        }
    }
    out
}

/// The word without the endings of verbs and plurals, as far as it is then one of `stems`.
fn is_one_of(word: &str, stems: &[&str]) -> bool {
    if stems.contains(&word) {
        return true;
    }
    ["s", "d", "ed", "es", "ing", "ting", "ten"]
        .iter()
        .any(|e| word.strip_suffix(e).is_some_and(|w| stems.contains(&w)))
}

fn claim_at(lower: &[String], at: usize, facts: &Facts) -> Option<Claim> {
    let word = lower[at].as_str();
    if word.is_empty() {
        return None;
    }
    let next = |i: usize| lower.get(at + i).map(String::as_str).unwrap_or_default();
    if is_one_of(word, &BETTER)
        || (word == "wins" && !next(1).is_empty())
        || (word == "state" && next(1) == "of" && next(2) == "the")
    {
        return Some(Claim::Better);
    }
    if is_one_of(word, &["clear"]) && (next(1) == "noise" || next(2) == "noise") {
        return Some(Claim::Better);
    }
    if is_one_of(word, &["confirm"]) && word != "confirm" {
        return Some(Claim::Better);
    }
    if is_one_of(word, &WORSE) {
        return Some(Claim::Worse);
    }
    let metric = |most: usize| (1..=most).any(|i| is_metric(next(i), facts));
    if COMPARATIVES.contains(&word) && (metric(2) || next(1) == "accurate" || next(1) == "effective") {
        return Some(Claim::Changed);
    }
    if is_one_of(word, &MOVES)
        || word == "fell"
        || word == "rose"
        || word == "grew"
        || word == "brought"
        || word == "shrank"
    {
        if metric(4) {
            return Some(Claim::Changed);
        }
        let subject = (1..=3).any(|i| at.checked_sub(i).is_some_and(|j| is_metric(&lower[j], facts)));
        if subject && next(1) == "with" {
            return Some(Claim::Associated);
        }
        if subject {
            return Some(Claim::Changed);
        }
    }
    if is_one_of(word, &ASSOCIATED) || (is_one_of(word, &["scale", "depend"]) && matches!(next(1), "with" | "on")) {
        return Some(Claim::Associated);
    }
    None
}

fn is_metric(word: &str, facts: &Facts) -> bool {
    !word.is_empty()
        && (matches!(
            word,
            "performance"
                | "accuracy"
                | "loss"
                | "error"
                | "errors"
                | "perplexity"
                | "score"
                | "generalisation"
                | "generalization"
        ) || facts.metric_words.iter().any(|m| m == word))
}

/// Whether the word at `at` stands under a denial, a question or a condition.
fn supposed(items: &[Item], lower: &[String], at: usize) -> bool {
    let mut i = at;
    while i > 0 {
        i -= 1;
        let word = lower[i].as_str();
        if items[i].is(';') || TURNS.contains(&word) || takes_over(items, lower, i, at) {
            return false;
        }
        if DENIALS.contains(&word) || SUPPOSED.contains(&word) {
            return true;
        }
        if word == "to" && i + 2 > at && at > i {
            let before = i.checked_sub(1).map(|j| lower[j].as_str()).unwrap_or_default();
            if !FOUND.contains(&before) {
                return true;
            }
        }
    }
    false
}

/// Whether a new clause with a subject of its own begins at `i`, before `at`: ", candidate 4 ...", "and the baseline ...".
fn takes_over(items: &[Item], lower: &[String], i: usize, at: usize) -> bool {
    let joint = items[i].is(',') || items[i].is(':') || lower[i] == "and";
    joint
        && (i + 1..(i + 4).min(at)).any(|j| {
            matches!(&items[j], Item::Mention { key, .. } if kind(key) == "arm")
                || (j == i + 1
                    && matches!(lower[j].as_str(), "it" | "this" | "that" | "they" | "we" | "these" | "which"))
        })
}
