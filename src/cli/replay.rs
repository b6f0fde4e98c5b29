//! `run DIR --replay`: derives the decisions of a recorded campaign again, offline, and says whether they are the same.

use super::output::{self, Format};
use crate::agent::Agent;
use crate::bundle;
use crate::campaign::{self, Replayed};
use crate::problem::{Problem, Result};
use crate::sys::http::Network;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// Derives the decisions of the campaign in `folder` again.
pub fn derive(folder: &Path) -> Result<Replayed> {
    let end = super::folder::load(folder)?;
    // The network is there and never asked: a replay plays the tape.
    let mut agent = Agent::replay(folder, &end, Arc::new(Network));
    let sampler = super::run::sampler(folder, &end.campaign)?;
    campaign::replay(folder, sampler.as_ref(), &mut agent)
}

/// Replays the campaign in `folder`; where it is an exported bundle, its files are held against their sums first.
pub fn run(folder: &Path, format: Format) -> Result<u8> {
    let listing = bundle::check(folder)?;
    let replayed = derive(folder)?;
    if let Some(exported) = listing.as_ref().and_then(|l| l.replay.as_ref())
        && exported.digest != replayed.digest
    {
        return Err(Problem::failed(format!(
            "the replay gives digest {}, and gave {} where the bundle was made",
            replayed.digest, exported.digest
        ))
        .at(folder.join(bundle::LISTING_FILE).display().to_string())
        .remedy("get another copy of the bundle"));
    }
    let files = listing.as_ref().map(|l| l.files.len());
    if format == Format::Json {
        output::print_json(&json!({
            "files": files,
            "decisions": replayed.decisions,
            "observations": replayed.observations,
            "questions": replayed.questions,
            "digest": replayed.digest,
        }));
        return Ok(0);
    }
    if let Some(files) = files {
        output::print(&format!("bundle    all {files} files are as they were exported, byte for byte\n"));
    }
    output::print(&format!(
        "replayed  {} decisions and {} questions came out the same, byte for byte, from {} observations\ndigest    {}\n",
        replayed.decisions, replayed.questions, replayed.observations, replayed.digest
    ));
    Ok(0)
}
