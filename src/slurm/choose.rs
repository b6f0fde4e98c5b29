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
mod tests {
    use super::*;
    use crate::config::parse_site;

    const SITE: &str = r#"
name = "x"
[[partitions]]
name = "gpu"
gpu_types = ["a100", "h100"]
max_hours = 24
[[partitions]]
name = "spare"
gpu_types = ["h100"]
preemptible = true
[[partitions]]
name = "quick"
gpu_types = ["h100"]
max_hours = 1
[prices]
a100 = 1.5
h100 = 3.0
[device_memory_mib]
a100 = 40000
h100 = 80000
[relative_speed]
h100 = 2.0
"#;

    fn site(change: &str) -> Site {
        parse_site(&format!("{change}\n{SITE}"), "x", &[]).unwrap()
    }

    /// Free a100 and h100 in gpu, h100 in spare, h100 in quick; and who waits in each.
    fn look(free: [u32; 4], waiting: [u32; 3]) -> Look {
        let supply = |name: &str, free: &[(&str, u32)], waiting: u32| Supply {
            partition: name.into(),
            free: free.iter().map(|(k, n)| (k.to_string(), *n)).collect(),
            total: free.iter().map(|(k, _)| (k.to_string(), 8)).collect(),
            nodes: 4,
            open_nodes: 1,
            waiting,
            ..Supply::default()
        };
        Look {
            at: 1000.0,
            partitions: vec![
                supply("gpu", &[("a100", free[0]), ("h100", free[1])], waiting[0]),
                supply("spare", &[("h100", free[2])], waiting[1]),
                supply("quick", &[("h100", free[3])], waiting[2]),
            ],
        }
    }

    fn need(hours: f64, memory: u64) -> Need {
        Need { seconds: hours * 3600.0, cpus: 1, gpu: true, device_memory_mib: memory, ..Need::default() }
    }

    #[test]
    fn a_table_of_cases() {
        let empty = look([4, 4, 4, 4], [0, 0, 0]);
        // what is special, site, limit in hours, GPU memory, look -> partition, type
        type Case = (&'static str, &'static str, f64, u64, Option<Look>, &'static str, &'static str);
        let cases: [Case; 11] = [
            // Half the time at twice the price: equal dollars, sooner done; quick costs the same and loses nothing.
            ("all free, short", "", 0.9, 0, Some(empty.clone()), "gpu", "h100"),
            (
                "all free, time is worth nothing: the site's order",
                "dollars_per_hour_waited = 0",
                0.9,
                0,
                Some(empty.clone()),
                "gpu",
                "a100",
            ),
            ("the big ones are taken in gpu", "", 0.9, 0, Some(look([4, 0, 0, 4], [9, 9, 0])), "quick", "h100"),
            ("too long for quick", "", 2.0, 0, Some(look([0, 0, 4, 4], [40, 0, 0])), "spare", "h100"),
            (
                "only the small ones are free, and the queue is long",
                "",
                0.9,
                0,
                Some(look([4, 0, 0, 0], [30, 30, 30])),
                "gpu",
                "a100",
            ),
            (
                "needs much memory, so it waits where the queue is shortest",
                "",
                0.9,
                60_000,
                Some(look([4, 0, 0, 0], [9, 30, 3])),
                "quick",
                "h100",
            ),
            ("nothing is known: dollars and the site's order", "", 0.9, 0, None, "gpu", "h100"),
            ("nothing is known, too large for the small ones", "", 0.9, 60_000, None, "gpu", "h100"),
            ("preemption costs too much", "", 2.0, 0, Some(look([4, 4, 4, 0], [0, 0, 0])), "gpu", "h100"),
            (
                "waiting is cheap: the free small one is no dearer",
                "dollars_per_hour_waited = 0.01",
                0.9,
                0,
                Some(look([4, 0, 0, 0], [30, 30, 30])),
                "gpu",
                "a100",
            ),
            (
                "waiting is dear",
                "dollars_per_hour_waited = 100",
                0.9,
                0,
                Some(look([4, 0, 0, 1], [0, 0, 9])),
                "quick",
                "h100",
            ),
        ];
        for (what, change, hours, memory, look, partition, kind) in cases {
            let need = need(hours, memory);
            let (request, placed) = choose(&site(change), &need, 0.8 * need.seconds, look.as_ref(), 1000.0).unwrap();
            assert_eq!(
                (request.partition.as_str(), request.gpu_type.as_deref()),
                (partition, Some(kind)),
                "{what}: {placed:#?}"
            );
            assert_eq!((&request.partition, &request.gpu_type), (&placed.partition, &placed.gpu_type));
            let least = placed.offers.iter().map(|o| o.score).fold(f64::INFINITY, f64::min);
            assert!(placed.offers[0].score <= 1.01 * least + 1e-3, "{what}");
        }
    }

    /// What is reserved is the dearest place, what is charged the one that was chosen.
    #[test]
    fn places_have_prices() {
        let priced = SITE.replace("preemptible = true", "preemptible = true\nprice = 0.5");
        let site = parse_site(&priced, "x", &[]).unwrap();
        assert!(site.is_priced());
        assert_eq!(
            (site.dearest_hour(true), site.dearest_hour(false)),
            (3.0, 0.5),
            "nothing is said of CPUs elsewhere"
        );
        let placed = |free| choose(&site, &need(0.9, 0), 600.0, Some(&look(free, [9, 9, 9])), 1000.0).unwrap().1;
        let there = |p: &Placed| (p.partition.clone(), p.gpu_type.clone().unwrap(), p.dollars_per_device_hour);
        assert_eq!(there(&placed([0, 0, 4, 0])), ("spare".into(), "h100".into(), Some(0.5)));
        assert_eq!(there(&placed([4, 0, 0, 0])), ("gpu".into(), "a100".into(), Some(1.5)));
        assert_eq!(there(&placed([0, 0, 0, 4])), ("quick".into(), "h100".into(), Some(3.0)));
        let free = parse_site("name = \"x\"\n[[partitions]]\nname = \"p\"\ngpu_types = [\"a\"]\n", "x", &[]);
        let free = free.unwrap();
        let (_, placed) = choose(&free, &need(0.9, 0), 600.0, None, 0.0).unwrap();
        assert!(!free.is_priced() && placed.dollars_per_device_hour.is_none());
        let untyped = "name = \"x\"\ntyped_gpus = false\n[[partitions]]\nname = \"p\"\ngpu_types = [\"a\", \"b\"]\n\
                       [prices]\na = 1.0\nb = 4.0\ndefault = 2.0\ncpu = 0.1\n";
        let untyped = parse_site(untyped, "x", &[]).unwrap();
        assert_eq!((untyped.dearest_hour(true), untyped.dearest_hour(false)), (4.0, 0.1));
    }

    /// A free spare GPU is cheaper, and taken, unless preemptions are frequent.
    #[test]
    fn preemption_is_an_expected_loss() {
        let text = SITE.replace("preemptible = true", "preemptible = true\nprice = 1.0\npreemptions_per_hour = RATE");
        let at = |rate: &str| {
            let site = parse_site(&text.replace("RATE", rate), "x", &[]).unwrap();
            let need = need(20.0, 0);
            choose(&site, &need, 36_000.0, Some(&look([4, 4, 4, 0], [0, 0, 0])), 0.0).unwrap().1
        };
        let seldom = at("0.1");
        assert_eq!(seldom.partition, "spare");
        // Five hours on h100: half a preemption, 300 s redone.
        assert!((seldom.offers[0].lost_seconds - 300.0).abs() < 1e-6, "{seldom:#?}");
        assert_eq!(at("30").partition, "gpu");
    }

    #[test]
    fn what_was_placed_is_not_free_for_the_next() {
        let site = site("");
        let mut look = look([2, 1, 0, 1], [0, 5, 0]);
        let mut places = Vec::new();
        for _ in 0..6 {
            let (request, placed) = choose(&site, &need(0.9, 0), 2000.0, Some(&look), 1000.0).unwrap();
            look.promise(&placed, request.gpus);
            places.push((format!("{} {}", placed.partition, placed.gpu_type.unwrap()), placed.offers[0].wait_seconds));
        }
        assert_eq!(places[0], ("gpu h100".to_string(), 0.0));
        assert_eq!(places[1], ("quick h100".to_string(), 0.0));
        // Then they wait for a place of the faster kind, each longer than the one before, until the slower ones are sooner.
        assert!(places[2].1 > 0.0 && places[2].1 < places[4].1, "{places:?}");
        let taken = look.supply("gpu").unwrap().free["h100"] + look.supply("quick").unwrap().free["h100"];
        assert_eq!(taken, 0);
    }

    /// The scheduler's own word counts more than a guess from the queue's length.
    #[test]
    fn an_expected_start_is_believed() {
        let site = site("");
        let mut look = look([0, 0, 0, 0], [1, 1, 50]);
        look.partitions[2].starts.insert("h100".into(), 1060.0);
        let (_, placed) = choose(&site, &need(0.9, 0), 2000.0, Some(&look), 1000.0).unwrap();
        assert_eq!((placed.partition.as_str(), placed.offers[0].wait_seconds), ("quick", 60.0));
    }

    #[test]
    fn attempts_on_cpus_go_where_nodes_are_open() {
        let site = parse_site(
            "name = \"x\"\ngpus = 0\n[[partitions]]\nname = \"a\"\n[[partitions]]\nname = \"b\"\n",
            "x",
            &[],
        )
        .unwrap();
        let supply =
            |name: &str, open_nodes| Supply { partition: name.into(), nodes: 4, open_nodes, ..Supply::default() };
        let look = Look { at: 0.0, partitions: vec![supply("a", 0), supply("b", 1)] };
        let need = Need { seconds: 600.0, cpus: 1, ..Need::default() };
        let (request, placed) = choose(&site, &need, 60.0, Some(&look), 0.0).unwrap();
        assert_eq!((request.partition.as_str(), request.gpus), ("b", 0));
        assert!(placed.words().contains("partition b"), "{}", placed.words());
    }

    #[test]
    fn what_fits_nowhere_is_refused_in_the_same_words() {
        let problem = choose(&site(""), &need(1.0, 100_000), 60.0, None, 0.0).unwrap_err();
        assert!(problem.what.contains("100000 MiB"), "{problem}");
    }

    #[test]
    fn a_look_counts_nodes_in_service_only() {
        let text = "n1 gpu mixed gpu:a:4 gpu:a:1\nn2 gpu down* gpu:a:4 gpu:a:0\nn3 gpu allocated gpu:a:4 gpu:a:4\n";
        let look = Look::of(5.0, &sinfo::parse(text).rows, &[("gpu".to_string(), 7)].into());
        let supply = look.supply("gpu").unwrap();
        assert_eq!(
            (supply.free["a"], supply.total["a"], supply.nodes, supply.open_nodes, supply.waiting),
            (3, 8, 2, 1, 7)
        );
    }
}
