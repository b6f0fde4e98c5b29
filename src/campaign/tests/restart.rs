//! Controllers killed at every moment: no run is lost, none is paid for twice, the account is the same.

use super::lab::{Lab, campaign, completes};
use crate::campaign::apply::apply;
use crate::campaign::events::EvidenceSummary;
use crate::campaign::{Event, Finish, NextStep, RunResult, State, decide};
use crate::config::Campaign;
use crate::exec::fake::Play;
use crate::failure::Class;
use crate::planner;
use crate::units::{DeviceTime, Dollars};

fn lab(campaign: &Campaign) -> Lab {
    Lab::new(campaign, |spec, folder| {
        // The second baseline run crashes once, so that a recovery is among the moments.
        if (spec.id.run.0, spec.resume_from.is_some()) == (2, false) && !folder.join("../crashed").exists() {
            std::fs::write(folder.join("../crashed"), "").unwrap();
            return Play::dies(0.7, 11);
        }
        completes(spec)
    })
}

fn small(parallel: usize, kind: &str) -> Campaign {
    campaign(&format!(
        "planner = {{ kind = \"{kind}\", candidates = 4, startup = 2 }}\nexecution = {{ parallel = {parallel} }}\nseeds = {{ finalists = 1 }}"
    ))
}

/// What must not depend on when controllers died: each run's identity, purpose and result, and what was settled.
fn essence(state: &State) -> impl PartialEq + std::fmt::Debug + use<> {
    let runs: Vec<_> = state.runs.iter().map(|r| (r.key.clone(), r.purpose, r.result.clone(), r.used())).collect();
    (runs, state.ledger.settled(), state.conclusion.clone())
}

#[test]
fn killed_after_any_event_a_campaign_ends_as_if_it_had_not_been() {
    let campaign = small(1, "tpe");
    let whole = lab(&campaign);
    whole.conclude(&campaign);
    let expected = whole.check();
    let events = expected.events as usize;
    assert!(events > 60, "{events}");
    for moment in 1..events {
        let mut killed = lab(&campaign);
        killed.die_after = Some(moment);
        if killed.drive_until_killed(&campaign).is_none() {
            killed.die_after = None;
            killed.conclude(&campaign);
        }
        assert_eq!(essence(&killed.check()), essence(&expected), "killed after event {moment}");
    }
}

#[test]
fn killed_right_after_any_launch_before_it_is_written_down() {
    let campaign = small(1, "random");
    let whole = lab(&campaign);
    whole.conclude(&campaign);
    let expected = whole.check();
    for launch in 1..=whole.machine.launches().len() {
        let mut killed = lab(&campaign);
        killed.die_at_launch = Some(launch);
        assert_eq!(killed.drive_until_killed(&campaign), None);
        killed.die_at_launch = None;
        killed.conclude(&campaign);
        let state = killed.check();
        assert_eq!(essence(&state), essence(&expected), "killed at launch {launch}");
        // The worker was adopted, not replaced.
        assert_eq!(state.runs.iter().map(|r| r.attempts.len()).sum::<usize>(), expected.runs.len() + 1);
    }
}

#[test]
fn several_at_once_and_killed_after_any_event() {
    // With several under way the order of results may differ, and with it proposals; grids do not look at results.
    let campaign = small(3, "grid");
    let whole = lab(&campaign);
    whole.conclude(&campaign);
    let expected = whole.check();
    for moment in 1..expected.events as usize {
        let mut killed = lab(&campaign);
        killed.die_after = Some(moment);
        if killed.drive_until_killed(&campaign).is_none() {
            killed.die_after = None;
            // Time passes without a controller; workers end unseen.
            killed.clock.advance(if moment % 2 == 0 { 0.0 } else { 30.0 });
            killed.conclude(&campaign);
        }
        let state = killed.check();
        assert_eq!(state.ledger.settled(), expected.ledger.settled(), "killed after event {moment}");
        assert_eq!(state.conclusion, expected.conclusion);
        assert!(state.runs.iter().all(|r| matches!(r.result, Some(RunResult::Finished { .. }))));
    }
}

#[test]
fn a_campaign_gets_through_under_controllers_that_keep_dying() {
    for seed in 0..4 {
        let campaign = small(2, "random");
        let mut dying = lab(&campaign);
        let mut lives = 0;
        let finish = loop {
            lives += 1;
            assert!(lives < 300, "no progress");
            // Each lives for 2 to 7 events (its own arrival is the first).
            dying.die_after = Some(2 + (crate::rng::bits(seed, 98, lives, 0, 0) % 6) as usize);
            if let Some(finish) = dying.drive_until_killed(&campaign) {
                break finish;
            }
        };
        assert!(matches!(finish, Finish::Concluded(_)) && lives > 10, "{lives}");
        let state = dying.check();
        assert!(state.runs.iter().all(|r| matches!(r.result, Some(RunResult::Finished { .. }))));
        assert!(state.best().is_some());
    }
}

/// The controller wrote "launched" and died before the worker could claim the attempt: the next one gives it up, and the
/// run pays no retry for it. A launch that failed under the eyes of its own controller is charged.
#[test]
fn an_attempt_given_up_by_a_later_controller_costs_no_retry() {
    let campaign = small(1, "random");
    let launched = (1..40).find_map(|moment| {
        let mut killed = lab(&campaign);
        killed.die_after = Some(moment);
        assert_eq!(killed.drive_until_killed(&campaign), None);
        let state = killed.state();
        let id = state.live().find(|a| a.launched_at.is_some())?.id;
        Some((killed, state, id))
    });
    let (lab, state, id) = launched.unwrap();
    for adopted in [false, true] {
        let mut state = state.clone();
        let started = Event::ControllerStarted { version: "next".to_string(), slots: 8, model: None };
        let ended = Event::AttemptEnded {
            id,
            class: Class::NeverStarted,
            evidence: EvidenceSummary::default(),
            time: DeviceTime::default(),
            dollars: Dollars::default(),
            overrun: DeviceTime::default(),
            checkpoint: None,
            cancelled: false,
        };
        for event in [started, ended].iter().skip(usize::from(!adopted)) {
            let now = state.updated;
            apply(&mut state, event, now).unwrap();
        }
        let sampler = planner::sampler(&campaign.planner);
        let next = decide(&state, &lab.advice(&*sampler)).unwrap();
        let [Event::RecoveryDecided { next: NextStep::Retry { charged, .. }, .. }] = next.as_slice() else {
            panic!("{next:?}")
        };
        assert_eq!(*charged, !adopted);
    }
}
