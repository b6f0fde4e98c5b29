//! Looks at the machine while an attempt runs, by a thread of their own.
//!
//! One look at once, one a second, one at the end, each a line of `utilization.jsonl`. Nothing here may end or delay an
//! attempt: the thread shares nothing with the loop but a tally, nobody waits for it longer than [`PATIENCE`] (a driver that
//! hangs takes its thread with it and nothing else), and a file that cannot be written is one warning in the log.

use super::log::line;
use crate::config::DeviceSpec;
use crate::gpu::Sampler;
use crate::record::{AttemptSpec, Utilization, UtilizationSummary, UtilizationTally, UtilizationWriter};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::{env, process};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Seconds between two looks.
pub(super) const PERIOD: f64 = 1.0;
/// Seconds that the end of an attempt waits for the last look.
pub(super) const PATIENCE: f64 = 0.25;

/// What the thread has seen so far.
#[derive(Debug, Default)]
struct Seen {
    tally: UtilizationTally,
    /// Processor seconds of the thread itself.
    own: f64,
}

/// The thread, from the side of the attempt. Dropping it ends the thread too.
pub(super) struct Sampling {
    device: DeviceSpec,
    threads: usize,
    seen: Arc<Mutex<Seen>>,
    stop: Sender<()>,
    /// Closed when the thread has taken its last look, or is gone.
    done: Mutex<Receiver<()>>,
}

impl Sampling {
    /// Begins to look, for an attempt whose seconds `clock` counts.
    pub fn start(spec: &AttemptSpec, folder: &Path, clock: SystemClock) -> Sampling {
        let resources = &spec.experiment.resources;
        let threads = if resources.threads == 0 { env::cores() } else { resources.threads };
        let ordinal = match resources.device {
            DeviceSpec::Cpu => None,
            DeviceSpec::Cuda(ordinal) => Some(ordinal),
        };
        Self::with(resources.device, threads, folder, clock, PERIOD, move || Sampler::new(ordinal))
    }

    /// The same with another sampler, made in the thread itself (opening a driver takes time), and another period.
    pub fn with(
        device: DeviceSpec,
        threads: usize,
        folder: &Path,
        clock: SystemClock,
        period: f64,
        sampler: impl FnOnce() -> Sampler + Send + 'static,
    ) -> Sampling {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (stop, stopped) = channel();
        let (finished, done) = channel::<()>();
        let (folder, shared) = (folder.to_path_buf(), Arc::clone(&seen));
        let thread = std::thread::Builder::new().name("utilization".into());
        let spawned = thread.spawn(move || {
            // Held to the end of the thread, however it ends.
            let _finished = finished;
            watch(sampler(), &folder, clock, period, &shared, &stopped);
        });
        if let Err(error) = spawned {
            line(clock.monotonic(), &format!("warning: no utilization is recorded: no thread for it: {error}"));
        }
        Sampling { device, threads, seen, stop, done: Mutex::new(done) }
    }

    /// Asks for the last look, waits for it a little, and says what all looks amount to.
    pub fn close(&self) -> Option<UtilizationSummary> {
        // Tests look at what the thread wrote, so they wait until it has, however busy the machine is.
        self.close_within(if cfg!(test) { 60.0 } else { PATIENCE })
    }

    /// The same with another patience, in seconds.
    pub fn close_within(&self, patience: f64) -> Option<UtilizationSummary> {
        // Neither a thread that is gone nor one that does not answer is any reason to do without what it saw before.
        let _ = self.stop.send(());
        let _ = lock(&self.done).recv_timeout(Duration::from_secs_f64(patience));
        let seen = lock(&self.seen);
        let summary = seen.tally.summary(self.device, self.threads)?;
        Some(UtilizationSummary { sampler_seconds: Some(seen.own), ..summary })
    }
}

/// Looks until it is told to stop.
fn watch(
    mut sampler: Sampler,
    folder: &Path,
    clock: SystemClock,
    period: f64,
    seen: &Mutex<Seen>,
    stopped: &Receiver<()>,
) {
    let mut book = Book::open(folder.to_path_buf(), clock);
    let first = clock.monotonic();
    let mut number = 0u64;
    loop {
        look(&mut sampler, &mut book, clock, seen);
        // By the clock and not from look to look, so that looks keep their pace; those that were missed are left out.
        number = (number + 1).max(((clock.monotonic() - first) / period) as u64);
        let wait = (first + number as f64 * period - clock.monotonic()).max(0.0);
        match stopped.recv_timeout(Duration::from_secs_f64(wait)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return look(&mut sampler, &mut book, clock, seen),
        }
    }
}

fn look(sampler: &mut Sampler, book: &mut Book, clock: SystemClock, seen: &Mutex<Seen>) {
    let seconds = (clock.monotonic() * 1e3).round() / 1e3;
    let look = sampler.sample(seconds);
    book.write(&look);
    let mut seen = lock(seen);
    seen.tally.push(&look);
    seen.own = process::thread_processor_seconds();
}

/// The file, until it cannot be written.
struct Book {
    writer: Option<UtilizationWriter>,
    clock: SystemClock,
}

impl Book {
    fn open(folder: PathBuf, clock: SystemClock) -> Book {
        let mut book = Book { writer: None, clock };
        match UtilizationWriter::open(&folder) {
            Ok(writer) => book.writer = Some(writer),
            Err(problem) => book.warn(&problem.to_string()),
        }
        book
    }

    fn write(&mut self, look: &Utilization) {
        if let Some(Err(problem)) = self.writer.as_mut().map(|writer| writer.append(look)) {
            self.writer = None;
            self.warn(&problem.to_string());
        }
    }

    fn warn(&self, problem: &str) {
        line(self.clock.monotonic(), &format!("warning: no further utilization is written: {problem}"));
    }
}

/// A panic of the thread leaves nothing half-changed that matters here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
