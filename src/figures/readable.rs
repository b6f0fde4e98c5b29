//! Where an axis of the objective ends on the worse side, so that a few bad runs do not hide what tells the good ones apart.
//!
//! What lies beyond stays in the figure: as arrowheads at that end, with their number.

use crate::analysis::quartile_fence;
use crate::campaign::State;
use crate::config::Direction;
use crate::plot::{Axis, End};

/// How many distances from the best run to the worst baseline run are shown below the best.
const REACH: f64 = 1.5;

/// Which end of the objective's axis is the worse.
pub fn worse(state: &State) -> End {
    match state.direction() {
        Direction::Maximize => End::Low,
        Direction::Minimize => End::High,
    }
}

/// The value beyond which runs are not told apart in figures of all runs: one and a half times as far from the best as the
/// worst baseline run; without such a distance, three quartile distances beyond the worse quartile. None: all are shown.
pub fn cut(state: &State, values: &[f64]) -> Option<f64> {
    by_baseline(state, values).or_else(|| quartile_fence(values, state.direction(), 3.0))
}

/// For figures of candidates alone, which may mostly be worse than the baseline: the laxer of that and of one and a half
/// quartile distances beyond the worse quartile. None: all are shown.
pub fn lax_cut(state: &State, values: &[f64]) -> Option<f64> {
    let quartiles = quartile_fence(values, state.direction(), 1.5)?;
    match by_baseline(state, values) {
        Some(cut) if state.better(quartiles, cut) => Some(cut),
        _ => Some(quartiles),
    }
}

fn by_baseline(state: &State, values: &[f64]) -> Option<f64> {
    let best =
        values.iter().copied().filter(|v| v.is_finite()).reduce(|a, b| if state.better(a, b) { a } else { b })?;
    let base = state.baseline.as_ref()?.values.values().copied();
    let worst = base.fold(best, |worst, v| if state.better(worst, v) { v } else { worst });
    (worst != best).then_some(best + REACH * (worst - best))
}

/// The axis over the values up to the cut, with a margin that no mark is cut by; and how many values lie beyond it. Where
/// all are within, the axis takes its range from what is drawn.
pub fn axis(state: &State, label: String, values: &[f64], cut: Option<f64>) -> (Axis, usize) {
    let beyond = |v: &f64| cut.is_some_and(|cut| state.better(cut, *v));
    let outside: Vec<f64> = values.iter().copied().filter(beyond).collect();
    let mut shown: Vec<f64> = values.iter().copied().filter(|v| v.is_finite() && !beyond(v)).collect();
    shown.extend(state.baseline.as_ref().map(|b| b.interval.mean).filter(|v| !beyond(v)));
    let (low, high) = shown.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let margin = 0.06 * (high - low);
    if outside.is_empty() || margin <= 0.0 || !margin.is_finite() {
        return (Axis::linear(label), 0);
    }
    // Never so far that it holds a value that is counted as outside.
    let nearest = |worst: f64| outside.iter().map(|v| (v - worst).abs()).fold(f64::INFINITY, f64::min) / 2.0;
    let range = match worse(state) {
        End::Low => (low - margin.min(nearest(low)), high + margin),
        End::High => (low - margin, high + margin.min(nearest(high))),
    };
    (Axis::linear(label).over(range.0, range.1), outside.len())
}
