//! CMA-ES over mixed and conditional spaces.
//!
//! ```text
//! eigen    eigenvectors of a symmetric matrix
//! normal   the multivariate normal over the numbers and its update
//! margin   keeps a whole number from freezing while its neighbours are untried
//! model    the distribution as a fold over the observations: generations, choices, restarts
//! ```
//! The numbers of a space (reals, whole numbers; logarithms where the range is logarithmic) are one normal in unit
//! coordinates; whole numbers are rounded, with the margin of Hamano et al. (2022); each choice has a table of
//! probabilities that moves towards the choices of the best, with a floor. A sample's absent parameters say nothing
//! about their dimensions. The distribution is nowhere stored: it follows from the ended observations in their order,
//! so any proposal can be derived again from the journal, and observations that somebody else proposed count too.
//! Failed runs rank below all others and never enter a mean.

// Sums over rows and columns read as in the books.
#[allow(clippy::needless_range_loop)]
mod eigen;
mod margin;
mod model;
#[allow(clippy::needless_range_loop)]
mod normal;

use super::random::{draw_free, sequence};
use super::space::Tree;
use super::taken::Taken;
use super::{Assignment, Observation, Sampler, Space};
use model::Model;

/// Times a sample is drawn afresh while it is taken or refused.
const ROUNDS: u32 = 200;
/// Tries below this number belong to [`draw_free`].
const FIRST_TRY: u32 = 1 << 21;

/// Proposals from an adapted normal distribution.
pub(super) struct CmaEs {
    seed: u64,
    startup: usize,
}

impl CmaEs {
    /// With the planner's seed; random until `startup` observations have ended, then around the best of those.
    pub fn new(seed: u64, startup: usize) -> Self {
        CmaEs { seed, startup }
    }
}

impl Sampler for CmaEs {
    fn name(&self) -> &'static str {
        "cma-es"
    }

    fn propose(
        &self,
        space: &Space,
        observations: &[Observation],
        index: u64,
        accept: &dyn Fn(&Assignment) -> bool,
    ) -> Option<Assignment> {
        let (tree, taken) = (Tree::new(space), Taken::new(observations));
        if let Some(model) = Model::of(&tree, observations, self.startup, self.seed) {
            for round in 0..ROUNDS {
                let assignment = model.draw(&mut sequence(self.seed, index, FIRST_TRY + round));
                if taken.is_free(&assignment) && accept(&assignment) {
                    return Some(assignment);
                }
            }
        }
        draw_free(&tree, &taken, self.seed, index, accept)
    }

    fn belief(&self, space: &Space, observations: &[Observation]) -> Vec<String> {
        let tree = Tree::new(space);
        Model::of(&tree, observations, self.startup, self.seed).map_or_else(Vec::new, |model| model.words())
    }
}

#[cfg(test)]
mod tests {
    use super::super::space::from_json;
    use super::*;
    use serde_json::json;

    /// After eighty observations of a bowl, what it says of itself is where the bowl is.
    #[test]
    fn its_belief_comes_to_lie_where_values_are_good() {
        let space = from_json(json!({
            "x": {"type": "float", "low": 0.0, "high": 10.0},
            "kind": {"type": "choice", "values": ["a", "b", "c"]},
        }));
        let sampler = CmaEs::new(1, 4);
        let mut seen: Vec<Observation> = vec![];
        for index in 0..80 {
            let a = sampler.propose(&space, &seen, index, &|_| true).unwrap();
            let value = (a["x"].as_f64().unwrap() - 3.0).powi(2) + if a["kind"] == "b" { 0.0 } else { 5.0 };
            seen.push(Observation::complete(a, Some(value)));
        }
        assert!(sampler.belief(&space, &seen[..3]).is_empty(), "nothing yet");
        let after = |line: &str, mark: &str| -> f64 {
            let rest = &line[line.find(mark).unwrap() + mark.len()..];
            rest[..rest.find([',', '%']).unwrap()].trim().parse().unwrap()
        };
        let lines = sampler.belief(&space, &seen);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(after(&lines[0], "\"b\"") > 60.0, "{lines:?}");
        assert!((after(&lines[1], "centre") - 3.0).abs() < 0.5 && after(&lines[1], "deviation") < 10.0, "{lines:?}");
        assert_eq!(lines, sampler.belief(&space, &seen));
    }
}
