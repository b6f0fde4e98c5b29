//! `bench planners`: planners against each other at the same device-hours and seeds.

use crate::campaign::{self, Finish, World};
use crate::cli::counsel;
use crate::cli::output::{self, Format, Table, say, significant};
use crate::cli::pricer::MachinePricer;
use crate::config::{self, Campaign};
use crate::contest::arms::{ARMS, ASKING, arm};
use crate::contest::functions::functions;
use crate::contest::recorded::{Record, Surrogate, collect, merge};
use crate::contest::{Arm, Standing, Task, Trace, picture, real, score, simulate};
use crate::engine::thread_environment;
use crate::exec::LocalExecutor;
use crate::llm;
use crate::planner;
use crate::problem::{Problem, Result};
use crate::sys::clock::SystemClock;
use crate::sys::signal::StopFlag;
use crate::sys::{env, fs, process};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Coverage of the intervals.
const CONFIDENCE: f64 = 0.95;

/// Arguments of `bench planners`.
#[derive(Debug, Args)]
pub struct PlannersArgs {
    /// A campaign to run with every arm and seed; without it, the standard functions in virtual time
    #[arg(long, value_name = "FILE")]
    campaign: Option<PathBuf>,
    /// Records of real runs to fit surrogates to and search those in virtual time
    #[arg(long, value_name = "FILE", conflicts_with = "campaign")]
    recorded: Vec<PathBuf>,
    /// Write one record of these concluded campaigns' folders to stdout, for `--recorded`, and do nothing else
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with_all = ["campaign", "recorded"])]
    record: Vec<PathBuf>,
    /// Score the traces that an earlier `--format json` left in this file again; nothing is run
    #[arg(long, value_name = "FILE", conflicts_with_all = ["campaign", "recorded", "record"])]
    again: Option<PathBuf>,
    /// Draw the best so far, and its difference from the first arm's, of every task into this folder as SVG
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// What competes; the first is what the others are compared with [default: all but those that ask a language model:
    /// hybrid, hybrid-cma-es, llm]
    #[arg(long, value_delimiter = ',')]
    arms: Vec<String>,
    /// Seeds of each
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Where the campaigns of `--campaign` are kept; what has ended there already is not run again
    #[arg(long, value_name = "DIR", default_value = "planners")]
    out: PathBuf,
    /// Settings that replace those of `--campaign`'s file: key=value
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the contest and prints its tables.
pub fn run(args: &PlannersArgs) -> Result<()> {
    if !args.record.is_empty() {
        let records: Result<Vec<Record>> = args.record.iter().map(|dir| collect(dir, &campaign::load(dir)?)).collect();
        output::print_json(&merge(records?)?);
        return Ok(());
    }
    let arms = chosen(&args.arms)?;
    if let (Some(asking), None, None) = (arms.iter().find(|a| a.asks()), &args.campaign, &args.again) {
        return Err(Problem::usage(format!("the arm {} asks a language model, which only campaigns do", asking.name))
            .at("--arms")
            .remedy("name a campaign with an [llm] section by --campaign, or leave the arm out"));
    }
    let mut tables: Vec<(String, Vec<Trace>)> = Vec::new();
    if let Some(file) = &args.again {
        tables = kept(file, &args.arms)?;
    } else if let Some(file) = &args.campaign {
        let loaded = config::load_campaign(file, &args.overrides)?;
        can_ask(&loaded.value, &arms)?;
        tables.push((loaded.value.name.clone(), real_traces(args, &loaded.value, &loaded.base, &arms)?));
    } else if args.recorded.is_empty() {
        for function in functions() {
            tables.push((function.name().to_string(), simulated(&function, &arms, args.seeds)));
        }
    } else {
        for path in &args.recorded {
            let surrogate = Surrogate::fit(read(path)?)?;
            tables.push((format!("{} (surrogate)", surrogate.name()), simulated(&surrogate, &arms, args.seeds)));
        }
    }
    let mut all: Vec<Value> = Vec::new();
    for (name, traces) in &tables {
        // Of kept traces the first arm is whichever they begin with, unless one is named.
        let first = match (&args.again, traces.first()) {
            (Some(_), Some(trace)) if args.arms.is_empty() => trace.arm.as_str(),
            _ => arms[0].name,
        };
        let standings = score(traces, first, CONFIDENCE);
        if let Some(folder) = &args.figures {
            draw(folder, name, traces, first)?;
        }
        if args.format == Format::Json {
            all.push(json!({ "task": name, "standings": standings, "traces": traces }));
        } else {
            let budget = traces.first().map_or(0.0, |t| t.budget);
            let seeds = standings.iter().map(|s| s.seeds).max().unwrap_or(0);
            output::print(&format!("\n{name}: {seeds} seeds, {budget:.0} device-s each\n{}", table(&standings)));
        }
    }
    if args.format == Format::Json {
        output::print_json(&all);
    } else {
        output::print(
            "\nSmaller is better. 25% to 100%: mean over seeds of the best complete result so far after that share of the \
             budget. vs first: final best minus the first arm's on the same seed, with Student's 95% interval; p after \
             Holm's correction over the arms. reach: median share of the budget after which an arm was as good as the first \
             arm's final best, and on how many seeds it ever was. wasted: share of what was spent on runs without a value. decided/h: \
             candidates found better or worse than the baseline beyond the noise floor, a device-hour, and in how many \
             campaigns any was. kept/h: changes that survive Holm's correction, a device-hour.\n",
        );
    }
    Ok(())
}

/// Refuses arms that ask a language model where there is none: they would be their classical samplers under another name.
fn can_ask(campaign: &Campaign, arms: &[&Arm]) -> Result<()> {
    let Some(asking) = arms.iter().find(|a| a.asks()) else { return Ok(()) };
    let reached = campaign.llm.as_ref().and_then(|spec| llm::access(spec, &env::var));
    match reached {
        Some(_) => Ok(()),
        None => Err(Problem::unavailable(format!(
            "the arm {} needs a language model, and none can be asked",
            asking.name
        ))
        .at("--arms")
        .remedy("add an [llm] section to the campaign and set its key or address (docs/llm.md), or leave the arm out")),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Arm>> {
    if names.is_empty() {
        return Ok(ARMS.iter().collect());
    }
    let one = |name: &String| {
        arm(name).ok_or_else(|| {
            let known: Vec<&str> = ARMS.iter().chain(&ASKING).map(|a| a.name).collect();
            Problem::usage(format!("there is no arm {name:?}"))
                .at("--arms")
                .remedy(format!("choose of {}", known.join(", ")))
        })
    };
    names.iter().map(one).collect()
}

/// Tasks with their traces from an earlier contest's JSON, of these arms or all; a task of which only standings were kept is
/// passed over.
fn kept(path: &Path, arms: &[String]) -> Result<Vec<(String, Vec<Trace>)>> {
    #[derive(serde::Deserialize)]
    struct Kept {
        task: String,
        #[serde(default)]
        traces: Vec<Trace>,
    }
    let file = path.display().to_string();
    let tasks: Vec<Kept> = serde_json::from_str(&fs::read_text(path)?).map_err(|e| {
        Problem::usage(format!("these are no traces of a contest: {e}"))
            .at(&*file)
            .remedy("give what `nanoresearch bench planners --format json` wrote")
    })?;
    let of = |mut kept: Kept| {
        kept.traces.retain(|t| arms.is_empty() || arms.contains(&t.arm));
        (kept.task, kept.traces)
    };
    let tasks: Vec<(String, Vec<Trace>)> = tasks.into_iter().map(of).filter(|(_, traces)| !traces.is_empty()).collect();
    match tasks.is_empty() {
        true => Err(Problem::usage("there are no traces of these arms").at(file).remedy("name arms that are in it")),
        false => Ok(tasks),
    }
}

/// Writes a task's figures into `folder`.
fn draw(folder: &Path, task: &str, traces: &[Trace], first: &str) -> Result<()> {
    fs::create_named_dir(folder)?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    let stem: String = task.chars().map(plain).collect();
    let stem = stem.trim_matches('-');
    let mut drawn = vec![("best", picture::best_so_far(task, traces))];
    drawn.extend(picture::differences(task, traces, first, CONFIDENCE).map(|figure| ("difference", figure)));
    for (what, figure) in drawn {
        let path = folder.join(format!("{stem}-{what}.svg"));
        fs::write_atomic(&path, figure.svg().as_bytes())?;
        say(&format!("written    {}", path.display()));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Record> {
    let text = fs::read_text(path)?;
    serde_json::from_str(&text).map_err(|e| {
        Problem::usage(format!("this is not a record of runs: {e}"))
            .at(path.display().to_string())
            .remedy("make one with `nanoresearch bench planners --record DIR`")
    })
}

fn simulated(task: &dyn Task, arms: &[&Arm], seeds: u64) -> Vec<Trace> {
    arms.iter().flat_map(|arm| (0..seeds).map(|seed| simulate(task, arm, seed))).collect()
}

/// One seed after the other, all arms within it, so that what is there when it is cut short can be compared.
fn real_traces(args: &PlannersArgs, template: &Campaign, base: &Path, arms: &[&Arm]) -> Result<Vec<Trace>> {
    let mut traces = Vec::new();
    for seed in 0..args.seeds {
        for arm in arms {
            let folder = args.out.join(arm.name).join(format!("{seed:02}"));
            let campaign = real::campaign(template, arm, seed);
            let state = conclude(&folder, &campaign, base)?;
            let trace = real::trace(&state, arm.name, seed);
            let best = trace.best().map_or_else(|| "no result".to_string(), |v| significant(v, 5));
            say(&format!(
                "{} seed {seed}: best {best} from {} candidates, {:.0} device-s",
                arm.name, trace.runs, trace.spent
            ));
            traces.push(trace);
        }
    }
    Ok(traces)
}

/// The state of an arm's campaign when it is over: as it lies there, or after running or resuming it.
fn conclude(folder: &Path, campaign: &Campaign, base: &Path) -> Result<campaign::State> {
    let clock = SystemClock::default();
    if folder.join("events.jsonl").exists() {
        let state = campaign::load(folder)?;
        if state.campaign.planner != campaign.planner || state.campaign.budget != campaign.budget {
            return Err(Problem::usage("the campaign in this folder has another planner or budget than this contest")
                .at(folder.display().to_string())
                .remedy("choose another --out, or remove the folder"));
        }
        if state.conclusion.is_some() {
            return Ok(state);
        }
    } else {
        campaign::create(folder, campaign, base, &clock)?;
    }
    // As it is kept: paths of data are those of the folder.
    let kept = campaign::load(folder)?;
    let (campaign, pricer) = (&kept.campaign, &MachinePricer::of(&folder.join(&kept.base), &kept.campaign));
    let stop = StopFlag::for_controller().map_err(|e| Problem::failed(format!("signals cannot be caught: {e}")))?;
    let program = process::current_exe()?;
    let mut executor = LocalExecutor::new(program, campaign.execution.parallel, &clock);
    for (name, value) in thread_environment(campaign.baseline.resources.threads) {
        executor = executor.with_environment(name, &value);
    }
    let sampler = planner::sampler(&campaign.planner);
    let mut asked = counsel::forgetful(folder, campaign);
    let world = World {
        pricer,
        executor: &mut executor,
        sampler: sampler.as_ref(),
        counsel: Some(&mut asked),
        clock: &clock,
        stop: &stop,
    };
    match campaign::drive(folder, campaign, world, &mut [])? {
        Finish::Concluded(_) => campaign::load(folder),
        Finish::Left { .. } => Err(Problem::failed("interrupted; what has ended is kept")
            .at(folder.display().to_string())
            .remedy("repeat the command to go on")),
    }
}

fn table(standings: &[Standing]) -> String {
    let mut table = Table::new(&[
        "arm",
        ">25%",
        ">50%",
        ">75%",
        ">100%",
        ">median",
        ">vs first",
        ">p",
        ">reach",
        ">wasted",
        ">runs",
        ">decided/h",
        ">kept/h",
    ]);
    for s in standings {
        let best = |v: Option<f64>| v.map_or_else(|| "-".to_string(), |v| format!("{v:.4}"));
        let reach = if s.reach.is_finite() { format!("{:.2}", s.reach) } else { "never".to_string() };
        let wasted: Vec<String> =
            s.wasted.iter().map(|(kind, share)| format!("{kind} {:.0}%", 100.0 * share)).collect();
        table.row(vec![
            s.arm.clone(),
            best(s.best[0]),
            best(s.best[1]),
            best(s.best[2]),
            best(s.best[3]),
            format!("{:.4}", s.median),
            if s.p_value < 1.0 { format!("{:.4}", s.difference) } else { "-".into() },
            if s.p_value < 1.0 { format!("{:.3}", s.adjusted) } else { "-".into() },
            format!("{reach} ({}/{})", s.reached, s.seeds),
            if wasted.is_empty() { "-".into() } else { wasted.join(", ") },
            format!("{:.1}", s.runs),
            s.decided_per_hour
                .map_or_else(|| "-".into(), |x| format!("{x:.1} ({}/{})", s.deciding.unwrap_or(0), s.seeds)),
            s.survivors_per_hour.map_or_else(|| "-".into(), |x| format!("{x:.1}")),
        ]);
    }
    table.render()
}
