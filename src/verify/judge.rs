//! Holds a paper's forms against what was measured, and against each other.

use super::made::Made;
use super::measured::Measured;
use super::quantities::{Quantities, Quantity, words_of};
use super::rendered::{self, Passage, Token};
use super::shown::{Shown, in_words, is_count, normal, numbers};
use super::{cited, pdf, text};
use crate::literature::{Record, read_bib};
use crate::problem::{Problem, Result};
use crate::sys::clock::day_in_words;
use crate::sys::fs;
use crate::sys::shell;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Something that is not so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Which file, and where in it.
    pub place: String,
    /// The sentence; empty where there is none.
    pub sentence: String,
    /// What is wrong.
    pub what: String,
}

/// What was checked.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Checked {
    /// Numbers of the text that a recomputation explains.
    pub explained: usize,
    /// Numbers of `facts.json` that came out the same.
    pub facts: usize,
    /// Forms that were read.
    pub forms: Vec<String>,
    /// Forms that are there and could not be read, with the reason.
    pub unread: Vec<String>,
    /// Everything that is not so.
    pub faults: Vec<Fault>,
}

/// Checks the paper in `folder/paper` of the campaign in `folder`. `made`: what the paper's code makes of the records now; without
/// it figures and the words of `facts.json` are not looked at.
///
/// # Errors
/// `Usage` where there is no paper; files that cannot be read.
pub fn check(folder: &Path, measured: &Measured, made: Option<&Made>) -> Result<Checked> {
    let paper = folder.join("paper");
    let read = |name: &str| -> Result<Option<String>> {
        let path = paper.join(name);
        if path.exists() { fs::read_text(&path).map(Some) } else { Ok(None) }
    };
    let (page, file) = (read("paper.html")?, read("paper.tex")?);
    let Some(page) = page else {
        return Err(Problem::usage("this campaign has no paper yet (no paper.html)")
            .at(paper.display().to_string())
            .remedy(format!("write it with `nanoresearch paper {}`", shell::path(folder))));
    };
    let quantities = Quantities::of(measured);
    let works = read_bib(&read("paper.bib")?.unwrap_or_default()).records;
    let mut judge = Judge { quantities: &quantities, works: &works, measured, checked: Checked::default() };
    judge.checked.faults.extend(measured.faults.iter().cloned());
    let passages = rendered::html(&page);
    judge.form("paper.html", &passages);
    judge.labels("paper.html", &page, &passages);
    if let Some(file) = file {
        let other = rendered::tex(&file);
        judge.form("paper.tex", &other);
        judge.same_facts(&passages, &other);
        for (number, own, theirs) in pdf::numbers_differ(&passages, &other) {
            let what = format!("\"{number}\" stands {theirs} times in the words here, and {own} times in paper.html");
            judge.fault("paper.tex", String::new(), what);
        }
        if let Some(what) = cited::difference(&passages, &other) {
            judge.fault("paper.tex", String::new(), what);
        }
    }
    if let Some(file) = read("paper.md")? {
        judge.checked.forms.push("paper.md".to_string());
        if let Some((own, other)) = text::difference(&text::page(&passages), &text::markdown(&file)) {
            judge.fault("paper.md", other, format!("paper.html says here: {own}"));
        }
    }
    if paper.join("paper.pdf").exists() {
        judge.pdf(&paper, &passages)?;
    }
    let facts = read("facts.json")?;
    match &facts {
        Some(file) => judge.facts_file(folder, file, &passages, made),
        None => judge.fault(
            "facts.json",
            String::new(),
            "the facts that the paper's numbers come from are not there".into(),
        ),
    }
    judge.results_file(folder)?;
    if let Some(made) = made {
        // A paper of another version has other words and figures, which are not compared.
        let current = made.is_of_the_version(facts.as_deref());
        if current {
            judge.drawings(&paper, &page, made)?;
        }
        for what in cited::strangers(&works, &made.works) {
            judge.fault("paper.bib", String::new(), what);
        }
        if current {
            judge.set_again(&paper, made)?;
        }
    }
    Ok(judge.checked)
}

pub(super) struct Judge<'a> {
    pub quantities: &'a Quantities,
    pub works: &'a [Record],
    pub measured: &'a Measured,
    pub checked: Checked,
}

impl Judge<'_> {
    pub(super) fn fault(&mut self, place: impl Into<String>, sentence: String, what: String) {
        self.checked.faults.push(Fault { place: place.into(), sentence, what });
    }

    /// Every number of a form.
    fn form(&mut self, name: &str, passages: &[Passage]) {
        self.checked.forms.push(name.to_string());
        for passage in passages {
            let place = format!("{name}, {}", passage.place);
            if let Some(key) = &passage.reference {
                self.reference(&place, key, passage);
                continue;
            }
            for (i, token) in passage.tokens.iter().enumerate() {
                let said = match token {
                    Token::Fact { id, text } => match another(i.checked_sub(1).map(|i| &passage.tokens[i]), id) {
                        Some(what) => Err(what),
                        None => self.fact(id, text),
                    },
                    Token::Text(text) if passage.byline => self.byline(text),
                    Token::Text(text) => self.plain(text),
                    Token::Cite { keys, text } => cited::check(keys, text, self.works).map(|()| 0),
                    // Names are the campaign's own; where a reference leads is looked at apart.
                    Token::Code(text) => self.named(text),
                    Token::Refer { .. } => Ok(0),
                };
                match said {
                    Ok(n) => self.checked.explained += n,
                    Err(what) => self.fault(&*place, passage.sentence(i), what),
                }
            }
        }
    }

    /// A marked number: each number in it is a rounding of what was computed again.
    fn fact(&self, id: &str, text: &str) -> std::result::Result<usize, String> {
        let shown = numbers(text);
        let Some(quantity) = self.quantities.get(id) else {
            // Words with digits in them: names, ranges of settings, a verdict's reason.
            return self.named(text).map_err(|what| format!("`{id}`: {what}"));
        };
        if shown.is_empty() {
            return match in_words(text) {
                Some(word) if word == quantity.value || quantity.n.is_some_and(|n| n as f64 == word) => Ok(1),
                None if text == "not measured" => Ok(0),
                _ => Err(format!("`{id}` says \"{text}\", and is {} by the runs", quantity.value)),
            };
        }
        let mut bounds = quantity.interval.into_iter().flat_map(|(low, high, _)| [low, high]);
        for number in &shown {
            let fits = match number.bound {
                true => bounds.next().is_some_and(|bound| number.is(bound)),
                false => explains(quantity, number),
            };
            if !fits {
                return Err(format!("`{id}` says {number}, and is {} by the runs", told(quantity)));
            }
        }
        Ok(shown.len())
    }

    /// Unmarked words: a digit in them is part of a name, or has no business there.
    fn plain(&self, text: &str) -> std::result::Result<usize, String> {
        let mut before = String::new();
        for word in words_of(text) {
            let digits = word.bytes().any(|b| b.is_ascii_digit());
            let known = digits && self.is_there(&before, &word);
            before = word.to_lowercase();
            if known {
                continue;
            }
            let named = self.quantities.names.contains(&word) && word.chars().any(char::is_alphabetic);
            if digits && !named {
                return Err(format!("\"{word}\" stands in the text without being a number of the campaign"));
            }
            if !digits && is_count(&word) {
                return Err(format!("\"{word}\" is a number in words that no run is named for"));
            }
        }
        Ok(0)
    }

    /// Whether a number names a thing of the campaign: `candidate 10`, `run 7`, `hypothesis 2`.
    fn is_there(&self, kind: &str, number: &str) -> bool {
        let (state, Ok(n)) = (&self.measured.state, number.parse::<usize>()) else { return false };
        match kind.trim_end_matches('s') {
            "candidate" => n < state.candidates.len(),
            "run" => (1..=state.runs.len()).contains(&n),
            "hypothesi" | "hypothese" => (1..=state.counsel.hypotheses.len()).contains(&n),
            _ => false,
        }
    }

    /// A name: each of its numbers is in the campaign's config, its manifests or its own words.
    pub(super) fn named(&self, text: &str) -> std::result::Result<usize, String> {
        let known = &self.quantities.names;
        let values: Vec<f64> = known.iter().filter_map(|n| n.parse().ok()).collect();
        let mut explained = 0;
        let mut before = String::new();
        for word in words_of(text) {
            let there = self.is_there(&before, &word);
            before = word.to_lowercase();
            if there || !word.bytes().any(|b| b.is_ascii_digit()) {
                continue;
            }
            let value = numbers(&word).first().is_some_and(|n| values.iter().any(|v| n.is(*v)));
            let part = known.iter().any(|k| k.contains(word.as_str()) && word.len() > 2);
            if !known.contains(&word) && !value && !part {
                return Err(format!("no run, setting or name of the campaign explains \"{word}\""));
            }
            explained += 1;
        }
        Ok(explained)
    }

    /// The line below the title: program, version, and a day on which something happened.
    fn byline(&self, text: &str) -> std::result::Result<usize, String> {
        let mut rest = text.to_string();
        for day in self.measured.times.iter().filter_map(|t| day_in_words(t)) {
            rest = rest.replace(&day, "");
        }
        self.named(&rest).map_err(|_| format!("\"{}\" is neither a version nor a day of the campaign", text.trim()))
    }

    fn reference(&mut self, place: &str, key: &str, passage: &Passage) {
        let what = match self.works.iter().find(|w| w.key == key) {
            Some(work) => cited::reference(work, &passage.text(), &passage.links),
            None => Some(format!("paper.bib has no `{key}`")),
        };
        if let Some(what) = what {
            self.fault(place, passage.text(), what);
        }
    }

    /// What the PDF says, by `pdftotext`.
    fn pdf(&mut self, paper: &Path, passages: &[Passage]) -> Result<()> {
        match pdf::read(&paper.join("paper.pdf")) {
            Err(why) => self.checked.unread.push(format!("paper.pdf: pdftotext is needed to read it ({why})")),
            Ok(said) => {
                self.checked.forms.push("paper.pdf".to_string());
                let labels = pdf::labels(paper)?;
                let numbers = pdf::differences(&said, passages, &labels);
                for (sentence, what) in numbers.into_iter().chain(pdf::words_differ(&said, passages, &labels)) {
                    self.fault("paper.pdf", sentence, what);
                }
            }
        }
        Ok(())
    }

    /// Numbers of sections, figures and tables: each counts up, and references lead to what they say.
    fn labels(&mut self, name: &str, page: &str, passages: &[Passage]) {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let own = passages.iter().filter_map(|p| match p.tokens.first() {
            Some(Token::Refer { label, text }) if label.is_empty() => {
                Some((p, text.trim().trim_end_matches('.').to_string()))
            }
            _ => None,
        });
        let mut wrong = Vec::new();
        for (passage, text) in own {
            let (kind, number) = text.rsplit_once([' ', '\u{a0}']).unwrap_or(("Section", &text));
            let count = counts.entry(kind.to_string()).or_default();
            *count += 1;
            if number != count.to_string() {
                wrong.push((passage.text(), format!("\"{text}\" is number {count} of its kind")));
            }
        }
        // Labels in the order of the page, by kind.
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (kind, prefix) in [("Section", "sec:"), ("Figure", "fig:"), ("Table", "tab:")] {
            for (at, _) in page.match_indices(&format!("id=\"{prefix}")) {
                let rest = &page[at + 4..];
                let label = rest[..rest.find('"').unwrap_or(0)].to_string();
                let n = seen.entry(kind).or_default();
                *n += 1;
                labels.insert(label, format!("{kind} {n}"));
            }
        }
        for (passage, i, label, text) in passages.iter().flat_map(|p| {
            p.tokens.iter().enumerate().filter_map(move |(i, t)| match t {
                Token::Refer { label, text } if !label.is_empty() => Some((p, i, label, text)),
                _ => None,
            })
        }) {
            if !label.starts_with("ref-") && labels.get(label).is_none_or(|own| *own != normal(text)) {
                wrong.push((
                    passage.sentence(i),
                    format!(
                        "\"{text}\" leads to `{label}`, which is {}",
                        labels.get(label).map_or("nothing", String::as_str)
                    ),
                ));
            }
        }
        for (sentence, what) in wrong {
            self.fault(name, sentence, what);
        }
    }

    /// Two forms of one paper mark the same numbers with the same words.
    fn same_facts(&mut self, page: &[Passage], file: &[Passage]) {
        let (ours, theirs) = (facts_of(page), facts_of(file));
        let count = |list: &[(String, String, String)]| {
            let mut counts: BTreeMap<(String, String), isize> = BTreeMap::new();
            list.iter().for_each(|(id, text, _)| *counts.entry((id.clone(), text.clone())).or_default() += 1);
            counts
        };
        let (a, b) = (count(&ours), count(&theirs));
        for (name, list, own, other) in [("paper.html", &ours, &a, &b), ("paper.tex", &theirs, &b, &a)] {
            let lone: BTreeSet<&(String, String)> =
                own.iter().filter(|(key, n)| other.get(*key).copied().unwrap_or(0) < **n).map(|(key, _)| key).collect();
            for (id, text) in lone {
                let sentence =
                    list.iter().find(|(i, t, _)| i == id && t == text).map(|f| f.2.clone()).unwrap_or_default();
                self.fault(name, sentence, format!("`{id}` is \"{text}\" here and not in the other form"));
            }
        }
    }
}

/// That the words right before a marked number, "candidate 7 (", name another candidate than it is of.
fn another(before: Option<&Token>, id: &str) -> Option<String> {
    let own = id.strip_prefix("candidate.")?.split('.').next()?;
    let named = before?.shown().strip_suffix(" (")?.rsplit_once("andidate ")?.1;
    let differs = named != own && [named, own].iter().all(|n| n.bytes().all(|b| b.is_ascii_digit()));
    differs.then(|| format!("`{id}` stands behind candidate {named}"))
}

/// Whether a quantity is what a number shows: its value, how many values it rests on, or the coverage of its interval.
fn explains(quantity: &Quantity, number: &Shown) -> bool {
    number.is(quantity.value)
        || (number.whole && quantity.n.is_some_and(|n| n as f64 == number.value))
        || quantity
            .interval
            .is_some_and(|(_, _, confidence)| number.text.is_empty() || (!number.whole && number.is(confidence)))
}

fn told(quantity: &Quantity) -> String {
    match quantity.interval {
        Some((low, high, _)) => format!("{} [{low}, {high}]", quantity.value),
        None => quantity.value.to_string(),
    }
}

/// Equal but for the order in which sums were made.
pub(super) fn same(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-14 * a.abs().max(b.abs()) || (a.abs() < 1e-15 && b.abs() < 1e-15)
}

/// Id, normal text and sentence of every marked number.
pub(super) fn facts_of(passages: &[Passage]) -> Vec<(String, String, String)> {
    // Quotation marks and dashes are set differently in each form.
    let marks = ['\u{201c}', '\u{201d}', '"', '\'', '\u{2018}', '\u{2019}', '`'];
    let squeeze = |text: &str| {
        let text = normal(text).replace(marks, "").replace(['\u{2013}', '\u{2014}'], "-");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        text.replace("---", "-").replace("--", "-")
    };
    passages
        .iter()
        .flat_map(|p| {
            p.tokens.iter().enumerate().filter_map(move |(i, t)| match t {
                Token::Fact { id, text } => Some((id.clone(), squeeze(text), p.sentence(i))),
                _ => None,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_another_candidate_is_named() {
        let before = |text: &str| Token::Text(text.to_string());
        for (text, id, differs) in [
            ("and candidate 26 (", "candidate.26.difference", false),
            ("and candidate 29 (", "candidate.26.difference", true),
            ("Candidate 29 (", "candidate.26.difference", true),
            ("and candidate 29 (", "candidate.best.difference", false),
            ("and candidate 29 (", "baseline.metric", false),
            ("of candidate 29, at ", "candidate.26.difference", false),
        ] {
            assert_eq!(another(Some(&before(text)), id).is_some(), differs, "{text} {id}");
        }
    }
}
