//! From measured programs to a throughput profile, where each op is a handful of whole-tensor operations on a GPU.
//!
//! Such an op costs what its launches cost, whatever it is, or what it takes to move its operands, unfused; arithmetic is
//! hardly ever what takes the time. Two numbers, seconds an op and seconds a byte, came within 14% of the step times that
//! were measured on a card (docs/benchmarks/gpu-h200.md); one rate a class of ops, fitted to fewer programs than there are
//! rates, was off by a factor of three. Convolutions, unfolded place by place of their kernel, have two numbers of their
//! own.

use super::fit::{check, spread};
use super::nnls::nnls;
use super::{Machine, OpClass, PROFILE_FORMAT, Rate, Sample, Task, ThroughputProfile};
use crate::problem::Result;
use std::collections::BTreeSet;

/// Convolutions that cost twice what all else does count as much as this relative error of one sample: enough to have a
/// number where no sample tells one.
const PULL: f64 = 0.003;

/// Seconds an op and a byte; the same of convolutions.
type Costs = [f64; 4];

/// Ops and bytes of a sample, in the order of [`Costs`].
fn amounts(tasks: &[Task]) -> Costs {
    let mut amounts = [0.0; 4];
    for task in tasks {
        let at = if matches!(task.class, OpClass::Conv | OpClass::ConvGrad) { 2 } else { 0 };
        amounts[at] += 1.0;
        amounts[at + 1] += task.work.bytes.0 as f64;
    }
    amounts
}

fn seconds(amounts: &Costs, costs: &Costs) -> f64 {
    amounts.iter().zip(costs).map(|(amount, cost)| amount * cost).sum()
}

/// Fits a profile to samples of whole steps and evaluations: what is timed by itself on a GPU must end with the device
/// idle, as these do. The spread is that of steps of models that were left out with all their samples.
pub fn fit_launched(samples: &[Sample], machine: Machine) -> Result<ThroughputProfile> {
    check(samples)?;
    let known: Vec<(Costs, &Sample)> = samples.iter().map(|sample| (amounts(sample.tasks), sample)).collect();
    let costs = solve(&known);
    let models: BTreeSet<usize> = samples.iter().filter(|s| s.per_step > 0.0).map(|s| s.model).collect();
    let residual = |model: usize| {
        let others: Vec<_> = known.iter().copied().filter(|(_, sample)| sample.model != model).collect();
        let costs = solve(&others);
        let (mut measured, mut foretold) = (0.0, 0.0);
        for (amounts, sample) in known.iter().filter(|(_, sample)| sample.model == model) {
            measured += sample.per_step * sample.seconds;
            foretold += sample.per_step * seconds(amounts, &costs);
        }
        (measured / foretold.max(f64::MIN_POSITIVE)).ln()
    };
    let residuals = if models.len() > 1 { models.into_iter().map(residual).collect() } else { vec![] };
    let rate = |at: usize| Rate { seconds_per_op: costs[at], seconds_per_flop: 0.0, seconds_per_byte: costs[at + 1] };
    let convolved = known.iter().any(|(amounts, _)| amounts[2] > 0.0);
    let rates = [OpClass::Conv, OpClass::ConvGrad].map(|class| (class, rate(2)));
    Ok(ThroughputProfile {
        format: PROFILE_FORMAT,
        machine,
        rates: rates.into_iter().filter(|_| convolved).collect(),
        fallback: rate(0),
        log_spread: spread(residuals),
        samples: samples.len(),
    })
}

/// The costs with the smallest relative errors. Of many small models and few large ones the small ones would decide alone,
/// and they know nothing of bytes: so each sample counts by how much of its time is launches and how much is moving,
/// found with equal weights first, and all launches together count as much as all moving.
fn solve(samples: &[(Costs, &Sample)]) -> Costs {
    let equal = weighed(samples, &vec![1.0; samples.len()]);
    let shares: Vec<(f64, f64)> = samples
        .iter()
        .map(|(amounts, _)| {
            let moving =
                (amounts[1] * equal[1] + amounts[3] * equal[3]) / seconds(amounts, &equal).max(f64::MIN_POSITIVE);
            (1.0 - moving, moving)
        })
        .collect();
    let (launches, moving) = shares.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let half = 0.5 * samples.len() as f64;
    let part = |share: f64, all: f64| if all > 0.0 { half * share / all } else { 0.0 };
    let weights: Vec<f64> = shares.iter().map(|(l, m)| (part(*l, launches) + part(*m, moving)).sqrt()).collect();
    weighed(samples, &weights)
}

fn weighed(samples: &[(Costs, &Sample)], weights: &[f64]) -> Costs {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    let mut target = Vec::new();
    for ((amounts, sample), weight) in samples.iter().zip(weights) {
        let weight = weight * sample.weight;
        rows.push(amounts.iter().map(|amount| weight * amount / sample.seconds).collect());
        target.push(weight);
    }
    // What all ops cost together, then convolutions by themselves and weakly pulled to that.
    let together: Vec<Vec<f64>> = rows.iter().map(|row| vec![row[0] + row[2], row[1] + row[3]]).collect();
    let common = nnls(&together, &target, &[0.0, 0.0]);
    if samples.iter().any(|(amounts, _)| amounts[2] > 0.0) {
        for k in [0, 1].into_iter().filter(|k| common[*k] > 0.0) {
            let mut row = vec![0.0; 4];
            (row[k], row[k + 2]) = (-PULL / common[k], PULL / common[k]);
            rows.push(row);
            target.push(0.0);
        }
    }
    let found = nnls(&rows, &target, &[common[0], common[1], common[0], common[1]]);
    let costs = [found[0], found[1], found[2], found[3]];
    // Without a convolution to tell, they cost what all else does.
    if costs[2] + costs[3] > 0.0 { costs } else { [costs[0], costs[1], costs[0], costs[1]] }
}
