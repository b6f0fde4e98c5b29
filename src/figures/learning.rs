//! Curves over training: of the baseline and of the candidate that stands for the search, with what their seeds span.

use super::timelines::Spread;
use super::{BASELINE, CANDIDATE, Chart, curves, loss_label, metric_label};
use crate::analysis::Point;
use crate::campaign::{Purpose, Standing, State};
use crate::ids::RunId;
use crate::plot::{Axis, Figure, Mark};
use std::path::Path;

/// Whose curves are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// The baseline.
    Baseline,
    /// The best candidate that was confirmed: its repetitions.
    Confirmed(u64),
    /// The candidate with the best first look, whose repetitions did not show it better.
    Unconfirmed(u64),
    /// The same while its repetitions are under way.
    Confirming(u64),
    /// The candidate with the best first look, which was not repeated: that one run.
    FirstLook(u64),
}

impl Arm {
    /// For legends and captions.
    pub fn name(self) -> String {
        match self {
            Arm::Baseline => "baseline".to_string(),
            Arm::Confirmed(index) => format!("candidate {index}, the best confirmed"),
            Arm::Unconfirmed(index) => format!("candidate {index}, repeated, not confirmed"),
            Arm::Confirming(index) => format!("candidate {index}, being repeated"),
            Arm::FirstLook(index) => format!("candidate {index}, one look, not confirmed"),
        }
    }
}

/// Curves of the arms.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// The chart.
    pub chart: Chart,
    /// Each arm, with the number of its curves.
    pub arms: Vec<(Arm, usize)>,
}

/// The arms and their runs: the baseline, and the best candidate, or the one with the best first look while none is
/// confirmed. The run by which a candidate was chosen flatters it, so it is shown only where there is no other.
pub fn arms(state: &State) -> Vec<(Arm, Vec<RunId>)> {
    let baseline = state.runs.iter().filter(|r| r.purpose == Purpose::Baseline && r.result.is_some());
    let mut arms = vec![(Arm::Baseline, baseline.map(|r| r.id).collect())];
    let confirmed = state.best();
    if let Some(candidate) = confirmed.or_else(|| state.contenders().first().copied()) {
        let fresh: Vec<RunId> = candidate.fresh().map(|(_, run)| run).collect();
        let arm = match &candidate.standing {
            _ if confirmed.is_some() => Arm::Confirmed(candidate.index),
            Standing::Confirming => Arm::Confirming(candidate.index),
            _ if fresh.is_empty() => Arm::FirstLook(candidate.index),
            _ => Arm::Unconfirmed(candidate.index),
        };
        let runs = if fresh.is_empty() { candidate.screening.into_iter().collect() } else { fresh };
        arms.push((arm, runs));
    }
    arms
}

/// The objective on the validation part during training: the mean over seeds, with its Student interval where there are
/// two seeds or more.
pub fn learning_curves(folder: &Path, state: &State) -> Curves {
    let confidence = state.campaign.objective.confidence;
    let figure = Figure::new("Learning curves", Axis::linear("steps"), Axis::linear(metric_label(state)));
    drawn(figure, state, |run| curves::validation(folder, run, state.metric()), |lines| curves::band(lines, confidence))
}

/// Training loss, averaged in bins of equal length: the mean over seeds, and the range from the lowest seed to the highest.
pub fn training_curves(folder: &Path, state: &State) -> Curves {
    let figure = Figure::new("Training loss", Axis::linear("steps"), Axis::log(loss_label(state, "training loss")));
    drawn(
        figure,
        state,
        |run| curves::training(folder, run, 100),
        |lines| {
            let spread = Spread::of(lines.iter().map(Vec::as_slice));
            (spread.mean, spread.range)
        },
    )
}

/// A line and its band.
type Banded = (Vec<Point>, Vec<(f64, f64, f64)>);

fn drawn(
    mut figure: Figure,
    state: &State,
    curve: impl Fn(RunId) -> Vec<Point>,
    banded: impl Fn(&[Vec<Point>]) -> Banded,
) -> Curves {
    let mut told = Vec::new();
    for ((arm, runs), style) in arms(state).into_iter().zip([BASELINE, CANDIDATE]) {
        let lines: Vec<Vec<Point>> = runs.into_iter().map(&curve).filter(|line| !line.is_empty()).collect();
        told.push((arm, lines.len()));
        if lines.is_empty() {
            continue;
        }
        let (line, band) = banded(&lines);
        let name = format!("{} (n={})", arm.name(), lines.len());
        figure = figure.with("", style, Mark::Band(band)).with(name, style, Mark::Line(line));
    }
    Curves { chart: Chart::Figure(figure), arms: told }
}
