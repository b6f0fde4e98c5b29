//! Attempts that look at themselves: what is left behind, what it costs, and that it can neither end nor delay them.
#![allow(clippy::disallowed_methods)]

use super::run;
use super::sampling::{PATIENCE, Sampling};
use super::tests::{experiment, folder, outcome, spec};
use crate::config::DeviceSpec;
use crate::gpu::{DeviceSampler, RecordedTrace, Sampler};
use crate::record::{End, GpuSample, UTILIZATION_FILE, UtilizationSummary, read_utilization};
use crate::sys::clock::{Clock, Stopwatch, SystemClock};
use std::path::Path;

/// The attempt's own thread on its own file, every `period` seconds.
fn sampling(folder: &Path, period: f64, sampler: impl FnOnce() -> Sampler + Send + 'static) -> Sampling {
    Sampling::with(DeviceSpec::Cuda(0), 1, folder, SystemClock::default(), period, sampler)
}

#[test]
fn a_short_attempt_leaves_its_first_look_and_its_last_and_their_sum() {
    let folder = folder();
    spec(experiment(10)).write(folder.path()).unwrap();
    assert_eq!(run(folder.path()), 0);
    let looks = read_utilization(folder.path()).unwrap();
    assert!(looks.len() >= 2 && looks.is_sorted_by(|a, b| a.seconds <= b.seconds), "{looks:?}");
    assert!(looks.iter().all(|look| look.memory.0 > 1 << 20 && look.gpu.is_none()));
    let outcome = outcome(folder.path());
    let summary = outcome.utilization.clone().unwrap();
    let again = UtilizationSummary::of(&looks, DeviceSpec::Cpu, 1).unwrap();
    assert_eq!(UtilizationSummary { sampler_seconds: None, ..summary.clone() }, again);
    // Looks are told to the millisecond; a first one that came late may be in the last one's, and then nothing lies between them.
    let (whole, busy) = (outcome.seconds + 1e-3, summary.busy_seconds());
    assert!(summary.seconds <= whole && busy.is_none_or(|busy| busy <= whole), "{summary:?}");
    assert_eq!(busy.is_some(), summary.seconds > 0.0, "{summary:?}");
    assert_eq!((summary.gpu.clone(), summary.joules()), (None, None), "a processor's energy is not measured");
}

/// About two seconds of training at one look a second; `--nocapture` shows what looking cost.
#[test]
fn looking_costs_less_than_half_a_percent_of_an_attempt() {
    let folder = folder();
    let mut long = experiment(3000);
    long.evaluation = serde_json::from_value(serde_json::json!({"every": 3000, "samples": 64})).unwrap();
    long.model = serde_json::from_value(serde_json::json!({"kind": "mlp", "widths": [256, 256]})).unwrap();
    spec(long).write(folder.path()).unwrap();
    assert_eq!(run(folder.path()), 0);
    let outcome = outcome(folder.path());
    let summary = outcome.utilization.unwrap();
    let cost = summary.sampler_seconds.unwrap();
    let each = cost / summary.samples as f64;
    println!(
        "{} looks in {:.2} s took {:.2} ms of processor time, {:.3}% of the attempt; {:.0} us a look, {:.4}% at one a second",
        summary.samples,
        outcome.seconds,
        1e3 * cost,
        100.0 * cost / outcome.seconds,
        1e6 * each,
        100.0 * each
    );
    assert!(cost > 0.0 && each < 0.005, "a look of {each} s is too dear at one a second");
    assert!(summary.samples as f64 <= outcome.seconds + 3.0, "more looks than one a second");
    if outcome.seconds > 1.0 {
        assert!(cost / outcome.seconds < 0.005, "{cost} s of {} s", outcome.seconds);
    }
    assert!(summary.cores.is_some_and(|cores| cores > 0.0), "the attempt computed all the while: {:?}", summary.cores);
}

#[test]
fn looks_keep_their_pace_and_hold_what_the_device_told() {
    let folder = folder();
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpu/made-up-trace.jsonl");
    let trace = RecordedTrace::read(&trace).unwrap();
    let sampling = sampling(folder.path(), 0.02, || Sampler::with(trace));
    std::thread::sleep(std::time::Duration::from_millis(300));
    let summary = sampling.close().unwrap();
    let looks = read_utilization(folder.path()).unwrap();
    assert_eq!(summary.samples, looks.len() as u64);
    // On a machine that has no time for the thread, looks are left out and never caught up with.
    assert!((2..=17).contains(&looks.len()), "{} looks", looks.len());
    assert!(looks.windows(2).all(|w| w[0].seconds <= w[1].seconds));
    assert_eq!(looks[0].gpu.as_ref().and_then(|gpu| gpu.celsius), Some(34));
    assert!(summary.gpu.is_some_and(|gpu| gpu.celsius.is_some_and(|c| c >= 41)));
}

#[test]
fn a_file_that_cannot_be_written_ends_nothing() {
    let folder = folder();
    // A folder of that name: it can neither be read nor opened, not even by root.
    std::fs::create_dir(folder.path().join(UTILIZATION_FILE)).unwrap();
    spec(experiment(10)).write(folder.path()).unwrap();
    assert_eq!(run(folder.path()), 0);
    let outcome = outcome(folder.path());
    assert_eq!(outcome.end, End::Completed);
    assert!(outcome.utilization.is_some_and(|u| u.samples >= 2), "what was seen is known all the same");
}

/// A driver that does not answer any more.
struct Hangs;

impl DeviceSampler for Hangs {
    fn sample(&mut self) -> Option<GpuSample> {
        loop {
            std::thread::park();
        }
    }
}

/// A driver's bug.
struct Breaks;

impl DeviceSampler for Breaks {
    fn sample(&mut self) -> Option<GpuSample> {
        std::panic::resume_unwind(Box::new("broken"))
    }
}

#[test]
fn neither_a_hanging_nor_a_broken_driver_holds_an_attempt_up() {
    let folder = folder();
    let hanging = sampling(folder.path(), 1.0, || Sampler::with(Hangs));
    let opening = sampling(folder.path(), 1.0, || {
        loop {
            std::thread::park();
        }
    });
    let broken = sampling(folder.path(), 1.0, || Sampler::with(Breaks));
    for stuck in [hanging, opening, broken] {
        let waited = Stopwatch::start();
        assert_eq!(stuck.close_within(PATIENCE), None, "nothing was seen");
        // The rest is room for a loaded machine.
        assert!(waited.seconds() < PATIENCE + 5.0);
    }
}

#[test]
fn the_end_waits_for_no_period() {
    let folder = folder();
    let clock = SystemClock::default();
    let sampling = sampling(folder.path(), 3600.0, || Sampler::new(None));
    assert!(sampling.close().is_some_and(|summary| summary.samples == 2));
    assert!(clock.monotonic() < 60.0);
    assert_eq!(read_utilization(folder.path()).unwrap().len(), 2);
}
