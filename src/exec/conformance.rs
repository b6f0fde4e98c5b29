//! One suite for every executor: the fake machine, processes here, jobs of a fake SLURM, and jobs of a real one where there is
//! a testbed.
#![allow(clippy::disallowed_methods)]

use super::fake::{FakeExecutor, FakeMachine, Play, outcome};
use super::{Executor, Launch, LocalExecutor, Place, Status};
use crate::failure::{Class, classify};
use crate::ids::{AttemptId, RunId, RunKey};
use crate::record::{AttemptSpec, End, Evidence, FORMAT};
use crate::sys::clock::{Clock, FakeClock, SystemClock};
use crate::units::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// What a worker in the suite does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Behaviour {
    /// Completes soon.
    Completes,
    /// Completes, claiming its attempt only after some seconds.
    StartsAfter(f64),
    /// Runs until told otherwise, then completes the moment it is released.
    Hangs,
    /// As `Hangs`, ignoring SIGTERM.
    Deaf,
    /// Writes a line to its log and exits with code 3.
    Crashes,
    /// Is ended by SIGKILL.
    IsKilled,
    /// Completes, then fails to leave in order.
    CompletesThenIsKilled,
}

/// A machine with executors on it.
pub(super) trait Bed {
    /// Another controller's executor on the same machine.
    fn executor(&self) -> Box<dyn Executor + '_>;
    /// A new attempt, not launched.
    fn attempt(&self, behaviour: Behaviour) -> Launch;
    /// Lets a little time pass.
    fn wait(&self);
    /// How many waits are a reasonable patience.
    fn patience(&self) -> usize;
    /// The signal that an attempt is known to have ended by where its wall limit ended it.
    fn signal_of_the_limit(&self) -> Option<i32> {
        Some(9)
    }
    /// Whether only the executor that launched a worker learns its exit code.
    fn only_parents_learn(&self) -> bool {
        true
    }
    /// Whether a worker is told to stop ahead of its wall limit, so that one that listens leaves before it.
    fn warns(&self) -> bool {
        false
    }
    /// Whether an adopted attempt's end is known at the first look.
    fn knows_at_once(&self) -> bool {
        true
    }
}

/// Polls until the attempt has ended.
pub(super) fn end_of(bed: &dyn Bed, executor: &mut dyn Executor, launch: &Launch) -> Evidence {
    for _ in 0..bed.patience() {
        if let Status::Ended(evidence) = executor.poll(launch.id).unwrap() {
            return evidence;
        }
        bed.wait();
    }
    panic!("attempt {} never ended", launch.id)
}

/// Polls until the worker has claimed the attempt.
pub(super) fn running(bed: &dyn Bed, executor: &mut dyn Executor, launch: &Launch) {
    for _ in 0..bed.patience() {
        match executor.poll(launch.id).unwrap() {
            Status::Running => return,
            Status::Pending => bed.wait(),
            Status::Ended(evidence) => panic!("ended too soon: {evidence:?}"),
        }
    }
    panic!("attempt {} never ran", launch.id)
}

mod suite {
    use super::*;

    pub fn a_completed_attempt(bed: &dyn Bed) {
        let mut executor = bed.executor();
        assert!(executor.slots() > 0);
        let launch = bed.attempt(Behaviour::Completes);
        executor.launch(&launch).unwrap();
        let evidence = end_of(bed, &mut *executor, &launch);
        assert_eq!(classify(&evidence), Class::Completed);
        assert_eq!((evidence.exit_code, evidence.signal), (Some(0), None));
        assert!(!evidence.killed_for_time && !evidence.never_started && evidence.seconds > 0.0);
        bed.wait();
        assert_eq!(executor.poll(launch.id).unwrap(), Status::Ended(evidence), "the end does not change");
        executor.stop(launch.id, true).unwrap();
        executor.stop(launch.id, false).unwrap();
    }

    pub fn a_crash_with_its_log(bed: &dyn Bed) {
        let mut executor = bed.executor();
        let launch = bed.attempt(Behaviour::Crashes);
        executor.launch(&launch).unwrap();
        let evidence = end_of(bed, &mut *executor, &launch);
        assert_eq!(classify(&evidence), Class::Crashed { code: Some(3), signal: None });
        assert!(evidence.log_tail.contains("its last words"), "{:?}", evidence.log_tail);
    }

    pub fn a_death_by_signal(bed: &dyn Bed) {
        let mut executor = bed.executor();
        let launch = bed.attempt(Behaviour::IsKilled);
        executor.launch(&launch).unwrap();
        let evidence = end_of(bed, &mut *executor, &launch);
        assert_eq!(classify(&evidence), Class::Crashed { code: None, signal: Some(9) });
        assert!(!evidence.killed_for_time);
    }

    pub fn an_outcome_counts_more_than_the_death_after_it(bed: &dyn Bed) {
        let mut executor = bed.executor();
        let launch = bed.attempt(Behaviour::CompletesThenIsKilled);
        executor.launch(&launch).unwrap();
        let evidence = end_of(bed, &mut *executor, &launch);
        assert_eq!((classify(&evidence), evidence.signal), (Class::Completed, Some(9)));
    }

    pub fn the_wall_limit_kills(bed: &dyn Bed) {
        for behaviour in [Behaviour::Hangs, Behaviour::Deaf] {
            let mut executor = bed.executor();
            let launch = Launch { kill_after_seconds: 0.25, ..bed.attempt(behaviour) };
            executor.launch(&launch).unwrap();
            let evidence = end_of(bed, &mut *executor, &launch);
            if bed.warns() && behaviour == Behaviour::Hangs {
                assert_eq!((classify(&evidence), evidence.exit_code), (Class::Checkpointed, Some(75)));
                continue;
            }
            assert_eq!((classify(&evidence), evidence.signal), (Class::TimedOut, bed.signal_of_the_limit()));
            assert!(evidence.killed_for_time && evidence.seconds >= 0.25, "{evidence:?}");
        }
    }

    pub fn a_gentle_stop_checkpoints(bed: &dyn Bed) {
        let mut executor = bed.executor();
        let launch = bed.attempt(Behaviour::Hangs);
        executor.launch(&launch).unwrap();
        running(bed, &mut *executor, &launch);
        executor.stop(launch.id, true).unwrap();
        let evidence = end_of(bed, &mut *executor, &launch);
        assert_eq!((classify(&evidence), evidence.exit_code), (Class::Checkpointed, Some(75)));
    }

    pub fn a_deaf_worker_needs_a_hard_stop(bed: &dyn Bed) {
        let mut executor = bed.executor();
        let launch = bed.attempt(Behaviour::Deaf);
        executor.launch(&launch).unwrap();
        running(bed, &mut *executor, &launch);
        executor.stop(launch.id, true).unwrap();
        for _ in 0..20 {
            bed.wait();
            assert_eq!(executor.poll(launch.id).unwrap(), Status::Running);
        }
        executor.stop(launch.id, false).unwrap();
        let evidence = end_of(bed, &mut *executor, &launch);
        assert_eq!((evidence.signal, evidence.killed_for_time), (Some(9), false));
    }

    pub fn a_running_attempt_is_adopted(bed: &dyn Bed) {
        let launch = bed.attempt(Behaviour::Hangs);
        let mut first = bed.executor();
        first.launch(&launch).unwrap();
        running(bed, &mut *first, &launch);
        drop(first);
        bed.wait();
        let mut second = bed.executor();
        second.adopt(&launch).unwrap();
        second.adopt(&launch).unwrap();
        assert_eq!(second.poll(launch.id).unwrap(), Status::Running);
        second.stop(launch.id, true).unwrap();
        let evidence = end_of(bed, &mut *second, &launch);
        assert_eq!(classify(&evidence), Class::Checkpointed);
        let code = if bed.only_parents_learn() { None } else { Some(75) };
        assert_eq!((evidence.exit_code, evidence.signal), (code, None));
    }

    pub fn an_adopted_attempt_keeps_its_limit(bed: &dyn Bed) {
        let launch = Launch { kill_after_seconds: 0.4, ..bed.attempt(Behaviour::Deaf) };
        let mut first = bed.executor();
        first.launch(&launch).unwrap();
        running(bed, &mut *first, &launch);
        drop(first);
        let mut second = bed.executor();
        second.adopt(&launch).unwrap();
        let evidence = end_of(bed, &mut *second, &launch);
        assert_eq!((classify(&evidence), evidence.killed_for_time), (Class::TimedOut, true));
        // Counted from the start of the worker, not from its adoption.
        assert!(evidence.seconds >= 0.4, "{evidence:?}");
    }

    pub fn what_ended_unwatched_is_found_out(bed: &dyn Bed) {
        let learnt = |n: i32| if bed.only_parents_learn() { None } else { Some(n) };
        let table = [
            (Behaviour::Completes, Class::Completed),
            (Behaviour::CompletesThenIsKilled, Class::Completed),
            (Behaviour::Crashes, Class::Crashed { code: learnt(3), signal: None }),
            (Behaviour::IsKilled, Class::Crashed { code: None, signal: learnt(9) }),
        ];
        for (behaviour, class) in table {
            let launch = bed.attempt(behaviour);
            let mut first = bed.executor();
            first.launch(&launch).unwrap();
            end_of(bed, &mut *first, &launch);
            drop(first);
            let mut second = bed.executor();
            second.adopt(&launch).unwrap();
            let evidence = match second.poll(launch.id).unwrap() {
                Status::Ended(evidence) => evidence,
                _ if bed.knows_at_once() => panic!("{behaviour:?} is over"),
                _ => end_of(bed, &mut *second, &launch),
            };
            assert_eq!(classify(&evidence), class, "{behaviour:?}");
            assert!(!evidence.never_started);
        }
    }

    pub fn what_was_never_launched_never_starts(bed: &dyn Bed) {
        let launch = bed.attempt(Behaviour::Completes);
        for _ in 0..2 {
            let mut executor = bed.executor();
            executor.adopt(&launch).unwrap();
            let Status::Ended(evidence) = executor.poll(launch.id).unwrap() else { panic!("it never started") };
            assert_eq!((classify(&evidence), evidence.seconds), (Class::NeverStarted, 0.0));
        }
    }

    pub fn a_worker_that_comes_late_finds_itself_given_up(bed: &dyn Bed) {
        let launch = bed.attempt(Behaviour::StartsAfter(0.15));
        let mut first = bed.executor();
        first.launch(&launch).unwrap();
        assert_eq!(first.poll(launch.id).unwrap(), Status::Pending);
        let mut second = bed.executor();
        second.adopt(&launch).unwrap();
        // Both controllers see it the same way, then and after the worker came.
        for executor in [&mut second, &mut first] {
            let evidence = end_of(bed, &mut **executor, &launch);
            assert_eq!(classify(&evidence), Class::NeverStarted);
        }
        assert!(!launch.folder.join("ran").exists());
    }

    /// Where attempts wait in a queue, one that waits is no reason to give it up.
    pub fn a_waiting_job_is_adopted_and_runs_once(bed: &dyn Bed) {
        let launch = bed.attempt(Behaviour::StartsAfter(40.0));
        let mut first = bed.executor();
        first.launch(&launch).unwrap();
        for _ in 0..10 {
            assert_eq!(first.poll(launch.id).unwrap(), Status::Pending);
            bed.wait();
        }
        drop(first);
        let mut second = bed.executor();
        second.adopt(&launch).unwrap();
        assert_eq!(second.poll(launch.id).unwrap(), Status::Pending);
        assert_eq!(classify(&end_of(bed, &mut *second, &launch)), Class::Completed);
        assert_eq!(std::fs::read_to_string(launch.folder.join("ran")).unwrap(), "yes\n");
    }

    pub fn attempts_do_not_disturb_each_other(bed: &dyn Bed) {
        let mut executor = bed.executor();
        let kinds = [Behaviour::Completes, Behaviour::Crashes, Behaviour::Hangs, Behaviour::IsKilled];
        let launches = kinds.map(|behaviour| bed.attempt(behaviour));
        launches.iter().for_each(|launch| executor.launch(launch).unwrap());
        running(bed, &mut *executor, &launches[2]);
        executor.stop(launches[2].id, true).unwrap();
        let classes = launches.each_ref().map(|launch| classify(&end_of(bed, &mut *executor, launch)));
        let crashed = |code, signal| Class::Crashed { code, signal };
        assert_eq!(classes, [Class::Completed, crashed(Some(3), None), Class::Checkpointed, crashed(None, Some(9))]);
    }

    pub fn a_stranger_is_a_problem(bed: &dyn Bed) {
        let mut executor = bed.executor();
        let launch = bed.attempt(Behaviour::Completes);
        assert!(executor.poll(launch.id).unwrap_err().what.contains("neither launched nor adopted"));
        assert!(executor.stop(launch.id, true).is_err());
    }
}

/// The fake machine.
struct FakeBed {
    clock: &'static FakeClock,
    machine: Rc<FakeMachine<'static>>,
    plays: Rc<RefCell<BTreeMap<AttemptId, Play>>>,
}

impl Default for FakeBed {
    fn default() -> Self {
        let clock: &'static FakeClock = Box::leak(Box::default());
        let plays: Rc<RefCell<BTreeMap<AttemptId, Play>>> = Rc::default();
        let script = Rc::clone(&plays);
        let executor = FakeExecutor::new(4, clock, move |launch| script.borrow()[&launch.id].clone());
        FakeBed { clock, machine: executor.machine(), plays }
    }
}

impl Bed for FakeBed {
    fn executor(&self) -> Box<dyn Executor + '_> {
        Box::new(FakeExecutor::on(Rc::clone(&self.machine), 4))
    }
    fn attempt(&self, behaviour: Behaviour) -> Launch {
        let play = match behaviour {
            Behaviour::Completes => Play::completes(0.03, &[]),
            Behaviour::StartsAfter(seconds) => Play::completes(0.03, &[]).starting_after(seconds),
            Behaviour::Hangs => Play::hangs(),
            Behaviour::Deaf => Play::hangs().deaf(),
            Behaviour::Crashes => Play { log: "its last words\n".to_string(), ..Play::exits(0.03, 3) },
            Behaviour::IsKilled => Play::dies(0.03, 9),
            Behaviour::CompletesThenIsKilled => Play { code: None, signal: Some(9), ..Play::completes(0.03, &[]) },
        };
        let number = self.plays.borrow().len() as u32 + 1;
        let id = AttemptId { run: RunId(1), number };
        self.plays.borrow_mut().insert(id, play);
        Launch { id, folder: PathBuf::from("nowhere"), kill_after_seconds: 0.0, place: Place::default() }
    }
    fn wait(&self) {
        self.clock.advance(0.01);
    }
    fn patience(&self) -> usize {
        1000
    }
}

/// This machine, with a shell script for a worker.
pub(super) struct LocalBed {
    pub clock: SystemClock,
    pub folder: tempfile::TempDir,
    made: Cell<u32>,
}

const WORKER: &str = r#"#!/bin/sh
# worker --attempt FOLDER: does what FOLDER/behaviour says.
folder=$3
read -r behaviour wait < "$folder/behaviour"
echo "A=$SHOWN_A B=$SHOWN_B HOME=$HOME" >&2
echo "CARD=$CUDA_VISIBLE_DEVICES" >&2
outcome() {
    cp "$folder/$1" "$folder/.outcome" && mv "$folder/.outcome" "$folder/outcome.json"
}
case $behaviour in
    Deaf) trap '' TERM USR2 ;;
    *) trap 'outcome checkpointed; exit 75' TERM USR2 ;;
esac
sleep "$wait"
read -r stat < /proc/$$/stat
set -- ${stat##*) }
echo "{\"worker\":{\"pid\":$$,\"start\":${20}}}" > "$folder/.claim"
ln "$folder/.claim" "$folder/claim" 2> /dev/null || { echo yes > "$folder/refused"; exit 1; }
echo yes >> "$folder/ran"
case $behaviour in
    Completes) outcome completed ;;
    Crashes) echo 'its last words' >&2; exit 3 ;;
    IsKilled) kill -9 $$ ;;
    CompletesThenIsKilled) outcome completed; kill -9 $$ ;;
    *) while :; do sleep 0.01; done ;;
esac
"#;

impl Default for LocalBed {
    fn default() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Written by a process that then ends: had this one, with its threads that start others, ever held the file open
        // for writing, a child of another test could keep it busy.
        let mut writer = std::process::Command::new("/bin/sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(folder.path().join("worker.sh"))
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut writer.stdin.take().unwrap(), WORKER.as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
        LocalBed { clock: SystemClock::default(), folder, made: Cell::new(0) }
    }
}

impl LocalBed {
    /// Gives an attempt a specification, on a device.
    pub fn specify(&self, launch: &Launch, device: &str) {
        let text = format!(
            "data.kind = \"digits\"\nmodel = {{ kind = \"mlp\", widths = [8] }}\noptimizer.kind = \"adamw\"\n\
             resources.device = \"{device}\""
        );
        let spec = AttemptSpec {
            format: FORMAT,
            id: launch.id,
            experiment: crate::config::parse_experiment(&text, "t", &[]).unwrap(),
            base: PathBuf::from("."),
            key: RunKey("k".into()),
            resume_from: None,
            stop_at: None,
            wall_seconds: 0.0,
            memory: Bytes(0),
            predicted_seconds: None,
            predicted_from: None,
        };
        spec.write(&launch.folder).unwrap();
    }

    pub fn local(&self) -> LocalExecutor<'_> {
        LocalExecutor::new(self.folder.path().join("worker.sh"), 4, &self.clock)
    }
}

impl Bed for LocalBed {
    fn executor(&self) -> Box<dyn Executor + '_> {
        Box::new(self.local())
    }
    fn attempt(&self, behaviour: Behaviour) -> Launch {
        self.made.set(self.made.get() + 1);
        let id = AttemptId { run: RunId(1), number: self.made.get() };
        let folder = self.folder.path().join(format!("{:02}", id.number));
        std::fs::create_dir(&folder).unwrap();
        let said = match behaviour {
            Behaviour::StartsAfter(seconds) => format!("Completes {seconds}\n"),
            other => format!("{other:?} 0\n"),
        };
        std::fs::write(folder.join("behaviour"), said).unwrap();
        for (name, end) in [("completed", End::Completed), ("checkpointed", End::Checkpointed)] {
            std::fs::write(folder.join(name), serde_json::to_vec(&outcome(end, 0.01)).unwrap()).unwrap();
        }
        Launch { id, folder, kill_after_seconds: 0.0, place: Place::default() }
    }
    fn wait(&self) {
        self.clock.sleep(0.005);
    }
    fn patience(&self) -> usize {
        4000
    }
}

macro_rules! conformance {
    ($($name:ident)*) => {
        mod fake {
            $(#[test] fn $name() { super::suite::$name(&super::FakeBed::default()) })*
        }
        mod local {
            $(#[test] fn $name() { super::suite::$name(&super::LocalBed::default()) })*
        }
        mod slurm {
            use crate::exec::slurm::tests::SlurmBed;
            $(#[test] fn $name() { super::suite::$name(&SlurmBed::default()) })*
        }
        mod real {
            use crate::exec::slurm::real::RealBed;
            $(#[test] fn $name() { RealBed::with(stringify!($name), |bed| super::suite::$name(bed)) })*
        }
    };
}

mod late {
    //! A worker that has not begun yet: a process is given up, a job in a queue is waited for.
    use super::{FakeBed, LocalBed, suite};
    use crate::exec::slurm::real::RealBed;
    use crate::exec::slurm::tests::SlurmBed;

    #[test]
    fn fake() {
        suite::a_worker_that_comes_late_finds_itself_given_up(&FakeBed::default());
    }
    #[test]
    fn local() {
        suite::a_worker_that_comes_late_finds_itself_given_up(&LocalBed::default());
    }
    #[test]
    fn slurm() {
        suite::a_waiting_job_is_adopted_and_runs_once(&SlurmBed::default());
    }
    #[test]
    fn real() {
        RealBed::with("a_waiting_job_is_adopted_and_runs_once", |bed| {
            suite::a_waiting_job_is_adopted_and_runs_once(bed);
        });
    }
}

conformance! {
    a_completed_attempt
    a_crash_with_its_log
    a_death_by_signal
    an_outcome_counts_more_than_the_death_after_it
    the_wall_limit_kills
    a_gentle_stop_checkpoints
    a_deaf_worker_needs_a_hard_stop
    a_running_attempt_is_adopted
    an_adopted_attempt_keeps_its_limit
    what_ended_unwatched_is_found_out
    what_was_never_launched_never_starts
    attempts_do_not_disturb_each_other
    a_stranger_is_a_problem
}
