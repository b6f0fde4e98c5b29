//! What a site file must satisfy beyond its types. Its texts end up in a script that a shell reads, so what they may
//! hold is said here, and the script quotes them all the same.

use super::Site;
use super::document::split_path;
use super::types;
use super::validate::Issue;
use crate::problem::{Problem, Result};
use serde_json::Value;
use std::collections::BTreeSet;

/// `sbatch` options that belong to the program: a second setting of them would break its protocol.
const OWN_OPTIONS: &[&str] = &[
    "account",
    "array",
    "begin",
    "chdir",
    "clusters",
    "comment",
    "constraint",
    "cpus-per-task",
    "dependency",
    "error",
    "exclude",
    "export",
    "export-file",
    "gpus",
    "gpus-per-node",
    "gres",
    "hold",
    "input",
    "job-name",
    "mem",
    "no-requeue",
    "nodes",
    "ntasks",
    "open-mode",
    "output",
    "parsable",
    "partition",
    "qos",
    "quiet",
    "requeue",
    "signal",
    "test-only",
    "time",
    "wait",
    "wrap",
];

/// Parts of a variable's name that say that its value is nobody else's business.
const SECRET_WORDS: &[&str] = &["API_KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];

impl Site {
    /// Everything about it that can be known without its cluster.
    ///
    /// # Errors
    /// A usage problem with the first findings.
    pub fn validate(&self) -> Result<()> {
        let problems = self.issues().into_iter().map(|i| Problem::usage(i.what).remedy(i.remedy)).collect();
        super::check::together(problems).map_or(Ok(()), Err)
    }

    pub(super) fn issues(&self) -> Vec<Issue> {
        let json = serde_json::to_value(self).unwrap_or_default();
        let mut issues = Vec::new();
        let mut need = |ok: bool, path: &str, wanted: &str| {
            if !ok {
                let keys = split_path(path);
                let value = keys.iter().try_fold(&json, |v, k| match v {
                    Value::Array(items) => items.get(k.parse::<usize>().ok()?),
                    v => v.get(k),
                });
                let value = value.map_or("absent".to_string(), Value::to_string);
                let doc = types::site().at(&json, &keys).map_or("", |(_, doc)| doc).to_string();
                let what = format!("{path} = {value} is not {wanted}");
                issues.push(Issue { path: keys, others: Vec::new(), what, remedy: doc });
            }
        };
        need(is_word(&self.name), "name", "a name: 1 to 64 letters, digits, - and _");
        for (key, value) in [("account", &self.account), ("qos", &self.qos)] {
            need(value.as_deref().is_none_or(is_name), key, "a name without spaces and quotes");
        }
        need(!self.partitions.is_empty(), "partitions", "a list with at least one partition");
        let mut names = BTreeSet::new();
        for (index, partition) in self.partitions.iter().enumerate() {
            let at = |key: &str| format!("partitions.{index}.{key}");
            need(is_name(&partition.name), &at("name"), "a name without spaces and quotes");
            need(names.insert(&partition.name), &at("name"), "a partition named only once");
            need((0.0..=8784.0).contains(&partition.max_hours), &at("max_hours"), "in 0 to 8784");
            need(partition.qos.as_deref().is_none_or(is_name), &at("qos"), "a name without spaces and quotes");
            need(partition.price.is_none_or(is_price), &at("price"), "in 0 to 1e6");
            need((0.0..=3600.0).contains(&partition.preemptions_per_hour), &at("preemptions_per_hour"), "in 0 to 3600");
            for (i, kind) in partition.gpu_types.iter().enumerate() {
                need(is_name(kind), &at(&format!("gpu_types.{i}")), "a GPU type such as \"h100\"");
            }
        }
        need(self.gpus <= 64, "gpus", "in 0 to 64");
        need((1..=1024).contains(&self.cpus), "cpus", "in 1 to 1024");
        need(self.memory_mib <= 1 << 24, "memory_mib", "in 0 to 16777216");
        let constraint = self.constraint.as_deref().is_none_or(|c| !c.is_empty() && c.chars().all(is_plain));
        need(constraint, "constraint", "one line without quotes and backslashes");
        for (index, option) in self.options.iter().enumerate() {
            let name = option.strip_prefix("--").map(|o| o.split('=').next().unwrap_or_default());
            let shape = name.is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
            need(
                shape && option.chars().all(is_plain) && !option.contains(' '),
                &format!("options.{index}"),
                "a long option written whole, such as \"--licenses=scratch\"",
            );
            let own = name.is_some_and(|n| OWN_OPTIONS.contains(&n));
            need(!own, &format!("options.{index}"), "free: this program sets that option itself");
        }
        for (index, module) in self.modules.iter().enumerate() {
            let ok = !module.is_empty() && module.chars().all(|c| c.is_ascii_alphanumeric() || "-_./+:@".contains(c));
            need(ok, &format!("modules.{index}"), "a module's name, such as \"cuda/12.4\"");
        }
        for (index, line) in self.environment.iter().enumerate() {
            let path = format!("environment.{index}");
            need(!line.chars().any(char::is_control), &path, "one line");
            need(!holds_secret(line), &path, "free of secrets: they have no place in a job script");
            need(!line.trim_start().starts_with("#SBATCH"), &path, "a shell line: options have settings of their own");
        }
        if let Some(container) = &self.container {
            need(is_name(&container.program) || is_path(&container.program), "container.program", "a program");
            need(is_path(&container.image), "container.image", "an absolute path without : , and quotes");
            for (index, path) in container.read_only.iter().enumerate() {
                let ok = is_path(path);
                need(ok, &format!("container.read_only.{index}"), "an absolute path without : , and quotes");
            }
        }
        let scratch = |s: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.${}".contains(c);
            (s.starts_with('/') || s.starts_with('$')) && s.chars().all(plain)
        };
        need(self.scratch.as_deref().is_none_or(scratch), "scratch", "an absolute path of plain characters");
        for (kind, memory) in &self.device_memory_mib {
            need((1..=1 << 24).contains(memory), &format!("device_memory_mib.{kind:?}"), "in 1 to 16777216");
        }
        for (kind, price) in &self.prices {
            need(is_price(*price), &format!("prices.{kind:?}"), "in 0 to 1e6");
        }
        for (kind, speed) in &self.relative_speed {
            need((0.001..=1000.0).contains(speed), &format!("relative_speed.{kind:?}"), "in 0.001 to 1000");
        }
        need(is_price(self.dollars_per_hour_waited), "dollars_per_hour_waited", "in 0 to 1e6");
        if let Some(controller) = &self.controller {
            for (key, value) in [("controller.partition", &controller.partition), ("controller.qos", &controller.qos)] {
                need(value.as_deref().is_none_or(is_name), key, "a name without spaces and quotes");
            }
            need((0.05..=8784.0).contains(&controller.hours), "controller.hours", "in 0.05 to 8784");
            need((64..=1 << 24).contains(&controller.memory_mib), "controller.memory_mib", "in 64 to 16777216");
            need((30..=3600).contains(&controller.warning_seconds), "controller.warning_seconds", "in 30 to 3600");
        }
        need((0.0..=3600.0).contains(&self.kill_margin_seconds), "kill_margin_seconds", "in 0 to 3600");
        need((1..=3600).contains(&self.warning_seconds), "warning_seconds", "in 1 to 3600");
        need((1.0..=3600.0).contains(&self.poll_seconds), "poll_seconds", "in 1 to 3600");
        need((1..=6000).contains(&self.submits_per_minute), "submits_per_minute", "in 1 to 6000");
        need((1..=100_000).contains(&self.max_jobs), "max_jobs", "in 1 to 100000");
        let typed = self.gpus == 0 || !self.typed_gpus || self.partitions.iter().all(|p| !p.gpu_types.is_empty());
        if !typed {
            let what = "typed_gpus needs the types, and a partition names none in gpu_types".to_string();
            let remedy =
                "add gpu_types = [\"h100\"] to each partition (see `sinfo -o \"%P %G\"`), or typed_gpus = false";
            issues.push(Issue {
                path: split_path("typed_gpus"),
                others: vec!["partitions".to_string()],
                what,
                remedy: remedy.to_string(),
            });
        }
        issues
    }
}

fn is_word(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.len() <= 64 && text.chars().all(legal) && !text.starts_with('-')
}

/// A name that SLURM uses: no spaces, quotes, commas.
fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.@+".contains(c);
    !text.is_empty() && text.len() <= 128 && text.chars().all(legal) && !text.starts_with('-')
}

fn is_plain(c: char) -> bool {
    !c.is_control() && !"\"'\\`#".contains(c)
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.chars().all(|c| is_plain(c) && !":,$".contains(c))
}

fn is_price(price: f64) -> bool {
    (0.0..=1e6).contains(&price)
}

/// Whether a shell line sets a variable that looks like a secret.
fn holds_secret(line: &str) -> bool {
    let upper = line.to_ascii_uppercase();
    upper.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '=').any(|word| {
        let Some((name, value)) = word.split_once('=') else { return false };
        // Naming a file that holds one is fine: NAME_FILE=/path.
        let _ = value;
        SECRET_WORDS.iter().any(|s| name.ends_with(s))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_site;

    const SITE: &str = "name = \"x\"\n[[partitions]]\nname = \"gpu\"\ngpu_types = [\"h100\"]\n";

    fn refused(text: &str) -> Problem {
        parse_site(text, "x.toml", &[]).unwrap_err()
    }

    #[test]
    fn a_small_site_is_valid_and_has_defaults() {
        let site = parse_site(SITE, "x.toml", &[]).unwrap();
        assert_eq!((site.gpus, site.typed_gpus, site.kill_margin_seconds), (1, true, 90.0));
        assert_eq!(site.price(&site.partitions[0], Some("h100")), 0.0);
    }

    #[test]
    fn prices_go_from_the_particular_to_the_general() {
        let text = format!(
            "{SITE}price = 9.0\n[[partitions]]\nname = \"b\"\ngpu_types = [\"a\"]\n[prices]\nh100 = 2.0\ndefault = 1.0\ncpu = 0.1"
        );
        let site = parse_site(&text, "x.toml", &[]).unwrap();
        let [a, b] = &site.partitions[..] else { panic!() };
        let prices =
            [site.price(a, Some("h100")), site.price(b, Some("h100")), site.price(b, Some("a")), site.price(b, None)];
        assert_eq!(prices, [9.0, 2.0, 1.0, 0.1]);
    }

    #[test]
    fn the_largest_gpu_is_known_where_all_are() {
        let site = |lines: &str| {
            parse_site(&format!("{SITE}[[partitions]]\nname = \"b\"\ngpu_types = [\"a\"]\n{lines}"), "x.toml", &[])
                .unwrap()
        };
        let largest = |lines: &str| site(lines).largest_device_memory();
        assert_eq!(largest(""), None);
        assert_eq!(largest("[device_memory_mib]\nh100 = 81559\n"), None, "an `a` might be larger");
        assert_eq!(largest("[device_memory_mib]\nh100 = 81559\ndefault = 40960\n"), Some(81559));
        assert_eq!(site("[device_memory_mib]\nh100 = 81559\ndefault = 40960\n").device_memory(Some("a")), Some(40960));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let cases = [
            ("environment = [\"export OPENAI_API_KEY=abc\"]\n", "secrets", 1),
            ("options = [\"--no-requeue\"]\n", "sets that option itself", 1),
            ("options = [\"--requeue\"]\n", "sets that option itself", 1),
            ("options = [\"x; rm -rf /\"]\n", "long option", 1),
            ("account = \"a b\"\n", "without spaces", 1),
            ("scratch = \"/tmp/$(reboot)\"\n", "plain characters", 1),
            ("modules = [\"a; b\"]\n", "module's name", 1),
            ("gpus = 65\n", "0 to 64", 1),
            ("poll_seconds = 0.1\n", "1 to 3600", 1),
        ];
        for (line, wanted, at) in cases {
            let problem = refused(&format!("{line}{SITE}"));
            assert!(problem.what.contains(wanted), "{line}: {problem}");
            assert_eq!(problem.place.as_deref(), Some(format!("x.toml:{at}").as_str()), "{line}");
        }
        let twice = refused(&format!("{SITE}[[partitions]]\nname = \"gpu\"\ngpu_types = [\"a\"]\n"));
        assert!(twice.what.contains("only once") && twice.place.as_deref() == Some("x.toml:6"), "{twice}");
        let untyped = refused("name = \"x\"\n[[partitions]]\nname = \"gpu\"\n");
        assert!(untyped.what.contains("typed_gpus"), "{untyped}");
        let unknown = refused(&format!("pertitions = 1\n{SITE}"));
        assert!(unknown.what.contains("unknown key") && unknown.remedy.unwrap().contains("partitions"));
    }

    #[test]
    fn a_file_that_holds_a_secret_may_be_named() {
        assert!(!holds_secret("export TOKEN_FILE=/x") && holds_secret("export HF_TOKEN=abc"));
        assert!(!holds_secret("module load cuda") && holds_secret("A=1 WANDB_API_KEY='x y'"));
    }
}
