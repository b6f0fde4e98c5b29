//! Titles and names without what people write differently: case, punctuation, accents, hyphens, spacing.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Lower-case words of letters and digits without accents, with one space between them.
pub(super) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !is_combining_mark(*c)) {
        for c in c.to_lowercase() {
            match c {
                'ß' => out.push_str("ss"),
                'æ' => out.push_str("ae"),
                'œ' => out.push_str("oe"),
                'ø' => out.push('o'),
                'ł' => out.push('l'),
                'đ' | 'ð' => out.push('d'),
                'þ' => out.push_str("th"),
                'ı' => out.push('i'),
                // `Bayes'` and `Bayes’`, `don't`.
                '\'' | '’' | '‘' | '`' => {}
                c if c.is_alphanumeric() => out.push(c),
                _ if !out.is_empty() && !out.ends_with(' ') => out.push(' '),
                _ => {}
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// As [`fold`], without spaces: `pre-training`, `pre training` and `pretraining` are one.
pub(super) fn squash(text: &str) -> String {
    fold(text).replace(' ', "")
}

/// The numbers in a text, in order: titles that differ in one are different titles (`GPT-2`, `GPT-3`).
pub(super) fn numbers(text: &str) -> Vec<String> {
    let digits = |c: char| !c.is_ascii_digit();
    fold(text).split(digits).filter(|n| !n.is_empty()).map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_differently_is_the_same() {
        for (a, b) in [
            ("Pre-Training of Deep Nets", "pretraining of deep nets"),
            ("Gödel, Escher & Bach", "Godel  Escher, Bach"),
            ("Bayes’ rule", "Bayes' Rule."),
            ("Straße", "STRASSE"),
            ("ﬁne-tuning", "Fine tuning"),
            ("Łukasz Ørsted", "lukasz orsted"),
        ] {
            assert_eq!(squash(a), squash(b));
        }
        assert_eq!(fold("  A—B: c!  "), "a b c");
        assert_ne!(squash("Attention"), squash("Intention"));
        assert_eq!(numbers("GPT-2 at 1.5B"), ["2", "1", "5"]);
    }
}
