//! Behaviour of reading, overriding, assigning and writing configs.

use super::*;
use crate::problem::Class;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TEXT: &str =
    "data.kind = \"digits\"\nmodel.kind = \"mlp\"\n[optimizer]\nkind = \"adamw\"\nbeta1 = 0.8\nlearning_rate = 0.01\n";

fn read(overrides: &[&str]) -> Experiment {
    let overrides: Vec<String> = overrides.iter().map(|o| o.to_string()).collect();
    parse_experiment(TEXT, "t.toml", &overrides).unwrap()
}

fn assignment(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
    pairs.iter().map(|(k, v)| (k.to_string(), v.clone())).collect()
}

const CAMPAIGN: &str = "name = \"c\"\nquestion = \"q?\"\nobjective.metric = \"loss\"\nbudget.device_hours = 1\n\
    [baseline]\ndata.kind = \"text\"\ndata.name = \"tinyshakespeare\"\nmodel.preset = \"gpt-char-4x128\"\noptimizer.kind = \"sgd\"\n";

fn campaign(rest: &str) -> crate::problem::Result<Campaign> {
    parse_campaign(&format!("{CAMPAIGN}{rest}\n"), "c.toml", &[])
}

#[test]
fn overrides_set_typed_values_in_any_order() {
    let e = read(&["training.batch_size=32", "model.activation=gelu", "model.widths=[8, 16]", "training.seed=7"]);
    assert_eq!((e.training.batch_size, e.training.seed), (32, 7));
    let ModelSpec::Mlp(model) = &e.model else { panic!("{:?}", e.model) };
    assert_eq!((model.widths.clone(), model.activation), (vec![8, 16], Activation::Gelu));
    assert_eq!(read(&["training.budget.epochs=3"]).training.budget, TrainingBudget::Epochs(3.0));
    assert_eq!(
        read(&["training.budget.epochs=3", "training.budget.steps=9"]).training.budget,
        TrainingBudget::Steps(9)
    );
    // A preset replaces the section, and settings given beside it stay, wherever they stand on the command line.
    let e = read(&["model.dropout=0.3", "model.preset=mlp-residual"]);
    assert_eq!(e.get("model.dropout"), Some(json!(0.3)));
    assert_eq!(e.get("model.residual"), Some(json!(true)));
    assert_eq!(read(&["model.widths=[8, 16]", "model.widths.1=4"]).get("model.widths"), Some(json!([8, 4])));
}

#[test]
fn another_kind_drops_what_it_does_not_have() {
    let e = read(&["optimizer.kind=sgd"]);
    let OptimizerSpec::Sgd(sgd) = &e.optimizer else { panic!("{:?}", e.optimizer) };
    assert_eq!((sgd.learning_rate, sgd.momentum), (0.01, 0.9));
    let e =
        read(&[]).with(&assignment(&[("optimizer.kind", json!("sgd")), ("optimizer.momentum", json!(0.5))])).unwrap();
    assert_eq!(e.get("optimizer.momentum"), Some(json!(0.5)));
    assert_eq!(e.get("optimizer.beta1"), None);
}

#[test]
fn assignments_are_typed_and_validated() {
    let e = read(&[]);
    let set = |path: &str, value: Value| e.with(&assignment(&[(path, value)]));
    assert_eq!(set("training.batch_size", json!(32.0)).unwrap().training.batch_size, 32);
    assert_eq!(set("model.widths", json!([32.0, 8])).unwrap().get("model.widths"), Some(json!([32, 8])));
    assert_eq!(set("training.budget.epochs", json!(2)).unwrap().training.budget, TrainingBudget::Epochs(2.0));
    assert_eq!(set("evaluation.every", json!(5)).unwrap().evaluation.every, Some(5));
    assert_eq!(set("model.preset", json!("mlp-residual")).unwrap().get("model.norm"), Some(json!("layer")));
    for (path, value) in [
        ("training.batch_size", json!(32.5)),
        ("training.batch_sise", json!(32)),
        ("optimizer.learning_rate", json!(-1.0)),
        ("optimizer.learning_rate", json!(null)),
        ("optimizer.learning_rate.x", json!(1.0)),
        ("model.widths.7", json!(1)),
        ("model.preset", json!("nope")),
        ("training.seed", json!(u64::MAX)),
        ("", json!(1)),
    ] {
        let problem = set(path, value.clone()).expect_err(path);
        assert!(problem.class == Class::Usage && !problem.what.is_empty(), "{path} = {value}");
    }
}

#[test]
fn every_assigned_value_can_be_read_back() {
    let e = read(&[]);
    assert_eq!(e.get("optimizer.learning_rate"), Some(json!(0.01)));
    assert_eq!(e.get("model.widths.0"), Some(json!(128)));
    assert_eq!(e.get("evaluation.every"), None);
    assert_eq!(e.get("optimizer.momentum"), None);
    let Value::Object(sections) = serde_json::to_value(&e).unwrap() else { panic!("not a table") };
    for (section, content) in sections {
        assert_eq!(e.get(&section), Some(content.clone()));
        for (key, value) in content.as_object().unwrap() {
            let path = format!("{section}.{key}");
            assert_eq!(e.get(&path).as_ref(), Some(value));
            assert_eq!(e.with(&assignment(&[(&path, value.clone())])).unwrap(), e, "{path}");
        }
    }
}

#[test]
fn json_is_read_like_toml() {
    let toml = read(&[]);
    let text = serde_json::to_string_pretty(&toml).unwrap();
    // An editor's schema line and a null say nothing.
    let text = text.replacen('{', "{ \"$schema\": \"x\",", 1).replacen("\"samples\": 0", "\"samples\": null", 1);
    let twice = text.replacen("\"beta1\"", "\"beta2\"", 1);
    assert!(parse_experiment(&twice, "t.json", &[]).unwrap_err().what.contains("a second time"));
    assert_eq!(parse_experiment(&text, "t.json", &[]).unwrap(), toml);
    let wrong = parse_experiment(&text.replace("\"beta1\"", "\"beta7\""), "t.json", &[]).unwrap_err();
    let line = text.lines().position(|l| l.contains("beta1")).unwrap() + 1;
    assert_eq!(wrong.place.as_deref(), Some(format!("t.json:{line}").as_str()));
}

#[test]
fn ranges_are_refused_at_both_ends() {
    for change in [
        "optimizer.learning_rate=0",
        "optimizer.beta1=1",
        "optimizer.beta2=-0.1",
        "optimizer.epsilon=0",
        "optimizer.weight_decay=-1",
        "training.batch_size=0",
        "training.budget.steps=0",
        "training.budget.epochs=0.0",
        "training.budget.device_seconds=-1",
        "training.budget.steps=4294967296",
        "training.clip_norm=-1",
        "training.label_smoothing=1",
        "training.ema_decay=1.0",
        "schedule.warmup_fraction=1",
        "schedule.final_scale=1.1",
        "schedule.decay_fraction=0",
        "evaluation.every=0",
        "evaluation.batch_size=0",
        "evaluation.keep_checkpoints=0",
        "resources.micro_batch=65",
        "resources.wall_seconds=-1",
        "data.validation_fraction=1",
        "data.validation_fraction=0",
        "model.widths=[0]",
        "model.widths=[2000000]",
        "model.dropout=1",
    ] {
        let problem = parse_experiment(TEXT, "t.toml", &[change.to_string()]).expect_err(change);
        assert_eq!(problem.place, Some(format!("command line: {change}")), "{problem}");
        assert!(!problem.remedy.unwrap_or_default().is_empty(), "{change}");
    }
}

#[test]
fn relations_are_refused() {
    let text =
        "data = { kind = \"text\", name = \"tinyshakespeare\" }\nmodel.kind = \"gpt\"\noptimizer.kind = \"sgd\"\n";
    for change in [
        "model.heads=5",
        "model.kv_heads=3",
        "data.path=x.txt",
        "model.expansion=0",
        "optimizer.groups=[{role=\"bias\"},{role=\"bias\"}]",
    ] {
        assert!(parse_experiment(text, "t.toml", &[change.to_string()]).is_err(), "{change}");
    }
    let with =
        |changes: &[&str]| parse_experiment(text, "t.toml", &changes.iter().map(|c| c.to_string()).collect::<Vec<_>>());
    assert!(with(&["model.width=36", "model.heads=4"]).is_ok());
    assert!(with(&["model.width=36", "model.heads=4", "model.positions=rotary"]).is_err(), "odd head size");
    assert!(with(&["optimizer.nesterov=true", "optimizer.momentum=0"]).is_err());
    assert!(with(&["schedule.shape=warmup-stable-decay", "schedule.warmup_fraction=0.9"]).is_err());
    let cnn = |changes: &[&str]| {
        let overrides: Vec<String> = changes.iter().map(|c| c.to_string()).collect();
        parse_experiment(
            "data.kind=\"digits\"\nmodel.preset=\"cnn-digits\"\noptimizer.kind=\"sgd\"",
            "t.toml",
            &overrides,
        )
    };
    assert!(cnn(&["model.norm_groups=8"]).is_ok());
    assert!(cnn(&["model.norm_groups=5"]).is_err());
    assert!(cnn(&["model.stages.0.kernel=4"]).is_err());
    assert!(cnn(&["data={kind=\"idx\", images=\"a\"}"]).is_err());
    assert!(cnn(&["data={kind=\"idx\", name=\"mnist\"}"]).is_ok());
}

#[test]
fn campaigns_take_overrides_of_their_baseline() {
    let text = format!("{CAMPAIGN}[space]\n\"model.dropout\" = {{ type = \"float\", low = 0, high = 0.5 }}\n");
    let overrides = [
        "baseline.training.batch_size=32",
        "budget.device_hours=8",
        "baseline.model.preset=gpt-modern",
        "space.model.dropout.high=0.25",
        "planner.kind=random",
    ]
    .map(str::to_string);
    let c = parse_campaign(&text, "c.toml", &overrides).unwrap();
    assert_eq!((c.baseline.training.batch_size, c.budget.device_hours), (32, 8.0));
    assert_eq!(c.baseline.get("model.positions"), Some(json!("rotary")));
    assert_eq!(c.space["model.dropout"].domain, Domain::Float { low: 0.0, high: 0.25, points: 5 });
    assert_eq!(c.planner.kind, PlannerKind::Random);
    assert_eq!(c.objective.direction(), Direction::Minimize);
    let refused = parse_campaign(&text, "c.toml", &["baseline.training.batchsize=3".to_string()]).unwrap_err();
    assert!(refused.remedy.unwrap().contains("did you mean \"batch_size\"?"));
}

#[test]
fn a_space_without_quotes_means_the_same() {
    let quoted = campaign("[space]\n\"model.dropout\" = { type = \"float\", low = 0, high = 0.5 }").unwrap();
    assert_eq!(campaign("[space]\nmodel.dropout = { type = \"float\", low = 0, high = 0.5 }").unwrap(), quoted);
    assert_eq!(campaign("[space.model.dropout]\ntype = \"float\"\nlow = 0\nhigh = 0.5").unwrap(), quoted);
}

#[test]
fn campaigns_that_cannot_be_are_refused() {
    let space = "[space]\n\"model.dropout\" = { type = \"float\", low = 0, high = 0.5 }\n";
    assert!(campaign(space).is_ok());
    for (rest, word) in [
        ("[space]".to_string(), "empty"),
        (format!("{space}[seeds]\nbaseline = 1\nconfirm = 2"), "seeds.baseline"),
        (format!("{space}[seeds]\nbaseline = 2"), "seeds.confirm"),
        (format!("{space}[planner]\nstartup = 0"), "planner.startup"),
        (format!("{space}[planner]\nhalving = {{ first = 0.6 }}"), "planner.halving.first"),
        (format!("{space}[planner]\nhalving = {{ factor = 1 }}"), "planner.halving.factor"),
        (format!("{space}[planner]\nweighing = {{ pool = 1 }}"), "planner.weighing.pool"),
        (format!("{space}[planner]\nweighing = {{ beta = -1 }}"), "planner.weighing.beta"),
        (format!("{space}[planner]\nkind = \"manual\"\nweighing = {{}}"), "planner.weighing"),
        (format!("{space}[execution]\nparallel = 0"), "execution.parallel"),
        (format!("{space}[execution]\nattempts_per_device = 0"), "execution.attempts_per_device"),
        (format!("{space}[execution]\nattempts_per_device = 2"), "execution.attempts_per_device"),
        (format!("{space}\"model.bias\" = {{ type = \"choice\", values = [true, true] }}"), "twice"),
        (format!("{space}\"model.bias\" = {{ type = \"choice\", values = [] }}"), "empty"),
        (format!("{space}\"model.depth\" = {{ type = \"int\", low = 0, high = 4 }}"), "model.depth cannot be 0"),
        (format!("{space}\"model.depth\" = {{ type = \"int\", low = 4, high = 4 }}"), "is not below"),
        (format!("{space}\"model.depth\" = {{ type = \"int\", low = 0, high = 4, log = true }}"), "logarithm"),
        (format!("{space}\"model.depth\" = {{ type = \"int\", low = 1, high = 4, step = 0 }}"), "step"),
        (format!("{space}\"model.heads\" = {{ type = \"choice\", values = [4, 5] }}"), "does not divide"),
        (format!("{space}\"resources.threads\" = {{ type = \"choice\", values = [4, 5] }}"), "cannot be searched"),
        (
            format!(
                "{space}\"model.tied\" = {{ type = \"choice\", values = [true, false], when = {{ \"model.bias\" = [true] }} }}\n\
                 \"model.bias\" = {{ type = \"choice\", values = [true, false], when = {{ \"model.tied\" = [true] }} }}"
            ),
            "lead back",
        ),
        (format!("{space}[[constraints]]\nleft = 1\nrelation = \"at-most\"\nright = 2"), "says nothing"),
        (format!("{space}[[constraints]]\nleft = \"model.norm\"\nrelation = \"at-most\"\nright = 2"), "not a number"),
    ] {
        let problem = campaign(&rest).expect_err(&rest);
        assert!(problem.what.contains(word), "{problem}\nshould say {word:?}");
        assert!(problem.place.unwrap().starts_with("c.toml:"));
    }
    for (from, to, word) in [
        ("\"c\"", "\"a b\"", "name"),
        ("\"q?\"", "\" \"", "question"),
        ("\"loss\"", "\"r2\"", "not measured"),
        ("metric = \"loss\"", "metric = \"loss\"\nobjective.confidence = 0.5", "confidence"),
        ("device_hours = 1", "device_hours = 0", "device_hours"),
        ("device_hours = 1", "device_hours = 1\nbudget.dollars = 5", "never limits"),
        ("device_hours = 1", "device_hours = 1\nbudget.runs = 3", "leaves nothing"),
        ("data.name = \"tinyshakespeare\"", "", "baseline: data of kind"),
    ] {
        let text = format!("{CAMPAIGN}{space}").replacen(from, to, 1);
        let problem = parse_campaign(&text, "c.toml", &[]).expect_err(to);
        assert!(problem.what.contains(word), "{problem}\nshould say {word:?}");
    }
}

#[test]
fn what_another_parameter_can_put_right_is_no_error() {
    let heads = "[space]\n\"model.heads\" = { type = \"choice\", values = [4, 5] }\n";
    assert!(campaign(heads).is_err());
    // With the width in the space too, 5 heads go with a width of 160.
    assert!(campaign(&format!("{heads}\"model.width\" = {{ type = \"choice\", values = [128, 160] }}")).is_ok());
    // A constraint that no candidate with 5 heads satisfies keeps it from being proposed.
    let constraint = "[[constraints]]\nleft = \"model.heads\"\nrelation = \"at-most\"\nright = 4";
    assert!(campaign(&format!("{heads}{constraint}")).is_ok());
}

#[test]
fn constraints_conditions_and_domains_decide() {
    let e = read(&["training.batch_size=48"]);
    let rule = |left: Value, relation, right: Value| Constraint { left, relation, right }.holds(&|path| e.get(path));
    assert!(rule(json!("training.batch_size"), Relation::AtMost, json!(48)));
    assert!(!rule(json!("training.batch_size"), Relation::AtLeast, json!(48.5)));
    assert!(rule(json!("training.batch_size"), Relation::MultipleOf, json!(16)));
    assert!(!rule(json!("training.batch_size"), Relation::MultipleOf, json!("model.widths.0")));
    assert!(rule(json!("optimizer.momentum"), Relation::AtLeast, json!(9)), "an absent path constrains nothing");
    let when = BTreeMap::from([("optimizer.kind".to_string(), vec![json!("sgd")])]);
    let p = Parameter { domain: Domain::Int { low: 2, high: 11, step: 3, log: false }, when };
    assert!(p.active(&assignment(&[("optimizer.kind", json!("sgd"))])));
    assert!(!p.active(&assignment(&[("optimizer.kind", json!("adamw"))])) && !p.active(&BTreeMap::new()));
    assert!([json!(2), json!(5.0), json!(11)].iter().all(|v| p.domain.contains(v)));
    assert!([json!(3), json!(2.5), json!(14), json!("2")].iter().all(|v| !p.domain.contains(v)));
}

#[test]
#[allow(clippy::disallowed_methods)]
fn a_baseline_file_is_read_from_its_own_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("sub")).unwrap();
    let experiment = "data = { kind = \"csv\", path = \"x.csv\", target = \"y\", task = \"regression\" }\n\
        model = { preset = \"mlp-small\", dropout = 0.1 }\noptimizer.kind = \"sgd\"\n";
    std::fs::write(path("sub/e.toml"), experiment).unwrap();
    let text = "name = \"c\"\nquestion = \"q\"\nbaseline_file = \"sub/e.toml\"\nobjective.metric = \"r2\"\nbudget.device_hours = 1\n\
        [baseline.training]\nbatch_size = 16\n[space]\nmodel.dropout = { type = \"float\", low = 0, high = 0.5 }\n";
    std::fs::write(path("c.toml"), text).unwrap();
    let loaded = load_campaign(&path("c.toml"), &[]).unwrap();
    assert_eq!(loaded.base, folder.path());
    assert_eq!(loaded.value.baseline.get("data.path"), Some(json!("sub/x.csv")));
    assert_eq!(loaded.value.baseline.training.batch_size, 16);
    assert_eq!(parse_campaign(&loaded.text, "again", &[]).unwrap(), loaded.value);
    let replaced = load_campaign(&path("c.toml"), &["baseline_file=none.toml".to_string()]).unwrap_err();
    assert_eq!(
        (replaced.class, replaced.place.as_deref()),
        (Class::Usage, Some("command line: baseline_file=none.toml"))
    );
    // Errors in the baseline's file are reported in that file.
    std::fs::write(path("sub/e.toml"), experiment.replace("dropout", "dropuot")).unwrap();
    let wrong = load_campaign(&path("c.toml"), &[]).unwrap_err();
    assert!(wrong.place.unwrap().ends_with("sub/e.toml:2"), "{}", wrong.what);
    assert_eq!(load_experiment(&path("absent.toml"), &[]).unwrap_err().class, Class::Usage);
    assert!(load_experiment(&path("c.toml"), &[]).unwrap_err().what.contains("this is a campaign"));
    assert!(load_campaign(&path("sub/e.toml"), &[]).unwrap_err().what.contains("this is an experiment"));
}
