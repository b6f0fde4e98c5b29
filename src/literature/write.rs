//! Records as a `.bib` file that BibTeX and biber read, and that holds no command that is not an escape.

use super::latex::encode;
use super::record::{Record, Source};

/// The file. Every field is in braces, every character that means something to LaTeX or BibTeX is escaped.
pub fn to_bib(records: &[Record]) -> String {
    records.iter().map(entry).collect::<Vec<_>>().join("\n")
}

fn entry(record: &Record) -> String {
    let kind = if record.venue.is_some() { "article" } else { "misc" };
    let mut text = format!("@{kind}{{{},\n", record.key);
    let mut field = |name: &str, value: &str| text += &format!("  {name} = {{{value}}},\n");
    // Its own braces: a style must not change the case of what is a name.
    field("title", &format!("{{{}}}", encode(&record.title)));
    if !record.authors.is_empty() {
        let mut names: Vec<String> = record
            .authors
            .iter()
            .map(|a| match a.given.as_str() {
                "" => format!("{{{}}}", encode(&a.family)),
                given => format!("{}, {}", part(&a.family), part(given)),
            })
            .collect();
        if record.more_authors {
            names.push("others".to_string());
        }
        field("author", &names.join(" and "));
    }
    if let Some(venue) = &record.venue {
        field("journal", &encode(venue));
    }
    if let Some(year) = record.year {
        field("year", &year.to_string());
    }
    // Addresses hold nothing that must be escaped but these two.
    let plain = |text: &str| text.replace('%', "\\%").replace('#', "\\#");
    if let Some(doi) = &record.doi {
        field("doi", &encode(doi));
    }
    if let Some(url) = &record.url {
        field("url", &plain(url));
    }
    if let Source::Openalex { id } = &record.source {
        field("note", &format!("OpenAlex {id}"));
    }
    text + "}\n"
}

/// A part of a name, in braces where a comma or an "and" in it would take it apart.
fn part(name: &str) -> String {
    let apart = name.contains(',') || name.split_whitespace().any(|word| word.eq_ignore_ascii_case("and"));
    if apart { format!("{{{}}}", encode(name)) } else { encode(name) }
}

#[cfg(test)]
mod tests {
    use super::super::names::Author;
    use super::*;

    #[test]
    fn a_hostile_record_is_text() {
        let record =
            Record::new("k", r#"\input{/etc/passwd}} @article{x, title="<script>" $100% _a_"#, Source::Bib { line: 1 })
                .with_authors([Author::new("O'Neil} and {x", "\\write18{rm}")], false)
                .with_venue(Some("Proc. & Co}"))
                .with_year(Some(2020));
        assert_eq!(
            to_bib(&[record]),
            r#"@article{k,
  title = {{\textbackslash{}input\textbraceleft{}/etc/passwd\textbraceright{}\textbraceright{} @article\textbraceleft{}x, title="\textless{}script\textgreater{}" \$100\% \_a\_}},
  author = {{O\textquoteright{}Neil\textbraceright{} and \textbraceleft{}x}, \textbackslash{}write18\textbraceleft{}rm\textbraceright{}},
  journal = {Proc. \& Co\textbraceright{}},
  year = {2020},
}
"#
        );
    }
}
