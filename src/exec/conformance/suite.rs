//! What every executor does, whatever machine it is on.

use super::*;
use crate::failure::{Class, classify};

pub fn a_completed_attempt(bed: &dyn Bed) {
    let mut executor = bed.executor();
    assert!(executor.slots() > 0);
    let launch = bed.attempt(Behaviour::Completes);
    executor.launch(&launch).unwrap();
    let evidence = end_of(bed, &mut *executor, &launch);
    assert_eq!(classify(&evidence), Class::Completed);
    assert_eq!((evidence.exit_code, evidence.signal), (Some(0), None));
    assert!(!evidence.killed_for_time && !evidence.never_started && evidence.seconds > 0.0);
    bed.wait();
    assert_eq!(executor.poll(launch.id).unwrap(), Status::Ended(evidence), "the end does not change");
    executor.stop(launch.id, true).unwrap();
    executor.stop(launch.id, false).unwrap();
}

pub fn a_crash_with_its_log(bed: &dyn Bed) {
    let mut executor = bed.executor();
    let launch = bed.attempt(Behaviour::Crashes);
    executor.launch(&launch).unwrap();
    let evidence = end_of(bed, &mut *executor, &launch);
    assert_eq!(classify(&evidence), Class::Crashed { code: Some(3), signal: None });
    assert!(evidence.log_tail.contains("its last words"), "{:?}", evidence.log_tail);
}

pub fn a_death_by_signal(bed: &dyn Bed) {
    let mut executor = bed.executor();
    let launch = bed.attempt(Behaviour::IsKilled);
    executor.launch(&launch).unwrap();
    let evidence = end_of(bed, &mut *executor, &launch);
    assert_eq!(classify(&evidence), Class::Crashed { code: None, signal: Some(9) });
    assert!(!evidence.killed_for_time);
}

pub fn an_outcome_counts_more_than_the_death_after_it(bed: &dyn Bed) {
    let mut executor = bed.executor();
    let launch = bed.attempt(Behaviour::CompletesThenIsKilled);
    executor.launch(&launch).unwrap();
    let evidence = end_of(bed, &mut *executor, &launch);
    assert_eq!((classify(&evidence), evidence.signal), (Class::Completed, Some(9)));
}

pub fn the_wall_limit_kills(bed: &dyn Bed) {
    for behaviour in [Behaviour::Hangs, Behaviour::Deaf] {
        let mut executor = bed.executor();
        let launch = Launch { kill_after_seconds: 0.25, ..bed.attempt(behaviour) };
        executor.launch(&launch).unwrap();
        let evidence = end_of(bed, &mut *executor, &launch);
        if bed.warns() && behaviour == Behaviour::Hangs {
            assert_eq!((classify(&evidence), evidence.exit_code), (Class::Checkpointed, Some(75)));
            continue;
        }
        assert_eq!((classify(&evidence), evidence.signal), (Class::TimedOut, bed.signal_of_the_limit()));
        assert!(evidence.killed_for_time && evidence.seconds >= 0.25, "{evidence:?}");
    }
}

pub fn a_gentle_stop_checkpoints(bed: &dyn Bed) {
    let mut executor = bed.executor();
    let launch = bed.attempt(Behaviour::Hangs);
    executor.launch(&launch).unwrap();
    running(bed, &mut *executor, &launch);
    executor.stop(launch.id, true).unwrap();
    let evidence = end_of(bed, &mut *executor, &launch);
    assert_eq!((classify(&evidence), evidence.exit_code), (Class::Checkpointed, Some(75)));
}

pub fn a_deaf_worker_needs_a_hard_stop(bed: &dyn Bed) {
    let mut executor = bed.executor();
    let launch = bed.attempt(Behaviour::Deaf);
    executor.launch(&launch).unwrap();
    running(bed, &mut *executor, &launch);
    executor.stop(launch.id, true).unwrap();
    for _ in 0..20 {
        bed.wait();
        assert_eq!(executor.poll(launch.id).unwrap(), Status::Running);
    }
    executor.stop(launch.id, false).unwrap();
    let evidence = end_of(bed, &mut *executor, &launch);
    assert_eq!((evidence.signal, evidence.killed_for_time), (Some(9), false));
}

pub fn a_running_attempt_is_adopted(bed: &dyn Bed) {
    let launch = bed.attempt(Behaviour::Hangs);
    let mut first = bed.executor();
    first.launch(&launch).unwrap();
    running(bed, &mut *first, &launch);
    drop(first);
    bed.wait();
    let mut second = bed.executor();
    second.adopt(&launch).unwrap();
    second.adopt(&launch).unwrap();
    assert_eq!(second.poll(launch.id).unwrap(), Status::Running);
    second.stop(launch.id, true).unwrap();
    let evidence = end_of(bed, &mut *second, &launch);
    assert_eq!(classify(&evidence), Class::Checkpointed);
    let code = if bed.only_parents_learn() { None } else { Some(75) };
    assert_eq!((evidence.exit_code, evidence.signal), (code, None));
}

pub fn an_adopted_attempt_keeps_its_limit(bed: &dyn Bed) {
    let launch = Launch { kill_after_seconds: 0.4, ..bed.attempt(Behaviour::Deaf) };
    let mut first = bed.executor();
    first.launch(&launch).unwrap();
    running(bed, &mut *first, &launch);
    drop(first);
    let mut second = bed.executor();
    second.adopt(&launch).unwrap();
    let evidence = end_of(bed, &mut *second, &launch);
    assert_eq!((classify(&evidence), evidence.killed_for_time), (Class::TimedOut, true));
    // Counted from the start of the worker, not from its adoption.
    assert!(evidence.seconds >= 0.4, "{evidence:?}");
}

pub fn what_ended_unwatched_is_found_out(bed: &dyn Bed) {
    let learnt = |n: i32| if bed.only_parents_learn() { None } else { Some(n) };
    let table = [
        (Behaviour::Completes, Class::Completed),
        (Behaviour::CompletesThenIsKilled, Class::Completed),
        (Behaviour::Crashes, Class::Crashed { code: learnt(3), signal: None }),
        (Behaviour::IsKilled, Class::Crashed { code: None, signal: learnt(9) }),
    ];
    for (behaviour, class) in table {
        let launch = bed.attempt(behaviour);
        let mut first = bed.executor();
        first.launch(&launch).unwrap();
        end_of(bed, &mut *first, &launch);
        drop(first);
        let mut second = bed.executor();
        second.adopt(&launch).unwrap();
        let evidence = match second.poll(launch.id).unwrap() {
            Status::Ended(evidence) => evidence,
            _ if bed.knows_at_once() => panic!("{behaviour:?} is over"),
            _ => end_of(bed, &mut *second, &launch),
        };
        assert_eq!(classify(&evidence), class, "{behaviour:?}");
        assert!(!evidence.never_started);
    }
}

pub fn what_was_never_launched_never_starts(bed: &dyn Bed) {
    let launch = bed.attempt(Behaviour::Completes);
    for _ in 0..2 {
        let mut executor = bed.executor();
        executor.adopt(&launch).unwrap();
        let Status::Ended(evidence) = executor.poll(launch.id).unwrap() else { panic!("it never started") };
        assert_eq!((classify(&evidence), evidence.seconds), (Class::NeverStarted, 0.0));
    }
}

pub fn a_worker_that_comes_late_finds_itself_given_up(bed: &dyn Bed) {
    let launch = bed.attempt(Behaviour::StartsAfter(0.15));
    let mut first = bed.executor();
    first.launch(&launch).unwrap();
    assert_eq!(first.poll(launch.id).unwrap(), Status::Pending);
    let mut second = bed.executor();
    second.adopt(&launch).unwrap();
    // Both controllers see it the same way, then and after the worker came.
    for executor in [&mut second, &mut first] {
        let evidence = end_of(bed, &mut **executor, &launch);
        assert_eq!(classify(&evidence), Class::NeverStarted);
    }
    assert!(!launch.folder.join("ran").exists());
}

/// Where attempts wait in a queue, one that waits is no reason to give it up.
pub fn a_waiting_job_is_adopted_and_runs_once(bed: &dyn Bed) {
    let launch = bed.attempt(Behaviour::StartsAfter(40.0));
    let mut first = bed.executor();
    first.launch(&launch).unwrap();
    for _ in 0..10 {
        assert_eq!(first.poll(launch.id).unwrap(), Status::Pending);
        bed.wait();
    }
    drop(first);
    let mut second = bed.executor();
    second.adopt(&launch).unwrap();
    assert_eq!(second.poll(launch.id).unwrap(), Status::Pending);
    assert_eq!(classify(&end_of(bed, &mut *second, &launch)), Class::Completed);
    assert_eq!(std::fs::read_to_string(launch.folder.join("ran")).unwrap(), "yes\n");
}

pub fn attempts_do_not_disturb_each_other(bed: &dyn Bed) {
    let mut executor = bed.executor();
    let kinds = [Behaviour::Completes, Behaviour::Crashes, Behaviour::Hangs, Behaviour::IsKilled];
    let launches = kinds.map(|behaviour| bed.attempt(behaviour));
    launches.iter().for_each(|launch| executor.launch(launch).unwrap());
    running(bed, &mut *executor, &launches[2]);
    executor.stop(launches[2].id, true).unwrap();
    let classes = launches.each_ref().map(|launch| classify(&end_of(bed, &mut *executor, launch)));
    let crashed = |code, signal| Class::Crashed { code, signal };
    assert_eq!(classes, [Class::Completed, crashed(Some(3), None), Class::Checkpointed, crashed(None, Some(9))]);
}

pub fn a_stranger_is_a_problem(bed: &dyn Bed) {
    let mut executor = bed.executor();
    let launch = bed.attempt(Behaviour::Completes);
    assert!(executor.poll(launch.id).unwrap_err().what.contains("neither launched nor adopted"));
    assert!(executor.stop(launch.id, true).is_err());
}
