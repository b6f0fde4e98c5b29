//! A campaign's folder that somebody, or something, changed.

use super::kit::{Lab, Says};
use Says::{All, Exactly};

/// A lab with a concluded campaign in `camp`; damage is done to a copy, `copy`.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.done("run campaign.toml --quiet --out camp");
    lab
}

fn value(lab: &Lab, line: &str) -> serde_json::Value {
    serde_json::from_str(&lab.done(line).stdout).unwrap()
}

#[test]
fn selectors_and_second_beginnings() {
    let lab = lab();
    lab.refuses_all(&[
        ("why 99 --in camp", 2, Exactly("there is no run \"99\"\n  use a number from 1 to 4, or `last`")),
        ("why first --in camp", 2, All(&["there is no run \"first\"", "use a number from 1 to 4"])),
        ("logs 0 --in camp", 2, All(&["there is no run \"0\""])),
        (
            "run campaign.toml --out camp",
            2,
            Exactly(
                "camp: this folder holds a campaign already\n  go on with it by `nanoresearch resume camp`, or choose \
                 another folder with --out",
            ),
        ),
    ]);
    assert_eq!(lab.done("stop --in camp").stderr, "the campaign is concluded already; nothing to do\n");
    assert!(lab.done("logs 1 --in camp").stderr.ends_with("attempt 0001/01 ended at step 20: completed\n"));
    // A campaign that was created and never driven has runs for nobody to look at.
    lab.copy("camp", "copy");
    lab.damage("copy/events.jsonl", |bytes| bytes.truncate(1 + bytes.iter().position(|b| *b == b'\n').unwrap()));
    lab.refuses(&(
        "logs last --in copy",
        2,
        All(&["this campaign has no runs yet\n  see `nanoresearch status --in copy`"]),
    ));
    // One whose first attempt was reserved and not begun.
    lab.copy("camp", "copy");
    lab.damage("copy/events.jsonl", |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let planned = text.find("\"run-planned\"").expect("a planned run");
        bytes.truncate(planned + text[planned..].find('\n').unwrap() + 1);
    });
    assert_eq!(lab.done("logs 1 --in copy").stderr, "the run has not started yet\n");
}

#[test]
fn a_journal_that_was_changed_is_refused_by_everybody_and_left() {
    let lab = lab();
    type Change = fn(&mut Vec<u8>);
    let damages: [(Change, Says); 6] = [
        (
            |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            },
            All(&[
                "copy/events.jsonl:",
                "the file was changed after it was written\n  nothing was cut or changed; restore",
            ]),
        ),
        (
            |bytes| {
                let lines: Vec<Vec<u8>> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
                *bytes = [&lines[..3], &lines[4..]].concat().concat();
            },
            Exactly(
                "copy/events.jsonl:4: event 5 stands where event 4 should: the file was changed after it was written\n  \
                 nothing was cut or changed; restore the file from a backup. Where there is none, keep a copy and cut \
                 the file to its first 3 lines: what was recorded later is then lost, and its runs may be run again",
            ),
        ),
        (
            |bytes| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                *bytes = text.replacen("\"format\":1", "\"format\":2", 1).into_bytes();
            },
            Exactly(
                "copy/events.jsonl:1: this event has format 2, and this program reads formats up to 1\n  use the version \
                 of the program that wrote the campaign, or a later one; nothing was changed",
            ),
        ),
        (|bytes| bytes.clear(), All(&["copy: there is no campaign in this folder (no events.jsonl, or an empty one)"])),
        (
            |bytes| *bytes = vec![0x9f; 300],
            All(&["copy/events.jsonl: there is no whole event in it, only 300 bytes of none\n  restore the file"]),
        ),
        (
            |bytes| bytes[20] ^= 1,
            All(&[
                "copy/events.jsonl:1: ",
                "Where there is none, the campaign cannot be read any more: run it again in another folder; what its runs left \
                 stays under runs/",
            ]),
        ),
    ];
    for (change, says) in damages {
        lab.copy("camp", "copy");
        lab.damage("copy/events.jsonl", change);
        for line in [
            "status --in copy",
            "resume copy",
            "report --in copy",
            "why 1 --in copy",
            "best --in copy",
            "stop --in copy",
        ] {
            let says = match &says {
                Exactly(text) => Exactly(text),
                All(parts) => All(parts),
            };
            lab.refuses(&(line, 2, says));
        }
    }
}

#[test]
fn a_torn_last_event_and_lost_derived_files_are_no_loss() {
    let lab = lab();
    let expected = value(&lab, "status --in camp --format json");
    lab.copy("camp", "copy");
    lab.damage("copy/events.jsonl", |bytes| bytes.truncate(bytes.len() - 30));
    assert_eq!(value(&lab, "status --in copy --format json")["phase"], "running");
    // What was cut is said once, with where it is.
    let notice = "copy/events.jsonl: its last event was cut short, as a crash or a full disk leaves it; these ";
    let said = lab.done("resume copy --quiet").stderr;
    assert_eq!(said.matches(notice).count(), 1, "{said}");
    assert!(said.contains(" bytes are kept as events.jsonl.torn-") && said.contains("so nothing is lost\n"), "{said}");
    assert!(!lab.done("resume copy").stderr.contains(notice), "it is said once");
    let resumed = value(&lab, "status --in copy --format json");
    assert_eq!(resumed["conclusion"]["sentence"], expected["conclusion"]["sentence"]);
    assert_eq!(resumed["budget"], expected["budget"]);
    let torn = std::fs::read_dir(lab.at("copy")).unwrap().flatten();
    assert!(torn.into_iter().any(|e| e.file_name().to_string_lossy().starts_with("events.jsonl.torn-")), "kept beside");

    lab.copy("camp", "copy");
    for name in ["state.json", "report.html", "results.tsv", "campaign.toml"] {
        std::fs::remove_file(lab.at("copy").join(name)).unwrap();
    }
    assert_eq!(value(&lab, "status --in copy --format json"), expected);
    lab.done("report --in copy");
    let said = lab.done("resume copy").stderr;
    assert!(
        said.starts_with("copy/campaign.toml was missing; it is written again as events.jsonl records it\n"),
        "{said}"
    );
    assert_eq!(
        std::fs::read(lab.at("copy/campaign.toml")).unwrap(),
        std::fs::read(lab.at("camp/campaign.toml")).unwrap()
    );
    std::fs::remove_dir_all(lab.at("copy/runs")).unwrap();
    lab.done("report --in copy");
    assert!(lab.done("logs 1 --in copy").stderr.contains("left no files: copy/runs/0001/attempts/01 is not there"));
}

#[test]
fn a_beginning_that_was_cut_short_is_begun_again() {
    let lab = lab();
    for bytes in [0, 50] {
        std::fs::create_dir_all(lab.at("copy")).unwrap();
        for name in ["events.jsonl", "campaign.toml", "owner.json"] {
            std::fs::copy(lab.at("camp").join(name), lab.at("copy").join(name)).unwrap();
        }
        lab.damage("copy/events.jsonl", |events| events.truncate(bytes));
        lab.done("run campaign.toml --quiet --out copy");
        std::fs::remove_dir_all(lab.at("copy")).unwrap();
    }
}

#[test]
fn an_edited_campaign_goes_on_only_where_its_results_stay_comparable() {
    let lab = lab();
    lab.copy("camp", "copy");
    lab.edit("copy/campaign.toml", "kind = \"random\"", "kind = \"grid\"");
    let before = std::fs::read(lab.at("copy/events.jsonl")).unwrap();
    let answer = lab.run("resume copy");
    assert_eq!(answer.code, 2);
    let paragraph = "error: LAB/copy/campaign.toml: changing planner.kind from \"random\" to \"grid\" would make the \
                     results so far incomparable with the next ones\n  undo that change, or start a new campaign in \
                     another folder; these keys may change: name, question, objective.goal, budget, execution, \
                     planner.candidates, seeds.finalists, llm, approval, knowledge\n";
    assert_eq!(answer.stderr, format!("campaign tiny in copy\n{paragraph}"));
    assert_eq!(std::fs::read(lab.at("copy/events.jsonl")).unwrap(), before);

    lab.copy("camp", "copy");
    lab.damage("copy/campaign.toml", |bytes| bytes.extend(b"\ngarbage = ["));
    lab.refuses(&("resume copy", 2, All(&["copy/campaign.toml:", "not valid TOML", "correct this line"])));
    lab.damage("copy/campaign.toml", |bytes| *bytes = vec![0xff, 0xfe]);
    lab.refuses(&("resume copy", 2, All(&["copy/campaign.toml: not UTF-8 text (byte 0 is not)\n  convert"])));
}

#[test]
fn damaged_results_of_runs_are_named() {
    let lab = lab();
    lab.copy("camp", "copy");
    lab.write("copy/runs/0001/attempts/01/outcome.json", "{");
    // The log and the metrics are there all the same, and the journal knows how it ended.
    let (whole, damaged) = (lab.done("logs 1 --in camp"), lab.done("logs 1 --in copy"));
    assert_eq!(damaged.stdout, whole.stdout);
    assert!(damaged.stdout.contains("validation: accuracy"), "{damaged:?}");
    let says = "warning: copy/runs/0001/attempts/01/outcome.json: not an attempt's outcome: it ends too early, after 1 bytes\n  \
                events.jsonl has it that attempt 0001/01: completed at step 20";
    assert!(damaged.stderr.starts_with(says), "{damaged:?}");
    lab.done("status --in copy");
    lab.copy("camp", "copy");
    lab.damage("copy/runs/0001/attempts/01/metrics.jsonl", |bytes| bytes[0] = b'x');
    let answer = lab.run("logs 1 --in copy");
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(
        answer.stderr.starts_with("error: copy/runs/0001/attempts/01/metrics.jsonl:1: not a metrics record: "),
        "{answer:?}"
    );
    // Torn at the end is still being written.
    lab.copy("camp", "copy");
    lab.damage("copy/runs/0001/attempts/01/metrics.jsonl", |bytes| bytes.extend(b"{\"kind\":"));
    lab.done("logs 1 --in copy");
}
