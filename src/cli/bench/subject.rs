//! Which experiments are measured: by the names of those in `benches/train`, which are embedded, or by file.

use crate::bench;
use crate::cli::data::download_bar;
use crate::config::{self, DataShape, Experiment, load_experiment, parse_experiment};
use crate::data::Dataset;
use crate::engine::{limit_threads, thread_count};
use crate::problem::{Problem, Result};
use crate::sys::{env, http::Network};
use std::path::{Path, PathBuf};

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../benches/train/", $name, ".toml")))),*]
    };
}

/// Name and text of every experiment that is measured where none is named.
pub const STANDARD: &[(&str, &str)] =
    embedded!["char-gpt-4x128", "char-gpt-6x384", "mlp-784-256-10", "mlp-64-128-10", "digits-cnn", "modular-addition",];

/// One experiment to be measured.
#[derive(Debug)]
pub struct Named {
    /// What it is called in tables.
    pub name: String,
    /// The experiment.
    pub experiment: Experiment,
    /// Its data's shape.
    pub shape: DataShape,
}

/// The experiments that arguments name; all of [`STANDARD`] where none does. What holds a `=` is an override for all.
pub fn subjects(arguments: &[String]) -> Result<Vec<Named>> {
    let (overrides, names): (Vec<String>, Vec<String>) = arguments.iter().cloned().partition(|a| a.contains('='));
    let names = if names.is_empty() { STANDARD.iter().map(|(name, _)| name.to_string()).collect() } else { names };
    names.iter().map(|name| subject(name, &overrides)).collect()
}

/// One experiment, by name or file.
pub fn subject(name: &str, overrides: &[String]) -> Result<Named> {
    let known = STANDARD.iter().find(|(known, _)| *known == name);
    if let Some((name, text)) = known {
        let experiment = parse_experiment(text, &format!("benches/train/{name}.toml"), overrides)?;
        return named(name, experiment, Path::new("."));
    }
    let path = PathBuf::from(name);
    if !path.exists() {
        let names: Vec<&str> = STANDARD.iter().map(|(name, _)| *name).collect();
        return Err(Problem::usage(format!("there is no experiment {name}"))
            .remedy(format!("give a file, or one of {}", names.join(", "))));
    }
    let loaded = load_experiment(&path, overrides)?;
    let name = path.file_stem().map_or_else(|| name.to_string(), |stem| stem.to_string_lossy().into_owned());
    named(&name, loaded.value, &loaded.base)
}

fn named(name: &str, experiment: Experiment, base: &Path) -> Result<Named> {
    let shape = match bench::known_shape(&experiment.data) {
        Some(shape) => shape,
        None => Dataset::load(&experiment.data, base, &env::data_dir(), &Network, &mut download_bar())?.shape(),
    };
    Ok(Named { name: name.to_string(), experiment, shape })
}

/// The engine of that name, in the words of `resources.engine`.
pub fn engine(name: &str) -> Result<config::EngineKind> {
    serde_json::from_value(serde_json::Value::String(name.to_string()))
        .map_err(|e| Problem::usage(format!("there is no engine {name}: {e}")).at("--engine"))
}

/// The number of threads that is meant (0: all cores), with the engine's libraries limited to it. To be called first.
pub fn threads(wanted: usize) -> usize {
    limit_threads(wanted);
    thread_count(wanted)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::graph;

    #[test]
    fn every_standard_experiment_builds_and_is_the_committed_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/train");
        let mut files: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut names: Vec<&str> = STANDARD.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
        let parameters: Vec<u64> = STANDARD
            .iter()
            .map(|(name, text)| {
                assert!(text.starts_with("#:schema ../../jobs/schema/experiment.schema.json\n# "), "{name}");
                let named = subject(name, &[]).unwrap();
                graph::build(&named.experiment, &named.shape).unwrap().state.parameter_count()
            })
            .collect();
        // Counted by hand: embeddings, blocks of 12 W^2 + 13 W, final norm; dense layers with biases; 3x3 kernels.
        let gpt = |l: u64, w: u64, t: u64| (65 + t) * w + l * (12 * w * w + 13 * w) + 2 * w;
        assert_eq!(parameters[0], gpt(4, 128, 64));
        assert_eq!(parameters[1], gpt(6, 384, 256));
        assert_eq!(parameters[2], 785 * 256 + 257 * 10);
        assert_eq!(parameters[3], 65 * 128 + 129 * 10);
        assert_eq!(parameters[4], 10 * 32 + (9 * 32 + 1) * 64 + 1025 * 128 + 129 * 10);
        assert_eq!(parameters[5], (114 + 3) * 128 + 12 * 128 * 128 + 9 * 128 + 113 * 128);
    }

    #[test]
    fn names_files_and_overrides() {
        let all = subjects(&["training.batch_size=8".into()]).unwrap();
        assert_eq!(all.len(), STANDARD.len());
        assert!(all.iter().all(|s| s.experiment.training.batch_size == 8));
        let file = format!("{}/jobs/experiments/digits-mlp.toml", env!("CARGO_MANIFEST_DIR"));
        let one = subjects(&[file, "training.seed=3".into()]).unwrap();
        assert_eq!((one[0].name.as_str(), one[0].experiment.training.seed), ("digits-mlp", 3));
        let problem = subjects(&["char-gpt".into()]).unwrap_err();
        assert!(problem.remedy.is_some_and(|r| r.contains("char-gpt-4x128")));
        assert!(engine("reference").is_ok() && engine("abacus").is_err());
    }
}
