//! Evidence that TPE, CMA-ES and evolution are worth having: the same functions, seeds and budget as `tests/fixtures/optuna/compare.py`.
//!
//! Run with `cargo test --release --lib planner::performance -- --nocapture` for the table in
//! `docs/benchmarks/samplers.md`.

use super::{Observation, sampler};
use crate::analysis::percentile;
use crate::config::{PlannerKind, PlannerSpec};
use crate::contest::Task;
use crate::contest::functions::{Function, functions};
use serde_json::Value;

const SEEDS: u64 = 20;
const EVALUATIONS: u64 = 60;

/// The best value after all evaluations, for every seed.
fn bests(kind: PlannerKind, function: &Function) -> Vec<f64> {
    let one = |seed| {
        let sampler = sampler(&PlannerSpec { kind, seed, startup: 10, ..PlannerSpec::default() });
        let mut observations: Vec<Observation> = vec![];
        for index in 0..EVALUATIONS {
            let assignment = sampler.propose(function.space(), &observations, index, &|_| true).expect("endless");
            let value = function.value(&assignment);
            observations.push(Observation::complete(assignment, value));
        }
        observations.iter().filter_map(|o| o.value).fold(f64::INFINITY, f64::min)
    };
    (0..SEEDS).map(one).collect()
}

fn median(bests: &[f64]) -> f64 {
    let mut sorted = bests.to_vec();
    sorted.sort_by(f64::total_cmp);
    percentile(&sorted, 0.5)
}

/// How much worse `ours` are than `theirs` by ranks, in standard deviations of chance (Mann and Whitney 1947).
fn worse(ours: &[f64], theirs: &[f64]) -> f64 {
    let (n, m) = (ours.len() as f64, theirs.len() as f64);
    let beaten =
        |x: &f64| theirs.iter().map(|y| if x > y { 1.0 } else { f64::from(u8::from(x == y)) / 2.0 }).sum::<f64>();
    let u: f64 = ours.iter().map(beaten).sum();
    (u - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

/// Optuna's bests on the same function with the same number of seeds and evaluations; see `compare.py` beside the file.
fn optunas(function: &str, sampler: &str) -> Vec<f64> {
    let file: Value = serde_json::from_str(include_str!("../../tests/fixtures/optuna/bests.json")).unwrap();
    let bests: Vec<f64> = serde_json::from_value(file["bests"][function][sampler].clone()).unwrap();
    assert_eq!(bests.len() as u64, SEEDS);
    bests
}

/// The median distance of TPE and CMA-ES from the optimum is at most 0.7 of that of random search, evolution's is smaller
/// than random's; and TPE and CMA-ES are not worse than Optuna's beyond chance, each with ten random evaluations first: 2.5
/// deviations are a chance of 0.6%, so 5% over the eight comparisons.
fn compare(which: usize) {
    let function = &functions()[which];
    let (name, optimum, share) = (function.name(), function.optimum, 0.7);
    let [random, tpe, cma, evolution] =
        [PlannerKind::Random, PlannerKind::Tpe, PlannerKind::CmaEs, PlannerKind::Evolution].map(|k| bests(k, function));
    let (by_tpe, by_cma) = (optunas(name, "tpe, default"), optunas(name, "cma-es, 10 random first"));
    let (z_tpe, z_cma) = (worse(&tpe, &by_tpe), worse(&cma, &by_cma));
    println!("| {name} | {z_tpe:+.1} | {z_cma:+.1} | deviations of TPE and CMA-ES from Optuna's, above 0 is worse");
    assert!(z_tpe < 2.5 && z_cma < 2.5, "{name}: worse than Optuna's by {z_tpe} and {z_cma} deviations");
    let [random, tpe, cma, evolution] = [random, tpe, cma, evolution].map(|b| median(&b));
    println!("| {name} | {optimum:.4} | {random:.4} | {tpe:.4} | {cma:.4} | {evolution:.4} |");
    for (sampler, got, share) in [("TPE", tpe, share), ("CMA-ES", cma, share), ("evolution", evolution, 1.0)] {
        assert!(got - optimum <= share * (random - optimum), "{name}: {sampler} {got}, random {random}, {optimum}");
    }
}

/// Shifted by more than its spread, a sample is worse; against itself it is not.
#[test]
fn ranks_tell_worse_from_equal() {
    let theirs: Vec<f64> = (0..20).map(f64::from).collect();
    let shifted: Vec<f64> = theirs.iter().map(|x| x + 15.0).collect();
    assert_eq!(worse(&theirs, &theirs), 0.0);
    // Of the 400 pairs the shifted one is larger in 385 and equal in 5.
    assert!((worse(&shifted, &theirs) - 187.5 / (20.0_f64 * 20.0 * 41.0 / 12.0).sqrt()).abs() < 1e-12);
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
