//! Which partition, and which type of GPU, an attempt goes to: by when it is expected to be done and what that costs.
//!
//! Pure: the same site, need and look give the same choice. Where nothing is known of the queue the price decides, and the
//! site's own order where that is equal.

use super::{Need, Offer, Placed, Request, sinfo};
use crate::config::{Site, SitePartition};
use crate::problem::Result;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Seconds that a GPU is held by a job of which nothing is known.
const TYPICAL: f64 = 3600.0;
/// Training that a preemption costs at most, in seconds: what was done since the last checkpoint.
const REDONE: f64 = 600.0;

/// One look at the cluster: what was free, and how long the queues were.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// When, in Unix seconds.
    pub at: f64,
    /// Each partition.
    pub partitions: Vec<Supply>,
}

/// What a partition has to offer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Supply {
    /// Its name.
    pub partition: String,
    /// GPUs by type that are free on nodes in service; the type of untyped ones is empty.
    pub free: BTreeMap<String, u32>,
    /// GPUs by type on nodes in service.
    pub total: BTreeMap<String, u32>,
    /// Nodes that have something free.
    pub open_nodes: u32,
    /// Nodes in service.
    pub nodes: u32,
    /// Jobs of all users that wait there.
    pub waiting: u32,
    /// When the scheduler itself expects a job there to start, by type (Unix seconds), where it was asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub starts: BTreeMap<String, f64>,
}

impl Look {
    /// From `sinfo` and the waiting jobs of each partition.
    pub fn of(at: f64, rows: &[sinfo::Row], waiting: &BTreeMap<String, u32>) -> Self {
        let mut found: BTreeMap<&str, Supply> = BTreeMap::new();
        for row in rows {
            let supply = found.entry(&row.partition).or_insert_with(|| Supply {
                partition: row.partition.clone(),
                waiting: waiting.get(&row.partition).copied().unwrap_or(0),
                ..Supply::default()
            });
            if !row.usable() {
                continue;
            }
            supply.nodes += 1;
            supply.open_nodes += u32::from(row.state == "idle" || row.state == "mixed");
            for (kind, n) in &row.gpus {
                *supply.total.entry(kind.clone()).or_default() += n;
            }
            for (kind, n) in row.free() {
                *supply.free.entry(kind).or_default() += n;
            }
        }
        Look { at, partitions: found.into_values().collect() }
    }

    /// What a partition has to offer.
    pub fn supply(&self, partition: &str) -> Option<&Supply> {
        self.partitions.iter().find(|s| s.partition == partition)
    }

    /// Takes away what a job that was just placed will take, until the next look.
    pub fn promise(&mut self, placed: &Placed, gpus: u32) {
        let nothing = String::new();
        let kind = placed.gpu_type.as_ref().unwrap_or(&nothing);
        let Some(supply) = self.partitions.iter_mut().find(|s| s.partition == placed.partition) else { return };
        // Untyped requests take of any type.
        let key = if supply.free.contains_key(kind) { Some(kind.clone()) } else { supply.free.keys().next().cloned() };
        match key.and_then(|k| supply.free.get_mut(&k)) {
            Some(free) if gpus > 0 && *free >= gpus => *free -= gpus,
            _ if gpus > 0 => supply.waiting += 1,
            _ => {}
        }
    }
}

/// Every way in which a need can be met on a site: partition and GPU type, in the site's order.
pub fn ways(site: &Site, need: &Need) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    for partition in &site.partitions {
        let typed = need.gpu && site.typed_gpus && !partition.gpu_types.is_empty();
        let types = if typed { partition.gpu_types.iter().map(|t| Some(t.clone())).collect() } else { vec![None] };
        for kind in types {
            if Request::on(&narrowed(site, partition, kind.as_deref()), need).is_ok() {
                found.push((partition.name.clone(), kind));
            }
        }
    }
    found
}

/// The site with one partition and one type of GPU.
pub fn narrowed(site: &Site, partition: &SitePartition, kind: Option<&str>) -> Site {
    let mut only = SitePartition { ..partition.clone() };
    if let Some(kind) = kind {
        only.gpu_types = vec![kind.to_string()];
    }
    Site { partitions: vec![only], ..site.clone() }
}

/// Chooses. `expected`: seconds that the attempt is expected to train on a GPU of speed 1. `now`: Unix seconds.
///
/// # Errors
/// As [`Request::on`], where nothing fits.
pub fn choose(site: &Site, need: &Need, expected: f64, look: Option<&Look>, now: f64) -> Result<(Request, Placed)> {
    let mut offers: Vec<Offer> = Vec::new();
    for (name, kind) in ways(site, need) {
        let Some(partition) = site.partition(&name) else { continue };
        offers.push(offer(site, need, partition, kind, expected, look, now));
    }
    // A stable order: equal scores stay in the site's. Differences below a percent are below what is known.
    let least = offers.iter().map(|o| o.score).fold(f64::INFINITY, f64::min);
    let equal = |o: &Offer| o.score <= 1.01 * least + 1e-3;
    let rank = |o: &Offer| if equal(o) { least } else { o.score };
    offers.sort_by(|a, b| rank(a).partial_cmp(&rank(b)).unwrap_or(Ordering::Equal));
    let Some((best, partition)) = offers.first().and_then(|o| Some((o, site.partition(&o.partition)?))) else {
        // Says what is wrong with all of them.
        return Request::on(site, need).map(|request| {
            let (partition, gpu_type) = (request.partition.clone(), request.gpu_type.clone());
            let own = site.partition(&partition);
            let dollars_per_device_hour = own.and_then(|p| hour(site, need, p, gpu_type.as_deref()));
            (request, Placed { partition, gpu_type, dollars_per_device_hour, looked_at: None, offers: Vec::new() })
        });
    };
    let request = Request::on(&narrowed(site, partition, best.gpu_type.as_deref()), need)?;
    let placed = Placed {
        partition: best.partition.clone(),
        gpu_type: best.gpu_type.clone(),
        dollars_per_device_hour: hour(site, need, partition, best.gpu_type.as_deref()),
        looked_at: look.map(|l| l.at),
        offers,
    };
    Ok((request, placed))
}

/// Dollars of a device-hour there; none where the site says nothing of prices.
fn hour(site: &Site, need: &Need, partition: &SitePartition, kind: Option<&str>) -> Option<f64> {
    site.is_priced().then(|| site.hour(partition, need.gpu, kind))
}

fn offer(
    site: &Site,
    need: &Need,
    partition: &SitePartition,
    kind: Option<String>,
    expected: f64,
    look: Option<&Look>,
    now: f64,
) -> Offer {
    let supply = look.and_then(|l| l.supply(&partition.name));
    let of = |counts: &BTreeMap<String, u32>| match &kind {
        Some(kind) => counts.get(kind).copied().unwrap_or(0),
        None => counts.values().sum(),
    };
    let free = supply.map(|s| if need.gpu { of(&s.free) } else { s.open_nodes });
    let needed = if need.gpu { site.gpus.max(1) } else { 1 };
    let wait_seconds = match (supply, free) {
        (Some(supply), Some(free)) => {
            let asked = supply.starts.get(kind.as_deref().unwrap_or_default()).map(|start| (start - now).max(0.0));
            let places = if need.gpu { of(&supply.total) } else { supply.nodes };
            match (free >= needed, asked, places) {
                (true, ..) => 0.0,
                (false, Some(asked), _) => asked,
                // No node in service: nobody knows when.
                (false, None, 0) => 24.0 * TYPICAL,
                (false, None, places) => f64::from(supply.waiting + needed) / f64::from(places) * TYPICAL,
            }
        }
        // Not listed at all, or nothing known: no opinion.
        _ => 0.0,
    };
    let speed = kind.as_deref().and_then(|k| site.relative_speed.get(k)).copied().unwrap_or(1.0);
    let run_seconds = expected / speed;
    let preemptions = if partition.preemptible { partition.preemptions_per_hour * run_seconds / 3600.0 } else { 0.0 };
    let redone = preemptions * REDONE.min(run_seconds / 2.0);
    let lost_seconds = redone + preemptions * wait_seconds;
    let price = site.hour(partition, need.gpu, kind.as_deref());
    let dollars = price * f64::from(needed) * (run_seconds + redone) / 3600.0;
    let done = wait_seconds + run_seconds + lost_seconds;
    Offer {
        partition: partition.name.clone(),
        gpu_type: kind,
        free,
        waiting: supply.map(|s| s.waiting),
        wait_seconds,
        run_seconds,
        lost_seconds,
        dollars,
        score: dollars + site.dollars_per_hour_waited * done / 3600.0,
    }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
