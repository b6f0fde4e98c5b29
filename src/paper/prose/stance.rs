//! How a claim stands in its clause: stated, denied, or only supposed.
//!
//! Boundary: pure; knows the words of a sentence and where a claim is in it, and no fact.

use super::claim_words::*;
use super::claims::{Sentence, arm};
use super::items::Item;

/// How a claim stands in its clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stance {
    Stated,
    /// By the denial at this item.
    Denied(usize),
    Supposed,
}

impl Sentence<'_> {
    /// Whether the word at `at` stands under a denial, a question or a condition.
    pub(super) fn stance(&self, at: usize) -> Stance {
        let finite = FINITE.contains(&self.word(at));
        let mut i = at;
        while i > 0 {
            i -= 1;
            let word = self.word(i);
            if let Some(before) = self.aside(i) {
                i = before;
                continue;
            }
            if self.items[i].is(';') || TURNS.contains(&word) || self.takes_over(i, at) {
                return Stance::Stated;
            }
            // "uses no dropout and improves": another verb's denial.
            if finite && word == "and" && i + 2 >= at {
                return Stance::Stated;
            }
            if DENIALS.contains(&word) {
                let doubted = (i + 1..(i + 5).min(at)).any(|j| DOUBTS.contains(&self.word(j)));
                // "does not improve", but "what does not change is that it improves".
                let others = finite && matches!(word, "not" | "cannot" | "without");
                if !doubted && !others {
                    return Stance::Denied(i);
                }
            }
            if SUPPOSED.contains(&word) {
                return Stance::Supposed;
            }
            if word == "to" && i + 1 == at {
                let Some(j) = i.checked_sub(1) else { return Stance::Supposed };
                let before = self.word(j);
                // A word that was cleared away: "never fails to".
                let cleared = before.is_empty() && matches!(self.items[j], Item::Word(_));
                match before {
                    "fail" | "fails" | "failed" => return Stance::Denied(j),
                    _ if cleared || FOUND.contains(&before) => {}
                    _ => return Stance::Supposed,
                }
            }
        }
        Stance::Stated
    }

    /// The comma that begins words in between, where one at `i` ends them: ", which could not be plainer,".
    fn aside(&self, i: usize) -> Option<usize> {
        if !self.items[i].is(',') {
            return None;
        }
        let begin = (0..i).rev().find(|j| self.items[*j].is(','))?;
        let first = self.word(begin + 1);
        (begin > 0 && ASIDES.contains(&first)).then_some(begin)
    }

    /// Whether a new clause with a subject of its own begins at `i`, before `at`: ", candidate 4 ...", "and the baseline ...".
    fn takes_over(&self, i: usize, at: usize) -> bool {
        let joint = self.items[i].is(',') || self.items[i].is(':') || self.word(i) == "and";
        joint
            && (i + 1..(i + 4).min(at)).any(|j| {
                arm(&self.items[j]).is_some()
                    || (j == i + 1
                        && matches!(self.word(j), "it" | "this" | "that" | "they" | "we" | "these" | "which"))
            })
    }

    /// Whether the denial at `by` is of evidence: "nothing says that ... is worse".
    pub(super) fn is_of_evidence(&self, by: usize, at: usize) -> bool {
        (by + 1..(by + 4).min(at)).any(|j| EVIDENCE.contains(&self.word(j)))
    }
}
