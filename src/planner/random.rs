//! Independent draws, and the search for a free assignment that every sampler falls back to.

use super::space::Tree;
use super::taken::Taken;
use super::{Assignment, Observation, Sampler, Space};
use crate::rng::{Sequence, Stream};
use std::ops::ControlFlow;

/// Draws in a finite space before it is walked from end to end.
const FINITE_TRIES: u32 = 64;
/// Draws in a continuum before giving up.
const TRIES: u32 = 10_000;
/// Members of a finite space that are looked at, at most.
const WALK_LIMIT: u32 = 100_000;

/// Uniform draws from the space.
pub(super) struct Random {
    seed: u64,
}

impl Random {
    /// With the planner's seed.
    pub fn new(seed: u64) -> Self {
        Random { seed }
    }
}

impl Sampler for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn propose(
        &self,
        space: &Space,
        observations: &[Observation],
        index: u64,
        accept: &dyn Fn(&Assignment) -> bool,
    ) -> Option<Assignment> {
        draw_free(&Tree::new(space), &Taken::new(observations), self.seed, index, accept)
    }
}

/// The randomness of one try of one proposal.
pub(super) fn sequence(seed: u64, index: u64, attempt: u32) -> Sequence {
    // No campaign makes 2^32 proposals; if one did, its draws would repeat and be refused as taken.
    Sequence::new(seed, Stream::Sampler, index as u32, attempt)
}

/// A uniform draw that is neither taken nor refused; in a finite space the last members are found by walking all of
/// it and choosing among the free ones at random. None if there is none.
pub(super) fn draw_free(
    tree: &Tree,
    taken: &Taken,
    seed: u64,
    index: u64,
    accept: &dyn Fn(&Assignment) -> bool,
) -> Option<Assignment> {
    let free = |assignment: &Assignment| taken.is_free(assignment) && accept(assignment);
    let finite = tree.is_finite();
    for attempt in 0..if finite { FINITE_TRIES } else { TRIES } {
        let assignment = tree.draw(&mut sequence(seed, index, attempt));
        if free(&assignment) {
            return Some(assignment);
        }
    }
    if !finite {
        return None;
    }
    // Reservoir of one: each free member is kept with probability 1/(number of free members so far).
    let mut kept = None;
    let (mut walked, mut found) = (0, 0);
    let mut sequence = sequence(seed, index, u32::MAX);
    tree.each(&mut |assignment| {
        walked += 1;
        if free(assignment) {
            found += 1;
            if sequence.below(found) == 0 {
                kept = Some(assignment.clone());
            }
        }
        if walked < WALK_LIMIT { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    kept
}
