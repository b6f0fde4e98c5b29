//! The journal's file: opening with repair of a torn end, appending, and reading from the side.

use super::line::{Envelope, Parsed, Tail, encode, parse};
use super::owner::{Contender, Ownership};
use crate::problem::{Problem, Result};
use crate::sys::clock::{Clock, rfc3339};
use crate::sys::fs::{self, Appender};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Name of the journal in a campaign's folder.
pub const EVENTS_FILE: &str = "events.jsonl";

/// The journal, open for its one writer. Dropping it gives the campaign free.
pub struct Journal<'c> {
    path: PathBuf,
    clock: &'c dyn Clock,
    ownership: Ownership,
    appender: Appender,
    /// Length of what is known to be in the file.
    length: u64,
    /// Number of the last event.
    last: u64,
    /// An append failed in a way that leaves unknown what is on disk.
    broken: bool,
    /// What was cut off when it was opened.
    torn: Option<Torn>,
}

/// An append that never finished, cut off the journal's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Its bytes.
    pub bytes: usize,
    /// The file beside the journal that keeps them.
    pub kept: String,
}

/// Reads the events of the campaign in `folder` without locking anything; a torn end is ignored, since an append may be
/// under way. A folder without a journal has no events.
pub fn read(folder: &Path) -> Result<Vec<Envelope>> {
    Ok(load(&folder.join(EVENTS_FILE))?.1.envelopes)
}

/// The file's bytes, and what they say.
fn load(path: &Path) -> Result<(Vec<u8>, Parsed)> {
    let bytes = fs::read_if_there(path)?.unwrap_or_default();
    let parsed = parse(&bytes, path)?;
    Ok((bytes, parsed))
}

impl<'c> Journal<'c> {
    /// Takes ownership of the campaign in `folder`, which must exist, and returns what was recorded in it.
    ///
    /// A torn last line is cut off, its bytes kept beside as `events.jsonl.torn-<seq>`. Fails with class `Owned` where
    /// another controller lives, and with class `Usage` where the file was changed after it was written or is of a
    /// later version; then nothing is changed. Waits up to [`super::OBSERVATION_SECONDS`] where the last owner was on
    /// another host, did not leave in order, and no lock tells what became of it.
    pub fn open(folder: &Path, clock: &'c dyn Clock) -> Result<(Self, Vec<Envelope>)> {
        let path = folder.join(EVENTS_FILE);
        let contender = Contender::new(folder, clock)?;
        let (bytes, parsed) = load(&path)?;
        let recorded = parsed.envelopes.last().map_or((0, 0), |e| (e.seq, e.epoch));
        let ownership = contender.take(recorded.1, clock)?;
        let mut appender = Appender::open(&path)?;
        if fs::length(&path)? != bytes.len() as u64 {
            return Err(ownership.lost());
        }
        let mut length = parsed.length as u64;
        let mut torn = None;
        match parsed.tail {
            Tail::None => {}
            Tail::Unterminated => {
                appender.append(b"\n")?;
                length += 1;
            }
            Tail::Torn => {
                let rest = &bytes[parsed.length..];
                torn = Some(Torn { bytes: rest.len(), kept: keep_torn(&path, recorded.0 + 1, rest)? });
                fs::truncate(&path, length)?;
            }
        }
        appender.sync()?;
        fs::sync_dir(folder)?;
        let journal = Journal { path, clock, ownership, appender, length, last: recorded.0, broken: false, torn };
        Ok((journal, parsed.envelopes))
    }

    /// What was cut off when it was opened, if anything was.
    pub fn torn(&self) -> Option<&Torn> {
        self.torn.as_ref()
    }

    /// The time to write beside an event that is recorded now.
    pub fn now(&self) -> String {
        rfc3339(self.clock.unix())
    }

    /// Appends an event that happened at `time` (see [`now`](Self::now)) in one write and waits until it is on disk. On an error the event is not recorded, and where
    /// the error is not for good (a full disk), a later append can succeed. Class `Owned`: another controller took over,
    /// and this one must stop.
    pub fn append_at(&mut self, time: String, kind: &str, version: u32, data: Value) -> Result<Envelope> {
        if self.broken {
            return Err(Problem::failed("an earlier append failed and left unknown what is on disk")
                .at(self.path.display().to_string())
                .remedy("see the earlier message, then resume the campaign: it starts from what really was recorded"));
        }
        self.ownership.check()?;
        if fs::length(&self.path)? != self.length {
            return Err(self.ownership.lost());
        }
        let envelope =
            Envelope { seq: self.last + 1, time, epoch: self.ownership.epoch(), kind: kind.to_string(), version, data };
        let line = encode(&envelope)?;
        if let Err(problem) = self.appender.append(&line) {
            self.broken = fs::truncate(&self.path, self.length).is_err();
            return Err(problem);
        }
        if let Err(problem) = self.appender.sync() {
            // After a failed sync the system may have dropped what it could not write: only reading again tells.
            self.broken = true;
            return Err(problem);
        }
        self.length += line.len() as u64;
        self.last = envelope.seq;
        Ok(envelope)
    }

    /// Appends an event that happens now.
    pub fn append(&mut self, kind: &str, version: u32, data: Value) -> Result<Envelope> {
        self.append_at(self.now(), kind, version, data)
    }

    /// Shows controllers on other hosts that this one lives. To be called often; writes only every
    /// [`super::HEARTBEAT_SECONDS`]. Class `Owned`: another controller took over, and this one must stop.
    pub fn heartbeat(&mut self) -> Result<()> {
        self.ownership.beat(self.clock)
    }

    /// Fails with class `Owned` unless this controller still owns the campaign; for asking before an external effect.
    pub fn check_ownership(&self) -> Result<()> {
        self.ownership.check()
    }

    /// The epoch of this ownership, from 1.
    pub fn epoch(&self) -> u64 {
        self.ownership.epoch()
    }

    /// Number of the last event; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.last
    }
}

/// Keeps the bytes of an unfinished append beside the journal, never over an earlier such file; returns that file's name.
fn keep_torn(path: &Path, seq: u64, bytes: &[u8]) -> Result<String> {
    let mut n = 1;
    loop {
        let suffix = if n == 1 { String::new() } else { format!("-{n}") };
        let name = format!("{EVENTS_FILE}.torn-{seq}{suffix}");
        let kept = path.with_file_name(&name);
        if fs::create_exclusive(&kept, bytes)? || fs::read_if_there(&kept)?.as_deref() == Some(bytes) {
            return Ok(name);
        }
        n += 1;
    }
}
