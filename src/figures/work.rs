//! What it took: devices over time, the budget, predicted against held time.

use super::timelines::stacked;
use super::{BASELINE, CANDIDATE, Chart, time_unit};
use crate::analysis::Point;
use crate::campaign::{Purpose, State};
use crate::plot::{Axis, Bar, BarChart, BarRow, Figure, Mark};
use crate::units::DeviceTime;

/// Parts of the campaign's time in the figure of devices.
pub const PARTS: usize = 60;

/// Where the budget went: a row a part, each beginning where the one above ends, with its time and its share of the budget.
/// What is left is an empty frame.
pub fn ledger(state: &State) -> Chart {
    let of = |wanted: fn(&Purpose) -> bool| {
        state.runs.iter().filter(|r| wanted(&r.purpose)).map(|r| r.used().time).sum::<DeviceTime>()
    };
    let parts = [
        ("baseline", of(|p| matches!(p, Purpose::Baseline))),
        ("candidates", of(|p| matches!(p, Purpose::Candidate { .. }))),
        ("confirmations", of(|p| matches!(p, Purpose::Confirm { .. }))),
        ("reserved", state.ledger.reserved().time),
        ("free", state.ledger.free().time),
    ];
    let budget = state.ledger.budget().seconds();
    let (unit, scale) = time_unit(budget);
    let mut from = 0.0;
    let row = |(series, (name, time)): (usize, (&str, DeviceTime))| {
        let open = name == "free";
        let bar = Bar { from, to: from + time.seconds() / scale, series, open, ..Bar::default() };
        from = bar.to;
        let share = 100.0 * time.seconds() / budget.max(f64::MIN_POSITIVE);
        // Nothing is no bar; little is never called nothing.
        let share = if share > 0.0 && share < 0.1 { "<0.1%".to_string() } else { format!("{share:.1}%") };
        let bars = if time == DeviceTime::default() { Vec::new() } else { vec![bar] };
        BarRow { label: name.to_string(), bars, interval: None, note: format!("{}, {share}", short(time)) }
    };
    let rows = parts.into_iter().enumerate().map(row).collect();
    let x = Axis::linear(format!("device time ({unit})"));
    Chart::Bars(BarChart {
        title: "The budget".into(),
        x: if budget > 0.0 { x.over(0.0, budget / scale) } else { x },
        rows,
        ..BarChart::default()
    })
}

/// `3.2 s`, `12.0 min`, `4.5 h`.
fn short(time: DeviceTime) -> String {
    match time_unit(time.seconds()) {
        (_, 1.0) => format!("{:.1} s", time.seconds()),
        (_, 60.0) => format!("{:.1} min", time.seconds() / 60.0),
        (_, scale) => format!("{:.1} h", time.seconds() / scale),
    }
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
    let x = Axis::linear(format!("time since the campaign began ({unit})"));
    let between = held.iter().zip(&busy).map(|(h, b)| (h.0, b.1, h.1)).collect();
    let figure = Figure::new(
        "Devices allocated and busy",
        if length > 0.0 { x.over(0.0, length / scale) } else { x },
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
