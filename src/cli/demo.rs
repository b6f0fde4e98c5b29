//! `demo`: a real little campaign on the embedded digits, without network or key.

use super::output::{print, say};
use super::pricer::MachinePricer;
use super::run::drive;
use crate::campaign;
use crate::config;
use crate::problem::{Problem, Result};
use crate::sys::clock::{Stopwatch, SystemClock};
use crate::sys::{env, fs, process, shell};
use clap::Args;
use std::path::{Path, PathBuf};

/// The campaign that the demo runs; also in `jobs/campaigns/demo.toml`.
const CAMPAIGN: &str = include_str!("../../jobs/campaigns/demo.toml");

/// What to look at afterwards.
const NEXT: &str = "jobs/campaigns/digits-mlp.toml";

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
    let (campaign, base) = campaign::create(&folder, &campaign, Path::new("."), &SystemClock::default())?;
    let code = drive(&folder, &campaign, &base, &MachinePricer::new(&base), false)?;
    let shown = shell::path(&folder);
    print(&format!("took      {:.0} s\n\n", watch.seconds()));
    let program = program();
    // The repository's campaigns are there for who runs the demo from a clone; elsewhere one is written first.
    let next = match Path::new(NEXT).exists() {
        true => format!("run {NEXT} --dry-run"),
        false => "init my-question".to_string(),
    };
    print(&format!(
        "look      {program} status --in {shown}\n          {program} why last --in {shown}\nnext      {program} {next}\n"
    ));
    Ok(code)
}

/// How this program is called from here: by its name where that finds it, else by its path.
fn program() -> String {
    let here = process::current_exe().unwrap_or_default();
    let path = env::var("PATH").unwrap_or_default();
    let found = path.split(':').map(|folder| Path::new(folder).join("nanoresearch")).find(|program| program.is_file());
    if found.is_some_and(|found| fs::resolved(&found) == fs::resolved(&here)) {
        return "nanoresearch".to_string();
    }
    here.strip_prefix(env::current_dir()).unwrap_or(&here).display().to_string()
}

/// The first of `demo`, `demo-2`, ... that does not exist.
fn free_folder() -> Result<PathBuf> {
    (1..1000)
        .map(|i| PathBuf::from(if i == 1 { "demo".to_string() } else { format!("demo-{i}") }))
        .find(|folder| !folder.exists())
        .ok_or_else(|| Problem::usage("there are very many demo folders here").remedy("name a folder with --out DIR"))
}
