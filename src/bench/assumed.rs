//! A throughput profile for a GPU that is not here: a login node plans for cards that only its jobs will see.

use crate::config::EngineKind;
use crate::cost::{Machine, OpClass, PROFILE_FORMAT, Rate, ThroughputProfile};
use crate::engine::Placement;
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

/// What an H200 did, for planning on a machine without a GPU. Once runs have ended, the campaign's own experience corrects
/// it.
pub fn assumed(placement: Placement) -> Result<ThroughputProfile> {
    debug_assert_eq!(placement.kind, EngineKind::Reference);
    let host = super::host::host()?;
    let machine = Machine {
        engine: "reference".into(),
        threads: placement.threads,
        chip: BTreeMap::from([("gpu".to_string(), "NVIDIA H200, assumed".to_string())]),
        startup_seconds: STARTUP,
        write_seconds_per_byte: host.write_seconds_per_byte,
        checkpoint_seconds: host.checkpoint_seconds,
        process_memory: Bytes(PROCESS_MEMORY),
    };
    let rates = BTreeMap::from([(OpClass::Conv, CONVOLUTION), (OpClass::ConvGrad, CONVOLUTION)]);
    Ok(ThroughputProfile {
        format: PROFILE_FORMAT,
        machine,
        rates,
        fallback: EACH,
        log_spread: LOG_SPREAD,
        samples: 14,
    })
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

    /// The committed measurement is what the numbers above were taken from.
    #[test]
    fn it_is_near_what_was_measured() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(root.join("docs/benchmarks/gpu-h200/steps.json")).unwrap();
        let measured: serde_json::Value = serde_json::from_str(&text).unwrap();
        let rows = measured["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 14);
        for row in rows {
            let name = row["config"].as_str().unwrap();
            let (file, batch) = match name.strip_suffix("-b64") {
                Some(file) => (file, vec!["training.batch_size=64".to_string()]),
                None => (name, vec![]),
            };
            let mut experiment =
                load_experiment(&root.join(format!("benches/train/{file}.toml")), &batch).unwrap().value;
            experiment.resources.device = DeviceSpec::Cuda(0);
            let programs = graph::build(&experiment, &known_shape(&experiment.data).unwrap()).unwrap();
            let profile = assumed(Placement::of(&experiment)).unwrap();
            let predicted = predict(&programs, &StepTasks::op_by_op(&programs), &profile).step_seconds.seconds;
            let ratio = predicted / row["seconds"].as_f64().unwrap();
            assert!((0.85..1.2).contains(&ratio), "{name} {}: {ratio}", row["precision"]);
        }
    }
}
