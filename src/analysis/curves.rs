//! Curves over steps or device-hours: common grids, bands over seeds, the best so far.

use super::{Interval, mean_interval};
use crate::config::Direction;
use serde::{Deserialize, Serialize};

/// `(x, y)`.
pub type Point = (f64, f64);

/// One abscissa of a band over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BandPoint {
    /// Where on the common grid.
    pub x: f64,
    /// Mean and interval over the curves that reach this far; `n` says how many do.
    pub interval: Interval,
}

/// The curve's values on `grid`, linear between its points; none outside its range and where it is not finite (a
/// missing value is never filled in). The curve must ascend in x; of several points at one x the last counts.
pub fn resample(curve: &[Point], grid: &[f64]) -> Vec<Option<f64>> {
    grid.iter()
        .map(|&x| {
            let after = curve.partition_point(|p| p.0 <= x);
            let left = *curve.get(after.checked_sub(1)?)?;
            if left.0 == x {
                return Some(left.1);
            }
            let right = *curve.get(after)?;
            Some(left.1 + (right.1 - left.1) * (x - left.0) / (right.0 - left.0))
        })
        .map(|y| y.filter(|y| y.is_finite()))
        .collect()
}

/// Mean and interval of several seeds' curves on the union of their abscissae. A curve counts only where it has a value,
/// so beyond the end of a run that stopped early `n` falls; abscissae without any value are left out.
pub fn seed_band(curves: &[Vec<Point>], confidence: f64) -> Vec<BandPoint> {
    let mut grid: Vec<f64> = curves.iter().flatten().map(|p| p.0).filter(|x| x.is_finite()).collect();
    grid.sort_by(f64::total_cmp);
    grid.dedup();
    let resampled: Vec<_> = curves.iter().map(|curve| resample(curve, &grid)).collect();
    grid.iter()
        .enumerate()
        .filter_map(|(i, &x)| {
            let values: Vec<f64> = resampled.iter().filter_map(|curve| curve[i]).collect();
            (!values.is_empty()).then(|| BandPoint { x, interval: mean_interval(&values, confidence) })
        })
        .collect()
}

/// The best value up to and including each position; none until there is one. Failed runs (none) and NaN never count.
pub fn best_so_far(values: &[Option<f64>], direction: Direction) -> Vec<Option<f64>> {
    values
        .iter()
        .scan(None, |best: &mut Option<f64>, value| {
            if let Some(value) = value.filter(|v| !v.is_nan()) {
                *best = Some(match (*best, direction) {
                    (None, _) => value,
                    (Some(best), Direction::Minimize) => best.min(value),
                    (Some(best), Direction::Maximize) => best.max(value),
                });
            }
            Some(*best)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampling_interpolates_and_never_extrapolates() {
        let curve = [(0.0, 1.0), (10.0, 3.0), (20.0, f64::NAN), (30.0, 5.0)];
        let got = resample(&curve, &[-1.0, 0.0, 2.5, 10.0, 15.0, 20.0, 30.0, 31.0]);
        assert_eq!(got, [None, Some(1.0), Some(1.5), Some(3.0), None, None, Some(5.0), None]);
        assert_eq!(resample(&[], &[0.0]), [None]);
        assert_eq!(resample(&[(1.0, 2.0), (1.0, 4.0)], &[1.0]), [Some(4.0)]);
    }

    #[test]
    fn bands_use_what_is_there() {
        let band = seed_band(&[vec![(0.0, 1.0), (2.0, 3.0)], vec![(0.0, 3.0), (1.0, 4.0)]], 0.95);
        let told: Vec<_> = band.iter().map(|p| (p.x, p.interval.mean, p.interval.n)).collect();
        assert_eq!(told, [(0.0, 2.0, 2), (1.0, 3.0, 2), (2.0, 3.0, 1)]);
        // Two values 1 and 3: 2 +- 12.706 * sqrt(2) / sqrt(2).
        assert!((band[0].interval.high - 14.706204736174694).abs() < 1e-9);
        assert!(seed_band(&[], 0.95).is_empty());
    }

    #[test]
    fn best_so_far_both_ways() {
        let values = [None, Some(3.0), Some(f64::NAN), Some(1.0), Some(2.0)];
        assert_eq!(best_so_far(&values, Direction::Minimize), [None, Some(3.0), Some(3.0), Some(1.0), Some(1.0)]);
        assert_eq!(best_so_far(&values, Direction::Maximize), [None, Some(3.0), Some(3.0), Some(3.0), Some(3.0)]);
    }
}
