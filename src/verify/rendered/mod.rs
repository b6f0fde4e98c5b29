//! HTML and TeX as passages of words, marked numbers and the places where they stand.
//!
//! Both mark every number with an id: `<data class=fact value="id">` and `\fact{id}{text}`. What is drawn in figures is not
//! text and is left out.

mod html;
mod tex;

pub(super) use html::html;
pub(super) use tex::tex;

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

#[cfg(test)]
mod tests;
