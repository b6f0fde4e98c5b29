//! Where attempts' jobs go: one look at the cluster an interval serves all of them.
//!
//! A look is one `sinfo` and one `squeue` of the waiting jobs, both beside the controller; where something the site may use
//! is full, `sbatch --test-only` asks the scheduler when a job would start there, once a look. Jobs placed since the look are
//! taken off what it saw. Without an answer jobs are placed by price and the site's order: a cluster that does not speak
//! holds up nothing for longer than [`PATIENCE`].

use super::commands::Pending;
use super::submit::Asked;
use super::{SlurmExecutor, Stage};
use crate::config::Site;
use crate::ids::AttemptId;
use crate::problem::{Problem, Result};
use crate::record::{AttemptSpec, FORMAT};
use crate::slurm::{Look, Placed, Request, choose, narrowed, parse_time, question, sbatch, sinfo, squeue, ways};
use crate::sys::fs;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

/// The last look, in the campaign's folder; derived, for `status`.
pub const CLUSTER_FILE: &str = "cluster.json";
/// Where an attempt was sent, in its folder.
const PLACE_FILE: &str = "place.json";
/// The script that the scheduler is asked about.
const QUESTION_FILE: &str = "question.sbatch";
/// Seconds for which a job waits for the first look.
const PATIENCE: f64 = 60.0;
/// Ways that the scheduler is asked about in one look.
const QUESTIONS: usize = 4;

/// What is known of the cluster, and what is being asked.
#[derive(Default)]
pub(super) struct Outlook {
    /// Off in tests of other things.
    pub on: bool,
    look: Option<Look>,
    asking: Option<Asking>,
    next: f64,
    /// Since when a job has waited for a look.
    waiting_since: Option<f64>,
}

enum Asking {
    Nodes(Box<dyn Pending>),
    Queue(Vec<sinfo::Row>, Box<dyn Pending>),
    Starts { look: Look, way: (String, String), left: VecDeque<(String, String)>, pending: Box<dyn Pending> },
}

impl SlurmExecutor<'_> {
    /// Looks at the cluster while there are attempts that are not over, at most once in two looks at the queue.
    pub(super) fn look_around(&mut self) -> Result<()> {
        if !self.outlook.on {
            return Ok(());
        }
        self.take_outlook()?;
        let now = self.clock.monotonic();
        let live = self.watched.values().any(|w| !matches!(w.stage, Stage::Ended(_)));
        if live && self.outlook.asking.is_none() && now >= self.outlook.next {
            self.outlook.next = now + 2.0 * self.site.poll_seconds;
            self.outlook.asking = Some(Asking::Nodes(self.commands.start("sinfo", &sinfo::arguments())));
        }
        Ok(())
    }

    fn take_outlook(&mut self) -> Result<()> {
        let (asking, answer) = match self.outlook.asking.take() {
            None => return Ok(()),
            Some(mut asking) => {
                let pending = match &mut asking {
                    Asking::Nodes(pending) | Asking::Queue(_, pending) | Asking::Starts { pending, .. } => pending,
                };
                match pending.answer() {
                    Some(answer) => (asking, answer),
                    None => {
                        self.outlook.asking = Some(asking);
                        return Ok(());
                    }
                }
            }
        };
        match asking {
            Asking::Nodes(_) => {
                let listing = sinfo::parse(&answer.stdout);
                if answer.code == Some(0) && listing.whole() {
                    let names: Vec<&str> = self.site.partitions.iter().map(|p| p.name.as_str()).collect();
                    let pending = self.commands.start("squeue", &squeue::waiting_arguments(&names));
                    self.outlook.asking = Some(Asking::Queue(listing.rows, pending));
                }
                Ok(())
            }
            Asking::Queue(rows, _) => {
                // Without it the queues count as empty: what is free is known all the same.
                let waiting =
                    if answer.code == Some(0) { squeue::parse_waiting(&answer.stdout) } else { BTreeMap::new() };
                let rows: Vec<sinfo::Row> =
                    rows.into_iter().filter(|r| self.site.partition(&r.partition).is_some()).collect();
                let look = Look::of(self.clock.unix(), &rows, &waiting);
                let full = self.full_ways(&look);
                self.ask_next(look, full)
            }
            Asking::Starts { mut look, way: (partition, kind), left, .. } => {
                if let Ok(Some(start)) = sbatch::parse_test(answer.code, &answer.stderr)
                    && let Some(start) = parse_time(&start)
                    && let Some(supply) = look.partitions.iter_mut().find(|s| s.partition == partition)
                {
                    supply.starts.insert(kind, start as f64);
                }
                self.ask_next(look, left)
            }
        }
    }

    /// What is full and could be used by the job that is next.
    fn full_ways(&self, look: &Look) -> VecDeque<(String, String)> {
        let Some(asked) = self
            .ready
            .front()
            .and_then(|id| self.watched.get(id))
            .and_then(|w| self.asked(&w.launch, w.note.anywhere).ok())
        else {
            return VecDeque::new();
        };
        let need = asked.need;
        let ways = ways(&self.site, &need);
        if ways.len() < 2 || !need.gpu {
            return VecDeque::new();
        }
        let full = |(partition, kind): &(String, Option<String>)| {
            let free = look.supply(partition).map_or(0, |s| match kind {
                Some(kind) => s.free.get(kind).copied().unwrap_or(0),
                None => s.free.values().sum(),
            });
            free < self.site.gpus.max(1)
        };
        let full = ways.into_iter().filter(|w| full(w)).take(QUESTIONS);
        full.map(|(partition, kind)| (partition, kind.unwrap_or_default())).collect()
    }

    /// Asks the scheduler about the next full way; the look is complete when there is none.
    fn ask_next(&mut self, look: Look, mut left: VecDeque<(String, String)>) -> Result<()> {
        while let Some(way) = left.pop_front() {
            let Some(file) = self.question(&way)? else { continue };
            let pending = self.commands.start("sbatch", &sbatch::test_arguments(&file));
            self.outlook.asking = Some(Asking::Starts { look, way, left, pending });
            return Ok(());
        }
        if let Ok(text) = serde_json::to_vec_pretty(&look) {
            // Only for looking at: that it cannot be written stops nothing.
            let _ = fs::write_atomic(&self.campaign.join(CLUSTER_FILE), &text);
        }
        self.outlook.look = Some(look);
        Ok(())
    }

    /// The question about the next job, asked for in this way.
    fn question(&self, (partition, kind): &(String, String)) -> Result<Option<PathBuf>> {
        let Some(watched) = self.ready.front().and_then(|id| self.watched.get(id)) else { return Ok(None) };
        let Some(own) = self.site.partition(partition) else { return Ok(None) };
        let site = narrowed(&self.site, own, Some(kind.as_str()).filter(|k| !k.is_empty()));
        let need = self.asked(&watched.launch, watched.note.anywhere)?.need;
        let Ok(request) = Request::on(&site, &need) else { return Ok(None) };
        let file = self.campaign.join(QUESTION_FILE);
        fs::write_atomic(&file, question(&site, &request).as_bytes())?;
        Ok(Some(file))
    }

    /// The site as far as an attempt may use it: the one way that was chosen for it, once that is done.
    pub(super) fn site_of(&self, id: AttemptId) -> Site {
        let own = self.placed.get(&id).and_then(|p| Some((self.site.partition(&p.partition)?, p.gpu_type.as_deref())));
        own.map_or_else(|| self.site.clone(), |(partition, kind)| narrowed(&self.site, partition, kind))
    }

    /// Dollars a device-hour in the partition where the queue showed its job last, else where it was sent; none where the
    /// site says nothing of prices, or nothing of a partition to which somebody has moved it.
    pub(super) fn hour_of(&self, id: AttemptId) -> Option<f64> {
        let watched = self.watched.get(&id).filter(|_| self.site.is_priced())?;
        let placed = self.placed.get(&id).cloned().or_else(|| read(&watched.launch.folder).ok().flatten());
        let sent = placed.as_ref().map(|p| p.partition.clone());
        let name = watched.note.partition.clone().or_else(|| sent.clone())?;
        let partition = self.site.partition(&name)?;
        let gpu = AttemptSpec::read(&watched.launch.folder).ok()?.experiment.resources.device.is_gpu();
        let kind = placed.filter(|_| sent.as_ref() == Some(&name)).and_then(|p| p.gpu_type);
        // Moved, it has one of the types there.
        let kind = kind.or_else(|| partition.gpu_types.first().cloned());
        Some(self.site.hour(partition, gpu, kind.as_deref()))
    }

    /// Chooses where the attempt's job goes, writes that down and the script for it. `false`: the cluster is still being
    /// looked at for it.
    pub(super) fn place(&mut self, id: AttemptId) -> Result<bool> {
        let Some(watched) = self.watched.get(&id) else { return Ok(true) };
        if !self.outlook.on || read(&watched.launch.folder)?.is_some() {
            return Ok(true);
        }
        let (launch, name, anywhere) = (watched.launch.clone(), watched.note.name.clone(), watched.note.anywhere);
        let Asked { need, expected, .. } = self.asked(&launch, anywhere)?;
        let now = self.clock.monotonic();
        let fresh =
            self.outlook.look.as_ref().is_some_and(|l| self.clock.unix() - l.at <= 4.0 * self.site.poll_seconds);
        if !fresh && ways(&self.site, &need).len() > 1 {
            let since = *self.outlook.waiting_since.get_or_insert(now);
            if now - since < PATIENCE {
                return Ok(false);
            }
        }
        self.outlook.waiting_since = None;
        let look = self.outlook.look.as_ref();
        let (request, placed) = choose(&self.site, &need, expected, look, self.clock.unix())?;
        if let Some(look) = &mut self.outlook.look {
            look.promise(&placed, request.gpus);
        }
        write(&launch.folder, &placed)?;
        self.placed.insert(id, placed);
        self.write_script(&launch, &name, anywhere)?;
        Ok(true)
    }

    /// Nothing is under way that a controller which leaves would have to ask again.
    pub(super) fn is_settled(&self) -> bool {
        let asked = self.queue.is_some() || self.accounts.is_some() || self.cancelling.is_some();
        let sent = self.watched.values().filter(|w| matches!(w.stage, Stage::Sent));
        let unclear = sent.clone().any(|w| w.over_since.is_some()) || (sent.count() > 0 && !self.has_looked);
        !asked
            && !unclear
            && self.submitting.is_none()
            && self.ready.is_empty()
            && self.stops.is_empty()
            && self.farewells.is_empty()
    }
}

/// `place.json`.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    format: u32,
    place: Placed,
}

/// Where an attempt was sent, by its folder.
pub(super) fn read(folder: &Path) -> Result<Option<Placed>> {
    let path = folder.join(PLACE_FILE);
    let Some(bytes) = fs::read_if_there(&path)? else { return Ok(None) };
    let file: File = serde_json::from_slice(&bytes).map_err(|e| {
        Problem::failed(format!("not a job's place: {e}")).at(path.display().to_string()).remedy(
            "use the version of the program that wrote it, or remove the file: a waiting attempt is placed anew",
        )
    })?;
    Ok(Some(file.place))
}

fn write(folder: &Path, placed: &Placed) -> Result<()> {
    let text = serde_json::to_vec_pretty(&File { format: FORMAT, place: placed.clone() })
        .map_err(|e| Problem::failed(format!("a job's place cannot be written as JSON: {e}")))?;
    fs::write_atomic(&folder.join(PLACE_FILE), &text)
}

/// The last look that a controller wrote into a campaign's folder.
pub fn last_look(campaign: &Path) -> Option<Look> {
    let bytes = fs::read_if_there(&campaign.join(CLUSTER_FILE)).ok()??;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
