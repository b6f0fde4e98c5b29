//! What the witnesses of a job that has left the queue mean. Pure.
//!
//! | the worker's outcome | accounting | then |
//! |---|---|---|
//! | there or not | ended, with a code | ended as it says; the outcome, where there is one, counts more (`failure`) |
//! | missing, worker began | ended | the file may be on its way through a network filesystem: wait [`Case::settle`] |
//! | there or not | FAILED without a code | not settled yet after an outage of the database: wait as long, and for an answer after that |
//! | there or not | ended, but not when | as much: its seconds are counted up to now; after [`OUTAGE`] they are left out |
//! | there or not | waiting, running or unknown | late: keep watching; after [`RUNAWAY`] nobody will say any more |
//! | there | nothing, or no answer | ended by the outcome alone, after `settle` |
//! | missing | no record, the answer was whole | after [`LOST`] there is and was no such job |
//! | missing | no answer | after [`OUTAGE`] ended unseen, by what the queue said last |
//!
//! Never a success without the outcome: an end unseen is a crash, or an attempt that never started.
//!
//! Two ends are not what their state says. A job that was preempted and leaves within its grace is FAILED or CANCELLED; the queue
//! keeps when it was told to make room. A job that its node could not launch and that may not be requeued is CANCELLED by user 0;
//! its script has no exit code, and its log may have SLURM's word on the prolog.

use super::rules::{self, Rule};
use crate::record::{JobEnd, SchedulerEnd, Witness};
use crate::slurm::sacct::Account;
use crate::slurm::squeue::Row;
use crate::slurm::{ExitStatus, Phase, State, Waiting};
use crate::sys::process::Exit;
use crate::units::Bytes;

/// Seconds for which a submission without a known job is looked for: longer than `sbatch` itself goes on trying.
pub(super) const LOST: f64 = 240.0;
/// Seconds without an answer of accounting after which one does without: there may be no such thing on this cluster.
pub(super) const OUTAGE: f64 = 600.0;
/// Seconds for which accounting may call a job live that the queue no longer knows.
pub(super) const RUNAWAY: f64 = 3600.0;

/// A job that the queue shows as ended, or a name that it does not show.
#[derive(Debug)]
pub(super) struct Case<'a> {
    /// The queue's last word, if it still has one.
    pub row: Option<&'a Row>,
    /// Accounting's records of the name, oldest first.
    pub accounts: &'a [Account],
    /// Whether accounting answered, and wholly.
    pub accounted: bool,
    /// Whether the worker left its outcome.
    pub outcome: bool,
    /// Whether a worker claimed the attempt.
    pub claimed: bool,
    /// Whether the job was ever seen.
    pub known: bool,
    /// Seconds since the queue first showed it ended or not at all.
    pub over: f64,
    /// Seconds since accounting first said that it has ended; 0 before.
    pub settling: f64,
    /// Seconds since it was handed to `sbatch`.
    pub sent: f64,
    /// Seconds that files and records may take to arrive.
    pub settle: f64,
    /// Whether this program asked SLURM to end it.
    pub ended_by_us: bool,
    /// The log's last lines.
    pub log: &'a str,
}

/// What follows.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing is certain yet.
    Watch,
    /// It has ended.
    Ended(Box<Words>),
}

/// What SLURM says of an end; all empty where it said nothing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Words {
    pub exit: Option<Exit>,
    pub killed_for_time: bool,
    pub scheduler: Option<SchedulerEnd>,
    /// Seconds that all executions held their nodes.
    pub seconds: Option<f64>,
    /// The records.
    pub job: Option<JobEnd>,
}

/// Seconds for which a job may wait for somebody's hand before it is given up: a day, so that nobody's evening ends a run.
pub(super) const HELD: f64 = 86400.0;

/// What is to be done about a job that waits.
#[derive(Debug, PartialEq)]
pub(super) enum Wait {
    /// It may still start.
    Longer,
    /// It waits for a hand; it is given up after [`HELD`].
    Held,
    /// Its launch failed and SLURM holds it: another attempt, on another node.
    LaunchFailed(String),
    /// It never starts as it was asked for.
    Never(String),
}

/// The rule for each reason to wait:
///
/// | it waits | then |
/// |---|---|
/// | for its turn, for nodes that are down, for a reason not known here | wait, and show the reason |
/// | since its launch failed: requeued and held by SLURM (state or reason) | end it; the node could not begin it |
/// | since somebody holds it | wait for a hand, and show it; after [`HELD`] end it, refused with the reason |
/// | for what never comes: a limit of the partition, an account that is not allowed | end it, refused with the reason |
pub(super) fn wait(row: &Row, held_seconds: f64) -> Wait {
    let reason = &row.reason.0;
    if row.state.is_held() || reason.starts_with("launch failed") || reason.starts_with("JobLaunchFailure") {
        return Wait::LaunchFailed(if reason.is_empty() { row.state.to_string() } else { reason.clone() });
    }
    match row.reason.waiting() {
        Waiting::Never => Wait::Never(format!("it never starts: {reason}")),
        Waiting::Held if held_seconds >= HELD => {
            Wait::Never(format!("it was held ({reason}) for {:.0} h, and nobody let it go", held_seconds / 3600.0))
        }
        Waiting::Held => Wait::Held,
        Waiting::Turn | Waiting::Nodes | Waiting::Unknown => Wait::Longer,
    }
}

pub(super) fn judge(case: &Case) -> Verdict {
    let patient = |seconds: f64| case.over >= seconds;
    let ended = case.accounts.last().filter(|a| a.job.state.phase() == Phase::Ended);
    let by_queue = || Verdict::Ended(Box::new(case.row.map_or_else(Words::default, |row| queue_words(row, case))));
    match (ended, case.accounts.last()) {
        (Some(account), _) => {
            // Seconds that count up to now are nobody's.
            let endless = account.lacks_end() && rules::on(Rule::EndsHaveATime);
            if endless && case.settling < OUTAGE {
                return Verdict::Watch;
            }
            let settling = account.lacks_code() && rules::on(Rule::RecordsSettle);
            let coming = settling || (!case.outcome && case.claimed && rules::on(Rule::OutcomesArrive));
            // Counted from that record on: the queue may have lost sight of the job long before its end.
            if coming && case.settling < case.settle {
                return Verdict::Watch;
            }
            // What accounting said before it fell silent again is not what it would say now.
            if settling && !case.accounted && !patient(OUTAGE) {
                return Verdict::Watch;
            }
            let found = Found {
                exit: account.exit(),
                out_of_memory: account.is_out_of_memory(),
                unlaunched: account.was_not_launched(),
            };
            let mut words = words(&account.job.state, found, case);
            let seconds = case.accounts.iter().fold(0u64, |sum, a| sum.saturating_add(a.job.elapsed_seconds));
            words.seconds = Some(seconds as f64).filter(|_| !endless);
            words.job = Some(account_words(account));
            Verdict::Ended(Box::new(words))
        }
        (None, Some(_)) if patient(RUNAWAY) => by_queue(),
        (None, Some(_)) if rules::on(Rule::LiveRecordsLive) => Verdict::Watch,
        (None, Some(_)) => by_queue(),
        (None, None) if case.outcome && patient(case.settle) => by_queue(),
        (None, None) if !case.known && !case.claimed => {
            match case.sent >= if case.accounted { LOST } else { LOST + OUTAGE } {
                true => by_queue(),
                false if !rules::on(Rule::LostAreLookedFor) => by_queue(),
                false => Verdict::Watch,
            }
        }
        (None, None) if patient(if case.accounted { LOST } else { OUTAGE }) => by_queue(),
        (None, None) => Verdict::Watch,
    }
}

fn queue_words(row: &Row, case: &Case) -> Words {
    let ended = row.state.phase() == Phase::Ended;
    let seconds = row.start.zip(row.end).filter(|_| ended).map(|(start, end)| (end - start).max(0) as f64);
    let job = JobEnd {
        id: Some(row.id),
        state: row.state.to_string(),
        node: one(&row.nodes),
        submitted: row.submitted,
        started: row.start.filter(|_| ended),
        ended: row.end.filter(|_| ended),
        by: Witness::Queue,
        ..JobEnd::default()
    };
    Words { seconds, job: Some(job), ..words(&row.state, Found::default(), case) }
}

fn account_words(account: &Account) -> JobEnd {
    let job = &account.job;
    JobEnd {
        id: Some(job.id),
        state: job.state.to_string(),
        exit: account.exit().map(|exit| format!("{}:{}", exit.code, exit.signal)),
        node: one(&job.nodes),
        submitted: job.submitted,
        started: job.start,
        ended: job.end,
        memory: job.given.memory.unwrap_or(Bytes(0)),
        by: Witness::Accounting,
        ..JobEnd::default()
    }
}

/// The node of a job that has one: attempts never have more.
fn one(nodes: &str) -> Option<String> {
    Some(nodes).filter(|n| !n.is_empty() && !n.contains([',', '[', ' ']) && *n != "None assigned").map(str::to_string)
}

/// What accounting knows beyond the state; nothing where only the queue speaks.
#[derive(Debug, Default)]
struct Found {
    exit: Option<ExitStatus>,
    out_of_memory: bool,
    /// Its node was found and its script never ran there.
    unlaunched: bool,
}

fn words(state: &State, Found { exit, out_of_memory, unlaunched }: Found, case: &Case) -> Words {
    // Only these say with their code how the script ended.
    let telling = matches!(state, State::Completed | State::Failed | State::Cancelled { .. } | State::OutOfMemory);
    let exit_status = exit;
    let exit = exit.filter(|e| telling && (e.code != 0 || e.signal != 0 || *state == State::Completed));
    // Beyond 64 are no signals but SLURM's own numbers, and 53 is a job that could not begin.
    let exit = exit.filter(|e| e.signal <= 64 && !e.is_launch_failure()).map(|e| match e.signal {
        0 => Exit { code: i32::try_from(e.code).ok(), signal: None },
        signal => Exit { code: None, signal: i32::try_from(signal).ok() },
    });
    // The queue knows no exit codes; where only it speaks, the log has to do.
    let killed = exit.is_some_and(|e| e.signal == Some(libc::SIGKILL)) || (exit.is_none() && *state == State::Failed);
    let said = ["exceeded memory limit", "oom-kill", "oom_kill"].iter().any(|w| case.log.contains(w));
    let began = case.claimed || case.outcome;
    let unlaunched = unlaunched || case.log.contains("Error running slurm prolog");
    let preempted = case.row.is_some_and(|row| row.preempted.is_some()) && !case.ended_by_us;
    let scheduler = match state {
        State::Cancelled { .. } if !began && !case.ended_by_us && unlaunched => Some(SchedulerEnd::LaunchFailed(
            last_line(case.log).unwrap_or_else(|| "it was not launched, and SLURM does not say why".to_string()),
        )),
        State::Failed if !began && cannot_begin(exit_status) => {
            Some(SchedulerEnd::LaunchFailed(last_line(case.log).unwrap_or_else(|| state.to_string())))
        }
        State::Failed if !began && (exit_status.is_some_and(|e| e.code == 2) || lacks_library(case.log)) => Some(
            SchedulerEnd::Missing(last_line(case.log).unwrap_or_else(|| "its script ended with code 2".to_string())),
        ),
        State::OutOfMemory => Some(SchedulerEnd::OutOfMemory),
        _ if out_of_memory || (killed && said && !case.ended_by_us) => Some(SchedulerEnd::OutOfMemory),
        State::Preempted => Some(SchedulerEnd::Preempted),
        State::Failed | State::Cancelled { .. } if preempted => Some(SchedulerEnd::Preempted),
        State::NodeFail | State::BootFail => Some(SchedulerEnd::NodeFailed),
        State::Deadline => Some(SchedulerEnd::Deadline),
        State::Cancelled { by } if !case.ended_by_us => Some(SchedulerEnd::Cancelled(*by)),
        _ => None,
    };
    Words { exit, killed_for_time: *state == State::Timeout, scheduler, ..Words::default() }
}

/// Folders that are missing on the node (`0:53`), a program that is not there (127) or cannot be run (126): what the campaign
/// put there is there, so the node does not see it.
fn cannot_begin(exit: Option<ExitStatus>) -> bool {
    exit.is_some_and(|e| e.is_launch_failure() || (e.signal == 0 && matches!(e.code, 126 | 127)))
}

/// The loader's words for a program that needs what the node has not.
fn lacks_library(log: &str) -> bool {
    log.contains("error while loading shared libraries") || log.contains("version `GLIBC")
}

fn last_line(log: &str) -> Option<String> {
    log.lines().rev().map(str::trim).find(|l| !l.is_empty()).map(|l| l.chars().take(300).collect())
}
