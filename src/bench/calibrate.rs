//! A throughput profile of this machine: small programs of every kind, timed once and kept in the cache.

use super::assumed::assumed;
use super::family::{Family, Probe, data_section, shape};
use super::host::{chip_of, folder, kept_at};
use super::measure::{Measured, measure, measure_where_it_fits, median};
use super::session::Session;
use crate::config::{DataShape, Experiment, parse_experiment};
use crate::cost::{Machine, Sample, Task, ThroughputProfile, fit, fit_launched, spread};
use crate::engine::{self, Placement};
use crate::problem::{Problem, Result};
use crate::record::SpeedSource;
use crate::sys::clock::Stopwatch;
use crate::sys::{fs, process};
use crate::units::Bytes;
use std::path::{Path, PathBuf};

/// Seconds spent on each of the measured models in each pass, where they are fast enough for several repetitions.
const SECONDS_EACH: f64 = 0.04;
/// A profile whose predictions may be wrong by more than this factor's logarithm (2.7) either way is used and not kept.
const UNRELIABLE: f64 = 1.0;
/// All models are measured again after all others, and once more: what differs then is not the models but the machine, whose
/// drift belongs to the uncertainty of a prediction. Of three times the middle one is not misled by a disturbance of one.
const PASSES: usize = 3;

/// The profile of this machine for an engine and a number of threads: from the cache, or measured now (some seconds)
/// and kept there. `say` is told when it has to be measured.
pub fn profile(placement: Placement, family: Family, say: &mut dyn FnMut(&str)) -> Result<ThroughputProfile> {
    let path = profile_path(placement, family);
    if let Some(profile) = read(&path)? {
        return Ok(profile);
    }
    say(&format!("measuring this machine once for the cost model ({} models)", family.name()));
    let profile = calibrate(placement, family)?;
    if profile.log_spread > UNRELIABLE {
        say(
            "warning: this machine's speed changed so much while it was measured that predictions are guesses; it is measured again next time",
        );
        return Ok(profile);
    }
    let text =
        serde_json::to_string_pretty(&profile).map_err(|e| Problem::failed(format!("a profile is no JSON: {e}")))?;
    // Without a writable cache it is measured again next time; that is no reason to stop.
    if let Err(problem) = fs::create_dir(&folder()).and_then(|()| fs::write_atomic(&path, text.as_bytes())) {
        say(&format!("warning: the measurement cannot be kept, and is made again next time: {problem}"));
    }
    Ok(profile)
}

/// What is known without measuring anything: this machine's profile where one is kept, else what another machine did.
pub fn at_hand(placement: Placement, family: Family) -> (ThroughputProfile, SpeedSource) {
    match read(&profile_path(placement, family)) {
        Ok(Some(profile)) => (profile, SpeedSource::Measured),
        _ => (assumed(placement, super::host::at_hand()), SpeedSource::Assumed),
    }
}

/// Where the cache has the profile of this machine: what it is measured on and with is in the name, the kind of a GPU too.
pub fn profile_path(placement: Placement, family: Family) -> PathBuf {
    let probes = family.probes(placement.device.is_gpu());
    kept_at("", &format!("{placement:?} {probes:?} {:?}", chip_of(placement.device)))
}

/// A damaged or foreign profile is only a reason to measure again.
fn read(path: &Path) -> Result<Option<ThroughputProfile>> {
    let parse =
        |bytes: Vec<u8>| ThroughputProfile::parse(&String::from_utf8_lossy(&bytes), &path.display().to_string()).ok();
    Ok(fs::read_if_there(path)?.and_then(parse))
}

/// Measures the machine now.
pub fn calibrate(placement: Placement, family: Family) -> Result<ThroughputProfile> {
    let Placement { kind, device, threads, .. } = placement;
    engine::limit_threads(threads);
    let one = |one: Probe| Ok((probe(placement, family, one)?, shape(one.0)));
    let mut experiments: Vec<(Experiment, DataShape)> =
        family.probes(device.is_gpu()).into_iter().map(one).collect::<Result<_>>()?;
    let mut opening = 0.0;
    // Kept to the end: with it the device stays open, whatever is made and dropped on it.
    let mut _open = None;
    if let Some((experiment, shape)) = experiments.first().filter(|_| device.is_gpu()) {
        // The driver compiles kernels when the card has never seen them, and keeps them: that is no worker's usual start.
        Session::new(experiment, shape, None, threads)?.step()?;
        // A worker opens the device, and its kernels are loaded when they are first used.
        let watch = Stopwatch::start();
        _open.insert(Session::new(experiment, shape, None, threads)?).step()?;
        opening = watch.seconds();
    }
    let mut passes: Vec<Vec<Measured>> = Vec::new();
    for _ in 0..PASSES {
        let one = |(experiment, shape): &(Experiment, DataShape)| match device.is_gpu() {
            true => measure_where_it_fits(experiment, shape, SECONDS_EACH),
            false => measure(experiment, shape, SECONDS_EACH, true).map(Some),
        };
        let pass: Vec<Option<Measured>> = experiments.iter().map(one).collect::<Result<_>>()?;
        // A card that has no room for the largest, now or any more, is measured by the others.
        let fits: Vec<bool> = pass.iter().map(Option::is_some).collect();
        experiments = kept(experiments, &fits);
        passes = passes.into_iter().map(|earlier| kept(earlier, &fits)).collect();
        passes.push(pass.into_iter().flatten().collect());
    }
    let (measured, drift) = together(passes);
    let host = super::host::host()?;
    let machine = Machine {
        engine: format!("{kind:?}").to_lowercase(),
        threads,
        chip: chip_of(device),
        startup_seconds: host.startup_seconds + opening,
        write_seconds_per_byte: host.write_seconds_per_byte,
        checkpoint_seconds: host.checkpoint_seconds,
        // The driver's own tables are in the process that opened it.
        process_memory: match placement.device.is_gpu() {
            true => Bytes(process::resident_memory().0),
            false => host.process_memory,
        },
    };
    let mut profile = if device.is_gpu() { on_gpu(&measured, machine)? } else { on_cpu(&measured, machine)? };
    profile.log_spread = profile.log_spread.hypot(drift);
    Ok(profile)
}

/// The programs of all models and their parts, each by itself.
fn on_cpu(measured: &[Measured], machine: Machine) -> Result<ThroughputProfile> {
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
    fit(&samples, machine)
}

/// How much an evaluation counts beside a step, which is what is to be predicted.
const EVALUATION: f64 = 0.5;

/// Whole steps and evaluations. The programs of a step cannot be timed apart from here: forward and backward have only been
/// asked for when the engine returns, and the update, which reads the loss, waits for them.
fn on_gpu(measured: &[Measured], machine: Machine) -> Result<ThroughputProfile> {
    let steps: Vec<Vec<Task>> = measured
        .iter()
        .map(|m| {
            let micro = m.tasks.micro.iter().cycle().take(m.programs.micro_steps * m.tasks.micro.len());
            micro.chain(&m.tasks.apply).copied().collect()
        })
        .collect();
    let samples: Vec<Sample> = measured
        .iter()
        .zip(&steps)
        .enumerate()
        .flat_map(|(model, (m, step))| {
            let eval = &m.tasks.eval;
            [
                Sample { tasks: step, seconds: m.step(), model, per_step: 1.0, weight: 1.0 },
                Sample { tasks: eval, seconds: m.eval, model, per_step: 0.0, weight: EVALUATION },
            ]
        })
        .collect();
    fit_launched(&samples, machine)
}

/// Those for which there is a `true`.
fn kept<T>(all: Vec<T>, which: &[bool]) -> Vec<T> {
    all.into_iter().zip(which).filter_map(|(one, keep)| keep.then_some(one)).collect()
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

/// The models' middle times over the passes, and by how much the logarithm of a later time differs from such a one, with 80%
/// probability.
fn together(passes: Vec<Vec<Measured>>) -> (Vec<Measured>, f64) {
    let (Some(first), Some(last)) = (passes.first(), passes.last()) else { return (Vec::new(), 0.0) };
    // Of times of equal variance v two differ by 2 v, and a further one from the median of three by 1.449 v (a normal
    // sample's median of three has 0.449 v).
    let apart = first.iter().zip(last).map(|(a, b)| (b.step() / a.step()).ln() * (1.449f64 / 2.0).sqrt());
    let drift = spread(apart.collect());
    let model = |(i, one): (usize, &Measured)| {
        let middle = |time: &dyn Fn(&Measured) -> f64| median(passes.iter().map(|pass| time(&pass[i])).collect());
        let parts = one.parts.iter().enumerate();
        Measured {
            micro: middle(&|m| m.micro),
            apply: middle(&|m| m.apply),
            eval: middle(&|m| m.eval),
            parts: parts.map(|(k, (tasks, _))| (tasks.clone(), middle(&|m| m.parts[k].1))).collect(),
            ..one.clone()
        }
    };
    (first.iter().enumerate().map(model).collect(), drift)
}

#[cfg(test)]
#[path = "card_tests.rs"]
mod card_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_disturbed_pass_of_three_is_outvoted() {
        let placement = Placement::of(&probe_of(Family::Mlp));
        let experiment = probe(placement, Family::Mlp, Family::Mlp.probes(false)[0]).unwrap();
        let one = measure(&experiment, &shape("pixels 64"), 0.0, true).unwrap();
        let slower = |factor: f64| Measured {
            micro: factor * one.micro,
            apply: factor * one.apply,
            eval: factor * one.eval,
            parts: one.parts.iter().map(|(tasks, seconds)| (tasks.clone(), factor * seconds)).collect(),
            ..one.clone()
        };
        for order in [[1.0, 1.1, 3.0], [3.0, 1.1, 1.0], [1.1, 3.0, 1.0]] {
            let (measured, drift) = together(order.map(|factor| vec![slower(factor); 5]).to_vec());
            assert_eq!(measured.len(), 5);
            assert!((measured[0].step() / one.step() - 1.1).abs() < 1e-9 && measured[4].parts.len() == one.parts.len());
            let apart: f64 = order[2] / order[0];
            assert!((drift - apart.ln().abs() * 0.7245f64.sqrt()).abs() < 1e-9, "{order:?}: {drift}");
        }
    }

    fn probe_of(family: Family) -> Experiment {
        let text = format!("data.kind = \"digits\"\nmodel.kind = \"{}\"\noptimizer.kind = \"adamw\"\n", family.name());
        parse_experiment(&text, "t", &[]).unwrap()
    }

    /// Values of the right sizes, so that no step that is timed meets zeros or infinities where training would not.
    #[test]
    fn made_up_states_are_like_real_ones() {
        let programs = crate::graph::build(&probe_of(Family::Mlp), &shape("pixels 64")).unwrap();
        let (made, real) =
            (crate::bench::synthetic::state(&programs.state), crate::graph::initial_values(&programs.state, 1));
        assert_eq!(made.len(), real.len());
        for (name, shape, values) in real {
            let (made_shape, made) = &made[&name];
            let size = |v: &[f32]| (v.iter().map(|x| f64::from(x * x)).sum::<f64>() / v.len() as f64).sqrt();
            assert_eq!((made_shape, made.len()), (&shape, values.len()), "{name}");
            assert!((size(made) - size(&values)).abs() <= 0.1 * size(&values), "{name}");
        }
    }
}
