//! `best`: the best confirmed candidate and the config that makes it.

use super::folder::CampaignFolder;
use super::output::{self, Format};
use super::status::interval;
use crate::campaign::assignment;
use crate::config;
use crate::problem::Result;
use crate::report::Summary;
use clap::Args;

/// Arguments of `best`.
#[derive(Debug, Args)]
pub struct BestArgs {
    #[command(flatten)]
    campaign: CampaignFolder,
    /// How to print; `table` prints a comment and the experiment as TOML, ready for `train`
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints the candidate; 1 where there is none, with the reason on stderr, so that what stdout goes into stays empty.
pub fn run(args: &BestArgs) -> Result<u8> {
    let state = args.campaign.load()?;
    let summary = Summary::of(&state);
    let experiment = summary
        .best
        .as_ref()
        .and_then(|best| best.runs.values().next())
        .and_then(|id| state.run(*id))
        .map(|run| run.experiment.clone());
    if args.format == Format::Json {
        output::print_json(&serde_json::json!({ "best": summary.best, "experiment": experiment }));
        return Ok(u8::from(summary.best.is_none()));
    }
    match (&summary.best, experiment) {
        (Some(best), Some(experiment)) => {
            let mut text =
                format!("# best confirmed candidate of {}: {}\n", summary.name, assignment(&best.assignment));
            if let Some(own) = &best.own {
                text += &format!("# {} {}\n", summary.metric, interval(own));
            }
            if let Some(difference) = &best.difference {
                text += &format!("# difference to the baseline {}\n", interval(difference));
            }
            // As seen from here: where this is written to a file, it is mostly one of this folder.
            let base = args.campaign.folder.join(&state.base);
            output::print(&(text + &config::to_toml(&experiment.seen_from(&base))));
            Ok(0)
        }
        _ => {
            output::say(&match &summary.conclusion {
                Some(conclusion) => format!("no candidate was confirmed: {}", conclusion.sentence),
                None => "no candidate is confirmed yet".to_string(),
            });
            Ok(1)
        }
    }
}
