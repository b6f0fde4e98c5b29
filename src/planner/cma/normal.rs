//! The multivariate normal of CMA-ES and its update.
//!
//! Sources: Hansen, "The CMA evolution strategy: a tutorial" (arXiv 1604.00772), all constants its defaults, positive
//! weights only; Hansen, "Injecting external solutions into CMA-ES" (arXiv 1110.4181) for the clipping of steps, which
//! lets samples count that were drawn from an older distribution or by somebody else: runs that end late, random
//! beginnings, a person's or another planner's proposals.

use super::eigen::{Matrix, eigen, identity};
use crate::rng::Sequence;

/// A sample in unit coordinates; none where a conditional parameter is absent.
pub(super) type Point = Vec<Option<f64>>;

/// The distribution.
#[derive(Debug, Clone)]
pub(super) struct Normal {
    /// Samples of one generation.
    pub lambda: usize,
    /// Centre, in unit coordinates.
    pub mean: Vec<f64>,
    /// Overall step size.
    pub sigma: f64,
    covariance: Matrix,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    generation: u32,
    /// Square roots of the covariance's eigenvalues, and its eigenvectors as columns.
    scales: Vec<f64>,
    basis: Matrix,
}

/// Weights of the ranks, summing to 1.
pub(super) fn weights(lambda: usize, ranked: usize) -> Vec<f64> {
    let mu = (lambda / 2).clamp(1, ranked.max(1));
    let raw: Vec<f64> = (0..mu).map(|i| ((lambda as f64 + 1.0) / 2.0).ln() - (i as f64 + 1.0).ln()).collect();
    let sum: f64 = raw.iter().sum();
    if sum > 0.0 { raw.into_iter().map(|w| w / sum).collect() } else { vec![1.0] }
}

/// Default population size in `n` dimensions.
pub(super) fn population(n: usize) -> usize {
    4 + (3.0 * (n.max(1) as f64).ln()) as usize
}

impl Normal {
    /// Round, around `mean`.
    pub fn new(mean: Vec<f64>, sigma: f64, lambda: usize) -> Self {
        let n = mean.len();
        Normal {
            lambda,
            mean,
            sigma,
            covariance: identity(n),
            path_sigma: vec![0.0; n],
            path_c: vec![0.0; n],
            generation: 0,
            scales: vec![1.0; n],
            basis: identity(n),
        }
    }

    /// One sample.
    pub fn draw(&self, sequence: &mut Sequence) -> Vec<f64> {
        let z: Vec<f64> = self.scales.iter().map(|d| d * sequence.normal()).collect();
        let along = |i: usize| -> f64 { self.basis[i].iter().zip(&z).map(|(b, z)| b * z).sum() };
        (0..self.mean.len()).map(|i| self.mean[i] + self.sigma * along(i)).collect()
    }

    /// Standard deviation along coordinate `i`.
    pub fn deviation(&self, i: usize) -> f64 {
        self.sigma * self.covariance[i][i].sqrt()
    }

    /// The largest standard deviation along any direction.
    pub fn largest(&self) -> f64 {
        self.sigma * self.scales.iter().copied().fold(0.0, f64::max)
    }

    /// Largest over smallest eigenvalue of the covariance.
    pub fn condition(&self) -> f64 {
        let (low, high) = self.scales.iter().fold((f64::INFINITY, 0.0f64), |(l, h), s| (l.min(*s), h.max(*s)));
        if self.scales.is_empty() { 1.0 } else { (high / low).powi(2) }
    }

    /// `C^(-1/2) y`.
    fn whitened(&self, y: &[f64]) -> Vec<f64> {
        let n = y.len();
        let inner: Vec<f64> =
            (0..n).map(|k| (0..n).map(|i| self.basis[i][k] * y[i]).sum::<f64>() / self.scales[k]).collect();
        (0..n).map(|i| self.basis[i].iter().zip(&inner).map(|(b, x)| b * x).sum()).collect()
    }

    /// One generation: `ranked` are its samples with a value, best first. An absent coordinate counts as the distribution
    /// expects it: the mean for the mean, its own variance for the covariance.
    pub fn update(&mut self, ranked: &[Point]) {
        let n = self.mean.len();
        if n == 0 || ranked.is_empty() {
            return;
        }
        let size = n as f64;
        let weights = weights(self.lambda, ranked.len());
        let mu_eff = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
        let c_sigma = (mu_eff + 2.0) / (size + mu_eff + 5.0);
        let damping = 1.0 + 2.0 * (((mu_eff - 1.0) / (size + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma;
        let c_c = (4.0 + mu_eff / size) / (size + 4.0 + 2.0 * mu_eff / size);
        let c_1 = 2.0 / ((size + 1.3).powi(2) + mu_eff);
        let c_mu = (1.0 - c_1).min(2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((size + 2.0).powi(2) + mu_eff)).max(0.0);

        let longest = size.sqrt() + 2.0 * size / (size + 2.0);
        let steps: Vec<Vec<f64>> = ranked.iter().take(weights.len()).map(|x| self.step(x, longest)).collect();
        let shift: Vec<f64> = (0..n).map(|i| weights.iter().zip(&steps).map(|(w, y)| w * y[i]).sum()).collect();
        // How much of the weight lacks each coordinate; the others are as many dimensions as the step size can learn from.
        let absent: Vec<f64> = (0..n)
            .map(|i| weights.iter().zip(ranked).map(|(w, x)| if x[i].is_none() { *w } else { 0.0 }).sum())
            .collect();
        let present = (size - absent.iter().sum::<f64>()).max(1.0);
        let expected = present.sqrt() * (1.0 - 1.0 / (4.0 * present) + 1.0 / (21.0 * present * present));
        let white = self.whitened(&shift);
        for i in 0..n {
            self.mean[i] = (self.mean[i] + self.sigma * shift[i]).clamp(0.0, 1.0);
            self.path_sigma[i] =
                (1.0 - c_sigma) * self.path_sigma[i] + (c_sigma * (2.0 - c_sigma) * mu_eff).sqrt() * white[i];
        }
        self.generation += 1;
        let length = self.path_sigma.iter().map(|p| p * p).sum::<f64>().sqrt();
        let settled = (1.0 - (1.0 - c_sigma).powi(2 * self.generation as i32)).sqrt();
        let h = f64::from(u8::from(length / settled < (1.4 + 2.0 / (size + 1.0)) * expected));
        for i in 0..n {
            self.path_c[i] = (1.0 - c_c) * self.path_c[i] + h * (c_c * (2.0 - c_c) * mu_eff).sqrt() * shift[i];
        }
        let keep = 1.0 - c_1 - c_mu + (1.0 - h) * c_1 * c_c * (2.0 - c_c);
        let old = self.covariance.clone();
        for i in 0..n {
            for j in 0..n {
                let spread: f64 = weights
                    .iter()
                    .zip(&steps)
                    .zip(ranked)
                    .map(|((w, y), x)| match (i == j, x[i].is_some() && x[j].is_some()) {
                        (_, true) => w * y[i] * y[j],
                        (true, false) => w * old[i][i],
                        (false, false) => 0.0,
                    })
                    .sum();
                let path = self.path_c[i] * self.path_c[j] + if i == j { absent[i] * old[i][i] } else { 0.0 };
                self.covariance[i][j] = keep * old[i][j] + c_1 * path + c_mu * spread;
            }
        }
        self.sigma = (self.sigma * (c_sigma / damping * (length / expected - 1.0)).min(1.0).exp()).min(1.0);
        let (values, basis) = eigen(&self.covariance);
        self.scales = values.into_iter().map(|v| v.max(1e-20).sqrt()).collect();
        self.basis = basis;
    }

    /// A sample as a step in units of sigma, no longer than `longest` after whitening.
    fn step(&self, x: &Point, longest: f64) -> Vec<f64> {
        let y: Vec<f64> = x.iter().zip(&self.mean).map(|(x, m)| x.map_or(0.0, |x| (x - m) / self.sigma)).collect();
        let length = self.whitened(&y).iter().map(|z| z * z).sum::<f64>().sqrt();
        let scale = if length > longest { longest / length } else { 1.0 };
        y.into_iter().map(|y| scale * y).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// On an ellipsoid whose axes differ by 100 the optimum is found to 1e-6 in the distance, and the covariance learns
    /// the axes: its condition is that of the inverse Hessian within a factor of 10.
    #[test]
    fn learns_an_ellipsoid() {
        let n = 4;
        let axis = |i: usize| 100f64.powf(i as f64 / 3.0);
        let f = |x: &[f64]| -> f64 { (0..n).map(|i| (axis(i) * (x[i] - 0.3)).powi(2)).sum() };
        let mut normal = Normal::new(vec![0.7; n], 0.2, 8);
        for generation in 0..300 {
            let mut points: Vec<Vec<f64>> =
                (0..8).map(|k| normal.draw(&mut Sequence::new(1, Stream::Sampler, generation, k))).collect();
            points.sort_by(|a, b| f(a).total_cmp(&f(b)));
            normal.update(&points.iter().map(|p| p.iter().copied().map(Some).collect()).collect::<Vec<_>>());
        }
        assert!(f(&normal.mean) < 1e-10, "{:?}", normal.mean);
        assert!((1e3..1e5).contains(&normal.condition()), "{}", normal.condition());
    }

    #[test]
    fn absent_coordinates_keep_their_distribution() {
        let mut normal = Normal::new(vec![0.5, 0.5], 0.2, 6);
        for _ in 0..20 {
            normal.update(&[vec![Some(0.9), None], vec![Some(0.8), None], vec![Some(0.7), None]]);
        }
        assert_eq!(normal.mean[1], 0.5);
        assert!((0.8..1.25).contains(&normal.covariance[1][1]), "{}", normal.covariance[1][1]);
        assert!(normal.mean[0] > 0.7);
    }

    #[test]
    fn weights_are_hansens() {
        let w = weights(8, 8);
        assert!((w.iter().sum::<f64>() - 1.0).abs() < 1e-12 && w.len() == 4);
        assert!((w[0] - 0.52993).abs() < 1e-4, "{w:?}");
        assert_eq!(weights(8, 1), [1.0]);
        assert_eq!((population(1), population(6), population(10)), (4, 9, 10));
    }
}
