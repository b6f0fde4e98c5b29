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

/// Every row of the tables in docs/benchmarks/planners.md is what the committed numbers say, and the numbers of the real task
/// are what the code makes of its committed traces.
#[test]
fn the_published_tables_are_what_the_committed_traces_give() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks");
    let text = std::fs::read_to_string(docs.join("planners.md")).unwrap();
    let committed: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(docs.join("planners.json")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let json = docs.join("planners.json");
    let line = format!("bench planners --again {} --figures drawn --format json", json.display());
    let again: Vec<Value> = serde_json::from_str(&done(folder.path(), &line)).unwrap();
    assert_eq!(again.len(), 1, "only the real task's traces are committed");
    let (old, new) = (committed[0]["standings"].as_array().unwrap(), again[0]["standings"].as_array().unwrap());
    assert_eq!(old.len(), new.len());
    for (old, new) in old.iter().zip(new) {
        for at in ["/median", "/difference/low", "/difference/high", "/adjusted", "/best/3", "/reached", "/runs"] {
            let number = |v: &Value| v.pointer(at).and_then(Value::as_f64).unwrap_or_else(|| panic!("{at} of {v}"));
            // The traces are committed to six digits.
            assert!((number(old) - number(new)).abs() <= 1e-4, "{at}: {old} {new}");
        }
    }
    let mut rows = 0;
    for task in &committed {
        let name = task["task"].as_str().unwrap();
        let begin = text.find(&format!("### {name} (")).unwrap_or_else(|| panic!("{name}"));
        let section = &text[begin..];
        let section = &section[..section[3..].find("\n## ").map_or(section.len(), |end| end + 3)];
        for standing in task["standings"].as_array().unwrap() {
            let row = row(standing);
            assert!(section.contains(&row), "{name}: {row}");
            rows += 1;
        }
    }
    assert_eq!(rows, 65);
    for what in ["best", "difference"] {
        let svg =
            std::fs::read_to_string(folder.path().join(format!("drawn/planners-shakespeare-{what}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("tpe-cost-blind"), "{what}");
    }
    // A cut to two arms; what is no contest is refused.
    let table = done(folder.path(), &format!("bench planners --again {} --arms random,tpe", json.display()));
    assert!(table.contains("planners-shakespeare: 10 seeds") && !table.contains("cma-es"), "{table}");
    std::fs::write(folder.path().join("other.json"), "{}").unwrap();
    let other = run(folder.path(), "bench planners --again other.json");
    assert!(
        other.status.code() == Some(2) && String::from_utf8_lossy(&other.stderr).contains("no traces of a contest")
    );
}

/// A row as the document has it.
fn row(s: &Value) -> String {
    let number = |at: &str| s.pointer(at).and_then(Value::as_f64);
    let best = |k: usize| number(&format!("/best/{k}")).map_or("-".into(), |v| format!("{v:.4}"));
    let of = |at: &str| number(at).unwrap_or_else(|| panic!("{at} of {s}"));
    let compared = of("/p_value") < 1.0;
    let difference =
        format!("{:.4} [{:.4}, {:.4}]", of("/difference/mean"), of("/difference/low"), of("/difference/high"));
    let reach = number("/reach").map_or("never".to_string(), |r| format!("{r:.2}"));
    let wasted =
        s["wasted"].as_object().unwrap().iter().map(|(k, v)| format!("{k} {:.0}%", 100.0 * v.as_f64().unwrap()));
    let wasted = wasted.collect::<Vec<_>>().join(", ");
    let decided = number("/decided_per_hour");
    let cells = [
        s["arm"].as_str().unwrap().to_string(),
        best(0),
        best(1),
        best(3),
        format!("{:.4}", of("/median")),
        if compared { difference } else { "-".into() },
        if compared { format!("{:.3}", of("/adjusted")) } else { "-".into() },
        format!("{reach} ({}/{})", s["reached"], s["seeds"]),
        if wasted.is_empty() { "-".into() } else { wasted },
        format!("{:.0}", of("/runs")),
        decided.map_or("-".into(), |d| format!("{d:.0} ({}/{})", s["deciding"], s["seeds"])),
        number("/survivors_per_hour").map_or("-".into(), |k| format!("{k:.0}")),
    ];
    format!("| {} |", cells.join(" | "))
}
