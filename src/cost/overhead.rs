//! The factor between what is predicted and what is paid.

/// Believed before anything was paid.
const PRIOR: f64 = 1.2;
/// How many attempts the prior is worth.
const PRIOR_WEIGHT: f64 = 4.0;

/// The overhead factor alpha >= 1 by which predicted seconds are multiplied before they are reserved, from
/// `(predicted, measured)` seconds of ended attempts: the mean of `ln(measured / predicted)` shrunk towards `ln 1.2`
/// as if four attempts had shown it. Pairs that are not positive and finite are left out.
pub fn overhead_factor(pairs: &[(f64, f64)]) -> f64 {
    let ratios = pairs.iter().map(|(predicted, measured)| (measured / predicted).ln()).filter(|r| r.is_finite());
    let (sum, n) = ratios.fold((0.0, 0.0), |(sum, n), ratio| (sum + ratio, n + 1.0));
    ((PRIOR_WEIGHT * PRIOR.ln() + sum) / (PRIOR_WEIGHT + n)).exp().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::overhead_factor;

    #[test]
    fn shrinks_from_the_prior_to_what_was_seen() {
        assert!((overhead_factor(&[]) - 1.2).abs() < 1e-12);
        // Four attempts at twice the prediction: halfway in logarithms, sqrt(1.2 x 2).
        assert!((overhead_factor(&[(1.0, 2.0); 4]) - 2.4f64.sqrt()).abs() < 1e-12);
        assert!((overhead_factor(&vec![(10.0, 15.0); 4000]) - 1.5).abs() < 1e-3);
        assert_eq!(overhead_factor(&vec![(2.0, 1.0); 100]), 1.0);
        assert_eq!(overhead_factor(&[(0.0, 1.0), (1.0, f64::NAN), (-1.0, 1.0)]), overhead_factor(&[]));
    }
}
