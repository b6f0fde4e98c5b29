//! The page of campaigns in virtual time, at the ends of what a campaign may be.
#![allow(clippy::disallowed_methods)]

use super::{JobSummary, Summary, page};
use crate::campaign::tests::lab::{Lab, campaign};
use crate::campaign::{State, load, run_path};
use crate::record::{Metrics, Timing};
use serde_json::json;
use std::path::Path;

fn concluded(changes: &str) -> (State, Lab) {
    let campaign = campaign(changes);
    let lab = Lab::quiet(&campaign);
    lab.conclude(&campaign);
    (lab.state(), lab)
}

#[test]
fn a_campaign_that_has_only_begun_says_so() {
    let lab = Lab::quiet(&campaign(""));
    let html = page(&lab.folder, &lab.state());
    for words in ["No run has ended yet.", "Nothing has been started yet.", "There are no learning curves yet."] {
        assert!(html.contains(words), "no {words:?}");
    }
    for wrong in ["the 0 ", "baseline: n\u{a0}=\u{a0}0", "n=0", "NaN", "What the parameters did"] {
        assert!(!html.contains(wrong), "{wrong:?}");
    }
}

/// A run whose job waits in the queue is not called running.
#[test]
fn a_run_whose_job_waits_is_queued() {
    let (state, _lab) = concluded("");
    let mut summary = Summary::of(&state);
    summary.runs[0].status = "running";
    summary.runs[1].status = "running";
    let two = summary.runs_by_status.remove("finished").unwrap() - 2;
    summary.runs_by_status.extend([("finished", two), ("running", 2)]);
    let job = |attempt: &str, state: &str| JobSummary { attempt: attempt.into(), job: Some(1), state: state.into() };
    summary.take_jobs(vec![job("0001/01", "PENDING (Priority)"), job("0002/01", "RUNNING")]);
    assert_eq!((summary.runs[0].status, summary.runs[1].status), ("queued", "running"));
    assert_eq!((summary.runs_by_status["queued"], summary.runs_by_status["running"]), (1, 1));
    assert_eq!(summary.jobs.len(), 2);
}

#[test]
fn captions_say_what_is_drawn_with_n_and_interval() {
    let (state, lab) = concluded("");
    for run in &state.runs {
        let path = lab.folder.join(run_path(run.id));
        let line = |step| Metrics::Eval { step, metrics: [("accuracy".into(), 0.9)].into(), timing: Timing::default() };
        let text = [10, 20].map(|step| serde_json::to_string(&line(step)).unwrap() + "\n").concat();
        std::fs::write(path.join("metrics.jsonl"), text).unwrap();
    }
    let html = page(&lab.folder, &state);
    let n = state.runs.len();
    for words in [
        &format!("of {n} runs that finished, one point a run and without intervals"),
        "the level line is the baseline&#39;s mean (n\u{a0}=\u{a0}3)",
        &format!(
            "Each bar is one attempt, from its launch to the moment its end was seen ({n} attempts in all), a row a run"
        ),
        "a point is one candidate&#39;s first look (n\u{a0}=\u{a0}5, without intervals)",
        "mean over seeds (baseline: n\u{a0}=\u{a0}3; candidate ",
        "bands are 95% Student intervals of the mean",
    ] {
        assert!(html.contains(words), "no {words:?} in {html}");
    }
}

/// Of many parameters the strongest are drawn and all are listed.
#[test]
fn twelve_parameters_are_all_in_the_table() {
    let (mut state, lab) = concluded("planner = { candidates = 9 }");
    for (i, candidate) in state.candidates.iter_mut().enumerate() {
        for k in 0..11 {
            candidate.assignment.insert(format!("model.dimension_{k}"), json!(((i + 1) * (k + 2)) % 17));
        }
    }
    let html = page(&lab.folder, &state);
    assert!(html.contains("Of 12 parameters the 6 strongest are drawn"));
    let listed = |name: &str| html.contains(&format!("<td data-t=\"parameter\">{name}</td>"));
    assert!((0..11).all(|k| listed(&format!("model.dimension_{k}"))) && listed("optimizer.learning_rate"));
    assert_eq!(html.matches("before correction").count(), 6);
}

/// Pages at the ends of what campaigns may be: each is made, and none holds a number that is none. With
/// `NANORESEARCH_GALLERY` naming a folder, they are also written there, to be looked at.
#[test]
fn every_campaign_has_a_page() {
    let (many, folder) = concluded("planner = { candidates = 190 }\nexecution = { parallel = 4 }");
    let mut one = many.clone();
    one.runs.truncate(1);
    (one.candidates, one.baseline, one.conclusion) = (Vec::new(), None, None);
    let mut wide = many.clone();
    wide.campaign.question = "Does ".to_string() + &"a_very_long_word_without_a_place_to_break_it".repeat(3) + " help?";
    wide.candidates.truncate(20);
    for (i, candidate) in wide.candidates.iter_mut().enumerate() {
        for k in 0..11 {
            let name = format!("model.blocks.attention.query_key_value.projection.dimension_{k}");
            let long = ["a choice whose name is long enough to stand above its row", "short", "[64, 64]"];
            let value = if k % 3 == 0 { json!(long[(i + k) % 3]) } else { json!(((i + 1) * (k + 2)) % 17) };
            candidate.assignment.insert(name, value);
        }
    }
    let (failing, failing_folder) = crate::figures::tests::once();
    let committed = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        let state = load(&folder).unwrap();
        page(&folder, &state)
    };
    let pages = [
        ("sample", committed("sample-campaign")),
        ("sample-gpu", committed("sample-gpu-campaign")),
        ("recovery", committed("recovery-campaign")),
        ("many", page(&folder.folder, &many)),
        ("one", page(&folder.folder, &one)),
        ("wide", page(&folder.folder, &wide)),
        ("failing", page(&failing_folder.folder, &failing)),
    ];
    for (name, html) in pages {
        // A long path keeps its end on the axis.
        assert_eq!(html.contains("\u{2026}.query_key_value.projection.dimension_"), name == "wide", "{name}");
        assert!(!html.contains("NaN") && !html.contains("inf%") && html.matches("<svg").count() >= 3, "{name}");
        if let Some(folder) = crate::sys::env::var("NANORESEARCH_GALLERY") {
            std::fs::write(format!("{folder}/{name}.html"), html).unwrap();
        }
    }
}

/// What was looked at once as images and must stay: no sideways scrolling on a phone, nothing split or cut in print.
#[test]
fn the_page_has_rules_for_phones_and_for_print() {
    let (state, lab) = concluded("planner = { candidates = 2 }");
    let html = page(&lab.folder, &state);
    let (_, phone) = html.split_once("@media screen and (max-width:40rem){").unwrap();
    let (phone, print) = phone.split_once("@media print{").unwrap();
    assert!(phone.contains("td::before{content:attr(data-t)") && phone.contains("pre{white-space:pre-wrap"));
    assert!(print.contains("figure,tr,.finding,.cards,pre{break-inside:avoid}") && print.contains("break-after:avoid"));
    // Every cell can carry its title.
    assert_eq!(html.matches("<td").count(), html.matches(" data-t=\"").count());
}
