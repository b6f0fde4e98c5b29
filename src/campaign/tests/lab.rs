//! A laboratory for whole campaigns in virtual time: a fake machine whose workers' results follow from their experiment.

use crate::campaign::{
    Advice, Conclusion, Event, Finish, Observer, Price, Pricer, State, World, create, decide, drive, load, placement,
};
use crate::config::{Campaign, Experiment, OptimizerSpec, TrainingBudget};
use crate::exec::fake::{FakeExecutor, FakeMachine, Play};
use crate::exec::{Executor, Launch, Status};
use crate::ids::AttemptId;
use crate::planner::{self, Sampler};
use crate::problem::{Problem, Result};
use crate::record::AttemptSpec;
use crate::sys::clock::FakeClock;
use crate::sys::signal::StopFlag;
use crate::units::Bytes;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A campaign over the learning rate of an MLP on the digits; `lines` come first and may hold whole sections.
pub fn campaign(changes: &str) -> Campaign {
    let mut table: toml::Table = toml::from_str(
        r#"
        name = "lab"
        question = "Which learning rate?"
        objective = { metric = "accuracy" }
        space = { "optimizer.learning_rate" = { type = "log-float", low = 0.001, high = 1.0, points = 7 } }
        budget = { device_hours = 1.0, dollars_per_device_hour = 2.0 }
        planner = { kind = "random", candidates = 5 }
        execution = { parallel = 1, kill_margin_seconds = 1.0 }
        [baseline]
        data = { kind = "digits" }
        model = { kind = "mlp", widths = [64, 64] }
        optimizer = { kind = "sgd", learning_rate = 0.01 }
        training = { batch_size = 32, budget = { steps = 200 } }
        "#,
    )
    .unwrap();
    let changes: toml::Table = toml::from_str(changes).unwrap();
    fn merge(into: &mut toml::Table, from: toml::Table) {
        for (key, value) in from {
            match (into.get_mut(&key), value) {
                (Some(toml::Value::Table(old)), toml::Value::Table(new)) if key != "space" => merge(old, new),
                (_, value) => {
                    into.insert(key, value);
                }
            }
        }
    }
    merge(&mut table, changes);
    table.try_into().unwrap()
}

pub fn learning_rate(experiment: &Experiment) -> f64 {
    match &experiment.optimizer {
        OptimizerSpec::Sgd(sgd) => sgd.learning_rate,
        OptimizerSpec::Adamw(adamw) => adamw.learning_rate,
    }
}

pub fn steps(experiment: &Experiment) -> u64 {
    match experiment.training.budget {
        TrainingBudget::Steps(n) => n,
        other => panic!("the lab trains in steps, not {other:?}"),
    }
}

/// Accuracy: best at a learning rate of 0.2, with noise that seeds share (it cancels in pairs) and a little of its own.
pub fn accuracy(experiment: &Experiment) -> f64 {
    let rate = learning_rate(experiment);
    let seed = experiment.training.seed;
    let shared = ((seed * 7919) % 11) as f64 * 1e-4;
    let own = ((seed * 31 + (rate * 1e6) as u64 * 17) % 13) as f64 * 1e-5;
    0.95 - 0.05 * (rate / 0.2).log10().abs() + shared + own
}

/// Seconds of a run: 10 ms a step.
pub fn duration(experiment: &Experiment) -> f64 {
    steps(experiment) as f64 * 0.01
}

/// A worker that completes.
pub fn completes(spec: &AttemptSpec) -> Play {
    Play::completes(duration(&spec.experiment), &[("accuracy", accuracy(&spec.experiment))])
}

/// A worker that stops where it is told to, with a checkpoint, and completes where it is not: accuracy comes with training.
pub fn trains(spec: &AttemptSpec, folder: &Path) -> Play {
    let step_of = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.parse::<u64>().ok();
    let from = spec.resume_from.as_deref().and_then(step_of).unwrap_or(0);
    let total = steps(&spec.experiment);
    let to = spec.stop_at.unwrap_or(total).min(total);
    let checkpoint = folder.join(format!("checkpoints/step-{to:08}"));
    std::fs::create_dir_all(&checkpoint).unwrap();
    std::fs::write(checkpoint.join("checkpoint.json"), "{}").unwrap();
    let seconds = (to - from) as f64 * 0.01;
    let value = accuracy(&spec.experiment) - 0.1 * (1.0 - to as f64 / total as f64);
    let mut play = Play::completes(seconds, &[("accuracy", value)]);
    if let Some(outcome) = &mut play.outcome {
        outcome.step = to;
        if to < total {
            outcome.end = crate::record::End::Paused;
        }
    }
    play
}

/// Prices what the lab runs; refuses learning rates above `most`.
pub struct LabPricer {
    pub most: f64,
    pub asked: Cell<usize>,
}

impl Pricer for LabPricer {
    fn price(&self, experiment: &Experiment) -> Result<Price> {
        self.asked.set(self.asked.get() + 1);
        if learning_rate(experiment) > self.most {
            return Err(Problem::usage(format!("a learning rate of {} does not fit", learning_rate(experiment))));
        }
        let seconds = duration(experiment);
        Ok(Price {
            seconds,
            high_seconds: 1.2 * seconds,
            memory: Bytes(1 << 20),
            device_memory: None,
            steps: steps(experiment),
            data_hash: "digits".to_string(),
        })
    }
}

/// Watches a drive: keeps the events, checks the account after each, and can kill the controller.
#[derive(Default)]
pub struct Witness {
    pub events: Vec<Event>,
    pub die_after: Option<usize>,
}

impl Observer for Witness {
    fn on_event(&mut self, state: &State, event: &Event) {
        let ledger = &state.ledger;
        assert!(ledger.committed().time <= ledger.budget(), "over budget after {event:?}");
        if let Some(limit) = ledger.budget_dollars() {
            assert!(ledger.committed().dollars <= limit, "over budget after {event:?}");
        }
        self.events.push(event.clone());
        if self.die_after == Some(self.events.len()) {
            // Unwinds without printing: as sudden as a test can be.
            std::panic::resume_unwind(Box::new("killed"));
        }
    }
}

/// Passes on to the machine, and can kill the controller right after a launch, before it is written down.
pub struct Dying<'a> {
    pub inner: FakeExecutor<'a>,
    pub die_at_launch: Option<usize>,
    pub refuse_launches: bool,
}

impl Executor for Dying<'_> {
    fn slots(&self) -> usize {
        self.inner.slots()
    }
    fn launch(&mut self, launch: &Launch) -> Result<()> {
        assert!(launch.folder.join("attempt.json").is_file(), "launched without instructions");
        if self.refuse_launches {
            return Err(Problem::failed("no such program"));
        }
        self.inner.launch(launch)?;
        if self.die_at_launch == Some(self.inner.machine().launches().len()) {
            std::panic::resume_unwind(Box::new("killed"));
        }
        Ok(())
    }
    fn adopt(&mut self, launch: &Launch) -> Result<()> {
        assert!(launch.folder.join("attempt.json").is_file(), "adopted without instructions");
        self.inner.adopt(launch)
    }
    fn poll(&mut self, id: AttemptId) -> Result<Status> {
        self.inner.poll(id)
    }
    fn stop(&mut self, id: AttemptId, gentle: bool) -> Result<()> {
        self.inner.stop(id, gentle)
    }
}

/// A campaign's folder, the machine it runs on and everything that outlives a controller.
pub struct Lab {
    pub folder: PathBuf,
    pub clock: &'static FakeClock,
    pub machine: Rc<FakeMachine<'static>>,
    pub pricer: LabPricer,
    pub stop: StopFlag,
    pub die_after: Option<usize>,
    pub die_at_launch: Option<usize>,
    pub refuse_launches: bool,
    _temporary: tempfile::TempDir,
}

impl Lab {
    /// A campaign whose workers do as `script` says.
    pub fn new(campaign: &Campaign, mut script: impl FnMut(&AttemptSpec, &Path) -> Play + 'static) -> Self {
        // Campaigns wait for the disk at every event; in memory that takes no time.
        let memory = Path::new("/dev/shm");
        let temporary = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
            .expect("a temporary folder");
        let folder = temporary.path().join("campaign");
        let clock: &'static FakeClock = Box::leak(Box::default());
        let play = move |launch: &Launch| {
            let json = std::fs::read(launch.folder.join("attempt.json")).unwrap();
            let spec: AttemptSpec = serde_json::from_slice(&json).unwrap();
            assert_eq!(spec.id, launch.id);
            script(&spec, &launch.folder)
        };
        let machine = FakeExecutor::new(8, clock, play).machine();
        create(&folder, campaign, temporary.path(), clock).unwrap();
        Lab {
            folder,
            clock,
            machine,
            pricer: LabPricer { most: f64::INFINITY, asked: Cell::new(0) },
            stop: StopFlag::inert(),
            die_after: None,
            die_at_launch: None,
            refuse_launches: false,
            _temporary: temporary,
        }
    }

    /// One whose workers all complete.
    pub fn quiet(campaign: &Campaign) -> Self {
        Self::new(campaign, |spec, _| completes(spec))
    }

    /// One controller's life.
    pub fn drive(&self, campaign: &Campaign) -> Result<Finish> {
        self.drive_with(campaign, planner::sampler(&campaign.planner).as_ref()).0
    }

    pub fn drive_with(&self, campaign: &Campaign, sampler: &dyn Sampler) -> (Result<Finish>, Vec<Event>) {
        let mut executor = Dying {
            inner: FakeExecutor::on(Rc::clone(&self.machine), 8),
            die_at_launch: self.die_at_launch,
            refuse_launches: self.refuse_launches,
        };
        let mut witness = Witness { die_after: self.die_after, ..Witness::default() };
        let world = World {
            pricer: &self.pricer,
            executor: &mut executor,
            sampler,
            counsel: None,
            clock: self.clock,
            stop: &self.stop,
        };
        let finish = drive(&self.folder, campaign, world, &mut [&mut witness]);
        (finish, witness.events)
    }

    /// One controller's life with somebody to ask, or watched by somebody.
    pub fn live(
        &self,
        campaign: &Campaign,
        counsel: Option<&mut dyn crate::campaign::Counsellor>,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Finish> {
        let sampler = planner::sampler(&campaign.planner);
        let mut executor = FakeExecutor::on(Rc::clone(&self.machine), 8);
        let world = World {
            pricer: &self.pricer,
            executor: &mut executor,
            sampler: sampler.as_ref(),
            // One by one, so that its lifetime can become this call's.
            counsel: match counsel {
                Some(counsel) => Some(counsel),
                None => None,
            },
            clock: self.clock,
            stop: &self.stop,
        };
        drive(&self.folder, campaign, world, observers)
    }

    /// One controller's life that may end suddenly: `None` if it did.
    pub fn drive_until_killed(&self, campaign: &Campaign) -> Option<Finish> {
        let life = std::panic::AssertUnwindSafe(|| self.drive(campaign).unwrap());
        match std::panic::catch_unwind(life) {
            Ok(finish) => Some(finish),
            Err(cause) if cause.downcast_ref::<&str>() == Some(&"killed") => None,
            Err(cause) => std::panic::resume_unwind(cause),
        }
    }

    /// The conclusion of a drive that must reach one.
    pub fn conclude(&self, campaign: &Campaign) -> Conclusion {
        match self.drive(campaign).unwrap() {
            Finish::Concluded(conclusion) => conclusion,
            Finish::Left { .. } => panic!("the controller left"),
        }
    }

    pub fn state(&self) -> State {
        load(&self.folder).unwrap()
    }

    /// Advice for asking `decide` directly.
    pub fn advice<'a>(&'a self, sampler: &'a dyn Sampler) -> Advice<'a> {
        Advice { pricer: &self.pricer, sampler, counsel: None, slots: 8, now: f64::INFINITY }
    }

    /// What must hold of every campaign that ended: the account is closed and adds up, no identity twice, no attempt of
    /// a run after one that gave its result, journal and state agree, and the files that people read are there.
    pub fn check(&self) -> State {
        let state = self.state();
        assert_eq!(state.ledger.reserved(), Default::default(), "open reservations");
        let attempts = || state.runs.iter().flat_map(|r| &r.attempts);
        let used = attempts().filter_map(|a| a.ended.as_ref()).map(|e| e.used.time).sum();
        assert_eq!(state.ledger.settled().time, used);
        for (i, run) in state.runs.iter().enumerate() {
            assert_eq!(run.id.0 as usize, i + 1);
            assert!(state.runs[..i].iter().all(|r| r.key != run.key), "run {} is paid for twice", run.id);
            let complete = |a: &&crate::campaign::Attempt| {
                a.ended.as_ref().is_some_and(|e| e.class == crate::failure::Class::Completed)
            };
            assert!(run.attempts.iter().filter(complete).count() <= 1, "run {} was run twice", run.id);
            let folder = self.folder.join(placement::run_path(run.id));
            assert!(folder.join("config.toml").is_file());
        }
        let launched: Vec<AttemptId> = self.machine.launches().iter().map(|l| l.id).collect();
        assert!(launched.iter().all(|id| state.attempt(*id).is_some()), "an attempt is lost");
        assert_eq!(self.machine.alive(), 0);
        state
    }
}

/// Proposes these learning rates, in this order.
pub struct Listed(pub Vec<f64>);

impl Sampler for Listed {
    fn name(&self) -> &'static str {
        "listed"
    }
    fn propose(
        &self,
        _: &planner::Space,
        _: &[planner::Observation],
        index: u64,
        accept: &dyn Fn(&planner::Assignment) -> bool,
    ) -> Option<planner::Assignment> {
        let rate = self.0.get(index as usize)?;
        let assignment = [("optimizer.learning_rate".to_string(), serde_json::json!(rate))].into();
        accept(&assignment).then_some(assignment)
    }
}

/// What workers were told to do, in the order of their launches.
pub type Seen = Rc<RefCell<Vec<AttemptSpec>>>;

/// Remembers the attempts' specs.
pub fn remembering(
    mut script: impl FnMut(&AttemptSpec, &Path) -> Play + 'static,
) -> (Seen, impl FnMut(&AttemptSpec, &Path) -> Play + 'static) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let keep = Rc::clone(&seen);
    let script = move |spec: &AttemptSpec, folder: &Path| {
        keep.borrow_mut().push(spec.clone());
        script(spec, folder)
    };
    (seen, script)
}

/// How many of the next twelve proposals of a concluded campaign have a learning rate above 0.1, which `pricer` says needs
/// more memory than there is.
pub fn hungry_proposals(campaign: &Campaign, pricer: &dyn Pricer) -> usize {
    let lab = Lab::quiet(campaign);
    lab.conclude(campaign);
    let state = lab.state();
    let sampler = planner::sampler(&campaign.planner);
    let advice = Advice { pricer, sampler: sampler.as_ref(), counsel: None, slots: 8, now: 0.0 };
    (0..12u64)
        .filter_map(|i| decide::propose(&state, &advice, i, i as usize, Default::default()).unwrap().pool)
        .filter(|pool| pool[0].assignment["optimizer.learning_rate"].as_f64().unwrap() > 0.1)
        .count()
}
