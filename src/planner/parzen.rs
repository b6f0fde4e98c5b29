//! The density model of TPE: a mixture of products of kernels, one component an observation and one for the prior.
//!
//! Bandwidths, weights and the prior are those of Optuna's TPESampler with its defaults (`parzen_estimator.py`, version
//! 5.0): a truncated normal on numbers whose width is the larger distance to its neighbours, clipped from below to
//! `range / min(100, n + 2)` ("magic clip"); weighted counts on choices; full weight to the last 25 observations and
//! a linear ramp before them. Conditional spaces are where this differs: a component has the prior as its kernel in
//! dimensions that its observation did not have, so only observations with the parameter shape its density, and
//! dependencies between parameters are kept across branches.

use super::space::{Dimension, Range, Tree};
use super::{Assignment, Observation};
use crate::rng::Sequence;
use serde_json::Value;
use statrs::distribution::{ContinuousCDF, Normal};

/// Weight of the prior in units of one observation, also spread over the choices.
const PRIOR_WEIGHT: f64 = 1.0;
/// Latest observations with full weight.
const FLAT: usize = 25;

/// One factor of a component.
#[derive(Debug, Clone, Copy)]
enum Kernel {
    /// Normal in coordinates, truncated to the range; `below` is the standard normal's mass under the lower bound and
    /// `mass` that between the bounds; `log_scale` is `ln(deviation * mass * sqrt(2 pi))`, kept since it is asked often.
    Normal { mean: f64, deviation: f64, below: f64, mass: f64, log_scale: f64 },
    /// `base` for every choice and 1 more for `favoured`, over their `total`.
    Choice { favoured: usize, base: f64, total: f64 },
    /// All `choices` alike.
    AnyChoice { choices: usize },
}

/// A density over assignments.
pub(super) struct Parzen<'a> {
    tree: &'a Tree,
    /// Sums to 1; the prior is the last.
    weights: Vec<f64>,
    /// `[dimension][component]`.
    kernels: Vec<Vec<Kernel>>,
}

impl<'a> Parzen<'a> {
    /// The density of `observations`, in the order in which they became known.
    pub fn new(tree: &'a Tree, observations: &[&Observation]) -> Self {
        let mut weights = observation_weights(observations.len());
        weights.push(PRIOR_WEIGHT);
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        let kernels = tree.dimensions.iter().map(|d| kernels(d, observations)).collect();
        Parzen { tree, weights, kernels }
    }

    /// One assignment out of the density.
    pub fn draw(&self, sequence: &mut Sequence) -> Assignment {
        let component = weighted(&self.weights, sequence.uniform());
        self.tree.assign(|i| self.kernels[i][component].draw(&self.tree.dimensions[i].range, sequence))
    }

    /// Logarithm of the density of the parameters that `assignment` has, in coordinates (for whole numbers and choices,
    /// of the probability). Finite, since the prior reaches everywhere.
    pub fn log_density(&self, assignment: &Assignment) -> f64 {
        let mut logs: Vec<f64> = self.weights.iter().map(|w| w.ln()).collect();
        for (dimension, kernels) in self.tree.dimensions.iter().zip(&self.kernels) {
            let Some(value) = assignment.get(&dimension.name) else { continue };
            let Some(coordinate) = dimension.range.coordinate(value) else { continue };
            let cell = dimension.range.cell_of(value);
            for (log, kernel) in logs.iter_mut().zip(kernels) {
                *log += kernel.log_density(coordinate, cell);
            }
        }
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + logs.iter().map(|l| (l - largest).exp()).sum::<f64>().ln()
    }
}

/// Optuna's `default_weights`: ones, or beyond [`FLAT`] observations a ramp from 1/n before the latest.
fn observation_weights(n: usize) -> Vec<f64> {
    let ramp = n.saturating_sub(FLAT);
    let first = 1.0 / n as f64;
    (0..n)
        .map(|i| match (i < ramp, ramp) {
            (false, _) => 1.0,
            (true, 1) => first,
            (true, _) => first + (1.0 - first) * i as f64 / (ramp - 1) as f64,
        })
        .collect()
}

/// The index whose share of the cumulated weights holds `u` in [0, 1).
fn weighted(weights: &[f64], u: f64) -> usize {
    let mut sum = 0.0;
    weights
        .iter()
        .position(|w| {
            sum += w;
            u < sum
        })
        .unwrap_or(weights.len() - 1)
}

/// The kernels of one dimension: one for each observation, then the prior.
fn kernels(dimension: &Dimension, observations: &[&Observation]) -> Vec<Kernel> {
    let range = &dimension.range;
    let at: Vec<Option<f64>> =
        observations.iter().map(|o| range.coordinate(o.assignment.get(&dimension.name)?)).collect();
    let present = at.iter().flatten().count();
    if let Range::Choice(values) = range {
        let base = PRIOR_WEIGHT / (present + 1) as f64;
        let total = 1.0 + base * values.len() as f64;
        let prior = Kernel::AnyChoice { choices: values.len() };
        let kernel = |at: &Option<f64>| at.map_or(prior, |i| Kernel::Choice { favoured: i as usize, base, total });
        return at.iter().map(kernel).chain([prior]).collect();
    }
    let (low, high) = range.bounds();
    let prior = Kernel::normal((low + high) / 2.0, high - low, (low, high));
    let mut deviations = bandwidths(&at.iter().flatten().copied().collect::<Vec<_>>(), (low, high)).into_iter();
    let kernel = |at: &Option<f64>| match at {
        Some(mean) => Kernel::normal(*mean, deviations.next().unwrap_or(high - low), (low, high)),
        None => prior,
    };
    let mut all: Vec<Kernel> = at.iter().map(kernel).collect();
    all.push(prior);
    all
}

/// The deviation of each kernel: the larger distance to its neighbours in order, where the outermost look only inward
/// (a single one looks to both bounds), between the magic clip and the width of the range.
fn bandwidths(means: &[f64], (low, high): (f64, f64)) -> Vec<f64> {
    let n = means.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| means[a].total_cmp(&means[b]));
    let smallest = (high - low) / (n as f64 + 2.0).min(100.0);
    let mut widths = vec![0.0; n];
    for (rank, &i) in order.iter().enumerate() {
        let before = if rank > 0 { Some(means[i] - means[order[rank - 1]]) } else { None };
        let after = order.get(rank + 1).map(|&next| means[next] - means[i]);
        let width = match (before, after) {
            (Some(before), Some(after)) => before.max(after),
            (Some(inward), None) | (None, Some(inward)) => inward,
            (None, None) => (means[i] - low).max(high - means[i]),
        };
        widths[i] = width.clamp(smallest, high - low);
    }
    widths
}

impl Kernel {
    /// `mean` must lie within the bounds; a range of no width gives a point.
    fn normal(mean: f64, deviation: f64, (low, high): (f64, f64)) -> Self {
        let deviation = if deviation > 0.0 { deviation } else { 1.0 };
        let (below, above) = (phi((low - mean) / deviation), phi((high - mean) / deviation));
        let mass = above - below;
        Kernel::Normal {
            mean,
            deviation,
            below,
            mass,
            log_scale: (deviation * mass * std::f64::consts::TAU.sqrt()).ln(),
        }
    }

    fn draw(self, range: &Range, sequence: &mut Sequence) -> Value {
        let u = sequence.uniform();
        match self {
            Kernel::Normal { mean, deviation, below, mass, .. } => {
                let (low, high) = range.bounds();
                let x = mean + deviation * phi_inverse((below + u * mass).clamp(1e-16, 1.0 - 1e-16));
                range.value(x.clamp(low, high))
            }
            Kernel::Choice { favoured, base, total } => {
                // The first unit of the total belongs to the favoured choice, the rest to all alike.
                let left = u * total - 1.0;
                range.value(if left < 0.0 { favoured as f64 } else { (left / base).floor() })
            }
            Kernel::AnyChoice { choices } => range.value((u * choices as f64).floor()),
        }
    }

    /// `cell` is given for whole numbers, which have a probability instead of a density.
    fn log_density(self, coordinate: f64, cell: Option<(f64, f64)>) -> f64 {
        match self {
            // A range of a single point.
            Kernel::Normal { mass, .. } if mass <= 0.0 => 0.0,
            Kernel::Normal { mean, deviation, mass, log_scale, .. } => match cell {
                Some((from, to)) => ((phi((to - mean) / deviation) - phi((from - mean) / deviation)) / mass).ln(),
                None => {
                    let z = (coordinate - mean) / deviation;
                    -0.5 * z * z - log_scale
                }
            },
            Kernel::Choice { favoured, base, total } => {
                ((base + f64::from(u8::from(coordinate as usize == favoured))) / total).ln()
            }
            Kernel::AnyChoice { choices } => -(choices as f64).ln(),
        }
    }
}

/// Distribution function of the standard normal.
fn phi(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// Its inverse.
fn phi_inverse(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use serde_json::json;

    fn tree(space: Value) -> Tree {
        Tree::new(&super::super::space::from_json(space))
    }

    fn observations(assignments: &[Value]) -> Vec<Observation> {
        assignments.iter().map(|a| Observation::pending(serde_json::from_value(a.clone()).unwrap())).collect()
    }

    /// `optuna.samplers._tpe.sampler.default_weights`, Optuna 5.0.0.
    #[test]
    fn weights_are_optunas() {
        assert_eq!(observation_weights(3), [1.0; 3]);
        let w = observation_weights(28);
        let want = [0.03571428571428571, 0.5178571428571428, 1.0, 1.0];
        assert!(w.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-15) && w.len() == 28, "{w:?}");
    }

    /// `log_pdf` of Optuna 5.0.0's `_ParzenEstimator` with `_ParzenEstimatorParameters(1.0, True, False, default_weights,
    /// True)` over the same five distributions and observations.
    #[test]
    fn densities_are_optunas() {
        let tree = tree(json!({
            "c": {"type": "choice", "values": ["a", "b", "c"]},
            "f": {"type": "float", "low": -1.0, "high": 3.0},
            "i": {"type": "int", "low": 2, "high": 12, "step": 2},
            "k": {"type": "int", "low": 1, "high": 64, "log": true},
            "l": {"type": "log-float", "low": 1e-4, "high": 1.0},
        }));
        let seen = observations(&[
            json!({"c": "a", "f": 0.5, "i": 4, "k": 8, "l": 1e-3}),
            json!({"c": "b", "f": 2.5, "i": 12, "k": 1, "l": 0.5}),
            json!({"c": "a", "f": 0.4, "i": 4, "k": 50, "l": 2e-3}),
        ]);
        let parzen = Parzen::new(&tree, &seen.iter().collect::<Vec<_>>());
        for (json, want) in OPTUNA_REFERENCE {
            let got = parzen.log_density(&serde_json::from_str(json).unwrap());
            assert!((got - want).abs() < 1e-6, "{json}: {got}, Optuna {want}");
        }
    }

    const OPTUNA_REFERENCE: [(&str, f64); 4] = [
        (r#"{"c": "a", "f": 0.45, "i": 4, "k": 20, "l": 0.0015}"#, -9.245461092489874),
        (r#"{"c": "c", "f": -1.0, "i": 2, "k": 64, "l": 1.0}"#, -13.605307350481686),
        (r#"{"c": "b", "f": 3.0, "i": 12, "k": 1, "l": 0.0001}"#, -8.21746510359064),
        (r#"{"c": "a", "f": 1.0, "i": 8, "k": 2, "l": 0.03}"#, -8.739968556214112),
    ];

    /// What is drawn follows the density that is stated: shares of cells against their integrated density.
    #[test]
    fn draws_follow_the_density() {
        let tree = tree(json!({
            "c": {"type": "choice", "values": ["a", "b"]},
            "x": {"type": "float", "low": 0.0, "high": 1.0, "when": {"c": ["a"]}},
            "y": {"type": "int", "low": 0, "high": 3, "when": {"c": ["b"]}},
        }));
        let seen = observations(&[json!({"c": "a", "x": 0.2}), json!({"c": "a", "x": 0.9}), json!({"c": "b", "y": 1})]);
        let parzen = Parzen::new(&tree, &seen.iter().collect::<Vec<_>>());
        let n = 20_000;
        let (mut tenths, mut numbers) = ([0.0; 10], [0.0; 4]);
        for i in 0..n {
            let a = parzen.draw(&mut Sequence::new(3, Stream::Sampler, i, 0));
            match a["c"].as_str() {
                Some("a") => tenths[((a["x"].as_f64().unwrap() * 10.0) as usize).min(9)] += 1.0 / f64::from(n),
                _ => numbers[a["y"].as_i64().unwrap() as usize] += 1.0 / f64::from(n),
            }
        }
        let density = |json: Value| parzen.log_density(&serde_json::from_value(json).unwrap()).exp();
        for (k, share) in tenths.iter().enumerate() {
            let steps = 20;
            let want: f64 = (0..steps)
                .map(|s| density(json!({"c": "a", "x": (k as f64 + (f64::from(s) + 0.5) / 20.0) / 10.0})) / 200.0)
                .sum();
            assert!((share - want).abs() < 0.01, "tenth {k}: {share}, density {want}");
        }
        for (k, share) in numbers.iter().enumerate() {
            let want = density(json!({"c": "b", "y": k}));
            assert!((share - want).abs() < 0.01, "number {k}: {share}, density {want}");
        }
        let total: f64 = tenths.iter().chain(&numbers).sum();
        assert!((total - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_point_is_no_trouble() {
        let tree = tree(json!({"x": {"type": "float", "low": 0.5, "high": 0.5}}));
        let parzen = Parzen::new(&tree, &[]);
        let drawn = parzen.draw(&mut Sequence::new(0, Stream::Sampler, 0, 0));
        assert_eq!(drawn["x"], json!(0.5));
        assert_eq!(parzen.log_density(&drawn), 0.0);
    }
}
