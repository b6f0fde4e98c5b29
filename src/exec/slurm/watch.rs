//! Looking at all jobs at once, and ending some.

use super::judge::{Case, Verdict, Wait, judge, wait};
use super::rules::{self, Rule};
use super::{LOG_FILE, SlurmExecutor, Stage, Stop, Watched, has_outcome};
use crate::ids::AttemptId;
use crate::problem::Result;
use crate::record::Claim;
use crate::slurm::sacct::Account;
use crate::slurm::squeue::Row;
use crate::slurm::{Listing, Phase, sacct, scancel, squeue};
use crate::sys::fs;
use std::collections::BTreeMap;

/// Bound on the factor by which looks become rarer while the queue does not answer: a power of two.
const LONGEST_BACK_OFF: u32 = 4;
/// Seconds before a submission from which on accounting is asked for it: clocks differ.
const EARLIER: f64 = 3600.0;
/// How much of a log is looked through for SLURM's word on memory.
const LOG_BYTES: u64 = 4096;

impl Watched {
    fn is_sent(&self) -> bool {
        matches!(self.stage, Stage::Sent)
    }

    /// Takes the queue's word. `whole`: that it lists no such job means something.
    fn seen(&mut self, row: Option<&Row>, whole: bool, now: f64, unix: f64) -> Result<()> {
        match row {
            Some(row) => {
                let over = row.state.phase() == Phase::Ended;
                // A job that shows up late and is over already has not been missed by accounting all that time.
                let ended_before = self.row.as_ref().is_some_and(|row| row.state.phase() == Phase::Ended);
                self.over_since = over.then(|| self.over_since.filter(|_| ended_before).unwrap_or(now));
                let waits = row.state.phase() == Phase::Waiting;
                let state = if waits { format!("{} ({})", row.state, row.reason.0) } else { row.state.to_string() };
                if self.note.job.is_none() && !self.note.incidents.is_empty() {
                    let seconds = unix - self.note.sent.unwrap_or(unix);
                    self.note
                        .happened(format!("found in the queue by its name {seconds:.0} s after it was handed over"));
                }
                let partition = Some(row.partition.clone()).filter(|name| !name.is_empty());
                if self.note.job != Some(row.id) || self.note.state != state || self.note.partition != partition {
                    (self.note.job, self.note.state, self.note.partition) = (Some(row.id), state, partition);
                    self.note.write(&self.launch.folder)?;
                }
                self.row = Some(row.clone());
            }
            None if whole => {
                self.over_since = self.over_since.or(Some(now));
                // What it said last of an ended job stands; of a live one it does not.
                self.row = self.row.take().filter(|r| r.state.phase() == Phase::Ended);
            }
            None => {}
        }
        if !self.claimed {
            self.claimed = matches!(Claim::read(&self.launch.folder)?, Some(Claim::Worker(_)));
        }
        Ok(())
    }
}

impl SlurmExecutor<'_> {
    /// Asks for the queue, if it is time and there is anything to see.
    pub(super) fn look_again(&mut self) {
        let now = self.clock.monotonic();
        if self.queue.is_some() || self.accounts.is_some() || now < self.next_look {
            return;
        }
        self.given_up.retain(|_, until| *until > now);
        if !self.given_up.is_empty() || self.watched.values().any(Watched::is_sent) {
            self.next_look = now + self.site.poll_seconds * f64::from(1u32 << self.failed_looks.min(LONGEST_BACK_OFF));
            let arguments = if self.plain_looks { squeue::plain_arguments() } else { squeue::arguments() };
            self.queue = Some(self.commands.start("squeue", &arguments));
        }
    }

    /// Reads the queue's answer, if it is there, and asks accounting about what has left.
    pub(super) fn take_queue(&mut self) -> Result<()> {
        let Some(answer) = self.queue.as_mut().and_then(|p| p.answer()) else { return Ok(()) };
        self.queue = None;
        let listing = squeue::parse(&answer.stdout);
        let whole = answer.code == Some(0) && (listing.whole() || !rules::on(Rule::PartialSaysNothing));
        // It did what it was asked and nothing of it reads: an old `squeue`.
        self.plain_looks |= answer.code == Some(0) && listing.rows.is_empty() && !listing.whole();
        self.has_looked |= whole;
        self.failed_looks = if whole { 0 } else { self.failed_looks.saturating_add(1) };
        let (now, unix) = (self.clock.monotonic(), self.clock.unix());
        let mut rows: BTreeMap<&str, &Row> = BTreeMap::new();
        for row in &listing.rows {
            rows.insert(&row.name, row);
        }
        for watched in self.watched.values_mut().filter(|w| w.is_sent()) {
            watched.seen(rows.get(watched.note.name.as_str()).copied(), whole, now, unix)?;
        }
        let late = |name: &&String| rows.get(name.as_str()).is_some_and(|row| row.state.phase() != Phase::Ended);
        self.farewells.extend(
            self.given_up
                .keys()
                .filter(late)
                .filter(|name| !self.farewells.contains(name))
                .cloned()
                .collect::<Vec<_>>(),
        );
        self.end_hopeless()?;
        if !whole {
            return Ok(());
        }
        let gone: Vec<&Watched> = self.watched.values().filter(|w| w.is_sent() && w.over_since.is_some()).collect();
        if !gone.is_empty() {
            let names: Vec<&str> = gone.iter().map(|w| w.note.name.as_str()).collect();
            let since = gone.iter().filter_map(|w| w.note.sent).fold(self.clock.unix(), f64::min);
            self.accounts = Some(self.commands.start("sacct", &sacct::arguments(&names, since - EARLIER)));
        }
        Ok(())
    }

    /// Does with each job that waits what the rule for its reason says ([`wait`]).
    fn end_hopeless(&mut self) -> Result<()> {
        let (now, unix) = (self.clock.monotonic(), self.clock.unix());
        let open = |w: &Watched| w.is_sent() && w.note.refused.is_none() && w.note.launch_failed.is_none();
        for (id, watched) in self.watched.iter_mut().filter(|(_, w)| open(w)) {
            let Some(row) = watched.row.as_ref() else { continue };
            let held_seconds = watched.note.held_since.map_or(0.0, |since| unix - since);
            let waits = if row.state.phase() == Phase::Waiting { wait(row, held_seconds) } else { Wait::Longer };
            let note = &mut watched.note;
            let before = note.clone();
            match waits {
                Wait::Longer => {
                    if note.held_since.take().is_some() {
                        note.happened(format!("let go after {held_seconds:.0} s"));
                    }
                }
                Wait::Held if note.held_since.is_none() => {
                    note.held_since = Some(unix);
                    note.happened(format!("held: {}", row.reason.0));
                }
                Wait::Held => {}
                Wait::LaunchFailed(why) => note.launch_failed = Some(why),
                Wait::Never(why) => note.refused = Some(why),
            }
            if note.launch_failed.is_some() || note.refused.is_some() {
                self.stops.insert(*id, Stop { gentle: false, next: now });
            }
            if *note != before {
                note.write(&watched.launch.folder)?;
            }
        }
        Ok(())
    }

    /// Reads accounting's answer, if it is there, and judges what has left the queue.
    pub(super) fn take_accounts(&mut self) -> Result<()> {
        let Some(answer) = self.accounts.as_mut().and_then(|p| p.answer()) else { return Ok(()) };
        self.accounts = None;
        let listing: Listing<sacct::Row> = sacct::parse(&answer.stdout);
        let accounted = answer.code == Some(0) && listing.whole();
        if accounted {
            let mut found: BTreeMap<String, Vec<Account>> = BTreeMap::new();
            for account in sacct::accounts(&listing.rows) {
                found.entry(account.job.name.clone()).or_default().push(account);
            }
            for watched in self.watched.values_mut().filter(|w| w.is_sent() && w.over_since.is_some()) {
                watched.accounts = found.remove(&watched.note.name).unwrap_or_default();
            }
        }
        let (now, unix, settle) = (self.clock.monotonic(), self.clock.unix(), self.settle());
        let mut ended = Vec::new();
        for (id, watched) in self.watched.iter_mut().filter(|(_, w)| w.is_sent()) {
            let Some(since) = watched.over_since else { continue };
            if let Some(account) = watched.accounts.last().filter(|_| watched.note.job.is_none()) {
                watched.note.job = Some(account.job.id);
                watched.note.write(&watched.launch.folder)?;
            }
            if !accounted && watched.accounts_missed.is_none() {
                watched.accounts_missed = Some(now);
            }
            if let Some(missed) = watched.accounts_missed.filter(|_| accounted) {
                watched.accounts_missed = None;
                watched.note.happened(format!("accounting did not answer for {:.0} s", now - missed));
                watched.note.write(&watched.launch.folder)?;
            }
            // The answer of `sbatch` is still to come.
            if self.submitting.as_ref().is_some_and(|(submitting, _)| submitting == id) {
                continue;
            }
            let over = watched.accounts.last().is_some_and(|account| account.job.state.phase() == Phase::Ended);
            watched.recorded_since = watched.recorded_since.filter(|_| over).or(over.then_some(now));
            let case = Case {
                row: watched.row.as_ref(),
                accounts: &watched.accounts,
                accounted,
                outcome: has_outcome(&watched.launch.folder),
                claimed: watched.claimed,
                known: watched.note.job.is_some(),
                over: now - since,
                settling: watched.recorded_since.map_or(0.0, |since| now - since),
                sent: unix - watched.note.sent.unwrap_or(unix),
                settle,
                ended_by_us: watched.note.ended_by_us,
                log: &fs::tail(&watched.launch.folder.join(LOG_FILE), LOG_BYTES),
            };
            if let Verdict::Ended(words) = judge(&case) {
                if watched.accounts.len() > 1 {
                    let times = watched.accounts.len();
                    watched.note.happened(format!("somebody requeued it: SLURM began it {times} times"));
                }
                if let Some(missed) = watched.accounts_missed {
                    watched.note.happened(format!("accounting did not answer for the last {:.0} s", now - missed));
                }
                ended.push((*id, *words));
            }
        }
        ended.into_iter().try_for_each(|(id, words)| self.end(id, words))
    }

    /// Carries out one stop, if one is due. That this program ends a job is written down first.
    pub(super) fn cancel_next(&mut self) -> Result<()> {
        if self.cancelling.is_some() {
            return Ok(());
        }
        if let Some(name) = self.farewells.pop_front() {
            let arguments = scancel::arguments(scancel::Kind::End, &name, None);
            self.cancelling = Some((None, self.commands.start("scancel", &arguments)));
            return Ok(());
        }
        let now = self.clock.monotonic();
        for (id, stop) in self.stops.iter_mut().filter(|(_, stop)| stop.next <= now) {
            let Some(watched) = self.watched.get_mut(id) else { continue };
            stop.next = if rules::on(Rule::EndsAreRepeated) { now + self.site.poll_seconds } else { f64::INFINITY };
            let Some(kind) = kind(watched, stop.gentle) else { continue };
            if kind == scancel::Kind::End && !watched.note.ended_by_us {
                watched.note.ended_by_us = true;
                watched.note.write(&watched.launch.folder)?;
            }
            let arguments = scancel::arguments(kind, &watched.note.name, watched.note.job);
            let gentle = (kind == scancel::Kind::Checkpoint).then_some(*id);
            self.cancelling = Some((gentle, self.commands.start("scancel", &arguments)));
            return Ok(());
        }
        Ok(())
    }

    /// A request to checkpoint that was delivered is not sent again; an end is, until the job has ended.
    pub(super) fn take_cancellation(&mut self) {
        let Some((gentle, pending)) = &mut self.cancelling else { return };
        let (gentle, Some(answer)) = (*gentle, pending.answer()) else { return };
        self.cancelling = None;
        let delivered: Option<AttemptId> = gentle.filter(|_| answer.code == Some(0));
        if let Some(id) = delivered.filter(|id| self.stops.get(id).is_some_and(|s| s.gentle)) {
            self.stops.remove(&id);
        }
    }
}

/// How a job is to be stopped now; none: it cannot be yet.
fn kind(watched: &Watched, gentle: bool) -> Option<scancel::Kind> {
    if !gentle {
        return Some(scancel::Kind::End);
    }
    match watched.row.as_ref()?.state.phase() {
        // A job that waits has nothing to checkpoint.
        Phase::Waiting => Some(scancel::Kind::End),
        Phase::Active if watched.claimed => Some(scancel::Kind::Checkpoint),
        _ => None,
    }
}
