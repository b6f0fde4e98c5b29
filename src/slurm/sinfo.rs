//! `sinfo`: GPUs of each node in each partition, and how many of them are free.

use super::listing::Listing;
use super::tres::parse_gres;
use std::collections::BTreeMap;

/// Columns with widths that hold any name; `-O` cuts what is longer, which makes a row unreadable and is noticed.
const FORMAT: &str = "NodeList:64,Partition:64,StateLong:32,Gres:256,GresUsed:256";

/// A node as a member of a partition; a node is listed once a partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Node.
    pub node: String,
    /// Partition, without the star of the default one.
    pub partition: String,
    /// Its state in words, flags included (`idle`, `mixed`, `down*`).
    pub state: String,
    /// GPUs by type; the type of untyped ones is empty.
    pub gpus: BTreeMap<String, u32>,
    /// Those in use.
    pub used: BTreeMap<String, u32>,
}

impl Row {
    /// Whether jobs can start on it. States that are not known are none that can.
    pub fn usable(&self) -> bool {
        ["idle", "mixed", "allocated", "completing"].contains(&self.state.as_str())
    }

    /// Free GPUs by type.
    pub fn free(&self) -> BTreeMap<String, u32> {
        let used = |kind: &str| self.used.get(kind).copied().unwrap_or(0);
        self.gpus.iter().map(|(kind, n)| (kind.clone(), n.saturating_sub(used(kind)))).collect()
    }
}

/// Arguments that ask for all nodes.
pub fn arguments() -> Vec<String> {
    ["--noheader", "--Node", &format!("--Format={FORMAT}")].map(str::to_string).to_vec()
}

/// Reads the answer.
pub fn parse(text: &str) -> Listing<Row> {
    Listing::read(text, |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [node, partition, state, gres, used] = fields[..] else { return None };
        Some(Row {
            node: node.to_string(),
            partition: partition.trim_end_matches('*').to_string(),
            state: state.to_string(),
            gpus: parse_gres(gres),
            used: parse_gres(used),
        })
    })
}

/// Free GPUs by partition and type, of nodes that jobs can start on. A node in two partitions counts in both: asking one
/// takes from the other.
pub fn free_gpus(rows: &[Row]) -> BTreeMap<(String, String), u32> {
    let mut free = BTreeMap::new();
    for row in rows.iter().filter(|r| r.usable()) {
        for (kind, n) in row.free() {
            let sum: &mut u32 = free.entry((row.partition.clone(), kind)).or_default();
            *sum = sum.saturating_add(n);
        }
    }
    free
}
