//! Jobs on all threads, stage by stage.

use super::pool::{Barrier, Pool};
use crate::sys::clock::Stopwatch;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs stages of jobs on all threads: within a stage every thread begins with its own share of the tiles, between stages
/// threads meet.
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
    let shares = Shares::new(stages.len(), pool.threads());
    pool.run(&|thread| {
        for (number, stage) in stages.iter().enumerate() {
            if alone(stage) {
                if thread == 0 {
                    stage.clone().for_each(|job| work(job, 0, 0));
                }
            } else {
                let job = stage.start;
                shares.each(number, tiles(job), thread, &|tile| work(job, tile, thread));
            }
            barrier.meet();
            if thread == 0 {
                times.inspect(|times| times.stamp());
            }
        }
    });
}

/// Which tiles of each stage are taken.
///
/// Every thread has a share of consecutive tiles and helps the others when it is through. Tiles follow the rows of what they
/// make, so a thread finds in its own cache what it wrote a stage ago. Where cores do not share a cache this decides: to
/// fetch a line from the other one takes five times as long as from a common cache.
struct Shares {
    /// Tiles taken of a thread's share, by thread and stage. A thread's counters lie side by side.
    taken: Vec<Vec<AtomicUsize>>,
}

impl Shares {
    fn new(stages: usize, threads: usize) -> Self {
        // Whole pairs of cache lines, so that neighbours in memory do not disturb each other.
        let counters = stages.next_multiple_of(16) + 16;
        Shares { taken: (0..threads).map(|_| (0..counters).map(|_| AtomicUsize::new(0)).collect()).collect() }
    }

    /// Takes tiles out of `count`, first the thread's own, until none are left.
    fn each(&self, stage: usize, count: usize, thread: usize, work: &dyn Fn(usize)) {
        let threads = self.taken.len();
        for owner in (thread..threads).chain(0..thread) {
            let (first, end) = (owner * count / threads, (owner + 1) * count / threads);
            let taken = &self.taken[owner][stage];
            // Looked at before it is written to: a look leaves the counter in its owner's cache.
            while first + taken.load(Ordering::Relaxed) < end {
                let tile = first + taken.fetch_add(1, Ordering::Relaxed);
                if tile < end {
                    work(tile);
                }
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tile_is_taken_once_and_a_late_threads_share_is_taken_by_the_others() {
        for (threads, count) in [(1, 5), (2, 7), (3, 2), (4, 33)] {
            let shares = Shares::new(2, threads);
            let own = |thread: usize| thread * count / threads..(thread + 1) * count / threads;
            // The last thread comes when all is done.
            for thread in 0..threads {
                let order = Mutex::new(Vec::new());
                shares.each(1, count, thread, &|tile| order.lock().unwrap().push(tile));
                let order = order.into_inner().unwrap();
                if thread == 0 {
                    let others = (1..threads).flat_map(own);
                    assert_eq!(order, own(0).chain(others).collect::<Vec<_>>());
                } else {
                    assert!(order.is_empty());
                }
            }
            let mut pool = Pool::new(threads);
            let seen: Vec<AtomicUsize> = (0..2 * count).map(|_| AtomicUsize::new(0)).collect();
            let work = |job: usize, tile: usize, _: usize| {
                seen[job * count + tile].fetch_add(1, Ordering::Relaxed);
            };
            in_step(&mut pool, &[0..1, 1..2], &|_| count, &work, None);
            assert!(seen.iter().all(|n| n.load(Ordering::Relaxed) == 1), "{threads} threads, {count} tiles");
        }
    }
}
