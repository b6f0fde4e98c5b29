//! A campaign as one file that somebody else can check: paper, configs, results, metrics, journal, tape, environment.
//!
//! ```text
//! contents      which files of a campaign's folder go along, and which stay
//! environment   what computed the runs: programs, fingerprints, machines, data
//! privacy       what may not leave this machine (keys), and what only names it
//! listing       bundle.json: every file with its SHA-256; whether a folder is still what was exported
//! readme        README.md: what it is, and the one command that checks it
//! archive       the .tar.gz
//! export        all of it
//! ```
//! Boundary: reads a campaign's folder and changes nothing in it. Must not know engines, planners or the command line.

mod archive;
mod contents;
mod environment;
mod export;
mod listing;
mod privacy;
mod readme;
#[cfg(test)]
mod tests;

pub use export::{Exported, Options, export};
pub use listing::{LISTING_FILE, Listing, Replay, check};
