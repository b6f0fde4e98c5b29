//! `check FILE`: validates an experiment or a campaign and says what it will cost, without running it; or validates a site
//! and shows the script that its jobs are submitted with.

use super::cluster;
use super::folder::refuse_folder;
use super::outlook::Outlook;
use super::output::{self, Format, Table, duration};
use super::pricer::{Assessment, MachinePricer};
use super::space;
use crate::campaign::{self, Admission, LeftOut, Pricer, Reach, Scope};
use crate::config::{self, Campaign, DeviceSpec, EngineKind, Experiment, Loaded, Site};
use crate::engine::{self, plan::Plan};
use crate::problem::{Class, Problem, Result};
use crate::slurm::{self, Severity};
use crate::sys::{fs, process};
use crate::units::Bytes;
use clap::Args;
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::PathBuf;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Experiment, campaign or site, TOML or JSON
    file: PathBuf,
    /// Settings that replace the file's: key=value
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Price it on this device instead of the file's: cpu, cuda, or cuda:N (the same as resources.device=...)
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceSpec>,
    /// Print what runs: the compiled plan, a fused step a line; with engine = "reference" the step programs, an op a line
    #[arg(long)]
    plan: bool,
    /// Compare a site with its cluster: partitions, limits, GPUs, account, margins, and whether sbatch would take a job
    #[arg(long)]
    cluster: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Checks and prints.
pub fn run(args: &CheckArgs) -> Result<()> {
    refuse_folder(&args.file)?;
    let text = fs::read_text(&args.file).map_err(|p| p.class(Class::Usage))?;
    if is_site(&text) || (args.cluster && has_key(&text, SITE_KEYS)) {
        if args.device.is_some() {
            return Err(Problem::usage("a site has no device of its own")
                .at("command line: --device")
                .remedy("leave --device out, or check an experiment or a campaign"));
        }
        return check_site(args);
    }
    if args.cluster {
        return Err(Problem::usage("only a site is compared with a cluster")
            .at("command line: --cluster")
            .remedy("name the site file, or leave --cluster out"));
    }
    if is_campaign(&text) {
        let overrides = with_device(&args.overrides, "baseline.resources.device", args.device);
        let loaded = config::load_campaign(&args.file, &overrides)?;
        let pricer = MachinePricer::of(&loaded.base, &loaded.value);
        check_campaign(args, &loaded, &pricer).map_err(|p| loaded.places.locate(p))
    } else {
        let overrides = with_device(&args.overrides, "resources.device", args.device);
        let loaded = config::load_experiment(&args.file, &overrides)?;
        let assess = MachinePricer::new(&loaded.base).assess(&loaded.value);
        let assessment = assess.map_err(|p| loaded.places.locate(p))?;
        match args.format {
            Format::Json => output::print_json(&numbers(&loaded.value, &assessment)),
            Format::Table => show(args, &loaded.value, &assessment)?,
        }
        Ok(())
    }
}

/// The baseline's price, what of the space can be run, and what the whole campaign will take.
fn check_campaign(args: &CheckArgs, loaded: &Loaded<Campaign>, pricer: &MachinePricer) -> Result<()> {
    let campaign = &loaded.value;
    let assessment = pricer.assess(&campaign.baseline)?;
    let (reach, warnings) = space::look(loaded, pricer)?;
    let plan = campaign::first_plan(campaign, pricer)?;
    let outlook = match &plan {
        Ok(scope) => Some(outlook_of(campaign, scope, &reach, pricer)?),
        Err(_) => None,
    };
    if args.format == Format::Json {
        let mut value = numbers(&campaign.baseline, &assessment);
        value["campaign"] =
            json!({ "outlook": outlook.map(|o| o.json()), "refused": plan.err(), "warnings": warnings });
        output::print_json(&value);
        return Ok(());
    }
    output::print(&format!("campaign {}: valid; its baseline:\n", campaign.name));
    show(args, &campaign.baseline, &assessment)?;
    match (outlook, plan) {
        (Some(outlook), _) => output::print(&format!("\nthe whole campaign:\n{}", outlook.words())),
        (None, Err(refusal)) => output::say(&format!("warning: it would end at once: {refusal}")),
        (None, Ok(_)) => {}
    }
    Ok(())
}

/// With what is left out for its memory or time said on stderr.
fn outlook_of(campaign: &Campaign, scope: &Scope, reach: &Reach, pricer: &MachinePricer) -> Result<Outlook> {
    let (admission, left_out) = (Admission::of(campaign, &scope.baseline), Cell::new(LeftOut::default()));
    let mut prices = Vec::new();
    for point in &reach.points {
        let price = scope.baseline.with(point).and_then(|experiment| pricer.price(&experiment));
        // A downscaled baseline may not go with every point.
        let Ok(price) = price else { continue };
        if admission.admits(point, &|_| Some(price.clone()), &left_out) {
            prices.push(price);
        }
    }
    let words = left_out.get().words();
    if !words.is_empty() {
        output::say(&format!("of {} points of the space that were priced{words}", reach.points.len()));
    }
    Ok(Outlook::of(campaign, scope, &prices))
}

/// The settings of the command line with the device of `--device` at `path`, which is given more plainly and comes last.
pub(super) fn with_device(overrides: &[String], path: &str, device: Option<DeviceSpec>) -> Vec<String> {
    overrides.iter().cloned().chain(device.map(|device| format!("{path}=\"{device}\""))).collect()
}

/// Campaigns are told from experiments by the sections that only they have.
fn is_campaign(text: &str) -> bool {
    has_key(text, &["question", "space", "objective", "budget", "baseline", "baseline_file"])
}

/// Keys that only a site has: what tells one apart that lacks its partitions.
const SITE_KEYS: &[&str] = &["gpu_request", "poll_seconds", "kill_margin_seconds", "warning_seconds", "login_node"];

/// Only sites have partitions.
fn is_site(text: &str) -> bool {
    has_key(text, &["partitions"])
}

/// Whether one of the keys is at the top of a TOML or JSON document. What cannot be read as either is judged by how its
/// lines begin: its error is to be told as that of a campaign where it is one.
fn has_key(text: &str, keys: &[&str]) -> bool {
    let json =
        serde_json::from_str::<serde_json::Map<String, Value>>(text).map(|m| m.keys().cloned().collect::<Vec<_>>());
    let toml = || text.parse::<toml::Table>().map(|t| t.keys().cloned().collect::<Vec<_>>());
    match json.or_else(|_| toml()) {
        Ok(found) => found.iter().any(|key| keys.contains(&key.as_str())),
        Err(_) => text.lines().map(|line| line.trim_start_matches([' ', '\t', '[', '"', '{'])).any(|line| {
            keys.iter()
                .any(|key| line.strip_prefix(key).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric())))
        }),
    }
}

/// Says that a site is valid and shows the script of an attempt there; or compares it with its cluster.
fn check_site(args: &CheckArgs) -> Result<()> {
    let site = config::load_site(&args.file, &args.overrides)?.value;
    if args.cluster {
        return compare(args, &site);
    }
    let script = cluster::script(&site)?;
    match args.format {
        Format::Json => output::print_json(&json!({ "site": site, "script": script })),
        Format::Table => {
            output::print(&format!("site {}: valid; the script of an attempt of half an hour:\n\n{script}", site.name));
        }
    }
    Ok(())
}

/// One line a finding; class `Usage` where one is an error.
fn compare(args: &CheckArgs, site: &Site) -> Result<()> {
    let there = cluster::read()?;
    let mut findings = slurm::audit(site, &there);
    findings.extend(cluster::try_submissions(site)?);
    let count = |severity: Severity| findings.iter().filter(|f| f.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if args.format == Format::Json {
        let word = |s: Severity| format!("{s:?}").to_lowercase();
        let list: Vec<Value> =
            findings.iter().map(|f| json!({ "severity": word(f.severity), "key": f.key, "text": f.text })).collect();
        output::print_json(&json!({ "site": site.name, "errors": errors, "warnings": warnings, "findings": list }));
    } else {
        let mut table = Table::new(&["", "key", "found"]);
        for finding in &findings {
            let mark = match finding.severity {
                Severity::Good => "ok",
                Severity::Warning => "warning",
                Severity::Error => "ERROR",
            };
            table.row(vec![mark.into(), finding.key.clone(), finding.text.clone()]);
        }
        output::print(&table.render());
    }
    if errors > 0 {
        let what = match errors {
            1 => "1 setting is not as the cluster wants it".to_string(),
            n => format!("{n} settings are not as the cluster wants them"),
        };
        return Err(Problem::usage(what)
            .at(args.file.display().to_string())
            .remedy("mend the lines marked ERROR above; a fresh proposal: `nanoresearch init DIR --site`"));
    }
    let warnings = if warnings == 1 { "1 warning".to_string() } else { format!("{warnings} warnings") };
    output::say(&format!("site {}: as the cluster has it, {warnings}", site.name));
    Ok(())
}

/// Bytes moved in a step.
fn step_bytes(a: &Assessment) -> u64 {
    let forward_backward = a.programs.micro.total_work();
    forward_backward.bytes.0 * a.programs.micro_steps as u64 + a.programs.apply.total_work().bytes.0
}

fn numbers(experiment: &Experiment, a: &Assessment) -> Value {
    json!({
        "parameters": a.programs.state.parameter_count(),
        "train_samples": a.samples.train,
        "validation_samples": a.samples.validation,
        "steps": a.cost.steps,
        "step_flops": a.programs.step_flops().0,
        "step_bytes": step_bytes(a),
        "memory_bytes": a.cost.memory.0,
        "device_memory_bytes": a.cost.device_memory.map(|m| m.0),
        "step_seconds": a.prediction.step_seconds,
        "run_seconds": a.cost.wall,
        "device_hours": a.cost.device_time.hours(),
        "data_hash": a.data_hash,
        "run_key": experiment.run_key(&a.data_hash),
    })
}

fn show(args: &CheckArgs, experiment: &Experiment, a: &Assessment) -> Result<()> {
    let step = a.prediction.step_seconds;
    let wall = a.cost.wall;
    let mut table = Table::new(&["", ">", "80% interval"]);
    let mut row = |name: &str, value: String, range: String| table.row(vec![name.into(), value, range]);
    row("parameters", a.programs.state.parameter_count().to_string(), String::new());
    row("training samples", a.samples.train.to_string(), String::new());
    row("validation samples", a.samples.validation.to_string(), String::new());
    row("steps", a.cost.steps.to_string(), String::new());
    row("work a step", a.programs.step_flops().to_string(), String::new());
    row("traffic a step", Bytes(step_bytes(a)).to_string(), String::new());
    row("memory", a.cost.memory.to_string(), String::new());
    if let Some(memory) = a.cost.device_memory {
        row("GPU memory", memory.to_string(), String::new());
    }
    row("time a step", duration(step.seconds), format!("{} to {}", duration(step.low), duration(step.high)));
    row("time a run", duration(wall.seconds), format!("{} to {}", duration(wall.low), duration(wall.high)));
    row("device time a run", a.cost.device_time.to_string(), String::new());
    output::print(&table.render());
    if let Some(warning) = memory_warning(experiment, a) {
        output::say(&warning);
    }
    if args.plan {
        output::print(&format!("\n{}", plan(experiment, a)?));
    }
    Ok(())
}

/// Says where the host's memory will not do, and whether a smaller micro-batch can help.
fn memory_warning(experiment: &Experiment, a: &Assessment) -> Option<String> {
    let limit = Bytes(experiment.resources.memory_mib.saturating_mul(1 << 20));
    let here = process::available_memory().map(Bytes);
    let over = |free: Bytes| a.cost.memory > free;
    let place = match here.filter(|free| over(*free)) {
        _ if limit.0 > 0 && over(limit) => format!("resources.memory_mib allows {limit}"),
        Some(free) => format!("this machine has {free} available"),
        None => return None,
    };
    let state = a.programs.state.bytes();
    Some(format!(
        "warning: it needs about {} of memory, and {place}; {state} of it are weights, gradients and optimiser state, which a \
         smaller resources.micro_batch or resources.recompute=true does not lessen",
        a.cost.memory
    ))
}

/// What the experiment's engine will execute.
fn plan(experiment: &Experiment, a: &Assessment) -> Result<String> {
    Ok(match engine::Placement::of(experiment).kind {
        EngineKind::Compiled => engine::plan::describe(&Plan::new(&a.programs)?),
        EngineKind::Reference => a.programs.to_string(),
    })
}
