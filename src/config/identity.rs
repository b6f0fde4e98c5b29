//! What a run is: the hash that keeps the same thing from being computed, and paid for, twice.

use super::Experiment;
use crate::ids::RunKey;
use serde_json::{Value, json};

/// Raised whenever the same experiment begins to compute other bits on the same machine; part of every run's identity.
pub const NUMERICS_VERSION: u32 = 3;

impl Experiment {
    /// BLAKE3 over the canonical JSON of everything that decides results: the config without `resources` and without
    /// the checkpoint cadence, the hash of the dataset's content, and [`NUMERICS_VERSION`]. The seed is in the config.
    pub fn run_key(&self, data_hash: &str) -> RunKey {
        let mut config = serde_json::to_value(self).unwrap_or_default();
        if let Some(sections) = config.as_object_mut() {
            sections.remove("resources");
            if let Some(evaluation) = sections.get_mut("evaluation").and_then(Value::as_object_mut) {
                evaluation.remove("checkpoint_every");
                evaluation.remove("keep_checkpoints");
            }
        }
        let identity = json!({ "config": config, "data": data_hash, "numerics": NUMERICS_VERSION });
        RunKey(blake3::hash(canonical(&identity).as_bytes()).to_hex().to_string())
    }
}

/// JSON without spaces, with the keys of every object in byte order.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_bytes());
            let inner: Vec<String> =
                sorted.into_iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), canonical(v))).collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_experiment;
    use super::*;
    use crate::config::{Experiment, presets};
    use std::collections::BTreeMap;

    fn experiments() -> Vec<Experiment> {
        let mut all: Vec<Experiment> = presets()
            .iter()
            .map(|(name, _)| {
                let data = if name.starts_with("gpt") { "text\"\nname = \"tinyshakespeare" } else { "digits" };
                let text = format!("data.kind = \"{data}\"\nmodel.preset = \"{name}\"\noptimizer.kind = \"adamw\"");
                parse_experiment(
                    &text.replace("data.kind = \"text\"\nname", "data.kind = \"text\"\ndata.name"),
                    "t",
                    &[],
                )
                .unwrap()
            })
            .collect();
        let groups = "data.kind = \"idx\"\ndata.images = \"a\"\ndata.labels = \"b\"\nmodel.kind = \"cnn\"\n[evaluation]\nevery = 5\n\
            [optimizer]\nkind = \"sgd\"\ngroups = [{ role = \"bias\", weight_decay = 0.1 }]";
        all.push(parse_experiment(groups, "t", &[]).unwrap());
        all
    }

    #[test]
    fn key_order_and_defaults_written_out_do_not_matter() {
        for experiment in experiments() {
            let mut value = serde_json::to_value(&experiment).unwrap();
            let entries = value.as_object_mut().unwrap();
            let reversed: serde_json::Map<_, _> = entries.clone().into_iter().rev().collect();
            *entries = reversed;
            let again: Experiment = serde_json::from_value(value).unwrap();
            assert_eq!(experiment.run_key("d"), again.run_key("d"));
            assert_ne!(experiment.run_key("d"), experiment.run_key("e"));
        }
        assert_eq!(
            canonical(&json!({"b": [1, {"z": 0.1, "a": null}], "a": "x"})),
            r#"{"a":"x","b":[1,{"a":null,"z":0.1}]}"#
        );
    }

    /// Changes every scalar of the experiment in turn; those that decide results must change the key.
    #[test]
    fn every_other_leaf_changes_the_key() {
        for experiment in experiments() {
            let value = serde_json::to_value(&experiment).unwrap();
            let mut leaves = BTreeMap::new();
            collect(&value, "", &mut leaves);
            let key = experiment.run_key("d");
            let mut changed_leaves = 0;
            for (pointer, old) in leaves {
                for new in alternatives(&old) {
                    let mut changed = value.clone();
                    *changed.pointer_mut(&pointer).unwrap() = new;
                    let Ok(changed) = serde_json::from_value::<Experiment>(changed) else { continue };
                    let free = pointer.starts_with("/resources/")
                        || ["/evaluation/checkpoint_every", "/evaluation/keep_checkpoints"].contains(&pointer.as_str());
                    assert_eq!(changed.run_key("d") == key, free, "{pointer}");
                    changed_leaves += 1;
                }
            }
            assert!(changed_leaves > 25, "only {changed_leaves} leaves could be changed");
        }
    }

    fn collect(value: &Value, at: &str, leaves: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(entries) => entries.iter().for_each(|(k, v)| collect(v, &format!("{at}/{k}"), leaves)),
            Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| collect(v, &format!("{at}/{i}"), leaves)),
            leaf => drop(leaves.insert(at.to_string(), leaf.clone())),
        }
    }

    fn alternatives(old: &Value) -> Vec<Value> {
        let words = ["relu", "gelu", "layer", "rms", "rotary", "linear", "max", "mean", "byte", "weight", "other"];
        match old {
            Value::Bool(b) => vec![Value::Bool(!b)],
            Value::Number(n) if n.is_f64() => vec![json!(n.as_f64().unwrap() + 0.001)],
            Value::Number(n) => vec![json!(n.as_u64().unwrap() + 1)],
            Value::String(s) => words.iter().filter(|w| *w != s).map(|w| json!(w)).collect(),
            _ => Vec::new(),
        }
    }
}
