//! Where a campaign's files lie, and the ones that the controller writes.
//!
//! ```text
//! <campaign>/campaign.toml  events.jsonl  prices.jsonl  state.json  llm/0001.json  control/{stop,cancel,word-*}
//!            runs/0007/config.toml  outcome.json  metrics.jsonl  manifest.json
//!                      attempts/01/{attempt.json,config.toml, ... the worker's files}
//! ```
//! `events.jsonl` is the truth. The rest at this level is derived and may be deleted; requests in `control/` are
//! journaled and then removed. Boundary: paths and files; decides nothing.

use super::approval::Subject;
use super::run::{Attempt, AttemptEnd, Run};
use super::state::State;
use crate::config;
use crate::exec::Place;
use crate::failure::Class;
use crate::ids::{AttemptId, RunId};
use crate::problem::{Problem, Result};
use crate::record::{AttemptSpec, Blame};
use crate::sys::{fs, shell};
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The campaign as a person may edit it.
pub const CAMPAIGN_FILE: &str = "campaign.toml";
/// The whole state, for other programs; derived.
pub const STATE_FILE: &str = "state.json";
/// Where other processes leave their requests.
pub const CONTROL_FOLDER: &str = "control";

/// Where every question to a language model is kept with its answer.
pub const TAPE_FOLDER: &str = "llm";

/// From an attempt's folder to the campaign's.
const UP: &str = "../../../..";
/// From a run's folder to the campaign's.
const UP_FROM_RUN: &str = "../..";

/// `runs/0007`, relative to the campaign folder.
pub fn run_path(id: RunId) -> PathBuf {
    PathBuf::from("runs").join(id.to_string())
}

/// `runs/0007/attempts/01`, relative to the campaign folder.
pub fn attempt_path(id: AttemptId) -> PathBuf {
    run_path(id.run).join("attempts").join(format!("{:02}", id.number))
}

/// What another process asks of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Let running attempts end, start nothing.
    Stop,
    /// Kill running attempts.
    Cancel,
}

impl Request {
    /// Name of the file it is left as.
    pub fn file(self) -> &'static str {
        match self {
            Request::Stop => "stop",
            Request::Cancel => "cancel",
        }
    }
}

/// Leaves a request for the controller of the campaign in `folder`, which obeys it within a second or when it next runs.
pub fn request(folder: &Path, request: Request) -> Result<()> {
    let control = folder.join(CONTROL_FOLDER);
    fs::create_dir(&control)?;
    fs::write_atomic(&control.join(request.file()), b"")
}

/// The requests that are waiting, the gentler one first.
pub fn requests(folder: &Path) -> Vec<Request> {
    let there = |r: &Request| folder.join(CONTROL_FOLDER).join(r.file()).exists();
    [Request::Stop, Request::Cancel].into_iter().filter(there).collect()
}

/// Removes a request that has been journaled.
pub fn clear(folder: &Path, request: Request) -> Result<()> {
    let path = folder.join(CONTROL_FOLDER).join(request.file());
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Problem::io("remove the file", &path, &e)),
        _ => Ok(()),
    }
}

/// What a person says to the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", content = "what", rename_all = "kebab-case")]
pub enum Word {
    /// A remark.
    Note(String),
    /// Start nothing new for a while, or again.
    Pause(bool),
    /// An answer to a question.
    Approval {
        /// About what.
        subject: Subject,
        /// Whether it may go on.
        granted: bool,
    },
}

/// Leaves a word for the controller of the campaign in `folder`. Several are heard in the order of their times.
pub fn say(folder: &Path, word: &Word, unix: f64) -> Result<()> {
    let control = folder.join(CONTROL_FOLDER);
    fs::create_dir(&control)?;
    let text = serde_json::to_vec(word).map_err(|e| Problem::failed(format!("this cannot be said: {e}")))?;
    let stamp = (unix * 1e3) as u64;
    for n in 0..1000 {
        if fs::create_exclusive(&control.join(format!("word-{stamp:015}-{n:03}.json")), &text)? {
            return Ok(());
        }
    }
    Err(Problem::failed("the controller does not listen: too many words wait for it")
        .at(control.display().to_string())
        .remedy(format!("start a controller with `nanoresearch resume {}`", shell::path(folder))))
}

/// The words that wait, the oldest first. What is no word is left where it is.
pub fn words_of_people(folder: &Path) -> Result<Vec<(PathBuf, Word)>> {
    let mut found = Vec::new();
    for path in fs::entries(&folder.join(CONTROL_FOLDER)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("word-")
            && name.ends_with(".json")
            && let Some(bytes) = fs::read_if_there(&path)?
            && let Ok(word) = serde_json::from_slice(&bytes)
        {
            found.push((path, word));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Writes what people read of a planned run, and can train as it is: `runs/0007/config.toml`. Does nothing where it is there already.
pub fn write_run(folder: &Path, base: &Path, run: &Run) -> Result<()> {
    let path = folder.join(run_path(run.id));
    let config = path.join("config.toml");
    if config.exists() {
        return Ok(());
    }
    fs::create_dir(&path)?;
    let experiment = run.experiment.seen_from(&Path::new(UP_FROM_RUN).join(base));
    fs::write_atomic(&config, config::to_toml(&experiment).as_bytes())
}

/// Makes an attempt's folder with all that its worker needs. Does nothing where it is there already: a worker may be
/// reading it.
pub fn write_attempt(folder: &Path, state: &State, run: &Run, attempt: &Attempt) -> Result<()> {
    let path = folder.join(attempt_path(attempt.id));
    let file = path.join("attempt.json");
    if file.exists() {
        return Ok(());
    }
    fs::create_dir(&path)?;
    let mut experiment = run.experiment.clone();
    experiment.resources.micro_batch = attempt.limits.micro_batch;
    let base = Path::new(UP).join(&state.base);
    let config = config::to_toml(&experiment.seen_from(&base));
    let spec = AttemptSpec {
        stop_at: attempt.stop_at,
        resume_from: attempt.resume_from.as_ref().map(|p| Path::new(UP).join(p)),
        wall_seconds: attempt.limits.wall_seconds,
        memory: attempt.limits.memory,
        predicted_seconds: Some(predicted_seconds(run, attempt)),
        ..AttemptSpec::new(attempt.id, experiment, base, run.key.clone())
    };
    let json = serde_json::to_vec_pretty(&spec)
        .map_err(|e| Problem::failed(format!("the attempt's instructions cannot be written as JSON: {e}")))?;
    fs::write_atomic(&path.join("config.toml"), config.as_bytes())?;
    fs::write_atomic(&file, &json)
}

/// Where an attempt may run: not on quarantined nodes, and not where an earlier attempt of its run found the node or its
/// device failed, or something missing. Its GPU is to hold what was predicted, where one does and nothing was halved since.
pub fn place(state: &State, run: &Run, attempt: &Attempt) -> Place {
    let left = |end: &AttemptEnd| match end.class {
        Class::DeviceFailed { fault } => !matches!(fault.blame(), Blame::Others | Blame::Unknown),
        Class::NodeFailed | Class::LaunchFailed => true,
        _ => false,
    };
    let earlier = run.attempts.iter().filter(|a| a.id.number < attempt.id.number).filter_map(|a| a.ended.as_ref());
    let mut exclude = state.quarantined.clone();
    exclude.extend(earlier.filter(|e| left(e)).filter_map(|e| e.evidence.node.clone()));
    let largest = Bytes(state.campaign.execution.device_memory_mib << 20);
    let whole = attempt.limits.micro_batch == run.experiment.resources.micro_batch;
    let predicted = run.price.device_memory.filter(|m| whole && *m <= largest).unwrap_or(Bytes(0));
    Place {
        exclude: exclude.into_iter().collect(),
        device_memory: attempt.limits.device_memory.max(predicted),
        memory: run.price.memory,
    }
}

/// What the cost model expects of an attempt: its share of the run's steps.
fn predicted_seconds(run: &Run, attempt: &Attempt) -> f64 {
    let steps = run.price.steps.max(1);
    let until = attempt.stop_at.unwrap_or(steps).min(steps);
    run.price.seconds * until.saturating_sub(resumed_step(attempt).unwrap_or(0)) as f64 / steps as f64
}

/// The newest complete checkpoint in an attempt's folder, relative to the campaign folder.
pub fn newest_checkpoint(folder: &Path, id: AttemptId) -> Option<PathBuf> {
    let relative = attempt_path(id).join("checkpoints");
    let entries = std::fs::read_dir(folder.join(&relative)).ok()?;
    let complete = entries.flatten().filter_map(|e| {
        let name = e.file_name().into_string().ok()?;
        let step: u64 = name.strip_prefix("step-")?.parse().ok()?;
        e.path().join("checkpoint.json").is_file().then_some((step, name))
    });
    complete.max().map(|(_, name)| relative.join(name))
}

/// Makes again what is derived and missing of every run: its `config.toml` and, where it has ended, the projections of its
/// attempts.
pub fn project_missing(folder: &Path, state: &State) -> Result<()> {
    for run in &state.runs {
        write_run(folder, &state.base, run)?;
        let path = folder.join(run_path(run.id));
        if run.result.is_some() && !(path.join("outcome.json").exists() && path.join("metrics.jsonl").exists()) {
            project_run(folder, run)?;
        }
    }
    Ok(())
}

/// Writes `runs/0007/{outcome.json,manifest.json,metrics.jsonl}` of a run that ended, from its attempts. Files that an
/// attempt did not leave are left out. `outcome.json` comes last: where it is, the others are whole.
pub fn project_run(folder: &Path, run: &Run) -> Result<()> {
    let Some(last) = run.attempts.last() else { return Ok(()) };
    let target = folder.join(run_path(run.id));
    fs::create_dir(&target)?;
    let mut lines: Vec<(u64, String)> = Vec::new();
    for attempt in &run.attempts {
        let source = folder.join(attempt_path(attempt.id)).join("metrics.jsonl");
        let Some(bytes) = fs::read_if_there(&source)? else { continue };
        let own = metrics_lines(&bytes);
        let Some((first, _)) = own.first() else { continue };
        // An attempt that resumed repeats the steps after its checkpoint, so what an earlier one wrote of them goes.
        let kept = resumed_step(attempt).map_or(0, |step| step.min(first.saturating_sub(1)));
        lines.retain(|(step, _)| *step <= kept);
        lines.extend(own);
    }
    if !lines.is_empty() {
        let text: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
        fs::write_atomic(&target.join("metrics.jsonl"), text.as_bytes())?;
    }
    for name in ["manifest.json", "outcome.json"] {
        let source = folder.join(attempt_path(last.id)).join(name);
        if let Some(bytes) = fs::read_if_there(&source)? {
            fs::write_atomic(&target.join(name), &bytes)?;
        }
    }
    Ok(())
}

/// Whole lines with their step; a torn last line is left out.
fn metrics_lines(bytes: &[u8]) -> Vec<(u64, String)> {
    let text = String::from_utf8_lossy(bytes);
    let step = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64();
    text.lines().filter_map(|line| Some((step(line)?, line.to_string()))).collect()
}

fn resumed_step(attempt: &Attempt) -> Option<u64> {
    attempt.resume_from.as_ref()?.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()
}
