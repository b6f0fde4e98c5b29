//! Attempts as processes of this machine, each in a session of its own, so that they outlive the controller.
//!
//! Boundary: knows how to start, watch and signal a worker; knows nothing of what it does. See the parent module for the
//! protocol that keeps an attempt from being lost or run twice.

use super::cards::{CardNote, Cards, Load, VISIBLE};
use super::evidence::{LOG_FILE, gather, has_outcome};
use super::{Executor, Launch, Status};
use crate::config::DeviceSpec;
use crate::ids::AttemptId;
use crate::problem::{Problem, Result};
use crate::record::{AttemptSpec, Blame, Claim, End, Evidence};
use crate::sys::clock::Clock;
use crate::sys::process::{DetachedChild, ProcessId};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;

/// Seconds between two looks at attempts that have run for a while, and at those that have just begun.
const LONGEST_NAP: f64 = 0.1;
const SHORTEST_NAP: f64 = 0.005;

/// What never reaches a worker's environment: it needs no network, and its folder is shown to others.
const SECRETS: [&str; 2] = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"];

/// A variable that is set, or taken out of the environment.
type Variable = (String, Option<String>);

/// Runs `program worker --attempt FOLDER` for each attempt, with the log in `FOLDER/worker.log`.
///
/// Dropping it ends no worker.
pub struct LocalExecutor<'c> {
    program: PathBuf,
    slots: usize,
    clock: &'c dyn Clock,
    environment: Vec<Variable>,
    /// None: workers on GPUs see what the controller sees.
    cards: Option<Cards>,
    watched: BTreeMap<AttemptId, Watched>,
}

/// An attempt under watch.
struct Watched {
    launch: Launch,
    /// When it started, on the executor's monotonic clock; may lie before that clock's zero.
    started: f64,
    process: Process,
    killed_for_time: bool,
    /// The GPU that it computes on, where that was chosen here.
    card: Option<String>,
}

enum Process {
    /// Started by this executor, which therefore learns how it ended.
    Child(DetachedChild),
    /// Started by an earlier controller: only whether it lives can be seen.
    Adopted(ProcessId),
    /// Over. Boxed, since most of the time it is not.
    Ended(Box<Evidence>),
}

impl<'c> LocalExecutor<'c> {
    /// An executor of up to `slots` live attempts of `program`.
    pub fn new(program: PathBuf, slots: usize, clock: &'c dyn Clock) -> Self {
        let environment = SECRETS.iter().map(|name| (name.to_string(), None)).collect();
        LocalExecutor { program, slots, clock, environment, cards: None, watched: BTreeMap::new() }
    }

    /// Sets a variable in the environment of workers launched from now on, a number of threads for instance.
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_string(), Some(value.to_string())));
        self
    }

    /// Gives attempts whose device is a GPU one of these each, the least loaded first. One that names a GPU by a number
    /// above 0 keeps it.
    pub fn with_cards(mut self, cards: Cards) -> Self {
        self.cards = Some(cards);
        self
    }

    /// What is on a card, as far as attempts that this executor watches tell.
    fn load(&self, card: &str) -> Load {
        let mut load = Load::default();
        for watched in self.watched.values().filter(|w| w.card.as_deref() == Some(card)) {
            match &watched.process {
                Process::Ended(evidence) => load.faults += usize::from(is_hardware(evidence)),
                _ => load.live += 1,
            }
        }
        load
    }

    /// The card for an attempt, written into its folder, and the variable that shows it to the worker.
    fn place(&self, launch: &Launch) -> Result<(Option<String>, Option<Variable>)> {
        let Some(cards) = &self.cards else { return Ok((None, None)) };
        let (card, shown) = match AttemptSpec::read(&launch.folder)?.experiment.resources.device {
            DeviceSpec::Cpu => return Ok((None, None)),
            DeviceSpec::Cuda(0) => (cards.choose(|name| self.load(name)), true),
            DeviceSpec::Cuda(number) => (cards.name(number as usize), false),
        };
        // Without a card it starts all the same, and says in its own words what is missing.
        let Some(card) = card.map(str::to_string) else { return Ok((None, None)) };
        CardNote::new(&card).write(&launch.folder)?;
        let variable = shown.then(|| (VISIBLE.to_string(), Some(card.clone())));
        Ok((Some(card), variable))
    }

    fn watch(&mut self, launch: &Launch, started: f64, process: Process, card: Option<String>) {
        let watched = Watched { launch: launch.clone(), started, process, killed_for_time: false, card };
        self.watched.insert(launch.id, watched);
    }

    fn watched(&mut self, id: AttemptId) -> Result<&mut Watched> {
        self.watched
            .get_mut(&id)
            .ok_or_else(|| Problem::failed(format!("attempt {id} was neither launched nor adopted")))
    }
}

/// Whether the device's hardware failed.
fn is_hardware(evidence: &Evidence) -> bool {
    let end = evidence.outcome.as_ref().map(|outcome| &outcome.end);
    matches!(end, Some(End::DeviceFailed { fault, .. }) if fault.blame() == Blame::Hardware)
}

impl Watched {
    /// Looks what became of it at `now`, and enforces its limit.
    fn look(&mut self, now: f64) -> Result<Status> {
        let folder = &self.launch.folder;
        let seconds = now - self.started;
        let (over, exit) = match &mut self.process {
            Process::Ended(evidence) => return Ok(Status::Ended((**evidence).clone())),
            Process::Child(child) => {
                let exit = child.try_wait().map_err(|e| Problem::io("wait for the worker", folder, &e))?;
                (exit.is_some(), exit)
            }
            // A worker that has left its outcome may still hold its device. Life is looked at before the outcome is read:
            // the other way round, one that ends in between would look crashed.
            Process::Adopted(process) => (!process.alive(), None),
        };
        if over {
            // What an unparented worker says of its own time is nearer the truth than when somebody looked again.
            let measured = (exit.is_some() || self.killed_for_time).then_some(seconds);
            let evidence = gather(folder, exit, self.killed_for_time, measured)?;
            self.process = Process::Ended(Box::new(evidence.clone()));
            return Ok(Status::Ended(evidence));
        }
        let limit = self.launch.kill_after_seconds;
        if limit > 0.0 && seconds > limit && !self.killed_for_time {
            self.signal(libc::SIGKILL)?;
            self.killed_for_time = true;
        }
        let claimed = Claim::read(&self.launch.folder)?.is_some();
        Ok(if claimed { Status::Running } else { Status::Pending })
    }

    fn signal(&self, signal: i32) -> Result<()> {
        let process = match &self.process {
            Process::Child(child) => child.id(),
            Process::Adopted(process) => *process,
            Process::Ended(_) => return Ok(()),
        };
        process.signal(signal).map_err(|e| {
            Problem::failed(format!("cannot send signal {signal} to the worker, process {}: {e}", process.pid))
                .at(self.launch.folder.display().to_string())
                .remedy("check that the controller runs as the same user as its workers")
        })
    }
}

impl Executor for LocalExecutor<'_> {
    fn slots(&self) -> usize {
        self.slots
    }

    /// An attempt is charged until its end is seen, so a short one is looked at often: its end is seen a twentieth late.
    fn nap(&self) -> f64 {
        let now = self.clock.monotonic();
        let live = self.watched.values().filter(|w| !matches!(w.process, Process::Ended(_)));
        live.map(|w| 0.05 * (now - w.started)).fold(LONGEST_NAP, f64::min).max(SHORTEST_NAP)
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        let again = self.watched.contains_key(&launch.id);
        if again || Claim::read(&launch.folder)?.is_some() || has_outcome(&launch.folder) {
            return Err(Problem::failed(format!("attempt {} was launched before; it is not run twice", launch.id))
                .at(launch.folder.display().to_string())
                .remedy("resume the campaign: what became of the attempt is found out first"));
        }
        let arguments = [OsStr::new("worker"), OsStr::new("--attempt"), launch.folder.as_os_str()];
        let log = launch.folder.join(LOG_FILE);
        let (card, variable) = self.place(launch)?;
        let environment: Vec<_> = self.environment.iter().cloned().chain(variable).collect();
        let started = self.clock.monotonic();
        let child = DetachedChild::spawn_with(&self.program, &arguments, &log, &environment).map_err(|e| {
            Problem::unavailable(format!("cannot start the worker {}: {e}", self.program.display()))
                .at(launch.folder.display().to_string())
                .remedy("check that the program is still there and that the user's process limit is not reached")
        })?;
        self.watch(launch, started, Process::Child(child), card);
        Ok(())
    }

    fn adopt(&mut self, launch: &Launch) -> Result<()> {
        if self.watched.contains_key(&launch.id) {
            return Ok(());
        }
        // Where nobody has the claim yet, either this takes it or a worker just did: then it is read again.
        let claim = match Claim::read(&launch.folder)? {
            None if has_outcome(&launch.folder) || Claim::Abandoned.take(&launch.folder)? => None,
            None => Claim::read(&launch.folder)?,
            some => some,
        };
        let now = self.clock.monotonic();
        let card = CardNote::read(&launch.folder).map(|note| note.card);
        match claim {
            Some(Claim::Worker(process)) if process.alive() => {
                let age = process.age_seconds().unwrap_or(0.0);
                self.watch(launch, now - age, Process::Adopted(process), card);
            }
            _ => {
                let evidence = gather(&launch.folder, None, false, None)?;
                self.watch(launch, now, Process::Ended(Box::new(evidence)), card);
            }
        }
        Ok(())
    }

    fn poll(&mut self, id: AttemptId) -> Result<Status> {
        let now = self.clock.monotonic();
        self.watched(id)?.look(now)
    }

    fn stop(&mut self, id: AttemptId, gentle: bool) -> Result<()> {
        self.watched(id)?.signal(if gentle { libc::SIGTERM } else { libc::SIGKILL })
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
