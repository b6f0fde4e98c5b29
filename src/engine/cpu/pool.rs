//! Threads that run the same jobs in step.
//!
//! A run hands every thread the same closure; inside, stages are separated by a spinning barrier, since a stage of a
//! small model takes microseconds. Who waits long yields its core, and between runs threads park: several runs share a
//! machine without burning it.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Spins before a waiting thread yields its core at every further look.
const SPINS: usize = 4_000;
/// Looks before an idle thread parks.
const IDLE_SPINS: usize = 20_000;

type Task = *const (dyn Fn(usize) + Sync);

struct Shared {
    task: UnsafeCell<Option<Task>>,
    /// Counts runs; a change is the signal to start.
    run: AtomicUsize,
    /// Threads that have finished the current run.
    finished: AtomicUsize,
    parked: Vec<AtomicBool>,
    leave: AtomicBool,
}

// SAFETY: the task is written before `run` is incremented (release) and read after that was seen (acquire), and the
// caller waits for all threads before the closure ends.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// The calling thread and its helpers.
pub(super) struct Pool {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of `threads` threads, the caller among them.
    pub(super) fn new(threads: usize) -> Self {
        let helpers = threads.max(1) - 1;
        let shared = Arc::new(Shared {
            task: UnsafeCell::new(None),
            run: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            parked: (0..helpers).map(|_| AtomicBool::new(false)).collect(),
            leave: AtomicBool::new(false),
        });
        let spawn = |index: usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("engine-{}", index + 1)).spawn(move || help(&shared, index)).ok()
        };
        // Where the system gives fewer threads, those that came do the work: tiles do not care.
        let helpers: Vec<_> = (0..helpers).map_while(spawn).collect();
        Pool { shared, helpers }
    }

    /// Number of threads.
    pub(super) fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Runs `task(thread)` on every thread and returns when all have ended.
    pub(super) fn run(&mut self, task: &(dyn Fn(usize) + Sync)) {
        if self.helpers.is_empty() {
            return task(0);
        }
        let shared = &self.shared;
        shared.finished.store(0, Ordering::Relaxed);
        // SAFETY: no helper looks before `run` changes. The lifetime is erased; this call outlasts every use.
        unsafe {
            *shared.task.get() = Some(std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Task>(task));
        }
        shared.run.fetch_add(1, Ordering::SeqCst);
        for (helper, parked) in self.helpers.iter().zip(&shared.parked) {
            if parked.load(Ordering::SeqCst) {
                helper.thread().unpark();
            }
        }
        task(0);
        wait(|| shared.finished.load(Ordering::Acquire) == self.helpers.len());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.leave.store(true, Ordering::SeqCst);
        self.shared.run.fetch_add(1, Ordering::SeqCst);
        for helper in self.helpers.drain(..) {
            helper.thread().unpark();
            let _ = helper.join();
        }
    }
}

fn help(shared: &Shared, index: usize) {
    let mut seen = 0;
    loop {
        let mut looks = 0;
        while shared.run.load(Ordering::SeqCst) == seen {
            looks += 1;
            if looks < IDLE_SPINS {
                std::hint::spin_loop();
                continue;
            }
            shared.parked[index].store(true, Ordering::SeqCst);
            // Looked at again after saying so: a run that began meanwhile either is seen here or sees the flag.
            if shared.run.load(Ordering::SeqCst) == seen {
                std::thread::park();
            }
            shared.parked[index].store(false, Ordering::SeqCst);
        }
        seen = shared.run.load(Ordering::SeqCst);
        if shared.leave.load(Ordering::SeqCst) {
            return;
        }
        // SAFETY: written before `run` changed, and alive until `finished` says so.
        if let Some(task) = unsafe { *shared.task.get() } {
            unsafe { (*task)(index + 1) };
        }
        shared.finished.fetch_add(1, Ordering::Release);
    }
}

/// Waits for something that another thread brings about soon.
pub(super) fn wait(done: impl Fn() -> bool) {
    let mut looks = 0;
    while !done() {
        looks += 1;
        if looks < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
}

/// Where threads meet between stages.
pub(super) struct Barrier {
    threads: usize,
    arrived: AtomicUsize,
    phase: AtomicUsize,
}

impl Barrier {
    pub(super) fn new(threads: usize) -> Self {
        Barrier { threads, arrived: AtomicUsize::new(0), phase: AtomicUsize::new(0) }
    }

    /// Returns when all threads have come here.
    #[inline]
    pub(super) fn meet(&self) {
        if self.threads == 1 {
            return;
        }
        let phase = self.phase.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Relaxed);
            self.phase.store(phase.wrapping_add(1), Ordering::Release);
        } else {
            wait(|| self.phase.load(Ordering::Acquire) != phase);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_runs_each_stage_before_any_begins_the_next() {
        for threads in [1, 2, 3, 5] {
            let mut pool = Pool::new(threads);
            assert_eq!(pool.threads(), threads);
            for _ in 0..200 {
                let barrier = Barrier::new(threads);
                let counts: Vec<AtomicUsize> = (0..20).map(|_| AtomicUsize::new(0)).collect();
                pool.run(&|_| {
                    for (stage, count) in counts.iter().enumerate() {
                        if stage > 0 {
                            assert_eq!(counts[stage - 1].load(Ordering::SeqCst), threads);
                        }
                        count.fetch_add(1, Ordering::SeqCst);
                        barrier.meet();
                    }
                });
                assert!(counts.iter().all(|c| c.load(Ordering::SeqCst) == threads));
            }
        }
    }

    #[test]
    fn parked_threads_wake_up() {
        let mut pool = Pool::new(2);
        let ran = AtomicUsize::new(0);
        for _ in 0..3 {
            pool.run(&|_| {
                ran.fetch_add(1, Ordering::SeqCst);
            });
            while !pool.shared.parked[0].load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
        assert_eq!(ran.load(Ordering::SeqCst), 6);
    }
}
