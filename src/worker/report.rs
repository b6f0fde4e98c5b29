//! The attempt's last word: exactly one outcome, whether the loop or the watchdog comes to write it.

use super::sampling::Sampling;
use crate::problem::Result;
use crate::record::{CHECKPOINTS_FOLDER, End, FORMAT, Outcome, list_checkpoints};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::env;
use crate::sys::process::resident_memory;
use crate::train::{Event, Observer, Stepped};
use crate::units::{Bytes, DeviceTime};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is known of the training so far, for an outcome that has to be written without the loop's help.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub step: u64,
    pub metrics: BTreeMap<String, f64>,
    pub training_seconds: f64,
    pub weights: Option<String>,
    pub checkpoint: Option<PathBuf>,
}

/// Shared by the loop and the watchdog.
pub(super) struct Report<'a> {
    folder: &'a Path,
    clock: SystemClock,
    sampling: Option<Sampling>,
    snapshot: Mutex<Snapshot>,
    /// Whether the outcome was written. Whoever writes it holds this lock until it is on disk, so that there is one.
    written: Mutex<bool>,
    changed: Condvar,
}

impl<'a> Report<'a> {
    pub fn new(folder: &'a Path, clock: SystemClock) -> Self {
        let (snapshot, written) = (Mutex::default(), Mutex::default());
        Report { folder, clock, sampling: None, snapshot, written, changed: Condvar::new() }
    }

    /// With looks at the machine, to be summed up in the outcome.
    pub fn with(self, sampling: Sampling) -> Self {
        Report { sampling: Some(sampling), ..self }
    }

    pub fn snapshot(&self) -> Snapshot {
        lock(&self.snapshot).clone()
    }

    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut lock(&self.snapshot));
    }

    /// Wall seconds of the attempt so far.
    pub fn seconds(&self) -> f64 {
        self.clock.monotonic()
    }

    /// Writes the outcome, or waits for ever behind a watchdog that is about to end the process.
    pub fn finish(&self, end: End) -> Result<Outcome> {
        let mut written = lock(&self.written);
        let outcome = self.outcome(end);
        // Done even if it could not be written: the watchdog could not either.
        *written = true;
        self.changed.notify_all();
        outcome.write(self.folder)?;
        Ok(outcome)
    }

    /// Waits until the outcome is written or `seconds` have passed; whether it is.
    pub fn wait(&self, seconds: f64) -> bool {
        let written = lock(&self.written);
        let waited = self.changed.wait_timeout_while(written, Duration::from_secs_f64(seconds), |done| !*done);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// For the watchdog: writes the outcome unless there is one, then leaves by `exit` with the lock held.
    pub fn finish_and(&self, end: End, exit: impl FnOnce()) {
        let written = lock(&self.written);
        if !*written {
            // Nothing is left to do with a failure: the exit code speaks, and the log has the cause.
            if let Err(problem) = self.outcome(end).write(self.folder) {
                super::log::line(self.seconds(), &format!("the outcome could not be written: {problem}"));
            }
            exit();
        }
    }

    fn outcome(&self, end: End) -> Outcome {
        let Snapshot { step, metrics, training_seconds, weights, checkpoint } = self.snapshot();
        let utilization = self.sampling.as_ref().and_then(Sampling::close);
        let seconds = self.seconds();
        Outcome {
            format: FORMAT,
            end,
            step,
            metrics,
            seconds,
            training_seconds,
            device_time: DeviceTime::of(1, seconds),
            peak_memory: Bytes(resident_memory().1),
            weights,
            checkpoint: checkpoint.or_else(|| self.newest_checkpoint()),
            // SLURM sets it for a job and nobody else does.
            node: env::var("SLURMD_NODENAME"),
            utilization,
        }
    }

    /// One of an earlier process in this folder, where this one wrote none.
    fn newest_checkpoint(&self) -> Option<PathBuf> {
        let (_, path) = list_checkpoints(&self.folder.join(CHECKPOINTS_FOLDER)).ok()?.pop()?;
        path.strip_prefix(self.folder).ok().map(Path::to_path_buf)
    }
}

/// A panic elsewhere cannot leave these values half-changed in a way that matters here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes everything on to another observer and keeps the snapshot current.
pub(super) struct Reporting<'a> {
    pub report: &'a Report<'a>,
    pub inner: &'a mut dyn Observer,
}

impl Observer for Reporting<'_> {
    fn on_download(&mut self, bytes: u64, total: Option<u64>) {
        self.inner.on_download(bytes, total);
    }
    fn on_start(&mut self, total: u64, done: u64) {
        self.report.update(|s| s.step = done);
        self.inner.on_start(total, done);
    }
    fn on_step(&mut self, step: &Stepped) {
        self.report.update(|s| (s.step, s.training_seconds) = (step.step, step.training_seconds));
        self.inner.on_step(step);
    }
    fn on_eval(&mut self, step: u64, metrics: &BTreeMap<String, f64>) {
        self.report.update(|s| s.metrics = metrics.clone());
        self.inner.on_eval(step, metrics);
    }
    fn on_event(&mut self, event: &Event) {
        if let Event::Checkpoint { path, .. } = event {
            self.report.update(|s| s.checkpoint = Some(path.clone()));
        }
        self.inner.on_event(event);
    }
}
