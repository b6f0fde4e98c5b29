//! Whole campaigns as real processes: starting, watching, ending and auditing them. Shared by the campaign tests.
//!
//! Every wait is a poll with a generous deadline, so that a loaded machine makes tests slow and never wrong. Only
//! processes that a test started are ever signalled, each by its process id.

use nanoresearch::campaign::apply::apply;
use nanoresearch::campaign::{Event, Run, RunResult, State, attempt_path, load, run_path};
use nanoresearch::failure::Class;
use nanoresearch::ids::{AttemptId, RunKey};
use nanoresearch::journal::{self, Envelope};
use nanoresearch::record::{CHECKPOINTS_FOLDER, Claim, METRICS_FILE, Metrics, Outcome, list_checkpoints, read_metrics};
use nanoresearch::sys::process::ProcessId;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(180);

/// Asks until there is an answer; fails after [`DEADLINE`].
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let waiting = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(waiting.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The cache of all campaign tests. The machine is calibrated once, before the first of them.
fn cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("campaign-cache");
        let _ = std::fs::remove_dir_all(&cache);
        std::fs::create_dir_all(&cache).unwrap();
        let experiment = cache.join("experiment.toml");
        std::fs::write(&experiment, "data.kind = \"digits\"\nmodel.kind = \"mlp\"\noptimizer.kind = \"adamw\"\n")
            .unwrap();
        let mut check = program(&cache);
        let output = check.arg("check").arg(&experiment).env("XDG_CACHE_HOME", &cache).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        cache
    })
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanoresearch"));
    command.current_dir(folder).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// What a finished command said.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A folder with a campaign's config, and the campaign in `c` below it.
pub struct Field {
    root: tempfile::TempDir,
}

impl Field {
    /// With `config` as `campaign.toml`.
    pub fn new(config: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("campaign.toml"), config).unwrap();
        Field { root }
    }

    /// The campaign's folder.
    pub fn folder(&self) -> PathBuf {
        self.root.path().join("c")
    }

    /// Runs a command to its end.
    pub fn say(&self, arguments: &[&str]) -> Said {
        self.say_in(arguments, &[])
    }

    /// As [`say`](Self::say), with variables in its environment.
    pub fn say_in(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let mut command = program(self.root.path());
        command.args(arguments).env("XDG_CACHE_HOME", cache()).envs(variables.iter().copied());
        let output = command.output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a controller in the background.
    pub fn start(&self, arguments: &[&str]) -> Controller {
        let number = std::fs::read_dir(self.root.path()).unwrap().count();
        let log = self.root.path().join(format!("controller-{number}.log"));
        let file = File::create(&log).unwrap();
        let child = program(self.root.path())
            .args(arguments)
            .env("XDG_CACHE_HOME", cache())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Controller { child, log, over: false }
    }

    /// Starts the campaign.
    pub fn run(&self) -> Controller {
        self.start(&["run", "campaign.toml", "--out", "c"])
    }

    /// Goes on with it.
    pub fn resume(&self) -> Controller {
        self.start(&["resume", "c"])
    }

    /// The state as the journal tells it; none before there is one.
    pub fn state(&self) -> Option<State> {
        self.folder().join("events.jsonl").exists().then(|| load(&self.folder()).ok()).flatten()
    }

    /// Waits until the state says something.
    pub fn wait<T>(&self, what: &str, ask: impl Fn(&State) -> Option<T>) -> T {
        until(what, || self.state().and_then(|state| ask(&state)))
    }

    /// Waits for an attempt whose worker lives and has written a checkpoint.
    pub fn wait_for_checkpoint(&self) -> (AttemptId, ProcessId) {
        self.wait("an attempt with a checkpoint", |state| {
            let (id, process) = self.living(state).into_iter().next()?;
            let folder = self.folder().join(attempt_path(id)).join(CHECKPOINTS_FOLDER);
            let there = list_checkpoints(&folder).is_ok_and(|found| !found.is_empty());
            (there && process.alive()).then_some((id, process))
        })
    }

    /// The journal.
    pub fn events(&self) -> Vec<(Envelope, Event)> {
        let envelopes = journal::read(&self.folder()).unwrap();
        let decoded = |e: Envelope| (Event::decode(&e.kind, e.version, &e.data).unwrap(), e);
        envelopes.into_iter().map(decoded).map(|(event, envelope)| (envelope, event)).collect()
    }

    /// Lines of the journal so far; 0 where there is none.
    pub fn lines(&self) -> usize {
        std::fs::read(self.folder().join("events.jsonl")).map_or(0, |b| b.iter().filter(|b| **b == b'\n').count())
    }

    /// Attempts without an end whose worker lives and has not written its outcome.
    pub fn living(&self, state: &State) -> Vec<(AttemptId, ProcessId)> {
        let live = state.live().filter_map(|attempt| {
            let folder = self.folder().join(attempt_path(attempt.id));
            match Claim::read(&folder) {
                Ok(Some(Claim::Worker(p))) if p.alive() && !folder.join("outcome.json").exists() => {
                    Some((attempt.id, p))
                }
                _ => None,
            }
        });
        live.collect()
    }

    /// Workers of this campaign that live, by the attempts' claims.
    fn claimants(&self) -> Vec<ProcessId> {
        let Ok(runs) = std::fs::read_dir(self.folder().join("runs")) else { return Vec::new() };
        let attempts = runs.flatten().filter_map(|run| std::fs::read_dir(run.path().join("attempts")).ok()).flatten();
        let claims = attempts.flatten().filter_map(|attempt| Claim::read(&attempt.path()).ok().flatten());
        let workers = claims.filter_map(|claim| match claim {
            Claim::Worker(process) if process.alive() => Some(process),
            _ => None,
        });
        workers.collect()
    }

    /// Waits until no process on this machine has this campaign's folder among its arguments.
    pub fn nobody_is_left(&self) {
        let folder = self.folder().canonicalize().unwrap();
        let folder = folder.to_string_lossy();
        until("all workers to be gone", || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            let mut lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
            (!lines.any(|line| String::from_utf8_lossy(&line).contains(folder.as_ref()))).then_some(())
        });
        assert_eq!(self.claimants(), []);
    }
}

impl Drop for Field {
    /// A test that failed leaves no worker behind.
    fn drop(&mut self) {
        for process in self.claimants() {
            let _ = process.signal(libc::SIGKILL);
        }
    }
}

/// A controller in the background; killed when dropped.
pub struct Controller {
    child: Child,
    log: PathBuf,
    over: bool,
}

impl Controller {
    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap();
        self.over |= status.is_some();
        status
    }

    /// Waits for its end; the exit code.
    pub fn wait(&mut self) -> i32 {
        let status = until("the controller to end", || self.ended());
        status.code().unwrap_or_else(|| panic!("ended by signal {:?}:\n{}", status.signal(), self.said()))
    }

    /// Waits for its end and wants exit code 0.
    pub fn succeeds(mut self) -> String {
        let code = self.wait();
        assert_eq!(code, 0, "{}", self.said());
        self.said()
    }

    /// Kills it as the kernel would, unless it has ended; whether it was killed.
    pub fn kill(&mut self) -> bool {
        if self.ended().is_none() {
            self.child.kill().unwrap();
        }
        let status = self.child.wait().unwrap();
        self.over = true;
        status.signal() == Some(libc::SIGKILL)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        assert!(!self.over);
        // SAFETY: plain kill(2) on a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// What it said so far, stdout and stderr together.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What two campaigns that did the same agree on: by run key the purpose, metrics and hash of the final weights.
pub type Results = BTreeMap<RunKey, (String, BTreeMap<String, f64>, Option<String>)>;

/// The results of a campaign.
pub fn results(state: &State) -> Results {
    state.runs.iter().map(|run| (run.key.clone(), result(run))).collect()
}

fn result(run: &Run) -> (String, BTreeMap<String, f64>, Option<String>) {
    let metrics = match &run.result {
        Some(RunResult::Finished { metrics }) => metrics.clone(),
        _ => BTreeMap::new(),
    };
    (format!("{:?} on seed {}", run.purpose, run.seed), metrics, weights(run))
}

/// Hash of a run's final weights.
pub fn weights(run: &Run) -> Option<String> {
    run.attempts.last()?.ended.as_ref()?.evidence.weights.clone()
}

/// What an audit counted.
#[derive(Debug, Default, Clone, Copy)]
pub struct Audit {
    pub runs: usize,
    pub attempts: usize,
    /// Controllers that took the campaign over.
    pub controllers: usize,
    /// Attempts that ended under a later controller than the one that launched them, their worker still at work when
    /// that controller came.
    pub adopted_live: usize,
    /// The same, their worker done before that controller came.
    pub found_ended: usize,
    /// Attempts given up before a worker started.
    pub abandoned: usize,
}

/// Checks a concluded campaign, from its journal and its files: the account after every event; no run lost, none run
/// twice; every process gone. Fails on the first thing that is not as it must be.
pub fn audit(field: &Field) -> Audit {
    field.nobody_is_left();
    let events = field.events();
    let mut audit = Audit::default();

    // The account, event by event.
    let mut state = State::replay([(0.0, &events[0].1)]).unwrap();
    let mut takeovers = BTreeMap::new();
    let (mut reserved_by, mut ended_by) = (BTreeMap::new(), BTreeMap::new());
    for (i, (envelope, event)) in events.iter().enumerate().skip(1) {
        let at = format!("event {} ({})", i + 1, envelope.kind);
        apply(&mut state, event, i as f64).unwrap_or_else(|p| panic!("{at}: {p}"));
        let (ledger, committed) = (&state.ledger, state.ledger.committed());
        assert!(committed.time <= ledger.budget(), "{at}: {committed:?} of {:?}", ledger.budget());
        assert!(ledger.budget_dollars().is_none_or(|limit| committed.dollars <= limit), "{at}: {committed:?}");
        match event {
            Event::ControllerStarted { .. } => {
                let time: jiff::Timestamp = envelope.time.parse().unwrap();
                takeovers.insert(envelope.epoch, time.as_millisecond() as f64 / 1e3);
                audit.controllers += 1;
            }
            Event::AttemptReserved { id, .. } => assert_eq!(reserved_by.insert(*id, envelope.epoch), None, "{at}"),
            Event::AttemptEnded { id, .. } => assert_eq!(ended_by.insert(*id, envelope.epoch), None, "{at}"),
            _ => {}
        }
    }
    let loaded = field.state().unwrap();
    assert_eq!(loaded.ledger, state.ledger);
    assert!(loaded.conclusion.is_some());
    let state = loaded;
    assert_eq!(state.ledger.reserved().time.ms, 0);
    let ends = || state.runs.iter().flat_map(|r| &r.attempts).map(|a| (a, a.ended.as_ref().expect("it ended")));
    let (mut settled, mut refunded) = (0, 0);
    for (attempt, end) in ends() {
        assert!(end.used.time <= attempt.reserved.time);
        settled += end.used.time.ms;
        refunded += attempt.reserved.time.ms - end.used.time.ms;
    }
    assert_eq!((state.ledger.settled().time.ms, state.ledger.refunded().time.ms), (settled, refunded));

    // The runs and their attempts.
    let keys: BTreeSet<&RunKey> = state.runs.iter().map(|r| &r.key).collect();
    assert_eq!(keys.len(), state.runs.len(), "two runs of one experiment");
    for run in &state.runs {
        audit.runs += 1;
        let result = run.result.as_ref().unwrap_or_else(|| panic!("run {} has no result", run.id));
        let completed = run.attempts.iter().filter(|a| a.ended.as_ref().unwrap().class == Class::Completed).count();
        assert_eq!(completed, usize::from(matches!(result, RunResult::Finished { .. })), "run {}", run.id);
        let there = std::fs::read_dir(field.folder().join(run_path(run.id)).join("attempts")).unwrap().count();
        assert_eq!(there, run.attempts.len(), "folders of attempts of run {}", run.id);
        for attempt in &run.attempts {
            audit.attempts += 1;
            let folder = field.folder().join(attempt_path(attempt.id));
            let end = attempt.ended.as_ref().unwrap();
            let outcome = Outcome::read(&folder).unwrap();
            let starts = std::fs::read_to_string(folder.join("worker.log")).unwrap_or_default();
            let starts = starts.lines().filter(|line| line.contains("training from step")).count();
            match Claim::read(&folder).unwrap() {
                None => panic!("attempt {} has no claim", attempt.id),
                Some(Claim::Abandoned) => {
                    // A job that its node could not launch was no worker's either, and held the node for a moment.
                    let launched = end.class == Class::LaunchFailed;
                    assert!(
                        launched || matches!(end.class, Class::NeverStarted | Class::Barred),
                        "{}: {:?}",
                        attempt.id,
                        end.class
                    );
                    assert_eq!((starts, outcome), (0, None), "{}", attempt.id);
                    assert!(launched || end.used.time.ms == 0);
                    audit.abandoned += 1;
                }
                Some(Claim::Worker(_)) => {
                    assert!(starts <= 1, "attempt {} trained {starts} times", attempt.id);
                    assert_ne!(end.class, Class::NeverStarted, "{}", attempt.id);
                    assert_eq!(end.class == Class::Completed, outcome.is_some_and(|o| o.weights.is_some()));
                }
            }
            if end.class == Class::Completed && ended_by[&attempt.id] != reserved_by[&attempt.id] {
                let written = std::fs::metadata(folder.join("outcome.json")).unwrap().modified().unwrap();
                let written = written.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
                match written > takeovers[&ended_by[&attempt.id]] {
                    true => audit.adopted_live += 1,
                    false => audit.found_ended += 1,
                }
            }
        }
        check_metrics(field, run);
    }
    audit
}

/// A finished run's projected metrics have every step once, in order, and end in the result.
fn check_metrics(field: &Field, run: &Run) {
    let Some(RunResult::Finished { metrics: last }) = &run.result else { return };
    let lines = read_metrics(&field.folder().join(run_path(run.id)).join(METRICS_FILE)).unwrap();
    let steps = |eval: bool| {
        let kind = lines.iter().filter(move |line| matches!(line, Metrics::Eval { .. }) == eval);
        kind.map(Metrics::step).collect::<Vec<u64>>()
    };
    for steps in [steps(true), steps(false)] {
        assert!(!steps.is_empty() && steps.is_sorted_by(|a, b| a < b), "run {}: steps {steps:?}", run.id);
    }
    let evaluated = lines.iter().rev().find_map(|line| match line {
        Metrics::Eval { metrics, .. } => Some(metrics),
        Metrics::Train { .. } => None,
    });
    assert_eq!(evaluated, Some(last), "run {}", run.id);
}
