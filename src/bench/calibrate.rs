//! A throughput profile of this machine: small programs of every kind, timed once and kept in the cache.

use super::measure::{Measured, measure};
use crate::config::{DataShape, EngineKind, InputShape, TargetShape, parse_experiment};
use crate::cost::{Machine, Sample, ThroughputProfile, fit};
use crate::data::Dataset;
use crate::engine;
use crate::problem::{Problem, Result};
use crate::sys::clock::{Clock, Stopwatch, SystemClock};
use crate::sys::http::FakeFetch;
use crate::sys::process::{self, DetachedChild};
use crate::sys::{env, fs};
use crate::units::Bytes;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

/// Seconds spent on each of the programs' families.
const SECONDS_EACH: f64 = 0.15;

/// What is measured: input shape, target shape, the lines of `[model]`, batch size. Chosen to span the sizes and the
/// ops of the presets without being any of them.
const FAMILIES: &[(&str, &str, usize)] = &[
    ("pixels 64", "kind = \"mlp\"\nwidths = [48]", 64),
    ("pixels 64", "kind = \"mlp\"\nwidths = [320, 320]\nactivation = \"gelu\"", 64),
    ("pixels 784", "kind = \"mlp\"\nwidths = [200]", 64),
    ("pixels 784", "kind = \"mlp\"\nwidths = [512, 256]\nnorm = \"layer\"\ndropout = 0.2\nactivation = \"gelu\"", 64),
    ("pixels 64", "kind = \"mlp\"\nwidths = [96, 96, 96]\nresidual = true\nnorm = \"layer\"\ndropout = 0.1", 32),
    ("text 65", "kind = \"gpt\"\ndepth = 1\nwidth = 64\nheads = 4\ncontext = 32", 16),
    ("text 65", "kind = \"gpt\"\ndepth = 2\nwidth = 128\nheads = 4\ncontext = 64", 16),
    ("text 65", "kind = \"gpt\"\ndepth = 1\nwidth = 256\nheads = 4\ncontext = 128", 8),
    ("text 65", "kind = \"gpt\"\ndepth = 1\nwidth = 384\nheads = 6\ncontext = 256", 4),
    (
        "text 65",
        "kind = \"gpt\"\ndepth = 2\nwidth = 96\nheads = 6\nkv_heads = 2\ncontext = 64\nnorm = \"rms\"\n\
         positions = \"rotary\"\nfeed_forward = \"swiglu\"\nqk_norm = true\nbias = false",
        16,
    ),
    (
        "text 65",
        "kind = \"gpt\"\ndepth = 1\nwidth = 256\nheads = 8\nkv_heads = 4\ncontext = 128\nnorm = \"rms\"\n\
         positions = \"rotary\"\nfeed_forward = \"swiglu\"\nqk_norm = true\nbias = false",
        8,
    ),
    (
        "pairs 97",
        "kind = \"gpt\"\ndepth = 1\nwidth = 128\nheads = 4\nnorm = \"none\"\nfeed_forward = \"relu\"\ntied = false",
        256,
    ),
    (
        "pairs 97",
        "kind = \"gpt\"\ndepth = 2\nwidth = 96\nheads = 4\nnorm = \"none\"\nfeed_forward = \"relu\"\ntied = false",
        512,
    ),
    ("image 8", "kind = \"cnn\"\nstages = [{ channels = 16, pool = \"none\" }, { channels = 32 }]\nwidths = [64]", 64),
    ("image 8", "kind = \"cnn\"\nstages = [{ channels = 48, pool = \"max\" }, { channels = 64 }]\nwidths = []", 32),
    (
        "image 16",
        "kind = \"cnn\"\nstages = [{ channels = 16, convs = 2, pool = \"mean\" }, { channels = 32 }]\nresidual = true\n\
         norm_groups = 4\nhead = \"mean\"\nwidths = []",
        32,
    ),
    (
        "image 8",
        "kind = \"cnn\"\nstages = [{ channels = 32, convs = 2, pool = \"max\" }]\nresidual = true\nnorm_groups = 8\n\
         head = \"mean\"\nwidths = [32]",
        64,
    ),
];

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
pub fn profile(kind: EngineKind, threads: usize, say: &mut dyn FnMut(&str)) -> Result<ThroughputProfile> {
    let chip = chip();
    let name = blake3::hash(format!("{kind:?} {threads} {chip:?} {}", env!("CARGO_PKG_VERSION")).as_bytes());
    let path = env::cache_dir().join("profiles").join(format!("{}.json", &name.to_hex()[..16]));
    if let Some(bytes) = fs::read_if_there(&path)? {
        // A damaged or foreign profile is only a reason to measure again.
        if let Ok(profile) = ThroughputProfile::parse(&String::from_utf8_lossy(&bytes), &path.display().to_string()) {
            return Ok(profile);
        }
    }
    say("measuring this machine once for the cost model");
    let profile = calibrate(kind, threads, chip)?;
    let text =
        serde_json::to_string_pretty(&profile).map_err(|e| Problem::failed(format!("a profile is no JSON: {e}")))?;
    // Without a writable cache it is measured again next time; that is no reason to stop.
    if let Err(problem) =
        fs::create_dir(&env::cache_dir().join("profiles")).and_then(|()| fs::write_atomic(&path, text.as_bytes()))
    {
        say(&format!("the profile cannot be kept: {problem}"));
    }
    Ok(profile)
}

/// Measures the machine now.
pub fn calibrate(kind: EngineKind, threads: usize, chip: BTreeMap<String, String>) -> Result<ThroughputProfile> {
    engine::limit_threads(threads);
    let mut measured: Vec<Measured> = Vec::new();
    for (data, model, batch) in FAMILIES {
        let section = data_section(data);
        let text = format!(
            "[data]\n{section}\n[model]\n{model}\n[optimizer]\nkind = \"adamw\"\n[training]\nbatch_size = {batch}\n\
             [resources]\nthreads = {threads}\n"
        );
        let mut experiment = parse_experiment(&text, "calibration", &[])?;
        experiment.resources.engine = kind;
        measured.push(measure(&experiment, &shape(data), SECONDS_EACH)?);
    }
    let samples: Vec<Sample> = measured
        .iter()
        .flat_map(|m| {
            [(&m.programs.micro, m.micro), (&m.programs.apply, m.apply), (&m.programs.eval, m.eval)]
                .map(|(program, seconds)| Sample { program, seconds })
        })
        .collect();
    let machine = Machine {
        engine: format!("{kind:?}").to_lowercase(),
        threads,
        chip,
        startup_seconds: startup()?,
        write_seconds_per_byte: write_speed()?,
        process_memory: Bytes(process::resident_memory().0),
    };
    fit(&samples, machine)
}

/// What decides speed, beside the engine: chip, cores and kernel.
fn chip() -> BTreeMap<String, String> {
    env::host_facts().into_iter().map(|(key, value)| (key.to_string(), value)).collect()
}

/// Seconds from launching this program to its first own instruction, plus reading the embedded dataset.
fn startup() -> Result<f64> {
    let folder = env::cache_dir();
    fs::create_dir(&folder)?;
    let program = process::current_exe().map_err(|e| Problem::failed(format!("this program cannot be found: {e}")))?;
    let clock = SystemClock::default();
    let mut times = Vec::new();
    for _ in 0..3 {
        let watch = Stopwatch::start();
        let mut child = DetachedChild::spawn(&program, &[OsStr::new("--version")], &folder.join("startup.log"))
            .map_err(|e| Problem::failed(format!("this program cannot be started: {e}")))?;
        while matches!(child.try_wait(), Ok(None)) {
            clock.sleep(0.000_5);
        }
        times.push(watch.seconds());
    }
    fs::remove_file(&folder.join("startup.log"))?;
    times.sort_by(f64::total_cmp);
    let watch = Stopwatch::start();
    let digits = parse_experiment(
        "[data]\nkind = \"digits\"\n[model]\nkind = \"mlp\"\n[optimizer]\nkind = \"adamw\"\n",
        "digits",
        &[],
    )?;
    Dataset::load(&digits.data, Path::new("."), Path::new("."), &FakeFetch::default(), &mut |_, _| {})?;
    Ok(times[1] + watch.seconds())
}

/// Seconds to write one synced byte, from writing a few MiB the way checkpoints are written.
fn write_speed() -> Result<f64> {
    const SIZE: usize = 4 << 20;
    let path = env::cache_dir().join("write-speed.tmp");
    let watch = Stopwatch::start();
    fs::write_atomic(&path, &vec![7u8; SIZE])?;
    let seconds = watch.seconds();
    fs::remove_file(&path)?;
    Ok(seconds / SIZE as f64)
}
