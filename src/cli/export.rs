//! `export`: a campaign as one file that somebody else can check and replay.

use super::output::{self, say};
use super::{folder, replay};
use crate::bundle::{self, Options, Replay};
use crate::journal;
use crate::problem::{Class, Problem, Result};
use crate::sys::{env, shell};
use crate::units::Bytes;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The campaign's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The bundle, a .tar.gz [default: the campaign's name, in the current folder]
    #[arg(short, long, value_name = "FILE.tar.gz")]
    output: Option<PathBuf>,
    /// Take trained weights along
    #[arg(long)]
    weights: bool,
    /// Take logs of workers and jobs along; they name paths and nodes
    #[arg(long)]
    logs: bool,
    /// Do not replay the campaign first, for one that cannot be replayed
    #[arg(long)]
    without_replay: bool,
    /// Export although a file holds what looks like a key
    #[arg(long)]
    allow_secrets: bool,
}

/// Exports, and says what is in it and what names this machine.
pub fn run(args: &ExportArgs) -> Result<()> {
    let state = folder::load(&args.folder)?;
    if journal::owner(&args.folder)?.is_some_and(|owner| owner.alive() == Some(true)) {
        return Err(Problem::new(Class::Owned, "a controller is at work on this campaign")
            .at(args.folder.display().to_string())
            .remedy(format!(
                "wait until it ends, or let it end with `nanoresearch stop --in {}`",
                shell::path(&args.folder)
            )));
    }
    let replayed = match args.without_replay {
        true => None,
        false => Some(replay::derive(&args.folder).map_err(|problem| {
            let on =
                "with --without-replay it is exported all the same, and the bundle says that it cannot be replayed";
            let remedy = problem.remedy.as_ref().map_or(on.to_string(), |remedy| format!("{remedy}\n  {on}"));
            problem.remedy(remedy)
        })?),
    };
    let replay = replayed.map(|r| Replay { decisions: r.decisions, digest: r.digest });
    let mut names = env::own_names();
    if let Ok(whole) = args.folder.canonicalize() {
        names.push((whole.display().to_string(), "the campaign's folder"));
    }
    let options = Options {
        weights: args.weights,
        logs: args.logs,
        allow_secrets: args.allow_secrets,
        secrets: env::secrets(),
        names,
    };
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.tar.gz", state.campaign.name)));
    let exported = bundle::export(&args.folder, &state, replay.clone(), &path, &options)?;
    let mut told: Vec<String> = exported
        .names
        .iter()
        .map(|(file, what, n)| format!("  {file}: {what}, {n} time{}", if *n == 1 { "" } else { "s" }))
        .collect();
    if !told.is_empty() {
        let more = told.len().saturating_sub(10);
        told.truncate(10);
        if more > 0 {
            told.push(format!("  and {more} more"));
        }
        say(&format!("what was recorded names this machine; it goes along as it is:\n{}", told.join("\n")));
    }
    output::print(&format!(
        "bundle    {}: {} files, {} unpacked\n",
        path.display(),
        exported.files,
        Bytes(exported.bytes)
    ));
    if let Some(replay) = replay {
        output::print(&format!(
            "replay    {} decisions came out the same; digest {}\n",
            replay.decisions, replay.digest
        ));
    }
    output::print(&format!(
        "check it  tar xzf {} && nanoresearch run {} --replay\n",
        shell::path(&path),
        state.campaign.name
    ));
    Ok(())
}
