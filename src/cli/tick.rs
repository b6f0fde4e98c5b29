//! `tick DIR`: one step of the controller, for cron and for people who want no process that stays.

use super::folder;
use super::pricer::MachinePricer;
use super::run::{Stay, drive_with};
use super::site::edited;
use crate::problem::Result;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `tick`.
#[derive(Debug, Args)]
pub struct TickArgs {
    /// The campaign's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Leave after so many seconds, whatever is under way
    #[arg(long, value_name = "SECONDS", default_value_t = 900.0)]
    at_most: f64,
    /// Go on with a campaign that was stopped, that waited for something to be put right, or whose campaign.toml was edited
    #[arg(long)]
    reopen: bool,
    /// Say only what went wrong and how it ended
    #[arg(short, long)]
    quiet: bool,
}

/// Adopts what runs, records what ended, begins what follows, and leaves.
pub fn run(args: &TickArgs) -> Result<u8> {
    let state = folder::load(&args.folder)?;
    if state.conclusion.is_some() && !args.reopen {
        if !args.quiet {
            super::output::say(
                "the campaign is concluded; nothing to do (--reopen goes on with one that was stopped or edited)",
            );
        }
        return Ok(0);
    }
    let loaded = edited(&args.folder, &[])?;
    let base = folder::base(&args.folder, &state);
    let pricer = MachinePricer::of(&base, &loaded.value);
    let driven = drive_with(&args.folder, &loaded.value, &base, &pricer, args.quiet, Stay::Step(args.at_most), None);
    driven.map(|(code, _)| code).map_err(|p| loaded.places.locate(p))
}
