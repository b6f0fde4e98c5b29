//! How far attempts have come that train on through the rungs of successive halving: by the evaluations in their
//! `metrics.jsonl`, of which only what is new is read.
//!
//! Boundary: reads files; what follows is for [`super::promote`].

use super::events::Event;
use super::run::{Reached, Run};
use crate::ids::AttemptId;
use crate::record::{METRICS_FILE, Metrics, parse_metrics};
use crate::sys::fs;
use std::collections::BTreeMap;
use std::path::Path;

/// Seconds between two looks at one attempt, which may be a file on a busy network filesystem.
const EVERY: f64 = 1.0;

/// The looks so far.
#[derive(Debug, Default)]
pub(super) struct Rungs {
    seen: BTreeMap<AttemptId, Look>,
}

/// The last look at an attempt's metrics.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    /// When (monotonic).
    at: f64,
    /// Bytes of whole lines read.
    bytes: u64,
}

impl Rungs {
    /// The rungs that the run's attempt has passed and that are not recorded yet, in their order. `now` (monotonic seconds):
    /// infinity for a look that is not put off. A file that cannot be read now is looked at again: what it says is recorded
    /// late, at the attempt's end at the latest.
    pub fn passed(&mut self, folder: &Path, run: &Run, id: AttemptId, metric: &str, now: f64) -> Vec<Event> {
        let look = self.seen.entry(id).or_insert(Look { at: f64::NEG_INFINITY, bytes: 0 });
        if now - look.at < EVERY {
            return Vec::new();
        }
        look.at = now;
        let evaluations = news(folder, look);
        let done = run.reached.len();
        let reached = reached(&run.rungs[done.min(run.rungs.len())..], &evaluations, metric);
        let event = |(i, Reached { step, value }): (usize, Reached)| {
            let rung = done + i;
            Event::RungPassed { id: id.run, rung, step, value }
        };
        reached.into_iter().enumerate().map(event).collect()
    }
}

/// Whole lines that were added since the last look.
fn news(folder: &Path, look: &mut Look) -> Vec<Metrics> {
    let path = folder.join(METRICS_FILE);
    let length = fs::length(&path).unwrap_or(0);
    if length < look.bytes {
        // Cut back to a checkpoint by a process that goes on in the same folder.
        look.bytes = 0;
    }
    if length == look.bytes {
        return Vec::new();
    }
    let bytes = fs::read_from(&path, look.bytes);
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    look.bytes += whole as u64;
    parse_metrics(&bytes[..whole], &path.display().to_string()).unwrap_or_default()
}

/// The rungs, ascending, that these evaluations come to.
fn reached(rungs: &[u64], evaluations: &[Metrics], metric: &str) -> Vec<Reached> {
    let mut left = rungs.iter().copied().peekable();
    let mut found = Vec::new();
    for line in evaluations {
        if let Metrics::Eval { step, metrics, .. } = line
            && let Some(&value) = metrics.get(metric)
        {
            // Rungs lie on evaluations, so each has one of its own.
            while left.next_if(|rung| rung <= step).is_some() {
                found.push(Reached { step: *step, value });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{MetricsWriter, Timing};

    fn evaluation(step: u64, value: f64) -> Metrics {
        Metrics::Eval { step, metrics: [("loss".to_string(), value)].into(), timing: Timing::default() }
    }

    #[test]
    fn rungs_are_found_as_the_file_grows() {
        let folder = tempfile::tempdir().unwrap();
        let mut look = Look::default();
        assert!(news(folder.path(), &mut look).is_empty(), "no file yet");
        let mut file = MetricsWriter::open(&folder.path().join(METRICS_FILE), 0).unwrap();
        let rungs = [20, 60];
        let mut found = Vec::new();
        for step in [10, 20, 30] {
            file.append(&evaluation(step, step as f64 / 100.0)).unwrap();
            found.extend(reached(&rungs[found.len()..], &news(folder.path(), &mut look), "loss"));
        }
        assert_eq!(found, [Reached { step: 20, value: 0.2 }]);
        assert!(news(folder.path(), &mut look).is_empty(), "nothing is read twice");
        let torn = serde_json::to_string(&evaluation(60, 0.6)).unwrap();
        let mut raw = fs::Appender::open(&folder.path().join(METRICS_FILE)).unwrap();
        raw.append(&torn.as_bytes()[..20]).unwrap();
        assert!(news(folder.path(), &mut look).is_empty(), "half a line says nothing");
        raw.append(&torn.as_bytes()[20..]).unwrap();
        raw.append(b"\n").unwrap();
        assert_eq!(reached(&rungs[1..], &news(folder.path(), &mut look), "loss"), [Reached { step: 60, value: 0.6 }]);
    }
}
