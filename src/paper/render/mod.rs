//! One document in three forms: LaTeX, Markdown, HTML. Boundary: form only.

mod html;
mod latex;
mod markdown;

pub use html::{html, in_page};
pub use latex::{WIDTH, latex};
pub use markdown::markdown;

use super::prose::Inline;
use crate::literature::Record;

/// `Bergstra et al.` and the year of a record.
pub(super) fn author_year(record: &Record) -> (String, String) {
    let year = record.year.map_or_else(|| "n.d.".to_string(), |y| y.to_string());
    let names = match record.authors.as_slice() {
        [] => "anonymous".to_string(),
        [one] if !record.more_authors => one.family.clone(),
        [one, two] if !record.more_authors => format!("{} and {}", one.family, two.family),
        [first, ..] => format!("{} et al.", first.family),
    };
    (names, year)
}

/// A citation as text, for forms without BibTeX.
fn citation(keys: &[String], textual: bool, references: &[Record]) -> String {
    let one = |key: &String| references.iter().find(|r| r.key == *key).map(author_year);
    let found: Vec<(String, String)> = keys.iter().filter_map(one).collect();
    if textual {
        found.iter().map(|(names, year)| format!("{names} ({year})")).collect::<Vec<_>>().join("; ")
    } else {
        format!("({})", found.iter().map(|(names, year)| format!("{names}, {year}")).collect::<Vec<_>>().join("; "))
    }
}

/// A reference in full: authors, title, venue, year.
fn reference(record: &Record) -> String {
    let mut names: Vec<String> = record
        .authors
        .iter()
        .map(|a| if a.given.is_empty() { a.family.clone() } else { format!("{} {}", a.given, a.family) })
        .collect();
    if record.more_authors {
        names.push("others".to_string());
    }
    let names = crate::paper::facts::words::list(&names);
    let venue = record.venue.as_ref().map(|v| format!(" {v}.")).unwrap_or_default();
    let year = record.year.map(|y| format!(" {y}.")).unwrap_or_default();
    format!("{}. {}.{venue}{year}", names.trim_end_matches('.'), record.title.trim_end_matches('.'))
}

/// Plain text of a line, references spelled out.
fn plain(inlines: &[Inline], refer: &dyn Fn(&str) -> String, references: &[Record]) -> String {
    inlines
        .iter()
        .map(|inline| match inline {
            Inline::Text(text) | Inline::Fact { text, .. } | Inline::Code(text) => text.clone(),
            Inline::Cite { keys, textual } => citation(keys, *textual, references),
            Inline::Refer(label) => refer(label),
        })
        .collect()
}
