//! Proposals that somebody else made: a language model's designs, findings of earlier campaigns.

use super::choose::STRIDE;
use super::taken::Taken;
use super::{Assignment, Observation, Sampler, Space};

/// Assignments in their order; what was tried or is refused is passed over. Further draws of a pool are the further ones.
pub struct Queue {
    name: &'static str,
    waiting: Vec<Assignment>,
}

impl Queue {
    /// Of these, under the name of who made them.
    pub fn new(name: &'static str, waiting: Vec<Assignment>) -> Self {
        Queue { name, waiting }
    }
}

impl Sampler for Queue {
    fn name(&self) -> &'static str {
        self.name
    }

    fn propose(
        &self,
        _: &Space,
        observations: &[Observation],
        index: u64,
        accept: &dyn Fn(&Assignment) -> bool,
    ) -> Option<Assignment> {
        let taken = Taken::new(observations);
        let mut free = self.waiting.iter().filter(|a| taken.is_free(a) && accept(a));
        free.nth((index / STRIDE) as usize).cloned()
    }
}

/// Whether an assignment is none of those observed, where `1` and `1.0` are the same.
pub fn is_new(assignment: &Assignment, observations: &[Observation]) -> bool {
    Taken::new(observations).is_free(assignment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_tried_or_is_refused_is_passed_over() {
        let of = |x: f64| -> Assignment { [("x".to_string(), json!(x))].into() };
        let queue = Queue::new("llm", vec![of(1.0), of(2.0), of(3.0), of(4.0)]);
        let tried = [Observation::complete([("x".to_string(), json!(1))].into(), Some(0.5))];
        let at = |index| queue.propose(&Space::new(), &tried, index, &|a| a["x"] != json!(3.0));
        assert_eq!((at(7), at(7 + STRIDE), at(7 + 2 * STRIDE)), (Some(of(2.0)), Some(of(4.0)), None));
        assert!(is_new(&of(2.0), &tried) && !is_new(&of(1.0), &tried));
    }
}
