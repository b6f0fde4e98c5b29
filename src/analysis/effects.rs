//! Main effects: what each parameter of a search space did to the result, one at a time.
//!
//! These are descriptions of what was tried, not causes: a sampler that concentrates on good regions makes parameters
//! move together.

use super::{Interval, mean, mean_interval, significance::two_sided};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A finished run, as far as effects are concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Parameter path to value; a conditional parameter may be absent.
    pub assignment: BTreeMap<String, Value>,
    /// The metric as reported (not negated).
    pub value: f64,
}

/// What one parameter did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Its path.
    pub parameter: String,
    /// Trials in which it was present and the metric finite.
    pub n: usize,
    /// In [0, 1], for ranking: |rho| of numbers, for choices the correlation ratio eta (root of the share of the
    /// metric's variance that lies between the groups).
    pub strength: f64,
    /// The effect itself.
    pub kind: EffectKind,
}

/// Numbers correlate, choices form groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EffectKind {
    /// Of a parameter whose values are all numbers.
    Correlation {
        /// Spearman's rank correlation with the metric, in [-1, 1]; invariant under log scales. 0 where either is
        /// constant.
        rho: f64,
        /// Two-sided p value by the t approximation; 1 with fewer than three trials.
        p_value: f64,
    },
    /// Of any other parameter.
    Groups {
        /// One for each value tried, in the order of their JSON text.
        groups: Vec<Group>,
    },
}

/// Trials that share one value of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The value.
    pub choice: Value,
    /// Mean metric and its interval.
    pub interval: Interval,
}

/// The effect of every parameter that took at least two values, strongest first (ties by name). Trials with a
/// non-finite value are left out.
pub fn main_effects(trials: &[Trial], confidence: f64) -> Vec<Effect> {
    let mut seen: BTreeMap<&str, Vec<(&Value, f64)>> = BTreeMap::new();
    for trial in trials.iter().filter(|t| t.value.is_finite()) {
        for (name, value) in &trial.assignment {
            seen.entry(name).or_default().push((value, trial.value));
        }
    }
    let mut effects: Vec<Effect> =
        seen.into_iter().filter_map(|(name, pairs)| effect(name, &pairs, confidence)).collect();
    effects.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    effects
}

fn effect(name: &str, pairs: &[(&Value, f64)], confidence: f64) -> Option<Effect> {
    if pairs.iter().all(|(value, _)| *value == pairs[0].0) {
        return None;
    }
    let metric: Vec<f64> = pairs.iter().map(|p| p.1).collect();
    let numbers: Option<Vec<f64>> = pairs.iter().map(|(value, _)| value.as_f64()).collect();
    let (strength, kind) = match numbers {
        Some(numbers) => {
            let (rho, p_value) = spearman(&numbers, &metric);
            (rho.abs(), EffectKind::Correlation { rho, p_value })
        }
        None => {
            let mut groups: BTreeMap<String, (&Value, Vec<f64>)> = BTreeMap::new();
            for (value, metric) in pairs {
                groups.entry(value.to_string()).or_insert((*value, vec![])).1.push(*metric);
            }
            let strength = correlation_ratio(groups.values().map(|g| g.1.as_slice()), &metric);
            let groups = groups
                .into_values()
                .map(|(choice, values)| Group { choice: choice.clone(), interval: mean_interval(&values, confidence) })
                .collect();
            (strength, EffectKind::Groups { groups })
        }
    };
    Some(Effect { parameter: name.to_string(), n: pairs.len(), strength, kind })
}

/// Spearman's rank correlation of two equally long lists and its two-sided p value by the t approximation
/// `rho * sqrt((n-2) / (1-rho^2))` with n-2 degrees of freedom. `(0, 1)` where either is constant.
pub fn spearman(x: &[f64], y: &[f64]) -> (f64, f64) {
    let (x, y) = (ranks(x), ranks(y));
    let (mx, my) = (mean(&x), mean(&y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        xy += (x - mx) * (y - my);
        xx += (x - mx).powi(2);
        yy += (y - my).powi(2);
    }
    if xx == 0.0 || yy == 0.0 || x.is_empty() {
        return (0.0, 1.0);
    }
    let rho = (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0);
    if x.len() < 3 {
        return (rho, 1.0);
    }
    let freedom = (x.len() - 2) as f64;
    (rho, two_sided(rho * (freedom / (1.0 - rho * rho)).sqrt(), freedom))
}

/// Ranks from 1; equal values share their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        for &index in tied {
            ranks[index] = before as f64 + (tied.len() + 1) as f64 / 2.0;
        }
        before += tied.len();
    }
    ranks
}

/// Root of the share of the total sum of squares that lies between groups; 0 where nothing varies.
fn correlation_ratio<'a>(groups: impl Iterator<Item = &'a [f64]>, all: &[f64]) -> f64 {
    let grand = mean(all);
    let total: f64 = all.iter().map(|v| (v - grand).powi(2)).sum();
    let between: f64 = groups.map(|g| g.len() as f64 * (mean(g) - grand).powi(2)).sum();
    if total == 0.0 { 0.0 } else { (between / total).min(1.0).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn trial(assignment: Value, value: f64) -> Trial {
        Trial { assignment: serde_json::from_value(assignment).unwrap(), value }
    }

    /// `scipy.stats.spearmanr` and `rankdata`, scipy 1.17.1.
    #[test]
    fn spearman_is_scipys() {
        let (rho, p) = spearman(&[1.0, 2.0, 2.0, 4.0, 5.0, 6.0, 7.0], &[2.0, 1.0, 3.0, 3.0, 8.0, 7.0, 9.0]);
        assert!((rho - 0.8818181818181818).abs() < 1e-14 && (p - 0.00864501049674692).abs() < 1e-12, "{rho} {p}");
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        assert_eq!(spearman(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), (0.0, 1.0));
        assert_eq!(spearman(&[], &[]), (0.0, 1.0));
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[1.0, 4.0, 9.0]), (1.0, 0.0));
    }

    /// Group means, intervals and eta with numpy 2.4.6 and scipy 1.17.1 on a = 1, 2, 3 and b = 2, 3, 4, 7.
    #[test]
    fn groups_are_numpys() {
        let mut trials: Vec<Trial> = [1.0, 2.0, 3.0].map(|v| trial(json!({"c": "a"}), v)).into();
        trials.extend([2.0, 3.0, 4.0, 7.0].map(|v| trial(json!({"c": "b"}), v)));
        let effects = main_effects(&trials, 0.95);
        assert_eq!((effects.len(), effects[0].n), (1, 7));
        assert!((effects[0].strength - 0.5477225575051661).abs() < 1e-12);
        let EffectKind::Groups { groups } = &effects[0].kind else { panic!("{effects:?}") };
        assert_eq!((&groups[0].choice, groups[0].interval.mean), (&json!("a"), 2.0));
        assert!((groups[0].interval.high - 4.48413771175033).abs() < 1e-12);
        assert!((groups[1].interval.low - 0.5625651181416913).abs() < 1e-12);
    }

    #[test]
    fn ranked_and_robust() {
        let trials: Vec<Trial> = (0..20)
            .map(|i| {
                let mut t = trial(json!({"strong": i, "weak": (i * 7) % 20, "fixed": 3}), f64::from(i * i));
                if i % 2 == 0 {
                    t.assignment.insert("sometimes".into(), json!(i));
                }
                t
            })
            .chain([trial(json!({"strong": 1e9, "weak": 3, "fixed": 3}), f64::NAN)])
            .collect();
        let effects = main_effects(&trials, 0.95);
        let told: Vec<_> = effects.iter().map(|e| (e.parameter.as_str(), e.n)).collect();
        assert_eq!(told, [("sometimes", 10), ("strong", 20), ("weak", 20)]);
        assert_eq!(effects[1].kind, EffectKind::Correlation { rho: 1.0, p_value: 0.0 });
        assert!(effects[2].strength < 0.5);
        assert!(main_effects(&[], 0.95).is_empty());
    }
}
