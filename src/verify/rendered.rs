//! HTML and TeX as passages of words, marked numbers and the places where they stand.
//!
//! Both mark every number with an id: `<data class=fact value="id">` and `\fact{id}{text}`. What is drawn in figures is not
//! text and is left out.

/// A piece of a passage.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Words, spaces included.
    Text(String),
    /// A marked number or word.
    Fact {
        /// Its id.
        id: String,
        /// What is shown.
        text: String,
    },
    /// A name in a fixed-width font.
    Code(String),
    /// A citation.
    Cite {
        /// Keys, as far as the form has them.
        keys: Vec<String>,
        /// As it is shown; empty where TeX makes it.
        text: String,
    },
    /// `Figure 2` in the text, with the label that it leads to.
    Refer {
        /// The label; empty where the thing itself is named.
        label: String,
        /// What is shown.
        text: String,
    },
}

/// A paragraph, heading, item, caption or cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Passage {
    /// Where it stands: a section's heading, or what it is.
    pub place: String,
    /// In order.
    pub tokens: Vec<Token>,
    /// Key of the reference that it is.
    pub reference: Option<String>,
    /// The line below the title.
    pub byline: bool,
    /// Where a reference leads.
    pub links: Vec<String>,
}

impl Token {
    pub fn shown(&self) -> &str {
        match self {
            Token::Text(text)
            | Token::Fact { text, .. }
            | Token::Code(text)
            | Token::Cite { text, .. }
            | Token::Refer { text, .. } => text,
        }
    }
}

impl Passage {
    /// All of it as text.
    pub fn text(&self) -> String {
        self.tokens.iter().map(Token::shown).collect()
    }

    /// The sentence in which token `index` stands.
    pub fn sentence(&self, index: usize) -> String {
        let ends = |text: &str| text.rfind(". ").map(|at| at + 2);
        let mut before = String::new();
        for token in self.tokens[..index].iter().rev() {
            let cut = if matches!(token, Token::Text(_)) { ends(token.shown()) } else { None };
            before.insert_str(0, &token.shown()[cut.unwrap_or(0)..]);
            if cut.is_some() {
                break;
            }
        }
        let mut after = String::new();
        for token in self.tokens.iter().skip(index + 1) {
            let text = token.shown();
            let cut = if matches!(token, Token::Text(_)) { text.find(". ").map(|at| at + 1) } else { None };
            after.push_str(&text[..cut.unwrap_or(text.len())]);
            if cut.is_some() {
                break;
            }
        }
        let own = self.tokens.get(index).map_or("", Token::shown);
        format!("{before}{own}{after}").split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Collects tokens into passages.
#[derive(Default)]
struct Builder {
    passages: Vec<Passage>,
    open: Passage,
    place: String,
}

impl Builder {
    fn text(&mut self, text: &str) {
        match self.open.tokens.last_mut() {
            Some(Token::Text(own)) => own.push_str(text),
            _ if text.is_empty() => {}
            _ => self.open.tokens.push(Token::Text(text.to_string())),
        }
    }

    fn close(&mut self) {
        let passage = std::mem::take(&mut self.open);
        if passage.tokens.iter().any(|t| !t.shown().trim().is_empty()) {
            let place = if passage.place.is_empty() { self.place.clone() } else { passage.place.clone() };
            self.passages.push(Passage { place, ..passage });
        }
    }
}

/// The passages of an HTML page.
pub(super) fn html(page: &str) -> Vec<Passage> {
    const BLOCKS: [&str; 15] = [
        "p",
        "h1",
        "h2",
        "h3",
        "li",
        "td",
        "th",
        "figcaption",
        "tr",
        "div",
        "section",
        "figure",
        "br",
        "ul",
        "article",
    ];
    let mut out = Builder { place: "title".to_string(), ..Builder::default() };
    let mut rest = page;
    // What is being collected apart: the tag that ends it, and what it becomes.
    let mut apart: Option<(&str, Token)> = None;
    let mut caption = false;
    while let Some(at) = rest.find('<') {
        let text = unescape(&rest[..at]);
        match &mut apart {
            Some((_, token)) => token.push(&text),
            None => out.text(&text),
        }
        let Some(end) = rest[at..].find('>') else { break };
        let tag = &rest[at + 1..at + end];
        rest = &rest[at + end + 1..];
        let closing = tag.starts_with('/');
        let name =
            tag.trim_start_matches('/').split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        if ["style", "script", "svg", "title"].contains(&name) && !closing {
            let close = format!("</{name}>");
            rest = rest.find(&close).map_or("", |at| &rest[at + close.len()..]);
            continue;
        }
        if name == "sup" && !closing {
            if let Some((_, token)) = &mut apart {
                token.push("^");
            }
            continue;
        }
        if let Some((ends, _)) = &apart {
            if closing
                && *ends == name
                && let Some((_, token)) = apart.take()
            {
                out.open.tokens.push(token);
            }
            continue;
        }
        match (name, closing) {
            ("data", false) => {
                let id = attribute(tag, "value").unwrap_or_default();
                apart = Some(("data", Token::Fact { id, text: String::new() }));
            }
            ("code", false) => apart = Some(("code", Token::Code(String::new()))),
            ("a", false) => {
                let (href, text) = (attribute(tag, "href").unwrap_or_default(), String::new());
                if tag.contains("class=cite") {
                    let keys = vec![href.strip_prefix("#ref-").unwrap_or_default().to_string()];
                    apart = Some(("a", Token::Cite { keys, text }));
                } else if let Some(label) = href.strip_prefix('#') {
                    apart = Some(("a", Token::Refer { label: label.to_string(), text }));
                } else {
                    out.open.links.push(href);
                }
            }
            ("span", false) if tag.contains("no") => {
                apart = Some(("span", Token::Refer { label: String::new(), text: String::new() }));
            }
            ("b", false) if caption && out.open.tokens.is_empty() => {
                apart = Some(("b", Token::Refer { label: String::new(), text: String::new() }));
            }
            (name, _) if BLOCKS.contains(&name) => {
                if closing && matches!(name, "h1" | "h2") && out.open.reference.is_none() {
                    let heading: String = out
                        .open
                        .tokens
                        .iter()
                        .filter(|t| !matches!(t, Token::Refer { .. }))
                        .map(Token::shown)
                        .collect();
                    if name == "h2" {
                        out.place = heading.trim().to_lowercase();
                        out.open.place = "heading".to_string();
                    }
                }
                let by = tag.contains("class=by") || (name == "br" && out.open.byline);
                out.close();
                caption = name == "figcaption" && !closing;
                out.open.byline = by && !closing;
                if name == "li" && !closing {
                    out.open.reference =
                        attribute(tag, "id").and_then(|id| id.strip_prefix("ref-").map(str::to_string));
                }
            }
            _ => {}
        }
    }
    out.close();
    out.passages
}

impl Token {
    fn push(&mut self, more: &str) {
        match self {
            Token::Text(text)
            | Token::Fact { text, .. }
            | Token::Code(text)
            | Token::Cite { text, .. }
            | Token::Refer { text, .. } => {
                text.push_str(more);
            }
        }
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let at = tag.find(&format!("{name}="))? + name.len() + 1;
    let value = &tag[at..];
    let value = match value.strip_prefix('"') {
        Some(quoted) => &quoted[..quoted.find('"')?],
        None => value.split(|c: char| c.is_whitespace() || c == '/').next()?,
    };
    Some(unescape(value))
}

fn unescape(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", "\u{a0}"), ("&amp;", "&")]
        .iter()
        .fold(text.to_string(), |text, (from, to)| text.replace(from, to))
}

/// The passages of a TeX file's title and document.
pub(super) fn tex(file: &str) -> Vec<Passage> {
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

#[cfg(test)]
#[path = "rendered_tests.rs"]
mod tests;
