//! What people do to a campaign: stop, cancel, Ctrl-C, edits, a second controller.

use super::lab::{Lab, campaign, completes};
use crate::campaign::placement::{Request, request, requests};
use crate::campaign::{Finish, Halt, Observer, Reason, State, World, create, drive, load};
use crate::exec::Executor;
use crate::exec::fake::{FakeExecutor, Play};
use crate::journal::Journal;
use crate::planner;
use crate::problem::Class;
use std::path::PathBuf;

/// Asks for something once the n-th attempt was launched.
struct Asking {
    folder: PathBuf,
    request: Request,
    at: usize,
}

impl Observer for Asking {
    fn on_event(&mut self, state: &State, event: &crate::campaign::Event) {
        let launched = state.runs.iter().flat_map(|r| &r.attempts).filter(|a| a.launched_at.is_some()).count();
        if matches!(event, crate::campaign::Event::AttemptLaunched { .. }) && launched == self.at {
            request(&self.folder, self.request).unwrap();
        }
    }
}

fn drive_asking(lab: &Lab, campaign: &crate::config::Campaign, what: Request, at: usize) -> Finish {
    let mut asking = Asking { folder: lab.folder.clone(), request: what, at };
    lab.live(campaign, None, &mut [&mut asking]).unwrap()
}

#[test]
fn stop_lets_runs_finish_and_resume_goes_on() {
    let campaign = campaign("execution = { parallel = 2 }");
    let lab = Lab::quiet(&campaign);
    let Finish::Concluded(conclusion) = drive_asking(&lab, &campaign, Request::Stop, 5) else { panic!() };
    assert_eq!(conclusion.reason, Reason::Stopped);
    let state = lab.check();
    assert_eq!(state.halt, Some(Halt::Stop));
    assert!(requests(&lab.folder).is_empty());
    let finished = state.runs.iter().filter(|r| r.result.is_some()).count();
    assert!(finished == 5 || finished == 6, "what ran was let finish, nothing new began: {finished}");
    assert_eq!(finished, state.runs.len());
    // Resumed, it ends as if it had never been stopped.
    let conclusion = lab.conclude(&campaign);
    assert_eq!(conclusion.reason, Reason::CandidatesDone);
    assert!(lab.check().best().is_some());
}

#[test]
fn cancel_kills_and_a_resumed_run_is_not_charged_for_it() {
    let campaign = campaign("execution = { parallel = 2, retries = 0 }");
    let lab = Lab::quiet(&campaign);
    let Finish::Concluded(conclusion) = drive_asking(&lab, &campaign, Request::Cancel, 5) else { panic!() };
    assert_eq!(conclusion.reason, Reason::Cancelled);
    let state = lab.check();
    let cancelled =
        state.runs.iter().flat_map(|r| &r.attempts).filter_map(|a| a.ended.as_ref()).filter(|e| e.cancelled);
    assert!(cancelled.count() >= 1);
    assert!(state.runs.iter().any(|r| r.result.is_none()), "a cancelled run has no result yet");
    let conclusion = lab.conclude(&campaign);
    assert_eq!(conclusion.reason, Reason::CandidatesDone);
    let state = lab.check();
    assert!(state.runs.iter().all(|r| matches!(r.result, Some(crate::campaign::RunResult::Finished { .. }))));
}

#[test]
fn a_request_left_without_a_controller_is_obeyed_by_the_next() {
    let campaign = campaign("");
    let lab = Lab::quiet(&campaign);
    request(&lab.folder, Request::Stop).unwrap();
    request(&lab.folder, Request::Cancel).unwrap();
    assert_eq!(lab.conclude(&campaign).reason, Reason::Cancelled);
    assert!(lab.check().runs.is_empty());
    // A stale one does not stop a person who resumes after that.
    request(&lab.folder, Request::Stop).unwrap();
    assert_eq!(lab.conclude(&campaign).reason, Reason::CandidatesDone);
}

#[test]
fn ctrl_c_leaves_attempts_running_and_the_next_controller_adopts_them() {
    let campaign = campaign("");
    let mut lab = Lab::quiet(&campaign);
    lab.stop.request();
    assert_eq!(lab.drive(&campaign).unwrap(), Finish::Left { live: 0 });
    lab.stop = Default::default();
    // Stopped by a script that asks to leave at the second launch.
    let stop = lab.stop.clone();
    let mut leaving = Lab::new(&campaign, move |spec, _| {
        if spec.id.run.0 == 2 {
            stop.request();
        }
        completes(spec)
    });
    leaving.stop = lab.stop.clone();
    assert_eq!(leaving.drive(&campaign).unwrap(), Finish::Left { live: 1 });
    assert_eq!(leaving.machine.alive(), 1, "the attempt goes on");
    leaving.clock.advance(60.0);
    leaving.stop = Default::default();
    assert_eq!(leaving.conclude(&campaign).reason, Reason::CandidatesDone);
    let state = leaving.check();
    assert!(state.runs.iter().all(|r| r.attempts.len() == 1));
}

#[test]
fn a_larger_budget_reopens_a_campaign_and_other_edits_are_refused() {
    let small = campaign("budget = { device_hours = 0.022, downscale = [] }\nplanner = { candidates = 0 }");
    let lab = Lab::quiet(&small);
    assert_eq!(lab.conclude(&small).reason, Reason::BudgetSpent);
    let before = lab.check();
    // Nothing changed: nothing to do, and nothing is written.
    let events = before.events;
    assert_eq!(lab.conclude(&small).reason, Reason::BudgetSpent);
    assert_eq!(lab.state().events, events);

    let larger = campaign("budget = { device_hours = 0.04, downscale = [] }\nplanner = { candidates = 0 }");
    assert_eq!(lab.conclude(&larger).reason, Reason::BudgetSpent);
    let after = lab.check();
    assert!(after.candidates.len() > before.candidates.len());
    assert!(after.decisions.iter().any(|d| d.text.contains("budget.device_hours from 0.022 to 0.04")));
    assert_eq!(after.runs[..before.runs.len()], before.runs[..], "nothing is run again");
    // The candidate that did not fit was the first to be taken up.
    let waited = before.candidates.iter().find(|c| c.value.is_none()).unwrap().index as usize;
    assert!(after.candidates[waited].value.is_some());

    // Below what is spent.
    let broke = campaign("budget = { device_hours = 0.001, downscale = [] }\nplanner = { candidates = 0 }");
    let problem = lab.drive(&broke).unwrap_err();
    assert_eq!(problem.class, Class::Usage);
    assert!(problem.what.contains("spent or reserved"), "{problem}");
    // Another baseline: another campaign.
    let other = campaign(
        "budget = { device_hours = 0.04, downscale = [] }\nplanner = { candidates = 0 }\nbaseline = { training = { batch_size = 16 } }",
    );
    let problem = lab.drive(&other).unwrap_err();
    assert!(problem.what.contains("baseline.training.batch_size from 32 to 16"), "{problem}");
    assert_eq!(lab.state(), after, "a refused edit leaves no trace");
}

/// A controller leaves in the middle, a person halves the budget, the next controller plans anew: fewer candidates than the
/// whole budget would have bought, finalists confirmed all the same, and never more than the half spent.
#[test]
fn a_budget_halved_in_the_middle_is_planned_anew_and_kept() {
    let of = |hours: f64| {
        campaign(&format!(
            "budget = {{ device_hours = {hours}, downscale = [] }}\nplanner = {{ kind = \"tpe\", candidates = 0, weighing = {{ pool = 4 }} }}"
        ))
    };
    let (whole, half) = (of(0.12), of(0.06));
    let undisturbed = Lab::quiet(&whole);
    undisturbed.conclude(&whole);
    let expected = undisturbed.check();

    let lab = Lab::quiet(&whole);
    assert!(matches!(drive_asking(&lab, &whole, Request::Stop, 25), Finish::Concluded(_) | Finish::Left { .. }));
    let before = lab.state();
    assert!(before.ledger.settled().time.seconds() < 0.5 * half.budget.device_hours * 3600.0, "it was in the middle");
    let conclusion = lab.conclude(&half);
    let after = lab.check();
    assert_eq!(conclusion.reason, Reason::BudgetSpent, "{}", conclusion.sentence);
    assert!(after.decisions.iter().any(|d| d.text.contains("budget.device_hours from 0.12 to 0.06")));
    let spent = after.ledger.settled().time.seconds();
    assert!(spent <= 216.0 && spent > 0.6 * 216.0, "{spent} of 216 s");
    let tried = |state: &crate::campaign::State| state.candidates.iter().filter(|c| c.value.is_some()).count();
    assert!(tried(&after) > tried(&before) && tried(&after) < tried(&expected), "{}", tried(&after));
    assert!(after.candidates.iter().any(|c| matches!(c.standing, crate::campaign::Standing::Judged { .. })));
    // What is weighed after the change is weighed by what is left of the half.
    let left = |c: &crate::campaign::Candidate| c.weighed.as_ref().map(|w| w.left);
    let later: Vec<f64> = after.candidates[before.candidates.len()..].iter().filter_map(left).collect();
    assert!(!later.is_empty() && later.iter().all(|l| *l <= 216.0), "{later:?}");
}

#[test]
fn folders_have_one_campaign_and_one_controller() {
    let campaign = campaign("");
    let lab = Lab::quiet(&campaign);
    let again = create(&lab.folder, &campaign, &lab.folder, lab.clock).unwrap_err();
    assert_eq!(again.class, Class::Usage);
    let held = Journal::open(&lab.folder, lab.clock).unwrap();
    let second = lab.drive(&campaign).unwrap_err();
    assert_eq!((second.class, second.class.exit_code()), (Class::Owned, 5));
    drop(held);
    lab.conclude(&campaign);

    let nothing = tempfile::tempdir().unwrap();
    assert_eq!(load(nothing.path()).unwrap_err().class, Class::Usage);
    let mut executor = FakeExecutor::new(1, lab.clock, |_| Play::hangs());
    assert_eq!(executor.slots(), 1);
    let sampler = planner::sampler(&campaign.planner);
    let world = World {
        pricer: &lab.pricer,
        executor: &mut executor as &mut dyn Executor,
        sampler: sampler.as_ref(),
        counsel: None,
        clock: lab.clock,
        stop: &lab.stop,
    };
    assert_eq!(drive(nothing.path(), &campaign, world, &mut []).unwrap_err().class, Class::Usage);
}

#[test]
fn a_baseline_that_cannot_be_priced_stops_the_controller_with_the_reason() {
    let campaign = campaign("");
    let mut lab = Lab::quiet(&campaign);
    lab.pricer.most = 0.001;
    let problem = lab.drive(&campaign).unwrap_err();
    assert_eq!((problem.class, problem.place.as_deref()), (Class::Usage, Some("baseline")));
    assert!(lab.state().runs.is_empty());
}
