//! `logs RUN`: the worker's log and the metrics of a run's newest attempt, and on request their growth.

use super::folder::{CampaignFolder, select};
use super::output::{self, Format, significant};
use crate::campaign::{self, Attempt};
use crate::problem::Result;
use crate::record::{Metrics, Outcome, read_metrics};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::fs;
use clap::Args;

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Run number, or `last`
    #[arg(default_value = "last")]
    run: String,
    /// Go on until the attempt ends
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    campaign: CampaignFolder,
    /// How to print; `json` prints the metrics as JSON lines
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints the log's end and the metrics.
pub fn run(args: &LogsArgs) -> Result<()> {
    let clock = SystemClock::default();
    let mut shown = 0;
    let mut log_shown = false;
    loop {
        let state = args.campaign.load()?;
        let run = select(&state, &args.campaign.folder, &args.run)?;
        let Some(attempt) = run.attempts.last() else {
            output::say("the run has not started yet");
            if !args.follow {
                return Ok(());
            }
            clock.sleep(0.5);
            continue;
        };
        let folder = args.campaign.folder.join(campaign::attempt_path(attempt.id));
        if !folder.exists() {
            output::say(&format!("attempt {} left no files: {} is not there", attempt.id, folder.display()));
            return Ok(());
        }
        // The outcome is read before the metrics, so that nothing written in between is missed.
        let (ended, damaged) = match Outcome::read(&folder) {
            Ok(ended) => (ended, None),
            Err(problem) => (None, Some(problem)),
        };
        if !log_shown && args.format == Format::Table {
            let log = fs::tail(&folder.join("worker.log"), 16 << 10);
            if !log.is_empty() {
                output::print(&log);
            }
            log_shown = true;
        }
        let metrics =
            if folder.join("metrics.jsonl").exists() { read_metrics(&folder.join("metrics.jsonl"))? } else { vec![] };
        for record in metrics.iter().skip(shown) {
            match args.format {
                Format::Json => output::print(&format!("{}\n", serde_json::to_string(record).unwrap_or_default())),
                Format::Table => output::print(&line(record)),
            }
        }
        shown = shown.max(metrics.len());
        if let Some(outcome) = &ended {
            output::say(&format!("attempt {} ended at step {}: {}", attempt.id, outcome.step, outcome.end));
            return Ok(());
        }
        if let Some(problem) = damaged {
            // How it ended is in the journal too; what it left is shown all the same.
            output::say(&format!("warning: {}", problem.remedy(as_recorded(attempt))));
            return Ok(());
        }
        if !args.follow || attempt.ended.is_some() {
            return Ok(());
        }
        clock.sleep(0.5);
    }
}

/// How an attempt ended by the campaign's own record.
fn as_recorded(attempt: &Attempt) -> String {
    match &attempt.ended {
        Some(end) => format!("events.jsonl has it that attempt {}: {}", attempt.id, end.evidence.detail),
        None => "the campaign has not recorded yet how it ended".to_string(),
    }
}

fn line(record: &Metrics) -> String {
    match record {
        Metrics::Train { step, loss, lr, grad_norm, timing } => format!(
            "step {step:>7}  loss {:<9} lr {:<9} |g| {:<8} {} samples/s\n",
            significant(*loss, 4),
            significant(*lr, 3),
            significant(*grad_norm, 3),
            significant(timing.samples_per_second, 3)
        ),
        Metrics::Eval { step, metrics, .. } => {
            let values: Vec<String> = metrics.iter().map(|(k, v)| format!("{k} {}", significant(*v, 4))).collect();
            format!("step {step:>7}  validation: {}\n", values.join("  "))
        }
    }
}
