//! Bundles of a campaign in the laboratory.
#![allow(clippy::disallowed_methods)]

use super::*;
use crate::campaign::State;
use crate::campaign::tests::lab::{Lab, campaign};
use crate::problem::Class;
use flate2::read::GzDecoder;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn concluded() -> (Lab, State) {
    let campaign = campaign("planner = { candidates = 2 }");
    let lab = Lab::quiet(&campaign);
    lab.live(&campaign, None, &mut []).unwrap();
    let state = lab.state();
    (lab, state)
}

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn unpack(bundle: &Path, into: &Path) -> PathBuf {
    tar::Archive::new(GzDecoder::new(std::fs::File::open(bundle).unwrap())).unpack(into).unwrap();
    into.join("lab")
}

#[test]
fn what_belongs_goes_along_and_a_flipped_byte_is_found() {
    let (lab, state) = concluded();
    let folder = &lab.folder;
    for (name, text) in [
        ("paper/paper.html", "<p>A paper.</p>"),
        ("paper/figures/one.svg", "<svg/>"),
        ("paper/paper.aux", "\\input{/somewhere/here}"),
        ("llm/0001.json", "{}"),
        ("site.toml", "account = \"secret-project\""),
        ("control/word-1.json", "{}"),
        ("bin/nanoresearch-0123456789abcdef", "program"),
        ("runs/0001/attempts/01/worker.log", "/scratch/ada/log"),
        ("runs/0001/attempts/01/job.sbatch", "#SBATCH -A secret-project"),
        ("runs/0001/attempts/01/model.safetensors", "weights"),
        ("runs/0001/attempts/01/metrics.jsonl", "{\"step\":1} in /scratch/ada twice: /scratch/ada\n"),
    ] {
        put(folder, name, text);
    }
    std::os::unix::fs::symlink("/etc/passwd", folder.join("paper/passwd")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("lab.tar.gz");
    let replay = Some(Replay { decisions: 7, digest: "d1gest".into() });
    let options = Options { names: vec![("/scratch/ada".into(), "a folder")], ..Options::default() };
    let exported = export(folder, &state, replay.clone(), &bundle, &options).unwrap();
    assert_eq!(exported.names, [("runs/0001/attempts/01/metrics.jsonl".to_string(), "a folder", 2)]);
    // Nothing is lost by a second export, and equal content gives equal bytes.
    let again = out.path().join("again.tgz");
    export(folder, &state, replay.clone(), &again, &options).unwrap();
    assert_eq!(std::fs::read(&bundle).unwrap(), std::fs::read(&again).unwrap());

    let there = unpack(&bundle, out.path());
    let listing = check(&there).unwrap().unwrap();
    assert_eq!((listing.campaign.as_str(), &listing.replay), ("lab", &replay));
    assert_eq!(listing.files.len() + 1, exported.files);
    let names: BTreeSet<&str> = listing.files.keys().map(String::as_str).collect();
    for name in [
        "events.jsonl",
        "prices.jsonl",
        "campaign.toml",
        "llm/0001.json",
        "paper/paper.html",
        "paper/figures/one.svg",
        "runs/0001/attempts/01/metrics.jsonl",
        "runs/0001/attempts/01/attempt.json",
        "environment.json",
        "README.md",
    ] {
        assert!(names.contains(name), "{name} is not in {names:?}");
    }
    for name in names {
        for left in ["site", "control", "bin/", "worker.log", "job", "safetensors", "aux", "passwd", "owner"] {
            assert!(!name.contains(left), "{name}");
        }
    }
    let readme = std::fs::read_to_string(there.join("README.md")).unwrap();
    assert!(
        readme.contains("nanoresearch run lab --replay") && readme.contains("d1gest") && readme.contains("`paper/`"),
        "{readme}"
    );

    // Every file: one bit, one byte more, none at all.
    for name in listing.files.keys() {
        let path = there.join(name);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        for (bytes, words) in [(bad, "has other content"), ([&good[..], b"\n"].concat(), "bytes, not")] {
            std::fs::write(&path, bytes).unwrap();
            let problem = check(&there).unwrap_err();
            assert!(problem.what.contains(name) && problem.what.contains(words), "{problem}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(check(&there).unwrap_err().what.contains(&format!("{name} is missing")));
        std::fs::write(&path, good).unwrap();
    }
    check(&there).unwrap();

    // A listing that points elsewhere, or is none.
    let text = std::fs::read_to_string(there.join(LISTING_FILE)).unwrap();
    std::fs::write(there.join(LISTING_FILE), text.replace("\"events.jsonl\"", "\"../../etc/passwd\"")).unwrap();
    assert!(check(&there).unwrap_err().what.contains("no path within"));
    std::fs::write(there.join(LISTING_FILE), "{").unwrap();
    assert!(check(&there).unwrap_err().what.contains("not a bundle's listing"));
    assert_eq!(check(folder).unwrap(), None, "a campaign that was not exported");

    // Weights and logs where they are asked for.
    let whole = out.path().join("whole.tar.gz");
    let options = Options { weights: true, logs: true, ..Options::default() };
    export(folder, &state, None, &whole, &options).unwrap();
    let there = unpack(&whole, &out.path().join("w"));
    assert!(there.join("runs/0001/attempts/01/model.safetensors").exists());
    assert!(there.join("runs/0001/attempts/01/worker.log").exists());
    let readme = std::fs::read_to_string(there.join("README.md")).unwrap();
    assert!(readme.contains("cannot be replayed"), "{readme}");
}

#[test]
fn keys_stay_and_nothing_is_overwritten() {
    let (lab, state) = concluded();
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("b.tar.gz");
    put(&lab.folder, "llm/0001.json", "{\"asked with\": \"hunter2-hunter2\"}");
    let options = Options { secrets: vec!["hunter2-hunter2".into()], ..Options::default() };
    let problem = export(&lab.folder, &state, None, &bundle, &options).unwrap_err();
    assert!(problem.what.contains("llm/0001.json") && !problem.to_string().contains("hunter2"), "{problem}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "nothing is left");
    export(&lab.folder, &state, None, &bundle, &Options { allow_secrets: true, ..options }).unwrap();
    let problem = export(&lab.folder, &state, None, &bundle, &Options::default()).unwrap_err();
    assert_eq!(problem.class, Class::Usage, "{problem}");
    let problem = export(&lab.folder, &state, None, &out.path().join("b.zip"), &Options::default()).unwrap_err();
    assert!(problem.class == Class::Usage && problem.what.contains(".tar.gz"), "{problem}");
}
