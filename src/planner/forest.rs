//! A regression forest over assignments: what a result will probably be, and how sure that is.
//!
//! Source: Geurts, Ernst, Wehenkel, "Extremely randomized trees" (2006), on bootstrap samples; the spread of a prediction
//! is the variance of the trees' means plus the mean variance within their leaves (Hutter et al., "Algorithm runtime
//! prediction", 2014). Trees split conditional and mixed spaces without any encoding: a number by a threshold, a choice
//! by equality, a parameter that may be absent by its presence.

use super::space::{Range, Tree};
use super::{Assignment, Space};
use crate::rng::{Sequence, Stream};

const TREES: u32 = 48;
/// Values in a leaf, at least.
const LEAF: usize = 2;
/// Where an absent parameter lies: below every present one.
const ABSENT: f64 = -0.5;

/// A fitted forest.
pub struct Forest {
    tree: Tree,
    roots: Vec<Node>,
}

/// What is expected of an assignment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Belief {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
}

enum Node {
    Leaf { mean: f64, variance: f64 },
    Split { by: Split, low: Box<Node>, high: Box<Node> },
}

#[derive(Clone, Copy)]
enum Split {
    Below(usize, f64),
    Differs(usize, f64),
}

impl Split {
    fn is_low(self, x: &[f64]) -> bool {
        match self {
            Split::Below(i, threshold) => x[i] < threshold,
            Split::Differs(i, value) => x[i] != value,
        }
    }
}

type Row = (Vec<f64>, f64);

impl Forest {
    /// Fitted to assignments and their values, all finite; none without any. The same arguments give the same forest.
    pub fn fit(space: &Space, seen: &[(&Assignment, f64)], seed: u64) -> Option<Self> {
        if seen.is_empty() {
            return None;
        }
        let tree = Tree::new(space);
        let rows: Vec<Row> = seen.iter().map(|(a, y)| (features(&tree, a), *y)).collect();
        let roots = (0..TREES)
            .map(|k| {
                let mut sequence = Sequence::new(seed, Stream::Forest, k, 0);
                let sample: Vec<&Row> =
                    rows.iter().map(|_| &rows[sequence.below(rows.len() as u64) as usize]).collect();
                grow(&tree, sample, &mut sequence)
            })
            .collect();
        Some(Forest { tree, roots })
    }

    /// What is expected of an assignment.
    pub fn predict(&self, assignment: &Assignment) -> Belief {
        let x = features(&self.tree, assignment);
        let leaves: Vec<(f64, f64)> = self.roots.iter().map(|root| root.leaf(&x)).collect();
        let n = leaves.len() as f64;
        let mean = leaves.iter().map(|l| l.0).sum::<f64>() / n;
        let variance = leaves.iter().map(|l| (l.0 - mean).powi(2) + l.1).sum::<f64>() / n;
        Belief { mean, deviation: variance.sqrt() }
    }
}

impl Node {
    fn leaf(&self, x: &[f64]) -> (f64, f64) {
        match self {
            Node::Leaf { mean, variance } => (*mean, *variance),
            Node::Split { by, low, high } => if by.is_low(x) { low } else { high }.leaf(x),
        }
    }
}

fn features(tree: &Tree, assignment: &Assignment) -> Vec<f64> {
    tree.dimensions
        .iter()
        .map(|d| match &d.range {
            Range::Choice(_) => {
                assignment.get(&d.name).and_then(|v| d.range.coordinate(v)).map_or(ABSENT, |index| index)
            }
            _ => d.unit(assignment).unwrap_or(ABSENT),
        })
        .collect()
}

fn moments(rows: &[&Row]) -> (f64, f64) {
    let n = rows.len() as f64;
    let mean = rows.iter().map(|r| r.1).sum::<f64>() / n;
    (mean, rows.iter().map(|r| (r.1 - mean).powi(2)).sum::<f64>() / n)
}

fn grow(tree: &Tree, rows: Vec<&Row>, sequence: &mut Sequence) -> Node {
    let (mean, variance) = moments(&rows);
    let leaf = Node::Leaf { mean, variance };
    if rows.len() < 2 * LEAF || variance <= 0.0 {
        return leaf;
    }
    // One random split a dimension, and the one that leaves the least variance.
    let mut best: Option<(f64, Split)> = None;
    for i in 0..tree.dimensions.len() {
        let Some(split) = random_split(tree, &rows, i, sequence) else { continue };
        let (low, high): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|r| split.is_low(&r.0));
        if low.len() < LEAF || high.len() < LEAF {
            continue;
        }
        let left = moments(&low).1 * low.len() as f64 + moments(&high).1 * high.len() as f64;
        if best.as_ref().is_none_or(|(least, _)| left < *least) {
            best = Some((left, split));
        }
    }
    let Some((_, by)) = best else { return leaf };
    let (low, high): (Vec<&Row>, Vec<&Row>) = rows.into_iter().partition(|r| by.is_low(&r.0));
    Node::Split { by, low: Box::new(grow(tree, low, sequence)), high: Box::new(grow(tree, high, sequence)) }
}

/// A split of one dimension among the values that are there; none where they are all alike.
fn random_split(tree: &Tree, rows: &[&Row], i: usize, sequence: &mut Sequence) -> Option<Split> {
    let (low, high) = rows.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), r| (l.min(r.0[i]), h.max(r.0[i])));
    let u = sequence.uniform();
    if low >= high {
        return None;
    }
    match &tree.dimensions[i].range {
        Range::Choice(_) => {
            let mut there: Vec<f64> = rows.iter().map(|r| r.0[i]).collect();
            there.sort_by(f64::total_cmp);
            there.dedup();
            Some(Split::Differs(i, there[((u * there.len() as f64) as usize).min(there.len() - 1)]))
        }
        _ => Some(Split::Below(i, low + (high - low) * (1.0 - u))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::space::from_json;
    use super::*;
    use serde_json::json;

    fn sequence(i: u32) -> Sequence {
        Sequence::new(7, Stream::Data, i, 0)
    }

    /// On a function with a choice, a conditional parameter and noise: explains most of the variance of fresh points,
    /// and its spread tells where it knows little.
    #[test]
    fn learns_a_conditional_function() {
        let space = from_json(json!({
            "kind": {"type": "choice", "values": ["a", "b", "c"]},
            "x": {"type": "float", "low": 0.0, "high": 1.0},
            "y": {"type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["b"]}},
        }));
        let f = |a: &Assignment| {
            let x = a["x"].as_f64().unwrap();
            let base = if a["kind"] == "a" { 2.0 } else { 0.0 };
            base + (x - 0.5).powi(2) * 8.0 + a.get("y").map_or(0.5, |y| 3.0 * y.as_f64().unwrap())
        };
        let tree = Tree::new(&space);
        let points: Vec<Assignment> = (0..300).map(|i| tree.draw(&mut sequence(i))).collect();
        let seen: Vec<(&Assignment, f64)> = points[..200].iter().map(|a| (a, f(a))).collect();
        let forest = Forest::fit(&space, &seen, 3).unwrap();
        let fresh = &points[200..];
        let mean = fresh.iter().map(f).sum::<f64>() / fresh.len() as f64;
        let total: f64 = fresh.iter().map(|a| (f(a) - mean).powi(2)).sum();
        let left: f64 = fresh.iter().map(|a| (f(a) - forest.predict(a).mean).powi(2)).sum();
        assert!(left < 0.1 * total, "{left} of {total}");
        let inside = fresh.iter().filter(|a| {
            let belief = forest.predict(a);
            (f(a) - belief.mean).abs() <= 2.0 * belief.deviation
        });
        assert!(inside.count() >= 85);
        let again = Forest::fit(&space, &seen, 3).unwrap();
        assert_eq!(forest.predict(&fresh[0]), again.predict(&fresh[0]));
        assert!(Forest::fit(&space, &[], 0).is_none());
    }
}
