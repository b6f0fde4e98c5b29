//! Controllers that do not stay in a terminal: in the background, or a step at a time; and what is done at the end.

use super::bad_input::kit::{CAMPAIGN, Lab, Says};
use nanoresearch::campaign;
use std::time::{Duration, Instant};

fn concluded(lab: &Lab) -> bool {
    campaign::load(&lab.at("tiny")).is_ok_and(|state| state.conclusion.is_some())
}

fn until_concluded(lab: &Lab, mut step: impl FnMut()) {
    let began = Instant::now();
    while !concluded(lab) {
        assert!(began.elapsed() < Duration::from_secs(60), "it never ends");
        step();
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn steps_do_what_a_controller_that_stays_does() {
    let lab = Lab::new();
    // Long enough that a step ends before its runs do.
    lab.edit("experiment.toml", "steps = 20", "steps = 400");
    let said = lab.done("run campaign.toml --hold");
    assert!(said.stderr.contains("nothing is started") && said.stderr.contains("*/5 * * * *"), "{}", said.stderr);
    assert_eq!(campaign::load(&lab.at("tiny")).unwrap().runs.len(), 0);
    let mut steps = 0;
    until_concluded(&lab, || {
        let said = lab.done("tick tiny --quiet");
        assert!(!said.stderr.contains("step is done"), "{}", said.stderr);
        steps += 1;
    });
    assert!(steps >= 2, "one step cannot do it all: attempts go on between them ({steps})");
    let said = lab.done("tick tiny");
    assert!(said.stderr.contains("nothing to do"), "{}", said.stderr);
    lab.done("run campaign.toml --out other");
    let results = |name: &str| {
        let state = campaign::load(&lab.at(name)).unwrap();
        state.runs.iter().map(|r| (r.seed, state.value(r))).collect::<Vec<_>>()
    };
    assert_eq!(results("tiny"), results("other"));
    // Edited, it goes on by steps where it is told to.
    lab.edit("tiny/campaign.toml", "candidates = 2", "candidates = 3");
    assert!(lab.done("tick tiny").stderr.contains("--reopen"));
    assert_eq!(results("tiny").len(), results("other").len());
    lab.done("tick tiny --reopen --quiet");
    until_concluded(&lab, || drop(lab.done("tick tiny --quiet")));
    assert!(results("tiny").len() > results("other").len());
}

#[test]
fn a_detached_controller_goes_on_by_itself() {
    let lab = Lab::new();
    let said = lab.done("run campaign.toml --detach");
    assert!(
        said.stderr.contains("tail -f tiny/controller.log") && said.stderr.contains("stop --in tiny"),
        "{}",
        said.stderr
    );
    until_concluded(&lab, || {});
    let log = std::fs::read_to_string(lab.at("tiny/controller.log")).unwrap();
    assert!(log.contains("baseline accuracy"), "{log}");
    // One that cannot begin says so, with its exit code.
    lab.edit("tiny/campaign.toml", "accuracy", "loss");
    // The first may still be on its way out when its conclusion is there.
    let said = super::campaigns::until("the first controller to leave", || {
        Some(lab.run("resume tiny --detach")).filter(|said| said.code != 5)
    });
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("incomparable") && said.stderr.contains("controller.log"), "{}", said.stderr);
}

#[test]
fn at_the_end_a_command_is_told_and_its_failure_hurts_nothing() {
    let lab = Lab::new();
    let with = |command: &str| CAMPAIGN.replace("parallel = 2,", &format!("parallel = 2, notify = {command:?},"));
    lab.write("a.toml", with("env > told"));
    lab.done("run a.toml");
    let told = std::fs::read_to_string(lab.at("told")).unwrap();
    for line in
        ["NANORESEARCH_NAME=tiny", "NANORESEARCH_REASON=candidates-done", "NANORESEARCH_RUNS=", "NANORESEARCH_FINDING="]
    {
        assert!(told.contains(line), "{line}: {told}");
    }
    lab.write("b.toml", with("echo no mail >&2; exit 7"));
    let said = lab.done("run b.toml --out b");
    assert!(said.stderr.contains("exit code 7): no mail"), "{}", said.stderr);
}

#[test]
fn only_what_nothing_needs_is_freed() {
    let lab = Lab::new();
    lab.done("run campaign.toml");
    let state = campaign::load(&lab.at("tiny")).unwrap();
    let before = lab.files();
    let dry = lab.done("gc --dry-run --in tiny");
    assert!(
        dry.stdout.contains("would be freed (nothing was touched)") && dry.stdout.contains("step-"),
        "{}",
        dry.stdout
    );
    assert_eq!(before, lab.files());
    let freed = lab.done("gc --in tiny --weights");
    assert!(freed.stdout.contains(" freed"), "{}", freed.stdout);
    for run in &state.runs {
        let attempt = lab.at("tiny").join(campaign::attempt_path(run.attempts[0].id));
        let checkpoints = std::fs::read_dir(attempt.join("checkpoints")).map_or(0, |d| d.count());
        let rests = run.purpose.candidate().is_none();
        let judged = run.purpose.candidate().map(|i| &state.candidates[i as usize].standing);
        let better =
            matches!(judged, Some(campaign::Standing::Judged { verdict: nanoresearch::analysis::Verdict::Better, .. }));
        assert_eq!(checkpoints, usize::from(rests || better), "run {}", run.id);
        assert_eq!(attempt.join("model.safetensors").exists(), rests || better, "run {}", run.id);
        assert!(attempt.join("metrics.jsonl").exists() && attempt.join("outcome.json").exists());
    }
    let nothing = lab.done("gc --in tiny");
    assert!(nothing.stdout.starts_with("0 B (0 bytes) freed"), "{}", nothing.stdout);
    lab.done("report --in tiny");
    lab.refuses(&("gc --in nowhere", 2, Says::All(&["no such folder"])));
}
