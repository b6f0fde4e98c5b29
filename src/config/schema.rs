//! The JSON Schemas of the config files, for editors and people: the types' own schemas plus what the loader resolves
//! before it checks them (`preset`, `baseline_file`, `$schema`).

use super::{Campaign, Experiment, Site, presets};
use serde_json::{Map, Value, json};

/// The JSON Schema of a config file as pretty JSON: `experiment`, `campaign` or `site`. `None` for other names.
pub fn schema(which: &str) -> Option<String> {
    let mut schema = match which {
        "experiment" => schemars::schema_for!(Experiment).to_value(),
        "campaign" => schemars::schema_for!(Campaign).to_value(),
        "site" => schemars::schema_for!(Site).to_value(),
        _ => return None,
    };
    without_null(&mut schema);
    describe_variants(&mut schema);
    if let Some(model) = schema.pointer_mut("/$defs/ModelSpec/oneOf").and_then(Value::as_array_mut) {
        let preset = from_preset(model);
        model.push(preset);
    }
    if let Some(properties) = schema["properties"].as_object_mut() {
        let about = "Where an editor finds this schema, in JSON files; ignored.";
        properties.insert("$schema".into(), json!({ "description": about, "type": "string" }));
    }
    if which == "campaign" {
        let about = "Path of the baseline's experiment file, relative to this file's folder. Keys under `baseline` override it.";
        schema["properties"]["baseline_file"] = json!({ "description": about, "type": "string" });
        if let Some(required) = schema["required"].as_array_mut() {
            required.retain(|key| key != "baseline");
        }
        // With a file, the inline baseline is only what differs from it.
        let inline = schema["properties"]["baseline"].clone();
        schema["properties"]["baseline"] = json!({ "description": inline["description"], "type": "object" });
        schema["if"] = json!({ "not": { "required": ["baseline_file"] } });
        schema["then"] = json!({ "required": ["baseline"], "properties": { "baseline": inline } });
    }
    Some(serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n")
}

/// Optional keys are left out, never null.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(entries) => {
            if let Some(Value::Array(types)) = entries.get_mut("type") {
                types.retain(|t| t != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    entries.insert("type".into(), only);
                }
            }
            let options = entries.get("anyOf").and_then(Value::as_array);
            let others: Option<Vec<Value>> =
                options.map(|o| o.iter().filter(|s| s["type"] != "null").cloned().collect());
            if let Some([Value::Object(only)]) = others.as_deref() {
                entries.remove("anyOf");
                let only = only.clone();
                entries.extend(only);
            }
            entries.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// The doc comment of a variant stands beside its properties. What names the variant (its only key, or the key that has one
/// value) gets it too: editors show a key's own description.
fn describe_variants(schema: &mut Value) {
    match schema {
        Value::Object(entries) => {
            let about = entries.get("description").cloned();
            if let (Some(about), Some(properties)) =
                (about, entries.get_mut("properties").and_then(Value::as_object_mut))
            {
                let only = properties.len() == 1;
                for property in properties.values_mut().filter_map(Value::as_object_mut) {
                    if (only || property.contains_key("const")) && !property.contains_key("description") {
                        property.insert("description".into(), about.clone());
                    }
                }
            }
            entries.values_mut().for_each(describe_variants);
        }
        Value::Array(items) => items.iter_mut().for_each(describe_variants),
        _ => {}
    }
}

/// A model section that starts from a preset: any model key may follow, none is required.
fn from_preset(variants: &[Value]) -> Value {
    let mut properties = Map::new();
    let names: Vec<&str> = presets().iter().map(|(name, _)| *name).collect();
    let about = "Start from models/NAME.toml; the other keys of this section override it.";
    properties.insert("preset".into(), json!({ "description": about, "enum": names }));
    let kinds: Vec<&Value> = variants.iter().map(|v| &v["properties"]["kind"]["const"]).collect();
    properties.insert("kind".into(), json!({ "description": "The preset's kind; may be left out.", "enum": kinds }));
    for (key, property) in variants.iter().filter_map(|v| v["properties"].as_object()).flatten() {
        if !properties.contains_key(key) {
            // Without default: the preset decides what holds where nothing is written.
            let mut property = property.clone();
            property.as_object_mut().map(|p| p.remove("default"));
            properties.insert(key.clone(), property);
        }
    }
    json!({
        "description": "A model file of models/, with overrides.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "required": ["preset"]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn committed_schemas_are_current() {
        for which in ["experiment", "campaign", "site"] {
            let path = format!("{}/jobs/schema/{which}.schema.json", env!("CARGO_MANIFEST_DIR"));
            let committed = std::fs::read_to_string(path).unwrap_or_default();
            assert!(
                committed == schema(which).unwrap(),
                "the schema has changed; run `nanoresearch schema {which} > jobs/schema/{which}.schema.json`"
            );
        }
        assert_eq!(schema("nothing"), None);
    }

    #[test]
    fn every_setting_is_described_and_none_is_null() {
        fn walk(value: &Value, at: &str, bare: &mut Vec<String>) {
            let without = |value: &Value| value["description"].as_str().is_none_or(str::is_empty);
            for (key, property) in value["properties"].as_object().into_iter().flatten() {
                if without(property) {
                    bare.push(format!("{at}/{key}"));
                }
            }
            // A variant that is told from others: a word, or a table that is one of several.
            for (index, variant) in value["oneOf"].as_array().into_iter().flatten().enumerate() {
                if without(variant) {
                    bare.push(format!("{at}/oneOf/{index}"));
                }
            }
            // Words in a list have no place for what they mean; presets are described by their files.
            if let (Some(words), false) = (value["enum"].as_array(), at.ends_with("/preset") || at.ends_with("/kind")) {
                bare.extend(words.iter().map(|word| format!("{at}/{word}")));
            }
            match value {
                Value::Object(entries) => entries.iter().for_each(|(k, v)| walk(v, &format!("{at}/{k}"), bare)),
                Value::Array(items) => items.iter().for_each(|v| walk(v, at, bare)),
                _ => {}
            }
        }
        for which in ["experiment", "campaign", "site"] {
            let text = schema(which).unwrap();
            assert!(!text.contains("\"null\""));
            let mut bare = Vec::new();
            walk(&serde_json::from_str(&text).unwrap(), "", &mut bare);
            assert!(bare.is_empty(), "{which}: without description: {bare:#?}");
            let steps = "/$defs/TrainingBudget/oneOf/0/properties/steps/description";
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(which == "site" || value.pointer(steps).is_some_and(|d| d == "Optimiser steps."), "{which}");
        }
    }
}
