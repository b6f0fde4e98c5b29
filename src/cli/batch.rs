//! `batch configs.jsonl`: somebody else's experiments, one a line, run with prices, budget and recovery; results as JSON
//! lines in the order in which they are there.

use super::detach::refuse_on_login_node;
use super::output::{self, say};
use super::pricer::MachinePricer;
use super::run::{Stay, drive_with};
use super::site::{SITE_FILE, edited, site_of};
use crate::campaign::{self, Event, Limits, Observer, Pricer, Run, RunResult, Standing, State};
use crate::config::{self, BatchSpec, Campaign};
use crate::planner::{Entry, Listed};
use crate::problem::{Class, Problem, Result};
use crate::sys::clock::SystemClock;
use crate::sys::fs;
use crate::units::DeviceTime;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Arguments of `batch`.
#[derive(Debug, Args)]
pub struct BatchArgs {
    /// The experiments, one JSON object a line, as `nanoresearch schema experiment` describes them; a key "id" comes back
    /// with the result
    file: PathBuf,
    /// Settings of the batch: budget.device_hours=8, execution.parallel=4, execution.retries=1
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Folder for runs, journal and results.jsonl; the same command goes on with it [default: the file's name]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Site file of a SLURM cluster; without it attempts are processes of this machine
    #[arg(long, value_name = "SITE")]
    site: Option<PathBuf>,
    /// Write the results there instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Check every line and say what all of it will cost; run nothing
    #[arg(long)]
    dry_run: bool,
    /// Say only what went wrong and how it ended
    #[arg(short, long)]
    quiet: bool,
}

/// The list as a batch's folder keeps it.
pub const LIST_FILE: &str = "batch.jsonl";
/// All results so far; derived.
const RESULTS_FILE: &str = "results.jsonl";

/// Runs it.
pub fn run(args: &BatchArgs) -> Result<u8> {
    let text = fs::read_text(&args.file).map_err(|p| p.class(Class::Usage))?;
    let base = args.file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = entries(&text, &args.file.display().to_string())?;
    let stem = args.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = args.folder.clone().unwrap_or_else(|| PathBuf::from(&stem));
    let known = folder.join("events.jsonl").exists();
    let (campaign, site) = match known {
        true => (again(&folder, &text, args)?, None),
        false => planned(args, &entries, &text, &stem, base)?,
    };
    let pricer = MachinePricer::of(base, &campaign);
    if !known || args.dry_run {
        price(&entries, &pricer, &campaign, args)?;
    }
    if args.dry_run {
        output::say("nothing was run");
        return Ok(0);
    }
    if !known {
        campaign::create(&folder, &campaign, base, &SystemClock::default())?;
        fs::write_atomic(&folder.join(LIST_FILE), text.as_bytes())?;
        if let Some(site) = site {
            fs::write_atomic(&folder.join(SITE_FILE), site.as_bytes())?;
        }
    }
    say(&format!("batch of {} experiments in {}", entries.len(), folder.display()));
    let mut results = Results::open(&folder, args.out.as_deref())?;
    let state = campaign::load(&folder)?;
    results.catch_up(&state);
    refuse_on_login_node(super::detach::site_in(&folder, SITE_FILE)?.as_ref(), &folder, None)?;
    drive_with(&folder, &campaign, base, &pricer, args.quiet, Stay::Whole, Some(&mut results)).map(|(code, _)| code)
}

/// The list that a batch's folder keeps.
pub fn listed(folder: &Path, spec: &BatchSpec) -> Result<Listed> {
    let file = folder.join(LIST_FILE);
    let text = fs::read_text(&file)?;
    if hash(&text) != spec.hash {
        return Err(Problem::usage("this is not the list that the batch was begun with")
            .at(file.display().to_string())
            .remedy("restore it; for another list begin another batch"));
    }
    Ok(Listed::new(entries(&text, &file.display().to_string())?))
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Reads every line; the first five that are wrong are told, each with its number.
fn entries(text: &str, name: &str) -> Result<Vec<Entry>> {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let place = format!("{name}:{}", index + 1);
        match entry(line, &place, index as u64 + 1) {
            Ok(entry) => found.push(entry),
            Err(problem) => wrong.push(Problem { place: Some(place), ..problem }),
        }
    }
    if let Some(first) = wrong.first() {
        let more: Vec<String> = wrong[1..]
            .iter()
            .take(4)
            .map(|p| format!("  {}: {}", p.place.as_deref().unwrap_or_default(), p.what))
            .collect();
        let rest = wrong.len().saturating_sub(5);
        let mut problem = first.clone();
        if !more.is_empty() {
            problem.what = format!(
                "{}\n{}{}",
                first.what,
                more.join("\n"),
                if rest > 0 { format!("\n  and {rest} more lines") } else { String::new() }
            );
        }
        return Err(problem);
    }
    if found.is_empty() {
        return Err(Problem::usage("the list is empty").at(name).remedy("write one experiment a line, as JSON"));
    }
    Ok(found)
}

fn entry(line: &str, place: &str, number: u64) -> Result<Entry> {
    let mut value: Value = serde_json::from_str(line).map_err(|e| {
        Problem::usage(format!("this is not JSON: {e}")).remedy("write one whole experiment a line, as a JSON object")
    })?;
    let Some(keys) = value.as_object_mut() else {
        return Err(
            Problem::usage("this is no JSON object").remedy("write one whole experiment a line, as a JSON object")
        );
    };
    let id = keys.remove("id");
    if id.as_ref().is_some_and(|id| !id.is_string() && !id.is_number()) {
        return Err(Problem::usage("\"id\" is neither text nor a number").remedy("give a short name, or leave it out"));
    }
    let experiment = config::parse_experiment(&value.to_string(), place, &[])?;
    Ok(Entry { line: number, id, experiment })
}

/// The campaign that a new batch is, with a budget for the worst case where none is given.
fn planned(
    args: &BatchArgs,
    entries: &[Entry],
    text: &str,
    stem: &str,
    base: &Path,
) -> Result<(Campaign, Option<String>)> {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let name: String = stem.chars().map(legal).take(60).collect();
    let mut campaign = Campaign::batch(
        name.trim_start_matches('-'),
        entries[0].experiment.clone(),
        BatchSpec { experiments: entries.len(), hash: hash(text) },
    );
    if let Some(site) = &args.site {
        let way = fs::relative(base, site.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        campaign.execution.site = Some(way.join(site.file_name().unwrap_or_default()).display().to_string());
    }
    let given = args.overrides.iter().any(|o| o.trim_start().starts_with("budget.device_hours"));
    let mut campaign =
        config::parse_campaign(&config::to_toml(&campaign), &args.file.display().to_string(), &args.overrides)?;
    let site = site_of(&mut campaign, base)?;
    if !given {
        let pricer = MachinePricer::of(base, &campaign);
        let worst = worst(entries, &pricer, &campaign, &args.file.display().to_string())?;
        // Each attempt may fail and be made again.
        campaign.budget.device_hours = (worst.hours() * (1 + campaign.execution.retries) as f64 * 1e4).ceil() / 1e4;
    }
    Ok((campaign, site))
}

/// The batch that is there already: the same list, with the budget of now.
fn again(folder: &Path, text: &str, args: &BatchArgs) -> Result<Campaign> {
    let loaded = edited(folder, &args.overrides)?;
    match &loaded.value.batch {
        Some(spec) if spec.hash == hash(text) => Ok(loaded.value),
        Some(_) => Err(Problem::usage("this folder holds a batch of another list")
            .at(folder.display().to_string())
            .remedy("name another folder with --folder, or run the list that it was begun with")),
        None => Err(Problem::usage("this folder holds a campaign")
            .at(folder.display().to_string())
            .remedy("name another folder with --folder")),
    }
}

/// What all attempts may hold at most, once each.
fn worst(entries: &[Entry], pricer: &MachinePricer, campaign: &Campaign, name: &str) -> Result<DeviceTime> {
    let mut sum = DeviceTime::default();
    for entry in entries {
        let price = pricer
            .price(&entry.experiment)
            .map_err(|p| Problem { place: Some(format!("{name}:{}", entry.line)), ..p })?;
        sum += Limits::first(&entry.experiment, &price).reservation(campaign).time;
    }
    Ok(sum)
}

/// Prices every line, so that what cannot run is told before anything does.
fn price(entries: &[Entry], pricer: &MachinePricer, campaign: &Campaign, args: &BatchArgs) -> Result<()> {
    let name = args.file.display().to_string();
    let worst = worst(entries, pricer, campaign, &name)?;
    let mut seconds = 0.0;
    for entry in entries {
        seconds += pricer.price(&entry.experiment)?.seconds;
    }
    let budget = DeviceTime::from_hours(campaign.budget.device_hours);
    say(&format!(
        "{} experiments: about {} in all, {} reserved at worst; budget {budget}",
        entries.len(),
        DeviceTime::of(1, seconds),
        worst
    ));
    if worst > budget {
        say("the budget does not hold all of them at worst: they are run in order while it lasts");
    }
    Ok(())
}

/// Writes a line for every experiment that has ended.
struct Results {
    folder: PathBuf,
    out: Option<fs::Appender>,
    file: fs::Appender,
    told: std::collections::BTreeSet<u64>,
}

impl Results {
    fn open(folder: &Path, out: Option<&Path>) -> Result<Self> {
        let file = folder.join(RESULTS_FILE);
        fs::remove_file(&file)?;
        if let Some(out) = out {
            // All results so far are written again, so that the file is whole whenever the command is.
            fs::remove_file(out)?;
        }
        let out = out.map(fs::Appender::open).transpose()?;
        Ok(Results { folder: folder.to_path_buf(), out, file: fs::Appender::open(&file)?, told: Default::default() })
    }

    /// Those that ended before this command, in the order in which they did.
    fn catch_up(&mut self, state: &State) {
        let mut ended: Vec<&campaign::Candidate> = state.candidates.iter().filter(|c| is_over(&c.standing)).collect();
        let when = |c: &campaign::Candidate| run_of(state, c).and_then(|r| r.finished).unwrap_or(c.proposed);
        ended.sort_by(|a, b| when(a).total_cmp(&when(b)));
        ended.into_iter().for_each(|c| self.tell(state, c));
    }

    fn tell(&mut self, state: &State, candidate: &campaign::Candidate) {
        if !is_over(&candidate.standing) || !self.told.insert(candidate.index) {
            return;
        }
        let line = format!("{}\n", result(state, candidate, &self.folder));
        let _ = self.file.append(line.as_bytes());
        match &mut self.out {
            None => output::print(&line),
            Some(out) => {
                if let Err(problem) = out.append(line.as_bytes()) {
                    say(&format!("warning: {problem}"));
                }
            }
        }
    }
}

fn is_over(standing: &Standing) -> bool {
    matches!(standing, Standing::Screened | Standing::Failed { .. } | Standing::Rejected { .. })
}

fn run_of<'a>(state: &'a State, candidate: &campaign::Candidate) -> Option<&'a Run> {
    candidate.screening.and_then(|id| state.run(id))
}

/// One line: stable keys, numbers as the journal has them.
fn result(state: &State, candidate: &campaign::Candidate, folder: &Path) -> Value {
    let mut line = json!({ "line": candidate.assignment.get("line") });
    if let Some(id) = candidate.assignment.get("id") {
        line["id"] = id.clone();
    }
    match &candidate.standing {
        Standing::Rejected { reason } => {
            line["status"] = json!("refused");
            line["reason"] = json!(reason);
        }
        _ => {
            let Some(run) = run_of(state, candidate) else { return line };
            match &run.result {
                Some(RunResult::Finished { metrics }) => {
                    line["status"] = json!("finished");
                    line["metrics"] = json!(metrics);
                }
                Some(RunResult::Failed { reason }) => {
                    line["status"] = json!("failed");
                    line["reason"] = json!(reason);
                }
                None => {}
            }
            let used = run.used();
            line["seed"] = json!(run.seed);
            line["run"] = json!(run.id.0);
            line["key"] = json!(run.key);
            line["attempts"] = json!(run.attempts.len());
            line["device_seconds"] = json!(used.time.seconds());
            line["dollars"] = json!(used.dollars.micro as f64 / 1e6);
            line["expected_seconds"] = json!(run.price.seconds);
            line["folder"] = json!(folder.join(campaign::run_path(run.id)).display().to_string());
        }
    }
    line
}

impl Observer for Results {
    fn on_event(&mut self, state: &State, event: &Event) {
        let of_run = |id| state.candidates.iter().filter(move |c| c.screening == Some(id));
        let over: Vec<&campaign::Candidate> = match event {
            Event::RunFinished { id, .. } => of_run(*id).collect(),
            Event::ProposalRejected { index, .. } | Event::RunReused { index, .. } => {
                state.candidates.get(*index as usize).into_iter().collect()
            }
            _ => return,
        };
        over.into_iter().for_each(|candidate| self.tell(state, candidate));
    }
}
