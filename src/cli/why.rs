//! `why RUN`: why a run was made, what was decided about it and what it used, from the journal.

use super::folder::{CampaignFolder, select};
use super::output::{self, Format, duration};
use crate::analysis::Verdict;
use crate::campaign::{State, correction, hypotheses};
use crate::ids::RunId;
use crate::problem::{Result, one_line};
use crate::report::RunSummary;
use crate::sys::clock::rfc3339;
use clap::Args;
use serde_json::json;

/// Arguments of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// Run number, or `last`
    run: String,
    #[command(flatten)]
    campaign: CampaignFolder,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints the decisions in order.
pub fn run(args: &WhyArgs) -> Result<()> {
    let state = args.campaign.load()?;
    let run = select(&state, &args.campaign.folder, &args.run)?;
    let decisions = state.why(run.id);
    let summary = RunSummary::of(&state, run);
    if args.format == Format::Json {
        output::print_json(&json!({ "run": summary, "key": run.key, "price": run.price, "decisions": decisions }));
        return Ok(());
    }
    let mut text = format!("run {} ({}, seed {}): {}\n", run.id, summary.purpose, run.seed, summary.what);
    text += &format!(
        "expected  {} (80% below {}), {}\n",
        duration(run.price.seconds),
        duration(run.price.high_seconds),
        run.price.memory
    );
    if summary.usage.attempts > 0 {
        text += &format!("devices   {}\n", summary.usage.words());
    }
    text += &format!("identity  {}\n\n", run.key);
    for decision in decisions {
        text += &format!("{}  {}\n", rfc3339(decision.at), one_line(&decision.text).replace('\n', " "));
    }
    text += &standing(&state, run.id);
    output::print(&text);
    Ok(())
}

/// How the candidates that the run serves stand now, beside all others: what changes after their own verdicts.
fn standing(state: &State, run: RunId) -> String {
    let mut text = String::new();
    let (compared, survivors) = (correction::compared(state), correction::survivors(state));
    for candidate in state.candidates.iter().filter(|c| c.runs.values().any(|id| *id == run)) {
        let index = candidate.index;
        if compared.iter().any(|c| c.index == index && c.verdict == Verdict::Better) {
            let word = if survivors.contains(&index) { "kept" } else { "does not survive the correction" };
            text += &format!("now       candidate {index}: {word}{}\n", correction::words(state, index));
        }
        if let Some(number) = state.counsel.design_of(index).and_then(|d| d.design.hypothesis) {
            let judgement = hypotheses::judge(state, number);
            let verdict = format!("{:?}", judgement.verdict).to_lowercase();
            text += &format!("now       hypothesis {number}: {verdict}, {}\n", judgement.words);
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}
