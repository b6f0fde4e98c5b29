//! The loop on the toy: whatever happens on the way, the end is the same.
#![allow(clippy::disallowed_methods)]

use super::toy::{self, Failure, ToyEngine, ToySource};
use super::*;
use crate::config::{DeviceSpec, Experiment, TrainingBudget};
use crate::ids::RunKey;
use crate::record::{
    CHECKPOINTS_FOLDER, End, METRICS_FILE, MemoryKind, Metrics, list_checkpoints, read_checkpoint, read_metrics,
    read_model, weights_hash,
};
use crate::sys::clock::{Clock, FakeClock};
use crate::sys::signal::StopFlag;
use crate::units::Bytes;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Everything a training needs, with the things that tests change in plain sight.
struct Bench {
    experiment: Experiment,
    programs: crate::graph::StepPrograms,
    source: ToySource,
    key: RunKey,
    clock: Rc<FakeClock>,
    stop: StopFlag,
    stop_at: Option<u64>,
    resume_from: Option<PathBuf>,
    deadline: Option<f64>,
}

/// How it ended and what it said on the way.
struct Done {
    ended: Ended,
    warnings: Vec<String>,
    events: Vec<Event>,
    first_step: u64,
}

/// Notes events, and asks for a stop after some step.
#[derive(Default)]
struct Notes {
    events: Vec<Event>,
    first_step: u64,
    stop_after: Option<(u64, StopFlag)>,
}

impl Observer for Notes {
    fn on_start(&mut self, _total: u64, done: u64) {
        self.first_step = done;
    }
    fn on_step(&mut self, step: &Stepped) {
        if let Some((at, flag)) = &self.stop_after
            && step.step == *at
        {
            flag.request();
        }
    }
    fn on_event(&mut self, event: &Event) {
        self.events.push(event.clone());
    }
}

impl Bench {
    fn new(steps: u64, checkpoint_every: u64) -> Self {
        let clock = Rc::new(FakeClock::default());
        Bench {
            experiment: toy::experiment(steps, checkpoint_every),
            programs: toy::programs(8, 1),
            source: ToySource { clock: Rc::clone(&clock) },
            key: RunKey("toy".into()),
            clock,
            stop: StopFlag::inert(),
            stop_at: None,
            resume_from: None,
            deadline: None,
        }
    }

    fn train(&self, folder: &Path, engine: ToyEngine) -> Done {
        self.train_noting(folder, engine, Notes::default()).unwrap_or_else(|e| panic!("{e:?}"))
    }

    fn train_noting(&self, folder: &Path, mut engine: ToyEngine, mut notes: Notes) -> Result<Done, TrainError> {
        let job = Job {
            experiment: &self.experiment,
            programs: &self.programs,
            source: &self.source,
            initial: &toy::initial,
            key: &self.key,
            folder,
            resume_from: self.resume_from.as_deref(),
            stop: &self.stop,
            stop_at: self.stop_at,
            clock: &*self.clock,
            limit: self.deadline.map(|deadline| Limit { deadline, seconds: deadline }),
        };
        let trainer = Trainer::prepare(job, &mut engine, &mut notes)?;
        let warnings = trainer.warnings().to_vec();
        let ended = trainer.run(&mut notes);
        Ok(Done { ended, warnings, events: notes.events, first_step: notes.first_step })
    }
}

/// In memory where that is possible: these tests sync thousands of files.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn metrics(folder: &Path) -> Vec<Metrics> {
    read_metrics(&folder.join(METRICS_FILE)).unwrap().into_iter().map(Metrics::without_timing).collect()
}

fn steps_of_checkpoints(folder: &Path) -> Vec<u64> {
    list_checkpoints(&folder.join(CHECKPOINTS_FOLDER)).unwrap().into_iter().map(|(step, _)| step).collect()
}

/// What an undisturbed run of `steps` steps leaves: (weights, metrics).
fn undisturbed(steps: u64) -> (Option<String>, Vec<Metrics>) {
    let folder = folder();
    let done = Bench::new(steps, 0).train(folder.path(), ToyEngine::default());
    assert_eq!(done.ended.end, End::Completed);
    (done.ended.weights, metrics(folder.path()))
}

#[test]
fn a_run_learns_records_every_step_and_leaves_its_model() {
    let folder = folder();
    let done = Bench::new(40, 0).train(folder.path(), ToyEngine::default());
    assert_eq!(done.ended.end, End::Completed);
    assert_eq!(done.ended.step, 40);
    let records = metrics(folder.path());
    let losses: Vec<f64> =
        records.iter().filter_map(|m| if let Metrics::Train { loss, .. } = m { Some(*loss) } else { None }).collect();
    assert_eq!(losses.len(), 40);
    assert!(losses[35..].iter().sum::<f64>() < 0.2 * losses[..5].iter().sum::<f64>(), "{losses:?}");
    let evaluated: Vec<u64> =
        records.iter().filter_map(|m| if let Metrics::Eval { step, .. } = m { Some(*step) } else { None }).collect();
    assert_eq!(evaluated, [3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 40]);
    assert_eq!(done.ended.metrics["r2"], 1.0 - done.ended.metrics["loss"] / 2.0);
    assert!(done.ended.metrics["r2"] > 0.5 && !done.ended.metrics.contains_key("accuracy"));
    assert_eq!(done.ended.checkpoint.unwrap(), Path::new("checkpoints/step-00000040"));

    // R^2 divides by the variance of the samples that were evaluated, not of the whole part.
    let mut few = Bench::new(3, 0);
    few.experiment.evaluation.samples = 5;
    let subset = self::folder();
    let some = few.train(subset.path(), ToyEngine::default()).ended.metrics;
    assert_eq!(some["r2"], 1.0 - some["loss"] / 1.0);

    // The model holds the weights that were evaluated: the average, under the parameter's name.
    let model = read_model(folder.path()).unwrap();
    let last = read_checkpoint(&folder.path().join("checkpoints/step-00000040")).unwrap();
    assert_eq!(model["w"], last.tensors["ema/w"]);
    assert_eq!(model.len(), 1);
    assert_eq!(done.ended.weights.unwrap(), weights_hash(&model));
    let config = std::fs::read(folder.path().join("config.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Experiment>(&config).unwrap(), Bench::new(40, 0).experiment);
}

#[test]
fn micro_batches_change_nothing_but_the_shape_of_the_work() {
    let whole = undisturbed(10);
    let folder = folder();
    let mut bench = Bench::new(10, 0);
    bench.programs = toy::programs(2, 4);
    let done = bench.train(folder.path(), ToyEngine::default());
    assert_eq!((done.ended.weights, metrics(folder.path())), whole);
}

#[test]
fn a_run_killed_in_any_step_and_resumed_ends_as_if_it_had_not_been() {
    let steps = 13;
    let expected = undisturbed(steps);
    for checkpoint_every in [1, 2, 5] {
        for killed_in in 0..steps {
            let folder = folder();
            let bench = Bench::new(steps, checkpoint_every);
            let crash = bench.train(folder.path(), ToyEngine::failing(killed_in, Failure::Crash));
            assert!(matches!(crash.ended.end, End::Failed { .. }));
            let resumed = bench.train(folder.path(), ToyEngine::default());
            assert_eq!(resumed.ended.end, End::Completed);
            assert!(resumed.first_step <= killed_in && resumed.first_step + checkpoint_every >= killed_in.min(1));
            assert_eq!((resumed.ended.weights, metrics(folder.path())), expected, "{checkpoint_every}, {killed_in}");
        }
    }
}

/// Stopped at rungs and gone on in a new folder each time, a run ends as if it had never been stopped: the schedule is that
/// of the whole run, and stopping adds no evaluation.
#[test]
fn a_run_paused_at_its_rungs_is_the_run_that_was_not() {
    let steps = 20;
    let expected = undisturbed(steps);
    let root = folder();
    let mut bench = Bench::new(steps, 0);
    let attempt = |n: usize| root.path().join(format!("{n}"));
    for (n, rung) in [3, 6, 18].into_iter().enumerate() {
        std::fs::create_dir(attempt(n)).unwrap();
        bench.stop_at = Some(rung);
        let paused = bench.train(&attempt(n), ToyEngine::default());
        assert_eq!((paused.ended.end, paused.ended.step), (End::Paused, rung));
        assert!(paused.ended.weights.is_none() && paused.ended.metrics["loss"].is_finite());
        let last = metrics(&attempt(n)).pop().unwrap();
        assert!(
            matches!(&last, Metrics::Eval { step, metrics, .. } if *step == rung && *metrics == paused.ended.metrics)
        );
        // Asked again, as after a controller's crash: the same answer without another step.
        let again = bench.train(&attempt(n), ToyEngine::default());
        assert_eq!((again.ended.end, again.ended.metrics), (End::Paused, paused.ended.metrics));
        bench.resume_from = Some(attempt(n).join(paused.ended.checkpoint.unwrap()));
    }
    std::fs::create_dir(attempt(9)).unwrap();
    bench.stop_at = Some(steps);
    let done = bench.train(&attempt(9), ToyEngine::default());
    assert_eq!((done.ended.end, done.first_step), (End::Completed, 18));
    assert_eq!((done.ended.weights, metrics(&attempt(9))), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Several kills, each leaving a torn line and a half-written checkpoint, some resumed in a new attempt's folder.
    #[test]
    fn any_sequence_of_kills_ends_in_the_same_bits(
        every in 1u64..6,
        kills in prop::collection::vec((0u64..17, any::<bool>(), "[a-z{\"]{0,9}"), 0..6),
    ) {
        let root = folder();
        let mut bench = Bench::new(17, every);
        let mut attempt = 1;
        let attempt_folder = |n: u32| {
            let path = root.path().join(format!("{n:02}"));
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        for (step, elsewhere, torn) in kills {
            let here = attempt_folder(attempt);
            bench.train(&here, ToyEngine::failing(step, Failure::Crash));
            let mut records = std::fs::read(here.join(METRICS_FILE)).unwrap();
            records.extend(torn.as_bytes());
            std::fs::write(here.join(METRICS_FILE), records).unwrap();
            let half = here.join(CHECKPOINTS_FOLDER).join(".step-00000004.tmp");
            std::fs::create_dir_all(&half).unwrap();
            std::fs::write(half.join("state.safetensors"), b"half").unwrap();
            let newest = list_checkpoints(&here.join(CHECKPOINTS_FOLDER)).unwrap().pop();
            if let (true, Some((_, path))) = (elsewhere, newest) {
                attempt += 1;
                bench.resume_from = Some(path);
            }
        }
        let here = attempt_folder(attempt);
        let done = bench.train(&here, ToyEngine::default());
        prop_assert_eq!((done.ended.weights, metrics(&here)), undisturbed(17));
        let left = std::fs::read_dir(here.join(CHECKPOINTS_FOLDER)).unwrap();
        prop_assert!(left.flatten().all(|e| !e.file_name().to_string_lossy().starts_with('.')));
    }
}

#[test]
fn a_stop_checkpoints_at_the_next_boundary_and_the_rest_is_the_same() {
    let expected = undisturbed(12);
    for at in 1..12 {
        let folder = folder();
        let mut bench = Bench::new(12, 0);
        let notes = Notes { stop_after: Some((at, bench.stop.clone())), ..Notes::default() };
        let stopped = bench.train_noting(folder.path(), ToyEngine::default(), notes).unwrap();
        assert_eq!((stopped.ended.end, stopped.ended.step), (End::Checkpointed, at));
        assert_eq!(steps_of_checkpoints(folder.path()), [at]);
        bench.stop = StopFlag::inert();
        let resumed = bench.train(folder.path(), ToyEngine::default());
        assert_eq!(resumed.first_step, at);
        assert_eq!((resumed.ended.weights, metrics(folder.path())), expected);
    }
}

#[test]
fn the_wall_limit_checkpoints_and_says_so() {
    let folder = folder();
    let mut bench = Bench::new(1000, 0);
    bench.deadline = Some(0.5);
    let done = bench.train(folder.path(), ToyEngine::default());
    assert_eq!(done.ended.end, End::TimedOut { limit_seconds: 0.5 });
    assert!(done.ended.step > 5 && done.ended.step < 50, "{}", done.ended.step);
    assert_eq!(steps_of_checkpoints(folder.path()), [done.ended.step]);
}

#[test]
fn divergence_is_a_recorded_result_without_a_nan_in_any_file() {
    for (failure, what) in [(Failure::Nan, "training loss became NaN"), (Failure::Infinite, "gradient norm became inf")]
    {
        let folder = folder();
        let done = Bench::new(10, 2).train(folder.path(), ToyEngine::failing(7, failure));
        let End::Diverged { reason } = &done.ended.end else { panic!("{:?}", done.ended.end) };
        assert!(reason.contains(what) && reason.contains("step 8"), "{reason}");
        assert_eq!(done.ended.step, 8);
        assert_eq!(done.ended.metrics, last_eval(folder.path()));
        let records = metrics(folder.path());
        assert_eq!(records.last().unwrap().step(), 7);
        assert!(steps_of_checkpoints(folder.path()).iter().all(|&s| s < 8), "the spoilt state is not kept");
    }
}

/// The metrics of the last evaluation on file.
fn last_eval(folder: &Path) -> std::collections::BTreeMap<String, f64> {
    let evaluation = |m| if let Metrics::Eval { metrics, .. } = m { Some(metrics) } else { None };
    metrics(folder).into_iter().rev().find_map(evaluation).unwrap()
}

#[test]
fn running_out_of_memory_is_told_apart() {
    let folder = folder();
    let done = Bench::new(10, 0).train(folder.path(), ToyEngine::failing(3, Failure::OutOfMemory));
    assert_eq!(done.ended.end, End::OutOfMemory { wanted: Bytes(10), limit: Bytes(3), of: MemoryKind::Host });
    assert_eq!(done.ended.step, 3);
}

#[test]
fn the_latest_and_the_best_checkpoints_are_kept() {
    let folder = folder();
    let mut bench = Bench::new(30, 4);
    bench.experiment.evaluation.keep_checkpoints = 2;
    // A rate beyond stability (momentum 0.9 holds up to 3.8 over the curvature, about 11 here): the first evaluation is best.
    bench.experiment.schedule = serde_json::from_value(serde_json::json!({"shape": "constant"})).unwrap();
    bench.experiment.optimizer =
        serde_json::from_value(serde_json::json!({"kind": "sgd", "learning_rate": 16.0})).unwrap();
    let done = bench.train(folder.path(), ToyEngine::default());
    let best = read_checkpoint(&folder.path().join(done.ended.checkpoint.unwrap())).unwrap().info.best.unwrap();
    let kept = steps_of_checkpoints(folder.path());
    assert_eq!(best.step, 3);
    assert!(kept.ends_with(&[30]) && kept.contains(&best.step), "{kept:?} {best:?}");
    assert!(kept.len() <= 3, "{kept:?}");
    let smallest = metrics(folder.path())
        .iter()
        .filter_map(|m| if let Metrics::Eval { metrics, .. } = m { Some(metrics["loss"]) } else { None })
        .fold(f64::INFINITY, f64::min);
    assert_eq!(best.loss, smallest);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_with_a_warning() {
    let expected = undisturbed(14);
    let folder = folder();
    let bench = Bench::new(14, 2);
    bench.train(folder.path(), ToyEngine::failing(9, Failure::Crash));
    let all = list_checkpoints(&folder.path().join(CHECKPOINTS_FOLDER)).unwrap();
    let (newest, path) = all.last().unwrap().clone();
    let state = path.join("state.safetensors");
    let mut bytes = std::fs::read(&state).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&state, bytes).unwrap();

    let done = bench.train(folder.path(), ToyEngine::default());
    assert!(done.first_step < newest && done.first_step > 0, "{}", done.first_step);
    assert_eq!(done.warnings.len(), 1);
    assert!(done.warnings[0].contains("state.safetensors: its BLAKE3 hash is"), "{}", done.warnings[0]);
    assert!(done.events.contains(&Event::Warning(done.warnings[0].clone())));
    assert!(path.with_extension("damaged").exists(), "kept for a person to look at");
    assert_eq!((done.ended.weights, metrics(folder.path())), expected);
}

#[test]
fn where_no_checkpoint_is_left_the_run_starts_again_and_says_so() {
    let expected = undisturbed(9);
    let folder = folder();
    let bench = Bench::new(9, 2);
    bench.train(folder.path(), ToyEngine::failing(7, Failure::Crash));
    for (_, path) in list_checkpoints(&folder.path().join(CHECKPOINTS_FOLDER)).unwrap() {
        std::fs::write(path.join("checkpoint.json"), "{").unwrap();
    }
    let done = bench.train(folder.path(), ToyEngine::default());
    assert_eq!(done.first_step, 0);
    assert!(done.warnings.len() >= 2, "{:?}", done.warnings);
    assert_eq!((done.ended.weights, metrics(folder.path())), expected);
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = folder();
    let mut bench = Bench::new(9, 2);
    bench.train(folder.path(), ToyEngine::failing(7, Failure::Crash));
    bench.key = RunKey("other".into());
    let error = bench.train_noting(folder.path(), ToyEngine::default(), Notes::default()).err().unwrap();
    let End::Refused { message } = error.end(DeviceSpec::Cpu) else { panic!("{error:?}") };
    assert!(message.contains("belongs to run toy") && message.contains("this is run other"), "{message}");
}

#[test]
fn other_hardware_is_a_warning_with_what_changed() {
    let folder = folder();
    let bench = Bench::new(9, 2);
    bench.train(folder.path(), ToyEngine { chip: "old".into(), ..ToyEngine::failing(7, Failure::Crash) });
    let done = bench.train(folder.path(), ToyEngine { chip: "new".into(), ..ToyEngine::default() });
    assert_eq!(done.ended.end, End::Completed);
    assert!(done.warnings[0].contains("chip: old -> new"), "{:?}", done.warnings);
}

#[test]
fn device_seconds_become_steps_once_and_for_all() {
    let folder = folder();
    let mut bench = Bench::new(1, 3);
    bench.experiment.training.budget = TrainingBudget::DeviceSeconds(0.2);
    // One batch of the toy takes 10 ms, so 20 steps fit (19 where the clock's sums round down).
    let crash = bench.train(folder.path(), ToyEngine::failing(8, Failure::Crash));
    let calibrated =
        crash.events.iter().find_map(|e| if let Event::Calibrated { total, .. } = e { Some(*total) } else { None });
    let total = calibrated.unwrap();
    assert!((19..=20).contains(&total), "{total}");
    // A machine half as fast goes on with the same number: the checkpoint has it.
    bench.clock.advance(100.0);
    let done = bench.train(folder.path(), ToyEngine::default());
    assert!(!done.events.iter().any(|e| matches!(e, Event::Calibrated { .. })));
    assert_eq!(done.ended.step, total);
    // Calibration left no trace in the state: the same steps asked for directly give the same bits.
    assert_eq!((done.ended.weights, metrics(folder.path())), undisturbed(total));
}

#[test]
fn time_goes_on_where_the_killed_process_had_checkpointed() {
    let folder = folder();
    let bench = Bench::new(10, 5);
    bench.train(folder.path(), ToyEngine::failing(7, Failure::Crash));
    bench.clock.advance(1000.0);
    bench.train(folder.path(), ToyEngine::default());
    let seconds: Vec<f64> = read_metrics(&folder.path().join(METRICS_FILE))
        .unwrap()
        .iter()
        .map(|m| match m {
            Metrics::Train { timing, .. } | Metrics::Eval { timing, .. } => timing.seconds,
        })
        .collect();
    assert!(seconds.is_sorted(), "{seconds:?}");
    assert!(*seconds.last().unwrap() < 1.0, "waiting between attempts is not training: {seconds:?}");
    assert!(bench.clock.monotonic() > 1000.0);
}
