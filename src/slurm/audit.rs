//! A site file against what its cluster says. Pure; one finding a line.

use super::cluster::Cluster;
use super::scontrol::Partition;
use crate::config::{Site, SitePartition};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Good,
    /// It works, and there is something to know.
    Warning,
    /// Jobs would be refused, never start, or be judged wrongly.
    Error,
}

/// One line about the site.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The key of the site file that it is about.
    pub key: String,
    /// What was found, and what to do.
    pub text: String,
}

impl Finding {
    /// As it should be.
    pub fn good(key: impl Into<String>, text: impl Into<String>) -> Self {
        Finding { severity: Severity::Good, key: key.into(), text: text.into() }
    }
    /// Something to know.
    pub fn warning(key: impl Into<String>, text: impl Into<String>) -> Self {
        Finding { severity: Severity::Warning, key: key.into(), text: text.into() }
    }
    /// Something to mend.
    pub fn error(key: impl Into<String>, text: impl Into<String>) -> Self {
        Finding { severity: Severity::Error, key: key.into(), text: text.into() }
    }
}

/// Everything that can be told without submitting anything.
pub fn audit(site: &Site, cluster: &Cluster) -> Vec<Finding> {
    let mut found = Vec::new();
    charge(site, cluster, &mut found);
    for own in &site.partitions {
        partition(site, own, cluster, &mut found);
    }
    clocks(site, cluster, &mut found);
    match cluster.setting("AccountingStorageType") {
        _ if !cluster.has_accounting() => found.push(Finding::warning(
            "accounting",
            "there is none: device time is what the workers' clocks say, and what ended unseen is known from the queue alone",
        )),
        _ if cluster.associations.is_none() => found.push(Finding::warning(
            "accounting",
            "sacctmgr did not answer: ends are judged later, from the workers' own outcomes, while it is away",
        )),
        kind => found.push(Finding::good("accounting", kind.unwrap_or_default())),
    }
    if let Some(container) = &site.container {
        found.push(Finding::warning(
            "container.image",
            format!("{} must be visible from every node; only a job can tell", container.image),
        ));
    }
    found
}

fn charge(site: &Site, cluster: &Cluster, found: &mut Vec<Finding>) {
    let Some(all) = &cluster.associations else { return };
    let accounts = || {
        let mut names: Vec<&str> = all.iter().map(|a| a.account.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    };
    match &site.account {
        Some(account) if !all.iter().any(|a| a.account.eq_ignore_ascii_case(account)) => found.push(Finding::error(
            "account",
            format!(
                "you may not charge \"{account}\"; yours: {}",
                if all.is_empty() { "none".into() } else { accounts() }
            ),
        )),
        Some(account) => found.push(Finding::good("account", account.clone())),
        None if all.iter().filter(|a| a.is_default).count() == 0 && !all.is_empty() => {
            found.push(Finding::error("account", format!("you have no default account: name one of {}", accounts())));
        }
        None => {}
    }
    let known: Vec<&String> = all.iter().flat_map(|a| &a.qos).collect();
    let named = std::iter::once(("qos".to_string(), &site.qos))
        .chain(site.partitions.iter().map(|p| (format!("partitions.{}.qos", p.name), &p.qos)));
    for (key, qos) in named {
        if let Some(qos) = qos.as_ref().filter(|q| !known.is_empty() && !known.contains(q)) {
            let mut list: Vec<&str> = known.iter().map(|q| q.as_str()).collect();
            list.sort_unstable();
            list.dedup();
            found.push(Finding::error(key, format!("you may not use \"{qos}\"; yours: {}", list.join(", "))));
        }
    }
}

fn partition(site: &Site, own: &SitePartition, cluster: &Cluster, found: &mut Vec<Finding>) {
    let key = |what: &str| format!("partitions.{}{what}", own.name);
    let before = found.len();
    let Some(there) = cluster.partition(&own.name) else {
        let names: Vec<&str> = cluster.partitions.iter().map(|p| p.name.as_str()).collect();
        found.push(Finding::error(key(""), format!("there is no such partition; there are {}", names.join(", "))));
        return;
    };
    if !there.up {
        let state = there.fields.get("State").map_or("unknown", String::as_str);
        found.push(Finding::error(key(""), format!("its state is {state}: jobs are not started there")));
    }
    if cluster.rows(&own.name).all(|r| !r.usable()) {
        found.push(Finding::warning(key(""), "none of its nodes can take a job now (sinfo)"));
    }
    if let Some(account) = site.account.as_deref().filter(|a| !cluster.allows(there, a)) {
        found.push(Finding::error(
            key(""),
            format!("account \"{account}\" may not use it (AllowAccounts, DenyAccounts)"),
        ));
    }
    limits(site, own, there, found);
    gpus(site, own, cluster, found);
    match cluster.is_preemptible(there) {
        Some(true) if !own.preemptible => found.push(Finding::warning(
            key(".preemptible"),
            "jobs here can be preempted by a partition of higher priority: set preemptible = true, so that loss is expected",
        )),
        Some(false) if own.preemptible => {
            found.push(Finding::warning(key(".preemptible"), "nothing preempts jobs here, and they are expected to lose time"));
        }
        _ => {}
    }
    match cluster.beyond_limit(Some(there)) {
        None => found.push(Finding::warning(
            "kill_margin_seconds",
            format!("OverTimeLimit is UNLIMITED in {}: a job may hold its GPU beyond what was reserved", own.name),
        )),
        Some(seconds) if (seconds as f64) > site.kill_margin_seconds => found.push(Finding::error(
            "kill_margin_seconds",
            format!(
                "{:.0} s are less than the {seconds} s that a job in {} may last beyond its limit (KillWait, OverTimeLimit, a minute)",
                site.kill_margin_seconds, own.name
            ),
        )),
        Some(_) => {}
    }
    if found.len() == before {
        let limit = Cluster::longest_hours(there).map_or("no time limit".to_string(), |h| format!("up to {h} h"));
        let gpus: Vec<String> = cluster
            .gpus(&own.name)
            .iter()
            .map(|(kind, n)| format!("{n} GPUs{}", if kind.is_empty() { String::new() } else { format!(" {kind}") }))
            .collect();
        let nodes = cluster.rows(&own.name).count();
        let gpus = if gpus.is_empty() { String::new() } else { format!(", {}", gpus.join(", ")) };
        found.push(Finding::good(key(""), format!("up, {nodes} nodes{gpus}, {limit}")));
    }
}

fn limits(site: &Site, own: &SitePartition, there: &Partition, found: &mut Vec<Finding>) {
    let key = format!("partitions.{}.max_hours", own.name);
    let Some(hours) = Cluster::longest_hours(there) else { return };
    if own.max_hours > hours {
        found.push(Finding::error(
            &*key,
            format!("{} h are more than the partition's {hours} h: such jobs would wait for ever", own.max_hours),
        ));
    } else if own.max_hours == 0.0 {
        found.push(Finding::error(
            &*key,
            format!("the partition allows {hours} h, which this program must know: set max_hours = {hours}"),
        ));
    }
    let around = site.margin_seconds() / 3600.0;
    if hours < 2.0 * around {
        found.push(Finding::warning(
            &*key,
            format!(
                "of {hours:.2} h, {around:.2} h go to the warning and margins of each attempt: little is left to train"
            ),
        ));
    }
}

fn gpus(site: &Site, own: &SitePartition, cluster: &Cluster, found: &mut Vec<Finding>) {
    let there = cluster.gpus(&own.name);
    let names =
        || there.keys().map(|k| if k.is_empty() { "untyped" } else { k.as_str() }).collect::<Vec<_>>().join(", ");
    if site.gpus > 0 && there.is_empty() {
        found.push(Finding::error(
            format!("partitions.{}.gpu_types", own.name),
            "it has no GPUs (sinfo), and gpus is above 0: take it out, or make a site of its own with gpus = 0",
        ));
        return;
    }
    for kind in own.gpu_types.iter().filter(|k| !there.contains_key(*k)) {
        found.push(Finding::error(
            format!("partitions.{}.gpu_types", own.name),
            format!(
                "no GPU of type \"{kind}\" is there; there are {}",
                if there.is_empty() { "none".into() } else { names() }
            ),
        ));
    }
    if site.gpus > 0 && site.typed_gpus && there.contains_key("") {
        found.push(Finding::error("typed_gpus", format!("GPUs in {} have no type: set typed_gpus = false", own.name)));
    }
}

fn clocks(site: &Site, cluster: &Cluster, found: &mut Vec<Finding>) {
    let Some(age) = super::scontrol::seconds(&cluster.settings, "MinJobAge") else { return };
    if !cluster.has_accounting() && (age as f64) < 2.0 * site.poll_seconds {
        found.push(Finding::error(
            "poll_seconds",
            format!("jobs vanish from the queue after {age} s (MinJobAge) and there is no accounting: look at least twice in that time"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_site;
    use crate::slurm::propose::propose;

    fn reference() -> Cluster {
        Cluster::of_fixtures("lab|lab||normal,long|\nlab|lab|gpu|normal|\n")
    }

    /// Findings of at least a warning.
    fn found(cluster: &Cluster, change: impl FnOnce(&mut Site)) -> Vec<Finding> {
        let mut site = parse_site(&propose(cluster), "site.toml", &[]).unwrap();
        change(&mut site);
        audit(&site, cluster).into_iter().filter(|f| f.severity > Severity::Good).collect()
    }

    #[test]
    fn what_a_cluster_proposes_it_accepts() {
        assert_eq!(found(&reference(), |_| {}), []);
    }

    #[test]
    fn each_mistake_is_one_finding() {
        type Change = fn(&mut Site, &mut Cluster);
        let cases: [(&str, &str, Severity, Change); 13] = [
            ("account", "yours: lab", Severity::Error, |s, _| s.account = Some("nix".into())),
            ("qos", "yours: long, normal", Severity::Error, |s, _| s.qos = Some("gold".into())),
            ("partitions.gup", "there are gpu, low", Severity::Error, |s, _| s.partitions[0].name = "gup".into()),
            ("partitions.gpu", "DOWN", Severity::Error, |_, c| {
                c.partitions[0].up = false;
                c.partitions[0].fields.insert("State".into(), "DOWN".into());
            }),
            ("partitions.gpu", "AllowAccounts", Severity::Error, |_, c| {
                c.partitions[0].fields.insert("AllowAccounts".into(), "rich,richer".into());
            }),
            ("partitions.gpu.max_hours", "wait for ever", Severity::Error, |s, _| s.partitions[0].max_hours = 2.0),
            ("partitions.gpu.max_hours", "max_hours = 1", Severity::Error, |s, _| s.partitions[0].max_hours = 0.0),
            ("partitions.gpu.gpu_types", "there are h100", Severity::Error, |s, _| {
                s.partitions[0].gpu_types.push("a100".into());
            }),
            ("partitions.low.preemptible", "higher priority", Severity::Warning, |s, _| {
                s.partitions[1].preemptible = false
            }),
            ("partitions.gpu.preemptible", "nothing preempts", Severity::Warning, |s, _| {
                s.partitions[0].preemptible = true
            }),
            ("kill_margin_seconds", "KillWait", Severity::Error, |s, _| {
                s.partitions.truncate(1);
                s.kill_margin_seconds = 10.0;
            }),
            ("accounting", "workers' clocks", Severity::Warning, |s, c| {
                s.poll_seconds = 5.0;
                c.settings.insert("AccountingStorageType".into(), "accounting_storage/none".into());
            }),
            ("accounting", "sacctmgr did not answer", Severity::Warning, |_, c| c.associations = None),
        ];
        for (key, says, severity, change) in cases {
            let mut cluster = reference();
            let mut site = parse_site(&propose(&cluster), "site.toml", &[]).unwrap();
            change(&mut site, &mut cluster);
            let all: Vec<Finding> =
                audit(&site, &cluster).into_iter().filter(|f| f.severity > Severity::Good).collect();
            let [one] = &all[..] else { panic!("{key}: {all:#?}") };
            assert_eq!((one.key.as_str(), one.severity), (key, severity), "{one:?}");
            assert!(one.text.contains(says) && !one.text.contains('\n'), "{one:?}");
        }
    }

    #[test]
    fn untyped_gpus_and_none() {
        let mut cluster = reference();
        let site = parse_site(&propose(&cluster), "site.toml", &[]).unwrap();
        cluster.nodes.iter_mut().for_each(|n| n.gpus = [(String::new(), 4)].into());
        let text: String = audit(&site, &cluster).iter().map(|f| format!("{}: {}\n", f.key, f.text)).collect();
        assert!(text.contains("typed_gpus = false") && text.contains("there are untyped"), "{text}");
        cluster.nodes.iter_mut().for_each(|n| n.gpus.clear());
        let text: String = audit(&site, &cluster).iter().map(|f| format!("{}: {}\n", f.key, f.text)).collect();
        assert!(text.contains("it has no GPUs"), "{text}");
    }
}
