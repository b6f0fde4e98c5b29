//! A gate at which tests hold a worker: what is to happen to it then happens in the middle of its training on a machine of
//! any speed, since it goes no further before the test lets it.

use crate::sys::clock::{Clock, SystemClock};
use crate::sys::env;
use crate::sys::signal::StopFlag;
use crate::train::{Event, Observer, Stepped};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `STEP:FILE[:FILE...]`: after STEP steps the worker waits until one of the files is there. For tests only; nothing in the
/// program sets it, and without it there is no gate.
const VARIABLE: &str = "NANORESEARCH_TEST_HOLD";
/// Seconds between two looks.
const PERIOD: f64 = 0.02;

/// A step that is not passed before a file is there.
#[derive(Debug, PartialEq)]
struct Gate {
    step: u64,
    keys: Vec<PathBuf>,
}

impl Gate {
    /// None where the text is no gate.
    fn parse(text: &str) -> Option<Self> {
        let (step, keys) = text.split_once(':')?;
        Some(Gate { step: step.parse().ok()?, keys: keys.split(':').map(PathBuf::from).collect() })
    }

    fn open(&self) -> bool {
        self.keys.iter().any(|key| key.exists())
    }
}

/// Passes everything on to another observer, and waits at the gate.
pub(super) struct Held<'a> {
    inner: &'a mut dyn Observer,
    gate: Option<Gate>,
    stop: &'a StopFlag,
}

impl<'a> Held<'a> {
    pub fn new(inner: &'a mut dyn Observer, stop: &'a StopFlag) -> Self {
        Held { inner, gate: env::var(VARIABLE).and_then(|text| Gate::parse(&text)), stop }
    }
}

impl Observer for Held<'_> {
    fn on_download(&mut self, bytes: u64, total: Option<u64>) {
        self.inner.on_download(bytes, total);
    }
    fn on_start(&mut self, total: u64, done: u64) {
        self.inner.on_start(total, done);
    }
    fn on_step(&mut self, step: &Stepped) {
        self.inner.on_step(step);
        if let Some(gate) = self.gate.take_if(|gate| step.step >= gate.step) {
            // One that is asked to leave comes to its end as it would without a gate.
            while !gate.open() && !self.stop.requested() {
                SystemClock::default().sleep(PERIOD);
            }
        }
    }
    fn on_eval(&mut self, step: u64, metrics: &BTreeMap<String, f64>) {
        self.inner.on_eval(step, metrics);
    }
    fn on_event(&mut self, event: &Event) {
        self.inner.on_event(event);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::train::Silent;

    #[test]
    fn a_worker_waits_at_its_gate_until_it_is_opened_or_asked_to_leave() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let text = format!("3:{}:elsewhere", key.display());
        let gate = || Gate::parse(&text);
        assert_eq!(gate().unwrap().keys.len(), 2);
        assert_eq!(Gate::parse("soon:key"), None);
        let at = |step| Stepped {
            step,
            loss: 1.0,
            lr: 0.1,
            grad_norm: 1.0,
            timing: Default::default(),
            training_seconds: 0.0,
        };
        let stop = StopFlag::inert();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut inner = Silent;
                let mut held = Held { inner: &mut inner, gate: gate(), stop: &stop };
                held.on_step(&at(2));
                assert!(held.gate.is_some(), "not there yet");
                held.on_step(&at(3));
                assert_eq!(held.gate, None);
            });
            std::thread::sleep(std::time::Duration::from_millis(100));
            assert!(!waiting.is_finished());
            std::fs::write(&key, "").unwrap();
            waiting.join().unwrap();
        });
        std::fs::remove_file(&key).unwrap();
        stop.request();
        Held { inner: &mut Silent, gate: gate(), stop: &stop }.on_step(&at(4));
    }
}
