//! Claims: a sentence that says that something is better, worse, as good, changed or associated must hold a fact that shows it
//! beyond the noise, about whom it is said of.
//!
//! What is asked, supposed or predicted is no claim; what a cited work is said to have found is that work's claim. A denial of an
//! improvement is none either, unless a fact shows that improvement: then it is false. A denial of harm ("no worse than") is a
//! claim of its own, which wants an interval that excludes harm beyond the noise floor. All are judged clause by clause, and a
//! denial that denies nothing ("no doubt", "not only", "nobody disputes") counts for nothing.
//!
//! Boundary: pure; knows items and facts, no markup. It knows words and not their meaning: what is said by other words than
//! these passes, which is why claims are also what reviewers look for.

use super::claim_words::*;
use super::items::Item;
use super::stance::Stance;
use super::subjects::{Carried, kind};
use crate::paper::fact::{Fact, Facts, Shows, Value};
use std::collections::BTreeMap;

/// What a sentence claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Better,
    Worse,
    /// As good as another, or no worse.
    NotWorse,
    /// The objective moved, whichever way.
    Changed,
    Associated,
    /// Something that no fact can show.
    Unshown,
}

/// The first claim of a sentence that none of its facts carries, in words. `carried`: what the block is about so far.
pub(super) fn check(items: &[Item], facts: &Facts, carried: &Carried) -> Option<String> {
    if is_of_others(items) || is_question(items) {
        return None;
    }
    let lower = cleared(items);
    let sentence = Sentence { items, lower: &lower, facts, carried };
    let claim = (0..items.len()).find_map(|at| {
        let claim = sentence.claim_at(at)?;
        match (claim, sentence.stance(at)) {
            (_, Stance::Supposed) => None,
            (Claim::Worse, Stance::Denied(by)) if !sentence.is_of_evidence(by, at) => {
                sentence.uncarried(Claim::NotWorse, at)
            }
            (Claim::Better, Stance::Denied(by)) => sentence.contradicted(by, at),
            (_, Stance::Denied(_)) => None,
            (claim, Stance::Stated) => sentence.uncarried(claim, at),
        }
    });
    claim.or_else(|| (0..items.len()).find_map(|at| sentence.fate(at)))
}

/// The words of a sentence without those phrases that deny, suppose or claim nothing.
fn cleared(items: &[Item]) -> Vec<String> {
    let mut lower: Vec<String> = items.iter().map(Item::lower).collect();
    for phrase in EMPTY.iter().chain(DEFINITIONS) {
        for at in 0..lower.len() {
            if begins(&lower, at, phrase) {
                lower[at..at + phrase.len()].iter_mut().for_each(String::clear);
            }
        }
    }
    lower
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

/// Baseline or candidate, and its name.
pub(super) fn arm(item: &Item) -> Option<&str> {
    match item {
        Item::Mention { key, .. } if kind(key) == "arm" => Some(key),
        _ => None,
    }
}

/// Words for how many.
const QUANTITIES: [&str; 9] = ["all", "every", "each", "no", "none", "most", "majority", "few", "minority"];

/// A sentence, the facts that it holds, and what its block is about.
pub(super) struct Sentence<'a> {
    pub(super) items: &'a [Item],
    lower: &'a [String],
    facts: &'a Facts,
    carried: &'a Carried,
}

impl Sentence<'_> {
    pub(super) fn word(&self, at: usize) -> &str {
        self.lower.get(at).map_or("", String::as_str)
    }

    fn claim_at(&self, at: usize) -> Option<Claim> {
        if matches!(self.items[at], Item::Mark('>' | '\u{2265}' | '\u{226b}' | '\u{227b}' | '<' | '\u{2264}')) {
            // An inequality between two of them.
            let arms = self.items.iter().filter(|i| arm(i).is_some()).count();
            return (arms > 1).then_some(Claim::Unshown);
        }
        let word = self.word(at);
        if word.is_empty() {
            return None;
        }
        let next = |i: usize| self.word(at + i);
        if let Some(claim) = self.phrase(at) {
            return Some(claim);
        }
        if is_one_of(word, BETTER) || (word == "wins" && !next(1).is_empty()) || (word == "pays" && next(1) == "off") {
            return Some(Claim::Better);
        }
        if is_one_of(word, &["clear"]) && (next(1) == "noise" || next(2) == "noise") {
            return Some(Claim::Better);
        }
        if is_one_of(word, &["confirm"]) && word != "confirm" {
            return Some(Claim::Better);
        }
        if is_one_of(word, WORSE) {
            return Some(Claim::Worse);
        }
        let candidate = self.items.iter().filter_map(arm).any(|key| key.starts_with("candidate."));
        if candidate && EQUAL.iter().any(|phrase| begins(self.lower, at, phrase)) {
            return Some(Claim::NotWorse);
        }
        if candidate && UNSHOWN.contains(&word) {
            return Some(Claim::Unshown);
        }
        let metric = |most: usize| (1..=most).map(next).find(|w| self.is_metric(w));
        let more = MORE.contains(&word);
        if more || LESS.contains(&word) {
            if matches!(next(1), "accurate" | "effective") {
                return Some(if more { Claim::Better } else { Claim::Worse });
            }
            if let Some(metric) = metric(2) {
                return Some(moved(more, metric));
            }
        }
        let up = is_one_of(word, UP);
        if up || is_one_of(word, DOWN) || is_one_of(word, SOMEWHERE) {
            let way = |metric: &str| if is_one_of(word, SOMEWHERE) { Claim::Changed } else { moved(up, metric) };
            if let Some(metric) = metric(4) {
                return Some(way(metric));
            }
            let subject = (1..=3).filter_map(|i| at.checked_sub(i)).map(|j| self.word(j)).find(|w| self.is_metric(w));
            if let Some(metric) = subject {
                return Some(if next(1) == "with" { Claim::Associated } else { way(metric) });
            }
        }
        let associated = is_one_of(word, ASSOCIATED)
            || (is_one_of(word, &["scale", "depend"]) && matches!(next(1), "with" | "on"))
            || (is_one_of(word, ACTS) && (metric(4).is_some() || (1..=3).any(|i| next(i) == "objective")));
        associated.then_some(Claim::Associated)
    }

    /// A claim in several words.
    fn phrase(&self, at: usize) -> Option<Claim> {
        let is = |phrases: &[&[&str]]| phrases.iter().any(|phrase| begins(self.lower, at, phrase));
        let (word, next) = (self.word(at), |i: usize| self.word(at + i));
        let candidate = self.items.iter().filter_map(arm).any(|key| key.starts_with("candidate."));
        if is(UNSHOWN_PHRASES) && (candidate || !matches!(word, "less" | "more" | "fewer")) {
            return Some(Claim::Unshown);
        }
        if is(WORSE_PHRASES) {
            return Some(Claim::Worse);
        }
        let setting = self.items.iter().any(|i| matches!(i, Item::Mention { key, .. } if kind(key) == "parameter"));
        if setting && is(CAUSES) && self.tells_a_result() {
            return Some(Claim::Unshown);
        }
        if !candidate {
            return None;
        }
        let shown = self.items.iter().any(|i| matches!(i, Item::Fact(_)));
        let baseline = |from: usize| (at + from..at + from + 3).any(|i| self.is_arm_itself(i));
        match word {
            _ if is(REAL) => Some(Claim::Changed),
            "differs" | "differ" | "differed" if next(1) == "from" && baseline(2) && !shown => Some(Claim::Changed),
            "gain" | "gains" if !(1..=2).any(|i| self.is_metric(next(i))) => Some(Claim::Better),
            "leaves" | "left" if (1..=4).any(|i| next(i) == "behind") => Some(Claim::Better),
            "ahead" if next(1) == "of" && baseline(2) => Some(Claim::Better),
            "behind" if baseline(1) => Some(Claim::Worse),
            "stronger" | "weaker" if next(1) == "than" => {
                Some(if word == "stronger" { Claim::Better } else { Claim::Worse })
            }
            "strongest" if next(1) == "of" => Some(Claim::Better),
            "higher" | "greater" | "larger" | "lower" | "smaller"
                if next(1) == "than" && baseline(2).max(next(3) == "of") =>
            {
                let metric = (0..at).rev().map(|i| self.word(i)).find(|w| self.is_metric(w))?;
                Some(moved(MORE.contains(&word), metric))
            }
            _ => None,
        }
    }

    /// Whether the item names a baseline or candidate, and not something of theirs.
    fn is_arm_itself(&self, at: usize) -> bool {
        matches!(self.items.get(at), Some(Item::Mention { key, possessive: false }) if kind(key) == "arm")
    }

    /// Whether a sentence is about what came out: an arm, the objective, a result.
    fn tells_a_result(&self) -> bool {
        const RESULTS: [&str; 8] =
            ["result", "results", "difference", "differences", "improvement", "outcome", "outcomes", "models"];
        self.items.iter().any(|i| arm(i).is_some())
            || self.lower.iter().any(|w| RESULTS.contains(&w.as_str()) || self.is_metric(w))
    }

    /// What is wrong with saying how many runs failed or finished ("most runs failed"): that the record counts otherwise.
    fn fate(&self, at: usize) -> Option<String> {
        let failing = FAILED.contains(&self.word(at));
        if !failing && !FINISHED.contains(&self.word(at)) {
            return None;
        }
        let runs = (at.saturating_sub(4)..at).rev().find(|i| matches!(self.word(*i), "run" | "runs"))?;
        // "the runs that failed" says nothing of their number; "failed for want of memory" is of some failures.
        let related = (runs..at)
            .any(|i| matches!(self.word(i), "that" | "which" | "who") || !matches!(self.items[i], Item::Word(_)));
        if related || matches!(self.word(at + 1), "for" | "by" | "because" | "with" | "of") {
            return None;
        }
        let (total, failed) = (self.facts.number("runs.total")?, self.facts.number("runs.failed")?);
        let those = if failing { failed } else { self.facts.number("runs.finished")? };
        let amount = (runs.saturating_sub(4)..runs).rev().map(|i| self.word(i));
        let amount = amount.take_while(|w| !w.is_empty()).find(|w| QUANTITIES.contains(w))?;
        let negated = (runs..at).any(|i| matches!(self.word(i), "not" | "never"));
        let those = if negated { total - those } else { those };
        let holds = match amount {
            "all" | "every" | "each" => those == total,
            "no" | "none" => those == 0.0,
            "most" | "majority" => 2.0 * those > total,
            _ => 2.0 * those < total && those > 0.0,
        };
        let counted = if failing { "`runs.failed`" } else { "`runs.finished`" };
        (!holds).then(|| format!("\u{201c}{amount}\u{201d} is not what {counted} says, which is {those} of {total}"))
    }

    fn is_metric(&self, word: &str) -> bool {
        let own = self.facts.metric_words.iter().any(|m| m == word);
        !word.is_empty() && (own || (word != "fit" && WANTED.contains(&word)) || UNWANTED.contains(&word))
    }

    /// Whom the claim at `at` is about: the arm before it in its clause, whoever beat it ("is beaten by"), or what the block is
    /// about.
    fn subject(&self, at: usize) -> Option<&str> {
        let passive = (at + 1..(at + 3).min(self.items.len())).find(|i| self.word(*i) == "by");
        if let Some(by) = passive.filter(|_| self.word(at).ends_with("ed") || self.word(at).ends_with("en")) {
            let agent = (by + 1..(by + 4).min(self.items.len())).find_map(|i| arm(&self.items[i]));
            if agent.is_some() {
                return agent;
            }
        }
        let beside = |i: usize| {
            let mut before = i.checked_sub(1);
            while let Some(j) = before.filter(|j| matches!(self.word(*j), "the" | "a" | "our" | "that" | "this")) {
                before = j.checked_sub(1);
            }
            before.is_some_and(|j| BESIDE.contains(&self.word(j)) && (j > 0 || self.word(j) != "for"))
        };
        let own = (0..at).rev().find_map(|i| arm(&self.items[i]).filter(|_| !beside(i)));
        let pronoun = (0..at).any(|i| matches!(self.word(i), "it" | "its" | "this" | "that" | "which"));
        let said = || self.carried.get("arm").map(String::as_str);
        own.or_else(|| if pronoun { said() } else { None })
    }

    /// What is wrong with a claim that is stated; none where a fact carries it.
    fn uncarried(&self, claim: Claim, at: usize) -> Option<String> {
        let (subject, word) = (self.subject(at), self.word(at));
        let candidates = self.items.iter().filter_map(arm).any(|key| key.starts_with("candidate."));
        // What the baseline is better than is worse than it.
        let claim = match (claim, subject) {
            (Claim::Better, Some("baseline")) if candidates => Claim::Worse,
            (Claim::Worse, Some("baseline")) if candidates => Claim::Better,
            _ => claim,
        };
        let subject = subject.filter(|key| key.starts_with("candidate."));
        let named = if word.is_empty() { "this inequality".to_string() } else { format!("\u{201c}{word}\u{201d}") };
        let told: Vec<(&Fact, Shows)> = self
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Fact(id) => self.facts.get(id),
                _ => None,
            })
            .filter_map(|fact| Some((fact, shown(fact)?)))
            .collect();
        let own: Vec<&(&Fact, Shows)> =
            told.iter().filter(|(fact, _)| subject.is_none_or(|key| fact.subject == key)).collect();
        let carries = |wanted: &[Shows]| own.iter().any(|(_, shows)| wanted.contains(shows));
        let carried = match claim {
            Claim::Better => carries(&[Shows::Improvement]),
            Claim::Worse => carries(&[Shows::Harm]),
            Claim::NotWorse => carries(&[Shows::Improvement]) || own.iter().any(|(fact, _)| self.excludes_harm(fact)),
            Claim::Changed => carries(&[Shows::Improvement, Shows::Harm]),
            Claim::Associated => {
                told.iter().any(|(_, s)| matches!(s, Shows::Association | Shows::Improvement | Shows::Harm))
            }
            Claim::Unshown => return Some(format!("{named} is a claim, and no fact of a campaign shows it")),
        };
        if carried {
            return None;
        }
        Some(match (own.first(), told.first()) {
            (Some((fact, Shows::Nothing)), _) => {
                format!("{named} is a claim, and the interval of `{}` does not clear the noise", fact.id)
            }
            (Some((fact, _)), _) => format!("{named} is a claim of another kind than `{}` shows", fact.id),
            (None, Some((fact, _))) => format!("{named} is a claim about another than `{}` is", fact.id),
            (None, None) => format!("{named} is a claim, and no fact in the sentence shows it beyond the noise"),
        })
    }

    /// Whether the interval of a difference to the baseline holds no harm beyond the noise floor.
    fn excludes_harm(&self, fact: &Fact) -> bool {
        let (Some(bounds), Some(floor)) = (fact.interval, self.facts.number("baseline.floor")) else { return false };
        fact.versus.as_deref() == Some("baseline")
            && fact.id.ends_with(".difference")
            && match self.facts.text("objective.direction") {
                Some("larger") => bounds.low > -floor,
                Some("smaller") => bounds.high < floor,
                _ => false,
            }
    }

    /// What is wrong with a denial of an improvement at `at` by the word at `by`: that a fact shows it.
    fn contradicted(&self, by: usize, at: usize) -> Option<String> {
        // One fact for each: the best stands under two ids.
        let mut improved: BTreeMap<&str, &str> = BTreeMap::new();
        for fact in self.facts.facts.iter().filter(|f| f.id.ends_with(".difference")) {
            if fact.shows == Some(Shows::Improvement) {
                improved.entry(&fact.subject).or_insert(&fact.id);
            }
        }
        let within = |words: &[&str]| (by..at).any(|i| words.contains(&self.word(i)));
        let word = self.word(at);
        let universal = match self.word(by) {
            "no" => (by + 1..(by + 4).min(at)).any(|i| ALL.contains(&self.word(i))),
            "none" => true,
            "nothing" => !self.is_of_evidence(by, at),
            _ => false,
        };
        if universal {
            let spared = usize::from(within(OTHERS) || (0..by).any(|i| matches!(self.word(i), "besides" | "except")));
            let id = improved.values().next().filter(|_| improved.len() > spared)?;
            return Some(format!("\u{201c}{word}\u{201d} is denied of all of them, and `{id}` shows it"));
        }
        let id = improved.get(self.subject(at)?)?;
        Some(format!("\u{201c}{word}\u{201d} is denied, and `{id}` shows it beyond the noise"))
    }
}

/// A metric that goes up or down: good, bad, or neither by its name.
fn moved(up: bool, metric: &str) -> Claim {
    if WANTED.contains(&metric) {
        if up { Claim::Better } else { Claim::Worse }
    } else if UNWANTED.contains(&metric) {
        if up { Claim::Worse } else { Claim::Better }
    } else {
        Claim::Changed
    }
}

fn shown(fact: &Fact) -> Option<Shows> {
    // That some candidates were confirmed is shown by their number.
    let confirmed = fact.id == "search.confirmed" && matches!(fact.value, Value::Number(n) if n > 0.0);
    fact.shows.or(confirmed.then_some(Shows::Improvement))
}
