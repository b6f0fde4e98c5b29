//! `note`, `pause` and `approve`: what people say to a campaign's controller while it goes on, left as files that it picks up.

use super::folder::CampaignFolder;
use super::output::say;
use crate::campaign::placement::{self, Word};
use crate::problem::{Problem, Result};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::shell;
use clap::Args;

/// Characters of a remark, at most.
const LONGEST: usize = 600;

/// Arguments of `note`.
#[derive(Debug, Args)]
pub struct NoteArgs {
    /// The remark; it enters the language model's context and the record of decisions
    #[arg(required = true, num_args = 1..)]
    text: Vec<String>,
    #[command(flatten)]
    campaign: CampaignFolder,
}

/// Arguments of `pause`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Go on after a pause
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    campaign: CampaignFolder,
}

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// Refuse instead: a candidate is then not run, a finalist is judged by the seeds it has
    #[arg(long)]
    refuse: bool,
    #[command(flatten)]
    campaign: CampaignFolder,
}

/// Leaves a remark.
pub fn note(args: &NoteArgs) -> Result<()> {
    let state = args.campaign.load()?;
    let text = args.text.join(" ").trim().to_string();
    let length = text.chars().count();
    if length == 0 || length > LONGEST {
        return Err(Problem::usage(format!("a remark of {length} characters; 1 to {LONGEST} can be kept"))
            .at("command line")
            .remedy("say it more briefly, or in several notes"));
    }
    leave(&args.campaign, &Word::Note(text))?;
    say(match state.conclusion {
        Some(_) => "noted; the campaign is concluded, so it is heard when it goes on",
        None => "noted; the controller hears it within a second, or when it next runs",
    });
    Ok(())
}

/// Pauses, or lets go on.
pub fn pause(args: &PauseArgs) -> Result<()> {
    let state = args.campaign.load()?;
    if state.conclusion.is_some() {
        say("the campaign is concluded already; nothing to do");
        return Ok(());
    }
    leave(&args.campaign, &Word::Pause(!args.off))?;
    let folder = shell::path(&args.campaign.folder);
    match args.off {
        true => say("asked to go on"),
        false => say(&format!(
            "asked to pause: running attempts go on, nothing new starts; `nanoresearch pause --off --in {folder}` ends it"
        )),
    }
    Ok(())
}

/// Answers what the campaign asks of a person.
pub fn approve(args: &ApproveArgs) -> Result<()> {
    let state = args.campaign.load()?;
    let Some((subject, words)) = state.approvals.asked.clone() else {
        return Err(Problem::usage("this campaign asks nothing of a person now")
            .at(args.campaign.folder.display().to_string())
            .remedy(format!("see `nanoresearch status --in {}`", shell::path(&args.campaign.folder))));
    };
    if args.refuse && !state.refusable(&subject) {
        return Err(Problem::usage("the baseline cannot be refused: everything is compared with it")
            .at(args.campaign.folder.display().to_string())
            .remedy(format!(
                "end it with `nanoresearch stop --in {0}`, or change the budget in its campaign.toml and `nanoresearch resume {0}`",
                shell::path(&args.campaign.folder)
            )));
    }
    let granted = !args.refuse;
    leave(&args.campaign, &Word::Approval { subject, granted })?;
    say(&format!("{}: {words}", if granted { "approved" } else { "refused" }));
    Ok(())
}

fn leave(campaign: &CampaignFolder, word: &Word) -> Result<()> {
    placement::say(&campaign.folder, word, SystemClock::default().unix())
}
