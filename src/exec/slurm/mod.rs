//! Attempts as jobs of SLURM.
//!
//! One job an attempt, submitted at most once in its life: the note in the attempt's folder (`slurm.json`) is made by
//! exclusive creation before anything is submitted and says when the script was handed to `sbatch`. A lost answer, or a
//! controller that died before it could write the id down, is settled by looking for the job's name, which is this
//! attempt's alone. What is not found in time is given up through the attempt's claim, so that a job which appears later
//! leaves at once; and it is cancelled by name.
//!
//! One `squeue` an interval for all jobs, and at most one `sacct` for those that have left the queue. Commands run beside
//! the controller and are never waited for. While the queue does not answer, wholly, nothing is concluded about anything.
//! [`judge`] says what the witnesses mean. Boundary: knows SLURM, folders and processes; nothing of campaigns.

mod commands;
mod judge;
mod note;
mod place;
mod rules;
mod submit;
mod watch;

#[cfg(test)]
mod ends;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod fake_job;
#[cfg(test)]
pub(super) mod real;
#[cfg(test)]
mod schedules;
#[cfg(test)]
pub(super) mod tests;
#[cfg(test)]
mod waits;

use super::evidence::{LOG_FILE, gather, has_outcome};
pub use place::{CLUSTER_FILE, last_look};

use super::{Executor, Launch, Status};
use crate::config::Site;
use crate::ids::AttemptId;
use crate::problem::{Problem, Result};
use crate::record::{Claim, Evidence, JobEnd, SchedulerEnd};
use crate::slurm::Placed;
use crate::slurm::sacct::Account;
use crate::slurm::sbatch;
use crate::slurm::squeue::Row;
use crate::sys::clock::Clock;
use crate::sys::fs;
use commands::{Commands, Pending, SystemCommands};
use judge::Words;
use note::Note;
use place::Outlook;
use rules::Rule;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

/// The least time for which files and records may be on their way, in seconds: accounting was seen to be 9 s late.
const SETTLE: f64 = 10.0;
/// Seconds for which a name that was given up is looked for: a controller that was frozen takes up what it was sent.
const GIVEN_UP: f64 = 3600.0;

/// Runs each attempt as a job on a site. Dropping it ends no job.
pub struct SlurmExecutor<'c> {
    site: Site,
    slots: usize,
    clock: &'c dyn Clock,
    commands: Box<dyn Commands + 'c>,
    /// The pinned program.
    program: PathBuf,
    campaign: PathBuf,
    environment: Vec<(String, String)>,
    watched: BTreeMap<AttemptId, Watched>,
    /// Waiting to be submitted, in order.
    ready: VecDeque<AttemptId>,
    submitting: Option<(AttemptId, Box<dyn Pending>)>,
    next_submit: f64,
    queue: Option<Box<dyn Pending>>,
    accounts: Option<Box<dyn Pending>>,
    next_look: f64,
    /// Looks in a row that gave no whole answer.
    failed_looks: u32,
    /// Stops to be carried out, and when next.
    stops: BTreeMap<AttemptId, Stop>,
    /// Names of jobs that were given up without being seen, and until when (monotonic) the queue is looked at for them.
    given_up: BTreeMap<String, f64>,
    /// Names of those that were seen after all, to be cancelled.
    farewells: VecDeque<String>,
    cancelling: Option<(Option<AttemptId>, Box<dyn Pending>)>,
    /// The queue has answered wholly since this controller began.
    has_looked: bool,
    /// The queue is asked in the older form, since it did not answer well in the newer one.
    plain_looks: bool,
    outlook: Outlook,
    placed: BTreeMap<AttemptId, Placed>,
}

#[derive(Debug, Clone, Copy)]
struct Stop {
    gentle: bool,
    next: f64,
}

/// An attempt under watch.
struct Watched {
    launch: Launch,
    note: Note,
    stage: Stage,
    /// A worker has claimed it.
    claimed: bool,
    /// The queue's last word on it.
    row: Option<Row>,
    /// Accounting's last whole word on it.
    accounts: Vec<Account>,
    /// Since when (monotonic) the queue shows it ended or not at all.
    over_since: Option<f64>,
    /// Since when (monotonic) accounting says that it has ended.
    recorded_since: Option<f64>,
    /// Since when (monotonic) accounting has not answered while it was asked for this job.
    accounts_missed: Option<f64>,
    /// How often `sbatch` has put it off.
    put_off: u32,
}

enum Stage {
    /// Not handed to `sbatch` yet.
    Ready,
    /// Handed to it; whether there is a job says the note.
    Sent,
    Ended(Box<Evidence>),
}

impl<'c> SlurmExecutor<'c> {
    /// An executor of up to `slots` live attempts on `site`. `program` is the pinned program, `campaign` the campaign's
    /// folder, both absolute and visible from the nodes.
    pub fn new(site: Site, slots: usize, clock: &'c dyn Clock, program: PathBuf, campaign: PathBuf) -> Self {
        Self::with_commands(site, slots, clock, program, campaign, Box::new(SystemCommands))
    }

    fn with_commands(
        site: Site,
        slots: usize,
        clock: &'c dyn Clock,
        program: PathBuf,
        campaign: PathBuf,
        commands: Box<dyn Commands + 'c>,
    ) -> Self {
        let slots = slots.min(site.max_jobs as usize);
        SlurmExecutor {
            site,
            slots,
            clock,
            commands,
            program,
            campaign,
            environment: Vec::new(),
            watched: BTreeMap::new(),
            ready: VecDeque::new(),
            submitting: None,
            next_submit: f64::NEG_INFINITY,
            queue: None,
            accounts: None,
            next_look: f64::NEG_INFINITY,
            failed_looks: 0,
            stops: BTreeMap::new(),
            given_up: BTreeMap::new(),
            farewells: VecDeque::new(),
            cancelling: None,
            has_looked: false,
            plain_looks: false,
            outlook: Outlook::default(),
            placed: BTreeMap::new(),
        }
    }

    /// Sets a variable in the scripts of attempts launched from now on.
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_string(), value.to_string()));
        self
    }

    /// Chooses partitions and GPU types by what the cluster has free, and by price.
    pub fn choosing(mut self) -> Self {
        self.outlook.on = true;
        self
    }

    /// Copies a program into a campaign's folder under its hash, where later builds do not touch it, and says where.
    pub fn pin(program: &Path, campaign: &Path) -> Result<PathBuf> {
        let bytes = fs::read(program)?;
        let hash = blake3::hash(&bytes).to_hex();
        let pinned = campaign.join("bin").join(format!("nanoresearch-{}", &hash[..16]));
        let whole = fs::read_if_there(&pinned)?.is_some_and(|there| there == bytes);
        if !whole {
            fs::create_dir(&campaign.join("bin"))?;
            fs::write_program(&pinned, &bytes)?;
        }
        Ok(pinned)
    }

    /// Seconds for which files and records may be on their way.
    fn settle(&self) -> f64 {
        (2.0 * self.site.poll_seconds).max(SETTLE)
    }

    fn watch(&mut self, launch: &Launch, note: Note, stage: Stage) {
        // One that cannot be read now is looked at again with the queue.
        let claimed = matches!(Claim::read(&launch.folder), Ok(Some(Claim::Worker(_))));
        let watched = Watched {
            launch: launch.clone(),
            note,
            stage,
            claimed,
            row: None,
            accounts: Vec::new(),
            over_since: None,
            recorded_since: None,
            accounts_missed: None,
            put_off: 0,
        };
        self.watched.insert(launch.id, watched);
    }

    fn known(&self, id: AttemptId) -> Result<&Watched> {
        self.watched.get(&id).ok_or_else(|| Problem::failed(format!("attempt {id} was neither launched nor adopted")))
    }

    /// Takes and gives everything that can be taken and given now.
    fn advance(&mut self) -> Result<()> {
        self.take_submission()?;
        self.take_cancellation();
        self.take_accounts()?;
        self.take_queue()?;
        self.look_around()?;
        self.submit_next()?;
        self.look_again();
        self.cancel_next()
    }

    /// The attempt has ended as `words` say. An attempt without outcome and claim is given up through its claim; where a
    /// worker takes that at the last moment, it is watched on.
    fn end(&mut self, id: AttemptId, words: Words) -> Result<()> {
        let Some(watched) = self.watched.get_mut(&id) else { return Ok(()) };
        let folder = &watched.launch.folder;
        if rules::on(Rule::GivenUpByClaim) && !has_outcome(folder) && !watched.claimed {
            let seen = watched.note.job.is_some();
            let taken = Claim::read(folder)?.is_none() && Claim::Abandoned.take(folder)?;
            // Nobody has seen its job, and a worker has just begun in it.
            let began = !taken && matches!(Claim::read(folder)?, Some(Claim::Worker(_)));
            if began && words == Words::default() && matches!(watched.stage, Stage::Sent) {
                (watched.claimed, watched.over_since) = (true, None);
                return Ok(());
            }
            if taken && watched.note.sent.is_some() && !seen && rules::on(Rule::UnseenAreCancelled) {
                self.farewells.push_back(watched.note.name.clone());
                self.given_up.insert(watched.note.name.clone(), self.clock.monotonic() + GIVEN_UP);
            }
        }
        let mut evidence = gather(folder, words.exit, words.killed_for_time, words.seconds)?;
        if let Some(seconds) = words.seconds {
            // A job that no worker began held its node all the same. The cluster counts whole seconds, a worker its own.
            let own = evidence.outcome.as_ref().map_or(0.0, |outcome| outcome.seconds);
            evidence.seconds = seconds.max(own.min(seconds + 1.0));
        }
        evidence.scheduler = match (&watched.note.refused, &watched.note.launch_failed) {
            (Some(why), _) if sbatch::meets_every_job(why) => Some(SchedulerEnd::Barred(why.clone())),
            (Some(why), _) => Some(SchedulerEnd::Refused(why.clone())),
            (None, Some(why)) => Some(SchedulerEnd::LaunchFailed(why.clone())),
            (None, None) => words.scheduler,
        };
        let job = words.job.or_else(|| watched.note.job.map(|id| JobEnd { id: Some(id), ..JobEnd::default() }));
        let incidents = watched.note.incidents.clone();
        let partition = watched.note.partition.clone();
        evidence.job = match job {
            Some(job) => Some(JobEnd { incidents, partition, ..job }),
            None if incidents.is_empty() => None,
            None => Some(JobEnd { incidents, ..JobEnd::default() }),
        };
        watched.stage = Stage::Ended(Box::new(evidence));
        self.stops.remove(&id);
        Ok(())
    }
}

impl Executor for SlurmExecutor<'_> {
    fn slots(&self) -> usize {
        self.slots
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        let folder = &launch.folder;
        let again = self.watched.contains_key(&launch.id) || Note::read(folder)?.is_some();
        if again || Claim::read(folder)?.is_some() || has_outcome(folder) {
            return Err(launched_before(launch));
        }
        let note = Note::new(self.name(launch));
        self.write_script(launch, &note.name, false)?;
        if !note.begin(folder)? {
            return Err(launched_before(launch));
        }
        self.watch(launch, note, Stage::Ready);
        self.ready.push_back(launch.id);
        Ok(())
    }

    fn adopt(&mut self, launch: &Launch) -> Result<()> {
        if self.watched.contains_key(&launch.id) {
            return Ok(());
        }
        match Note::read(&launch.folder)? {
            // The note precedes everything, so there is no job.
            None => {
                self.watch(launch, Note::new(String::new()), Stage::Ready);
                self.end(launch.id, Words::default())
            }
            Some(note) => {
                let sent = note.sent.is_some();
                self.watch(launch, note, if sent { Stage::Sent } else { Stage::Ready });
                if !sent {
                    self.ready.push_back(launch.id);
                }
                Ok(())
            }
        }
    }

    fn poll(&mut self, id: AttemptId) -> Result<Status> {
        self.known(id)?;
        self.advance()?;
        let watched = self.known(id)?;
        Ok(match &watched.stage {
            Stage::Ended(evidence) => Status::Ended((**evidence).clone()),
            _ if watched.claimed => Status::Running,
            _ => Status::Pending,
        })
    }

    fn placed(&self, id: AttemptId) -> Option<Placed> {
        let known = self.placed.get(&id).cloned();
        let watched = self.watched.get(&id).filter(|_| self.outlook.on && known.is_none());
        known.or_else(|| watched.and_then(|w| place::read(&w.launch.folder).ok().flatten()))
    }

    fn hour(&self, id: AttemptId) -> Option<f64> {
        self.hour_of(id)
    }

    fn settled(&self) -> bool {
        self.is_settled()
    }

    fn stop(&mut self, id: AttemptId, gentle: bool) -> Result<()> {
        match self.known(id)?.stage {
            Stage::Ended(_) => Ok(()),
            // Nothing was submitted, and nothing will be.
            Stage::Ready => {
                self.ready.retain(|other| *other != id);
                self.end(id, Words::default())
            }
            Stage::Sent => {
                let gentle = gentle && self.stops.get(&id).is_none_or(|s| s.gentle);
                self.stops.insert(id, Stop { gentle, next: f64::NEG_INFINITY });
                Ok(())
            }
        }
    }
}

/// The job of the attempt in a folder as its controller last saw it: its id, where that is known, and its state in words, with
/// the reason for waiting; none where the attempt is no job, or where its note cannot be read.
pub fn job_state(folder: &Path) -> Option<(Option<u64>, String)> {
    let note = Note::read(folder).ok()??;
    let state = match (&note.sent, note.state.is_empty()) {
        (None, true) => "not submitted yet".to_string(),
        (None, false) => format!("not submitted yet ({})", note.state),
        (Some(_), true) => "submitted".to_string(),
        (Some(_), false) => note.state,
    };
    Some((note.job, state))
}

fn launched_before(launch: &Launch) -> Problem {
    Problem::failed(format!("attempt {} was launched before; it is not run twice", launch.id))
        .at(launch.folder.display().to_string())
        .remedy("resume the campaign: what became of the attempt is found out first")
}
