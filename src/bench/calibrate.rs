//! A throughput profile of this machine: small programs of every kind, timed once and kept in the cache.

use super::family::{Family, data_section, shape};
use super::measure::{Measured, measure, measure_once};
use crate::config::parse_experiment;
use crate::cost::{Machine, Sample, ThroughputProfile, fit};
use crate::engine::{self, Placement};
use crate::problem::{Problem, Result};
use crate::sys::clock::Stopwatch;
use crate::sys::{env, fs, process};
use crate::units::Bytes;
use std::collections::BTreeMap;

/// Seconds spent on each of the measured models, where they are fast enough for several repetitions.
const SECONDS_EACH: f64 = 0.1;

/// The profile of this machine for an engine and a number of threads: from the cache, or measured now (some seconds)
/// and kept there. `say` is told when it has to be measured.
pub fn profile(placement: Placement, family: Family, say: &mut dyn FnMut(&str)) -> Result<ThroughputProfile> {
    let chip = super::host::chip();
    let probes = family.probes(placement.device.is_gpu());
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
    let mut opening = 0.0;
    for (data, model, batch) in family.probes(placement.device.is_gpu()) {
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
        if measured.is_empty() && device.is_gpu() {
            // A worker opens the device, and its kernels are loaded when they are first used.
            let watch = Stopwatch::start();
            measure_once(&experiment, &shape(data))?;
            opening = watch.seconds();
        }
        measured.push(measure(&experiment, &shape(data), SECONDS_EACH, true)?);
    }
    let samples: Vec<Sample> = measured
        .iter()
        .enumerate()
        .flat_map(|(model, m)| {
            // A part tells of its class what whole programs only tell of all together; it counts as its share of the time.
            let step = m.step();
            let parts = m.parts.iter().filter(|(_, seconds)| *seconds > 0.0);
            let parts = parts.map(move |(tasks, seconds)| Sample {
                tasks,
                seconds: *seconds,
                model,
                per_step: 0.0,
                weight: (seconds / step).min(1.0).sqrt(),
            });
            let whole = [
                (&m.tasks.micro, m.micro, m.programs.micro_steps as f64),
                (&m.tasks.apply, m.apply, 1.0),
                (&m.tasks.eval, m.eval, 0.0),
            ]
            .map(|(tasks, seconds, per_step)| Sample { tasks, seconds, model, per_step, weight: 1.0 });
            whole.into_iter().chain(parts)
        })
        .collect();
    let host = super::host::host()?;
    let machine = Machine {
        engine: format!("{kind:?}").to_lowercase(),
        threads,
        chip,
        startup_seconds: host.startup_seconds + opening,
        write_seconds_per_byte: host.write_seconds_per_byte,
        checkpoint_seconds: host.checkpoint_seconds,
        // The driver's own tables are in the process that opened it.
        process_memory: match placement.device.is_gpu() {
            true => Bytes(process::resident_memory().0),
            false => host.process_memory,
        },
    };
    fit(&samples, machine)
}
