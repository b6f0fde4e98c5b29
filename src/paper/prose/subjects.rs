//! Whose number it is: the subject of every fact must be the one that its sentence is about at that place.
//!
//! A mention of a subject governs the facts after it until another takes over. Beside a noun ("the baseline's {x}", "from the
//! baseline at {x}", "{x} for the baseline") a mention governs only its neighbour. Coordinated mentions ("the baseline and
//! candidate 4") govern as many facts in their order. A sentence without a mention goes on with the one before it in the same
//! block. Mentions of settings, runs and hypotheses are separate: each kind governs facts of its own kind.
//!
//! Boundary: pure; knows items and facts, no markup.

use super::items::Item;
use crate::paper::fact::{Basis, CAMPAIGN, Fact, Facts};
use std::collections::BTreeMap;

/// What a block is about so far: kind of subject to subject.
pub(super) type Carried = BTreeMap<String, String>;

/// Prepositions that put a mention beside what the sentence is about.
const ASIDE: [&str; 24] = [
    "than", "from", "unlike", "against", "over", "with", "to", "versus", "vs", "of", "for", "by", "in", "under",
    "beyond", "above", "below", "on", "at", "as", "between", "near", "beside", "towards",
];
/// Prepositions that, at the beginning of a sentence, say what it is about.
const FRONTED: [&str; 7] = ["for", "in", "under", "with", "on", "at", "of"];
/// Prepositions by which a mention after a fact says whose it is.
const BEHIND: [&str; 4] = ["of", "for", "in", "under"];
const ARTICLES: [&str; 7] = ["the", "a", "our", "its", "this", "that", "both"];

/// A subject at its place in the sentence.
struct Mention<'a> {
    key: &'a str,
    at: usize,
    /// Index of the preposition before it.
    preposition: Option<usize>,
    aside: bool,
}

/// Baseline, candidates and runs are things that are measured; the others have kinds of their own.
pub(super) fn kind(key: &str) -> &str {
    match key.split('.').next().unwrap_or(key) {
        "baseline" | "candidate" | "run" => "arm",
        other => other,
    }
}

/// The first fact of a sentence whose subject is another than the sentence's, in words. Updates what is carried.
pub(super) fn check(items: &[Item], facts: &Facts, carried: &mut Carried) -> Option<String> {
    let mentions = mentions(items);
    let mut wrong = None;
    for (at, item) in items.iter().enumerate() {
        let Item::Fact(id) = item else { continue };
        let Some(fact) = facts.get(id) else { continue };
        if fact.subject != CAMPAIGN {
            wrong = wrong.or_else(|| one(items, &mentions, facts, at, fact, &fact.subject, carried));
        }
        // A setting of something is also a value of that parameter.
        if let Basis::Config { path } = &fact.basis {
            let parameter = format!("parameter.{path}");
            if facts.subjects.contains_key(&parameter) && fact.subject != parameter {
                wrong = wrong.or_else(|| parameter_of(&mentions, items, at, id, &parameter));
            }
        }
    }
    let mut kinds: Vec<&str> = mentions.iter().map(|m| kind(m.key)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for of in kinds {
        let own = |m: &&Mention| kind(m.key) == of;
        let main = mentions.iter().filter(own).rfind(|m| !m.aside).or_else(|| mentions.iter().rfind(own));
        if let Some(main) = main {
            carried.insert(of.to_string(), main.key.to_string());
        }
    }
    wrong
}

fn mentions(items: &[Item]) -> Vec<Mention<'_>> {
    let lower: Vec<String> = items.iter().map(Item::lower).collect();
    items
        .iter()
        .enumerate()
        .filter_map(|(at, item)| {
            let Item::Mention { key, possessive } = item else { return None };
            let mut before = at.checked_sub(1);
            while let Some(i) = before.filter(|i| ARTICLES.contains(&lower[*i].as_str())) {
                before = i.checked_sub(1);
            }
            let preposition = before.filter(|i| ASIDE.contains(&lower[*i].as_str()));
            let fronted = preposition.is_some_and(|i| i == 0 && FRONTED.contains(&lower[i].as_str()));
            // "the baseline, whose ...": from there on the sentence is about it.
            let relative = items.get(at + 1).is_some_and(|i| i.is(','))
                && lower.get(at + 2).is_some_and(|w| matches!(w.as_str(), "whose" | "which" | "where"));
            let aside = *possessive || (preposition.is_some() && !fronted && !relative);
            Some(Mention { key, at, preposition, aside })
        })
        .collect()
}

/// Checks one fact against the mentions of its subject's kind.
fn one(
    items: &[Item],
    mentions: &[Mention],
    facts: &Facts,
    at: usize,
    fact: &Fact,
    subject: &str,
    carried: &Carried,
) -> Option<String> {
    let of = kind(subject);
    let own: Vec<&Mention> = mentions.iter().filter(|m| kind(m.key) == of).collect();
    let versus = fact.versus.as_deref();
    let wrong = |found: &str| {
        Some(format!(
            "`{}` is about {}, and the sentence at that place is about {}",
            fact.id,
            name(facts, subject),
            name(facts, found)
        ))
    };
    let apart = |from: usize, to: usize, most: usize| {
        let between = &items[from..to];
        let parts =
            |i: &Item| matches!(i, Item::Fact(_)) || is_break(i) || matches!(i.lower().as_str(), "and" | "or" | "but");
        between.len() <= most && !between.iter().any(parts)
    };
    // Right before it: "the baseline's {x}", "from the baseline at {x}".
    if let Some(m) = own.iter().rfind(|m| m.at < at)
        && m.aside
        && apart(m.at + 1, at, 3)
        && versus != Some(m.key)
    {
        return if m.key == subject { None } else { wrong(m.key) };
    }
    // Right behind it: "{x} for the baseline".
    if let Some(m) = own.iter().find(|m| m.at > at)
        && let Some(preposition) = m.preposition
        && BEHIND.contains(&items[preposition].lower().as_str())
        && apart(at + 1, preposition, 3)
        && versus != Some(m.key)
    {
        return if m.key == subject { None } else { wrong(m.key) };
    }
    let main: Vec<&&Mention> = own.iter().filter(|m| !m.aside).collect();
    if let Some(last) = main.iter().rposition(|m| m.at < at) {
        let group = group(items, &main, last);
        if group.len() > 1 {
            let end = main[last].at;
            let next = main.get(last + 1).map_or(items.len(), |m| m.at);
            let same = |i: &usize| matches!(&items[*i], Item::Fact(id) if facts.get(id).is_some_and(|f| kind(&f.subject) == of));
            let theirs: Vec<usize> = (end..next).filter(same).collect();
            if theirs.len() == group.len() {
                let expected = theirs.iter().position(|i| *i == at).map_or(subject, |i| group[i]);
                return if expected == subject { None } else { wrong(expected) };
            }
            return if group.contains(&subject) { None } else { wrong(group[0]) };
        }
        let governing = main[last].key;
        return if governing == subject || (versus == Some(governing) && own.iter().any(|m| m.key == subject)) {
            None
        } else {
            wrong(governing)
        };
    }
    // Nothing before it: what comes after, if that is all there is.
    if !own.is_empty() {
        let others: Vec<&&Mention> = own.iter().filter(|m| m.key != subject && versus != Some(m.key)).collect();
        let named = own.iter().any(|m| m.key == subject);
        return match (named, others.first()) {
            (true, None) => None,
            (_, Some(other)) if !named => wrong(other.key),
            (true, Some(_)) if main.first().is_some_and(|m| m.key == subject) => None,
            (true, Some(other)) => wrong(other.key),
            // Only what it is compared with is named: whose it is was said before.
            _ => match carried.get(of) {
                Some(key) if key == subject => None,
                Some(key) => wrong(key),
                None => wrong(versus.unwrap_or(CAMPAIGN)),
            },
        };
    }
    match carried.get(of) {
        Some(key) if key == subject => None,
        Some(key) => wrong(key),
        None => {
            Some(format!("nothing says whose number `{}` is: name its subject ({})", fact.id, name(facts, subject)))
        }
    }
}

/// Whether the parameter named nearest before a setting is the one whose value it is.
fn parameter_of(mentions: &[Mention], items: &[Item], at: usize, id: &str, parameter: &str) -> Option<String> {
    let own: Vec<&Mention> = mentions.iter().filter(|m| m.key.starts_with("parameter.")).collect();
    let before = own.iter().rposition(|m| m.at < at)?;
    let all: Vec<&&Mention> = own.iter().collect();
    let group = group(items, &all, before);
    let is_setting = |i: &usize| matches!(items[*i], Item::Fact(_));
    let next = own.get(before + 1).map_or(items.len(), |m| m.at);
    let theirs: Vec<usize> = (own[before].at..next).filter(is_setting).collect();
    let expected = if group.len() > 1 && theirs.len() == group.len() {
        theirs.iter().position(|i| *i == at).map(|i| group[i])
    } else {
        (!group.contains(&parameter)).then(|| own[before].key)
    };
    match expected {
        Some(key) if key != parameter => Some(format!(
            "`{id}` is a value of `{}`, and the sentence at that place names `{}`",
            parameter.trim_start_matches("parameter."),
            key.trim_start_matches("parameter.")
        )),
        _ => None,
    }
}

/// The mentions coordinated with the one at `last`, itself included, in their order: "a, b and c".
fn group<'m>(items: &[Item], mentions: &[&&Mention<'m>], last: usize) -> Vec<&'m str> {
    let mut keys = vec![mentions[last].key];
    let mut at = last;
    while at > 0 {
        let between = &items[mentions[at - 1].at + 1..mentions[at].at];
        let joined = !between.is_empty()
            && between.iter().all(|i| i.is(',') || matches!(i.lower().as_str(), "and" | "or" | "the" | "of" | "a"))
            && between.iter().any(|i| i.is(',') || matches!(i.lower().as_str(), "and" | "or"));
        if !joined {
            break;
        }
        at -= 1;
        keys.insert(0, mentions[at].key);
    }
    keys
}

fn is_break(item: &Item) -> bool {
    matches!(item, Item::Mark(',' | ';' | ':' | '\u{2014}' | '\u{2013}'))
}

fn name(facts: &Facts, key: &str) -> String {
    facts.subjects.get(key).and_then(|names| names.first()).cloned().unwrap_or_else(|| match key {
        CAMPAIGN => "nothing".to_string(),
        other => other.to_string(),
    })
}
