//! What a cluster does to attempts, and what becomes of their runs: the rows of the recovery table that only a scheduler can
//! bring about.

use super::failures::one_candidate;
use super::lab::{Lab, LabPricer, campaign, completes, learning_rate};
use crate::campaign::{
    Conclusion, Event, Forecast, NextStep, Observer, Overhead, Reason, RunResult, State, World, create, drive, places,
};
use crate::exec::SlurmBed;
use crate::exec::fake::Play;
use crate::failure::Class;
use crate::planner;
use crate::record::{JobEnd, SchedulerEnd};
use crate::sys::clock::Clock;
use crate::sys::signal::StopFlag;
use crate::units::{Bytes, DeviceTime, Dollars};
use std::path::Path;

const SITE: &str = "execution = { site = \"site.toml\", retries = 4 }\n";

/// A checkpoint and metrics up to `step`, at `pace` seconds a step.
fn trained(folder: &Path, first: u64, step: u64, pace: f64) {
    let path = folder.join("checkpoints").join(format!("step-{step:08}"));
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("checkpoint.json"), "{}").unwrap();
    let line = |s: u64| {
        let seconds = s as f64 * pace;
        format!(
            "{{\"kind\":\"train\",\"step\":{s},\"loss\":1.0,\"lr\":0.1,\"grad_norm\":1.0,\"seconds\":{seconds},\
             \"samples_per_second\":1.0,\"memory\":1}}\n"
        )
    };
    let text: String = [first, step].map(line).concat();
    std::fs::write(folder.join("metrics.jsonl"), text).unwrap();
}

fn why(state: &State, attempt: &str) -> String {
    let found = state
        .decisions
        .iter()
        .rfind(|d| d.text.starts_with(&format!("attempt {attempt}: ")) && !d.text.contains("reserved"));
    found.unwrap_or_else(|| panic!("nothing was decided after {attempt}")).text.clone()
}

/// The worker was stuck and left no outcome: its metrics tell the rate.
#[test]
fn a_timeout_gives_the_wall_time_that_the_measured_rate_calls_for() {
    let (state, specs, _lab) = one_candidate(SITE, |spec, folder| match spec.id.number {
        // Of 200 steps, 100 at half a second each; then it hangs until it is killed at its limit.
        1 => {
            trained(folder, 0, 100, 0.5);
            Play::dies(75.0, 9).as_job("n1", "TIMEOUT", None)
        }
        _ => completes(spec),
    });
    assert_eq!(specs.len(), 2);
    let run = &state.runs[3];
    let end = run.attempts[0].ended.as_ref().unwrap();
    assert_eq!((end.class, end.evidence.step), (Class::TimedOut, 100));
    // 1.5 x 100 steps x 0.5 s, and 10 s to start.
    assert_eq!(specs[1].wall_seconds, 85.0);
    let why = why(&state, "0004/01");
    assert!(
        why.contains("from its checkpoint at step 100, with 85.0 s of wall time, which its 500 ms a step call for"),
        "{why}"
    );
}

#[test]
fn without_a_rate_the_wall_time_is_doubled_and_nothing_is_said_of_a_checkpoint() {
    let (state, specs, _lab) = one_candidate(SITE, |spec, _| match spec.id.number {
        1 => Play::ends(0.5, crate::record::End::TimedOut { limit_seconds: 1.0 }),
        _ => completes(spec),
    });
    assert_eq!(specs[1].wall_seconds, 2.0 * specs[0].wall_seconds);
    let why = why(&state, "0004/01");
    assert!(
        why.contains("from the start, since it left no checkpoint") && why.contains("no rate was measured"),
        "{why}"
    );
}

#[test]
fn memory_is_raised_over_what_the_job_was_given() {
    let (state, specs, _lab) = one_candidate(SITE, |spec, _| match spec.id.number {
        1 => {
            let mut play = Play::dies(0.5, 9).as_job("n1", "OUT_OF_MEMORY", Some(SchedulerEnd::OutOfMemory));
            play.job = play.job.map(|job| JobEnd { memory: Bytes(200 << 20), exit: Some("0:125".into()), ..job });
            play
        }
        2 => Play::dies(0.5, 9).as_job("n1", "OUT_OF_MEMORY", Some(SchedulerEnd::OutOfMemory)),
        _ => completes(spec),
    });
    let memory: Vec<u64> = specs.iter().map(|s| s.memory.0 >> 20).collect();
    assert_eq!(memory, [0, 300, 450]);
    assert!(why(&state, "0004/01").contains("with 300.0 MiB of memory where it had 200.0 MiB"));
    assert!(specs.iter().all(|s| s.experiment.resources.micro_batch == 0));
}

#[test]
fn a_failed_node_is_left_and_quarantined_only_when_it_fails_again() {
    let fails = |node: &str| Play::dies(0.5, 9).as_job(node, "NODE_FAIL", Some(SchedulerEnd::NodeFailed));
    let campaign = campaign(SITE);
    let lab = Lab::new(&campaign, move |spec, _| match (spec.id.run.0, spec.id.number) {
        (1, 1) => fails("n1"),
        (2, 1) => Play::dies(0.5, 9).as_job("n1", "FAILED", Some(SchedulerEnd::LaunchFailed("prolog".into()))),
        _ => completes(spec),
    });
    lab.conclude(&campaign);
    let state = lab.check();
    let launches = lab.machine.launches();
    let exclude = |run: u32, number: u32| {
        let launch = launches.iter().find(|l| l.id.run.0 == run && l.id.number == number).unwrap();
        launch.place.exclude.clone()
    };
    assert_eq!((exclude(1, 1), exclude(1, 2)), (vec![], vec!["n1".to_string()]));
    assert!(why(&state, "0001/01").contains("on another node than n1"));
    let classes: Vec<Class> = state.runs[..2].iter().map(|r| r.attempts[0].ended.as_ref().unwrap().class).collect();
    assert_eq!(classes, [Class::NodeFailed, Class::LaunchFailed]);
    // One after the other, so the node failed twice.
    assert!(state.quarantined.contains("n1"), "{:?}", state.quarantined);
    assert_eq!(exclude(3, 1), ["n1"]);
}

/// A node that goes down takes all its jobs with it; that is one failure.
#[test]
fn one_failure_of_a_node_counts_once_whatever_it_takes_with_it() {
    let campaign = campaign("execution = { site = \"site.toml\", retries = 4, parallel = 3 }\n");
    let lab = Lab::new(&campaign, |spec, _| match spec.id.number {
        1 if spec.id.run.0 <= 3 => Play::dies(0.5, 9).as_job("n1", "NODE_FAIL", Some(SchedulerEnd::NodeFailed)),
        _ => completes(spec),
    });
    lab.conclude(&campaign);
    let state = lab.check();
    assert_eq!(state.quarantined.len(), 0, "{:?}", state.quarantined);
    assert!(state.runs[..3].iter().all(|r| matches!(r.result, Some(RunResult::Finished { .. }))));
}

#[test]
fn preemption_costs_no_retry_and_somebody_s_cancellation_is_respected() {
    let changes = "execution = { site = \"site.toml\", retries = 0 }\n";
    let (state, specs, _lab) = one_candidate(changes, |spec, folder| match spec.id.number {
        1 => {
            trained(folder, 0, 50, 0.001);
            Play::dies(0.5, 9).as_job("n1", "PREEMPTED", Some(SchedulerEnd::Preempted))
        }
        2 => Play::dies(0.5, 9).as_job("n1", "PREEMPTED", Some(SchedulerEnd::Preempted)),
        _ => completes(spec),
    });
    assert_eq!(specs.len(), 3);
    assert!(specs[2].resume_from.as_ref().unwrap().ends_with("step-00000050"));
    let run = &state.runs[3];
    assert!(run.attempts[..2].iter().all(|a| a.ended.as_ref().unwrap().class == Class::Preempted));
    assert!(why(&state, "0004/01").contains("from its checkpoint at step 50"));
    // What it trained up to its checkpoint was of use; the rest, and the second attempt, were not.
    let overhead = Overhead::of(&state);
    let preempted = overhead.waste["preempted"];
    assert_eq!(preempted.attempts, 2);
    assert!(preempted.time < DeviceTime::of(1, 1.0) && preempted.time > DeviceTime::of(1, 0.9), "{overhead:?}");
    assert!(overhead.words().contains("2 preempted") && overhead.wasted == preempted.time);

    let (state, specs, _lab) = one_candidate(SITE, |_, _| {
        Play::dies(0.5, 15).as_job("n1", "CANCELLED by 1001", Some(SchedulerEnd::Cancelled(Some(1001))))
    });
    assert_eq!(specs.len(), 1);
    let Some(RunResult::Failed { reason }) = &state.runs[3].result else { panic!() };
    assert!(reason.contains("cancelled by the user with id 1001") && reason.contains("respected"), "{reason}");
}

/// Something missing where attempts run stops the campaign, says what, and takes nothing from the run once it is there.
#[test]
fn what_is_missing_stops_the_campaign_until_it_is_there() {
    let campaign = campaign("execution = { site = \"site.toml\", retries = 0, parallel = 2 }\n");
    let installed = std::rc::Rc::new(std::cell::Cell::new(false));
    let there = std::rc::Rc::clone(&installed);
    let lab = Lab::new(&campaign, move |spec, _| match there.get() {
        true => completes(spec),
        false => Play::ends(0.5, crate::record::End::Missing { message: "no dataset in /data: put it there".into() }),
    });
    let Conclusion { reason, sentence, .. } = lab.conclude(&campaign);
    assert_eq!(reason, Reason::Missing);
    assert!(sentence.contains("put it there"), "{sentence}");
    let state = lab.check();
    assert_eq!(state.runs.len(), 2, "nothing more was started");
    assert!(state.runs.iter().all(|r| matches!(r.next, Some(NextStep::Halt { .. })) && r.result.is_none()));
    installed.set(true);
    assert_ne!(lab.conclude(&campaign).reason, Reason::Missing);
    let state = lab.check();
    assert!(state.runs.iter().all(|r| learning_rate(&r.experiment) != 0.01 || r.attempts.len() <= 2));
    assert!(state.runs.iter().all(|r| matches!(r.result, Some(RunResult::Finished { .. }))));
}

/// What the cluster refuses to every job is no run's failure: nothing more is handed to it until the site is mended.
#[test]
fn what_the_cluster_takes_from_nobody_burns_no_candidate() {
    let campaign = campaign("execution = { site = \"site.toml\", retries = 0, parallel = 2 }\n");
    let taken = std::rc::Rc::new(std::cell::Cell::new(false));
    let now = std::rc::Rc::clone(&taken);
    let lab = Lab::new(&campaign, move |spec, _| match now.get() {
        true => completes(spec),
        false => Play::dies(0.0, 9).as_job("n1", "", Some(SchedulerEnd::Barred("Invalid qos specification".into()))),
    });
    let Conclusion { reason, sentence, .. } = lab.conclude(&campaign);
    assert_eq!(reason, Reason::Missing);
    assert!(sentence.contains("takes no such jobs: Invalid qos specification"), "{sentence}");
    assert!(lab.check().runs.iter().all(|run| run.result.is_none() && run.attempts.len() == 1));
    taken.set(true);
    assert_ne!(lab.conclude(&campaign).reason, Reason::Missing);
    assert!(lab.check().runs.iter().all(|run| matches!(run.result, Some(RunResult::Finished { .. }))));
}

/// Runs that failed alike are one reason, though each had a job of its own.
#[test]
fn failures_alike_are_told_once() {
    let campaign = campaign("execution = { site = \"site.toml\", retries = 0, parallel = 2 }\n");
    let lab = Lab::new(&campaign, |spec, _| {
        let node = format!("n{}", spec.id.run.0);
        Play::ends(0.5, crate::record::End::Refused { message: "no such thing".into() }).as_job(&node, "FAILED", None)
    });
    let sentence = lab.conclude(&campaign).sentence;
    assert_eq!(sentence.matches(" failed (refused: no such thing; ").count(), 1, "{sentence}");
    assert!(!sentence.contains("job 7"), "{sentence}");
}

/// What a controller of 1,000 live jobs takes of a core, in seconds of its own time for a second of the cluster's, and how many
/// commands it runs. The fake cluster's time is part of it; the commands themselves are not.
fn thousand(seconds: f64) -> (f64, f64) {
    const JOBS: usize = 1000;
    let bed = SlurmBed::default();
    let campaign = campaign(&format!(
        "execution = {{ site = \"site.toml\", parallel = {JOBS} }}\nseeds = {{ baseline = {JOBS} }}\n\
         budget = {{ device_hours = 1e5 }}\nbaseline = {{ resources = {{ wall_seconds = 36000.0 }} }}\n"
    ));
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("campaign");
    create(&folder, &campaign, temporary.path(), bed.clock).unwrap();
    let pricer = LabPricer { most: 1.0, asked: Default::default() };
    let stop = StopFlag::inert();
    let mut executor = bed.slurm();
    /// Leaves when all jobs run and have been watched for a while.
    struct Watching<'a> {
        stop: &'a StopFlag,
        bed: &'a SlurmBed,
        seconds: f64,
        since: Option<(f64, f64, usize)>,
        took: (f64, f64),
    }
    impl Observer for Watching<'_> {
        fn on_event(&mut self, _: &State, _: &Event) {}
        fn on_tick(&mut self, state: &State) {
            let now = self.bed.clock.monotonic();
            let looks = self.bed.count("squeue") + self.bed.count("sacct");
            match self.since {
                None if state.live().count() == JOBS && self.bed.running() == JOBS => {
                    self.since = Some((now, cpu_seconds(), looks));
                }
                Some((since, cpu, before)) if now - since >= self.seconds => {
                    let each = |x: f64| x / (now - since);
                    self.took = (each(cpu_seconds() - cpu), each((looks - before) as f64));
                    self.stop.request();
                }
                _ => {}
            }
        }
    }
    let mut watching = Watching { stop: &stop, bed: &bed, seconds, since: None, took: (0.0, 0.0) };
    let sampler = planner::sampler(&campaign.planner);
    let world = World {
        pricer: &pricer,
        executor: &mut executor,
        sampler: sampler.as_ref(),
        clock: bed.clock,
        stop: &stop,
        counsel: None,
    };
    drive(&folder, &campaign, world, &mut [&mut watching]).unwrap();
    watching.took
}

/// Processor time of this thread, in seconds.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1e-9
}

/// A whole controller: one `squeue` an interval (5 s here), no `sacct` while nothing ends, and less than a fiftieth of a core. What
/// else goes on at a machine only adds to a thread's time, so the least of three counts.
#[test]
fn a_controller_of_a_thousand_jobs_looks_once_an_interval_and_takes_little() {
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        let (cpu, looks) = thousand(50.0);
        assert!((0.15..=0.25).contains(&looks), "{looks} looks a second");
        least = least.min(cpu);
        if least < 0.02 {
            return;
        }
    }
    panic!("{:.2}% of a core", 100.0 * least);
}

/// `cargo test --release --lib a_thousand_jobs_take -- --ignored --nocapture`; docs/benchmarks/controller.md has the figure.
#[test]
#[ignore = "a measurement: it says how much, and wants a quiet machine"]
fn a_thousand_jobs_take_little_of_a_core() {
    let (cpu, looks) = thousand(300.0);
    println!("1,000 live jobs: {:.2}% of a core, {looks:.2} looks a second", 100.0 * cpu);
    assert!(cpu < 0.02, "{:.2}% of a core", 100.0 * cpu);
}

/// Reserved at the dearest place, charged at the one where it ran; further runs are expected to cost what the others did; and
/// the wait in the queue is part of what runs cost beside each other, and of when they are done.
#[test]
fn places_have_their_prices_and_their_queues() {
    let campaign = campaign(
        "execution = { site = \"site.toml\", dollars_per_hour_waited = 1.0, parallel = 2 }\n\
         budget = { dollars_per_device_hour = 4.0, dollars = 5.0 }\n\
         planner = { kind = \"random\", candidates = 8, weighing = { pool = 4 } }\nseeds = { finalists = 1 }",
    );
    let lab = Lab::new(&campaign, |spec, _| {
        let (partition, hour) = if spec.id.run.0 % 2 == 0 { ("spare", 1.0) } else { ("gpu", 4.0) };
        let mut play = completes(spec).as_job("n1", "COMPLETED", None);
        play.hour = Some(hour);
        // Ten minutes in the queue.
        play.job = play.job.map(|job| JobEnd {
            partition: Some(partition.into()),
            submitted: Some(1000),
            started: Some(1600),
            ended: Some(0),
            ..job
        });
        play
    });
    let sampler = planner::sampler(&campaign.planner);
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        lab.live(&campaign, None, &mut [&mut DiesAfter(60)]).unwrap();
    }));
    assert!(died.is_err());
    let middle = lab.state();
    let forecast = Forecast::of(&middle).unwrap();
    // Nobody is believed to have looked at a job's end only after hours.
    assert_eq!((forecast.wait_seconds, forecast.notice_seconds), (600.0, 600.0));
    assert!(forecast.seconds > 300.0 * (forecast.runs + forecast.live) as f64, "{forecast:?}");
    lab.live(&campaign, None, &mut []).unwrap();
    let state = lab.check();
    let (mut sum, mut hours) = (0u64, [0.0f64; 2]);
    for attempt in state.runs.iter().flat_map(|r| &r.attempts) {
        let end = attempt.ended.as_ref().unwrap();
        let spare = attempt.id.run.0 % 2 == 0;
        let rate = if spare { 1.0 } else { 4.0 };
        assert_eq!(end.used.dollars, Dollars::of(end.used.time.hours() * rate), "attempt {}", attempt.id);
        assert_eq!(attempt.reserved.dollars, Dollars::of(attempt.reserved.time.hours() * 4.0));
        assert_eq!(end.evidence.dollars_per_device_hour, Some(rate));
        sum += end.used.dollars.micro;
        hours[usize::from(spare)] += end.used.time.hours();
    }
    assert_eq!(state.ledger.settled().dollars.micro, sum);
    let mean = (4.0 * hours[0] + hours[1]) / (hours[0] + hours[1]);
    assert!((crate::campaign::room::expected_hour(&state) - mean).abs() < 1e-9);
    let there = places(&state);
    let names: Vec<&str> = there.iter().map(|p| p.partition.as_str()).collect();
    assert_eq!(names, ["gpu", "spare"]);
    assert_eq!(there.iter().map(|p| p.attempts).sum::<usize>(), state.runs.len());
    assert!(there[1].words().starts_with("spare: ") && there[1].words().ends_with("waited 600 s each"));
    // A run of two seconds beside a wait of 600 s at a quarter of the price or more: at least 150 device-seconds.
    let costs = |c: &crate::campaign::Candidate| c.weighed.as_ref().map(|w| w.pool[0].cost);
    let costs: Vec<f64> = state.candidates.iter().filter_map(costs).collect();
    assert!(!costs.is_empty() && costs.iter().all(|cost| (150.0..610.0).contains(cost)), "{costs:?}");
    // All of it follows again from the journal.
    crate::campaign::replay(&lab.folder, sampler.as_ref(), &mut super::counsel::nobody()).unwrap();
}

/// A controller that dies after so many events.
struct DiesAfter(usize);

impl Observer for DiesAfter {
    fn on_event(&mut self, _: &State, _: &Event) {
        self.0 -= 1;
        if self.0 == 0 {
            std::panic::panic_any("killed");
        }
    }
}
