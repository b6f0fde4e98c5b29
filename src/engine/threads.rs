//! How many threads the engine's libraries use.
//!
//! Found in candle-core 0.11.1: `get_num_threads` reads `RAYON_NUM_THREADS` again at every matrix product (else the
//! number of physical cores) and passes it to the `gemm` crate, which runs on rayon's global pool where it is above one
//! and the product large enough, and on the calling thread alone where it is one. The pool takes its size from the same
//! variable when it is first used. There is no other switch without depending on rayon itself, so the variable has to be
//! set before the first product, in a process that is still single-threaded: at the start of a worker.

/// The number of threads that is meant: `wanted`, or all cores for 0.
pub fn thread_count(wanted: usize) -> usize {
    if wanted == 0 { crate::sys::env::cores() } else { wanted }
}

/// The threads of each of `parallel` runs that share this machine: `wanted`, or an equal part of the cores for 0, so that
/// together they have no more threads than there are cores unless they were told to.
pub fn threads_each(wanted: usize, parallel: usize) -> usize {
    if wanted == 0 { (crate::sys::env::cores() / parallel.max(1)).max(1) } else { wanted }
}

/// The environment that limits a process's engine to `threads` threads (0: all cores), for whoever spawns it.
pub fn thread_environment(threads: usize) -> [(&'static str, String); 2] {
    let threads = thread_count(threads);
    // The second variable sizes candle's own barrier pool, which CPU matrix products do not use but others might.
    [("RAYON_NUM_THREADS", threads.to_string()), ("CANDLE_NUM_THREADS", threads.to_string())]
}

/// Limits this process's engine to `threads` threads (0: all cores). Works only while the process has a single thread,
/// so call it first thing; `false` where it is too late and the environment stays as it was. Results do not depend on it.
pub fn limit_threads(threads: usize) -> bool {
    thread_environment(threads).iter().all(|(name, value)| crate::sys::env::set_while_single_threaded(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_share_a_machine_share_its_cores() {
        let cores = crate::sys::env::cores();
        for parallel in 1..=2 * cores {
            let each = threads_each(0, parallel);
            assert!(each >= 1 && (each == 1 || each * parallel <= cores), "{parallel} runs of {each} on {cores} cores");
        }
        assert_eq!((threads_each(0, 1), threads_each(3, 5)), (cores, 3));
    }
}
