//! The testbed as a test sees it: its commands, its faults, its records.

use crate::campaigns::Field;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A running testbed.
pub struct Bed {
    conf: PathBuf,
}

/// What accounting has of one job: all executions of it together.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub state: String,
    pub seconds: u64,
    pub node: String,
}

impl Bed {
    /// The testbed that SLURM_CONF names; without one, says that `test` is skipped.
    pub fn find(test: &str) -> Option<Bed> {
        let found = Self::look();
        if let Err(why) = &found {
            println!("SKIPPED {test}: {why}; `eval \"$(tests/slurm/cluster up)\"` starts one (root, Debian)");
        }
        found.ok()
    }

    fn look() -> Result<Bed, String> {
        let conf = std::env::var_os("SLURM_CONF").map(PathBuf::from).ok_or("SLURM_CONF names no testbed")?;
        let text = std::fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
        // Nobody's cluster but one that this repository made.
        if !text.lines().any(|line| line == "ClusterName=testbed") {
            return Err(format!("{} is not a testbed of this project", conf.display()));
        }
        let bed = Bed { conf };
        match bed.try_say("sinfo", &["-h"]) {
            Ok(_) => Ok(bed),
            Err(why) => Err(format!("the testbed does not answer ({})", why.trim())),
        }
    }

    fn try_say(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(program)
            .args(arguments)
            .env("SLURM_CONF", &self.conf)
            .env("TZ", "UTC")
            .output()
            .map_err(|e| format!("{program}: {e}"))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// What a command says that must succeed.
    pub fn say(&self, program: &str, arguments: &[&str]) -> String {
        self.try_say(program, arguments).unwrap_or_else(|why| panic!("{program} {arguments:?}: {why}"))
    }

    /// One of the testbed's own faults: `freeze`, `thaw`, `dbd-stop`, `dbd-start`, `prolog-fails NODE`, `prolog-works`.
    pub fn fault(&self, name: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slurm/cluster");
        let base = self.conf.parent().unwrap();
        let status = Command::new(script).args(name.split(' ')).env("SLURM_TESTBED", base).status().unwrap();
        assert!(status.success(), "cluster {name}");
    }

    /// Takes a node down under its jobs.
    pub fn down(&self, node: &str) {
        self.say("scontrol", &["update", &format!("nodename={node}"), "state=down", "reason=test"]);
    }

    /// Brings a node back, if it is down.
    pub fn up(&self, node: &str) {
        // Refused for a node that is not down.
        let _ = self.try_say("scontrol", &["update", &format!("nodename={node}"), "state=resume"]);
    }

    /// What accounting has of a job, once it has it whole.
    pub fn record(&self, id: u64) -> Record {
        let id = id.to_string();
        patiently(60, "accounting to have the job's end", || {
            let text = self
                .try_say(
                    "sacct",
                    &["-D", "-X", "-n", "-P", "-S", "now-1days", "-j", &id, "-o", "State,ElapsedRaw,NodeList,End"],
                )
                .ok()?;
            let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('|').collect()).collect();
            let last = rows.last().filter(|row| row.len() == 4 && row[3] != "Unknown")?;
            Some(Record {
                state: last[0].to_string(),
                seconds: rows.iter().map(|row| row[1].parse::<u64>().unwrap()).sum(),
                node: last[2].to_string(),
            })
        })
    }

    /// Ends whatever an earlier test left.
    pub fn clear(&self) {
        let _ = self.try_say("scancel", &["--me"]);
        patiently(60, "the queue to be empty", || self.left().is_empty().then_some(()));
    }

    /// Jobs that are not over.
    pub fn left(&self) -> String {
        self.say("squeue", &["-h", "-t", "PENDING,RUNNING,COMPLETING,SUSPENDED", "-o", "%i %j %T %r"])
    }
}

/// A campaign of a small network on the digits, searched over its learning rate, below what is its own; runs may take so many
/// seconds.
pub fn small(own: &str, wall_seconds: u32) -> String {
    format!(
        r#"{own}
[space]
"optimizer.learning_rate" = {{ type = "log-float", low = 1e-4, high = 1e-2 }}
[baseline]
data.kind = "digits"
model = {{ kind = "mlp", widths = [32] }}
optimizer = {{ kind = "adamw", learning_rate = 1e-3 }}
training = {{ batch_size = 64, budget = {{ steps = 300 }} }}
evaluation = {{ checkpoint_every = 50 }}
resources = {{ threads = 1, wall_seconds = {wall_seconds}.0 }}
"#
    )
}

/// A campaign on this site, beside whose folder the site's file lies.
pub fn field(campaign: &str, site: &str) -> Field {
    let field = Field::new(campaign);
    std::fs::write(field.folder().with_file_name("site.toml"), site).unwrap();
    field
}

/// Asks until there is an answer, for so many seconds.
pub fn patiently<T>(seconds: u64, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let waiting = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(waiting.elapsed() < Duration::from_secs(seconds), "waited {seconds} s for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The notes (`slurm.json`) of a campaign's attempts, by their folders.
pub fn notes(field: &Field) -> Vec<(PathBuf, serde_json::Value)> {
    let Ok(runs) = std::fs::read_dir(field.folder().join("runs")) else { return Vec::new() };
    let attempts = runs.flatten().filter_map(|run| std::fs::read_dir(run.path().join("attempts")).ok()).flatten();
    let note = |folder: PathBuf| {
        let bytes = std::fs::read(folder.join("slurm.json")).ok()?;
        Some((folder, serde_json::from_slice(&bytes).ok()?))
    };
    attempts.flatten().filter_map(|attempt| note(attempt.path())).collect()
}
