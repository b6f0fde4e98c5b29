//! `batch`: somebody else's experiments, one JSON object a line.

use super::bad_input::kit::{Lab, Says};
use serde_json::{Value, json};

fn experiment(rate: f64, seed: u64) -> Value {
    json!({
        "data": { "kind": "digits" },
        "model": { "kind": "mlp", "widths": [8] },
        "optimizer": { "kind": "adamw", "learning_rate": rate },
        "training": { "batch_size": 16, "budget": { "steps": 20 }, "seed": seed },
        "evaluation": { "every": 10 },
    })
}

fn named(id: &str, mut experiment: Value) -> String {
    experiment["id"] = json!(id);
    experiment.to_string()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// Different models, data and seeds; one experiment twice is paid for once; the same command again gives the same lines.
#[test]
fn every_line_gets_a_result() {
    let lab = Lab::new();
    let mut other = experiment(0.01, 2);
    other["model"] = json!({ "preset": "cnn-digits" });
    other["training"]["budget"] = json!({ "steps": 4 });
    let modular = json!({
        "data": { "kind": "modular", "modulus": 7 }, "model": { "preset": "gpt-modular", "width": 16 },
        "optimizer": { "kind": "adamw", "learning_rate": 1e-3 },
        "training": { "batch_size": 8, "budget": { "steps": 3 } }, "evaluation": { "every": 3 },
    });
    let list = [
        named("a", experiment(0.003, 1)),
        String::new(),
        named("b", other),
        named("c", modular),
        experiment(0.003, 1).to_string(),
        named("e", experiment(0.003, 2)),
    ];
    lab.write("list.jsonl", list.join("\n") + "\n");
    let dry = lab.done("batch list.jsonl --dry-run");
    assert!(dry.stderr.contains("5 experiments") && dry.stdout.is_empty() && !lab.at("list").exists(), "{dry:?}");
    let said = lab.done("batch list.jsonl execution.parallel=2");
    let results = lines(&said.stdout);
    assert_eq!(results.len(), 5, "{said:?}");
    let by_line = |n: u64| results.iter().find(|r| r["line"] == n).unwrap();
    assert!(results.iter().all(|r| r["status"] == "finished" && r["metrics"]["loss"].is_number()), "{results:#?}");
    assert_eq!((&by_line(1)["id"], &by_line(3)["id"], by_line(5).get("id")), (&json!("a"), &json!("b"), None));
    assert_eq!(by_line(1)["run"], by_line(5)["run"], "the same experiment and seed");
    assert_ne!(by_line(1)["metrics"], by_line(6)["metrics"], "another seed");
    assert!(said.stderr.contains("5 of 5 experiments have a result"), "{}", said.stderr);
    let again = lab.done("batch list.jsonl --out again.jsonl");
    assert_eq!(again.stdout, "");
    let mut first = results.clone();
    let mut second = lines(&std::fs::read_to_string(lab.at("again.jsonl")).unwrap());
    let key = |v: &Value| v["line"].as_u64();
    first.sort_by_key(key);
    second.sort_by_key(key);
    assert_eq!(first, second);
    // What a campaign's folder can be asked, it can be asked of a batch's.
    for line in ["status --in list", "why 1 --in list", "gc --dry-run --in list", "report --in list"] {
        lab.done(line);
    }
}

#[test]
fn a_bad_line_is_refused_with_its_number_before_anything_runs() {
    let lab = Lab::new();
    let good = experiment(0.003, 1).to_string();
    let mut typo = experiment(0.003, 1);
    typo["optimizer"]["leraning_rate"] = json!(1);
    let mut large = experiment(0.003, 1);
    large["training"]["batch_size"] = json!(100_000);
    lab.write("a.jsonl", format!("{good}\n{typo}\n{{\n[1]\n"));
    lab.write("b.jsonl", format!("{good}\n\n{large}\n"));
    lab.write("c.jsonl", "\n");
    lab.write("d.jsonl", format!("{good}\n"));
    lab.refuses_all(&[
        (
            "batch a.jsonl",
            2,
            Says::All(&["a.jsonl:2: ", "leraning_rate", "learning_rate", "a.jsonl:3: ", "a.jsonl:4: "]),
        ),
        ("batch b.jsonl", 2, Says::All(&["b.jsonl:3: ", "100000"])),
        ("batch c.jsonl", 2, Says::All(&["the list is empty"])),
        ("batch gone.jsonl", 2, Says::All(&["gone.jsonl"])),
        ("batch d.jsonl budget.device_huors=1", 2, Says::All(&["device_hours"])),
    ]);
    lab.done("batch d.jsonl --folder x");
    lab.write("d.jsonl", format!("{}\n", experiment(0.1, 1)));
    lab.refuses(&("batch d.jsonl --folder x", 2, Says::All(&["a batch of another list"])));
}

/// The budget is kept: what does not fit any more is not run, and a larger one goes on.
#[test]
fn a_budget_ends_it_and_another_goes_on() {
    let lab = Lab::new();
    let mut long = experiment(0.003, 3);
    long["resources"] = json!({ "wall_seconds": 300 });
    let list = [experiment(0.003, 1), experiment(0.003, 2), long].map(|e| e.to_string());
    lab.write("list.jsonl", list.join("\n"));
    // Reservations are some ten seconds each for the first two, and five minutes for the third.
    let said = lab.run("batch list.jsonl budget.device_hours=0.02");
    assert_eq!((said.code, lines(&said.stdout).len()), (3, 2), "{said:?}");
    assert!(said.stderr.contains("1 were not run"), "{}", said.stderr);
    let said = lab.done("batch list.jsonl budget.device_hours=0.1");
    assert_eq!(lines(&said.stdout).len(), 3, "{said:?}");
}
