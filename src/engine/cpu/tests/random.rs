//! Programs drawn at random against the reference engine in f64: gradients, a step, an evaluation.

use super::twin;
use crate::config::{DataShape, InputShape, TargetShape};
use crate::engine::agreement::{accumulate, inputs};
use crate::engine::reference::Precision;
use crate::engine::reference::tests::models::Case;
use crate::engine::{CpuEngine, Engine};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A value of a list.
fn one(of: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::select(of).prop_map(Value::from)
}

const ACTIVATIONS: &[&str] = &["relu", "gelu", "relu-squared", "silu", "tanh"];

fn mlp() -> impl Strategy<Value = (Value, DataShape)> {
    let widths =
        prop_oneof![prop::collection::vec(1usize..40, 0..4), (1usize..40, 1usize..4).prop_map(|(w, n)| vec![w; n])];
    let norm = one(&["none", "layer", "rms"]);
    let options = (any::<bool>(), prop::sample::select(vec![0.0, 0.3]), 1usize..20, 1usize..6, any::<bool>());
    (widths, norm, one(ACTIVATIONS), options).prop_map(|(widths, norm, activation, rest)| {
        let (residual, dropout, features, outputs, real) = rest;
        let residual = residual && widths.windows(2).all(|w| w[0] == w[1]);
        let model = json!({
            "kind": "mlp", "widths": widths, "norm": norm, "activation": activation, "residual": residual, "dropout": dropout,
        });
        let target = if real { TargetShape::Real { outputs } } else { TargetShape::Class { classes: outputs + 1 } };
        (model, DataShape { input: InputShape::Features(features), target })
    })
}

fn gpt() -> impl Strategy<Value = (Value, DataShape)> {
    let sizes = (1usize..3, 1usize..4, prop::sample::select(vec![2usize, 4, 10]), 1usize..13, 2usize..12);
    let kinds = (one(&["none", "layer", "rms"]), one(&["learned", "rotary"]));
    let feed_forward = one(&["gelu", "relu", "relu-squared", "swiglu"]);
    let switches = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (sizes, kinds, feed_forward, switches).prop_map(|(sizes, kinds, feed_forward, switches)| {
        let ((depth, heads, head_dim, length, vocabulary), (norm, positions)) = (sizes, kinds);
        let (classes, tied, bias, qk_norm, one_kv_head) = switches;
        let model = json!({
            "kind": "gpt", "depth": depth, "heads": heads, "width": heads * head_dim, "context": length, "init_scale": 0.3,
            "norm": norm, "positions": positions, "feed_forward": feed_forward, "tied": tied && !classes, "bias": bias,
            "qk_norm": qk_norm, "kv_heads": if one_kv_head { 1 } else { heads },
        });
        let (fixed, target) = if classes {
            (Some(length), TargetShape::Class { classes: 5 })
        } else {
            (None, TargetShape::NextToken { vocabulary })
        };
        (model, DataShape { input: InputShape::Tokens { vocabulary, fixed }, target })
    })
}

fn cnn() -> impl Strategy<Value = (Value, DataShape)> {
    let stage = (1usize..7, 1usize..3, prop::sample::select(vec![1usize, 3, 5]), one(&["none", "max", "mean"]));
    let stages = prop::collection::vec(stage, 1..3);
    let options = (one(ACTIVATIONS), one(&["flatten", "mean"]), any::<bool>(), any::<bool>());
    (stages, options, 4usize..9, 4usize..9, 1usize..4).prop_map(|(stages, options, height, width, channels)| {
        let (activation, head, residual, normed) = options;
        let stages: Vec<Value> = stages
            .into_iter()
            .map(|(channels, convs, kernel, pool)| {
                json!({ "channels": channels, "convs": convs, "kernel": kernel, "pool": pool })
            })
            .collect();
        let model = json!({
            "kind": "cnn", "stages": stages, "widths": [5], "activation": activation, "head": head, "residual": residual,
            "norm_groups": usize::from(normed),
        });
        let target = TargetShape::Class { classes: 3 };
        (model, DataShape { input: InputShape::Image { height, width, channels }, target })
    })
}

fn check(model: Value, shape: DataShape, samples: usize, halves: bool, threads: usize) {
    let samples = samples.next_multiple_of(2);
    let experiment = json!({
        "data": { "kind": "digits" }, "model": model,
        "optimizer": { "kind": "adamw", "learning_rate": 0.01, "beta2": 0.95 },
        "training": { "batch_size": samples }, "evaluation": { "batch_size": 3 },
    });
    let name = format!("{experiment} {shape:?}");
    let case = Case { name: name.clone(), experiment: serde_json::from_value(experiment).unwrap(), shape };
    let micro_batch = if halves { samples / 2 } else { samples };
    let mut bench = case.bench_of(Precision::F64, micro_batch, samples);
    let mut engine = twin(&bench, threads);
    let numbers = inputs(0);
    accumulate(&mut engine, &bench, &numbers);
    for first in (0..samples).step_by(micro_batch) {
        bench.engine.micro(&bench.slice(first, micro_batch), &numbers, first as u32).unwrap();
    }
    // What the reference itself loses in single precision: a norm over two numbers is their order and little else, and its gradient
    // is what is left of much larger numbers.
    let mut single = case.bench_of(Precision::F32, micro_batch, samples);
    for first in (0..samples).step_by(micro_batch) {
        single.engine.micro(&single.slice(first, micro_batch), &numbers, first as u32).unwrap();
    }
    for (_, gradient, parameter) in bench.params() {
        let (got, wanted) = (CpuEngine::state(&engine, gradient), bench.engine.state(gradient).unwrap());
        // A kink or a flat norm may lie within rounding of a drawn value: no single element decides.
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
        let error = norm(&mut got.iter().zip(&wanted).map(|(&g, &w)| f64::from(g) - w));
        let size = norm(&mut wanted.iter().copied());
        let lost = single.engine.state(gradient).unwrap();
        let lost = norm(&mut lost.iter().zip(&wanted).map(|(l, w)| l - w));
        let bound = (1e-3 * size + 1e-5).max(4.0 * lost);
        assert!(error <= bound, "{name}: {parameter} is off by {error} of {size}, the reference by {lost}");
    }
    let (got, wanted) = (engine.apply(&numbers).unwrap(), bench.engine.apply(&numbers).unwrap());
    assert!(
        (got.loss_sum - wanted.loss_sum).abs() <= 1e-4 * wanted.loss_sum.abs() + 1e-5,
        "{name}: {got:?} {wanted:?}"
    );
    let batch = case.batch(&bench.programs, 3, 9);
    let (got, wanted) = (engine.eval(&batch).unwrap(), bench.engine.eval(&batch).unwrap());
    assert!(
        (got.loss_sum - wanted.loss_sum).abs() <= 1e-2 * wanted.loss_sum.abs() + 1e-3,
        "{name}: {got:?} {wanted:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn programs_drawn_at_random_agree_with_the_reference(
        (model, shape) in prop_oneof![mlp(), gpt(), gpt(), cnn()],
        samples in 2usize..40, halves: bool, threads in 1usize..4,
    ) {
        // Some combinations are no models: pooling to nothing, pairs of an odd head.
        let text = json!({
            "data": { "kind": "digits" }, "model": model, "optimizer": { "kind": "adamw" },
            "training": { "batch_size": samples },
        });
        let experiment = serde_json::from_value(text).unwrap();
        prop_assume!(crate::graph::build(&experiment, &shape).is_ok());
        check(model, shape, samples, halves, threads);
    }
}
