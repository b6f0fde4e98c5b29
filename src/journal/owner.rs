//! Who may write: one process at a time, numbered by epochs.
//!
//! Three witnesses say whether an earlier owner still lives, the strongest first:
//! 1. the advisory lock on `owner.lock`: held means alive; free means dead where only one kernel can mount the filesystem;
//! 2. its process number and start time, where the host id says that they mean something here;
//! 3. its heartbeat in `owner.json`, watched for [`OBSERVATION_SECONDS`]: a counter that changes is alive. Clocks of
//!    different machines are never compared.
//!
//! Whoever takes over raises the epoch. Every append first looks whether `owner.json` is still its own (fencing), so an
//! owner that slept through its replacement finds out before it writes.

use crate::problem::{Class, Problem, Result};
use crate::sys::clock::{Clock, rfc3339};
use crate::sys::fs::{self, Lock, Locking};
use crate::sys::process::{ProcessId, host_id};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Version of `owner.json`.
const FORMAT: u32 = 1;
/// How often a living owner changes its heartbeat.
pub const HEARTBEAT_SECONDS: f64 = 5.0;
/// How long the heartbeat of an owner on another host is watched before it counts as dead: longer than NFS clients cache
/// the entries of a folder (60 s by default), so that a change would have been seen.
pub const OBSERVATION_SECONDS: f64 = 90.0;
/// How long a new owner waits, where there is no lock to rely on, before it looks whether it still is the owner.
const SETTLE_SECONDS: f64 = 1.0;
/// How long a lock may outlive its dead owner: until a child that was being started has closed its copy.
const LINGER_SECONDS: f64 = 2.0;

/// `owner.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Version of this file's format.
    format: u32,
    /// Which ownership this is, from 1.
    pub epoch: u64,
    /// Where the process number means something: [`host_id`], a hash, not a name.
    pub host: String,
    /// The owning process.
    pub process: ProcessId,
    /// Since when, RFC 3339 UTC, for people.
    pub since: String,
    /// Changes at least every [`HEARTBEAT_SECONDS`] or so while the owner lives.
    pub heartbeat: u64,
    /// The owner left of its own accord.
    pub released: bool,
}

impl Owner {
    /// Whether the owner lives; none where that cannot be told from here (another host).
    pub fn alive(&self) -> Option<bool> {
        if self.released {
            return Some(false);
        }
        (self.host == host_id()).then(|| self.process.alive())
    }

    fn same_ownership(&self, other: &Owner) -> bool {
        (self.epoch, &self.host, self.process) == (other.epoch, &other.host, other.process)
    }
}

fn owner_path(folder: &Path) -> PathBuf {
    folder.join("owner.json")
}

/// Reads who owns the campaign in `folder`; none where nobody ever did. Locks nothing.
pub fn owner(folder: &Path) -> Result<Option<Owner>> {
    let path = owner_path(folder);
    let Some(bytes) = fs::read_if_there(&path)? else { return Ok(None) };
    let problem = |what: String| {
        Problem::usage(what)
            .at(path.display().to_string())
            .remedy("make sure that no controller runs on this campaign, on any machine, then delete this file")
    };
    let owner: Owner = serde_json::from_slice(&bytes).map_err(|e| problem(format!("not an owner file: {e}")))?;
    if owner.format > FORMAT {
        return Err(problem(format!(
            "written by a later version of this program (format {}, this one reads {FORMAT})",
            owner.format
        )));
    }
    Ok(Some(owner))
}

fn write(folder: &Path, owner: &Owner) -> Result<()> {
    let json = serde_json::to_vec(owner).map_err(|e| Problem::failed(format!("cannot write the owner file: {e}")))?;
    fs::write_atomic(&owner_path(folder), &json)
}

/// The problem of a campaign that is somebody else's.
fn owned(folder: &Path, owner: Option<&Owner>) -> Problem {
    let here = host_id();
    let (who, remedy) = match owner {
        Some(o) if !o.released && o.host == here => (
            format!("process {}, since {} (epoch {})", o.process.pid, o.since, o.epoch),
            format!("let it run, or end it with `kill {}` and run this command again", o.process.pid),
        ),
        Some(o) if !o.released => (
            format!("process {} on another host, since {} (epoch {})", o.process.pid, o.since, o.epoch),
            format!(
                "let it run, or end it there; if that machine is gone, run this command again once its heartbeat has been \
                 still for {OBSERVATION_SECONDS} s"
            ),
        ),
        _ => ("a process that is just starting".to_string(), "run this command again in a few seconds".to_string()),
    };
    Problem::new(Class::Owned, format!("another controller owns this campaign: {who}"))
        .at(folder.display().to_string())
        .remedy(format!("{remedy}; status, logs, best, why and report work meanwhile"))
}

/// What the witnesses say about taking over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nobody lives who owns it.
    Free,
    /// Somebody does.
    Owned,
    /// Only watching the heartbeat can tell.
    Observe,
}

/// What is known when somebody wants to take over.
struct Witnesses<'a> {
    /// The lock: ours, held, or there are none.
    lock: LockWitness,
    /// The filesystem can be mounted by one kernel only.
    local: bool,
    /// The last owner.
    owner: Option<&'a Owner>,
    /// Who asks.
    here: &'a str,
    me: ProcessId,
    /// Whether a process with the last owner's number and start lives here.
    process_alive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LockWitness {
    Ours,
    Held,
    None,
}

fn judge(w: &Witnesses) -> Verdict {
    if w.lock == LockWitness::Held {
        return Verdict::Owned;
    }
    let Some(owner) = w.owner.filter(|o| !o.released) else { return Verdict::Free };
    if owner.host == w.here {
        // With the lock in hand, this very process is an owner that left without being able to say so. Another living
        // process is an owner whose lock file was taken away from under it.
        let myself = owner.process == w.me && w.lock == LockWitness::Ours;
        return if w.process_alive && !myself { Verdict::Owned } else { Verdict::Free };
    }
    // Another host, or this one before it was booted again. A free lock settles it where nobody else can mount this.
    if w.lock == LockWitness::Ours && w.local { Verdict::Free } else { Verdict::Observe }
}

/// A process that may take over, and has not yet.
pub(super) struct Contender {
    folder: PathBuf,
    lock: Option<Lock>,
    last: Option<Owner>,
    /// Somebody else might come to the same conclusion at the same time.
    unsettled: bool,
}

/// An ownership in force.
#[derive(Debug)]
pub(super) struct Ownership {
    folder: PathBuf,
    owner: Owner,
    last_beat: f64,
    _lock: Option<Lock>,
}

impl Contender {
    /// Finds out whether the campaign in `folder` can be taken over; [`Class::Owned`] if not. Changes nothing but the lock.
    pub(super) fn new(folder: &Path, clock: &dyn Clock) -> Result<Self> {
        let local = fs::is_local(folder);
        let started = clock.monotonic();
        loop {
            let lock = Lock::attempt(&folder.join("owner.lock"))?;
            let ours = matches!(lock, Locking::Taken(_));
            let last = match owner(folder) {
                // With the whole truth in hand, a file that cannot be read says nothing more.
                Err(_) if ours && local => None,
                other => other?,
            };
            let (lock, witness) = match lock {
                Locking::Taken(lock) => (Some(lock), LockWitness::Ours),
                Locking::Unsupported => (None, LockWitness::None),
                Locking::Held => {
                    let dead = last.as_ref().is_some_and(|o| o.alive() == Some(false));
                    if dead && clock.monotonic() - started < LINGER_SECONDS {
                        clock.sleep(0.02);
                        continue;
                    }
                    return Err(owned(folder, last.as_ref()));
                }
            };
            let verdict = judge(&Witnesses {
                lock: witness,
                local,
                owner: last.as_ref(),
                here: &host_id(),
                me: ProcessId::current(),
                process_alive: last.as_ref().is_some_and(|o| o.process.alive()),
            });
            match verdict {
                Verdict::Free => {}
                Verdict::Owned => return Err(owned(folder, last.as_ref())),
                Verdict::Observe => observe(folder, last.as_ref(), clock)?,
            }
            let unsettled = verdict == Verdict::Observe || lock.is_none();
            return Ok(Contender { folder: folder.to_path_buf(), lock, last, unsettled });
        }
    }

    /// Takes over with an epoch above both the last owner's and `recorded`, the journal's last.
    pub(super) fn take(self, recorded: u64, clock: &dyn Clock) -> Result<Ownership> {
        let owner = Owner {
            format: FORMAT,
            epoch: self.last.map_or(0, |o| o.epoch).max(recorded) + 1,
            host: host_id(),
            process: ProcessId::current(),
            since: rfc3339(clock.unix()),
            heartbeat: 0,
            released: false,
        };
        write(&self.folder, &owner)?;
        let ownership = Ownership { folder: self.folder, owner, last_beat: clock.monotonic(), _lock: self.lock };
        if self.unsettled {
            clock.sleep(SETTLE_SECONDS);
            ownership.check()?;
        }
        Ok(ownership)
    }
}

/// Watches an owner that nothing else is known of; [`Class::Owned`] as soon as its file changes.
pub(super) fn observe(folder: &Path, last: Option<&Owner>, clock: &dyn Clock) -> Result<()> {
    let started = clock.monotonic();
    while clock.monotonic() - started < OBSERVATION_SECONDS {
        clock.sleep(1.0);
        let now = owner(folder)?;
        if now.as_ref() != last {
            return Err(owned(folder, now.as_ref()));
        }
    }
    Ok(())
}

impl Ownership {
    /// Fails with [`Class::Owned`] unless this ownership is still the one in force.
    pub(super) fn check(&self) -> Result<()> {
        let now = owner(&self.folder)?;
        match &now {
            Some(owner) if owner.same_ownership(&self.owner) => Ok(()),
            _ => Err(owned(&self.folder, now.as_ref())),
        }
    }

    /// The epoch of this ownership.
    pub(super) fn epoch(&self) -> u64 {
        self.owner.epoch
    }

    /// Shows others that the owner lives, if that is due.
    pub(super) fn beat(&mut self, clock: &dyn Clock) -> Result<()> {
        let now = clock.monotonic();
        if now - self.last_beat < HEARTBEAT_SECONDS {
            return Ok(());
        }
        self.check()?;
        self.owner.heartbeat += 1;
        write(&self.folder, &self.owner)?;
        self.last_beat = now;
        Ok(())
    }

    /// The problem of being replaced, told with who owns it now.
    pub(super) fn lost(&self) -> Problem {
        owned(&self.folder, owner(&self.folder).ok().flatten().as_ref())
    }
}

impl Drop for Ownership {
    /// Leaves, so that the next owner need not wait. Failing to is no loss: the lock and the process tell it as well.
    fn drop(&mut self) {
        if self.check().is_ok() {
            self.owner.released = true;
            let _ = write(&self.folder, &self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constellation_of_witnesses() {
        let me = ProcessId { pid: 1, start: 1 };
        let other = ProcessId { pid: 2, start: 2 };
        let by = |host: &str, process, released| {
            Some(Owner {
                format: 1,
                epoch: 3,
                host: host.into(),
                process,
                since: "then".into(),
                heartbeat: 4,
                released,
            })
        };
        use LockWitness as L;
        use Verdict as V;
        // lock, local, last owner, its process lives here -> verdict
        let table = [
            (L::Held, true, None, false, V::Owned),
            (L::Held, true, by("here", other, true), false, V::Owned),
            (L::Held, false, by("there", other, false), false, V::Owned),
            (L::Ours, true, None, false, V::Free),
            (L::None, false, None, false, V::Free),
            (L::Ours, false, by("there", other, true), false, V::Free),
            (L::None, false, by("here", other, true), true, V::Free),
            // Here: the process decides.
            (L::Ours, true, by("here", other, false), false, V::Free),
            (L::None, false, by("here", other, false), false, V::Free),
            (L::None, false, by("here", other, false), true, V::Owned),
            (L::Ours, true, by("here", other, false), true, V::Owned),
            // This very process: it left without saying so, or has the journal open already.
            (L::Ours, true, by("here", me, false), true, V::Free),
            (L::None, false, by("here", me, false), true, V::Owned),
            // Elsewhere: a process number that happens to live here says nothing.
            (L::Ours, true, by("there", other, false), true, V::Free),
            (L::Ours, false, by("there", other, false), false, V::Observe),
            (L::None, true, by("there", other, false), false, V::Observe),
            (L::None, false, by("there", other, false), true, V::Observe),
        ];
        for (i, (lock, local, owner, process_alive, verdict)) in table.iter().enumerate() {
            let w = Witnesses {
                lock: *lock,
                local: *local,
                owner: owner.as_ref(),
                here: "here",
                me,
                process_alive: *process_alive,
            };
            assert_eq!(judge(&w), *verdict, "row {i}");
        }
    }
}
