//! What was trained how: from the resolved config in the journal and the manifests; and every name that holds digits.

use super::super::measured::Measured;
use super::{Quantities, slug};
use crate::config::{Experiment, NUMERICS_VERSION, OptimizerSpec};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn add(all: &mut Quantities, m: &Measured) {
    let campaign = &m.state.campaign;
    all.put("objective.confidence", campaign.objective.confidence);
    if let Some(goal) = campaign.objective.goal {
        all.put("objective.goal", goal);
    }
    let baseline = m.state.scope.as_ref().map_or(&campaign.baseline, |s| &s.baseline);
    settings(all, baseline);
    let rate = match &baseline.optimizer {
        OptimizerSpec::Sgd(o) => o.learning_rate,
        OptimizerSpec::Adamw(o) => o.learning_rate,
    };
    all.put("optimizer.rate", rate);
    all.count("space.parameters", campaign.space.len());
    for path in campaign.space.keys() {
        if let Some(number) = baseline.get(path).as_ref().and_then(Value::as_f64) {
            all.put(format!("space.{}.baseline", slug(path)), number);
        }
    }
    let planner = &campaign.planner;
    all.count("planner.startup", planner.startup);
    all.put("planner.seed", planner.seed as f64);
    if let Some(halving) = &planner.halving {
        all.put("planner.halving.factor", f64::from(halving.factor));
        all.put("planner.halving.first", halving.first);
    }
    seeds(all, m);
    sizes(all, m);
    names(all, m);
}

/// Every number among the baseline's settings.
fn settings(all: &mut Quantities, baseline: &Experiment) {
    fn walk(all: &mut Quantities, path: &str, value: &Value) {
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(all, &path, value);
                }
            }
            other => {
                if let Some(number) = other.as_f64() {
                    all.put(format!("config.{}", slug(path)), number);
                }
            }
        }
    }
    walk(all, "", &serde_json::to_value(baseline).unwrap_or_default());
}

fn seeds(all: &mut Quantities, m: &Measured) {
    let spec = &m.state.campaign.seeds;
    let values: Vec<u64> = m.state.baseline.iter().flat_map(|b| b.values.keys().copied()).collect();
    all.count("seeds.planned", m.state.scope.as_ref().map_or(spec.baseline, |s| s.seeds.len()));
    all.count("seeds.baseline", values.len());
    all.count("seeds.confirm", m.state.scope.as_ref().map_or(spec.confirm, |s| s.confirm));
    all.count("seeds.finalists", spec.finalists);
    if let (Some(first), Some(last)) = (values.first(), values.last()) {
        all.put("seeds.first", *first as f64);
        all.put("seeds.last", *last as f64);
    }
    if let Some(screening) = m.state.screening_seed() {
        all.put("seeds.screening", screening as f64);
    }
}

fn sizes(all: &mut Quantities, m: &Measured) {
    let Some(first) = m.state.runs.iter().find_map(|r| m.manifests.get(&r.id.0)) else { return };
    all.put("model.parameters", first.parameters as f64);
    all.put("training.steps", first.total_steps as f64);
    all.put("data.train", first.train_samples as f64);
    all.put("data.validation", first.validation_samples as f64);
    all.put("training.flops", first.step_flops * first.total_steps as f64);
    let prints: BTreeSet<Vec<(String, String)>> = m
        .manifests
        .values()
        .map(|m| {
            m.fingerprint.iter().filter(|(k, _)| *k != "micro_batch").map(|(k, v)| (k.clone(), v.clone())).collect()
        })
        .collect();
    all.count("env.fingerprints", prints.len());
}

/// Words of the campaign's own texts and of the manifests: a digit in one of them is part of a name.
fn names(all: &mut Quantities, m: &Measured) {
    let mut texts = vec![
        env!("CARGO_PKG_VERSION").to_string(),
        NUMERICS_VERSION.to_string(),
        serde_json::to_string(&m.state.campaign).unwrap_or_default(),
        serde_json::to_string(&m.state.scope).unwrap_or_default(),
    ];
    // Titles and licences of the datasets that the program knows, its own digits among them.
    texts.extend(crate::data::registry().iter().flat_map(|set| [set.licence.to_string(), set.about.to_string()]));
    texts.push("CC BY 4.0".to_string());
    if let Some(conclusion) = &m.state.conclusion {
        texts.push(conclusion.sentence.clone());
    }
    for manifest in m.manifests.values() {
        texts.push(manifest.version.clone());
        texts.extend(manifest.fingerprint.values().cloned());
        texts.extend(manifest.host.values().cloned());
        // Shown in binary units, rounded.
        let kib = manifest.host.get("memory").and_then(|t| t.strip_suffix(" kB")?.trim().parse::<u64>().ok());
        texts.extend(kib.map(|kib| crate::units::Bytes(kib * 1024).to_string()));
        texts.push(manifest.data_hash.get(..16).unwrap_or_default().to_string());
    }
    for candidate in &m.state.candidates {
        texts.push(serde_json::to_string(&candidate.assignment).unwrap_or_default());
        if let crate::campaign::Standing::Judged { why, .. } = &candidate.standing {
            texts.push(why.clone());
        }
    }
    for (i, posed) in m.state.counsel.hypotheses.iter().enumerate() {
        texts.push(posed.hypothesis.claim.clone());
        texts.push(posed.hypothesis.refuted_if.clone());
        texts.push(crate::campaign::hypotheses::judge(&m.state, i + 1).words);
    }
    for text in texts {
        for word in words(&text) {
            if word.bytes().any(|b| b.is_ascii_digit()) {
                all.names.insert(word);
            }
        }
    }
}

/// Words as names are compared: cut at spaces, quotes and brackets.
pub(in crate::verify) fn words(text: &str) -> Vec<String> {
    let cut = |c: char| {
        c.is_whitespace()
            || matches!(c, '"' | '[' | ']' | '{' | '}' | ',' | ':' | '(' | ')' | ';' | '`' | '\u{201c}' | '\u{201d}')
    };
    let normal = super::super::shown::normal(text);
    normal.split(cut).map(|w| w.trim_matches(['.', '?', '!', '\'']).to_string()).filter(|w| !w.is_empty()).collect()
}
