//! `stop` and `cancel`: a word to the campaign's controller, left as a file that it picks up.

use super::folder::CampaignFolder;
use super::output;
use crate::campaign;
use crate::problem::Result;
use clap::Args;

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
}

/// Leaves the request.
pub fn run(args: &ControlArgs, request: Request) -> Result<()> {
    let state = args.campaign.load()?;
    if state.conclusion.is_some() {
        output::say("the campaign is concluded already; nothing to do");
        return Ok(());
    }
    let (halt, word) = match request {
        Request::Stop => (campaign::Request::Stop, "stop: running attempts will end by themselves, nothing new starts"),
        Request::Cancel => (campaign::Request::Cancel, "cancel: running attempts will be killed"),
    };
    campaign::request(&args.campaign.folder, halt)?;
    output::say(&format!("asked to {word}"));
    output::say("if no controller is running, `nanoresearch resume` carries it out");
    Ok(())
}
