//! The markup: blocks, and the tokens within them. Boundary: form only; nothing is looked up here.

/// How a fact is written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Value and unit.
    #[default]
    Whole,
    /// Value without unit.
    Value,
    /// Value, unit, and the interval in brackets.
    Interval,
    /// The interval alone.
    Bounds,
    /// How many values it rests on.
    N,
    /// How many values it rests on, small numbers as words.
    NWords,
    /// Small counts as words, with their unit.
    Words,
    /// Small counts as words, with their unit, with a capital: at the beginning of a sentence.
    Capital,
    /// Without its sign.
    Abs,
    /// Coverage of its interval.
    Confidence,
}

impl Form {
    /// Every form with its name in markup, the plainest first.
    const NAMES: [(&'static str, Form); 10] = [
        ("", Form::Whole),
        ("value", Form::Value),
        ("interval", Form::Interval),
        ("bounds", Form::Bounds),
        ("n", Form::N),
        ("n-words", Form::NWords),
        ("words", Form::Words),
        ("Words", Form::Capital),
        ("abs", Form::Abs),
        ("confidence", Form::Confidence),
    ];

    fn parse(text: &str) -> Option<Self> {
        Form::NAMES[1..].iter().find(|(name, _)| *name == text).map(|(_, form)| *form)
    }

    /// All of them, the plainest first, by their names.
    pub(super) fn all() -> impl Iterator<Item = (&'static str, Form)> {
        Form::NAMES.into_iter()
    }
}

/// A piece of a block.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Text(String),
    Fact {
        id: String,
        form: Form,
    },
    /// Keys, and whether the citation is a part of the sentence.
    Cite {
        keys: Vec<String>,
        textual: bool,
    },
    /// A section, figure or table.
    Refer(String),
    /// A name of the campaign.
    Code(String),
}

/// A part of a section.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    Paragraph(String),
    Heading(String),
    Items(Vec<String>),
    /// A figure or table by its label.
    Float(String),
}

/// Splits a section's source into blocks.
pub(super) fn blocks(source: &str) -> Vec<Block> {
    let mut out = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    let close = |open: &mut Vec<&str>, out: &mut Vec<Block>| {
        if !open.is_empty() {
            out.push(Block::Paragraph(open.join(" ")));
            open.clear();
        }
    };
    for line in source.lines().map(str::trim) {
        if line.is_empty() {
            close(&mut open, &mut out);
        } else if let Some(heading) = line.strip_prefix("## ") {
            close(&mut open, &mut out);
            out.push(Block::Heading(heading.trim().to_string()));
        } else if let Some(label) = line.strip_prefix('!').filter(|l| l.starts_with("fig:") || l.starts_with("tab:")) {
            close(&mut open, &mut out);
            out.push(Block::Float(label.to_string()));
        } else if let Some(item) = line.strip_prefix("- ") {
            close(&mut open, &mut out);
            match out.last_mut() {
                Some(Block::Items(items)) => items.push(item.to_string()),
                _ => out.push(Block::Items(vec![item.to_string()])),
            }
        } else {
            open.push(line);
        }
    }
    close(&mut open, &mut out);
    out
}

/// The tokens of a block's text; what is malformed in words otherwise.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out: Vec<Token> = Vec::new();
    let mut rest = text;
    let mut plain = String::new();
    while let Some(c) = rest.chars().next() {
        let (token, length) = match c {
            '{' => {
                let end = rest.find('}').ok_or("a brace `{` is never closed")?;
                (fact(&rest[1..end])?, end + 1)
            }
            '}' => return Err("a brace `}` closes nothing".to_string()),
            '`' => {
                let end = rest[1..].find('`').ok_or("a backtick is never closed")? + 1;
                (Token::Code(rest[1..end].to_string()), end + 1)
            }
            '[' if rest.starts_with("[@") || rest.starts_with("[+@") || rest.starts_with("[#") => {
                let end = rest.find(']').ok_or("a bracket `[` is never closed")?;
                (bracket(&rest[1..end])?, end + 1)
            }
            _ => {
                plain.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        if !plain.is_empty() {
            out.push(Token::Text(std::mem::take(&mut plain)));
        }
        out.push(token);
        rest = &rest[length..];
    }
    if !plain.is_empty() {
        out.push(Token::Text(plain));
    }
    Ok(out)
}

fn fact(inside: &str) -> Result<Token, String> {
    let (id, form) = match inside.split_once('|') {
        None => (inside, Form::Whole),
        Some((id, form)) => (id, Form::parse(form).ok_or_else(|| format!("`{{{inside}}}` asks for an unknown form"))?),
    };
    if id.is_empty() || id.contains(char::is_whitespace) {
        return Err(format!("`{{{inside}}}` is no reference to a fact"));
    }
    Ok(Token::Fact { id: id.to_string(), form })
}

fn bracket(inside: &str) -> Result<Token, String> {
    if let Some(label) = inside.strip_prefix('#') {
        return Ok(Token::Refer(label.to_string()));
    }
    let (textual, list) = match inside.strip_prefix('+') {
        Some(list) => (true, list),
        None => (false, inside),
    };
    let keys: Option<Vec<String>> =
        list.split([';', ',']).map(|key| key.trim().strip_prefix('@').map(str::to_string)).collect();
    match keys {
        Some(keys) if keys.iter().all(|k| !k.is_empty() && !k.contains(char::is_whitespace)) => {
            Ok(Token::Cite { keys, textual })
        }
        _ => Err(format!("`[{inside}]` is no citation")),
    }
}

/// Cuts a block's tokens into sentences.
pub(super) fn sentences(tokens: Vec<Token>) -> Vec<Vec<Token>> {
    const SHORT: [&str; 10] = ["e.g.", "i.e.", "et al.", "cf.", "vs.", "approx.", "resp.", "Dr.", "St.", "no."];
    let mut out: Vec<Vec<Token>> = vec![Vec::new()];
    let last = tokens.len();
    for (i, token) in tokens.into_iter().enumerate() {
        let Token::Text(text) = token else {
            if let Some(sentence) = out.last_mut() {
                sentence.push(token);
            }
            continue;
        };
        let mut from = 0;
        let letters: Vec<(usize, char)> = text.char_indices().collect();
        for (k, (at, c)) in letters.iter().enumerate() {
            if !matches!(c, '.' | '?' | '!') {
                continue;
            }
            let rest = &text[at + c.len_utf8()..];
            let next = rest.chars().find(|c| !c.is_whitespace());
            // At the end of a text a token follows, or nothing.
            let parted = rest.starts_with(char::is_whitespace) || (rest.is_empty() && i + 1 == last);
            let begins = next.is_none_or(|c| c.is_uppercase() || !c.is_ascii());
            if !parted || !begins || SHORT.iter().any(|s| text[..=*at].ends_with(s)) {
                continue;
            }
            let end = letters.get(k + 1).map_or(text.len(), |(at, _)| *at);
            push(&mut out, &text[from..end]);
            out.push(Vec::new());
            from = end;
        }
        push(&mut out, &text[from..]);
    }
    out.retain(|s| s.iter().any(|t| !matches!(t, Token::Text(text) if text.trim().is_empty())));
    out
}

fn push(out: &mut [Vec<Token>], text: &str) {
    if let Some(sentence) = out.last_mut().filter(|_| !text.is_empty()) {
        sentence.push(Token::Text(text.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_tokens() {
        let source = "One\ntwo.\n\n## Head\n- a\n- b\n!fig:x\nEnd";
        let expected = [
            Block::Paragraph("One two.".into()),
            Block::Heading("Head".into()),
            Block::Items(vec!["a".into(), "b".into()]),
            Block::Float("fig:x".into()),
            Block::Paragraph("End".into()),
        ];
        assert_eq!(blocks(source), expected);
        let got = tokens("x {a.b|interval} [@k; @l] [+@m] [#fig:x] `c`").unwrap();
        let count = got.iter().filter(|t| !matches!(t, Token::Text(_))).count();
        assert_eq!(count, 5, "{got:?}");
        for bad in ["{a", "a}", "{a b}", "{a|wide}", "[@", "`x", "[@a b]"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sentences_end_where_they_do() {
        let count = |text: &str| sentences(tokens(text).unwrap()).len();
        assert_eq!(count("One thing, e.g. this. Another? {a.b} ends it."), 3);
        assert_eq!(count("It is {a}. It was {b}."), 2);
        assert_eq!(count("As et al. say so"), 1);
    }
}
