//! Evidence that TPE, CMA-ES and evolution are worth having: the same functions, seeds and budget as `tests/fixtures/optuna/compare.py`.
//!
//! Run with `cargo test --release --lib planner::performance -- --nocapture` for the table in
//! `docs/benchmarks/samplers.md`.

use super::{Observation, sampler};
use crate::config::{PlannerKind, PlannerSpec};
use crate::contest::Task;
use crate::contest::functions::{Function, functions};

const SEEDS: u64 = 20;
const EVALUATIONS: u64 = 60;

/// Median over seeds of the best value after all evaluations.
fn median_best(kind: PlannerKind, function: &Function) -> f64 {
    let mut bests: Vec<f64> = (0..SEEDS)
        .map(|seed| {
            let sampler = sampler(&PlannerSpec { kind, seed, startup: 10, ..PlannerSpec::default() });
            let mut observations: Vec<Observation> = vec![];
            for index in 0..EVALUATIONS {
                let assignment = sampler.propose(function.space(), &observations, index, &|_| true).expect("endless");
                let value = function.value(&assignment);
                observations.push(Observation::complete(assignment, value));
            }
            observations.iter().filter_map(|o| o.value).fold(f64::INFINITY, f64::min)
        })
        .collect();
    bests.sort_by(f64::total_cmp);
    (bests[9] + bests[10]) / 2.0
}

/// The median distance of TPE and CMA-ES from the optimum is at most 0.7 of that of random search; evolution's is
/// smaller than random's.
fn compare(which: usize) {
    let function = &functions()[which];
    let (name, optimum, share) = (function.name(), function.optimum, 0.7);
    let random = median_best(PlannerKind::Random, function);
    let tpe = median_best(PlannerKind::Tpe, function);
    let cma = median_best(PlannerKind::CmaEs, function);
    let evolution = median_best(PlannerKind::Evolution, function);
    println!("| {name} | {optimum:.4} | {random:.4} | {tpe:.4} | {cma:.4} | {evolution:.4} |");
    for (sampler, got, share) in [("TPE", tpe, share), ("CMA-ES", cma, share), ("evolution", evolution, 1.0)] {
        assert!(got - optimum <= share * (random - optimum), "{name}: {sampler} {got}, random {random}, {optimum}");
    }
}

#[test]
fn on_branin() {
    compare(0);
}

#[test]
fn on_hartmann6() {
    compare(1);
}

#[test]
fn on_a_mixed_space() {
    compare(2);
}

#[test]
fn on_a_conditional_space() {
    compare(3);
}
