//! `data list|get NAME`: the named datasets and their cache.

use super::output::{self, Format, Table};
use crate::data::{self, Cached, NamedSet, RemoteFile};
use crate::problem::Result;
use crate::sys::{env, http::Network};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::Path;

/// Arguments of `data`.
#[derive(Debug, Args)]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// List the datasets that can be fetched by name, and whether they are in the cache
    List {
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Fetch a dataset into the cache, for machines whose compute nodes have no network
    Get {
        /// Name, as `data list` shows it
        name: String,
    },
}

/// Lists or fetches.
pub fn run(args: &DataArgs) -> Result<()> {
    let cache = env::data_dir();
    match &args.command {
        DataCommand::List { format } => {
            let files = data::registry().iter().flat_map(|set| set.files.iter().map(move |file| (set, file)));
            let rows: Vec<Row> = files.map(|(set, file)| (set, file, data::cached(set, file, &cache))).collect();
            match format {
                Format::Json => output::print_json(&rows.iter().map(json_row).collect::<Vec<_>>()),
                Format::Table => table(&rows, &cache),
            }
        }
        DataCommand::Get { name } => {
            let mut progress = download_bar();
            for path in data::get(name, &cache, &Network, &mut progress)? {
                output::print(&format!("{}\n", path.display()));
            }
        }
    }
    Ok(())
}

/// A file of a named set, and how the cache has it.
type Row = (&'static NamedSet, &'static RemoteFile, Cached);

fn json_row((set, file, cached): &Row) -> Value {
    let mut row = json!({
        "name": set.name, "file": file.name, "cached": *cached == Cached::Whole, "licence": set.licence,
    });
    if let Cached::Wrong { what, .. } = cached {
        row["wrong"] = json!(what);
    }
    row
}

/// A line a file; what to do about wrong ones on stderr.
fn table(rows: &[Row], cache: &Path) {
    let mut table = Table::new(&["name", "file", "cached", "licence"]);
    for (set, file, cached) in rows {
        let word = match cached {
            Cached::Whole => "yes",
            Cached::Absent => "no",
            Cached::Wrong { what, .. } => what,
        };
        table.row(vec![set.name.into(), file.name.into(), word.into(), set.licence.into()]);
    }
    output::print(&table.render());
    output::say(&format!("cache: {}", cache.display()));
    for (_, file, cached) in rows {
        if let Cached::Wrong { what, remedy } = cached {
            output::say(&format!("warning: {}: {what}\n  {remedy}", file.name));
        }
    }
}

/// A callback that draws a byte bar on a terminal and nothing elsewhere.
pub fn download_bar() -> impl FnMut(u64, Option<u64>) {
    let bar = if env::stderr_is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("downloading {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}") {
        bar.set_style(style);
    }
    move |done, total| {
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(done);
        if total == Some(done) {
            bar.finish_and_clear();
        }
    }
}
