//! Throughput profiles of other machines, for where this one has not been measured: a login node plans for cards that only its
//! jobs will see, and a training that nobody planned is predicted without holding it up for a measurement.

use super::host::Host;
use crate::config::EngineKind;
use crate::cost::{Machine, OpClass, PROFILE_FORMAT, Rate, ThroughputProfile};
use crate::engine::{self, Placement};
use crate::problem::Result;
use crate::units::Bytes;
use std::collections::BTreeMap;

/// Seconds of an op on candle's tensors and seconds of a byte that it moves, unfused: the two numbers that come nearest
/// to the step times of docs/benchmarks/gpu-h200/steps.json (an H200, 2026-11-26), within 14% for all works but the
/// convolutions. There arithmetic is never what takes the time.
pub(super) const EACH: Rate = Rate { seconds_per_op: 4.46e-5, seconds_per_flop: 0.0, seconds_per_byte: 3.83e-12 };
/// A convolution is unfolded place by place of its kernel, so it is many operations in one: what the digits CNN took
/// beyond the above, spread over its convolutions and their gradients.
const CONVOLUTION: Rate = Rate { seconds_per_op: 3.2e-4, ..EACH };
/// Seconds from a worker's start to its first step where the driver has compiled the kernels before.
const STARTUP: f64 = 3.0;
/// Host memory of a worker that holds a CUDA context.
const PROCESS_MEMORY: u64 = 900 << 20;
/// Half-width of the 80% interval of the logarithm: a factor of three either way, since the card is another one.
const LOG_SPREAD: f64 = 1.1;

/// The compiled engine on one thread of a 2-core AMD EPYC virtual machine with AVX-512 (2026-11-26), all classes of ops alike:
/// what comes nearest to docs/benchmarks/train-cpu.json.
const COMPILED: Rate = Rate { seconds_per_op: 5e-7, seconds_per_flop: 1.3e-11, seconds_per_byte: 3e-11 };
/// The reference engine there.
const REFERENCE: Rate = Rate { seconds_per_op: 3e-6, seconds_per_flop: 2.5e-11, seconds_per_byte: 7e-11 };

/// What an H200 did, for planning on a machine without a GPU. Once runs have ended, the campaign's own experience corrects
/// it.
pub fn h200(placement: Placement) -> Result<ThroughputProfile> {
    debug_assert!(placement.device.is_gpu());
    Ok(assumed(placement, super::host::host()?))
}

/// What another machine did: an H200, or a CPU whose threads are taken to share the work evenly.
pub(super) fn assumed(placement: Placement, host: Host) -> ThroughputProfile {
    let Placement { kind, device, threads, .. } = placement;
    let (fallback, rates, chip) = match (device.is_gpu(), kind) {
        (true, _) => {
            let rates = BTreeMap::from([(OpClass::Conv, CONVOLUTION), (OpClass::ConvGrad, CONVOLUTION)]);
            (EACH, rates, ("gpu", "NVIDIA H200, assumed"))
        }
        (false, kind) => {
            let one = if kind == EngineKind::Compiled { COMPILED } else { REFERENCE };
            let share = 1.0 / engine::thread_count(threads) as f64;
            let all = Rate {
                seconds_per_flop: share * one.seconds_per_flop,
                seconds_per_byte: share * one.seconds_per_byte,
                ..one
            };
            (all, BTreeMap::new(), ("cpu", "AMD EPYC with AVX-512, assumed"))
        }
    };
    let machine = Machine {
        engine: format!("{kind:?}").to_lowercase(),
        threads,
        chip: BTreeMap::from([(chip.0.to_string(), chip.1.to_string())]),
        startup_seconds: if device.is_gpu() { STARTUP } else { host.startup_seconds },
        write_seconds_per_byte: host.write_seconds_per_byte,
        checkpoint_seconds: host.checkpoint_seconds,
        process_memory: if device.is_gpu() { Bytes(PROCESS_MEMORY) } else { host.process_memory },
    };
    ThroughputProfile { format: PROFILE_FORMAT, machine, rates, fallback, log_spread: LOG_SPREAD, samples: 14 }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::bench::known_shape;
    use crate::config::{DeviceSpec, load_experiment};
    use crate::cost::{StepTasks, predict};
    use crate::graph;
    use std::path::Path;

    fn committed(name: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        let measured: serde_json::Value = serde_json::from_str(&text).unwrap();
        measured["rows"].as_array().unwrap().clone()
    }

    /// Seconds of a step of an experiment of benches/train.
    fn step(file: &str, settings: &[String], placed: impl Fn(&mut crate::config::Experiment)) -> f64 {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/train/{file}.toml"));
        let mut experiment = load_experiment(&path, settings).unwrap().value;
        placed(&mut experiment);
        let placement = Placement::of(&experiment);
        let programs = graph::build(&experiment, &known_shape(&experiment.data).unwrap()).unwrap();
        let tasks = match placement.device.is_gpu() {
            true => StepTasks::op_by_op(&programs),
            false => engine::demand(placement, &programs).unwrap().1,
        };
        let profile = assumed(placement, crate::bench::host::at_hand());
        predict(&programs, &tasks, &profile).step_seconds.seconds
    }

    /// The committed measurement is what the numbers above were taken from.
    #[test]
    fn an_h200_is_near_what_was_measured() {
        let rows = committed("docs/benchmarks/gpu-h200/steps.json");
        assert_eq!(rows.len(), 14);
        for row in rows {
            let name = row["config"].as_str().unwrap();
            let (file, batch) = match name.strip_suffix("-b64") {
                Some(file) => (file, vec!["training.batch_size=64".to_string()]),
                None => (name, vec![]),
            };
            let predicted = step(file, &batch, |e| e.resources.device = DeviceSpec::Cuda(0));
            let ratio = predicted / row["seconds"].as_f64().unwrap();
            assert!((0.85..1.2).contains(&ratio), "{name} {}: {ratio}", row["precision"]);
        }
    }

    /// One rate for ops of all kinds is a guess, which is why its interval is as wide.
    #[test]
    fn a_cpu_is_within_its_interval_of_what_was_measured() {
        let rows = committed("docs/benchmarks/train-cpu.json");
        let mut ratios = Vec::new();
        for row in &rows {
            let name = row["config"].as_str().unwrap();
            for (engine, kind) in [("ours", EngineKind::Compiled), ("reference", EngineKind::Reference)] {
                // Not every work was timed in the reference engine.
                let Some(seconds) = row["seconds"][engine].as_array() else { continue };
                let mut seconds: Vec<f64> = seconds.iter().map(|s| s.as_f64().unwrap()).collect();
                seconds.sort_by(f64::total_cmp);
                let predicted = step(name, &[], |e| {
                    e.resources.threads = 2;
                    e.resources.engine = Some(kind);
                });
                let ratio = predicted / seconds[seconds.len() / 2];
                println!("{name:20} {engine:10} {ratio:.2}");
                ratios.push((ratio, format!("{name} {engine}")));
            }
        }
        assert!(ratios.len() >= 6);
        for (ratio, row) in ratios {
            assert!(ratio.ln().abs() < LOG_SPREAD, "{row}: {ratio}");
        }
    }
}
