//! A scripted machine, for testing whoever drives an executor: virtual time, no processes, no files.
//!
//! The machine outlives its executors as real workers outlive a controller: dropping a [`FakeExecutor`] and making another
//! one [`on`](FakeExecutor::on) the same [`FakeMachine`] is a controller that was killed and came back.
//! It passes the same conformance suite as the real executors.

use super::{Executor, Launch, Status};
use crate::ids::AttemptId;
use crate::problem::{Problem, Result};
use crate::record::{End, Evidence, FORMAT, JobEnd, Outcome, SchedulerEnd};
use crate::sys::clock::Clock;
use crate::units::{Bytes, DeviceTime};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a worker will do.
#[derive(Debug, Clone)]
pub struct Play {
    /// Seconds from launch until it claims the attempt.
    pub starts_after: f64,
    /// Seconds from its claim until it ends by itself; none for never.
    pub seconds: Option<f64>,
    /// The outcome it leaves then.
    pub outcome: Option<Outcome>,
    /// Its exit code then.
    pub code: Option<i32>,
    /// The signal that ends it then.
    pub signal: Option<i32>,
    /// It does not listen when asked to stop gently.
    pub deaf: bool,
    /// What is in its log.
    pub log: String,
    /// What the scheduler says of its end.
    pub scheduler: Option<SchedulerEnd>,
    /// What the cluster's records say of its job.
    pub job: Option<JobEnd>,
    /// Dollars a device-hour where it runs, where that place has a price of its own.
    pub hour: Option<f64>,
}

impl Play {
    fn base() -> Self {
        Play {
            starts_after: 0.0,
            seconds: None,
            outcome: None,
            code: None,
            signal: None,
            deaf: false,
            log: String::new(),
            scheduler: None,
            job: None,
            hour: None,
        }
    }

    /// Ends after `seconds` with this end and the exit code that goes with it.
    pub fn ends(seconds: f64, end: End) -> Self {
        let code = match &end {
            End::Completed | End::Paused | End::Diverged { .. } => 0,
            End::Checkpointed => 75,
            End::Refused { .. } => 2,
            End::Missing { .. } => 4,
            End::DeviceFailed { fault, .. } if fault.is_unavailable() => 4,
            End::TimedOut { .. } | End::OutOfMemory { .. } | End::DeviceFailed { .. } => 1,
            End::Full { .. } | End::Failed { .. } => 1,
        };
        Play { seconds: Some(seconds), outcome: Some(outcome(end, seconds)), code: Some(code), ..Self::base() }
    }

    /// Completes after `seconds` with these metrics.
    pub fn completes(seconds: f64, metrics: &[(&str, f64)]) -> Self {
        let mut play = Self::ends(seconds, End::Completed);
        if let Some(outcome) = &mut play.outcome {
            outcome.metrics = metrics.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        }
        play
    }

    /// Exits after `seconds` without an outcome.
    pub fn exits(seconds: f64, code: i32) -> Self {
        Play { seconds: Some(seconds), code: Some(code), ..Self::base() }
    }

    /// Is ended by a signal after `seconds`, without an outcome.
    pub fn dies(seconds: f64, signal: i32) -> Self {
        Play { seconds: Some(seconds), signal: Some(signal), ..Self::base() }
    }

    /// The same as a job on `node`, of whose end the scheduler says this.
    pub fn as_job(self, node: &str, state: &str, scheduler: Option<SchedulerEnd>) -> Self {
        let job = JobEnd { id: Some(7), state: state.into(), node: Some(node.into()), ..JobEnd::default() };
        Play { scheduler, job: Some(job), ..self }
    }

    /// Runs until it is stopped or killed.
    pub fn hangs() -> Self {
        Self::base()
    }

    /// The same, not listening when asked to stop gently.
    pub fn deaf(self) -> Self {
        Play { deaf: true, ..self }
    }

    /// The same, claiming the attempt only `seconds` after its launch.
    pub fn starting_after(self, seconds: f64) -> Self {
        Play { starts_after: seconds, ..self }
    }
}

/// A plausible outcome of one device held for `seconds`.
pub fn outcome(end: End, seconds: f64) -> Outcome {
    Outcome {
        format: FORMAT,
        end,
        step: 0,
        metrics: BTreeMap::new(),
        seconds,
        training_seconds: seconds,
        device_time: DeviceTime::of(1, seconds),
        peak_memory: Bytes(1 << 20),
        weights: None,
        checkpoint: None,
        node: None,
        utilization: None,
    }
}

/// A worker on the machine.
struct Worker {
    launched: f64,
    play: Play,
    /// A controller took the claim first.
    abandoned: bool,
    ended: Option<Evidence>,
}

impl Worker {
    fn claimed(&self, now: f64) -> bool {
        !self.abandoned && now >= self.launched + self.play.starts_after
    }

    /// Lets time pass up to `now`.
    fn advance(&mut self, now: f64) {
        let Some(seconds) = self.play.seconds.filter(|_| self.ended.is_none() && !self.abandoned) else { return };
        let total = self.play.starts_after + seconds;
        if now >= self.launched + total {
            let (outcome, code, signal) = (self.play.outcome.clone(), self.play.code, self.play.signal);
            self.end(total, outcome, code, signal);
        }
    }

    fn end(&mut self, seconds: f64, outcome: Option<Outcome>, exit_code: Option<i32>, signal: Option<i32>) {
        self.ended = Some(Evidence {
            outcome,
            exit_code,
            signal,
            killed_for_time: false,
            never_started: false,
            scheduler: self.play.scheduler.clone(),
            job: self.play.job.clone(),
            seconds,
            log_tail: self.play.log.clone(),
        });
    }
}

/// What a worker does, asked at its launch.
type Script<'c> = Box<dyn FnMut(&Launch) -> Play + 'c>;

/// The machine: it keeps running when an executor is dropped.
pub struct FakeMachine<'c> {
    clock: &'c dyn Clock,
    script: RefCell<Script<'c>>,
    workers: RefCell<BTreeMap<AttemptId, Worker>>,
    launches: RefCell<Vec<Launch>>,
}

impl FakeMachine<'_> {
    /// Every launch so far, in order.
    pub fn launches(&self) -> Vec<Launch> {
        self.launches.borrow().clone()
    }

    /// How many workers are alive now.
    pub fn alive(&self) -> usize {
        let now = self.clock.monotonic();
        let mut workers = self.workers.borrow_mut();
        workers.values_mut().for_each(|w| w.advance(now));
        workers.values().filter(|w| w.ended.is_none() && !w.abandoned).count()
    }
}

/// A controller's hold on a [`FakeMachine`].
pub struct FakeExecutor<'c> {
    machine: Rc<FakeMachine<'c>>,
    slots: usize,
    held: BTreeMap<AttemptId, Hold>,
}

/// What a controller knows of an attempt it watches.
struct Hold {
    kill_after_seconds: f64,
    /// Launched by this controller, which therefore learns how the process ended.
    child: bool,
    killed_for_time: bool,
}

impl<'c> FakeExecutor<'c> {
    /// An executor on a new machine. `script` is asked at every launch what the worker will do; it may also write into
    /// the attempt's folder, as a worker would.
    pub fn new(slots: usize, clock: &'c dyn Clock, script: impl FnMut(&Launch) -> Play + 'c) -> Self {
        let machine = FakeMachine {
            clock,
            script: RefCell::new(Box::new(script)),
            workers: RefCell::default(),
            launches: RefCell::default(),
        };
        Self::on(Rc::new(machine), slots)
    }

    /// The executor of another controller on a machine that already runs.
    pub fn on(machine: Rc<FakeMachine<'c>>, slots: usize) -> Self {
        FakeExecutor { machine, slots, held: BTreeMap::new() }
    }

    /// The machine, to look at, and for the next controller.
    pub fn machine(&self) -> Rc<FakeMachine<'c>> {
        Rc::clone(&self.machine)
    }

    fn hold(&mut self, launch: &Launch, child: bool) {
        let hold = Hold { kill_after_seconds: launch.kill_after_seconds, child, killed_for_time: false };
        self.held.insert(launch.id, hold);
    }
}

fn unknown(id: AttemptId) -> Problem {
    Problem::failed(format!("attempt {id} was neither launched nor adopted"))
}

impl Executor for FakeExecutor<'_> {
    fn slots(&self) -> usize {
        self.slots
    }

    /// Panics on an attempt that was launched or given up before: no driver may ever do that.
    fn launch(&mut self, launch: &Launch) -> Result<()> {
        let id = launch.id;
        assert!(!self.machine.workers.borrow().contains_key(&id), "attempt {id} was launched twice");
        let play = (self.machine.script.borrow_mut())(launch);
        let launched = self.machine.clock.monotonic();
        self.machine.workers.borrow_mut().insert(id, Worker { launched, play, abandoned: false, ended: None });
        self.machine.launches.borrow_mut().push(launch.clone());
        self.hold(launch, true);
        Ok(())
    }

    fn adopt(&mut self, launch: &Launch) -> Result<()> {
        if self.held.contains_key(&launch.id) {
            return Ok(());
        }
        let now = self.machine.clock.monotonic();
        let never = || Worker { launched: now, play: Play::hangs(), abandoned: true, ended: None };
        let mut workers = self.machine.workers.borrow_mut();
        let worker = workers.entry(launch.id).or_insert_with(never);
        worker.advance(now);
        worker.abandoned |= worker.ended.is_none() && !worker.claimed(now);
        drop(workers);
        self.hold(launch, false);
        Ok(())
    }

    fn poll(&mut self, id: AttemptId) -> Result<Status> {
        let now = self.machine.clock.monotonic();
        let mut workers = self.machine.workers.borrow_mut();
        let (Some(hold), Some(worker)) = (self.held.get_mut(&id), workers.get_mut(&id)) else {
            return Err(unknown(id));
        };
        worker.advance(now);
        let seconds = now - worker.launched;
        let running = worker.ended.is_none() && !worker.abandoned;
        if running && hold.kill_after_seconds > 0.0 && seconds > hold.kill_after_seconds {
            worker.end(seconds, None, None, Some(libc::SIGKILL));
            hold.killed_for_time = true;
        }
        if worker.abandoned {
            return Ok(Status::Ended(Evidence::NEVER_STARTED));
        }
        let Some(mut evidence) = worker.ended.clone() else {
            return Ok(if worker.claimed(now) { Status::Running } else { Status::Pending });
        };
        evidence.killed_for_time = hold.killed_for_time;
        if !hold.child {
            (evidence.exit_code, evidence.signal) = (None, None);
        }
        Ok(Status::Ended(evidence))
    }

    fn hour(&self, id: AttemptId) -> Option<f64> {
        self.machine.workers.borrow().get(&id)?.play.hour
    }

    fn stop(&mut self, id: AttemptId, gentle: bool) -> Result<()> {
        let now = self.machine.clock.monotonic();
        let mut workers = self.machine.workers.borrow_mut();
        let worker = workers.get_mut(&id).filter(|_| self.held.contains_key(&id)).ok_or_else(|| unknown(id))?;
        worker.advance(now);
        let seconds = now - worker.launched;
        if worker.ended.is_some() || worker.abandoned || (gentle && worker.play.deaf) {
            return Ok(());
        }
        match (gentle, worker.claimed(now)) {
            (true, true) => worker.end(seconds, Some(outcome(End::Checkpointed, seconds)), Some(75), None),
            // Before a worker listens, the signal simply ends it.
            (true, false) => worker.end(seconds, None, None, Some(libc::SIGTERM)),
            (false, _) => worker.end(seconds, None, None, Some(libc::SIGKILL)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Place;
    use crate::ids::RunId;
    use crate::sys::clock::FakeClock;

    fn launch(number: u32) -> Launch {
        Launch {
            id: AttemptId { run: RunId(1), number },
            folder: "attempt".into(),
            kill_after_seconds: 0.0,
            place: Place::default(),
        }
    }

    #[test]
    #[should_panic(expected = "attempt 0001/01 was launched twice")]
    fn a_double_launch_panics_even_from_another_controller() {
        let clock = FakeClock::default();
        let mut executor = FakeExecutor::new(1, &clock, |_| Play::hangs());
        executor.launch(&launch(1)).unwrap();
        let _ = FakeExecutor::on(executor.machine(), 1).launch(&launch(1));
    }

    #[test]
    #[should_panic(expected = "launched twice")]
    fn launching_what_was_given_up_panics() {
        let clock = FakeClock::default();
        let mut executor = FakeExecutor::new(1, &clock, |_| Play::hangs());
        executor.adopt(&launch(1)).unwrap();
        let _ = executor.launch(&launch(1));
    }

    #[test]
    fn plays_end_on_the_virtual_second() {
        let clock = FakeClock::default();
        let mut executor = FakeExecutor::new(2, &clock, |launch| {
            Play::completes(f64::from(launch.id.number) * 10.0, &[("loss", 0.5)]).starting_after(1.0)
        });
        executor.launch(&launch(1)).unwrap();
        executor.launch(&launch(2)).unwrap();
        assert_eq!(executor.poll(launch(1).id).unwrap(), Status::Pending);
        clock.advance(10.9);
        assert_eq!(executor.poll(launch(1).id).unwrap(), Status::Running);
        clock.advance(0.2);
        let Status::Ended(evidence) = executor.poll(launch(1).id).unwrap() else { panic!("still running") };
        assert_eq!((evidence.seconds, evidence.outcome.unwrap().metrics["loss"]), (11.0, 0.5));
        assert_eq!((executor.machine().alive(), executor.machine().launches().len()), (1, 2));
    }
}
