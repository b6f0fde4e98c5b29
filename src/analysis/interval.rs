//! Confidence intervals of means and of paired differences, by Student's t.
//!
//! Source: Student (1908), "The probable error of a mean"; `mean +- t(1 - (1-c)/2; n-1) * sd / sqrt(n)`.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Continuous, ContinuousCDF, StudentsT};
use std::fmt;

/// An estimate with the range that covers the truth in `confidence` of repetitions.
///
/// One value alone says nothing about its spread: its bounds are infinite. In JSON an infinite bound and the mean of
/// no values are `null` (JSON has neither infinities nor NaN) and are read back as what they were.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The estimate, in the unit of the values; NaN (`null`) of no values.
    #[serde(with = "nullable::not_a_number")]
    pub mean: f64,
    /// Lower bound; negative infinity (`null`) where the spread is unknown.
    #[serde(with = "nullable::negative_infinity")]
    pub low: f64,
    /// Upper bound; infinity (`null`) where the spread is unknown.
    #[serde(with = "nullable::infinity")]
    pub high: f64,
    /// How many values (or pairs) it rests on.
    pub n: usize,
    /// Nominal coverage, in (0, 1).
    pub confidence: f64,
}

impl Interval {
    /// Half of the width; infinite where the spread is unknown.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// Whether `value` lies within the bounds.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Two-sided p value of a true mean of 0, where this is Student's interval of a mean: its width tells the standard
    /// error. 1 where the spread is unknown; with no spread at all, 0 unless the mean is 0.
    pub fn p_value(&self) -> f64 {
        let half = self.half_width();
        if self.n < 2 || !half.is_finite() || self.mean.is_nan() {
            return 1.0;
        }
        let freedom = (self.n - 1) as f64;
        let error = half / t_quantile((1.0 + self.confidence) / 2.0, freedom);
        match (error > 0.0, self.mean == 0.0) {
            (true, _) => super::significance::two_sided(self.mean / error, freedom),
            (false, equal) => f64::from(u8::from(equal)),
        }
    }

    /// An estimate whose spread is unknown.
    pub(super) fn unbounded(mean: f64, n: usize, confidence: f64) -> Self {
        Interval { mean, low: f64::NEG_INFINITY, high: f64::INFINITY, n, confidence }
    }
}

impl fmt::Display for Interval {
    /// `0.9224 [0.9042, 0.9406]`; only the estimate where the spread is unknown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(4);
        if self.mean.is_nan() {
            write!(f, "no value")
        } else if self.low.is_finite() && self.high.is_finite() {
            write!(f, "{:.digits$} [{:.digits$}, {:.digits$}]", self.mean, self.low, self.high)
        } else {
            write!(f, "{:.digits$} (n={}, spread unknown)", self.mean, self.n)
        }
    }
}

/// Arithmetic mean; NaN of no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample standard deviation (n - 1 in the denominator), in two passes; NaN of fewer than two values.
pub fn standard_deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::NAN;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// Quantile of Student's t: the x with `P(T <= x) = probability`, for `probability` in (0, 1) and `freedom` >= 1.
///
/// The library's inverse of the incomplete beta function is good to about 1e-10 at best; two Newton steps on the
/// distribution function bring it to rounding.
pub fn t_quantile(probability: f64, freedom: f64) -> f64 {
    let Ok(t) = StudentsT::new(0.0, 1.0, freedom) else { return f64::NAN };
    let probability = probability.clamp(1e-300, 1.0 - f64::EPSILON);
    let mut x = t.inverse_cdf(probability);
    for _ in 0..2 {
        let density = t.pdf(x);
        if density > 0.0 && x.is_finite() {
            x -= (t.cdf(x) - probability) / density;
        }
    }
    x
}

/// The interval of the mean of `values` at `confidence` in (0, 1).
pub fn mean_interval(values: &[f64], confidence: f64) -> Interval {
    let (n, mean) = (values.len(), mean(values));
    if n < 2 {
        return Interval::unbounded(mean, n, confidence);
    }
    let half = t_quantile((1.0 + confidence) / 2.0, (n - 1) as f64) * standard_deviation(values) / (n as f64).sqrt();
    Interval { mean, low: mean - half, high: mean + half, n, confidence }
}

/// The interval of the mean of `candidate - baseline`, paired by position (the same seed in both): what the two have
/// in common cancels. Values without a partner are left out.
pub fn paired_interval(candidate: &[f64], baseline: &[f64], confidence: f64) -> Interval {
    mean_interval(&differences(candidate, baseline), confidence)
}

/// `candidate - baseline` by position, as long as the shorter of the two.
pub(super) fn differences(candidate: &[f64], baseline: &[f64]) -> Vec<f64> {
    candidate.iter().zip(baseline).map(|(c, b)| c - b).collect()
}

/// JSON's `null` for the one non-finite number that a field can hold.
mod nullable {
    macro_rules! nullable {
        ($module:ident, $value:expr) => {
            pub mod $module {
                use serde::{Deserialize, Deserializer, Serialize, Serializer};
                pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
                    value.is_finite().then_some(*value).serialize(to)
                }
                pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
                    Ok(Option::<f64>::deserialize(from)?.unwrap_or($value))
                }
            }
        };
    }
    nullable!(not_a_number, f64::NAN);
    nullable!(negative_infinity, f64::NEG_INFINITY);
    nullable!(infinity, f64::INFINITY);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Sequence, Stream};

    const A: [f64; 5] = [0.912, 0.934, 0.921, 0.940, 0.905];
    const B: [f64; 5] = [0.901, 0.915, 0.918, 0.922, 0.909];

    fn close(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() <= tolerance * want.abs().max(1.0), "got {got}, want {want}");
    }

    /// `scipy.stats.t.ppf(p, df)`, scipy 1.17.1.
    #[test]
    fn t_quantiles_are_scipys() {
        for (p, freedom, want) in [
            (0.975, 1.0, 12.706204736174694),
            (0.975, 2.0, 4.302652729749462),
            (0.975, 9.0, 2.262157162798205),
            (0.95, 4.0, 2.1318467863266495),
            (0.995, 30.0, 2.7499956535672254),
            (0.9, 3.0, 1.637744353696209),
            (0.975, 1000.0, 1.9623390808264083),
        ] {
            close(t_quantile(p, freedom), want, 1e-12);
            close(t_quantile(1.0 - p, freedom), -want, 1e-11);
        }
    }

    /// `scipy.stats.t.interval(c, 4, numpy.mean(a), scipy.stats.sem(a))`, scipy 1.17.1.
    #[test]
    fn mean_interval_is_scipys() {
        let at95 = mean_interval(&A, 0.95);
        close(at95.mean, 0.9224, 1e-15);
        close(at95.low, 0.904223294343735, 1e-13);
        close(at95.high, 0.9405767056562649, 1e-13);
        let at90 = mean_interval(&A, 0.90);
        close(at90.low, 0.9084433215600878, 1e-13);
        close(at90.high, 0.9363566784399122, 1e-13);
    }

    /// The same on `a - b`.
    #[test]
    fn paired_interval_is_scipys() {
        let got = paired_interval(&A, &B, 0.95);
        close(got.mean, 0.009399999999999986, 1e-13);
        close(got.low, -0.0028478683384317964, 1e-13);
        close(got.high, 0.02164786833843177, 1e-13);
        assert_eq!(paired_interval(&A, &B[..3], 0.95).n, 3);
    }

    #[test]
    fn coverage_is_nominal() {
        let mut inside = 0;
        let mut inside_paired = 0;
        for draw in 0..2000 {
            let mut s = Sequence::new(11, Stream::Data, draw, 0);
            let values: Vec<f64> = (0..4).map(|_| 3.0 + 2.0 * s.normal()).collect();
            inside += u32::from(mean_interval(&values, 0.95).contains(3.0));
            // Pairs share a large common part, which must cancel.
            let (mut left, mut right) = (vec![], vec![]);
            for _ in 0..3 {
                let common = 100.0 * s.normal();
                left.push(common + 0.5 + s.normal());
                right.push(common + s.normal());
            }
            inside_paired += u32::from(paired_interval(&left, &right, 0.95).contains(0.5));
        }
        assert!((1860..=1940).contains(&inside), "{inside} of 2000 intervals cover the mean");
        assert!(
            (1860..=1940).contains(&inside_paired),
            "{inside_paired} of 2000 paired intervals cover the difference"
        );
    }

    #[test]
    fn unknown_spread_survives_json() {
        let one = mean_interval(&[0.25], 0.95);
        assert_eq!((one.mean, one.low, one.high), (0.25, f64::NEG_INFINITY, f64::INFINITY));
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(text, r#"{"mean":0.25,"low":null,"high":null,"n":1,"confidence":0.95}"#);
        assert_eq!(serde_json::from_str::<Interval>(&text).unwrap(), one);
        let none = mean_interval(&[], 0.95);
        assert!(none.mean.is_nan() && none.n == 0);
        let back: Interval = serde_json::from_str(&serde_json::to_string(&none).unwrap()).unwrap();
        assert!(back.mean.is_nan() && back.high == f64::INFINITY);
        let five = mean_interval(&A, 0.95);
        assert_eq!(serde_json::from_str::<Interval>(&serde_json::to_string(&five).unwrap()).unwrap(), five);
    }

    #[test]
    fn shown_for_people() {
        assert_eq!(mean_interval(&A, 0.95).to_string(), "0.9224 [0.9042, 0.9406]");
        assert_eq!(format!("{:.2}", mean_interval(&[0.5], 0.95)), "0.50 (n=1, spread unknown)");
        assert_eq!(mean_interval(&[], 0.95).to_string(), "no value");
    }
}
