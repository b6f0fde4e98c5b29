//! Where attempts are sent.

use super::super::commands::Commands;
use super::super::tests::SlurmBed;
use super::*;
use crate::config::parse_site;
use crate::exec::Executor;
use crate::exec::Launch;
use crate::exec::conformance::{Bed, Behaviour};
use crate::record::AttemptSpec;
use crate::sys::clock::{Clock, FakeClock};
use crate::sys::process::Answer;
use std::cell::RefCell;
use std::rc::Rc;

const SITE: &str = "name = \"fake\"\npoll_seconds = 10.0\nsubmits_per_minute = 6000\n[[partitions]]\nname = \"gpu\"\n\
                    gpu_types = [\"a\"]\n[[partitions]]\nname = \"spare\"\ngpu_types = [\"a\"]\n";

/// Answers at once, and keeps what it was asked.
#[derive(Default)]
struct Told {
    asked: Vec<String>,
    silent: bool,
}
struct Fake(Rc<RefCell<Told>>);
struct Now(Option<Answer>);

impl Pending for Now {
    fn answer(&mut self) -> Option<Answer> {
        self.0.take()
    }
}

impl Commands for Fake {
    fn start(&mut self, program: &str, arguments: &[String]) -> Box<dyn Pending> {
        let mut told = self.0.borrow_mut();
        let test = arguments.iter().any(|a| a == "--test-only");
        let waiting = arguments.iter().any(|a| a == "--states=PENDING");
        let what = if test {
            "test"
        } else if waiting {
            "waiting"
        } else {
            program
        };
        told.asked.push(what.to_string());
        let good = |stdout: &str, stderr: &str| Answer { code: Some(0), stdout: stdout.into(), stderr: stderr.into() };
        let answer = match what {
            "sinfo" if told.silent => Answer { code: Some(1), ..Answer::default() },
            // One is free in gpu, none in spare.
            "sinfo" => good("n1 gpu mixed gpu:a:2 gpu:a:1\nn2 spare allocated gpu:a:2 gpu:a:2\n", ""),
            "waiting" => good("spare|1\nspare|1\n", ""),
            "test" => good("", "sbatch: Job 5 to start at 2030-01-01T00:00:00 using 1 processors on nodes n2\n"),
            "sbatch" => good(&format!("{}\n", told.asked.len()), ""),
            _ => good("", ""),
        };
        Box::new(Now(Some(answer)))
    }
}

fn attempts(bed: &SlurmBed, n: usize) -> Vec<Launch> {
    let on_gpu = |_| {
        let launch = bed.attempt(Behaviour::Hangs);
        let mut spec = AttemptSpec::read(&launch.folder).unwrap();
        spec.experiment.resources.device = "cuda".parse().unwrap();
        spec.predicted_seconds = Some(60.0);
        spec.write(&launch.folder).unwrap();
        launch
    };
    (0..n).map(on_gpu).collect()
}

fn count(told: &Rc<RefCell<Told>>, what: &str) -> usize {
    told.borrow().asked.iter().filter(|a| *a == what).count()
}

/// Twenty jobs are placed by one look; what was placed since is taken off it; the choice is in the folder and the script.
#[test]
fn one_look_an_interval_serves_all_jobs() {
    let (bed, told) = (SlurmBed::default(), Rc::<RefCell<Told>>::default());
    let clock: &'static FakeClock = Box::leak(Box::default());
    let launches = attempts(&bed, 20);
    let campaign = launches[0].folder.parent().unwrap().to_path_buf();
    let site = parse_site(SITE, "fake", &[]).unwrap();
    let commands = Box::new(Fake(Rc::clone(&told)));
    let mut slurm =
        SlurmExecutor::with_commands(site, 100, clock, campaign.join("program"), campaign.clone(), commands).choosing();
    launches.iter().for_each(|l| slurm.launch(l).unwrap());
    assert!(slurm.placed(launches[0].id).is_none() && !slurm.settled());
    for _ in 0..38 {
        launches.iter().for_each(|l| drop(slurm.poll(l.id).unwrap()));
        clock.advance(0.5);
    }
    assert_eq!(
        (count(&told, "sinfo"), count(&told, "waiting"), count(&told, "test")),
        (1, 1, 1),
        "{:?}",
        told.borrow().asked
    );
    assert_eq!(count(&told, "sbatch"), 20);
    let places: Vec<Placed> = launches.iter().map(|l| slurm.placed(l.id).unwrap()).collect();
    assert_eq!((places[0].partition.as_str(), places[0].offers[0].free), ("gpu", Some(1)));
    assert_eq!(places[1].offers[0].free, Some(0), "the one that was free is taken");
    // The scheduler said that nothing starts in spare for years.
    assert!(places.iter().all(|p| p.partition == "gpu"));
    assert_eq!(read(&launches[0].folder).unwrap().as_ref(), Some(&places[0]));
    let script = fs::read_text(&launches[0].folder.join("job.sbatch")).unwrap();
    assert!(script.contains("--partition=gpu\n"), "{script}");
    assert_eq!(last_look(&campaign).unwrap().supply("spare").unwrap().waiting, 2);
    clock.advance(5.0);
    slurm.poll(launches[0].id).unwrap();
    assert_eq!(count(&told, "sinfo"), 2, "the next interval has its own");
}

/// Where the cluster does not answer, jobs wait a minute for it and go then.
#[test]
fn a_silent_cluster_holds_up_nothing_for_long() {
    let (bed, told) = (SlurmBed::default(), Rc::<RefCell<Told>>::default());
    told.borrow_mut().silent = true;
    let clock: &'static FakeClock = Box::leak(Box::default());
    let launches = attempts(&bed, 2);
    let campaign = launches[0].folder.parent().unwrap().to_path_buf();
    let site = parse_site(SITE, "fake", &[]).unwrap();
    let commands = Box::new(Fake(Rc::clone(&told)));
    let mut slurm =
        SlurmExecutor::with_commands(site, 100, clock, campaign.join("program"), campaign, commands).choosing();
    launches.iter().for_each(|l| slurm.launch(l).unwrap());
    while count(&told, "sbatch") < 2 {
        launches.iter().for_each(|l| drop(slurm.poll(l.id).unwrap()));
        clock.advance(1.0);
        assert!(clock.monotonic() < 200.0);
    }
    assert!(clock.monotonic() >= PATIENCE);
    assert!(count(&told, "sinfo") <= 8, "no more often than it may");
    assert_eq!(slurm.placed(launches[0].id).unwrap().looked_at, None);
}
