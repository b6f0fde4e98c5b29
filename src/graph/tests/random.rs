//! Random models over random data: whatever is not refused verifies, trains every parameter and computes nothing in vain.

use super::structure::{check_no_dead_nodes, check_state_traffic};
use super::*;
use crate::config::ModelSpec;
use crate::graph::{DType, initial_values};
use crate::problem::Class;
use proptest::prelude::*;
use proptest::sample::select;

fn activation() -> impl Strategy<Value = &'static str> {
    select(vec!["relu", "gelu", "relu-squared", "silu", "tanh"])
}

fn norm() -> impl Strategy<Value = &'static str> {
    select(vec!["none", "layer", "rms"])
}

fn dropout() -> impl Strategy<Value = f64> {
    select(vec![0.0, 0.1, 0.5])
}

fn widths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..9, 0..4)
}

fn mlp() -> impl Strategy<Value = (Json, DataShape)> {
    let data = prop_oneof![
        (1usize..9, 1usize..5).prop_map(|(f, c)| features(f, c)),
        (1usize..9, 1usize..5).prop_map(|(f, k)| regression(f, k)),
        (1usize..5, 1usize..5, 1usize..4, 2usize..5).prop_map(|(h, w, c, k)| image(h, w, c, k)),
    ];
    (data, widths(), activation(), norm(), any::<bool>(), dropout()).prop_map(|(data, widths, f, norm, residual, p)| {
        let model = json!({
            "kind": "mlp", "widths": widths, "activation": f, "norm": norm, "residual": residual, "dropout": p
        });
        (model, data)
    })
}

fn cnn() -> impl Strategy<Value = (Json, DataShape)> {
    let stage = (1usize..4, 1usize..3, select(vec![1usize, 2, 3, 5]), select(vec!["none", "max", "mean"])).prop_map(
        |(c, convs, kernel, pool)| json!({ "channels": 2 * c, "convs": convs, "kernel": kernel, "pool": pool }),
    );
    let data = (1usize..10, 1usize..10, 1usize..5, 1usize..5).prop_map(|(h, w, c, k)| image(h, w, c, k));
    let stages = prop::collection::vec(stage, 0..4);
    (data, stages, any::<bool>(), 0usize..4, activation(), select(vec!["flatten", "mean"]), widths(), dropout())
        .prop_map(|(data, stages, residual, groups, f, head, widths, p)| {
            let model = json!({
                "kind": "cnn", "stages": stages, "residual": residual, "norm_groups": groups, "activation": f,
                "head": head, "widths": widths, "dropout": p
            });
            (model, data)
        })
}

fn gpt() -> impl Strategy<Value = (Json, DataShape)> {
    let data = prop_oneof![(1usize..9).prop_map(text), (2usize..9).prop_map(modular)];
    let sizes = (1usize..4, 1usize..5, 1usize..5, 1usize..5, 1usize..9);
    let kinds = (norm(), select(vec!["learned", "rotary"]), select(vec!["gelu", "relu", "relu-squared", "swiglu"]));
    let switches = (any::<bool>(), any::<bool>(), any::<bool>(), dropout(), prop::option::of(0.5f64..5.0));
    (data, sizes, kinds, switches).prop_map(
        |(data, sizes, (norm, positions, forward), (bias, tied, qk_norm, p, ratio))| {
            let (depth, head_dim, heads, kv_heads, context) = sizes;
            let mut model = json!({
                "kind": "gpt", "depth": depth, "width": head_dim * heads, "heads": heads, "kv_heads": kv_heads,
                "context": context, "norm": norm, "positions": positions, "feed_forward": forward, "bias": bias,
                "tied": tied, "qk_norm": qk_norm, "dropout": p
            });
            if let Some(ratio) = ratio {
                model["expansion"] = json!(ratio);
            }
            (model, data)
        },
    )
}

fn others() -> impl Strategy<Value = Json> {
    let optimizer = prop_oneof![
        Just(json!({ "kind": "adamw" })),
        Just(json!({ "kind": "sgd", "momentum": 0.0 })),
        Just(json!({ "kind": "sgd", "nesterov": true, "weight_decay": 0.1 })),
    ];
    let clip = select(vec![0.0, 1.0]);
    let ema = select(vec![0.0, 0.99]);
    (optimizer, 1usize..4, 1usize..4, 1usize..6, clip, ema).prop_map(|(optimizer, micro, steps, eval, clip, ema)| {
        json!({
            "optimizer": optimizer,
            "training": { "batch_size": micro * steps, "clip_norm": clip, "ema_decay": ema },
            "resources": { "micro_batch": micro },
            "evaluation": { "batch_size": eval }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_built_is_sound((model, data) in prop_oneof![mlp(), cnn(), gpt()], others in others()) {
        let experiment = experiment(model, others);
        let programs = match build(&experiment, &data) {
            Ok(programs) => programs,
            Err(problem) => {
                prop_assert_eq!(problem.class, Class::Usage, "{}", problem);
                prop_assert!(problem.place.is_some() && problem.remedy.is_some(), "{}", problem);
                prop_assert!(!matches!(experiment.model, ModelSpec::Mlp(_)), "every such MLP is possible: {}", problem);
                return Ok(());
            }
        };
        prop_assert_eq!(programs.verify(), Ok(()));
        check_state_traffic(&programs);
        for program in [&programs.micro, &programs.apply, &programs.eval] {
            check_no_dead_nodes(program);
            for node in &program.nodes {
                let work = program.work(node);
                prop_assert!(work.flops.0.is_finite() && work.flops.0 >= 0.0, "{}", node.op);
            }
            let all: u64 = program.values.iter().map(|value| value.bytes().0).sum();
            prop_assert!(program.peak_bytes().0 <= all);
        }
        prop_assert_eq!(programs.micro_steps * programs.micro_batch, experiment.training.batch_size);
        prop_assert_eq!(programs.micro.batch[2].shape[0], programs.micro_batch * programs.targets_per_sample);
        prop_assert_eq!(programs.eval.batch[2].shape[0], experiment.evaluation.batch_size * programs.targets_per_sample);
        prop_assert_eq!(programs.micro.batch[2].dtype, DType::F32);
        let params = programs.state.params().count();
        prop_assert!(programs.state.params().map(|(index, _)| index).eq(0..params), "parameters come first");
        for ((name, shape, values), tensor) in initial_values(&programs.state, 1).iter().zip(&programs.state.tensors) {
            prop_assert_eq!(name, &tensor.name);
            prop_assert_eq!(shape, &tensor.shape);
            prop_assert_eq!(values.len(), shape.iter().product::<usize>());
            prop_assert!(values.iter().all(|x| x.is_finite()));
        }
        // Built again it is the same: names and order depend on nothing else.
        prop_assert_eq!(build(&experiment, &data).expect("built before"), programs);
    }
}
