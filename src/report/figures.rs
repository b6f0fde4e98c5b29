//! The figures of a report, each from the campaign's state and its runs' metrics, with a caption that says what is drawn.

use crate::analysis::EffectKind;
use crate::campaign::{Purpose, State, gain};
use crate::failure::Class;
use crate::figures::{self, BASELINE, CANDIDATE, time_unit};
use crate::planner::Group;
use crate::plot::{Axis, Bar, BarChart, BarRow, Figure, Mark};
use std::path::Path;

/// SVG and caption.
pub type Drawn = (String, String);

/// Objective of every finished run, and the best single run so far, against the device time settled when it ended.
pub fn best_so_far_figure(state: &State) -> Drawn {
    let drawn = figures::best_so_far(state);
    let caption = format!(
        "Validation {} of each of the {} finished runs, and the best single run so far, against the device time settled \
         when the run ended. A single run is not evidence: the best of many is too good by luck, which is why candidates \
         are confirmed over seeds.{}",
        state.metric(),
        drawn.n,
        match drawn.outside {
            0 => String::new(),
            1 => " One much worse run lies outside the figure.".to_string(),
            n => format!(" {n} much worse runs lie outside the figure."),
        }
    );
    (drawn.chart.svg(), caption)
}

/// Validation curves of the baseline and of the best candidate (or the best screened one), with bands over seeds.
pub fn curves_figure(folder: &Path, state: &State) -> Drawn {
    let drawn = figures::learning_curves(folder, state);
    let words: Vec<String> = drawn.arms.iter().map(|(name, n)| format!("{name}: n = {n}")).collect();
    let caption = format!(
        "Validation {} during training, mean over seeds ({}); bands are {:.0}% Student intervals of the mean where there \
         are two seeds or more.",
        state.metric(),
        words.join("; "),
        100.0 * state.campaign.objective.confidence
    );
    (drawn.chart.svg(), caption)
}

/// Training loss of the baseline's first run and of the best candidate's, averaged in bins.
pub fn training_figure(folder: &Path, state: &State) -> Option<Drawn> {
    let baseline = state.runs.iter().find(|r| r.purpose == Purpose::Baseline)?.id;
    let candidate =
        state.best().or_else(|| state.contenders().first().copied()).and_then(|c| c.runs.values().next().copied());
    let mut figure = Figure::new("Training loss", Axis::linear("steps"), Axis::log("training loss"));
    figure = figure.with("baseline", BASELINE, Mark::Line(figures::training(folder, baseline, 100)));
    if let Some(run) = candidate {
        figure = figure.with("best candidate", CANDIDATE, Mark::Line(figures::training(folder, run, 100)));
    }
    Some((figure.svg(), "Training loss of one seed each, averaged in bins of equal length.".to_string()))
}

/// One figure for each parameter that was varied: the objective of every screened candidate against its value.
pub fn effect_figures(state: &State) -> Vec<Drawn> {
    super::effects(state)
        .into_iter()
        .take(6)
        .map(|effect| {
            let svg = figures::effect(state, &effect, &effect.parameter).svg();
            let caption = match &effect.kind {
                EffectKind::Correlation { rho, p_value } => format!(
                    "{}: n = {}, Spearman's rho {rho:.2} ({}, not corrected for the number of parameters).",
                    effect.parameter,
                    effect.n,
                    if *p_value < 0.01 { "p < 0.01".to_string() } else { format!("p = {p_value:.2}") }
                ),
                EffectKind::Groups { .. } => format!(
                    "{}: from the worst to the best screened candidate of each choice; at the right their mean and number.",
                    effect.parameter
                ),
            };
            (svg, caption)
        })
        .collect()
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
    let caption = "Device time settled by purpose, reserved for live attempts, and left.".to_string();
    (figures::ledger(state).svg(), caption)
}
