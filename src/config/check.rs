//! The values of a document against the config types: unknown keys, wrong types, missing keys, words out of a list.
//!
//! Every finding names its place, the value, and the nearest thing that would be right. Boundary: knows the types as
//! data ([`Type`]), not what the settings mean; ranges and relations are `validate`'s.

use super::document::{Node, Tree, path_text};
use super::nearest::{did_you_mean, listed, nearest};
use super::types::{Field, Type};
use crate::problem::Problem;

/// All findings of a document, in its order.
pub(super) fn check(document: &Node, ty: &Type) -> Vec<Problem> {
    let mut check = Check { root: ty, path: Vec::new(), doc: String::new(), found: Vec::new() };
    check.value(document, ty);
    check.found
}

struct Check<'a> {
    root: &'a Type,
    path: Vec<String>,
    /// The doc comment of the innermost field.
    doc: String,
    found: Vec<Problem>,
}

impl Check<'_> {
    fn report(&mut self, node: &Node, what: String, remedy: String) {
        self.found.push(Problem::usage(what).at(&*node.place).remedy(remedy));
    }

    /// `[optimizer]`, `entry 2 of [[constraints]]`, or what the top level is called.
    fn section(&self) -> String {
        match self.entry() {
            Some((list, number)) => format!("entry {number} of {list}"),
            None if self.path.is_empty() => "the top level".to_string(),
            None => format!("[{}]", path_text(&self.path)),
        }
    }

    /// The list of tables that this is an entry of, as files write it, and which one, from 1.
    fn entry(&self) -> Option<(String, usize)> {
        let (last, list) = self.path.split_last()?;
        let index: usize = last.parse().ok().filter(|_| !list.is_empty())?;
        Some((format!("[[{}]]", path_text(list)), index + 1))
    }

    /// How a list of tables is written, with the keys of one.
    fn double(&self, list: &str, item: &Type) -> String {
        let keys: Vec<&str> = item.fields(None).into_iter().map(|f| f.name.as_str()).collect();
        let keys = if keys.is_empty() { "its keys".to_string() } else { format!("its keys ({})", keys.join(", ")) };
        format!("write {list}, in double brackets, once for each, with {keys} on the lines below")
    }

    fn key(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    fn mismatch(&mut self, node: &Node, wanted: &str, advice: &str) {
        let what = format!("{} = {} is {}, not {wanted}", path_text(&self.path), node.show(), node.kind());
        let remedy = [advice, &self.doc].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join("\n  ");
        self.report(node, what, if remedy.is_empty() { format!("give {wanted}") } else { remedy });
    }

    fn value(&mut self, node: &Node, ty: &Type) {
        match (ty, &node.tree) {
            (Type::Any, _) | (Type::Flag, Tree::Flag(_)) | (Type::Text, Tree::Text(_)) => {}
            (Type::Real, Tree::Real(_) | Tree::Whole(_)) => {}
            (Type::Whole(low, high), Tree::Whole(value)) if (low..=high).contains(&value) => {}
            (Type::Whole(low, high), Tree::Whole(value)) => {
                let what = format!("{} = {value} is {}", path_text(&self.path), {
                    if value < low && *low == 0 { "negative".to_string() } else { format!("not in {low} to {high}") }
                });
                let remedy = self.doc.clone();
                self.report(node, what, remedy);
            }
            (Type::Words(words), Tree::Text(text)) => {
                if !words.contains(text) {
                    self.unknown_word(node, text, words);
                }
            }
            (Type::List(item), Tree::List(nodes)) => {
                for (index, node) in nodes.iter().enumerate() {
                    self.within(index.to_string(), None, |c| c.value(node, item));
                }
            }
            (Type::Map(item), Tree::Table(entries)) => {
                for (key, node) in entries {
                    self.within(key.clone(), None, |c| c.value(node, item));
                }
            }
            (Type::Record(fields), Tree::Table(_)) => self.record(node, ty, &fields.iter().collect::<Vec<_>>(), None),
            (Type::OneKey(fields), Tree::Table(_)) => self.one_key(node, ty, fields),
            (Type::Tagged { tag, variants }, Tree::Table(_)) => self.tagged(node, ty, tag, variants),
            (ty, _) => self.wrong_kind(node, ty),
        }
    }

    fn within(&mut self, key: String, doc: Option<&str>, visit: impl FnOnce(&mut Self)) {
        let outer = doc.map(|doc| std::mem::replace(&mut self.doc, doc.to_string()));
        self.path.push(key);
        visit(self);
        self.path.pop();
        if let Some(outer) = outer {
            self.doc = outer;
        }
    }

    fn wrong_kind(&mut self, node: &Node, ty: &Type) {
        let key = self.key().to_string();
        match ty {
            Type::Flag => {
                self.mismatch(node, "true or false", &format!("write {key} = true or {key} = false, without quotes"))
            }
            Type::Text => {
                let advice = match node.tree {
                    Tree::List(_) | Tree::Table(_) => String::new(),
                    _ => format!("write {key} = \"{}\"", node.show()),
                };
                self.mismatch(node, "text", &advice);
            }
            Type::Whole(..) => {
                let unquoted = node.text().and_then(|t| t.trim().parse::<i64>().ok());
                let rounded = match node.tree {
                    Tree::Real(x) if x.fract() == 0.0 && x.abs() < 9e15 => Some(x as i64),
                    _ => None,
                };
                let advice = unquoted.or(rounded).map_or(String::new(), |v| format!("write {key} = {v}"));
                self.mismatch(node, "a whole number", &advice);
            }
            Type::Real => {
                let unquoted = node.text().filter(|t| t.trim().parse::<f64>().is_ok_and(f64::is_finite));
                let advice = unquoted.map_or(String::new(), |t| format!("write {key} = {} without quotes", t.trim()));
                self.mismatch(node, "a number", &advice);
            }
            Type::Words(words) => {
                let advice = format!("it is one of {}", listed(words.iter().map(String::as_str)));
                self.mismatch(node, "one of its words", &advice);
            }
            Type::List(item) => {
                let advice = match (&**item, &node.tree) {
                    (Type::Record(_) | Type::Tagged { .. }, _) => {
                        self.double(&format!("[[{}]]", path_text(&self.path)), item)
                    }
                    (_, Tree::Table(_)) => String::new(),
                    _ => format!("write {key} = [{}]", node.show()),
                };
                self.mismatch(node, "a list", &advice);
            }
            Type::OneKey(fields) => {
                let first = fields.first().map_or("", |f| &f.name);
                let value =
                    if matches!(node.tree, Tree::Whole(_) | Tree::Real(_)) { node.show() } else { "...".into() };
                let names = listed(fields.iter().map(|f| f.name.as_str()));
                let advice = format!("write {key} = {{ {first} = {value} }}, with one of {names}");
                self.mismatch(node, "a table with one key", &advice);
            }
            Type::Tagged { tag, variants } => {
                let names = listed(variants.iter().map(|(name, _)| name.as_str()));
                let chosen = node.text().filter(|t| variants.iter().any(|(n, _)| n == t));
                let advice = match chosen {
                    Some(name) => format!("write {key} = {{ {tag} = {name:?} }}"),
                    None => format!("write a section [{}] whose {tag} is one of {names}", path_text(&self.path)),
                };
                self.mismatch(node, "a table", &advice);
            }
            Type::Record(_) | Type::Map(_) => {
                let advice = match self.entry() {
                    Some((list, _)) => self.double(&list, ty),
                    None => format!("write a section [{}] with its keys on the lines below", path_text(&self.path)),
                };
                self.mismatch(node, "a table", &advice);
            }
            Type::Any => {}
        }
    }

    fn unknown_word(&mut self, node: &Node, text: &str, words: &[String]) {
        let names = || words.iter().map(String::as_str);
        let what = format!("{} = {text:?} is not one of its values", path_text(&self.path));
        let remedy = format!("{}possible: {}", did_you_mean(text, names()), listed(names()));
        self.report(node, what, remedy);
    }

    fn tagged(&mut self, node: &Node, ty: &Type, tag: &str, variants: &[(String, Vec<Field>)]) {
        let names = || variants.iter().map(|(name, _)| name.as_str());
        let Some(chosen) = node.get(tag) else {
            let what = format!("{} has no {tag:?}", self.section());
            let preset = if self.path.last().is_some_and(|k| k == "model") {
                ", or preset = the name of a model file"
            } else {
                ""
            };
            self.report(node, what, format!("add {tag} = one of {}{preset}", listed(names())));
            return;
        };
        let Some(name) = chosen.text() else {
            let mut path = self.path.clone();
            path.push(tag.to_string());
            let what = format!("{} = {} is {}, not text", path_text(&path), chosen.show(), chosen.kind());
            self.report(chosen, what, format!("write {tag} = one of {}", listed(names())));
            return;
        };
        if variants.iter().any(|(n, _)| n == name) {
            self.record(node, ty, &ty.fields(Some(name)), Some((tag, name)));
        } else {
            let words: Vec<String> = names().map(str::to_string).collect();
            self.within(tag.to_string(), None, |c| c.unknown_word(chosen, name, &words));
        }
    }

    fn one_key(&mut self, node: &Node, ty: &Type, fields: &[Field]) {
        let names = listed(fields.iter().map(|f| f.name.as_str()));
        let entries = node.table().unwrap_or_default();
        let known = entries.iter().filter(|(k, _)| fields.iter().any(|f| f.name == *k)).collect::<Vec<_>>();
        if entries.is_empty() {
            self.report(node, format!("{} is empty", self.section()), format!("give exactly one of {names}"));
        } else if let [(first, _), (second, extra), ..] = known[..] {
            let what = format!("{} has both {first:?} and {second:?}", self.section());
            self.report(extra, what, format!("keep exactly one of {names}"));
        } else {
            let optional: Vec<Field> = fields.iter().map(|f| Field { required: false, ..f.clone() }).collect();
            self.record(node, ty, &optional.iter().collect::<Vec<_>>(), None);
        }
    }

    /// `tag` is the key that chose these fields, and its value.
    fn record(&mut self, node: &Node, ty: &Type, fields: &[&Field], tag: Option<(&str, &str)>) {
        let mut meant = Vec::new();
        for (key, child) in node.table().unwrap_or_default() {
            match fields.iter().find(|f| f.name == *key) {
                Some(field) => self.within(key.clone(), Some(&field.doc), |c| c.value(child, &field.ty)),
                None if tag.is_some_and(|(t, _)| t == key) => {}
                None => meant.extend(self.unknown_key(child, key, ty, fields, tag)),
            }
        }
        // A required key that is there under a misspelt name has been reported already.
        let missing = |f: &&&Field| f.required && node.get(&f.name).is_none() && !meant.contains(&f.name);
        for field in fields.iter().filter(missing) {
            let of = tag.map_or(String::new(), |(t, v)| format!(" (its {t} is {v:?})"));
            let what = format!("{}{of} has no {:?}", self.section(), field.name);
            let example = match &field.ty {
                Type::Tagged { tag, variants } => {
                    let first = variants.first().map_or("...", |(name, _)| name.as_str());
                    let section = self.path.iter().cloned().chain([field.name.clone()]).collect::<Vec<_>>();
                    format!("add a section [{}] with {tag} = {first:?}, say. ", path_text(&section))
                }
                _ => "add it. ".to_string(),
            };
            self.report(node, what, format!("{example}{}", field.doc));
        }
    }

    /// Reports the key; returns the name that was probably meant.
    fn unknown_key(
        &mut self,
        node: &Node,
        key: &str,
        ty: &Type,
        fields: &[&Field],
        tag: Option<(&str, &str)>,
    ) -> Option<String> {
        let what = format!("unknown key {key:?} in {}", self.section()).replace("in the top level", "at the top level");
        let names = || fields.iter().map(|f| f.name.as_str());
        let variants = match ty {
            Type::Tagged { variants, .. } => &variants[..],
            _ => &[],
        };
        let kinds: Vec<&str> = variants
            .iter()
            .filter(|(_, fields)| fields.iter().any(|f| f.name == key))
            .map(|(name, _)| name.as_str())
            .collect();
        let meant = nearest(key, names()).filter(|_| kinds.is_empty());
        let homes = self.root.homes(key);
        let hint = match (meant, homes.iter().find(|h| **h != self.path.join("."))) {
            (Some(name), _) => format!("did you mean {name:?}? "),
            _ if !kinds.is_empty() => {
                format!("{key:?} belongs to {} = {}. ", tag.map_or("", |(t, _)| t), listed(kinds))
            }
            (None, Some(home)) if home.is_empty() => format!("{key:?} belongs at the top level, above all sections. "),
            (None, Some(home)) => format!("{key:?} is a key of [{home}]. "),
            (None, None) => String::new(),
        };
        let of = tag.map_or(String::new(), |(t, v)| format!(" with {t} = {v:?}"));
        let whose =
            if self.path.is_empty() { "possible here".to_string() } else { format!("{}{of} has", self.section()) };
        self.report(node, what, format!("{hint}{whose}: {}", names().collect::<Vec<_>>().join(", ")));
        meant.map(str::to_string)
    }
}

/// Several findings as one problem: the first in full, then the others, five in all.
pub(super) fn together(problems: Vec<Problem>) -> Option<Problem> {
    const SHOWN: usize = 5;
    let total = problems.len();
    let mut problems = problems.into_iter();
    let mut first = problems.next()?;
    let mut more: Vec<String> = problems.take(SHOWN - 1).map(|p| p.to_string()).collect();
    if total > SHOWN {
        more.push(format!("(and {} more)", total - SHOWN));
    }
    if !more.is_empty() {
        first.remedy = Some(format!("{}\n{}", first.remedy.unwrap_or_default(), more.join("\n")));
    }
    Some(first)
}
