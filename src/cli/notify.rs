//! The command that a campaign runs when it is concluded (`execution.notify`).

use super::output::say;
use crate::campaign::State;
use crate::report::Summary;
use crate::sys::fs;
use crate::sys::process::Asked;
use std::path::Path;

/// Seconds that it may take.
const PATIENCE: f64 = 60.0;

/// Runs it, with the outcome in its environment. Whatever it does, the campaign is concluded all the same.
pub fn notify(folder: &Path, state: &State) {
    let Some(command) = &state.campaign.execution.notify else { return };
    let Some(conclusion) = &state.conclusion else { return };
    let summary = Summary::of(state);
    let count = |status: &str| summary.runs_by_status.get(status).copied().unwrap_or(0).to_string();
    let best = conclusion.best.map(|b| b.to_string()).unwrap_or_default();
    let variables = [
        ("NANORESEARCH_NAME", state.campaign.name.clone()),
        ("NANORESEARCH_FOLDER", fs::resolved(folder).display().to_string()),
        ("NANORESEARCH_REASON", reason(state)),
        ("NANORESEARCH_FINDING", conclusion.sentence.clone()),
        ("NANORESEARCH_BEST", best),
        ("NANORESEARCH_RUNS", state.runs.len().to_string()),
        ("NANORESEARCH_FAILED", count("failed")),
        ("NANORESEARCH_DEVICE_HOURS", format!("{:.6}", state.ledger.settled().time.hours())),
        ("NANORESEARCH_DOLLARS", format!("{:.2}", state.ledger.settled().dollars.micro as f64 / 1e6)),
    ];
    let set: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let arguments = ["-c".to_string(), command.clone()];
    let answer = Asked::start("sh", &arguments, |_| true, &set, PATIENCE).wait();
    if answer.code != Some(0) {
        let how = answer.code.map_or(format!("no end within {PATIENCE:.0} s"), |code| format!("exit code {code}"));
        let said = answer.stderr.lines().last().map(|l| format!(": {l}")).unwrap_or_default();
        say(&format!(
            "warning: the command of execution.notify failed ({how}){said}; the campaign is concluded all the same"
        ));
    }
}

/// The reason as it stands in the journal: `candidates-done`, `budget-spent`.
fn reason(state: &State) -> String {
    let reason = state.conclusion.as_ref().and_then(|c| serde_json::to_value(c.reason).ok());
    reason.and_then(|r| r.as_str().map(str::to_string)).unwrap_or_default()
}
