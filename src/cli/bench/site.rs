//! `bench site`: short jobs on a site's partitions measure what a controller needs to plan for them.

use crate::bench::{Elsewhere, measure_to};
use crate::campaign::Pricer;
use crate::cli::output::{self, duration, say};
use crate::cli::pricer::MachinePricer;
use crate::config::{self, Experiment, Site};
use crate::cost::ThroughputProfile;
use crate::exec::SlurmExecutor;
use crate::problem::{Problem, Result};
use crate::slurm::sbatch::Submission;
use crate::slurm::{
    ENVIRONMENT, Need, Phase, ProbeJob, Request, is_inherited, narrowed, render_probe, sbatch, squeue, ways,
};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::process::{self, Asked};
use crate::sys::{env, fs};
use clap::Args;
use std::path::{Path, PathBuf};

/// Time limit of a measurement, in seconds: it takes some seconds on a CPU, and a minute or two on a GPU.
const LIMIT: f64 = 900.0;
/// Seconds that `sbatch` is waited for.
const PATIENCE: f64 = 180.0;
/// Seconds for which a job that the queue does not show may still be on its way there, or its result on the way here.
const UNSEEN: f64 = 60.0;
const EXPERIMENT_FILE: &str = "experiment.toml";
const RESULT_FILE: &str = "profile.json";
const LOG_FILE: &str = "probe.log";

/// Arguments of `bench site`.
#[derive(Debug, Args)]
pub struct SiteArgs {
    /// The campaign to plan for, with execution.site
    file: PathBuf,
    /// Settings that replace the file's: key=value
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Only in this partition [default: the first of each GPU type, or the first]
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Folder for the jobs' files, visible from the nodes [default: calibration in the cache folder]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Minutes to wait for the jobs; the same command collects later what is not done by then
    #[arg(long, value_name = "MINUTES", default_value_t = 60.0)]
    wait: f64,
}

/// Arguments of the job.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// What is measured for
    experiment: PathBuf,
    /// The profile
    #[arg(long)]
    out: PathBuf,
}

/// What the job does.
pub fn probe(args: &ProbeArgs) -> Result<()> {
    let experiment = config::load_experiment(&args.experiment, &[])?.value;
    measure_to(&experiment, &args.out).map(|_| ())
}

/// Submits, waits, keeps, and says what is expected of the baseline now.
pub fn run(args: &SiteArgs) -> Result<()> {
    let loaded = config::load_campaign(&args.file, &args.overrides)?;
    let Some(name) = &loaded.value.execution.site else {
        return Err(Problem::usage("this campaign has no site to measure")
            .at(args.file.display().to_string())
            .remedy("set execution.site, or leave it: this machine is measured when it is needed"));
    };
    let site = config::load_site(&loaded.base.join(name), &[])?.value;
    let work = args.work.clone().unwrap_or_else(|| env::cache_dir().join("calibration"));
    fs::create_dir(&work)?;
    let work = work.canonicalize().map_err(|e| Problem::io("open the folder", &work, &e))?;
    measure(&site, &loaded.value.baseline, args.partition.as_deref(), &work, 60.0 * args.wait)?;
    let price = MachinePricer::of(&loaded.base, &loaded.value).price(&loaded.value.baseline)?;
    output::print(&format!(
        "the baseline is expected to take {} a run there (80% below {})\n",
        duration(price.seconds),
        duration(price.high_seconds)
    ));
    Ok(())
}

/// A measurement under way.
struct Probe {
    what: Elsewhere,
    folder: PathBuf,
    name: String,
    /// Since when (monotonic) the queue does not show its job.
    unseen: Option<f64>,
}

impl Probe {
    fn result(&self) -> Option<ThroughputProfile> {
        let path = self.folder.join(RESULT_FILE);
        let bytes = fs::read_if_there(&path).ok()??;
        ThroughputProfile::parse(&String::from_utf8_lossy(&bytes), &path.display().to_string()).ok()
    }
}

/// Measures with one job in each place that is asked for.
fn measure(site: &Site, baseline: &Experiment, only: Option<&str>, work: &Path, patience: f64) -> Result<()> {
    let gpu = baseline.resources.device.is_gpu();
    let threads = u32::try_from(baseline.resources.threads).unwrap_or(1);
    let need = Need { seconds: LIMIT, cpus: threads.max(1), gpu, ..Need::default() };
    let mut places: Vec<(String, Option<String>)> = Vec::new();
    for (partition, kind) in ways(site, &need) {
        let wanted = match only {
            Some(name) => partition == name,
            None => places.iter().all(|(_, other)| *other != kind),
        };
        if wanted {
            places.push((partition, kind));
        }
    }
    if places.is_empty() {
        Request::on(site, &need)?;
        return Err(Problem::usage(format!("no partition of site {} fits", site.name)).at("--partition"));
    }
    let clock = SystemClock::default();
    let mut open = Vec::new();
    for (partition, kind) in places {
        let what = Elsewhere::of(baseline, &site.name, &partition, kind.as_deref());
        let folder = work.join(format!("{}-{}", site.name, what.token()));
        let probe = Probe { name: format!("nr-probe-{}", what.token()), what, folder, unseen: None };
        begin(site, &need, baseline, &probe)?;
        open.push(probe);
    }
    loop {
        // One that is done is kept at once: what comes after it may take long, or fail.
        let mut left = Vec::new();
        for probe in open {
            match probe.result() {
                Some(profile) => {
                    probe.what.keep(&profile)?;
                    fs::remove_dir(&probe.folder)?;
                    let chip: Vec<String> =
                        profile.machine.chip.iter().map(|(k, v)| format!("{k} {v}")).take(3).collect();
                    output::print(&format!("{}: measured ({})\n", probe.what.place(), chip.join(", ")));
                }
                None => left.push(probe),
            }
        }
        open = left;
        if open.is_empty() {
            return Ok(());
        }
        if clock.monotonic() > patience {
            let places: Vec<String> = open.iter().map(|p| p.what.place()).collect();
            return Err(Problem::unavailable(format!("not measured yet: {}", places.join(", ")))
                .remedy("the jobs go on (`squeue --me`); the same command collects what they measure"));
        }
        look(&mut open, clock.monotonic())?;
        clock.sleep(site.poll_seconds.min(5.0));
    }
}

/// Submits a measurement, unless its job waits or runs already.
fn begin(site: &Site, need: &Need, baseline: &Experiment, probe: &Probe) -> Result<()> {
    let Probe { what, folder, name, .. } = probe;
    if let Some(listing) = queue()
        && listing.iter().any(|row| row.name == *name && row.state.phase() != Phase::Ended)
    {
        say(&format!("{}: a job that measures it is under way already", what.place()));
        return Ok(());
    }
    if probe.result().is_some() {
        return Ok(());
    }
    fs::create_dir(folder)?;
    fs::write_atomic(&folder.join(EXPERIMENT_FILE), config::to_toml(baseline).as_bytes())?;
    let program = SlurmExecutor::pin(&process::current_exe()?, folder)?;
    let Some(partition) = site.partition(&what.partition) else { return Ok(()) };
    let own = narrowed(site, partition, what.gpu_type.as_deref());
    let script = render_probe(&ProbeJob {
        site: &own,
        request: &Request::on(&own, need)?,
        name,
        program: &program,
        folder,
        log: &folder.join(LOG_FILE),
        arguments: &["bench", "probe", EXPERIMENT_FILE, "--out", RESULT_FILE],
    })?;
    let file = folder.join("probe.sbatch");
    fs::write_atomic(&file, script.as_bytes())?;
    let answer = Asked::start("sbatch", &sbatch::arguments(&file), is_inherited, ENVIRONMENT, PATIENCE).wait();
    match sbatch::parse(answer.code, &answer.stdout, &answer.stderr) {
        Submission::Accepted(job) => say(&format!("{}: job {job} measures it", what.place())),
        Submission::Lost(why) => {
            say(&format!("{}: sbatch's answer was lost ({why}); looking for the job", what.place()))
        }
        Submission::Refused(why) | Submission::Later(why) => {
            return Err(Problem::unavailable(format!("sbatch does not take the measurement: {why}"))
                .at(file.display().to_string())
                .remedy("see `nanoresearch check SITE.toml --cluster`"));
        }
    }
    Ok(())
}

/// Looks for jobs that have gone without a result.
fn look(open: &mut [Probe], now: f64) -> Result<()> {
    let Some(rows) = queue() else { return Ok(()) };
    for probe in open {
        let there = rows.iter().any(|row| row.name == probe.name && row.state.phase() != Phase::Ended);
        let since = if there { None } else { Some(*probe.unseen.get_or_insert(now)) };
        probe.unseen = since;
        // A job that ended with a result is not looked for any more; this one's may still be on the way.
        let ended = rows.iter().any(|row| row.name == probe.name && row.state.phase() == Phase::Ended);
        let patience = if ended { UNSEEN / 4.0 } else { UNSEEN };
        if since.is_some_and(|since| now - since > patience) && probe.result().is_none() {
            let log = probe.folder.join(LOG_FILE);
            let said = fs::tail(&log, 2000);
            let words = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("its log is empty");
            return Err(Problem::failed(format!("the measurement in {} left no result: {words}", probe.what.place()))
                .at(log.display().to_string())
                .remedy("see the log; the same command measures again"));
        }
    }
    Ok(())
}

/// This user's jobs; none where the queue does not answer wholly.
fn queue() -> Option<Vec<squeue::Row>> {
    let answer = Asked::start("squeue", &squeue::plain_arguments(), is_inherited, ENVIRONMENT, PATIENCE).wait();
    let listing = squeue::parse(&answer.stdout);
    (answer.code == Some(0) && listing.whole()).then_some(listing.rows)
}
