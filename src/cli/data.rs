//! `data list|get NAME`: the named datasets and their cache.

use super::output::{self, Format, Table};
use crate::data;
use crate::problem::Result;
use crate::sys::{env, http::Network};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

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
            let rows: Vec<_> = data::registry()
                .iter()
                .flat_map(|set| set.files.iter().map(move |file| (set, file)))
                .map(|(set, file)| (set.name, file.name, cache.join(file.name).exists(), set.licence))
                .collect();
            match format {
                Format::Json => output::print_json(
                    &rows
                        .iter()
                        .map(|(name, file, cached, licence)| {
                            serde_json::json!({"name": name, "file": file, "cached": cached, "licence": licence})
                        })
                        .collect::<Vec<_>>(),
                ),
                Format::Table => {
                    let mut table = Table::new(&["name", "file", "cached", "licence"]);
                    for (name, file, cached, licence) in rows {
                        let cached = if cached { "yes" } else { "no" };
                        table.row(vec![name.into(), file.into(), cached.into(), licence.into()]);
                    }
                    output::print(&table.render());
                    output::say(&format!("cache: {}", cache.display()));
                }
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

/// A callback that draws a byte bar on a terminal and nothing elsewhere.
pub fn download_bar() -> impl FnMut(u64, Option<u64>) {
    let bar = if env::stderr_is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}") {
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
