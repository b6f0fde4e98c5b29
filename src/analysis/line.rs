//! A straight line by least squares, with the interval of its slope and of its height.

use super::{Interval, Point, t_quantile};

/// A fitted line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its slope; `n` counts the points.
    pub slope: Interval,
    /// Where the points' middle lies: the line passes through it.
    centre: Point,
    /// Standard deviation of the points about the line, with n - 2 in the denominator.
    pub deviation: f64,
    /// Sum of squares of x about its mean.
    spread: f64,
}

/// The line through points by ordinary least squares; Student's intervals with n - 2 degrees of freedom at `confidence`.
/// None with fewer than three points, or where all have one x.
pub fn fit_line(points: &[Point], confidence: f64) -> Option<Line> {
    let n = points.len();
    if n < 3 || points.iter().any(|p| !p.0.is_finite() || !p.1.is_finite()) {
        return None;
    }
    let count = n as f64;
    let centre = (points.iter().map(|p| p.0).sum::<f64>() / count, points.iter().map(|p| p.1).sum::<f64>() / count);
    let spread: f64 = points.iter().map(|p| (p.0 - centre.0).powi(2)).sum();
    if spread <= 0.0 {
        return None;
    }
    let slope = points.iter().map(|p| (p.0 - centre.0) * (p.1 - centre.1)).sum::<f64>() / spread;
    let squares: f64 = points.iter().map(|p| (p.1 - centre.1 - slope * (p.0 - centre.0)).powi(2)).sum();
    let deviation = (squares / (count - 2.0)).sqrt();
    let half = t_quantile((1.0 + confidence) / 2.0, count - 2.0) * deviation / spread.sqrt();
    let slope = Interval { mean: slope, low: slope - half, high: slope + half, n, confidence };
    Some(Line { slope, centre, deviation, spread })
}

impl Line {
    /// The line's height at `x`, with the interval of the mean there (not of a further point).
    pub fn at(&self, x: f64) -> Interval {
        let n = self.slope.n as f64;
        let mean = self.centre.1 + self.slope.mean * (x - self.centre.0);
        let error = self.deviation * (1.0 / n + (x - self.centre.0).powi(2) / self.spread).sqrt();
        let half = t_quantile((1.0 + self.slope.confidence) / 2.0, n - 2.0) * error;
        Interval { mean, low: mean - half, high: mean + half, n: self.slope.n, confidence: self.slope.confidence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: x = 1..5, y = 2, 4, 5, 4, 5 has slope 0.6, intercept 2.2, residual sum of squares 2.4, so a deviation of
    /// sqrt(0.8), a standard error of sqrt(0.08) and t(0.975; 3) = 3.182446305284263.
    #[test]
    fn a_small_example_by_hand() {
        let points = [(1.0, 2.0), (2.0, 4.0), (3.0, 5.0), (4.0, 4.0), (5.0, 5.0)];
        let line = fit_line(&points, 0.95).unwrap();
        let half = 3.182_446_305_284_263 * 0.08f64.sqrt();
        assert!((line.slope.mean - 0.6).abs() < 1e-12 && (line.slope.high - 0.6 - half).abs() < 1e-9);
        assert!((line.at(0.0).mean - 2.2).abs() < 1e-12);
        let middle = 3.182_446_305_284_263 * (0.8f64 / 5.0).sqrt();
        assert!((line.at(3.0).high - 4.0 - middle).abs() < 1e-9, "narrowest at the centre");
        assert!(line.at(6.0).half_width() > line.at(3.0).half_width());
    }

    #[test]
    fn too_little_makes_no_line() {
        assert_eq!(fit_line(&[(1.0, 1.0), (2.0, 2.0)], 0.95), None);
        assert_eq!(fit_line(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)], 0.95), None);
        assert_eq!(fit_line(&[(1.0, 1.0), (2.0, f64::NAN), (3.0, 3.0)], 0.95), None);
        let exact = fit_line(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)], 0.95).unwrap();
        assert!((exact.slope.mean - 2.0).abs() < 1e-12 && exact.slope.half_width() < 1e-9);
    }
}
