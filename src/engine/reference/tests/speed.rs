//! How fast a step is (by hand: `cargo test --release --lib reference::tests::speed -- --ignored --nocapture`), and that
//! the number of threads never shows in the bits.

use super::super::{Precision, ReferenceEngine};
use super::models::INPUTS;
use crate::config::{DataShape, Experiment, InputShape, TargetShape};
use crate::data::{Batch, Column};
use crate::engine::{Engine, HostState, Which, thread_environment};
use crate::graph::{self, DType, StepPrograms};
use crate::rng::{Sequence, Stream};
use crate::sys::clock::Stopwatch;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn engine(model: Value, batch: usize, input: InputShape, target: TargetShape) -> (ReferenceEngine, StepPrograms) {
    let experiment: Experiment = serde_json::from_value(json!({
        "data": { "kind": "digits" }, "model": model, "optimizer": { "kind": "adamw" },
        "training": { "batch_size": batch },
    }))
    .unwrap();
    let programs = graph::build(&experiment, &DataShape { input, target }).unwrap();
    let mut engine = ReferenceEngine::new(programs.clone(), Precision::F32).unwrap();
    let values = graph::initial_values(&programs.state, 0).into_iter();
    engine.load(&HostState { tensors: values.map(|(n, s, v)| (n, (s, v))).collect() }).unwrap();
    (engine, programs)
}

fn batch(programs: &StepPrograms, classes: u64) -> Batch {
    let mut draw = Sequence::new(0, Stream::Data, 0, 0);
    let mut column = |i: usize| {
        let input = &programs.micro.batch[i];
        let n = input.shape.iter().product();
        match input.dtype {
            DType::F32 => Column::F32((0..n).map(|_| draw.normal() as f32).collect()),
            DType::U32 => Column::U32((0..n).map(|_| draw.below(classes) as u32).collect()),
        }
    };
    let (input, target) = (column(0), column(1));
    let weight = vec![1.0; programs.micro.batch[2].shape[0]];
    Batch { samples: programs.micro_batch, input, target, weight }
}

fn digits(channels: usize) -> (InputShape, TargetShape) {
    let input =
        if channels > 0 { InputShape::Image { height: 8, width: 8, channels } } else { InputShape::Features(64) };
    (input, TargetShape::Class { classes: 10 })
}

fn models() -> [(&'static str, ReferenceEngine, StepPrograms, Batch); 3] {
    let ready = |name, model, samples, (input, target), classes| {
        let (engine, programs) = engine(model, samples, input, target);
        let batch = batch(&programs, classes);
        (name, engine, programs, batch)
    };
    let text = (InputShape::Tokens { vocabulary: 65, fixed: None }, TargetShape::NextToken { vocabulary: 65 });
    [
        ready("mlp 128, batch 64", json!({ "kind": "mlp" }), 64, digits(0), 10),
        ready("cnn 32-64, batch 64", json!({ "kind": "cnn" }), 64, digits(1), 10),
        ready("gpt 4x128, 64 tokens, batch 32", json!({ "kind": "gpt" }), 32, text, 65),
    ]
}

#[test]
#[ignore = "prints timings; nothing to fail"]
fn steps() {
    for (name, mut engine, programs, batch) in models() {
        let mut best = f64::INFINITY;
        for _ in 0..8 {
            let watch = Stopwatch::start();
            engine.micro(&batch, &INPUTS, 0).unwrap();
            engine.apply(&INPUTS).unwrap();
            best = best.min(watch.seconds());
        }
        println!("{name}: {:.2} ms a step, footprint {}", best * 1e3, engine.footprint());
        let mut shares = BTreeMap::<&str, f64>::new();
        for (which, program) in [(Which::Micro, &programs.micro), (Which::Apply, &programs.apply)] {
            let seconds = engine.node_seconds(which, &batch, &INPUTS).unwrap();
            for (node, seconds) in program.nodes.iter().zip(seconds) {
                *shares.entry(node.op.name()).or_default() += seconds * 1e3;
            }
        }
        let mut shares: Vec<_> = shares.into_iter().collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        println!(
            "    {}",
            shares.iter().take(9).map(|(op, ms)| format!("{op} {ms:.2}")).collect::<Vec<_>>().join(", ")
        );
    }
}

/// Not a test of its own: prints a hash of the weights after two steps, for the test below.
#[test]
#[ignore = "run by another test, in processes with different environments"]
fn print_hash_of_weights() {
    let mut hasher = blake3::Hasher::new();
    for (_, mut engine, _, batch) in models() {
        for _ in 0..2 {
            engine.micro(&batch, &INPUTS, 0).unwrap();
            engine.apply(&INPUTS).unwrap();
        }
        for (_, values) in engine.save().unwrap().tensors.values() {
            values.iter().for_each(|v| {
                hasher.update(&v.to_le_bytes());
            });
        }
    }
    println!("weights {}", hasher.finalize().to_hex());
}

#[test]
#[allow(clippy::disallowed_methods)]
fn bits_do_not_depend_on_threads() {
    let hash = |threads: usize| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "engine::reference::tests::speed::print_hash_of_weights", "--ignored", "--nocapture"])
            .envs(thread_environment(threads))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find_map(|l| l.split_once("weights ").map(|(_, hash)| hash.to_string())).expect(&text)
    };
    let alone = hash(1);
    assert_eq!(alone.len(), 64);
    for threads in [2, 3] {
        assert_eq!(hash(threads), alone, "{threads} threads");
    }
}
