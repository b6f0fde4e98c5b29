//! What a person may change in `campaign.toml` between two controllers.
//!
//! Whatever decides what has been measured so far stays as it was; budgets, places and stopping rules may change.

use crate::config::{self, Campaign};
use crate::problem::{Problem, Result};

/// Keys that may change; a section stands for everything in it.
const FREE: [&str; 10] = [
    "name",
    "question",
    "objective.goal",
    "budget",
    "execution",
    "planner.candidates",
    "seeds.finalists",
    "llm",
    "approval",
    "knowledge",
];

/// The changed keys with their old and new values; empty where nothing changed. Refuses changes that would make old and
/// new results incomparable.
pub fn changes(old: &Campaign, new: &Campaign) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for change in config::differences(old, new) {
        let key = &change.key;
        let free = FREE.iter().any(|f| key == f || key.strip_prefix(f).is_some_and(|rest| rest.starts_with('.')));
        // Where attempts run is not a matter of taste once some do: another executor could not watch them. And what a
        // device-hour stands for must not change between a reservation and its settlement.
        if !free || key == "execution.site" || key == "execution.attempts_per_device" {
            return Err(Problem::usage(format!(
                "changing {change} would make the results so far incomparable with the next ones"
            ))
            .at("campaign.toml")
            .remedy(format!(
                "undo that change, or start a new campaign in another folder; these keys may change: {}",
                FREE.join(", ")
            )));
        }
        found.push(change.to_string());
    }
    Ok(found)
}
