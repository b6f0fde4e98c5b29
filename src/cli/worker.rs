//! `nanoresearch worker --attempt DIR`: started by controllers, not by people.

use clap::Args as Arguments;
use std::path::PathBuf;

/// Execute one attempt of a campaign's run (controllers start this)
#[derive(Debug, Arguments)]
#[command(hide = true)]
pub struct Args {
    /// The attempt's folder, with its attempt.json
    #[arg(long, value_name = "DIR")]
    attempt: PathBuf,
}

/// The exit code says how it ended; everything else is in the attempt's folder.
pub fn run(args: &Args) -> u8 {
    crate::worker::run(&args.attempt)
}
