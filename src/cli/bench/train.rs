//! `bench train`: step time, throughput, FLOP/s and memory of a list of experiments, beside the machine's ceilings.

use super::subject;
use crate::bench::{Ceilings, Row, Subject, step_parts, time_steps};
use crate::cli::output::{self, Format, Table, duration, say, significant};
use crate::config::EngineKind;
use crate::problem::{Problem, Result};
use crate::sys::env;
use clap::Args;
use serde_json::json;

/// Arguments of `bench train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Experiments, by file or by their name in benches/train, and key=value settings for all of them
    /// [default: all of benches/train]
    #[arg(value_name = "CONFIG")]
    configs: Vec<String>,
    /// Engines, taking turns
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    engines: Vec<String>,
    /// CPU threads of engines and ceilings; 0 for all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Seconds for each experiment, about
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Show where the time of a step goes, one fused op a line, instead of comparing steps with the ceilings
    #[arg(long, conflicts_with = "engines")]
    profile: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Measures and prints.
pub fn run(args: &TrainArgs) -> Result<()> {
    let threads = subject::threads(args.threads);
    let engines: Vec<Option<EngineKind>> = match args.engines.as_slice() {
        [] => vec![None],
        names => names.iter().map(|name| subject::engine(name).map(Some)).collect::<Result<_>>()?,
    };
    let subjects = subject::subjects(&args.configs)?;
    if args.profile {
        return run_profile(args, threads, &subjects);
    }
    let mut ceilings = Ceilings::new(threads);
    let mut rows = Vec::new();
    for named in &subjects {
        say(&format!("timing {}", named.name));
        let subject = Subject { name: named.name.clone(), experiment: &named.experiment, shape: &named.shape };
        rows.extend(time_steps(&subject, &engines, threads, args.seconds, &mut ceilings)?);
    }
    if args.format == Format::Json {
        let host: serde_json::Map<String, serde_json::Value> =
            env::host_facts().into_iter().map(|(k, v)| (k.to_string(), v.into())).collect();
        output::print_json(&json!({ "host": host, "rows": rows }));
    } else {
        output::print(&table(&rows).render());
        output::print(&ceilings_line(&rows));
        output::print(&memory_line(&rows));
    }
    Ok(())
}

fn run_profile(args: &TrainArgs, threads: usize, subjects: &[subject::Named]) -> Result<()> {
    let mut all = Vec::new();
    for named in subjects {
        say(&format!("timing {}", named.name));
        let subject = Subject { name: named.name.clone(), experiment: &named.experiment, shape: &named.shape };
        let parts = step_parts(&subject, threads, args.seconds)?;
        if parts.is_empty() {
            return Err(Problem::usage(format!("the engine of {} does not tell its parts apart", named.name))
                .remedy("profile an experiment of the compiled engine on a CPU"));
        }
        let total: f64 = parts.iter().map(|part| part.seconds).sum();
        let mut table = Table::new(&[">", "part", ">time", ">share", ">GFLOP/s", ">GB/s"]);
        for (i, part) in parts.iter().enumerate() {
            table.row(vec![
                i.to_string(),
                part.what.clone(),
                duration(part.seconds),
                format!("{:.1}%", 100.0 * part.seconds / total),
                significant(part.work.flops.0 / part.seconds / 1e9, 3),
                significant(part.work.bytes.0 as f64 / part.seconds / 1e9, 3),
            ]);
        }
        if args.format == Format::Table {
            output::print(&format!("{}: {} in all, {threads} thread(s)\n", named.name, duration(total)));
            output::print(&table.render());
        }
        let parts = parts.iter().map(|part| {
            json!({ "part": part.what, "seconds": part.seconds, "flops": part.work.flops.0, "bytes": part.work.bytes.0 })
        });
        all.push(json!({ "config": named.name, "threads": threads, "parts": parts.collect::<Vec<_>>() }));
    }
    if args.format == Format::Json {
        output::print_json(&json!(all));
    }
    Ok(())
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "experiment",
        "engine",
        ">step",
        ">10% to 90%",
        ">samples/s",
        ">tokens/s",
        ">GFLOP/s",
        ">of GEMM",
        ">of FMA",
        ">memory",
        ">predicted",
    ]);
    for row in rows {
        let rate = row.flops_per_second();
        let tokens = if row.tokens == row.samples { String::new() } else { significant(row.tokens_per_second(), 3) };
        table.row(vec![
            row.config.clone(),
            row.engine.clone(),
            duration(row.seconds),
            format!("{} to {}", duration(row.spread.0), duration(row.spread.1)),
            significant(row.samples_per_second(), 3),
            tokens,
            significant(rate / 1e9, 3),
            format!("{:.0}%", 100.0 * rate / row.ceilings.gemm),
            format!("{:.0}%", 100.0 * rate / row.ceilings.fma),
            row.peak_memory.map_or_else(|| "-".to_string(), |peak| peak.to_string()),
            row.predicted_memory.to_string(),
        ]);
    }
    table
}

/// How far what the process grew by is from what was predicted.
fn memory_line(rows: &[Row]) -> String {
    let mut apart: Vec<String> = Vec::new();
    for row in rows {
        if let (Some(steps), Some(process)) = (row.peak_memory, row.process_memory) {
            let more = 100.0 * (steps.0 as f64 / row.predicted_memory.0.max(1) as f64 - 1.0);
            apart.push(format!("{} {more:+.1}% (whole process {process})", row.config));
        }
    }
    if apart.is_empty() {
        return "memory: this kernel does not tell a process's peak\n".to_string();
    }
    format!("memory, what steps made the process grow by against what was predicted: {}\n", apart.join(", "))
}

/// The ceilings' range over the rows, which shows how steady the machine was.
fn ceilings_line(rows: &[Row]) -> String {
    let range = |rate: fn(&Row) -> f64| {
        let values = rows.iter().map(rate);
        let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max));
        format!("{} to {}", significant(low / 1e9, 3), significant(high / 1e9, 3))
    };
    let threads = rows.first().map_or(0, |row| row.threads);
    format!(
        "ceilings with {threads} thread(s), measured between the steps: FMA {} GFLOP/s, GEMM {} GFLOP/s, copy {} GB/s\n",
        range(|r| r.ceilings.fma),
        range(|r| r.ceilings.gemm),
        range(|r| r.ceilings.copy)
    )
}
