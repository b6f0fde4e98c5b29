//! The distribution as it follows from the observations.

use super::super::random::sequence;
use super::super::space::{Dimension, Range, Tree};
use super::super::{Assignment, Observation, ranked};
use super::margin::{Cell, margin};
use super::normal::{Normal, Point, population, weights};
use crate::rng::Sequence;
use serde_json::Value;

/// Step size of the beginning, as a share of each range.
const SIGMA: f64 = 0.2;
/// Deviation below which the distribution has converged.
const CONVERGED: f64 = 1e-5;
/// Condition of the covariance beyond which it is beyond repair.
const ILL: f64 = 1e14;
/// Times the population is doubled by restarts (IPOP, Auger and Hansen 2005).
const DOUBLINGS: u32 = 4;
/// How far the probabilities of a choice move in a generation towards those of its best.
const CHOICE_RATE: f64 = 0.3;
/// Share of a choice's probability that is spread evenly, whatever was seen.
const CHOICE_FLOOR: f64 = 0.2;
/// Samples drawn to find one within the bounds before it is moved there.
const WITHIN: usize = 20;

/// Numbers and choices.
pub(super) struct Model<'a> {
    tree: &'a Tree,
    /// Dimensions of the tree that are coordinates of the normal.
    numbers: Vec<usize>,
    normal: Normal,
    /// Probabilities of each dimension that is a choice; empty for numbers.
    choices: Vec<Vec<f64>>,
}

impl<'a> Model<'a> {
    /// The distribution after `observations`; none while fewer than `startup` have ended. Every further generation is
    /// complete when as many have ended as the population has; later ones wait.
    pub fn of(tree: &'a Tree, observations: &[Observation], startup: usize, seed: u64) -> Option<Self> {
        let ended: Vec<&Observation> = observations.iter().filter(|o| o.ended()).collect();
        let startup = startup.max(1);
        if ended.len() < startup {
            return None;
        }
        let movable = |i: &usize| {
            let range = &tree.dimensions[*i].range;
            !matches!(range, Range::Choice(_)) && range.count() != Some(1)
        };
        let numbers: Vec<usize> = (0..tree.dimensions.len()).filter(movable).collect();
        let even = |range: &Range| match range {
            Range::Choice(values) => vec![1.0 / values.len() as f64; values.len()],
            _ => vec![],
        };
        let choices = tree.dimensions.iter().map(|d| even(&d.range)).collect();
        let n = numbers.len();
        let lambda = population(n);
        let mut model = Model { tree, normal: Normal::new(vec![0.5; n], SIGMA, lambda), numbers, choices };
        model.begin(&ended[..startup]);
        let mut rest = &ended[startup..];
        let mut restarts = 0;
        while rest.len() >= model.normal.lambda {
            let (generation, later) = rest.split_at(model.normal.lambda);
            rest = later;
            model.learn(generation);
            if n > 0 && (model.normal.largest() < CONVERGED || model.normal.condition() > ILL) {
                restarts += 1;
                // Randomness that no proposal uses: proposals have tries far below this one.
                let mut fresh = sequence(seed, restarts, u32::MAX - 1);
                let mean = (0..n).map(|_| fresh.uniform()).collect();
                model.normal = Normal::new(mean, SIGMA, lambda << (restarts as u32).min(DOUBLINGS));
                model.choices = tree.dimensions.iter().map(|d| even(&d.range)).collect();
            }
        }
        Some(model)
    }

    /// Starts around the best of the first, with the first step size.
    fn begin(&mut self, first: &[&Observation]) {
        let best = ranked(first);
        self.favour(first, &best);
        for (coordinate, i) in self.numbers.clone().into_iter().enumerate() {
            if let Some(x) = best.first().and_then(|k| self.unit(i, &first[*k].assignment)) {
                self.normal.mean[coordinate] = x;
            }
        }
    }

    fn learn(&mut self, generation: &[&Observation]) {
        let best = ranked(generation);
        self.favour(generation, &best);
        let point =
            |k: &usize| -> Point { self.numbers.iter().map(|i| self.unit(*i, &generation[*k].assignment)).collect() };
        let points: Vec<Point> = best.iter().map(point).collect();
        self.normal.update(&points);
    }

    /// Moves the probabilities of the choices towards those of the best.
    fn favour(&mut self, generation: &[&Observation], best: &[usize]) {
        let weights = weights(generation.len(), best.len());
        for (dimension, table) in self.tree.dimensions.iter().zip(&mut self.choices).filter(|(_, t)| !t.is_empty()) {
            let mut target = vec![0.0; table.len()];
            for (weight, k) in weights.iter().zip(best) {
                let value = generation[*k].assignment.get(&dimension.name);
                if let Some(at) = value.and_then(|v| dimension.range.coordinate(v)) {
                    target[at as usize] += weight;
                }
            }
            // Absent from part of the best: moved only as far as the others speak.
            let said: f64 = target.iter().sum();
            for (p, t) in table.iter_mut().zip(&target) {
                *p += CHOICE_RATE * (t - said * *p);
            }
        }
    }

    /// The unit coordinate of a dimension's value.
    fn unit(&self, dimension: usize, assignment: &Assignment) -> Option<f64> {
        self.tree.dimensions[dimension].unit(assignment)
    }

    /// The centre and the deviation of each number, the probabilities of each choice: a line a parameter.
    pub fn words(&self) -> Vec<String> {
        let number = |value: &Value| match value.as_f64().filter(|_| value.is_f64()) {
            Some(x) if (1e-3..1e4).contains(&x.abs()) => format!("{x:.4}"),
            Some(x) => format!("{x:.3e}"),
            None => value.to_string(),
        };
        let line = |(i, dimension): (usize, &Dimension)| {
            let (name, range) = (&dimension.name, &dimension.range);
            if let Some(at) = self.numbers.iter().position(|d| *d == i) {
                let centre = range.at_unit(self.normal.mean[at].clamp(0.0, 1.0));
                let deviation = 100.0 * self.normal.deviation(at);
                return Some(format!("{name}: centre {}, deviation {deviation:.0}% of its range", number(&centre)));
            }
            let table = self.choices.get(i).filter(|table| !table.is_empty())?;
            let floor = CHOICE_FLOOR / table.len() as f64;
            let share = |(k, p): (usize, &f64)| {
                format!("{} {:.0}%", range.value(k as f64), 100.0 * (floor + (1.0 - CHOICE_FLOOR) * p))
            };
            Some(format!("{name}: {}", table.iter().enumerate().map(share).collect::<Vec<_>>().join(", ")))
        };
        self.tree.dimensions.iter().enumerate().filter_map(line).collect()
    }

    /// One sample.
    pub fn draw(&self, sequence: &mut Sequence) -> Assignment {
        let mut x = self.numbers_within(sequence);
        for (coordinate, i) in self.numbers.iter().enumerate() {
            x[coordinate] = self.with_margin(coordinate, *i, x[coordinate]).clamp(0.0, 1.0);
        }
        self.tree.assign(|i| {
            let range = &self.tree.dimensions[i].range;
            match self.numbers.iter().position(|d| *d == i) {
                Some(coordinate) => range.at_unit(x[coordinate]),
                None if self.choices[i].is_empty() => range.at_unit(0.5),
                None => range.value(self.chosen(&self.choices[i], sequence.uniform())),
            }
        })
    }

    fn numbers_within(&self, sequence: &mut Sequence) -> Vec<f64> {
        let mut x = self.normal.draw(sequence);
        for _ in 0..WITHIN {
            if x.iter().all(|x| (0.0..=1.0).contains(x)) {
                break;
            }
            x = self.normal.draw(sequence);
        }
        x
    }

    fn with_margin(&self, coordinate: usize, dimension: usize, x: f64) -> f64 {
        let range = &self.tree.dimensions[dimension].range;
        let mean = self.normal.mean[coordinate];
        let Some((low, high)) = range.unit_cell(mean) else { return x };
        let cell = Cell { low, high, below: low > 1e-12, above: high < 1.0 - 1e-12 };
        let alpha = 1.0 / (self.numbers.len() * self.normal.lambda) as f64;
        let (centre, factor) = margin(mean, self.normal.deviation(coordinate), cell, alpha);
        centre + factor * (x - mean)
    }

    /// The index of a choice, with the floor.
    fn chosen(&self, table: &[f64], u: f64) -> f64 {
        let floor = CHOICE_FLOOR / table.len() as f64;
        let mut sum = 0.0;
        let at = table.iter().position(|p| {
            sum += floor + (1.0 - CHOICE_FLOOR) * p;
            u < sum
        });
        at.unwrap_or(table.len() - 1) as f64
    }
}
