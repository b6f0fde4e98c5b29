//! From measured programs to a throughput profile.
//!
//! The model is linear in its unknowns once it is known of every op whether computing or moving limits it. So the two
//! take turns: solve for the costs by non-negative least squares on *relative* errors (a small program's error counts
//! as much as a large one's), then decide every op's limit from the costs; the round with the smallest error is kept.
//! A weak pull towards the speed of all classes together keeps unknowns that the samples say little about sensible.

use super::nnls::nnls;
use super::{Machine, OpClass, PROFILE_FORMAT, Rate, Task, ThroughputProfile};
use crate::graph::Work;
use crate::problem::{Problem, Result};
use std::collections::{BTreeMap, BTreeSet};

/// What was executed, a program or a part of one, and how long one execution took.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// What was executed.
    pub tasks: &'a [Task],
    /// Wall seconds of one execution, above 0.
    pub seconds: f64,
    /// Which model it belongs to: all samples of a model are held out together.
    pub model: usize,
    /// How often a step of that model executes it; 0 for what is no part of a step.
    pub per_step: f64,
    /// How much its relative error counts; 1 for a whole program.
    pub weight: f64,
}

/// Rounds of solving and deciding.
const ROUNDS: usize = 12;
/// A cost that is twice the common one counts as much as this relative error of one sample.
const PULL: f64 = 0.02;
/// Nominal coverage of [`ThroughputProfile::log_spread`].
const COVERAGE: f64 = 0.8;

/// The ops of one sample: class (as an index of unknowns) and work.
type Ops = Vec<(usize, Work)>;

/// What a sample is to come to, and how much it counts.
#[derive(Debug, Clone, Copy)]
struct Target {
    seconds: f64,
    weight: f64,
}

/// Which term limits each op; none before the first decision: then both count.
type Limits = Option<Vec<Vec<Limit>>>;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    Flops,
    Bytes,
}

/// Fits a profile to samples, which should be whole programs like those to be predicted. The spread is that of what is
/// predicted: whole steps of models that were held out with all their programs. Needs at least two, each with some op in it and a positive time.
pub fn fit(samples: &[Sample], machine: Machine) -> Result<ThroughputProfile> {
    let classes: BTreeMap<OpClass, usize> = {
        let seen: BTreeSet<OpClass> = samples.iter().flat_map(|s| s.tasks).map(|task| task.class).collect();
        seen.into_iter().enumerate().map(|(i, class)| (class, i)).collect()
    };
    let op = |task: &Task| (classes[&task.class], task.work);
    let ops: Vec<Ops> = samples.iter().map(|s| s.tasks.iter().map(op).collect()).collect();
    let seconds: Vec<Target> = samples.iter().map(|s| Target { seconds: s.seconds, weight: s.weight }).collect();
    check(samples)?;

    let together: Vec<Ops> = ops.iter().map(|ops| ops.iter().map(|(_, work)| (0, *work)).collect()).collect();
    let fallback = solve(&together, &seconds, 1, None).0[0];
    let (rates, limits) = solve(&ops, &seconds, classes.len(), Some(fallback));
    let residuals = held_out(samples, &ops, &rates, &limits, fallback);
    Ok(ThroughputProfile {
        format: PROFILE_FORMAT,
        machine,
        rates: classes.iter().map(|(class, &i)| (*class, rates[i])).collect(),
        fallback,
        log_spread: spread(residuals),
        samples: samples.iter().filter(|s| s.weight == 1.0).count(),
    })
}

/// Whether anything can be fitted to them.
pub(super) fn check(samples: &[Sample]) -> Result<()> {
    if samples.len() < 2 {
        let what = format!("a throughput profile needs at least 2 measured programs, there are {}", samples.len());
        return Err(Problem::failed(what));
    }
    for sample in samples {
        let seconds = sample.seconds;
        if !(seconds > 0.0 && seconds.is_finite()) || sample.tasks.is_empty() {
            let what = format!(
                "a program of model {} with {} tasks was measured at {seconds} s",
                sample.model,
                sample.tasks.len()
            );
            return Err(Problem::failed(what).remedy("measure more repetitions, so that the clock can tell them apart"));
        }
    }
    Ok(())
}

/// The rates of `classes` classes and the limits they were solved under.
fn solve(ops: &[Ops], seconds: &[Target], classes: usize, common: Option<Rate>) -> (Vec<Rate>, Limits) {
    let mut limits: Limits = None;
    let mut best: Option<(f64, Vec<Rate>, Limits)> = None;
    let mut unknowns = vec![0.0; 3 * classes];
    for _ in 0..ROUNDS {
        let (rows, target) = equations(ops, seconds, classes, &limits, common, &|_| true);
        unknowns = nnls(&rows, &target, &unknowns);
        let rates = rates_of(&unknowns);
        let error: f64 = ops
            .iter()
            .zip(seconds)
            .map(|(ops, y)| (y.weight * (predicted(ops, &rates) / y.seconds - 1.0)).powi(2))
            .sum();
        let next: Limits = Some(ops.iter().map(|ops| ops.iter().map(|op| limit(op, &rates)).collect()).collect());
        let settled = next == limits;
        if best.as_ref().is_none_or(|(least, ..)| error < *least) {
            best = Some((error, rates, limits));
        }
        if settled {
            break;
        }
        limits = next;
    }
    best.map_or((vec![Rate::default(); classes], None), |(_, rates, limits)| (rates, limits))
}

fn limit((class, work): &(usize, Work), rates: &[Rate]) -> Limit {
    let rate = &rates[*class];
    if work.flops.0 * rate.seconds_per_flop >= work.bytes.0 as f64 * rate.seconds_per_byte {
        Limit::Flops
    } else {
        Limit::Bytes
    }
}

/// One row a sample over (overhead, FLOPs, bytes) of each class, divided by its seconds, so that the target is 1; then
/// the pulls towards `common`. Only samples that are `kept` count.
fn equations(
    ops: &[Ops],
    seconds: &[Target],
    classes: usize,
    limits: &Limits,
    common: Option<Rate>,
    kept: &dyn Fn(usize) -> bool,
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let (mut rows, mut target) = (vec![], vec![]);
    for (i, (ops, Target { seconds: y, weight })) in ops.iter().zip(seconds).enumerate().filter(|(i, _)| kept(*i)) {
        let mut row = vec![0.0; 3 * classes];
        for (k, (class, work)) in ops.iter().enumerate() {
            let limit = limits.as_ref().map(|limits| limits[i][k]);
            row[3 * class] += weight / y;
            if limit != Some(Limit::Bytes) {
                row[3 * class + 1] += weight * work.flops.0 / y;
            }
            if limit != Some(Limit::Flops) {
                row[3 * class + 2] += weight * work.bytes.0 as f64 / y;
            }
        }
        rows.push(row);
        target.push(*weight);
    }
    if let Some(common) = common {
        for class in 0..classes {
            let costs = [common.seconds_per_op, common.seconds_per_flop, common.seconds_per_byte];
            for (k, cost) in costs.into_iter().enumerate().filter(|(_, cost)| *cost > 0.0) {
                let mut row = vec![0.0; 3 * classes];
                row[3 * class + k] = PULL / cost;
                rows.push(row);
                target.push(PULL);
            }
        }
    }
    (rows, target)
}

fn rates_of(unknowns: &[f64]) -> Vec<Rate> {
    let rate = |c: &[f64]| Rate { seconds_per_op: c[0], seconds_per_flop: c[1], seconds_per_byte: c[2] };
    unknowns.chunks_exact(3).map(rate).collect()
}

fn predicted(ops: &Ops, rates: &[Rate]) -> f64 {
    ops.iter().map(|(class, work)| rates[*class].seconds(*work)).sum()
}

/// `ln(measured / predicted)` of a step of each model under a fit without that model: what the interval is for, and as hard.
/// Residuals of single programs would be wider, since a step's programs make up for each other in part, and a model's
/// other programs, left in the fit, would give it away in part. The limits stay those of the whole fit: one model of several
/// hardly moves them, and this saves most of the time.
fn held_out(samples: &[Sample], ops: &[Ops], rates: &[Rate], limits: &Limits, common: Rate) -> Vec<f64> {
    let seconds: Vec<Target> = samples.iter().map(|s| Target { seconds: s.seconds, weight: s.weight }).collect();
    let start: Vec<f64> =
        rates.iter().flat_map(|r| [r.seconds_per_op, r.seconds_per_flop, r.seconds_per_byte]).collect();
    let models: BTreeSet<usize> = samples.iter().filter(|s| s.per_step > 0.0).map(|s| s.model).collect();
    let residual = |model: usize| {
        let kept = |i: usize| samples[i].model != model;
        let (rows, target) = equations(ops, &seconds, rates.len(), limits, Some(common), &kept);
        let rates = rates_of(&nnls(&rows, &target, &start));
        let (mut measured, mut foretold) = (0.0, 0.0);
        for (sample, ops) in samples.iter().zip(ops).filter(|(s, _)| s.model == model) {
            measured += sample.per_step * sample.seconds;
            foretold += sample.per_step * predicted(ops, &rates);
        }
        (measured / foretold.max(f64::MIN_POSITIVE)).ln()
    };
    models.into_iter().map(residual).collect()
}

/// The half-width that covers a further model with probability [`COVERAGE`]: the `0.8 (n+1)`-th smallest absolute residual,
/// between two of them by interpolation (the jackknife of Barber et al. 2021 takes the larger one, which with few models
/// covers more than it says). With fewer than four no residual is large enough for that; then half as much again as the
/// largest.
pub fn spread(residuals: Vec<f64>) -> f64 {
    let mut sizes: Vec<f64> = residuals.into_iter().map(f64::abs).collect();
    sizes.sort_by(f64::total_cmp);
    let Some(largest) = sizes.last().copied() else { return 0.0 };
    let rank = COVERAGE * (sizes.len() + 1) as f64;
    if rank > sizes.len() as f64 {
        return 1.5 * largest;
    }
    let below = rank.floor() as usize;
    let above = sizes.get(below).copied().unwrap_or(largest);
    sizes[below - 1] + (rank - rank.floor()) * (above - sizes[below - 1])
}

#[cfg(test)]
#[path = "fit_tests.rs"]
mod tests;
