//! The executor on a fake SLURM: the shared suite's bed, and faults one by one. Random schedules of them are beside this.
#![allow(clippy::disallowed_methods)]

use super::fake::{FakeCommands, FakeSlurm, Fault};
use super::*;
use crate::config::{parse_experiment, parse_site};
use crate::exec::Place;
use crate::exec::conformance::{Bed, Behaviour, end_of};
use crate::failure::{Class, classify};
use crate::ids::{AttemptId, RunId, RunKey};
use crate::record::AttemptSpec;
use crate::sys::clock::FakeClock;
use crate::units::Bytes;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const SITE: &str = "name = \"fake\"\ngpus = 0\npoll_seconds = 5.0\nkill_margin_seconds = 0.0\nsubmits_per_minute = 6000\nmax_jobs = 1000\n\
                    [[partitions]]\nname = \"gpu\"\n";

pub struct SlurmBed {
    pub(crate) clock: &'static FakeClock,
    pub(super) world: Rc<RefCell<FakeSlurm>>,
    folder: tempfile::TempDir,
    made: Cell<u32>,
}

impl Default for SlurmBed {
    fn default() -> Self {
        let clock: &'static FakeClock = Box::leak(Box::default());
        SlurmBed { clock, world: Rc::new(RefCell::new(FakeSlurm::new(clock))), folder: in_memory(), made: Cell::new(0) }
    }
}

/// Thousands of files that are synced: in memory, where there is such a place.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl SlurmBed {
    pub(crate) fn slurm(&self) -> SlurmExecutor<'static> {
        let site = parse_site(SITE, "fake", &[]).unwrap();
        let commands = Box::new(FakeCommands(Rc::clone(&self.world)));
        let folder = self.folder.path().to_path_buf();
        SlurmExecutor::with_commands(site, 1000, self.clock, folder.join("program"), folder, commands)
    }

    pub(super) fn faults(&self, program: &'static str, faults: &[Fault]) {
        self.world.borrow_mut().faults.entry(program).or_default().extend(faults);
    }

    pub(super) fn jobs_of(&self, launch: &Launch) -> usize {
        self.world.borrow().jobs.iter().filter(|j| j.folder == launch.folder).count()
    }

    pub(super) fn ran(&self, launch: &Launch) -> usize {
        std::fs::read_to_string(launch.folder.join("ran")).map_or(0, |t| t.lines().count())
    }

    /// Jobs that run now.
    pub(crate) fn running(&self) -> usize {
        self.world.borrow().jobs.iter().filter(|j| j.runs()).count()
    }

    pub(crate) fn count(&self, program: &str) -> usize {
        self.world.borrow().counts.get(program).copied().unwrap_or(0)
    }
}

impl Bed for SlurmBed {
    fn executor(&self) -> Box<dyn Executor + '_> {
        Box::new(self.slurm())
    }
    fn attempt(&self, behaviour: Behaviour) -> Launch {
        self.made.set(self.made.get() + 1);
        let id = AttemptId { run: RunId(1), number: self.made.get() };
        let folder = self.folder.path().join(format!("{:02}", id.number));
        std::fs::create_dir(&folder).unwrap();
        let text = "data = { kind = \"digits\" }\nmodel.preset = \"mlp-small\"\noptimizer.kind = \"adamw\"";
        let preset = crate::config::presets().iter().map(|(name, _)| *name).find(|n| n.starts_with("mlp")).unwrap();
        let spec = AttemptSpec::new(
            id,
            parse_experiment(&text.replace("mlp-small", preset), "t", &[]).unwrap(),
            PathBuf::from("."),
            RunKey("k".into()),
        );
        spec.write(&folder).unwrap();
        self.world.borrow_mut().behaviours.insert(folder.clone(), behaviour);
        Launch { id, folder, kill_after_seconds: 0.0, place: Place::default() }
    }
    fn wait(&self) {
        self.clock.advance(0.5);
    }
    fn patience(&self) -> usize {
        20_000
    }
    /// SLURM says that it was the limit, and not how.
    fn signal_of_the_limit(&self) -> Option<i32> {
        None
    }
    fn only_parents_learn(&self) -> bool {
        false
    }
    fn knows_at_once(&self) -> bool {
        false
    }
}

/// What the campaign knows of places reaches the job: nodes to stay away from, and a GPU of the size that is needed.
#[test]
fn a_job_asks_for_its_gpu_and_stays_away_from_nodes() {
    let bed = SlurmBed::default();
    let site = "name = \"fake\"\n[[partitions]]\nname = \"small\"\ngpu_types = [\"a\"]\n[[partitions]]\nname = \"large\"\n\
                gpu_types = [\"a\", \"b\"]\n[device_memory_mib]\na = 1000\nb = 3000\n";
    let site = parse_site(site, "fake", &[]).unwrap();
    let commands = Box::new(FakeCommands(Rc::clone(&bed.world)));
    let folder = bed.folder.path().to_path_buf();
    let mut executor =
        SlurmExecutor::with_commands(site, 1000, bed.clock, folder.join("program"), folder.clone(), commands);
    let mut script = |device: &str, place: Place| {
        let launch = Launch { place, ..bed.attempt(Behaviour::Completes) };
        let mut spec = AttemptSpec::read(&launch.folder).unwrap();
        spec.experiment.resources.device = device.parse().unwrap();
        spec.write(&launch.folder).unwrap();
        executor.launch(&launch).map(|()| std::fs::read_to_string(launch.folder.join("job.sbatch")).unwrap())
    };
    let plain = script("cuda", Place::default()).unwrap();
    assert!(plain.contains("--gres=gpu:a:1\n") && plain.contains("--partition=small\n"), "{plain}");
    assert!(!plain.contains("--exclude") && !plain.contains("CUDA_VISIBLE_DEVICES"), "SLURM binds the GPU: {plain}");
    let place = Place { exclude: vec!["n7".into(), "n2".into()], device_memory: Bytes(2000 << 20), ..Place::default() };
    let moved = script("cuda", place).unwrap();
    assert!(moved.contains("--gres=gpu:b:1\n") && moved.contains("--partition=large\n"), "{moved}");
    assert!(moved.contains("#SBATCH --exclude=n2,n7\n"), "{moved}");
    let cpu = script("cpu", Place::default()).unwrap();
    assert!(!cpu.contains("gpu:"), "a job on CPUs holds no GPU: {cpu}");
    let huge = script("cuda", Place { device_memory: Bytes(4000 << 20), ..Place::default() }).unwrap_err();
    assert!(huge.what.contains("4000 MiB") && huge.remedy.is_some(), "{huge}");
}

/// `sbatch` says that it timed out, and there is a job: it is found by its name, and no second one is made.
#[test]
fn a_lost_answer_is_settled_by_name() {
    for fault in [Fault::Lost, Fault::Hangs(150.0, true), Fault::Frozen(60.0), Fault::Cut] {
        let bed = SlurmBed::default();
        bed.faults("sbatch", &[fault]);
        let mut executor = bed.slurm();
        let launch = bed.attempt(Behaviour::Completes);
        executor.launch(&launch).unwrap();
        assert_eq!(classify(&end_of(&bed, &mut executor, &launch)), Class::Completed, "{fault:?}");
        assert_eq!((bed.jobs_of(&launch), bed.ran(&launch)), (1, 1), "{fault:?}");
    }
}

/// It says so, and there is none: after a while the attempt is given up, for good.
#[test]
fn a_submission_that_left_no_job_is_given_up() {
    for fault in [Fault::Fails, Fault::Hangs(150.0, false)] {
        let bed = SlurmBed::default();
        bed.faults("sbatch", &[fault]);
        let mut executor = bed.slurm();
        let launch = bed.attempt(Behaviour::Completes);
        executor.launch(&launch).unwrap();
        let before = bed.clock.monotonic();
        assert_eq!(classify(&end_of(&bed, &mut executor, &launch)), Class::NeverStarted, "{fault:?}");
        assert!(bed.clock.monotonic() - before >= judge::LOST);
        assert_eq!((bed.jobs_of(&launch), bed.count("sbatch")), (0, 1));
    }
}

/// A controller frozen for very long takes the submission up after it was given up: the worker leaves at once.
#[test]
fn a_job_that_appears_after_it_was_given_up_does_nothing() {
    let bed = SlurmBed::default();
    bed.faults("sbatch", &[Fault::Frozen(judge::LOST + 60.0)]);
    let mut executor = bed.slurm();
    let launch = bed.attempt(Behaviour::Completes);
    executor.launch(&launch).unwrap();
    assert_eq!(classify(&end_of(&bed, &mut executor, &launch)), Class::NeverStarted);
    bed.clock.advance(200.0);
    assert_eq!(bed.world.borrow_mut().live(), 0);
    assert_eq!((bed.jobs_of(&launch), bed.ran(&launch)), (1, 0));
    assert!(bed.world.borrow().jobs[0].refused);
}

/// The controller died after `sbatch` and before it knew the id.
#[test]
fn a_job_without_a_recorded_id_is_found() {
    let bed = SlurmBed::default();
    let mut first = bed.slurm();
    let launch = bed.attempt(Behaviour::StartsAfter(30.0));
    first.launch(&launch).unwrap();
    first.submit_next().unwrap();
    drop(first);
    assert_eq!(Note::read(&launch.folder).unwrap().unwrap().job, None);
    let mut second = bed.slurm();
    second.adopt(&launch).unwrap();
    assert_eq!(classify(&end_of(&bed, &mut second, &launch)), Class::Completed);
    assert_eq!((bed.jobs_of(&launch), bed.count("sbatch")), (1, 1));
}

#[test]
fn refusals_and_jobs_that_never_start_end_with_the_reason() {
    let bed = SlurmBed::default();
    bed.world.borrow_mut().never = Some("PartitionTimeLimit");
    let mut executor = bed.slurm();
    let launch = bed.attempt(Behaviour::Completes);
    executor.launch(&launch).unwrap();
    let evidence = end_of(&bed, &mut executor, &launch);
    assert_eq!(classify(&evidence), Class::Refused);
    assert!(crate::failure::describe(&evidence).contains("PartitionTimeLimit"));
    assert_eq!(bed.world.borrow_mut().live(), 0);
}

#[test]
fn somebody_else_s_cancellation_is_told_from_one_s_own() {
    let bed = SlurmBed::default();
    let mut executor = bed.slurm();
    let [theirs, ours] = [bed.attempt(Behaviour::Deaf), bed.attempt(Behaviour::Deaf)];
    for launch in [&theirs, &ours] {
        executor.launch(launch).unwrap();
    }
    for _ in 0..20 {
        executor.poll(ours.id).unwrap();
        bed.wait();
    }
    let name = Note::read(&theirs.folder).unwrap().unwrap().name;
    FakeCommands(Rc::clone(&bed.world)).start("scancel", &[format!("--name={name}")]);
    executor.stop(ours.id, false).unwrap();
    assert_eq!(classify(&end_of(&bed, &mut executor, &theirs)), Class::Cancelled);
    let evidence = end_of(&bed, &mut executor, &ours);
    assert_eq!(classify(&evidence), Class::Crashed { code: None, signal: Some(9) });
}

/// Without accounting the outcome is believed, and silence is a crash.
#[test]
fn accounting_may_be_absent() {
    let bed = SlurmBed::default();
    bed.world.borrow_mut().accounting = None;
    let mut executor = bed.slurm();
    let [good, bad] = [bed.attempt(Behaviour::Completes), bed.attempt(Behaviour::Crashes)];
    for launch in [&good, &bad] {
        executor.launch(launch).unwrap();
    }
    assert_eq!(classify(&end_of(&bed, &mut executor, &good)), Class::Completed);
    assert_eq!(classify(&end_of(&bed, &mut executor, &bad)), Class::Crashed { code: None, signal: None });
}

/// While the queue does not answer wholly, a job that it does not list is not gone.
#[test]
fn an_outage_of_the_queue_ends_nothing() {
    let bed = SlurmBed::default();
    let mut executor = bed.slurm();
    let launch = bed.attempt(Behaviour::Hangs);
    executor.launch(&launch).unwrap();
    for _ in 0..40 {
        executor.poll(launch.id).unwrap();
        bed.wait();
    }
    bed.faults("squeue", &[Fault::Cut, Fault::Fails, Fault::Hangs(100.0, false), Fault::Cut, Fault::Fails]);
    for _ in 0..2000 {
        assert_eq!(executor.poll(launch.id).unwrap(), Status::Running);
        bed.wait();
    }
    assert!(bed.world.borrow().faults["squeue"].is_empty());
    executor.stop(launch.id, true).unwrap();
    assert_eq!(classify(&end_of(&bed, &mut executor, &launch)), Class::Checkpointed);
}

/// Whatever the number of jobs: one squeue an interval, and at most one sacct.
#[test]
fn a_thousand_jobs_cost_one_look_an_interval() {
    let bed = SlurmBed::default();
    let mut executor = bed.slurm();
    let launches: Vec<Launch> = (0..1000).map(|_| bed.attempt(Behaviour::Hangs)).collect();
    launches.iter().for_each(|launch| executor.launch(launch).unwrap());
    for _ in 0..1040 {
        executor.poll(launches[0].id).unwrap();
        bed.wait();
    }
    assert_eq!(bed.world.borrow_mut().live(), 1000);
    let before = bed.count("squeue");
    for _ in 0..100 {
        for launch in &launches {
            assert_eq!(executor.poll(launch.id).unwrap(), Status::Running);
        }
        bed.wait();
    }
    let looks = bed.count("squeue") - before;
    assert!((9..=10).contains(&looks), "{looks} looks in 50 s at one in 5 s");
    assert_eq!(bed.count("sacct"), 0, "nothing has left the queue");
}

/// A job's limit fits in what was reserved for it, and the warning comes after the worker's own limit.
#[test]
fn limits_keep_to_the_reservation() {
    let site = parse_site("name = \"s\"\ngpus = 0\n[[partitions]]\nname = \"p\"\n", "s", &[]).unwrap();
    for wall in [5.0, 59.0, 60.0, 100.0, 3333.0, 86399.0] {
        let allowed = wall + site.margin_seconds() - site.kill_margin_seconds;
        let (limit, warning) = submit::limits(&site, allowed, wall);
        assert!(limit <= allowed && limit % 60.0 == 0.0, "{wall}: {limit} of {allowed}");
        assert!((60..=120).contains(&warning), "{wall}: {warning}");
        assert!(limit - f64::from(warning) - 60.0 >= wall, "{wall}: warned {warning} s before {limit}");
    }
}

/// Nodes to stay away from are stayed away from, unless no others are left.
#[test]
fn a_job_that_would_have_no_node_is_asked_for_on_any() {
    let bed = SlurmBed::default();
    bed.world.borrow_mut().nodes_left = false;
    let mut executor = bed.slurm();
    let place = Place { exclude: vec!["n1".into(), "n2".into()], ..Place::default() };
    let launch = Launch { place, ..bed.attempt(Behaviour::Completes) };
    executor.launch(&launch).unwrap();
    let evidence = end_of(&bed, &mut executor, &launch);
    assert_eq!(classify(&evidence), Class::Completed);
    assert!(evidence.job.unwrap().incidents[0].contains("no node is left without n1, n2"));
    assert!(!std::fs::read_to_string(launch.folder.join("job.sbatch")).unwrap().contains("--exclude"));
    assert_eq!((bed.jobs_of(&launch), bed.count("sbatch")), (1, 2));
}

/// An attempt costs what the partition costs in which the queue showed it, wherever somebody has moved it.
#[test]
fn an_attempt_is_charged_at_the_place_where_it_ran() {
    let hour = |partitions: &str| {
        let bed = SlurmBed::default();
        let site = SITE.replace("[[partitions]]\nname = \"gpu\"\n", partitions);
        let site = parse_site(&site, "fake", &[]).unwrap();
        let commands = Box::new(FakeCommands(Rc::clone(&bed.world)));
        let folder = bed.folder.path().to_path_buf();
        let mut executor = SlurmExecutor::with_commands(site, 10, bed.clock, folder.join("program"), folder, commands);
        let launch = bed.attempt(Behaviour::Completes);
        executor.launch(&launch).unwrap();
        let before = executor.hour(launch.id);
        let evidence = end_of(&bed, &mut executor, &launch);
        // Jobs of the fake are all in partition gpu.
        assert_eq!(evidence.job.unwrap().partition.as_deref(), Some("gpu"));
        (before, executor.hour(launch.id))
    };
    let priced = "[[partitions]]\nname = \"gpu\"\nprice = 2.0\n[[partitions]]\nname = \"spare\"\nprice = 0.5\n";
    assert_eq!(hour(priced), (None, Some(2.0)), "before it is seen nobody knows");
    assert_eq!(hour("[[partitions]]\nname = \"gpu\"\n"), (None, None), "nothing is said of prices");
    assert_eq!(
        hour("[[partitions]]\nname = \"spare\"\nprice = 0.5\n"),
        (None, None),
        "moved to where nobody knows prices"
    );
}

/// A `squeue` that answers in columns is asked in letters from then on.
#[test]
fn an_old_queue_is_asked_in_its_own_form() {
    let bed = SlurmBed::default();
    bed.world.borrow_mut().old_queue = true;
    let mut executor = bed.slurm();
    let launches = [bed.attempt(Behaviour::Completes), bed.attempt(Behaviour::Crashes)];
    launches.iter().for_each(|launch| executor.launch(launch).unwrap());
    assert_eq!(classify(&end_of(&bed, &mut executor, &launches[0])), Class::Completed);
    assert_eq!(classify(&end_of(&bed, &mut executor, &launches[1])), Class::Crashed { code: Some(3), signal: None });
    assert!(executor.plain_looks);
}

/// Why a job is not submitted yet is shown.
#[test]
fn a_submission_that_is_put_off_says_why() {
    let bed = SlurmBed::default();
    let launch = bed.attempt(Behaviour::Completes);
    let waits = || Note { state: "QOSMaxSubmitJobPerUserLimit".into(), ..Note::new("nr".into()) };
    waits().begin(&launch.folder).unwrap();
    let (job, state) = job_state(&launch.folder).unwrap();
    assert_eq!((job, state.as_str()), (None, "not submitted yet (QOSMaxSubmitJobPerUserLimit)"));
}
