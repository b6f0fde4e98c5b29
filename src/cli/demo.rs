//! `demo`: a real little campaign on the embedded digits, without network or key.

use super::output::{print, say};
use super::pricer::MachinePricer;
use super::run::drive;
use crate::campaign;
use crate::config;
use crate::problem::{Problem, Result};
use crate::sys::clock::{Stopwatch, SystemClock};
use clap::Args;
use std::path::{Path, PathBuf};

/// The campaign that the demo runs; also in `jobs/campaigns/demo.toml`.
const CAMPAIGN: &str = include_str!("../../jobs/campaigns/demo.toml");

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for the campaign [default: demo, demo-2, ... in the current folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: &DemoArgs) -> Result<u8> {
    let watch = Stopwatch::start();
    let campaign = config::parse_campaign(CAMPAIGN, "demo.toml", &[])?;
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => free_folder()?,
    };
    say(&format!("{}\n", campaign.question));
    let base = Path::new(".");
    campaign::create(&folder, &campaign, base, &SystemClock::default())?;
    let code = drive(&folder, &campaign, base, &MachinePricer::new(base), false)?;
    let shown = folder.display();
    print(&format!("took      {:.0} s\n\n", watch.seconds()));
    print(&format!(
        "look      nanoresearch status --in {shown}\n          nanoresearch why last --in {shown}\n\
         next      nanoresearch run jobs/campaigns/digits-mlp.toml --dry-run\n"
    ));
    Ok(code)
}

/// The first of `demo`, `demo-2`, ... that does not exist.
fn free_folder() -> Result<PathBuf> {
    (1..1000)
        .map(|i| PathBuf::from(if i == 1 { "demo".to_string() } else { format!("demo-{i}") }))
        .find(|folder| !folder.exists())
        .ok_or_else(|| Problem::usage("there are very many demo folders here").remedy("name a folder with --out DIR"))
}
