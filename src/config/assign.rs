//! Reading and setting single values of a typed experiment by path: what search spaces and seeds are applied with.
//!
//! Boundary: goes through the same tree and checks as a file, so an assignment can do nothing that a file could not.

use super::document::{Node, Place, split_path};
use super::overrides::{Override, make_whole};
use super::{Experiment, load, presets, types};
use crate::problem::{Problem, Result};
use serde_json::Value;
use std::collections::BTreeMap;

impl Experiment {
    /// The value at a path such as `optimizer.learning_rate` or `model.stages.0.channels`; sections come as objects.
    /// `None`: this experiment has no such setting, or it is optional and not set.
    pub fn get(&self, path: &str) -> Option<Value> {
        let all = serde_json::to_value(self).ok()?;
        let value = split_path(path).iter().try_fold(&all, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            value => value.get(key),
        })?;
        (!value.is_null()).then(|| value.clone())
    }

    /// The experiment with some values changed, checked and validated like a file. Whole numbers may come as reals
    /// (3.0). Changing a `kind` keeps the keys that both kinds have and drops the others; `model.preset` replaces the
    /// model; a budget unit replaces the one there.
    ///
    /// # Errors
    /// An unknown path, a value of the wrong type or out of range, or a combination that cannot be.
    pub fn with(&self, assignment: &BTreeMap<String, Value>) -> Result<Experiment> {
        let changed = self.assign(assignment)?;
        changed.validate()?;
        Ok(changed)
    }

    /// Everything about it that can be known without its data.
    ///
    /// # Errors
    /// A usage problem with the first findings.
    pub fn validate(&self) -> Result<()> {
        let problems = self.issues().into_iter().map(|i| Problem::usage(i.what).remedy(i.remedy)).collect();
        super::check::together(problems).map_or(Ok(()), Err)
    }

    /// As [`with`](Self::with), with the types checked but not the ranges.
    pub(super) fn assign(&self, assignment: &BTreeMap<String, Value>) -> Result<Experiment> {
        let ty = types::experiment();
        let place: Place = "assignment".into();
        let mut document = self.document(&place)?;
        let mut changes = Vec::new();
        for (path, value) in assignment {
            let node = Node::from_json(value, &place).ok_or_else(|| {
                Problem::usage(format!("{path} = {value} cannot be a setting"))
                    .at(&*place)
                    .remedy("give text, true or false, a list, or a finite number of at most 63 bits")
            })?;
            changes.push(Override { path: split_path(path), value: node });
        }
        changes.sort_by_key(Override::rank);
        for mut change in changes {
            let preset = change.path == ["model", "preset"];
            if preset {
                document.remove("model");
            }
            if let Some((wanted, _)) = ty.at(&document.to_json(), &change.path) {
                make_whole(&mut change.value, wanted);
            }
            change.apply(&mut document, ty)?;
            if let (true, Some(model)) = (preset, document.get_mut("model")) {
                presets::resolve(model)?;
            }
        }
        load::typed(&document, ty)
    }

    fn document(&self, place: &Place) -> Result<Node> {
        let json = serde_json::to_value(self).ok();
        json.and_then(|v| Node::from_json(&v, place)).ok_or_else(|| {
            Problem::usage("a whole number of the experiment does not fit in 63 bits").remedy("choose a smaller seed")
        })
    }
}
