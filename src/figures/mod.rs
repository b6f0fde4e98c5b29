//! Figures of a campaign, from its state and its runs' metrics: what reports and papers draw alike.
//!
//! Boundary: builds charts and says what is in them; captions, pages and documents are made by those who show them.

mod attempts;
mod curves;
mod effects;
mod learning;
mod readable;
mod results;
#[cfg(test)]
pub(crate) mod tests;
mod timelines;
mod work;

use crate::campaign::State;
use crate::config::{DataSpec, Domain, Metric, TableTask};
use crate::plot::{BarChart, Figure, StripChart};

pub use attempts::{Attempts, attempts};
pub use curves::{band, training, validation};
pub use effects::{EffectDrawn, effect};
pub use learning::{Arm, Curves, arms, learning_curves, training_curves};
pub use results::{BestSoFar, best_so_far, scaling};
pub use timelines::{Spread, Timeline, stacked};
pub use work::{PARTS, cost_calibration, devices, ledger};

/// The styles by which the arms are told apart in every figure.
pub const BASELINE: usize = 0;
/// Candidates.
pub const CANDIDATE: usize = 1;
/// The best.
pub const BEST: usize = 2;

/// A chart of any kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Chart {
    /// Two numeric axes.
    Figure(Figure),
    /// Horizontal bars.
    Bars(BarChart),
    /// Points in rows.
    Strips(StripChart),
}

impl Chart {
    /// For screens.
    pub fn svg(&self) -> String {
        match self {
            Chart::Figure(figure) => figure.svg(),
            Chart::Bars(bars) => bars.svg(),
            Chart::Strips(strips) => strips.svg(),
        }
    }

    /// For print, `points` wide, without its title.
    pub fn tikz(&self, points: f64) -> String {
        match self {
            Chart::Figure(figure) => figure.tikz(points),
            Chart::Bars(bars) => bars.tikz(points),
            Chart::Strips(strips) => strips.tikz(points),
        }
    }

    /// With another title.
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        match &mut self {
            Chart::Figure(figure) => figure.title = title.into(),
            Chart::Bars(bars) => bars.title = title.into(),
            Chart::Strips(strips) => strips.title = title.into(),
        }
        self
    }
}

/// The objective as the label of an axis, with its unit where it has one.
pub fn metric_label(state: &State) -> String {
    match state.campaign.objective.metric {
        Metric::Loss => loss_label(state, "validation loss"),
        Metric::Accuracy => "validation accuracy".to_string(),
        Metric::BitsPerByte => "validation bits per byte".to_string(),
        Metric::R2 => "validation R squared".to_string(),
    }
}

/// A loss with its unit: cross-entropy in nats, or the squared error of standardised targets.
fn loss_label(state: &State, name: &str) -> String {
    let regression = matches!(&state.campaign.baseline.data, DataSpec::Csv(csv) if csv.task == TableTask::Regression);
    format!("{name} ({})", if regression { "mean squared error" } else { "nats" })
}

/// The unit for a span of seconds, and its length in seconds.
pub fn time_unit(seconds: f64) -> (&'static str, f64) {
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
