//! `gc`: frees checkpoints and weights that nothing needs any more, by rule.

use super::folder::{self, CampaignFolder};
use super::output::{self, Format, Table};
use crate::campaign::{self, Disposal};
use crate::problem::Result;
use crate::sys::fs;
use crate::units::Bytes;
use clap::Args;
use serde_json::json;

/// Arguments of `gc`.
#[derive(Debug, Args)]
pub struct GcArgs {
    #[command(flatten)]
    campaign: CampaignFolder,
    /// Say what would be freed, with its bytes; free nothing
    #[arg(long)]
    dry_run: bool,
    /// Free the weights of runs that are neither the baseline's nor a confirmed candidate's, too
    #[arg(long)]
    weights: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Frees, or says what would be freed.
pub fn run(args: &GcArgs) -> Result<()> {
    let state = folder::load(&args.campaign.folder)?;
    let plan: Vec<Disposal> = campaign::disposable(&args.campaign.folder, &state, args.weights);
    let total: u64 = plan.iter().map(|d| d.bytes).sum();
    if !args.dry_run {
        for disposal in &plan {
            let path = args.campaign.folder.join(&disposal.path);
            if disposal.is_folder { fs::remove_dir(&path)? } else { fs::remove_file(&path)? }
        }
    }
    if args.format == Format::Json {
        output::print_json(&json!({ "freed": !args.dry_run, "bytes": total, "what": plan }));
        return Ok(());
    }
    if !plan.is_empty() {
        let mut table = Table::new(&["run", ">size", "what", "why"]);
        for d in &plan {
            let what = d.path.display().to_string();
            table.row(vec![d.run.to_string(), Bytes(d.bytes).to_string(), what, d.why.to_string()]);
        }
        output::print(&table.render());
    }
    let verb = if args.dry_run { "would be freed (nothing was touched)" } else { "freed" };
    output::print(&format!("{} ({total} bytes) {verb}\n", Bytes(total)));
    Ok(())
}
