//! `bench planners` as a person runs it: standard functions, real campaigns, a surrogate of their record.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const CAMPAIGN: &str = r#"
name = "tiny"
question = "Which learning rate and width?"
objective = { metric = "loss" }
budget = { device_hours = 0.2 }
seeds = { baseline = 2, confirm = 2, finalists = 1, racing = true }
planner = { candidates = 16, startup = 4 }
execution = { parallel = 2 }

[space]
"optimizer.learning_rate" = { type = "log-float", low = 1e-4, high = 1e-1 }
"model.widths" = { type = "choice", values = [[8], [16], [32]] }

[baseline]
data = { kind = "digits" }
model = { kind = "mlp", widths = [16] }
optimizer = { kind = "adamw", learning_rate = 1e-3 }
training = { batch_size = 32, budget = { steps = 20 } }
evaluation = { samples = 100 }
"#;

fn run(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nanoresearch"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env_remove("NANORESEARCH_DATA")
        .output()
        .unwrap()
}

fn done(folder: &Path, line: &str) -> String {
    let output = run(folder, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn functions_in_virtual_time() {
    let folder = tempfile::tempdir().unwrap();
    let line = "bench planners --arms random,tpe-halving --seeds 2 --format json";
    let first = done(folder.path(), line);
    let tasks: Vec<Value> = serde_json::from_str(&first).unwrap();
    let names: Vec<&str> = tasks.iter().map(|t| t["task"].as_str().unwrap()).collect();
    assert_eq!(names, ["branin", "hartmann6", "mixed", "conditional"]);
    for task in &tasks {
        assert_eq!(task["standings"].as_array().unwrap().len(), 2);
        for trace in task["traces"].as_array().unwrap() {
            assert!(trace["spent"].as_f64().unwrap() <= trace["budget"].as_f64().unwrap());
        }
    }
    assert_eq!(done(folder.path(), line), first, "the same arguments, the same figures");
    let unknown = run(folder.path(), "bench planners --arms random,tpo");
    assert_eq!(unknown.status.code(), Some(2));
    let asking = run(folder.path(), "bench planners --arms random,hybrid");
    assert!(asking.status.code() == Some(2) && String::from_utf8_lossy(&asking.stderr).contains("only campaigns do"));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("tpe-halving"), "the arms are named");
}

#[test]
fn real_campaigns_their_record_and_its_surrogate() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("tiny.toml"), CAMPAIGN).unwrap();
    let line = "bench planners --campaign tiny.toml --arms random,tpe-aware,tpe-halving --seeds 1 --format json";
    let tasks: Vec<Value> = serde_json::from_str(&done(at, line)).unwrap();
    let traces = tasks[0]["traces"].as_array().unwrap();
    let standings = tasks[0]["standings"].as_array().unwrap();
    for (trace, standing) in traces.iter().zip(standings) {
        assert!(trace["spent"].as_f64().unwrap() <= 720.0);
        assert!(!trace["results"].as_array().unwrap().is_empty(), "{trace}");
        assert!(standing["deciding"].is_u64() && standing["decided_per_hour"].is_number(), "{standing}");
    }
    // What has ended is not run again.
    let again: Vec<Value> = serde_json::from_str(&done(at, line)).unwrap();
    assert_eq!(again, tasks);
    // The halved arm stopped runs at rungs; the weighing one tells how far its predictions went.
    let journal = |arm: &str| std::fs::read_to_string(at.join(format!("planners/{arm}/00/events.jsonl"))).unwrap();
    assert!(journal("tpe-halving").contains("rung-reached") && !journal("random").contains("rung-reached"));
    done(at, "report --in planners/tpe-aware/00");
    let report = std::fs::read_to_string(at.join("planners/tpe-aware/00/report.html")).unwrap();
    assert!(report.contains("How far predicted gains can be trusted"));
    // 16 runs each: one campaign is too little for a surrogate, two are enough.
    std::fs::write(at.join("one.json"), done(at, "bench planners --record planners/random/00")).unwrap();
    let few = run(at, "bench planners --recorded one.json");
    assert_eq!(few.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&few.stderr).contains("30 are needed"));
    let two = done(at, "bench planners --record planners/random/00 planners/tpe-aware/00");
    std::fs::write(at.join("two.json"), two).unwrap();
    let table = done(at, "bench planners --recorded two.json --arms random,tpe --seeds 2");
    assert!(table.contains("tiny-random-0 (surrogate): 2 seeds") && table.contains("\ntpe "), "{table}");
}
