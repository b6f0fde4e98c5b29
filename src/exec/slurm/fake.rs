//! A SLURM that is not there: it takes the real arguments, answers in the real forms, keeps virtual time, plays the workers,
//! and fails as it is told to.
#![allow(clippy::disallowed_methods)]

use super::commands::{Commands, Pending};
use super::fake_job::FakeJob;
use crate::exec::conformance::Behaviour;
use crate::slurm::parse_duration;
use crate::sys::clock::{Clock, FakeClock};
use crate::sys::process::Answer;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What is wrong with one command.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    /// Refused for now, nothing done.
    Fails,
    /// Done, but the answer says that the socket timed out.
    Lost,
    /// Done only so many seconds later; the answer says at once that the socket timed out.
    Frozen(f64),
    /// No answer for so long, then it is killed; done or not.
    Hangs(f64, bool),
    /// The answer ends early.
    Cut,
    /// The answer is whole and lists nothing, as that of a controller that has lost its state for a while.
    Forgets,
}

/// Seconds for which the queue shows an ended job.
const MIN_JOB_AGE: f64 = 60.0;
pub(super) struct FakeSlurm {
    clock: &'static FakeClock,
    pub jobs: Vec<FakeJob>,
    pub behaviours: BTreeMap<PathBuf, Behaviour>,
    pub faults: BTreeMap<&'static str, VecDeque<Fault>>,
    /// How often each command was run.
    pub counts: BTreeMap<String, usize>,
    /// Seconds by which accounting is late; none: there is none.
    pub accounting: Option<f64>,
    /// Seconds after a record of an end became visible for which a failure has no code in it.
    pub unsettled: f64,
    /// Seconds after a record of an end became visible for which it does not say when, and goes on counting.
    pub endless: f64,
    /// Seconds by which outcomes come late through the filesystem.
    pub late_files: f64,
    /// Why new jobs never start.
    pub never: Option<&'static str>,
    /// Attempts whose job its node cannot begin: the folder of its log is not there.
    pub cannot_begin: BTreeSet<PathBuf>,
    /// Whether `squeue` knows no separators in `--Format`, as that of many years ago.
    pub old_queue: bool,
    /// Whether there are nodes for jobs that exclude some.
    pub nodes_left: bool,
    next_id: u64,
    /// Submissions that a frozen controller takes up later.
    frozen: Vec<(f64, PathBuf)>,
}

impl FakeSlurm {
    pub fn new(clock: &'static FakeClock) -> Self {
        FakeSlurm {
            clock,
            jobs: Vec::new(),
            behaviours: BTreeMap::new(),
            faults: BTreeMap::new(),
            counts: BTreeMap::new(),
            accounting: Some(1.0),
            unsettled: 0.0,
            endless: 0.0,
            late_files: 0.0,
            never: None,
            cannot_begin: BTreeSet::new(),
            old_queue: false,
            nodes_left: true,
            next_id: 100,
            frozen: Vec::new(),
        }
    }

    /// Jobs that are not over.
    pub fn live(&mut self) -> usize {
        self.advance();
        self.jobs.iter().filter(|j| j.ended.is_none()).count() + self.frozen.len()
    }

    /// Lets a held job start.
    pub fn release(&mut self, folder: &Path) {
        let now = self.clock.monotonic();
        // What counts is from when on it could start.
        let held = self.jobs.iter_mut().filter(|j| j.folder == folder);
        held.for_each(|j| (j.reason, j.submitted) = ("None", now));
    }

    fn submit(&mut self, script: &Path, at: f64) -> u64 {
        let text = std::fs::read_to_string(script).unwrap();
        let option = |name: &str| {
            let start = format!("#SBATCH --{name}=");
            text.lines().find_map(|l| l.strip_prefix(&start)).unwrap_or_else(|| panic!("no --{name}")).to_string()
        };
        assert!(text.contains("#SBATCH --no-requeue\n") && text.lines().last().unwrap().starts_with("exec "));
        let folder = script.parent().unwrap().to_path_buf();
        let limit = parse_duration(&option("time")).unwrap() as f64;
        self.next_id += 1;
        self.jobs.push(FakeJob {
            id: self.next_id,
            name: option("job-name"),
            behaviour: self.behaviours.get(&folder).copied().unwrap_or(Behaviour::Hangs),
            cannot_begin: self.cannot_begin.contains(&folder),
            folder,
            submitted: at,
            limit: (limit / 60.0).ceil() * 60.0,
            reason: self.never.unwrap_or("None"),
            launched: None,
            began: None,
            refused: false,
            usr2: None,
            cancelled: None,
            coming: None,
            late: self.late_files,
            ended: None,
        });
        self.next_id
    }

    fn advance(&mut self) {
        let now = self.clock.monotonic();
        let due: Vec<(f64, PathBuf)> = self.frozen.iter().filter(|(at, _)| *at <= now).cloned().collect();
        self.frozen.retain(|(at, _)| *at > now);
        due.iter().for_each(|(at, script)| {
            self.submit(script, *at);
        });
        self.jobs.iter_mut().for_each(|job| job.advance(now));
    }

    fn run(&mut self, program: &str, arguments: &[String]) -> (f64, Answer) {
        *self.counts.entry(program.to_string()).or_default() += 1;
        self.advance();
        let now = self.clock.monotonic();
        let fault = self.faults.get_mut(program).and_then(VecDeque::pop_front).unwrap_or(Fault::None);
        let timed_out = Answer {
            code: Some(1),
            stderr: format!("{program}: error: Socket timed out on send/recv operation\n"),
            ..Answer::default()
        };
        match fault {
            Fault::Fails => (now, timed_out),
            Fault::Frozen(seconds) if program == "sbatch" => {
                self.frozen.push((now + seconds, PathBuf::from(arguments.last().unwrap())));
                (now, timed_out)
            }
            Fault::Hangs(seconds, done) => {
                if done {
                    self.answer(program, arguments, now);
                }
                (now + seconds, Answer::default())
            }
            Fault::Lost => {
                self.answer(program, arguments, now);
                (now, timed_out)
            }
            Fault::Cut => {
                let mut answer = self.answer(program, arguments, now);
                answer.stdout.truncate(answer.stdout.len() / 2);
                if answer.stdout.ends_with('\n') {
                    answer.stdout.push('1');
                }
                (now, answer)
            }
            Fault::Forgets if program == "squeue" => (now, Answer { code: Some(0), ..Answer::default() }),
            Fault::None | Fault::Frozen(_) | Fault::Forgets => (now, self.answer(program, arguments, now)),
        }
    }

    fn answer(&mut self, program: &str, arguments: &[String], now: f64) -> Answer {
        let said = |stdout: String| Answer { code: Some(0), stdout, ..Answer::default() };
        match program {
            "sbatch" if !self.nodes_left && excludes(arguments.last().unwrap()) => Answer {
                code: Some(1),
                stderr: "sbatch: error: Batch job submission failed: Requested node configuration is not available\n"
                    .into(),
                ..Answer::default()
            },
            "sbatch" => {
                let id = self.submit(Path::new(arguments.last().unwrap()), now);
                said(format!("{id}\n"))
            }
            "squeue" => {
                let shown = |j: &&FakeJob| j.ended.is_none_or(|(at, ..)| now - at < MIN_JOB_AGE);
                let text: String = self.jobs.iter().filter(shown).map(|j| j.queue_line()).collect();
                let columns = self.old_queue && arguments.iter().any(|a| a.starts_with("--Format="));
                said(if columns { text.replace('|', "  ") } else { text })
            }
            "sacct" => {
                let Some(lag) = self.accounting else {
                    return Answer {
                        code: Some(1),
                        stderr: "sacct: error: Problem talking to the database\n".into(),
                        ..Answer::default()
                    };
                };
                let names = arguments.iter().find_map(|a| a.strip_prefix("--name=")).unwrap();
                let names: Vec<&str> = names.split(',').collect();
                let known = |j: &&FakeJob| names.contains(&j.name.as_str()) && j.submitted + lag <= now;
                let (unsettled, endless) = (self.unsettled, self.endless);
                said(self.jobs.iter().filter(known).map(|j| j.account_lines(now - lag, unsettled, endless)).collect())
            }
            "scancel" => {
                let name = arguments.iter().find_map(|a| a.strip_prefix("--name=")).unwrap();
                let id = arguments.last().and_then(|a| a.parse::<u64>().ok());
                let batch = arguments.iter().any(|a| a == "--signal=USR2");
                let fits = |j: &&mut FakeJob| j.name == name && id.is_none_or(|id| id == j.id) && j.ended.is_none();
                let mut code = 0;
                for job in self.jobs.iter_mut().filter(fits) {
                    match batch {
                        true if job.began.is_none() => code = 228,
                        true => job.usr2 = job.usr2.or(Some(now)),
                        false => job.cancelled = job.cancelled.or(Some(now)),
                    }
                }
                self.advance();
                Answer { code: Some(code), ..Answer::default() }
            }
            other => panic!("{other} is not asked for"),
        }
    }
}

fn excludes(script: &str) -> bool {
    std::fs::read_to_string(script).unwrap().contains("#SBATCH --exclude=")
}

/// A controller's way to the fake.
pub(super) struct FakeCommands(pub Rc<RefCell<FakeSlurm>>);

struct Later {
    at: f64,
    world: Rc<RefCell<FakeSlurm>>,
    answer: Option<Answer>,
}

impl Pending for Later {
    fn answer(&mut self) -> Option<Answer> {
        let mut world = self.world.borrow_mut();
        // Jobs go on, and files arrive, while somebody waits for an answer.
        world.advance();
        if world.clock.monotonic() >= self.at { self.answer.take() } else { None }
    }
}

impl Commands for FakeCommands {
    fn start(&mut self, program: &str, arguments: &[String]) -> Box<dyn Pending> {
        let mut world = self.0.borrow_mut();
        let (at, answer) = world.run(program, arguments);
        Box::new(Later { at, world: Rc::clone(&self.0), answer: Some(answer) })
    }
}
