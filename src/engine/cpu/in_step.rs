//! Jobs on all threads, stage by stage.

use super::pool::{Barrier, Pool};
use crate::sys::clock::Stopwatch;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs stages of jobs on all threads: within a stage tiles are handed out one by one, between stages threads meet.
pub(super) fn in_step(
    pool: &mut Pool,
    stages: &[Range<usize>],
    tiles: &(dyn Fn(usize) -> usize + Sync),
    work: &(dyn Fn(usize, usize, usize) + Sync),
    times: Option<&Times>,
) {
    let alone = |stage: &Range<usize>| stage.clone().all(|job| tiles(job) == 1);
    if pool.threads() == 1 || stages.iter().all(alone) {
        for job in stages.iter().cloned().flatten() {
            (0..tiles(job)).for_each(|tile| work(job, tile, 0));
            times.inspect(|times| times.stamp());
        }
        return;
    }
    let barrier = Barrier::new(pool.threads());
    let next: Vec<AtomicUsize> = stages.iter().map(|_| AtomicUsize::new(0)).collect();
    pool.run(&|thread| {
        for (stage, next) in stages.iter().zip(&next) {
            if alone(stage) {
                if thread == 0 {
                    stage.clone().for_each(|job| work(job, 0, 0));
                }
            } else {
                let job = stage.start;
                let count = tiles(job);
                loop {
                    let tile = next.fetch_add(1, Ordering::Relaxed);
                    if tile >= count {
                        break;
                    }
                    work(job, tile, thread);
                }
            }
            barrier.meet();
            if thread == 0 {
                times.inspect(|times| times.stamp());
            }
        }
    });
}

/// When stages ended, in seconds since the watch was started.
pub(super) struct Times {
    watch: Stopwatch,
    pub(super) ends: Mutex<Vec<f64>>,
}

impl Times {
    pub(super) fn start() -> Self {
        Times { watch: Stopwatch::start(), ends: Mutex::new(Vec::with_capacity(1024)) }
    }

    fn stamp(&self) {
        if let Ok(mut ends) = self.ends.lock() {
            ends.push(self.watch.seconds());
        }
    }
}
