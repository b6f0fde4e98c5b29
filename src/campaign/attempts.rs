//! What the driver does with attempts: looks at those under way, settles those that ended, and starts, stops and kills what
//! the state says.

use super::curve::Curve;
use super::driver::Controller;
use super::events::{Event, EvidenceSummary};
use super::ledger::Amount;
use super::state::Halt;
use super::{placement, usage};
use crate::exec::{Launch, Status};
use crate::failure;
use crate::ids::AttemptId;
use crate::problem::{Problem, Result};
use crate::record::{End, Evidence, METRICS_FILE, metrics_hash};
use crate::sys::fs;
use crate::units::{Bytes, DeviceTime};

impl Controller<'_, '_, '_> {
    /// Records what the executor knows of the attempts under way.
    pub(super) fn poll(&mut self) -> Result<()> {
        let live = self.state.live().filter(|a| self.watched.contains(&a.id));
        let live: Vec<(AttemptId, bool, bool)> =
            live.map(|a| (a.id, a.launched_at.is_some(), a.placed.is_some())).collect();
        for (id, launched, placed) in live {
            if !placed && let Some(place) = self.world.executor.placed(id) {
                self.record(&Event::AttemptPlaced { id, place: Box::new(place) })?;
            }
            match self.world.executor.poll(id)? {
                Status::Pending => {}
                Status::Running => {
                    if !launched {
                        // An earlier controller died between launching it and saying so.
                        self.record(&Event::AttemptLaunched { id })?;
                    }
                    self.look_at_rungs(id, false)?;
                }
                Status::Ended(evidence) => {
                    self.look_at_rungs(id, true)?;
                    self.ended(id, &evidence)?;
                }
            }
        }
        Ok(())
    }

    /// Records the rungs that an attempt has passed since the last look.
    fn look_at_rungs(&mut self, id: AttemptId, at_its_end: bool) -> Result<()> {
        let running = self.state.campaign.planner.halving.is_some_and(|halving| halving.running);
        let Some(run) = self.state.run(id.run).filter(|run| running && run.reached.len() < run.rungs.len()) else {
            return Ok(());
        };
        let now = if at_its_end { f64::INFINITY } else { self.world.clock.monotonic() };
        let folder = self.folder.join(placement::attempt_path(id));
        for event in self.rungs.passed(&folder, run, id, self.state.metric(), now) {
            self.record(&event)?;
        }
        Ok(())
    }

    /// Settles an attempt and records its end.
    fn ended(&mut self, id: AttemptId, evidence: &Evidence) -> Result<()> {
        let Some(reserved) = self.state.ledger.reservation(id) else { return Ok(()) };
        let seconds = evidence.seconds;
        let sharers = self.state.campaign.execution.attempts_per_device;
        let held = DeviceTime::share(sharers, if seconds.is_finite() { seconds } else { 0.0 });
        let own = self.world.executor.hour(id).filter(|dollars| dollars.is_finite() && *dollars >= 0.0);
        let rate = own.unwrap_or(self.state.campaign.budget.dollars_per_device_hour);
        // The price may have been edited since it was reserved: what is settled stays within what was set aside.
        let used = Amount::priced(held, rate);
        let used = if evidence.never_started { used } else { used.with_overhead(&self.state.campaign) }.min(reserved);
        let folder = self.folder.join(placement::attempt_path(id));
        let mut summary = summarise(evidence);
        summary.dollars_per_device_hour = own;
        if evidence.outcome.is_none() {
            (summary.step, summary.training_seconds) = usage::progress(&folder);
        }
        if let Some(cause) = self.unstarted.remove(&id) {
            summary.detail = format!("{}: {cause}", summary.detail);
        }
        if summary.utilization.is_none()
            && let Some(run) = self.state.run(id.run)
        {
            let looks = usage::from_looks(&folder, run);
            summary.utilization = looks.map(Box::new);
        }
        summary.curve = Curve::read(&folder).map(Box::new);
        summary.metrics_hash = fs::read_if_there(&folder.join(METRICS_FILE))?.map(|bytes| metrics_hash(&bytes));
        let class = failure::classify(evidence);
        self.record(&Event::AttemptEnded {
            id,
            class,
            evidence: summary,
            time: used.time,
            dollars: used.dollars,
            overrun: held.saturating_sub(reserved.time),
            checkpoint: placement::newest_checkpoint(&self.folder, id),
            cancelled: self.state.halt == Some(Halt::Cancel),
        })
    }

    /// Makes the world agree with the state.
    pub(super) fn act(&mut self) -> Result<()> {
        let fresh: Vec<AttemptId> = self.state.live().map(|a| a.id).filter(|id| !self.watched.contains(id)).collect();
        for id in fresh {
            let launch = self.prepare(id)?;
            self.journal.check_ownership()?;
            let launched = self.world.executor.launch(&launch);
            self.watched.insert(id);
            // Recorded for a failed launch too: it was tried, and counts as a try.
            self.record(&Event::AttemptLaunched { id })?;
            if let Err(problem) = launched {
                self.unstarted.insert(id, problem.what);
                self.ended(id, &Evidence::NEVER_STARTED)?;
            }
        }
        let behind: Vec<AttemptId> =
            self.state.live().filter(|a| a.stopping && !self.told.contains(&a.id)).map(|a| a.id).collect();
        for id in behind {
            self.journal.check_ownership()?;
            self.world.executor.stop(id, true)?;
            self.told.insert(id);
        }
        if self.state.halt == Some(Halt::Cancel) {
            let doomed: Vec<AttemptId> =
                self.state.live().map(|a| a.id).filter(|id| !self.killed.contains(id)).collect();
            for id in doomed {
                self.journal.check_ownership()?;
                self.world.executor.stop(id, false)?;
                self.killed.insert(id);
            }
        }
        Ok(())
    }

    /// The attempt's folder and the order to start it.
    pub(super) fn prepare(&self, id: AttemptId) -> Result<Launch> {
        let known = self.state.run(id.run).and_then(|run| Some((run, run.attempt(id.number)?)));
        let Some((run, attempt)) = known else {
            return Err(Problem::failed(format!("attempt {id} is not known to the campaign")));
        };
        placement::write_run(&self.folder, &self.state.base, run)?;
        placement::write_attempt(&self.folder, &self.state, run, attempt)?;
        Ok(Launch {
            id,
            folder: self.folder.join(placement::attempt_path(id)),
            // What was reserved is its share of the device's time.
            kill_after_seconds: attempt.reserved.time.seconds()
                * self.state.campaign.execution.attempts_per_device as f64,
            place: placement::place(&self.state, run, attempt),
        })
    }
}

/// The part of the evidence that is worth a line in the journal. JSON has no infinities, so only finite numbers stay.
fn summarise(evidence: &Evidence) -> EvidenceSummary {
    let finite = |x: f64| if x.is_finite() { x } else { 0.0 };
    let mut summary = EvidenceSummary {
        exit_code: evidence.exit_code,
        signal: evidence.signal,
        seconds: finite(evidence.seconds),
        detail: failure::describe(evidence),
        node: evidence.job.as_ref().and_then(|job| job.node.clone()),
        job: evidence.job.clone().map(Box::new),
        ..EvidenceSummary::default()
    };
    if let Some(outcome) = &evidence.outcome {
        summary.end = Some(end_name(&outcome.end).to_string());
        summary.step = outcome.step;
        summary.metrics = outcome.metrics.iter().filter(|(_, v)| v.is_finite()).map(|(k, v)| (k.clone(), *v)).collect();
        summary.training_seconds = finite(outcome.training_seconds);
        summary.peak_memory = Bytes(outcome.peak_memory.0);
        summary.weights = outcome.weights.clone();
        summary.node = outcome.node.clone().or(summary.node);
        if let End::OutOfMemory { wanted, limit, .. } = outcome.end {
            summary.shortage = Some((wanted, limit));
        }
        summary.utilization = outcome.utilization.clone().map(Box::new);
    }
    summary
}

fn end_name(end: &End) -> &'static str {
    match end {
        End::Completed => "completed",
        End::Diverged { .. } => "diverged",
        End::Checkpointed => "checkpointed",
        End::Paused => "paused",
        End::TimedOut { .. } => "timed-out",
        End::OutOfMemory { .. } => "out-of-memory",
        End::DeviceFailed { .. } => "device-failed",
        End::Missing { .. } => "missing",
        End::Full { .. } => "full",
        End::Refused { .. } => "refused",
        End::Failed { .. } => "failed",
    }
}
