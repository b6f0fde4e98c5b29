//! Attempts executed for real, on the embedded digits, in this process.
#![allow(clippy::disallowed_methods)]

use super::report::Report;
use super::watchdog::{GRACE, Limits, watch};
use super::*;
use crate::config::Experiment;
use crate::data::Dataset;
use crate::graph::StepPrograms;
use crate::ids::{AttemptId, RunId, RunKey};
use crate::record::{
    AttemptSpec, CHECKPOINTS_FOLDER, Claim, End, FORMAT, METRICS_FILE, Manifest, Metrics, Outcome, SpeedSource,
    list_checkpoints, read_metrics,
};
use crate::sys::clock::SystemClock;
use crate::sys::signal::StopFlag;
use crate::train::{Observer, Silent, Stepped};
use crate::units::Bytes;
use std::path::Path;

pub(super) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

pub(super) fn experiment(steps: u64) -> Experiment {
    serde_json::from_value(serde_json::json!({
        "data": {"kind": "digits"},
        "model": {"kind": "mlp", "widths": [8], "dropout": 0.1},
        "optimizer": {"kind": "adamw", "learning_rate": 0.01},
        "training": {"batch_size": 16, "budget": {"steps": steps}, "seed": 3},
        "evaluation": {"every": 4, "samples": 64, "batch_size": 64, "checkpoint_every": 3},
    }))
    .unwrap()
}

fn digits_key(experiment: &Experiment) -> RunKey {
    let dataset = execute::load_data(&experiment.data, Path::new("."), &mut Silent).unwrap();
    experiment.run_key(dataset.hash())
}

pub(super) fn spec(experiment: Experiment) -> AttemptSpec {
    AttemptSpec {
        stop_at: None,
        format: FORMAT,
        id: AttemptId { run: RunId(7), number: 1 },
        key: digits_key(&experiment),
        experiment,
        base: ".".into(),
        resume_from: None,
        wall_seconds: 0.0,
        memory: Bytes(0),
        predicted_seconds: None,
        predicted_from: None,
    }
}

fn records(folder: &Path) -> Vec<Metrics> {
    read_metrics(&folder.join(METRICS_FILE)).unwrap().into_iter().map(Metrics::without_timing).collect()
}

pub(super) fn outcome(folder: &Path) -> Outcome {
    Outcome::read(folder).unwrap().expect("an outcome")
}

#[test]
fn an_attempt_leaves_manifest_metrics_model_and_one_outcome() {
    let folder = folder();
    spec(experiment(10)).write(folder.path()).unwrap();
    assert_eq!(run(folder.path()), 0);
    let outcome = outcome(folder.path());
    assert_eq!((&outcome.end, outcome.step), (&End::Completed, 10));
    assert_eq!(outcome.metrics.keys().collect::<Vec<_>>(), ["accuracy", "loss"]);
    assert!(outcome.seconds >= outcome.training_seconds && outcome.training_seconds > 0.0);
    assert_eq!(outcome.device_time.ms, (outcome.seconds * 1e3).ceil() as u64);
    assert!(outcome.peak_memory > Bytes(1 << 20));
    assert_eq!(outcome.checkpoint.as_deref(), Some(Path::new("checkpoints/step-00000010")));
    let manifest = Manifest::read(folder.path()).unwrap().unwrap();
    assert_eq!((manifest.total_steps, manifest.validation_samples), (10, 64));
    assert_eq!(manifest.parameters, 64 * 8 + 8 + 8 * 10 + 10);
    assert_eq!(manifest.fingerprint["engine"], "cpu");
    assert_eq!(records(folder.path()).len(), 10 + 3);
    assert!(folder.path().join("model.safetensors").exists());
    assert_eq!(Claim::read(folder.path()).unwrap(), Some(Claim::mine()));
}

#[test]
fn what_somebody_else_claimed_is_left_as_it_is() {
    let folder = folder();
    spec(experiment(10)).write(folder.path()).unwrap();
    assert!(Claim::Abandoned.take(folder.path()).unwrap());
    assert_eq!(run(folder.path()), 1);
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["attempt.json", "claim"]);
    assert_eq!(Claim::read(folder.path()).unwrap(), Some(Claim::Abandoned));
}

#[test]
fn what_is_wrong_is_refused_with_its_paragraph() {
    let refused = |prepare: &dyn Fn(&Path)| {
        let folder = folder();
        prepare(folder.path());
        assert_eq!(run(folder.path()), 2);
        match outcome(folder.path()).end {
            End::Refused { message } => message,
            other => panic!("{other:?}"),
        }
    };
    let message = refused(&|folder| std::fs::write(folder.join("attempt.json"), "{").unwrap());
    assert!(message.contains("not an attempt's specification"), "{message}");
    let message =
        refused(&|folder| AttemptSpec { key: RunKey("other".into()), ..spec(experiment(5)) }.write(folder).unwrap());
    assert!(message.contains("is not the one that the attempt was planned with"), "{message}");
    let message = refused(&|folder| {
        let mut large = experiment(5);
        large.training.batch_size = 100_000;
        spec(large).write(folder).unwrap();
    });
    assert!(message.contains("batch size 100000"), "{message}");
    let empty = folder();
    assert_eq!(run(empty.path()), 2);
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "a folder without attempt.json is left alone");
}

#[test]
fn a_stopped_attempt_goes_on_in_the_next_one() {
    let whole = folder();
    spec(experiment(10)).write(whole.path()).unwrap();
    run(whole.path());

    let root = folder();
    let (first, second) = (root.path().join("01"), root.path().join("02"));
    std::fs::create_dir(&first).unwrap();
    std::fs::create_dir(&second).unwrap();
    let stop = StopFlag::inert();
    let clock = SystemClock::default();
    let one = AttemptSpec { wall_seconds: 100.0, ..spec(experiment(10)) };
    let setting = perform::Setting { spec: &one, folder: &first, stop: &stop, clock: &clock };
    let (stopped, code) = perform::perform(&setting, None, &mut StopAfter(5, stop.clone())).unwrap();
    assert_eq!((stopped.end, stopped.step, code), (End::Checkpointed, 5, 75));

    let two = AttemptSpec { resume_from: Some(first.join(stopped.checkpoint.unwrap())), ..spec(experiment(10)) };
    two.write(&second).unwrap();
    assert_eq!(run(&second), 0);
    assert_eq!(outcome(&second).weights, outcome(whole.path()).weights);
    assert_eq!(records(&second), records(whole.path()));
}

/// Asks for a stop after a step.
struct StopAfter(u64, StopFlag);

impl Observer for StopAfter {
    fn on_step(&mut self, step: &Stepped) {
        if step.step == self.0 {
            self.1.request();
        }
    }
}

#[test]
fn a_panic_becomes_a_failed_outcome() {
    struct Panics;
    impl Observer for Panics {
        fn on_step(&mut self, step: &Stepped) {
            assert!(step.step < 7, "seven steps are enough");
        }
    }
    let folder = folder();
    let (stop, clock, spec) = (StopFlag::inert(), SystemClock::default(), spec(experiment(10)));
    let setting = perform::Setting { spec: &spec, folder: folder.path(), stop: &stop, clock: &clock };
    let (outcome, code) = perform::perform(&setting, None, &mut Panics).unwrap();
    let End::Failed { message } = &outcome.end else { panic!("{:?}", outcome.end) };
    assert!(message.contains("seven steps are enough") && code == 1, "{message}");
    assert_eq!(outcome.step, 7, "the snapshot knows how far it came");
    assert_eq!(outcome.checkpoint.as_deref(), Some(Path::new("checkpoints/step-00000006")));
}

#[test]
fn the_watchdog_writes_the_outcome_where_the_loop_does_not_come_round() {
    let folder = folder();
    let report = Report::new(folder.path(), SystemClock::default());
    report.update(|s| s.step = 4);
    let mut left = false;
    watch(Limits { wall: None, memory: Some(Bytes(1)) }, &report, || left = true);
    assert!(left);
    let outcome = outcome(folder.path());
    assert!(matches!(outcome.end, End::OutOfMemory { wanted, limit: Bytes(1), .. } if wanted > Bytes(1)));
    assert_eq!(outcome.step, 4);
}

#[test]
fn the_watchdog_leaves_an_attempt_alone_that_ended_by_itself() {
    let folder = folder();
    let report = Report::new(folder.path(), SystemClock::default());
    report.finish(End::Completed).unwrap();
    watch(Limits { wall: Some(-2.0 * GRACE), memory: Some(Bytes(1)) }, &report, || panic!("left the process"));
    assert_eq!(outcome(folder.path()).end, End::Completed);
}

#[test]
fn training_here_resumes_and_refuses_what_would_mix_runs() {
    let root = folder();
    let out = root.path().join("run");
    let experiment = experiment(10);
    let stop = StopFlag::inert();
    let expect =
        |_: &Dataset, _: &StepPrograms| Some(Expected { seconds: 10.0, steps: 10, from: SpeedSource::Assumed });
    let folder = &out;
    let here =
        Here { experiment: &experiment, base: Path::new("."), folder, resume: false, stop: &stop, expect: &expect };
    let predicted = || Manifest::read(folder).unwrap().unwrap().predicted_seconds;
    let stopped = train_here(&here, &mut StopAfter(5, stop.clone())).unwrap();
    assert_eq!(stopped.end, End::Checkpointed);
    assert_eq!(predicted(), Some(10.0));

    let again = train_here(&here, &mut Silent).unwrap_err();
    assert!(again.to_string().contains("--resume"), "{again}");
    let resuming = Here { resume: true, stop: &StopFlag::inert(), ..here };
    let mut other = experiment.clone();
    other.training.seed += 1;
    let mixed = train_here(&Here { experiment: &other, ..resuming }, &mut Silent).unwrap_err();
    assert!(mixed.to_string().contains("another run; asked for now is one that changes training.seed"), "{mixed}");
    assert_eq!(list_checkpoints(&out.join(CHECKPOINTS_FOLDER)).unwrap().last().unwrap().0, 5, "nothing was touched");

    let done = train_here(&resuming, &mut Silent).unwrap();
    assert_eq!((done.end.clone(), done.step), (End::Completed, 10));
    assert_eq!(predicted(), Some(5.0), "what was left to do");
    assert_eq!(train_here(&resuming, &mut Silent).unwrap(), done, "a completed run is not run again");
    let fresh = root.path().join("fresh");
    let undisturbed = train_here(&Here { folder: &fresh, ..resuming }, &mut Silent).unwrap();
    assert_eq!(undisturbed.weights, done.weights);
    assert_eq!(records(&fresh), records(&out));
}

#[test]
fn what_cannot_be_trained_is_refused_before_anything_is_written() {
    let root = folder();
    let out = root.path().join("run");
    let mut experiment = experiment(5);
    experiment.training.batch_size = 100_000;
    let stop = StopFlag::inert();
    let here = Here {
        experiment: &experiment,
        base: Path::new("."),
        folder: &out,
        resume: false,
        stop: &stop,
        expect: &|_, _| None,
    };
    let problem = train_here(&here, &mut Silent).unwrap_err();
    assert_eq!(problem.class.exit_code(), 2);
    assert!(!out.exists());
}
