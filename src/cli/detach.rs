//! Controllers that outlive their terminal: a process in a session of its own, a job of its own, or one tick from cron.

use super::output::say;
use crate::config::{self, LoginNode, Site};
use crate::journal;
use crate::problem::{Problem, Result};
use crate::slurm::{self, ENVIRONMENT, is_inherited, sbatch, squeue};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::process::{self, Answer, Asked, DetachedChild};
use crate::sys::{env, fs, shell};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The controller's log in the campaign's folder, where nobody is there to read its stderr.
pub const CONTROLLER_LOG: &str = "controller.log";
const SCRIPT_FILE: &str = "controller.sbatch";
const NOTE_FILE: &str = "controller.json";
/// Seconds within which a detached controller has its campaign, or has said why not.
const START: f64 = 20.0;
/// Seconds for which `sbatch` is waited for: it tries again by itself for about two minutes.
const PATIENCE: f64 = 180.0;
/// Generations in a row that may end within [`QUICK`] seconds before nobody follows.
const QUICK_ENDS: usize = 5;
const QUICK: f64 = 120.0;

/// Where the controller is to run.
#[derive(Debug, Clone, Copy, Args)]
pub struct WhereArgs {
    /// Go on in the background: the controller survives logout, its log is controller.log in the campaign's folder
    #[arg(long, conflicts_with = "controller_as_job")]
    pub detach: bool,
    /// Run the controller itself as a small SLURM job, followed by another one until the campaign is concluded
    #[arg(long)]
    pub controller_as_job: bool,
}

/// Refuses a controller that the site does not want on its login nodes, and says what it allows.
pub fn refuse_on_login_node(site: Option<&Site>, folder: &Path, file: Option<&Path>) -> Result<()> {
    let Some(site) = site.filter(|_| env::var("SLURM_JOB_ID").is_none()) else { return Ok(()) };
    let shown = shell::path(folder);
    let (what, remedy) = match site.login_node {
        LoginNode::Controller => return Ok(()),
        LoginNode::Job => (
            "nothing that lasts may run on its login nodes (login_node = \"job\")",
            format!(
                "make the controller a job: `nanoresearch {} --controller-as-job`",
                file.map_or_else(|| format!("resume {shown}"), |file| format!("run {}", shell::path(file)))
            ),
        ),
        LoginNode::Cron => (
            "only what cron starts may run on its login nodes (login_node = \"cron\")",
            match file {
                Some(file) => format!(
                    "make the folder with `nanoresearch run {} --hold`, which says what to give to crontab; or make the \
                     controller a job: --controller-as-job",
                    shell::path(file)
                ),
                None => format!(
                    "let cron start a step at a time: `{}`; after a stop or an edit begin with `nanoresearch tick {shown} --reopen`",
                    cron_line(folder)
                ),
            },
        ),
    };
    Err(Problem::usage(format!("site {}: {what}", site.name)).remedy(remedy))
}

/// The line for `crontab -e`.
pub fn cron_line(folder: &Path) -> String {
    let program = process::current_exe().map_or_else(|_| "nanoresearch".to_string(), |p| p.display().to_string());
    format!("*/5 * * * * {program} tick {} --quiet", shell::path(&fs::resolved(folder)))
}

/// Starts a controller for the campaign in `folder` in a session of its own, and waits until it has it.
pub fn detach(folder: &Path, overrides: &[String]) -> Result<u8> {
    let program = process::current_exe()?;
    let log = folder.join(CONTROLLER_LOG);
    let before = fs::length(&log).unwrap_or(0);
    let mut arguments: Vec<&OsStr> = vec![OsStr::new("resume"), folder.as_os_str()];
    arguments.extend(overrides.iter().map(OsStr::new));
    let mut child = DetachedChild::spawn(&program, &arguments, &log).map_err(|e| {
        Problem::failed(format!("the controller cannot be started: {e}")).at(folder.display().to_string())
    })?;
    let (clock, own) = (SystemClock::default(), child.id());
    while clock.monotonic() < START {
        clock.sleep(0.05);
        let exit = child.try_wait().ok().flatten();
        if let Some(exit) = exit.filter(|e| e.code != Some(0)) {
            let said = fs::tail(&log, fs::length(&log).unwrap_or(0).saturating_sub(before));
            say(said.trim_end());
            say(&format!("the controller ended at once; its log is {}", log.display()));
            return Ok(exit.code.and_then(|c| u8::try_from(c).ok()).unwrap_or(1));
        }
        let owned = journal::owner(folder)?.is_some_and(|o| o.process == own && !o.released);
        if owned || exit.is_some() {
            break;
        }
    }
    let ways = ways_to_it(folder, &log);
    say(&format!("the controller goes on as process {}, also after logout\n{ways}", own.pid));
    Ok(0)
}

/// How to look at a controller that is not here, and how to end it.
fn ways_to_it(folder: &Path, log: &Path) -> String {
    let shown = shell::path(folder);
    format!(
        "  look:    nanoresearch status --in {shown}\n  follow:  tail -f {}\n  stop:    nanoresearch stop --in {shown}      \
         (running attempts end by themselves)\n  cancel:  nanoresearch cancel --in {shown}    (running attempts are killed)",
        shell::path(log)
    )
}

/// What is known of the controller's own jobs, in `controller.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// The job that follows, once it was submitted.
    successor: Option<u64>,
    /// When the latest generations began, in Unix seconds.
    began: Vec<f64>,
}

impl Note {
    fn read(folder: &Path) -> Note {
        let bytes = fs::read_if_there(&folder.join(NOTE_FILE)).ok().flatten();
        bytes.and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default()
    }
    fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|e| Problem::failed(format!("a note cannot be written: {e}")))?;
        fs::write_atomic(&folder.join(NOTE_FILE), &text)
    }
}

fn ask(program: &str, arguments: &[String]) -> Answer {
    Asked::start(program, arguments, is_inherited, ENVIRONMENT, PATIENCE).wait()
}

/// The name of a campaign's controller jobs, its alone: by the folder.
fn job_name(folder: &Path) -> String {
    format!("nr-controller-{}", &blake3::hash(folder.as_os_str().as_encoded_bytes()).to_hex()[..12])
}

/// Submits the controller of the campaign in `folder` as a job. Never a second one while one waits or runs.
pub fn submit_controller(folder: &Path, site: &Site, pinned: &Path) -> Result<u8> {
    let folder = folder.canonicalize().map_err(|e| Problem::io("open the campaign's folder", folder, &e))?;
    let name = job_name(&folder);
    if let Some(job) = live(&name)?.first() {
        return Err(Problem::new(
            crate::problem::Class::Owned,
            format!("a controller of this campaign is a job already: {job}"),
        )
        .at(folder.display().to_string())
        .remedy(format!(
            "let it run; `squeue --name={name}` shows it, `nanoresearch stop --in {}` ends it",
            shell::path(&folder)
        )));
    }
    let log = folder.join(CONTROLLER_LOG);
    let script = slurm::render_controller(&slurm::ControllerJob {
        site,
        name: &name,
        program: pinned,
        folder: &folder,
        log: &log,
    })?;
    let file = folder.join(SCRIPT_FILE);
    fs::write_atomic(&file, script.as_bytes())?;
    Note::default().write(&folder)?;
    let job = submitted(&file, &[])?;
    say(&format!(
        "the controller is job {job}; another one follows it until the campaign is concluded\n{}\n  jobs:    squeue --name={name}",
        ways_to_it(&folder, &log)
    ));
    Ok(0)
}

/// Ids of this user's jobs of a name that are not over.
fn live(name: &str) -> Result<Vec<u64>> {
    let answer = ask("squeue", &squeue::plain_arguments());
    let listing = squeue::parse(&answer.stdout);
    if answer.code != Some(0) || !listing.whole() {
        let said = answer.stderr.lines().next().unwrap_or("no answer").to_string();
        return Err(Problem::unavailable(format!("squeue did not answer: {said}"))
            .remedy("try again when it does; nothing was submitted"));
    }
    let there = listing.rows.iter().filter(|r| r.name == name && r.state.phase() != slurm::Phase::Ended);
    Ok(there.map(|r| r.id).collect())
}

fn submitted(script: &Path, options: &[String]) -> Result<u64> {
    let mut arguments = options.to_vec();
    arguments.extend(sbatch::arguments(script));
    let answer = ask("sbatch", &arguments);
    match sbatch::parse(answer.code, &answer.stdout, &answer.stderr) {
        sbatch::Submission::Accepted(job) => Ok(job),
        sbatch::Submission::Refused(why) | sbatch::Submission::Later(why) => {
            Err(Problem::unavailable(format!("sbatch does not take the controller: {why}"))
                .at(script.display().to_string())
                .remedy("see [controller] in the site file, and `nanoresearch check SITE.toml --cluster`"))
        }
        sbatch::Submission::Lost(why) => Err(Problem::unavailable(format!("sbatch's answer was lost: {why}"))
            .remedy("see with `squeue --me` whether the controller's job is there before trying again")),
    }
}

/// The controller's own job: who comes after it, so that a campaign goes on whatever ends this job.
///
/// The successor waits for this job's end (`--dependency=afterany`), and is called off when there is nothing left to do.
pub struct Generation {
    folder: PathBuf,
    note: Note,
}

impl Generation {
    /// Begins one, inside the job, and sends for the next.
    pub fn begin(folder: &Path) -> Result<Self> {
        let folder = folder.canonicalize().map_err(|e| Problem::io("open the campaign's folder", folder, &e))?;
        let own = env::var("SLURM_JOB_ID").ok_or_else(|| {
            Problem::usage("--inside-job is for the controller's own job").remedy("use --controller-as-job")
        })?;
        let mut note = Note::read(&folder);
        let now = SystemClock::default().unix();
        note.began.push(now);
        let keep = note.began.len().saturating_sub(QUICK_ENDS + 1);
        note.began.drain(..keep);
        note.successor = None;
        let quick = note.began.len() > QUICK_ENDS && now - note.began[0] < QUICK * QUICK_ENDS as f64;
        if quick {
            say(&format!(
                "{QUICK_ENDS} controllers ended soon after their start: nobody follows this one; see the log above"
            ));
        } else {
            let options = [format!("--dependency=afterany:{own}"), "--begin=now+30".to_string()];
            match submitted(&folder.join(SCRIPT_FILE), &options) {
                Ok(job) => note.successor = Some(job),
                Err(problem) => say(&format!("nobody follows this controller: {problem}")),
            }
        }
        note.write(&folder)?;
        Ok(Generation { folder, note })
    }

    /// Calls the next one off: the campaign is concluded, or a person must look at it first.
    pub fn last(mut self) -> Result<()> {
        if let Some(job) = self.note.successor.take() {
            let arguments = slurm::scancel::arguments(slurm::scancel::Kind::End, &job_name(&self.folder), Some(job));
            let answer = ask("scancel", &arguments);
            if answer.code != Some(0) {
                say(&format!("job {job}, which was to follow, could not be called off; it will find nothing to do"));
            }
        }
        self.note.write(&self.folder)
    }

    /// Leaves the campaign to the next one.
    pub fn hand_over(&self) {
        match self.note.successor {
            Some(job) => say(&format!("this job ends; job {job} goes on with the campaign")),
            None => say(&format!(
                "this job ends and none follows: `nanoresearch resume {} --controller-as-job`",
                shell::path(&self.folder)
            )),
        }
    }
}

/// The site that a campaign's folder keeps, if it has one.
pub fn site_in(folder: &Path, file: &str) -> Result<Option<Site>> {
    let path = folder.join(file);
    if !path.exists() {
        return Ok(None);
    }
    config::load_site(&path, &[]).map(|loaded| Some(loaded.value))
}
