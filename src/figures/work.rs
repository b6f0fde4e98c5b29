//! What it took: devices over time, the budget, predicted against held time.

use super::timelines::stacked;
use super::{BASELINE, CANDIDATE, Chart, time_unit};
use crate::analysis::Point;
use crate::campaign::{Purpose, State};
use crate::plot::{Axis, Bar, BarChart, BarRow, Figure, Mark};

/// Parts of the campaign's time in the figure of devices.
pub const PARTS: usize = 60;

/// Where the budget went.
pub fn ledger(state: &State) -> Chart {
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
    Chart::Bars(BarChart {
        title: "The budget".into(),
        x: Axis::linear(format!("device time ({unit})")),
        series: ["baseline", "candidates", "confirmations", "reserved", "free"].map(String::from).to_vec(),
        rows: vec![BarRow { label: "ledger".into(), bars, interval: None, note: String::new() }],
    })
}

/// Devices allocated and devices busy over the campaign's time, as means over [`PARTS`] equal parts of it.
pub fn devices(state: &State) -> Chart {
    let (mut held, mut busy) = (Vec::new(), Vec::new());
    // Of a card that several attempts share, each holds its part.
    let part = 1.0 / state.campaign.execution.attempts_per_device.max(1) as f64;
    for attempt in state.runs.iter().flat_map(|run| &run.attempts) {
        let (from, to) = match &attempt.ended {
            None => (attempt.launched_at.unwrap_or(attempt.reserved_at), state.updated),
            Some(end) => (end.at - end.evidence.seconds, end.at),
        };
        let span = (from - state.created, to - state.created);
        held.push((span.0, span.1, part));
        let looks = attempt.ended.as_ref().and_then(|end| end.evidence.utilization.as_ref());
        let share = looks.and_then(|looks| Some(looks.busy_seconds()? / (to - from).max(f64::MIN_POSITIVE)));
        busy.extend(share.map(|share| (span.0, span.1, part * share.min(1.0))));
    }
    let length = state.updated - state.created;
    let (unit, scale) = time_unit(length);
    let scaled = |spans: &[(f64, f64, f64)]| -> Vec<Point> {
        stacked(spans, length, PARTS).into_iter().map(|p| (p.0 / scale, p.1)).collect()
    };
    let (held, busy) = (scaled(&held), scaled(&busy));
    let most = held.iter().map(|p| p.1).fold(0.0, f64::max);
    let between = held.iter().zip(&busy).map(|(h, b)| (h.0, b.1, h.1)).collect();
    let figure = Figure::new(
        "Devices allocated and busy",
        Axis::linear(format!("time since the campaign began ({unit})")),
        Axis::linear("devices").over(0.0, 1.08 * most.max(1.0)),
    );
    Chart::Figure(
        figure.with("allocated and idle", 0, Mark::Band(between)).with("allocated", 0, Mark::Line(held)).with(
            "busy",
            1,
            Mark::Line(busy),
        ),
    )
}

/// Held against predicted seconds of runs, with the line of perfect prediction. None of no runs.
pub fn cost_calibration(runs: &[(f64, f64)]) -> Option<Chart> {
    let all = || runs.iter().flat_map(|(x, y)| [*x, *y]);
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    if runs.is_empty() || low <= 0.0 {
        return None;
    }
    let figure = Figure::new("Predicted and held time", Axis::log("predicted (seconds)"), Axis::log("held (seconds)"));
    Some(Chart::Figure(figure.with("runs", CANDIDATE, Mark::Points(runs.to_vec())).with(
        "as predicted",
        BASELINE,
        Mark::Line(vec![(low, low), (high, high)]),
    )))
}
