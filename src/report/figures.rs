//! The figures of a report, each from the campaign's state and its runs' metrics, with a caption that says what is drawn.

use crate::campaign::{State, capital, gain};
use crate::figures::{self, Arm, BASELINE, CANDIDATE};
use crate::planner::Group;
use crate::plot::{Axis, Figure, Mark};
use std::path::Path;

/// SVG and caption.
pub type Drawn = (String, String);

/// `1 run`, `3 runs`.
pub fn counted(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// The objective in a sentence.
fn objective(state: &State) -> String {
    figures::metric_label(state)
}

/// What stands at the edges of a figure, in sentences; empty where nothing does.
pub fn at_the_edge(outside: usize, failed: usize) -> String {
    let mut text = String::new();
    if outside > 0 {
        text += &match outside {
            1 => " 1 much worse value is an arrowhead at the edge, not to scale.".to_string(),
            n => format!(" {n} much worse values are arrowheads at the edge, not to scale."),
        };
    }
    if failed > 0 {
        let verb = if failed == 1 { "is a cross" } else { "are crosses" };
        text += &format!(" {failed} that ended without a value {verb} at the edge.");
    }
    text
}

/// Objective of every finished run, and the best single run so far, against the device time settled when it ended.
pub fn best_so_far_figure(state: &State) -> Drawn {
    let drawn = figures::best_so_far(state);
    if drawn.n + drawn.failed == 0 {
        return (drawn.chart.svg(), "No run has ended yet.".to_string());
    }
    let rule = match &state.baseline {
        Some(baseline) => format!("; the level line is the baseline's mean (n = {})", baseline.interval.n),
        None => String::new(),
    };
    let caption = format!(
        "{} of {} that finished, one point a run and without intervals, and the best single run so far, against the device \
         time settled when the run ended{rule}. A single run is not evidence: the best of many is too good by luck, which is \
         why candidates are confirmed over seeds.{}",
        capital(&objective(state)),
        counted(drawn.n, "run"),
        at_the_edge(drawn.outside, drawn.failed)
    );
    (drawn.chart.svg(), caption)
}

/// `baseline: n = 5; candidate 2, the best confirmed: n = 5`.
fn arms_in_words(arms: &[(Arm, usize)]) -> String {
    arms.iter().map(|(arm, n)| format!("{}: n = {n}", arm.name())).collect::<Vec<_>>().join("; ")
}

/// Validation curves of the baseline and of the candidate that stands for the search, with bands over seeds; none where no
/// run left any.
pub fn curves_figure(folder: &Path, state: &State) -> Option<Drawn> {
    let drawn = figures::learning_curves(folder, state);
    if drawn.arms.iter().all(|(_, n)| *n == 0) {
        return None;
    }
    let over = state.conclusion.is_some();
    let none = if over { "No candidate was confirmed" } else { "No candidate is confirmed yet" };
    let who = match drawn.arms.last().map(|(arm, _)| *arm) {
        Some(Arm::Confirmed(index)) => format!(
            "Candidate {index} has the best mean of those confirmed to be better than the baseline; it is drawn by its \
             repetitions, without the run by which it was chosen."
        ),
        Some(Arm::Unconfirmed(index)) => format!(
            "{none}. Candidate {index} had the best first look; it is drawn by its repetitions, which did not show it to be \
             better than the baseline."
        ),
        Some(Arm::Confirming(index)) => {
            format!("{none}. Candidate {index} had the best first look and is being repeated.")
        }
        Some(Arm::FirstLook(index)) => format!(
            "{none}. Candidate {index} had the best first look: one run, which being the best of many flatters it."
        ),
        Some(Arm::Baseline) if state.candidates.is_empty() => "There is no candidate yet.".to_string(),
        _ => "No candidate's first look was better than the baseline's mean, so none is drawn.".to_string(),
    };
    let caption = format!(
        "{} during training, mean over seeds ({}); bands are {:.0}% Student intervals of the mean, where there are two seeds \
         or more. {who}",
        capital(&objective(state)),
        arms_in_words(&drawn.arms),
        100.0 * state.campaign.objective.confidence
    );
    Some((drawn.chart.svg(), caption))
}

/// Training loss of the same runs; none before there is any.
pub fn training_figure(folder: &Path, state: &State) -> Option<Drawn> {
    let drawn = figures::training_curves(folder, state);
    if drawn.arms.iter().all(|(_, n)| *n == 0) {
        return None;
    }
    let caption = format!(
        "Training loss of the same runs, averaged in bins of equal length: mean over seeds ({}); bands from the lowest seed to \
         the highest, where there are two seeds or more.",
        arms_in_words(&drawn.arms)
    );
    Some((drawn.chart.svg(), caption))
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

/// What ran when.
pub fn timeline_figure(state: &State) -> Drawn {
    let drawn = figures::attempts(state);
    if drawn.n == 0 {
        return (drawn.chart.svg(), "Nothing has been started yet.".to_string());
    }
    let rows = match (drawn.by_run, drawn.left_out) {
        (true, _) => "a row a run, with what the run is for at its right".to_string(),
        (false, 0) => "those that did not overlap share a row, apart by what they are for".to_string(),
        (false, n) => format!(
            "those that did not overlap share a row, apart by what they are for; {} would not fit",
            counted(n, "further row")
        ),
    };
    let caption = format!(
        "Each bar is one attempt, from its launch to the moment its end was seen ({} in all), {rows}. Where no sign stands at \
         its end, it completed.",
        counted(drawn.n, "attempt")
    );
    (drawn.chart.svg(), caption)
}

/// Where the budget went.
pub fn ledger_figure(state: &State) -> Drawn {
    let caption = "The device-time budget: what runs of each purpose settled, failed attempts included, what is reserved for live \
                   attempts, and what is free (the empty frame). Each part begins where the one above it ends."
        .to_string();
    (figures::ledger(state).svg(), caption)
}
