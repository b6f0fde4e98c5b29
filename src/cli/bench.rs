//! `bench cost`: how good the cost model's predictions are on this machine; `bench planners` is in a file of its own.

use super::bench_planners::{self, PlannersArgs};
use super::output::{self, Format, Table, duration, say};
use crate::bench;
use crate::config::EngineKind;
use crate::problem::Result;
use clap::{Args, Subcommand};
use serde_json::json;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Predict and measure the step time of every preset at two batch sizes
    Cost {
        /// CPU threads
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Let planners compete at the same device-hours and seeds: on functions, recorded runs, or a real campaign
    Planners(PlannersArgs),
}

/// Measures and prints.
pub fn run(args: &BenchArgs) -> Result<()> {
    let (threads, format) = match &args.command {
        BenchCommand::Planners(planners) => return bench_planners::run(planners),
        BenchCommand::Cost { threads, format } => (*threads, *format),
    };
    let rows = bench::accuracy(EngineKind::default(), threads, &mut say)?;
    let mut errors: Vec<f64> = rows.iter().map(bench::Accuracy::error).collect();
    errors.sort_by(f64::total_cmp);
    let median = errors.get(errors.len() / 2).copied().unwrap_or(f64::NAN);
    let covered = rows.iter().filter(|row| row.covered()).count();
    if format == Format::Json {
        output::print_json(&json!({ "rows": rows, "median_error": median, "covered": covered, "of": rows.len() }));
        return Ok(());
    }
    let mut table = Table::new(&["preset", ">batch", ">predicted", ">80% interval", ">measured", ">error", "inside"]);
    for row in &rows {
        table.row(vec![
            row.preset.clone(),
            row.batch_size.to_string(),
            duration(row.predicted),
            format!("{} to {}", duration(row.low), duration(row.high)),
            duration(row.measured),
            format!("{:.0}%", 100.0 * row.error()),
            if row.covered() { "yes" } else { "no" }.into(),
        ]);
    }
    output::print(&table.render());
    output::print(&format!(
        "median error {:.1}%, {covered} of {} inside their 80% interval\n",
        100.0 * median,
        rows.len()
    ));
    Ok(())
}
