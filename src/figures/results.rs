//! What was found: the best so far, learning curves, effects of parameters, scaling with size.

use super::{BASELINE, BEST, CANDIDATE, Chart, curves, is_log, metric_label, time_unit};
use crate::analysis::{self, Effect, EffectKind, Line, mean};
use crate::campaign::{Purpose, Run, State, value_text};
use crate::config::Direction;
use crate::ids::RunId;
use crate::plot::{Axis, Bar, BarChart, BarRow, Figure, Mark};
use serde_json::Value;
use std::path::Path;

/// The objective over the device time spent.
#[derive(Debug, Clone, PartialEq)]
pub struct BestSoFar {
    /// The chart.
    pub chart: Chart,
    /// Finished runs with a value.
    pub n: usize,
    /// Of them, those outside of it.
    pub outside: usize,
}

/// Objective of every finished run, and the best single run so far, against the device time settled when it ended.
pub fn best_so_far(state: &State) -> BestSoFar {
    let mut finished: Vec<&Run> = state.runs.iter().filter(|r| r.finished.is_some()).collect();
    finished
        .sort_by(|a, b| a.finished.partial_cmp(&b.finished).unwrap_or(std::cmp::Ordering::Equal).then(a.id.cmp(&b.id)));
    let mut spent = 0.0;
    let mut points: [Vec<(f64, f64)>; 2] = Default::default();
    let (mut at, mut values) = (Vec::new(), Vec::new());
    for run in finished {
        spent += run.used().time.seconds();
        let value = state.value(run);
        at.push(spent);
        values.push(value);
        let kind = usize::from(run.purpose != Purpose::Baseline);
        points[kind].extend(value.map(|v| (spent, v)));
    }
    let best: Vec<(f64, f64)> =
        at.iter().zip(analysis::best_so_far(&values, state.direction())).filter_map(|(x, v)| Some((*x, v?))).collect();
    let (unit, scale) = time_unit(spent);
    let scaled = |points: &[(f64, f64)]| points.iter().map(|p| (p.0 / scale, p.1)).collect::<Vec<_>>();
    let n = values.iter().flatten().count();
    let (range, outside) = readable_range(state, values.iter().flatten().copied().collect());
    let mut y = Axis::linear(metric_label(state));
    y.range = range;
    let mut figure = Figure::new("Best so far", Axis::linear(format!("device time spent ({unit})")), y);
    if let Some(baseline) = &state.baseline {
        figure = figure.with("baseline mean", BASELINE, Mark::Rule(baseline.interval.mean));
    }
    let figure = figure
        .with("baseline runs", BASELINE, Mark::Points(scaled(&points[0])))
        .with("candidate runs", CANDIDATE, Mark::Points(scaled(&points[1])))
        .with("best single run", BEST, Mark::Steps(scaled(&best)));
    BestSoFar { chart: Chart::Figure(figure), n, outside }
}

/// A range that shows the good runs apart: beyond the worse side only as far as the worst baseline run lies from the
/// best run, one and a half times. None where everything fits; and how many runs lie outside.
fn readable_range(state: &State, values: Vec<f64>) -> (Option<(f64, f64)>, usize) {
    let Some(baseline) = &state.baseline else { return (None, 0) };
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let reference = baseline.values.values().copied();
    let range = match state.direction() {
        Direction::Maximize => {
            let worst = reference.fold(high, f64::min);
            (low.max(high - 1.5 * (high - worst)), high + 0.1 * (high - worst))
        }
        Direction::Minimize => {
            let worst = reference.fold(low, f64::max);
            (low - 0.1 * (worst - low), high.min(low + 1.5 * (worst - low)))
        }
    };
    let outside = values.iter().filter(|v| **v < range.0 || **v > range.1).count();
    if range.1 > range.0 { (Some(range), outside) } else { (None, 0) }
}

/// Validation curves of the baseline and of a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// The chart.
    pub chart: Chart,
    /// Name and number of curves of each arm.
    pub arms: Vec<(&'static str, usize)>,
}

/// Validation curves of the baseline and of the best candidate (or the best screened one), with bands over seeds.
pub fn learning_curves(folder: &Path, state: &State) -> Curves {
    let confidence = state.campaign.objective.confidence;
    let baseline: Vec<RunId> =
        state.runs.iter().filter(|r| r.purpose == Purpose::Baseline && r.result.is_some()).map(|r| r.id).collect();
    let confirmed = state.best();
    let shown = confirmed.or_else(|| state.contenders().first().copied());
    let mut figure = Figure::new("Learning curves", Axis::linear("steps"), Axis::linear(metric_label(state)));
    let mut arms = Vec::new();
    let mut add = |figure: Figure, name: &'static str, style: usize, runs: &[RunId]| {
        let lines: Vec<_> = runs
            .iter()
            .map(|id| curves::validation(folder, *id, state.metric()))
            .filter(|curve| !curve.is_empty())
            .collect();
        arms.push((name, lines.len()));
        let (line, band) = curves::band(&lines, confidence);
        figure.with("", style, Mark::Band(band)).with(name, style, Mark::Line(line))
    };
    figure = add(figure, "baseline", BASELINE, &baseline);
    if let Some(candidate) = shown {
        // The run by which it was chosen flatters it, so it is shown only while there is no other.
        let fresh: Vec<RunId> = candidate.fresh().map(|(_, run)| run).collect();
        let runs = if fresh.is_empty() { candidate.screening.into_iter().collect() } else { fresh };
        let name = if confirmed.is_some() { "best confirmed candidate" } else { "best screened candidate" };
        figure = add(figure, name, CANDIDATE, &runs);
    }
    Curves { chart: Chart::Figure(figure), arms }
}

/// The objective of every screened candidate against one parameter. `label`: what the parameter is called.
pub fn effect(state: &State, effect: &Effect, label: &str) -> Chart {
    let pairs = state.candidates.iter().filter_map(|c| Some((c.assignment.get(&effect.parameter)?, c.value?)));
    match &effect.kind {
        EffectKind::Correlation { .. } => {
            let points: Vec<(f64, f64)> = pairs.filter_map(|(v, y)| Some((v.as_f64()?, y))).collect();
            let log = is_log(state, &effect.parameter);
            let x = if log { Axis::log(label) } else { Axis::linear(label) };
            let figure = Figure::new("", x, Axis::linear(metric_label(state)));
            Chart::Figure(figure.with("", CANDIDATE, Mark::Points(points)))
        }
        EffectKind::Groups { groups } => {
            let pairs: Vec<(&Value, f64)> = pairs.collect();
            let rows = groups.iter().map(|group| range_row(&group.choice, &pairs)).collect();
            let x = Axis::linear(metric_label(state));
            Chart::Bars(BarChart { title: String::new(), x: within(x, &pairs), series: Vec::new(), rows })
        }
    }
}

/// The span of the values of one choice.
fn range_row(choice: &Value, pairs: &[(&Value, f64)]) -> BarRow {
    let values: Vec<f64> = pairs.iter().filter(|(v, _)| *v == choice).map(|(_, y)| *y).collect();
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    BarRow {
        label: value_text(choice),
        bars: vec![Bar { from: low, to: high, series: CANDIDATE }],
        interval: None,
        note: format!("{:.3} (n={})", mean(&values), values.len()),
    }
}

/// The axis over the range of all values, with a little room.
fn within(axis: Axis, pairs: &[(&Value, f64)]) -> Axis {
    let (low, high) = pairs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p.1), h.max(p.1)));
    let room = 0.03 * (high - low);
    if room > 0.0 { axis.over(low - room, high + room) } else { axis }
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
