//! The config types as data: compiled once from the JSON Schema that `schemars` makes of the structs, so that a check
//! with places and suggestions can never disagree with what serde accepts.
//!
//! Boundary: knows the forms that schemars gives to our structs and enums, and nothing of their meaning.

use super::{Campaign, Experiment, Site};
use serde_json::Value;
use std::sync::LazyLock;

/// A type of the config vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    /// A table with fixed keys.
    Record(Vec<Field>),
    /// A table whose key `tag` chooses the other keys.
    Tagged {
        tag: String,
        variants: Vec<(String, Vec<Field>)>,
    },
    /// A table with exactly one of these keys.
    OneKey(Vec<Field>),
    /// A table with any keys.
    Map(Box<Type>),
    /// A list.
    List(Box<Type>),
    /// One of these words.
    Words(Vec<String>),
    /// A whole number within bounds.
    Whole(i64, i64),
    /// A number.
    Real,
    Text,
    Flag,
    /// Anything at all.
    Any,
}

/// A key of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub name: String,
    /// What the field's doc comment says: meaning, unit, default.
    pub doc: String,
    pub required: bool,
    pub ty: Type,
}

/// [`Experiment`]'s type.
pub(super) fn experiment() -> &'static Type {
    static TYPE: LazyLock<Type> = LazyLock::new(|| root(&schemars::schema_for!(Experiment).to_value()));
    &TYPE
}

/// [`Campaign`]'s type.
pub(super) fn campaign() -> &'static Type {
    static TYPE: LazyLock<Type> = LazyLock::new(|| root(&schemars::schema_for!(Campaign).to_value()));
    &TYPE
}

/// [`Site`]'s type.
pub(super) fn site() -> &'static Type {
    static TYPE: LazyLock<Type> = LazyLock::new(|| root(&schemars::schema_for!(Site).to_value()));
    &TYPE
}

impl Type {
    /// The fields of a table of this type, given the value of its tag (all variants' fields where it is unknown).
    pub fn fields(&self, tag: Option<&str>) -> Vec<&Field> {
        match self {
            Type::Record(fields) | Type::OneKey(fields) => fields.iter().collect(),
            Type::Tagged { variants, .. } => {
                let chosen = variants.iter().filter(|(name, _)| Some(name.as_str()) == tag);
                let fields: Vec<&Field> = chosen.flat_map(|(_, fields)| fields).collect();
                if fields.is_empty() { variants.iter().flat_map(|(_, fields)| fields).collect() } else { fields }
            }
            _ => Vec::new(),
        }
    }

    /// The name of the key that chooses the variant.
    pub fn tag(&self) -> Option<&str> {
        match self {
            Type::Tagged { tag, .. } => Some(tag),
            _ => None,
        }
    }

    /// The type at a path through `value`, whose tags choose the variants, and the doc comment nearest to it.
    pub fn at<'a>(&'a self, value: &Value, path: &[String]) -> Option<(&'a Type, &'a str)> {
        let mut here = (self, "");
        let mut value = Some(value);
        for key in path {
            let next = match here.0 {
                Type::List(item) if key.parse::<usize>().is_ok() => (&**item, here.1),
                Type::Map(item) => (&**item, here.1),
                ty => {
                    let tag = ty.tag().and_then(|t| value?.get(t)?.as_str());
                    let field = ty.fields(tag).into_iter().find(|f| f.name == *key)?;
                    (&field.ty, field.doc.as_str())
                }
            };
            value = value.and_then(|v| match v {
                Value::Array(items) => key.parse::<usize>().ok().and_then(|i| items.get(i)),
                v => v.get(key),
            });
            here = next;
        }
        Some(here)
    }

    /// Every path at which a key of this name exists, whatever the tags.
    pub fn homes(&self, key: &str) -> Vec<String> {
        fn walk<'a>(ty: &'a Type, at: &mut Vec<&'a str>, key: &str, found: &mut Vec<String>) {
            match ty {
                Type::List(item) => walk(item, at, key, found),
                Type::Record(_) | Type::Tagged { .. } | Type::OneKey(_) => {
                    for field in ty.fields(None) {
                        let home = at.join(".");
                        if field.name == key && !found.contains(&home) {
                            found.push(home);
                        }
                        at.push(&field.name);
                        walk(&field.ty, at, key, found);
                        at.pop();
                    }
                }
                _ => {}
            }
        }
        let mut found = Vec::new();
        walk(self, &mut Vec::new(), key, &mut found);
        found
    }
}

fn root(schema: &Value) -> Type {
    compile(schema, schema)
}

fn compile(schema: &Value, root: &Value) -> Type {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        return compile(&root["$defs"][name], root);
    }
    let not_null = |s: &&Value| s["type"] != "null";
    if let Some(options) = schema["anyOf"].as_array() {
        return options.iter().find(not_null).map_or(Type::Any, |s| compile(s, root));
    }
    if let Some(options) = schema["oneOf"].as_array() {
        return union(options, root);
    }
    if let Some(words) = schema["enum"].as_array() {
        return Type::Words(words.iter().filter_map(|w| w.as_str().map(str::to_string)).collect());
    }
    let name = match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|n| *n != "null"),
        name => name.as_str(),
    };
    match name {
        Some("object") if schema["properties"].is_object() => Type::Record(fields(schema, root)),
        Some("object") => Type::Map(Box::new(compile(&schema["additionalProperties"], root))),
        Some("array") => Type::List(Box::new(compile(&schema["items"], root))),
        Some("integer") => {
            let (low, high) = match schema["format"].as_str() {
                Some("uint32") => (0, i64::from(u32::MAX)),
                Some(format) if format.starts_with('u') => (0, i64::MAX),
                _ => (i64::MIN, i64::MAX),
            };
            Type::Whole(low, high)
        }
        Some("number") => Type::Real,
        Some("string") => Type::Text,
        Some("boolean") => Type::Flag,
        _ => Type::Any,
    }
}

/// An enum: words, variants chosen by a tag, or variants named by their only key.
fn union(options: &[Value], root: &Value) -> Type {
    if options.iter().all(|o| o["type"] == "string") {
        let words = options.iter().flat_map(|o| match o["const"].as_str() {
            Some(word) => vec![word.to_string()],
            None => o["enum"].as_array().into_iter().flatten().filter_map(|w| w.as_str().map(str::to_string)).collect(),
        });
        return Type::Words(words.collect());
    }
    let tag_of = |o: &Value| {
        let properties = o["properties"].as_object()?;
        properties.iter().find_map(|(k, p)| p["const"].as_str().map(|name| (k.clone(), name.to_string())))
    };
    let mut tag = None;
    let mut variants = Vec::new();
    for option in options {
        let Some((key, name)) = tag_of(option) else {
            let keys = options.iter().flat_map(|o| fields(o, root).into_iter().map(|f| describe(f, o)));
            return Type::OneKey(keys.collect());
        };
        let others = fields(option, root).into_iter().filter(|f| f.name != key).collect();
        variants.push((name, others));
        tag = Some(key);
    }
    Type::Tagged { tag: tag.unwrap_or_default(), variants }
}

/// The doc comment of an externally tagged variant stands beside its key, not in it.
fn describe(mut field: Field, option: &Value) -> Field {
    field.doc = option["description"].as_str().unwrap_or_default().to_string();
    field
}

fn fields(schema: &Value, root: &Value) -> Vec<Field> {
    let required = |name: &str| schema["required"].as_array().is_some_and(|r| r.iter().any(|n| n == name));
    let properties = schema["properties"].as_object().into_iter().flatten();
    let field = |(name, property): (&String, &Value)| Field {
        name: name.clone(),
        doc: property["description"].as_str().unwrap_or_default().replace('\n', " "),
        required: required(name),
        ty: compile(property, root),
    };
    properties.map(field).collect()
}
