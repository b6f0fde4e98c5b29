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
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::exec::conformance::{Bed, Behaviour, LocalBed, end_of, running};
    use crate::failure::{Class, classify};
    use crate::rng::{Sequence, Stream};
    use crate::sys::clock::SystemClock;

    #[test]
    fn an_attempt_with_a_past_is_not_launched() {
        let bed = LocalBed::default();
        let mut executor = bed.executor();
        let watched = bed.attempt(Behaviour::Completes);
        executor.launch(&watched).unwrap();
        let problem = executor.launch(&watched).unwrap_err();
        assert!(problem.what.contains("not run twice"), "{problem}");
        end_of(&bed, &mut *executor, &watched);
        assert!(bed.executor().launch(&watched).is_err(), "it has an outcome");
        let abandoned = bed.attempt(Behaviour::Completes);
        executor.adopt(&abandoned).unwrap();
        assert!(bed.executor().launch(&abandoned).is_err(), "it was given up");
        assert!(!abandoned.folder.join("ran").exists());
    }

    #[test]
    fn a_program_that_is_not_there_is_said_so() {
        let bed = LocalBed::default();
        let clock = SystemClock::default();
        let mut executor = LocalExecutor::new("/nowhere/nanoresearch".into(), 1, &clock);
        let launch = bed.attempt(Behaviour::Completes);
        let problem = executor.launch(&launch).unwrap_err();
        assert!(problem.what.contains("/nowhere/nanoresearch") && problem.remedy.is_some(), "{problem}");
        // Nothing was started, and it can be given up in order.
        executor.adopt(&launch).unwrap();
        assert_eq!(classify(&end_of(&bed, &mut executor, &launch)), Class::NeverStarted);
    }

    #[test]
    fn workers_get_the_environment_without_the_secrets() {
        let bed = LocalBed::default();
        let mut executor = bed.local().with_environment("SHOWN_A", "1 thread");
        assert!(SECRETS.iter().all(|name| executor.environment.contains(&(name.to_string(), None))));
        executor.environment.extend([("SHOWN_B".to_string(), None), ("HOME".to_string(), None)]);
        let launch = bed.attempt(Behaviour::Completes);
        executor.launch(&launch).unwrap();
        let log = end_of(&bed, &mut executor, &launch).log_tail;
        assert!(log.contains("A=1 thread B= HOME=\n"), "{log}");
    }

    /// Workers on GPUs are shown one each, the next controller knows which, and workers on CPUs are shown what they were.
    #[test]
    fn attempts_on_gpus_are_spread_over_the_cards_and_stay_there_when_adopted() {
        let bed = LocalBed::default();
        let cards = || Cards::new(Some("4,7"), 2, 2);
        let on = |device: &str, behaviour| {
            let launch = bed.attempt(behaviour);
            bed.specify(&launch, device);
            launch
        };
        let mut first = bed.local().with_cards(cards());
        let card = |executor: &LocalExecutor, launch: &Launch| executor.watched[&launch.id].card.clone();
        let hanging: Vec<Launch> = (0..3).map(|_| on("cuda", Behaviour::Hangs)).collect();
        hanging.iter().for_each(|launch| first.launch(launch).unwrap());
        let found: Vec<_> = hanging.iter().map(|l| card(&first, l).unwrap()).collect();
        assert_eq!(found, ["4", "7", "4"]);
        let pinned = on("cuda:1", Behaviour::Hangs);
        first.launch(&pinned).unwrap();
        assert_eq!(card(&first, &pinned).as_deref(), Some("7"));
        for launch in hanging.iter().chain([&pinned]) {
            running(&bed, &mut first, launch);
        }
        let log = |launch: &Launch| std::fs::read_to_string(launch.folder.join(LOG_FILE)).unwrap();
        assert!(log(&hanging[1]).contains("CARD=7\n"), "{}", log(&hanging[1]));
        assert!(!log(&pinned).contains("CARD=7"), "it counts for itself: {}", log(&pinned));
        drop(first);
        let mut second = bed.local().with_cards(cards());
        hanging.iter().chain([&pinned]).for_each(|launch| second.adopt(launch).unwrap());
        assert_eq!((second.load("4").live, second.load("7").live), (2, 2));
        second.stop(hanging[1].id, false).unwrap();
        end_of(&bed, &mut second, &hanging[1]);
        let next = on("cuda", Behaviour::Completes);
        second.launch(&next).unwrap();
        assert_eq!(card(&second, &next).as_deref(), Some("7"), "where a place came free");
        let cpu = on("cpu", Behaviour::Completes);
        second.launch(&cpu).unwrap();
        assert_eq!(card(&second, &cpu), None);
        end_of(&bed, &mut second, &cpu);
        assert!(!log(&cpu).contains("CARD=4") && !log(&cpu).contains("CARD=7"), "{}", log(&cpu));
        for launch in [&hanging[0], &hanging[2], &pinned] {
            second.stop(launch.id, false).unwrap();
            end_of(&bed, &mut second, launch);
        }
    }

    /// A card whose hardware failed is the last to be used again.
    #[test]
    fn a_card_that_failed_comes_last() {
        let bed = LocalBed::default();
        let mut executor = bed.local().with_cards(Cards::new(None, 2, 1));
        let launch = |end: End| {
            let launch = bed.attempt(Behaviour::Completes);
            bed.specify(&launch, "cuda");
            std::fs::write(
                launch.folder.join("completed"),
                serde_json::to_vec(&crate::exec::fake::outcome(end, 0.01)).unwrap(),
            )
            .unwrap();
            launch
        };
        let failing = launch(End::DeviceFailed { fault: crate::record::Fault::Ecc, message: "broken".into() });
        executor.launch(&failing).unwrap();
        let class = classify(&end_of(&bed, &mut executor, &failing));
        assert_eq!(class, Class::DeviceFailed { fault: crate::record::Fault::Ecc });
        assert_eq!((executor.load("0").faults, executor.load("0").live), (1, 0));
        let next = launch(End::Completed);
        executor.launch(&next).unwrap();
        assert_eq!(executor.watched[&next.id].card.as_deref(), Some("1"));
        end_of(&bed, &mut executor, &next);
    }

    #[test]
    fn a_worker_is_in_a_session_of_its_own() {
        let bed = LocalBed::default();
        let mut executor = bed.local();
        let launch = bed.attempt(Behaviour::Hangs);
        executor.launch(&launch).unwrap();
        let Process::Child(child) = &executor.watched[&launch.id].process else { panic!("not a child") };
        let pid = child.id().pid as i32;
        // SAFETY: getsid only reads.
        assert_eq!(unsafe { libc::getsid(pid) }, pid);
        executor.stop(launch.id, false).unwrap();
        end_of(&bed, &mut executor, &launch);
    }

    /// A controller killed anywhere between launching a worker and the worker's claim: the next one finds it running, or
    /// gives it up; never both, never neither.
    #[test]
    fn starting_and_giving_up_race_to_one_winner() {
        let bed = LocalBed::default();
        let mut random = Sequence::new(3, Stream::Data, 0, 0);
        let (mut ran, mut given_up) = (0, 0);
        for round in 0..24 {
            let launch = bed.attempt(Behaviour::StartsAfter(random.uniform() * 0.03));
            let mut first = bed.executor();
            first.launch(&launch).unwrap();
            bed.clock.sleep(random.uniform() * 0.05);
            drop(first);
            let mut second = bed.executor();
            second.adopt(&launch).unwrap();
            let evidence = end_of(&bed, &mut *second, &launch);
            // The worker says in its folder which way it went.
            let marker =
                |name: &str| std::fs::read_to_string(launch.folder.join(name)).map_or(0, |t| t.lines().count());
            let waiting = bed.clock.monotonic();
            while marker("ran") + marker("refused") == 0 {
                assert!(bed.clock.monotonic() - waiting < 20.0, "round {round}: the worker never came");
                bed.clock.sleep(0.002);
            }
            match classify(&evidence) {
                Class::Completed => {
                    assert_eq!((marker("ran"), marker("refused")), (1, 0), "round {round}");
                    ran += 1;
                }
                Class::NeverStarted => {
                    assert_eq!((marker("ran"), marker("refused")), (0, 1), "round {round}");
                    given_up += 1;
                }
                other => panic!("round {round}: {other:?}, {evidence:?}"),
            }
        }
        // Both happen, or the test has lost its subject.
        assert!(ran > 0 && given_up > 0, "{ran} ran, {given_up} were given up");
    }
}
