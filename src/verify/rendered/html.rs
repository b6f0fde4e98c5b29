//! HTML as passages: what the papers of this program are made of, and no more.

use super::{Builder, Passage, Token};

/// The passages of an HTML page.
pub fn html(page: &str) -> Vec<Passage> {
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
