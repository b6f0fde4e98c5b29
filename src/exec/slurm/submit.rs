//! From an attempt to a job: the script, `sbatch`, and what its answer means.

use super::judge::Words;
use super::rules::{self, Rule};
use super::{LOG_FILE, SlurmExecutor, Stage};
use crate::config::Site;
use crate::exec::Launch;
use crate::ids::AttemptId;
use crate::problem::Result;
use crate::record::AttemptSpec;
use crate::slurm::sbatch::{self, Submission};
use crate::slurm::{Job, Need, Request, job_name, render};
use crate::sys::fs;
use crate::sys::process::{ProcessId, host_id};
use std::path::{Path, PathBuf};

/// The script's name in the attempt's folder.
const SCRIPT_FILE: &str = "job.sbatch";
/// Time limit of an attempt that has none, in seconds.
const DAY: f64 = 86400.0;
/// The shortest limit that is asked for: SLURM counts in minutes.
const MINUTE: f64 = 60.0;
/// How often a submission may be put off before it counts as refused; the wait doubles up to [`LONGEST_WAIT`].
const PUT_OFF_BOUND: u32 = 60;
const FIRST_WAIT: f64 = 15.0;
const LONGEST_WAIT: f64 = 900.0;

fn script(folder: &Path) -> PathBuf {
    folder.join(SCRIPT_FILE)
}

/// The time limit and the warning ahead of it of a job that may last `allowed` seconds and whose worker ends itself after
/// `wall`. SLURM counts limits in whole minutes, rounded up, and warns up to a minute early. Rounded down here instead, the
/// job never holds its node beyond what was reserved; the warning is shortened with it, so that it does not come before the
/// worker's own limit. Where less than half of the warning would be left (on sites that warn late), it is rounded up: then a
/// worker that hangs can hold its node up to a minute beyond the reservation, which the ledger shows as overrun.
pub(super) fn limits(site: &Site, allowed: f64, wall: f64) -> (f64, u32) {
    let limit = (allowed / MINUTE).floor() * MINUTE;
    let warning = (limit - MINUTE - wall).min(f64::from(site.warning_seconds));
    if wall > 0.0 && warning >= f64::from(site.warning_seconds) / 2.0 && warning >= 1.0 {
        (limit, warning as u32)
    } else {
        (allowed.max(MINUTE), site.warning_seconds)
    }
}

/// What is asked for an attempt.
pub(super) struct Asked {
    /// Of the cluster.
    pub need: Need,
    /// Seconds before the limit that the worker is warned.
    pub warning_seconds: u32,
    /// Seconds that it is expected to take.
    pub expected: f64,
}

impl SlurmExecutor<'_> {
    /// A name that no other job has: made of the place, the time and this process.
    pub(super) fn name(&self, launch: &Launch) -> String {
        let ProcessId { pid, start } = ProcessId::current();
        let source = format!("{}|{}|{pid}|{start}|{}", launch.folder.display(), self.clock.unix(), host_id());
        job_name(launch.id, &blake3::hash(source.as_bytes()).to_hex()[..12])
    }

    /// Writes the attempt's script into its folder.
    pub(super) fn write_script(&self, launch: &Launch, name: &str, anywhere: bool) -> Result<()> {
        let Asked { need, warning_seconds, .. } = self.asked(launch, anywhere)?;
        let request = Request::on(&self.site_of(launch.id), &need)?;
        let text = render(&Job {
            site: &Site { warning_seconds, ..self.site.clone() },
            request: &request,
            id: launch.id,
            name,
            program: &self.program,
            campaign: &self.campaign,
            folder: &launch.folder,
            log: &launch.folder.join(LOG_FILE),
            environment: &self.environment,
        })?;
        fs::write_atomic(&script(&launch.folder), text.as_bytes())
    }

    /// What an attempt's job asks for; `anywhere`: on nodes too that it should rather keep away from.
    pub(super) fn asked(&self, launch: &Launch, anywhere: bool) -> Result<Asked> {
        let spec = AttemptSpec::read(&launch.folder)?;
        let (seconds, warning_seconds) = match launch.kill_after_seconds {
            limit if limit > 0.0 => limits(&self.site, limit - self.site.kill_margin_seconds, spec.wall_seconds),
            _ => (DAY, self.site.warning_seconds),
        };
        let threads = u32::try_from(spec.experiment.resources.threads).unwrap_or(1);
        let need = Need {
            seconds,
            cpus: threads.max(1),
            memory_mib: self.memory_mib(&spec, launch),
            gpu: spec.experiment.resources.device.is_gpu(),
            device_memory_mib: launch.place.device_memory.0.div_ceil(1 << 20),
            exclude: if anywhere { Vec::new() } else { launch.place.exclude.clone() },
        };
        Ok(Asked { need, warning_seconds, expected: spec.predicted_seconds.unwrap_or(spec.wall_seconds) })
    }

    /// Host memory to ask for: the attempt's own limit, else what it is expected to need, where the site says what it gives.
    fn memory_mib(&self, spec: &AttemptSpec, launch: &Launch) -> u64 {
        let (limit, expected) = (spec.memory.0, launch.place.memory.0);
        match limit {
            0 if self.site.memory_mib > 0 => (expected + expected / 4).div_ceil(1 << 20),
            0 => 0,
            // The worker ends itself at its limit, and says so; SLURM's own limit is a little higher.
            limit => (limit + limit / 16).div_ceil(1 << 20),
        }
    }

    /// Hands the next attempt to `sbatch`, one at a time and not faster than the site wishes. That it is done is written
    /// down first.
    pub(super) fn submit_next(&mut self) -> Result<()> {
        let now = self.clock.monotonic();
        if self.submitting.is_some() || now < self.next_submit {
            return Ok(());
        }
        match self.ready.front().copied() {
            Some(next) if self.place(next)? => {}
            _ => return Ok(()),
        }
        let Some(id) = self.ready.pop_front() else { return Ok(()) };
        let unix = self.clock.unix();
        let Some(watched) = self.watched.get_mut(&id).filter(|w| matches!(w.stage, Stage::Ready)) else {
            return Ok(());
        };
        watched.note.sent = Some(unix);
        if rules::on(Rule::IntentComesFirst) {
            watched.note.write(&watched.launch.folder)?;
        }
        watched.stage = Stage::Sent;
        let arguments = sbatch::arguments(&script(&watched.launch.folder));
        self.next_submit = now + 60.0 / f64::from(self.site.submits_per_minute);
        self.submitting = Some((id, self.commands.start("sbatch", &arguments)));
        Ok(())
    }

    /// Reads `sbatch`'s answer, if it is there.
    pub(super) fn take_submission(&mut self) -> Result<()> {
        let Some((id, pending)) = &mut self.submitting else { return Ok(()) };
        let (id, Some(answer)) = (*id, pending.answer()) else { return Ok(()) };
        self.submitting = None;
        let (now, unix) = (self.clock.monotonic(), self.clock.unix());
        let submission = sbatch::parse(answer.code, &answer.stdout, &answer.stderr);
        if let Submission::Refused(why) = &submission
            && self.nowhere_left(id, why)
        {
            return self.submit_anywhere(id, why);
        }
        let Some(watched) = self.watched.get_mut(&id) else { return Ok(()) };
        let folder = watched.launch.folder.clone();
        match submission {
            Submission::Accepted(job) => {
                watched.note.job = Some(job);
                watched.note.write(&folder)
            }
            Submission::Refused(why) => {
                watched.note.refused = Some(why);
                watched.note.write(&folder)?;
                self.end(id, Words::default())
            }
            Submission::Later(why) if watched.put_off >= PUT_OFF_BOUND => {
                watched.note.refused = Some(format!("put off {PUT_OFF_BOUND} times: {why}"));
                watched.note.write(&folder)?;
                self.end(id, Words::default())
            }
            Submission::Later(why) => {
                let wait = FIRST_WAIT * 2f64.powi(watched.put_off.min(16) as i32);
                watched.put_off += 1;
                (watched.note.sent, watched.note.state) = (None, why);
                watched.note.write(&folder)?;
                watched.stage = Stage::Ready;
                self.next_submit = self.next_submit.max(now + wait.min(LONGEST_WAIT));
                // Somebody may have asked for its end meanwhile.
                if self.stops.remove(&id).is_some() {
                    return self.end(id, Words::default());
                }
                self.ready.push_front(id);
                Ok(())
            }
            Submission::Lost(why) if rules::on(Rule::LostAreLookedFor) => {
                let seconds = unix - watched.note.sent.unwrap_or(unix);
                watched.note.happened(format!("sbatch's answer was lost after {seconds:.0} s: {why}"));
                watched.note.state = format!("looked for by its name: {why}");
                watched.note.write(&folder)
            }
            // What others do, here only to show that it would not do: submit it again.
            Submission::Lost(_) => {
                watched.stage = Stage::Ready;
                self.ready.push_back(id);
                Ok(())
            }
        }
    }

    /// Whether a submission was refused for the nodes that it was to stay away from: all that are left may be bad, and
    /// then any is better than none.
    fn nowhere_left(&self, id: AttemptId, why: &str) -> bool {
        let lower = why.to_ascii_lowercase();
        let nodes = ["node configuration is not available", "node count specification invalid"];
        let watched = self.watched.get(&id);
        watched.is_some_and(|w| !w.launch.place.exclude.is_empty() && !w.note.anywhere)
            && nodes.iter().any(|n| lower.contains(n))
    }

    fn submit_anywhere(&mut self, id: AttemptId, why: &str) -> Result<()> {
        let Some(watched) = self.watched.get_mut(&id) else { return Ok(()) };
        let names = watched.launch.place.exclude.join(", ");
        watched.note.happened(format!("no node is left without {names} ({why}), so it is asked for on any"));
        (watched.note.sent, watched.note.anywhere) = (None, true);
        watched.stage = Stage::Ready;
        let (launch, note) = (watched.launch.clone(), watched.note.clone());
        self.write_script(&launch, &note.name, true)?;
        note.write(&launch.folder)?;
        if self.stops.remove(&id).is_some() {
            return self.end(id, Words::default());
        }
        self.ready.push_front(id);
        Ok(())
    }
}
