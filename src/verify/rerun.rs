//! Trains sampled runs again, by the worker's own path, and compares what comes out.
//!
//! Where the fingerprint is the recorded one, weights and metrics must be equal to the bit, timing aside. Where it is another
//! (another processor, another library), the objective must lie within the noise of single runs about the recorded value.

use super::measured::Measured;
use crate::analysis::single_run_floor;
use crate::campaign::{Run, RunResult, State, attempt_path, run_path};
use crate::ids::{AttemptId, RunId};
use crate::problem::{Problem, Result};
use crate::record::{AttemptSpec, METRICS_FILE, Manifest, Metrics, Outcome, read_metrics};
use crate::rng::{Sequence, Stream};
use crate::sys::clock::Clock;
use crate::sys::fs;
use crate::sys::process::DetachedChild;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

/// A run that was trained again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rerun {
    /// Which.
    pub run: RunId,
    /// What came out.
    pub verdict: Verdict,
    /// In words.
    pub words: String,
}

/// What came out of a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Equal to the bit.
    Equal,
    /// Another fingerprint, and a value within the noise.
    Within,
    /// Not what was recorded.
    Differs,
}

/// `n` finished runs, drawn by `seed` without repetition, in their order.
pub fn sample(state: &State, n: usize, seed: u64) -> Vec<RunId> {
    let finished = |r: &&Run| matches!(r.result, Some(RunResult::Finished { .. }));
    let mut runs: Vec<RunId> = state.runs.iter().filter(finished).map(|r| r.id).collect();
    let mut draws = Sequence::new(seed, Stream::Bootstrap, 0, 0);
    let n = n.min(runs.len());
    for i in 0..n {
        let left = runs.len() - i;
        let pick = i + ((draws.uniform() * left as f64) as usize).min(left - 1);
        runs.swap(i, pick);
    }
    runs.truncate(n);
    runs.sort();
    runs
}

/// Trains a run again as attempt 1 of itself in `scratch`, which is made. `base`: the folder that its data paths refer to.
///
/// # Errors
/// What keeps it from being trained at all; a result that differs is a verdict.
pub fn rerun(
    folder: &Path,
    measured: &Measured,
    id: RunId,
    base: &Path,
    scratch: &Path,
    program: &Path,
    clock: &dyn Clock,
) -> Result<Rerun> {
    let state = &measured.state;
    let run = state.run(id).ok_or_else(|| Problem::usage(format!("there is no run {id}")))?;
    let attempt = scratch.join(id.to_string());
    fs::create_dir(&attempt)?;
    let mut experiment = run.experiment.clone();
    // As the attempt that gave the result had it: memory may have halved it since it was planned.
    let last = run.attempts.last();
    if let Some(last) = last {
        experiment.resources.micro_batch = last.limits.micro_batch;
    }
    let spec =
        AttemptSpec::new(AttemptId { run: id, number: 1 }, experiment, fs::relative(&attempt, base)?, run.key.clone());
    spec.write(&attempt)?;
    let arguments = [OsStr::new("worker"), OsStr::new("--attempt"), attempt.as_os_str()];
    let failed = |e: std::io::Error| {
        Problem::failed(format!("the worker cannot be started: {e}")).at(program.display().to_string())
    };
    let mut child = DetachedChild::spawn(program, &arguments, &attempt.join("worker.log")).map_err(failed)?;
    let exit = loop {
        if let Some(exit) = child.try_wait().map_err(failed)? {
            break exit;
        }
        clock.sleep(0.05);
    };
    let Some(outcome) = Outcome::read(&attempt)?.filter(|o| matches!(o.end, crate::record::End::Completed)) else {
        let ended = exit.signal.map_or(String::new(), |signal| format!("signal {signal}: "));
        let last = last_word(&fs::tail(&attempt.join("worker.log"), 4000));
        return Err(Problem::failed(format!("run {id} could not be trained again: {ended}{last}"))
            .at(attempt.display().to_string())
            .remedy("see worker.log there; the data that the campaign was run on must be where it was"));
    };
    Ok(compare(folder, measured, run, &attempt, &outcome))
}

fn compare(folder: &Path, measured: &Measured, run: &Run, attempt: &Path, outcome: &Outcome) -> Rerun {
    let told = |verdict: Verdict, words: String| Rerun { run: run.id, verdict, words };
    let recorded = last_weights(run);
    let manifest = Manifest::read(attempt).ok().flatten();
    let before = measured.manifests.get(&run.id.0).map(|m| &m.fingerprint);
    let now = manifest.as_ref().map(|m| &m.fingerprint);
    let name = measured.state.metric();
    let (old, new) = (measured.objective(run.id.0), outcome.metrics.get(name).copied());
    if before.is_some() && before == now {
        let weights = recorded.is_some() && recorded == outcome.weights;
        let (ours, theirs) = (records(&attempt.join(METRICS_FILE)), recorded_metrics(folder, run));
        let lines = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
        return match (weights, lines == ours.len() && lines == theirs.len()) {
            (true, true) => {
                told(Verdict::Equal, format!("the same {lines} lines of metrics and the same weights, to the bit"))
            }
            (_, false) => told(
                Verdict::Differs,
                format!(
                    "same fingerprint, and line {} of the metrics is another ({} {} now, {} recorded)",
                    lines + 1,
                    name,
                    value(new),
                    value(old)
                ),
            ),
            (false, true) => told(Verdict::Differs, "same fingerprint and metrics, and other weights".to_string()),
        };
    }
    let values: Vec<f64> = measured.state.baseline.iter().flat_map(|b| b.values.values().copied()).collect();
    let floor = single_run_floor(&values);
    let differs = before.zip(now).map_or("no fingerprint is recorded".to_string(), |(a, b)| differences(a, b));
    match (old, new) {
        (Some(old), Some(new)) if (old - new).abs() <= floor => told(
            Verdict::Within,
            format!("another fingerprint ({differs}); {name} {new:.5} within {floor:.5} of the recorded {old:.5}"),
        ),
        _ => told(
            Verdict::Differs,
            format!(
                "another fingerprint ({differs}); {name} {} now, {} recorded, and {floor:.5} is the noise of single runs",
                value(new),
                value(old)
            ),
        ),
    }
}

/// The last paragraph of a worker's log, without its time, in one line.
fn last_word(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let Some(first) = lines.iter().rposition(|line| !line.is_empty() && !line.starts_with(' ')) else {
        return "it left no word".to_string();
    };
    let words: Vec<&str> = lines[first..].iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    let text = words.join("; ");
    match text.split_once("] ") {
        Some((time, rest)) if time.starts_with('[') => rest.to_string(),
        _ => text,
    }
}

fn value(value: Option<f64>) -> String {
    value.map_or("nothing".to_string(), |v| v.to_string())
}

fn last_weights(run: &Run) -> Option<String> {
    run.attempts.last()?.ended.as_ref()?.evidence.weights.clone()
}

fn records(path: &Path) -> Vec<Metrics> {
    read_metrics(path).unwrap_or_default().into_iter().map(Metrics::without_timing).collect()
}

/// What was recorded of a run: its projection, or its only attempt's file.
fn recorded_metrics(folder: &Path, run: &Run) -> Vec<Metrics> {
    let own = records(&folder.join(run_path(run.id)).join(METRICS_FILE));
    match (own.is_empty(), run.attempts.as_slice()) {
        (true, [one]) => records(&folder.join(attempt_path(one.id)).join(METRICS_FILE)),
        _ => own,
    }
}

fn differences(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> String {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let changed = names.into_iter().filter(|n| before.get(*n) != now.get(*n));
    changed.map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::last_word;

    #[test]
    fn a_workers_last_word_is_its_last_paragraph() {
        let log = "[    0.001 s] begun\n[    0.025 s] ended at step 0: no data\n  fetch it\n  and put it there\n";
        assert_eq!(last_word(log), "ended at step 0: no data; fetch it; and put it there");
        assert_eq!(last_word("Killed\n"), "Killed");
        assert_eq!(last_word(" \n"), "it left no word");
    }
}
