//! The script that is submitted: readable, complete, without secrets, and gone as soon as the worker has its place.

use super::Request;
use super::shell::{log_path, path};
use super::time::show_duration;
use crate::config::{Container, Site};
use crate::ids::AttemptId;
use crate::problem::Result;
use crate::sys::shell::word as quote;
use std::path::Path;

/// Variables that must not reach a worker even where somebody submits the script by hand.
const SECRETS: [&str; 2] = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"];

/// Everything that a script says.
#[derive(Debug)]
pub struct Job<'a> {
    /// The cluster.
    pub site: &'a Site,
    /// What is asked for.
    pub request: &'a Request,
    /// Which attempt it executes.
    pub id: AttemptId,
    /// Its name: see [`job_name`].
    pub name: &'a str,
    /// The pinned program, whose file name holds its hash. All paths are absolute.
    pub program: &'a Path,
    /// The campaign's folder, which a container shows read-only.
    pub campaign: &'a Path,
    /// The attempt's folder, the only place the worker writes to.
    pub folder: &'a Path,
    /// The log, in the attempt's folder.
    pub log: &'a Path,
    /// Variables set for the worker.
    pub environment: &'a [(String, String)],
}

/// The name of an attempt's job. `token` is the attempt's own, made before it is submitted and kept in its folder, so that no
/// other job, of another campaign or another year, has the same name.
pub fn job_name(id: AttemptId, token: &str) -> String {
    format!("nr-{}-{:02}-{token}", id.run, id.number)
}

/// The script.
///
/// The worker takes the shell's place (`exec`): the batch process is then the worker itself, and `--signal=B:` reaches it.
/// `--no-requeue`: only the controller decides about another attempt. What fails before the worker ends the job with
/// code 2, which is read as a refusal: the same again would fail again.
pub fn render(job: &Job) -> Result<String> {
    let Job { site, request, .. } = job;
    let mut options = vec![format!("--job-name={}", job.name), format!("--comment=nanoresearch:{}", job.id)];
    options.extend(request.options(site));
    options.push("--no-requeue".to_string());
    options.push(format!("--signal=B:USR2@{}", site.warning_seconds));
    options.push(format!("--output={}", quote(&log_path(job.log)?)));
    options.push("--open-mode=append".to_string());
    let mut script = format!("#!/bin/bash\n# Attempt {} of a nanoresearch campaign on site {}.\n", job.id, site.name);
    options.iter().for_each(|option| script += &format!("#SBATCH {option}\n"));
    script += &prepared(site, job.folder, job.environment)?;
    let worker = format!("{} worker --attempt {}", quote(path(job.program)?), quote(path(job.folder)?));
    script += &match &site.container {
        None => format!("exec {worker}\n"),
        Some(container) => {
            let contained = contained(container, site, request.gpus > 0, job.campaign, job.folder)?;
            format!("exec {contained} \\\n  {worker}\n")
        }
    };
    Ok(script)
}

/// The lines that make a node ready for the program: its folder, modules, the site's own lines, scratch.
fn prepared(site: &Site, folder: &Path, environment: &[(String, String)]) -> Result<String> {
    let folder = quote(path(folder)?);
    let mut script = format!("\nunset {}\n", SECRETS.join(" "));
    script += &format!("cd {folder} || exit 2\n");
    if !site.modules.is_empty() {
        script += "# A batch shell has no `module` on many clusters; the login profile brings it.\n";
        script += "type module > /dev/null 2>&1 || . /etc/profile\n";
        script += "type module > /dev/null 2>&1 || { echo \"there is no command named module\" >&2; exit 2; }\n";
        script += "module purge\n";
        for module in &site.modules {
            let module = quote(module);
            script +=
                &format!("module load {module} || {{ echo \"module {module} cannot be loaded\" >&2; exit 2; }}\n");
        }
    }
    site.environment.iter().for_each(|line| script += &format!("{line}\n"));
    for (name, value) in environment {
        script += &format!("export {name}={}\n", quote(value));
    }
    if let Some(scratch) = &site.scratch {
        // Cron sets no USER, and all users' folders would be one.
        if scratch.contains("$USER") {
            script += ": \"${USER:=$(id -un)}\"\n";
        }
        // Checked to be of plain characters; in double quotes its variables are filled in.
        script += &format!("export TMPDIR=\"{scratch}\"\nmkdir -p \"$TMPDIR\" || exit 2\n");
    }
    Ok(script)
}

/// A short job of this program that executes no attempt: a measurement, which leaves its result in its folder.
#[derive(Debug)]
pub struct ProbeJob<'a> {
    /// The cluster.
    pub site: &'a Site,
    /// What is asked for.
    pub request: &'a Request,
    /// Its name, its alone.
    pub name: &'a str,
    /// The pinned program, in the folder. All paths are absolute.
    pub program: &'a Path,
    /// The folder, the only place that is written to.
    pub folder: &'a Path,
    /// Its log, in the folder.
    pub log: &'a Path,
    /// What the program is asked to do.
    pub arguments: &'a [&'a str],
}

/// Its script: prepared as an attempt's is, so that what is measured is what attempts will find.
pub fn render_probe(job: &ProbeJob) -> Result<String> {
    let ProbeJob { site, request, .. } = job;
    let mut options = vec![format!("--job-name={}", job.name)];
    options.extend(request.options(site));
    options.push("--no-requeue".to_string());
    options.push(format!("--output={}", quote(&log_path(job.log)?)));
    let mut script = format!("#!/bin/bash\n# A measurement for planning on site {}.\n", site.name);
    options.iter().for_each(|option| script += &format!("#SBATCH {option}\n"));
    script += &prepared(site, job.folder, &[])?;
    let arguments: Vec<String> = job.arguments.iter().map(|a| quote(a)).collect();
    let program = format!("{} {}", quote(path(job.program)?), arguments.join(" "));
    script += &match &site.container {
        None => format!("exec {program}\n"),
        Some(container) => {
            let contained = contained(container, site, request.gpus > 0, job.folder, job.folder)?;
            format!("exec {contained} \\\n  {program}\n")
        }
    };
    Ok(script)
}

/// The container: no home, nothing of the node but what is named, and only the attempt's folder and its scratch writable. Later
/// binds lie over earlier ones.
fn contained(container: &Container, site: &Site, gpu: bool, campaign: &Path, folder: &Path) -> Result<String> {
    let mut words =
        vec![quote(&container.program), "exec".to_string(), "--contain".to_string(), "--no-home".to_string()];
    if gpu {
        words.push("--nv".to_string());
    }
    for shown in &container.read_only {
        words.push(format!("--bind {}", quote(&format!("{shown}:{shown}:ro"))));
    }
    let (shown, folder) = (path(campaign)?, path(folder)?);
    if shown != folder {
        words.push(format!("--bind {}", quote(&format!("{shown}:{shown}:ro"))));
    }
    words.push(format!("--bind {}", quote(&format!("{folder}:{folder}:rw"))));
    if site.scratch.is_some() {
        words.push("--bind \"$TMPDIR:$TMPDIR:rw\"".to_string());
    }
    words.push(quote(&container.image));
    Ok(words.join(" "))
}

/// A script that only asks the scheduler about a request (`sbatch --test-only`).
pub fn question(site: &Site, request: &Request) -> String {
    let options: String = request.options(site).iter().map(|o| format!("#SBATCH {o}\n")).collect();
    format!("#!/bin/bash\n{options}true\n")
}

/// The job of a campaign's controller.
#[derive(Debug)]
pub struct ControllerJob<'a> {
    /// The cluster.
    pub site: &'a Site,
    /// Its name, the campaign's alone.
    pub name: &'a str,
    /// The pinned program. All paths are absolute.
    pub program: &'a Path,
    /// The campaign's folder.
    pub folder: &'a Path,
    /// The log, in the campaign's folder.
    pub log: &'a Path,
}

/// Its script. The controller takes the shell's place, is told ahead of its limit (SIGUSR2), leaves, and its successor, which
/// it has sent for when it began, goes on.
pub fn render_controller(job: &ControllerJob) -> Result<String> {
    let ControllerJob { site, .. } = job;
    let controller = site.controller.clone().unwrap_or_default();
    let partition = controller.partition.as_deref().or_else(|| site.partitions.first().map(|p| p.name.as_str()));
    let partition = partition.unwrap_or_default();
    let allowed = site.partition(partition).map_or(0.0, |p| p.max_hours);
    let hours = if allowed > 0.0 { controller.hours.min(allowed) } else { controller.hours };
    let mut options = vec![format!("--job-name={}", job.name), format!("--partition={partition}")];
    options.extend(site.account.as_ref().map(|a| format!("--account={a}")));
    let own = site.partition(partition).and_then(|p| p.qos.clone());
    options.extend(controller.qos.clone().or(own).or_else(|| site.qos.clone()).map(|q| format!("--qos={q}")));
    options.extend(["--nodes=1", "--ntasks=1", "--cpus-per-task=1"].map(str::to_string));
    options.push(format!("--mem={}M", controller.memory_mib));
    options.push(format!("--time={}", show_duration(hours * 3600.0)));
    options.push("--no-requeue".to_string());
    options.push(format!("--signal=B:USR2@{}", controller.warning_seconds));
    options.push(format!("--output={}", quote(&log_path(job.log)?)));
    options.push("--open-mode=append".to_string());
    let mut script = "#!/bin/bash\n# The controller of a nanoresearch campaign.\n".to_string();
    options.iter().for_each(|option| script += &format!("#SBATCH {option}\n"));
    let folder = quote(path(job.folder)?);
    script += &format!("\ncd {folder} || exit 2\n");
    script += &format!("exec {} resume {folder} --inside-job\n", quote(path(job.program)?));
    Ok(script)
}
