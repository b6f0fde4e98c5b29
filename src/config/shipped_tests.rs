//! Every config that the repository ships is read, resolved and written back; and mutations of them never panic.

use super::*;
use crate::problem::Class;
use crate::rng::{Sequence, Stream};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
    files.sort();
    files
}

#[test]
fn every_experiment_loads_and_survives_being_written() {
    let files = files("jobs/experiments");
    assert!(files.len() >= 5);
    for file in files {
        let loaded = load_experiment(&file, &[]).unwrap_or_else(|p| panic!("{p}"));
        assert_eq!(loaded.base, file.parent().unwrap());
        assert_eq!(parse_experiment(&loaded.text, "resolved", &[]).unwrap(), loaded.value);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("#:schema ../schema/experiment.schema.json\n# "), "{}", file.display());
    }
}

#[test]
fn every_campaign_loads_and_survives_being_written() {
    let files = files("jobs/campaigns");
    assert!(files.len() >= 5);
    for file in files {
        let loaded = load_campaign(&file, &[]).unwrap_or_else(|p| panic!("{p}"));
        assert_eq!(parse_campaign(&loaded.text, "resolved", &[]).unwrap(), loaded.value);
        assert_eq!(file.file_stem().unwrap().to_str().unwrap(), loaded.value.name);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("#:schema ../schema/campaign.schema.json\n# "), "{}", file.display());
    }
}

#[test]
fn every_site_loads_and_survives_being_written() {
    let files = files("jobs/sites");
    assert!(!files.is_empty());
    for file in files {
        let loaded = load_site(&file, &[]).unwrap_or_else(|p| panic!("{p}"));
        assert_eq!(parse_site(&loaded.text, "resolved", &[]).unwrap(), loaded.value);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("#:schema ../schema/site.schema.json\n# "), "{}", file.display());
    }
}

#[test]
fn every_preset_makes_a_model() {
    for (name, _) in presets() {
        let data = if name.starts_with("gpt") { "{ kind = \"modular\" }" } else { "{ kind = \"digits\" }" };
        let text = format!("data = {data}\nmodel.preset = \"{name}\"\noptimizer.kind = \"adamw\"");
        parse_experiment(&text, name, &[]).unwrap_or_else(|p| panic!("{p}"));
    }
}

/// `jobs/data/README.md` says how the table was made; this is the same in code.
#[test]
fn the_pendulum_table_is_what_its_readme_says() {
    let mut expected = String::from("length_m,amplitude_deg,mass_g,period_s\n");
    let rounded = |x: f64, digits: i32| (x * 10f64.powi(digits)).round() / 10f64.powi(digits);
    for row in 0..300 {
        let mut random = Sequence::new(1, Stream::Data, 0, row);
        let length = rounded(0.1 + 0.9 * random.uniform(), 3);
        let amplitude = rounded(5.0 + 75.0 * random.uniform(), 1);
        let mass = rounded(20.0 + 180.0 * random.uniform(), 1);
        let t2 = amplitude.to_radians().powi(2);
        let series = 1.0 + t2 / 16.0 + 11.0 * t2 * t2 / 3072.0;
        let period = std::f64::consts::TAU * (length / 9.81).sqrt() * series + 0.02 * random.normal();
        expected += &format!("{length:.3},{amplitude:.1},{mass:.1},{period:.3}\n");
    }
    let committed = std::fs::read_to_string(root().join("jobs/data/pendulum.csv")).unwrap_or_default();
    assert!(committed == expected, "jobs/data/pendulum.csv is not the table that this test makes");
}

/// Everything shipped, as (text, is no experiment).
static SHIPPED: LazyLock<Vec<(String, bool)>> = LazyLock::new(|| {
    let mut texts = Vec::new();
    for file in files("jobs/experiments") {
        let loaded = load_experiment(&file, &[]).unwrap();
        texts.push((std::fs::read_to_string(&file).unwrap(), false));
        texts.push((serde_json::to_string_pretty(&loaded.value).unwrap(), false));
    }
    for file in files("jobs/campaigns") {
        let loaded = load_campaign(&file, &[]).unwrap();
        texts.push((serde_json::to_string_pretty(&loaded.value).unwrap(), true));
        texts.push((loaded.text, true));
    }
    for file in files("jobs/sites") {
        // As it stands, comments and all.
        texts.push((std::fs::read_to_string(&file).unwrap(), true));
    }
    texts
});

/// Reads a text both ways; what is refused must be so as a usage problem with a place and words.
fn read(text: &str, overrides: &[String]) {
    let experiment = parse_experiment(text, "t", overrides).map(drop);
    let campaign = parse_campaign(text, "t", overrides).map(drop);
    let site = parse_site(text, "t", overrides).map(drop);
    for problem in [experiment, campaign, site].into_iter().filter_map(|r| r.err()) {
        assert!(problem.class == Class::Usage && !problem.what.is_empty(), "{problem:?}");
        assert!(problem.place.is_some(), "{problem:?}");
    }
}

const FRAGMENTS: [&str; 24] = [
    "\"",
    "=",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "-1",
    "1e999",
    "nan",
    "99999999999999999999",
    "0x7fffffffffffffff",
    "null",
    "\\u00",
    "[[model]]",
    "kind",
    "preset = 3",
    "1979-05-27",
    "\u{0}",
    "\u{feff}",
    "é",
    "'''",
    ".",
    "\"model.preset\" = 1",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        read(&text, &[]);
        read(&format!("{{{text}"), &[]);
    }

    #[test]
    fn mutated_configs_never_panic(
        which in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, prop::sample::select(&FRAGMENTS[..])), 1..4),
    ) {
        let (text, _) = &SHIPPED[which.index(SHIPPED.len())];
        let mut text: Vec<char> = text.chars().collect();
        for (at, cut, fragment) in edits {
            let at = at.index(text.len().max(1));
            let end = (at + cut).min(text.len());
            text.splice(at..end, fragment.chars());
        }
        read(&text.into_iter().collect::<String>(), &[]);
    }

    #[test]
    fn arbitrary_overrides_never_panic(
        which in any::<prop::sample::Index>(),
        path in "(model|optimizer|training|baseline|space|data|seeds|x)(\\.(preset|kind|budget|steps|widths|0|model|\"a b\"|x)){0,4}",
        value in "(=|\\[|\\{|\"|[a-z0-9.-]){0,8}",
    ) {
        let (text, _) = &SHIPPED[which.index(SHIPPED.len())];
        read(text, &[format!("{path}={value}")]);
    }

    /// What an assignment makes of a shipped experiment is the same after writing and reading it.
    #[test]
    fn resolved_experiments_survive_toml_and_json(
        which in any::<prop::sample::Index>(),
        rate in 1e-9f64..1e3, steps in 1u64..4_000_000_000, batch in 1usize..5000, seed in 0u64..=(i64::MAX as u64),
        dropout in 0.0f64..0.999, share in 1e-6f64..0.999999, every in proptest::option::of(1u64..1000),
    ) {
        let shipped: Vec<&String> = SHIPPED.iter().filter(|(_, campaign)| !campaign).map(|(text, _)| text).collect();
        let base = parse_experiment(shipped[which.index(shipped.len())], "t", &[]).unwrap();
        let mut assignment = BTreeMap::from([
            ("optimizer.learning_rate", json!(rate)), ("training.budget.steps", json!(steps)),
            ("training.batch_size", json!(batch)), ("training.seed", json!(seed)),
            ("model.dropout", json!(dropout)), ("data.validation_fraction", json!(share)),
        ].map(|(k, v)| (k.to_string(), v)));
        assignment.extend(every.map(|e| ("evaluation.every".to_string(), json!(e))));
        let experiment = base.with(&assignment).unwrap_or_else(|p| panic!("{p}"));
        for (path, value) in &assignment {
            prop_assert!(same_value(&experiment.get(path).unwrap(), value), "{path}");
        }
        let text = to_toml(&experiment);
        prop_assert_eq!(&text, &to_toml(&experiment.clone()));
        let again = parse_experiment(&text, "t", &[]).unwrap();
        prop_assert_eq!(&again, &experiment);
        prop_assert_eq!(again.run_key("d"), experiment.run_key("d"));
        prop_assert_eq!(parse_experiment(&serde_json::to_string(&experiment).unwrap(), "t", &[]).unwrap(), experiment);
    }
}
