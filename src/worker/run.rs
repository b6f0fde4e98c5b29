//! The worker process: `nanoresearch worker --attempt DIR`.

use super::log::Log;
use super::perform::{Setting, exit_code, perform};
use super::report::Report;
use crate::engine::limit_threads;
use crate::problem::Class;
use crate::record::{ATTEMPT_FILE, AttemptSpec, Claim, End};
use crate::sys::clock::SystemClock;
use crate::sys::signal::StopFlag;
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
    let result = match &spec {
        Ok(spec) => perform(&Setting { spec, folder, stop: &stop, clock: &clock }, None, &mut log),
        Err(problem) => {
            let end = End::Refused { message: problem.to_string() };
            let code = exit_code(&end);
            Report::new(folder, clock).finish(end).map(|outcome| (outcome, code))
        }
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
