//! Which of several observations are better, also where they were trained for different shares of their time.

use super::Observation;

/// The positions of the observations that have a value, best first: those that were trained for longer come first, among
/// those the smaller value, among equals the earlier. Under successive halving who was trained for longer was better on
/// every rung before, and values of different shares of a learning-rate schedule cannot be compared by size (Optuna's
/// TPE orders pruned trials in the same way).
pub fn ranked(observations: &[&Observation]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..observations.len()).filter(|&i| observations[i].usable().is_some()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (observations[a], observations[b]);
        let value = |o: &Observation| o.usable().unwrap_or(f64::INFINITY);
        b.trained.total_cmp(&a.trained).then(value(a).total_cmp(&value(b)))
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_first_then_smaller_then_earlier() {
        let of = |value: f64, trained: f64, failed: bool| Observation {
            assignment: Default::default(),
            value: (!value.is_infinite()).then_some(value),
            failed,
            trained,
        };
        let all = [
            of(5.0, 1.0, false),
            of(1.0, 0.2, false),
            of(3.0, 1.0, false),
            of(f64::NAN, 1.0, false),
            of(0.0, 1.0, true),
            of(3.0, 1.0, false),
            of(f64::INFINITY, 1.0, false),
            of(0.5, 0.2, false),
        ];
        assert_eq!(ranked(&all.iter().collect::<Vec<_>>()), [2, 5, 0, 7, 1]);
    }
}
