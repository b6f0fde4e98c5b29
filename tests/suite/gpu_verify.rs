//! `scripts/gpu-verify` on a made-up driver that computes nothing: what it shows of a card it cannot show here, but that every
//! command in it runs, that a part that fails hides no other, and that everything is written down.

use super::gpu::Fakes;
use std::path::Path;
use std::process::{Command, Output};

fn script(fakes: &Fakes, folders: &[&str], arguments: &[&str]) -> (Command, std::path::PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut command, out) = (fakes.around(&root.join("scripts/gpu-verify"), folders), fakes.path("out"));
    command.args(["--binary", env!("CARGO_BIN_EXE_nanoresearch"), "--out"]).arg(&out).args(arguments);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    (command, out)
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn machine() -> Fakes {
    let fakes = Fakes::new();
    fakes.driver("a", 13000, 0).blas("a", None).rest("a");
    fakes
}

#[test]
fn a_part_that_fails_hides_no_other() {
    let fakes = machine();
    // On such a small card some of the sixteen trainings have no room.
    let (mut command, out) = script(&fakes, &["a"], &["--only", "first,memory,cost,torch", "--minutes", "4"]);
    let output = command.env("FAKE_MEMORY", "2000").output().unwrap();
    let (table, log) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{table}{log}");
    let line = |part: &str| table.lines().find(|line| line.starts_with(part)).unwrap_or_else(|| panic!("{table}{log}"));
    assert!(line("first").contains(" ok "), "{table}");
    assert!(line("memory").contains("FAILED") && line("memory").contains(" more"), "{table}");
    assert!(line("cost").contains("FAILED") && line("cost").contains("reads what `steps` has found"), "{table}");
    assert!(line("torch").contains("skipped") || line("torch").contains("FAILED"), "{table}");
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(out.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))).unwrap()
    };
    let rows = json("memory.json")["rows"].as_array().unwrap().clone();
    let (refused, told): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["error"].is_string());
    assert_eq!(rows.len(), 16, "{table}");
    assert!(!refused.is_empty() && told.len() > 8, "{table}");
    assert!(refused.iter().all(|row| row["error"].as_str().unwrap().contains("out of memory")), "{refused:?}");
    // The block is all that a made-up driver gives.
    for row in told {
        let mib = |what: &str| row[what].as_f64().unwrap() / 1048576.0;
        assert_eq!((row["outside"].as_u64(), mib("predicted") - 700.0), (Some(0), mib("used")), "{row}");
    }
    let whole = json("verify.json");
    assert!(whole["about"]["command"].as_str().unwrap().contains("--only first,memory,cost,torch"), "{whole}");
    assert_eq!(whole["memory"]["said"], json("memory.json")["said"]);
    assert!(std::fs::read_to_string(out.join("failures.txt")).unwrap().contains("out of memory"));
    assert_eq!(std::fs::read_to_string(out.join("table.txt")).unwrap(), table);
    assert!(std::fs::read_to_string(out.join("doctor.txt")).unwrap().contains("gpu driver"));
}

#[test]
fn what_cannot_begin_says_why() {
    let fakes = machine();
    let refused = |folders: &[&str], arguments: &[&str], cards: &str, word: &str| {
        let output = script(&fakes, folders, arguments).0.env("FAKE_CARDS", cards).output().unwrap();
        let (table, log) = said(&output);
        assert_eq!((output.status.code(), table.as_str()), (Some(2), ""), "{log}");
        assert!(log.contains(word), "{log}");
        let _ = std::fs::remove_dir_all(fakes.path("out"));
    };
    refused(&["a"], &["--only", "memory"], "0", "no cuda:0: the NVIDIA driver shows this process no GPU");
    refused(&["a"], &["--only", "speed"], "2", "there is no part speed");
    refused(&["a"], &["--only", "presets", "--data", "nowhere"], "2", "nowhere holds no tinyshakespeare.txt");
    refused(&["a"], &["--binary", "nowhere"], "2", "nowhere is no program");
    std::fs::create_dir_all(fakes.path("out/old")).unwrap();
    refused(&["a"], &["--only", "memory"], "2", "is not empty");
}
