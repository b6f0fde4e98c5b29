//! `literature search|check|novelty`: scholarly records, citations held against them, claims compared with them.

use super::folder;
use super::output::{self, Format, Table, say};
use crate::literature::{self, Bibliography, Cache, Catalogue, Found, Novelty, Origin, Reach, Record};
use crate::problem::{Problem, Result};
use crate::sys::clock::SystemClock;
use crate::sys::http::Network;
use crate::sys::{env, fs};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Bytes of a bibliography that are read.
const LONGEST: u64 = 16 << 20;

/// Arguments of `literature`.
#[derive(Debug, Args)]
pub struct LiteratureArgs {
    #[command(subcommand)]
    command: LiteratureCommand,
}

#[derive(Debug, Subcommand)]
enum LiteratureCommand {
    /// Search the catalogue OpenAlex; answers are kept, so the same search works without a network afterwards
    Search(SearchArgs),
    /// Hold every entry of a .bib file against a catalogue or a second .bib file: title, authors and year must be a record's
    Check(ReviewArgs),
    /// Say how near a claim's words, or a campaign's hypotheses, are to those of the works that are found
    Novelty(NoveltyArgs),
}

/// What may be asked.
#[derive(Debug, Args)]
struct ReachArgs {
    /// Use only what was asked before
    #[arg(long, conflicts_with = "refresh")]
    offline: bool,
    /// Ask again what was asked before
    #[arg(long)]
    refresh: bool,
}

#[derive(Debug, Args)]
struct SearchArgs {
    /// Words of titles and abstracts
    query: String,
    /// Works at most, up to 200
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    #[command(flatten)]
    reach: ReachArgs,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: SearchFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum SearchFormat {
    /// For people
    #[default]
    Table,
    /// One JSON document, abstracts included
    Json,
    /// A .bib file
    Bib,
}

#[derive(Debug, Args)]
struct ReviewArgs {
    /// The bibliography
    file: PathBuf,
    /// Hold it against this bibliography, not against OpenAlex
    #[arg(long, value_name = "FILE.bib")]
    against: Option<PathBuf>,
    /// Write what may be cited here, as the records say it, under the keys of the bibliography
    #[arg(short, long, value_name = "FILE.bib")]
    output: Option<PathBuf>,
    #[command(flatten)]
    reach: ReachArgs,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
struct NoveltyArgs {
    /// The claim, in a sentence
    #[arg(conflicts_with = "folder")]
    claim: Option<String>,
    /// Campaign folder: its hypotheses, or its question where it has none
    #[arg(long = "in", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Compare with this bibliography, not with what OpenAlex finds
    #[arg(long, value_name = "FILE.bib")]
    against: Option<PathBuf>,
    /// Works that are looked at for a claim, up to 200
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    reach: ReachArgs,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Searches, checks or compares.
pub fn run(args: &LiteratureArgs) -> Result<u8> {
    match &args.command {
        LiteratureCommand::Search(args) => search(args).map(|()| 0),
        LiteratureCommand::Check(args) => check(args),
        LiteratureCommand::Novelty(args) => novelty(args).map(|()| 0),
    }
}

fn with_catalogue<T>(reach: &ReachArgs, act: impl FnOnce(&mut Catalogue) -> Result<T>) -> Result<T> {
    let reach = match (reach.offline, reach.refresh) {
        (true, _) => Reach::Offline,
        (_, true) => Reach::Refresh,
        _ => Reach::Normal,
    };
    let (settings, clock) = (literature::settings(&env::var), SystemClock::default());
    let cache = Cache::at(&env::cache_dir().join("literature"));
    act(&mut Catalogue::new(settings, &Network, &clock, cache, reach))
}

/// Reads a bibliography and says what could not be read of it.
fn bibliography(path: &Path) -> Result<Bibliography> {
    let length = fs::length(path)?;
    if length > LONGEST {
        return Err(Problem::usage(format!("the file has {length} bytes, and a bibliography has at most {LONGEST}"))
            .at(path.display().to_string())
            .remedy("check that this is the file you meant, or split it"));
    }
    let read = literature::read_bib(&fs::read_text(path)?);
    if read.records.is_empty() && read.faults.is_empty() {
        return Err(Problem::usage("there is no BibTeX entry in this file")
            .at(path.display().to_string())
            .remedy("an entry begins with @article{key, or another kind"));
    }
    for fault in &read.faults {
        say(&format!("{}:{}: {}", path.display(), fault.line, fault.what));
    }
    Ok(read)
}

fn search(args: &SearchArgs) -> Result<()> {
    let found = with_catalogue(&args.reach, |catalogue| catalogue.search(&args.query, args.limit))?;
    say_origin(&found);
    match args.format {
        SearchFormat::Json => output::print_json(&found.records),
        SearchFormat::Bib => output::print(&literature::to_bib(&found.records)),
        SearchFormat::Table => {
            let mut table = Table::new(&["key", "by", "title", "venue"]);
            for r in &found.records {
                table.row(vec![
                    r.key.clone(),
                    r.short(),
                    cut(&r.title, 70),
                    cut(r.venue.as_deref().unwrap_or("-"), 30),
                ]);
            }
            output::print(&table.render());
        }
    }
    Ok(())
}

fn say_origin(found: &Found) {
    match &found.origin {
        Origin::Service => {}
        Origin::Kept { at, because: None } => say(&format!("as OpenAlex answered on {}", at.get(..10).unwrap_or(at))),
        Origin::Kept { at, because: Some(why) } => {
            say(&format!("as OpenAlex answered on {}; it does not now: {why}", at.get(..10).unwrap_or(at)));
        }
    }
}

fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_string();
    }
    let kept: String = text.chars().take(limit - 3).collect();
    format!("{}...", kept.trim_end())
}

/// An entry and what became of it.
struct Judged {
    cited: Record,
    outcome: std::result::Result<Record, String>,
}

fn check(args: &ReviewArgs) -> Result<u8> {
    let cited = bibliography(&args.file)?;
    let judged: Vec<Judged> = match &args.against {
        Some(path) => {
            let library = bibliography(path)?.records;
            cited.records.into_iter().map(|cited| judge(cited, &library)).collect()
        }
        None => with_catalogue(&args.reach, |catalogue| {
            cited
                .records
                .into_iter()
                .map(|cited| catalogue.candidates(&cited).map(|records| judge(cited, &records)))
                .collect::<Result<_>>()
        })?,
    };
    let kept: Vec<Record> = judged
        .iter()
        .filter_map(|j| j.outcome.as_ref().ok().map(|r| Record { key: j.cited.key.clone(), ..r.clone() }))
        .collect();
    if let Some(path) = &args.output {
        fs::write_atomic(path, literature::to_bib(&kept).as_bytes())?;
    }
    let dropped = judged.len() - kept.len();
    match args.format {
        Format::Json => {
            let rows = judged.iter().map(|j| match &j.outcome {
                Ok(record) => json!({ "key": j.cited.key, "enters": true, "record": record }),
                Err(why) => json!({ "key": j.cited.key, "enters": false, "reason": why }),
            });
            let faults = cited.faults.iter().map(|f| json!({ "line": f.line, "what": f.what }));
            output::print_json(
                &json!({ "entries": rows.collect::<Vec<_>>(), "unreadable": faults.collect::<Vec<_>>() }),
            );
        }
        Format::Table => {
            let mut table = Table::new(&["key", "", "cited as", "because"]);
            for j in &judged {
                let (enters, why) = match &j.outcome {
                    Ok(record) => ("enters", format!("title, authors and year are those of {}", source(record))),
                    Err(why) => ("dropped", why.clone()),
                };
                table.row(vec![j.cited.key.clone(), enters.into(), cut(&j.cited.title, 50), why]);
            }
            output::print(&table.render());
        }
    }
    let faults = cited.faults.len();
    if dropped + faults == 0 {
        return Ok(0);
    }
    say(&format!(
        "{dropped} of {} entries would be dropped{}",
        judged.len(),
        if faults > 0 { format!("; {faults} fault(s) in the file, named above") } else { String::new() }
    ));
    Ok(1)
}

fn source(record: &Record) -> String {
    match &record.source {
        literature::Source::Openalex { id } => format!("OpenAlex {id}"),
        literature::Source::Bib { line } => format!("`{}`, line {line}", record.key),
    }
}

fn judge(cited: Record, records: &[Record]) -> Judged {
    let outcome = literature::check(&cited, records).cloned().map_err(|why| why.to_string());
    Judged { cited, outcome }
}

fn novelty(args: &NoveltyArgs) -> Result<()> {
    let claims: Vec<String> = match (&args.claim, &args.folder) {
        (Some(claim), _) => vec![claim.clone()],
        (None, Some(path)) => {
            let state = folder::load(path)?;
            let posed: Vec<String> = state.counsel.hypotheses.iter().map(|p| p.hypothesis.claim.clone()).collect();
            if posed.is_empty() { vec![state.campaign.question.clone()] } else { posed }
        }
        (None, None) => {
            return Err(Problem::usage("there is nothing to compare")
                .remedy("give a claim in quotes, or a campaign's folder with --in DIR"));
        }
    };
    let compared: Vec<(String, Novelty)> = match &args.against {
        Some(path) => {
            let library = bibliography(path)?.records;
            claims.into_iter().map(|claim| (claim.clone(), literature::novelty(&claim, &library, 5))).collect()
        }
        None => with_catalogue(&args.reach, |catalogue| {
            let one = |claim: String| {
                let found = catalogue.search(&literature::query(&claim), args.limit)?;
                say_origin(&found);
                Ok((claim.clone(), literature::novelty(&claim, &found.records, 5)))
            };
            claims.into_iter().map(one).collect::<Result<_>>()
        })?,
    };
    if args.format == Format::Json {
        let rows = compared.iter().map(|(claim, n)| json!({ "claim": claim, "says": n.words(), "compared": n }));
        output::print_json(&rows.collect::<Vec<_>>());
        return Ok(());
    }
    for (i, (claim, novelty)) in compared.iter().enumerate() {
        let gap = if i > 0 { "\n" } else { "" };
        output::print(&format!("{gap}{}\n{}\n", output::bold(claim), novelty.words()));
        let mut table = Table::new(&[">score", "by", "title", "words in common"]);
        for near in &novelty.nearest {
            let score = format!("{:.2}", near.score);
            table.row(vec![score, near.by.clone(), cut(&near.title, 60), cut(&near.shared.join(", "), 60)]);
        }
        if !novelty.nearest.is_empty() {
            output::print(&table.render());
        }
    }
    Ok(())
}
