//! The figures of a report, each from the campaign's state and its runs' metrics, with a caption that says what is drawn.

use super::curves;
use crate::analysis::{EffectKind, best_so_far};
use crate::campaign::{Purpose, Run, State};
use crate::config::Domain;
use crate::failure::Class;
use crate::ids::RunId;
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
    let mut figure = Figure::new(
        "Best so far",
        Axis::linear(format!("device time spent ({unit})")),
        Axis::linear(metric_label(state)),
    );
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
         are confirmed over seeds.",
        state.metric()
    );
    (figure.svg(), caption)
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
        let runs: Vec<RunId> = candidate.runs.values().copied().collect();
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
                        "{}: n = {}, Spearman's rho {rho:.2} (p = {p_value:.2}, not corrected for the number of parameters).",
                        effect.parameter, effect.n
                    );
                    (figure.svg(), caption)
                }
                EffectKind::Groups { groups } => {
                    let rows = groups
                        .iter()
                        .map(|group| BarRow {
                            label: choice(&group.choice),
                            bars: vec![Bar { from: 0.0, to: group.interval.mean, series: CANDIDATE }],
                            interval: group.interval.low.is_finite().then_some((group.interval.low, group.interval.high)),
                            note: format!("n={}", group.interval.n),
                        })
                        .collect();
                    let chart = BarChart {
                        title: String::new(),
                        x: Axis::linear(format!("mean {}", metric_label(state))),
                        series: Vec::new(),
                        rows,
                    };
                    let caption = format!(
                        "{}: means of screened candidates with {:.0}% Student intervals where there are two or more.",
                        effect.parameter,
                        100.0 * state.campaign.objective.confidence
                    );
                    (chart.svg(), caption)
                }
            }
        })
        .collect()
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
fn time_unit(seconds: f64) -> (&'static str, f64) {
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

fn choice(value: &Value) -> String {
    super::value_text(value)
}
