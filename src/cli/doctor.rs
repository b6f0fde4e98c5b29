//! `doctor`: what was found on this machine, and what is missing with its remedy.

use super::cluster;
use super::output::{self, Format, Table};
use crate::data;
use crate::problem::Result;
use crate::slurm::{scontrol::Partition, sinfo};
use crate::sys::{env, fs};
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
        env::host_facts().into_iter().map(|(what, found)| Finding::good(what, found)).collect();
    findings.extend(gpu::look());
    findings.push(slurm());
    findings.push(writable("cache", &env::cache_dir()));
    let cache = env::data_dir();
    for set in data::registry() {
        let missing: Vec<&str> = set.files.iter().filter(|f| !cache.join(f.name).exists()).map(|f| f.name).collect();
        let what = format!("data {}", set.name);
        findings.push(if missing.is_empty() {
            Finding::good(&what, cache.display().to_string())
        } else {
            Finding::missing(
                &what,
                format!("not in {}", cache.display()),
                format!(
                    "`nanoresearch data get {}` fetches it; offline, put {} there",
                    set.name,
                    missing.join(" and ")
                ),
            )
        });
    }
    findings
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
