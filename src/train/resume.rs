//! Where to begin: the newest checkpoint that can be trusted, with the metrics that belong to it.

use super::observer::{Event, Observer};
use super::trainer::Job;
use crate::problem::{Problem, Result};
use crate::record::{
    self, CHECKPOINTS_FOLDER, Checkpoint, METRICS_FILE, Manifest, check_shapes, is_newer_checkpoint, list_checkpoints,
    read_checkpoint, set_aside_checkpoint,
};
use crate::sys::fs;
use std::path::{Path, PathBuf};

/// A point to go on from.
pub(super) struct Point {
    pub checkpoint: Checkpoint,
    pub path: PathBuf,
    /// Whether it is in this attempt's own folder.
    pub own: bool,
}

/// The newest usable checkpoint, of this attempt first, then of the attempt it was told to go on from. Checkpoints that
/// cannot be used become warnings; one that belongs to another run is refused, because somebody pointed at the wrong
/// folder and would get the wrong results.
pub(super) fn find(job: &Job<'_>, warnings: &mut Vec<String>, observer: &mut dyn Observer) -> Result<Option<Point>> {
    let mut candidates: Vec<(PathBuf, bool)> = Vec::new();
    let own = list_checkpoints(&job.folder.join(CHECKPOINTS_FOLDER))?;
    candidates.extend(own.into_iter().rev().map(|(_, path)| (path, true)));
    if let Some(wanted) = job.resume_from {
        candidates.push((wanted.to_path_buf(), false));
        let older = wanted.parent().map(list_checkpoints).transpose()?.unwrap_or_default();
        // Names sort like steps.
        candidates.extend(older.into_iter().rev().filter(|(_, p)| p.as_path() < wanted).map(|(_, path)| (path, false)));
    }
    let mut warn = |text: String, observer: &mut dyn Observer| {
        observer.on_event(&Event::Warning(text.clone()));
        warnings.push(text);
    };
    let some_own = candidates.iter().any(|(_, own)| *own);
    for (path, own) in candidates {
        match usable(job, &path, own) {
            Ok(checkpoint) => {
                observer.on_event(&Event::Resumed { step: checkpoint.info.step, from: path.clone() });
                return Ok(Some(Point { checkpoint, path, own }));
            }
            Err(Unusable::Wrong(problem)) => return Err(problem),
            Err(Unusable::Damaged(problem)) => {
                // Without the remedy: what can be done is done here.
                let place = problem.place.map_or(String::new(), |place| format!("{place}: "));
                let mut text = format!("checkpoint passed over: {place}{}", problem.what);
                if own && path.exists() {
                    // Out of the way, or the run could not write this step's checkpoint again.
                    let aside = set_aside_checkpoint(&path)?;
                    text.push_str(&format!("\n  it is kept as {}", aside.display()));
                }
                warn(text, observer);
            }
        }
    }
    if some_own {
        let mut text = "none of the checkpoints can be used, so the run begins again at step 0".to_string();
        let metrics = job.folder.join(METRICS_FILE);
        if metrics.exists() {
            let aside = job.folder.join(format!("{METRICS_FILE}.damaged"));
            fs::rename(&metrics, &aside)?;
            text.push_str(&format!("\n  its metrics so far are kept as {}", aside.display()));
        }
        warn(text, observer);
    }
    Ok(None)
}

enum Unusable {
    /// Another one may do.
    Damaged(Problem),
    /// No other one will do.
    Wrong(Problem),
}

fn usable(job: &Job<'_>, path: &Path, own: bool) -> Result<Checkpoint, Unusable> {
    let refusal = if is_newer_checkpoint(path) { Unusable::Wrong } else { Unusable::Damaged };
    let checkpoint = read_checkpoint(path).map_err(refusal)?;
    let info = &checkpoint.info;
    if info.key != *job.key || info.seed != job.experiment.training.seed {
        return Err(Unusable::Wrong(
            Problem::usage(format!(
                "the checkpoint belongs to run {} with seed {}, but this is run {} with seed {}",
                info.key, info.seed, job.key, job.experiment.training.seed
            ))
            .at(path.display().to_string())
            .remedy("use the experiment, data and seed that it was made with, or another folder"),
        ));
    }
    let expected = job.programs.state.kept().map(|(_, t)| (t.name.as_str(), t.shape.as_slice())).collect();
    check_shapes(&checkpoint.tensors, &expected, path).map_err(Unusable::Damaged)?;
    let from = attempt_of(job, path, own);
    let metrics = metrics_until(&from.join(METRICS_FILE), info.metrics_bytes).map_err(Unusable::Damaged)?;
    if !own {
        // The earlier attempt's records up to here are this attempt's records.
        fs::write_atomic(&job.folder.join(METRICS_FILE), &metrics).map_err(Unusable::Wrong)?;
    }
    Ok(checkpoint)
}

/// The folder of the attempt that a checkpoint belongs to: `ATTEMPT/checkpoints/step-NNNNNNNN`.
fn attempt_of(job: &Job<'_>, checkpoint: &Path, own: bool) -> PathBuf {
    if own {
        return job.folder.to_path_buf();
    }
    checkpoint.parent().and_then(Path::parent).unwrap_or(Path::new(".")).to_path_buf()
}

/// The first `length` bytes of a metrics file, checked to be whole lines.
fn metrics_until(path: &Path, length: u64) -> Result<Vec<u8>> {
    let mut bytes = fs::read_if_there(path)?.unwrap_or_default();
    if (bytes.len() as u64) < length {
        return Err(Problem::usage(format!("{} bytes where the checkpoint counted {length}", bytes.len()))
            .at(path.display().to_string())
            .remedy("restore the file, or resume from an older checkpoint"));
    }
    bytes.truncate(length as usize);
    if bytes.last().is_some_and(|&b| b != b'\n') {
        return Err(Problem::usage(format!("no line ends at byte {length}, where the checkpoint says one does"))
            .at(path.display().to_string())
            .remedy("restore the file, or resume from an older checkpoint"));
    }
    record::parse_metrics(&bytes, &path.display().to_string())?;
    Ok(bytes)
}

/// The step count that this attempt, or the one it goes on from, resolved before; so that a budget in device-seconds is
/// measured once for a run even if no checkpoint survived.
pub(super) fn recorded_total(job: &Job<'_>) -> Option<u64> {
    let earlier = job.resume_from.map(|path| attempt_of(job, path, false));
    let folders = [Some(job.folder.to_path_buf()), earlier];
    folders.into_iter().flatten().find_map(|folder| Manifest::read(&folder).ok().flatten()).map(|m| m.total_steps)
}
