//! `resume DIR`: goes on with a campaign whose controller ended, adopting the attempts that still run.

use super::folder;
use super::output::say;
use super::pricer::MachinePricer;
use super::run::drive;
use crate::campaign::placement::CAMPAIGN_FILE;
use crate::config;
use crate::problem::Result;
use crate::sys::fs;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The campaign's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Settings that replace those in its campaign.toml (budget.device_hours=2)
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Say only what went wrong and how it ended
    #[arg(short, long)]
    quiet: bool,
}

/// Goes on.
pub fn run(args: &ResumeArgs) -> Result<u8> {
    let state = folder::load(&args.folder)?;
    let file = args.folder.join(CAMPAIGN_FILE);
    if !file.exists() {
        fs::write_atomic(&file, config::to_toml(&state.campaign).as_bytes())?;
        say(&format!("{} was missing; it is written again as events.jsonl records it", file.display()));
    }
    let loaded = config::load_campaign(&file, &args.overrides)?;
    say(&format!("campaign {} in {}", loaded.value.name, args.folder.display()));
    let base = args.folder.join(&state.base);
    // Messages about data read better without the way there and back.
    let base = base.canonicalize().unwrap_or(base);
    let driven = drive(&args.folder, &loaded.value, &base, &MachinePricer::of(&base, &loaded.value), args.quiet);
    driven.map_err(|p| loaded.places.locate(p))
}
