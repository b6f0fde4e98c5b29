//! `doctor`: what was found on this machine, and what is missing with its remedy.

use super::output::{self, Format, Table};
use crate::data;
use crate::problem::Result;
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

fn writable(what: &str, folder: &Path) -> Finding {
    let probe = folder.join(".probe");
    let tried =
        fs::create_dir(folder).and_then(|()| fs::write_atomic(&probe, b"")).and_then(|()| fs::remove_file(&probe));
    match tried {
        Ok(()) => Finding::good(what, folder.display().to_string()),
        Err(problem) => Finding::missing(what, problem.what, "set XDG_CACHE_HOME to a folder this user can write"),
    }
}
