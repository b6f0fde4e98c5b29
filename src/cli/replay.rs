//! `run DIR --replay`: derives the decisions of a recorded campaign again, offline, and says whether they are the same.

use super::output::{self, Format};
use crate::agent::Agent;
use crate::campaign;
use crate::planner;
use crate::problem::Result;
use crate::sys::http::Network;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// Replays the campaign in `folder`.
pub fn run(folder: &Path, format: Format) -> Result<u8> {
    let end = super::folder::load(folder)?;
    // The network is there and never asked: a replay plays the tape.
    let mut agent = Agent::replay(folder, &end, Arc::new(Network));
    let sampler = planner::sampler(&end.campaign.planner);
    let replayed = campaign::replay(folder, sampler.as_ref(), &mut agent)?;
    if format == Format::Json {
        output::print_json(&json!({
            "decisions": replayed.decisions,
            "observations": replayed.observations,
            "questions": replayed.questions,
            "digest": replayed.digest,
        }));
        return Ok(0);
    }
    output::print(&format!(
        "replayed  {} decisions and {} questions came out the same, byte for byte, from {} observations\ndigest    {}\n",
        replayed.decisions, replayed.questions, replayed.observations, replayed.digest
    ));
    Ok(0)
}
