//! Markdown and PDF as words, to be held against the page.

use super::rendered::Passage;
use super::shown::normal;

/// Words of a Markdown file, markup taken off.
pub(super) fn markdown(file: &str) -> Vec<String> {
    let mut all = Vec::new();
    for line in file.lines() {
        let line = line.trim();
        if line.starts_with("![") {
            continue;
        }
        let line = line.trim_start_matches('#');
        let mut plain = String::new();
        let mut letters = line.chars().peekable();
        while let Some(c) = letters.next() {
            match c {
                '\\' => plain.extend(letters.next()),
                '*' | '`' => {}
                '|' => plain.push(' '),
                c => plain.push(c),
            }
        }
        all.extend(words(&plain));
    }
    all
}

/// Words of a page's passages.
pub(super) fn page(passages: &[Passage]) -> Vec<String> {
    passages.iter().flat_map(|p| words(&p.text())).collect()
}

/// Words without the punctuation at their ends, in which forms differ.
fn words(text: &str) -> Vec<String> {
    let outside = |c: char| {
        matches!(
            c,
            '.' | ','
                | ';'
                | ':'
                | '('
                | ')'
                | '['
                | ']'
                | '"'
                | '\''
                | '<'
                | '>'
                | '\u{201c}'
                | '\u{201d}'
                | '\u{2018}'
                | '\u{2019}'
        )
    };
    let rule = |w: &&str| !w.chars().all(|c| matches!(c, '-' | ':' | '\u{2013}' | '\u{2014}'));
    normal(text)
        .split_whitespace()
        .map(|w| w.trim_matches(outside))
        .filter(|w| !w.is_empty())
        .filter(rule)
        .map(str::to_string)
        .collect()
}

/// A text without spaces, hyphens and the differences of typesetting: what of a PDF can be compared.
pub(super) fn squeezed(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, '.' | '%' | '+' | '$');
    // Compatibility forms: a PDF has ligatures, and raised digits as plain ones.
    normal(text).nfkc().filter(kept).collect::<String>().to_lowercase()
}

/// The first place at which two lists of words differ: the words around it in the one and in the other.
pub(super) fn difference(page: &[String], other: &[String]) -> Option<(String, String)> {
    let same = page.iter().zip(other).take_while(|(a, b)| a == b).count();
    if same == page.len() && same == other.len() {
        return None;
    }
    let around = |list: &[String]| list[same.saturating_sub(6)..(same + 7).min(list.len())].join(" ");
    Some((around(page), around(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_with_the_same_words_are_equal() {
        let md = "## 1. Results\n\nIt *is* \u{2212}0.5 [\u{2212}0.6, 0.1], see `a\\_b`.\n\n![x](figures/x.svg)\n\n| a | b |\n|---|---:|\n| 1 | **2** |\n";
        let page = ["1", "Results", "It", "is", "-0.5", "-0.6", "0.1", "see", "a_b", "a", "b", "1", "2"];
        let page: Vec<String> = page.map(str::to_string).to_vec();
        assert_eq!(difference(&page, &markdown(md)), None);
        let (own, other) = difference(&page, &markdown(&md.replace("0.1]", "0.2]"))).unwrap();
        assert!(own.contains("-0.6 0.1 see") && other.contains("-0.6 0.2 see"));
        assert_eq!(squeezed("e\u{fb03}-\ncient 0.5\u{a0}%"), "efficient0.5%");
    }
}
