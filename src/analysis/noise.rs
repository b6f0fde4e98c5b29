//! How large a difference re-seeding alone produces, and the verdict over an interval against it.

use super::{Interval, standard_deviation, t_quantile};
use crate::config::Direction;
use serde::{Deserialize, Serialize};

/// Coverage of the floors.
const FLOOR_CONFIDENCE: f64 = 0.95;

/// The noise floor under a comparison of two means over as many seeds as `baseline` has (k), in the unit of the values:
/// `t(0.975; k-1) * sd * sqrt(2/k)`.
///
/// Why this formula: two means over k fresh seeds of the *same* experiment differ by a normal variable with variance
/// `2 sd^2 / k`; with `sd` itself estimated from k runs, their difference over its estimated deviation follows
/// Student's t with k-1 degrees of freedom, so 95% of such differences stay below the floor. Confirmed candidates are
/// means over seeds, hence the `sqrt(2/k)`; for two single runs see [`single_run_floor`]. It is a property of the
/// baseline alone, so it does not shrink where a candidate's own seeds happen to agree.
///
/// Infinite with fewer than two values: then nothing can count as an improvement.
pub fn noise_floor(baseline: &[f64]) -> f64 {
    single_run_floor(baseline) / (baseline.len() as f64).sqrt()
}

/// The noise floor under a difference of two single runs, in the unit of the values: `t(0.975; k-1) * sd * sqrt(2)`, the
/// half-width of the 95% prediction interval for the difference of two further runs. Infinite with fewer than two
/// values.
pub fn single_run_floor(baseline: &[f64]) -> f64 {
    if baseline.len() < 2 {
        return f64::INFINITY;
    }
    let t = t_quantile((1.0 + FLOOR_CONFIDENCE) / 2.0, (baseline.len() - 1) as f64);
    t * standard_deviation(baseline) * std::f64::consts::SQRT_2
}

/// What an interval says about a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The whole interval lies beyond the floor in the good direction.
    Better,
    /// The whole interval lies beyond the floor in the bad direction.
    Worse,
    /// Neither can be said.
    Undecided,
}

/// Judges an interval of `candidate - baseline` against a noise floor of at least 0. A bound on the floor, an unknown
/// spread or a NaN leave it undecided.
pub fn verdict(difference: &Interval, floor: f64, direction: Direction) -> Verdict {
    let (above, below) = (difference.low > floor, difference.high < -floor);
    match (direction, above, below) {
        (Direction::Maximize, true, _) | (Direction::Minimize, _, true) => Verdict::Better,
        (Direction::Maximize, _, true) | (Direction::Minimize, true, _) => Verdict::Worse,
        _ => Verdict::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{mean, mean_interval, paired_interval};
    use crate::rng::{Sequence, Stream};

    /// The formulas on five values with scipy 1.17.1's `t.ppf(0.975, 4)` and numpy's `std(ddof=1)`.
    #[test]
    fn floors_are_the_formulas() {
        let a = [0.912, 0.934, 0.921, 0.940, 0.905];
        assert!((noise_floor(&a) - 0.025705743658353715).abs() < 1e-13);
        assert!((single_run_floor(&a) - 0.05747979023226304).abs() < 1e-13);
        assert_eq!(noise_floor(&[1.0]), f64::INFINITY);
        assert_eq!(noise_floor(&[]), f64::INFINITY);
        assert_eq!(noise_floor(&[2.0, 2.0]), 0.0);
    }

    /// What the floors promise: 95% of differences between repetitions of the same experiment stay below.
    #[test]
    fn floors_cover_what_reseeding_produces() {
        let (mut means, mut singles) = (0, 0);
        for draw in 0..2000 {
            let mut s = Sequence::new(23, Stream::Data, draw, 0);
            let mut three = || [s.normal(), s.normal(), s.normal()];
            let (baseline, left, right) = (three(), three(), three());
            means += u32::from((mean(&left) - mean(&right)).abs() <= noise_floor(&baseline));
            singles += u32::from((left[0] - right[0]).abs() <= single_run_floor(&baseline));
        }
        assert!((1860..=1940).contains(&means), "{means} of 2000");
        assert!((1860..=1940).contains(&singles), "{singles} of 2000");
    }

    /// A candidate that is the baseline itself must hardly ever be called better.
    #[test]
    fn no_false_improvements() {
        let better = (0..2000)
            .filter(|&draw| {
                let mut s = Sequence::new(29, Stream::Data, draw, 0);
                let mut three = || [s.normal(), s.normal(), s.normal()];
                let (baseline, candidate) = (three(), three());
                let interval = paired_interval(&candidate, &baseline, 0.95);
                verdict(&interval, noise_floor(&baseline), Direction::Minimize) == Verdict::Better
            })
            .count();
        assert!(better <= 20, "{better} of 2000");
    }

    #[test]
    fn verdicts() {
        let interval = |low, high| Interval { mean: (low + high) / 2.0, low, high, n: 3, confidence: 0.95 };
        use Direction::{Maximize, Minimize};
        assert_eq!(verdict(&interval(0.2, 0.4), 0.1, Maximize), Verdict::Better);
        assert_eq!(verdict(&interval(0.2, 0.4), 0.1, Minimize), Verdict::Worse);
        assert_eq!(verdict(&interval(-0.4, -0.2), 0.1, Minimize), Verdict::Better);
        assert_eq!(verdict(&interval(-0.4, -0.2), 0.1, Maximize), Verdict::Worse);
        for undecided in [interval(0.05, 0.4), interval(0.1, 0.4), interval(-0.4, 0.4), interval(-0.4, -0.1)] {
            assert_eq!(verdict(&undecided, 0.1, Maximize), Verdict::Undecided);
            assert_eq!(verdict(&undecided, 0.1, Minimize), Verdict::Undecided);
        }
        assert_eq!(verdict(&mean_interval(&[5.0], 0.95), 0.1, Maximize), Verdict::Undecided);
        assert_eq!(verdict(&interval(5.0, 6.0), f64::INFINITY, Maximize), Verdict::Undecided);
        assert_eq!(verdict(&interval(5.0, 6.0), f64::NAN, Maximize), Verdict::Undecided);
        assert_eq!(verdict(&interval(0.0, 0.0), 0.0, Maximize), Verdict::Undecided);
    }
}
