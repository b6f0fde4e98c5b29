//! One work, cleaned of what does not belong in text.

use super::names::Author;
use crate::text::is_invisible;
use serde::{Deserialize, Serialize};

/// Characters of a title, a venue or a name that are kept.
const SENTENCE: usize = 600;
/// Characters of an abstract that are kept.
const ABSTRACT: usize = 8_000;
/// Characters of an identifier or address that are kept.
const ADDRESS: usize = 400;
/// Authors that are kept; of more, that there are more.
pub(super) const AUTHORS: usize = 100;

/// A work that was found: what a citation is held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// How it is cited: letters, digits, `-`, `_` and `:`; unique within one list.
    pub key: String,
    /// Title, as plain text.
    pub title: String,
    /// Authors in their order.
    pub authors: Vec<Author>,
    /// There are authors beyond those listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_authors: bool,
    /// Year of publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year: Option<i32>,
    /// Journal, conference or publisher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue: Option<String>,
    /// DOI without `https://doi.org/`, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doi: Option<String>,
    /// Where it can be read; `http` or `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Abstract, as plain text.
    #[serde(default, rename = "abstract", skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Who says so.
    pub source: Source,
}

/// Where a record comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Source {
    /// The catalogue OpenAlex.
    Openalex {
        /// Its identifier of the work, `W2741809807`.
        id: String,
    },
    /// A local `.bib` file.
    Bib {
        /// Line at which the entry begins, from 1.
        line: usize,
    },
}

impl Record {
    /// A record of cleaned fields. `key` is what its source calls it; what a key may not hold is left out.
    pub(super) fn new(key: &str, title: &str, source: Source) -> Self {
        Record {
            key: key.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':')).take(80).collect(),
            title: clean(title, SENTENCE),
            authors: Vec::new(),
            more_authors: false,
            year: None,
            venue: None,
            doi: None,
            url: None,
            summary: None,
            source,
        }
    }

    pub(super) fn with_authors(mut self, authors: impl IntoIterator<Item = Author>, more: bool) -> Self {
        let mut all = authors.into_iter().filter(|a| !a.family.is_empty());
        self.authors = all.by_ref().take(AUTHORS).collect();
        self.more_authors = more || all.next().is_some();
        self
    }

    pub(super) fn with_year(mut self, year: Option<i64>) -> Self {
        // The first printed journal is of 1665; catalogues hold years of their own making.
        self.year = year.filter(|y| (1450..=2200).contains(y)).map(|y| y as i32);
        self
    }

    pub(super) fn with_venue(mut self, venue: Option<&str>) -> Self {
        self.venue = venue.map(|v| clean(v, SENTENCE)).filter(|v| !v.is_empty());
        self
    }

    pub(super) fn with_doi(mut self, doi: Option<&str>) -> Self {
        self.doi = doi.and_then(doi_of);
        self
    }

    pub(super) fn with_url(mut self, url: Option<&str>) -> Self {
        self.url = url.and_then(address);
        self
    }

    pub(super) fn with_summary(mut self, summary: Option<&str>) -> Self {
        self.summary = summary.map(|s| clean(s, ABSTRACT)).filter(|s| !s.is_empty());
        self
    }

    /// `Kingma and Ba (2015)`, `Vaswani et al. (2017)`.
    pub fn short(&self) -> String {
        let names = match self.authors.as_slice() {
            [] => "anonymous".to_string(),
            [one] if !self.more_authors => one.family.clone(),
            [one, two] if !self.more_authors => format!("{} and {}", one.family, two.family),
            [first, ..] => format!("{} et al.", first.family),
        };
        self.year.map_or(names.clone(), |year| format!("{names} ({year})"))
    }
}

/// Gives records keys that differ: the second `smith2020` becomes `smith2020b`; an empty one gets a number.
pub(super) fn make_keys_unique(records: &mut [Record]) {
    let mut taken = std::collections::BTreeSet::new();
    for (n, record) in records.iter_mut().enumerate() {
        if record.key.is_empty() {
            record.key = format!("work{}", n + 1);
        }
        let base = record.key.clone();
        let mut tail = 2;
        while !taken.insert(record.key.clone()) {
            record.key = match tail {
                2..=26 => format!("{base}{}", (b'a' + tail as u8 - 1) as char),
                _ => format!("{base}-{tail}"),
            };
            tail += 1;
        }
    }
}

/// Text of at most `limit` characters on one line: without control characters, marks that turn the direction of writing,
/// invisible characters, and the few HTML elements that catalogues leave in titles (`<i>`, `<sub>`). Everything else stays as
/// it is, to be escaped by whoever writes it somewhere.
pub(super) fn clean(text: &str, limit: usize) -> String {
    let text = without_markup(text);
    let mut out = String::new();
    let mut length = 0;
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() {
            space = true;
        } else if !c.is_control() && !is_invisible(c) {
            if space && length > 0 {
                out.push(' ');
                length += 1;
            }
            space = false;
            out.push(c);
            length += 1;
        }
        if length >= limit {
            break;
        }
    }
    out
}

/// Without formatting elements, and with the entities that they come with resolved once: what is then `<script>` is text.
fn without_markup(text: &str) -> String {
    const ELEMENTS: [&str; 16] = [
        "i",
        "b",
        "em",
        "strong",
        "sub",
        "sup",
        "scp",
        "sc",
        "tt",
        "u",
        "p",
        "span",
        "title",
        "jats:p",
        "jats:title",
        "jats:italic",
    ];
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let inner = rest[at + 1..].find('>').map(|end| (&rest[at + 1..at + 1 + end], &rest[at + end + 2..]));
        match inner {
            Some((tag, after)) if ELEMENTS.contains(&tag.trim_start_matches('/').trim_end_matches('/').trim()) => {
                rest = after;
            }
            _ => {
                out.push('<');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    // The ampersand last, so that `&amp;lt;` is `&lt;` and no further.
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&apos;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
        .iter()
        .fold(out, |text, (from, to)| text.replace(from, to))
}

/// A DOI however it is written, where it is one: `10.`, a number, `/`, and printable ASCII without spaces or braces.
fn doi_of(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let bare = ["https://doi.org/", "http://doi.org/", "https://dx.doi.org/", "http://dx.doi.org/", "doi.org/", "doi:"]
        .iter()
        .find_map(|prefix| lower.strip_prefix(prefix))
        .unwrap_or(&lower)
        .trim();
    let (registrant, rest) = bare.strip_prefix("10.")?.split_once('/')?;
    let fits = !rest.is_empty()
        && bare.len() <= ADDRESS
        && registrant.chars().all(|c| c.is_ascii_digit() || c == '.')
        && rest
            .chars()
            .all(|c| c.is_ascii_graphic() && !matches!(c, '{' | '}' | '\\' | '"' | '<' | '>' | '`' | '^' | '|'));
    fits.then(|| bare.to_string())
}

/// An address of the web without anything that would have to be escaped.
fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let web = ["https://", "http://"].iter().any(|scheme| text.to_ascii_lowercase().starts_with(scheme));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!&'()*+,;=%$".contains(c);
    (web && text.len() <= ADDRESS && text.chars().all(plain)).then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str) -> Record {
        Record::new(key, "t", Source::Bib { line: 1 })
    }

    #[test]
    fn text_is_cleaned_and_nothing_else() {
        assert_eq!(clean("  A\n\ttitle\u{0}\u{202e} <i>in</i> two<sub>2</sub> lines ", 100), "A title in two2 lines");
        assert_eq!(clean("x &lt;script&gt; &amp;lt; <b onclick=1>", 100), "x <script> &lt; <b onclick=1>");
        assert_eq!(clean("a < b and c > d", 100), "a < b and c > d");
        assert_eq!(clean(&"é".repeat(50), 10).chars().count(), 10);
    }

    #[test]
    fn identifiers_are_what_they_must_be() {
        for text in ["10.5555/3295222", "https://doi.org/10.5555/3295222", "DOI:10.5555/3295222 "] {
            assert_eq!(doi_of(text).as_deref(), Some("10.5555/3295222"));
        }
        for text in ["", "10.5555/", "11.5/x", "10.5555/x}\\input{y", "10.5555/a b", "javascript:alert(1)"] {
            assert_eq!(doi_of(text), None, "{text}");
        }
        assert!(address("https://arxiv.org/abs/1706.03762").is_some());
        for text in ["javascript:alert(1)", "https://x/\"><script>", "https://x/}\\input{y}", "file:///etc/passwd"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn keys_are_safe_and_differ() {
        let mut records = vec![record("a{b}\\c,d"), record("abcd"), record("abcd"), record("}"), record("work4")];
        make_keys_unique(&mut records);
        let keys: Vec<&str> = records.iter().map(|r| r.key.as_str()).collect();
        assert_eq!(keys, ["abcd", "abcdb", "abcdc", "work4", "work4b"]);
        let mut many: Vec<Record> = (0..60).map(|_| record("k")).collect();
        make_keys_unique(&mut many);
        let distinct: std::collections::BTreeSet<&str> = many.iter().map(|r| r.key.as_str()).collect();
        assert_eq!(distinct.len(), 60);
    }
}
