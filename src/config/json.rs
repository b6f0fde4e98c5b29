//! JSON with line numbers: a small recursive-descent reader, because `serde_json` keeps no places.
//!
//! Boundary: RFC 8259 into [`Node`]; numbers and string escapes are left to `serde_json` and `str::parse`.

use super::document::{Lines, Node, Place, Tree, finite, too_large};
use crate::problem::{Problem, Result};

/// Deepest nesting accepted; configs need five, and the reader's stack must not depend on its input.
const DEPTH: usize = 80;

/// Reads a whole document. Entries that are `null` are left out: JSON's way of saying nothing.
pub(super) fn parse(text: &str, lines: &Lines) -> Result<Node> {
    let mut reader = Reader { text, at: 0, lines };
    let tree = reader.value(0)?.unwrap_or(Tree::Table(Vec::new()));
    reader.space();
    if reader.at < text.len() {
        return Err(reader.wrong("the end of the file"));
    }
    let place = lines.place(0);
    let file = place.rsplit_once(':').map_or(&*place, |(name, _)| name);
    Ok(Node { place: file.into(), tree })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    lines: &'a Lines<'a>,
}

impl Reader<'_> {
    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn place(&self) -> Place {
        self.lines.place(self.at)
    }

    fn wrong(&self, expected: &str) -> Problem {
        let found = match self.text[self.at..].chars().next() {
            Some(c) => format!("found {c:?}"),
            None => "the file ends".to_string(),
        };
        Problem::usage(format!("not valid JSON: {found} where {expected} should be"))
            .at(&*self.place())
            .remedy("correct this line: JSON has no comments and no comma before a closing bracket")
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        self.space();
        if self.peek() != Some(byte) {
            return Err(self.wrong(&format!("{:?}", byte as char)));
        }
        self.at += 1;
        Ok(())
    }

    /// `None` is JSON's null.
    fn value(&mut self, depth: usize) -> Result<Option<Tree>> {
        self.space();
        if depth > DEPTH {
            return Err(Problem::usage(format!("nested more than {DEPTH} deep")).at(&*self.place()));
        }
        Ok(Some(match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Tree::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => {
                let rest = &self.text[self.at..];
                let words = [("true", Some(Tree::Flag(true))), ("false", Some(Tree::Flag(false))), ("null", None)];
                let Some((word, tree)) = words.into_iter().find(|(w, _)| rest.starts_with(w)) else {
                    return Err(self.wrong("a value"));
                };
                self.at += word.len();
                return Ok(tree);
            }
        }))
    }

    fn object(&mut self, depth: usize) -> Result<Tree> {
        self.at += 1;
        let mut entries: Vec<(String, Node)> = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Tree::Table(entries));
        }
        loop {
            self.space();
            let place = self.place();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key in double quotes"));
            }
            let key = self.string()?;
            if entries.iter().any(|(k, _)| *k == key) {
                return Err(Problem::usage(format!("the key {key:?} stands here a second time"))
                    .at(&*place)
                    .remedy("remove one of the two"));
            }
            self.expect(b':')?;
            if let Some(tree) = self.value(depth + 1)? {
                entries.push((key, Node { place, tree }));
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break self.at += 1,
                _ => return Err(self.wrong("',' or '}'")),
            }
        }
        Ok(Tree::Table(entries))
    }

    fn array(&mut self, depth: usize) -> Result<Tree> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Tree::List(items));
        }
        loop {
            self.space();
            let place = self.place();
            match self.value(depth + 1)? {
                Some(tree) => items.push(Node { place, tree }),
                None => return Err(Problem::usage("null in a list means nothing").at(&*place).remedy("remove it")),
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break self.at += 1,
                _ => return Err(self.wrong("',' or ']'")),
            }
        }
        Ok(Tree::List(items))
    }

    fn string(&mut self) -> Result<String> {
        let start = self.at;
        let mut escaped = false;
        let end = self.text.as_bytes()[start + 1..].iter().position(|&b| {
            let closes = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            closes
        });
        let token = end.map(|e| &self.text[start..start + e + 2]);
        let parsed = token.and_then(|t| serde_json::from_str::<String>(t).ok().map(|s| (s, t.len())));
        let Some((string, length)) = parsed else {
            return Err(Problem::usage("not valid JSON: this text does not end, or holds a bad escape")
                .at(&*self.place())
                .remedy("close the quotes on the same line"));
        };
        self.at += length;
        Ok(string)
    }

    fn number(&mut self) -> Result<Tree> {
        let place = self.place();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let token = &rest[..end];
        if serde_json::from_str::<f64>(token).is_err() && !token.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            return Err(self.wrong("a number"));
        }
        self.at += end;
        let tree = if token.contains(['.', 'e', 'E']) {
            Tree::Real(finite(token).map_err(|p| p.at(&*place))?)
        } else {
            Tree::Whole(token.parse().map_err(|_| too_large(token).at(&*place))?)
        };
        Ok(tree)
    }
}
