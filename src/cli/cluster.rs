//! Asking a cluster about itself, for `init --site`, `check --cluster` and `doctor`: each command once, waited for.

use crate::config::Site;
use crate::ids::{AttemptId, RunId};
use crate::problem::{Problem, Result};
use crate::slurm::{self, Cluster, Finding, sbatch, scontrol, sinfo};
use crate::sys::process::{Answer, Asked};
use crate::sys::{env, fs};
use std::path::Path;

/// Seconds that a command may take; the controllers of busy clusters are slow.
const PATIENCE: f64 = 20.0;

/// Runs one of SLURM's commands.
fn ask(program: &str, arguments: &[String]) -> Answer {
    Asked::start(program, arguments, slurm::is_inherited, slurm::ENVIRONMENT, PATIENCE).wait()
}

/// Whether there is a SLURM to ask at all.
pub fn is_there() -> bool {
    ask("sinfo", &["--version".to_string()]).code == Some(0)
}

/// What the cluster says of itself.
///
/// # Errors
/// Class `Unavailable` where it does not answer.
pub fn read() -> Result<Cluster> {
    let told = |program: &str, arguments: &[String]| {
        let answer = ask(program, arguments);
        match answer.code {
            Some(0) => Ok(answer.stdout),
            _ => Err(silent(program, &answer)),
        }
    };
    let config = told("scontrol", &scontrol::config_arguments())?;
    let partitions = told("scontrol", &scontrol::partition_arguments())?;
    let nodes = told("sinfo", &sinfo::arguments())?;
    let user = ask("id", &["-un".to_string()]).stdout.trim().to_string();
    let charged = ask("sacctmgr", &slurm::association_arguments(&user));
    let associations = (charged.code == Some(0)).then_some(charged.stdout);
    Ok(Cluster::read(&config, &partitions, &nodes, associations.as_deref()))
}

fn silent(program: &str, answer: &Answer) -> Problem {
    let said = answer.stderr.lines().next().unwrap_or_default().split(" (os error").next().unwrap_or_default().trim();
    let what = match (answer.code, said) {
        (None, "") => format!("{program} gave no answer within {PATIENCE:.0} s"),
        (_, said) => format!("{program} did not answer: {said}"),
    };
    let busy = answer.code.is_none() || said.to_ascii_lowercase().contains("timed out");
    Problem::unavailable(what).remedy(if busy {
        "the cluster's controller is slow or down: `scontrol ping` says which; try again later"
    } else {
        "run this on a login node of the cluster, with SLURM's commands on PATH (and SLURM_CONF, if your site wants it)"
    })
}

/// Asks the scheduler itself about a short job in every partition and on every GPU type, by `sbatch --test-only`: nothing is
/// submitted, though each question uses up a job's number.
pub fn try_submissions(site: &Site) -> Result<Vec<Finding>> {
    let folder = env::scratch_dir();
    let file = folder.join(format!("check-{}.sbatch", std::process::id()));
    let mut found = Vec::new();
    for own in &site.partitions {
        let mut only = site.clone();
        only.partitions = vec![own.clone()];
        let types: Vec<Option<&String>> = match own.gpu_types.is_empty() || !site.typed_gpus || site.gpus == 0 {
            true => vec![None],
            false => own.gpu_types.iter().map(Some).collect(),
        };
        for kind in types {
            only.partitions[0].gpu_types = kind.cloned().into_iter().collect();
            let key = format!("partitions.{}", own.name);
            let what = kind.map_or(String::new(), |kind| format!(" on {kind}"));
            let script = match script(&only) {
                Ok(script) => script,
                Err(problem) => {
                    found.push(Finding::error(key, problem.what));
                    continue;
                }
            };
            fs::write_atomic(&file, script.as_bytes())?;
            let answer = ask("sbatch", &sbatch::test_arguments(&file));
            found.push(match sbatch::parse_test(answer.code, &answer.stderr) {
                Ok(Some(when)) => {
                    Finding::good(key, format!("a job{what} would be taken; expected to start {when} UTC"))
                }
                Ok(None) => Finding::good(key, format!("a job{what} would be taken")),
                Err(why) => {
                    Finding::error(key, format!("sbatch refuses a job{what}: {why} (it asked for {})", asked(&script)))
                }
            });
        }
    }
    fs::remove_file(&file)?;
    Ok(found)
}

/// What a script asks the cluster for, in its options.
fn asked(script: &str) -> String {
    const OWN: [&str; 7] = ["--job-name", "--comment", "--nodes", "--ntasks", "--no-requeue", "--signal", "--o"];
    let options = script.lines().filter_map(|line| line.strip_prefix("#SBATCH "));
    options.filter(|option| !OWN.iter().any(|own| option.starts_with(own))).collect::<Vec<_>>().join(" ")
}

/// The script of an attempt of half an hour, or of what the partition allows.
pub fn script(site: &Site) -> Result<String> {
    const HALF_AN_HOUR: f64 = 1800.0;
    let longest = site.partitions.iter().map(|p| p.max_hours * 3600.0).fold(0.0, f64::max);
    let seconds = if longest > 0.0 { longest.min(HALF_AN_HOUR) } else { HALF_AN_HOUR };
    let need = slurm::Need { seconds, cpus: 1, gpu: site.gpus > 0, ..slurm::Need::default() };
    let request = slurm::Request::on(site, &need)?;
    let id = AttemptId { run: RunId(1), number: 1 };
    let folder = Path::new("/path/to/campaign/runs/0001/attempts/01");
    slurm::render(&slurm::Job {
        site,
        request: &request,
        id,
        name: &slurm::job_name(id, "0123456789ab"),
        program: Path::new("/path/to/campaign/bin/nanoresearch-HASH"),
        campaign: Path::new("/path/to/campaign"),
        folder,
        log: &folder.join("worker.log"),
        environment: &[],
    })
}
