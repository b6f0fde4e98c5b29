//! A folder to do wrong things in, and what is asked of every answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub const EXPERIMENT: &str = r#"
data.kind = "digits"
model = { kind = "mlp", widths = [8] }
optimizer = { kind = "adamw", learning_rate = 0.003 }
training = { batch_size = 16, budget = { steps = 20 }, seed = 1 }
evaluation = { every = 10, checkpoint_every = 5 }
"#;

pub const CAMPAIGN: &str = r#"
name = "tiny"
question = "does it work?"
objective.metric = "accuracy"
budget.device_hours = 0.02
seeds = { baseline = 2, confirm = 2, finalists = 1 }
planner = { kind = "random", candidates = 2 }
execution = { parallel = 2, kill_margin_seconds = 2 }
baseline_file = "experiment.toml"

[space]
"optimizer.learning_rate" = { type = "log-float", low = 1e-4, high = 5e-2 }
"#;

/// What a message must be.
pub enum Says {
    /// The whole of stderr.
    Exactly(&'static str),
    /// Parts of it.
    All(&'static [&'static str]),
}

/// A command line that is wrong, its exit code, and its message.
pub type Case = (&'static str, i32, Says);

/// What a command answered, the lab's absolute path replaced by `LAB`.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A folder with a valid experiment and a valid campaign in it.
pub struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab { folder };
        lab.write("experiment.toml", EXPERIMENT);
        lab.write("campaign.toml", CAMPAIGN);
        lab
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Writes the experiment with a part of it replaced.
    pub fn edit(&self, name: &str, part: &str, by: &str) {
        let original = std::fs::read_to_string(self.at(name)).unwrap();
        assert!(original.contains(part), "{name} has no {part:?}");
        self.write(name, original.replacen(part, by, 1));
    }

    /// A fresh copy of a folder.
    pub fn copy(&self, from: &str, to: &str) {
        let to = self.at(to);
        let _ = std::fs::remove_dir_all(&to);
        copy(&self.at(from), &to);
    }

    /// Changes a file's bytes.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.at(name)).unwrap();
        change(&mut bytes);
        std::fs::write(self.at(name), bytes).unwrap();
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanoresearch"));
        command.args(line.split_whitespace()).current_dir(self.path()).stdin(Stdio::null());
        // The machine is measured once for all tests. A proxy that refuses makes every network an absent one, at once.
        command.env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("bad-input-cache"));
        command.env("NANORESEARCH_DATA", self.at("cache"));
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env(name, "http://127.0.0.1:1");
        }
        for name in ["NO_PROXY", "no_proxy", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command
    }

    pub fn answer(&self, command: &mut Command) -> Answer {
        let output = command.output().unwrap();
        let lab = self.path().display().to_string();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8").replace(&lab, "LAB");
        let answer = Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        for ugly in ["panicked", "os error", "error: error", "Os {", "Problem {", "Failed {", "Refused {", "Some("] {
            assert!(!answer.stderr.contains(ugly), "{ugly:?} in {answer:?}");
        }
        answer
    }

    pub fn run(&self, line: &str) -> Answer {
        self.answer(&mut self.command(line))
    }

    /// Runs what must go well.
    pub fn done(&self, line: &str) -> Answer {
        let answer = self.run(line);
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
        answer
    }

    /// Every file and folder with its content.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        list(&self.path(), &mut found);
        found
    }

    /// Runs what is wrong: refused as the case says, and not a byte is different afterwards.
    pub fn refuses(&self, (line, code, says): &Case) {
        let before = self.files();
        let answer = self.run(line);
        check(line, &answer, *code, says);
        let after = self.files();
        let differ: Vec<&PathBuf> =
            before.keys().chain(after.keys()).filter(|p| before.get(*p) != after.get(*p)).collect();
        assert!(differ.is_empty(), "{line} changed {differ:?}");
    }

    pub fn refuses_all(&self, cases: &[Case]) {
        for case in cases {
            self.refuses(case);
        }
    }
}

/// One paragraph: an `error:` line, a remedy in the lines below, nothing else on stdout.
pub fn check(line: &str, answer: &Answer, code: i32, says: &Says) {
    assert_eq!(answer.code, code, "`{line}`: {answer:?}");
    let beginnings = answer.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(beginnings, 1, "`{line}`: {}", answer.stderr);
    assert_eq!(answer.stdout, "", "`{line}`");
    let paragraph = &answer.stderr[answer.stderr.find("error: ").unwrap()..];
    let mut lines = paragraph.lines();
    assert!(lines.next().unwrap().len() > "error: ".len() + 10, "`{line}`: {paragraph}");
    assert!(lines.next().is_some_and(|remedy| remedy.starts_with("  ")), "`{line}` without a remedy: {paragraph}");
    match says {
        Says::Exactly(text) => assert_eq!(answer.stderr, format!("error: {text}\n"), "`{line}`"),
        Says::All(parts) => {
            for part in *parts {
                assert!(answer.stderr.contains(part), "`{line}` does not say {part:?}: {}", answer.stderr);
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn list(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(&path, found);
            found.insert(path, Vec::new());
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
}
