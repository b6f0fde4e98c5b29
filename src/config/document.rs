//! A config as written: a tree of values in which every key remembers the place it came from.
//!
//! Boundary: knows TOML, JSON and line numbers; nothing of experiments. Numbers that a config can never mean (not
//! finite, beyond 64 bits) and dates are refused here, so that the rest need not think of them.

use super::json;
use crate::problem::{Problem, Result};
use serde_json::{Map, Value};
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// Where something was written: `digits.toml:7`, or `command line: training.seed=3`.
pub(super) type Place = Arc<str>;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The line of its key (of the value itself, in a list).
    pub place: Place,
    /// The value.
    pub tree: Tree,
}

/// What TOML and JSON have in common.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Flag(bool),
    Whole(i64),
    Real(f64),
    Text(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

/// Turns byte offsets into `file:line`.
pub(super) struct Lines<'a> {
    name: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(name: &'a str, text: &str) -> Self {
        let starts =
            std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1));
        Lines { name, starts: starts.collect() }
    }

    pub fn place(&self, offset: usize) -> Place {
        format!("{}:{}", self.name, self.starts.partition_point(|&s| s <= offset).max(1)).into()
    }
}

impl Node {
    pub fn new(place: &Place, tree: Tree) -> Self {
        Node { place: place.clone(), tree }
    }

    pub fn empty_table(place: &Place) -> Self {
        Node::new(place, Tree::Table(Vec::new()))
    }

    /// Reads a document: JSON where it starts with `{`, as no TOML document does; else TOML.
    pub fn parse(text: &str, name: &str) -> Result<Node> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = Lines::new(name, text);
        if text.trim_start().starts_with('{') {
            return json::parse(text, &lines);
        }
        let table = DeTable::parse(text).map_err(|e| syntax(&e, text, &lines))?;
        Ok(Node { place: name.into(), tree: from_table(table.into_inner(), &lines)? })
    }

    /// Reads one TOML value, such as an override's right side. `None`: it is not one.
    pub fn parse_value(text: &str, place: &Place) -> Option<Result<Node>> {
        let value = DeValue::parse(text).ok()?;
        if matches!(value.get_ref(), DeValue::Datetime(_)) {
            return None;
        }
        Some(from_value(value.into_inner(), &|_| place.clone()).map(|tree| Node::new(place, tree)))
    }

    /// The same value with one place everywhere; nulls are left out, as absent keys are. `None`: not representable.
    pub fn from_json(value: &Value, place: &Place) -> Option<Node> {
        let tree = match value {
            Value::Null => return None,
            Value::Bool(b) => Tree::Flag(*b),
            Value::Number(n) if n.is_f64() => Tree::Real(n.as_f64()?),
            Value::Number(n) => Tree::Whole(n.as_i64()?),
            Value::String(s) => Tree::Text(s.clone()),
            Value::Array(items) => {
                Tree::List(items.iter().map(|v| Node::from_json(v, place)).collect::<Option<Vec<_>>>()?)
            }
            Value::Object(entries) => {
                let present = entries.iter().filter(|(_, v)| !v.is_null());
                let nodes = present.map(|(k, v)| Node::from_json(v, place).map(|n| (k.clone(), n)));
                Tree::Table(nodes.collect::<Option<Vec<_>>>()?)
            }
        };
        Some(Node::new(place, tree))
    }

    pub fn to_json(&self) -> Value {
        match &self.tree {
            Tree::Flag(b) => Value::Bool(*b),
            Tree::Whole(i) => Value::from(*i),
            Tree::Real(x) => Value::from(*x),
            Tree::Text(s) => Value::String(s.clone()),
            Tree::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Tree::Table(entries) => {
                Value::Object(entries.iter().map(|(k, n)| (k.clone(), n.to_json())).collect::<Map<_, _>>())
            }
        }
    }

    pub fn table(&self) -> Option<&[(String, Node)]> {
        match &self.tree {
            Tree::Table(entries) => Some(entries),
            _ => None,
        }
    }

    pub fn table_mut(&mut self) -> Option<&mut Vec<(String, Node)>> {
        match &mut self.tree {
            Tree::Table(entries) => Some(entries),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match &self.tree {
            Tree::Text(s) => Some(s),
            _ => None,
        }
    }

    /// The entry of a table.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.table()?.iter().find(|(k, _)| k == key).map(|(_, n)| n)
    }

    /// The entry of a table, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.table_mut()?.iter_mut().find(|(k, _)| k == key).map(|(_, n)| n)
    }

    /// Takes an entry out of a table.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let entries = self.table_mut()?;
        let index = entries.iter().position(|(k, _)| k == key)?;
        Some(entries.remove(index).1)
    }

    /// Adds or replaces an entry of a table; does nothing to other values.
    pub fn insert(&mut self, key: &str, node: Node) {
        if let Some(entries) = self.table_mut() {
            match entries.iter_mut().find(|(k, _)| k == key) {
                Some((_, old)) => *old = node,
                None => entries.push((key.to_string(), node)),
            }
        }
    }

    /// The place of a path, or of the innermost part of it that was written.
    pub fn place_of(&self, path: &[String]) -> Place {
        let Some((first, rest)) = path.split_first() else { return self.place.clone() };
        let child = match &self.tree {
            Tree::Table(_) => self.get(first),
            Tree::List(items) => first.parse::<usize>().ok().and_then(|i| items.get(i)),
            _ => None,
        };
        child.map_or_else(|| self.place.clone(), |c| c.place_of(rest))
    }

    /// The value as a person would write it in TOML, shortened where it is long.
    pub fn show(&self) -> String {
        let mut text = self.show_all();
        if text.chars().count() > 60 {
            text = text.chars().take(57).collect::<String>() + "...";
        }
        text
    }

    fn show_all(&self) -> String {
        match &self.tree {
            Tree::Flag(b) => b.to_string(),
            Tree::Whole(i) => i.to_string(),
            Tree::Real(x) => format!("{x:?}"),
            Tree::Text(s) => format!("{s:?}"),
            Tree::List(items) => format!("[{}]", items.iter().map(Node::show_all).collect::<Vec<_>>().join(", ")),
            Tree::Table(entries) if entries.is_empty() => "{}".to_string(),
            Tree::Table(entries) => {
                let inner = entries.iter().map(|(k, n)| format!("{} = {}", quoted(k), n.show_all()));
                format!("{{ {} }}", inner.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// What kind of value it is, with its article.
    pub fn kind(&self) -> &'static str {
        match self.tree {
            Tree::Flag(_) => "true or false",
            Tree::Whole(_) => "a whole number",
            Tree::Real(_) => "a number",
            Tree::Text(_) => "text",
            Tree::List(_) => "a list",
            Tree::Table(_) => "a table",
        }
    }
}

/// A path as written in TOML: keys that hold a dot or a space in quotes.
pub(super) fn path_text(path: &[String]) -> String {
    path.iter().map(|k| quoted(k)).collect::<Vec<_>>().join(".")
}

fn quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { key.to_string() } else { format!("{key:?}") }
}

/// A path's keys: split at dots outside quotes.
pub(super) fn split_path(text: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut quote = None;
    for c in text.trim().chars() {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '.' => keys.push(String::new()),
            _ => keys.last_mut().expect("there is always a last key").push(c),
        }
    }
    keys.iter().map(|k| k.trim().to_string()).collect()
}

fn syntax(error: &toml::de::Error, text: &str, lines: &Lines) -> Problem {
    let offset = error.span().map(|s| s.start);
    let place = offset.map_or_else(|| lines.name.into(), |o| lines.place(o));
    // By far the commonest slip: text without quotes, of which the parser says that it is no number.
    let before = offset.and_then(|o| text.get(..o)).and_then(|t| t.lines().count().checked_sub(1));
    let line = before.and_then(|n| text.lines().nth(n)).unwrap_or_default();
    if let Some((key, value)) = line.split_once('=') {
        let (key, value) = (key.trim(), value.split('#').next().unwrap_or_default().trim());
        let word = value.chars().next().is_some_and(char::is_alphabetic) && !value.contains(['"', '\'', '=', '[', '{']);
        if word && !["true", "false", "inf", "nan"].contains(&value) {
            return Problem::usage(format!("not valid TOML: {value} is neither a number nor text in quotes"))
                .at(&*place)
                .remedy(format!("write {key} = \"{value}\""));
        }
    }
    let what = format!("not valid TOML: {}", error.message().lines().collect::<Vec<_>>().join(", "));
    Problem::usage(what)
        .at(&*place)
        .remedy("correct this line: text needs quotes, lists commas, and every key stands once")
}

fn from_table(table: DeTable, lines: &Lines) -> Result<Tree> {
    from_value(DeValue::Table(table), &|offset| lines.place(offset))
}

/// `place` gives the place of a byte offset.
fn from_value(value: DeValue, place: &dyn Fn(usize) -> Place) -> Result<Tree> {
    Ok(match value {
        DeValue::String(s) => Tree::Text(s.into_owned()),
        DeValue::Boolean(b) => Tree::Flag(b),
        DeValue::Integer(i) => {
            let parsed = i64::from_str_radix(i.as_str(), i.radix());
            Tree::Whole(parsed.map_err(|_| too_large(&i.to_string()))?)
        }
        DeValue::Float(f) => Tree::Real(finite(f.as_str())?),
        DeValue::Datetime(d) => {
            return Err(Problem::usage(format!("{d} is a date, and no setting is one")).remedy("put text in quotes"));
        }
        DeValue::Array(items) => {
            let nodes = items.into_iter().map(|item| {
                let at = place(item.span().start);
                let tree = from_value(item.into_inner(), place).map_err(|p| or_at(p, &at))?;
                Ok(Node { place: at, tree })
            });
            Tree::List(nodes.collect::<Result<_>>()?)
        }
        DeValue::Table(table) => {
            let mut entries = table.into_iter().collect::<Vec<_>>();
            entries.sort_by_key(|(key, _)| key.span().start);
            let nodes = entries.into_iter().map(|(key, value)| {
                let at = place(key.span().start);
                let named = |p: Problem| match p.place {
                    Some(_) => p,
                    None => Problem { what: format!("{} = {}", key.get_ref(), p.what), ..p }.at(&*at),
                };
                let tree = from_value(value.into_inner(), place).map_err(named)?;
                Ok((key.into_inner().into_owned(), Node { place: at, tree }))
            });
            Tree::Table(nodes.collect::<Result<_>>()?)
        }
    })
}

fn or_at(problem: Problem, place: &Place) -> Problem {
    if problem.place.is_some() { problem } else { problem.at(&**place) }
}

/// A whole number that TOML cannot hold either.
pub(super) fn too_large(token: &str) -> Problem {
    Problem::usage(format!("{token} is too large"))
        .remedy("whole numbers go from -9223372036854775808 to 9223372036854775807")
}

/// A number that is one.
pub(super) fn finite(text: &str) -> Result<f64> {
    let value: f64 = text.replace('_', "").parse().map_err(|_| Problem::usage(format!("{text} is not a number")))?;
    if value.is_finite() {
        return Ok(value);
    }
    Err(Problem::usage(format!("{text} is not a finite number")).remedy("give a finite number"))
}
