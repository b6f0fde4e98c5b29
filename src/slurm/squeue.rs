//! `squeue`: the jobs of this user, waiting, running and just ended.

use super::listing::{Listing, something};
use super::{Reason, State, parse_time};

/// Fields in the order of the format; the name comes last, since only it may hold the separator. A colon without a width: whole,
/// with what follows it as the separator.
const FORMAT: &str =
    "JobID:|,State:|,SubmitTime:|,StartTime:|,EndTime:|,Partition:|,NodeList:|,Reason:|,PreemptTime:|,Name:";
/// The same for a `squeue` that has no separators there, without the time of a preemption, which the letters cannot ask for.
const LETTERS: &str = "%A|%T|%V|%S|%e|%P|%N|%r|N/A|%j";

/// One job.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Job id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Seconds since the Unix epoch at which it was submitted; with the id it tells jobs apart whose ids were used again.
    pub submitted: Option<i64>,
    /// When it started, or is expected to.
    pub start: Option<i64>,
    /// When it ended, or its limit ends it.
    pub end: Option<i64>,
    /// Partition.
    pub partition: String,
    /// Nodes, compressed; empty while it waits.
    pub nodes: String,
    /// Why it waits.
    pub reason: Reason,
    /// When it was told to make room for another job. What it does with the grace that it has then is its own: a worker
    /// checkpoints and leaves, and its state says FAILED.
    pub preempted: Option<i64>,
}

/// Arguments that ask for all jobs of this user at once, those that just ended included, whatever their number.
pub fn arguments() -> Vec<String> {
    asking(&format!("--Format={FORMAT}"))
}

/// The same in the older form, which every `squeue` knows; the answer reads alike.
pub fn plain_arguments() -> Vec<String> {
    asking(&format!("--format={LETTERS}"))
}

fn asking(format: &str) -> Vec<String> {
    ["--me", "--noheader", "--states=all", format].map(str::to_string).to_vec()
}

/// Arguments that ask for everybody's waiting jobs in some partitions.
pub fn waiting_arguments(partitions: &[&str]) -> Vec<String> {
    let partitions = format!("--partition={}", partitions.join(","));
    ["--noheader", "--states=PENDING", &partitions, "--format=%P|%D"].map(str::to_string).to_vec()
}

/// Jobs that wait in each partition; one that waits in several counts in each.
pub fn parse_waiting(text: &str) -> std::collections::BTreeMap<String, u32> {
    let mut found = std::collections::BTreeMap::new();
    for partition in text.lines().filter_map(|l| l.split('|').next()).flat_map(|names| names.split(',')) {
        if !partition.trim().is_empty() {
            *found.entry(partition.trim().to_string()).or_insert(0) += 1;
        }
    }
    found
}

/// Reads the answer.
pub fn parse(text: &str) -> Listing<Row> {
    Listing::read(text, |line| {
        let fields: Vec<&str> = line.splitn(10, '|').collect();
        let [id, state, submitted, start, end, partition, nodes, reason, preempted, name] = fields[..] else {
            return None;
        };
        Some(Row {
            id: id.trim().parse().ok()?,
            name: name.trim_end().to_string(),
            state: State::parse(state),
            submitted: parse_time(submitted),
            start: parse_time(start),
            end: parse_time(end),
            partition: partition.to_string(),
            nodes: something(nodes).unwrap_or_default(),
            reason: Reason::parse(reason),
            preempted: parse_time(preempted),
        })
    })
}
