//! The demo, as a new user runs it.

use nanoresearch::campaign::{self, Purpose};
use std::process::Command;

#[test]
fn the_demo_is_a_real_campaign_with_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_nanoresearch"))
            .args(arguments)
            .current_dir(folder.path())
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            // Nothing may be fetched: every way out ends at a closed port.
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env_remove("NANORESEARCH_DATA")
            .output()
            .unwrap()
    };
    let demo = run(&["demo"]);
    let said = String::from_utf8(demo.stdout).unwrap();
    assert!(demo.status.success(), "{said}\n{}", String::from_utf8_lossy(&demo.stderr));
    for line in ["finding ", "baseline ", "cost ", "report ", "took ", "next "] {
        assert!(said.lines().any(|l| l.starts_with(line)), "no {line:?} in\n{said}");
    }
    println!("{said}");

    let state = campaign::load(&folder.path().join("demo")).unwrap();
    let baseline = state.runs.iter().filter(|r| r.purpose == Purpose::Baseline).count();
    assert!(state.runs.len() >= 12 && baseline >= 3, "{} runs, {baseline} of the baseline", state.runs.len());
    assert!(state.runs.iter().all(|r| state.value(r).is_some_and(|v| v > 0.05 && v <= 1.0)));
    assert_eq!(state.ledger.reserved(), campaign::Amount::default());
    let best = state.best().expect("a confirmed candidate: the baseline is far from the best of this space");
    assert!(best.value.unwrap() > state.baseline.as_ref().unwrap().interval.mean);

    let report = std::fs::read_to_string(folder.path().join("demo/report.html")).unwrap();
    assert!(report.matches("<svg").count() >= 6, "figures are missing");
    for outside in ["<script", "<link", "src=", "@import", "url("] {
        assert!(!report.contains(outside), "the report is not self-contained: {outside}");
    }
    let sentence = state.conclusion.as_ref().unwrap().sentence.replace('\'', "&#39;");
    assert!(report.contains(&sentence), "{sentence}");

    // What is derived comes back.
    for lost in ["results.tsv", "report.html", "runs/0003/metrics.jsonl", "runs/0004/outcome.json"] {
        let lost = folder.path().join("demo").join(lost);
        let before = std::fs::read(&lost).unwrap();
        std::fs::remove_file(&lost).unwrap();
        assert!(run(&["report", "--in", "demo"]).status.success());
        assert_eq!(std::fs::read(&lost).unwrap(), before, "{}", lost.display());
    }

    let status = run(&["status", "--in", "demo", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["phase"], "concluded");
    assert_eq!(status["runs"].as_array().unwrap().len(), state.runs.len());
}
