//! Lines for `worker.log`, which is the worker's stderr.

use crate::sys::clock::{Clock, SystemClock};
use crate::train::{Event, Observer};
use std::collections::BTreeMap;
use std::io::Write;

/// One line with the attempt's age.
pub(super) fn line(seconds: f64, text: &str) {
    // A closed or full stderr must not end the attempt.
    let _ = writeln!(std::io::stderr().lock(), "[{seconds:9.3} s] {text}");
}

/// Writes what matters to a person who looks for what happened.
pub(super) struct Log {
    pub clock: SystemClock,
}

impl Log {
    pub fn say(&self, text: &str) {
        line(self.clock.monotonic(), text);
    }
}

impl Observer for Log {
    fn on_start(&mut self, total: u64, done: u64) {
        self.say(&format!("training from step {done} of {total}"));
    }
    fn on_eval(&mut self, step: u64, metrics: &BTreeMap<String, f64>) {
        let values: Vec<String> = metrics.iter().map(|(name, value)| format!("{name} {value:.5}")).collect();
        self.say(&format!("step {step}: {}", values.join(", ")));
    }
    fn on_event(&mut self, event: &Event) {
        self.say(&event.to_string());
    }
}
