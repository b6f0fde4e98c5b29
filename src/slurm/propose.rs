//! A site file from what a cluster says of itself, with comments on what only a person knows.

use super::cluster::{Association, Cluster};
use super::scontrol::Partition;
use std::fmt::Write;

/// A partition with a shorter limit than this leaves no time between start-up, warning and margin, in hours.
const SHORTEST: f64 = 0.25;
/// Memory of GPUs that come in one size, in MiB, by what their type begins with.
const MEMORY: [(&str, u64); 8] = [
    ("h200", 143_771),
    ("h100", 81_559),
    ("l40s", 46_068),
    ("l40", 46_068),
    ("l4", 23_034),
    ("b200", 183_359),
    ("a40", 46_068),
    ("t4", 15_360),
];

/// A partition that a site may use.
struct Usable<'a> {
    partition: &'a Partition,
    types: Vec<String>,
    preemptible: Option<bool>,
}

/// The site as commented TOML. It is valid wherever the cluster has a partition that can be used.
pub fn propose(cluster: &Cluster) -> String {
    let account = cluster.associations.as_deref().and_then(default_association);
    let (usable, left_out) = partitions(cluster, account);
    let gpus = usable.iter().any(|u| !cluster.gpus(&u.partition.name).is_empty());
    let untyped = gpus && usable.iter().any(|u| u.types.is_empty());
    let first = usable.first().map(|u| u.partition);
    let mut text = String::new();
    let mut say = |line: &str| text = format!("{text}{line}\n");
    say("# What this cluster says of itself (sinfo, scontrol, sacctmgr). What only people know is left to fill in.");
    say(
        "# Every key: `nanoresearch schema site`. Compare it with the cluster: `nanoresearch check site.toml --cluster`.",
    );
    say("");
    let name = cluster.setting("ClusterName").unwrap_or_else(|| "cluster".to_string());
    say(&format!("name = \"{}\"", word(&name)));
    match (account, cluster.associations.as_deref()) {
        (Some(a), Some(all)) => {
            say(&format!("account = \"{}\"", a.account));
            let others: Vec<&str> = all.iter().map(|o| o.account.as_str()).filter(|o| *o != a.account).collect();
            if !others.is_empty() {
                say(&format!("# You may also charge: {}", unique(&others)));
            }
            if !a.qos.is_empty() {
                let default = a.default_qos.as_deref().map_or(String::new(), |q| format!("; {q} where none is named"));
                say(&format!("# qos = \"...\"    # one of {}{default}", a.qos.join(", ")));
            }
        }
        _ => say("# account = \"...\"    # accounting did not say what you may charge; needed where you have several"),
    }
    if gpus {
        say(
            "# A job asks for a GPU by --gres=gpu:TYPE:1; \"gpus\" (--gpus) and \"gpus-per-node\" where your site wants those.",
        );
        say("gpu_request = \"gres\"");
        if untyped {
            say("typed_gpus = false    # not all GPUs have a type here");
        }
        say("gpus = 1");
    } else {
        say("gpus = 0    # no GPUs were seen");
    }
    let (cpus, memory) = share(cluster, first, gpus);
    say(&format!("cpus = {cpus}    # a GPU's share of its node"));
    match (has_default_memory(cluster, first), memory) {
        (false, Some(memory)) => {
            say(&format!("memory_mib = {memory}    # a job that says nothing would get the node's whole memory here"));
        }
        _ => {
            say("# memory_mib = 16000    # default: the partition's, or what the cost model expects where that is more")
        }
    }
    say("# modules = [\"cuda/12.4\"]    # loaded after `module purge`; what `module avail` lists");
    say("# scratch = \"/scratch/$USER/$SLURM_JOB_ID\"    # TMPDIR of a job");
    say("");
    match cluster.beyond_limit(first) {
        Some(seconds) => {
            say(
                "# KillWait and OverTimeLimit of this cluster, and the minute in which its scheduler looks; reserved with every attempt.",
            );
            say(&format!("kill_margin_seconds = {seconds}"));
        }
        None => {
            say("# OverTimeLimit is UNLIMITED here: a job may last beyond its limit until somebody needs its place.");
            say("kill_margin_seconds = 3600");
        }
    }
    say("warning_seconds = 120    # before its limit a job is told to checkpoint");
    say("poll_seconds = 30");
    say("# Ask your site: \"controller\" (a quiet process may stay on a login node), \"job\", or \"cron\".");
    say("login_node = \"controller\"");
    if !cluster.has_accounting() {
        say("# There is no accounting here: what was used is what the workers' own clocks say.");
    }
    say("");
    say("# The cheapest and soonest is chosen; at equal terms the first.");
    for u in &usable {
        say("[[partitions]]");
        say(&format!("name = \"{}\"", u.partition.name));
        if !u.types.is_empty() && !untyped {
            let types: Vec<String> = u.types.iter().map(|t| format!("\"{t}\"")).collect();
            say(&format!("gpu_types = [{}]", types.join(", ")));
        }
        if let Some(hours) = Cluster::longest_hours(u.partition) {
            say(&format!("max_hours = {}", (hours * 100.0).floor() / 100.0));
        }
        match u.preemptible {
            Some(true) => say("preemptible = true    # a partition of higher priority shares its nodes"),
            Some(false) => {}
            None => say("# preemptible = true    # a quality of service decides that here"),
        }
        say("");
    }
    for (name, why) in left_out {
        say(&format!("# Left out: {name}, {why}."));
    }
    let mut types: Vec<&String> = usable.iter().flat_map(|u| &u.types).collect();
    types.sort();
    types.dedup();
    if gpus {
        say(
            "# What a GPU holds, in MiB (nvidia-smi): runs that need more are not proposed, what ran out is given a larger one.",
        );
        say("[device_memory_mib]");
        for kind in &types {
            let known = MEMORY.iter().find(|(start, _)| kind.to_lowercase().starts_with(start));
            say(&known.map_or(format!("# {kind} = 40960"), |(_, mib)| format!("{kind} = {mib}")));
        }
        say("");
    }
    say("# Dollars a device-hour, as far as they count for you.");
    say("[prices]");
    types.iter().for_each(|kind| say(&format!("# {kind} = 2.5")));
    say("# cpu = 0.05");
    text
}

/// What may be used, in the cluster's order, the default partition first; and what may not, and why.
fn partitions<'a>(cluster: &'a Cluster, account: Option<&Association>) -> (Vec<Usable<'a>>, Vec<(&'a str, String)>) {
    let (mut usable, mut left_out) = (Vec::new(), Vec::new());
    let has_gpus = |p: &Partition| !cluster.gpus(&p.name).is_empty();
    let any_gpus = cluster.partitions.iter().any(has_gpus);
    for partition in &cluster.partitions {
        let hours = Cluster::longest_hours(partition);
        let why = if !partition.up {
            Some("it is not up".to_string())
        } else if account.is_some_and(|a| !cluster.allows(partition, &a.account)) {
            Some("your account may not use it".to_string())
        } else if hours.is_some_and(|h| h < SHORTEST) {
            Some(format!("its limit of {:.0} min leaves no time for work", hours.unwrap_or_default() * 60.0))
        } else if any_gpus && !has_gpus(partition) {
            Some("it has no GPUs; for campaigns on CPUs make another site file with gpus = 0".to_string())
        } else {
            None
        };
        if let Some(why) = why {
            left_out.push((partition.name.as_str(), why));
            continue;
        }
        let types = cluster.gpus(&partition.name).into_keys().filter(|t| !t.is_empty()).collect();
        usable.push(Usable { partition, types, preemptible: cluster.is_preemptible(partition) });
    }
    let default = |u: &Usable| u.partition.fields.get("Default").is_some_and(|d| d == "YES");
    usable.sort_by_key(|u| !default(u));
    (usable, left_out)
}

fn default_association(all: &[Association]) -> Option<&Association> {
    all.iter().find(|a| a.is_default).or_else(|| all.first())
}

/// CPUs and MiB that go with one GPU of a partition; without GPUs four CPUs and no opinion.
fn share(cluster: &Cluster, partition: Option<&Partition>, gpus: bool) -> (u32, Option<u64>) {
    let Some(partition) = partition.filter(|_| gpus) else { return (4, None) };
    let gpus = cluster.gpus(&partition.name).values().sum::<u32>().max(1);
    let memory = partition.total.memory.map(|m| (m.0 >> 20) / u64::from(gpus) * 9 / 10);
    ((partition.total.cpus / gpus).clamp(1, 16), memory)
}

/// Whether a job that asks for no memory gets a modest share.
fn has_default_memory(cluster: &Cluster, partition: Option<&Partition>) -> bool {
    let number = |value: Option<&String>| value.is_some_and(|v| v.parse::<u64>().is_ok_and(|n| n > 0));
    let keys = ["DefMemPerCPU", "DefMemPerNode", "DefMemPerGPU"];
    keys.iter().any(|k| number(partition.and_then(|p| p.fields.get(*k))) || number(cluster.settings.get(*k)))
}

fn unique(names: &[&str]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// A name of letters, digits, `-` and `_`.
fn word(text: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let mut name = String::new();
    let _ = write!(name, "{}", text.chars().map(legal).take(64).collect::<String>().trim_start_matches('-'));
    if name.is_empty() { "cluster".to_string() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoginNode, parse_site};

    fn reference() -> Cluster {
        Cluster::of_fixtures("lab|lab||normal,long|\nother|lab|||\n")
    }

    #[test]
    fn a_cluster_makes_a_valid_site() {
        let text = propose(&reference());
        let site = parse_site(&text, "site.toml", &[]).unwrap_or_else(|p| panic!("{p}\n{text}"));
        assert_eq!(
            (site.name.as_str(), site.account.as_deref(), site.gpus, site.typed_gpus),
            ("dev", Some("lab"), 1, true)
        );
        let names: Vec<&str> = site.partitions.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["gpu", "low", "lowcancel"], "{text}");
        assert!(text.contains("# Left out: cpu, its limit of 10 min"), "{text}");
        assert!(text.contains("You may also charge: other") && text.contains("one of normal, long"), "{text}");
        assert_eq!(site.partitions[0].gpu_types, ["h100"]);
        assert_eq!((site.partitions[0].max_hours, site.partitions[0].preemptible), (1.0, false));
        assert!(site.partitions[1].preemptible, "gpu has a higher tier and the same nodes: {text}");
        assert_eq!(site.device_memory_mib["h100"], 81559);
        assert_eq!(site.login_node, LoginNode::Controller);
    }

    #[test]
    fn without_gpus_types_and_accounting_it_is_valid_too() {
        let mut cluster = reference();
        cluster.associations = None;
        cluster.nodes.iter_mut().for_each(|n| n.gpus.clear());
        let site = parse_site(&propose(&cluster), "site.toml", &[]).unwrap();
        assert_eq!((site.gpus, site.account), (0, None));
        let mut cluster = reference();
        for node in &mut cluster.nodes {
            node.gpus = node.gpus.values().map(|n| (String::new(), *n)).collect();
        }
        let site = parse_site(&propose(&cluster), "site.toml", &[]).unwrap();
        assert_eq!((site.gpus, site.typed_gpus), (1, false));
    }

    #[test]
    fn margins_follow_the_cluster() {
        let mut cluster = reference();
        cluster.settings.insert("KillWait".into(), "30 sec".into());
        cluster.settings.insert("OverTimeLimit".into(), "5 min".into());
        assert_eq!(cluster.beyond_limit(None), Some(390));
        cluster.partitions[0].fields.insert("OverTimeLimit".into(), "1".into());
        assert_eq!(cluster.beyond_limit(cluster.partition("gpu")), Some(150));
        cluster.settings.insert("OverTimeLimit".into(), "UNLIMITED".into());
        assert_eq!(cluster.beyond_limit(None), None);
        assert!(parse_site(&propose(&cluster), "s", &[]).is_ok());
    }

    #[test]
    fn memory_is_asked_for_where_a_job_would_get_it_all() {
        let mut cluster = reference();
        cluster.settings.insert("DefMemPerNode".into(), "UNLIMITED".into());
        cluster.partitions.iter_mut().for_each(|p| drop(p.fields.remove("DefMemPerCPU")));
        let site = parse_site(&propose(&cluster), "s", &[]).unwrap();
        assert_eq!((site.memory_mib, site.cpus), (1800, 2), "nine tenths of a GPU's share");
    }
}
