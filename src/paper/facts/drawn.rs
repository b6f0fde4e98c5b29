//! How many runs stand behind each figure, for its caption.

use super::Gather;
use crate::figures::{self, Arm};
use crate::paper::fact::Basis;

pub(super) fn add(g: &mut Gather) {
    let curves = figures::learning_curves(g.folder, g.state);
    for (arm, n) in curves.arms {
        let id = if arm == Arm::Baseline { "figure.curves.baseline" } else { "figure.curves.candidate" };
        g.count(id, format!("learning curves: {}", arm.name()), n).unit("runs").basis = Basis::Attempts;
    }
    let best = figures::best_so_far(g.state);
    g.count("figure.progress.n", "finished runs with a value", best.n).unit("runs");
    g.count("figure.progress.outside", "runs beyond the axis of the figure of the best so far", best.outside)
        .unit("runs");
    g.count("figure.devices.parts", "equal parts of the campaign's time", figures::PARTS).unit("parts");
}
