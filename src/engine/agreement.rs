//! What every engine owes the reference engine: one suite, which each engine's tests run on engines of its own.

use super::reference::Precision;
use super::reference::tests::models::{BATCH, Bench, Case, INPUTS, cases};
use super::{Engine, StepInputs};
use serde_json::json;

/// A step's numbers, with the bias corrections that belong to it.
pub(super) fn inputs(step: u64) -> StepInputs {
    StepInputs {
        step,
        bias_correction1: 1.0 - 0.9f64.powi(step as i32 + 1),
        bias_correction2: 1.0 - 0.95f64.powi(step as i32 + 1),
        ..INPUTS
    }
}

/// The micro-batches of a step on any engine.
pub(super) fn accumulate(engine: &mut dyn Engine, bench: &Bench, inputs: &StepInputs) {
    let size = bench.programs.micro_batch;
    for i in 0..bench.programs.micro_steps {
        engine.micro(&bench.slice(i * size, size), inputs, (i * size) as u32).unwrap();
    }
}

/// Gradients of every case against the reference engine in f64. `twin` makes an engine at a reference engine's state;
/// `state` reads one of its state tensors by index.
pub(super) fn gradients<E: Engine>(twin: impl Fn(&Bench) -> E, state: impl Fn(&E, usize) -> Vec<f32>) {
    for case in cases() {
        for micro_batch in [BATCH, 2] {
            let mut bench = case.bench(Precision::F64, micro_batch);
            let mut engine = twin(&bench);
            // A gradient left over from an earlier step must not matter.
            accumulate(&mut engine, &bench, &inputs(0));
            engine.load(&bench.engine.save().unwrap()).unwrap();
            accumulate(&mut engine, &bench, &INPUTS);
            bench.accumulate();
            for (_, gradient, name) in bench.params() {
                let wanted = bench.engine.state(gradient).unwrap();
                let got = state(&engine, gradient);
                let scale = wanted.iter().fold(1e-6f64, |m, v| m.max(v.abs()));
                for (i, (&g, &w)) in got.iter().zip(&wanted).enumerate() {
                    let error = (f64::from(g) - w).abs() / scale;
                    assert!(error < 2e-5, "{} / {micro_batch}: {name}[{i}] is {g}, not {w}", case.name);
                }
            }
        }
    }
}

/// The optimisers, each on a small model with everything else in it.
pub(super) fn optimizers() -> Vec<Case> {
    let settings = [
        json!({ "kind": "sgd", "learning_rate": 0.05, "momentum": 0.0, "weight_decay": 0.01 }),
        json!({ "kind": "sgd", "learning_rate": 0.05, "momentum": 0.9 }),
        json!({ "kind": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": true }),
        json!({ "kind": "adamw", "learning_rate": 0.01, "groups": [
            { "role": "head", "learning_rate_scale": 0.3, "weight_decay": 0.0 },
            { "role": "bias", "learning_rate_scale": 2.0, "weight_decay": 0.2 } ] }),
    ];
    let model = || cases().into_iter().find(|c| c.name.contains("layer norm, residual")).unwrap();
    settings
        .into_iter()
        .map(|optimizer| {
            let mut case = model();
            case.name = optimizer.to_string();
            case.experiment.optimizer = serde_json::from_value(optimizer).unwrap();
            case.experiment.training.ema_decay = 0.9;
            case.experiment.training.clip_norm = 0.5;
            case
        })
        .collect()
}

/// Ten steps of every case and every optimiser, and an evaluation, against the reference engine in f64.
pub(super) fn ten_steps<E: Engine>(twin: impl Fn(&Bench) -> E) {
    for case in cases().into_iter().chain(optimizers()) {
        let mut bench = case.bench(Precision::F64, 2);
        let mut engine = twin(&bench);
        for step in 0..10 {
            let inputs = inputs(step);
            accumulate(&mut engine, &bench, &inputs);
            let got = engine.apply(&inputs).unwrap();
            for first in [0, 2] {
                bench.engine.micro(&bench.slice(first, 2), &inputs, first as u32).unwrap();
            }
            let wanted = bench.engine.apply(&inputs).unwrap();
            let off = |a: f64, b: f64| (a - b).abs() / b.abs().max(1e-9);
            assert!(off(got.loss_sum, wanted.loss_sum) < 2e-4, "{} {step}: {got:?} {wanted:?}", case.name);
            assert!(off(got.grad_norm, wanted.grad_norm) < 2e-3, "{} {step}: {got:?} {wanted:?}", case.name);
        }
        let mut batch = case.batch(&bench.programs, case.experiment.evaluation.batch_size, 9);
        let (got, wanted) = (engine.eval(&batch).unwrap(), bench.engine.eval(&batch).unwrap());
        assert!(
            (got.loss_sum - wanted.loss_sum).abs() < 2e-3 * wanted.loss_sum.abs(),
            "{}: {got:?} {wanted:?}",
            case.name
        );
        assert_eq!((got.correct_sum, got.weight_sum), (wanted.correct_sum, wanted.weight_sum), "{}", case.name);
        // Padding may hold anything.
        if let crate::data::Column::F32(values) = &mut batch.input {
            let each = values.len() / batch.samples;
            values[each * (batch.samples - 1)..].fill(f32::NAN);
            assert_eq!(engine.eval(&batch).unwrap(), got, "{}: padding counts", case.name);
        }
    }
}
