//! How far apart two assignments are.

use super::space::{Range, Tree};
use super::{Assignment, Space};

/// Gower's distance (1971) over a space, in [0, 1]: the mean over the parameters that at least one of the two has, of
/// the distance of numbers as a share of their range (on the range's own scale), 0 or 1 for choices, and 1 where only
/// one of the two has it. Parameters that neither has do not count.
pub struct Distance {
    tree: Tree,
}

impl Distance {
    /// Over a space.
    pub fn new(space: &Space) -> Self {
        Distance { tree: Tree::new(space) }
    }

    pub(super) fn over(tree: Tree) -> Self {
        Distance { tree }
    }

    /// Between two assignments; 0 where neither has any parameter.
    pub fn between(&self, a: &Assignment, b: &Assignment) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for dimension in &self.tree.dimensions {
            let part = match (dimension.unit(a), dimension.unit(b)) {
                (None, None) => continue,
                (Some(_), None) | (None, Some(_)) => 1.0,
                (Some(x), Some(y)) if matches!(dimension.range, Range::Choice(_)) => f64::from(u8::from(x != y)),
                (Some(x), Some(y)) => (x - y).abs(),
            };
            sum += part;
            count += 1.0;
        }
        if count > 0.0 { sum / count } else { 0.0 }
    }
}

/// Distance of an assignment from the nearest of `seen`; 1 where nothing was seen.
pub fn novelty<'a>(
    distance: &Distance,
    assignment: &Assignment,
    seen: impl IntoIterator<Item = &'a Assignment>,
) -> f64 {
    seen.into_iter().map(|other| distance.between(assignment, other)).fold(1.0, f64::min)
}

#[cfg(test)]
mod tests {
    use super::super::space::from_json;
    use super::*;
    use serde_json::{Value, json};

    fn of(json: Value) -> Assignment {
        serde_json::from_value(json).unwrap()
    }

    /// By hand: lr a third of its decades apart, depth 2 of 4 steps (whole numbers own half a step to either side, so 2
    /// of 5), kind different, momentum absent in one.
    #[test]
    fn by_hand() {
        let space = from_json(json!({
            "kind": {"type": "choice", "values": ["sgd", "adamw"]},
            "lr": {"type": "log-float", "low": 1e-4, "high": 1e-1},
            "depth": {"type": "int", "low": 1, "high": 5},
            "momentum": {"type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["sgd"]}},
            "beta": {"type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["adamw"]}},
        }));
        let distance = Distance::new(&space);
        let a = of(json!({"kind": "sgd", "lr": 1e-3, "depth": 2, "momentum": 0.5}));
        let b = of(json!({"kind": "sgd", "lr": 1e-2, "depth": 4, "momentum": 0.9}));
        let c = of(json!({"kind": "adamw", "lr": 1e-2, "depth": 4, "beta": 0.9}));
        assert!((distance.between(&a, &b) - (0.0 + 1.0 / 3.0 + 0.4 + 0.4) / 4.0).abs() < 1e-12);
        assert!((distance.between(&b, &c) - 3.0 / 5.0).abs() < 1e-12);
        assert_eq!(distance.between(&a, &a), 0.0);
        assert_eq!(distance.between(&a, &c), distance.between(&c, &a));
        assert_eq!(novelty(&distance, &a, [&b, &a]), 0.0);
        assert_eq!(novelty(&distance, &a, []), 1.0);
    }
}
