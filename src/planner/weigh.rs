//! What a candidate is worth beside others: gain, cost, novelty, priority, and what a budget should buy.
//!
//! ```text
//! gain      expected improvement over the best so far, in noise floors, times the chance of a value, times the
//!           calibration of earlier gains
//! cost      devices x predicted seconds x alpha, and what the wait in a cluster's queue is worth
//! priority  (gain / cost) / (largest of the pool) + beta x novelty / (largest of the pool)
//! beta      beta0 x what is left of the budget / the budget
//! ```
//! Boundary: numbers in, numbers out; who proposes the pool and who pays is asked elsewhere.

use super::forest::{Belief, Forest};
use super::{Assignment, Distance, Observation, Space, novelty};
use serde::{Deserialize, Serialize};
use statrs::distribution::{Continuous, ContinuousCDF, Normal};

/// Results at one share of the training that a model of them needs.
const ENOUGH: usize = 6;

/// Expected improvement of a normal belief below `best` (smaller is better): `E[max(0, best - Y)]`. Jones, Schonlau and
/// Welch (1998).
pub fn expected_improvement(belief: Belief, best: f64) -> f64 {
    let gap = best - belief.mean;
    if belief.deviation <= 0.0 {
        return gap.max(0.0);
    }
    let (normal, z) = (Normal::standard(), gap / belief.deviation);
    (gap * normal.cdf(z) + belief.deviation * normal.pdf(z)).max(0.0)
}

/// A model of the results and of the failures so far.
pub struct Model {
    values: Option<(Forest, f64)>,
    failures: Option<Forest>,
    floor: f64,
}

impl Model {
    /// Of what was observed. `known` are further results after the whole training (the baseline's, say); `floor` is the
    /// noise floor, the unit of gains. Values are modelled at the largest share of the training that has enough of them:
    /// under successive halving few runs get to their end.
    pub fn of(space: &Space, observations: &[Observation], known: &[(Assignment, f64)], floor: f64, seed: u64) -> Self {
        let mut shares: Vec<f64> = observations.iter().filter(|o| o.usable().is_some()).map(|o| o.trained).collect();
        shares.push(1.0);
        shares.sort_by(|a, b| b.total_cmp(a));
        shares.dedup();
        let at = |share: f64| -> Vec<(&Assignment, f64)> {
            let own = observations.iter().filter(|o| o.trained == share);
            let own = own.filter_map(|o| Some((&o.assignment, o.usable()?)));
            let further = known.iter().filter(|_| share == 1.0).map(|(a, v)| (a, *v));
            own.chain(further).collect()
        };
        let values = shares.into_iter().map(at).find(|seen| seen.len() >= ENOUGH).and_then(|seen| {
            let best = seen.iter().map(|s| s.1).fold(f64::INFINITY, f64::min);
            Some((Forest::fit(space, &seen, seed)?, best))
        });
        let ended: Vec<&Observation> = observations.iter().filter(|o| o.ended()).collect();
        let failed = |o: &Observation| f64::from(u8::from(o.usable().is_none()));
        let any = ended.iter().any(|o| failed(o) > 0.0);
        let labels: Vec<(&Assignment, f64)> = ended.iter().map(|o| (&o.assignment, failed(o))).collect();
        let failures = any.then(|| Forest::fit(space, &labels, seed ^ 1)).flatten();
        Model { values, failures, floor: if floor.is_finite() && floor > 0.0 { floor } else { 1.0 } }
    }

    /// Expected improvement in noise floors, not calibrated; none while too little is known.
    pub fn gain(&self, assignment: &Assignment) -> Option<f64> {
        let (forest, best) = self.values.as_ref()?;
        let fails = self.failures.as_ref().map_or(0.0, |f| f.predict(assignment).mean.clamp(0.0, 1.0));
        Some((1.0 - fails) * expected_improvement(forest.predict(assignment), *best) / self.floor)
    }
}

/// A candidate with what is known before it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prospect {
    /// What would be tried.
    pub assignment: Assignment,
    /// Expected improvement in noise floors, calibrated; none while too little is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<f64>,
    /// The same before its calibration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_gain: Option<f64>,
    /// Device-seconds, alpha included.
    pub cost: f64,
    /// Distance from the nearest known or running candidate, in [0, 1].
    pub novelty: f64,
    /// See the module; 0 before [`prioritise`].
    pub priority: f64,
}

/// Distances of `assignment` from everything observed, the nearest one.
pub fn novelty_among(space: &Space, assignment: &Assignment, observations: &[Observation]) -> f64 {
    novelty(&Distance::new(space), assignment, observations.iter().map(|o| &o.assignment))
}

/// Fills in the priorities of a pool, highest first; ties keep their order. Without gains only cost and novelty count.
pub fn prioritise(pool: &mut [Prospect], beta: f64) {
    let per_cost = |p: &Prospect| p.gain.unwrap_or(1.0) / p.cost.max(1e-9);
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let most = largest(&mut pool.iter().map(per_cost));
    let farthest = largest(&mut pool.iter().map(|p| p.novelty));
    for prospect in pool.iter_mut() {
        prospect.priority = per_cost(prospect) / most + beta * prospect.novelty / farthest;
    }
    pool.sort_by(|a, b| b.priority.total_cmp(&a.priority));
}

/// What a budget should buy of `(value, cost)` items: by value for its cost, highest first, skipping what no longer fits;
/// or the single most valuable item that fits, where that is worth more. At least half of the best possible (Dantzig
/// 1957, and the usual correction). Positions in the order bought.
pub fn portfolio(items: &[(f64, f64)], budget: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).filter(|&i| items[i].0 > 0.0 && items[i].1 <= budget).collect();
    order.sort_by(|&a, &b| {
        let density = |i: usize| items[i].0 / items[i].1.max(1e-300);
        density(b).total_cmp(&density(a)).then(a.cmp(&b))
    });
    let mut left = budget;
    let mut bought = Vec::new();
    for &i in &order {
        if items[i].1 <= left {
            left -= items[i].1;
            bought.push(i);
        }
    }
    let worth: f64 = bought.iter().map(|&i| items[i].0).sum();
    match order.iter().copied().max_by(|&a, &b| items[a].0.total_cmp(&items[b].0)) {
        Some(single) if items[single].0 > worth => vec![single],
        _ => bought,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Against the integral that defines it, by quadrature.
    #[test]
    fn expected_improvement_is_the_integral() {
        for (mean, deviation, best) in [(1.5, 0.8, 1.0), (0.2, 0.5, 1.0), (3.0, 0.1, 1.0), (1.0, 1.0, 1.0)] {
            let belief = Belief { mean, deviation };
            let steps = 200_000;
            let (low, high) = (mean - 10.0 * deviation, mean + 10.0 * deviation);
            let h = (high - low) / f64::from(steps);
            let density = |y: f64| (-0.5 * ((y - mean) / deviation).powi(2)).exp() / (deviation * 2.506628274631);
            let want: f64 =
                (0..steps).map(|k| low + (f64::from(k) + 0.5) * h).map(|y| (best - y).max(0.0) * density(y) * h).sum();
            assert!((expected_improvement(belief, best) - want).abs() < 1e-6, "{mean} {deviation}: {want}");
        }
        assert_eq!(expected_improvement(Belief { mean: 0.4, deviation: 0.0 }, 1.0), 0.6);
    }

    /// Every subset.
    fn exact(items: &[(f64, f64)], budget: f64) -> f64 {
        (0u32..1 << items.len())
            .filter_map(|set| {
                let chosen = || items.iter().enumerate().filter(move |(i, _)| set >> i & 1 == 1);
                (chosen().map(|(_, x)| x.1).sum::<f64>() <= budget).then(|| chosen().map(|(_, x)| x.0).sum::<f64>())
            })
            .fold(0.0, f64::max)
    }

    proptest! {
        /// Fits, and is worth at least half of the exact optimum.
        #[test]
        fn a_portfolio_is_at_least_half_of_the_knapsack(
            items in prop::collection::vec((0.0..10.0f64, 0.1..10.0f64), 0..11), budget in 0.0..25.0f64,
        ) {
            let bought = portfolio(&items, budget);
            let cost: f64 = bought.iter().map(|&i| items[i].1).sum();
            prop_assert!(cost <= budget + 1e-9);
            let worth: f64 = bought.iter().map(|&i| items[i].0).sum();
            prop_assert!(worth >= 0.5 * exact(&items, budget) - 1e-9);
        }
    }

    /// Typical cases are far better than the bound.
    #[test]
    fn a_portfolio_is_usually_nearly_exact() {
        let mut shares = vec![];
        for case in 0..200 {
            let mut s = crate::rng::Sequence::new(3, crate::rng::Stream::Data, case, 0);
            let items: Vec<(f64, f64)> = (0..10).map(|_| (s.uniform(), 0.1 + s.uniform())).collect();
            let worth: f64 = portfolio(&items, 2.5).iter().map(|&i| items[i].0).sum();
            shares.push(worth / exact(&items, 2.5));
        }
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        assert!(mean > 0.95, "{mean}");
    }

    fn prospect(gain: f64, cost: f64, novelty: f64) -> Prospect {
        Prospect {
            assignment: Default::default(),
            gain: Some(gain),
            raw_gain: Some(gain),
            cost,
            novelty,
            priority: 0.0,
        }
    }

    #[test]
    fn priorities_by_hand() {
        let mut pool = vec![prospect(2.0, 4.0, 0.1), prospect(1.0, 1.0, 0.0), prospect(0.1, 1.0, 0.4)];
        prioritise(&mut pool, 0.0);
        assert_eq!(pool.iter().map(|p| p.priority).collect::<Vec<_>>(), [1.0, 0.5, 0.1]);
        prioritise(&mut pool, 1.5);
        assert_eq!(pool.iter().map(|p| p.novelty).collect::<Vec<_>>(), [0.4, 0.0, 0.1]);
        assert!((pool[0].priority - 1.6).abs() < 1e-12);
        let mut unknown = vec![prospect(0.0, 3.0, 0.2), prospect(0.0, 2.0, 0.2)];
        unknown.iter_mut().for_each(|p| p.gain = None);
        prioritise(&mut unknown, 0.0);
        assert_eq!(unknown[0].cost, 2.0, "without gains the cheaper one");
    }
}
