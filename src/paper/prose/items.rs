//! A sentence as items: words, marks, facts, and the names of subjects that it mentions.

use super::markup::Token;
use crate::paper::fact::Facts;

/// A piece of a sentence.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// A word as it is written.
    Word(String),
    /// A mark that is neither letter nor digit nor space.
    Mark(char),
    /// The name of a subject.
    Mention { key: String, possessive: bool },
    /// A name that is no number.
    Name,
    /// The fact of that id.
    Fact(String),
    /// A citation.
    Cite,
    /// A reference or a code span.
    Other,
}

impl Item {
    /// The word in lower case; empty for what is none.
    pub fn lower(&self) -> String {
        match self {
            Item::Word(word) => word.to_lowercase(),
            _ => String::new(),
        }
    }

    /// Whether it is this mark.
    pub fn is(&self, mark: char) -> bool {
        *self == Item::Mark(mark)
    }
}

/// Everything by which prose can name something, longest first.
pub(super) struct Vocabulary {
    /// Lower-case name and subject.
    subjects: Vec<(Vec<char>, String)>,
    /// Exact names.
    names: Vec<Vec<char>>,
}

impl Vocabulary {
    /// The names of a campaign's facts. A name without a letter would let numbers through, and is none.
    pub fn of(facts: &Facts, extra: &[String]) -> Self {
        let mut subjects: Vec<(Vec<char>, String)> = facts
            .subjects
            .iter()
            .flat_map(|(key, names)| names.iter().map(move |name| (name.chars().collect(), key.clone())))
            .collect();
        subjects.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let worthy = |name: &&String| {
            name.chars().any(char::is_alphabetic) && !super::numbers::is_number_word(&name.to_lowercase())
        };
        let mut names: Vec<Vec<char>> =
            facts.names.iter().chain(extra).filter(worthy).map(|n| n.chars().collect()).collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Vocabulary { subjects, names }
    }

    /// Whether a code span is a name of the campaign.
    pub fn knows(&self, code: &str) -> bool {
        let code: Vec<char> = code.chars().collect();
        self.names.contains(&code)
    }

    /// The items of a sentence.
    pub fn items(&self, sentence: &[Token]) -> Vec<Item> {
        let mut out = Vec::new();
        for token in sentence {
            match token {
                Token::Text(text) => self.text(text, &mut out),
                Token::Fact { id, .. } => out.push(Item::Fact(id.clone())),
                Token::Cite { .. } => out.push(Item::Cite),
                Token::Refer(_) | Token::Code(_) => out.push(Item::Other),
            }
        }
        out
    }

    fn text(&self, text: &str, out: &mut Vec<Item>) {
        let letters: Vec<char> = text.chars().collect();
        let lower: Vec<char> = letters.iter().map(|c| c.to_lowercase().next().unwrap_or(*c)).collect();
        let mut at = 0;
        while at < letters.len() {
            let begins = at == 0 || !letters[at - 1].is_alphanumeric();
            let ends = |length: usize| letters.get(at + length).is_none_or(|c| !c.is_alphanumeric());
            let found = begins.then(|| {
                let subject = self.subjects.iter().find(|(name, _)| lower[at..].starts_with(name) && ends(name.len()));
                let name = self.names.iter().find(|name| letters[at..].starts_with(name) && ends(name.len()));
                (subject, name)
            });
            match found {
                Some((Some((name, key)), _)) => {
                    at += name.len();
                    let possessive =
                        matches!(letters.get(at), Some('\'' | '\u{2019}')) && letters.get(at + 1) == Some(&'s');
                    at += 2 * usize::from(possessive);
                    out.push(Item::Mention { key: key.clone(), possessive });
                }
                Some((None, Some(name))) => {
                    at += name.len();
                    out.push(Item::Name);
                }
                _ if letters[at].is_whitespace() => at += 1,
                _ if letters[at].is_alphanumeric() => {
                    let start = at;
                    let joins = |i: usize| {
                        matches!(letters[i], '-' | '\'' | '\u{2019}' | '\u{2010}' | '\u{2011}')
                            && letters.get(i + 1).is_some_and(|c| c.is_alphanumeric())
                    };
                    while at < letters.len() && (letters[at].is_alphanumeric() || joins(at)) {
                        at += 1;
                    }
                    let word: String = letters[start..at].iter().collect();
                    out.push(Item::Word(word.replace(['\u{2010}', '\u{2011}'], "-").replace('\u{2019}', "'")));
                }
                _ => {
                    out.push(Item::Mark(letters[at]));
                    at += 1;
                }
            }
        }
    }
}
