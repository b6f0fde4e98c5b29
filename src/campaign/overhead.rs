//! What runs take beyond what they were predicted to: waiting for a place, and device time that came to nothing.
//!
//! Boundary: pure questions about the state.

use super::gain;
use super::run::{Attempt, AttemptEnd};
use super::state::State;
use crate::failure::Class;
use crate::units::DeviceTime;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::Path;

/// Sums over ended attempts. What no record told is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Overhead {
    /// Jobs of a cluster of which the wait in its queue is known.
    pub waited_jobs: usize,
    /// Their mean wait, in seconds.
    pub mean_wait_seconds: Option<f64>,
    /// The longest, in seconds.
    pub longest_wait_seconds: Option<f64>,
    /// Factor from predicted to held time that is expected of further runs, failures included.
    pub factor: f64,
    /// What ended attempts held without anything of it being used later.
    #[serde(rename = "wasted_device_hours", serialize_with = "hours")]
    pub wasted: DeviceTime,
    /// That over everything that was held, 0 to 1.
    pub wasted_share: Option<f64>,
    /// The same by how the attempts ended.
    pub waste: BTreeMap<&'static str, Waste>,
}

/// What attempts of one kind of end held for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Waste {
    /// Attempts that ended so.
    pub attempts: usize,
    /// Their part of [`Overhead::wasted`].
    #[serde(rename = "device_hours", serialize_with = "hours")]
    pub time: DeviceTime,
}

fn hours<S: Serializer>(time: &DeviceTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.hours())
}

impl Overhead {
    /// Of a campaign as it stands.
    pub fn of(state: &State) -> Overhead {
        let mut overhead = Overhead { factor: gain::alpha(state), ..Overhead::default() };
        let (mut held, mut waits) = (DeviceTime::default(), Vec::new());
        for attempt in state.runs.iter().flat_map(|run| &run.attempts) {
            let Some(end) = &attempt.ended else { continue };
            held += end.used.time + end.overrun;
            waits.extend(end.evidence.job.as_ref().and_then(|job| job.waited()));
            if !matches!(end.class, Class::Completed | Class::Paused | Class::Diverged) {
                let wasted = wasted(attempt, end);
                let of_class = overhead.waste.entry(end.class.name()).or_default();
                of_class.attempts += 1;
                of_class.time += wasted;
                overhead.wasted += wasted;
            }
        }
        if !waits.is_empty() {
            overhead.waited_jobs = waits.len();
            overhead.mean_wait_seconds = Some(waits.iter().sum::<f64>() / waits.len() as f64);
            overhead.longest_wait_seconds = waits.iter().copied().reduce(f64::max);
        }
        overhead.wasted_share = (held.ms > 0).then(|| overhead.wasted.seconds() / held.seconds());
        overhead
    }

    /// `12 jobs waited 3 s on average, 14 s at most; wasted 2.1 device-min (8%): 1 out-of-memory 12.0 device-s, ...`; empty
    /// where there is nothing to say.
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        if let (Some(mean), Some(longest)) = (self.mean_wait_seconds, self.longest_wait_seconds) {
            parts.push(format!("{} jobs waited {mean:.0} s on average, {longest:.0} s at most", self.waited_jobs));
        }
        if !self.waste.is_empty() {
            let share = self.wasted_share.map(|s| format!(" ({:.0}%)", 100.0 * s)).unwrap_or_default();
            let of = self.waste.iter().map(|(class, w)| format!("{} {class} {}", w.attempts, w.time));
            parts.push(format!("wasted {}{share}: {}", self.wasted, of.collect::<Vec<_>>().join(", ")));
            parts.push(format!("runs are expected to hold {:.2} x their predicted time", self.factor));
        }
        parts.join("; ")
    }
}

/// What an attempt held but for the steps up to its checkpoint, at the pace of its steps.
fn wasted(attempt: &Attempt, end: &AttemptEnd) -> DeviceTime {
    let held = end.used.time + end.overrun;
    let evidence = &end.evidence;
    let step = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.parse::<u64>().ok();
    let from = attempt.resume_from.as_deref().and_then(step).unwrap_or(0);
    let kept = end.checkpoint.as_deref().and_then(step).unwrap_or(0).saturating_sub(from);
    // Beyond the last line of its metrics an attempt without an outcome may have come a little further.
    let done = evidence.step.saturating_sub(from).max(kept);
    if done == 0 || evidence.seconds <= 0.0 {
        return held;
    }
    let useful = evidence.training_seconds * kept as f64 / done as f64;
    DeviceTime::of(1, held.seconds() * (1.0 - useful / evidence.seconds).clamp(0.0, 1.0)).min(held)
}
