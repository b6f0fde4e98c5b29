//! Parameter counts against closed formulas, names, and initial values.

use super::*;
use crate::config::ParamRole;
use crate::graph::{Init, StateRole, initial_values};

#[test]
fn mlp_parameters() {
    let plain = built(json!({ "kind": "mlp", "widths": [32, 16] }), json!({}), &image(8, 8, 1, 10));
    assert_eq!(plain.state.parameter_count(), 65 * 32 + 33 * 16 + 17 * 10);
    let normed = json!({ "kind": "mlp", "widths": [32, 16], "norm": "layer", "residual": true, "dropout": 0.1 });
    let normed = built(normed, json!({}), &features(64, 10));
    assert_eq!(normed.state.parameter_count(), plain.state.parameter_count() + 2 * (32 + 16));
    let linear = built(json!({ "kind": "mlp", "widths": [] }), json!({}), &regression(13, 2));
    assert_eq!(linear.state.parameter_count(), 14 * 2);
}

/// OpenAI's smallest GPT-2 has 124,439,808 parameters.
#[test]
fn gpt2_parameters() {
    let model = json!({ "kind": "gpt", "depth": 12, "width": 768, "heads": 12, "context": 1024 });
    let programs = built(model, json!({ "training": { "batch_size": 2 } }), &text(50257));
    assert_eq!(programs.state.parameter_count(), 124_439_808);
    assert_eq!(programs.targets_per_sample, 1024);
}

/// Grouped queries, gated hidden layer, no biases, untied head, rotary positions.
#[test]
fn llama_like_parameters() {
    let (v, c, depth, d) = (65, 96, 3, 96 / 6);
    let model = json!({
        "kind": "gpt", "depth": depth, "width": c, "heads": 6, "kv_heads": 2, "context": 32, "norm": "rms",
        "positions": "rotary", "feed_forward": "swiglu", "bias": false, "tied": false, "qk_norm": true
    });
    let programs = built(model, json!({}), &text(v));
    let hidden = 8 * c / 3;
    let block = 2 * c + c * (6 + 2 * 2) * d + c * c + c * 2 * hidden + hidden * c;
    assert_eq!(programs.state.parameter_count(), (2 * v * c + c + depth * block) as u64);
}

#[test]
fn swiglu_width_is_rounded_up_to_a_multiple_of_8() {
    for (width, hidden) in [(96, 256), (100, 272), (8, 24), (768, 2048)] {
        let model = json!({ "kind": "gpt", "depth": 1, "width": width, "feed_forward": "swiglu" });
        let programs = built(model, json!({}), &text(10));
        let up = programs.state.params().find(|(_, p)| p.name == "blocks.0.up.weight").expect("up").1;
        assert_eq!(up.shape, [2 * hidden, width]);
    }
}

#[test]
fn cnn_parameters() {
    let model = json!({
        "kind": "cnn", "residual": true, "norm_groups": 4, "widths": [24], "head": "flatten",
        "stages": [{ "channels": 8, "convs": 2, "kernel": 5, "pool": "max" }, { "channels": 16, "pool": "mean" }]
    });
    let programs = built(model.clone(), json!({}), &image(9, 7, 3, 10));
    let conv = |k: usize, cin: usize, cout: usize| k * k * cin * cout + cout + 2 * cout;
    let convs = conv(5, 3, 8) + conv(5, 8, 8) + conv(3, 8, 16);
    assert_eq!(programs.state.parameter_count(), (convs + (2 * 16 + 1) * 24 + 25 * 10) as u64);
    let mut mean = model;
    mean["head"] = json!("mean");
    let programs = built(mean, json!({}), &image(9, 7, 3, 10));
    assert_eq!(programs.state.parameter_count(), (convs + 17 * 24 + 25 * 10) as u64);
}

/// Names are part of every checkpoint: changing one breaks loading.
#[test]
fn names_are_stable() {
    let names = |model, shape: &DataShape| -> Vec<String> {
        let sgd = json!({ "optimizer": { "kind": "sgd" }, "training": { "ema_decay": 0.9 } });
        built(model, sgd, shape).state.tensors.into_iter().map(|t| t.name).collect()
    };
    let mlp = names(json!({ "kind": "mlp", "widths": [4], "norm": "rms" }), &features(3, 2));
    let expected = ["layers.0.weight", "layers.0.bias", "layers.0.norm.gain", "head.weight", "head.bias"];
    for (prefix, part) in ["", "sgd.m/", "ema/", "grad/"].iter().zip(mlp.chunks(5)) {
        assert_eq!(part, expected.map(|name| format!("{prefix}{name}")));
    }
    assert_eq!(mlp.last().map(String::as_str), Some("loss_sum"));
    let gpt = names(json!({ "kind": "gpt", "depth": 1, "tied": false }), &modular(7));
    let expected = "token_embedding position_embedding blocks.0.norm1.gain blocks.0.norm1.bias blocks.0.qkv.weight \
         blocks.0.qkv.bias blocks.0.out.weight blocks.0.out.bias blocks.0.norm2.gain blocks.0.norm2.bias \
         blocks.0.up.weight blocks.0.up.bias blocks.0.down.weight blocks.0.down.bias norm.gain norm.bias head.weight";
    assert_eq!(gpt[..17].join(" "), expected);
    let stages = json!([{ "channels": 4 }]);
    let cnn = names(json!({ "kind": "cnn", "stages": stages, "norm_groups": 2, "widths": [] }), &image(4, 4, 1, 2));
    let expected = "stages.0.convs.0.weight stages.0.convs.0.bias stages.0.convs.0.norm.gain \
         stages.0.convs.0.norm.bias head.weight head.bias";
    assert_eq!(cnn[..6].join(" "), expected);
}

#[test]
fn initial_values_follow_their_rule() {
    let model = json!({ "kind": "gpt", "depth": 8, "width": 64, "init_scale": 0.1 });
    let programs = built(model, json!({ "training": { "ema_decay": 0.9 } }), &text(50));
    let values = initial_values(&programs.state, 3);
    assert_eq!(values, initial_values(&programs.state, 3));
    assert_ne!(values, initial_values(&programs.state, 4));
    let kept: Vec<&str> = values.iter().map(|(name, ..)| name.as_str()).collect();
    let expected = programs.state.tensors.iter().filter(|t| !t.name.starts_with("grad/") && t.name != "loss_sum");
    assert_eq!(kept, expected.map(|t| t.name.as_str()).collect::<Vec<_>>());
    let of = |wanted: &str| &values.iter().find(|(name, ..)| name == wanted).expect("tensor").2;
    let deviation = |name: &str| {
        let v = of(name);
        (v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / v.len() as f64).sqrt()
    };
    // The deviation's own error is 1/sqrt(2 n), below 0.011 for these matrices.
    for (name, expected) in [
        ("token_embedding", 0.1),
        ("blocks.3.qkv.weight", 0.1),
        ("blocks.3.up.weight", 0.1),
        ("blocks.3.out.weight", 0.025),
        ("blocks.7.down.weight", 0.025),
    ] {
        assert!((deviation(name) / expected - 1.0).abs() < 0.05, "{name}: {}", deviation(name));
    }
    assert!(of("blocks.0.norm1.gain").iter().all(|&x| x == 1.0));
    assert!(of("blocks.0.qkv.bias").iter().all(|&x| x == 0.0));
    assert!(of("adam.v/token_embedding").iter().all(|&x| x == 0.0));
    assert_eq!(of("ema/blocks.5.up.weight"), of("blocks.5.up.weight"));
    assert_ne!(of("blocks.5.up.weight"), of("blocks.6.up.weight"));
}

#[test]
fn linear_layers_start_within_pytorchs_bounds() {
    let programs = built(json!({ "kind": "mlp", "widths": [100] }), json!({}), &features(25, 4));
    for (name, _, values) in initial_values(&programs.state, 0) {
        let bound = match name.as_str() {
            "layers.0.weight" | "layers.0.bias" => 0.2,
            "head.weight" | "head.bias" => 0.1,
            _ => 0.0,
        };
        let largest = values.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        assert!(largest <= bound && (values.len() < 100 || largest >= 0.95 * bound), "{name}: {largest}");
    }
}

#[test]
fn roles_select_groups() {
    let programs = built(json!({ "kind": "gpt", "depth": 1, "tied": false }), json!({}), &text(11));
    for (_, param) in programs.state.params() {
        let StateRole::Param { role, init } = param.role else { unreachable!("params() yields parameters") };
        let expected = match param.name.as_str() {
            "head.weight" => ParamRole::Head,
            name if name.ends_with("embedding") => ParamRole::Embedding,
            name if name.ends_with("gain") => ParamRole::Gain,
            name if name.ends_with("bias") => ParamRole::Bias,
            _ => ParamRole::Weight,
        };
        assert_eq!(role, expected, "{}", param.name);
        assert_eq!(role == ParamRole::Gain, init == Init::Ones, "{}", param.name);
    }
}
