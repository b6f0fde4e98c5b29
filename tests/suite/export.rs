//! `export`: a campaign as one file, unpacked in another place, checked and replayed there.

use super::campaigns::Field;
use flate2::read::GzDecoder;
use std::path::Path;

const CAMPAIGN: &str = r#"
name = "small"
question = "Which learning rate lowers the loss on the digits?"
objective.metric = "loss"
seeds = { baseline = 2, confirm = 2, finalists = 1 }
planner = { kind = "tpe", seed = 3, startup = 2, candidates = 3 }
space."optimizer.learning_rate" = { type = "log-float", low = 1e-4, high = 1e-1 }
baseline.data.kind = "digits"
baseline.model = { kind = "mlp", widths = [16] }
baseline.optimizer = { kind = "adamw", learning_rate = 1e-3 }
baseline.training = { batch_size = 32, budget = { steps = 40 } }
baseline.evaluation = { every = 20, samples = 64 }
budget = { device_hours = 0.2 }
"#;

fn unpack(bundle: &Path, into: &Path) {
    tar::Archive::new(GzDecoder::new(std::fs::File::open(bundle).unwrap())).unpack(into).unwrap();
}

#[test]
fn a_bundle_is_checked_and_replayed_in_another_place() {
    let field = Field::new(CAMPAIGN);
    let root = field.folder().parent().unwrap().to_path_buf();
    assert_eq!(field.say(&["run", "campaign.toml", "--out", "c"]).code, 0);
    let said = field.say(&["export", "c", "-o", "b.tar.gz"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("nanoresearch run small --replay"), "{}", said.stdout);
    let digest = said.stdout.split("digest ").nth(1).unwrap().trim().split('\n').next().unwrap().to_string();

    // Elsewhere, with the campaign itself gone.
    let elsewhere = Field::new("");
    let there = elsewhere.folder().parent().unwrap().to_path_buf();
    unpack(&root.join("b.tar.gz"), &there);
    std::fs::remove_dir_all(root.join("c")).unwrap();
    let replay = || elsewhere.say(&["run", "small", "--replay"]);
    let said = replay();
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    assert!(
        said.stdout.contains("files are as they were exported") && said.stdout.contains(&digest),
        "{}",
        said.stdout
    );
    assert_eq!(elsewhere.say(&["status", "--in", "small"]).code, 0);

    // One bit of one of a run's metrics, then of the journal.
    for name in ["runs/0002/metrics.jsonl", "events.jsonl"] {
        let path = there.join("small").join(name);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 3] ^= 4;
        std::fs::write(&path, &bad).unwrap();
        let said = replay();
        assert!(said.code == 1 && said.stderr.contains(name), "{}: {}", said.code, said.stderr);
        std::fs::write(&path, good).unwrap();
    }
    // A journal whose checksums and sums were made to fit again, with one decision that the program would not make.
    let path = there.join("small/events.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let forged: String = text
        .lines()
        .map(|line| if line.contains("\"kind\":\"candidate-judged\"") { forge(line) } else { line.to_string() } + "\n")
        .collect();
    assert_ne!(forged, text);
    std::fs::write(&path, &forged).unwrap();
    std::fs::remove_file(there.join("small/bundle.json")).unwrap();
    let said = replay();
    assert!(said.code == 1 && said.stderr.contains("decides otherwise"), "{}: {}", said.code, said.stderr);
}

/// A judgement turned into its words' opposite, with a checksum that fits.
fn forge(line: &str) -> String {
    let body = line.split_once("\",").unwrap().1.replacen("\"why\":\"", "\"why\":\"not ", 1);
    format!("{{\"sum\":\"{}\",{body}", &blake3::hash(body.as_bytes()).to_hex()[..16])
}

/// A list of somebody else's experiments is a campaign too.
#[test]
fn a_batch_is_exported_and_replayed() {
    let field = Field::new("");
    let root = field.folder().parent().unwrap().to_path_buf();
    let one = |rate: f64| {
        format!(
            r#"{{"data":{{"kind":"digits"}},"model":{{"kind":"mlp","widths":[16]}},"optimizer":{{"kind":"adamw","learning_rate":{rate}}},"training":{{"batch_size":32,"budget":{{"steps":20}}}}}}"#
        )
    };
    std::fs::write(root.join("list.jsonl"), format!("{}\n{}\n", one(0.01), one(0.001))).unwrap();
    let said = field.say(&["batch", "list.jsonl", "--folder", "c"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    let said = field.say(&["export", "c", "-o", "b.tar.gz"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    unpack(&root.join("b.tar.gz"), &root.join("there"));
    let said = field.say(&["run", "there/list", "--replay"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
}
