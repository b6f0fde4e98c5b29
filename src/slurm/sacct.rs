//! `sacct`: what became of jobs, by the accounting database; late, at times absent, but with exit codes.

use super::listing::{Listing, something};
use super::{ExitStatus, Phase, State, Tres, parse_time};
use crate::sys::clock::rfc3339;

/// Fields in the order of the format; the name comes last, since only it may hold the separator.
const FORMAT: &str = "JobIDRaw,State,ExitCode,DerivedExitCode,Submit,Start,End,ElapsedRaw,AllocTRES,NodeList,JobName";

/// One record: of a job, or of one of its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Job id.
    pub id: u64,
    /// The step (`batch`, `extern`, `0`); none for the job itself.
    pub step: Option<String>,
    /// The job's name; of a step, the step's.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Exit code and signal.
    pub exit: Option<ExitStatus>,
    /// The highest exit code of its steps; only jobs have one.
    pub derived_exit: Option<ExitStatus>,
    /// Seconds since the Unix epoch at which it was submitted; with the id it tells jobs apart whose ids were used again.
    pub submitted: Option<i64>,
    /// When it started.
    pub start: Option<i64>,
    /// When it ended.
    pub end: Option<i64>,
    /// Seconds between them.
    pub elapsed_seconds: u64,
    /// What it was given.
    pub given: Tres,
    /// Nodes, compressed.
    pub nodes: String,
}

/// A job with its steps: one execution, since `--duplicates` lists each execution of a requeued job by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// The job's own record. Only it counts for what was used.
    pub job: Row,
    /// Its steps.
    pub steps: Vec<Row>,
}

impl Account {
    /// How the batch script ended: the job's own word, unless that says nothing (a cancelled job has `0:0`) and the script's
    /// step says more.
    pub fn exit(&self) -> Option<ExitStatus> {
        let silent = |e: ExitStatus| e.code == 0 && e.signal == 0;
        let batch = self.steps.iter().find(|s| s.step.as_deref() == Some("batch")).and_then(|s| s.exit);
        match self.job.exit {
            Some(exit) if !silent(exit) || self.job.state == State::Completed => Some(exit),
            own => batch.or(own),
        }
    }

    /// Whether memory ended it, by the word of the job or of any step.
    pub fn is_out_of_memory(&self) -> bool {
        let told = |row: &Row| row.state == State::OutOfMemory || row.exit.is_some_and(ExitStatus::is_out_of_memory);
        told(&self.job)
            || self.steps.iter().any(told)
            || self.job.derived_exit.is_some_and(ExitStatus::is_out_of_memory)
    }

    /// Whether a node was found for it and its script never ran there: its batch step has no exit code at all. So ends, as
    /// cancelled by user 0, a job whose prolog fails and that may not be requeued; one that somebody cancels while it runs has
    /// the signal (seen on 22.05.8).
    pub fn was_not_launched(&self) -> bool {
        let by_the_system = self.job.state == State::Cancelled { by: Some(0) };
        let batch = self.steps.iter().find(|s| s.step.as_deref() == Some("batch"));
        by_the_system && self.job.start.is_some() && batch.is_some_and(|step| step.exit.is_none())
    }

    /// Whether the code can still change for the better: just after an outage of the database a failed job has `0:0`.
    pub fn lacks_code(&self) -> bool {
        let silent = |e: ExitStatus| e.code == 0 && e.signal == 0;
        self.job.state == State::Failed && self.exit().is_none_or(silent)
    }

    /// Whether the record says that the job has ended and not when: after an outage of the database it does so for ten
    /// seconds and longer, counts the seconds up to now meanwhile, and is corrected then (seen on 22.05.8).
    pub fn lacks_end(&self) -> bool {
        self.job.state.phase() == Phase::Ended && self.job.end.is_none()
    }
}

/// Arguments that ask for all jobs of these names since `since` (Unix seconds), every execution of each. The window is
/// always given: the default one begins at midnight.
pub fn arguments(names: &[&str], since: f64) -> Vec<String> {
    let since = rfc3339(since);
    let mut arguments = ["--noheader", "--parsable2", "--duplicates"].map(str::to_string).to_vec();
    arguments.push(format!("--starttime={}", since.get(..19).unwrap_or(&since)));
    arguments.push(format!("--format={FORMAT}"));
    arguments.push(format!("--name={}", names.join(",")));
    arguments
}

/// Reads the answer, row by row.
pub fn parse(text: &str) -> Listing<Row> {
    Listing::read(text, |line| {
        let fields: Vec<&str> = line.splitn(11, '|').collect();
        let [id, state, exit, derived, submitted, start, end, elapsed, given, nodes, name] = fields[..] else {
            return None;
        };
        let (id, step) = match id.split_once('.') {
            Some((id, step)) => (id, Some(step.to_string())),
            None => (id, None),
        };
        Some(Row {
            id: id.parse().ok()?,
            step,
            name: name.to_string(),
            state: State::parse(state),
            exit: ExitStatus::parse(exit),
            derived_exit: ExitStatus::parse(derived),
            submitted: parse_time(submitted),
            start: parse_time(start),
            end: parse_time(end),
            elapsed_seconds: elapsed.parse().ok()?,
            given: Tres::parse(given),
            nodes: something(nodes).unwrap_or_default(),
        })
    })
}

/// Jobs with their steps. Steps follow their job; one without is passed over.
pub fn accounts(rows: &[Row]) -> Vec<Account> {
    let mut accounts: Vec<Account> = Vec::new();
    for row in rows {
        match &row.step {
            None => accounts.push(Account { job: row.clone(), steps: Vec::new() }),
            Some(_) => {
                if let Some(account) = accounts.last_mut().filter(|a| a.job.id == row.id) {
                    account.steps.push(row.clone());
                }
            }
        }
    }
    accounts
}
