//! A job of the fake SLURM: what its worker does by virtual time, and how the queue and accounting show it.
#![allow(clippy::disallowed_methods)]

use crate::exec::conformance::Behaviour;
use crate::exec::fake::outcome;
use crate::record::{Claim, End};
use crate::sys::clock::rfc3339;
use crate::sys::process::ProcessId;
use std::path::PathBuf;

/// Seconds from SIGTERM to SIGKILL.
const KILL_WAIT: f64 = 5.0;

pub(super) struct FakeJob {
    pub id: u64,
    pub name: String,
    pub folder: PathBuf,
    pub submitted: f64,
    pub limit: f64,
    pub behaviour: Behaviour,
    pub reason: &'static str,
    pub cannot_begin: bool,
    /// When its node was given to it, where that could not launch it.
    pub launched: Option<f64>,
    /// When a worker claimed the attempt.
    pub began: Option<f64>,
    /// A worker found the attempt claimed.
    pub refused: bool,
    pub usr2: Option<f64>,
    pub cancelled: Option<f64>,
    /// An outcome that the filesystem has not brought yet, and when it does.
    pub coming: Option<(f64, End)>,
    /// Seconds by which it is late.
    pub late: f64,
    /// When, state, exit code of the job, and of its batch step.
    pub ended: Option<(f64, &'static str, &'static str, &'static str)>,
}

fn time(seconds: f64) -> String {
    rfc3339(1.7e9 + seconds)[..19].to_string()
}

impl FakeJob {
    /// Whether it runs, as far as anybody has looked.
    pub fn runs(&self) -> bool {
        self.began.is_some() && self.ended.is_none()
    }

    /// Seconds for which it held its node; none while it does.
    pub fn held(&self) -> Option<f64> {
        let (end, ..) = self.ended?;
        Some(self.began.map_or(0.0, |began| end - began))
    }

    /// When it ended; none while it does not.
    pub fn ended_at(&self) -> Option<f64> {
        self.ended.map(|(at, ..)| at)
    }

    /// When its limit would end it; none before it runs.
    pub fn limit_at(&self) -> Option<f64> {
        self.began.map(|began| began + self.limit)
    }

    fn starts(&self) -> f64 {
        self.submitted + 1.0
    }

    pub fn advance(&mut self, now: f64) {
        self.go_on(now);
        if let Some((_, end)) = self.coming.take_if(|(at, _)| *at <= now) {
            let json = serde_json::to_vec(&outcome(end, 2.0)).unwrap();
            std::fs::write(self.folder.join("outcome.json"), json).unwrap();
        }
    }

    fn go_on(&mut self, now: f64) {
        if self.ended.is_some() {
            return;
        }
        let wait = if let Behaviour::StartsAfter(seconds) = self.behaviour { seconds } else { 0.0 };
        let at = self.starts() + wait;
        let startable = self.reason == "None" && now >= at;
        if let Some(cancelled) = self.cancelled.filter(|c| self.began.is_none() && (!startable || *c < at)) {
            self.ended = Some((cancelled, "CANCELLED by 1000", "0:0", "0:0"));
            return;
        }
        if !startable {
            return;
        }
        if self.began.is_none() {
            // Every second one for its prolog: not to be requeued, it is cancelled.
            if self.cannot_begin && self.id.is_multiple_of(2) {
                self.launched = Some(at);
                self.ended = Some((at, "CANCELLED by 0", "0:0", ""));
                return;
            }
            if self.cannot_begin {
                self.ended = Some((at, "FAILED", "0:53", "0:53"));
                return;
            }
            if !Claim::Worker(ProcessId { pid: 1, start: 1 }).take(&self.folder).unwrap() {
                self.refused = true;
                self.ended = Some((at, "FAILED", "1:0", "1:0"));
                return;
            }
            self.began = Some(at);
            let path = self.folder.join("ran");
            let ran = std::fs::read_to_string(&path).unwrap_or_default();
            std::fs::write(path, ran + "yes\n").unwrap();
        }
        let (coming, late) = (&mut self.coming, self.late);
        let mut leave = |end: End| *coming = Some((now + late, end));
        let done = now >= at + 2.0;
        self.ended = match self.behaviour {
            Behaviour::Hangs if self.usr2.is_some() => {
                leave(End::Checkpointed);
                self.usr2.map(|t| (t, "FAILED", "75:0", "75:0"))
            }
            Behaviour::Hangs if self.cancelled.is_some() => {
                leave(End::Checkpointed);
                self.cancelled.map(|t| (t, "CANCELLED by 1000", "0:0", "75:0"))
            }
            Behaviour::Deaf if self.cancelled.is_some_and(|c| now >= c + KILL_WAIT) => {
                self.cancelled.map(|c| (c + KILL_WAIT, "CANCELLED by 1000", "0:0", "0:9"))
            }
            Behaviour::Hangs if now >= at + self.limit => {
                leave(End::Checkpointed);
                Some((at + self.limit, "TIMEOUT", "0:0", "75:0"))
            }
            Behaviour::Deaf if now >= at + self.limit => Some((at + self.limit, "TIMEOUT", "0:0", "0:15")),
            Behaviour::Hangs | Behaviour::Deaf => None,
            _ if !done => None,
            Behaviour::Completes | Behaviour::StartsAfter(_) => {
                leave(End::Completed);
                Some((at + 2.0, "COMPLETED", "0:0", "0:0"))
            }
            Behaviour::Crashes => {
                std::fs::write(self.folder.join("worker.log"), "its last words\n").unwrap();
                Some((at + 2.0, "FAILED", "3:0", "3:0"))
            }
            Behaviour::IsKilled => Some((at + 2.0, "FAILED", "0:9", "0:9")),
            Behaviour::CompletesThenIsKilled => {
                leave(End::Completed);
                Some((at + 2.0, "FAILED", "0:9", "0:9"))
            }
        };
    }

    fn state(&self) -> &'static str {
        match (self.ended, self.began) {
            (Some((_, state, ..)), _) => state.split(' ').next().unwrap(),
            (None, Some(_)) => "RUNNING",
            (None, None) => "PENDING",
        }
    }

    pub fn queue_line(&self) -> String {
        let start = self.began.map_or("N/A".to_string(), time);
        let end = self.ended.map_or("N/A".to_string(), |(at, ..)| time(at));
        let submitted = time(self.submitted);
        format!("{}|{}|{submitted}|{start}|{end}|gpu|n1|{}|N/A|{}\n", self.id, self.state(), self.reason, self.name)
    }

    /// As of `now`: a later end is not known yet.
    pub fn account_lines(&self, now: f64, unsettled: f64, endless: f64) -> String {
        let began = self.began.or(self.launched);
        let (submitted, start) = (time(self.submitted), began.map_or("Unknown".to_string(), time));
        let given = "billing=1,cpu=1,mem=200M,node=1";
        let Some((at, state, exit, batch)) = self.ended.filter(|(at, ..)| *at <= now) else {
            let state = if self.began.is_some() { "RUNNING" } else { "PENDING" };
            return format!("{}|{state}|0:0|0:0|{submitted}|{start}|Unknown|0|{given}|n1|{}\n", self.id, self.name);
        };
        let fresh = state == "FAILED" && now - at < unsettled;
        let (exit, batch) = if fresh { ("0:0", "0:0") } else { (exit, batch) };
        let counts = self.began.is_some() && now - at < endless;
        let until = if counts { now } else { at };
        let elapsed = self.began.map_or(0.0, |b| until - b).round() as u64;
        let end = if counts { "Unknown".to_string() } else { time(at) };
        let job =
            format!("{}|{state}|{exit}|0:0|{submitted}|{start}|{end}|{elapsed}|{given}|n1|{}\n", self.id, self.name);
        match began {
            None => job,
            Some(_) => format!(
                "{job}{}.batch|{}|{batch}||{start}|{start}|{end}|{elapsed}|cpu=1,mem=200M,node=1|n1|batch\n",
                self.id,
                state.split(' ').next().unwrap()
            ),
        }
    }
}
