//! A run's folder that somebody, or something, changed.

use super::kit::{Lab, Says};
use Says::{All, Exactly};
use nanoresearch::record::{Metrics, Outcome, read_metrics, read_model};

/// A lab with a completed run in `whole` and what a killed one would have left in `run`.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.done("train experiment.toml --out whole");
    interrupted(&lab);
    lab
}

fn interrupted(lab: &Lab) {
    lab.copy("whole", "run");
    for name in ["outcome.json", "model.safetensors", "config.json"] {
        std::fs::remove_file(lab.at("run").join(name)).unwrap();
    }
}

const NEWEST: &str = "run/checkpoints/step-00000020";
const OLDER: &str = "run/checkpoints/step-00000015";
const RESUME: &str = "train experiment.toml --out run --resume";

/// `run` is what `whole` is, bit for bit.
fn same_as_whole(lab: &Lab) {
    let weights = |name: &str| Outcome::read(&lab.at(name)).unwrap().unwrap().weights.unwrap();
    assert_eq!(weights("run"), weights("whole"));
    assert_eq!(read_model(&lab.at("run")).unwrap(), read_model(&lab.at("whole")).unwrap());
    let metrics = |name: &str| -> Vec<Metrics> {
        let path = lab.at(name).join("metrics.jsonl");
        read_metrics(&path).unwrap().into_iter().map(Metrics::without_timing).collect()
    };
    assert_eq!(metrics("run"), metrics("whole"));
}

#[test]
fn another_run_than_the_folders_is_refused_with_the_difference() {
    lab().refuses_all(&[
        (
            "train experiment.toml --out whole",
            2,
            Exactly(
                "whole: the folder holds a run already\n  go on with that run by adding --resume, or choose another \
                 folder with --out",
            ),
        ),
        (
            "train experiment.toml training.seed=2 optimizer.learning_rate=0.1 --out run --resume",
            2,
            Exactly(
                "run: this folder holds another run; asked for now is one that changes optimizer.learning_rate from \
                 0.003 to 0.1, training.seed from 1 to 2\n  give the settings and data that the run was begun with, or \
                 choose another folder with --out",
            ),
        ),
        (
            "train experiment.toml training.budget.steps=40 --out whole --resume",
            2,
            All(&["training.budget.steps from 20 to 40"]),
        ),
    ]);
}

#[test]
fn records_that_are_damaged_or_newer_are_refused_and_left() {
    let lab = lab();
    lab.damage("run/attempt.json", |bytes| bytes.truncate(40));
    lab.refuses(&(
        RESUME,
        2,
        All(&[
            "run/attempt.json: not an attempt's specification: it ends too early, after 40 bytes\n  it only repeats the settings: \
             set it aside (`mv run/attempt.json run/attempt.json.damaged`) and give this command again",
        ]),
    ));
    std::fs::rename(lab.at("run/attempt.json"), lab.at("run/attempt.json.damaged")).unwrap();
    lab.done(RESUME);
    same_as_whole(&lab);
    interrupted(&lab);
    lab.edit("run/attempt.json", "\"format\": 1", "\"format\": 7");
    lab.refuses(&(
        RESUME,
        2,
        Exactly(
            "run/attempt.json: an attempt's specification of format 7, which is newer than this program reads (format 1, \
             nanoresearch 0.1.0)\n  use the nanoresearch that wrote it, or a later one",
        ),
    ));
    interrupted(&lab);
    lab.write("run/outcome.json", "{\"format\": 1");
    lab.refuses(&(
        RESUME,
        2,
        All(&[
            "run/outcome.json: not an attempt's outcome: it ends too early, after 12 bytes\n  it only says how the run ended: set it \
             aside (`mv run/outcome.json run/outcome.json.damaged`) and give this command again",
        ]),
    ));
    // The advice is right, and as good for a run that had completed.
    for folder in ["run", "whole"] {
        if folder == "whole" {
            lab.copy("whole", "run");
        }
        lab.write("run/outcome.json", "{\"format\": 1");
        std::fs::rename(lab.at("run/outcome.json"), lab.at("run/outcome.json.damaged")).unwrap();
        lab.done(RESUME);
        same_as_whole(&lab);
        interrupted(&lab);
    }
    lab.write("run/outcome.json", "{\"format\": 7}");
    lab.refuses(&(
        RESUME,
        2,
        All(&["run/outcome.json: an attempt's outcome of format 7, which is newer", "use the nanoresearch"]),
    ));

    interrupted(&lab);
    lab.edit(&format!("{NEWEST}/checkpoint.json"), "\"format\": 1", "\"format\": 7");
    let answer = lab.run(RESUME);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("a checkpoint's record of format 7, which is newer"), "{answer:?}");
    assert!(lab.at(NEWEST).exists() && !lab.at(&format!("{NEWEST}.damaged")).exists(), "it is not called damaged");
}

#[test]
fn a_damaged_newest_checkpoint_gives_way_to_the_one_before() {
    let lab = lab();
    let state = format!("{NEWEST}/state.safetensors");
    let record = format!("{NEWEST}/checkpoint.json");
    type Change = fn(&mut Vec<u8>);
    let damages: [(&str, Change, &str); 4] = [
        (&state, |bytes| bytes.truncate(100), "state.safetensors: its BLAKE3 hash is "),
        (&state, |bytes| bytes[900] ^= 4, "state.safetensors: its BLAKE3 hash is "),
        (
            &record,
            |bytes| bytes.truncate(50),
            "checkpoint.json: not a checkpoint's record: it ends too early, after 50 bytes",
        ),
        (&record, |bytes| bytes.retain(|b| *b != b'7'), "checkpoint.json: its checksum is "),
    ];
    for (file, change, says) in damages {
        interrupted(&lab);
        lab.damage(file, change);
        let damaged = std::fs::read(lab.at(file)).unwrap();
        let said = lab.done(RESUME).stderr;
        assert!(said.contains(&format!("warning: checkpoint passed over: {NEWEST}/{says}")), "{said}");
        assert!(said.contains(&format!("it is kept as {NEWEST}.damaged\nresumed at step 15 from {OLDER}\n")), "{said}");
        let kept = file.replace(NEWEST, &format!("{NEWEST}.damaged"));
        assert_eq!(std::fs::read(lab.at(&kept)).unwrap(), damaged);
        same_as_whole(&lab);
    }
}

#[test]
fn without_any_good_checkpoint_the_run_begins_again_and_keeps_what_there_was() {
    let lab = lab();
    for step in [NEWEST, OLDER] {
        lab.damage(&format!("{step}/state.safetensors"), |bytes| bytes.truncate(8));
    }
    let said = lab.done(RESUME).stderr;
    assert_eq!(said.matches("checkpoint passed over").count(), 2, "{said}");
    assert!(
        said.contains(
            "warning: none of the checkpoints can be used, so the run begins again at step 0\n  its metrics so far are \
             kept as run/metrics.jsonl.damaged\n"
        ),
        "{said}"
    );
    same_as_whole(&lab);

    // The metrics are part of a checkpoint: without them, what goes on from it would have a hole.
    interrupted(&lab);
    lab.damage("run/metrics.jsonl", |bytes| bytes[20] = b'#');
    let damaged = std::fs::read(lab.at("run/metrics.jsonl")).unwrap();
    let said = lab.done(RESUME).stderr;
    assert!(said.contains("run/metrics.jsonl:1: not a metrics record"), "{said}");
    assert_eq!(std::fs::read(lab.at("run/metrics.jsonl.damaged")).unwrap(), damaged);
    same_as_whole(&lab);
}

#[test]
fn what_can_be_made_again_is() {
    let lab = lab();
    // A torn last line of the metrics, a lost manifest, a lost specification.
    lab.damage("run/metrics.jsonl", |bytes| bytes.extend(b"{\"kind\":\"tra"));
    lab.damage("run/manifest.json", |bytes| bytes.truncate(7));
    let said = lab.done(RESUME).stderr;
    assert_eq!(said, format!("resumed at step 20 from {NEWEST}\n"));
    same_as_whole(&lab);
    interrupted(&lab);
    std::fs::remove_file(lab.at("run/attempt.json")).unwrap();
    lab.done(RESUME);
    same_as_whole(&lab);
    // The model of a run that is over: flipped, cut, gone.
    type Change = fn(&mut Vec<u8>);
    let damages: [Change; 3] =
        [|bytes| *bytes.last_mut().unwrap() ^= 1, |bytes| bytes.truncate(60), |bytes| bytes.clear()];
    for change in damages {
        lab.copy("whole", "run");
        lab.damage("run/model.safetensors", change);
        let said = lab.done(RESUME).stderr;
        assert!(said.starts_with("warning: run/model.safetensors: "), "{said}");
        assert!(said.contains("\n  it is made again from the last good checkpoint\nresumed at step 20"), "{said}");
        same_as_whole(&lab);
    }
    let problem = {
        lab.damage("run/model.safetensors", |bytes| bytes.truncate(60));
        read_model(&lab.at("run")).unwrap_err().to_string()
    };
    assert!(problem.contains("model.safetensors: not a safetensors file: ") && problem.contains("\n  "), "{problem}");
}
