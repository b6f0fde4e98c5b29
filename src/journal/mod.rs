//! `events.jsonl`: the one truth of a campaign, append-only, written by one owner at a time.
//!
//! ```text
//! events.jsonl          one event a line, checksummed (see `line`)
//! events.jsonl.torn-42  bytes of an append that never finished, kept when the journal was opened again
//! owner.json            who writes: process, epoch, heartbeat (see `owner`)
//! owner.lock            advisory lock of the owner, where the filesystem has such locks
//! ```
//! [`Journal::open`] takes ownership and returns what was recorded; [`read`] looks without locking anything.
//!
//! Boundary: envelopes are opaque. Must not know what an event means, nor any campaign, run or budget; whoever reads an
//! envelope's `data` checks its `version`.

mod line;
mod owner;
mod store;

#[cfg(test)]
mod tests;

pub use line::{Envelope, FORMAT};
pub use owner::{HEARTBEAT_SECONDS, OBSERVATION_SECONDS, Owner, owner};
pub use store::{EVENTS_FILE, Journal, Torn, read};
