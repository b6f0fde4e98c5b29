//! Attempts that fail, and what becomes of their runs.

use super::lab::{Lab, Listed, accuracy, campaign, completes, learning_rate, remembering};
use crate::campaign::{Purpose, Reason, RunResult, Seen, Standing, State, placement};
use crate::exec::fake::Play;
use crate::failure::Class;
use crate::record::{AttemptSpec, End, MemoryKind};
use crate::units::{Bytes, DeviceTime};
use std::path::Path;

/// Leaves a checkpoint as a worker would.
fn checkpoint(folder: &Path, step: u64, complete: bool) {
    let path = folder.join("checkpoints").join(format!("step-{step:08}"));
    std::fs::create_dir_all(&path).unwrap();
    if complete {
        std::fs::write(path.join("checkpoint.json"), "{}").unwrap();
    }
}

fn metrics(folder: &Path, steps: std::ops::RangeInclusive<u64>, torn: bool) {
    let mut text: String =
        steps.map(|s| format!("{{\"kind\":\"train\",\"step\":{s},\"by\":{:?}}}\n", folder)).collect();
    if torn {
        text.push_str("{\"kind\":\"tra");
    }
    std::fs::write(folder.join("metrics.jsonl"), text).unwrap();
}

/// One run of a candidate under `script`, after a quiet baseline.
pub fn one_candidate(
    changes: &str,
    mut script: impl FnMut(&AttemptSpec, &Path) -> Play + 'static,
) -> (State, Vec<AttemptSpec>, Lab) {
    let campaign = campaign(changes);
    let (seen, script) =
        remembering(
            move |spec, folder| {
                if learning_rate(&spec.experiment) == 0.01 { completes(spec) } else { script(spec, folder) }
            },
        );
    let lab = Lab::new(&campaign, script);
    lab.drive_with(&campaign, &Listed(vec![0.001])).0.unwrap();
    let candidates = seen.borrow().iter().filter(|s| learning_rate(&s.experiment) != 0.01).cloned().collect();
    (lab.check(), candidates, lab)
}

#[test]
fn a_crash_goes_on_from_the_newest_complete_checkpoint_of_any_attempt() {
    let (state, specs, lab) = one_candidate("", |spec, folder| match spec.id.number {
        1 => {
            checkpoint(folder, 100, true);
            checkpoint(folder, 120, false);
            metrics(folder, 1..=150, true);
            Play::dies(1.5, 11)
        }
        // Dies before its first checkpoint.
        2 => Play::dies(0.2, 11),
        _ => {
            metrics(folder, 101..=200, false);
            std::fs::write(folder.join("outcome.json"), "{\"last\":3}").unwrap();
            completes(spec)
        }
    });
    assert_eq!(specs.len(), 3);
    assert_eq!(specs[0].resume_from, None);
    for spec in &specs[1..] {
        let from = spec.resume_from.as_ref().unwrap();
        assert_eq!(from, Path::new("../../../../runs/0004/attempts/01/checkpoints/step-00000100"));
        assert_eq!(spec.key, specs[0].key);
    }
    let run = &state.runs[3];
    assert_eq!(run.attempts[0].ended.as_ref().unwrap().class, Class::Crashed { code: None, signal: Some(11) });
    assert!(matches!(run.result, Some(RunResult::Finished { .. })));
    assert_eq!(run.used().time, DeviceTime::of(1, 1.5) + DeviceTime::of(1, 0.2) + DeviceTime::of(1, 2.0));
    // The run's own files speak of the whole run: each step once, by the attempt that counts.
    let folder = lab.folder.join(placement::run_path(run.id));
    assert_eq!(std::fs::read_to_string(folder.join("outcome.json")).unwrap(), "{\"last\":3}");
    let lines: Vec<serde_json::Value> = std::fs::read_to_string(folder.join("metrics.jsonl"))
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let steps: Vec<u64> = lines.iter().map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=200).collect::<Vec<_>>());
    assert!(lines[99]["by"].as_str().unwrap().ends_with("01") && lines[100]["by"].as_str().unwrap().ends_with("03"));
}

#[test]
fn retries_are_bounded_and_the_planner_learns_of_the_failure() {
    let (state, specs, _lab) = one_candidate("execution = { retries = 1 }", |_, _| Play::dies(0.5, 11));
    assert_eq!(specs.len(), 2);
    let Standing::Failed { reason } = &state.candidates[0].standing else { panic!("{:?}", state.candidates[0]) };
    assert!(reason.contains("signal 11") && reason.contains("retries"), "{reason}");
    assert!(state.observations(1, 1, Seen::Earliest)[0].failed);
}

#[test]
fn divergence_is_a_result_and_costs_one_attempt() {
    let (state, specs, _lab) =
        one_candidate("", |_, _| Play::ends(0.5, End::Diverged { reason: "loss is NaN at step 12".into() }));
    assert_eq!(specs.len(), 1);
    let Some(RunResult::Failed { reason }) = &state.runs[3].result else { panic!() };
    assert!(reason.contains("loss is NaN"), "{reason}");
}

#[test]
fn memory_and_time_are_given_where_they_ran_out() {
    let (state, specs, _lab) = one_candidate(
        "baseline = { resources = { memory_mib = 100, wall_seconds = 10.0 } }\nexecution = { retries = 5 }",
        |spec, _| match spec.id.number {
            1 => Play::ends(0.5, End::OutOfMemory { wanted: Bytes(2), limit: Bytes(1), of: MemoryKind::Host }),
            2 => Play::ends(0.5, End::OutOfMemory { wanted: Bytes(2), limit: Bytes(1), of: MemoryKind::Host }),
            3 => Play::ends(0.5, End::OutOfMemory { wanted: Bytes(2), limit: Bytes(1), of: MemoryKind::Host }),
            4 => Play::ends(10.0, End::TimedOut { limit_seconds: 10.0 }),
            _ => completes(spec),
        },
    );
    let micro: Vec<usize> = specs.iter().map(|s| s.experiment.resources.micro_batch).collect();
    assert_eq!(micro, [0, 16, 8, 8, 8]);
    let memory: Vec<u64> = specs.iter().map(|s| s.memory.0 >> 20).collect();
    assert_eq!(memory, [100, 100, 100, 150, 150]);
    let wall: Vec<f64> = specs.iter().map(|s| s.wall_seconds).collect();
    assert_eq!(wall, [10.0, 10.0, 10.0, 10.0, 20.0]);
    assert!(specs.iter().all(|s| s.key == specs[0].key), "a recovery never changes what a run is");
    let reserved: Vec<f64> = state.runs[3].attempts.iter().map(|a| a.reserved.time.seconds()).collect();
    assert_eq!(reserved, [11.0, 11.0, 11.0, 11.0, 21.0]);
}

#[test]
fn an_attempt_that_outlives_its_reservation_is_noted_and_not_charged_beyond_it() {
    let (state, _, _lab) = one_candidate("baseline = { resources = { wall_seconds = 4.0 } }", |spec, _| {
        if spec.id.number == 1 { Play::ends(7.5, End::TimedOut { limit_seconds: 4.0 }) } else { completes(spec) }
    });
    let end = state.runs[3].attempts[0].ended.as_ref().unwrap();
    // The executor kills at 5 s; whatever it then reports beyond that is overrun.
    assert_eq!(end.used.time, DeviceTime::of(1, 5.0));
    assert_eq!(state.ledger.overrun(), end.overrun);
    assert_eq!(end.overrun + DeviceTime::of(1, 5.0), DeviceTime::of(1, end.evidence.seconds));
}

#[test]
fn a_launch_that_fails_is_retried_and_then_given_up_with_its_cause() {
    let campaign = campaign("execution = { retries = 1 }");
    let mut lab = Lab::quiet(&campaign);
    lab.refuse_launches = true;
    let conclusion = lab.conclude(&campaign);
    assert_eq!(conclusion.reason, Reason::BaselineFailed);
    let state = lab.check();
    assert_eq!(state.runs.len(), 3);
    for run in &state.runs {
        assert_eq!(run.attempts.len(), 2);
        let Some(RunResult::Failed { reason }) = &run.result else { panic!() };
        assert!(reason.contains("no such program"), "{reason}");
    }
    assert_eq!(state.ledger.settled(), Default::default());
}

#[test]
fn a_baseline_with_one_value_compares_nothing_and_with_two_it_does() {
    let failing = |seeds: &'static [u64]| {
        let campaign = campaign("execution = { retries = 0 }\nplanner = { candidates = 3 }");
        let lab = Lab::new(&campaign, move |spec, _| {
            if seeds.contains(&spec.experiment.training.seed) { Play::dies(0.5, 11) } else { completes(spec) }
        });
        let (_, _) = lab.drive_with(&campaign, &Listed(vec![0.2, 0.1]));
        lab.check()
    };
    assert_eq!(failing(&[1, 3]).conclusion.unwrap().reason, Reason::BaselineFailed);
    let state = failing(&[1]);
    // The pairs are on the seeds that the baseline has.
    assert_eq!(state.screening_seed(), Some(4));
    let best = state.best().unwrap();
    assert_eq!(best.runs.keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
}

#[test]
fn a_finalist_whose_repetition_fails_is_not_confirmed() {
    let campaign = campaign("execution = { retries = 0 }");
    let lab = Lab::new(&campaign, |spec, _| {
        let confirming = learning_rate(&spec.experiment) == 0.2 && spec.experiment.training.seed == 2;
        if confirming { Play::dies(0.5, 11) } else { completes(spec) }
    });
    let (_, _) = lab.drive_with(&campaign, &Listed(vec![0.2, 0.1]));
    let state = lab.check();
    assert_eq!(state.best().unwrap().index, 1);
    let Standing::Judged { why, .. } = &state.candidates[0].standing else { panic!() };
    assert!(why.contains("failed"), "{why}");
    assert!(
        !state.runs.iter().any(|r| r.purpose == Purpose::Confirm { index: 0 } && r.seed == 3),
        "no seed after that"
    );
}

#[test]
fn a_run_without_the_metric_has_no_value() {
    let (state, _, _lab) = one_candidate("", |spec, _| {
        Play::completes(0.5, &[("loss", accuracy(&spec.experiment)), ("accuracy", f64::NAN)])
    });
    let Some(RunResult::Failed { reason }) = &state.runs[3].result else { panic!() };
    assert!(reason.contains("accuracy"), "{reason}");
}
