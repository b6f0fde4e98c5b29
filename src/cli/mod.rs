//! Arguments, one file per command, output and exit codes.
//!
//! Boundary: parses, calls the library, prints. Data go to stdout, everything else to stderr. A failure is a
//! [`Problem`](crate::problem::Problem), shown as one paragraph; its class is the exit code.

mod train;
mod worker;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Turns a research question and a compute budget into measured experiments and a report.
#[derive(Debug, Parser)]
#[command(name = "nanoresearch", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Args),
    Worker(worker::Args),
}

/// Parses the arguments, runs the command, prints, and returns the documented exit code.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Train(args) => train::run(&args),
        Command::Worker(args) => Ok(worker::run(&args)),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(problem.class.exit_code())
        }
    }
}
