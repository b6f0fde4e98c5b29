//! What each parameter did: every candidate's first look against its value, and where those stand that gave none.

use super::readable::{axis, lax_cut, worse};
use super::{BASELINE, CANDIDATE, Chart, is_log, metric_label};
use crate::analysis::{Effect, EffectKind, percentile};
use crate::campaign::{Candidate, Standing, State, value_text};
use crate::config::Domain;
use crate::plot::{Axis, Figure, Mark, StripChart, StripRow};
use serde_json::Value;

/// A parameter's figure.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectDrawn {
    /// The chart.
    pub chart: Chart,
    /// Candidates with a value.
    pub n: usize,
    /// Of them, those beyond the axis.
    pub outside: usize,
    /// Candidates whose first look gave no value.
    pub failed: usize,
}

/// What the marks are called.
const LOOKS: &str = "candidates";
const FAILED: &str = "failed or diverged";

/// The objective of every candidate's first look against one parameter. `label`: what the parameter is called. The axis of
/// the objective is the same in the figures of all parameters.
pub fn effect(state: &State, effect: &Effect, label: &str) -> EffectDrawn {
    let of = |c: &'_ Candidate| c.assignment.get(&effect.parameter).cloned();
    let looks: Vec<(Value, f64)> =
        state.candidates.iter().filter_map(|c| Some((of(c)?, c.value.filter(|v| v.is_finite())?))).collect();
    let failed = state.candidates.iter().filter(|c| matches!(c.standing, Standing::Failed { .. }));
    let failed: Vec<Value> = failed.filter_map(of).collect();
    let all: Vec<f64> = state.candidates.iter().filter_map(|c| c.value).collect();
    let cut = lax_cut(state, &all);
    let (objective, _) = axis(state, metric_label(state), &all, cut);
    let outside = looks.iter().filter(|(_, v)| cut.is_some_and(|cut| state.better(cut, *v))).count();
    let baseline = state.baseline.as_ref().map(|b| b.interval.mean);
    let (n, without) = (looks.len(), failed.len());
    let chart = match &effect.kind {
        EffectKind::Correlation { .. } => {
            let points = looks.iter().filter_map(|(v, y)| Some((v.as_f64()?, *y))).collect();
            let x = if is_log(state, &effect.parameter) { Axis::log(label) } else { Axis::linear(label) };
            let mut figure = Figure::new("", x, objective);
            if let Some(mean) = baseline {
                figure = figure.with("baseline mean", BASELINE, Mark::Rule(mean));
            }
            figure = figure.with(LOOKS, CANDIDATE, Mark::Points(points));
            if without > 0 {
                let places = failed.iter().filter_map(Value::as_f64).collect();
                let missing = Mark::Missing(places, worse(state));
                figure = figure.with(format!("{FAILED} ({without})"), CANDIDATE, missing);
            }
            Chart::Figure(figure)
        }
        EffectKind::Groups { .. } => Chart::Strips(StripChart {
            title: String::new(),
            x: objective,
            style: CANDIDATE,
            names: [LOOKS, "median", FAILED].map(String::from),
            missing: worse(state),
            rule: baseline.map(|mean| ("baseline mean".to_string(), BASELINE, mean)),
            rows: choices(state, &effect.parameter, &looks, &failed)
                .iter()
                .map(|choice| row(choice, &looks, &failed))
                .collect(),
            legend: true,
            beside: Vec::new(),
        }),
    };
    EffectDrawn { chart, n, outside, failed: without }
}

/// The values that were tried, in the order in which the campaign lists them.
fn choices(state: &State, parameter: &str, looks: &[(Value, f64)], failed: &[Value]) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::new();
    for value in looks.iter().map(|(v, _)| v).chain(failed) {
        if !seen.contains(value) {
            seen.push(value.clone());
        }
    }
    let listed = match state.campaign.space.get(parameter).map(|p| &p.domain) {
        Some(Domain::Choice { values }) => values.as_slice(),
        _ => &[],
    };
    let place = |value: &Value| listed.iter().position(|v| v == value).unwrap_or(listed.len());
    seen.sort_by_key(|value| (place(value), value.to_string()));
    seen
}

/// The looks at one choice, with their median and number.
fn row(choice: &Value, looks: &[(Value, f64)], failed: &[Value]) -> StripRow {
    let mut points: Vec<f64> = looks.iter().filter(|(v, _)| v == choice).map(|(_, y)| *y).collect();
    points.sort_by(f64::total_cmp);
    let middle = Some(percentile(&points, 0.5)).filter(|m| m.is_finite());
    let note = match middle {
        Some(middle) => format!("{} (n={})", three_digits(middle), points.len()),
        None => "n=0".to_string(),
    };
    let missing = failed.iter().filter(|v| *v == choice).count();
    StripRow { label: value_text(choice), points, middle, missing, note }
}

/// A number with three significant digits at least.
fn three_digits(value: f64) -> String {
    let size = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    let decimals = (2.0 - size).clamp(0.0, 9.0) as usize;
    if (-5.0..6.0).contains(&size) { format!("{value:.decimals$}") } else { format!("{value:.2e}") }
}

#[cfg(test)]
mod tests {
    use super::three_digits;

    #[test]
    fn small_medians_keep_their_digits() {
        let told: Vec<String> = [0.97214, 0.00123456, 12.345, 1234.5, 0.0, -0.5, 1e-9].map(three_digits).into();
        assert_eq!(told, ["0.972", "0.00123", "12.3", "1234", "0.00", "-0.500", "1.00e-9"]);
    }
}
