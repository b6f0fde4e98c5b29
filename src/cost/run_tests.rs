//! Costs added up by hand.

use super::*;
use crate::config::{DataShape, InputShape, TargetShape};
use crate::cost::{Machine, OpClass, PROFILE_FORMAT, Rate, StepTasks, ThroughputProfile, predict};
use crate::graph::build;
use serde_json::{Value, json};

fn experiment(training: Value, evaluation: Value) -> Experiment {
    serde_json::from_value(json!({
        "data": {"kind": "digits"},
        "model": {"kind": "mlp", "widths": [16]},
        "optimizer": {"kind": "adamw"},
        "training": training,
        "evaluation": evaluation,
    }))
    .unwrap()
}

/// One second for every op, none for its size; half a second and 1e-3 s a byte for what is written.
fn profile() -> ThroughputProfile {
    ThroughputProfile {
        format: PROFILE_FORMAT,
        machine: Machine {
            startup_seconds: 7.0,
            write_seconds_per_byte: 1e-3,
            checkpoint_seconds: 0.5,
            process_memory: Bytes(1 << 20),
            ..Machine::default()
        },
        rates: [(OpClass::Update, Rate { seconds_per_op: 2.0, ..Rate::default() })].into(),
        fallback: Rate { seconds_per_op: 1.0, ..Rate::default() },
        log_spread: 2f64.ln(),
        samples: 10,
    }
}

fn built(experiment: &Experiment) -> (StepPrograms, Prediction) {
    let shape = DataShape {
        input: InputShape::Image { height: 8, width: 8, channels: 1 },
        target: TargetShape::Class { classes: 10 },
    };
    let programs = build(experiment, &shape).unwrap();
    let prediction = predict(&programs, &StepTasks::op_by_op(&programs), &profile());
    (programs, prediction)
}

const SAMPLES: Samples = Samples { train: 1000, validation: 250 };

#[test]
fn parts_add_up() {
    let experiment = experiment(
        json!({"batch_size": 64, "budget": {"steps": 105}}),
        json!({"every": 20, "batch_size": 100, "checkpoint_every": 50}),
    );
    let (programs, prediction) = built(&experiment);
    let updates = programs.apply.nodes.iter().filter(|n| OpClass::of(&n.op) == Some(OpClass::Update)).count() as f64;
    let ops = |p: &crate::graph::Program| p.nodes.iter().filter(|n| OpClass::of(&n.op).is_some()).count() as f64;
    assert_eq!(prediction.micro_seconds, ops(&programs.micro));
    assert_eq!(prediction.apply_seconds, ops(&programs.apply) + updates);
    assert!(updates > 0.0);
    let step = prediction.micro_seconds + prediction.apply_seconds;
    assert_eq!(prediction.step_seconds.seconds, step);
    assert!((prediction.step_seconds.low - step / 2.0).abs() < 1e-9);
    // Weights and the two moments of AdamW in f32; gradients are not written.
    let bytes = 3.0 * 4.0 * programs.state.parameter_count() as f64;
    assert!((prediction.checkpoint_seconds - 0.5 - 1e-3 * bytes).abs() < 1e-9);
    assert!(prediction.memory.0 > (1 << 20) + programs.state.bytes().0);

    let cost = run_cost(&experiment, &programs, &prediction, SAMPLES);
    // Evaluated at 20, 40, 60, 80, 100 and 105, in three batches; checkpoints at 50, 100 and the end, and at the new bests
    // of 20, 40, 60 and 80, then the model.
    assert_eq!((cost.steps, cost.evaluations), (105, 6));
    let want = 7.0 + 105.0 * step + 18.0 * prediction.eval_seconds + 8.0 * prediction.checkpoint_seconds;
    assert!((cost.wall.seconds - want).abs() < 1e-6 * want, "{} {want}", cost.wall.seconds);
    assert!((cost.wall.high - 2.0 * want).abs() < 1e-6 * want);
    assert_eq!(cost.device_time, DeviceTime::of(1, cost.wall.seconds));
    let scaled = cost.scaled(1.5);
    assert!((scaled.wall.high - 3.0 * want).abs() < 1e-6 * want);
    assert_eq!(scaled.device_time, DeviceTime::of(1, scaled.wall.seconds));
}

#[test]
fn device_seconds_are_taken_at_their_word() {
    let long = experiment(json!({"batch_size": 64, "budget": {"device_seconds": 10_000.0}}), json!({"samples": 10}));
    let (programs, prediction) = built(&long);
    let cost = run_cost(&long, &programs, &prediction, SAMPLES);
    assert_eq!(cost.steps, (10_000.0 / prediction.step_seconds.seconds) as u64);
    let want = 7.0 + 10_000.0 + cost.evaluations as f64 * prediction.eval_seconds + 2.0 * prediction.checkpoint_seconds;
    assert!((cost.wall.seconds - want).abs() < 1e-6 * want);
    let short = experiment(json!({"budget": {"device_seconds": 1e-9}}), json!({}));
    let (programs, prediction) = built(&short);
    assert_eq!(run_cost(&short, &programs, &prediction, SAMPLES).steps, 1);
}

#[test]
fn epochs_follow_the_data() {
    let experiment = experiment(json!({"batch_size": 64, "budget": {"epochs": 2.0}}), json!({}));
    let (programs, prediction) = built(&experiment);
    assert_eq!(run_cost(&experiment, &programs, &prediction, SAMPLES).steps, 30);
}

/// On a GPU what the engine needs is the device's; what the host needs does not depend on it.
#[test]
fn memory_of_host_and_device_is_told_apart() {
    let experiment = experiment(json!({"batch_size": 64, "budget": {"epochs": 2.0}}), json!({}));
    let (programs, prediction) = built(&experiment);
    let cost = run_cost(&experiment, &programs, &prediction, SAMPLES);
    let mib = |n: u64| Bytes(n << 20);
    let host = HostMemory { process: mib(300), data: mib(20), checkpoint: mib(50) };
    let cpu = cost.on_cpu(mib(7000), host);
    assert_eq!((cpu.memory, cpu.device_memory), (mib(7420), None));
    let gpu = cost.on_gpu(mib(7000), host);
    assert_eq!((gpu.memory, gpu.device_memory), (mib(420), Some(mib(7000))));
    assert_eq!((gpu.wall, gpu.device_time), (cost.wall, cost.device_time));
}

/// An equal share, never too short: k sharers pay at least what the device was held for, and a millisecond each more at most.
#[test]
fn shares_of_a_device_add_up() {
    for (k, seconds) in [(1, 1.5), (3, 1.0), (8, 0.0005), (7, 12.345)] {
        let (one, whole) = (DeviceTime::share(k, seconds), DeviceTime::of(1, seconds));
        let together = DeviceTime { ms: one.ms * k as u64 };
        assert!(together >= whole && together.ms <= whole.ms + k as u64, "{k} x {seconds}: {together:?} {whole:?}");
    }
    assert_eq!(DeviceTime::share(0, 2.0), DeviceTime::of(1, 2.0));
}
