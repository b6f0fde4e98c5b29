//! A `.bib` file, read entry by entry.
//!
//! Real bibliographies are broken in places. What is broken is listed with its line, and reading goes on at the next line
//! that begins with `@`, so that one missing brace costs one entry and not the file. (That, and lines in messages, is why
//! no reader from elsewhere is used: those that were looked at give the whole file up at the first fault.)

use super::latex::decode;
use super::names;
use super::record::{Record, Source, make_keys_unique};
use std::collections::BTreeMap;

/// Faults after which a file is given up.
const FAULTS: usize = 500;

/// A bibliography, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bibliography {
    /// Its entries, in order; keys differ.
    pub records: Vec<Record>,
    /// What could not be read.
    pub faults: Vec<Fault>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// Reads a `.bib` file's text. Takes any text whatever.
pub fn read_bib(text: &str) -> Bibliography {
    let mut reader = Reader { text, at: 0, strings: months(), entries: Vec::new(), faults: Vec::new() };
    reader.all();
    let mut records: Vec<Record> = reader.entries.iter().map(record).collect();
    let mut faults = reader.faults;
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &reader.entries {
        if let Some(first) = seen.get(entry.key.as_str()) {
            let what = format!("the key `{}` is used a second time (first in line {first})", shown(&entry.key));
            faults.push(Fault { line: entry.line, what });
        } else {
            seen.insert(&entry.key, entry.line);
        }
    }
    faults.sort_by_key(|f| f.line);
    make_keys_unique(&mut records);
    Bibliography { records, faults }
}

#[derive(Debug)]
struct Entry {
    key: String,
    line: usize,
    /// LaTeX, by lower-case name.
    fields: BTreeMap<String, String>,
}

fn record(entry: &Entry) -> Record {
    let field = |names: &[&str]| names.iter().find_map(|name| entry.fields.get(*name)).map(String::as_str);
    let text = |names: &[&str]| field(names).map(decode);
    let (authors, more) = names::from_bibtex(field(&["author", "editor"]).unwrap_or_default());
    let year = field(&["year", "date"]).map(decode).and_then(|year| {
        let digits: String = year.trim().chars().take_while(char::is_ascii_digit).collect();
        (digits.len() == 4).then(|| digits.parse().ok()).flatten()
    });
    // An entry of a preprint has its number where others have an address.
    let arxiv = field(&["eprint"])
        .filter(|_| field(&["archiveprefix", "eprinttype"]).is_some_and(|kind| kind.eq_ignore_ascii_case("arxiv")))
        .map(|number| format!("https://arxiv.org/abs/{number}"));
    let venue = text(&["journal", "journaltitle", "booktitle", "publisher", "school", "institution", "howpublished"]);
    let title = text(&["title"]).unwrap_or_default();
    Record::new(&entry.key, &title, Source::Bib { line: entry.line })
        .with_authors(authors, more)
        .with_year(year)
        .with_venue(venue.as_deref())
        .with_doi(text(&["doi"]).as_deref())
        .with_url(field(&["url"]).map(str::to_string).or(arxiv).as_deref())
        .with_summary(text(&["abstract"]).as_deref())
}

/// The months by their English names; BibTeX knows each by its first three letters.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn months() -> BTreeMap<String, String> {
    MONTHS.iter().map(|name| (name[..3].to_lowercase(), (*name).to_string())).collect()
}

struct Reader<'t> {
    text: &'t str,
    /// Byte at which reading goes on; always at a character's beginning.
    at: usize,
    strings: BTreeMap<String, String>,
    entries: Vec<Entry>,
    faults: Vec<Fault>,
}

/// What is wrong, and at which byte.
type Read<T> = Result<T, (usize, String)>;

impl<'t> Reader<'t> {
    fn all(&mut self) {
        let mut line = (0, 1);
        while let Some(sign) = self.text[self.at..].find('@').map(|offset| self.at + offset) {
            self.at = sign + 1;
            line = (sign, line.1 + newlines(&self.text[line.0..sign]));
            // An address in a comment is no entry.
            let before = self.text[..sign].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '.') {
                continue;
            }
            if let Err((at, what)) = self.item(line.1) {
                let at = at.min(self.text.len());
                let fault_line = if at >= sign { line.1 + newlines(&self.text[sign..at]) } else { line.1 };
                self.faults.push(Fault { line: fault_line, what });
                if self.faults.len() == FAULTS {
                    let what = "so many faults are no bibliography: the rest is not read".to_string();
                    return self.faults.push(Fault { line: fault_line, what });
                }
                self.at = self.next_start(sign + 1);
            }
        }
    }

    /// The next line that begins with `@`, or the end.
    fn next_start(&self, from: usize) -> usize {
        let mut at = from;
        while let Some(offset) = self.text[at..].find('\n') {
            at += offset + 1;
            if self.text[at..].trim_start_matches([' ', '\t']).starts_with('@') {
                return at;
            }
        }
        self.text.len()
    }

    /// What follows an `@` in line `line`.
    fn item(&mut self, line: usize) -> Read<()> {
        let start = self.at;
        let kind = self.name().to_lowercase();
        if kind.is_empty() {
            return Ok(());
        }
        self.space();
        if kind == "comment" {
            // Its braces are skipped where it has some; the rest of a line is a comment anyway.
            if self.peek() == Some('{') {
                self.at += 1;
                self.balanced('}')?;
            }
            return Ok(());
        }
        let close = match self.peek() {
            Some('{') => '}',
            Some('(') => ')',
            // Words with an `@` in front of them, in a comment.
            _ if !KINDS.contains(&kind.as_str()) => return Ok(()),
            _ => return Err((self.at, format!("`@{}` is not followed by an opening brace", shown(&kind)))),
        };
        self.at += 1;
        match kind.as_str() {
            "preamble" => self.balanced(close).map(drop),
            "string" => {
                let (name, value) = self.field()?;
                self.space();
                self.expect(close, start)?;
                self.strings.insert(name, value);
                Ok(())
            }
            _ => self.entry(line, close, start),
        }
    }

    fn entry(&mut self, line: usize, close: char, start: usize) -> Read<()> {
        self.space();
        let from = self.at;
        let stop = |c: char| c == ',' || c == close || matches!(c, '{' | '}' | '"' | '=' | '\n');
        let length = self.text[from..].find(stop).unwrap_or(self.text.len() - from);
        let key = self.text[from..from + length].trim().to_string();
        self.at = from + length;
        if key.is_empty() {
            return Err((from, "this entry has no key".to_string()));
        }
        let mut fields = BTreeMap::new();
        loop {
            self.space();
            match self.peek() {
                Some(',') => self.at += 1,
                Some(c) if c == close => {
                    self.at += 1;
                    break;
                }
                Some(c) if is_name(c) => {
                    let (name, value) = self.field()?;
                    fields.entry(name).or_insert(value);
                }
                Some(c) => {
                    return Err((
                        self.at,
                        format!("{c:?} stands where a field or the end of the entry `{}` belongs", shown(&key)),
                    ));
                }
                None => return Err((start, format!("the entry `{}` is never closed", shown(&key)))),
            }
        }
        self.entries.push(Entry { key, line, fields });
        Ok(())
    }

    /// `name = value # value`.
    fn field(&mut self) -> Read<(String, String)> {
        self.space();
        let at = self.at;
        let name = self.name().to_lowercase();
        self.space();
        if name.is_empty() || self.peek() != Some('=') {
            return Err((at, format!("`{}` is not followed by `=`", shown(&name))));
        }
        self.at += 1;
        let mut value = String::new();
        loop {
            self.space();
            value += &self.value(&name)?;
            self.space();
            if self.peek() != Some('#') {
                return Ok((name, value));
            }
            self.at += 1;
        }
    }

    fn value(&mut self, name: &str) -> Read<String> {
        let start = self.at;
        match self.peek() {
            Some('{') => {
                self.at += 1;
                self.balanced('}').map(str::to_string)
            }
            Some('"') => {
                self.at += 1;
                self.balanced('"').map(str::to_string)
            }
            Some(c) if is_name(c) => {
                let word = self.name();
                if word.chars().all(|c| c.is_ascii_digit()) {
                    return Ok(word.to_string());
                }
                self.strings.get(&word.to_lowercase()).cloned().ok_or_else(|| {
                    (start, format!("`{}` in the field `{}` is no @string of this file", shown(word), shown(name)))
                })
            }
            _ => Err((start, format!("the field `{}` has no value", shown(name)))),
        }
    }

    /// Text up to `close` outside of braces, which is passed over.
    fn balanced(&mut self, close: char) -> Read<&'t str> {
        let from = self.at;
        let mut depth = 0usize;
        for (offset, c) in self.text[from..].char_indices() {
            match c {
                c if c == close && depth == 0 => {
                    self.at = from + offset + c.len_utf8();
                    return Ok(&self.text[from..from + offset]);
                }
                '{' => depth += 1,
                '}' if depth == 0 => {
                    return Err((from + offset, "a closing brace without its opening one".to_string()));
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        Err((from, format!("`{close}` is missing: what begins here is never closed")))
    }

    fn expect(&mut self, close: char, start: usize) -> Read<()> {
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        Err((start, format!("`{close}` is missing")))
    }

    fn name(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Passes over white space and comments of whole lines (`% ...`).
    fn space(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('%') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }
}

/// Kinds that are meant as entries even where no brace follows.
const KINDS: [&str; 14] = [
    "article",
    "book",
    "booklet",
    "inbook",
    "incollection",
    "inproceedings",
    "manual",
    "mastersthesis",
    "misc",
    "online",
    "phdthesis",
    "proceedings",
    "techreport",
    "unpublished",
];

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '+' | '/' | '*' | '!' | '?' | '&' | '$')
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

/// A name for a message: short, on one line.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
#[path = "bibtex_tests.rs"]
mod tests;
