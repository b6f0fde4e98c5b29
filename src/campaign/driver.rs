//! The driver: the one place where a campaign does anything.
//!
//! Each round it obeys requests, polls the attempts, records what ended, asks [`decide`] until there is nothing left to
//! decide, and makes the world agree with the state: an attempt that is reserved is launched (or adopted, if an earlier
//! controller may have launched it), one that is to be cancelled is killed. Every event is written down before anything
//! that follows from it is done, and applied by the function that a restart uses.
//! Boundary: decides nothing; never waits for anything but its own short naps.

use super::Pricer;
use super::apply::apply;
use super::changes::changes;
use super::counsel::Counsellor;
use super::decide::{Advice, decide};
use super::events::{Conclusion, Event, Reason};
use super::folder::{replay, seconds};
use super::placement::{self, Request};
use super::prices::Recorder;
use super::rungs::Rungs;
use super::state::{Halt, State};
use crate::config::{self, Campaign};
use crate::exec::Executor;
use crate::ids::AttemptId;
use crate::journal::{self, Journal};
use crate::planner::Sampler;
use crate::problem::{Class, Problem, Result};
use crate::sys::clock::Clock;
use crate::sys::fs;
use crate::sys::signal::StopFlag;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Seconds between two writings of `state.json` while nothing ends.
const STATE_EVERY: f64 = 2.0;

/// What a campaign needs of the outside.
pub struct World<'a> {
    /// What runs take.
    pub pricer: &'a dyn Pricer,
    /// Starts and watches attempts.
    pub executor: &'a mut dyn Executor,
    /// Proposes candidates.
    pub sampler: &'a dyn Sampler,
    /// Answers questions and remembers; none where nobody does.
    pub counsel: Option<&'a mut dyn Counsellor>,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Set by Ctrl-C or SIGTERM: the controller leaves, attempts go on.
    pub stop: &'a StopFlag,
}

/// Somebody who wants to see what happens: progress on a terminal, reports, `results.tsv`.
pub trait Observer {
    /// Something about the campaign's files that a person should know, said once when the controller begins.
    fn on_notice(&mut self, _text: &str) {}
    /// After an event was recorded and applied.
    fn on_event(&mut self, state: &State, event: &Event);
    /// After each round, several times a second.
    fn on_tick(&mut self, _state: &State) {}
}

/// How a controller's work ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    /// The campaign is over.
    Concluded(Conclusion),
    /// The controller was asked to leave; so many attempts go on without it.
    Left {
        /// Attempts under way.
        live: usize,
    },
}

/// Drives the campaign in `folder` (see [`create`]) until it is concluded or the controller is asked to leave. `campaign`
/// is the campaign as it is in `campaign.toml` now: budgets and stopping rules may have been edited since. A campaign that
/// a person stopped goes on; any other concluded one needs such an edit. Errors: class `Owned` where another controller
/// lives; what the pricer or the executor cannot do; anything about files. Attempts go on in every case.
pub fn drive(folder: &Path, campaign: &Campaign, world: World, observers: &mut [&mut dyn Observer]) -> Result<Finish> {
    drive_for(folder, campaign, world, observers, None)
}

/// As [`drive`], for a controller that cron starts: it leaves once everything that can be seen is recorded, everything that
/// follows is begun and the executor has nothing half done, or after so many seconds.
pub fn tick(
    folder: &Path,
    campaign: &Campaign,
    world: World,
    observers: &mut [&mut dyn Observer],
    seconds: f64,
) -> Result<Finish> {
    drive_for(folder, campaign, world, observers, Some(seconds))
}

fn drive_for(
    folder: &Path,
    campaign: &Campaign,
    world: World,
    observers: &mut [&mut dyn Observer],
    seconds: Option<f64>,
) -> Result<Finish> {
    let folder = folder.canonicalize().map_err(|e| Problem::io("open the campaign's folder", folder, &e))?;
    let (journal, envelopes) = Journal::open(&folder, world.clock)?;
    if envelopes.is_empty() {
        return Err(Problem::usage("this folder holds no campaign yet")
            .at(folder.display().to_string())
            .remedy("start one with `nanoresearch run campaign.toml`"));
    }
    let state = replay(&envelopes)?;
    let prices = Recorder::new(world.pricer, &folder)?;
    let mut controller = Controller {
        prices,
        asked: None,
        folder,
        journal,
        state,
        world,
        observers,
        watched: BTreeSet::new(),
        killed: BTreeSet::new(),
        told: BTreeSet::new(),
        rungs: Rungs::default(),
        unstarted: BTreeMap::new(),
        state_written: f64::NEG_INFINITY,
        until: None,
    };
    if let Some(torn) = controller.journal.torn() {
        let text = format!(
            "its last event was cut short, as a crash or a full disk leaves it; these {} bytes are kept as {}. Nothing had \
             been done yet about that event, so nothing is lost",
            torn.bytes, torn.kept
        );
        controller.observers.iter_mut().for_each(|observer| observer.on_notice(&text));
    }
    controller.until = seconds.map(|s| controller.world.clock.monotonic() + s);
    controller.begin(campaign)?;
    let finish = controller.rounds();
    if matches!(finish, Ok(Finish::Concluded(_))) {
        controller.settle_unheard("the campaign ended before the answer came")?;
    }
    // Derived and only for looking at: that it could not be written must not hide how the campaign ended.
    let _ = controller.write_state();
    if matches!(finish, Ok(Finish::Concluded(_))) {
        controller.remember()?;
    }
    finish
}

pub(super) struct Controller<'a, 'o, 'p> {
    pub(super) folder: PathBuf,
    pub(super) journal: Journal<'a>,
    pub(super) state: State,
    pub(super) world: World<'a>,
    prices: Recorder<'a>,
    /// The question that this process has asked.
    pub(super) asked: Option<usize>,
    observers: &'o mut [&'p mut dyn Observer],
    /// Attempts that this process launched or adopted.
    pub(super) watched: BTreeSet<AttemptId>,
    /// Attempts that this process killed for a cancellation.
    pub(super) killed: BTreeSet<AttemptId>,
    /// Attempts that this process asked to leave at their rung.
    pub(super) told: BTreeSet<AttemptId>,
    /// Looks at how far attempts have come that train on through their rungs.
    pub(super) rungs: Rungs,
    /// Attempts whose launch failed, with the cause.
    pub(super) unstarted: BTreeMap<AttemptId, String>,
    state_written: f64,
    /// When it leaves at the latest (monotonic), if it is here for one step only.
    until: Option<f64>,
}

impl Controller<'_, '_, '_> {
    /// Writes an event down and applies it. What the state refuses is never written.
    pub(super) fn record(&mut self, event: &Event) -> Result<()> {
        self.record_at(event, self.journal.now())
    }

    /// As [`record`](Self::record), with the time at which it was decided.
    fn record_at(&mut self, event: &Event, time: String) -> Result<()> {
        let written = apply(&mut self.state, event, seconds(&time)?).and_then(|()| {
            let (kind, version, data) = event.encode()?;
            self.journal.append_at(time, &kind, version, data)
        });
        if let Err(problem) = written {
            // The state is ahead of the journal, perhaps by half an event: back to what is recorded. A copy before every
            // event would save this reading, and cost more with every run. If even reading fails, the problem told
            // ends this controller, and the next one reads.
            if let Ok(state) = journal::read(&self.folder).and_then(|envelopes| replay(&envelopes)) {
                self.state = state;
            }
            return Err(problem);
        }
        match event {
            Event::RunPlanned { id, .. } => {
                if let Some(run) = self.state.run(*id) {
                    placement::write_run(&self.folder, &self.state.base, run)?;
                }
            }
            Event::RunFinished { id, .. } | Event::RungReached { id, .. } => {
                if let Some(run) = self.state.run(*id) {
                    placement::project_run(&self.folder, run)?;
                }
            }
            _ => {}
        }
        for observer in self.observers.iter_mut() {
            observer.on_event(&self.state, event);
        }
        Ok(())
    }

    /// Takes over: edits, reopening, files that a crash left out, attempts that an earlier controller left.
    fn begin(&mut self, campaign: &Campaign) -> Result<()> {
        self.settle_unheard("the controller that asked ended before the answer came")?;
        let edits = changes(&self.state.campaign, campaign)
            .map_err(|p| p.at(self.folder.join(placement::CAMPAIGN_FILE).display().to_string()))?;
        if !edits.is_empty() {
            let event = Event::Edited { campaign: Box::new(campaign.clone()), changes: edits.clone() };
            apply(&mut self.state.clone(), &event, self.state.updated)?;
            self.keep_edits(campaign)?;
            self.record(&event)?;
        }
        placement::project_missing(&self.folder, &self.state)?;
        if let Some(conclusion) = &self.state.conclusion {
            let by_hand = matches!(conclusion.reason, Reason::Stopped | Reason::Cancelled | Reason::Missing);
            if edits.is_empty() && !by_hand {
                return Ok(());
            }
            // What was asked of the previous controller is done with.
            for request in placement::requests(&self.folder) {
                placement::clear(&self.folder, request)?;
            }
            let why = if edits.is_empty() { "a person resumed it" } else { "a person edited and resumed it" };
            self.record(&Event::Reopened { why: why.to_string() })?;
        }
        let model = self.world.counsel.as_ref().and_then(|c| c.model());
        let slots = self.world.executor.slots();
        self.record(&Event::ControllerStarted { version: env!("CARGO_PKG_VERSION").to_string(), slots, model })?;
        self.recall()?;
        let left: Vec<AttemptId> = self.state.live().map(|a| a.id).collect();
        for id in left {
            let launch = self.prepare(id)?;
            self.world.executor.adopt(&launch)?;
            self.watched.insert(id);
        }
        Ok(())
    }

    /// Puts edits that came from the command line into `campaign.toml`, where the next controller looks: it would take
    /// them back otherwise. A file that says the same already keeps its comments.
    fn keep_edits(&self, campaign: &Campaign) -> Result<()> {
        let path = self.folder.join(placement::CAMPAIGN_FILE);
        match config::load_campaign(&path, &[]) {
            Ok(loaded) if loaded.value == *campaign => Ok(()),
            _ => fs::write_atomic(&path, config::to_toml(campaign).as_bytes()),
        }
    }

    fn rounds(&mut self) -> Result<Finish> {
        loop {
            if let Some(conclusion) = &self.state.conclusion {
                return Ok(Finish::Concluded(conclusion.clone()));
            }
            if self.world.stop.requested() {
                let live = self.state.live().count();
                self.record(&Event::ControllerStopped { why: format!("asked to; {live} attempts go on") })?;
                return Ok(Finish::Left { live });
            }
            let before = self.state.events;
            if let Err(problem) = self.round() {
                // The last word of a controller that cannot go on, unless it is no longer its journal to write to.
                if problem.class != Class::Owned {
                    let _ = self.record(&Event::ControllerStopped { why: problem.what.clone() });
                }
                return Err(problem);
            }
            if let Some(until) = self.until
                && self.state.conclusion.is_none()
            {
                let quiet = self.state.events == before && self.world.executor.settled();
                if quiet || self.world.clock.monotonic() >= until {
                    let live = self.state.live().count();
                    self.record(&Event::ControllerStopped { why: format!("its step is done; {live} attempts go on") })?;
                    return Ok(Finish::Left { live });
                }
            }
            if self.state.conclusion.is_none() {
                let nap = self.world.executor.nap();
                self.world.clock.sleep(nap);
            }
        }
    }

    fn round(&mut self) -> Result<()> {
        self.journal.heartbeat()?;
        self.obey()?;
        self.listen()?;
        self.poll()?;
        self.converse()?;
        loop {
            let slots = self.world.executor.slots();
            let time = self.journal.now();
            let now = seconds(&time)?;
            self.prices.at(self.state.events);
            let counsel = self.world.counsel.as_deref();
            let advice = Advice { pricer: &self.prices, sampler: self.world.sampler, counsel, slots, now };
            let decisions = decide(&self.state, &advice)?;
            if decisions.is_empty() {
                break;
            }
            for event in &decisions {
                self.record_at(event, time.clone())?;
            }
            self.act()?;
            self.converse()?;
        }
        self.act()?;
        if self.world.clock.monotonic() - self.state_written >= STATE_EVERY {
            self.write_state()?;
        }
        for observer in self.observers.iter_mut() {
            observer.on_tick(&self.state);
        }
        Ok(())
    }

    /// Journals what other processes asked for, then takes their files away.
    fn obey(&mut self) -> Result<()> {
        for request in placement::requests(&self.folder) {
            match (request, self.state.halt) {
                (Request::Stop, None) => self.record(&Event::StopRequested)?,
                (Request::Cancel, None | Some(Halt::Stop)) => self.record(&Event::CancelRequested)?,
                (Request::Stop, Some(_)) | (Request::Cancel, Some(Halt::Cancel)) => {}
            }
            placement::clear(&self.folder, request)?;
        }
        Ok(())
    }

    /// Writes `state.json`.
    fn write_state(&mut self) -> Result<()> {
        self.state_written = self.world.clock.monotonic();
        let json = serde_json::to_vec(&self.state)
            .map_err(|e| Problem::failed(format!("the state cannot be written as JSON: {e}")))?;
        fs::write_atomic(&self.folder.join(placement::STATE_FILE), &json)
    }
}
