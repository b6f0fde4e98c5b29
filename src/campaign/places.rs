//! What ended attempts held and cost by the place where they ran: partition and GPU type.
//!
//! Boundary: a pure question about the state.

use super::ledger::Amount;
use super::state::State;
use crate::units::{DeviceTime, Dollars};
use serde::Serialize;
use std::collections::BTreeMap;

/// One place's sums.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlaceSum {
    /// Partition.
    pub partition: String,
    /// GPU type, where the request named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_type: Option<String>,
    /// Attempts that ended there.
    pub attempts: usize,
    /// Settled of them, in device-hours.
    pub device_hours: f64,
    /// Settled of them, in dollars.
    pub dollars: f64,
    /// Mean wait in its queue in seconds, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_wait_seconds: Option<f64>,
}

/// Partition and GPU type.
type Place = (String, Option<String>);

/// Every place where an attempt has ended, by name; none where attempts have no places.
pub fn places(state: &State) -> Vec<PlaceSum> {
    let mut found: BTreeMap<Place, (usize, Amount, Vec<f64>)> = BTreeMap::new();
    for attempt in state.runs.iter().flat_map(|run| &run.attempts) {
        let Some(end) = &attempt.ended else { continue };
        let job = end.evidence.job.as_ref();
        let (sent, kind) = attempt.placed.as_ref().map_or((None, None), |p| (Some(&p.partition), p.gpu_type.clone()));
        let Some(partition) = job.and_then(|job| job.partition.as_ref()).or(sent) else { continue };
        // Of one that was moved the type is not known.
        let kind = kind.filter(|_| sent == Some(partition));
        let (attempts, amount, waits) = found.entry((partition.clone(), kind)).or_default();
        *attempts += 1;
        *amount += end.used;
        waits.extend(job.and_then(|job| job.waited()));
    }
    let sum = |((partition, gpu_type), (attempts, amount, waits)): (Place, (usize, Amount, Vec<f64>))| PlaceSum {
        partition,
        gpu_type,
        attempts,
        device_hours: amount.time.hours(),
        dollars: amount.dollars.value(),
        mean_wait_seconds: (!waits.is_empty()).then(|| waits.iter().sum::<f64>() / waits.len() as f64),
    };
    found.into_iter().map(sum).collect()
}

impl PlaceSum {
    /// `gpu on h100: 12 attempts, 3.10 device-h, $6.20, waited 40 s each`.
    pub fn words(&self) -> String {
        let on = self.gpu_type.as_ref().map(|kind| format!(" on {kind}")).unwrap_or_default();
        let time = DeviceTime::from_hours(self.device_hours);
        let plural = if self.attempts == 1 { "" } else { "s" };
        let mut text = format!("{}{on}: {} attempt{plural}, {time}", self.partition, self.attempts);
        if self.dollars > 0.0 {
            text += &format!(", {}", Dollars::of(self.dollars));
        }
        if let Some(wait) = self.mean_wait_seconds {
            text += &format!(", waited {wait:.0} s each");
        }
        text
    }
}
