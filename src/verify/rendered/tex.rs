//! TeX as passages: the commands that the papers of this program use.

use super::{Builder, Passage, Token};

/// The passages of a TeX file's title and document.
pub fn tex(file: &str) -> Vec<Passage> {
    let body = file.find("\\begin{document}").map_or(file, |at| &file[at..]);
    let mut out = Builder { place: "abstract".to_string(), ..Builder::default() };
    if let Some(at) = file.find("\\title{") {
        let (title, _) = group(&file[at + "\\title".len()..]);
        read(&mut out, title);
        out.open.place = "title".to_string();
        out.close();
    }
    for name in ["\n\\author", "\n\\date"] {
        if let Some(at) = file.find(&format!("{name}{{")) {
            let (text, _) = group(&file[at + name.len()..]);
            read(&mut out, text);
            (out.open.place, out.open.byline) = ("byline".to_string(), true);
            out.close();
        }
    }
    read(&mut out, body);
    out.close();
    out.passages
}

fn read(out: &mut Builder, mut rest: &str) {
    /// Commands whose argument is not text.
    const DROPPED: [&str; 14] = [
        "input",
        "label",
        "nameof",
        "ref",
        "bibliographystyle",
        "bibliography",
        "begin",
        "end",
        "hypersetup",
        "includegraphics",
        "vspace",
        "hspace",
        "fontsize",
        "pageref",
    ];
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = after;
        match c {
            '%' => rest = after.find('\n').map_or("", |at| &after[at..]),
            '{' | '}' | '$' => {}
            '~' => out.text("\u{a0}"),
            '&' => out.close(),
            '\n' if after.starts_with('\n') => out.close(),
            '\\' => {
                let length = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
                let name = &after[..length];
                rest = &after[length..];
                match name {
                    "" => {
                        let mut letters = after.chars();
                        match letters.next() {
                            Some('\\') => out.close(),
                            Some(c @ ('%' | '&' | '#' | '_' | '$' | '{' | '}')) => out.text(&c.to_string()),
                            Some(' ' | ',' | ';') => out.text(" "),
                            _ => {}
                        }
                        rest = letters.as_str();
                    }
                    "fact" => {
                        let (id, more) = group(rest);
                        let (text, more) = group(more);
                        out.open.tokens.push(Token::Fact { id: id.to_string(), text: plain(text) });
                        rest = more;
                    }
                    "citep" | "citet" => {
                        let (keys, more) = group(rest);
                        let keys = keys.split(',').map(|key| key.trim().to_string()).collect();
                        out.open.tokens.push(Token::Cite { keys, text: String::new() });
                        rest = more;
                    }
                    "texttt" => {
                        let (text, more) = group(rest);
                        out.open.tokens.push(Token::Code(plain(text)));
                        rest = more;
                    }
                    "section" => {
                        out.close();
                        let (title, _) = group(rest);
                        out.place = plain(title).to_lowercase();
                        out.open.place = "heading".to_string();
                    }
                    "caption" | "item" | "subsection" | "midrule" | "toprule" | "bottomrule" => out.close(),
                    name if DROPPED.contains(&name) => {
                        out.close_for(name);
                        if rest.starts_with('[') {
                            rest = rest.find(']').map_or("", |at| &rest[at + 1..]);
                        }
                        let (environment, more) = group(rest);
                        rest = more;
                        if name == "begin" {
                            if rest.starts_with('[') {
                                rest = rest.find(']').map_or("", |at| &rest[at + 1..]);
                            }
                            // The columns of a table.
                            if environment == "tabular" {
                                rest = group(rest).1;
                            }
                        }
                    }
                    name => out.text(&symbol(name)),
                }
            }
            c => out.text(&c.to_string()),
        }
    }
}

impl Builder {
    /// Environments begin and end passages; references and citations stand within them.
    fn close_for(&mut self, command: &str) {
        if matches!(command, "begin" | "end") {
            self.close();
        }
    }
}

/// The text of a balanced `{...}` at the beginning, and what follows it.
fn group(text: &str) -> (&str, &str) {
    if !text.starts_with('{') {
        return ("", text);
    }
    let (mut depth, mut escaped) = (0usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '{' if !escaped => depth += 1,
            '}' if !escaped => depth -= 1,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        if depth == 0 {
            return (&text[1..at], &text[at + 1..]);
        }
    }
    (&text[1..], "")
}

/// TeX of one line as text.
fn plain(tex: &str) -> String {
    let mut out = Builder::default();
    read(&mut out, tex);
    out.open.tokens.iter().map(Token::shown).collect()
}

fn symbol(name: &str) -> String {
    match name {
        "textasciicircum" => "^",
        "textasciitilde" => "~",
        "textbackslash" => "\\",
        "textless" => "<",
        "textgreater" => ">",
        "textbar" => "|",
        "textbraceleft" => "{",
        "textbraceright" => "}",
        "textquotedblleft" => "\u{201c}",
        "textquotedblright" => "\u{201d}",
        "textquoteright" => "\u{2019}",
        "textquoteleft" => "\u{2018}",
        "textendash" => "\u{2013}",
        "textminus" => "\u{2212}",
        "times" => "\u{d7}",
        _ => "",
    }
    .to_string()
}
