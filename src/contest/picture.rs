//! Traces as figures.

use super::Trace;
use super::score::SHARES;
use crate::analysis::{mean, paired_interval};
use crate::plot::{Axis, Figure, Mark};

/// Points of a line.
const POINTS: usize = 200;
/// How far the marks of neighbouring arms stand apart, as a share of the budget.
const APART: f64 = 0.012;

/// Names of the arms, in the order in which they first appear.
pub(super) fn arms(traces: &[Trace]) -> Vec<&str> {
    let mut names: Vec<&str> = vec![];
    for trace in traces {
        if !names.contains(&trace.arm.as_str()) {
            names.push(&trace.arm);
        }
    }
    names
}

fn best_at(trace: &Trace, share: f64) -> Option<f64> {
    trace.best_at(share * trace.budget * (1.0 + 1e-9))
}

/// The best complete result so far, mean over seeds, against the share of the budget that is spent; from where every seed of
/// the arm has a result.
pub fn best_so_far(task: &str, traces: &[Trace]) -> Figure {
    let title = format!("{task}: best so far, mean over seeds (smaller is better)");
    let figure = Figure::new(title, Axis::linear("share of the budget spent"), Axis::linear("best complete result"));
    arms(traces).into_iter().enumerate().fold(figure, |figure, (style, arm)| {
        let own: Vec<&Trace> = traces.iter().filter(|t| t.arm == arm && t.best().is_some()).collect();
        let at = |share: f64| -> Option<f64> {
            let values: Option<Vec<f64>> = own.iter().map(|t| best_at(t, share)).collect();
            values.filter(|v| !v.is_empty()).map(|v| mean(&v))
        };
        let shares = (0..=POINTS).map(|k| k as f64 / POINTS as f64);
        figure.with(arm, style, Mark::Steps(shares.filter_map(|s| Some((s, at(s)?))).collect()))
    })
}

/// The best so far of every arm minus that of `reference` on the same seed, with Student's interval over the seeds on which
/// both have a result; none where no arm is there to compare.
pub fn differences(task: &str, traces: &[Trace], reference: &str, confidence: f64) -> Option<Figure> {
    let others: Vec<&str> = arms(traces).into_iter().filter(|arm| *arm != reference).collect();
    let middle = others.len().checked_sub(1)? as f64 / 2.0;
    let title = format!(
        "{task}: best so far minus {reference}'s on the same seed, {:.0}% intervals (below 0 is better)",
        100.0 * confidence
    );
    let figure = Figure::new(
        title,
        Axis::linear("share of the budget spent").over(0.1, 1.1),
        Axis::linear("difference"),
    )
    .with("", 0, Mark::Rule(0.0));
    let of = |arm: &str, seed: u64| traces.iter().find(|t| t.arm == arm && t.seed == seed);
    Some(others.into_iter().enumerate().fold(figure, |figure, (i, arm)| {
        let whisker = |share: &f64| {
            let own = traces.iter().filter(|t| t.arm == arm);
            let pair = |t: &Trace| Some((best_at(t, *share)?, best_at(of(reference, t.seed)?, *share)?));
            let (mine, theirs): (Vec<f64>, Vec<f64>) = own.filter_map(pair).unzip();
            let interval = paired_interval(&mine, &theirs, confidence);
            let shown = interval.low.is_finite() && interval.high.is_finite();
            shown.then_some((share + APART * (i as f64 - middle), interval.mean, interval.low, interval.high))
        };
        figure.with(arm, i + 1, Mark::Whiskers(SHARES.iter().filter_map(whisker).collect()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_begin_where_every_seed_has_a_result_and_whiskers_are_paired() {
        let traces = [
            Trace::made_up("random", 1, &[(20.0, 5.0), (60.0, 3.0)]),
            Trace::made_up("random", 2, &[(30.0, 7.0)]),
            Trace::made_up("tpe", 1, &[(10.0, 4.0), (80.0, 2.0)]),
            Trace::made_up("tpe", 2, &[(40.0, 4.0)]),
        ];
        let figure = best_so_far("task", &traces);
        let Mark::Steps(line) = &figure.series[0].mark else { panic!() };
        assert_eq!((line[0], *line.last().unwrap()), ((0.3, 6.0), (1.0, 5.0)));
        let figure = differences("task", &traces, "random", 0.95).unwrap();
        assert_eq!(figure.series.len(), 2);
        let Mark::Whiskers(whiskers) = &figure.series[1].mark else { panic!() };
        // A quarter of the budget: one seed has both. Half: 4 - 5 and 4 - 7. Three quarters: 4 - 3 and 4 - 7. The end: 2 - 3
        // and 4 - 7.
        let means: Vec<f64> = whiskers.iter().map(|w| w.1).collect();
        assert_eq!(means, [-2.0, -1.0, -2.0]);
        assert!(whiskers.iter().all(|w| w.2 < w.1 && w.1 < w.3));
        assert!(differences("task", &traces[..2], "random", 0.95).is_none());
    }
}
