//! A page read back: the sentences of `paper.html` as markup, compiled again, and set again in every form.
//!
//! What comes out must be what stands in the files, byte for byte. So a word, mark, style or command that was changed after a
//! paper was written is found in every form, and a claim that no fact shows is found in the text that is handed on, whoever
//! wrote it. Figures, tables and captions are the draft's own; nobody else words them.
//!
//! Boundary: reads the page of this program and no other; what differs is said by whoever compares.

use super::assemble;
use super::document::{Draft, check};
use super::fact::Facts;
use super::prose::{Finding, shown_as};
use super::render;
use crate::literature::{Record, to_bib};
use std::collections::BTreeMap;

/// A paper as it is set again from its page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Again {
    /// Texts by their names in `paper/`; empty where a sentence must not be printed.
    pub forms: BTreeMap<String, String>,
    /// Sentences of the page that must not be printed.
    pub findings: Vec<Finding>,
}

/// Sets a paper again from its page. `draft`: what rules write of the campaign, with the figures, tables and labels; `library`:
/// what may be cited.
pub fn again(draft: &Draft, facts: &Facts, library: &[Record], page: &str) -> Again {
    let reader = Reader { facts, library };
    let refused = |what: String| {
        let place = "paper.html".to_string();
        Again { findings: vec![Finding { place, sentence: String::new(), what }], ..Again::default() }
    };
    let (written, byline, date) = match reader.draft(draft, page) {
        Ok(read) => read,
        Err(what) => return refused(what),
    };
    let mut document = match check(facts, &written, library) {
        Ok(document) => document,
        Err(findings) => return Again { findings, ..Again::default() },
    };
    (document.byline, document.date) = (byline, date);
    let texts = [
        ("paper.html", render::html(&document)),
        ("paper.tex", render::latex(&document)),
        ("paper.md", render::markdown(&document)),
        ("paper.bib", to_bib(&document.references)),
    ];
    Again { forms: texts.map(|(name, text)| (name.to_string(), text)).into(), findings: Vec::new() }
}

/// What may be cited in a paper: the program's own works, and those of its `paper.bib` whose keys are new.
pub fn library_of(bib: &str) -> Vec<Record> {
    assemble::with(crate::literature::read_bib(bib).records)
}

struct Reader<'a> {
    facts: &'a Facts,
    library: &'a [Record],
}

type Read<T> = Result<T, String>;

impl Reader<'_> {
    /// The draft with the page's title, abstract and sections; the lines below the title.
    fn draft(&self, draft: &Draft, page: &str) -> Read<(Draft, String, String)> {
        let (_, rest) = cut(page, "<article>\n<h1>")?;
        let (title, rest) = cut(rest, "</h1>\n<p class=by>")?;
        let (byline, rest) = cut(rest, "<br>")?;
        let (date, rest) = cut(rest, "</p>\n<section class=abstract><h2>Abstract</h2>\n")?;
        let (summary, mut rest) = cut(rest, "</section>\n")?;
        let mut written = Draft { title: self.line(title)?, summary: self.blocks(summary)?, ..draft.clone() };
        written.sections.clear();
        while let Some(more) = rest.strip_prefix("<section id=\"") {
            let (label, more) = cut(more, "\"><h2><span class=no>")?;
            let (_, more) = cut(more, "</h2>\n")?;
            let (text, more) = cut(more, "</section>\n")?;
            let own = draft.sections.iter().find(|s| s.label == label);
            let mut section = own.cloned().ok_or_else(|| format!("there is no section `{label}` in such a paper"))?;
            section.source = self.blocks(text)?;
            written.sections.push(section);
            rest = more;
        }
        Ok((written, unescape(byline), unescape(date)))
    }

    /// Paragraphs, headings, lists and the places of figures and tables.
    fn blocks(&self, mut text: &str) -> Read<String> {
        let mut out: Vec<String> = Vec::new();
        while !text.is_empty() {
            if let Some(rest) = text.strip_prefix("<p>") {
                let (line, rest) = cut(rest, "</p>\n")?;
                out.push(self.line(line)?);
                text = rest;
            } else if let Some(rest) = text.strip_prefix("<h3>") {
                let (line, rest) = cut(rest, "</h3>\n")?;
                out.push(format!("## {}", self.line(line)?));
                text = rest;
            } else if let Some(rest) = text.strip_prefix("<ul>\n") {
                let (list, rest) = cut(rest, "</ul>\n")?;
                let items = list.split_terminator("</li>\n").map(|item| {
                    let item = item.strip_prefix("<li>").ok_or_else(|| strange(item))?;
                    Ok(format!("- {}", self.line(item)?))
                });
                out.push(items.collect::<Read<Vec<_>>>()?.join("\n"));
                text = rest;
            } else if let Some(rest) = text.strip_prefix("<figure id=\"") {
                let (label, _) = cut(rest, "\"")?;
                out.push(format!("!{label}"));
                text = cut(rest, "</figure>\n")?.1;
            } else {
                return Err(strange(text));
            }
        }
        Ok(out.join("\n\n"))
    }

    /// A line of the page as markup.
    fn line(&self, mut html: &str) -> Read<String> {
        let mut out = String::new();
        while let Some(at) = html.find('<') {
            out += &unescape(&html[..at]);
            let tag = &html[at..];
            if let Some(rest) = tag.strip_prefix("<data class=fact value=\"") {
                let (id, rest) = cut(rest, "\">")?;
                let (text, rest) = cut(rest, "</data>")?;
                out += &self.fact(&unescape(id), &unescape(&text.replace("<sup>", "^").replace("</sup>", "")))?;
                html = rest;
            } else if let Some(rest) = tag.strip_prefix("<a class=cite href=\"#ref-") {
                let (key, rest) = cut(rest, "\">")?;
                let (text, rest) = cut(rest, "</a>")?;
                out += &self.citation(&unescape(key), &unescape(text))?;
                html = rest;
            } else if let Some(rest) = tag.strip_prefix("<a href=\"#") {
                let (label, rest) = cut(rest, "\">")?;
                out += &format!("[#{label}]");
                html = cut(rest, "</a>")?.1;
            } else if let Some(rest) = tag.strip_prefix("<code>") {
                let (name, rest) = cut(rest, "</code>")?;
                out += &format!("`{}`", unescape(name));
                html = rest;
            } else {
                return Err(strange(tag));
            }
        }
        Ok(out + &unescape(html))
    }

    /// A reference that prints this text.
    fn fact(&self, id: &str, text: &str) -> Read<String> {
        let fact = self.facts.get(id).ok_or_else(|| format!("there is no fact `{id}`"))?;
        let form = shown_as(fact, text).ok_or_else(|| format!("no form of `{id}` is \"{text}\""))?;
        Ok(if form.is_empty() { format!("{{{id}}}") } else { format!("{{{id}|{form}}}") })
    }

    /// A citation that prints this text; the page has the key of its first work.
    fn citation(&self, key: &str, text: &str) -> Read<String> {
        let textual = !text.starts_with('(');
        let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(text);
        let mut keys = Vec::new();
        for (i, part) in inner.split("; ").enumerate() {
            let is = |r: &&Record| {
                let (names, year) = render::author_year(r);
                let own = if textual { format!("{names} ({year})") } else { format!("{names}, {year}") };
                own == part && (i > 0 || r.key == key)
            };
            let work = self.library.iter().find(is);
            keys.push(work.map(|r| format!("@{}", r.key)).ok_or_else(|| format!("no work is cited as \"{part}\""))?);
        }
        Ok(format!("[{}{}]", if textual { "+" } else { "" }, keys.join("; ")))
    }
}

fn cut<'t>(text: &'t str, at: &str) -> Read<(&'t str, &'t str)> {
    text.split_once(at).ok_or_else(|| strange(text))
}

/// What is not of a page's form, as far as a message needs it.
fn strange(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    format!("this is not how the program writes a page: {}", start.trim().replace('\n', " "))
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
}
