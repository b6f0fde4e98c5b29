//! The figures of a report, each from the campaign's state and its runs' metrics, with a caption that says what is drawn.

use super::curves;
use crate::analysis::{EffectKind, best_so_far, mean};
use crate::campaign::{Purpose, Run, State, gain, value_text};
use crate::config::{Direction, Domain};
use crate::failure::Class;
use crate::ids::RunId;
use crate::planner::Group;
use crate::plot::{Axis, Bar, BarChart, BarRow, Figure, Mark};
use serde_json::Value;
use std::path::Path;

/// SVG and caption.
pub type Drawn = (String, String);

const BASELINE: usize = 0;
const CANDIDATE: usize = 1;
const BEST: usize = 2;

/// Objective of every finished run, and the best single run so far, against the device time settled when it ended.
pub fn best_so_far_figure(state: &State) -> Drawn {
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
        at.iter().zip(best_so_far(&values, state.direction())).filter_map(|(x, v)| Some((*x, v?))).collect();
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
    let caption = format!(
        "Validation {} of each of the {n} finished runs, and the best single run so far, against the device time settled \
         when the run ended. A single run is not evidence: the best of many is too good by luck, which is why candidates \
         are confirmed over seeds.{}",
        state.metric(),
        match outside {
            0 => String::new(),
            1 => " One much worse run lies outside the figure.".to_string(),
            n => format!(" {n} much worse runs lie outside the figure."),
        }
    );
    (figure.svg(), caption)
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

/// Validation curves of the baseline and of the best candidate (or the best screened one), with bands over seeds.
pub fn curves_figure(folder: &Path, state: &State) -> Drawn {
    let confidence = state.campaign.objective.confidence;
    let baseline: Vec<RunId> =
        state.runs.iter().filter(|r| r.purpose == Purpose::Baseline && r.result.is_some()).map(|r| r.id).collect();
    let confirmed = state.best();
    let shown = confirmed.or_else(|| state.contenders().first().copied());
    let mut figure = Figure::new("Learning curves", Axis::linear("steps"), Axis::linear(metric_label(state)));
    let mut words = Vec::new();
    let mut add = |figure: Figure, name: &str, style: usize, runs: &[RunId]| {
        let lines: Vec<_> = runs
            .iter()
            .map(|id| curves::validation(folder, *id, state.metric()))
            .filter(|curve| !curve.is_empty())
            .collect();
        words.push(format!("{name}: n = {}", lines.len()));
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
    let caption = format!(
        "Validation {} during training, mean over seeds ({}); bands are {:.0}% Student intervals of the mean where there \
         are two seeds or more.",
        state.metric(),
        words.join("; "),
        100.0 * confidence
    );
    (figure.svg(), caption)
}

/// Training loss of the baseline's first run and of the best candidate's, averaged in bins.
pub fn training_figure(folder: &Path, state: &State) -> Option<Drawn> {
    let baseline = state.runs.iter().find(|r| r.purpose == Purpose::Baseline)?.id;
    let candidate =
        state.best().or_else(|| state.contenders().first().copied()).and_then(|c| c.runs.values().next().copied());
    let mut figure = Figure::new("Training loss", Axis::linear("steps"), Axis::log("training loss"));
    figure = figure.with("baseline", BASELINE, Mark::Line(curves::training(folder, baseline, 100)));
    if let Some(run) = candidate {
        figure = figure.with("best candidate", CANDIDATE, Mark::Line(curves::training(folder, run, 100)));
    }
    Some((figure.svg(), "Training loss of one seed each, averaged in bins of equal length.".to_string()))
}

/// One figure for each parameter that was varied: the objective of every screened candidate against its value.
pub fn effect_figures(state: &State) -> Vec<Drawn> {
    super::effects(state)
        .into_iter()
        .take(6)
        .map(|effect| {
            let pairs = state.candidates.iter().filter_map(|c| Some((c.assignment.get(&effect.parameter)?, c.value?)));
            match &effect.kind {
                EffectKind::Correlation { rho, p_value } => {
                    let points: Vec<(f64, f64)> = pairs.filter_map(|(v, y)| Some((v.as_f64()?, y))).collect();
                    let log = is_log(state, &effect.parameter);
                    let x = if log { Axis::log(&effect.parameter) } else { Axis::linear(&effect.parameter) };
                    let figure = Figure::new("", x, Axis::linear(metric_label(state))).with("", CANDIDATE, Mark::Points(points));
                    let caption = format!(
                        "{}: n = {}, Spearman's rho {rho:.2} ({}, not corrected for the number of parameters).",
                        effect.parameter,
                        effect.n,
                        if *p_value < 0.01 { "p < 0.01".to_string() } else { format!("p = {p_value:.2}") }
                    );
                    (figure.svg(), caption)
                }
                EffectKind::Groups { groups } => {
                    let pairs: Vec<(&Value, f64)> = pairs.collect();
                    let rows = groups.iter().map(|group| range_row(&group.choice, &pairs)).collect();
                    let x = Axis::linear(metric_label(state));
                    let chart = BarChart { title: String::new(), x: within(x, &pairs), series: Vec::new(), rows };
                    let caption = format!(
                        "{}: from the worst to the best screened candidate of each choice; at the right their mean and number.",
                        effect.parameter
                    );
                    (chart.svg(), caption)
                }
            }
        })
        .collect()
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

/// Predicted against realised gains of the candidates that were weighed; none before anything came of one.
pub fn reliability_figure(state: &State) -> Option<Drawn> {
    let outcomes = gain::outcomes(state);
    if outcomes.is_empty() {
        return None;
    }
    let calibration = gain::calibration(state);
    let points: Vec<(f64, f64)> = outcomes.iter().map(|o| (o.predicted, o.realised)).collect();
    let most = points.iter().fold(0.0_f64, |m, p| m.max(p.0).max(p.1));
    let figure = Figure::new(
        "How far predicted gains can be trusted",
        Axis::linear("predicted gain (noise floors)"),
        Axis::linear("realised gain (noise floors)"),
    )
    .with("candidates", CANDIDATE, Mark::Points(points))
    .with("as predicted", BASELINE, Mark::Line(vec![(0.0, 0.0), (most, most)]));
    let group = |name: &str, group: &Group| {
        let mean = |sum: f64| sum / group.n.max(1) as f64;
        format!("{name} {:.2} and {:.2} (n = {})", mean(group.predicted), mean(group.realised), group.n)
    };
    let mut parts = vec![group("all", &calibration.all)];
    if calibration.edges.is_some() {
        let names = ["cheap", "middling", "dear"];
        parts.extend(names.iter().zip(&calibration.terciles).map(|(name, g)| group(name, g)));
    }
    parts.extend(calibration.kinds.iter().map(|(name, g)| group(name, g)));
    let caption = format!(
        "Gain that was predicted for each weighed candidate, before correction, and what its first look brought. Mean \
         predicted and realised: {}. Later predictions are multiplied by their ratio, shrunk towards one.",
        parts.join("; ")
    );
    Some((figure.svg(), caption))
}

/// What ran when, a row a run.
pub fn timeline_figure(state: &State) -> Drawn {
    const KINDS: [&str; 4] = ["completed", "diverged", "stopped or failed", "running"];
    let (unit, scale) = time_unit(state.updated - state.created);
    let rows = state
        .runs
        .iter()
        .filter(|run| !run.attempts.is_empty())
        .map(|run| BarRow {
            label: run.id.to_string(),
            bars: run
                .attempts
                .iter()
                .map(|attempt| {
                    let (end, kind) = match &attempt.ended {
                        None => (state.updated, 3),
                        Some(end) => match end.class {
                            Class::Completed => (end.at, 0),
                            Class::Diverged => (end.at, 1),
                            _ => (end.at, 2),
                        },
                    };
                    let start = attempt.launched_at.unwrap_or(attempt.reserved_at);
                    Bar { from: (start - state.created) / scale, to: (end - state.created) / scale, series: kind }
                })
                .collect(),
            interval: None,
            note: run.purpose.name().to_string(),
        })
        .collect();
    let chart = BarChart {
        title: "Timeline of attempts".into(),
        x: Axis::linear(format!("time since the campaign began ({unit})")),
        series: KINDS.map(String::from).to_vec(),
        rows,
    };
    (chart.svg(), "Each bar is one attempt, from its launch to the moment its end was seen.".to_string())
}

/// Where the budget went.
pub fn ledger_figure(state: &State) -> Drawn {
    let of = |wanted: fn(&Purpose) -> bool| {
        state.runs.iter().filter(|r| wanted(&r.purpose)).map(|r| r.used().time.seconds()).sum::<f64>()
    };
    let parts = [
        of(|p| matches!(p, Purpose::Baseline)),
        of(|p| matches!(p, Purpose::Candidate { .. })),
        of(|p| matches!(p, Purpose::Confirm { .. })),
        state.ledger.reserved().time.seconds(),
        state.ledger.free().time.seconds(),
    ];
    let (unit, scale) = time_unit(state.ledger.budget().seconds());
    let mut from = 0.0;
    let bars = parts
        .iter()
        .enumerate()
        .map(|(series, seconds)| {
            let bar = Bar { from, to: from + seconds / scale, series };
            from = bar.to;
            bar
        })
        .collect();
    let chart = BarChart {
        title: "The budget".into(),
        x: Axis::linear(format!("device time ({unit})")),
        series: ["baseline", "candidates", "confirmations", "reserved", "free"].map(String::from).to_vec(),
        rows: vec![BarRow { label: "ledger".into(), bars, interval: None, note: String::new() }],
    };
    (chart.svg(), "Device time settled by purpose, reserved for live attempts, and left.".to_string())
}

fn metric_label(state: &State) -> String {
    match state.metric() {
        "loss" => "validation loss".to_string(),
        "bits_per_byte" => "bits per byte".to_string(),
        "r2" => "R squared".to_string(),
        other => other.to_string(),
    }
}

/// The unit for a span of seconds, and its length in seconds.
pub(super) fn time_unit(seconds: f64) -> (&'static str, f64) {
    if seconds < 180.0 {
        ("seconds", 1.0)
    } else if seconds < 10_800.0 {
        ("minutes", 60.0)
    } else {
        ("hours", 3600.0)
    }
}

fn is_log(state: &State, parameter: &str) -> bool {
    state
        .campaign
        .space
        .get(parameter)
        .is_some_and(|p| matches!(p.domain, Domain::LogFloat { .. } | Domain::Int { log: true, .. }))
}
