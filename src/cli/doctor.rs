//! `doctor`: what was found on this machine, and what is missing with its remedy.

use super::cluster;
use super::output::{self, Format, Table};
use crate::data::{self, Cached, NamedSet};
use crate::problem::Result;
use crate::slurm::{scontrol::Partition, sinfo};
use crate::sys::{env, fs};
use crate::units::Bytes;
use clap::Args;
use serde::Serialize;
use std::path::Path;

mod gpu;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    ok: bool,
    found: String,
    remedy: Option<String>,
}

impl Finding {
    fn good(what: &str, found: impl Into<String>) -> Self {
        Finding { what: what.into(), ok: true, found: found.into(), remedy: None }
    }
    fn missing(what: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { what: what.into(), ok: false, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// Looks and prints.
pub fn run(args: &DoctorArgs) -> Result<()> {
    let findings = look();
    match args.format {
        Format::Json => output::print_json(&findings),
        Format::Table => {
            let mut table = Table::new(&["", "what", "found"]);
            for f in &findings {
                table.row(vec![if f.ok { "ok" } else { "--" }.into(), f.what.clone(), f.found.clone()]);
            }
            output::print(&table.render());
            for f in &findings {
                if let Some(remedy) = &f.remedy {
                    output::say(&format!("\n{}: {remedy}", f.what));
                }
            }
        }
    }
    Ok(())
}

fn look() -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        env::host_facts().into_iter().map(|(what, found)| host_fact(what, found)).collect();
    findings.extend(gpu::look());
    findings.push(slurm());
    findings.push(writable("cache", &env::cache_dir()));
    let cache = env::data_dir();
    findings.extend(data::registry().iter().map(|set| dataset(set, &cache)));
    findings
}

/// Whether a named set is in the cache, whole.
fn dataset(set: &NamedSet, cache: &Path) -> Finding {
    let what = format!("data {}", set.name);
    let mut missing = Vec::new();
    for file in set.files {
        match data::cached(set, file, cache) {
            Cached::Whole => {}
            Cached::Absent => missing.push(file.name),
            Cached::Wrong { what: wrong, remedy } => {
                return Finding::missing(&what, format!("{}: {wrong}", cache.join(file.name).display()), remedy);
            }
        }
    }
    if missing.is_empty() {
        return Finding::good(&what, cache.display().to_string());
    }
    let remedy =
        format!("`nanoresearch data get {}` fetches it; offline, put {} there", set.name, missing.join(" and "));
    Finding::missing(&what, format!("not in {}", cache.display()), remedy)
}

/// What the host says of itself; sizes of memory, which the kernel tells in kB, as everywhere else.
fn host_fact(what: &str, found: String) -> Finding {
    let kib = found.strip_suffix(" kB").and_then(|n| n.trim().parse::<u64>().ok());
    Finding::good(what, kib.map_or(found, |kib| Bytes(kib.saturating_mul(1024)).to_string()))
}

/// Whether this is a cluster's login node, and what it has free.
fn slurm() -> Finding {
    if !cluster::is_there() {
        return Finding::good("slurm", "no cluster here (no sinfo): attempts are processes of this machine");
    }
    match cluster::read() {
        Ok(there) => {
            let name = there.setting("ClusterName").unwrap_or_default();
            let version = there.setting("SLURM_VERSION").unwrap_or_default();
            let part = |p: &Partition| {
                let free = sinfo::free_gpus(
                    &there.nodes.iter().filter(|r| r.partition == p.name).cloned().collect::<Vec<_>>(),
                );
                let free: Vec<String> = free
                    .iter()
                    .map(|((_, kind), n)| format!("{n} {}", if kind.is_empty() { "GPUs" } else { kind.as_str() }))
                    .collect();
                if free.is_empty() { p.name.clone() } else { format!("{} ({} free)", p.name, free.join(", ")) }
            };
            let parts: Vec<String> = there.partitions.iter().map(part).collect();
            let accounting = if there.has_accounting() { "" } else { ", no accounting" };
            Finding::good(
                "slurm",
                format!(
                    "cluster {name}, version {version}{accounting}; {}; `nanoresearch init DIR --site`",
                    parts.join(", ")
                ),
            )
        }
        Err(problem) => Finding::missing("slurm", problem.what, problem.remedy.unwrap_or_default()),
    }
}

fn writable(what: &str, folder: &Path) -> Finding {
    let probe = folder.join(".probe");
    let tried =
        fs::create_dir(folder).and_then(|()| fs::write_atomic(&probe, b"")).and_then(|()| fs::remove_file(&probe));
    match tried {
        Ok(()) => Finding::good(what, folder.display().to_string()),
        Err(problem) => Finding::missing(what, problem.what, "set XDG_CACHE_HOME to a folder this user can write"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_binary_units() {
        assert_eq!(host_fact("memory", "24684092 kB".to_string()).found, "23.5 GiB");
        assert_eq!(host_fact("cores", "2".to_string()).found, "2");
    }
}
