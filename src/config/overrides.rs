//! `key=value` on the command line, and every other way of setting a value by its path.
//!
//! Boundary: changes the tree only; whether the result is a config is for `check` to say, with the override as place.
//! The rules that make changing a value mean what a person means: another budget unit replaces the one there, and
//! another `kind` drops the former kind's keys that the new one does not have.

use super::document::{Node, Place, Tree, path_text, split_path};
use super::types::Type;
use crate::problem::{Problem, Result};

/// Deepest path that can be set: beyond anything the types have, so that no input decides how deep the stack grows.
const DEPTH: usize = 16;

/// One `key=value`.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub path: Vec<String>,
    pub value: Node,
}

impl Override {
    /// Reads `key=value`. The value is TOML; what is not TOML and looks like a word is text.
    pub fn parse(text: &str) -> Result<Override> {
        let place: Place = format!("command line: {text}").into();
        let wrong = |what: &str, remedy: &str| Problem::usage(what).at(&*place).remedy(remedy);
        let Some((key, value)) = text.split_once('=') else {
            return Err(wrong("not of the form key=value", "write e.g. optimizer.learning_rate=0.01"));
        };
        let path = split_path(key);
        if path.iter().any(String::is_empty) {
            return Err(wrong("the key is empty", "write e.g. optimizer.learning_rate=0.01"));
        }
        let value = value.trim();
        if value.is_empty() {
            return Err(wrong(
                "the value is empty",
                "write e.g. optimizer.learning_rate=0.01, or key='\"\"' for empty text",
            ));
        }
        let value = match Node::parse_value(value, &place) {
            Some(node) => node.map_err(|p| p.at(&*place))?,
            None if value.starts_with(['[', '{', '"', '\'']) => {
                return Err(wrong(
                    "the value is not valid TOML",
                    "quote it for the shell, e.g. 'model.widths=[64, 64]'",
                ));
            }
            None => Node::new(&place, Tree::Text(value.to_string())),
        };
        Ok(Override { path, value })
    }

    /// Overrides that choose what other keys mean come first, whatever the order on the command line.
    pub fn rank(&self) -> usize {
        match self.path.last().map_or("", String::as_str) {
            "baseline_file" => 0,
            "preset" => 1,
            "kind" | "type" => 2,
            _ => 3,
        }
    }

    /// Sets the value in a document of the given type.
    pub fn apply(&self, document: &mut Node, ty: &Type) -> Result<()> {
        if self.path.len() > DEPTH {
            let what = format!("a path of {} keys leads nowhere", self.path.len());
            return Err(Problem::usage(what).at(&*self.value.place).remedy("write e.g. optimizer.learning_rate=0.01"));
        }
        set(document, Some(ty), &self.path, 0, self.value.clone())
    }
}

/// Sets `path[depth..]` below `node`, making tables on the way.
fn set(node: &mut Node, ty: Option<&Type>, path: &[String], depth: usize, value: Node) -> Result<()> {
    let rest = &path[depth..];
    if rest.is_empty() {
        *node = value;
        return Ok(());
    }
    let tag = ty.and_then(Type::tag).map(str::to_string);
    let variant = tag.as_ref().and_then(|t| Some(node.get(t)?.text()?.to_string()));
    match &mut node.tree {
        Tree::List(items) => {
            let count = items.len();
            let item = match ty {
                Some(Type::List(item)) => Some(&**item),
                _ => None,
            };
            match rest[0].parse::<usize>().ok().and_then(|i| items.get_mut(i)) {
                Some(child) => set(child, item, path, depth + 1, value),
                None => Err(Problem::usage(format!(
                    "{} is a list of {count}, and {:?} is none of its positions",
                    path_text(&path[..depth]),
                    rest[0]
                ))
                .at(&*value.place)
                .remedy(format!("count from 0, or give the whole list: {}=[...]", path_text(&path[..depth])))),
            }
        }
        Tree::Table(entries) => {
            // A map's keys may hold dots (`space.optimizer.learning_rate.high`): the longest key that is there wins.
            let is_map = matches!(ty, Some(Type::Map(_)));
            let joined = |n: usize| rest[..n].join(".");
            let longest = if is_map { rest.len() } else { 1 };
            let found = (1..=longest).rev().find(|n| entries.iter().any(|(k, _)| *k == joined(*n)));
            let used = found.unwrap_or(longest);
            let key = joined(used);
            if let Some(Type::OneKey(fields)) = ty
                && fields.iter().any(|f| f.name == key)
            {
                entries.retain(|(k, _)| *k == key);
            }
            let switches = rest.len() == 1 && tag.as_ref() == Some(&key);
            if let (true, Some(ty), Some(old), Some(new)) = (switches, ty, &variant, value.text()) {
                drop_foreign_keys(entries, ty, old, new);
            }
            let child_type = match ty {
                Some(Type::Map(item)) => Some(&**item),
                Some(ty) => ty.fields(variant.as_deref()).into_iter().find(|f| f.name == key).map(|f| &f.ty),
                None => None,
            };
            if found.is_none() {
                entries.push((key.clone(), Node::empty_table(&value.place)));
            }
            let child = entries.iter_mut().find(|(k, _)| *k == key).map(|(_, n)| n);
            child.map_or(Ok(()), |child| set(child, child_type, path, depth + used, value))
        }
        _ => Err(Problem::usage(format!(
            "{} is {}, so it has no {:?} in it",
            path_text(&path[..depth]),
            node.show(),
            rest[0]
        ))
        .at(&*value.place)
        .remedy(format!("set {} itself", path_text(&path[..depth])))),
    }
}

/// After a change of variant: removes the old one's keys that the new one does not have.
fn drop_foreign_keys(entries: &mut Vec<(String, Node)>, ty: &Type, old: &str, new: &str) {
    let Type::Tagged { variants, .. } = ty else { return };
    let fields = |name: &str| variants.iter().find(|(n, _)| n == name).map(|(_, fields)| fields);
    let (Some(old), Some(new)) = (fields(old), fields(new)) else { return };
    entries.retain(|(k, _)| !old.iter().any(|f| f.name == *k) || new.iter().any(|f| f.name == *k));
}

/// `over` laid on `base`: tables key by key, everything else replaced, by the same rules as an override.
pub(super) fn merge(base: &mut Node, over: Node, ty: Option<&Type>) {
    let tag = ty.and_then(Type::tag);
    let variant = tag.and_then(|t| Some(base.get(t)?.text()?.to_string()));
    let (Tree::Table(entries), Tree::Table(_)) = (&mut base.tree, &over.tree) else {
        *base = over;
        return;
    };
    if matches!(ty, Some(Type::OneKey(_))) {
        *base = over;
        return;
    }
    let new = tag.and_then(|t| Some(over.get(t)?.text()?.to_string()));
    if let (Some(ty), Some(old), Some(new)) = (ty, &variant, &new) {
        drop_foreign_keys(entries, ty, old, new);
    }
    base.place = over.place;
    let Tree::Table(additions) = over.tree else { return };
    for (key, node) in additions {
        let child = ty.and_then(|ty| {
            let name = new.as_deref().or(variant.as_deref());
            ty.fields(name).into_iter().find(|f| f.name == key).map(|f| &f.ty)
        });
        match entries.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => merge(old, node, child),
            None => entries.push((key, node)),
        }
    }
}

/// Turns whole numbers written as reals (3.0) into whole numbers where the type wants them: samplers compute in reals.
pub(super) fn make_whole(node: &mut Node, ty: &Type) {
    match (&mut node.tree, ty) {
        (Tree::Real(x), Type::Whole(..)) if x.fract() == 0.0 && x.abs() < 9e15 => node.tree = Tree::Whole(*x as i64),
        (Tree::List(items), Type::List(item)) => items.iter_mut().for_each(|i| make_whole(i, item)),
        _ => {}
    }
}
