//! What records of ends mean that do not say it themselves, on the very words of SLURM 22.05.8.

use super::judge::{Case, Verdict, Words, judge};
use crate::record::SchedulerEnd;
use crate::slurm::squeue::Row;
use crate::slurm::{sacct, squeue};

/// The verdict on a job of which accounting has `records` and the queue still shows `row`.
fn verdict(records: &str, row: Option<&Row>, change: impl Fn(&mut Case)) -> Words {
    let accounts = sacct::accounts(&sacct::parse(records).rows);
    let mut case = Case {
        row,
        accounts: &accounts,
        accounted: true,
        outcome: false,
        claimed: false,
        known: true,
        over: 60.0,
        settling: 60.0,
        sent: 120.0,
        settle: 10.0,
        ended_by_us: false,
        log: "",
    };
    change(&mut case);
    match judge(&case) {
        Verdict::Ended(words) => *words,
        Verdict::Watch => panic!("{case:?} is watched on"),
    }
}

fn queued(line: &str) -> Row {
    squeue::parse(line).rows.remove(0)
}

/// A job whose prolog failed and that may not be requeued.
const UNLAUNCHED: &str = "169|CANCELLED by 0|0:0|0:0|2026-11-26T19:59:24|2026-11-26T19:59:25|2026-11-26T19:59:25|0|cpu=1|n1|nr-a\n\
                          169.batch|CANCELLED|||2026-11-26T19:59:25|2026-11-26T19:59:25|2026-11-26T19:59:25|0|cpu=1|n1|batch\n";
/// One that somebody, root as well, cancelled while it ran.
const CANCELLED: &str = "173|CANCELLED by 0|0:0|0:0|2026-11-26T20:00:33|2026-11-26T20:00:34|2026-11-26T20:00:35|1|cpu=1|n2|nr-b\n\
                         173.batch|CANCELLED|0:15||2026-11-26T20:00:34|2026-11-26T20:00:34|2026-11-26T20:00:35|1|cpu=1|n2|batch\n";
/// One that was preempted and left within its grace, and how the queue shows it.
const LEFT: &str = "93|FAILED|75:0|0:0|2026-11-26T19:50:22|2026-11-26T19:50:23|2026-11-26T19:51:23|60|cpu=1|n1|nr-c\n\
                    93.batch|FAILED|75:0||2026-11-26T19:50:23|2026-11-26T19:50:23|2026-11-26T19:51:23|60|cpu=1|n1|batch\n";
const SHOWN: &str = "93|FAILED|2026-11-26T19:50:22|2026-11-26T19:50:23|2026-11-26T19:51:23|gpu|n1|NonZeroExitCode|2026-11-26T19:51:22|nr-c\n";

#[test]
fn a_node_that_could_not_launch_a_job_is_told_from_a_person_who_cancelled_it() {
    let log = "Error running slurm prolog: 1\n";
    let said = verdict(UNLAUNCHED, None, |case| case.log = log);
    assert_eq!(said.scheduler, Some(SchedulerEnd::LaunchFailed("Error running slurm prolog: 1".into())));
    assert_eq!(said.job.unwrap().node.as_deref(), Some("n1"), "the next attempt keeps away from it");
    let silent = verdict(UNLAUNCHED, None, |_| {}).scheduler;
    assert!(matches!(silent, Some(SchedulerEnd::LaunchFailed(_))), "{silent:?}");
    // Without accounting the log has to do.
    let row =
        queued("169|CANCELLED|2026-11-26T19:59:24|2026-11-26T19:59:25|2026-11-26T19:59:25|gpu|n1|None|N/A|nr-a\n");
    let unknown = |case: &mut Case| (case.accounted, case.over) = (false, 1e4);
    let told = verdict("", Some(&row), |case| {
        unknown(case);
        case.log = log;
    });
    assert!(matches!(told.scheduler, Some(SchedulerEnd::LaunchFailed(_))), "{told:?}");
    assert_eq!(verdict("", Some(&row), unknown).scheduler, Some(SchedulerEnd::Cancelled(None)));
    // A person did it, or this program.
    for claimed in [false, true] {
        let said = verdict(CANCELLED, None, |case| case.claimed = claimed);
        assert_eq!(said.scheduler, Some(SchedulerEnd::Cancelled(Some(0))));
    }
    assert_eq!(verdict(UNLAUNCHED, None, |case| case.ended_by_us = true).scheduler, None);
}

#[test]
fn who_leaves_within_its_grace_was_preempted_all_the_same() {
    let row = queued(SHOWN);
    let said = |row: &Row, change: fn(&mut Case)| {
        verdict(LEFT, Some(row), |case| {
            (case.claimed, case.outcome) = (true, true);
            change(case);
        })
    };
    let words = said(&row, |_| {});
    assert_eq!(words.scheduler, Some(SchedulerEnd::Preempted));
    assert_eq!((words.seconds, words.job.unwrap().state.as_str()), (Some(60.0), "FAILED"));
    // Stopped at its rung, or told of its limit: nobody took its place.
    assert_eq!(said(&Row { preempted: None, ..row.clone() }, |_| {}).scheduler, None);
    assert_eq!(said(&row, |case| case.ended_by_us = true).scheduler, None);
}
