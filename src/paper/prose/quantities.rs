//! What a number is a number of: the unit that follows a fact, and the measure that is named before it.
//!
//! A fact is printed with its own unit, so that another one behind it would stand beside it or in its place ("{runs.total}
//! seconds"); and the objective's value may not be called another measure ("an error of" what is an accuracy).
//!
//! Boundary: pure; knows tokens and facts.

use super::markup::{Form, Token};
use crate::paper::fact::{Fact, Facts, Show, Value};

/// Units of measure, as words behind a number. Not "times", which multiplies.
const MEASURES: &[&str] = &[
    "milliseconds",
    "millisecond",
    "ms",
    "seconds",
    "second",
    "s",
    "minutes",
    "minute",
    "min",
    "hours",
    "hour",
    "h",
    "days",
    "day",
    "weeks",
    "week",
    "months",
    "month",
    "years",
    "year",
    "bits",
    "bit",
    "nats",
    "nat",
    "bytes",
    "byte",
    "kb",
    "mb",
    "gb",
    "kib",
    "mib",
    "gib",
    "tib",
    "joules",
    "joule",
    "wh",
    "kwh",
    "watts",
    "watt",
    "dollars",
    "dollar",
    "cents",
    "euros",
    "percent",
    "percentage",
    "points",
    "point",
    "degrees",
    "flops",
    "gflops",
    "tflops",
    "device-seconds",
    "device-minutes",
    "device-hours",
    "gpu-hours",
    "gpu-days",
];
/// What is counted.
const COUNTED: &[&str] = &[
    "runs",
    "run",
    "seeds",
    "seed",
    "candidates",
    "candidate",
    "steps",
    "step",
    "epochs",
    "epoch",
    "parameters",
    "parameter",
    "samples",
    "sample",
    "tokens",
    "token",
    "layers",
    "layer",
    "attempts",
    "attempt",
    "events",
    "decisions",
    "questions",
];
/// Names of measures.
const NAMES: &[&str] = &["accuracy", "loss", "error", "perplexity", "cross-entropy", "f-score", "recall", "precision"];
/// What a named quantity's facts have in their ids.
const KINDS: [(&[&str], &str); 3] = [(&["noise", "floor"], "floor"), (&["p", "value"], ".p"), (&["p-value"], ".p")];
/// Words between a name and its number.
const LINKS: &[&str] = &["of", "is", "was", "at", "reaches", "equals", "the", "a", "mean"];

/// The first fact of a sentence that is made a number of something else, in words. `print`: a fact in a form.
pub(super) fn check(
    sentence: &[Token],
    facts: &Facts,
    print: &dyn Fn(&Fact, Form) -> Option<String>,
) -> Option<String> {
    sentence.iter().enumerate().find_map(|(at, token)| {
        let Token::Fact { id, form } = token else { return None };
        let fact = facts.get(id).filter(|f| matches!(f.value, Value::Number(_)))?;
        let text = |at: Option<usize>| match at.and_then(|i| sentence.get(i)) {
            Some(Token::Text(text)) => text.as_str(),
            _ => "",
        };
        let (before, after) = (text(at.checked_sub(1)), text(Some(at + 1)));
        unit(fact, &print(fact, *form)?, after).or_else(|| name(fact, facts, before))
    })
}

/// A unit behind a number that is not its own, or that it has already.
fn unit(fact: &Fact, shown: &str, after: &str) -> Option<String> {
    let id = &fact.id;
    if after.starts_with(['%', '\u{2030}', '\u{b0}', '\u{20ac}', '$']) {
        return Some(format!("`{id}` is printed with its own unit, and {} follows it", after.chars().next()?));
    }
    // Nothing but a space in between.
    let rest = after.strip_prefix([' ', '\u{a0}'])?;
    let word: String = rest.chars().take_while(|c| c.is_alphabetic() || *c == '-').collect::<String>().to_lowercase();
    // Points are drawn as well as won.
    let drawn = word.starts_with("point") && fact.show == Show::Count;
    let (measure, counted) = (MEASURES.contains(&word.as_str()) && !drawn, COUNTED.contains(&word.as_str()));
    let value = shown.split('[').next().unwrap_or(shown).trim();
    let has_unit =
        value.contains('%') || value.split(['\u{a0}', ' ']).skip(1).any(|w| w.starts_with(|c: char| c.is_alphabetic()));
    if (measure || counted) && has_unit {
        return Some(format!("`{id}` is \u{201c}{shown}\u{201d} with its unit, and \u{201c}{word}\u{201d} follows it"));
    }
    let own = fact.unit.to_lowercase();
    let own = own.split(' ').any(|u| u.trim_end_matches('s') == word.trim_end_matches('s'));
    (measure && !own).then(|| format!("`{id}` is no number of \u{201c}{word}\u{201d}"))
}

/// Another measure's name before the objective's value, or a value of something else behind a quantity's name.
fn name(fact: &Fact, facts: &Facts, before: &str) -> Option<String> {
    let words: Vec<String> =
        before.rsplit([',', ';', ':', '(', '.']).next()?.split_whitespace().map(str::to_lowercase).collect();
    let linked = words.iter().rev().take_while(|w| LINKS.contains(&w.as_str())).count();
    let named = &words[..words.len() - linked];
    let last = named.last().filter(|_| linked > 0)?;
    let objective = fact.id.ends_with(".metric") || fact.id.ends_with(".first-look");
    // Prose may speak of the error of what is measured as an accuracy; but an accuracy's value is none.
    let larger = facts.text("objective.direction") == Some("larger");
    let opposite = |name: &str| larger && matches!(name, "error" | "loss" | "perplexity" | "cross-entropy");
    let own = |name: &str| !opposite(name) && facts.metric_words.iter().any(|m| m.split(' ').any(|w| w == name));
    if objective && NAMES.contains(&last.as_str()) && !own(last) && !facts.metric_words.is_empty() {
        return Some(format!("`{}` is no {last}", fact.id));
    }
    let kind =
        KINDS.iter().find(|(phrase, _)| named.len() >= phrase.len() && named[named.len() - phrase.len()..] == **phrase);
    kind.filter(|(_, part)| !fact.id.contains(part))
        .map(|(phrase, _)| format!("`{}` is no {}", fact.id, phrase.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::fact::{Basis, CAMPAIGN};

    #[test]
    fn a_unit_behind_a_number_is_its_own_or_none() {
        let fact = |unit: &str| Fact {
            id: "x".into(),
            subject: CAMPAIGN.into(),
            versus: None,
            what: String::new(),
            value: Value::Number(41.0),
            unit: unit.into(),
            interval: None,
            n: None,
            shows: None,
            show: Show::Count,
            basis: Basis::Journal,
            sources: Vec::new(),
        };
        for (of, shown, after, wrong) in [
            ("runs", "41\u{a0}runs", " seconds passed", true),
            ("runs", "41\u{a0}runs", " runs", true),
            ("runs", "41\u{a0}runs", ", seconds later", false),
            ("runs", "41", " runs", false),
            ("runs", "41", " finished runs", false),
            ("", "0.97", " bits", true),
            ("", "0.97", " points", false),
            ("", "0.97", "%", true),
            ("", "0.97", " bits per byte", true),
            ("bits per byte", "3.1", " bits per byte", false),
            ("bits per byte", "3.1\u{a0}bits per byte [3.0, 3.2]", " bits", true),
            ("", "23.1", " times the noise floor", false),
            ("", "five", " seeds", false),
            ("seeds", "five\u{a0}seeds", " candidates", true),
        ] {
            assert_eq!(unit(&fact(of), shown, after).is_some(), wrong, "{shown}{after}");
        }
    }
}
