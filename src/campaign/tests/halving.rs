//! Successive halving: runs wait at rungs, the best go on from their checkpoint, and only what was trained is paid.

use super::lab::{Lab, campaign, remembering, trains};
use crate::campaign::folder::replay;
use crate::campaign::{Event, Finish, Reason, Standing, State, decide};
use crate::config::Campaign;
use crate::failure::Class;
use crate::journal;
use crate::planner;

fn halving(more: &str) -> Campaign {
    campaign(&format!("planner = {{ kind = \"random\", candidates = 18, halving = {{}} }}\n{more}"))
}

#[test]
fn runs_wait_and_the_best_go_on_from_their_checkpoints() {
    let campaign = halving("");
    let (seen, script) = remembering(trains);
    let lab = Lab::new(&campaign, script);
    let conclusion = lab.conclude(&campaign);
    let state = lab.check();
    assert_eq!(conclusion.reason, Reason::CandidatesDone, "{}", conclusion.sentence);
    let looks: Vec<_> = state.runs.iter().filter(|r| !r.rungs.is_empty()).collect();
    assert_eq!(looks.len(), 18);
    assert!(looks.iter().all(|r| r.rungs == [20, 60] && r.price.steps == 200));
    let reached = |n: usize| looks.iter().filter(|r| r.reached.len() >= n).count();
    let complete: Vec<_> = looks.iter().filter(|r| r.result.is_some()).collect();
    assert_eq!(reached(1), 18);
    assert!((5..=9).contains(&reached(2)), "{}", reached(2));
    assert!((2..=4).contains(&complete.len()), "{}", complete.len());
    for run in &complete {
        let told: Vec<_> = seen.borrow().iter().filter(|s| s.id.run == run.id).map(|s| s.stop_at).collect();
        assert_eq!(told, [Some(20), Some(60), None], "run {}", run.id);
        let from: Vec<bool> = run.attempts.iter().map(|a| a.resume_from.is_some()).collect();
        assert_eq!(from, [false, true, true]);
        // 0.2 + 0.4 + 1.4 s: the same as one whole run.
        assert!((run.used().time.seconds() - 2.0).abs() < 0.005, "{}", run.used().time);
    }
    // Those who still wait have paid for 20 or 60 steps, and are said to wait.
    for run in looks.iter().filter(|r| r.result.is_none()) {
        assert!(run.paused && run.status() == "paused");
        let steps = run.reached.last().unwrap().step;
        assert!((run.used().time.seconds() - steps as f64 * 0.01).abs() < 0.005, "{}", run.used().time);
        assert!(run.attempts.iter().all(|a| a.ended.as_ref().unwrap().class == Class::Paused));
    }
    // The best of the first rung is among the complete, and the winner is confirmed over whole runs.
    let best = &state.candidates[conclusion.best.unwrap() as usize];
    let first = |r: &crate::campaign::Run| r.reached[0].value;
    let top = looks.iter().max_by(|a, b| first(a).total_cmp(&first(b))).unwrap();
    assert!(top.result.is_some());
    assert!(matches!(best.standing, Standing::Judged { .. }));
    assert!(best.fresh().all(|(_, id)| state.run(id).unwrap().rungs.is_empty()));
    let why = state.why(best.screening.unwrap());
    assert!(why.iter().any(|d| d.text.contains("goes on to step 60: among the best of its rung")), "{why:?}");
    assert!(crate::campaign::results_tsv(&state).contains("waits at step 20"));
}

#[test]
fn less_is_spent_than_without_and_proposals_can_be_derived_again() {
    for parallel in [1, 3] {
        let more = format!("execution = {{ parallel = {parallel} }}");
        let with = halving(&more);
        let lab = Lab::new(&with, trains);
        lab.conclude(&with);
        let state = lab.check();
        let mut without = with.clone();
        without.planner.halving = None;
        let plain = Lab::new(&without, trains);
        plain.conclude(&without);
        let (less, more) = (state.ledger.settled().time.seconds(), plain.check().ledger.settled().time.seconds());
        assert!(less < 0.75 * more, "{less} s with halving, {more} s without");
        let sampler = planner::sampler(&with.planner);
        let envelopes = journal::read(&lab.folder).unwrap();
        for (i, envelope) in envelopes.iter().enumerate() {
            let event = Event::decode(&envelope.kind, envelope.version, &envelope.data).unwrap();
            if let Event::ProposalMade { index, observed, seen, assignment, .. } = event {
                let then = replay(&envelopes[..i]).unwrap();
                for state in [&then, &state] {
                    let again = decide::propose(state, &lab.advice(sampler.as_ref()), index, observed, seen).unwrap();
                    assert_eq!(again.pool.unwrap()[0].assignment, assignment, "proposal {index}");
                }
            }
        }
    }
}

/// A controller killed after any of its events: the next ones come to the same end.
#[test]
fn a_killed_controller_changes_nothing() {
    let campaign = halving("");
    let outcome = |state: &State| {
        let runs: Vec<_> = state.runs.iter().map(|r| (r.key.clone(), r.reached.clone(), r.result.clone())).collect();
        (runs, state.conclusion.clone())
    };
    let lab = Lab::new(&campaign, trains);
    let (_, events) = lab.drive_with(&campaign, planner::sampler(&campaign.planner).as_ref());
    let expected = outcome(&lab.check());
    for die_after in (1..events.len()).step_by(11) {
        let mut lab = Lab::new(&campaign, trains);
        lab.die_after = Some(die_after);
        assert!(lab.drive_until_killed(&campaign).is_none());
        lab.die_after = None;
        assert!(matches!(lab.drive(&campaign).unwrap(), Finish::Concluded(_)));
        assert_eq!(outcome(&lab.check()), expected, "killed after {die_after} events");
    }
}

/// A run that fails at a rung, or whose attempt crashes on its way to the next, is dealt with as any other.
#[test]
fn crashes_between_rungs_are_recovered() {
    let campaign = halving("execution = { retries = 1 }");
    let lab = Lab::new(&campaign, |spec, folder| match (spec.stop_at, spec.id.number) {
        (Some(60), 2) => crate::exec::fake::Play::dies(0.1, 11),
        _ => trains(spec, folder),
    });
    lab.conclude(&campaign);
    let state = lab.check();
    let crashed: Vec<_> = state.runs.iter().filter(|r| r.attempts.len() > 1 && !r.rungs.is_empty()).collect();
    assert!(!crashed.is_empty());
    for run in crashed {
        assert!(matches!(run.attempts[1].ended.as_ref().unwrap().class, Class::Crashed { .. }));
        assert_eq!((run.attempts[2].stop_at, run.attempts[2].resume_from.is_some()), (Some(60), true));
        assert!(run.reached.len() >= 2);
    }
}
