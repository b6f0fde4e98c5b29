//! Authors: family and given names, as BibTeX and as catalogues write them.

use super::latex::decode;
use super::record::clean;
use serde::{Deserialize, Serialize};

/// Characters of a part of a name that are kept.
const NAME: usize = 120;

/// One author. An organisation has a family name only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// Family name, particles included: `van den Oord`.
    pub family: String,
    /// Given names or their initials; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub given: String,
}

impl Author {
    /// From its two parts, as plain text.
    pub fn new(family: &str, given: &str) -> Self {
        Author { family: clean(family, NAME), given: clean(given, NAME) }
    }

    /// From a name as catalogues show it: `Diederik P. Kingma`, `Aäron van den Oord`, `Martin Luther King Jr.`; also
    /// `Kingma, Diederik P.`.
    pub fn shown(name: &str) -> Self {
        let parts: Vec<&str> = name.splitn(3, ',').map(str::trim).collect();
        match parts.as_slice() {
            [whole] => {
                let words: Vec<&str> = whole.split_whitespace().collect();
                unified(&words, &|word| word.chars().next().is_some_and(char::is_lowercase))
            }
            [family, given] => Author::new(family, given),
            [family, junior, given] => Author::new(family, &format!("{given}, {junior}")),
            _ => Author::new("", ""),
        }
    }
}

impl std::fmt::Display for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.given.as_str() {
            "" => f.write_str(&self.family),
            given => write!(f, "{given} {}", self.family),
        }
    }
}

/// Authors of a BibTeX field, and whether it says that there are others. Names are kept apart by ` and ` outside of braces,
/// their parts by commas (`von Last, First`, `von Last, Jr, First`) or by the case of their first letters (`First von Last`).
pub(super) fn from_bibtex(field: &str) -> (Vec<Author>, bool) {
    let mut authors = Vec::new();
    let mut others = false;
    for name in split_names(field) {
        let name = name.trim();
        if name.eq_ignore_ascii_case("others") || name.eq_ignore_ascii_case("et al.") {
            others = true;
        } else if !name.is_empty() {
            authors.push(one(name));
        }
    }
    (authors, others)
}

fn one(name: &str) -> Author {
    // An organisation in braces is one word.
    let inner = name.strip_prefix('{').and_then(|n| n.strip_suffix('}'));
    if let Some(inner) = inner.filter(|inner| closed(inner)) {
        return Author::new(&decode(inner), "");
    }
    let parts = split_outside(name, |c| c == ',');
    match parts.as_slice() {
        [whole] => {
            let words = split_outside(whole, |c| c.is_whitespace() || c == '~');
            let words: Vec<String> = words.iter().filter(|w| !w.is_empty()).map(|w| decode(w)).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            unified(&words, &|word| word.chars().next().is_some_and(char::is_lowercase))
        }
        [family, given] => Author::new(&decode(family), &decode(given)),
        [family, junior, given @ ..] => {
            let given = given.join(" ");
            Author::new(&decode(family), format!("{} {}", decode(&given), decode(junior)).trim())
        }
        [] => Author::new("", ""),
    }
}

/// `First von Last`: the family name begins at the first particle, else at the last word that is no `Jr.`.
fn unified(words: &[&str], is_particle: &dyn Fn(&str) -> bool) -> Author {
    let tail = |word: &&str| matches!(word.trim_end_matches('.'), "Jr" | "Sr" | "II" | "III" | "IV");
    let end = words.len() - usize::from(words.len() > 2 && words.last().is_some_and(tail));
    let (names, junior) = words.split_at(end);
    let Some(last) = names.len().checked_sub(1) else { return Author::new("", "") };
    let family = (1..last).find(|i| is_particle(names[*i])).unwrap_or(last);
    let family = if names.first().is_some_and(|w| is_particle(w)) { 0 } else { family };
    let given: Vec<&str> = names[..family].iter().chain(junior).copied().collect();
    Author::new(&names[family..].join(" "), &given.join(" "))
}

/// Whether braces open before they close.
fn closed(text: &str) -> bool {
    let mut depth = 0i32;
    for c in text.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

fn split_names(field: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    for word in split_outside(field, char::is_whitespace).into_iter().filter(|w| !w.is_empty()) {
        if word.eq_ignore_ascii_case("and") {
            names.push(String::new());
        } else if let Some(name) = names.last_mut() {
            if !name.is_empty() {
                name.push(' ');
            }
            name.push_str(word);
        }
    }
    names
}

/// Parts between separators outside of braces.
fn split_outside(text: &str, separates: impl Fn(char) -> bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut depth = 0usize;
    let mut from = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 && !escaped && separates(c) => {
                parts.push(&text[from..at]);
                from = at + c.len_utf8();
            }
            _ => {}
        }
        // `\~n` is an accent, and no separator.
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(field: &str) -> Vec<String> {
        from_bibtex(field).0.iter().map(|a| format!("{}|{}", a.family, a.given)).collect()
    }

    #[test]
    fn bibtex_names_in_all_their_forms() {
        assert_eq!(names("Diederik P. Kingma and Jimmy Ba"), ["Kingma|Diederik P.", "Ba|Jimmy"]);
        assert_eq!(
            names("van den Oord, A{\\\"a}ron AND de la Vall{\\'e}e Poussin, Charles"),
            ["van den Oord|Aäron", "de la Vallée Poussin|Charles"]
        );
        assert_eq!(
            names("Ludwig van Beethoven and King, Jr., Martin Luther"),
            ["van Beethoven|Ludwig", "King|Martin Luther Jr."]
        );
        assert_eq!(names("{Barnes and Noble, Inc.} and Plato"), ["Barnes and Noble, Inc.|", "Plato|"]);
        assert_eq!(names("{\\'E}mile Borel\n  and Pe\\~na, Ana"), ["Borel|Émile", "Peña|Ana"]);
        assert_eq!(from_bibtex("A. Smith and others"), (vec![Author::new("Smith", "A.")], true));
        assert!(names("").is_empty() && names(" and and ").is_empty());
    }

    #[test]
    fn catalogue_names() {
        let shown = |name: &str| {
            let a = Author::shown(name);
            format!("{}|{}", a.family, a.given)
        };
        assert_eq!(shown("Diederik P. Kingma"), "Kingma|Diederik P.");
        assert_eq!(shown("Aäron van den Oord"), "van den Oord|Aäron");
        assert_eq!(shown("Martin Luther King Jr."), "King|Martin Luther Jr.");
        assert_eq!(shown("Kingma, Diederik"), "Kingma|Diederik");
        assert_eq!(shown("OpenAI"), "OpenAI|");
        assert_eq!(shown("  "), "|");
    }
}
