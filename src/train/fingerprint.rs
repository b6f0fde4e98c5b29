//! What decides the bits of results beside the run's identity.

use crate::engine::Engine;
use crate::graph::StepPrograms;
use std::collections::{BTreeMap, BTreeSet};

/// What decides the bits of results beside the run's identity, as manifests and checkpoints record it.
pub fn fingerprint(engine: &dyn Engine, programs: &StepPrograms) -> BTreeMap<String, String> {
    let mut facts = engine.fingerprint();
    facts.insert("engine".to_string(), engine.name().to_string());
    facts.insert("micro_batch".to_string(), programs.micro_batch.to_string());
    facts.insert("world_size".to_string(), "1".to_string());
    facts
}

/// `isa: avx2 -> avx512`, for each fact that differs.
pub(super) fn differences(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> String {
    let absent = String::from("nothing");
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let of = |facts: &BTreeMap<String, String>, name: &String| facts.get(name).unwrap_or(&absent).clone();
    let changed: Vec<String> = names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name))
        .map(|name| format!("{name}: {} -> {}", of(before, name), of(now, name)))
        .collect();
    changed.join(", ")
}
