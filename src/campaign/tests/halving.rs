//! Successive halving: runs wait at rungs, the best go on from their checkpoint, and only what was trained is paid.

use super::lab::{Lab, accuracy, campaign, remembering, trains};
use crate::campaign::folder::replay;
use crate::campaign::{Event, Finish, Observer, Reason, Standing, State, attempt_path, decide};
use crate::config::{Campaign, Experiment};
use crate::exec::fake::Play;
use crate::failure::Class;
use crate::ids::AttemptId;
use crate::journal;
use crate::planner;
use crate::record::{METRICS_FILE, Metrics, Timing};
use crate::sys::clock::{Clock, FakeClock};
use crate::sys::fs;
use std::collections::BTreeMap;
use std::path::Path;

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

/// Workers that train on through their rungs: virtual time writes their evaluations and checkpoints, as theirs would.
struct Trainers {
    folder: std::path::PathBuf,
    clock: &'static FakeClock,
    written: BTreeMap<AttemptId, u64>,
    began: BTreeMap<AttemptId, f64>,
}

impl Trainers {
    fn of(lab: &Lab) -> Self {
        Trainers { folder: lab.folder.clone(), clock: lab.clock, written: BTreeMap::new(), began: BTreeMap::new() }
    }
}

impl Observer for Trainers {
    fn on_event(&mut self, _: &State, event: &Event) {
        if let Event::AttemptLaunched { id } = event {
            self.began.insert(*id, self.clock.monotonic());
        }
    }
    fn on_tick(&mut self, state: &State) {
        for attempt in state.live() {
            let run = state.run(attempt.id.run).unwrap();
            let folder = self.folder.join(attempt_path(attempt.id));
            let from = attempt.resume_from.as_deref().and_then(step_of).unwrap_or(0);
            let seconds = self.clock.monotonic() - self.began[&attempt.id];
            // 10 ms a step, an evaluation every 20 steps, each with a checkpoint.
            let done = from + (seconds * 100.0) as u64;
            let written = self.written.entry(attempt.id).or_insert(from);
            while *written + 20 <= done.min(199) {
                *written += 20;
                let value = trained_to(&run.experiment, *written);
                let line = Metrics::Eval {
                    step: *written,
                    metrics: [("accuracy".to_string(), value)].into(),
                    timing: Timing::default(),
                };
                let mut file = fs::Appender::open(&folder.join(METRICS_FILE)).unwrap();
                file.append((serde_json::to_string(&line).unwrap() + "\n").as_bytes()).unwrap();
                let checkpoint = folder.join(format!("checkpoints/step-{written:08}"));
                std::fs::create_dir_all(&checkpoint).unwrap();
                std::fs::write(checkpoint.join("checkpoint.json"), "{}").unwrap();
            }
        }
    }
}

/// Nobody waits at a rung: who is behind is asked to leave, with its checkpoint, gets what was reserved for the rest back, and
/// can still be promoted; the best get to their end in one attempt.
#[test]
fn those_behind_are_stopped_while_they_train() {
    let campaign = campaign(
        "planner = { kind = \"random\", candidates = 18, halving = { running = true } }\n\
         execution = { parallel = 3, kill_margin_seconds = 1.0 }",
    );
    let lab = Lab::new(&campaign, |spec, _| {
        let from = spec.resume_from.as_deref().and_then(step_of).unwrap_or(0);
        assert_eq!(spec.stop_at, None, "no attempt ends at a rung by itself");
        Play::completes((200 - from) as f64 * 0.01, &[("accuracy", trained_to(&spec.experiment, 200))])
    });
    let mut trainers = Trainers::of(&lab);
    let Finish::Concluded(conclusion) = lab.live(&campaign, None, &mut [&mut trainers]).unwrap() else { panic!() };
    let state = lab.check();
    assert_eq!(conclusion.reason, Reason::CandidatesDone, "{}", conclusion.sentence);
    let looks: Vec<_> = state.runs.iter().filter(|r| !r.rungs.is_empty()).collect();
    assert_eq!(looks.len(), 18);
    let stopped = || looks.iter().flat_map(|r| &r.attempts).filter(|a| a.stopping);
    let whole = looks.iter().filter(|r| r.result.is_some() && r.attempts.len() == 1).count();
    assert!(stopped().count() >= 8 && whole >= 1, "{} stopped, {whole} in one attempt", stopped().count());
    for attempt in stopped() {
        let end = attempt.ended.as_ref().unwrap();
        // One that was at its end before the word reached it is complete.
        if end.class == Class::Completed {
            continue;
        }
        assert_eq!(end.class, Class::Checkpointed);
        assert!(end.checkpoint.is_some());
        if attempt.id.number > 1 {
            continue;
        }
        let run = state.run(attempt.id.run).unwrap();
        let rung = run.reached.first().unwrap().step as f64 * 0.01;
        let used = end.used.time.seconds();
        assert!(used >= rung && used < 1.9, "{used} s used, its rung is at {rung} s");
        assert!(attempt.reserved.time.seconds() >= 3.0, "reserved for the whole run");
    }
    let refunded = state.ledger.refunded().time.seconds();
    assert!(refunded > stopped().count() as f64, "{refunded} s");
    let waiting: Vec<_> = looks.iter().filter(|r| r.result.is_none()).collect();
    assert!(waiting.iter().all(|r| r.paused && r.status() == "paused"));
    // Whoever was promoted goes on from where it was stopped, to its end.
    let promoted = looks.iter().filter(|r| r.attempts.len() > 1);
    assert!(promoted.clone().all(|r| r.attempts[1].resume_from.is_some() && r.attempts[1].stop_at.is_none()));
    let why = state.why(stopped().next().unwrap().id.run);
    assert!(why.iter().any(|d| d.text.contains("is stopped: number ")), "{why:?}");
    assert!(why.iter().any(|d| d.text.contains("it was asked to leave at its rung")), "{why:?}");
    // Every decision follows again from what was seen.
    let sampler = planner::sampler(&campaign.planner);
    let mut nobody = super::counsel::nobody();
    crate::campaign::replay(&lab.folder, sampler.as_ref(), &mut nobody).unwrap();
}

/// The controller dies after it has decided that a run is to be stopped, and before it could say so: the next one says it.
#[test]
fn the_word_to_stop_outlives_its_controller() {
    let campaign = campaign(
        "planner = { kind = \"random\", candidates = 6, halving = { running = true } }\n\
         execution = { parallel = 3, kill_margin_seconds = 1.0 }",
    );
    let lab = Lab::new(&campaign, |spec, _| {
        let from = spec.resume_from.as_deref().and_then(step_of).unwrap_or(0);
        Play::completes((200 - from) as f64 * 0.01, &[("accuracy", trained_to(&spec.experiment, 200))])
    });
    struct Dies;
    impl Observer for Dies {
        fn on_event(&mut self, _: &State, event: &Event) {
            if matches!(event, Event::RungJudged { stop: true, .. }) {
                std::panic::panic_any("killed");
            }
        }
    }
    let mut trainers = Trainers::of(&lab);
    let mut deaths = 0;
    while deaths < 3 {
        let life = std::panic::AssertUnwindSafe(|| {
            lab.live(&campaign, None, &mut [&mut trainers as &mut dyn Observer, &mut Dies]).unwrap()
        });
        match std::panic::catch_unwind(life) {
            Ok(_) => break,
            Err(_) => deaths += 1,
        }
        let state = lab.state();
        assert!(state.live().any(|a| a.stopping), "it is in the journal");
    }
    assert!(deaths >= 1);
    lab.live(&campaign, None, &mut [&mut trainers]).unwrap();
    let state = lab.check();
    let stopped: Vec<_> = state.runs.iter().flat_map(|r| &r.attempts).filter(|a| a.stopping).collect();
    assert!(stopped.len() >= deaths);
    let ends: Vec<Class> = stopped.iter().map(|a| a.ended.as_ref().unwrap().class).collect();
    assert!(ends.contains(&Class::Checkpointed), "{ends:?}");
}

fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()
}

/// As in `trains`: accuracy comes with training.
fn trained_to(experiment: &Experiment, step: u64) -> f64 {
    accuracy(experiment) - 0.1 * (1.0 - step as f64 / 200.0)
}
