//! Whom a campaign can ask and where its findings go, from its config and the environment.

use crate::agent::Agent;
use crate::config::Campaign;
use crate::knowledge::{Store, default_path};
use crate::llm;
use crate::sys::env;
use crate::sys::http::Network;
use std::path::Path;
use std::sync::Arc;

/// The counsellor of the campaign in `folder`; paths in its config are relative to `base`. Keys come from the environment and
/// stay in memory. Without a key or an address nobody is asked, and nothing is said about it.
pub fn agent(folder: &Path, campaign: &Campaign, base: &Path) -> Agent {
    with(folder, campaign, store(campaign, base))
}

/// As [`agent`], without memory: contests must not learn from each other.
pub fn forgetful(folder: &Path, campaign: &Campaign) -> Agent {
    with(folder, campaign, None)
}

fn with(folder: &Path, campaign: &Campaign, store: Option<Store>) -> Agent {
    let asks = campaign.llm.as_ref().filter(|_| campaign.planner.kind.asks());
    let reached = asks.and_then(|spec| Some((spec, llm::access(spec, &env::var)?)));
    Agent::new(folder, reached, store, Arc::new(Network))
}

/// Where the campaign's findings go: the file it names, else with a language model this user's.
pub fn store(campaign: &Campaign, base: &Path) -> Option<Store> {
    match (&campaign.knowledge, &campaign.llm) {
        (Some(path), _) => Some(Store::at(&base.join(path))),
        (None, Some(_)) => default_path().map(|path| Store::at(&path)),
        (None, None) => None,
    }
}
