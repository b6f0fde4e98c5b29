//! `run FILE`: starts a campaign and drives it to its conclusion; and what `resume` and `demo` share with it.

use super::batch;
use super::detach::{self, WhereArgs, cron_line, refuse_on_login_node};
use super::folder::refuse_folder;
use super::interrupts::Interrupts;
use super::narrate::Narrator;
use super::notify::notify;
use super::output::{self, say};
use super::pricer::MachinePricer;
use super::site::{self, SITE_FILE, site_of};
use super::{counsel, dry_run, replay, smoke, space, status};
use crate::campaign::{self, Finish, Observer, Pricer, Reason, State, World, assignment, rejections};
use crate::config::{self, Campaign, Loaded};
use crate::engine::{thread_environment, threads_each};
use crate::exec::{Cards, Executor, LocalExecutor, SlurmExecutor};
use crate::failure;
use crate::gpu::{GpuError, Inventory};
use crate::planner;
use crate::problem::{Class, Problem, Result};
use crate::report::{self, Summary};
use crate::sys::clock::SystemClock;
use crate::sys::process;
use crate::sys::signal::StopFlag;
use crate::sys::{env, fs, shell};
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The campaign, TOML or JSON; with --replay a campaign's folder
    file: PathBuf,
    /// Settings that replace the file's: key=value (budget.device_hours=8, planner.kind=random)
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Folder for the campaign [default: its name, in the current folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the first plan and its worst-case cost; run nothing
    #[arg(long, conflicts_with = "smoke")]
    dry_run: bool,
    /// A few steps of the baseline, one save and resume, one evaluation; then stop
    #[arg(long)]
    smoke: bool,
    #[command(flatten)]
    place: WhereArgs,
    /// Make the campaign's folder and start nothing: `resume` or `tick` do
    #[arg(long, conflicts_with_all = ["detach", "controller_as_job", "dry_run", "smoke"])]
    hold: bool,
    /// Derive a recorded campaign's decisions again, offline, from its journal and the tape of its questions
    #[arg(long, conflicts_with_all = ["smoke", "dry_run", "out", "overrides"])]
    replay: bool,
    /// Say only what went wrong and how it ended
    #[arg(short, long)]
    quiet: bool,
}

/// How long a controller stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stay {
    /// Until the campaign is concluded.
    Whole,
    /// Until everything that can be done now is done, or for so many seconds.
    Step(f64),
}

/// Starts the campaign.
pub fn run(args: &RunArgs) -> Result<u8> {
    if args.replay {
        return replay::run(&args.file, output::Format::Table);
    }
    refuse_folder(&args.file)?;
    let mut loaded = config::load_campaign(&args.file, &args.overrides)?;
    let site = site_of(&mut loaded.value, &loaded.base)?;
    start(args, &loaded, site).map_err(|p| loaded.places.locate(p))
}

/// The command that runs what was asked for here with these further words, to be typed as it stands.
fn command(args: &RunArgs, further: &[&str]) -> String {
    let out = args.out.iter().flat_map(|out| ["--out".to_string(), out.display().to_string()]);
    let words = std::iter::once(args.file.display().to_string()).chain(args.overrides.iter().cloned()).chain(out);
    let words: Vec<String> = words.chain(further.iter().map(|w| (*w).to_string())).map(|w| shell::word(&w)).collect();
    format!("nanoresearch run {}", words.join(" "))
}

fn start(args: &RunArgs, loaded: &Loaded<Campaign>, site: Option<String>) -> Result<u8> {
    let campaign = &loaded.value;
    if args.dry_run {
        return dry_run::run(loaded);
    }
    if args.smoke {
        let next = command(args, &["--dry-run"]);
        return smoke::run(&campaign.baseline, &loaded.base, &next).map(|()| 0);
    }
    let folder = args.out.clone().unwrap_or_else(|| PathBuf::from(&campaign.name));
    let clock = SystemClock::default();
    if !args.hold && !args.place.controller_as_job {
        let site = site.as_deref().map(|text| config::parse_site(text, SITE_FILE, &[])).transpose()?;
        refuse_on_login_node(site.as_ref(), &folder, Some(&args.file))?;
    }
    if !args.hold {
        refuse_without_gpu_support(campaign)?;
    }
    // Missing data and impossible shapes are refused before anything is written.
    let pricer = MachinePricer::of(&loaded.base, campaign);
    pricer.price(&campaign.baseline)?;
    space::look(loaded, &pricer)?;
    let (kept, base) = campaign::create(&folder, campaign, &loaded.base, &clock)?;
    if let Some(text) = site {
        fs::write_atomic(&folder.join(SITE_FILE), text.as_bytes())?;
    }
    say(&format!("campaign {} in {}", campaign.name, folder.display()));
    if args.hold {
        let shown = shell::path(&folder);
        say(&format!(
            "nothing is started\n  go on:       nanoresearch resume {shown}\n  one step:    nanoresearch tick {shown}\n  by cron:     {}",
            cron_line(&folder)
        ));
        return Ok(0);
    }
    match elsewhere(&folder, &[], args.place)? {
        Some(code) => Ok(code),
        None => {
            let pricer = MachinePricer::of(&base, &kept).with_data_of(pricer, &kept.baseline.data);
            drive(&folder, &kept, &base, &pricer, args.quiet)
        }
    }
}

/// Starts the controller where it is wanted, if that is not here.
pub fn elsewhere(folder: &Path, overrides: &[String], place: WhereArgs) -> Result<Option<u8>> {
    if place.controller_as_job {
        let Some(site) = detach::site_in(folder, SITE_FILE)? else {
            return Err(Problem::usage("this campaign has no site, so there is no cluster for its controller")
                .at("command line: --controller-as-job")
                .remedy("set execution.site in the campaign, or use --detach"));
        };
        let program = process::current_exe()?;
        let whole = folder.canonicalize().map_err(|e| Problem::io("open the campaign's folder", folder, &e))?;
        let pinned = SlurmExecutor::pin(&program, &whole)?;
        return detach::submit_controller(folder, &site, &pinned).map(Some);
    }
    if place.detach { detach::detach(folder, overrides).map(Some) } else { Ok(None) }
}

/// Drives the campaign in `folder` until it is concluded or the controller is asked to leave, and says how it ended. Paths in
/// its config are relative to `base`.
pub fn drive(folder: &Path, campaign: &Campaign, base: &Path, pricer: &MachinePricer, quiet: bool) -> Result<u8> {
    drive_with(folder, campaign, base, pricer, quiet, Stay::Whole, None).map(|(code, _)| code)
}

/// As [`drive`], with further observers, for as long as is asked for. Also says whether the campaign goes on later because
/// this controller's job is at its limit.
pub fn drive_with(
    folder: &Path,
    campaign: &Campaign,
    base: &Path,
    pricer: &MachinePricer,
    quiet: bool,
    stay: Stay,
    further: Option<&mut dyn Observer>,
) -> Result<(u8, bool)> {
    let clock = SystemClock::default();
    let stop = StopFlag::for_controller().map_err(|e| Problem::failed(format!("signals cannot be caught: {e}")))?;
    let program = process::current_exe()?;
    let mut executor = executor(folder, campaign, program, &clock)?;
    let sampler = sampler(folder, campaign)?;
    let mut narrator = Narrator::new(folder.to_path_buf(), quiet);
    let mut interrupts = Interrupts::new(stop.clone(), clock, folder);
    let mut counsel = counsel::agent(folder, campaign, base);
    let world = World {
        pricer,
        executor: &mut *executor,
        sampler: sampler.as_ref(),
        counsel: Some(&mut counsel),
        clock: &clock,
        stop: &stop,
    };
    let mut observers: Vec<&mut dyn Observer> = vec![&mut narrator, &mut interrupts];
    if let Some(further) = further {
        observers.push(further);
    }
    let finish = match stay {
        Stay::Whole => campaign::drive(folder, campaign, world, &mut observers),
        Stay::Step(seconds) => campaign::tick(folder, campaign, world, &mut observers, seconds),
    };
    let finish = finish.map_err(|problem| with_way_on(problem, folder))?;
    let code = match finish {
        Finish::Concluded(conclusion) => {
            let state = campaign::load(folder)?;
            if !report::is_written(folder) {
                report::write(folder, &state)?;
            }
            finished(folder, &state);
            // A conclusion that was there before is nothing to tell anybody about.
            if narrator.concluded() {
                notify(folder, &state);
            }
            match conclusion.reason {
                Reason::BaselineFailed => Class::Failed.exit_code(),
                Reason::Missing => Class::Unavailable.exit_code(),
                Reason::BudgetSpent if campaign.objective.goal.is_some() || state.baseline.is_none() => {
                    Class::BudgetSpent.exit_code()
                }
                _ => 0,
            }
        }
        Finish::Left { live } if matches!(stay, Stay::Step(_)) && !stop.requested() => {
            if !quiet {
                say(&format!("the step is done; {live} attempt(s) go on"));
            }
            0
        }
        Finish::Left { .. } if stop.near_limit() => 0,
        Finish::Left { live } => {
            say(&format!(
                "left; {live} attempt(s) go on without a controller\n  go on:     nanoresearch resume {0}\n  end them:  \
                 nanoresearch cancel --in {0} && nanoresearch resume {0}",
                shell::path(folder)
            ));
            if stop.interrupts() > 0 { 130 } else { 143 }
        }
    };
    Ok((code, stop.near_limit()))
}

/// Who proposes: the campaign's planner, or the list of a batch.
pub fn sampler(folder: &Path, campaign: &Campaign) -> Result<Box<dyn planner::Sampler>> {
    Ok(match &campaign.batch {
        Some(spec) => Box::new(batch::listed(folder, spec)?),
        None => planner::sampler(&campaign.planner),
    })
}

/// What starts the campaign's attempts: processes here, or jobs on its site.
fn executor<'c>(
    folder: &Path,
    campaign: &Campaign,
    program: PathBuf,
    clock: &'c SystemClock,
) -> Result<Box<dyn Executor + 'c>> {
    let slots = campaign.execution.parallel;
    let wanted = campaign.baseline.resources.threads;
    let mut threads = wanted;
    if campaign.execution.site.is_none() {
        let cards = cards(campaign)?;
        let slots = cards.as_ref().map_or(slots, |cards| slots.min(cards.places()));
        threads = threads_each(wanted, slots);
        let cores = env::cores();
        if threads * slots > cores {
            say(&format!(
                "{slots} attempts at once with {threads} thread(s) each share {cores} core(s): each will be slower than alone"
            ));
        }
        let mut executor = LocalExecutor::new(program, slots, clock);
        if wanted == 0 {
            executor = executor.with_environment(env::CORES, &threads.to_string());
        }
        if let Some(cards) = cards {
            executor = executor.with_cards(cards);
        }
        for (name, value) in thread_environment(threads) {
            executor = executor.with_environment(name, &value);
        }
        return Ok(Box::new(executor));
    }
    let site = config::load_site(&folder.join(SITE_FILE), &[])?.value;
    site::refuse_other_gpus(&site, campaign, SITE_FILE)?;
    refuse_without_gpu_support(campaign)?;
    let folder = folder.canonicalize().map_err(|e| Problem::io("open the campaign's folder", folder, &e))?;
    let program = SlurmExecutor::pin(&program, &folder)?;
    let mut executor = SlurmExecutor::new(site, slots, clock, program, folder).choosing();
    for (name, value) in thread_environment(threads) {
        executor = executor.with_environment(name, &value);
    }
    Ok(Box::new(executor))
}

/// Workers on a cluster are this program: where it cannot use a GPU, no job needs to wait for one to find that out.
fn refuse_without_gpu_support(campaign: &Campaign) -> Result<()> {
    let on_site = campaign.execution.site.is_some() && campaign.baseline.resources.device.is_gpu();
    if !on_site || cfg!(feature = "candle-cuda") {
        return Ok(());
    }
    Err(Problem::unavailable(
        "this program was built without GPU support, and the campaign's attempts compute on a GPU",
    )
    .at("baseline.resources.device")
    .remedy(
        "build it with `cargo build --release --features candle-cuda` (scripts/cuda-toolkit installs what that needs), \
             or set baseline.resources.device = \"cpu\"",
    ))
}

/// The GPUs of this machine that the campaign's attempts share; none where they compute on CPUs.
fn cards(campaign: &Campaign) -> Result<Option<Cards>> {
    let execution = &campaign.execution;
    if !campaign.baseline.resources.device.is_gpu() {
        return Ok(None);
    }
    let setting = env::var_even_empty("CUDA_VISIBLE_DEVICES");
    let number = match execution.devices {
        0 => Inventory::take()?.visible(setting.as_deref()).len(),
        number => number,
    };
    let cards = Cards::new(setting.as_deref(), number, execution.attempts_per_device);
    match cards.places() {
        0 => Err(GpuError::NoDevice.into()),
        _ => Ok(Some(cards)),
    }
}

/// What stopped the controller did not end the campaign.
fn with_way_on(problem: Problem, folder: &Path) -> Problem {
    if !matches!(problem.class, Class::Failed | Class::Unavailable) {
        return problem;
    }
    let on = format!("the campaign is kept as it is; go on with `nanoresearch resume {}`", shell::path(folder));
    let remedy = problem.remedy.as_ref().map_or(on.clone(), |remedy| format!("{remedy}\n  {on}"));
    problem.remedy(remedy)
}

/// What a person does where nothing can run before something is put right.
pub fn put_right(folder: &Path, state: &State) -> String {
    let shown = shell::path(folder);
    let ended = state.runs.iter().flat_map(|r| &r.attempts).filter_map(|a| a.ended.as_ref());
    let first = match ended.clone().any(|end| end.class == failure::Class::Barred) {
        true => {
            let site = shell::path(&folder.join(SITE_FILE));
            format!("mend {site} (`nanoresearch check {site} --cluster` compares it with the cluster)")
        }
        false => "put right what is named above".to_string(),
    };
    format!("{first}, then `nanoresearch resume {shown}`; nothing was charged as a retry")
}

/// The last word: finding, cost, where to look.
fn finished(folder: &Path, state: &State) {
    if state.campaign.batch.is_some() {
        // Stdout is for the results.
        let conclusion = state.conclusion.as_ref().map_or("", |c| c.sentence.as_str());
        say(&format!("{conclusion} Cost: {}", Summary::of(state).budget.words()));
        return;
    }
    let summary = Summary::of(state);
    if let Some(conclusion) = &summary.conclusion {
        output::print(&format!("finding   {}\n", conclusion.sentence));
        let limit = state.campaign.budget.runs;
        let runs =
            if limit > 0 && state.runs.len() >= limit { format!(": all {limit} runs are made") } else { String::new() };
        output::print(&format!("ended     because {}{runs}\n", conclusion.reason.words()));
        if conclusion.reason == Reason::Missing {
            output::print(&format!("next      {}\n", put_right(folder, state)));
        }
    }
    if let Some(b) = &summary.baseline {
        output::print(&format!("baseline  {} {}\n", summary.metric, status::interval(&b.interval)));
    }
    if let Some(best) = &summary.best {
        let own = best.own.as_ref().map_or(String::new(), status::interval);
        output::print(&format!("best      {} {own}: {}\n", summary.metric, assignment(&best.assignment)));
    }
    // Where nothing was tried, the finding says so.
    let tried = state.candidates.iter().any(|c| !c.runs.is_empty());
    if tried && !summary.rejected.is_empty() {
        output::print(&format!("rejected  {}\n", rejections::words(&summary.rejected)));
    }
    let total = summary.runs.len();
    output::print(&format!("cost      {total} runs, {}\n", summary.budget.words()));
    output::print(&format!("report    {}\n", folder.join(report::REPORT_FILE).display()));
}
