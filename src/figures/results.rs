//! What was found: the best so far, scaling with size.

use super::readable::{axis, cut, worse};
use super::{BASELINE, BEST, CANDIDATE, Chart, metric_label, time_unit};
use crate::analysis::{self, Line};
use crate::campaign::{Purpose, Run, State};
use crate::plot::{Axis, Figure, Mark};

/// The objective over the device time spent.
#[derive(Debug, Clone, PartialEq)]
pub struct BestSoFar {
    /// The chart.
    pub chart: Chart,
    /// Finished runs with a value.
    pub n: usize,
    /// Of them, those beyond its axis.
    pub outside: usize,
    /// Runs that ended without a value.
    pub failed: usize,
}

/// Objective of every run that ended, and the best single run so far, against the device time settled when it ended.
pub fn best_so_far(state: &State) -> BestSoFar {
    let mut ended: Vec<&Run> = state.runs.iter().filter(|r| r.finished.is_some()).collect();
    ended
        .sort_by(|a, b| a.finished.partial_cmp(&b.finished).unwrap_or(std::cmp::Ordering::Equal).then(a.id.cmp(&b.id)));
    let mut spent = 0.0;
    let mut points: [Vec<(f64, f64)>; 2] = Default::default();
    let (mut at, mut values, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for run in ended {
        spent += run.used().time.seconds();
        let value = state.value(run);
        at.push(spent);
        values.push(value);
        let kind = usize::from(run.purpose != Purpose::Baseline);
        match value {
            Some(value) => points[kind].push((spent, value)),
            None => without.push(spent),
        }
    }
    let best: Vec<(f64, f64)> =
        at.iter().zip(analysis::best_so_far(&values, state.direction())).filter_map(|(x, v)| Some((*x, v?))).collect();
    let (unit, scale) = time_unit(spent);
    let scaled = |points: &[(f64, f64)]| points.iter().map(|p| (p.0 / scale, p.1)).collect::<Vec<_>>();
    let known: Vec<f64> = values.into_iter().flatten().collect();
    let (y, outside) = axis(state, metric_label(state), &known, cut(state, &known));
    // From the beginning of the campaign, so that the baseline's share of the time is seen.
    let x = Axis::linear(format!("device time spent ({unit})"));
    let x = if spent > 0.0 { x.over(0.0, 1.03 * spent / scale) } else { x };
    let mut figure = Figure::new("Best so far", x, y);
    if let Some(baseline) = &state.baseline {
        figure = figure.with("baseline mean", BASELINE, Mark::Rule(baseline.interval.mean));
    }
    let [of_baseline, of_candidates] = points;
    if !of_baseline.is_empty() {
        figure = figure.with("baseline runs", BASELINE, Mark::Points(scaled(&of_baseline)));
    }
    if !of_candidates.is_empty() {
        figure = figure.with("candidate runs", CANDIDATE, Mark::Points(scaled(&of_candidates)));
    }
    if !best.is_empty() {
        figure = figure.with("best single run", BEST, Mark::Steps(scaled(&best)));
    }
    let failed = without.len();
    if failed > 0 {
        let places = without.iter().map(|at| at / scale).collect();
        let name = format!("failed or diverged ({failed})");
        figure = figure.with(name, CANDIDATE, Mark::Missing(places, worse(state)));
    }
    BestSoFar { chart: Chart::Figure(figure), n: known.len(), outside, failed }
}

/// Errors against the model's size on logarithmic axes. `sizes`: parameters, the best error, all errors; `line`: the fit
/// through the natural logarithms of the best.
pub fn scaling(sizes: &[(f64, f64, Vec<f64>)], line: &Line, label: &str) -> Chart {
    let all = sizes.iter().flat_map(|(x, _, all)| all.iter().map(|y| (*x, *y))).collect();
    let best = sizes.iter().map(|(x, y, _)| (*x, *y)).collect();
    let (low, high) = (sizes.first().map_or(1.0, |s| s.0.ln()), sizes.last().map_or(2.0, |s| s.0.ln()));
    let grid = (0..=40).map(|i| low + (high - low) * f64::from(i) / 40.0);
    let (mut fit, mut band) = (Vec::new(), Vec::new());
    for x in grid {
        let at = line.at(x);
        fit.push((x.exp(), at.mean.exp()));
        band.push((x.exp(), at.low.exp(), at.high.exp()));
    }
    // The band may be very wide at few sizes; the runs decide what is shown.
    let ends = sizes.iter().flat_map(|s| s.2.iter().copied());
    let (bottom, top) = ends.fold((f64::INFINITY, 0.0), |(l, h): (f64, f64), v| (l.min(v), h.max(v)));
    let figure =
        Figure::new("Scaling", Axis::log("trained parameters"), Axis::log(label).over(bottom / 1.25, top * 1.1))
            .with("", BASELINE, Mark::Band(band))
            .with("all runs", CANDIDATE, Mark::Points(all))
            .with("best of each size", BEST, Mark::Points(best))
            .with("fit with its interval", BASELINE, Mark::Line(fit));
    Chart::Figure(figure)
}
