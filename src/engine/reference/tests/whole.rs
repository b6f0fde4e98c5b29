//! Whole programs: gradients through the micro program, independence of the micro-batch, state in and out, memory.

use super::super::Precision;
use super::models::{BATCH, Bench, INPUTS, cases};
use crate::engine::{Engine, EngineError, StepInputs};
use crate::graph::StateRole;

/// Gradients of every parameter against finite differences of the loss sum, in f64, for every option of every model.
#[test]
fn gradients_through_the_micro_program() {
    for case in cases() {
        let mut bench = case.bench(Precision::F64, BATCH);
        bench.accumulate();
        let loss_index = bench.loss_sum();
        // The gradient is that of the loss normalised by the batch's number of loss terms, as f32.
        let scale = f64::from((1.0 / (BATCH * bench.programs.targets_per_sample) as f64) as f32);
        // Read before anything else runs: every further micro-batch adds to the accumulated gradients.
        let params = bench.params();
        let gradients: Vec<Vec<f64>> = params.iter().map(|(_, g, _)| bench.engine.state(*g).unwrap()).collect();
        for ((param, _, name), analytic) in params.into_iter().zip(gradients) {
            let start = bench.engine.state(param).unwrap();
            let largest = analytic.iter().fold(0.0f64, |m, g| m.max(g.abs()));
            assert!(largest > 0.0 || name.contains("qkv.bias"), "{}: {name} has no gradient", case.name);
            // Up to seven elements of each parameter, spread out.
            for element in (0..start.len()).step_by(start.len().div_ceil(7)) {
                let mut objective = |delta: f64| {
                    let mut moved = start.clone();
                    moved[element] += delta;
                    bench.engine.set_state(param, &moved).unwrap();
                    bench.engine.set_state(loss_index, &[0.0]).unwrap();
                    bench.engine.micro(&bench.batch, &INPUTS, 0).unwrap();
                    bench.engine.state(loss_index).unwrap()[0] * scale
                };
                // Small enough that no ReLU changes sides.
                let h = 5e-6;
                let numeric =
                    (8.0 * (objective(h) - objective(-h)) - (objective(2.0 * h) - objective(-2.0 * h))) / (12.0 * h);
                let error = (analytic[element] - numeric).abs();
                assert!(
                    error <= 1e-6 * largest.max(1e-4),
                    "{}: {name}[{element}]: {} analytic, {numeric} numeric",
                    case.name,
                    analytic[element]
                );
            }
            bench.engine.set_state(param, &start).unwrap();
        }
    }
}

/// Everything in the state after accumulation, by name.
fn accumulated(mut bench: Bench) -> Vec<(String, Vec<f64>)> {
    bench.accumulate();
    let tensors = bench.programs.state.tensors.iter().enumerate();
    let sums = tensors.filter(|(_, t)| matches!(t.role, StateRole::Grad(_) | StateRole::LossSum));
    sums.map(|(i, t)| (t.name.clone(), bench.engine.state(i).unwrap())).collect()
}

#[test]
fn micro_batches_change_only_the_rounding() {
    for case in cases() {
        for (precision, tolerance) in [(Precision::F64, 1e-12), (Precision::F32, 2e-5)] {
            let whole = accumulated(case.bench(precision, BATCH));
            for micro in [1, 2] {
                for ((name, a), (_, b)) in accumulated(case.bench(precision, micro)).iter().zip(&whole) {
                    let scale = b.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
                    for (x, y) in a.iter().zip(b) {
                        assert!((x - y).abs() <= tolerance * scale, "{}: {name}, micro {micro}: {x}, {y}", case.name);
                    }
                }
            }
        }
    }
}

#[test]
fn single_precision_follows_double_over_steps() {
    for case in cases() {
        let (mut single, mut double) = (case.bench(Precision::F32, 2), case.bench(Precision::F64, 2));
        let mut first = None;
        for step in 0..8 {
            let inputs = StepInputs {
                step,
                bias_correction1: 1.0 - 0.9f64.powi(step as i32 + 1),
                bias_correction2: 1.0 - 0.95f64.powi(step as i32 + 1),
                ..INPUTS
            };
            let [a, b] = [&mut single, &mut double].map(|bench| {
                for first in [0, 2] {
                    bench.engine.micro(&bench.slice(first, 2), &inputs, first as u32).unwrap();
                }
                bench.engine.apply(&inputs).unwrap()
            });
            assert!((a.loss_sum - b.loss_sum).abs() <= 1e-4 * b.loss_sum, "{}, step {step}: {a:?} {b:?}", case.name);
            assert!((a.grad_norm - b.grad_norm).abs() <= 1e-3 * b.grad_norm, "{}: {a:?} {b:?}", case.name);
            first.get_or_insert(b.loss_sum);
        }
        let gone =
            single.programs.state.tensors.iter().enumerate().filter(|(_, t)| matches!(t.role, StateRole::Grad(_)));
        for (index, _) in gone {
            assert!(single.engine.state(index).unwrap().iter().all(|&g| g == 0.0), "apply clears the gradients");
        }
    }
}

#[test]
fn state_goes_out_and_in_and_continues_bit_for_bit() {
    let case = cases().into_iter().find(|c| c.name.contains("dropout")).unwrap();
    let mut bench = case.bench(Precision::F32, 2);
    bench.accumulate();
    bench.engine.apply(&INPUTS).unwrap();
    let saved = bench.engine.save().unwrap();
    assert!(saved.tensors.keys().all(|name| !name.starts_with("grad/") && name != "loss_sum"));
    let mut other = case.bench(Precision::F32, 2);
    other.engine.load(&saved).unwrap();
    for bench in [&mut bench, &mut other] {
        bench.accumulate();
        bench.engine.apply(&INPUTS).unwrap();
    }
    assert_eq!(bench.engine.save().unwrap(), other.engine.save().unwrap());
    assert_ne!(bench.engine.save().unwrap(), saved);

    let mut short = saved.clone();
    let name = short.tensors.keys().next().unwrap().clone();
    short.tensors.remove(&name);
    let refused = other.engine.load(&short).unwrap_err().to_string();
    assert!(refused.contains(&name), "{refused}");
    let mut bent = saved.clone();
    bent.tensors.get_mut(&name).unwrap().0 = vec![1];
    assert!(matches!(other.engine.load(&bent), Err(EngineError::Shape(_))));
    let mut strange = saved;
    strange.tensors.insert("stranger".into(), (vec![1], vec![0.0]));
    assert!(other.engine.load(&strange).unwrap_err().to_string().contains("stranger"));
}

#[test]
fn evaluation_ignores_padding_and_changes_nothing() {
    for case in cases() {
        let mut bench = case.bench(Precision::F64, BATCH);
        let before = bench.engine.save().unwrap();
        let batch = case.batch(&bench.programs, 3, 9);
        let mut other = batch.clone();
        // The last sample weighs nothing: other values there must not matter.
        let changed = case.batch(&bench.programs, 3, 10);
        let keep = |column: &crate::data::Column, other: &crate::data::Column| match (column, other) {
            (crate::data::Column::F32(a), crate::data::Column::F32(b)) => {
                crate::data::Column::F32([&a[..a.len() / 3 * 2], &b[b.len() / 3 * 2..]].concat())
            }
            (crate::data::Column::U32(a), crate::data::Column::U32(b)) => {
                crate::data::Column::U32([&a[..a.len() / 3 * 2], &b[b.len() / 3 * 2..]].concat())
            }
            _ => panic!("columns of two types"),
        };
        other.input = keep(&batch.input, &changed.input);
        other.target = keep(&batch.target, &changed.target);
        assert_ne!(batch, other);
        let (a, b) = (bench.engine.eval(&batch).unwrap(), bench.engine.eval(&other).unwrap());
        assert!((a.loss_sum - b.loss_sum).abs() < 1e-12 && a.correct_sum == b.correct_sum, "{}", case.name);
        assert_eq!(a.weight_sum, 1.5 * bench.programs.targets_per_sample as f64);
        assert!(a.loss_sum > 0.0 && a.correct_sum <= a.weight_sum);
        assert_eq!(bench.engine.save().unwrap(), before);
    }
}

#[test]
fn averaged_weights_are_evaluated() {
    let mut case = cases().remove(0);
    case.experiment.training.ema_decay = 0.5;
    let mut bench = case.bench(Precision::F64, BATCH);
    let batch = case.batch(&bench.programs, 3, 9);
    bench.accumulate();
    bench.engine.apply(&INPUTS).unwrap();
    let averaged = bench.engine.eval(&batch).unwrap();
    // With the parameters put in the place of their averages the loss is another one.
    let tensors = bench.programs.state.tensors.clone();
    for (i, tensor) in tensors.iter().enumerate() {
        if let StateRole::Ema(of) = tensor.role {
            let values = bench.engine.state(of).unwrap();
            assert_ne!(values, bench.engine.state(i).unwrap());
            bench.engine.set_state(i, &values).unwrap();
        }
    }
    assert_ne!(bench.engine.eval(&batch).unwrap().loss_sum, averaged.loss_sum);
}

#[test]
fn a_wrong_batch_and_a_wrong_target_are_typed_errors() {
    let case = cases().remove(0);
    let mut bench = case.bench(Precision::F32, BATCH);
    let before = bench.engine.save().unwrap();
    let short = bench.slice(0, 2);
    let error = bench.engine.micro(&short, &INPUTS, 0).unwrap_err();
    assert!(matches!(&error, EngineError::Shape(what) if what.contains("input")), "{error}");
    let mut strange = bench.batch.clone();
    strange.target = crate::data::Column::U32(vec![0, 1, 3, 0]);
    let error = bench.engine.micro(&strange, &INPUTS, 0).unwrap_err();
    assert!(error.to_string().contains("target 3"), "{error}");
    assert_eq!(bench.engine.save().unwrap(), before);
}

#[test]
fn the_footprint_covers_state_and_values() {
    for case in cases() {
        let bench = case.bench(Precision::F32, BATCH);
        let values = bench.programs.micro.peak_bytes().0.max(bench.programs.apply.peak_bytes().0);
        let least = bench.programs.state.bytes().0 + values;
        let footprint = bench.engine.footprint().0;
        assert!(footprint >= least, "{}: {footprint} < {least}", case.name);
        // Scratch of attention and convolution is bounded for these sizes.
        assert!(footprint < 4 * least + (1 << 20), "{}: {footprint}, {least}", case.name);
        let double = case.bench(Precision::F64, BATCH).engine.footprint().0;
        assert_eq!(double, 2 * footprint);
    }
}
