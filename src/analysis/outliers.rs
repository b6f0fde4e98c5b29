//! How far a sample reaches before a value is an outlier.

use super::percentile;
use crate::config::Direction;

/// `spans` quartile distances beyond the worse quartile (Tukey's fence, "Exploratory Data Analysis", 1977, on one side).
/// None with fewer than five finite values, and where the quartiles are equal: then nothing says what is far.
pub fn quartile_fence(values: &[f64], direction: Direction, spans: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    if sorted.len() < 5 {
        return None;
    }
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (percentile(&sorted, 0.25), percentile(&sorted, 0.75));
    let fence = match direction {
        Direction::Maximize => low - spans * (high - low),
        Direction::Minimize => high + spans * (high - low),
    };
    (high > low).then_some(fence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_stand_on_the_worse_side() {
        let values = [1.0, 2.0, f64::NAN, 3.0, 4.0, 100.0];
        assert_eq!(quartile_fence(&values, Direction::Minimize, 1.5), Some(7.0));
        assert_eq!(quartile_fence(&values, Direction::Maximize, 3.0), Some(-4.0));
        assert_eq!(quartile_fence(&values[..5], Direction::Minimize, 1.5), None, "four values");
        assert_eq!(quartile_fence(&[1.0; 9], Direction::Minimize, 1.5), None, "no spread");
    }
}
