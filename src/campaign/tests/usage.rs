//! What attempts used, from their outcomes or, where they left none, from their looks.

use super::lab::{Lab, campaign, completes};
use crate::campaign::usage::{Usage, energy};
use crate::config::DeviceSpec;
use crate::exec::fake::Play;
use crate::record::{GpuSummary, Utilization, UtilizationSummary, UtilizationWriter};
use crate::units::{Bytes, DeviceTime};

/// A slot that was busy for `busy` seconds of `seconds`.
fn slot(seconds: f64, busy: f64) -> UtilizationSummary {
    UtilizationSummary { threads: 1, samples: 3, seconds, cores: Some(busy / seconds), ..UtilizationSummary::default() }
}

/// A card that was busy for `busy` seconds and took `joules`.
fn card(busy: f64, joules: f64) -> UtilizationSummary {
    let gpu = GpuSummary { busy_seconds: Some(busy), joules_integrated: Some(joules), ..GpuSummary::default() };
    UtilizationSummary { device: DeviceSpec::Cuda(0), seconds: 2.0, gpu: Some(gpu), ..slot(2.0, 1.0) }
}

#[test]
fn busy_time_and_energy_are_set_against_what_was_held() {
    let campaign = campaign("planner.candidates = 1");
    // Attempts hold 2 s each: a slot half busy, one busier than it was held for, a card, then nothing known.
    let lab = Lab::new(&campaign, move |spec, _| {
        let mut play = completes(spec);
        let known = match spec.id.run.0 {
            1 => Some(slot(2.0, 1.0)),
            2 => Some(slot(3.0, 3.0)),
            3 => Some(card(1.5, 900.0)),
            _ => None,
        };
        play.outcome.as_mut().unwrap().utilization = known;
        play
    });
    lab.conclude(&campaign);
    let state = lab.check();
    let of = |run: usize| Usage::of_run(&state.runs[run - 1]);
    let held = of(1).allocated;
    assert_eq!(held, state.runs[0].used().time);
    assert_eq!((of(1).busy, of(1).joules), (Some(DeviceTime { ms: 1000 }), None));
    assert_eq!(of(2).busy, Some(of(2).allocated), "never busier than held");
    assert_eq!((of(3).busy, of(3).joules), (Some(DeviceTime { ms: 1500 }), Some(900.0)));
    assert_eq!(of(3).watts(), Some(900.0 / of(3).allocated.seconds()));
    assert_eq!((of(4).busy, of(4).busy_share, of(4).joules, of(4).watts()), (None, None, None, None));
    assert_eq!(of(4).words(), format!("allocated {}, busy time not measured", of(4).allocated));
    let all = Usage::of(&state);
    assert_eq!((all.attempts, all.measured_attempts), (state.runs.len(), 3));
    assert_eq!(all.measured, of(1).allocated + of(2).allocated + of(3).allocated);
    assert_eq!(all.busy, Some(DeviceTime { ms: 2500 } + of(2).allocated));
    assert!(all.words().contains("of the") && all.words().contains("900 J in"), "{}", all.words());
    assert_eq!(all.allocated, state.ledger.settled().time + state.ledger.overrun());
}

/// Four that share a card each see all of it; together they were not busier, and took no more, than it.
#[test]
fn of_a_shared_card_each_is_told_its_part() {
    let campaign = campaign(
        "planner.candidates = 1\nbaseline = { resources = { device = \"cuda\" } }\n\
         execution = { parallel = 4, attempts_per_device = 4 }",
    );
    let lab = Lab::new(&campaign, move |spec, _| {
        let mut play = completes(spec);
        play.outcome.as_mut().unwrap().utilization = Some(card(1.5, 900.0));
        play
    });
    lab.conclude(&campaign);
    let one = Usage::of_run(&lab.check().runs[0]);
    assert_eq!((one.allocated, one.busy), (DeviceTime { ms: 500 }, Some(DeviceTime { ms: 375 })));
    assert_eq!((one.joules, one.watts()), (Some(225.0), Some(450.0)));
}

/// A worker that is killed leaves no outcome; its looks are there all the same.
#[test]
fn a_killed_attempt_is_known_by_its_looks() {
    let campaign = campaign("planner.candidates = 1");
    let lab = Lab::new(&campaign, |spec, folder| {
        if (spec.id.run.0, spec.id.number) != (1, 1) {
            return completes(spec);
        }
        let mut writer = UtilizationWriter::open(folder).unwrap();
        for (seconds, cores) in [(0.0, 0.0), (1.0, 0.5), (1.5, 1.0)] {
            writer.append(&Utilization { seconds, cores, memory: Bytes(7), gpu: None }).unwrap();
        }
        Play { seconds: Some(1.9), signal: Some(libc::SIGKILL), ..Play::hangs() }
    });
    lab.conclude(&campaign);
    let state = lab.check();
    let killed = state.runs[0].attempts[0].ended.as_ref().unwrap();
    assert_eq!((killed.evidence.signal, killed.evidence.end.clone()), (Some(libc::SIGKILL), None));
    let looks = killed.evidence.utilization.as_ref().unwrap();
    assert_eq!((looks.samples, looks.seconds, looks.busy_seconds()), (3, 1.5, Some(1.0)));
    assert_eq!(state.runs[1].attempts[0].ended.as_ref().unwrap().evidence.utilization, None);
}

#[test]
fn energy_reads_well() {
    assert_eq!([0.4, 900.0, 43_200.0, 9e6].map(energy), ["0 J", "900 J", "12.0 Wh", "2.50 kWh"]);
}
