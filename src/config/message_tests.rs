//! What people read when a config is wrong, word for word: a change of these sentences should be a decision.

use super::{parse_campaign, parse_experiment};

const EXPERIMENT: &str = r#"[data]
kind = "digits"

[model]
kind = "mlp"
widths = [64]

[optimizer]
kind = "adamw"
learning_rate = 0.01

[training]
batch_size = 64
"#;

const CAMPAIGN: &str = r#"name = "rates"
question = "Which learning rate?"
objective.metric = "accuracy"
budget.device_hours = 0.1

[baseline]
data.kind = "digits"
model.preset = "mlp-small"
optimizer.kind = "adamw"

[space]
"optimizer.learning_rate" = { type = "log-float", low = 1e-4, high = 1e-1 }
"optimizer.kind" = { type = "choice", values = ["adamw", "sgd"] }
"#;

/// The message for the experiment with `from` replaced by `to`.
fn edited(from: &str, to: &str) -> String {
    assert!(EXPERIMENT.contains(from), "{from}");
    parse_experiment(&EXPERIMENT.replacen(from, to, 1), "digits.toml", &[]).expect_err("must be refused").to_string()
}

fn overridden(change: &str) -> String {
    parse_experiment(EXPERIMENT, "digits.toml", &[change.to_string()]).expect_err("must be refused").to_string()
}

fn space(line: &str) -> String {
    parse_campaign(&format!("{CAMPAIGN}{line}\n"), "rates.toml", &[]).expect_err("must be refused").to_string()
}

#[test]
fn misspelt_keys_name_the_nearest() {
    assert_eq!(
        edited("learning_rate", "leraning_rate"),
        "digits.toml:10: unknown key \"leraning_rate\" in [optimizer]\n  \
         did you mean \"learning_rate\"? [optimizer] with kind = \"adamw\" has: learning_rate, beta1, beta2, epsilon, weight_decay, groups"
    );
    assert_eq!(
        edited("[optimizer]", "[optimiser]"),
        "digits.toml:8: unknown key \"optimiser\" at the top level\n  \
         did you mean \"optimizer\"? possible here: data, model, optimizer, schedule, training, evaluation, resources"
    );
}

#[test]
fn keys_in_the_wrong_section_or_kind_are_sent_home() {
    assert_eq!(
        edited("batch_size = 64", "dropout = 0.1"),
        "digits.toml:13: unknown key \"dropout\" in [training]\n  \
         \"dropout\" is a key of [model]. [training] has: batch_size, budget, label_smoothing, clip_norm, ema_decay, seed, precision"
    );
    assert_eq!(
        edited("widths = [64]", "heads = 4"),
        "digits.toml:6: unknown key \"heads\" in [model]\n  \
         \"heads\" belongs to kind = \"gpt\". [model] with kind = \"mlp\" has: widths, activation, norm, residual, dropout"
    );
}

#[test]
fn wrong_types_say_what_to_write() {
    assert_eq!(
        edited("0.01", "\"0.01\""),
        "digits.toml:10: optimizer.learning_rate = \"0.01\" is text, not a number\n  \
         write learning_rate = 0.01 without quotes\n  Peak learning rate, per step; the schedule scales it. Default 0.001."
    );
    assert_eq!(
        edited("[64]", "64"),
        "digits.toml:6: model.widths = 64 is a whole number, not a list\n  write widths = [64]\n  \
         Width of each hidden layer, in units; empty makes a linear model. Default [128]."
    );
    assert_eq!(
        edited("batch_size = 64", "batch_size = 64.0"),
        "digits.toml:13: training.batch_size = 64.0 is a number, not a whole number\n  write batch_size = 64\n  \
         Samples (images, rows, text windows, pairs) in one optimiser step. Default 64."
    );
    assert_eq!(
        edited("batch_size = 64", "budget = 300"),
        "digits.toml:13: training.budget = 300 is a whole number, not a table with one key\n  \
         write budget = { steps = 300 }, with one of \"steps\", \"epochs\", \"tokens\", \"device_seconds\"\n  \
         How long to train; exactly one unit. Default 300 steps."
    );
}

#[test]
fn words_out_of_a_list_name_the_list() {
    assert_eq!(
        edited("widths = [64]", "activation = \"rleu\""),
        "digits.toml:6: model.activation = \"rleu\" is not one of its values\n  \
         did you mean \"relu\"? possible: \"relu\", \"gelu\", \"relu-squared\", \"silu\", \"tanh\""
    );
    assert_eq!(
        edited("kind = \"adamw\"\n", ""),
        "digits.toml:8: [optimizer] has no \"kind\"\n  add kind = one of \"sgd\", \"adamw\""
    );
    assert_eq!(
        edited("kind = \"mlp\"", "preset = \"mlp-smal\""),
        "digits.toml:5: model.preset = \"mlp-smal\" is not a known model\n  did you mean \"mlp-small\"? possible: \
         \"cnn-digits\", \"cnn-residual\", \"gpt-char-4x128\", \"gpt-char-6x384\", \"gpt-modern\", \"gpt-modular\", \
         \"mlp-784-256\", \"mlp-residual\", \"mlp-small\""
    );
}

#[test]
fn ranges_and_relations_name_the_values() {
    assert_eq!(
        edited("0.01", "-0.01"),
        "digits.toml:10: optimizer.learning_rate = -0.01 is not above 0\n  \
         Peak learning rate, per step; the schedule scales it. Default 0.001."
    );
    assert_eq!(
        edited("kind = \"mlp\"\nwidths = [64]", "preset = \"gpt-char-4x128\"\nheads = 3")
            .lines()
            .take(2)
            .collect::<Vec<_>>(),
        [
            "digits.toml:6: model.heads = 3 does not divide model.width = 128",
            "  choose heads among 1, 2, 4, 8, 16, 32, 64, 128, or another width"
        ]
    );
    assert_eq!(
        edited("kind = \"mlp\"\nwidths = [64]", "kind = \"gpt\""),
        "digits.toml:5: a model of kind \"gpt\" cannot read data of kind \"digits\"\n  \
         a gpt reads tokens: data of kind \"text\" or \"modular\""
    );
}

#[test]
fn broken_syntax_names_the_line() {
    assert_eq!(
        edited("0.01", "fast"),
        "digits.toml:10: not valid TOML: fast is neither a number nor text in quotes\n  write learning_rate = \"fast\""
    );
    assert_eq!(
        edited("0.01", "inf"),
        "digits.toml:10: learning_rate = inf is not a finite number\n  give a finite number"
    );
    assert_eq!(
        parse_experiment("{\n \"data\": {\"kind\": \"digits\"},\n}", "d.json", &[]).unwrap_err().to_string(),
        "d.json:3: not valid JSON: found '}' where a key in double quotes should be\n  \
         correct this line: JSON has no comments and no comma before a closing bracket"
    );
}

#[test]
fn overrides_are_quoted_as_their_own_place() {
    assert_eq!(
        overridden("optimizer.lr=0.1"),
        "command line: optimizer.lr=0.1: unknown key \"lr\" in [optimizer]\n  did you mean \"learning_rate\"? \
         [optimizer] with kind = \"adamw\" has: learning_rate, beta1, beta2, epsilon, weight_decay, groups"
    );
    assert_eq!(
        overridden("learning_rate"),
        "command line: learning_rate: not of the form key=value\n  write e.g. optimizer.learning_rate=0.01"
    );
    assert_eq!(
        overridden("resources.micro_batch=7"),
        "command line: resources.micro_batch=7: resources.micro_batch = 7 does not divide training.batch_size = 64\n  \
         choose among 1, 2, 4, 8, 16, 32, 64, or 0 for the whole batch"
    );
}

#[test]
fn several_findings_come_together() {
    let message =
        edited("batch_size = 64", "batch_size = -1\nsteps = 3\nclip = 1\nema = 2\nlabel = 3\nsmooth = 1\nx = 1");
    let places: Vec<&str> = message.lines().filter(|l| l.starts_with("digits.toml:")).map(|l| &l[..15]).collect();
    assert_eq!(places.len(), 5, "{message}");
    assert!(message.ends_with("\n(and 2 more)"), "{message}");
}

#[test]
fn spaces_are_judged_on_the_baseline() {
    assert_eq!(
        space("\"optimizer.momentum\" = { type = \"float\", low = 0.0, high = 0.9 }"),
        "rates.toml:14: optimizer.momentum does not exist with optimizer.kind = \"adamw\"\n  \
         add when = { \"optimizer.kind\" = [\"sgd\"] } to it"
    );
    assert_eq!(
        space("\"optimizer.beta1\" = { type = \"float\", low = 0.0, high = 0.9 }"),
        "rates.toml:14: optimizer.beta1 does not exist with optimizer.kind = \"sgd\"\n  \
         add when = { \"optimizer.kind\" = [\"adamw\"] } to it"
    );
    assert_eq!(
        space("\"model.dropuot\" = { type = \"float\", low = 0.0, high = 0.9 }"),
        "rates.toml:14: \"model.dropuot\" is not a path of the baseline: unknown key \"dropuot\" in [model]\n  \
         did you mean \"dropout\"? [model] with kind = \"mlp\" has: widths, activation, norm, residual, dropout"
    );
    assert_eq!(
        space("\"model.widths.0\" = { type = \"log-float\", low = 16.0, high = 128.0 }"),
        "rates.toml:14: model.widths.0 is a whole number, and its range is of real ones\n  use type = \"int\", log = true"
    );
    assert_eq!(
        space("\"model.dropout\" = { type = \"float\", low = 0.0, high = 1.0 }"),
        "rates.toml:14: model.dropout cannot be 1.0: model.dropout = 1.0 is not in [0, 1)\n  \
         Probability of zeroing a hidden unit in training, in [0, 1). Default 0."
    );
    assert_eq!(
        space(
            "\"model.dropout\" = { type = \"float\", low = 0.0, high = 0.5, when = { \"optimizer.knd\" = [\"sgd\"] } }"
        ),
        "rates.toml:14: model.dropout: when names \"optimizer.knd\", which is not a parameter of the space\n  \
         did you mean \"optimizer.kind\"? conditions can only name other parameters of [space]"
    );
    let text = CAMPAIGN.replace("[\"adamw\", \"sgd\"]", "[\"adamw\", \"sdg\"]");
    let unknown = parse_campaign(&text, "rates.toml", &[]).unwrap_err().to_string();
    assert_eq!(
        unknown,
        "rates.toml:13: optimizer.kind cannot be \"sdg\": optimizer.kind = \"sdg\" is not one of its values\n  \
         did you mean \"sgd\"? possible: \"sgd\", \"adamw\""
    );
    assert_eq!(
        space("\"training.seed\" = { type = \"int\", low = 0, high = 9 }"),
        "rates.toml:14: training.seed cannot be searched: the campaign sets it, from [seeds]\n  remove it from the space"
    );
    assert_eq!(
        space("[[constraints]]\nleft = \"training.batch_sise\"\nrelation = \"at-most\"\nright = 64"),
        "rates.toml:15: \"training.batch_sise\" is not a path of an experiment\n  \
         did you mean \"training.batch_size\"? write e.g. \"model.width\", or a number"
    );
}

/// A list of tables is written in double brackets, and its advice says so.
#[test]
fn constraints_are_shown_in_the_form_they_are_written_in() {
    let form = "write [[constraints]], in double brackets, once for each, with its keys (left, relation, right) on the lines below";
    let top = |line: &str| parse_campaign(&format!("{line}\n{CAMPAIGN}"), "rates.toml", &[]).unwrap_err().to_string();
    for said in [
        top("constraints = [\"model.width <= 64\"]"),
        top("constraints = \"model.width <= 64\""),
        space("[constraints]\nleft = \"training.batch_size\"\nrelation = \"at-most\"\nright = 64"),
    ] {
        assert!(said.contains(form) && !said.contains("[constraints.0]"), "{said}");
    }
    let said = space("[[constraints]]\nleft = \"training.batch_size\"\nrelation = \"at-most\"");
    assert!(said.contains("entry 1 of [[constraints]] has no \"right\""), "{said}");
    let said = space("[[constraints]]\nleft = 1\nrelation = \"at-most\"\nrihgt = \"training.batch_size\"");
    assert!(said.contains("unknown key \"rihgt\" in entry 1 of [[constraints]]"), "{said}");
}

#[test]
fn a_list_by_hand_stays_within_the_space() {
    let list = |text: &str| space(&format!("[planner]\nkind = \"manual\"\n{text}"));
    assert_eq!(
        list("list = [{ \"optimizer.learning_rate\" = 1.0 }]"),
        "rates.toml:16: planner.list: optimizer.learning_rate = 1.0 is outside its range in [space]\n  widen the range or change the value"
    );
    let unknown = list("list = [{ \"optimizer.leraning_rate\" = 0.01 }]");
    assert!(unknown.contains("is not a parameter of the space") && unknown.contains("did you mean"), "{unknown}");
    assert!(list("").contains("planner.list is empty"));
    let unused = space("[planner]\nlist = [{ \"optimizer.learning_rate\" = 0.01 }]");
    assert!(unused.contains("not used by this planner"), "{unused}");
}

#[test]
fn a_language_model_that_the_budget_can_never_pay_is_told() {
    let text = format!("{CAMPAIGN}\n[llm]\nmodel = \"large\"\nprices.large = {{ input = 3.0, output = 15.0 }}\n");
    let parse = |dollars: &str, more: &str| {
        let overrides = ["budget.dollars_per_device_hour=1", dollars, more].map(str::to_string);
        parse_campaign(&text, "rates.toml", &overrides).map(|_| ()).map_err(|p| p.to_string())
    };
    let said = parse("budget.dollars=0.05", "planner.seed=1").unwrap_err();
    assert!(
        said.contains(
            "one answer of large may cost $0.0614, and budget.dollars = 0.05 for everything: it would never be asked"
        ) && said.contains("lower llm.max_tokens"),
        "{said}"
    );
    parse("budget.dollars=0.05", "llm.max_tokens=2000").unwrap();
    parse("budget.dollars=0.05", "planner.kind=\"tpe\"").unwrap();
    parse("budget.dollars=0", "planner.seed=1").unwrap();
}
