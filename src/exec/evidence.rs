//! What an attempt's folder says about its end.

use crate::problem::{Problem, Result};
use crate::record::{CLAIM_FILE, Claim, Evidence, FORMAT, Outcome};
use crate::sys::fs;
use crate::sys::process::Exit;
use serde::Deserialize;
use std::path::Path;

/// Name of the worker's log in the attempt's folder.
pub(super) const LOG_FILE: &str = "worker.log";
const OUTCOME_FILE: &str = "outcome.json";
/// How much of the log becomes evidence.
const LOG_TAIL_BYTES: u64 = 4096;

/// Whether the worker has given its word.
pub(super) fn has_outcome(folder: &Path) -> bool {
    folder.join(OUTCOME_FILE).exists()
}

/// The outcome in a folder. `Ok(Err(why))`: there is a file, and it says nothing that can be believed; that is as good as
/// no outcome. A later version's outcome is a problem, since it says something that must not be overlooked.
fn read_outcome(folder: &Path) -> Result<Result<Option<Outcome>, String>> {
    #[derive(Deserialize)]
    struct Probe {
        format: u32,
    }
    let path = folder.join(OUTCOME_FILE);
    let Some(bytes) = fs::read_if_there(&path)? else { return Ok(Ok(None)) };
    if let Ok(probe) = serde_json::from_slice::<Probe>(&bytes)
        && probe.format > FORMAT
    {
        return Err(Problem::usage(format!(
            "this outcome has format {}, and this program reads formats up to {FORMAT}",
            probe.format
        ))
        .at(path.display().to_string())
        .remedy("use the version of the program that wrote the campaign, or a later one; nothing was changed"));
    }
    Ok(serde_json::from_slice(&bytes).map(Some).map_err(|e| format!("outcome.json cannot be read: {e}")))
}

/// The evidence of an ended attempt: its folder, and how the process ended where this process was its parent. Without
/// `seconds`, the worker's own count serves, else what the folder's times say.
pub(super) fn gather(
    folder: &Path,
    exit: Option<Exit>,
    killed_for_time: bool,
    seconds: Option<f64>,
) -> Result<Evidence> {
    let mut log_tail = fs::tail(&folder.join(LOG_FILE), LOG_TAIL_BYTES);
    let outcome = read_outcome(folder)?.unwrap_or_else(|why| {
        log_tail = format!("{log_tail}\n[{why}]");
        None
    });
    let never_started = outcome.is_none() && Claim::read(folder)? == Some(Claim::Abandoned);
    let seconds = match (seconds, &outcome) {
        _ if never_started => 0.0,
        (Some(seconds), _) => seconds,
        (None, Some(outcome)) => outcome.seconds,
        (None, None) => span(folder),
    };
    Ok(Evidence {
        outcome,
        exit_code: exit.and_then(|e| e.code),
        signal: exit.and_then(|e| e.signal),
        killed_for_time,
        never_started,
        scheduler: None,
        job: None,
        seconds,
        log_tail,
    })
}

/// Seconds from an attempt's claim to the last thing written in its folder: the least that it can have run. All times are
/// one filesystem's, so no clocks are compared.
fn span(folder: &Path) -> f64 {
    let Some(start) = fs::modified(&folder.join(CLAIM_FILE)) else { return 0.0 };
    let entries = fs::entries(folder).into_iter().chain(fs::entries(&folder.join("checkpoints")));
    entries.filter_map(|entry| fs::modified(&entry)).fold(0.0, |longest, time| (time - start).max(longest))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::exec::fake::outcome;
    use crate::failure::{Class, classify};
    use crate::record::End;

    #[test]
    fn an_outcome_that_cannot_be_read_is_no_outcome_and_no_success() {
        let folder = tempfile::tempdir().unwrap();
        let whole = serde_json::to_string(&outcome(End::Completed, 2.0)).unwrap();
        let write = |text: &str| std::fs::write(folder.path().join(OUTCOME_FILE), text).unwrap();
        for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
            write(&whole[..cut]);
            let evidence = gather(folder.path(), Some(Exit { code: Some(0), signal: None }), false, None).unwrap();
            assert_eq!(classify(&evidence), Class::Crashed { code: Some(0), signal: None }, "cut at {cut}");
            assert!(evidence.log_tail.contains("cannot be read"));
        }
        write(&whole);
        let evidence = gather(folder.path(), None, false, None).unwrap();
        assert_eq!((classify(&evidence), evidence.seconds), (Class::Completed, 2.0));
    }

    #[test]
    fn a_later_version_s_outcome_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(OUTCOME_FILE), r#"{"format":99,"end":"something new"}"#).unwrap();
        let problem = gather(folder.path(), None, false, None).unwrap_err();
        assert!(problem.what.contains("99") && problem.remedy.is_some(), "{problem}");
    }

    #[test]
    fn an_abandoned_attempt_took_no_time() {
        let folder = tempfile::tempdir().unwrap();
        Claim::Abandoned.take(folder.path()).unwrap();
        let evidence = gather(folder.path(), None, false, Some(5.0)).unwrap();
        assert_eq!((evidence.never_started, evidence.seconds), (true, 0.0));
    }

    #[test]
    fn the_log_s_tail_is_bounded_and_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log: String = (0..2000).map(|i| format!("line {i}\n")).collect();
        std::fs::write(folder.path().join(LOG_FILE), log).unwrap();
        let tail = gather(folder.path(), None, false, None).unwrap().log_tail;
        assert!(tail.len() <= LOG_TAIL_BYTES as usize && tail.starts_with("line ") && tail.ends_with("line 1999\n"));
    }
}
