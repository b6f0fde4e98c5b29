//! What the program writes and prints can be used as it stands: recorded configs train again, printed commands work.

use super::bad_input::kit::Lab;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TABLE: &str = "[data]\nkind = \"csv\"\npath = \"../tables/t.csv\"\ntarget = \"y\"\ntask = \"classification\"\n\
                     [model]\nkind = \"mlp\"\nwidths = [4]\n[optimizer]\nkind = \"adamw\"\n\
                     [training]\nbatch_size = 16\nbudget = { steps = 4 }\n";

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("tables/t.csv", (0..80).fold("x,y\n".to_string(), |t, i| t + &format!("{},{}\n", i * 7 % 11, i % 2)));
    lab.write("jobs/experiment.toml", TABLE);
    let campaign = std::fs::read_to_string(lab.at("campaign.toml")).unwrap();
    lab.write("jobs/campaign.toml", campaign);
    lab
}

#[test]
fn recorded_configs_find_their_files() {
    let lab = lab();
    lab.run("run jobs/campaign.toml --out deep/er/c");
    let run = lab.at("deep/er/c/runs/0001/config.toml");
    assert!(std::fs::read_to_string(&run).unwrap().contains("path = \"../../../../../tables/t.csv\""));
    lab.done("train deep/er/c/runs/0001/config.toml --out again");
    lab.done("train again/config.toml --out and/again");
    lab.done("train deep/er/c/runs/0001/attempts/01/config.toml --out attempt");
    lab.done("run deep/er/c/campaign.toml --out c2 --dry-run");
    lab.run("run deep/er/c/campaign.toml --out c2");
    // Nothing was edited, so nothing is said to be.
    let resumed = lab.run("resume deep/er/c");
    assert!(!resumed.stderr.contains("edited"), "{}", resumed.stderr);
    let best = lab.run("best --in c2");
    match best.code {
        0 => {
            lab.write("best.toml", best.stdout);
            lab.done("check best.toml");
        }
        _ => assert!(best.code == 1 && best.stdout.is_empty() && best.stderr.contains("no candidate"), "{best:?}"),
    }
}

#[test]
fn the_command_printed_after_a_checkpoint_goes_on() {
    let lab = Lab::new();
    let mut child = lab
        .command("train experiment.toml --out t training.budget={steps=200000} evaluation.every=1000 training.seed=5")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let waiting = Instant::now();
    while std::fs::metadata(lab.at("t/metrics.jsonl")).map_or(0, |m| m.len()) < 300 {
        assert!(waiting.elapsed() < Duration::from_secs(60), "no steps were taken");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(75), "{said}");
    let line = said.lines().map(str::trim).find(|line| line.starts_with("nanoresearch train")).unwrap();
    // As a shell reads it; it is over at its limit of time instead of at its last step.
    let line = line.replacen("nanoresearch", env!("CARGO_BIN_EXE_nanoresearch"), 1);
    let again = Command::new("sh")
        .args(["-c", &format!("{line} resources.wall_seconds=0.2")])
        .current_dir(lab.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("wall-clock limit") && !said.contains("another run"), "{said}");
}

/// A training is predicted without being held up: at another machine's speeds until this one has been measured, which the
/// command that it prints does.
#[test]
fn a_training_says_what_was_predicted() {
    let lab = Lab::new();
    let in_lab = |line: &str| {
        let output = lab.command(line).env("XDG_CACHE_HOME", lab.at("cache")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let manifest = |folder: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(lab.at(folder).join("manifest.json")).unwrap()).unwrap()
    };
    let (said, _) = in_lab("train experiment.toml training.seed=5 --out first");
    let line = said.lines().find(|line| line.starts_with("predicted")).unwrap();
    let (_, check) = line.split_once("at another machine's speeds; `nanoresearch ").unwrap();
    assert_eq!(manifest("first")["predicted_from"], "assumed");
    assert!(manifest("first")["predicted_seconds"].as_f64().unwrap() > 0.0);

    let check = check.split('`').next().unwrap().to_string();
    let checked = (0..10).find_map(|_| {
        let (checked, said) = in_lab(&format!("{check} --format json"));
        // A machine that is busy with other things is measured again.
        (!said.contains("predictions are guesses")).then_some(checked)
    });
    let checked: serde_json::Value = serde_json::from_str(&checked.expect("a profile that is kept")).unwrap();
    let (said, _) = in_lab("train experiment.toml training.seed=5 --out second");
    assert!(said.contains("predicted") && !said.contains("another machine"), "{said}");
    assert_eq!(manifest("second")["predicted_from"], "measured");
    assert_eq!(manifest("second")["predicted_seconds"], checked["run_seconds"]["seconds"]);
}

#[test]
fn a_campaign_on_one_line_of_json_is_a_campaign() {
    let lab = Lab::new();
    let toml: toml::Table = std::fs::read_to_string(lab.at("campaign.toml")).unwrap().parse().unwrap();
    lab.write("one.json", serde_json::to_string(&toml).unwrap());
    assert!(lab.done("check one.json").stdout.starts_with("campaign tiny: valid"));
    lab.write("wrong.json", serde_json::to_string(&toml).unwrap().replace("\"seeds\"", "\"seedz\""));
    let answer = lab.run("check wrong.json");
    assert!(answer.code == 2 && answer.stderr.contains("seedz") && !answer.stderr.contains("not an experiment"));
}

/// A limit on the size of files is told like a full disk: what is there stays, and the run goes on from it.
#[test]
fn a_limit_on_the_size_of_files_is_an_error_with_words() {
    let lab = Lab::new();
    let program = env!("CARGO_BIN_EXE_nanoresearch");
    let answer = Command::new("bash")
        .args(["-c", &format!("ulimit -f 4; {program} train experiment.toml --out t")])
        .current_dir(lab.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&answer.stderr);
    assert!(answer.status.code() == Some(1) && said.contains("error:"), "{:?} {said}", answer.status);
    lab.done("train experiment.toml --out t --resume");
}
