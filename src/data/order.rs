//! The order of training: a function of (seed, step) alone, so that resuming needs no state.

use crate::rng::{Sequence, Stream};
use std::sync::{Arc, Mutex, PoisonError};

/// Number of samples whose every pass is shuffled, with the current pass's permutation kept for speed.
#[derive(Debug, Default)]
pub(super) struct Order {
    current: Mutex<Option<Pass>>,
}

#[derive(Debug, Clone)]
struct Pass {
    seed: u64,
    epoch: u32,
    order: Arc<Vec<u32>>,
}

/// Where a step falls: the pass over the data, and the sample it starts with in that pass. The last partial batch of a
/// pass is dropped. `batch_size` must be in `1..=samples`.
pub(super) fn locate(step: u64, batch_size: usize, samples: usize) -> (u32, usize) {
    let per_epoch = (samples / batch_size) as u64;
    ((step / per_epoch) as u32, (step % per_epoch) as usize * batch_size)
}

/// The shift of a pass's text windows, below `context`.
pub(super) fn shift(seed: u64, epoch: u32, context: usize) -> usize {
    Sequence::new(seed, Stream::Shuffle, epoch, 1).below(context as u64) as usize
}

impl Order {
    /// The permutation of `0..samples` of one pass.
    pub fn pass(&self, seed: u64, epoch: u32, samples: usize) -> Arc<Vec<u32>> {
        // A panic elsewhere cannot leave the cache half-written: it is replaced whole.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pass) = current.as_ref()
            && (pass.seed, pass.epoch, pass.order.len()) == (seed, epoch, samples)
        {
            return Arc::clone(&pass.order);
        }
        let mut order: Vec<u32> = (0..samples as u32).collect();
        Sequence::new(seed, Stream::Shuffle, epoch, 0).shuffle(&mut order);
        let order = Arc::new(order);
        *current = Some(Pass { seed, epoch, order: Arc::clone(&order) });
        order
    }
}
