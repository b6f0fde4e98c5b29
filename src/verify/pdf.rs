//! A PDF as `pdftotext` reads it, held against the page: every marked number stands among its words, and the PDF holds the page's
//! numbers and no others.

use super::rendered::{Passage, Token};
use super::shown::{is_count, normal};
use super::text::squeezed;
use crate::problem::Result;
use crate::sys::fs;
use crate::sys::process::Asked;
use std::collections::BTreeMap;
use std::path::Path;

/// Seconds that `pdftotext` may take.
const SECONDS: f64 = 60.0;

/// The text of a PDF, in the order of its pages.
pub(super) fn read(path: &Path) -> std::result::Result<String, String> {
    let arguments = ["-enc", "UTF-8", &path.display().to_string(), "-"].map(str::to_string);
    let keep = |name: &str| ["PATH", "HOME", "LANG"].contains(&name);
    let answer = Asked::start("pdftotext", &arguments, keep, &[], SECONDS).wait();
    match answer.code {
        Some(0) => Ok(answer.stdout),
        _ => Err(answer.stderr.lines().next().unwrap_or("it did not end").to_string()),
    }
}

/// What stands in the paper's figures, from their TeX.
pub(super) fn labels(paper: &Path) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for path in fs::entries(&paper.join("figures")) {
        if path.extension().is_some_and(|e| e == "tex") {
            let text = fs::read_text(&path)?;
            // Commands of the preamble end in a space, too, and hold no digits of their own.
            for line in text.lines().filter(|l| l.starts_with("\\node")) {
                let Some((_, label)) = line.split_once("\\figurefont ") else { continue };
                let label = label.trim_end().trim_end_matches("};").replace("$-$", "-");
                let label = label.replace("\\textless{}", "<").replace("\\textgreater{}", ">").replace('\\', "");
                all.push(label.replace(['{', '}', '$'], ""));
            }
        }
    }
    Ok(all)
}

/// Where a PDF differs from its page: a sentence, empty where there is none, and what is wrong.
pub(super) fn differences(said: &str, passages: &[Passage], labels: &[String]) -> Vec<(String, String)> {
    let (body, rest) = parts(said);
    let mut wrong = marked(&[body.as_str(), &rest].join("\n"), passages);
    let own: Vec<String> = passages.iter().filter(|p| p.reference.is_none()).map(Passage::text).collect();
    let expected = counted(own.iter().chain(labels));
    let (found, behind) = (counted([&body]), counted([&rest]));
    for number in expected.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>() {
        let count = |of: &BTreeMap<String, usize>| of.get(number).copied().unwrap_or(0);
        let (wanted, there) = (count(&expected), count(&found));
        // A figure may float behind the first references.
        if there > wanted || there + count(&behind) < wanted {
            let line = body.lines().find(|l| counted([&l.to_string()]).contains_key(number)).unwrap_or_default();
            let what =
                format!("\"{number}\" stands there {there} times, and {wanted} times in paper.html with its figures");
            wrong.push((line.to_string(), what));
        }
    }
    wrong
}

/// Pages over which a sentence may be parted by figures.
const APART: usize = 4;
/// Letters that a sentence, and a line of a PDF, must have to be looked for.
const SENTENCE: usize = 12;
const LINE: usize = 20;

/// Sentences of the page that a PDF does not have, and lines of the PDF before the references that the page does not have.
pub(super) fn words_differ(said: &str, passages: &[Passage], labels: &[String]) -> Vec<(String, String)> {
    let own: Vec<&Passage> = passages.iter().filter(|p| p.reference.is_none()).collect();
    let pages: Vec<String> = said.split('\u{c}').map(letters).collect();
    let mut wrong = Vec::new();
    for passage in &own {
        let text = passage.text();
        for sentence in text.split_inclusive(". ") {
            let wanted = letters(sentence);
            if wanted.len() >= SENTENCE && !stands(&wanted, &pages) {
                wrong.push((sentence.trim().to_string(), "it does not say this sentence of paper.html".to_string()));
            }
        }
    }
    let all: String = own.iter().map(|p| p.text()).chain(labels.iter().cloned()).map(|t| letters(&t)).collect();
    let (body, _) = parts(said);
    for line in body.lines() {
        let found = letters(line);
        // Labels of figures that stand side by side may come out as one line.
        let both = |at: usize| found.is_char_boundary(at) && all.contains(&found[..at]) && all.contains(&found[at..]);
        let known = all.contains(found.as_str()) || (SENTENCE..found.len().saturating_sub(SENTENCE)).any(both);
        if found.len() >= LINE && !known {
            wrong.push((line.trim().to_string(), "paper.html and its figures do not say this".to_string()));
        }
    }
    wrong
}

/// Whether letters stand on a page, or begin on one and go on on a later one.
fn stands(wanted: &str, pages: &[String]) -> bool {
    let parted = |i: usize| {
        let behind = &pages[i + 1..(i + APART).min(pages.len())];
        let cuts = wanted.char_indices().map(|(at, _)| at).skip(1);
        let there = cuts.take_while(|at| pages[i].contains(&wanted[..*at]));
        there.into_iter().any(|at| behind.iter().any(|page| page.contains(&wanted[at..])))
    };
    pages.iter().any(|page| page.contains(wanted)) || (0..pages.len()).any(parted)
}

/// The letters of a text: what neither hyphenation nor typesetting changes.
fn letters(text: &str) -> String {
    squeezed(text).chars().filter(|c| c.is_alphabetic()).collect()
}

/// The text before the references and from there on, without page numbers. Addresses among the references may break within
/// their numbers.
fn parts(said: &str) -> (String, String) {
    let (mut pages, mut rest): (Vec<String>, Vec<String>) = Default::default();
    for (i, page) in said.split('\u{c}').enumerate() {
        let number = (i + 1).to_string();
        let mut lines: Vec<&str> = page.lines().collect();
        let last = lines.iter().rposition(|l| !l.trim().is_empty());
        if let Some(last) = last.filter(|at| lines[*at].trim() == number) {
            lines.remove(last);
        }
        match lines.iter().position(|l| l.trim() == "References") {
            _ if !rest.is_empty() => rest.push(lines.join("\n")),
            Some(end) => {
                pages.push(lines[..end].join("\n"));
                rest.push(lines[end..].join("\n"));
            }
            None => pages.push(lines.join("\n")),
        }
    }
    (pages.join("\n"), rest.join("\n"))
}

/// Marked numbers that do not stand among the words around them.
fn marked(body: &str, passages: &[Passage]) -> Vec<(String, String)> {
    let all = squeezed(body);
    let mut wrong = Vec::new();
    for passage in passages.iter().filter(|p| p.reference.is_none()) {
        for (i, token) in passage.tokens.iter().enumerate() {
            let Token::Fact { id, text: shown } = token else { continue };
            let before: String = passage.tokens[..i].iter().map(Token::shown).collect();
            let after: String = passage.tokens[i + 1..].iter().map(Token::shown).collect();
            let tail: Vec<&str> = before.split_whitespace().rev().take(3).collect();
            let tail: String = tail.into_iter().rev().collect::<Vec<_>>().join(" ");
            let head: String = after.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
            let own = squeezed(shown);
            // A page may end on either side of it.
            let found = [format!("{}{own}", squeezed(&tail)), format!("{own}{}", squeezed(&head))];
            if !found.iter().any(|f| all.contains(f.as_str())) {
                wrong.push((passage.sentence(i), format!("it does not say \"{shown}\" (`{id}`) here")));
            }
        }
    }
    wrong
}

/// How often each number stands in texts: in digits with its sign, or as a word.
fn counted<'a>(texts: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        for number in numbers(text) {
            *counts.entry(number).or_default() += 1;
        }
    }
    counts
}

/// Numbers that stand in the words of two forms, beside those that are marked, differently often: how often in each.
pub(super) fn numbers_differ(page: &[Passage], file: &[Passage]) -> Vec<(String, usize, usize)> {
    let words = |passages: &[Passage]| -> Vec<String> {
        let tokens = passages.iter().filter(|p| p.reference.is_none()).flat_map(|p| &p.tokens);
        tokens.filter_map(|t| if let Token::Text(text) = t { Some(text.clone()) } else { None }).collect()
    };
    let (own, theirs) = (counted(&words(page)), counted(&words(file)));
    let all: std::collections::BTreeSet<&String> = own.keys().chain(theirs.keys()).collect();
    let count = |of: &BTreeMap<String, usize>, number: &String| of.get(number).copied().unwrap_or(0);
    all.into_iter()
        .map(|number| (number.clone(), count(&own, number), count(&theirs, number)))
        .filter(|(_, a, b)| a != b)
        .collect()
}

fn numbers(text: &str) -> Vec<String> {
    // Raised digits are set after a mark in a page and by their place in a PDF.
    let text: Vec<char> = normal(text).replace('^', "").chars().collect();
    let digit = |i: usize| text.get(i).is_some_and(char::is_ascii_digit);
    let mut found = Vec::new();
    let (mut at, mut word) = (0, String::new());
    while at <= text.len() {
        match text.get(at).filter(|c| c.is_alphabetic()) {
            Some(c) => word.push(*c),
            None if is_count(&word) => found.push(std::mem::take(&mut word).to_lowercase()),
            None => word.clear(),
        }
        if !digit(at) {
            at += 1;
            continue;
        }
        let start = at;
        let thousand = |i: usize| text[i] == ',' && digit(i + 1) && digit(i + 2) && digit(i + 3) && !digit(i + 4);
        while digit(at) || (at < text.len() && ((text[at] == '.' && digit(at + 1)) || thousand(at))) {
            at += 1;
        }
        let before = |n: usize| start.checked_sub(n).map(|i| text[i]);
        let sign = before(1).filter(|c| matches!(c, '+' | '-') && !before(2).is_some_and(char::is_alphanumeric));
        let below = before(1) == Some('<') || (before(1) == Some(' ') && before(2) == Some('<'));
        let sign = if below { Some('<') } else { sign };
        found.push(sign.into_iter().chain(text[start..at].iter().copied()).collect());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::rendered::html;
    use super::*;

    const PAGE: &str = "<h1>A note</h1><section><h2><span class=no>1</span> Results</h2><p>Over <data class=fact value=s>five seeds</data> it differs by \
        <data class=fact value=d>\u{2212}0.482 [\u{2212}0.510, +0.455]</data> (p <data class=fact value=p>&lt;0.001</data>) of \
        <data class=fact value=n>31,370</data>, at <data class=fact value=e>2\u{d7}10<sup>\u{2212}8</sup></data>.</p></section>";
    const SAID: &str = "A note\n1\n\nResults\n\nOver five seeds it dif-\nfers by \u{2212}0.482 [\u{2212}0.510,\n+0.455] (p <0.001) of 31,370, at 2 \u{d7} 10\u{2212}8 .\n\n0.5\n\n\u{2212}1\n\n1\n\n\u{c}References\n\nA. B. Two. 1999.\n2\n";

    #[test]
    fn forms_whose_words_hold_other_numbers_differ() {
        let (page, other) = (html(PAGE), html(&PAGE.replace("Results</h2>", "Results of candidate 7</h2>")));
        assert_eq!(numbers_differ(&page, &page), []);
        assert_eq!(numbers_differ(&page, &other), [("7".to_string(), 0, 1)]);
    }

    /// What TeX writes as a command is the sign that a reader sees.
    #[test]
    #[allow(clippy::disallowed_methods)]
    fn labels_are_read_as_they_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("figures")).unwrap();
        let text =
            "\\node[a] at (1,2) {\\figurefont 0.1 s, \\textless{}0.1\\%};\n\\node[a] at (1,2) {\\figurefont $-$3};\n";
        std::fs::write(dir.path().join("figures/a.tex"), text).unwrap();
        let labels = labels(dir.path()).unwrap();
        assert_eq!(labels, ["0.1 s, <0.1%", "-3"]);
        assert_eq!(counted(&labels), [("-3".into(), 1), ("0.1".into(), 1), ("<0.1".into(), 1)].into());
    }

    /// A figure that floats behind the first references is found there; a number less is missed.
    #[test]
    fn figures_may_float_behind_references() {
        let (passages, labels) = (html(PAGE), ["0.5".to_string(), "-1".to_string()]);
        let label = "0.5\n\n\u{2212}1\n\n";
        let moved = SAID.replacen(label, "", 1).replacen("1999.\n", &format!("1999.\n{label}"), 1);
        assert_eq!(differences(&moved, &passages, &labels), []);
        assert_eq!(differences(&moved.replacen("0.5\n", "0.7\n", 1), &passages, &labels).len(), 1);
    }

    /// Words by themselves: a denial put in, a sentence left out, a sentence of its own; but not where a page ends.
    #[test]
    fn a_pdf_has_the_words_of_its_page() {
        const OWN: &str = "<h1>A note</h1><section><h2><span class=no>1</span> Results</h2><p>The best candidate differs from the baseline. \
            Nothing else was looked at in these runs.</p></section>";
        let said = "A note\n1 Results\nThe best candidate dif-\nfers from the baseline. Nothing else was looked\n1\n\u{c}A label of the figure\nat in these runs.\n2\n";
        let (passages, labels) = (html(OWN), ["A label of the figure".to_string()]);
        assert_eq!(words_differ(said, &passages, &labels), []);
        for (from, to) in [
            ("The best", "The worst"),
            ("fers from", "fers not from"),
            ("Nothing else was looked", "Nothing was looked"),
            ("baseline. ", "baseline, which it beats in all respects.\n"),
            ("A label", "A wrong label"),
        ] {
            let bad = said.replacen(from, to, 1);
            assert!(bad != said && !words_differ(&bad, &passages, &labels).is_empty(), "{to}");
        }
    }

    #[test]
    fn a_pdf_says_what_its_page_says() {
        let (passages, labels) = (html(PAGE), ["0.5".to_string(), "-1".to_string()]);
        assert_eq!(differences(SAID, &passages, &labels), []);
        // Every digit of it, its signs, its words; what is added, what is left out.
        let end = SAID.find('\u{c}').unwrap() - 4;
        for (at, c) in SAID[..end].char_indices().filter(|(_, c)| c.is_ascii_digit()) {
            let other = if c == '7' { "8" } else { "7" };
            let bad = format!("{}{other}{}", &SAID[..at], &SAID[at + 1..]);
            assert!(!differences(&bad, &passages, &labels).is_empty(), "{at}: {bad}");
        }
        for (from, to) in [
            ("by \u{2212}0.482", "by 0.482"),
            ("[\u{2212}0.510", "[+0.510"),
            ("+0.455", "\u{2212}0.455"),
            ("<0.001", "0.001"),
            ("five", "six"),
            ("Over five", "Over seven of five"),
            ("Results", "Results of 2017"),
            ("0.5\n", ""),
        ] {
            let bad = SAID.replacen(from, to, 1);
            assert!(bad != SAID && !differences(&bad, &passages, &labels).is_empty(), "{to}");
        }
    }
}
