//! `bench export` and `bench drive`: this program's side of a comparison with a peer in another language.

use super::subject;
use crate::bench::{Ceilings, Session, StepSize, export as write_export};
use crate::cli::output;
use crate::config::EngineKind;
use crate::problem::{Problem, Result};
use clap::Args;
use serde_json::{Value, json};
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// Arguments of `bench export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    common: Common,
    /// Folder for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Steps whose losses are written
    #[arg(long, default_value_t = 100)]
    steps: usize,
}

/// Arguments of `bench drive`.
#[derive(Debug, Args)]
pub struct DriveArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// The experiment, by file or by its name in benches/train
    config: String,
    /// Settings that replace the file's, as key=value
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The engine
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// CPU threads; 0 for all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

impl Common {
    fn engine(&self) -> Result<Option<EngineKind>> {
        self.engine.as_deref().map(subject::engine).transpose()
    }
}

/// Writes weights, batches and losses.
pub fn export(args: &ExportArgs) -> Result<()> {
    let threads = subject::threads(args.common.threads);
    let named = subject::subject(&args.common.config, &args.common.overrides)?;
    write_export(&named.experiment, &named.shape, args.common.engine()?, threads, args.steps, &args.out)
}

/// Reads a command a line from stdin and answers each with a line of JSON: `steps N` takes N steps, `ceilings` measures
/// the machine's, the end of the input ends it. The first line says what is driven.
pub fn drive(args: &DriveArgs) -> Result<()> {
    let threads = subject::threads(args.common.threads);
    let named = subject::subject(&args.common.config, &args.common.overrides)?;
    let mut session = Session::new(&named.experiment, &named.shape, args.common.engine()?, threads)?;
    let mut ceilings = None;
    let size = StepSize::of(session.programs());
    answer(&json!({
        "config": named.name,
        "engine": session.engine(),
        "threads": threads,
        "parameters": session.programs().state.parameter_count(),
        "samples": size.samples,
        "tokens": size.tokens,
        "step_flops": size.flops,
        "footprint": session.footprint().0,
    }));
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| Problem::io("read", Path::new("stdin"), &e))?;
        answer(&perform(&line, threads, &mut session, &mut ceilings)?);
    }
    Ok(())
}

fn perform(line: &str, threads: usize, session: &mut Session, ceilings: &mut Option<Ceilings>) -> Result<Value> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["steps", count] => {
            let steps = count.parse().ok().filter(|&n: &usize| n > 0).ok_or_else(|| unknown(line))?;
            let (seconds, loss) = session.block(steps)?;
            Ok(json!({ "seconds": seconds, "loss": loss }))
        }
        ["ceilings"] => {
            let ceilings = match ceilings {
                Some(ceilings) => ceilings,
                none => none.insert(Ceilings::new(threads)),
            };
            Ok(json!(ceilings.measure()))
        }
        _ => Err(unknown(line)),
    }
}

fn unknown(line: &str) -> Problem {
    Problem::usage(format!("{line:?} is no command")).at("stdin").remedy("say `steps N` or `ceilings`")
}

fn answer(value: &Value) {
    output::print(&format!("{value}\n"));
}
