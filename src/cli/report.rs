//! `report`: writes report.html and results.tsv from a campaign's folder.

use super::folder::CampaignFolder;
use super::output;
use crate::campaign;
use crate::problem::Result;
use crate::report;
use clap::Args;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    campaign: CampaignFolder,
}

/// Writes both and prints their paths.
pub fn run(args: &ReportArgs) -> Result<()> {
    let state = args.campaign.load()?;
    campaign::project_missing(&args.campaign.folder, &state)?;
    for path in report::write(&args.campaign.folder, &state)? {
        output::print(&format!("{}\n", path.display()));
    }
    Ok(())
}
