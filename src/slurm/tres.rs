//! Trackable resources: `billing=1,cpu=1,gres/gpu:h100=2,gres/gpu=2,mem=100M,node=1`.

use super::values::parse_memory;
use crate::units::Bytes;
use std::collections::BTreeMap;

/// What a job was given or asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tres {
    /// CPUs.
    pub cpus: u32,
    /// GPUs, of all types: only the untyped entry counts, since typed ones say the same again.
    pub gpus: u32,
    /// GPUs by type.
    pub gpus_by_type: BTreeMap<String, u32>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Nodes.
    pub nodes: u32,
}

impl Tres {
    /// Reads a list; entries that are not known or not numbers are passed over. Where only typed GPUs are listed, their
    /// sum counts.
    pub fn parse(text: &str) -> Tres {
        let mut tres = Tres::default();
        let mut untyped = None;
        for entry in text.split(',') {
            let Some((name, value)) = entry.trim().split_once('=') else { continue };
            let count = value.parse::<u32>().ok();
            match (name, count) {
                ("cpu", Some(count)) => tres.cpus = count,
                ("node", Some(count)) => tres.nodes = count,
                ("gres/gpu", Some(count)) => untyped = Some(count),
                ("mem", _) => tres.memory = parse_memory(value),
                (name, Some(count)) => {
                    if let Some(kind) = name.strip_prefix("gres/gpu:") {
                        tres.gpus_by_type.insert(kind.to_string(), count);
                    }
                }
                _ => {}
            }
        }
        let typed = tres.gpus_by_type.values().fold(0u32, |sum, n| sum.saturating_add(*n));
        tres.gpus = untyped.unwrap_or(typed);
        tres
    }
}

/// GPUs by type in a gres column of `sinfo` or `squeue`: `gpu:h100:2(IDX:0-1)`, `gpu:4`, `gpu:a:1,gpu:b:2`,
/// `gres:gpu:h100:2`. The type of untyped ones is empty.
pub(super) fn parse_gres(text: &str) -> BTreeMap<String, u32> {
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    // Commas within brackets list indices.
    let mut depth = 0usize;
    let entries = text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    for entry in entries {
        let entry = entry.split('(').next().unwrap_or_default().trim();
        let entry = entry.strip_prefix("gres:").unwrap_or(entry);
        let entry = entry.strip_prefix("gres/").unwrap_or(entry);
        let mut parts = entry.split([':', '=']);
        if parts.next() != Some("gpu") {
            continue;
        }
        let (kind, count) = match (parts.next(), parts.next()) {
            (None, _) => ("", Some(1)),
            (Some(one), None) => one.parse().map_or((one, Some(1)), |n| ("", Some(n))),
            (Some(kind), Some(count)) => (kind, count.parse::<u32>().ok()),
        };
        if let Some(count) = count {
            let sum = found.entry(kind.to_string()).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_untyped_gpus_count() {
        let tres = Tres::parse("billing=1,cpu=8,gres/gpu:h100=2,gres/gpu=2,mem=100M,node=1");
        assert_eq!((tres.cpus, tres.gpus, tres.nodes, tres.memory), (8, 2, 1, Some(Bytes(100 << 20))));
        assert_eq!(tres.gpus_by_type["h100"], 2);
        assert_eq!(Tres::parse("cpu=1,gres/gpu:a=1,gres/gpu:b=2").gpus, 3, "nothing untyped: their sum");
        assert_eq!(Tres::parse(""), Tres::default());
        assert_eq!(Tres::parse("gres/gpu=x,cpu=,=,mem=zz"), Tres::default());
    }

    #[test]
    fn gres_columns() {
        let read = |t: &str| parse_gres(t).into_iter().collect::<Vec<_>>();
        assert_eq!(read("gpu:h100:2(IDX:0-1)"), [("h100".to_string(), 2)]);
        assert_eq!(read("gpu:h100:0(IDX:N/A)"), [("h100".to_string(), 0)]);
        assert_eq!(read("gpu:4(S:0-1)"), [(String::new(), 4)]);
        assert_eq!(read("gpu:a:1(IDX:0,2),shard:4,gpu:b:2"), [("a".to_string(), 1), ("b".to_string(), 2)]);
        assert_eq!(read("gres:gpu:h100:2"), [("h100".to_string(), 2)]);
        assert_eq!(read("gres/gpu:h100=2"), [("h100".to_string(), 2)]);
        assert_eq!(read("(null)"), []);
    }
}
