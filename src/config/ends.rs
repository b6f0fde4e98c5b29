//! The values of a search space that are tried before a campaign spends anything: the ends of ranges, the choices, and some
//! values between.
//!
//! Boundary: pure; what a value is tried on, and by whom, is the caller's.

use super::{Campaign, Domain, Parameter};
use serde_json::Value;
use std::collections::BTreeMap;

/// Values of a parameter between its ends that stand next to its low end; as many again are spread over the range.
const NEXT_TO_LOW: i64 = 8;

impl Domain {
    /// The ends of a range, or every choice. The high end of whole numbers is the largest that the steps come to.
    pub fn ends(&self) -> Vec<Value> {
        match self {
            Domain::Float { low, high, .. } | Domain::LogFloat { low, high, .. } => vec![(*low).into(), (*high).into()],
            Domain::Int { low, high, step, .. } => {
                let reached = (*step > 0 && high > low).then(|| low + (high - low) / step * step);
                vec![(*low).into(), reached.unwrap_or(*high).into()]
            }
            Domain::Choice { values } => values.clone(),
        }
    }

    /// Some values strictly between the ends, ascending; none of a list of choices, all of which are ends.
    pub fn between(&self) -> Vec<Value> {
        let shares = || (1..=NEXT_TO_LOW).map(|k| k as f64 / (NEXT_TO_LOW + 1) as f64);
        match self {
            Domain::Float { low, high, .. } => shares().map(|t| (low + t * (high - low)).into()).collect(),
            Domain::LogFloat { low, high, .. } => shares().map(|t| (low * (high / low).powf(t)).into()).collect(),
            Domain::Int { low, high, step, .. } if *step > 0 && high > low => {
                let last = (high - low) / step;
                let spread = shares().map(|t| ((last as f64).powf(t)) as i64);
                let even = shares().map(|t| (last as f64 * t) as i64);
                let mut places: Vec<i64> = (1..=NEXT_TO_LOW).chain(spread).chain(even).collect();
                places.retain(|k| (1..last).contains(k));
                places.sort_unstable();
                places.dedup();
                places.into_iter().map(|k| (low + k * step).into()).collect()
            }
            Domain::Int { .. } | Domain::Choice { .. } => Vec::new(),
        }
    }
}

impl Campaign {
    /// Values beside which a parameter of the space is present: the first one of every condition of it, and of the conditions
    /// of those.
    pub fn beside(&self, parameter: &Parameter) -> BTreeMap<String, Value> {
        let mut beside = BTreeMap::new();
        let mut open = vec![parameter];
        while let Some(parameter) = open.pop() {
            for (other, values) in parameter.when.iter().filter(|(_, values)| !values.is_empty()) {
                if beside.insert(other.clone(), values[0].clone()).is_none() {
                    open.extend(self.space.get(other));
                }
            }
        }
        beside
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn domain(value: Value) -> Domain {
        serde_json::from_value::<Parameter>(value).unwrap().domain
    }

    #[test]
    fn ends_can_be_reached_and_the_others_lie_between() {
        let whole = domain(json!({"type": "int", "low": 16, "high": 120, "step": 16}));
        assert_eq!(whole.ends(), [json!(16), json!(112)]);
        assert_eq!(whole.between(), [json!(32), json!(48), json!(64), json!(80), json!(96)]);
        let wide = domain(json!({"type": "int", "low": 1, "high": 1_000_000, "log": true}));
        let between = wide.between();
        assert!(between.len() > 15 && between.windows(2).all(|w| w[0].as_i64() < w[1].as_i64()), "{between:?}");
        for range in [
            json!({"type": "float", "low": -1.0, "high": 3.0}),
            json!({"type": "log-float", "low": 1e-4, "high": 1e-1}),
        ] {
            let range = domain(range);
            assert!(range.between().len() == 8 && range.between().iter().all(|v| range.contains(v)));
        }
        let choice = domain(json!({"type": "choice", "values": ["a", "b"]}));
        assert_eq!((choice.ends().len(), choice.between().len()), (2, 0));
        assert_eq!(domain(json!({"type": "int", "low": 3, "high": 4})).between(), Vec::<Value>::new());
    }
}
