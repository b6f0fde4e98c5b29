//! The local executor on real processes.
#![allow(clippy::disallowed_methods)]

use super::*;
use crate::exec::conformance::{Bed, Behaviour, LocalBed, end_of, running};
use crate::failure::{Class, classify};
use crate::rng::{Sequence, Stream};
use crate::sys::clock::SystemClock;

#[test]
fn an_attempt_with_a_past_is_not_launched() {
    let bed = LocalBed::default();
    let mut executor = bed.executor();
    let watched = bed.attempt(Behaviour::Completes);
    executor.launch(&watched).unwrap();
    let problem = executor.launch(&watched).unwrap_err();
    assert!(problem.what.contains("not run twice"), "{problem}");
    end_of(&bed, &mut *executor, &watched);
    assert!(bed.executor().launch(&watched).is_err(), "it has an outcome");
    let abandoned = bed.attempt(Behaviour::Completes);
    executor.adopt(&abandoned).unwrap();
    assert!(bed.executor().launch(&abandoned).is_err(), "it was given up");
    assert!(!abandoned.folder.join("ran").exists());
}

#[test]
fn a_program_that_is_not_there_is_said_so() {
    let bed = LocalBed::default();
    let clock = SystemClock::default();
    let mut executor = LocalExecutor::new("/nowhere/nanoresearch".into(), 1, &clock);
    let launch = bed.attempt(Behaviour::Completes);
    let problem = executor.launch(&launch).unwrap_err();
    assert!(problem.what.contains("/nowhere/nanoresearch") && problem.remedy.is_some(), "{problem}");
    // Nothing was started, and it can be given up in order.
    executor.adopt(&launch).unwrap();
    assert_eq!(classify(&end_of(&bed, &mut executor, &launch)), Class::NeverStarted);
}

#[test]
fn workers_get_the_environment_without_the_secrets() {
    let bed = LocalBed::default();
    let mut executor = bed.local().with_environment("SHOWN_A", "1 thread");
    assert!(SECRETS.iter().all(|name| executor.environment.contains(&(name.to_string(), None))));
    executor.environment.extend([("SHOWN_B".to_string(), None), ("HOME".to_string(), None)]);
    let launch = bed.attempt(Behaviour::Completes);
    executor.launch(&launch).unwrap();
    let log = end_of(&bed, &mut executor, &launch).log_tail;
    assert!(log.contains("A=1 thread B= HOME=\n"), "{log}");
}

/// Workers on GPUs are shown one each, the next controller knows which, and workers on CPUs are shown what they were.
#[test]
fn attempts_on_gpus_are_spread_over_the_cards_and_stay_there_when_adopted() {
    let bed = LocalBed::default();
    let cards = || Cards::new(Some("4,7"), 2, 2);
    let on = |device: &str, behaviour| {
        let launch = bed.attempt(behaviour);
        bed.specify(&launch, device);
        launch
    };
    let mut first = bed.local().with_cards(cards());
    let card = |executor: &LocalExecutor, launch: &Launch| executor.watched[&launch.id].card.clone();
    let hanging: Vec<Launch> = (0..3).map(|_| on("cuda", Behaviour::Hangs)).collect();
    hanging.iter().for_each(|launch| first.launch(launch).unwrap());
    let found: Vec<_> = hanging.iter().map(|l| card(&first, l).unwrap()).collect();
    assert_eq!(found, ["4", "7", "4"]);
    let pinned = on("cuda:1", Behaviour::Hangs);
    first.launch(&pinned).unwrap();
    assert_eq!(card(&first, &pinned).as_deref(), Some("7"));
    for launch in hanging.iter().chain([&pinned]) {
        running(&bed, &mut first, launch);
    }
    let log = |launch: &Launch| std::fs::read_to_string(launch.folder.join(LOG_FILE)).unwrap();
    assert!(log(&hanging[1]).contains("CARD=7\n"), "{}", log(&hanging[1]));
    assert!(!log(&pinned).contains("CARD=7"), "it counts for itself: {}", log(&pinned));
    drop(first);
    let mut second = bed.local().with_cards(cards());
    hanging.iter().chain([&pinned]).for_each(|launch| second.adopt(launch).unwrap());
    assert_eq!((second.load("4").live, second.load("7").live), (2, 2));
    second.stop(hanging[1].id, false).unwrap();
    end_of(&bed, &mut second, &hanging[1]);
    let next = on("cuda", Behaviour::Completes);
    second.launch(&next).unwrap();
    assert_eq!(card(&second, &next).as_deref(), Some("7"), "where a place came free");
    let cpu = on("cpu", Behaviour::Completes);
    second.launch(&cpu).unwrap();
    assert_eq!(card(&second, &cpu), None);
    end_of(&bed, &mut second, &cpu);
    assert!(!log(&cpu).contains("CARD=4") && !log(&cpu).contains("CARD=7"), "{}", log(&cpu));
    for launch in [&hanging[0], &hanging[2], &pinned] {
        second.stop(launch.id, false).unwrap();
        end_of(&bed, &mut second, launch);
    }
}

/// A card whose hardware failed is the last to be used again.
#[test]
fn a_card_that_failed_comes_last() {
    let bed = LocalBed::default();
    let mut executor = bed.local().with_cards(Cards::new(None, 2, 1));
    let launch = |end: End| {
        let launch = bed.attempt(Behaviour::Completes);
        bed.specify(&launch, "cuda");
        std::fs::write(
            launch.folder.join("completed"),
            serde_json::to_vec(&crate::exec::fake::outcome(end, 0.01)).unwrap(),
        )
        .unwrap();
        launch
    };
    let failing = launch(End::DeviceFailed { fault: crate::record::Fault::Ecc, message: "broken".into() });
    executor.launch(&failing).unwrap();
    let class = classify(&end_of(&bed, &mut executor, &failing));
    assert_eq!(class, Class::DeviceFailed { fault: crate::record::Fault::Ecc });
    assert_eq!((executor.load("0").faults, executor.load("0").live), (1, 0));
    let next = launch(End::Completed);
    executor.launch(&next).unwrap();
    assert_eq!(executor.watched[&next.id].card.as_deref(), Some("1"));
    end_of(&bed, &mut executor, &next);
}

#[test]
fn a_worker_is_in_a_session_of_its_own() {
    let bed = LocalBed::default();
    let mut executor = bed.local();
    let launch = bed.attempt(Behaviour::Hangs);
    executor.launch(&launch).unwrap();
    let Process::Child(child) = &executor.watched[&launch.id].process else { panic!("not a child") };
    let pid = child.id().pid as i32;
    // SAFETY: getsid only reads.
    assert_eq!(unsafe { libc::getsid(pid) }, pid);
    executor.stop(launch.id, false).unwrap();
    end_of(&bed, &mut executor, &launch);
}

/// A controller killed anywhere between launching a worker and the worker's claim: the next one finds it running, or
/// gives it up; never both, never neither.
#[test]
fn starting_and_giving_up_race_to_one_winner() {
    let bed = LocalBed::default();
    let mut random = Sequence::new(3, Stream::Data, 0, 0);
    let (mut ran, mut given_up) = (0, 0);
    for round in 0..24 {
        let launch = bed.attempt(Behaviour::StartsAfter(random.uniform() * 0.03));
        let mut first = bed.executor();
        first.launch(&launch).unwrap();
        bed.clock.sleep(random.uniform() * 0.05);
        drop(first);
        let mut second = bed.executor();
        second.adopt(&launch).unwrap();
        let evidence = end_of(&bed, &mut *second, &launch);
        // The worker says in its folder which way it went.
        let marker = |name: &str| std::fs::read_to_string(launch.folder.join(name)).map_or(0, |t| t.lines().count());
        let waiting = bed.clock.monotonic();
        while marker("ran") + marker("refused") == 0 {
            assert!(bed.clock.monotonic() - waiting < 20.0, "round {round}: the worker never came");
            bed.clock.sleep(0.002);
        }
        match classify(&evidence) {
            Class::Completed => {
                assert_eq!((marker("ran"), marker("refused")), (1, 0), "round {round}");
                ran += 1;
            }
            Class::NeverStarted => {
                assert_eq!((marker("ran"), marker("refused")), (0, 1), "round {round}");
                given_up += 1;
            }
            other => panic!("round {round}: {other:?}, {evidence:?}"),
        }
    }
    // Both happen, or the test has lost its subject.
    assert!(ran > 0 && given_up > 0, "{ran} ran, {given_up} were given up");
}
