//! How far predicted gains can be trusted: predicted against realised, by cost and by who proposed.
//!
//! A predictor that promises too much for large experiments would eat the budget with them. So every prediction is
//! compared with what came of it, and later ones are multiplied by realised over predicted: overall, then relative to
//! that for the tercile of the cost and for the kind, each shrunk towards no correction as if [`WEIGHT`] predictions of
//! average size had come true.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Predictions that the prior is worth.
const WEIGHT: f64 = 3.0;
/// Bounds of the correction.
const BOUNDS: (f64, f64) = (0.05, 20.0);

/// A prediction and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Who proposed it, or another kind of experiment.
    pub kind: String,
    /// Predicted device-seconds.
    pub cost: f64,
    /// Predicted gain in noise floors, before any correction.
    pub predicted: f64,
    /// Realised gain, measured in the same way.
    pub realised: f64,
}

/// A group of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Group {
    /// How many.
    pub n: usize,
    /// Sum of the predicted gains.
    pub predicted: f64,
    /// Sum of the realised ones.
    pub realised: f64,
}

/// What was learned of a predictor.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Calibration {
    /// Costs that separate the terciles; none with fewer than three predictions.
    pub edges: Option<(f64, f64)>,
    /// All predictions.
    pub all: Group,
    /// By tercile of the cost, the cheapest first.
    pub terciles: [Group; 3],
    /// By kind.
    pub kinds: BTreeMap<String, Group>,
}

impl Group {
    fn add(&mut self, outcome: &Outcome) {
        self.n += 1;
        self.predicted += outcome.predicted;
        self.realised += outcome.realised;
    }

    /// Realised over predicted, shrunk towards `prior` by `weight` of predicted gain.
    fn factor(&self, prior: f64, weight: f64) -> f64 {
        let below = self.predicted + weight;
        if below > 0.0 { (self.realised + prior * weight) / below } else { prior }
    }
}

impl Calibration {
    /// From everything that came of earlier predictions.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut costs: Vec<f64> = outcomes.iter().map(|o| o.cost).collect();
        costs.sort_by(f64::total_cmp);
        let n = costs.len();
        let edges = (n >= 3).then(|| (costs[n / 3], costs[2 * n / 3]));
        let mut calibration = Calibration { edges, ..Calibration::default() };
        for outcome in outcomes {
            let tercile = calibration.tercile(outcome.cost);
            calibration.all.add(outcome);
            calibration.terciles[tercile].add(outcome);
            calibration.kinds.entry(outcome.kind.clone()).or_default().add(outcome);
        }
        calibration
    }

    /// The tercile of a cost: 0 for the cheapest.
    pub fn tercile(&self, cost: f64) -> usize {
        match self.edges {
            None => 1,
            Some((first, second)) => usize::from(cost >= first) + usize::from(cost >= second),
        }
    }

    /// What a predicted gain is to be multiplied by; 1 while nothing is known.
    pub fn factor(&self, kind: &str, cost: f64) -> f64 {
        if self.all.n == 0 || self.all.predicted <= 0.0 {
            return 1.0;
        }
        let weight = WEIGHT * self.all.predicted / self.all.n as f64;
        let overall = self.all.factor(1.0, weight);
        let part = |group: Option<&Group>| group.map_or(overall, |g| g.factor(overall, weight)) / overall.max(1e-12);
        let factor = overall * part(Some(&self.terciles[self.tercile(cost)])) * part(self.kinds.get(kind));
        factor.clamp(BOUNDS.0, BOUNDS.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::{Prospect, prioritise};
    use crate::rng::{Sequence, Stream};

    /// A predictor that is right about small experiments and promises six times too much for large ones.
    fn planted(n: u32) -> Vec<Outcome> {
        (0..n)
            .map(|i| {
                let mut s = Sequence::new(1, Stream::Data, i, 0);
                let cost = [1.0, 3.0, 10.0][i as usize % 3] * (1.0 + 0.1 * s.uniform());
                let realised = 0.5 + s.uniform();
                let predicted = realised * if cost > 5.0 { 6.0 } else { 1.0 } * (1.0 + 0.2 * s.normal()).max(0.1);
                Outcome { kind: "tpe".into(), cost, predicted, realised }
            })
            .collect()
    }

    #[test]
    fn an_overestimator_of_large_experiments_is_found_and_corrected() {
        let calibration = Calibration::of(&planted(60));
        let [small, middle, large] = [1.0, 3.2, 10.5].map(|cost| calibration.factor("tpe", cost));
        assert!((0.13..0.25).contains(&large), "a sixth, shrunk: {large}");
        assert!((0.7..1.3).contains(&small) && (0.7..1.3).contains(&middle), "{small} {middle}");
        // It changes what is chosen: truly equal gains at ten times the cost no longer win.
        let choose = |corrected: bool| {
            let of = |true_gain: f64, cost: f64| {
                let raw = true_gain * if cost > 5.0 { 6.0 } else { 1.0 };
                let gain = raw * if corrected { calibration.factor("tpe", cost) } else { 1.0 };
                Prospect {
                    assignment: Default::default(),
                    gain: Some(gain),
                    raw_gain: Some(raw),
                    cost,
                    novelty: 0.0,
                    priority: 0.0,
                }
            };
            let mut pool = [of(1.0, 3.2), of(1.0, 10.5)];
            prioritise(&mut pool, 0.0);
            pool[0].cost
        };
        assert_eq!((choose(false), choose(true)), (10.5, 3.2));
        // It is learned step by step, and from nothing nothing follows.
        let after = |n: u32| Calibration::of(&planted(n)).factor("tpe", 10.5);
        assert!(after(6) > after(15) && after(6) < 0.5, "{} {}", after(6), after(15));
        assert!((after(15) - after(60)).abs() < 0.05, "{} {}", after(15), after(60));
        assert_eq!(Calibration::of(&[]).factor("tpe", 1.0), 1.0);
    }

    #[test]
    fn kinds_are_told_apart() {
        let mut outcomes = planted(30);
        outcomes.iter_mut().for_each(|o| o.predicted = o.realised);
        let boaster = |o: &Outcome| Outcome { kind: "llm".into(), predicted: 4.0 * o.realised, ..o.clone() };
        outcomes.extend(outcomes.clone().iter().map(boaster));
        let calibration = Calibration::of(&outcomes);
        let (honest, boasting) = (calibration.factor("tpe", 3.0), calibration.factor("llm", 3.0));
        assert!(boasting < 0.4 && honest > 2.0 * boasting, "{honest} {boasting}");
        let unknown = calibration.factor("grid", 3.0);
        assert!(boasting < unknown && unknown < honest);
    }

    #[test]
    fn predictions_of_nothing_are_no_trouble() {
        let nothing = Outcome { kind: "tpe".into(), cost: 1.0, predicted: 0.0, realised: 0.0 };
        assert_eq!(Calibration::of(&vec![nothing.clone(); 5]).factor("tpe", 1.0), 1.0);
        let luck = Outcome { realised: 3.0, ..nothing };
        assert!(Calibration::of(&[luck]).factor("tpe", 1.0).is_finite());
    }
}
