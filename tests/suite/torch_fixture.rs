//! The reference engine against PyTorch: 20 steps of AdamW and SGD on five tiny models.
//!
//! The fixtures are written by `tests/fixtures/torch/make.py`, which holds the same models in torch's functional API.

use nanoresearch::config::{DataShape, Experiment, InputShape, TargetShape};
use nanoresearch::data::{Batch, Column};
use nanoresearch::engine::reference::{Precision, ReferenceEngine};
use nanoresearch::engine::{Engine, HostState, StepInputs};
use nanoresearch::graph::{self, StateRole};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::path::Path;

const BATCH: usize = 6;

/// Optimisers with their learning rate; the other settings as in `make.py`.
fn optimizers() -> [(&'static str, f64, Value); 2] {
    [
        ("adamw", 0.01, json!({ "kind": "adamw", "learning_rate": 0.01, "beta2": 0.95, "weight_decay": 0.1 })),
        ("sgd", 0.05, json!({ "kind": "sgd", "learning_rate": 0.05, "nesterov": true, "weight_decay": 0.01 })),
    ]
}

fn column(file: &SafeTensors, name: &str) -> Column {
    let view = file.tensor(name).unwrap();
    let words = view.data().as_chunks::<4>().0.iter();
    match view.dtype() {
        Dtype::F32 => Column::F32(words.map(|w| f32::from_le_bytes(*w)).collect()),
        Dtype::I32 => Column::U32(words.map(|w| u32::from_le_bytes(*w)).collect()),
        other => panic!("{name} is {other:?}"),
    }
}

/// The initial state: the fixture's parameters, everything else zero.
fn initial(file: &SafeTensors, spec: &graph::StateSpec) -> HostState {
    let kept = spec.tensors.iter().filter(|t| matches!(t.role, StateRole::Param { .. } | StateRole::Slot(_)));
    let tensors = kept.map(|tensor| {
        let values = match tensor.role {
            StateRole::Param { .. } => match column(file, &format!("param/{}", tensor.name)) {
                Column::F32(values) => values,
                Column::U32(_) => panic!("{} is not real", tensor.name),
            },
            _ => vec![0.0; tensor.shape.iter().product()],
        };
        (tensor.name.clone(), (tensor.shape.clone(), values))
    });
    HostState { tensors: tensors.collect() }
}

/// Trains on the fixture's batches and compares the loss before each step.
fn compare(name: &str, model: Value, input: InputShape, target: TargetShape) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/torch/{name}.safetensors"));
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let parameters = file.names().iter().filter(|n| n.starts_with("param/")).count();
    let smoothing = if matches!(target, TargetShape::Real { .. }) { 0.0 } else { 0.1 };
    let shape = DataShape { input, target };
    for (kind, rate, optimizer) in optimizers() {
        let losses = file.tensor(&format!("losses/{kind}")).unwrap();
        let losses: Vec<f64> = losses.data().as_chunks::<8>().0.iter().map(|w| f64::from_le_bytes(*w)).collect();
        assert_eq!(losses.len(), 20);
        for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::F64, 1e-5)] {
            let experiment: Experiment = serde_json::from_value(json!({
                "data": { "kind": "digits" },
                "model": model,
                "optimizer": optimizer,
                "training": { "batch_size": BATCH, "label_smoothing": smoothing, "clip_norm": 0.5 },
                "resources": { "micro_batch": 3 },
            }))
            .unwrap();
            let programs = graph::build(&experiment, &shape).unwrap();
            assert_eq!(programs.state.params().count(), parameters, "{name}: the fixture has every parameter");
            let mut engine = ReferenceEngine::new(programs.clone(), precision).unwrap();
            engine.load(&initial(&file, &programs.state)).unwrap();
            for (step, &wanted) in losses.iter().enumerate() {
                let inputs = StepInputs {
                    seed: 0,
                    step: step as u64,
                    learning_rate: rate,
                    bias_correction1: 1.0 - 0.9f64.powi(step as i32 + 1),
                    bias_correction2: 1.0 - 0.95f64.powi(step as i32 + 1),
                };
                let [x, y] = ["input", "target"].map(|c| column(&file, &format!("{c}/{}", step % 4)));
                for half in 0..2 {
                    let cut = |column: &Column| match column {
                        Column::F32(v) => Column::F32(v[v.len() / 2 * half..v.len() / 2 * (half + 1)].to_vec()),
                        Column::U32(v) => Column::U32(v[v.len() / 2 * half..v.len() / 2 * (half + 1)].to_vec()),
                    };
                    let batch = Batch {
                        samples: BATCH / 2,
                        input: cut(&x),
                        target: cut(&y),
                        weight: vec![1.0; BATCH / 2 * programs.targets_per_sample],
                    };
                    engine.micro(&batch, &inputs, (BATCH / 2 * half) as u32).unwrap();
                }
                let loss = engine.apply(&inputs).unwrap().loss_sum / (BATCH * programs.targets_per_sample) as f64;
                assert!(
                    (loss - wanted).abs() <= tolerance * wanted,
                    "{name}, {kind}, {precision:?}, step {step}: {loss} here, {wanted} in PyTorch"
                );
            }
        }
    }
}

#[test]
fn mlp_follows_pytorch() {
    let model = json!({ "kind": "mlp", "widths": [12, 12], "activation": "gelu", "norm": "layer", "residual": true });
    compare("mlp_classes", model, InputShape::Features(10), TargetShape::Class { classes: 5 });
    let model = json!({ "kind": "mlp", "widths": [8], "activation": "tanh" });
    compare("mlp_regression", model, InputShape::Features(10), TargetShape::Real { outputs: 2 });
}

#[test]
fn gpt_follows_pytorch() {
    let plain = json!({ "kind": "gpt", "depth": 2, "width": 16, "heads": 4, "context": 8 });
    let mut rotary = plain.clone();
    let changes = json!({
        "norm": "rms", "positions": "rotary", "feed_forward": "swiglu", "kv_heads": 2, "qk_norm": true, "bias": false,
        "tied": false,
    });
    for (key, value) in changes.as_object().unwrap() {
        rotary[key] = value.clone();
    }
    for (name, model) in [("gpt_plain", plain), ("gpt_rotary", rotary)] {
        let input = InputShape::Tokens { vocabulary: 11, fixed: None };
        compare(name, model, input, TargetShape::NextToken { vocabulary: 11 });
    }
}

#[test]
fn cnn_follows_pytorch() {
    let model = json!({
        "kind": "cnn", "stages": [{ "channels": 4 }, { "channels": 4, "pool": "mean" }], "residual": true,
        "norm_groups": 2, "widths": [7],
    });
    compare("cnn", model, InputShape::Image { height: 9, width: 6, channels: 2 }, TargetShape::Class { classes: 5 });
}
