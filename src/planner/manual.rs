//! A list by hand, in its order.

use super::taken::Taken;
use super::{Assignment, Observation, Sampler, Space};

/// The campaign's own list. An entry may leave parameters out, which then stay as the baseline has them; what is refused
/// is passed over.
pub(super) struct Manual {
    list: Vec<Assignment>,
}

impl Manual {
    /// Of these.
    pub fn new(list: Vec<Assignment>) -> Self {
        Manual { list }
    }
}

impl Sampler for Manual {
    fn name(&self) -> &'static str {
        "manual"
    }

    fn propose(
        &self,
        _: &Space,
        observations: &[Observation],
        _: u64,
        accept: &dyn Fn(&Assignment) -> bool,
    ) -> Option<Assignment> {
        let taken = Taken::new(observations);
        self.list.iter().find(|a| taken.is_free(a) && accept(a)).cloned()
    }
}
