//! What a person may change in `campaign.toml` between two controllers.
//!
//! Whatever decides what has been measured so far stays as it was; budgets, places and stopping rules may change.

use crate::config::Campaign;
use crate::problem::{Problem, Result};
use serde_json::Value;
use std::collections::BTreeMap;

/// Keys that may change; a section stands for everything in it.
const FREE: [&str; 7] =
    ["name", "question", "objective.goal", "budget", "execution", "planner.candidates", "seeds.finalists"];

/// The changed keys with their old and new values; empty where nothing changed. Refuses changes that would make old and
/// new results incomparable.
pub fn changes(old: &Campaign, new: &Campaign) -> Result<Vec<String>> {
    let (old, new) = (leaves(old), leaves(new));
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut found = Vec::new();
    for key in keys {
        let (before, after) = (old.get(key), new.get(key));
        if before == after {
            continue;
        }
        let show = |v: Option<&Value>| v.map_or("(not set)".to_string(), Value::to_string);
        let text = format!("{key} from {} to {}", show(before), show(after));
        let free = FREE.iter().any(|f| key == f || key.strip_prefix(f).is_some_and(|rest| rest.starts_with('.')));
        if !free {
            return Err(Problem::usage(format!(
                "`{text}` would make the results so far incomparable with the next ones"
            ))
            .at("campaign.toml")
            .remedy(format!(
                "undo that change, or start a new campaign in another folder; these keys may change: {}",
                FREE.join(", ")
            )));
        }
        found.push(text);
    }
    Ok(found)
}

/// Every value of a config by its dotted path.
fn leaves(campaign: &Campaign) -> BTreeMap<String, Value> {
    fn walk(path: &str, value: Value, into: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                    walk(&path, value, into);
                }
            }
            Value::Null => {}
            other => {
                into.insert(path.to_string(), other);
            }
        }
    }
    let mut all = BTreeMap::new();
    walk("", serde_json::to_value(campaign).unwrap_or_default(), &mut all);
    all
}
