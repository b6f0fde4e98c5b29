//! What attempts held against what they used of it: busy device time and energy, of a run, a kind of run, or the campaign.
//!
//! Held is what was settled, and what was held beyond the reservation. Busy of it was, by the attempts' own looks, the time
//! in which a GPU ran kernels, or a CPU slot's threads computed. Boundary: pure questions about the state.

use super::run::{AttemptEnd, Run};
use super::state::State;
use crate::record::{METRICS_FILE, Metrics, UtilizationSummary, read_metrics, read_utilization};
use crate::units::{Bytes, DeviceTime};
use serde::{Serialize, Serializer};
use std::path::Path;

/// Sums over ended attempts. What no attempt told is absent, and what some told is set against the time of those alone.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Usage {
    /// Attempts that ended.
    pub attempts: usize,
    /// Those of them of which the busy time is known.
    pub measured_attempts: usize,
    /// What all of them held.
    #[serde(rename = "allocated_device_hours", serialize_with = "hours")]
    pub allocated: DeviceTime,
    /// What those held of which the busy time is known.
    #[serde(rename = "measured_device_hours", serialize_with = "hours")]
    pub measured: DeviceTime,
    /// Busy time of those.
    #[serde(rename = "busy_device_hours", serialize_with = "some_hours")]
    pub busy: Option<DeviceTime>,
    /// Busy time over the time of those, 0 to 1.
    pub busy_share: Option<f64>,
    /// What those held of which the energy is known.
    #[serde(rename = "metered_device_hours", serialize_with = "hours")]
    pub metered: DeviceTime,
    /// Joules of those: of whole devices, while they were held.
    pub joules: Option<f64>,
    /// Largest device memory of any, in bytes.
    #[serde(rename = "peak_device_memory")]
    pub device_memory: Option<Bytes>,
}

fn hours<S: Serializer>(time: &DeviceTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.hours())
}

fn some_hours<S: Serializer>(time: &Option<DeviceTime>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(DeviceTime::hours).serialize(serializer)
}

impl Usage {
    /// Of all attempts of one run.
    pub fn of_run(run: &Run) -> Usage {
        Self::of_runs([run])
    }

    /// Of the whole campaign.
    pub fn of(state: &State) -> Usage {
        Self::of_runs(&state.runs)
    }

    /// Of the attempts of some runs.
    pub fn of_runs<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Usage {
        let mut usage = Usage::default();
        let ends = runs.into_iter().flat_map(|run| &run.attempts).filter_map(|attempt| attempt.ended.as_ref());
        ends.for_each(|end| usage.add(end));
        let (busy, measured) = (usage.busy.map(DeviceTime::seconds), usage.measured.seconds());
        usage.busy_share = busy.filter(|_| measured > 0.0).map(|busy| busy / measured);
        usage
    }

    fn add(&mut self, end: &AttemptEnd) {
        let held = end.used.time + end.overrun;
        // Of a device that several share, each looks at the whole and holds, and is told, its part.
        let seconds = end.evidence.seconds;
        let part = if seconds > 0.0 { (held.seconds() / seconds).min(1.0) } else { 1.0 };
        self.attempts += 1;
        self.allocated += held;
        let Some(looks) = &end.evidence.utilization else { return };
        if let Some(seconds) = looks.busy_seconds() {
            // Clocks of two machines, and roundings: nothing is busy for longer than it was held.
            let busy = DeviceTime::of(1, part * seconds).min(held);
            self.measured_attempts += 1;
            self.measured += held;
            self.busy = Some(self.busy.unwrap_or_default() + busy);
        }
        if let Some(joules) = looks.joules() {
            self.metered += held;
            self.joules = Some(self.joules.unwrap_or(0.0) + part * joules);
        }
        self.device_memory = self.device_memory.max(looks.device_memory());
    }

    /// Mean power in watts over the time in which it was metered.
    pub fn watts(&self) -> Option<f64> {
        let seconds = self.metered.seconds();
        self.joules.filter(|_| seconds > 0.0).map(|joules| joules / seconds)
    }

    /// `allocated 25.2 device-min, busy 23.4 device-min (93%), 12.0 Wh`; says where only a part was measured.
    pub fn words(&self) -> String {
        let mut text = format!("allocated {}", self.allocated);
        match (self.busy, self.busy_share) {
            (Some(busy), Some(share)) => {
                text += &format!(", busy {busy} ({:.0}%", 100.0 * share);
                if self.measured < self.allocated {
                    text += &format!(" of the {} that were measured", self.measured);
                }
                text += ")";
            }
            _ => text += ", busy time not measured",
        }
        if let Some(joules) = self.joules {
            text += &format!(", {}", energy(joules));
            if self.metered < self.allocated {
                text += &format!(" in {} of it", self.metered);
            }
        }
        text
    }
}

/// Joules in the unit that a person would choose: `840 J`, `12.3 Wh`, `1.24 kWh`.
pub fn energy(joules: f64) -> String {
    if joules < 3600.0 {
        format!("{joules:.0} J")
    } else if joules < 3.6e6 {
        format!("{:.1} Wh", joules / 3600.0)
    } else {
        format!("{:.2} kWh", joules / 3.6e6)
    }
}

/// How far an attempt without an outcome had come, by its metrics: the last step, and seconds from its first line to its
/// last. Zeros where it left none.
pub(super) fn progress(folder: &Path) -> (u64, f64) {
    let lines = read_metrics(&folder.join(METRICS_FILE)).unwrap_or_default();
    let seconds = |line: &Metrics| match line {
        Metrics::Train { timing, .. } | Metrics::Eval { timing, .. } => timing.seconds,
    };
    match (lines.first(), lines.last()) {
        (Some(first), Some(last)) => (last.step(), (seconds(last) - seconds(first)).max(0.0)),
        _ => (0, 0.0),
    }
}

/// What an attempt without an outcome, or with an old one, told of itself by its looks alone; none where it left none, or
/// where they cannot be read.
pub(super) fn from_looks(folder: &Path, run: &Run) -> Option<UtilizationSummary> {
    let looks = read_utilization(folder).ok()?;
    let resources = &run.experiment.resources;
    // 0 threads mean all of a machine that this may not be: their number is then not known.
    UtilizationSummary::of(&looks, resources.device, resources.threads)
}
