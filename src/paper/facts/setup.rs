//! What was trained on what, how, where, and with which seeds.

use super::{Gather, words};
use crate::config::{DataSpec, Experiment, ModelSpec, NUMERICS_VERSION, OptimizerSpec};
use crate::data::registry;
use crate::paper::fact::{Basis, CAMPAIGN, Show};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn add(g: &mut Gather) {
    g.text("campaign.name", CAMPAIGN, "name of the campaign", g.state.campaign.name.clone());
    g.name(g.state.campaign.name.clone());
    for word in g.state.campaign.question.split_whitespace() {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        // A name such as GPT-2; a plain number is none.
        if word.chars().any(char::is_alphabetic)
            && word.chars().any(|c| c.is_ascii_digit())
            && word.chars().next().is_some_and(char::is_uppercase)
        {
            g.name(word);
        }
    }
    data(g);
    experiment(g);
    seeds(g);
    environment(g);
    manifest(g);
}

fn baseline<'a>(g: &Gather<'a>) -> &'a Experiment {
    g.state.scope.as_ref().map_or(&g.state.campaign.baseline, |s| &s.baseline)
}

fn data(g: &mut Gather) {
    let spec = &baseline(g).data;
    let unknown = "the campaign does not say under which licence its data are";
    let named = |name: &str| registry().iter().find(|set| set.name == name);
    let (name, about, licence): (String, String, Option<String>) = match spec {
        DataSpec::Digits(_) => (
            "digits".into(),
            "grey eight by eight images of handwritten digits".into(),
            Some("E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0".into()),
        ),
        DataSpec::Text(text) => match (&text.name, &text.path) {
            (Some(name), _) => {
                let set = named(name);
                (name.clone(), set.map_or("a text".into(), |s| s.about.into()), set.map(|s| s.licence.into()))
            }
            (None, path) => (file_name(path.as_deref()), "a text file".into(), None),
        },
        DataSpec::Idx(idx) => match (&idx.name, &idx.images) {
            (Some(name), _) => {
                let set = named(name);
                (name.clone(), set.map_or("images".into(), |s| s.about.into()), set.map(|s| s.licence.into()))
            }
            (None, path) => (file_name(path.as_deref()), "images in IDX format".into(), None),
        },
        DataSpec::Csv(csv) => (file_name(Some(&csv.path)), "a table".into(), None),
        DataSpec::Modular(_) => (
            "modular arithmetic".into(),
            "all pairs of residues under a modular operation, computed by the program".into(),
            Some("generated, no licence needed".into()),
        ),
    };
    let title = match spec {
        DataSpec::Digits(_) => "handwritten digits".to_string(),
        DataSpec::Text(text) if text.name.as_deref() == Some("tinyshakespeare") => {
            "the plays of Shakespeare".to_string()
        }
        DataSpec::Modular(_) => "modular arithmetic".to_string(),
        _ if name.starts_with("mnist") => "MNIST".to_string(),
        _ => name.clone(),
    };
    g.text("data.title", CAMPAIGN, "the data in a title", title);
    g.name(name.clone());
    g.text("data.name", CAMPAIGN, "the dataset", name);
    g.text("data.about", CAMPAIGN, "what the dataset is", about);
    match licence {
        Some(licence) => g.text("data.licence", CAMPAIGN, "source and licence of the data", licence),
        None => g.missing("data.licence", "licence of the data", unknown, Show::Words),
    };
}

/// The last part of a path: no machine's folders in a paper.
fn file_name(path: Option<&str>) -> String {
    path.and_then(|p| p.rsplit('/').next()).unwrap_or("unnamed").to_string()
}

/// Every plain setting of the baseline.
fn experiment(g: &mut Gather) {
    let experiment = baseline(g).clone();
    let tree = serde_json::to_value(&experiment).unwrap_or_default();
    let mut leaves = BTreeMap::new();
    flatten("", &tree, &mut leaves);
    for (path, value) in leaves {
        // What is no part of the experiment's identity, and paths of files, are not what a paper speaks of.
        if path.starts_with("resources.")
            || path.ends_with("path")
            || path.ends_with("images")
            || path.ends_with("labels")
        {
            continue;
        }
        g.setting(format!("config.{}", words::slug(&path)), "baseline", &path, &value);
    }
    let kind = match &experiment.model {
        ModelSpec::Mlp(_) => "fully connected network",
        ModelSpec::Gpt(_) => "decoder-only transformer",
        ModelSpec::Cnn(_) => "convolutional network",
    };
    g.text("model.kind", CAMPAIGN, "the model", kind);
    let optimiser = match &experiment.optimizer {
        OptimizerSpec::Sgd(_) => "stochastic gradient descent",
        OptimizerSpec::Adamw(_) => "AdamW",
    };
    g.text("optimizer.name", CAMPAIGN, "the optimiser", optimiser);
    let rate = match &experiment.optimizer {
        OptimizerSpec::Sgd(o) => o.learning_rate,
        OptimizerSpec::Adamw(o) => o.learning_rate,
    };
    g.number("optimizer.rate", "baseline", "peak learning rate", rate, Show::Significant(3));
    for downscaled in g.state.scope.iter().flat_map(|s| &s.downscaled).cloned().collect::<Vec<_>>() {
        let what = format!("{:?}", downscaled.what).to_lowercase();
        g.text(format!("downscaled.{what}.from"), CAMPAIGN, format!("{what} as asked for"), downscaled.from);
        g.text(format!("downscaled.{what}.to"), CAMPAIGN, format!("{what} as the budget allowed"), downscaled.to);
    }
}

fn flatten(path: &str, value: &Json, into: &mut BTreeMap<String, Json>) {
    match value {
        Json::Object(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, into);
            }
        }
        Json::Null => {}
        Json::Array(items) if items.iter().any(Json::is_object) => {}
        other => {
            into.insert(path.to_string(), other.clone());
        }
    }
}

fn seeds(g: &mut Gather) {
    let seeds = &g.state.campaign.seeds;
    let values = g.state.baseline.as_ref().map(|b| b.values.keys().copied().collect::<Vec<u64>>()).unwrap_or_default();
    let planned = g.state.scope.as_ref().map_or(seeds.baseline, |s| s.seeds.len());
    let confirm = g.state.scope.as_ref().map_or(seeds.confirm, |s| s.confirm);
    g.count("seeds.planned", "seeds of the baseline", planned).unit("seeds");
    g.count("seeds.baseline", "seeds of the baseline that gave a value", values.len()).unit("seeds");
    g.count("seeds.confirm", "seeds of a confirmation", confirm).unit("seeds");
    g.count("seeds.finalists", "candidates that may be repeated", seeds.finalists).unit("candidates");
    if let (Some(first), Some(last)) = (values.first(), values.last()) {
        g.number("seeds.first", CAMPAIGN, "first seed of the baseline", *first as f64, Show::Count);
        g.number("seeds.last", CAMPAIGN, "last seed of the baseline", *last as f64, Show::Count);
    }
    if let Some(screening) = g.state.screening_seed() {
        g.number(
            "seeds.screening",
            CAMPAIGN,
            "seed on which candidates are first looked at",
            screening as f64,
            Show::Count,
        );
    }
}

/// What the baseline's first manifest says of sizes.
fn manifest(g: &mut Gather) {
    let first = g.state.runs.iter().find_map(|r| Some((r.id, g.manifests.get(&r.id)?.clone())));
    let Some((run, manifest)) = first else { return };
    let source = vec![format!("runs/{run}/manifest.json")];
    let mut number = |id: &str, subject: &str, what: &str, value: f64, unit: &str, show: Show| {
        g.number(id, subject, what, value, show).unit(unit).from(Basis::Attempts, source.clone());
    };
    number("model.parameters", "baseline", "trained parameters", manifest.parameters as f64, "parameters", Show::Count);
    number("training.steps", "baseline", "optimiser steps", manifest.total_steps as f64, "steps", Show::Count);
    number("data.train", CAMPAIGN, "samples in the training part", manifest.train_samples as f64, "", Show::Count);
    number(
        "data.validation",
        CAMPAIGN,
        "samples in the validation part",
        manifest.validation_samples as f64,
        "",
        Show::Count,
    );
    number(
        "training.flops",
        "baseline",
        "floating-point operations of a run",
        manifest.step_flops * manifest.total_steps as f64,
        "",
        Show::Significant(3),
    );
    let hash = manifest.data_hash.get(..16).unwrap_or(&manifest.data_hash).to_string();
    g.text("data.hash", CAMPAIGN, "beginning of the hash of the data", hash).from(Basis::Attempts, source);
}

fn environment(g: &mut Gather) {
    g.text("env.numerics", CAMPAIGN, "version of the numerics", NUMERICS_VERSION.to_string());
    let mut collected: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for manifest in g.manifests.values() {
        for key in ["cpu", "device", "engine", "isa", "precision", "gpu", "driver", "numerics"] {
            collected.entry(key).or_default().extend(manifest.fingerprint.get(key).cloned());
        }
        for key in ["cores", "memory", "kernel"] {
            collected.entry(key).or_default().extend(manifest.host.get(key).cloned());
        }
        collected.entry("version").or_default().insert(manifest.version.clone());
    }
    let runs = g.manifests.len();
    for (key, values) in collected.into_iter().filter(|(_, v)| !v.is_empty()) {
        let values: Vec<String> = values.into_iter().collect();
        let text = match key {
            "memory" => memory(&values[0]),
            _ => words::list(&values),
        };
        let what = match key {
            "cpu" => "processor",
            "isa" => "instruction set",
            "version" => "version of the program",
            other => other,
        };
        let fact = g.text(format!("env.{key}"), CAMPAIGN, what, text.clone());
        fact.n(runs).from(Basis::Attempts, vec!["runs/*/manifest.json".to_string()]);
        g.name(text);
    }
    let prints: BTreeSet<String> = g
        .manifests
        .values()
        .map(|m| {
            let decisive = m.fingerprint.iter().filter(|(k, _)| k.as_str() != "micro_batch");
            decisive.map(|(k, v)| format!("{k}={v};")).collect::<String>()
        })
        .collect();
    if !prints.is_empty() {
        g.count("env.fingerprints", "different fingerprints", prints.len()).unit("fingerprints");
    }
}

/// `24684092 kB` as `23.5 GiB`.
fn memory(text: &str) -> String {
    let kib = text.strip_suffix(" kB").and_then(|n| n.trim().parse::<u64>().ok());
    kib.map_or_else(|| text.to_string(), |kib| crate::units::Bytes(kib * 1024).to_string())
}
