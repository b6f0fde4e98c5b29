//! Wrong files and wrong arguments, for every command that takes any.

use super::kit::{Lab, Says};
use Says::{All, Exactly};

fn lab() -> Lab {
    let lab = Lab::new();
    std::fs::create_dir(lab.at("folder")).unwrap();
    lab.write("empty.toml", "");
    lab.write("binary.toml", [0x80, 0x81, 0x00, 0xff]);
    lab.write("cut.toml", super::kit::EXPERIMENT.split("optimizer").next().unwrap());
    lab.write("half-a-line.toml", &super::kit::EXPERIMENT[..45]);
    lab.write("typo.toml", super::kit::EXPERIMENT.replace("widths", "wdiths"));
    lab.write("type.toml", super::kit::EXPERIMENT.replace("batch_size = 16", "batch_size = \"many\""));
    lab.write("big.toml", super::kit::EXPERIMENT.replace("batch_size = 16", "batch_size = 2000"));
    lab.write("bad.json", "{\n \"data\": {\"kind\": \"digits\"},\n}");
    lab.write("theirs/thesis.txt", "years of work");
    lab.write("theirs-too/campaign.toml", "# with comments\n");
    lab.write("begun/campaign.toml", super::kit::CAMPAIGN);
    lab.write("begun/events.jsonl", "");
    lab
}

#[test]
fn files_that_are_not_configs() {
    let lab = lab();
    for command in ["check FILE", "train FILE --out new", "run FILE --out new"] {
        for (file, says) in [
            ("none.toml", "none.toml: cannot read the file: no such file or directory\n  check the path"),
            ("folder", "folder: cannot read the file: is a directory\n  name a file, not a folder"),
            ("binary.toml", "binary.toml: not UTF-8 text (byte 0 is not)\n  convert the file to UTF-8"),
            ("half-a-line.toml", "half-a-line.toml:3: not valid TOML"),
            ("bad.json", "bad.json:3: not valid JSON: found '}' where a key in double quotes should be\n  correct"),
        ] {
            let before = lab.files();
            let answer = lab.run(&command.replace("FILE", file));
            assert_eq!(answer.code, 2, "{command} {file}: {answer:?}");
            assert!(answer.stderr.starts_with(&format!("error: {says}")), "{command} {file}: {answer:?}");
            assert_eq!(answer.stderr.matches("error:").count(), 1, "{answer:?}");
            assert_eq!(lab.files(), before);
        }
    }
}

#[test]
fn configs_that_are_wrong() {
    lab().refuses_all(&[
        ("check empty.toml", 2, All(&["empty.toml: the top level has no \"data\"\n  add a section [data] with kind = "])),
        ("train empty.toml --out new", 2, All(&["has no \"model\"", "has no \"optimizer\""])),
        ("run empty.toml --out new", 2, All(&["empty.toml: the campaign has no baseline\n  write the experiment under"])),
        (
            "check cut.toml",
            2,
            Exactly(
                "cut.toml: the top level has no \"optimizer\"\n  add a section [optimizer] with kind = \"sgd\", say. How \
                 gradients become updates.",
            ),
        ),
        (
            "train campaign.toml --out new",
            2,
            Exactly(
                "campaign.toml: this is a campaign, not an experiment\n  use it with `nanoresearch run`, or name one of \
                 the files in jobs/experiments",
            ),
        ),
        ("run experiment.toml --out new", 2, All(&["this is an experiment, not a campaign\n  use it with `nanoresearch train`"])),
        (
            "train typo.toml --out new",
            2,
            Exactly(
                "typo.toml:3: unknown key \"wdiths\" in [model]\n  did you mean \"widths\"? [model] with kind = \"mlp\" \
                 has: widths, activation, norm, residual, dropout",
            ),
        ),
        ("check type.toml", 2, All(&["type.toml:5: training.batch_size = \"many\" is text, not a whole number\n  Samples"])),
        (
            "train big.toml --out new",
            2,
            Exactly(
                "big.toml:5: training.batch_size = 2000: batch size 2000 is not between 1 and the 1438 training samples\n  choose a smaller \
                 batch, or hold out less for validation",
            ),
        ),
        ("check big.toml", 2, All(&["big.toml:5: training.batch_size = 2000: batch size 2000"])),
        ("run campaign.toml baseline.training.batch_size=2000 --out new", 2, All(&["command line: baseline.training.batch_size=2000: batch size 2000", "choose a smaller"])),
        ("run campaign.toml baseline_file=none.toml --out new", 2, All(&["none.toml", "no such file"])),
    ]);
}

/// What shows only with the data, or when the programs are built, names the line and the value all the same: from the file,
/// from a preset (at the line that names it), from the command line, from a default, and from a baseline's own file.
#[test]
fn what_only_the_data_tell_has_a_place() {
    let lab = Lab::new();
    lab.write("experiment.toml", super::kit::EXPERIMENT);
    lab.write(
        "kernel.toml",
        "data.kind = \"digits\"\n[optimizer]\nkind = \"adamw\"\n[model]\nkind = \"cnn\"\nstages = [\n  { channels = 4 },\n  \
         { channels = 8, kernel = 9 },\n]\n",
    );
    lab.write(
        "preset.toml",
        "data.kind = \"digits\"\n[model]\npreset = \"gpt-modular\"\n[optimizer]\nkind = \"adamw\"\n",
    );
    lab.write(
        "small.toml",
        "[data]\nkind = \"modular\"\nmodulus = 5\n\n[model]\npreset = \"gpt-modular\"\n\n[optimizer]\nkind = \"adamw\"\n\n[training]\nseed = 3\n",
    );
    lab.write("baseline.toml", super::kit::CAMPAIGN.replace("experiment.toml", "kernel.toml"));
    lab.refuses_all(&[
        ("check kernel.toml", 2, All(&["kernel.toml:8: model.stages.1.kernel = 9: ", "4x4"])),
        ("train kernel.toml --out new", 2, All(&["kernel.toml:8: model.stages.1.kernel = 9: "])),
        ("run baseline.toml --out new", 2, All(&["kernel.toml:8: baseline.model.stages.1.kernel = 9: "])),
        ("run baseline.toml --dry-run", 2, All(&["kernel.toml:8: baseline.model.stages.1.kernel = 9: "])),
        ("run baseline.toml --smoke", 2, All(&["kernel.toml:8: baseline.model.stages.1.kernel = 9: "])),
        ("check baseline.toml", 2, All(&["kernel.toml:8: baseline.model.stages.1.kernel = 9: "])),
        ("check preset.toml", 2, All(&["preset.toml:1: a model of kind \"gpt\" cannot read data of kind \"digits\""])),
        ("check small.toml", 2, All(&["small.toml:11: training.batch_size = 64 (the default): batch size 64"])),
        ("check small.toml training.batch_size=99", 2, All(&["command line: training.batch_size=99: batch size 99"])),
    ]);
}

#[test]
fn arguments_that_are_wrong() {
    lab().refuses_all(&[
        (
            "train experiment.toml seed --out new",
            2,
            All(&["command line: seed: not of the form key=value\n  write e.g."]),
        ),
        ("train experiment.toml training.seed= --out new", 2, All(&["the value is empty"])),
        ("check experiment.toml trainin.seed=1", 2, All(&["unknown key \"trainin\"", "did you mean \"training\"?"])),
        ("run campaign.toml budget.hours=1", 2, All(&["unknown key \"hours\" in [budget]", "device_hours"])),
        (
            "train experiment.toml --out experiment.toml",
            2,
            All(&["experiment.toml: cannot make the folder: file exists\n  a file stands where a folder is needed"]),
        ),
        ("run campaign.toml --out experiment.toml", 2, All(&["a file stands where a folder is needed"])),
        (
            "train experiment.toml --out theirs",
            2,
            Exactly(
                "theirs: the folder holds other things than a run, thesis.txt for one\n  choose a new or empty folder \
                 with --out; nothing was changed",
            ),
        ),
        ("train experiment.toml --out theirs --resume", 2, All(&["thesis.txt for one"])),
        ("train experiment.toml --out .", 2, All(&["holds other things than a run"])),
        ("run campaign.toml --out .", 2, All(&["holds other things than a campaign", "nothing was changed"])),
        ("run campaign.toml --out theirs-too", 2, All(&["campaign.toml for one"])),
        ("demo --out theirs", 2, All(&["thesis.txt for one"])),
        (
            "status --in nowhere",
            2,
            Exactly(
                "nowhere: there is no such folder\n  name a campaign's folder, or start a campaign with `nanoresearch \
                 run campaign.toml`",
            ),
        ),
        ("status --in folder", 2, All(&["folder: there is no campaign here (no events.jsonl)\n  name"])),
        ("best --in nowhere", 2, All(&["no such folder"])),
        ("report --in folder", 2, All(&["no campaign here"])),
        ("why 1 --in folder", 2, All(&["no campaign here"])),
        ("logs --in nowhere", 2, All(&["no such folder"])),
        ("stop --in folder", 2, All(&["no campaign here"])),
        ("cancel --in nowhere", 2, All(&["no such folder"])),
        ("resume folder", 2, All(&["folder: there is no campaign here"])),
        (
            "run begun",
            2,
            Exactly(
                "begun: this is the folder of a campaign that has begun\n  `nanoresearch resume begun` goes on with it; to begin \
                 it anew elsewhere: `nanoresearch run begun/campaign.toml --out DIR`",
            ),
        ),
        ("check begun", 2, All(&["begun: this is the folder of a campaign that has begun\n  `nanoresearch resume begun`"])),
        ("run theirs-too", 2, All(&["theirs-too: this is a folder", "  name the file: theirs-too/campaign.toml"])),
        ("resume campaign.toml", 2, All(&["this is a file, and a campaign is a folder", "nanoresearch run"])),
        (
            "schema exprmnt",
            2,
            All(&["there is no schema called \"exprmnt\"\n  use `experiment`, `campaign` or `site`"]),
        ),
        ("data get nosuch", 2, All(&["no dataset is known as `nosuch`\n  the known names are tinyshakespeare, mnist"])),
    ]);
}

#[test]
fn help_for_every_command_and_two_for_what_is_none() {
    let lab = Lab::new();
    let commands = [
        "demo",
        "check",
        "train",
        "run",
        "resume",
        "status",
        "logs",
        "why",
        "stop",
        "cancel",
        "best",
        "report",
        "bench",
        "data",
        "schema",
        "doctor",
        "completions",
        "worker",
    ];
    for command in commands {
        let help = lab.done(&format!("{command} --help")).stdout;
        assert!(help.contains("Usage: nanoresearch") && help.lines().next().unwrap().len() > 15, "{command}: {help}");
        assert_eq!(lab.run(&format!("{command} --no-such-option")).code, 2);
    }
    let unknown = lab.run("statos");
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("'status'"), "{unknown:?}");
    assert_eq!(lab.run("").code, 2);
    // A campaign's folder as a plain word: how it is named.
    lab.write("camp/events.jsonl", "");
    for command in ["status", "report", "best", "stop"] {
        let said = lab.run(&format!("{command} camp"));
        assert!(said.code == 2 && said.stderr.contains("'--in camp'"), "{command}: {said:?}");
        assert!(!lab.run(&format!("{command} other")).stderr.contains("--in other"));
    }
}

#[test]
fn a_reader_that_leaves_is_no_error_and_a_full_one_is() {
    let lab = Lab::new();
    lab.done("train experiment.toml --out run");
    let cheap = ["schema campaign", "completions bash", "data list", "train experiment.toml --out run --resume"];
    for line in cheap {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let answer = lab.answer(lab.command(line).stdout(writer));
        assert_eq!((answer.code, answer.stderr.contains("error")), (0, false), "{line}: {answer:?}");

        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let answer = lab.answer(lab.command(line).stdout(full));
        assert_eq!(answer.code, 1, "{line}: {answer:?}");
        assert!(
            answer.stderr.contains(
                "error: stdout: cannot write all of the output: no space left on device\n  make room there, or send \
                 the output elsewhere, and try again\n"
            ),
            "{answer:?}"
        );
    }
}

/// The smoke test ends with what to try next, which works as it is printed.
#[test]
fn a_smoke_test_names_the_next_command() {
    let lab = Lab::new();
    lab.write("my campaign.toml", super::kit::CAMPAIGN);
    let mut command = lab.command("run");
    command.args(["my campaign.toml", "planner.candidates=1", "--smoke"]);
    let said = lab.answer(&mut command).stdout;
    let next = said.lines().last().unwrap().strip_prefix("next      ").unwrap_or_else(|| panic!("{said}"));
    assert_eq!(next, "nanoresearch run 'my campaign.toml' planner.candidates=1 --dry-run");
    let program = env!("CARGO_BIN_EXE_nanoresearch");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &next.replacen("nanoresearch", program, 1)]).current_dir(lab.path());
    for (name, value) in lab.command("").get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    let answer = lab.answer(&mut shell);
    assert!(answer.code == 0 && answer.stdout.contains("nothing was run"), "{answer:?}");
}
