//! What belongs to the machine and not to an engine or a family of models: how long a worker takes to start, how fast a
//! checkpoint is written. Measured once and kept in the cache.

use crate::config::{DeviceSpec, parse_experiment};
use crate::data::Dataset;
use crate::gpu::Libraries;
use crate::ids::{AttemptId, RunId, RunKey};
use crate::problem::{Problem, Result};
use crate::record::{AttemptSpec, CheckpointInfo, FORMAT, Outcome, write_checkpoint};
use crate::sys::clock::{Clock, Stopwatch, SystemClock};
use crate::sys::http::FakeFetch;
use crate::sys::process::{self, DetachedChild};
use crate::sys::{env, fs};
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What was measured of the machine.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Host {
    /// Seconds of a worker beside its steps.
    pub startup_seconds: f64,
    /// Seconds to write and sync one byte of a checkpoint.
    pub write_seconds_per_byte: f64,
    /// Seconds of a checkpoint beside its bytes: folders, syncs, renames.
    pub checkpoint_seconds: f64,
    /// Peak resident memory of a worker that has next to no state and data: the program, its threads, its tables.
    pub process_memory: Bytes,
}

/// From the cache, or measured now (under a second) and kept there where that is possible.
pub(super) fn host() -> Result<Host> {
    let path = path();
    if let Some(host) = read(&path)? {
        return Ok(host);
    }
    let (worker_seconds, process_memory) = startup()?;
    let checkpoint_seconds = checkpoint()?;
    // The worker wrote a checkpoint and its model, which are counted by themselves.
    let startup_seconds = (worker_seconds - 2.0 * checkpoint_seconds).max(0.0);
    let host = Host { startup_seconds, write_seconds_per_byte: write_speed()?, checkpoint_seconds, process_memory };
    let text = serde_json::to_vec(&host).map_err(|e| Problem::failed(format!("a measurement is no JSON: {e}")))?;
    // Without a writable cache it is measured again; the profile, which is kept beside it, says so.
    let _ = fs::create_dir(&folder()).and_then(|()| fs::write_atomic(&path, &text));
    Ok(host)
}

/// From the cache; where it is not there, what a 2-core virtual machine with a local disk took.
pub(super) fn at_hand() -> Host {
    let kept = read(&path());
    kept.ok().flatten().unwrap_or(Host {
        startup_seconds: 0.02,
        write_seconds_per_byte: 1e-9,
        checkpoint_seconds: 0.01,
        process_memory: Bytes(16 << 20),
    })
}

fn path() -> PathBuf {
    kept_at("host-", &format!("{:?}", chip()))
}

/// Where the cache keeps what this build measured, under a name that changes with what decides it.
pub(super) fn kept_at(prefix: &str, decided_by: &str) -> PathBuf {
    let name = blake3::hash(format!("{decided_by} {BUILD}").as_bytes());
    folder().join(format!("{prefix}{}.json", &name.to_hex()[..16]))
}

/// The cache's part for what was measured.
pub(super) fn folder() -> PathBuf {
    env::cache_dir().join("profiles")
}

/// A damaged file is only a reason to measure again.
fn read(path: &Path) -> Result<Option<Host>> {
    let sound = |host: &Host| host.startup_seconds >= 0.0 && host.write_seconds_per_byte >= 0.0;
    Ok(fs::read_if_there(path)?.and_then(|bytes| serde_json::from_slice::<Host>(&bytes).ok()).filter(sound))
}

/// This very program (see build.rs): another build may be faster or slower, so measurements belong to one.
pub(super) const BUILD: &str = env!("NANORESEARCH_BUILD");

/// What decides speed, beside the engine: chip, cores and kernel.
fn chip() -> BTreeMap<String, String> {
    env::host_facts().into_iter().map(|(key, value)| (key.to_string(), value)).collect()
}

/// The same for a device: of a GPU also which kind it is, and its driver. Machines may share a cache, and a number stands for
/// another card where `CUDA_VISIBLE_DEVICES` is another. A GPU that does not answer is left to whoever opens it.
pub(super) fn chip_of(device: DeviceSpec) -> BTreeMap<String, String> {
    let mut facts = chip();
    if let DeviceSpec::Cuda(ordinal) = device {
        let libraries = Libraries::get();
        let kind = libraries.device_kind(ordinal).ok();
        facts.extend(kind.map(|(name, memory)| ("gpu".to_string(), format!("{name}, {memory}"))));
        facts.extend(libraries.driver_version().map(|version| ("cuda-driver".to_string(), version.to_string())));
    }
    facts
}

/// Seconds of a worker beside its steps (launch, reading the data, folders, manifest, outcome) and its memory, by its own
/// outcome. Measured on real workers that train one step on the embedded digits.
fn startup() -> Result<(f64, Bytes)> {
    let folder = env::scratch_dir().join(format!("startup-{}", std::process::id()));
    let result = small_worker(&folder);
    fs::remove_dir(&folder)?;
    result
}

fn small_worker(folder: &Path) -> Result<(f64, Bytes)> {
    let program = process::current_exe()?;
    let experiment = parse_experiment(
        "[data]\nkind = \"digits\"\n[model]\nkind = \"mlp\"\nwidths = [8]\n[optimizer]\nkind = \"adamw\"\n\
         [training]\nbudget = { steps = 1 }\n",
        "start-up",
        &[],
    )?;
    let base = Path::new(".");
    let digits = Dataset::load(&experiment.data, base, base, &FakeFetch::default(), &mut |_, _| {})?;
    let clock = SystemClock::default();
    let (mut times, mut memory) = (Vec::new(), Bytes(0));
    for number in 1..=3 {
        let attempt = folder.join(number.to_string());
        fs::create_dir(&attempt)?;
        let spec = AttemptSpec::new(
            AttemptId { run: RunId(1), number },
            experiment.clone(),
            base.to_path_buf(),
            experiment.run_key(digits.hash()),
        );
        spec.write(&attempt)?;
        let watch = Stopwatch::start();
        let arguments = [OsStr::new("worker"), OsStr::new("--attempt"), attempt.as_os_str()];
        let mut child = DetachedChild::spawn(&program, &arguments, &attempt.join("worker.log"))
            .map_err(|e| Problem::failed(format!("this program cannot be started: {e}")))?;
        while matches!(child.try_wait(), Ok(None)) {
            clock.sleep(0.001);
        }
        times.push(watch.seconds());
        memory = memory.max(Outcome::read(&attempt)?.map_or(Bytes(0), |outcome| outcome.peak_memory));
    }
    times.sort_by(f64::total_cmp);
    Ok((times[1], memory))
}

/// Seconds of a checkpoint of next to nothing: the median of five.
fn checkpoint() -> Result<f64> {
    let folder = env::scratch_dir().join(format!("checkpoint-{}", std::process::id()));
    let tensors = [("x".to_string(), (vec![1], vec![0.0]))].into();
    let mut times = Vec::new();
    for step in 1..=5 {
        let info = CheckpointInfo {
            format: FORMAT,
            step,
            total_steps: step,
            seed: 0,
            key: RunKey(String::new()),
            fingerprint: BTreeMap::new(),
            metrics_bytes: 0,
            seconds: 0.0,
            metrics: BTreeMap::new(),
            best: None,
            state_hash: String::new(),
            checksum: String::new(),
        };
        let watch = Stopwatch::start();
        write_checkpoint(&folder, &tensors, info)?;
        times.push(watch.seconds());
    }
    fs::remove_dir(&folder)?;
    times.sort_by(f64::total_cmp);
    Ok(times[2])
}

/// Seconds to write one synced byte, from writing a few MiB the way checkpoints are written.
fn write_speed() -> Result<f64> {
    const SIZE: usize = 4 << 20;
    let path = env::scratch_dir().join(format!("write-speed-{}.tmp", std::process::id()));
    let watch = Stopwatch::start();
    fs::write_atomic(&path, &vec![7u8; SIZE])?;
    let seconds = watch.seconds();
    fs::remove_file(&path)?;
    Ok(seconds / SIZE as f64)
}
