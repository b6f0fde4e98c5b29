//! Where an attempt's job was sent, and what was weighed; kept as `place.json` in its folder, and in the journal.

use serde::{Deserialize, Serialize};

/// Where an attempt's job was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// Partition.
    pub partition: String,
    /// GPU type, where the request names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_type: Option<String>,
    /// What a device-hour costs there, in dollars, where the site says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dollars_per_device_hour: Option<f64>,
    /// When the cluster was looked at for it (Unix seconds); none where it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<f64>,
    /// Everything that was possible, the chosen one first.
    pub offers: Vec<Offer>,
}

/// One partition and GPU type as it was weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Partition.
    pub partition: String,
    /// GPU type, where the request would name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_type: Option<String>,
    /// Free GPUs of that type (of an attempt on CPUs: open nodes), where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<u32>,
    /// Jobs of all users that wait in the partition, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u32>,
    /// Expected seconds in the queue.
    pub wait_seconds: f64,
    /// Expected seconds of the attempt.
    pub run_seconds: f64,
    /// Expected seconds that preemptions cost.
    pub lost_seconds: f64,
    /// Expected price in dollars.
    pub dollars: f64,
    /// Dollars, and what the time until it is done is worth; the smallest is chosen.
    pub score: f64,
}

impl Placed {
    /// The choice with its inputs, in one line.
    pub fn words(&self) -> String {
        let Some(first) = self.offers.first() else { return format!("partition {}", self.partition) };
        let others: Vec<String> = self.offers[1..].iter().take(3).map(Offer::words).collect();
        let passed = if others.is_empty() { String::new() } else { format!("; passed over: {}", others.join("; ")) };
        format!("{}{passed}", first.words())
    }
}

impl Offer {
    fn words(&self) -> String {
        let minutes = |s: f64| if s < 120.0 { format!("{s:.0} s") } else { format!("{:.0} min", s / 60.0) };
        let mut text = format!("partition {}", self.partition);
        if let Some(kind) = &self.gpu_type {
            text += &format!(" on {kind}");
        }
        if let (Some(free), Some(waiting)) = (self.free, self.waiting) {
            text += &format!(" ({free} free, {waiting} jobs waiting)");
        }
        text += &format!(": wait {}, run {}", minutes(self.wait_seconds), minutes(self.run_seconds));
        if self.lost_seconds > 0.0 {
            text += &format!(", {} lost to preemption", minutes(self.lost_seconds));
        }
        if self.dollars > 0.0 {
            text += &format!(", ${:.2}", self.dollars);
        }
        text
    }
}
