//! Jobs that wait: each reason and its rule, and holds.
#![allow(clippy::disallowed_methods)]

use super::note::Note;
use super::tests::SlurmBed;
use crate::exec::conformance::{Bed, Behaviour, end_of};
use crate::exec::{Executor, Status};
use crate::failure::{Class, classify};

/// The table of `judge::wait`, row by row, on jobs in a queue.
#[test]
fn every_reason_to_wait_has_its_rule() {
    let table = [
        ("Resources", Status::Pending, None),
        ("ReqNodeNotAvail, UnavailableNodes:n1", Status::Pending, None),
        ("SomethingNew", Status::Pending, None),
        ("JobHeldAdmin", Status::Pending, None),
        ("launch failed requeued held", Status::Pending, Some(Class::LaunchFailed)),
        ("QOSMaxWallDurationPerJobLimit", Status::Pending, Some(Class::Refused)),
    ];
    for (reason, meanwhile, end) in table {
        let bed = SlurmBed::default();
        bed.world.borrow_mut().never = Some(reason);
        let mut executor = bed.slurm();
        let launch = bed.attempt(Behaviour::Completes);
        executor.launch(&launch).unwrap();
        match end {
            Some(class) => {
                let evidence = end_of(&bed, &mut executor, &launch);
                assert_eq!(classify(&evidence), class, "{reason}");
                assert!(crate::failure::describe(&evidence).contains(reason), "{evidence:?}");
                assert_eq!(bed.world.borrow_mut().live(), 0);
            }
            None => {
                for _ in 0..2000 {
                    assert_eq!(executor.poll(launch.id).unwrap(), meanwhile, "{reason}");
                    bed.clock.advance(10.0);
                }
                let note = Note::read(&launch.folder).unwrap().unwrap();
                assert_eq!(note.state, format!("PENDING ({reason})"));
                assert_eq!(note.incidents.iter().any(|i| i.contains("held: JobHeldAdmin")), reason == "JobHeldAdmin");
            }
        }
    }
}

/// A hold outlives controllers, is given up after a day, and one that is let go is nothing but an incident.
#[test]
fn a_held_job_waits_for_a_hand_and_not_for_ever() {
    let bed = SlurmBed::default();
    bed.world.borrow_mut().never = Some("JobHeldUser");
    let [given_up, let_go] = [bed.attempt(Behaviour::Completes), bed.attempt(Behaviour::Completes)];
    let mut executor = bed.slurm();
    [&given_up, &let_go].iter().for_each(|launch| executor.launch(launch).unwrap());
    for hour in 0..30 {
        for _ in 0..180 {
            [&given_up, &let_go].iter().for_each(|launch| drop(executor.poll(launch.id).unwrap()));
            bed.clock.advance(20.0);
        }
        if hour == 10 {
            bed.world.borrow_mut().release(&let_go.folder);
        }
        if hour < 10 {
            executor = bed.slurm();
            [&given_up, &let_go].iter().for_each(|launch| executor.adopt(launch).unwrap());
        }
        assert!(!(23..=24).contains(&hour) || bed.world.borrow_mut().live() <= 1);
    }
    let evidence = end_of(&bed, &mut executor, &given_up);
    assert_eq!(classify(&evidence), Class::Refused);
    assert!(crate::failure::describe(&evidence).contains("held (JobHeldUser) for 24 h"), "{evidence:?}");
    let evidence = end_of(&bed, &mut executor, &let_go);
    assert_eq!(classify(&evidence), Class::Completed);
    let incidents = evidence.job.unwrap().incidents;
    assert!(incidents.len() == 2 && incidents[1].starts_with("let go after"), "{incidents:?}");
}
