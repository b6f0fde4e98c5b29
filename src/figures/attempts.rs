//! What ran when: every attempt as a bar over the campaign's time.

use super::{Chart, time_unit};
use crate::campaign::{Attempt, Purpose, Run, State};
use crate::failure::Class;
use crate::plot::{Axis, Bar, BarChart, BarRow};

/// Runs that get a row each; of more, attempts that do not overlap share one.
const ROWS: usize = 30;
/// Rows at most where they are shared.
const PLACES: usize = 48;

/// Kinds of attempts, by colour and hatching.
const KINDS: [&str; 3] = ["baseline", "candidate", "confirmation"];
/// Signs at the ends of bars.
const SIGNS: [&str; 5] =
    ["failed", "diverged", "begins a further attempt of its run", "left to go on later", "still running"];
const FAILED: usize = 0;
const DIVERGED: usize = 1;
const FURTHER: usize = 2;
const LEFT: usize = 3;
const RUNNING: usize = 4;

/// The timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempts {
    /// The chart.
    pub chart: Chart,
    /// Attempts in it.
    pub n: usize,
    /// Whether runs have a row each.
    pub by_run: bool,
    /// Rows that had no place.
    pub left_out: usize,
}

/// Every attempt from its launch to the moment its end was seen; what it is for by colour, hatching and words, how it
/// ended by signs.
pub fn attempts(state: &State) -> Attempts {
    let runs: Vec<&Run> = state.runs.iter().filter(|run| !run.attempts.is_empty()).collect();
    let ends = || runs.iter().flat_map(|run| &run.attempts).map(|attempt| span(state, attempt).1);
    let last = ends().fold(0.0, f64::max);
    let (unit, scale) = time_unit(last);
    let by_run = runs.len() <= ROWS;
    let mut rows: Vec<BarRow> = if by_run {
        runs.iter().map(|run| own_row(state, run, scale)).collect()
    } else {
        (0..KINDS.len()).flat_map(|kind| shared_rows(state, &runs, kind, scale)).collect()
    };
    let left_out = if by_run { 0 } else { rows.len().saturating_sub(PLACES) };
    rows.truncate(rows.len() - left_out);
    let x = Axis::linear(format!("time since the campaign began ({unit})"));
    let chart = BarChart {
        title: "Timeline of attempts".into(),
        x: if last > 0.0 { x.over(0.0, 1.02 * last / scale) } else { x },
        series: KINDS.map(String::from).to_vec(),
        signs: SIGNS.map(String::from).to_vec(),
        rows,
    };
    Attempts { chart: Chart::Bars(chart), n: ends().count(), by_run, left_out }
}

/// Seconds from the campaign's beginning to an attempt's beginning and end.
fn span(state: &State, attempt: &Attempt) -> (f64, f64) {
    let from = attempt.launched_at.unwrap_or(attempt.reserved_at) - state.created;
    let to = attempt.ended.as_ref().map_or(state.updated, |end| end.at) - state.created;
    (from.max(0.0), to.max(from).max(0.0))
}

fn kind(run: &Run) -> usize {
    match run.purpose {
        Purpose::Baseline => 0,
        Purpose::Candidate { .. } => 1,
        Purpose::Confirm { .. } => 2,
    }
}

fn bar(state: &State, run: &Run, attempt: &Attempt, scale: f64) -> Bar {
    let (from, to) = span(state, attempt);
    let ended = match attempt.ended.as_ref().map(|end| &end.class) {
        None => Some(RUNNING),
        Some(Class::Completed) => None,
        Some(Class::Diverged) => Some(DIVERGED),
        Some(Class::Paused | Class::Checkpointed | Class::Preempted) => Some(LEFT),
        Some(_) => Some(FAILED),
    };
    let begun = (attempt.id.number > 1).then_some(FURTHER);
    Bar { from: from / scale, to: to / scale, series: kind(run), open: false, begun, ended }
}

/// A run's attempts one after the other, with what it is for in words.
fn own_row(state: &State, run: &Run, scale: f64) -> BarRow {
    let note = match run.purpose {
        Purpose::Baseline => "baseline".to_string(),
        Purpose::Candidate { index } => format!("candidate {index}"),
        Purpose::Confirm { index } => format!("confirms {index}"),
    };
    let bars = run.attempts.iter().map(|attempt| bar(state, run, attempt, scale)).collect();
    BarRow { label: run.id.to_string(), bars, interval: None, note }
}

/// All attempts of a kind in as few rows as hold them without overlap.
fn shared_rows(state: &State, runs: &[&Run], of: usize, scale: f64) -> Vec<BarRow> {
    let of_kind = runs.iter().filter(|run| kind(run) == of);
    let mut bars: Vec<Bar> = of_kind.flat_map(|run| run.attempts.iter().map(|a| bar(state, run, a, scale))).collect();
    bars.sort_by(|a, b| a.from.total_cmp(&b.from));
    let mut rows: Vec<BarRow> = Vec::new();
    for bar in bars {
        let free = |row: &&mut BarRow| row.bars.last().is_none_or(|last| last.to <= bar.from);
        match rows.iter_mut().find(free) {
            Some(row) => row.bars.push(bar),
            None => rows.push(BarRow { bars: vec![bar], ..BarRow::default() }),
        }
    }
    if let Some(first) = rows.first_mut() {
        first.label = ["baseline", "candidates", "confirmations"][of].to_string();
    }
    rows
}
