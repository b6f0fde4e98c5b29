//! Which campaign a command is about, and which of its runs.

use crate::campaign::{self, Run, State};
use crate::ids::RunId;
use crate::problem::{Problem, Result};
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

/// What relative paths in a campaign's config refer to.
pub fn base(folder: &Path, state: &State) -> PathBuf {
    let base = folder.join(&state.base);
    // Messages about data read better without the way there and back.
    base.canonicalize().unwrap_or(base)
}

/// A run chosen by a number (`7`, `0007`) or `last`.
pub fn select<'a>(state: &'a State, selector: &str) -> Result<&'a Run> {
    let last = state.runs.len();
    if last == 0 {
        return Err(Problem::usage("this campaign has no runs yet").remedy("see `nanoresearch status`"));
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
