//! A throughput profile of this machine: small programs of every kind, timed once and kept in the cache.

use super::family::{Family, Probe, data_section, shape};
use super::measure::{Measured, measure, measure_once};
use crate::config::{Experiment, parse_experiment};
use crate::cost::{Machine, Sample, ThroughputProfile, fit, spread};
use crate::engine::{self, Placement};
use crate::problem::{Problem, Result};
use crate::sys::clock::Stopwatch;
use crate::sys::{env, fs, process};
use crate::units::Bytes;
use std::collections::BTreeMap;

/// Seconds spent on each of the measured models in each pass, where they are fast enough for several repetitions.
const SECONDS_EACH: f64 = 0.06;
/// A profile whose predictions may be wrong by more than this factor's logarithm (2.7) either way is used and not kept.
const UNRELIABLE: f64 = 1.0;
/// All models are measured again after all others: what differs then is not the models but the machine, whose drift
/// belongs to the uncertainty of a prediction.
const PASSES: usize = 2;

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
    if profile.log_spread > UNRELIABLE {
        say(
            "warning: this machine's speed changed so much while it was measured that predictions are guesses; it is measured again next time",
        );
        return Ok(profile);
    }
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
    let Placement { kind, device, threads, .. } = placement;
    engine::limit_threads(threads);
    let mut passes: Vec<Vec<Measured>> = Vec::new();
    let mut opening = 0.0;
    for pass in 0..PASSES {
        let mut measured = Vec::new();
        for (data, model, batch) in family.probes(device.is_gpu()) {
            let experiment = probe(placement, family, (data, model, batch))?;
            if pass == 0 && measured.is_empty() && device.is_gpu() {
                // A worker opens the device, and its kernels are loaded when they are first used.
                let watch = Stopwatch::start();
                measure_once(&experiment, &shape(data))?;
                opening = watch.seconds();
            }
            measured.push(measure(&experiment, &shape(data), SECONDS_EACH, true)?);
        }
        passes.push(measured);
    }
    let (measured, drift) = together(passes);
    let samples: Vec<Sample> = measured
        .iter()
        .enumerate()
        .flat_map(|(model, m)| {
            let step = m.step();
            let parts = m.parts.iter().filter(|(_, seconds)| *seconds > 0.0);
            let parts = parts.map(move |(tasks, seconds)| Sample {
                tasks,
                seconds: *seconds,
                model,
                per_step: 0.0,
                weight: weight(seconds / step),
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
    let mut profile = fit(&samples, machine)?;
    profile.log_spread = profile.log_spread.hypot(drift);
    Ok(profile)
}

/// How much the relative error of a part counts, by its share of the step. A part tells of its class what whole programs only
/// tell of all together, and counts by its share; below a tenth less and less, since a part that seems to take no time at all
/// (another thread did it while this one was held up) must not outweigh all others.
fn weight(share: f64) -> f64 {
    let share = share.min(1.0);
    share / share.max(0.1).sqrt()
}

/// The experiment of a probe.
fn probe(placement: Placement, family: Family, (data, model, batch): Probe) -> Result<Experiment> {
    let section = data_section(data);
    let Placement { kind, device, precision, threads } = placement;
    let text = format!(
        // Evaluation in batches of the usual size would take most of the time and tell nothing that training does not.
        "[data]\n{section}\n[model]\nkind = \"{}\"\n{model}\n[optimizer]\nkind = \"adamw\"\n[training]\nbatch_size = {batch}\n\
         [evaluation]\nbatch_size = {batch}\n[resources]\nthreads = {threads}\n",
        family.name()
    );
    let mut experiment = parse_experiment(&text, "calibration", &[])?;
    experiment.resources.engine = Some(kind);
    experiment.resources.device = device;
    experiment.training.precision = precision;
    Ok(experiment)
}

/// The models' times averaged over the passes (geometrically: errors are relative ones), and by how much the logarithm of a
/// later time differs from such an average, with 80% probability.
fn together(mut passes: Vec<Vec<Measured>>) -> (Vec<Measured>, f64) {
    let (Some(last), Some(first)) = (passes.pop(), passes.first()) else { return (Vec::new(), 0.0) };
    // Of two times of equal variance v their difference has 2 v, and a third one's from their mean 1.5 v.
    let apart = first.iter().zip(&last).map(|(a, b)| (b.step() / a.step()).ln() * (1.5f64 / 2.0).sqrt());
    let drift = spread(apart.collect());
    let mean = |a: f64, b: f64| (a * b).sqrt();
    let both = first.iter().zip(last).map(|(a, b)| Measured {
        micro: mean(a.micro, b.micro),
        apply: mean(a.apply, b.apply),
        eval: mean(a.eval, b.eval),
        parts: a.parts.iter().zip(b.parts).map(|((_, x), (tasks, y))| (tasks, mean(*x, y))).collect(),
        ..b
    });
    (both.collect(), drift)
}
