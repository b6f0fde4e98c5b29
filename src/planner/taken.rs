//! When two assignments are the same, and which are taken already.

use super::{Assignment, Observation};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt::Write;

/// Equality under which a journal's round trip and TOML's `1` against `1.0` make no difference.
pub(super) fn same_value(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(x), Some(y)) => match (a.as_i64(), b.as_i64()) {
            (Some(x), Some(y)) => x == y,
            _ => x == y,
        },
        _ => a == b,
    }
}

/// The assignments that were observed, pending and failed ones included.
pub(super) struct Taken {
    keys: HashSet<String>,
}

impl Taken {
    /// All of `observations`.
    pub fn new(observations: &[Observation]) -> Self {
        Taken { keys: observations.iter().map(|o| key(&o.assignment)).collect() }
    }

    /// Whether it was not observed yet.
    pub fn is_free(&self, assignment: &Assignment) -> bool {
        !self.keys.contains(&key(assignment))
    }
}

/// A text that is equal for equal assignments in the sense of [`same_value`].
fn key(assignment: &Assignment) -> String {
    let mut text = String::new();
    for (name, value) in assignment {
        let whole = value.as_i64().or_else(|| {
            let x = value.as_f64()?;
            // Below 2^53 every whole float is one whole number and the other way round.
            (x.fract() == 0.0 && x.abs() < 9_007_199_254_740_992.0).then_some(x as i64)
        });
        // Writing to a string cannot fail.
        let _ = match whole {
            Some(whole) => write!(text, "{name:?}={whole};"),
            None => write!(text, "{name:?}={value};"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_values() {
        assert!(same_value(&json!(1), &json!(1.0)) && same_value(&json!("a"), &json!("a")));
        assert!(!same_value(&json!(1), &json!("1")) && !same_value(&json!(true), &json!(1)));
        assert!(!same_value(&json!(i64::MAX), &json!(i64::MAX - 1)));
    }

    #[test]
    fn equal_assignments_have_equal_keys() {
        let of = |json: Value| key(&serde_json::from_value(json).unwrap());
        assert_eq!(of(json!({"a": 1, "b": -0.0})), of(json!({"b": 0, "a": 1.0})));
        let text = serde_json::to_string(&json!({"a": 0.1 + 0.2})).unwrap();
        assert_eq!(of(json!({"a": 0.1 + 0.2})), of(serde_json::from_str(&text).unwrap()));
        for other in [json!({"a": "1"}), json!({"a": 1.5}), json!({"a": 1, "b": 1}), json!({"b": 1}), json!({})] {
            assert_ne!(of(json!({"a": 1})), of(other));
        }
    }
}
