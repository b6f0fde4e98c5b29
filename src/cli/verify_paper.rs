//! `verify-paper`: reads a paper back and computes every number in it again; with `--rerun`, trains some of its runs again.

use super::folder;
use super::output::{self, Format, say};
use crate::campaign::State;
use crate::paper;
use crate::problem::{Problem, Result};
use crate::sys::clock::SystemClock;
use crate::sys::{env, fs, process};
use crate::verify::{self, Checked, Fault, Made, Measured, Rerun, Verdict};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Faults that are told; the rest are counted.
const TOLD: usize = 20;

/// Arguments of `verify-paper`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The campaign's folder, with its paper
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Train so many of its runs again and compare bits (same fingerprint) or values within the noise (another)
    #[arg(long, value_name = "N", default_value_t = 0)]
    rerun: usize,
    /// Which runs are drawn for --rerun
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Folder that relative data paths refer to, where the campaign was moved [default: as the campaign has it]
    #[arg(long, value_name = "DIR")]
    data_base: Option<PathBuf>,
    /// Check no text; only with --rerun
    #[arg(long, requires = "rerun")]
    runs_only: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Verifies; 1 where anything is not so.
pub fn run(args: &VerifyArgs) -> Result<u8> {
    let state = folder::load(&args.folder)?;
    let measured = Measured::read(&args.folder)?;
    let checked = if args.runs_only {
        Checked::default()
    } else {
        verify::check(&args.folder, &measured, Some(&made(&args.folder, &measured.state)?))?
    };
    let mut again: Vec<Rerun> = Vec::new();
    let runs = verify::sample(&state, args.rerun, args.seed);
    if args.rerun > 0 && runs.is_empty() {
        return Err(Problem::usage("no run of this campaign finished, so none can be trained again")
            .at(args.folder.display().to_string()));
    }
    if !runs.is_empty() {
        let base = args.data_base.clone().unwrap_or_else(|| folder::base(&args.folder, &state));
        let base = if base.is_dir() { base } else { args.folder.clone() };
        let scratch = env::scratch_dir().join(format!("verify-{}", std::process::id()));
        fs::create_dir(&scratch)?;
        let (program, clock) = (process::current_exe()?, SystemClock::default());
        let mut all = || -> Result<()> {
            for id in &runs {
                say(&format!("training run {id} again"));
                again.push(verify::rerun(&args.folder, &measured, *id, &base, &scratch, &program, &clock)?);
            }
            Ok(())
        };
        let done = all();
        // What could not be trained is kept to be looked at.
        if done.is_ok() {
            fs::remove_dir(&scratch)?;
        }
        done?;
    }
    let differs = again.iter().filter(|r| r.verdict == Verdict::Differs).count();
    match args.format {
        Format::Json => output::print_json(&json!({ "checked": checked, "reruns": again })),
        Format::Table => print(&checked, &again, args),
    }
    Ok(u8::from(!checked.faults.is_empty() || differs > 0))
}

/// What `paper` makes of the campaign's records now.
fn made(folder: &Path, state: &State) -> Result<Made> {
    let works = paper::library(None)?;
    let facts = paper::gather(folder, state);
    let draft = paper::draft(folder, state, &facts, &works);
    let (figures, drawn) = paper::drawings(&draft);
    let text = |name: &str| -> Result<String> {
        let path = folder.join(paper::PAPER_FOLDER).join(name);
        Ok(fs::read_if_there(&path)?.map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default())
    };
    let library = paper::library_of(&text("paper.bib")?);
    let again = paper::again(&draft, &facts, &library, &text("paper.html")?);
    let refused = again.findings.into_iter().map(|f| Fault {
        place: if f.place == "paper.html" { f.place } else { format!("paper.html, {}", f.place) },
        sentence: f.sentence,
        what: f.what,
    });
    let version = facts.version.clone();
    let facts = serde_json::from_slice(&facts.to_json()?)
        .map_err(|e| Problem::failed(format!("facts cannot be compared: {e}")))?;
    Ok(Made { version, facts, figures, drawn, works, forms: again.forms, refused: refused.collect() })
}

fn print(checked: &Checked, again: &[Rerun], args: &VerifyArgs) {
    for fault in checked.faults.iter().take(TOLD) {
        output::print(&format!("{}: {}\n", fault.place, fault.what));
        if !fault.sentence.is_empty() {
            output::print(&format!("    {}\n", fault.sentence));
        }
    }
    if checked.faults.len() > TOLD {
        output::print(&format!("and {} more\n", checked.faults.len() - TOLD));
    }
    for form in &checked.unread {
        say(&format!("not read: {form}"));
    }
    if !args.runs_only {
        output::print(&format!(
            "read      {}\nnumbers   {} of the text and {} of facts.json come out the same\nfaults    {}\n",
            checked.forms.join(", "),
            checked.explained,
            checked.facts,
            checked.faults.len()
        ));
    }
    for run in again {
        let verdict = match run.verdict {
            Verdict::Equal => "equal",
            Verdict::Within => "within",
            Verdict::Differs => "DIFFERS",
        };
        output::print(&format!("run {}  {verdict}: {}\n", run.run, run.words));
    }
}
