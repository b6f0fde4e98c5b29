//! Whole papers from a committed campaign and from what it would be had it ended otherwise: each builds, says what it must,
//! and says nothing twice.
#![allow(clippy::disallowed_methods)]

use super::document::{Document, check};
use super::prose::Inline;
use super::{draft, gather, library, render};
use crate::analysis::Verdict;
use crate::campaign::{Purpose, RunResult, Standing, State, load};
use crate::failure::Class;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sample-campaign")
}

fn state() -> State {
    load(&folder()).unwrap()
}

/// The paper of a state, or all that is wrong with it.
fn build(state: &State) -> Result<Document, String> {
    let facts = gather(&folder(), state);
    let library = library(None).unwrap();
    let draft = draft(&folder(), state, &facts, &library);
    check(&facts, &draft, &library).map_err(|findings| {
        let told: Vec<String> =
            findings.iter().map(|f| format!("{}: {}\n    {}", f.place, f.what, f.sentence)).collect();
        told.join("\n")
    })
}

#[track_caller]
fn paper(state: &State) -> (Document, String) {
    let document = build(state).unwrap_or_else(|told| panic!("{told}"));
    let markdown = render::markdown(&document);
    (document, markdown)
}

/// Undoes every verdict: as if nothing had cleared the noise.
fn undecided(mut state: State) -> State {
    for candidate in &mut state.candidates {
        if let Standing::Judged { verdict, difference, .. } = &mut candidate.standing {
            *verdict = Verdict::Undecided;
            if let Some(d) = difference {
                (d.low, d.high) = (d.mean - 1.0, d.mean + 1.0);
            }
        }
    }
    state.conclusion = None;
    state
}

#[test]
fn the_sample_campaign_becomes_a_paper() {
    let (document, text) = paper(&state());
    assert!(document.facts().len() > 60, "{}", document.facts().len());
    assert!(document.references.len() >= 8, "{:?}", document.cited());
    for needed in
        ["Abstract", "Related work", "Limitations", "Compute and reproducibility", "References", "Figure 1", "Table 1"]
    {
        assert!(text.contains(needed), "{needed}");
    }
    let tex = render::latex(&document);
    assert!(tex.contains("\\fact{baseline.metric}{") && tex.contains("\\bibliography{paper}"));
    assert_eq!(tex, render::latex(&paper(&state()).0), "the same campaign, the same bytes");
    let html = render::html(&document);
    assert!(html.contains("<data class=fact value=\"baseline.metric\">") && html.matches("<svg").count() >= 5);
    assert!(!html.contains("/home/") && !tex.contains("/tmp/"));
}

/// The committed campaign as it would be had it ended otherwise, and a part of what its paper says then.
fn endings() -> Vec<(&'static str, State)> {
    let mut looks = state();
    looks.candidates.iter_mut().filter(|c| matches!(c.standing, Standing::Judged { .. })).for_each(|c| {
        c.standing = Standing::Screened;
    });
    looks.conclusion = None;
    let mut alone = state();
    alone.candidates.clear();
    alone.known.clear();
    alone.runs.retain(|r| r.purpose == Purpose::Baseline);
    alone.conclusion = None;
    let mut nothing = alone.clone();
    nothing.baseline = None;
    let mut harm = state();
    for candidate in &mut harm.candidates {
        if let Standing::Judged { verdict, difference: Some(d), .. } = &mut candidate.standing {
            (*verdict, d.mean, d.low, d.high) = (Verdict::Worse, -d.mean, -d.high, -d.low);
        }
    }
    let mut failed = state();
    for run in failed.runs.iter_mut().filter(|r| matches!(r.purpose, Purpose::Candidate { .. })).take(2) {
        run.result = Some(RunResult::Failed { reason: "it diverged".into() });
        run.attempts.iter_mut().filter_map(|a| a.ended.as_mut()).for_each(|e| e.class = Class::TimedOut);
    }
    failed.candidates[0].standing = Standing::Failed { reason: "it diverged".into() };
    failed.candidates[0].value = None;
    failed.candidates[1].standing = Standing::Rejected { reason: "it does not fit".into() };
    // What clears the noise by itself, and not after the correction.
    let mut uncorrected = state();
    for candidate in &mut uncorrected.candidates {
        if let Standing::Judged { difference: Some(d), .. } = &mut candidate.standing {
            (d.low, d.high) = (d.mean - 1.0, d.mean + 1.0);
        }
    }
    uncorrected.conclusion = None;
    vec![
        ("not after the correction", uncorrected),
        ("null result", undecided(state())),
        ("null result", harm),
        ("first looks decide nothing", looks),
        ("No candidate was compared", alone),
        ("not give enough values", nothing),
        ("What failed", failed),
    ]
}

#[test]
fn other_endings_have_their_own_papers() {
    let mut wrong = Vec::new();
    for (expected, state) in endings() {
        match build(&state) {
            Err(told) => wrong.push(format!("{expected}:\n{told}")),
            Ok(document) if !render::markdown(&document).contains(expected) => wrong.push(format!("no {expected:?}")),
            Ok(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What was not measured is said to be so, and never filled in.
#[test]
fn what_is_missing_is_shown_as_missing() {
    let mut unwatched = state();
    let ends = unwatched.runs.iter_mut().flat_map(|r| &mut r.attempts).filter_map(|a| a.ended.as_mut());
    ends.for_each(|e| e.evidence.utilization = None);
    let (_, text) = paper(&unwatched);
    assert!(text.contains("energy of its devices was not measured"));
    assert!(text.contains("How busy the devices were is not known"));
}

#[test]
fn no_sentence_stands_twice() {
    for state in [state(), undecided(state())] {
        let (document, _) = paper(&state);
        let text: String = document
            .inlines()
            .map(|i| match i {
                Inline::Text(text) | Inline::Fact { text, .. } | Inline::Code(text) | Inline::Refer(text) => {
                    text.clone()
                }
                Inline::Cite { .. } => String::new(),
            })
            .collect();
        let mut sentences: Vec<&str> = text.split(". ").map(str::trim).filter(|s| s.len() > 40).collect();
        sentences.sort_unstable();
        let twice: Vec<&&str> = sentences.windows(2).filter(|w| w[0] == w[1]).map(|w| &w[0]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}

/// Error bars that most runs end beyond are not called right, and the paper ends with what was answered.
#[test]
fn prices_and_the_conclusion_say_what_the_facts_say() {
    let mut narrow = state();
    for run in &mut narrow.runs {
        let held: f64 = run.attempts.iter().filter_map(|a| a.ended.as_ref()).map(|e| e.evidence.seconds).sum();
        (run.price.seconds, run.price.high_seconds) = (held.max(1e-6), held / 2.0);
    }
    let (document, text) = paper(&narrow);
    assert!(text.contains("their error bars too narrow: 0% of the runs") && !text.contains("about right"), "{text}");
    assert!(document.sections.iter().any(|s| s.label == "sec:conclusion"));
    assert!(text.contains("all of them moved at once"), "{text}");
    assert!(paper(&undecided(state())).1.contains("No setting is recommended over the baseline. A floor of"));
}

/// A bibliography of the user's is cited by key; one with a mistake in it is refused with its line.
#[test]
fn a_bibliography_may_be_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.bib");
    std::fs::write(&path, "@article{own2020, title = {A Title}, author = {Doe, Jane}, year = {2020}}\n").unwrap();
    assert!(library(Some(&path)).unwrap().iter().any(|r| r.key == "own2020"));
    std::fs::write(&path, "@article{own2020, title = {A Title").unwrap();
    let problem = library(Some(&path)).unwrap_err();
    assert!(problem.place.is_some_and(|p| p.contains("own.bib:")));
}
