//! Every impossible experiment is refused with the key, the values and a way out.

use super::*;
use crate::problem::Class;

/// Refused at `place`, with all `words` in the message.
fn check(problem: &Problem, place: &str, words: &[&str]) {
    let text = problem.to_string();
    assert_eq!(problem.class, Class::Usage, "{text}");
    assert_eq!(problem.place.as_deref(), Some(place), "{text}");
    assert!(problem.remedy.is_some(), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn models_that_do_not_fit_the_data() {
    for (kind, shape, fitting) in [
        ("mlp", text(10), "gpt"),
        ("mlp", modular(10), "gpt"),
        ("cnn", features(4, 2), "mlp"),
        ("cnn", text(10), "gpt"),
        ("gpt", features(4, 2), "mlp"),
        ("gpt", image(8, 8, 1, 10), "cnn"),
    ] {
        check(&refused(json!({ "kind": kind }), json!({}), &shape), "model.kind", &[fitting]);
    }
    let numbers = DataShape { target: TargetShape::Real { outputs: 1 }, ..text(10) };
    check(&refused(json!({ "kind": "gpt" }), json!({}), &numbers), "model.kind", &["1 real number"]);
    let tied = refused(json!({ "kind": "gpt" }), json!({}), &modular(97));
    check(&tied, "model.tied", &["98", "97", "model.tied = false"]);
}

#[test]
fn transformers_that_cannot_be() {
    let gpt = |changes: Json| {
        let mut model = json!({ "kind": "gpt" });
        for (key, value) in changes.as_object().expect("keys") {
            model[key] = value.clone();
        }
        refused(model, json!({}), &text(65))
    };
    check(&gpt(json!({ "width": 130 })), "model.heads", &["4 heads", "130", "1, 2, 5, 10, 13", "132"]);
    check(&gpt(json!({ "kv_heads": 3 })), "model.kv_heads", &["3 key/value heads", "4 heads", "1, 2, 4"]);
    check(&gpt(json!({ "width": 60, "positions": "rotary" })), "model.heads", &["60 / 4 is 15", "64"]);
    for key in ["depth", "width", "heads", "kv_heads", "context"] {
        check(&gpt(json!({ key: 0 })), &format!("model.{key}"), &["0"]);
    }
    check(&gpt(json!({ "depth": 1_000_000_000_000u64 })), "model.depth", &["4096"]);
    check(&gpt(json!({ "width": 1u64 << 60 })), "model.width", &["16777216"]);
    check(&gpt(json!({ "width": 1 << 22, "expansion": 1024.0 })), "model", &["2^40"]);
    check(&gpt(json!({ "dropout": 1.0 })), "model.dropout", &["1 is out of range"]);
    check(&gpt(json!({ "dropout": -0.1 })), "model.dropout", &["-0.1"]);
    check(&gpt(json!({ "expansion": 0.001 })), "model.expansion", &["0.001", "128"]);
    check(&gpt(json!({ "init_scale": 0.0 })), "model.init_scale", &["0"]);
}

#[test]
fn convolutions_that_cannot_be() {
    let cnn = |stages: Json, groups: usize| {
        refused(json!({ "kind": "cnn", "stages": stages, "norm_groups": groups }), json!({}), &image(8, 6, 1, 10))
    };
    let stage = |kernel: usize| json!({ "channels": 12, "kernel": kernel });
    check(&cnn(json!([stage(4)]), 0), "model.stages[0].kernel", &["4x4", "3"]);
    check(&cnn(json!([stage(0)]), 0), "model.stages[0].kernel", &["0x0"]);
    check(&cnn(json!([stage(7)]), 0), "model.stages[0].kernel", &["7x7", "8x6", "at most 5"]);
    check(&cnn(json!([stage(3), stage(5)]), 0), "model.stages[1].kernel", &["5x5", "4x3", "at most 3"]);
    check(&cnn(json!([stage(1), stage(1), stage(1)]), 0), "model.stages[2].pool", &["2x1"]);
    check(&cnn(json!([stage(3)]), 5), "model.norm_groups", &["5", "12 channels", "1, 2, 3, 4, 6, 12"]);
    check(&cnn(json!([{ "channels": 0 }]), 0), "model.stages[0].channels", &["0"]);
    check(&cnn(json!([{ "channels": 4, "convs": 0 }]), 0), "model.stages[0].convs", &["0"]);
    let widths = refused(json!({ "kind": "mlp", "widths": [8, 0] }), json!({}), &features(4, 2));
    check(&widths, "model.widths[1]", &["0"]);
}

#[test]
fn training_that_cannot_be() {
    let mlp = |others: Json, shape: &DataShape| refused(json!({ "kind": "mlp" }), others, shape);
    let class = features(4, 2);
    check(&mlp(json!({ "training": { "batch_size": 0 } }), &class), "training.batch_size", &["0"]);
    check(&mlp(json!({ "evaluation": { "batch_size": 0 } }), &class), "evaluation.batch_size", &["0"]);
    let micro = mlp(json!({ "resources": { "micro_batch": 24 } }), &class);
    check(&micro, "resources.micro_batch", &["24", "64", "1, 2, 4, 8, 16, 32, 64"]);
    let smoothing = json!({ "training": { "label_smoothing": 0.1 } });
    check(&mlp(smoothing, &regression(4, 1)), "training.label_smoothing", &["0.1", "regression"]);
    check(&mlp(json!({ "training": { "label_smoothing": 1.0 } }), &class), "training.label_smoothing", &["1"]);
    check(&mlp(json!({ "training": { "ema_decay": 1.0 } }), &class), "training.ema_decay", &["1"]);
    check(&mlp(json!({ "training": { "clip_norm": -1.0 } }), &class), "training.clip_norm", &["-1"]);
    let nesterov = json!({ "optimizer": { "kind": "sgd", "momentum": 0.0, "nesterov": true } });
    check(&mlp(nesterov, &class), "optimizer.nesterov", &["momentum"]);
    let twice = json!({ "optimizer": { "kind": "sgd", "groups": [{ "role": "bias" }, { "role": "bias" }] } });
    check(&mlp(twice, &class), "optimizer.groups[1].role", &["Bias"]);
    check(&mlp(json!({ "optimizer": { "kind": "adamw", "beta2": 1.0 } }), &class), "optimizer.beta2", &["1"]);
    check(&mlp(json!({ "optimizer": { "kind": "adamw", "epsilon": 0.0 } }), &class), "optimizer.epsilon", &["0"]);
    check(&mlp(json!({}), &features(4, 0)), "data.kind", &["0 classes"]);
    check(&mlp(json!({}), &features(0, 2)), "data.kind", &["0 features"]);
}
