//! Evidence that TPE, CMA-ES and evolution are worth having: the same functions, seeds and budget as `tests/fixtures/optuna/compare.py`.
//!
//! Run with `cargo test --release --lib planner::performance -- --nocapture` for the table in
//! `docs/benchmarks/samplers.md`.

use super::space::from_json;
use super::{Assignment, Observation, sampler};
use crate::config::{PlannerKind, PlannerSpec};
use serde_json::{Value, json};

const SEEDS: u64 = 20;
const EVALUATIONS: u64 = 60;

fn number(a: &Assignment, name: &str) -> f64 {
    a[name].as_f64().expect("a number")
}

/// Dixon and Szego (1978); minimum 0.397887.
fn branin(a: &Assignment) -> f64 {
    use std::f64::consts::PI;
    let (x, y) = (number(a, "x"), number(a, "y"));
    let inner = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    inner * inner + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0
}

/// Dixon and Szego (1978); minimum -3.32237.
fn hartmann6(a: &Assignment) -> f64 {
    const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let x: Vec<f64> = (0..6).map(|i| number(a, &format!("x{i}"))).collect();
    let exponent = |k: usize| -> f64 { (0..6).map(|i| A[k][i] * (x[i] - P[k][i]).powi(2)).sum() };
    -(0..4).map(|k| ALPHA[k] * (-exponent(k)).exp()).sum::<f64>()
}

/// Like tuning a network: log, whole, choice and plain, with the best learning rate depending on the width. Minimum 0.
fn mixed(a: &Assignment) -> f64 {
    let lr = number(a, "lr").log10();
    let width = number(a, "width").log2();
    let kind = match a["activation"].as_str() {
        Some("gelu") => 0.0,
        Some("relu") => 0.3,
        _ => 1.0,
    };
    (lr + 2.0 + 0.3 * (width - 6.0)).powi(2)
        + 0.3 * (width - 6.0).powi(2)
        + 0.1 * (number(a, "depth") - 4.0).powi(2)
        + 4.0 * (number(a, "dropout") - 0.1).powi(2)
        + kind
}

/// Two optimisers with parameters of their own; a run that diverges gives no value. Minimum 0.
fn conditional(a: &Assignment) -> Option<f64> {
    let decay = (number(a, "decay").log10() + 3.0).powi(2) * 0.1;
    if a["kind"] == "sgd" {
        let lr = number(a, "sgd_lr").log10();
        let momentum = number(a, "momentum");
        (lr < 0.3).then(|| 0.2 + (lr + 1.0).powi(2) + 5.0 * (momentum - 0.9).powi(2) + decay)
    } else {
        let lr = number(a, "adam_lr").log10();
        (lr < -1.0).then(|| (lr + 2.5).powi(2) + 20.0 * (number(a, "beta2") - 0.98).powi(2) + decay)
    }
}

/// Median over seeds of the best value after all evaluations.
fn median_best(kind: PlannerKind, space: &Value, function: &dyn Fn(&Assignment) -> Option<f64>) -> f64 {
    let space = from_json(space.clone());
    let mut bests: Vec<f64> = (0..SEEDS)
        .map(|seed| {
            let sampler = sampler(&PlannerSpec { kind, seed, startup: 10, ..PlannerSpec::default() });
            let mut observations: Vec<Observation> = vec![];
            for index in 0..EVALUATIONS {
                let assignment = sampler.propose(&space, &observations, index, &|_| true).expect("endless");
                let value = function(&assignment);
                observations.push(Observation::complete(assignment, value));
            }
            observations.iter().filter_map(|o| o.value).fold(f64::INFINITY, f64::min)
        })
        .collect();
    bests.sort_by(f64::total_cmp);
    (bests[9] + bests[10]) / 2.0
}

/// The median distance of TPE and CMA-ES from the optimum is at most `share` of that of random search; evolution's is
/// smaller than random's.
fn compare(name: &str, optimum: f64, share: f64, space: Value, function: &dyn Fn(&Assignment) -> Option<f64>) {
    let random = median_best(PlannerKind::Random, &space, function);
    let tpe = median_best(PlannerKind::Tpe, &space, function);
    let cma = median_best(PlannerKind::CmaEs, &space, function);
    let evolution = median_best(PlannerKind::Evolution, &space, function);
    println!("| {name} | {optimum:.4} | {random:.4} | {tpe:.4} | {cma:.4} | {evolution:.4} |");
    for (sampler, got, share) in [("TPE", tpe, share), ("CMA-ES", cma, share), ("evolution", evolution, 1.0)] {
        assert!(got - optimum <= share * (random - optimum), "{name}: {sampler} {got}, random {random}, {optimum}");
    }
}

#[test]
fn on_branin() {
    let space = json!({
        "x": {"type": "float", "low": -5.0, "high": 10.0},
        "y": {"type": "float", "low": 0.0, "high": 15.0},
    });
    compare("branin", 0.397887, 0.7, space, &|a| Some(branin(a)));
}

#[test]
fn on_hartmann6() {
    let space = (0..6).map(|i| (format!("x{i}"), json!({"type": "float", "low": 0.0, "high": 1.0}))).collect();
    compare("hartmann6", -3.32237, 0.7, Value::Object(space), &|a| Some(hartmann6(a)));
}

#[test]
fn on_a_mixed_space() {
    let space = json!({
        "lr": {"type": "log-float", "low": 1e-5, "high": 1.0},
        "width": {"type": "int", "low": 8, "high": 512, "log": true},
        "depth": {"type": "int", "low": 1, "high": 8},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5},
        "activation": {"type": "choice", "values": ["tanh", "relu", "gelu"]},
    });
    compare("mixed", 0.0, 0.7, space, &|a| Some(mixed(a)));
}

#[test]
fn on_a_conditional_space() {
    let space = json!({
        "kind": {"type": "choice", "values": ["sgd", "adamw"]},
        "decay": {"type": "log-float", "low": 1e-5, "high": 1e-1},
        "sgd_lr": {"type": "log-float", "low": 1e-4, "high": 10.0, "when": {"kind": ["sgd"]}},
        "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"kind": ["sgd"]}},
        "adam_lr": {"type": "log-float", "low": 1e-5, "high": 1.0, "when": {"kind": ["adamw"]}},
        "beta2": {"type": "float", "low": 0.9, "high": 0.999, "when": {"kind": ["adamw"]}},
    });
    compare("conditional", 0.0, 0.7, space, &conditional);
}
