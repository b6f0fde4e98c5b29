//! How near a claim's words are to those of the records that were found: a score that can be followed by hand.
//!
//! TF-IDF over words and pairs of neighbouring words of title and abstract, compared by the cosine (Salton and Buckley 1988).
//! It says which records use the claim's words. It does not know what either means: a low score shows that none of the records
//! *looked at* is worded like the claim, never that the claim is new.

use super::fold::fold;
use super::record::Record;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// From here on a record is so near that it should be read before the claim is called new.
const CLOSE: f64 = 0.35;
/// From here on a record is about related things.
const RELATED: f64 = 0.15;
/// Weight of a title's words against an abstract's.
const TITLE: f64 = 2.0;
/// Shared words that are shown.
const SHARED: usize = 8;

/// How near a claim is to what was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Novelty {
    /// Records that were looked at.
    pub looked_at: usize,
    /// The nearest first; none that shares no word.
    pub nearest: Vec<Near>,
}

/// A record near a claim.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Near {
    /// Cosine, 0 to 1.
    pub score: f64,
    /// Its key.
    pub key: String,
    /// Its title.
    pub title: String,
    /// Who wrote it, in short.
    pub by: String,
    /// Words that both use, those that say most first.
    pub shared: Vec<String>,
}

impl Novelty {
    /// What the scores allow to say, in one sentence.
    pub fn words(&self) -> String {
        let n = self.looked_at;
        let of = format!("of the {n} record{} looked at", if n == 1 { "" } else { "s" });
        match self.nearest.first() {
            _ if n == 0 => "no record was looked at, so nothing can be said".to_string(),
            Some(near) if near.score >= CLOSE => {
                format!("close to {} (score {:.2}): read it before calling the claim new", near.by, near.score)
            }
            Some(near) if near.score >= RELATED => {
                format!(
                    "related work, the nearest {} (score {:.2}); none {of} is worded like the claim",
                    near.by, near.score
                )
            }
            _ => format!("none {of} is worded like the claim, which does not show that it is new"),
        }
    }
}

/// Compares a claim with records; at most `limit` of them are listed.
pub fn novelty(claim: &str, records: &[Record], limit: usize) -> Novelty {
    let documents: Vec<BTreeMap<String, f64>> = records
        .iter()
        .map(|r| {
            let mut terms = terms(&r.title, TITLE);
            for (term, weight) in self::terms(r.summary.as_deref().unwrap_or_default(), 1.0) {
                *terms.entry(term).or_default() += weight;
            }
            terms
        })
        .collect();
    let wanted = terms(claim, 1.0);
    // The claim counts as a document, so that a word of it that no record uses is rare and not absent.
    let total = documents.len() as f64 + 1.0;
    let rarity = |term: &str| {
        let n = documents.iter().filter(|d| d.contains_key(term)).count() as f64
            + f64::from(u8::from(wanted.contains_key(term)));
        (total / n.max(1.0)).ln() + 1.0
    };
    let mut rarities: BTreeMap<&str, f64> = BTreeMap::new();
    for term in documents.iter().flat_map(|d| d.keys()).chain(wanted.keys()) {
        rarities.entry(term).or_insert_with(|| rarity(term));
    }
    let weight = |term: &str, times: f64| (1.0 + times).ln() * rarities.get(term).copied().unwrap_or(0.0);
    let norm = |d: &BTreeMap<String, f64>| d.iter().map(|(t, n)| weight(t, *n).powi(2)).sum::<f64>().sqrt();
    let own = norm(&wanted);
    let mut nearest: Vec<Near> = records
        .iter()
        .zip(&documents)
        .filter_map(|(record, document)| {
            let mut shared: Vec<(f64, &String)> = wanted
                .iter()
                .filter_map(|(term, n)| Some((weight(term, *n) * weight(term, *document.get(term)?), term)))
                .collect();
            shared.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
            let score = shared.iter().map(|(w, _)| w).sum::<f64>() / (own * norm(document)).max(f64::MIN_POSITIVE);
            let shared: Vec<String> = shared.into_iter().take(SHARED).map(|(_, term)| term.clone()).collect();
            let near = Near { score, key: record.key.clone(), title: record.title.clone(), by: record.short(), shared };
            (!near.shared.is_empty()).then_some(near)
        })
        .collect();
    nearest.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
    nearest.truncate(limit);
    Novelty { looked_at: records.len(), nearest }
}

/// A claim as words for a search: those that say something, once each.
pub fn query(claim: &str) -> String {
    let mut seen = BTreeSet::new();
    let words = words(claim).into_iter().filter(|w| seen.insert(w.clone())).take(12);
    words.collect::<Vec<_>>().join(" ")
}

/// Words and pairs of neighbours, with how often they occur times `weight`.
fn terms(text: &str, weight: f64) -> BTreeMap<String, f64> {
    let mut terms = BTreeMap::new();
    let words = words(text);
    for word in &words {
        *terms.entry(word.clone()).or_insert(0.0) += weight;
    }
    for pair in words.windows(2) {
        *terms.entry(format!("{} {}", pair[0], pair[1])).or_insert(0.0) += weight;
    }
    terms
}

/// Words that say something, in the singular as far as a plain rule goes.
fn words(text: &str) -> Vec<String> {
    const SMALL: [&str; 46] = [
        "the", "of", "and", "is", "in", "to", "at", "for", "on", "with", "by", "it", "its", "which", "what", "does",
        "do", "how", "be", "are", "or", "an", "a", "from", "this", "that", "these", "than", "as", "we", "our", "can",
        "not", "no", "has", "have", "was", "were", "will", "more", "most", "such", "when", "where", "then", "also",
    ];
    let folded = fold(text);
    folded.split(' ').filter(|w| w.chars().count() > 1 && !SMALL.contains(w)).map(singular).collect()
}

fn singular(word: &str) -> String {
    let kept = word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") || word.chars().count() < 4;
    match word.strip_suffix('s') {
        Some(stem) if !kept => stem.to_string(),
        _ => word.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Source;
    use super::*;

    fn work(title: &str, summary: &str) -> Record {
        Record::new(&title[..3].to_lowercase(), title, Source::Bib { line: 1 }).with_summary(Some(summary))
    }

    #[test]
    fn what_is_worded_like_the_claim_comes_first() {
        let records = [
            work("Protein folding with networks", "We predict structures of proteins."),
            work(
                "Learning rate warm-up for transformers",
                "Warm-up of the learning rate stabilises Adam early in training.",
            ),
            work("Optimizers compared", "A comparison of Adam and SGD; learning rates are tuned."),
        ];
        let claim = "A warm-up of the learning rate stabilises early training with Adam.";
        let found = novelty(claim, &records, 5);
        let keys: Vec<&str> = found.nearest.iter().map(|n| n.key.as_str()).collect();
        assert_eq!((found.looked_at, &keys[..2]), (3, &["lea", "opt"][..]), "{found:?}");
        assert!(found.nearest[0].score > 0.35 && found.nearest[1].score < 0.35, "{found:?}");
        assert!(found.words().starts_with("close to anonymous"), "{}", found.words());
        assert!(found.nearest[0].shared.iter().any(|w| w == "warm"), "{found:?}");
        assert!(!keys.contains(&"pro"), "no word in common: {found:?}");
    }

    #[test]
    fn little_is_said_where_little_is_known() {
        assert_eq!(novelty("anything", &[], 5).words(), "no record was looked at, so nothing can be said");
        let far = novelty("zebra stripes", &[work("Protein folding", "")], 5);
        assert!(far.nearest.is_empty() && far.words().contains("does not show that it is new"));
        let same = novelty("Protein folding", &[work("Protein folding", "")], 5);
        assert!((same.nearest[0].score - 1.0).abs() < 1e-9 || same.nearest[0].score > 0.95, "{same:?}");
        assert_eq!(query("The rates of the learning rate, and a rate."), "rate learning");
    }
}
