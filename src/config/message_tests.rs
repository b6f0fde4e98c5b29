//! print
use super::*;
fn e(text: &str, o: &[&str]) -> String {
    let o: Vec<String> = o.iter().map(|s| s.to_string()).collect();
    parse_experiment(text, "digits.toml", &o).map_or_else(|p| p.to_string(), |e| format!("OK {}", to_toml(&e)))
}
#[test]
fn peek() {
    for name in ["digits-mlp","digits-cnn","shakespeare-gpt","modular-addition","csv-regression"] {
        for kind in ["experiments", "campaigns"] {
            let p = std::path::PathBuf::from(format!("{}/jobs/{kind}/{name}.toml", env!("CARGO_MANIFEST_DIR")));
            let r = if kind == "campaigns" { load_campaign(&p, &[]).map(|l| l.text) } else { load_experiment(&p, &[]).map(|l| l.text) };
            match r { Ok(t) => println!("=== {kind} {name}\n{t}"), Err(p) => println!("=== {kind} {name} ERR {p}") }
        }
    }
    let base = "[data]\nkind = \"digits\"\n\n[model]\nkind = \"mlp\"\nwidths = [64]\n\n[optimizer]\nkind = \"adamw\"\nlearning_rate = 0.01\n";
    println!("{}", e(base, &[]));
    for (from, to) in [("learning_rate", "leraning_rate"), ("0.01", "\"0.01\""), ("0.01", "-0.01"), ("adamw", "adam"), ("kind = \"adamw\"\n", ""), ("[64]", "64"), ("[64]", "[64, \"x\"]"),
        ("widths = [64]", "dropout = 1.5"), ("widths = [64]", "heads = 3"), ("widths = [64]", "actvation = \"rleu\""), ("widths = [64]", "activation = \"rleu\""), ("[optimizer]", "[optimiser]"), ("0.01", "0.01\n[training]\nbudget = 300"),
        ("0.01", "0.01\n[training]\nbudget = { steps = 3, epochs = 2 }\nbatch_size = 32.0\ndropout = 0.1"), ("0.01", "0.01\n0.01"), ("0.01", "inf"), ("\"mlp\"\nwidths = [64]", "\"gpt\"\nheads = 3\npositions = \"rotary\""), ("kind = \"mlp\"\nwidths = [64]", "preset = \"gpt-char\""),
        ("kind = \"mlp\"\nwidths = [64]", "preset = \"gpt-modern\"\nheads = 3"), ("0.01", "nope"), ("kind = \"digits\"", "kind = \"csv\"")] {
        println!("--- {from} -> {to}\n{}", e(&base.replace(from, to), &[]));
    }
    for o in ["optimizer.lr=0.1", "optimizer.kind=sgd", "training.budget.epochs=3", "training.budget.epochs=-3", "training.batch_size=abc", "nothing", "model.preset=mlp-residual", "model.preset=mlp-residul", "model.widths.3=3", "model.widths.0=0", "model.widths=[1", "data.kind=text", "seed=3", "optimizer.learning_rate.x=3", "resources.micro_batch=7"] {
        println!("--- {o}\n{}", e(base, &[o]).lines().take(30).collect::<Vec<_>>().join("\n"));
    }
}
