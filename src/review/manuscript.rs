//! A rendered paper as sections, sentences and words. Reads the Markdown form, which holds every word of the others.

/// A paper's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Manuscript {
    /// The Markdown.
    pub text: String,
    /// In order; what stands before the first heading has an empty name.
    pub sections: Vec<Section>,
}

/// A part under one heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The heading, without its numbering.
    pub name: String,
    /// Its sentences, tables and code left out.
    pub sentences: Vec<String>,
    /// Captions of figures and tables.
    pub captions: Vec<String>,
}

impl Manuscript {
    /// Of Markdown.
    pub fn of(markdown: &str) -> Self {
        let mut sections = vec![Section { name: String::new(), sentences: Vec::new(), captions: Vec::new() }];
        let mut paragraph = String::new();
        let mut code = false;
        let flush = |paragraph: &mut String, sections: &mut Vec<Section>| {
            if let Some(section) = sections.last_mut() {
                let plain = plain(paragraph);
                match plain.strip_prefix("Abstract. ") {
                    Some(rest) => sections.push(Section {
                        name: "Abstract".to_string(),
                        sentences: sentences(rest),
                        captions: Vec::new(),
                    }),
                    None if is_caption(&plain) => section.captions.push(plain),
                    None => section.sentences.extend(sentences(&plain)),
                }
            }
            paragraph.clear();
        };
        for line in markdown.lines() {
            let trimmed = line.trim();
            if trimmed.starts_with("```") {
                flush(&mut paragraph, &mut sections);
                code = !code;
            } else if code || trimmed.starts_with('|') {
            } else if trimmed.starts_with("###") {
                // A part of the section that it stands in.
                flush(&mut paragraph, &mut sections);
            } else if let Some(heading) = trimmed.strip_prefix('#') {
                flush(&mut paragraph, &mut sections);
                let name = heading.trim_start_matches('#').trim();
                let name = name.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '));
                sections.push(Section { name: name.to_string(), sentences: Vec::new(), captions: Vec::new() });
            } else if trimmed.is_empty() {
                flush(&mut paragraph, &mut sections);
            } else {
                let item = trimmed.trim_start_matches(['>', '*', '-', ' ']);
                // Each item of a list is a sentence of its own.
                if trimmed.starts_with("- ") || trimmed.starts_with("* ") {
                    flush(&mut paragraph, &mut sections);
                }
                paragraph.push_str(item);
                paragraph.push(' ');
            }
        }
        flush(&mut paragraph, &mut sections);
        Manuscript { text: markdown.to_string(), sections }
    }

    /// The first section whose name holds one of these words, whatever their case.
    pub fn section(&self, words: &[&str]) -> Option<&Section> {
        self.sections.iter().find(|s| {
            let name = s.name.to_lowercase();
            words.iter().any(|w| name.contains(w))
        })
    }

    /// All sentences with the name of their section; references are other people's.
    pub fn sentences(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.sections.iter().filter(|s| !s.name.eq_ignore_ascii_case("references"));
        own.flat_map(|s| s.sentences.iter().map(|t| (s.name.as_str(), t.as_str())))
    }

    /// Whether a passage stands in the text, however its lines are broken and marked up.
    pub fn holds(&self, passage: &str) -> bool {
        let squeeze =
            |text: &str| plain(text).replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let wanted = squeeze(passage);
        !wanted.is_empty() && squeeze(&self.text).contains(&wanted)
    }
}

impl Section {
    /// Number of words.
    pub fn words(&self) -> usize {
        self.sentences.iter().map(|s| s.split_whitespace().count()).sum()
    }
}

/// `Figure 1. Words`, `Table 2: Words`.
fn is_caption(text: &str) -> bool {
    let number = ["Figure ", "Table "].iter().find_map(|kind| text.strip_prefix(kind));
    let mark = number.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    mark.is_some_and(|rest| Some(rest) != number && rest.starts_with(['.', ':']))
}

/// Without emphasis, links, images and code marks.
fn plain(markdown: &str) -> String {
    let mut out = String::new();
    let mut rest = markdown.trim();
    while let Some(at) = rest.find(['[', '!']) {
        out.push_str(&rest[..at]);
        let image = rest[at..].starts_with("![");
        let from = at + usize::from(image);
        let link = rest[from..].starts_with('[').then(|| {
            let close = rest[from..].find("](")?;
            let end = rest[from + close..].find(')')?;
            Some((&rest[from + 1..from + close], from + close + end + 1))
        });
        match link.flatten() {
            Some((text, after)) => {
                out.push_str(if image { "" } else { text });
                rest = &rest[after..];
            }
            None => {
                let c = &rest[at..at + 1];
                out.push_str(c);
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    // Escaped characters are what they are.
    let escaped = ['*', '_', '`', '|', '\\', '<'];
    let mut clean = String::with_capacity(out.len());
    let mut letters = out.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '\\' if letters.peek().is_some_and(|next| escaped.contains(next)) => clean.extend(letters.next()),
            '*' => {}
            '\u{a0}' => clean.push(' '),
            c => clean.push(c),
        }
    }
    clean.trim().to_string()
}

/// Sentences of a paragraph: they end at `.`, `?` or `!` before white space and a capital, not after usual abbreviations.
fn sentences(paragraph: &str) -> Vec<String> {
    const SHORT: [&str; 12] =
        ["al.", "e.g.", "i.e.", "cf.", "Fig.", "Sec.", "Eq.", "vs.", "approx.", "no.", "Tab.", "resp."];
    let mut found = Vec::new();
    let mut current: Vec<&str> = Vec::new();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    for (i, word) in words.iter().enumerate() {
        current.push(word);
        let bare = word.trim_end_matches([')', '"', '”', '’']);
        let ends = bare.ends_with(['.', '?', '!']) && !SHORT.contains(&bare.trim_start_matches('('));
        let next = words.get(i + 1).and_then(|w| w.trim_start_matches(['(', '"', '“', '`']).chars().next());
        let begins = words.get(i + 1).is_some_and(|w| w.starts_with('`'));
        if ends && (begins || next.is_none_or(|c| c.is_uppercase() || c.is_ascii_digit())) {
            found.push(current.join(" "));
            current.clear();
        }
    }
    if !current.is_empty() {
        found.push(current.join(" "));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_sentences_and_captions() {
        let text = "# A title\n\nOn one *line*.\n\n## 1. Results\n\nIt is 0.93 (see [here](x.html)). Smith et al. say\nso.  Is it?\n\n| a | b |\n|---|---|\n\n![plot](a.svg)\n\nFigure 1: Curves over 5 seeds. Bands are 95% intervals.\n\n- one\n- two\n\n```\ncode. Not text.\n```\n";
        let m = Manuscript::of(text);
        let results = m.section(&["result"]).unwrap();
        assert_eq!(results.name, "Results");
        assert_eq!(results.sentences, ["It is 0.93 (see here).", "Smith et al. say so.", "Is it?", "one", "two"]);
        assert_eq!(results.captions, ["Figure 1: Curves over 5 seeds. Bands are 95% intervals."]);
        assert!(m.holds("see here). smith ET al. say so") && !m.holds("Smith says so") && !m.holds(" "));
        assert_eq!(m.sentences().count(), 6);
    }
}
