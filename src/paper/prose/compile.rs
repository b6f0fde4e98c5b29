//! Compiles sections: resolves every reference and collects everything that must not be printed.
//!
//! Boundary: knows facts, keys and labels as sets; not where they come from, nor how text is set.

use super::items::Vocabulary;
use super::markup::{self, Block, Form, Token, tokens};
use super::subjects::Carried;
use super::{claims, foreign, numbers, quantities, subjects};
use crate::paper::fact::{Fact, Facts, Value, in_words};
use serde::Serialize;
use std::collections::BTreeSet;

/// A piece of checked text.
#[derive(Debug, Clone, PartialEq)]
pub enum Inline {
    /// Words without a number of their own.
    Text(String),
    /// A fact as it is printed.
    Fact {
        /// Its id.
        id: String,
        /// What is printed.
        text: String,
    },
    /// A citation.
    Cite {
        /// Keys of the bibliography.
        keys: Vec<String>,
        /// Whether it is a part of the sentence.
        textual: bool,
    },
    /// A section, figure or table, by its label.
    Refer(String),
    /// A name in a fixed-width font.
    Code(String),
}

/// A part of a checked section.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A paragraph.
    Paragraph(Vec<Inline>),
    /// A heading below the section's own.
    Heading(Vec<Inline>),
    /// A list.
    Items(Vec<Vec<Inline>>),
    /// A figure or table, by its label.
    Float(String),
}

/// Something that must not be printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The section, caption or table.
    pub place: String,
    /// The sentence as it was written.
    pub sentence: String,
    /// What is wrong with it.
    pub what: String,
}

/// A compiled text with what was wrong in it; to be printed only where nothing was.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Compiled {
    /// What may be printed.
    pub pieces: Vec<Piece>,
    /// What may not.
    pub findings: Vec<Finding>,
}

/// What texts are compiled against.
pub struct Compiler<'a> {
    facts: &'a Facts,
    vocabulary: Vocabulary,
    keys: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl<'a> Compiler<'a> {
    /// With the keys of the bibliography, the labels of sections, figures and tables, and further names that hold digits and
    /// are no numbers (titles of cited works, commands).
    pub fn new(facts: &'a Facts, keys: BTreeSet<String>, labels: BTreeSet<String>, names: &[String]) -> Self {
        Compiler { facts, vocabulary: Vocabulary::of(facts, names), keys, labels }
    }

    /// Compiles a section, caption or cell.
    pub fn compile(&self, place: &str, source: &str) -> Compiled {
        let mut out = Compiled::default();
        for block in markup::blocks(source) {
            let mut carried = Carried::new();
            match block {
                Block::Paragraph(text) => {
                    let inlines = self.text(place, &text, &mut carried, &mut out.findings);
                    out.pieces.push(Piece::Paragraph(inlines));
                }
                Block::Heading(text) => {
                    let inlines = self.text(place, &text, &mut carried, &mut out.findings);
                    out.pieces.push(Piece::Heading(inlines));
                }
                Block::Items(items) => {
                    let compiled = items
                        .iter()
                        .map(|item| self.text(place, item, &mut Carried::new(), &mut out.findings))
                        .collect();
                    out.pieces.push(Piece::Items(compiled));
                }
                Block::Float(label) => {
                    if !self.labels.contains(&label) {
                        let what = format!("there is no figure or table `{label}`");
                        out.findings.push(Finding { place: place.to_string(), sentence: format!("!{label}"), what });
                    }
                    out.pieces.push(Piece::Float(label));
                }
            }
        }
        out
    }

    /// Compiles text of one line. `about`: whose row and column it is.
    pub fn line(&self, place: &str, source: &str, about: &[&str], findings: &mut Vec<Finding>) -> Vec<Inline> {
        let mut carried = Carried::new();
        carried.extend(about.iter().map(|key| (subjects::kind(key).to_string(), (*key).to_string())));
        self.text(place, source, &mut carried, findings)
    }

    fn text(&self, place: &str, source: &str, carried: &mut Carried, findings: &mut Vec<Finding>) -> Vec<Inline> {
        let mut note = |sentence: &str, what: String| {
            findings.push(Finding { place: place.to_string(), sentence: sentence.trim().to_string(), what });
        };
        let parsed = match tokens(source) {
            Ok(parsed) => parsed,
            Err(what) => {
                note(source, what);
                return Vec::new();
            }
        };
        let mut out = Vec::new();
        for sentence in markup::sentences(parsed) {
            let written: String = sentence.iter().map(written).collect();
            let items = self.vocabulary.items(&sentence);
            // Claims before subjects: whom "it" means was said before this sentence.
            let claim = claims::check(&items, self.facts, carried);
            let quantity = quantities::check(&sentence, self.facts, &|fact, form| print(fact, form).ok());
            let name = foreign::check(&items, self.facts);
            let checks = [numbers::find(&items), subjects::check(&items, self.facts, carried), claim, quantity, name];
            for what in checks.into_iter().flatten() {
                note(&written, what);
            }
            for token in sentence {
                match self.resolve(token) {
                    Ok(inline) => out.push(inline),
                    Err(what) => note(&written, what),
                }
            }
        }
        out
    }

    fn resolve(&self, token: Token) -> Result<Inline, String> {
        match token {
            Token::Text(text) => Ok(Inline::Text(text)),
            Token::Fact { id, form } => {
                let fact = self.facts.get(&id).ok_or_else(|| self.unknown(&id))?;
                Ok(Inline::Fact { text: print(fact, form)?, id })
            }
            Token::Cite { keys, textual } => match keys.iter().find(|key| !self.keys.contains(*key)) {
                Some(key) => Err(format!("the bibliography has no `{key}`")),
                None => Ok(Inline::Cite { keys, textual }),
            },
            Token::Refer(label) if self.labels.contains(&label) => Ok(Inline::Refer(label)),
            Token::Refer(label) => Err(format!("there is no section, figure or table `{label}`")),
            Token::Code(name) if self.vocabulary.knows(&name) || is_plain_name(&name) => Ok(Inline::Code(name)),
            Token::Code(name) => Err(format!("`{name}` is no name of this campaign")),
        }
    }

    fn unknown(&self, id: &str) -> String {
        let near = self
            .facts
            .facts
            .iter()
            .map(|f| (strsim::jaro_winkler(&f.id, id), &f.id))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        match near.filter(|(likeness, _)| *likeness > 0.8) {
            Some((_, other)) => format!("there is no fact `{id}`; did you mean `{other}`?"),
            None => format!("there is no fact `{id}`"),
        }
    }
}

/// A code span without digits: a command's or a file's name.
fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphabetic() || matches!(c, '.' | '-' | '_' | '/' | ' ');
    let words = name.split(['.', '-', '_', '/', ' ']);
    !name.is_empty()
        && name.chars().all(plain)
        && words.into_iter().all(|w| !numbers::is_number_word(&w.to_lowercase()))
}

/// A token as it was written, for messages.
fn written(token: &Token) -> String {
    match token {
        Token::Text(text) => text.clone(),
        Token::Fact { id, .. } => format!("{{{id}}}"),
        Token::Cite { keys, .. } => format!("[@{}]", keys.join("; @")),
        Token::Refer(label) => format!("[#{label}]"),
        Token::Code(name) => format!("`{name}`"),
    }
}

/// The name of the plainest form in which a fact is printed as this text.
pub fn shown_as(fact: &Fact, text: &str) -> Option<&'static str> {
    Form::all().find(|(_, form)| print(fact, *form).is_ok_and(|t| t == text)).map(|(name, _)| name)
}

fn print(fact: &Fact, form: Form) -> Result<String, String> {
    let number = match (&fact.value, form) {
        (Value::Number(number), _) => *number,
        (Value::Missing(_), _) | (_, Form::Whole | Form::Value) => return Ok(fact.shown()),
        _ => return Err(format!("`{}` is no number, and is asked for as one", fact.id)),
    };
    let bounds = || fact.bounds().ok_or_else(|| format!("`{}` has no interval", fact.id));
    let n = || fact.n.ok_or_else(|| format!("`{}` does not say how many values it rests on", fact.id));
    let words = |number: f64| {
        let text = in_words(number);
        match (fact.unit.as_str(), fact.unit.strip_suffix('s')) {
            ("", _) => text,
            (_, Some(one)) if number == 1.0 => format!("{text} {one}"),
            (unit, _) => format!("{text} {unit}"),
        }
    };
    Ok(match form {
        Form::Whole => fact.shown(),
        Form::Value => fact.number(number),
        Form::Interval => format!("{} {}", fact.shown(), bounds()?),
        Form::Bounds => bounds()?,
        Form::N => n()?.to_string(),
        Form::NWords => in_words(n()? as f64),
        Form::Words => words(number),
        Form::Capital => crate::campaign::capital(&words(number)),
        Form::Abs => {
            let positive = Fact { value: Value::Number(number.abs()), ..fact.clone() };
            positive.shown().trim_start_matches('+').to_string()
        }
        Form::Confidence => match fact.interval {
            Some(bounds) => format!("{:.0}%", 100.0 * bounds.confidence),
            None => return Err(format!("`{}` has no interval", fact.id)),
        },
    })
}
