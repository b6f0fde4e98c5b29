//! A search space as samplers see it: dimensions in an order in which parents precede their conditional children.
//!
//! This is the only file of the planner that knows how configs write a parameter. Configs are validated before they get
//! here; what validation refuses (an empty choice, a condition on nothing, a cycle of conditions) is left out of the
//! tree rather than trusted.

use super::taken::same_value;
use super::{Assignment, Space};
use crate::config::{Domain, Parameter};
use crate::rng::Sequence;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// The values a dimension can take.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Range {
    /// Real numbers from `low` to `high`, both included.
    Real { low: f64, high: f64, log: bool, points: usize },
    /// `low + k * step` for `k < count`.
    Whole { low: i64, step: i64, count: u64, log: bool },
    /// Any value of a list.
    Choice(Vec<Value>),
}

/// One parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dimension {
    /// Its path in the experiment.
    pub name: String,
    /// What it can be.
    pub range: Range,
    /// Present only when each of these has one of its values.
    when: BTreeMap<String, Vec<Value>>,
}

/// All dimensions, parents first, otherwise by name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    /// In an order in which they can be assigned one after the other.
    pub dimensions: Vec<Dimension>,
}

/// The names of the parameters that must be present, given the values in `assignment`: those without a condition, and
/// those all of whose conditions name a present parameter with a listed value (numbers compare as numbers: 1 is 1.0).
pub fn active(space: &Space, assignment: &Assignment) -> BTreeSet<String> {
    let mut present = Assignment::new();
    for dimension in Tree::new(space).dimensions {
        if dimension.is_active(&present) {
            present.insert(dimension.name.clone(), assignment.get(&dimension.name).cloned().unwrap_or_default());
        }
    }
    present.into_keys().collect()
}

impl Tree {
    /// Orders the space.
    pub fn new(space: &Space) -> Self {
        let mut waiting: Vec<Dimension> = space.iter().filter_map(|(name, p)| dimension(name, p)).collect();
        let mut dimensions: Vec<Dimension> = vec![];
        loop {
            let placed: BTreeSet<String> = dimensions.iter().map(|d| d.name.clone()).collect();
            let (ready, later): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|d| d.when.keys().all(|path| placed.contains(path)));
            if ready.is_empty() {
                return Tree { dimensions };
            }
            dimensions.extend(ready);
            waiting = later;
        }
    }

    /// The same tree with every real range replaced by its grid points.
    pub fn gridded(mut self) -> Self {
        for dimension in &mut self.dimensions {
            dimension.range = dimension.range.gridded();
        }
        self
    }

    /// One assignment, each present dimension drawn independently.
    pub fn draw(&self, sequence: &mut Sequence) -> Assignment {
        self.assign(|i| self.dimensions[i].range.draw(sequence))
    }

    /// An assignment whose values come from `value`, asked by index and only for dimensions that are present, parents
    /// first.
    pub fn assign(&self, mut value: impl FnMut(usize) -> Value) -> Assignment {
        let mut assignment = Assignment::new();
        for (i, dimension) in self.dimensions.iter().enumerate() {
            if dimension.is_active(&assignment) {
                assignment.insert(dimension.name.clone(), value(i));
            }
        }
        assignment
    }

    /// Whether [`each`](Self::each) can walk it.
    pub fn is_finite(&self) -> bool {
        self.dimensions.iter().all(|d| d.range.count().is_some())
    }

    /// Visits every assignment of a finite tree once, until `visit` breaks.
    pub fn each(&self, visit: &mut dyn FnMut(&Assignment) -> ControlFlow<()>) {
        let _ = walk(&self.dimensions, &mut Assignment::new(), visit);
    }
}

fn walk(
    rest: &[Dimension],
    assignment: &mut Assignment,
    visit: &mut dyn FnMut(&Assignment) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some((first, rest)) = rest.split_first() else { return visit(assignment) };
    if !first.is_active(assignment) {
        return walk(rest, assignment, visit);
    }
    for k in 0..first.range.count().unwrap_or(0) {
        assignment.insert(first.name.clone(), first.range.nth(k));
        walk(rest, assignment, visit)?;
    }
    assignment.remove(&first.name);
    ControlFlow::Continue(())
}

impl Dimension {
    /// Whether it is present beside the values assigned so far.
    pub fn is_active(&self, assignment: &Assignment) -> bool {
        self.when.iter().all(|(path, values)| {
            assignment.get(path).is_some_and(|value| values.iter().any(|listed| same_value(listed, value)))
        })
    }
}

impl Dimension {
    /// Where its value lies between the ends of its range, in [0, 1] of coordinates; none where it is absent.
    pub fn unit(&self, assignment: &Assignment) -> Option<f64> {
        let (low, high) = self.range.bounds();
        let at = self.range.coordinate(assignment.get(&self.name)?)?;
        Some(if high > low { (at - low) / (high - low) } else { 0.5 })
    }
}

/// Reads a parameter of a config; none where it has no value at all.
fn dimension(name: &str, parameter: &Parameter) -> Option<Dimension> {
    let real = |low: f64, high: f64, log, points| Range::Real { low, high: high.max(low), log, points };
    let range = match &parameter.domain {
        Domain::Float { low, high, points } => real(*low, *high, false, *points),
        Domain::LogFloat { low, high, points } => real(*low, *high, true, *points),
        Domain::Int { low, high, step, log } => {
            let step = (*step).max(1);
            let steps = (i128::from(*high) - i128::from(*low)).max(0) / i128::from(step);
            Range::Whole { low: *low, step, count: u64::try_from(steps + 1).unwrap_or(u64::MAX), log: *log }
        }
        Domain::Choice { values } => Range::Choice(values.clone()),
    };
    let empty = matches!(&range, Range::Choice(values) if values.is_empty());
    (!empty).then(|| Dimension { name: name.to_string(), range, when: parameter.when.clone() })
}

/// Samplers work in *coordinates*: the real value, the whole number (each its logarithm on a log scale), or the index of
/// the choice.
impl Range {
    /// A uniform draw.
    pub fn draw(&self, sequence: &mut Sequence) -> Value {
        match self {
            Range::Choice(values) => values[sequence.below(values.len() as u64) as usize].clone(),
            Range::Whole { count, log: false, .. } => self.nth(sequence.below(*count)),
            Range::Real { .. } | Range::Whole { .. } => {
                let (low, high) = self.bounds();
                self.value(low + (high - low) * sequence.uniform())
            }
        }
    }

    /// The interval of coordinates. Whole numbers own half a step to either side, so that the ends are drawn as often
    /// as the rest; on a log scale the lowest edge stays above zero.
    pub fn bounds(&self) -> (f64, f64) {
        match self {
            Range::Real { low, high, log: false, .. } => (*low, *high),
            Range::Real { low, high, log: true, .. } => (low.ln(), high.ln()),
            Range::Whole { count, .. } => (self.cell(0).0, self.cell(count - 1).1),
            Range::Choice(values) => (0.0, values.len() as f64),
        }
    }

    /// The interval of coordinates that belongs to the `k`-th whole number.
    fn cell(&self, k: u64) -> (f64, f64) {
        let Range::Whole { low, step, log, .. } = self else { return self.bounds() };
        let (value, half) = ((i128::from(*low) + i128::from(*step) * i128::from(k)) as f64, *step as f64 / 2.0);
        if *log { ((value - half).max(value / 2.0).ln(), (value + half).ln()) } else { (value - half, value + half) }
    }

    /// The coordinates that round to this value, for whole numbers; none for the others.
    pub fn cell_of(&self, value: &Value) -> Option<(f64, f64)> {
        matches!(self, Range::Whole { .. }).then(|| self.cell(self.index(value.as_f64().unwrap_or(0.0))))
    }

    /// The coordinate of a value, moved into the bounds where it lies outside; none where it is of another kind.
    pub fn coordinate(&self, value: &Value) -> Option<f64> {
        let number = match self {
            Range::Choice(values) => return Some(values.iter().position(|v| same_value(v, value))? as f64),
            Range::Real { low, high, .. } => value.as_f64()?.clamp(*low, *high),
            Range::Whole { low, step, .. } => {
                let k = self.index(value.as_f64()?);
                (i128::from(*low) + i128::from(*step) * i128::from(k)) as f64
            }
        };
        Some(if self.is_log() { number.ln() } else { number })
    }

    /// The value at a coordinate, within the range whatever the rounding.
    pub fn value(&self, coordinate: f64) -> Value {
        let number = if self.is_log() { coordinate.exp() } else { coordinate };
        match self {
            Range::Real { low, high, .. } => number.clamp(*low, *high).into(),
            Range::Whole { .. } => self.nth(self.index(number)),
            Range::Choice(values) => values[(number.max(0.0) as usize).min(values.len() - 1)].clone(),
        }
    }

    /// The value at a unit coordinate; see [`Dimension::unit`].
    pub fn at_unit(&self, unit: f64) -> Value {
        let (low, high) = self.bounds();
        self.value(low + (high - low) * unit)
    }

    /// The unit coordinates that round to the same whole number as this one; none for other ranges.
    pub fn unit_cell(&self, unit: f64) -> Option<(f64, f64)> {
        let ((low, high), (from, to)) = (self.bounds(), self.cell_of(&self.at_unit(unit))?);
        Some(((from - low) / (high - low), (to - low) / (high - low)))
    }

    /// How many values there are; none for a continuum.
    pub fn count(&self) -> Option<u64> {
        match self {
            Range::Real { low, high, .. } => (low == high).then_some(1),
            Range::Whole { count, .. } => Some(*count),
            Range::Choice(values) => Some(values.len() as u64),
        }
    }

    /// The `k`-th value of a countable range.
    fn nth(&self, k: u64) -> Value {
        match self {
            Range::Real { low, .. } => (*low).into(),
            Range::Whole { low, step, .. } => {
                let value = i128::from(*low) + i128::from(*step) * i128::from(k);
                i64::try_from(value).unwrap_or(i64::MAX).into()
            }
            Range::Choice(values) => values[k as usize].clone(),
        }
    }

    /// The index of the whole number nearest to `number`.
    fn index(&self, number: f64) -> u64 {
        let Range::Whole { low, step, count, .. } = self else { return 0 };
        let steps = ((number - *low as f64) / *step as f64).round();
        // `as` saturates, so anything below is 0.
        (steps as u64).min(count - 1)
    }

    fn is_log(&self) -> bool {
        matches!(self, Range::Real { log: true, .. } | Range::Whole { log: true, .. })
    }

    /// `points` values evenly spaced in the coordinate, both ends included; the middle where one is asked for.
    fn gridded(&self) -> Range {
        let Range::Real { low, high, points, .. } = self else { return self.clone() };
        let (from, to) = self.bounds();
        let last = points.saturating_sub(1);
        let mut values: Vec<Value> = (0..=last)
            .map(|i| match i {
                _ if last == 0 => self.value((from + to) / 2.0),
                // The ends exactly, not as exp(ln(x)).
                0 => (*low).into(),
                i if i == last => (*high).into(),
                i => self.value(from + (to - from) * i as f64 / last as f64),
            })
            .collect();
        values.dedup();
        Range::Choice(values)
    }
}

/// A space as a config writes it.
#[cfg(test)]
pub(super) fn from_json(json: Value) -> Space {
    let Value::Object(parameters) = json else { panic!("{json} is not an object") };
    let parameter = |json: Value| serde_json::from_value::<Parameter>(json).expect("a parameter");
    parameters.into_iter().map(|(name, json)| (name, parameter(json))).collect()
}

#[cfg(test)]
mod tests {
    use super::from_json as space;
    use super::*;
    use serde_json::json;

    fn conditional() -> Space {
        space(json!({
            "a.momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"kind": ["sgd"]}},
            "a.nesterov": {"type": "choice", "values": [true, false], "when": {"a.momentum.on": [1]}},
            "a.momentum.on": {"type": "int", "low": 0, "high": 1, "when": {"kind": ["sgd"]}},
            "kind": {"type": "choice", "values": ["sgd", "adamw"]},
            "lost": {"type": "int", "low": 0, "high": 1, "when": {"nowhere": [1]}},
        }))
    }

    #[test]
    fn parents_come_first_and_the_unreachable_is_left_out() {
        let names: Vec<_> = Tree::new(&conditional()).dimensions.into_iter().map(|d| d.name).collect();
        assert_eq!(names, ["kind", "a.momentum", "a.momentum.on", "a.nesterov"]);
    }

    #[test]
    fn what_is_active() {
        let told = |assignment: Value| -> Vec<String> {
            active(&conditional(), &serde_json::from_value(assignment).unwrap()).into_iter().collect()
        };
        assert_eq!(told(json!({"kind": "adamw"})), ["kind"]);
        assert_eq!(told(json!({"kind": "sgd", "a.momentum.on": 0})), ["a.momentum", "a.momentum.on", "kind"]);
        let all = ["a.momentum", "a.momentum.on", "a.nesterov", "kind"];
        assert_eq!(told(json!({"kind": "sgd", "a.momentum.on": 1.0})), all);
        // A grandchild whose parent is absent is absent, even if a stale value is still there.
        assert_eq!(told(json!({"kind": "adamw", "a.momentum.on": 1})), ["kind"]);
    }

    #[test]
    fn grid_points() {
        let values = |json: Value| match &Tree::new(&space(json!({"x": json}))).gridded().dimensions[0].range {
            Range::Choice(values) => values.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            values(json!({"type": "float", "low": 0.0, "high": 1.0})),
            [json!(0.0), json!(0.25), json!(0.5), json!(0.75), json!(1.0)]
        );
        let log = values(json!({"type": "log-float", "low": 0.001, "high": 10.0, "points": 3}));
        assert_eq!((log.len(), &log[0], &log[2]), (3, &json!(0.001), &json!(10.0)));
        assert!((log[1].as_f64().unwrap() - 0.1).abs() < 1e-12);
        let one = values(json!({"type": "log-float", "low": 0.01, "high": 1.0, "points": 1}));
        assert!((one[0].as_f64().unwrap() - 0.1).abs() < 1e-12 && one.len() == 1);
    }

    #[test]
    fn whole_numbers_step_from_the_low_end() {
        let tree = Tree::new(&space(json!({"x": {"type": "int", "low": 3, "high": 10, "step": 3}})));
        let mut seen = vec![];
        tree.each(&mut |a| {
            seen.push(a["x"].as_i64().unwrap());
            ControlFlow::Continue(())
        });
        assert_eq!(seen, [3, 6, 9]);
        let range = &tree.dimensions[0].range;
        assert_eq!((range.value(-1e300), range.value(7.6), range.value(1e300)), (json!(3), json!(9), json!(9)));
        assert_eq!(range.coordinate(&json!(7)), Some(6.0));
        let vast = json!({"x": {"type": "int", "low": i64::MIN, "high": i64::MAX}});
        let range = &Tree::new(&space(vast)).dimensions[0].range;
        assert_eq!((range.nth(0), range.nth(u64::MAX)), (json!(i64::MIN), json!(i64::MAX)));
    }

    /// Draws are uniform: over the numbers of a linear range, over the logarithm of a log range.
    #[test]
    fn draws_are_uniform() {
        let tree = Tree::new(&space(json!({
            "log": {"type": "log-float", "low": 1e-4, "high": 1.0},
            "int": {"type": "int", "low": 0, "high": 3},
            "octaves": {"type": "int", "low": 1, "high": 1023, "log": true},
        })));
        let n = 4000;
        let (mut decades, mut numbers, mut small) = ([0; 4], [0; 4], 0);
        for i in 0..n {
            let a = tree.draw(&mut Sequence::new(1, crate::rng::Stream::Sampler, i, 0));
            decades[((a["log"].as_f64().unwrap().log10() + 4.0) as usize).min(3)] += 1;
            numbers[a["int"].as_i64().unwrap() as usize] += 1;
            small += u32::from(a["octaves"].as_i64().unwrap() < 32);
        }
        for count in decades.iter().chain(&numbers) {
            assert!((900..1100).contains(count), "{decades:?} {numbers:?}");
        }
        // [ln 0.5, ln 31.5] is 54.3% of [ln 0.5, ln 1023.5].
        assert!((2050..2300).contains(&small), "{small} of {n}");
    }
}
