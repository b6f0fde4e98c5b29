//! LaTeX's accents and escapes as Unicode, and Unicode as LaTeX that is text and nothing else.

use unicode_normalization::UnicodeNormalization;

/// The text that a LaTeX fragment of a bibliography shows: accents and special letters as Unicode, dashes and quotes as such,
/// braces and dollars gone. A command that is not known is left out and its arguments stay: nothing is ever executed.
pub fn decode(latex: &str) -> String {
    let mut out = String::with_capacity(latex.len());
    let mut pending: Option<char> = None;
    let mut letters = latex.chars().peekable();
    let put = |out: &mut String, pending: &mut Option<char>, c: char| {
        // Accents on the dotless letters stand on the letters themselves in Unicode.
        let base = match (c, &pending) {
            ('ı', Some(_)) => 'i',
            ('ȷ', Some(_)) => 'j',
            _ => c,
        };
        out.push(base);
        if let Some(mark) = pending.take() {
            out.push(mark);
        }
    };
    while let Some(c) = letters.next() {
        match c {
            '{' | '}' | '$' => {}
            '~' => put(&mut out, &mut pending, ' '),
            '-' if letters.peek() == Some(&'-') => {
                letters.next();
                let long = letters.next_if_eq(&'-').is_some();
                put(&mut out, &mut pending, if long { '—' } else { '–' });
            }
            '`' if letters.next_if_eq(&'`').is_some() => put(&mut out, &mut pending, '“'),
            '\'' if letters.next_if_eq(&'\'').is_some() => put(&mut out, &mut pending, '”'),
            '\\' => {
                let mut name = String::new();
                while let Some(letter) = letters.next_if(char::is_ascii_alphabetic) {
                    name.push(letter);
                }
                if name.is_empty() {
                    match letters.next() {
                        Some(mark) if accent(&mark.to_string()).is_some() => pending = accent(&mark.to_string()),
                        Some(c) if c.is_whitespace() || matches!(c, ',' | ';' | ':' | '\\') => {
                            put(&mut out, &mut pending, ' ');
                        }
                        // A place where a word may be broken, and corrections of italics.
                        Some('-' | '/' | '!') | None => {}
                        Some(c) => put(&mut out, &mut pending, c),
                    }
                } else {
                    while letters.next_if(|c| c.is_whitespace()).is_some() {}
                    if let Some(mark) = accent(&name) {
                        pending = Some(mark);
                    } else if let Some(text) = symbol(&name) {
                        text.chars().for_each(|c| put(&mut out, &mut pending, c));
                    }
                }
            }
            // White space between an accent and its letter belongs to the command.
            c if c.is_whitespace() && pending.is_some() => {}
            c => put(&mut out, &mut pending, c),
        }
    }
    out.nfc().collect()
}

/// The combining mark of an accent's command.
fn accent(name: &str) -> Option<char> {
    Some(match name {
        "`" => '\u{300}',
        "'" => '\u{301}',
        "^" => '\u{302}',
        "~" => '\u{303}',
        "=" => '\u{304}',
        "u" => '\u{306}',
        "." => '\u{307}',
        "\"" => '\u{308}',
        "r" => '\u{30a}',
        "H" => '\u{30b}',
        "v" => '\u{30c}',
        "d" => '\u{323}',
        "c" => '\u{327}',
        "k" => '\u{328}',
        "b" => '\u{331}',
        _ => return None,
    })
}

fn symbol(name: &str) -> Option<&'static str> {
    const SYMBOLS: &[(&str, &str)] = &[
        ("ss", "ß"),
        ("ae", "æ"),
        ("AE", "Æ"),
        ("oe", "œ"),
        ("OE", "Œ"),
        ("o", "ø"),
        ("O", "Ø"),
        ("l", "ł"),
        ("L", "Ł"),
        ("aa", "å"),
        ("AA", "Å"),
        ("i", "ı"),
        ("j", "ȷ"),
        ("dj", "đ"),
        ("DJ", "Đ"),
        ("dh", "ð"),
        ("DH", "Ð"),
        ("th", "þ"),
        ("TH", "Þ"),
        ("ng", "ŋ"),
        ("NG", "Ŋ"),
        ("textendash", "–"),
        ("textemdash", "—"),
        ("textquoteleft", "‘"),
        ("textquoteright", "’"),
        ("textquotedblleft", "“"),
        ("textquotedblright", "”"),
        ("textasciitilde", "~"),
        ("textasciicircum", "^"),
        ("textbackslash", "\\"),
        ("textless", "<"),
        ("textgreater", ">"),
        ("textbar", "|"),
        ("textquotedbl", "\""),
        ("textbraceleft", "{"),
        ("textbraceright", "}"),
        ("textquotesingle", "'"),
        ("ldots", "…"),
        ("dots", "…"),
        ("times", "×"),
        ("alpha", "α"),
        ("beta", "β"),
        ("epsilon", "ε"),
        ("lambda", "λ"),
        ("mu", "μ"),
    ];
    SYMBOLS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// LaTeX that shows `text` and does nothing else, for `pdflatex` with UTF-8 and T1 as well as for engines of Unicode: every
/// character that LaTeX reads as more than itself is written as the command for it, and what T1 has no glyph for is written
/// with its nearest letters, or as `?`.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.nfc() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            // BibTeX counts `\{` like any brace, so they are written by name.
            '{' => out.push_str("\\textbraceleft{}"),
            '}' => out.push_str("\\textbraceright{}"),
            '$' | '&' | '#' | '%' | '_' => {
                out.push('\\');
                out.push(c);
            }
            '^' => out.push_str("\\textasciicircum{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            // By name: two of them in a row would be another mark.
            '\'' | '’' => out.push_str("\\textquoteright{}"),
            '`' | '‘' => out.push_str("\\textquoteleft{}"),
            '“' => out.push_str("\\textquotedblleft{}"),
            '”' => out.push_str("\\textquotedblright{}"),
            '-' if out.ends_with('-') => out.push_str("{}-"),
            '‐' | '‑' => out.push('-'),
            '–' | '−' => out.push_str("\\textendash{}"),
            '—' => out.push_str("\\textemdash{}"),
            '…' => out.push_str("\\ldots{}"),
            '×' => out.push_str("$\\times$"),
            c if c.is_whitespace() => out.push(' '),
            c if c.is_control() => {}
            ' '..='~' => out.push(c),
            // Latin letters with accents: inputenc and T1 know these two blocks.
            'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ſ' => out.push(c),
            c => match greek(c) {
                Some(name) => out.push_str(&format!("$\\{name}$")),
                None => out.push_str(&nearest(c)),
            },
        }
    }
    out
}

fn greek(c: char) -> Option<&'static str> {
    const LETTERS: &[(char, &str)] = &[
        ('α', "alpha"),
        ('β', "beta"),
        ('γ', "gamma"),
        ('δ', "delta"),
        ('ε', "varepsilon"),
        ('ζ', "zeta"),
        ('η', "eta"),
        ('θ', "theta"),
        ('ι', "iota"),
        ('κ', "kappa"),
        ('λ', "lambda"),
        ('μ', "mu"),
        ('µ', "mu"),
        ('ν', "nu"),
        ('ξ', "xi"),
        ('π', "pi"),
        ('ρ', "rho"),
        ('σ', "sigma"),
        ('ς', "varsigma"),
        ('τ', "tau"),
        ('υ', "upsilon"),
        ('φ', "varphi"),
        ('χ', "chi"),
        ('ψ', "psi"),
        ('ω', "omega"),
        ('Γ', "Gamma"),
        ('Δ', "Delta"),
        ('Θ', "Theta"),
        ('Λ', "Lambda"),
        ('Π', "Pi"),
        ('Σ', "Sigma"),
        ('Φ', "Phi"),
        ('Ψ', "Psi"),
        ('Ω', "Omega"),
    ];
    LETTERS.iter().find(|(letter, _)| *letter == c).map(|(_, name)| *name)
}

/// The letters that a character is made of, without marks that T1 does not know.
fn nearest(c: char) -> String {
    let plain: String = c.to_string().nfkd().filter(char::is_ascii_alphanumeric).collect();
    if plain.is_empty() { "?".to_string() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accents_are_read_however_they_are_written() {
        for (latex, text) in [
            (r#"G{\"o}del"#, "Gödel"),
            (r#"G\"odel"#, "Gödel"),
            (r#"G\"{o}del"#, "Gödel"),
            (r"Erd{\H o}s", "Erdős"),
            (r"{\L}ukasz", "Łukasz"),
            (r#"\v{S}koda \c{c}a na\"{\i}ve"#, "Škoda ça naïve"),
            (r"Universit\'e de Montr\'eal", "Université de Montréal"),
            (r"{GPT}-2: 1--2 --- ``so'' \& 5\,\% off", "GPT-2: 1–2 — “so” & 5 % off"),
            (r"\emph{deep} $\alpha$-nets~now", "deep α-nets now"),
            (r"\input{/etc/passwd}\write18{rm}", "/etc/passwd18rm"),
        ] {
            assert_eq!(decode(latex), text, "{latex}");
        }
    }

    #[test]
    fn nothing_that_is_written_is_a_command() {
        assert_eq!(
            encode(r"\input{x} $5 & 10% #1 a_b^c~"),
            r"\textbackslash{}input\textbraceleft{}x\textbraceright{} \$5 \& 10\% \#1 a\_b\textasciicircum{}c\textasciitilde{}"
        );
        assert_eq!(encode("Łukasz Gödel α 深い ½"), "Łukasz Gödel $\\alpha$ ?? 12");
    }

    /// Commands that [`encode`] may write.
    fn harmless(latex: &str) -> bool {
        let mut rest = latex;
        let mut depth = 0i32;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '\\' => {
                    let name: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
                    if name.is_empty() {
                        if !rest.starts_with(['$', '&', '#', '%', '_']) {
                            return false;
                        }
                        rest = &rest[1..];
                    } else {
                        let known = name.starts_with("text")
                            || ["ldots", "times"].contains(&name.as_str())
                            || (0x370u32..0x400).filter_map(char::from_u32).any(|g| greek(g) == Some(&name));
                        if !known {
                            return false;
                        }
                        rest = &rest[name.len()..];
                    }
                }
                '{' => depth += 1,
                '}' => depth -= 1,
                '#' | '%' | '&' | '_' | '^' | '~' => return false,
                _ => {}
            }
            if depth < 0 {
                return false;
            }
        }
        depth == 0
    }

    proptest! {
        #[test]
        fn any_text_is_harmless_and_comes_back(text in any::<String>()) {
            let latex = encode(&text);
            prop_assert!(harmless(&latex), "{latex}");
            prop_assert!(!latex.contains("--") && !latex.contains("``") && !latex.contains("''"));
        }

        #[test]
        fn plain_text_survives_the_round_trip(text in "[ -~À-ÖØ-öø-ſ]{0,60}") {
            let wanted: String = text.nfc().collect();
            prop_assert_eq!(decode(&encode(&text)), wanted.replace('\'', "’").replace('`', "‘"));
        }

        #[test]
        fn no_fragment_stops_the_reader(latex in r#"[\\{}$"'`^~=.a-zA-Z \-]{0,80}"#) {
            let text = decode(&latex);
            let bare = !text.contains(['{', '}', '$']);
            prop_assert!(bare || latex.contains('\\'), "{}", text);
        }
    }
}
