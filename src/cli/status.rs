//! `status`: how a campaign stands.

use super::folder::CampaignFolder;
use super::output::{self, Format, Table, bold, duration, significant};
use super::run::put_right;
use crate::analysis::Interval;
use crate::campaign::{Forecast, Reason, State, attempt_path, placement, rejections};
use crate::exec;
use crate::journal;
use crate::problem::Result;
use crate::report::{JobSummary, RunSummary, Summary, decimals, percent};
use crate::slurm::Look;
use crate::sys::clock::rfc3339;
use crate::sys::shell;
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    campaign: CampaignFolder,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints the summary.
pub fn run(args: &StatusArgs) -> Result<()> {
    let state = args.campaign.load()?;
    let mut summary = Summary::of(&state);
    summary.take_jobs(jobs(&args.campaign.folder, &state));
    let look = exec::last_look(&args.campaign.folder);
    // A file that only controllers need is no reason not to show what is there.
    let controller = journal::owner(&args.campaign.folder).ok().flatten().and_then(|owner| owner.alive());
    let asked: Vec<&str> = placement::requests(&args.campaign.folder).iter().map(|r| r.file()).collect();
    match args.format {
        Format::Json => {
            let mut value = serde_json::to_value(&summary).unwrap_or_default();
            value["controller_alive"] = json!(controller);
            value["requested"] = json!(asked);
            if let Some(look) = &look {
                value["cluster"] = json!({ "look": look, "placed": placed(&state) });
            }
            output::print_json(&value);
        }
        Format::Table => {
            output::print(&text(&summary));
            if let Some(look) = &look {
                output::print(&cluster(look, &state));
            }
        }
    }
    if args.format == Format::Table && state.conclusion.as_ref().is_some_and(|c| c.reason == Reason::Missing) {
        output::say(&put_right(&args.campaign.folder, &state));
    }
    let folder = shell::path(&args.campaign.folder);
    if summary.waits_for_approval.is_some() {
        output::say(&format!("`nanoresearch approve --in {folder}` lets it go on"));
    }
    if summary.conclusion.is_none() {
        let asked = match asked.as_slice() {
            [] => String::new(),
            asked => format!(" It was asked to {} meanwhile.", asked.join(" and to ")),
        };
        if controller == Some(false) {
            output::say(&format!("no controller is at work on it: `nanoresearch resume {folder}` goes on.{asked}"));
        } else if !asked.is_empty() {
            output::say(asked.trim());
        }
    }
    Ok(())
}

/// Jobs of live attempts, by their notes.
fn jobs(folder: &Path, state: &State) -> Vec<JobSummary> {
    let live = state.live().filter_map(|attempt| {
        let (job, state) = exec::job_state(&folder.join(attempt_path(attempt.id)))?;
        Some(JobSummary { attempt: attempt.id.to_string(), job, state })
    });
    live.collect()
}

/// `2 RUNNING, 1 PENDING (Resources): 0004/01 (job 12)`; those that run are only counted.
fn job_words(jobs: &[JobSummary]) -> String {
    let mut by_state: BTreeMap<&str, Vec<&JobSummary>> = BTreeMap::new();
    jobs.iter().for_each(|job| by_state.entry(&job.state).or_default().push(job));
    let words = by_state.into_iter().map(|(state, jobs)| {
        let name = |j: &&JobSummary| {
            let job = j.job.map(|id| format!(" (job {id})")).unwrap_or_default();
            format!("{}{job}", j.attempt)
        };
        let some: Vec<String> = jobs.iter().take(3).map(name).collect();
        let more = if jobs.len() > 3 { ", ..." } else { "" };
        match state {
            "RUNNING" => format!("{} {state}", jobs.len()),
            state => format!("{} {state}: {}{more}", jobs.len(), some.join(", ")),
        }
    });
    words.collect::<Vec<_>>().join("; ")
}

/// Where attempts under way were sent.
fn placed(state: &State) -> Vec<Value> {
    let places = state.live().filter_map(|a| Some((a.id, a.placed.as_ref()?)));
    places
        .map(|(id, p)| {
            json!({
                "attempt": id.to_string(), "partition": p.partition, "gpu_type": p.gpu_type,
                "wait_seconds": p.offers.first().map(|o| o.wait_seconds),
            })
        })
        .collect()
}

/// The last look at the cluster, and where attempts under way were sent.
fn cluster(look: &Look, state: &State) -> String {
    let mut table = Table::new(&["partition", ">free", ">of", ">waiting", ">own attempts"]);
    for supply in &look.partitions {
        let own = state.live().filter(|a| a.placed.as_ref().is_some_and(|p| p.partition == supply.partition)).count();
        let mut row = |name: String, free: u32, of: u32| {
            table.row(vec![name, free.to_string(), of.to_string(), supply.waiting.to_string(), own.to_string()]);
        };
        if supply.total.is_empty() {
            row(supply.partition.clone(), supply.open_nodes, supply.nodes);
        }
        for (kind, total) in &supply.total {
            row(format!("{} {kind}", supply.partition), supply.free.get(kind).copied().unwrap_or(0), *total);
        }
    }
    format!("\ncluster, seen {} (free GPUs, or nodes where there are none)\n{}", rfc3339(look.at), table.render())
}

/// An interval for people: `0.9722 [0.9650, 0.9794] (n=3)`.
pub fn interval(i: &Interval) -> String {
    format!("{i:.4} (n={})", i.n)
}

/// The summary as text.
pub fn text(s: &Summary) -> String {
    let mut out = format!("{}\n{}\n\n", bold(&format!("{} ({})", s.name, s.phase)), s.question);
    if let Some(conclusion) = &s.conclusion {
        out += &format!("finding   {}\n", conclusion.sentence);
    }
    if let Some(goal) = s.goal {
        let reached = if goal.reached { "reached" } else { "not reached with confidence" };
        out += &format!("goal      {} {}, {reached}\n", s.metric, goal.value);
    }
    out += &format!("budget    {}\n", s.budget.words());
    if s.usage.attempts > 0 {
        out += &format!("devices   {}\n", s.usage.words());
    }
    let overhead = s.overhead.words();
    if !overhead.is_empty() {
        out += &format!("overhead  {overhead}\n");
    }
    if !s.places.is_empty() {
        let words: Vec<String> = s.places.iter().map(|place| place.words()).collect();
        out += &format!("places    {}\n", words.join("; "));
    }
    if let Some(rest) = &s.expected {
        out += &format!("expected  {}\n", expected(rest));
    }
    if !s.jobs.is_empty() {
        out += &format!("jobs      {}\n", job_words(&s.jobs));
    }
    if !s.quarantined.is_empty() {
        out += &format!("nodes     left alone: {}\n", s.quarantined.join(", "));
    }
    if let Some(account) = &s.language_model {
        out += &format!("model     {}\n", account.words());
    }
    if let Some(words) = &s.waits_for_approval {
        out += &format!("waits     for a person's word: {words}\n");
    }
    if let Some(b) = &s.baseline {
        out += &format!(
            "baseline  {} {}, noise floor {}\n",
            s.metric,
            interval(&b.interval),
            significant(b.noise_floor, 2)
        );
    }
    if let Some(best) = &s.best {
        let difference = best.difference.as_ref().map_or(String::new(), |d| format!(", difference {}", interval(d)));
        let own = best.own.as_ref().map_or(String::new(), interval);
        out +=
            &format!("best      {} {own}{difference}: {}\n", s.metric, crate::campaign::assignment(&best.assignment));
    }
    if !s.rejected.is_empty() {
        out += &format!("rejected  {}\n", rejections::words(&s.rejected));
    }
    let counts: Vec<String> = s.runs_by_status.iter().map(|(status, n)| format!("{n} {status}")).collect();
    out += &format!("runs      {}\n\n", if counts.is_empty() { "none yet".to_string() } else { counts.join(", ") });
    out + &runs(s.metric, &s.runs)
}

/// `12 runs more at most, done in about 2.4 h: 10 min a run and 4 min in the queue, 15 s until its end is seen, 4 at once`.
fn expected(rest: &Forecast) -> String {
    let begun = match (rest.runs, rest.live) {
        (0, live) => format!("{live} under way are the last"),
        (runs, 0) => format!("{runs} runs more at most"),
        (runs, live) => format!("{live} under way and {runs} runs more at most"),
    };
    let by = if rest.by_budget { ", which the budget ends" } else { "" };
    let wait = match rest.wait_seconds {
        wait if wait >= 0.5 => format!(" and {} in the queue", duration(wait)),
        _ => String::new(),
    };
    let notice = match rest.notice_seconds {
        seconds if seconds >= 0.5 => format!(", {} until its end is seen", duration(seconds)),
        _ => String::new(),
    };
    let (done, run) = (duration(rest.seconds), duration(rest.run_seconds));
    format!("{begun}{by}, done in about {done}: {run} a run{wait}{notice}, {} at once", rest.at_once)
}

/// The table of runs.
pub fn runs(metric: &str, runs: &[RunSummary]) -> String {
    let metric = format!(">{metric}");
    let mut table = Table::new(&["run", "purpose", ">seed", "status", &metric, ">tries", ">device-s", ">busy", "what"]);
    let decimals = decimals(runs);
    for run in runs {
        table.row(vec![
            run.id.to_string(),
            run.purpose.to_string(),
            run.seed.to_string(),
            run.status.to_string(),
            run.value.map_or_else(|| "-".into(), |v| significant(v, 4)),
            run.attempts.to_string(),
            format!("{:.decimals$}", run.device_seconds),
            percent(run.usage.busy_share),
            run.failure.clone().map_or_else(|| run.what.clone(), |f| format!("{} -- {}", run.what, first_line(&f))),
        ]);
    }
    table.render()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_string()
}
