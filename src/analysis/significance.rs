//! Tests of paired differences, and their correction where several are made at once.

use super::interval::differences;
use super::{mean, standard_deviation};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Two-sided p value of the paired t test of equal means; pairs by position (the same seed in both), values without a
/// partner are left out. 1 with fewer than two pairs: nothing can be shown. Differences that are all equal have no
/// spread: 1 where they are zero, else 0.
pub fn paired_p_value(candidate: &[f64], baseline: &[f64]) -> f64 {
    let differences = differences(candidate, baseline);
    let n = differences.len();
    if n < 2 {
        return 1.0;
    }
    let error = standard_deviation(&differences) / (n as f64).sqrt();
    let mean = mean(&differences);
    if error == 0.0 {
        return if mean == 0.0 { 1.0 } else { 0.0 };
    }
    two_sided(mean / error, (n - 1) as f64)
}

/// `P(|T| >= |t|)` under Student's t.
pub(super) fn two_sided(t: f64, freedom: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, freedom) {
        Ok(distribution) if !t.is_nan() => (2.0 * distribution.sf(t.abs())).min(1.0),
        _ => 1.0,
    }
}

/// Adjusted p values in the order given (Holm 1979, step-down): rejecting those at most alpha keeps the chance of any
/// false rejection at alpha, whatever the dependence between the tests.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let m = p_values.len();
    let mut order: Vec<usize> = (0..m).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; m];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max(((m - rank) as f64 * p_values[index]).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Sequence, Stream};

    /// `scipy.stats.ttest_rel(a, b).pvalue`, scipy 1.17.1.
    #[test]
    fn paired_p_values_are_scipys() {
        let a = [0.912, 0.934, 0.921, 0.940, 0.905];
        let b = [0.901, 0.915, 0.918, 0.922, 0.909];
        assert!((paired_p_value(&a, &b) - 0.1001101937228677).abs() < 1e-12);
        assert!((paired_p_value(&[1.0, 2.0, 3.0], &[1.1, 1.8, 3.3]) - 0.6913933000758161).abs() < 1e-12);
    }

    /// An interval carries its own p value, at any confidence.
    #[test]
    fn intervals_know_their_p_value() {
        let a = [0.912, 0.934, 0.921, 0.940, 0.905];
        let b = [0.901, 0.915, 0.918, 0.922, 0.909];
        for confidence in [0.8, 0.95, 0.999] {
            let interval = crate::analysis::paired_interval(&a, &b, confidence);
            assert!((interval.p_value() - paired_p_value(&a, &b)).abs() < 1e-12);
        }
        assert_eq!(crate::analysis::mean_interval(&[1.0], 0.95).p_value(), 1.0);
        assert_eq!(crate::analysis::mean_interval(&[1.0, 1.0], 0.95).p_value(), 0.0);
        assert_eq!(crate::analysis::mean_interval(&[0.0, 0.0], 0.95).p_value(), 1.0);
    }

    #[test]
    fn degenerate_pairs() {
        assert_eq!(paired_p_value(&[1.0], &[2.0]), 1.0);
        assert_eq!(paired_p_value(&[1.0, 2.0], &[1.0, 2.0]), 1.0);
        assert_eq!(paired_p_value(&[1.0, 2.0], &[2.0, 3.0]), 0.0);
    }

    /// Under the null hypothesis p is uniform: 5% of the tests reject at 0.05.
    #[test]
    fn false_rejections_are_nominal() {
        let rejected = (0..2000)
            .filter(|&draw| {
                let mut s = Sequence::new(17, Stream::Data, draw, 0);
                let mut three = || [s.normal(), s.normal(), s.normal()];
                paired_p_value(&three(), &three()) < 0.05
            })
            .count();
        assert!((60..=140).contains(&rejected), "{rejected} of 2000");
    }

    /// Worked by hand after Holm's procedure: sorted 0.005, 0.01, 0.03, 0.04 become 4 x 0.005, 3 x 0.01, 2 x 0.03 and
    /// max(0.06, 1 x 0.04). R's `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")` gives the same.
    #[test]
    fn holm_worked_example() {
        let got = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (g, w) in got.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((g - w).abs() < 1e-15, "{got:?}");
        }
        assert_eq!(holm(&[0.7, 0.9]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
