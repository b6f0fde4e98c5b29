//! Partition and GPU type, by a table of cases.

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
    assert_eq!((site.dearest_hour(true), site.dearest_hour(false)), (3.0, 0.5), "nothing is said of CPUs elsewhere");
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
    let site =
        parse_site("name = \"x\"\ngpus = 0\n[[partitions]]\nname = \"a\"\n[[partitions]]\nname = \"b\"\n", "x", &[])
            .unwrap();
    let supply = |name: &str, open_nodes| Supply { partition: name.into(), nodes: 4, open_nodes, ..Supply::default() };
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
    assert_eq!((supply.free["a"], supply.total["a"], supply.nodes, supply.open_nodes, supply.waiting), (3, 8, 2, 1, 7));
}
