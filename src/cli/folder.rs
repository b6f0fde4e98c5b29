//! Which campaign a command is about, and which of its runs.

use crate::campaign::placement::CAMPAIGN_FILE;
use crate::campaign::{self, Run, State};
use crate::ids::RunId;
use crate::journal;
use crate::problem::{Problem, Result};
use crate::sys::shell;
use clap::Args;
use std::path::{Path, PathBuf};

/// The campaign folder, shared by all commands that look at one.
#[derive(Debug, Clone, Args)]
pub struct CampaignFolder {
    /// Campaign folder [default: the current folder]
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
}

impl CampaignFolder {
    /// Reads the campaign as it stands; locks nothing.
    pub fn load(&self) -> Result<State> {
        load(&self.folder)
    }
}

/// Reads a campaign as it stands; locks nothing.
pub fn load(folder: &Path) -> Result<State> {
    let refuse = |what: &str, remedy: &str| Err(Problem::usage(what).at(folder.display().to_string()).remedy(remedy));
    let start = "name a campaign's folder, or start a campaign with `nanoresearch run campaign.toml`";
    if folder.is_file() {
        return refuse("this is a file, and a campaign is a folder", start);
    }
    if !folder.exists() {
        return refuse("there is no such folder", start);
    }
    if !folder.join("events.jsonl").exists() {
        return refuse("there is no campaign here (no events.jsonl)", start);
    }
    campaign::load(folder)
}

/// A campaign's folder is gone on with, or its file begun anew.
pub fn refuse_folder(path: &Path) -> Result<()> {
    let file = path.join(CAMPAIGN_FILE);
    if !path.is_dir() || !file.is_file() {
        return Ok(());
    }
    let anew = shell::path(&file);
    let (what, remedy) = match path.join(journal::EVENTS_FILE).exists() {
        true => (
            "this is the folder of a campaign that has begun",
            format!(
                "`nanoresearch resume {}` goes on with it; to begin it anew elsewhere: `nanoresearch run {anew} --out DIR`",
                shell::path(path)
            ),
        ),
        false => ("this is a folder, and a campaign is begun from its file", format!("name the file: {anew}")),
    };
    Err(Problem::usage(what).at(path.display().to_string()).remedy(remedy))
}

/// What relative paths in a campaign's config refer to.
pub fn base(folder: &Path, state: &State) -> PathBuf {
    let base = folder.join(&state.base);
    // Messages about data read better without the way there and back.
    base.canonicalize().unwrap_or(base)
}

/// A run of the campaign in `folder` chosen by a number (`7`, `0007`) or `last`.
pub fn select<'a>(state: &'a State, folder: &Path, selector: &str) -> Result<&'a Run> {
    let last = state.runs.len();
    if last == 0 {
        let see = format!("see `nanoresearch status --in {}`", shell::path(folder));
        return Err(Problem::usage("this campaign has no runs yet").remedy(see));
    }
    let number = match selector {
        "last" => Some(last as u32),
        text => text.parse::<u32>().ok(),
    };
    number.and_then(|n| state.run(RunId(n))).ok_or_else(|| {
        Problem::usage(format!("there is no run \"{selector}\""))
            .remedy(format!("use a number from 1 to {last}, or `last`"))
    })
}
