//! What an experiment is worth that decides a hypothesis: the expected fall in entropy over its verdict.

/// Half-width of the grid on which outcomes are integrated, in deviations.
const WIDTH: f64 = 8.0;
/// Points of the grid.
const POINTS: usize = 401;
/// A noise floor is the 95% bound of a difference under no effect.
const FLOOR_IN_DEVIATIONS: f64 = 1.96;

/// Bits of entropy over "the hypothesis is true" that one look at its effect is expected to remove. `belief`: probability
/// that it is true, in [0, 1]. `effect`: the change of the objective that it predicts, in noise floors; where it is false
/// there is none. The look is normal around the change with the deviation that the noise floor stands for. Mutual
/// information of verdict and look, by the rectangle rule (error below 1e-6 bits). 0 where nothing is predicted.
pub fn verdict_gain(belief: f64, effect: f64) -> f64 {
    let belief = belief.clamp(0.0, 1.0);
    if !(effect.is_finite() && belief > 0.0 && belief < 1.0) {
        return 0.0;
    }
    // In deviations of one look.
    let shift = (effect * FLOOR_IN_DEVIATIONS).abs().min(2.0 * WIDTH);
    let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (low, high) = (-WIDTH, shift + WIDTH);
    let step = (high - low) / (POINTS - 1) as f64;
    let mut left = 0.0;
    for k in 0..POINTS {
        let x = low + k as f64 * step;
        let (with, without) = (belief * density(x - shift), (1.0 - belief) * density(x));
        let both = with + without;
        if both > 0.0 {
            left += both * entropy(with / both) * step;
        }
    }
    (entropy(belief) - left).max(0.0)
}

/// Bits.
fn entropy(p: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    part(p) + part(1.0 - p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_effects_decide_and_small_ones_do_not() {
        assert!((verdict_gain(0.5, 100.0) - 1.0).abs() < 1e-6, "one look settles a coin: one bit");
        assert!((verdict_gain(0.9, 100.0) - entropy(0.9)).abs() < 1e-6);
        assert!(verdict_gain(0.5, 0.0) < 1e-9 && verdict_gain(0.5, 0.01) < 1e-3);
        let gains: Vec<f64> = [0.1, 0.5, 1.0, 2.0].map(|effect| verdict_gain(0.5, effect)).to_vec();
        assert!(gains.windows(2).all(|w| w[0] < w[1]), "{gains:?}");
        // What is all but known is not worth asking.
        assert!(verdict_gain(0.99, 1.0) < 0.2 * verdict_gain(0.5, 1.0));
        assert_eq!((verdict_gain(1.0, 1.0), verdict_gain(0.5, f64::NAN)), (0.0, 0.0));
        assert!((verdict_gain(0.5, 1.0) - verdict_gain(0.5, -1.0)).abs() < 1e-12);
    }

    /// The capacity of a binary-input channel with normal noise at shift 2 (+-1, deviation 1) is 0.4859 bits (Proakis,
    /// Digital Communications, at 0 dB).
    #[test]
    fn the_value_of_the_textbook() {
        assert!((verdict_gain(0.5, 2.0 / FLOOR_IN_DEVIATIONS) - 0.4859).abs() < 1e-3);
    }
}
