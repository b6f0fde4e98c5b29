//! What the runs left behind, read from their files; and whether the files agree with each other and with the journal.

use super::judge::Fault;
use crate::campaign::curve::Curve;
use crate::campaign::{Event, Run, RunResult, State, attempt_path, run_path};
use crate::journal;
use crate::problem::Result;
use crate::record::{METRICS_FILE, Manifest, Metrics, metrics_hash, parse_metrics};
use crate::sys::fs;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A campaign's measurements.
pub struct Measured {
    /// Which run belongs to what, from the journal.
    pub state: State,
    /// The journal's events.
    pub(super) events: Vec<Event>,
    /// Times of the first and the last event, and of all in between, RFC 3339.
    pub(super) times: Vec<String>,
    /// Metrics at the last evaluation of each finished run, from `metrics.jsonl`.
    pub(super) last: BTreeMap<u32, BTreeMap<String, f64>>,
    /// The manifest of the last attempt of each run.
    pub(super) manifests: BTreeMap<u32, Manifest>,
    /// Runs with an evaluation in their metrics.
    pub(super) evaluated: BTreeSet<u32>,
    /// Disagreements.
    pub(super) faults: Vec<Fault>,
}

impl Measured {
    /// Reads a campaign's folder.
    ///
    /// # Errors
    /// A journal or state that cannot be read at all; what merely disagrees is a fault.
    pub fn read(folder: &Path) -> Result<Self> {
        // What was asked for the paper itself came after what it is about.
        let mut envelopes = journal::read(folder)?;
        envelopes.retain(|e| !crate::campaign::is_writing(&e.kind));
        let decoded = envelopes.iter().map(|e| Event::decode(&e.kind, e.version, &e.data));
        let mut measured = Measured {
            state: crate::campaign::load_research(folder)?,
            events: decoded.collect::<Result<_>>()?,
            times: envelopes.iter().map(|e| e.time.clone()).collect(),
            last: BTreeMap::new(),
            manifests: BTreeMap::new(),
            evaluated: BTreeSet::new(),
            faults: Vec::new(),
        };
        for run in measured.state.runs.clone() {
            measured.run(folder, &run)?;
        }
        Ok(measured)
    }

    /// The objective of a run at its last evaluation, by its metrics.
    pub(super) fn objective(&self, run: u32) -> Option<f64> {
        self.last.get(&run)?.get(self.state.metric()).copied()
    }

    fn fault(&mut self, place: String, what: String) {
        self.faults.push(Fault { place, sentence: String::new(), what });
    }

    fn run(&mut self, folder: &Path, run: &Run) -> Result<()> {
        let own = run_path(run.id);
        if let Some(manifest) = Manifest::read(&folder.join(&own)).ok().flatten() {
            self.manifests.insert(run.id.0, manifest);
        }
        let path = folder.join(&own).join(METRICS_FILE);
        let place = format!("{}/{METRICS_FILE}", own.display());
        let projected = fs::read_if_there(&path)?;
        let merged = merged(folder, run)?;
        if let (Some(projected), Some(merged)) = (&projected, &merged)
            && projected != merged
        {
            let line = first_difference(projected, merged);
            self.fault(place.clone(), format!("line {line} is not what the run's attempts recorded"));
        }
        let finished = match &run.result {
            Some(RunResult::Finished { metrics }) => Some(metrics),
            _ => None,
        };
        let Some(bytes) = merged.as_ref().or(projected.as_ref()) else {
            if finished.is_some() {
                self.fault(place, "the run finished, and its metrics are not there".to_string());
            }
            return Ok(());
        };
        self.hashes(folder, run, bytes, &place)?;
        let records = match parse_metrics(bytes, &place) {
            Ok(records) => records,
            Err(problem) => {
                self.fault(problem.place.unwrap_or(place), problem.what);
                return Ok(());
            }
        };
        let last = records.iter().rev().find_map(|r| match r {
            Metrics::Eval { metrics, .. } => Some(metrics.clone()),
            Metrics::Train { .. } => None,
        });
        if last.is_some() {
            self.evaluated.insert(run.id.0);
        }
        let Some(metrics) = finished else { return Ok(()) };
        let Some(last) = last else {
            self.fault(place, "there is no evaluation in it".to_string());
            return Ok(());
        };
        for (name, recorded) in metrics {
            if last.get(name) != Some(recorded) {
                let says = last.get(name).map_or("nothing".to_string(), f64::to_string);
                let what = format!("the last evaluation says {name} {says}, and the journal recorded {recorded}");
                self.fault(place.clone(), what);
            }
        }
        // The journal keeps a few numbers of the whole curve, by which a change in its middle shows.
        let attempt =
            run.attempts.last().and_then(|a| Some((a.id, a.ended.as_ref()?.evidence.curve.as_deref()?.clone())));
        if let Some((id, recorded)) = attempt.filter(|_| run.attempts.len() == 1)
            && let Some(curve) = Curve::of(&records)
            && curve != recorded
        {
            let what =
                format!("the curve of attempt {id} is not the one that the journal sums up ({})", recorded.words());
            self.fault(place, what);
        }
        self.last.insert(run.id.0, last);
        Ok(())
    }
}

impl Measured {
    /// Metrics are what the journal has the hash of: each attempt's own file, and the run's where there was a single attempt.
    fn hashes(&mut self, folder: &Path, run: &Run, whole: &[u8], place: &str) -> Result<()> {
        for attempt in &run.attempts {
            let kept = attempt.ended.as_ref().and_then(|e| e.evidence.metrics_hash.as_deref());
            let Some(kept) = kept else { continue };
            let own = attempt_path(attempt.id).join(METRICS_FILE);
            let changed = |bytes: &[u8]| metrics_hash(bytes) != kept;
            let what = "its content is not what the journal has the hash of";
            if fs::read_if_there(&folder.join(&own))?.is_some_and(|bytes| changed(&bytes)) {
                self.fault(own.display().to_string(), what.to_string());
            }
            if run.attempts.len() == 1 && changed(whole) {
                self.fault(place.to_string(), what.to_string());
            }
        }
        Ok(())
    }
}

/// What the attempts of a run recorded, in order: each repeats the steps after the checkpoint that it began from. None where
/// no attempt's metrics are there (a folder of which only projections were kept).
fn merged(folder: &Path, run: &Run) -> Result<Option<Vec<u8>>> {
    let step = |line: &[u8]| serde_json::from_slice::<Value>(line).ok()?.get("step")?.as_u64();
    let mut lines: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut any = false;
    for attempt in &run.attempts {
        let path = folder.join(attempt_path(attempt.id)).join(METRICS_FILE);
        let Some(bytes) = fs::read_if_there(&path)? else {
            if run.attempts.len() > 1 {
                return Ok(None);
            }
            continue;
        };
        any = true;
        let own: Vec<(u64, Vec<u8>)> =
            bytes.split(|b| *b == b'\n').filter_map(|line| Some((step(line)?, line.to_vec()))).collect();
        let Some((first, _)) = own.first() else { continue };
        let from =
            attempt.resume_from.as_deref().and_then(|p| p.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok());
        let kept: u64 = from.unwrap_or(0).min(first.saturating_sub(1));
        lines.retain(|(step, _)| *step <= kept);
        lines.extend(own);
    }
    let joined = lines.into_iter().flat_map(|(_, mut line)| {
        line.push(b'\n');
        line
    });
    Ok(any.then(|| joined.collect()))
}

fn first_difference(a: &[u8], b: &[u8]) -> usize {
    let (mut a, mut b) = (a.split(|c| *c == b'\n'), b.split(|c| *c == b'\n'));
    (1..).find(|_| a.next() != b.next()).unwrap_or(0)
}
