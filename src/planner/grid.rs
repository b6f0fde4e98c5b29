//! Every combination of grid points, once, in a seeded order.

use super::random::draw_free;
use super::space::Tree;
use super::taken::Taken;
use super::{Assignment, Observation, Sampler, Space};

/// Real ranges become their `points`; whole numbers and choices take all their values. The order is that of drawing
/// without replacement, so that a grid cut short by the budget has still looked everywhere.
pub(super) struct Grid {
    seed: u64,
}

impl Grid {
    /// With the planner's seed.
    pub fn new(seed: u64) -> Self {
        Grid { seed }
    }
}

impl Sampler for Grid {
    fn name(&self) -> &'static str {
        "grid"
    }

    fn propose(
        &self,
        space: &Space,
        observations: &[Observation],
        index: u64,
        accept: &dyn Fn(&Assignment) -> bool,
    ) -> Option<Assignment> {
        draw_free(&Tree::new(space).gridded(), &Taken::new(observations), self.seed, index, accept)
    }
}
