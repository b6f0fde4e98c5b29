//! One proposal out of a pool, by what it is worth for its cost.

use super::weigh::{Model, Prospect, novelty_among, portfolio, prioritise};
use super::{Assignment, Calibration, Observation, Sampler, Space};
use crate::config::PlannerSpec;

/// Draws of one proposal's pool are this far apart in the samplers' index, so that pools never share randomness.
pub(super) const STRIDE: u64 = 1 << 20;

/// What a choice depends on beside the space and the observations.
pub struct Purse<'a> {
    /// Device-seconds of an assignment, alpha included; none where it cannot be run.
    pub cost: &'a dyn Fn(&Assignment) -> Option<f64>,
    /// What of the budget is left for it, in device-seconds.
    pub left: f64,
    /// The same as a share of the whole budget, in [0, 1].
    pub share_left: f64,
    /// Results after the whole training that no sampler proposed: the baseline's.
    pub known: &'a [(Assignment, f64)],
    /// The noise floor, the unit of gains.
    pub floor: f64,
    /// What came of earlier predictions.
    pub calibration: &'a Calibration,
}

/// The next proposal: the sampler's own, or with [`weighing`](PlannerSpec::weighing) the first that a greedy portfolio of
/// several buys, followed by the rest of the pool by priority. None where the sampler has nothing new. Until a model of the
/// results is possible, the sampler's own first proposal stands.
pub fn choose(
    spec: &PlannerSpec,
    sampler: &dyn Sampler,
    space: &Space,
    observations: &[Observation],
    index: u64,
    accept: &dyn Fn(&Assignment) -> bool,
    purse: &Purse,
) -> Option<Vec<Prospect>> {
    let own = sampler.propose(space, observations, index, accept)?;
    let prospect = |assignment: Assignment, cost: f64| Prospect {
        novelty: novelty_among(space, &assignment, observations),
        assignment,
        gain: None,
        raw_gain: None,
        cost,
        priority: 0.0,
    };
    let Some(weighing) = &spec.weighing else {
        let cost = (purse.cost)(&own).unwrap_or(0.0);
        return Some(vec![prospect(own, cost)]);
    };
    let model = Model::of(space, observations, purse.known, purse.floor, spec.seed.wrapping_add(index));
    let mut pool: Vec<Prospect> = vec![prospect(own.clone(), (purse.cost)(&own).unwrap_or(0.0))];
    if model.gain(&own).is_none() {
        return Some(pool);
    }
    for further in 1..weighing.pool.max(1) as u64 {
        let Some(other) = sampler.propose(space, observations, index + further * STRIDE, accept) else { break };
        if let Some(cost) = (purse.cost)(&other).filter(|_| pool.iter().all(|p| p.assignment != other)) {
            pool.push(prospect(other, cost));
        }
    }
    let costs: Vec<f64> = pool.iter().map(|p| p.cost).collect();
    for prospect in &mut pool {
        prospect.raw_gain = model.gain(&prospect.assignment);
        let factor = purse.calibration.factor(sampler.name(), prospect.cost);
        prospect.gain = prospect.raw_gain.map(|gain| factor * gain);
        if !weighing.cost {
            // All alike for the priority; put back below.
            prospect.cost = 1.0;
        }
    }
    let order: Vec<(Assignment, f64)> = pool.iter().zip(costs).map(|(p, cost)| (p.assignment.clone(), cost)).collect();
    prioritise(&mut pool, weighing.beta * purse.share_left.clamp(0.0, 1.0));
    for prospect in &mut pool {
        prospect.cost = order.iter().find(|(a, _)| *a == prospect.assignment).map_or(0.0, |(_, cost)| *cost);
    }
    // Highest priority first, as far as the budget goes: value = priority x cost makes the density the priority.
    let items: Vec<(f64, f64)> = pool.iter().map(|p| (p.priority * p.cost.max(1e-9), p.cost)).collect();
    if let Some(first) = portfolio(&items, purse.left).first().copied() {
        let chosen = pool.remove(first);
        pool.insert(0, chosen);
    }
    Some(pool)
}

#[cfg(test)]
mod tests {
    use super::super::space::from_json;
    use super::*;
    use crate::config::{PlannerKind, Weighing};
    use serde_json::json;

    /// Two regions of equal promise, one ten times as dear: with the cost in view the cheap one is chosen, without it
    /// both are; and a pool is derived again from its arguments.
    #[test]
    fn equal_gains_are_bought_where_they_are_cheap() {
        let space = from_json(json!({"x": {"type": "float", "low": 0.0, "high": 1.0}}));
        let x = |a: &Assignment| a["x"].as_f64().unwrap();
        let value = |x: f64| ((x - 0.25).abs().min((x - 0.75).abs()) * 4.0).min(1.0);
        let observations: Vec<Observation> = (0..24)
            .map(|i| (f64::from(i) + 0.5) / 24.0)
            .map(|at| Observation::complete([("x".to_string(), json!(at))].into(), Some(value(at))))
            .collect();
        let cost = |a: &Assignment| Some(if x(a) > 0.5 { 10.0 } else { 1.0 });
        let calibration = Calibration::default();
        let purse =
            Purse { cost: &cost, left: 100.0, share_left: 0.5, known: &[], floor: 0.1, calibration: &calibration };
        let choices = |with_cost: bool| -> Vec<f64> {
            let spec = PlannerSpec {
                kind: PlannerKind::Random,
                weighing: Some(Weighing { pool: 16, beta: 0.0, cost: with_cost }),
                ..PlannerSpec::default()
            };
            let sampler = super::super::sampler(&spec);
            (0..30)
                .map(|index| {
                    let pool = choose(&spec, &*sampler, &space, &observations, index, &|_| true, &purse).unwrap();
                    let again = choose(&spec, &*sampler, &space, &observations, index, &|_| true, &purse).unwrap();
                    assert_eq!(pool, again);
                    assert!(pool.iter().all(|p| p.cost == cost(&p.assignment).unwrap()));
                    x(&pool[0].assignment)
                })
                .collect()
        };
        let dear = |xs: &[f64]| xs.iter().filter(|x| **x > 0.5).count();
        let (with, without) = (choices(true), choices(false));
        assert_eq!(dear(&with), 0, "{with:?}");
        assert!((8..=22).contains(&dear(&without)), "{without:?}");
        assert!(without.iter().all(|x| value(*x) < 0.6), "{without:?}");
        // What no longer fits is passed over.
        let poor = Purse { left: 0.5, ..purse };
        let spec = PlannerSpec { weighing: Some(Weighing::default()), ..PlannerSpec::default() };
        let sampler = super::super::sampler(&spec);
        assert!(choose(&spec, &*sampler, &space, &observations, 0, &|_| true, &poor).is_some());
    }
}
