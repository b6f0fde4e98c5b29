//! From traces to numbers.

use super::Trace;
use crate::analysis::{Interval, mean, paired_bootstrap, paired_interval, paired_p_value, percentile};
use serde::Serialize;
use std::collections::BTreeMap;

/// Shares of the budget at which the best so far is told.
pub const SHARES: [f64; 4] = [0.25, 0.5, 0.75, 1.0];

/// How an arm stands after all seeds.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// Name of the arm.
    pub arm: String,
    /// Seeds with a result.
    pub seeds: usize,
    /// Mean best so far after a quarter, half, three quarters and all of the budget; none where a seed had no result yet.
    pub best: [Option<f64>; 4],
    /// Median over seeds of the final best.
    pub median: f64,
    /// Final best minus the reference's on the same seed (smaller is better), Student's interval.
    pub difference: Interval,
    /// The same by the paired bootstrap.
    pub bootstrap: Interval,
    /// Two-sided p value of the paired t test against the reference.
    pub p_value: f64,
    /// The same after Holm's correction over the arms compared.
    pub adjusted: f64,
    /// Median over seeds of the share of the budget after which the arm was at least as good as the reference's final best
    /// on the same seed; infinite where at least half of the seeds never were.
    pub reach: f64,
    /// Seeds on which it ever was.
    pub reached: usize,
    /// Mean share of what was spent that went to runs without a value, by kind.
    pub wasted: BTreeMap<String, f64>,
    /// Mean number of runs started.
    pub runs: f64,
    /// Hypotheses decided, either way, per device-hour; none where nothing is confirmed.
    pub decided_per_hour: Option<f64>,
    /// Campaigns in which at least one was; none where nothing is confirmed.
    pub deciding: Option<usize>,
    /// Changes surviving Holm's correction per device-hour; none where nothing is confirmed.
    pub survivors_per_hour: Option<f64>,
}

/// The standings of all arms in `traces`, in the order in which they first appear; `reference` names the arm that the others
/// are compared with, seed by seed.
pub fn score(traces: &[Trace], reference: &str, confidence: f64) -> Vec<Standing> {
    let names = super::picture::arms(traces);
    let of = |name: &str, seed: u64| traces.iter().find(|t| t.arm == name && t.seed == seed);
    let mut standings: Vec<Standing> = names
        .iter()
        .map(|name| {
            let own: Vec<&Trace> = traces.iter().filter(|t| t.arm == *name && t.best().is_some()).collect();
            let pairs: Vec<(&Trace, f64, f64)> =
                own.iter().filter_map(|t| Some((*t, t.best()?, of(reference, t.seed)?.best()?))).collect();
            let (mine, theirs): (Vec<f64>, Vec<f64>) = pairs.iter().map(|p| (p.1, p.2)).unzip();
            let mut finals: Vec<f64> = own.iter().filter_map(|t| t.best()).collect();
            finals.sort_by(f64::total_cmp);
            let mut reach: Vec<f64> =
                pairs.iter().map(|(t, _, r)| t.reached(*r).map_or(f64::INFINITY, |s| s / t.budget)).collect();
            reach.sort_by(f64::total_cmp);
            let hours: f64 = own.iter().map(|t| t.spent / 3600.0).sum();
            let decided: Option<usize> = own.iter().map(|t| t.decided).sum();
            let deciding = own.iter().map(|t| t.decided.map(|n| usize::from(n > 0))).sum();
            let survivors: Option<usize> = own.iter().map(|t| t.survivors).sum();
            Standing {
                arm: name.to_string(),
                seeds: own.len(),
                best: SHARES.map(|share| {
                    let at: Option<Vec<f64>> = own.iter().map(|t| t.best_at(share * t.budget * (1.0 + 1e-9))).collect();
                    at.filter(|v| !v.is_empty()).map(|v| mean(&v))
                }),
                median: percentile(&finals, 0.5),
                difference: paired_interval(&mine, &theirs, confidence),
                bootstrap: paired_bootstrap(&mine, &theirs, confidence, 0),
                p_value: if *name == reference { 1.0 } else { paired_p_value(&mine, &theirs) },
                adjusted: 1.0,
                reach: middle(&reach),
                reached: reach.iter().filter(|r| r.is_finite()).count(),
                wasted: wasted(&own),
                runs: mean(&own.iter().map(|t| t.runs as f64).collect::<Vec<_>>()),
                decided_per_hour: decided.filter(|_| hours > 0.0).map(|n| n as f64 / hours),
                deciding,
                survivors_per_hour: survivors.filter(|_| hours > 0.0).map(|n| n as f64 / hours),
            }
        })
        .collect();
    let compared: Vec<usize> = (0..standings.len()).filter(|&i| standings[i].arm != reference).collect();
    let p_values: Vec<f64> = compared.iter().map(|&i| standings[i].p_value).collect();
    for (i, adjusted) in compared.into_iter().zip(crate::analysis::holm(&p_values)) {
        standings[i].adjusted = adjusted;
    }
    standings
}

/// The median of ascending values that may be infinite; the upper one of two middle ones, so that half of the seeds must
/// have come there.
fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::INFINITY)
}

fn wasted(traces: &[&Trace]) -> BTreeMap<String, f64> {
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    for trace in traces {
        for (kind, seconds) in &trace.wasted {
            *shares.entry(kind.clone()).or_insert(0.0) += seconds / trace.spent.max(1e-9) / traces.len() as f64;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(arm: &str, seed: u64, results: &[(f64, f64)]) -> Trace {
        Trace {
            wasted: [("memory".to_string(), 10.0)].into(),
            decided: Some(usize::from(seed > 1)),
            survivors: Some(1),
            ..Trace::made_up(arm, seed, results)
        }
    }

    #[test]
    fn standings_by_hand() {
        let traces = [
            trace("random", 1, &[(20.0, 5.0), (90.0, 3.0)]),
            trace("random", 2, &[(20.0, 6.0), (90.0, 4.0)]),
            trace("random", 3, &[(20.0, 5.0), (90.0, 5.0)]),
            trace("tpe", 1, &[(20.0, 5.0), (40.0, 3.0), (95.0, 1.0)]),
            trace("tpe", 2, &[(20.0, 7.0), (50.0, 2.0)]),
            trace("tpe", 3, &[(30.0, 9.0), (60.0, 6.0)]),
        ];
        let standings = score(&traces, "random", 0.95);
        let tpe = &standings[1];
        assert_eq!((tpe.arm.as_str(), tpe.seeds, tpe.reached), ("tpe", 3, 2));
        assert_eq!(tpe.best, [None, Some((3.0 + 2.0 + 9.0) / 3.0), Some((3.0 + 2.0 + 6.0) / 3.0), Some(3.0)]);
        assert_eq!((tpe.median, tpe.reach), (2.0, 0.5));
        assert!((tpe.difference.mean - (-2.0 - 2.0 + 1.0) / 3.0).abs() < 1e-12);
        assert_eq!(standings[0].difference.mean, 0.0);
        assert_eq!((standings[0].p_value, standings[0].reach), (1.0, 0.9));
        assert!((tpe.wasted["memory"] - 0.1).abs() < 1e-12);
        assert!((tpe.decided_per_hour.unwrap() - 24.0).abs() < 1e-9 && tpe.deciding == Some(2));
        assert!((tpe.survivors_per_hour.unwrap() - 36.0).abs() < 1e-9);
        assert!(tpe.adjusted >= tpe.p_value);
    }
}
