//! Assignments in words: what a candidate is, for sentences, tables and logs.
//!
//! Boundary: text from values; knows no state.

use crate::planner::Assignment;

/// `assignment` in words, shortened after a whole setting where it is longer than `limit` characters.
pub(super) fn in_words(assignment: &Assignment, limit: usize) -> String {
    let all = self::assignment(assignment);
    if all.chars().count() <= limit {
        return all;
    }
    let settings: Vec<&str> = all.split(", ").collect();
    let mut kept = String::new();
    for (i, setting) in settings.iter().enumerate() {
        let rest = format!(" and {} more", settings.len() - i);
        let separator = if kept.is_empty() { "" } else { ", " };
        if kept.chars().count() + separator.len() + setting.chars().count() + rest.len() > limit {
            return if kept.is_empty() { "too long to show".to_string() } else { kept + &rest };
        }
        kept = kept + separator + setting;
    }
    kept
}

/// An assignment in words.
pub fn assignment(assignment: &Assignment) -> String {
    let short = |path: &str| {
        let last = path.rsplit('.').next().unwrap_or(path);
        let clash = assignment.keys().filter(|other| other.rsplit('.').next() == Some(last)).count() > 1;
        if clash { path.to_string() } else { last.to_string() }
    };
    let words: Vec<String> =
        assignment.iter().map(|(path, value)| format!("{}={}", short(path), value_text(value))).collect();
    words.join(", ")
}

/// A value for people: four significant digits for fractions, bare strings.
pub fn value_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(n) if n.is_f64() => {
            let v = n.as_f64().unwrap_or(f64::NAN);
            if v != 0.0 && !(1e-3..1e6).contains(&v.abs()) {
                format!("{v:.2e}")
            } else {
                let text = format!("{v:.4}");
                text.trim_end_matches('0').trim_end_matches('.').to_string()
            }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(pairs: &[(&str, serde_json::Value)]) -> Assignment {
        pairs.iter().map(|(k, v)| ((*k).to_string(), v.clone())).collect()
    }

    #[test]
    fn assignments_read_well() {
        let of = |pairs: &[(&str, serde_json::Value)]| assignment(&of(pairs));
        assert_eq!(
            of(&[("optimizer.learning_rate", json!(0.012345)), ("model.width", json!(64))]),
            "width=64, learning_rate=0.0123"
        );
        assert_eq!(of(&[("a.x", json!("relu")), ("b.x", json!(1e-5))]), "a.x=relu, b.x=1.00e-5");
        assert_eq!(of(&[("a.x", json!([64, 64]))]), "x=[64,64]");
    }

    #[test]
    fn long_ones_are_shortened_after_a_whole_setting() {
        let long = of(&[("a", json!(1)), ("bb", json!("relu")), ("c", json!(3)), ("d", json!(4))]);
        assert_eq!(in_words(&long, 100), "a=1, bb=relu, c=3, d=4");
        assert_eq!(in_words(&long, 21), "a=1 and 3 more");
        for limit in 14..30 {
            assert!(in_words(&long, limit).chars().count() <= limit);
        }
        assert_eq!(in_words(&of(&[("a", json!("x".repeat(50)))]), 20), "too long to show");
    }
}
