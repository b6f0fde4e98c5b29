//! In what two configs of a kind differ, by dotted path.

use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A setting that two configs do not agree on. An absent value is one that is not set.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Dotted path, `training.batch_size`.
    pub key: String,
    /// The value in the first config.
    pub old: Option<Value>,
    /// The value in the second one.
    pub new: Option<Value>,
}

impl std::fmt::Display for Difference {
    /// `training.seed from 1 to 2`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |v: &Option<Value>| v.as_ref().map_or("(not set)".to_string(), Value::to_string);
        write!(f, "{} from {} to {}", self.key, show(&self.old), show(&self.new))
    }
}

/// The settings in which `new` differs from `old`, in order of their paths.
pub fn differences<T: Serialize>(old: &T, new: &T) -> Vec<Difference> {
    let (old, new) = (leaves(old), leaves(new));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| Difference { key: key.clone(), old: old.get(key).cloned(), new: new.get(key).cloned() })
        .collect()
}

/// Every value of a config by its dotted path.
fn leaves(config: &impl Serialize) -> BTreeMap<String, Value> {
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
    walk("", serde_json::to_value(config).unwrap_or_default(), &mut all);
    all
}
