//! A person's word before something is spent: each mode of `approval`, refusals, raised limits; pauses and remarks.

use super::counsel::{Scripted, live, nobody, wise};
use super::lab::{Lab, campaign, completes};
use crate::campaign::placement::{self, Word};
use crate::campaign::{Event, Observer, Standing, State, replay};
use crate::exec::fake::Play;
use crate::planner;
use std::cell::RefCell;

/// Says a word when it is asked, or at the n-th event.
struct Person<'a> {
    folder: std::path::PathBuf,
    says: &'a mut dyn FnMut(&State, &Event) -> Option<Word>,
}

impl Observer for Person<'_> {
    fn on_event(&mut self, state: &State, event: &Event) {
        if let Some(word) = (self.says)(state, event) {
            placement::say(&self.folder, &word, state.updated).unwrap();
        }
    }
}

#[test]
fn people_approve_refuse_and_remark() {
    let mut answers = |_: &State, event: &Event| match event {
        Event::ApprovalAsked { subject, .. } => {
            let granted = subject.candidate() != Some(1);
            Some(Word::Approval { subject: subject.clone(), granted })
        }
        Event::BaselineEstablished { .. } => Some(Word::Note("mind the rates".into())),
        _ => None,
    };
    let each = campaign("approval = \"each\"\nplanner = { candidates = 4 }");
    let lab = Lab::quiet(&each);
    let mut person = Person { folder: lab.folder.clone(), says: &mut answers };
    live(&lab, &each, &mut Scripted::new(wise), &mut person).unwrap();
    let state = lab.check();
    assert!(matches!(&state.candidates[1].standing, Standing::Rejected { reason } if reason.contains("refused")));
    assert_eq!(state.candidates.iter().filter(|c| !c.runs.is_empty()).count(), 4);
    assert_eq!(state.counsel.notes.len(), 1);
    assert!(placement::words_of_people(&lab.folder).unwrap().is_empty());
}

/// Nothing is spent before the first word; a run beyond the bound is asked about by itself.
#[test]
fn each_mode_asks_when_it_says() {
    for (approval, questions) in [("first", 1), ("above-0.000001-gpu-hours", 5), ("above-100-gpu-hours", 0)] {
        let campaign = campaign(&format!(
            "approval = \"{approval}\"\nplanner = {{ candidates = 1 }}\nseeds = {{ baseline = 2, confirm = 2 }}"
        ));
        let lab = Lab::quiet(&campaign);
        let mut asked = 0;
        let mut yes = |state: &State, event: &Event| {
            let Event::ApprovalAsked { subject, words } = event else { return None };
            asked += 1;
            assert!(words.contains("it may take up to"), "{words}");
            assert!(asked > 1 || state.runs.is_empty(), "asked before anything is spent");
            Some(Word::Approval { subject: subject.clone(), granted: true })
        };
        let mut person = Person { folder: lab.folder.clone(), says: &mut yes };
        live(&lab, &campaign, &mut Scripted::new(wise), &mut person).unwrap();
        let state = lab.check();
        assert!(asked <= questions && (asked == 0) == (questions == 0), "{approval}: {asked}");
        let sampler = planner::sampler(&campaign.planner);
        replay(&lab.folder, sampler.as_ref(), &mut Scripted::new(wise)).unwrap();
        assert!(state.conclusion.is_some());
    }
}

/// Of a run beyond the bound a candidate's can be refused: the first look at the first, a confirmation of the second.
#[test]
fn a_run_beyond_the_bound_can_be_refused() {
    let above = campaign(
        "approval = \"above-0.000001-gpu-hours\"\nseeds = { baseline = 3, confirm = 3, finalists = 1 }\n\
         planner = { kind = \"manual\", candidates = 2, list = [{ \"optimizer.learning_rate\" = 0.1 }, \
         { \"optimizer.learning_rate\" = 0.2 }, { \"optimizer.learning_rate\" = 0.3 }] }",
    );
    let lab = Lab::quiet(&above);
    let mut asked = Vec::new();
    let mut picky = |state: &State, event: &Event| {
        let Event::ApprovalAsked { subject, words } = event else { return None };
        asked.push(words.clone());
        assert_eq!(state.refusable(subject), state.baseline.is_some(), "{words}");
        let granted = !words.contains("candidate 0") && !words.contains("confirmation");
        Some(Word::Approval { subject: subject.clone(), granted })
    };
    let mut person = Person { folder: lab.folder.clone(), says: &mut picky };
    lab.live(&above, None, &mut [&mut person]).unwrap();
    let state = lab.check();
    let standing = |index: usize| state.candidates[index].standing.clone();
    assert!(matches!(standing(0), Standing::Rejected { reason } if reason.contains("refused")), "{:?}", standing(0));
    let judged =
        |s: &Standing| matches!(s, Standing::Judged { why, .. } if why.contains("0 fresh seeds are too few (a person"));
    assert_eq!(state.candidates.iter().filter(|c| judged(&c.standing)).count(), 1, "{asked:?}");
    assert!(state.conclusion.is_some() && state.runs.len() == 3 + 2, "{asked:?}");
    replay(&lab.folder, planner::sampler(&above.planner).as_ref(), &mut nobody()).unwrap();
}

/// A run that was below the bound, and whose limit is raised beyond it, is asked about before its next attempt; and again where it
/// is raised beyond what was agreed to.
#[test]
fn a_raised_limit_is_asked_about() {
    for (granted, late) in [(true, false), (false, false), (true, true)] {
        let above = campaign(
            "approval = \"above-0.002-gpu-hours\"\nplanner = { candidates = 1 }\nseeds = { baseline = 2, confirm = 2 }\n\
             baseline = { resources = { wall_seconds = 4.0 } }",
        );
        let lab = Lab::new(&above, move |spec, _| match (spec.id.run.0, spec.id.number) {
            (3, 1) => Play::ends(4.0, crate::record::End::TimedOut { limit_seconds: 4.0 }),
            (3, 2) if late => Play::ends(8.0, crate::record::End::TimedOut { limit_seconds: 8.0 }),
            _ => completes(spec),
        });
        let mut times = 0;
        let mut says = |_: &State, event: &Event| {
            let Event::ApprovalAsked { subject, words } = event else { return None };
            assert!(words.contains("a further attempt of run 0003"), "{words}");
            times += 1;
            Some(Word::Approval { subject: subject.clone(), granted })
        };
        let mut person = Person { folder: lab.folder.clone(), says: &mut says };
        lab.live(&above, None, &mut [&mut person]).unwrap();
        let run = lab.check().runs[2].clone();
        assert_eq!((run.attempts.len(), times), if late { (3, 2) } else { (1 + usize::from(granted), 1) });
        let refused = |r: &crate::campaign::RunResult| matches!(r, crate::campaign::RunResult::Failed { reason } if reason.contains("refused a further"));
        assert_eq!(run.result.as_ref().is_some_and(refused), !granted, "{:?}", run.result);
    }
}

/// Nothing starts until a pause is over.
#[test]
fn a_pause_starts_nothing() {
    let campaign = campaign("planner = { candidates = 3 }");
    let lab = Lab::quiet(&campaign);
    let paused_at = RefCell::new(None);
    let mut says = |state: &State, event: &Event| match event {
        Event::BaselineEstablished { .. } => Some(Word::Pause(true)),
        Event::PauseSet { on: true } => {
            *paused_at.borrow_mut() = Some(state.runs.len());
            Some(Word::Pause(false))
        }
        Event::PauseSet { on: false } => {
            assert_eq!(*paused_at.borrow(), Some(state.runs.len()));
            None
        }
        _ => None,
    };
    let mut person = Person { folder: lab.folder.clone(), says: &mut says };
    live(&lab, &campaign, &mut Scripted::new(wise), &mut person).unwrap();
    assert!(paused_at.borrow().is_some() && !lab.check().paused);
}
