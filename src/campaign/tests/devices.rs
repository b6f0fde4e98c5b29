//! GPUs that are too small, busy, missing or broken, and what becomes of the runs on them.

use super::failures::one_candidate;
use super::lab::{Lab, Listed, campaign, completes, hungry_proposals, learning_rate};
use crate::campaign::{Advice, Event, NextStep, Price, Pricer, Reason, RunResult, decide, placement};
use crate::config::Experiment;
use crate::exec::fake::Play;
use crate::ids::{AttemptId, RunId};
use crate::planner;
use crate::problem::Result;
use crate::record::{End, Fault, MemoryKind};
use crate::units::{Bytes, DeviceTime};
use std::cell::Cell;
use std::rc::Rc;

const GPU: &str = "baseline = { resources = { device = \"cuda\" } }\n";
const GIB: u64 = 1 << 30;

/// Refused before the first step, or in the middle: the same words.
fn too_large(wanted: u64) -> Play {
    Play::ends(0.2, End::OutOfMemory { wanted: Bytes(wanted), limit: Bytes(40 * GIB), of: MemoryKind::Device })
}

fn fails(fault: Fault, node: Option<&str>) -> Play {
    let mut play = Play::ends(0.2, End::DeviceFailed { fault, message: "it does not work".into() });
    if let Some(outcome) = &mut play.outcome {
        outcome.node = node.map(str::to_string);
    }
    play
}

fn reason(result: &Option<RunResult>) -> &str {
    match result {
        Some(RunResult::Failed { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

/// What is refused for memory before its first step is tried with half the micro-batch, and costs no retry.
#[test]
fn a_run_that_does_not_fit_on_its_gpu_is_admitted_in_halves() {
    for device in ["cuda", "cpu"] {
        let (state, specs, lab) = one_candidate(
            &format!("baseline = {{ resources = {{ device = \"{device}\" }} }}\nexecution = {{ retries = 1 }}\n"),
            move |spec, _| match (spec.experiment.resources.micro_batch, device) {
                (0, "cpu") => {
                    Play::ends(0.2, End::OutOfMemory { wanted: Bytes(9), limit: Bytes(5), of: MemoryKind::Host })
                }
                (0 | 16 | 8, "cuda") => too_large(50 * GIB),
                _ => completes(spec),
            },
        );
        let micro: Vec<usize> = specs.iter().map(|s| s.experiment.resources.micro_batch).collect();
        let expected: &[usize] = if device == "cuda" { &[0, 16, 8, 4] } else { &[0, 16] };
        assert_eq!(micro, expected, "{device}");
        assert!(specs.iter().all(|s| s.key == specs[0].key), "a recovery never changes what a run is");
        let run = &state.runs[3];
        assert!(matches!(run.result, Some(RunResult::Finished { .. })));
        let first = run.attempts[0].ended.as_ref().unwrap();
        assert_eq!(first.evidence.step, 0);
        let sizes = if device == "cuda" { (Bytes(50 * GIB), Bytes(40 * GIB)) } else { (Bytes(9), Bytes(5)) };
        assert_eq!(first.evidence.shortage, Some(sizes));
        lab.check();
    }
}

#[test]
fn what_fits_on_no_gpu_is_given_up_with_the_sizes() {
    let (state, specs, _lab) = one_candidate(GPU, |_, _| too_large(50 * GIB));
    // A batch of 32 can be halved five times.
    assert_eq!(specs.len(), 6);
    let reason = reason(&state.runs[3].result);
    assert!(reason.contains("50.0 GiB wanted where there were 40.0 GiB") && reason.contains("bigger GPU"), "{reason}");
}

/// On a cluster with larger GPUs the run gets one, after its micro-batch could not be halved any further.
#[test]
fn a_cluster_with_a_bigger_gpu_gives_it() {
    let site = format!("{GPU}execution = {{ site = \"site.toml\", device_memory_mib = 81559 }}\n");
    let (state, specs, lab) = one_candidate(&site, move |spec, _| match spec.id.number {
        1..=6 => too_large(50 * GIB),
        _ => completes(spec),
    });
    assert_eq!(specs.len(), 7);
    assert!(matches!(state.runs[3].result, Some(RunResult::Finished { .. })));
    let memory: Vec<Bytes> = launches(&lab, 4).iter().map(|l| l.place.device_memory).collect();
    assert_eq!(memory[..6], [Bytes(0); 6]);
    assert_eq!(memory[6], Bytes(50 * GIB), "what was wanted, which is more than there was");
    let (state, specs, _lab) = one_candidate(&site, |_, _| too_large(90 * GIB));
    assert_eq!(specs.len(), 6, "no GPU there holds that much");
    assert!(reason(&state.runs[3].result).contains("90.0 GiB wanted"));
}

fn launches(lab: &Lab, run: u32) -> Vec<crate::exec::Launch> {
    lab.machine.launches().into_iter().filter(|l| l.id.run == RunId(run)).collect()
}

#[test]
fn what_this_program_cannot_do_is_given_up_at_once() {
    let (state, specs, _lab) = one_candidate(GPU, move |_, _| fails(Fault::NoSupport, None));
    assert_eq!(specs.len(), 1);
    assert!(reason(&state.runs[3].result).contains("it does not work"));
}

/// A library or a driver that is not there is lacking for all runs: on one machine nothing more is started, on a cluster when a
/// second node lacks it too. The conclusion says what to install, and a resumed campaign goes on where it was.
#[test]
fn what_is_not_installed_stops_the_campaign_and_says_what() {
    let cluster = format!("{GPU}execution = {{ site = \"site.toml\", retries = 5 }}\n");
    let missing = [Fault::NoDriver, Fault::NoDevice, Fault::LibraryMissing, Fault::WrongChip, Fault::DriverTooOld];
    for (fault, on_cluster) in missing.into_iter().flat_map(|fault| [(fault, false), (fault, true)]) {
        let campaign = campaign(if on_cluster { &cluster } else { GPU });
        let installed = Rc::new(Cell::new(false));
        let there = Rc::clone(&installed);
        let lab = Lab::new(&campaign, move |spec, _| match there.get() || spec.id.run.0 < 3 {
            true => completes(spec),
            false => fails(fault, on_cluster.then_some(&*format!("n{}", spec.id.number))),
        });
        let conclusion = lab.conclude(&campaign);
        assert_eq!(conclusion.reason, Reason::Missing, "{fault}: {}", conclusion.sentence);
        assert!(conclusion.sentence.contains("it does not work"), "{}", conclusion.sentence);
        let tried = if on_cluster { 2 } else { 1 };
        assert_eq!(lab.state().runs[2].attempts.len(), tried, "{fault}");
        assert_eq!(lab.state().runs.len(), 3, "nothing else was begun");
        if on_cluster {
            let excluded: Vec<Vec<String>> = launches(&lab, 3).into_iter().map(|l| l.place.exclude).collect();
            assert_eq!(excluded, [vec![], vec!["n1".to_string()]]);
            assert!(conclusion.sentence.contains("on node n2"), "{}", conclusion.sentence);
        }
        assert!(lab.state().quarantined.is_empty(), "what one node lacks, others are likely to lack as well");
        // Somebody installs it, and resumes.
        installed.set(true);
        assert_eq!(lab.conclude(&campaign).reason, Reason::CandidatesDone);
        let state = lab.check();
        assert!(matches!(state.runs[2].result, Some(RunResult::Finished { .. })));
        assert_eq!(state.runs[2].attempts.len(), tried + 1);
    }
}

/// Two failures of the hardware on a node, of whatever runs: nothing more is sent there, and the journal says so.
#[test]
fn a_node_whose_hardware_failed_twice_is_left_alone() {
    let changes = format!("{GPU}execution = {{ site = \"site.toml\", retries = 3 }}\nplanner = {{ candidates = 3 }}\n");
    let campaign = campaign(&changes);
    let lab = Lab::new(&campaign, |spec, _| match (learning_rate(&spec.experiment), spec.id.number) {
        (0.001, 1) => fails(Fault::Ecc, Some("n1")),
        (0.002, 1) => fails(Fault::DeviceLost, Some("n1")),
        // Its own fault perhaps: it counts for nothing.
        (0.002, 2) => fails(Fault::IllegalAccess, Some("n2")),
        (0.003, 1) => fails(Fault::IllegalAccess, Some("n2")),
        _ => completes(spec),
    });
    let (finish, events) = lab.drive_with(&campaign, &Listed(vec![0.001, 0.002, 0.003]));
    finish.unwrap();
    let state = lab.check();
    let quarantined: Vec<&str> = events
        .iter()
        .filter_map(|e| match e {
            Event::NodeQuarantined { node, why } => {
                assert!(
                    why.contains("ecc in attempt 0004/01") && why.contains("device-lost in attempt 0005/01"),
                    "{why}"
                );
                Some(node.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(quarantined, ["n1"]);
    let excluded = |run, number| {
        let id = AttemptId { run: RunId(run), number };
        lab.machine.launches().into_iter().find(|l| l.id == id).unwrap().place.exclude
    };
    assert!(excluded(4, 1).is_empty());
    assert_eq!(excluded(4, 2), ["n1"], "this run stays away at once");
    assert!(excluded(5, 1).is_empty(), "another one does not for one fault");
    assert_eq!(excluded(5, 2), ["n1"]);
    assert_eq!(excluded(5, 3), ["n1", "n2"]);
    assert_eq!(excluded(6, 1), ["n1"], "after two it does");
    assert_eq!(excluded(6, 2), ["n1", "n2"]);
    assert!(state.runs.iter().all(|r| matches!(r.result, Some(RunResult::Finished { .. }))));
    assert!(state.decisions.iter().any(|d| d.text.contains("node n1 is left alone")));
}

#[test]
fn a_busy_device_is_waited_for_longer_and_longer_and_not_for_ever() {
    let (state, specs, _lab) =
        one_candidate(&format!("{GPU}execution = {{ retries = 0 }}\n"), |spec, _| match spec.id.number {
            1..=3 => fails(Fault::Busy, None),
            _ => completes(spec),
        });
    assert_eq!(specs.len(), 4);
    let attempts = &state.runs[3].attempts;
    let waits: Vec<f64> =
        attempts.windows(2).map(|pair| pair[1].reserved_at - pair[0].ended.as_ref().unwrap().at).collect();
    for (wait, least) in waits.iter().zip([30.0, 60.0, 120.0]) {
        assert!((least..least + 1.0).contains(wait), "{waits:?}");
    }
    assert_eq!(state.ledger.reserved(), Default::default(), "nothing is reserved meanwhile");
    let (state, specs, _lab) = one_candidate(GPU, |_, _| fails(Fault::Busy, None));
    assert_eq!(specs.len(), 6);
    assert!(reason(&state.runs[3].result).contains("still busy after 5 waits"));
}

/// A controller that comes back in the middle of a wait waits on: the time is in the journal.
#[test]
fn a_wait_outlives_its_controller() {
    let campaign = campaign(GPU);
    let mut lab = Lab::new(&campaign, |spec, _| match (spec.id.run, spec.id.number) {
        (RunId(1), 1) => fails(Fault::Busy, None),
        _ => completes(spec),
    });
    let sampler = planner::sampler(&campaign.planner);
    // Started, scoped, planned, reserved, launched, ended, decided.
    lab.die_after = Some(7);
    assert!(lab.drive_until_killed(&campaign).is_none());
    lab.die_after = None;
    let state = lab.state();
    let now = |now| Advice { now, ..lab.advice(sampler.as_ref()) };
    let Some(NextStep::Retry { not_before: Some(due), charged: false, .. }) = state.runs[0].next else { panic!() };
    assert_eq!(decide(&state, &now(due - 0.5)).unwrap(), []);
    assert!(matches!(decide(&state, &now(due)).unwrap()[..], [Event::AttemptReserved { .. }]));
    lab.conclude(&campaign);
    lab.check();
}

/// Attempts that share a GPU are charged their share of it, and are killed no sooner for that.
#[test]
fn sharers_of_a_gpu_pay_their_share() {
    let changes = format!("{GPU}execution = {{ parallel = 4, attempts_per_device = 4 }}\n");
    let campaign = campaign(&changes);
    let lab = Lab::quiet(&campaign);
    lab.conclude(&campaign);
    let state = lab.check();
    let attempts: Vec<_> = state.runs.iter().flat_map(|r| &r.attempts).collect();
    for attempt in &attempts {
        let end = attempt.ended.as_ref().unwrap();
        assert_eq!(end.used.time, DeviceTime::share(4, end.evidence.seconds));
        assert_eq!(attempt.reserved.time, DeviceTime::share(4, attempt.limits.wall_seconds + 1.0));
    }
    for launch in lab.machine.launches() {
        let limits = state.attempt(launch.id).unwrap().limits;
        assert!((launch.kill_after_seconds - limits.wall_seconds - 1.0).abs() < 0.01, "{launch:?}");
    }
    // Two seconds each: half a device-second, so four side by side hold one device for as long as it takes.
    assert_eq!(state.ledger.settled().time, DeviceTime { ms: 500 * attempts.len() as u64 });
}

/// Learning rates above 0.1 need 60 GiB of a GPU; the host's memory is never short.
struct Hungry;

impl Pricer for Hungry {
    fn price(&self, experiment: &Experiment) -> Result<Price> {
        let gib = if learning_rate(experiment) > 0.1 { 60 } else { 10 };
        Ok(Price {
            seconds: 2.0,
            high_seconds: 2.4,
            memory: Bytes(90 * GIB),
            device_memory: experiment.resources.device.is_gpu().then_some(Bytes(gib * GIB)),
            steps: 200,
            data_hash: "digits".into(),
        })
    }
}

#[test]
fn what_does_not_fit_on_the_gpu_is_never_proposed() {
    for (device, limit, filter, refused) in [
        ("cuda", 40960, true, true),
        ("cuda", 81559, true, false),
        ("cuda", 0, true, false),
        ("cuda", 40960, false, false),
        ("cpu", 40960, true, false),
    ] {
        let campaign = campaign(&format!(
            "planner = {{ candidates = 12, memory_filter = {filter} }}\nexecution = {{ device_memory_mib = {limit} }}\n\
             baseline = {{ resources = {{ device = \"{device}\" }} }}"
        ));
        let hungry = hungry_proposals(&campaign, &Hungry);
        assert_eq!(hungry == 0, refused, "{device}, {limit} MiB, filter {filter}: {hungry} of 12 do not fit");
    }
}

/// A first attempt asks for a GPU of the predicted size where the cluster has one; a halved one needs no such thing.
#[test]
fn a_predicted_size_is_asked_for() {
    let changes = format!("{GPU}execution = {{ site = \"site.toml\", device_memory_mib = 40960 }}\n");
    let (mut state, _, _lab) = one_candidate(&changes, |spec, _| completes(spec));
    let place = |state: &crate::campaign::State| placement::place(state, &state.runs[3], &state.runs[3].attempts[0]);
    assert_eq!(place(&state).device_memory, Bytes(0));
    state.runs[3].price.device_memory = Some(Bytes(30 * GIB));
    assert_eq!(place(&state).device_memory, Bytes(30 * GIB));
    state.runs[3].attempts[0].limits.micro_batch = 8;
    assert_eq!(place(&state).device_memory, Bytes(0));
    state.runs[3].attempts[0].limits.micro_batch = 0;
    state.runs[3].price.device_memory = Some(Bytes(50 * GIB));
    assert_eq!(place(&state).device_memory, Bytes(0), "no GPU there is so large: it is halved instead");
}
