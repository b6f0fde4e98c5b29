//! A steady-state evolutionary search with niches.
//!
//! The population is the best of everything that ended, thinned by clearing (Petrowski 1996): going from the best to the
//! worst, whoever lies within a radius of a better member (Gower's distance) has no place. So a good region is one niche
//! however many were tried in it, and the parents stay diverse. Two parents by tournament, uniform crossover, mutation of
//! at least one parameter. Nothing is kept between proposals: the population follows from the observations.

use super::distance::Distance;
use super::random::{draw_free, sequence};
use super::space::{Range, Tree};
use super::taken::Taken;
use super::{Assignment, Observation, Sampler, Space, ranked};
use crate::rng::Sequence;
use serde_json::Value;

/// Members compared for each parent.
const TOURNAMENT: usize = 3;
/// Share of proposals with two parents.
const CROSSOVER: f64 = 0.7;
/// Standard deviation of a mutation, as a share of the range.
const STEP: f64 = 0.15;
/// Radius of a niche in Gower's distance.
const NICHE: f64 = 0.08;
/// Share of random newcomers.
const NEWCOMERS: f64 = 0.05;
/// Children bred for one proposal while all are taken or refused.
const ROUNDS: u32 = 200;
/// Tries below this number belong to [`draw_free`].
const FIRST_TRY: u32 = 1 << 22;

/// Crossover and mutation of the best.
pub(super) struct Evolution {
    seed: u64,
    startup: usize,
    population: usize,
}

impl Evolution {
    /// With the planner's seed; random until `startup` observations have ended. `population`: niches at most.
    pub fn new(seed: u64, startup: usize, population: usize) -> Self {
        Evolution { seed, startup, population: population.max(2) }
    }
}

impl Sampler for Evolution {
    fn name(&self) -> &'static str {
        "evolution"
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
        let members = niches(&tree, observations, self.population);
        if ended >= self.startup && !members.is_empty() {
            for round in 0..ROUNDS {
                let child = breed(&tree, &members, &mut sequence(self.seed, index, FIRST_TRY + round));
                if taken.is_free(&child) && accept(&child) {
                    return Some(child);
                }
            }
        }
        draw_free(&tree, &taken, self.seed, index, accept)
    }
}

/// The best of each niche, best first, at most `most`.
fn niches<'a>(tree: &Tree, observations: &'a [Observation], most: usize) -> Vec<&'a Assignment> {
    let distance = Distance::over(tree.clone());
    let all: Vec<&Observation> = observations.iter().collect();
    let mut members: Vec<&Assignment> = vec![];
    for i in ranked(&all) {
        let candidate = &observations[i].assignment;
        if members.len() < most && members.iter().all(|m| distance.between(m, candidate) > NICHE) {
            members.push(candidate);
        }
    }
    members
}

fn breed(tree: &Tree, members: &[&Assignment], sequence: &mut Sequence) -> Assignment {
    if sequence.uniform() < NEWCOMERS {
        return tree.draw(sequence);
    }
    // Members are in order, so the smallest of the drawn positions wins.
    let parent = |sequence: &mut Sequence| {
        let drawn = (0..TOURNAMENT).map(|_| sequence.below(members.len() as u64) as usize).min();
        members[drawn.unwrap_or(0)]
    };
    let (first, second) = (parent(sequence), parent(sequence));
    let crossed = sequence.uniform() < CROSSOVER;
    let forced = sequence.below(tree.dimensions.len().max(1) as u64) as usize;
    let rate = 1.0 / tree.dimensions.len().max(1) as f64;
    tree.assign(|i| {
        let dimension = &tree.dimensions[i];
        let (a, b) = (first.get(&dimension.name), second.get(&dimension.name));
        let from_second = crossed && sequence.uniform() < 0.5;
        let inherited = if from_second { b.or(a) } else { a.or(b) };
        let Some(value) = inherited else { return dimension.range.draw(sequence) };
        let mutates = sequence.uniform() < rate;
        if mutates || i == forced { mutate(&dimension.range, value, sequence) } else { value.clone() }
    })
}

/// Another value: of a choice any other one, of a number one nearby, of a whole number at least the next.
fn mutate(range: &Range, value: &Value, sequence: &mut Sequence) -> Value {
    let Some(at) = range.coordinate(value) else { return range.draw(sequence) };
    if let Range::Choice(values) = range {
        let others = values.len().saturating_sub(1).max(1) as u64;
        let step = 1 + sequence.below(others) as usize;
        return range.value(((at as usize + step) % values.len()) as f64);
    }
    let (low, high) = range.bounds();
    let mut moved = at + STEP * (high - low) * sequence.normal();
    // Reflected at the bounds, so that a mutation of a value at an end is not lost half of the time.
    if moved < low {
        moved = 2.0 * low - moved;
    } else if moved > high {
        moved = 2.0 * high - moved;
    }
    if let Some((from, to)) = range.cell_of(value).filter(|(from, to)| (*from..*to).contains(&moved)) {
        let up = if from <= low { true } else { to < high && sequence.uniform() < 0.5 };
        moved = if up { to + 1e-9 * (to - from) } else { from - 1e-9 * (to - from) };
    }
    range.value(moved.clamp(low, high))
}

#[cfg(test)]
mod tests {
    use super::super::space::from_json;
    use super::*;
    use serde_json::json;

    fn observation(x: f64, value: f64) -> Observation {
        Observation::complete([("x".to_string(), json!(x))].into(), Some(value))
    }

    #[test]
    fn a_crowd_is_one_niche() {
        let tree = Tree::new(&from_json(json!({"x": {"type": "float", "low": 0.0, "high": 1.0}})));
        let mut seen: Vec<Observation> =
            (0..10).map(|i| observation(0.5 + 0.001 * f64::from(i), f64::from(i))).collect();
        seen.push(observation(0.9, 50.0));
        seen.push(observation(0.1, 60.0));
        let xs: Vec<f64> = niches(&tree, &seen, 8).iter().map(|a| a["x"].as_f64().unwrap()).collect();
        assert_eq!(xs, [0.5, 0.9, 0.1]);
        assert_eq!(niches(&tree, &seen, 2).len(), 2);
    }

    #[test]
    fn mutations_change_and_stay_inside() {
        let tree = Tree::new(&from_json(json!({
            "c": {"type": "choice", "values": ["a", "b", "c"]},
            "i": {"type": "int", "low": 1, "high": 9},
            "r": {"type": "log-float", "low": 1e-4, "high": 1.0},
        })));
        let values = [json!("b"), json!(9), json!(1e-4)];
        for (dimension, value) in tree.dimensions.iter().zip(&values) {
            for step in 0..200 {
                let mut s = Sequence::new(1, crate::rng::Stream::Sampler, step, 0);
                let other = mutate(&dimension.range, value, &mut s);
                assert_ne!(&other, value, "{}", dimension.name);
                if let (Some(x), "r") = (other.as_f64(), dimension.name.as_str()) {
                    assert!((1e-4..=1.0).contains(&x));
                }
            }
        }
    }
}
