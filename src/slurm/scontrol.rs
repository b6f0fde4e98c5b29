//! `scontrol show`: the cluster's own settings and its partitions.

use super::{Limit, Tres};
use std::collections::BTreeMap;

/// Arguments that ask for the settings.
pub fn config_arguments() -> Vec<String> {
    ["show", "config"].map(str::to_string).to_vec()
}

/// Arguments that ask for the partitions.
pub fn partition_arguments() -> Vec<String> {
    ["show", "partition", "--oneliner"].map(str::to_string).to_vec()
}

/// The settings: `KillWait = 30 sec` and so on, by name.
pub fn parse_config(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|l| l.split_once('='));
    let pairs = pairs.map(|(k, v)| (k.trim().to_string(), v.trim().to_string()));
    pairs.filter(|(k, _)| !k.is_empty() && !k.contains(' ')).collect()
}

/// Seconds of a setting such as `KillWait = 30 sec`.
pub fn seconds(config: &BTreeMap<String, String>, name: &str) -> Option<u64> {
    config.get(name)?.split_whitespace().next()?.parse().ok()
}

/// One partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    /// Its name.
    pub name: String,
    /// Longest time limit; none where it is not understood.
    pub max_time: Option<Limit>,
    /// UP, or not.
    pub up: bool,
    /// What it has in all.
    pub total: Tres,
    /// Everything as it was written, by name.
    pub fields: BTreeMap<String, String>,
}

/// Reads partitions, one a line or one a block.
pub fn parse_partitions(text: &str) -> Vec<Partition> {
    let mut found: Vec<BTreeMap<String, String>> = Vec::new();
    for word in text.split_whitespace() {
        let Some((key, value)) = word.split_once('=') else { continue };
        if key == "PartitionName" {
            found.push(BTreeMap::new());
        }
        if let Some(fields) = found.last_mut() {
            fields.insert(key.to_string(), value.to_string());
        }
    }
    let read = |fields: BTreeMap<String, String>| Partition {
        name: fields["PartitionName"].clone(),
        max_time: fields.get("MaxTime").and_then(|t| Limit::parse(t)),
        up: fields.get("State").is_some_and(|s| s == "UP"),
        total: Tres::parse(fields.get("TRES").map_or("", String::as_str)),
        fields,
    };
    found.into_iter().map(read).collect()
}
