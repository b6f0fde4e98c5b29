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

/// Prints the candidate, or says that none cleared the noise floor.
pub fn run(args: &BestArgs) -> Result<()> {
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
        return Ok(());
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
            output::print(&(text + &config::to_toml(&experiment)));
        }
        _ => output::print(match summary.conclusion {
            Some(_) => "no candidate was confirmed: nothing cleared the noise floor\n",
            None => "no candidate is confirmed yet\n",
        }),
    }
    Ok(())
}
