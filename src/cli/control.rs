//! `stop` and `cancel`: a word to the campaign's controller, left as a file that it picks up.

use super::folder::CampaignFolder;
use super::output::{self, Format};
use crate::campaign;
use crate::journal;
use crate::problem::Result;
use crate::sys::shell;
use clap::Args;
use serde_json::json;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Let running attempts end.
    Stop,
    /// Kill them.
    Cancel,
}

/// Arguments of `stop` and `cancel`.
#[derive(Debug, Args)]
pub struct ControlArgs {
    #[command(flatten)]
    campaign: CampaignFolder,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Leaves the request.
pub fn run(args: &ControlArgs, request: Request) -> Result<()> {
    let state = args.campaign.load()?;
    let concluded = state.conclusion.is_some();
    let (halt, name, word) = match request {
        Request::Stop => {
            (campaign::Request::Stop, "stop", "running attempts will end by themselves, nothing new starts")
        }
        Request::Cancel => (campaign::Request::Cancel, "cancel", "running attempts will be killed"),
    };
    if !concluded {
        campaign::request(&args.campaign.folder, halt)?;
    }
    if args.format == Format::Json {
        output::print_json(&json!({ "request": name, "taken": !concluded, "live_attempts": state.live().count() }));
    } else if concluded {
        output::say("the campaign is concluded already; nothing to do");
    } else {
        output::say(&format!("asked to {name}: {word}"));
        let alive = journal::owner(&args.campaign.folder)?.and_then(|owner| owner.alive());
        if alive == Some(false) || alive.is_none() {
            let folder = shell::path(&args.campaign.folder);
            let who = if alive.is_none() { "where no controller is at work" } else { "no controller is at work" };
            output::say(&format!("{who}: `nanoresearch resume {folder}` carries it out"));
        }
    }
    Ok(())
}
