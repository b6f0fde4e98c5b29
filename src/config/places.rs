//! Where the settings of a loaded config were written, for problems that show only later: with the data, on this machine.
//!
//! Boundary: turns a config key into `file:line` with its value; knows nothing of what made the problem.

use super::document::{Node, Place, Tree, path_text, split_path};
use super::types::Type;
use crate::problem::Problem;
use serde_json::Value;

/// The places of one config's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    document: Node,
    /// The config with defaults filled in.
    values: Value,
    ty: &'static Type,
    /// Where an experiment's keys are in it: `baseline` in a campaign.
    within: &'static [&'static str],
}

impl Places {
    pub(super) fn new(document: Node, values: Value, ty: &'static Type, within: &'static [&'static str]) -> Self {
        Places { document, values, ty, within }
    }

    /// A problem whose place is a config key (`training.batch_size`) gets the line where the key was written, or the
    /// command line, and says the value; where the value comes from a preset or is a default, it says that, at the line
    /// of the section. Every other problem stays as it is.
    pub fn locate(&self, problem: Problem) -> Problem {
        let Some(path) = problem.place.as_deref().and_then(|place| self.path(place)) else { return problem };
        let place = self.document.place_of(&path);
        let key = path_text(&path);
        let written = self.written(&path);
        let value = path.iter().try_fold(&self.values, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            value => value.get(key),
        });
        let shown = |value: &Value| Node::from_json(value, &place).map_or_else(String::new, |node| node.show());
        let (place, what) = match (written, value) {
            // A whole section is at fault: its line says enough.
            (Some(Node { tree: Tree::Table(_), .. }), _) | (None, None) => (place, problem.what.clone()),
            (Some(node), _) if place.starts_with("models/") => {
                (self.section(&path), format!("{key} = {} (from {place}): {}", node.show(), problem.what))
            }
            (Some(_), _) if place.starts_with("command line") => (place, problem.what.clone()),
            (Some(node), _) => (place, format!("{key} = {}: {}", node.show(), problem.what)),
            (None, Some(value)) => {
                (self.section(&path), format!("{key} = {} (the default): {}", shown(value), problem.what))
            }
        };
        Problem { place: Some(place.to_string()), what, ..problem }
    }

    /// Where these keys stand, or the innermost of them that were written.
    pub fn of(&self, keys: &[&str]) -> String {
        let path: Vec<String> = keys.iter().map(|key| (*key).to_string()).collect();
        self.document.place_of(&path).to_string()
    }

    /// The keys of a place, where it is a setting of this config: `optimizer.groups[0].role`.
    fn path(&self, place: &str) -> Option<Vec<String>> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
        if !place.chars().all(plain) || !place.contains('.') {
            return None;
        }
        let own = split_path(&place.replace('[', ".").replace(']', ""));
        let inner: Vec<String> = self.within.iter().map(|k| (*k).to_string()).chain(own.iter().cloned()).collect();
        [inner, own].into_iter().find(|path| self.ty.at(&self.values, path).is_some())
    }

    /// What was written at exactly this path.
    fn written(&self, path: &[String]) -> Option<&Node> {
        path.iter().try_fold(&self.document, |node, key| match &node.tree {
            Tree::List(items) => items.get(key.parse::<usize>().ok()?),
            _ => node.get(key),
        })
    }

    /// The line of the innermost section of a path that a person wrote.
    fn section(&self, path: &[String]) -> Place {
        let sections = (0..path.len()).rev().map(|depth| self.document.place_of(&path[..depth]));
        let own = |place: &Place| !place.starts_with("models/");
        sections.into_iter().find(own).unwrap_or_else(|| self.document.place.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load_experiment;
    use crate::problem::Problem;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_problem_of_later_is_found_where_its_setting_comes_from() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("e.toml");
        let text = "data.kind = \"digits\"\n[model]\npreset = \"cnn-digits\"\n[optimizer]\nkind = \"adamw\"\nlearning_rate = 0.5\n";
        std::fs::write(&file, text).unwrap();
        let loaded = load_experiment(&file, &["training.seed=3".to_string()]).unwrap();
        let said = |key: &str| {
            let problem = loaded.places.locate(Problem::usage("wrong").at(key));
            format!("{}: {}", problem.place.unwrap().replace(&file.display().to_string(), "e.toml"), problem.what)
        };
        assert_eq!(said("optimizer.learning_rate"), "e.toml:6: optimizer.learning_rate = 0.5: wrong");
        assert_eq!(said("model.head"), "e.toml:2: model.head = \"flatten\" (from models/cnn-digits.toml:7): wrong");
        assert_eq!(said("optimizer.weight_decay"), "e.toml:4: optimizer.weight_decay = 0.01 (the default): wrong");
        assert_eq!(said("training.seed"), "command line: training.seed=3: wrong");
        assert_eq!(said("epoch 3. and more"), "epoch 3. and more: wrong");
    }
}
