//! Relations that a candidate must satisfy.

use super::{Constraint, Relation};
use serde_json::Value;

impl Constraint {
    /// Whether it holds where `lookup` gives the value at an experiment path. A path that does not exist here (a conditional
    /// setting that is absent) makes it hold; a value that is no number does not.
    pub fn holds(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> bool {
        let side = |side: &Value| match side {
            Value::String(path) => lookup(path).filter(|value| !value.is_null()),
            number => Some(number.clone()),
        };
        match (side(&self.left), side(&self.right)) {
            (Some(left), Some(right)) => holds(&left, self.relation, &right),
            _ => true,
        }
    }
}

fn holds(left: &Value, relation: Relation, right: &Value) -> bool {
    let (Some(x), Some(y)) = (left.as_f64(), right.as_f64()) else { return false };
    match relation {
        Relation::AtMost => x <= y,
        Relation::AtLeast => x >= y,
        Relation::MultipleOf => match (left.as_i64(), right.as_i64()) {
            (Some(_), Some(0)) => false,
            (Some(x), Some(y)) => x.checked_rem(y).unwrap_or(0) == 0,
            // 0.3 is a multiple of 0.1 although no double says so.
            _ => y != 0.0 && ((x / y) - (x / y).round()).abs() <= 1e-9 * (x / y).abs().max(1.0),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(left: Value, relation: &str, right: Value) -> bool {
        let constraint: Constraint =
            serde_json::from_value(json!({"left": left, "relation": relation, "right": right})).unwrap();
        let experiment = json!({"width": 96, "heads": 4, "lr": 0.3, "kind": "gpt", "none": null});
        constraint.holds(&|path| experiment.get(path).cloned())
    }

    #[test]
    fn relations() {
        assert!(check(json!("width"), "multiple-of", json!("heads")));
        assert!(!check(json!("width"), "multiple-of", json!(5)) && !check(json!("width"), "multiple-of", json!(0)));
        assert!(check(json!("lr"), "multiple-of", json!(0.1)) && !check(json!("lr"), "multiple-of", json!(0.2)));
        assert!(check(json!("heads"), "at-most", json!(4)) && !check(json!("heads"), "at-most", json!(3.5)));
        assert!(check(json!("width"), "at-least", json!("heads")) && !check(json!(1), "at-least", json!("heads")));
        assert!(!check(json!(i64::MIN), "at-least", json!(0)) && check(json!(i64::MIN), "multiple-of", json!(-1)));
    }

    #[test]
    fn absent_does_not_apply_and_text_does_not_hold() {
        assert!(check(json!("absent"), "at-most", json!(0)) && check(json!("none"), "at-most", json!(0)));
        assert!(!check(json!("kind"), "at-most", json!(1e9)));
    }
}
