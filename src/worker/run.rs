//! The worker process: `nanoresearch worker --attempt DIR`.

use super::hold::Held;
use super::log::Log;
use super::perform::{Setting, exit_code, perform};
use super::report::Report;
use crate::engine::limit_threads;
use crate::problem::{Class, Problem, Result};
use crate::record::{ATTEMPT_FILE, AttemptSpec, Claim, End, Outcome};
use crate::sys::clock::SystemClock;
use crate::sys::signal::StopFlag;
use crate::sys::{fs, process};
use std::path::Path;

/// Exit code of a worker that must not touch the attempt, or could not say how it ended.
const FAILED: u8 = 1;

/// Executes the attempt in `folder` and returns the process exit code: 0 for a result (completed or diverged), 75 after
/// a checkpoint on SIGUSR2 or SIGTERM, 2 where the spec, config or data is refused, 4 where data or the device cannot be had, else 1.
///
/// The claim comes before anything is written: a worker that is not the first to claim leaves the folder as it is.
pub fn run(folder: &Path) -> u8 {
    let clock = SystemClock::default();
    let mut log = Log { clock };
    // From the first moment, so that an early signal asks for a checkpoint and does not kill.
    let stop = match StopFlag::for_worker() {
        Ok(stop) => stop,
        Err(error) => {
            log.say(&format!("signals cannot be caught: {error}"));
            return FAILED;
        }
    };
    if !folder.join(ATTEMPT_FILE).exists() {
        // A mistyped path must not turn somebody's folder into an attempt.
        log.say(&format!("{}: there is no {ATTEMPT_FILE} here, so this is no attempt's folder", folder.display()));
        return Class::Usage.exit_code();
    }
    let spec = AttemptSpec::read(folder);
    if let Ok(spec) = &spec {
        // Works only as long as this process has a single thread, so before the watchdog is there.
        limit_threads(spec.experiment.resources.threads);
    }
    match Claim::mine().take(folder) {
        Ok(true) => {}
        Ok(false) => {
            log.say("the attempt is claimed by somebody else; leaving");
            return FAILED;
        }
        Err(problem) => {
            log.say(&problem.to_string());
            return FAILED;
        }
    }
    let result = match (&spec, pinned_program()) {
        (_, Err(problem)) => refused(folder, clock, &problem),
        (Ok(spec), Ok(())) => {
            let setting = Setting { spec, folder, stop: &stop, clock: &clock };
            perform(&setting, None, &mut Held::new(&mut log, &stop))
        }
        (Err(problem), Ok(())) => refused(folder, clock, problem),
    };
    match result {
        Ok((outcome, code)) => {
            log.say(&format!("ended at step {} (exit code {code}): {}", outcome.step, outcome.end));
            code
        }
        Err(problem) => {
            log.say(&format!("the outcome could not be written: {problem}"));
            FAILED
        }
    }
}

fn refused(folder: &Path, clock: SystemClock, problem: &Problem) -> Result<(Outcome, u8)> {
    let end = End::Refused { message: problem.to_string() };
    let code = exit_code(&end);
    Report::new(folder, clock).finish(end).map(|outcome| (outcome, code))
}

/// A program that a campaign has pinned carries its hash in its name. One that is no longer what its name says would compute
/// something else under the same identity.
fn pinned_program() -> Result<()> {
    let Ok(program) = process::current_exe() else { return Ok(()) };
    check_pinned(&program)
}

/// The file's BLAKE3 hash against the sixteen digits of a name `bin/nanoresearch-0123456789abcdef`, as a campaign's folder has
/// it; other names promise nothing.
fn check_pinned(program: &Path) -> Result<()> {
    let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(promised) = name.strip_prefix("nanoresearch-").filter(|h| h.len() == PINNED_DIGITS) else { return Ok(()) };
    let of_a_campaign = program.parent().is_some_and(|folder| folder.ends_with("bin"));
    if !of_a_campaign || !promised.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    let found = blake3::hash(&fs::read(program)?).to_hex();
    if found[..PINNED_DIGITS] == *promised {
        return Ok(());
    }
    Err(Problem::usage(format!(
        "this program is not the one that the campaign pinned: its hash begins with {}",
        &found[..PINNED_DIGITS]
    ))
    .at(program.display().to_string())
    .remedy("remove that file and resume the campaign with the program that it was started with"))
}

/// Digits of the hash in a pinned program's name.
const PINNED_DIGITS: usize = 16;

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_program_is_what_its_name_says() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = b"a program";
        let hash = blake3::hash(bytes).to_hex();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        let pinned = folder.path().join("bin").join(format!("nanoresearch-{}", &hash[..16]));
        std::fs::write(&pinned, bytes).unwrap();
        check_pinned(&pinned).unwrap();
        std::fs::write(&pinned, b"another program").unwrap();
        let problem = check_pinned(&pinned).unwrap_err();
        assert!(problem.what.contains("pinned") && problem.remedy.is_some(), "{problem}");
        // A name without a hash promises nothing.
        for name in ["bin/nanoresearch", "bin/nanoresearch-not-a-hash-at-all", "deps/nanoresearch-0123456789abcdef"] {
            check_pinned(&folder.path().join(name)).unwrap();
        }
    }
}
