//! The model files of `models/`, embedded, and `preset = "NAME"` in a model section.

use super::document::{Node, Tree};
use super::nearest::{did_you_mean, listed};
use super::overrides::merge;
use super::types::{self, Type};
use crate::problem::{Problem, Result};

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../models/", $name, ".toml")))),*]
    };
}

/// Name and text of every embedded model file, by name. The text is the `[model]` section's content.
pub fn presets() -> &'static [(&'static str, &'static str)] {
    embedded![
        "cnn-digits",
        "cnn-residual",
        "gpt-char-4x128",
        "gpt-char-6x384",
        "gpt-modern",
        "gpt-modular",
        "mlp-784-256",
        "mlp-residual",
        "mlp-small",
    ]
}

/// The type of a model section.
pub(super) fn model_type() -> &'static Type {
    types::experiment().fields(None).into_iter().find(|f| f.name == "model").map_or(&Type::Any, |f| &f.ty)
}

/// Replaces `preset = "NAME"` in a model section by the preset's keys; the section's own keys stay on top.
pub(super) fn resolve(model: &mut Node) -> Result<()> {
    let Some(named) = model.remove("preset") else { return Ok(()) };
    let names = || presets().iter().map(|(name, _)| *name);
    let Some(name) = named.text() else {
        return Err(Problem::usage(format!("model.preset = {} is {}, not text", named.show(), named.kind()))
            .at(&*named.place)
            .remedy(format!("write preset = one of {}", listed(names()))));
    };
    let Some((_, text)) = presets().iter().find(|(n, _)| *n == name) else {
        return Err(Problem::usage(format!("model.preset = {name:?} is not a known model"))
            .at(&*named.place)
            .remedy(format!("{}possible: {}", did_you_mean(name, names()), listed(names()))));
    };
    let mut merged = Node::parse(text, &format!("models/{name}.toml"))?;
    let (theirs, ours) = (merged.get("kind").and_then(Node::text), model.get("kind"));
    if let (Some(theirs), Some(kind)) = (theirs, ours)
        && kind.text() != Some(theirs)
    {
        let what = format!("model.kind = {} but the preset {name:?} has kind {theirs:?}", kind.show());
        return Err(Problem::usage(what).at(&*kind.place).remedy("remove kind, or choose another preset"));
    }
    let place = model.place.clone();
    merge(&mut merged, std::mem::replace(model, Node::new(&place, Tree::Table(Vec::new()))), Some(model_type()));
    *model = merged;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn every_model_file_is_embedded_and_opens_with_a_comment() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/models");
        let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let files: BTreeSet<String> = files.filter_map(|f| f.strip_suffix(".toml").map(str::to_string)).collect();
        let names: BTreeSet<String> = presets().iter().map(|(n, _)| n.to_string()).collect();
        assert_eq!(names, files);
        for (name, text) in presets() {
            assert!(text.starts_with("# "), "models/{name}.toml says in its first line what it is");
        }
    }
}
