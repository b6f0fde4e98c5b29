//! The tree-structured Parzen estimator.
//!
//! Sources: Bergstra, Bardenet, Bengio, Kegl, "Algorithms for hyper-parameter optimization" (NIPS 2011); defaults after
//! Optuna's TPESampler 5.0 (gamma = min(ceil(0.1 n), 25), 24 candidates, joint over the parameters; Watanabe 2023,
//! arXiv 2304.11127, explains each). Observations are split into the best gamma and the rest; candidates are drawn from
//! the density of the first and the one with the highest ratio of the two densities is proposed.
//!
//! Beyond the paper: failed runs count as worse than all finished ones, and pending ones are with the bad as well (the
//! constant liar), so that parallel proposals keep apart.

use super::parzen::Parzen;
use super::random::{draw_free, sequence};
use super::space::Tree;
use super::taken::Taken;
use super::{Assignment, Observation, Sampler, Space, ranked};

/// Draws from the good density for one proposal.
const CANDIDATES: u32 = 24;
/// Times the candidates are drawn afresh while all are taken or refused.
const ROUNDS: u32 = 16;
/// Tries below this number belong to [`draw_free`].
const FIRST_TRY: u32 = 1 << 20;

/// Model-based proposals.
pub(super) struct Tpe {
    seed: u64,
    startup: usize,
}

impl Tpe {
    /// With the planner's seed; random until `startup` observations have ended.
    pub fn new(seed: u64, startup: usize) -> Self {
        Tpe { seed, startup }
    }
}

impl Sampler for Tpe {
    fn name(&self) -> &'static str {
        "tpe"
    }

    fn propose(
        &self,
        space: &Space,
        observations: &[Observation],
        index: u64,
        accept: &dyn Fn(&Assignment) -> bool,
    ) -> Option<Assignment> {
        let (tree, taken) = (Tree::new(space), Taken::new(observations));
        let ended = observations.iter().filter(|o| o.ended()).count();
        if ended >= self.startup {
            let (good, bad) = split(observations);
            let (good, bad) = (Parzen::new(&tree, &good), Parzen::new(&tree, &bad));
            for round in 0..ROUNDS {
                let mut best: Option<(f64, Assignment)> = None;
                for candidate in 0..CANDIDATES {
                    let attempt = FIRST_TRY + round * CANDIDATES + candidate;
                    let assignment = good.draw(&mut sequence(self.seed, index, attempt));
                    let score = good.log_density(&assignment) - bad.log_density(&assignment);
                    if best.as_ref().is_none_or(|(highest, _)| score > *highest)
                        && taken.is_free(&assignment)
                        && accept(&assignment)
                    {
                        best = Some((score, assignment));
                    }
                }
                if let Some((_, assignment)) = best {
                    return Some(assignment);
                }
            }
        }
        draw_free(&tree, &taken, self.seed, index, accept)
    }

    fn belief(&self, _: &Space, observations: &[Observation]) -> Vec<String> {
        let ended = observations.iter().filter(|o| o.ended()).count();
        if ended < self.startup {
            return Vec::new();
        }
        let good = split(observations).0.len();
        vec![format!("proposes where the best {good} of {ended} results lie dense and the others do not")]
    }
}

/// The good and the bad, each in the order in which they became known.
fn split(observations: &[Observation]) -> (Vec<&Observation>, Vec<&Observation>) {
    let ended = observations.iter().filter(|o| o.ended()).count();
    let mut best = ranked(&observations.iter().collect::<Vec<_>>());
    best.truncate(ended.div_ceil(10).min(25));
    let (mut good, mut bad) = (vec![], vec![]);
    for (i, observation) in observations.iter().enumerate() {
        if best.contains(&i) { good.push(observation) } else { bad.push(observation) }
    }
    (good, bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn observation(x: f64, value: Option<f64>, failed: bool) -> Observation {
        Observation { assignment: [("x".to_string(), json!(x))].into(), value, failed, trained: 1.0 }
    }

    fn xs(group: &[&Observation]) -> Vec<f64> {
        group.iter().map(|o| o.assignment["x"].as_f64().unwrap()).collect()
    }

    #[test]
    fn the_best_tenth_is_good_and_everything_else_bad() {
        let mut all: Vec<Observation> =
            (0..11).map(|i| observation(f64::from(i), Some(-f64::from(i)), false)).collect();
        all.push(observation(11.0, None, true));
        all.push(observation(12.0, None, false));
        all.push(observation(13.0, Some(f64::NAN), false));
        all.push(observation(14.0, Some(-99.0), true));
        let (good, bad) = split(&all);
        // 14 have ended, so two are good; the last one failed whatever it claims.
        assert_eq!(xs(&good), [9.0, 10.0]);
        assert_eq!(bad.len(), 13);
        let (good, bad) = split(&all[11..]);
        assert!(good.is_empty() && bad.len() == 4);
        let many: Vec<Observation> = (0..400).map(|i| observation(f64::from(i), Some(1.0), false)).collect();
        assert_eq!(xs(&split(&many).0), (0..25).map(f64::from).collect::<Vec<_>>());
    }

    fn space() -> Space {
        super::super::space::from_json(json!({"x": {"type": "float", "low": 0.0, "high": 1.0}}))
    }

    /// With a region of failures, proposals keep out of it; with a good spot, they go there.
    #[test]
    fn learns_from_failures_and_from_values() {
        let tpe = Tpe::new(0, 8);
        let at = |i: u32| (f64::from(i) + 0.5) / 20.0;
        let failures: Vec<_> = (0..10).map(|i| observation(at(i), None, true)).collect();
        let proposals = |observations: &[Observation]| -> Vec<f64> {
            (100..140)
                .map(|i| tpe.propose(&space(), observations, i, &|_| true).unwrap()["x"].as_f64().unwrap())
                .collect()
        };
        let away = proposals(&failures).iter().filter(|x| **x > 0.5).count();
        assert!(away >= 38, "{away} of 40 away from the failures");
        let valley: Vec<_> = (0..20).map(|i| observation(at(i), Some((at(i) - 0.7).powi(2)), false)).collect();
        let near = proposals(&valley).iter().filter(|x| (**x - 0.7).abs() < 0.15).count();
        assert!(near >= 36, "{near} of 40 near the minimum");
    }

    /// Pending proposals push the next ones away from themselves.
    #[test]
    fn parallel_proposals_keep_apart() {
        let tpe = Tpe::new(0, 8);
        let at = |i: u32| (f64::from(i) + 0.5) / 20.0;
        let mut seen: Vec<_> = (0..20).map(|i| observation(at(i), Some((at(i) - 0.7).powi(2)), false)).collect();
        let first = tpe.propose(&space(), &seen, 20, &|_| true).unwrap()["x"].as_f64().unwrap();
        let mean_distance = |seen: &[Observation]| {
            (0..40)
                .map(|i| tpe.propose(&space(), seen, 21 + i, &|_| true).unwrap()["x"].as_f64().unwrap())
                .map(|x| (x - first).abs())
                .sum::<f64>()
                / 40.0
        };
        let alone = mean_distance(&seen);
        seen.extend((0..4).map(|i| observation(first + f64::from(i) * 1e-4, None, false)));
        let apart = mean_distance(&seen);
        assert!(apart > 1.5 * alone, "{apart} with pending ones, {alone} without");
    }
}
