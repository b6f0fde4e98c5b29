//! A throughput profile of this machine: small programs of every kind, timed once and kept in the cache.

use super::measure::{Measured, measure};
use crate::config::{DataShape, InputShape, ModelSpec, TargetShape, parse_experiment};
use crate::cost::{Machine, Sample, ThroughputProfile, fit};
use crate::engine::{self, Placement};
use crate::problem::{Problem, Result};
use crate::sys::{env, fs, process};
use crate::units::Bytes;
use std::collections::BTreeMap;

/// Seconds spent on each of the measured models, where they are fast enough for several repetitions.
const SECONDS_EACH: f64 = 0.1;

/// A family of models. Each has a profile of its own, so that a campaign of perceptrons does not wait for transformers
/// to be measured, and the spread is that of its own kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Fully connected networks.
    Mlp,
    /// Transformers.
    Gpt,
    /// Convolutional networks.
    Cnn,
}

impl Family {
    /// The family of a model.
    pub fn of(model: &ModelSpec) -> Self {
        match model {
            ModelSpec::Mlp(_) => Family::Mlp,
            ModelSpec::Gpt(_) => Family::Gpt,
            ModelSpec::Cnn(_) => Family::Cnn,
        }
    }

    /// What is measured: data, the lines of `[model]`, batch size. Chosen to span the sizes and the ops of the presets
    /// without being any of them.
    fn probes(self) -> &'static [(&'static str, &'static str, usize)] {
        match self {
            Family::Mlp => &[
                ("pixels 64", "widths = [48]", 64),
                ("pixels 64", "widths = [192]\nactivation = \"tanh\"\ndropout = 0.2", 32),
                ("pixels 64", "widths = [320, 320]\nactivation = \"gelu\"", 64),
                ("pixels 784", "widths = [200]", 48),
                ("pixels 784", "widths = [384, 256]\nnorm = \"layer\"\ndropout = 0.2\nactivation = \"gelu\"", 64),
                ("pixels 64", "widths = [96, 96, 96]\nresidual = true\nnorm = \"layer\"\ndropout = 0.1", 32),
                ("pixels 64", "widths = [256, 256, 256]\nresidual = true\nnorm = \"rms\"", 96),
            ],
            Family::Gpt => &[
                ("text 65", "depth = 1\nwidth = 64\nheads = 4\ncontext = 32", 16),
                ("text 65", "depth = 2\nwidth = 96\nheads = 4\ncontext = 64", 8),
                ("text 65", "depth = 1\nwidth = 160\nheads = 4\ncontext = 64", 16),
                ("text 65", "depth = 1\nwidth = 256\nheads = 4\ncontext = 128", 4),
                ("text 65", "depth = 1\nwidth = 384\nheads = 6\ncontext = 192", 2),
                (
                    "text 65",
                    "depth = 2\nwidth = 96\nheads = 6\nkv_heads = 2\ncontext = 64\nnorm = \"rms\"\nbias = false\n\
                     positions = \"rotary\"\nfeed_forward = \"swiglu\"\nqk_norm = true",
                    8,
                ),
                (
                    "text 65",
                    "depth = 1\nwidth = 256\nheads = 8\nkv_heads = 4\ncontext = 96\nnorm = \"rms\"\nbias = false\n\
                     positions = \"rotary\"\nfeed_forward = \"swiglu\"\nqk_norm = true",
                    4,
                ),
                (
                    "pairs 97",
                    "depth = 1\nwidth = 96\nheads = 4\nnorm = \"none\"\nfeed_forward = \"relu\"\ntied = false",
                    64,
                ),
                (
                    "pairs 97",
                    "depth = 1\nwidth = 160\nheads = 4\nnorm = \"none\"\nfeed_forward = \"relu\"\ntied = false",
                    128,
                ),
            ],
            Family::Cnn => &[
                ("image 8", "stages = [{ channels = 16, pool = \"none\" }, { channels = 32 }]\nwidths = [64]", 48),
                ("image 8", "stages = [{ channels = 48, pool = \"max\" }, { channels = 64 }]\nwidths = []", 24),
                ("image 8", "stages = [{ channels = 24, pool = \"none\" }, { channels = 48 }]\nwidths = [96]", 96),
                (
                    "image 16",
                    "stages = [{ channels = 16, convs = 2, pool = \"mean\" }, { channels = 32 }]\nresidual = true\n\
                     norm_groups = 4\nhead = \"mean\"\nwidths = []",
                    16,
                ),
                (
                    "image 8",
                    "stages = [{ channels = 32, convs = 2, pool = \"max\" }]\nresidual = true\nnorm_groups = 8\n\
                     head = \"mean\"\nwidths = [32]",
                    48,
                ),
            ],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Family::Mlp => "mlp",
            Family::Gpt => "gpt",
            Family::Cnn => "cnn",
        }
    }
}

/// A `[data]` section that such a model accepts. It is never read: shapes come from the table.
fn data_section(words: &str) -> &'static str {
    match words.split(' ').next() {
        Some("text") => "kind = \"text\"\nname = \"tinyshakespeare\"",
        Some("pairs") => "kind = \"modular\"",
        _ => "kind = \"digits\"",
    }
}

fn shape(words: &str) -> DataShape {
    let (kind, size) = words.split_once(' ').unwrap_or((words, "1"));
    let n: usize = size.parse().unwrap_or(1);
    let class = TargetShape::Class { classes: 10 };
    match kind {
        "text" => DataShape {
            input: InputShape::Tokens { vocabulary: n, fixed: None },
            target: TargetShape::NextToken { vocabulary: n },
        },
        "pairs" => DataShape {
            input: InputShape::Tokens { vocabulary: n + 1, fixed: Some(3) },
            target: TargetShape::Class { classes: n },
        },
        "image" => DataShape { input: InputShape::Image { height: n, width: n, channels: 1 }, target: class },
        _ => DataShape { input: InputShape::Features(n), target: class },
    }
}

/// The profile of this machine for an engine and a number of threads: from the cache, or measured now (some seconds)
/// and kept there. `say` is told when it has to be measured.
pub fn profile(placement: Placement, family: Family, say: &mut dyn FnMut(&str)) -> Result<ThroughputProfile> {
    let chip = super::host::chip();
    let probes = family.probes();
    let build = super::host::build();
    let name = blake3::hash(format!("{placement:?} {probes:?} {chip:?} {build:?}").as_bytes());
    let path = env::cache_dir().join("profiles").join(format!("{}.json", &name.to_hex()[..16]));
    if let Some(bytes) = fs::read_if_there(&path)? {
        // A damaged or foreign profile is only a reason to measure again.
        if let Ok(profile) = ThroughputProfile::parse(&String::from_utf8_lossy(&bytes), &path.display().to_string()) {
            return Ok(profile);
        }
    }
    say(&format!("measuring this machine once for the cost model ({} models)", family.name()));
    let profile = calibrate(placement, family, chip)?;
    let text =
        serde_json::to_string_pretty(&profile).map_err(|e| Problem::failed(format!("a profile is no JSON: {e}")))?;
    // Without a writable cache it is measured again next time; that is no reason to stop.
    if let Err(problem) =
        fs::create_dir(&env::cache_dir().join("profiles")).and_then(|()| fs::write_atomic(&path, text.as_bytes()))
    {
        say(&format!("warning: the measurement cannot be kept, and is made again next time: {problem}"));
    }
    Ok(profile)
}

/// Measures the machine now.
pub fn calibrate(placement: Placement, family: Family, chip: BTreeMap<String, String>) -> Result<ThroughputProfile> {
    let Placement { kind, device, precision, threads } = placement;
    engine::limit_threads(threads);
    let mut measured: Vec<Measured> = Vec::new();
    for (data, model, batch) in family.probes() {
        let section = data_section(data);
        let text = format!(
            "[data]\n{section}\n[model]\nkind = \"{}\"\n{model}\n[optimizer]\nkind = \"adamw\"\n[training]\nbatch_size = {batch}\n\
             [resources]\nthreads = {threads}\n",
            family.name()
        );
        let mut experiment = parse_experiment(&text, "calibration", &[])?;
        experiment.resources.engine = Some(kind);
        experiment.resources.device = device;
        experiment.training.precision = precision;
        measured.push(measure(&experiment, &shape(data), SECONDS_EACH)?);
    }
    let samples: Vec<Sample> = measured
        .iter()
        .enumerate()
        .flat_map(|(model, m)| {
            [
                (&m.programs.micro, m.micro, m.programs.micro_steps as f64),
                (&m.programs.apply, m.apply, 1.0),
                (&m.programs.eval, m.eval, 0.0),
            ]
            .map(|(program, seconds, per_step)| Sample { program, seconds, model, per_step })
        })
        .collect();
    let host = super::host::host()?;
    let machine = Machine {
        engine: format!("{kind:?}").to_lowercase(),
        threads,
        chip,
        startup_seconds: host.startup_seconds,
        write_seconds_per_byte: host.write_seconds_per_byte,
        process_memory: Bytes(process::resident_memory().0),
    };
    fit(&samples, machine)
}
