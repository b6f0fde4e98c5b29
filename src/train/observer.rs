//! What the loop tells whoever watches it: progress bars, logs, a watchdog.

use crate::record::Timing;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Something worth a line in a log.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The step count was derived from a budget in device-seconds.
    Calibrated {
        /// Measured median.
        seconds_per_step: f64,
        /// Resolved length of the run.
        total: u64,
    },
    /// Training goes on from a checkpoint.
    Resumed {
        /// Steps done there.
        step: u64,
        /// Its folder.
        from: PathBuf,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Steps done.
        step: u64,
        /// Its folder, relative to the attempt's.
        path: PathBuf,
    },
    /// Something went wrong without stopping the run; also recorded in the manifest when it came before the first step.
    Warning(String),
}

impl fmt::Display for Event {
    /// A line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Calibrated { seconds_per_step, total } => {
                write!(f, "a step takes {:.2} ms, so the budget is {total} steps", seconds_per_step * 1e3)
            }
            Event::Resumed { step, from } => write!(f, "resumed at step {step} from {}", from.display()),
            Event::Checkpoint { step, path } => write!(f, "checkpoint at step {step}: {}", path.display()),
            Event::Warning(text) => write!(f, "warning: {text}"),
        }
    }
}

/// One optimiser step, for people to look at; every step, whether it is recorded or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// Steps done, from 1.
    pub step: u64,
    /// Mean training loss.
    pub loss: f64,
    /// Learning rate.
    pub lr: f64,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
    /// Time, throughput, memory.
    pub timing: Timing,
    /// Seconds of this attempt inside optimiser steps so far.
    pub training_seconds: f64,
}

/// Is told what happens, between steps; every method does nothing unless it is overridden.
pub trait Observer {
    /// Data are being downloaded, before anything else: bytes so far and in all.
    fn on_download(&mut self, _bytes: u64, _total: Option<u64>) {}
    /// Training begins at `done` of `total` steps.
    fn on_start(&mut self, _total: u64, _done: u64) {}
    /// An optimiser step was done.
    fn on_step(&mut self, _step: &Stepped) {}
    /// An evaluation was done after `step` steps.
    fn on_eval(&mut self, _step: u64, _metrics: &BTreeMap<String, f64>) {}
    /// Anything else.
    fn on_event(&mut self, _event: &Event) {}
}

/// Looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
