//! What a cluster says of itself, put together from `scontrol`, `sinfo` and `sacctmgr`.

use super::listing::something;
use super::scontrol::{self, Partition};
use super::{Limit, expand_nodes, sinfo};
use std::collections::{BTreeMap, BTreeSet};

/// The cluster, as far as it answered.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// Its settings by name (`KillWait`).
    pub settings: BTreeMap<String, String>,
    /// Its partitions, hidden ones left out.
    pub partitions: Vec<Partition>,
    /// Its nodes, once for each partition.
    pub nodes: Vec<sinfo::Row>,
    /// What this user may charge; none where accounting did not answer.
    pub associations: Option<Vec<Association>>,
}

/// An account that this user may charge jobs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// Account.
    pub account: String,
    /// The one partition that it holds for, where it is limited to one.
    pub partition: Option<String>,
    /// Qualities of service that it may name.
    pub qos: Vec<String>,
    /// The one that is taken where none is named.
    pub default_qos: Option<String>,
    /// Whether it is this user's default.
    pub is_default: bool,
}

/// Arguments of `sacctmgr` that ask for what a user may charge.
pub fn association_arguments(user: &str) -> Vec<String> {
    let user = format!("user={user}");
    [
        "--noheader",
        "--parsable2",
        "show",
        "user",
        &user,
        "withassoc",
        "format=account,defaultaccount,partition,qos,defaultqos",
    ]
    .map(str::to_string)
    .to_vec()
}

/// Reads the answer.
pub fn parse_associations(text: &str) -> Vec<Association> {
    let read = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        let [account, default, partition, qos, default_qos] = fields[..] else { return None };
        Some(Association {
            account: something(account)?,
            partition: something(partition),
            qos: qos.split(',').filter_map(something).collect(),
            default_qos: something(default_qos),
            is_default: account == default,
        })
    };
    text.lines().filter_map(read).collect()
}

impl Cluster {
    /// The cluster that the fixtures are of, with these associations.
    #[cfg(test)]
    pub(super) fn of_fixtures(associations: &str) -> Self {
        let fixture = |name: &str| {
            std::fs::read_to_string(format!("{}/tests/fixtures/slurm/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        Self::read(
            &fixture("scontrol_config.txt"),
            &fixture("scontrol_partition.txt"),
            &fixture("sinfo.txt"),
            Some(associations),
        )
    }

    /// From the answers of `scontrol show config`, `scontrol show partition`, `sinfo` and, where accounting answered,
    /// `sacctmgr`.
    pub fn read(config: &str, partitions: &str, nodes: &str, associations: Option<&str>) -> Self {
        Cluster {
            settings: scontrol::parse_config(config),
            partitions: scontrol::parse_partitions(partitions),
            nodes: sinfo::parse(nodes).rows,
            associations: associations.map(parse_associations),
        }
    }

    /// Its partition of this name.
    pub fn partition(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.name == name)
    }

    /// A setting that says something.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).and_then(|value| something(value))
    }

    /// GPUs in a partition by type, on all of its nodes, usable now or not; the type of untyped ones is empty.
    pub fn gpus(&self, partition: &str) -> BTreeMap<String, u32> {
        let mut sum = BTreeMap::new();
        for (kind, n) in self.rows(partition).flat_map(|r| &r.gpus) {
            *sum.entry(kind.clone()).or_insert(0u32) += n;
        }
        sum
    }

    /// Its nodes in a partition.
    pub fn rows<'a>(&'a self, partition: &'a str) -> impl Iterator<Item = &'a sinfo::Row> {
        self.nodes.iter().filter(move |r| r.partition == partition)
    }

    /// Whether anything is kept of jobs that ended.
    pub fn has_accounting(&self) -> bool {
        self.setting("AccountingStorageType").is_some_and(|kind| !kind.ends_with("/none"))
    }

    /// Seconds that a job may last beyond its limit in a partition: OverTimeLimit, KillWait and the minute in which the
    /// scheduler looks. None: for as long as it likes.
    pub fn beyond_limit(&self, partition: Option<&Partition>) -> Option<u64> {
        const LOOK: u64 = 60;
        let own = partition.and_then(|p| p.fields.get("OverTimeLimit")).filter(|v| *v != "NONE");
        let over = own.or_else(|| self.settings.get("OverTimeLimit"));
        let over = match over.map(|v| v.split_whitespace().next().unwrap_or_default()) {
            Some("UNLIMITED") => return None,
            Some(minutes) => minutes.parse::<u64>().unwrap_or(0) * 60,
            None => 0,
        };
        Some(over + scontrol::seconds(&self.settings, "KillWait").unwrap_or(30) + LOOK)
    }

    /// Whether jobs in a partition can be preempted, as far as partitions decide that: some other partition of higher
    /// priority shares a node with it. None where a quality of service decides.
    pub fn is_preemptible(&self, partition: &Partition) -> Option<bool> {
        let kind = self.setting("PreemptType").unwrap_or_default();
        if kind.ends_with("/qos") {
            return None;
        }
        let mode = partition.fields.get("PreemptMode").map_or("OFF", String::as_str);
        if !kind.ends_with("/partition_prio") || mode == "OFF" {
            return Some(false);
        }
        let tier = |p: &Partition| p.fields.get("PriorityTier").and_then(|t| t.parse::<u64>().ok()).unwrap_or(0);
        let names = |p: &Partition| -> BTreeSet<String> {
            p.fields.get("Nodes").and_then(|list| expand_nodes(list)).unwrap_or_default().into_iter().collect()
        };
        let own = names(partition);
        Some(self.partitions.iter().any(|p| tier(p) > tier(partition) && !names(p).is_disjoint(&own)))
    }

    /// Whether an account may use a partition.
    pub fn allows(&self, partition: &Partition, account: &str) -> bool {
        let list = |key: &str| partition.fields.get(key).map(|v| v.split(',').map(str::to_string).collect::<Vec<_>>());
        let named = |list: Vec<String>| list.iter().any(|a| a.eq_ignore_ascii_case(account));
        let denied = list("DenyAccounts").is_some_and(named);
        let allowed = list("AllowAccounts").is_none_or(|l| l.iter().any(|a| a == "ALL") || named(l));
        allowed && !denied
    }

    /// Longest time limit of a partition in hours; none where it has none.
    pub fn longest_hours(partition: &Partition) -> Option<f64> {
        partition.max_time.and_then(Limit::seconds).map(|s| s as f64 / 3600.0)
    }
}
