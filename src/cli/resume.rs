//! `resume DIR`: goes on with a campaign whose controller ended, adopting the attempts that still run.

use super::detach::{self, Generation, WhereArgs, refuse_on_login_node};
use super::folder;
use super::output::say;
use super::pricer::MachinePricer;
use super::run::{Stay, drive, drive_with, elsewhere};
use super::site::{SITE_FILE, edited};
use crate::campaign::placement::CAMPAIGN_FILE;
use crate::config::{self, Campaign};
use crate::problem::Result;
use crate::sys::fs;
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The campaign's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Settings that replace those in its campaign.toml (budget.device_hours=2)
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    #[command(flatten)]
    place: WhereArgs,
    /// This is the controller's own job (its script says so)
    #[arg(long, hide = true, conflicts_with_all = ["detach", "controller_as_job"])]
    inside_job: bool,
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
    let loaded = edited(&args.folder, &args.overrides)?;
    say(&format!("campaign {} in {}", loaded.value.name, args.folder.display()));
    let base = folder::base(&args.folder, &state);
    let pricer = MachinePricer::of(&base, &loaded.value);
    if args.inside_job {
        return inside_job(args, &loaded.value, &base, &pricer).map_err(|p| loaded.places.locate(p));
    }
    if !args.place.controller_as_job {
        refuse_on_login_node(detach::site_in(&args.folder, SITE_FILE)?.as_ref(), &args.folder, None)?;
    }
    if let Some(code) = elsewhere(&args.folder, &args.overrides, args.place)? {
        return Ok(code);
    }
    drive(&args.folder, &loaded.value, &base, &pricer, args.quiet).map_err(|p| loaded.places.locate(p))
}

/// Drives inside the controller's own job: who follows is sent for first, and called off when nothing is left to do.
fn inside_job(args: &ResumeArgs, campaign: &Campaign, base: &Path, pricer: &MachinePricer) -> Result<u8> {
    let generation = Generation::begin(&args.folder)?;
    match drive_with(&args.folder, campaign, base, pricer, args.quiet, Stay::Whole, None) {
        Ok((code, true)) => {
            generation.hand_over();
            Ok(code)
        }
        // Concluded, or somebody wants it to end.
        Ok((code, false)) => generation.last().map(|()| code),
        // Another controller has the campaign, or a person must look at it: nobody is to follow.
        Err(problem) => generation.last().and(Err(problem)),
    }
}
