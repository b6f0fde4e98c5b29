//! The margin of CMA-ES with margin: whole numbers keep a chance to leave the mean's own cell.
//!
//! Source: Hamano, Saito, Nomura, Shirakawa, "CMA-ES with margin: lower-bounding marginal probability for mixed-integer
//! black-box optimization" (GECCO 2022, arXiv 2205.13482), equations 10 to 21; applied where samples are drawn, so the
//! distribution itself stays as its update left it.

use statrs::distribution::{ContinuousCDF, Normal};

/// Where the mean's cell lies: its bounds, and whether there is a neighbour below and above.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub low: f64,
    pub high: f64,
    pub below: bool,
    pub above: bool,
}

/// The mean and the factor on the deviation with which each neighbouring side of `cell` has a probability of at least
/// `alpha / 2` (`alpha` where there is one side only).
pub(super) fn margin(mean: f64, deviation: f64, cell: Cell, alpha: f64) -> (f64, f64) {
    let normal = Normal::standard();
    // A deviation of nothing would divide by itself.
    let s = deviation.max(1e-12);
    match (cell.below, cell.above) {
        (false, false) => (mean, 1.0),
        (false, true) => (mean.max(cell.high + s * normal.inverse_cdf(alpha)), 1.0),
        (true, false) => (mean.min(cell.low - s * normal.inverse_cdf(alpha)), 1.0),
        (true, true) => {
            let low = normal.cdf((cell.low - mean) / s);
            let high = 1.0 - normal.cdf((cell.high - mean) / s);
            if low >= alpha / 2.0 && high >= alpha / 2.0 {
                return (mean, 1.0);
            }
            let middle = 1.0 - low - high;
            let (l, h) = (low.max(alpha / 2.0), high.max(alpha / 2.0));
            let scale = (1.0 - l - h - middle) / (l + h + middle - 1.5 * alpha);
            let (l, h) = (l + scale * (l - alpha / 2.0), h + scale * (h - alpha / 2.0));
            // The quantiles at which the cell's bounds must lie.
            let (zl, zh) = (-normal.inverse_cdf(l.clamp(1e-15, 0.5)), -normal.inverse_cdf(h.clamp(1e-15, 0.5)));
            let width = zl + zh;
            if width <= 1e-9 {
                return (mean, 1.0);
            }
            ((cell.low * zh + cell.high * zl) / width, (cell.high - cell.low) / width / s)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_keep_their_share() {
        let normal = Normal::standard();
        let alpha = 0.05;
        for mean in [0.41, 0.5, 0.59] {
            for deviation in [1e-9, 1e-3, 0.02, 0.05, 0.3] {
                let cell = Cell { low: 0.4, high: 0.6, below: true, above: true };
                let (m, factor) = margin(mean, deviation, cell, alpha);
                let s = deviation.max(1e-12) * factor;
                let (low, high) = (normal.cdf((0.4 - m) / s), 1.0 - normal.cdf((0.6 - m) / s));
                assert!(low >= alpha / 2.0 - 1e-6 && high >= alpha / 2.0 - 1e-6, "{mean} {deviation}: {low} {high}");
                assert!((0.4..=0.6).contains(&m));
                let cell = Cell { below: false, ..cell };
                let (m, factor) = margin(mean, deviation, cell, alpha);
                assert!(factor == 1.0 && 1.0 - normal.cdf((0.6 - m) / deviation) >= alpha - 1e-9);
            }
        }
        let free = Cell { low: 0.4, high: 0.6, below: true, above: true };
        assert_eq!(margin(0.5, 0.3, free, alpha), (0.5, 1.0), "a wide distribution is left alone");
    }
}
