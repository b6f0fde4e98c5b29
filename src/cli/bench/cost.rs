//! `bench cost`: how good the cost model's predictions are on this machine.

use crate::bench;
use crate::cli::output::{self, Format, Table, duration, say};
use crate::config::EngineKind;
use crate::problem::Result;
use clap::Args;
use serde_json::json;

/// Arguments of `bench cost`.
#[derive(Debug, Args)]
pub struct CostArgs {
    /// CPU threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Measures and prints.
pub fn run(args: &CostArgs) -> Result<()> {
    let rows = bench::accuracy(EngineKind::default(), args.threads, &mut say)?;
    let mut errors: Vec<f64> = rows.iter().map(bench::Accuracy::error).collect();
    errors.sort_by(f64::total_cmp);
    let median = errors.get(errors.len() / 2).copied().unwrap_or(f64::NAN);
    let covered = rows.iter().filter(|row| row.covered()).count();
    if args.format == Format::Json {
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
