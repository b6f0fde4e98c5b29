//! `paper`: writes a paper from a campaign's folder, every number resolved from its runs.

use super::folder;
use super::output::{self, Format};
use crate::campaign::{self, Desk, State};
use crate::literature::Record;
use crate::paper::{self, Draft, Facts, Pdf, Written};
use crate::problem::Result;
use crate::report;
use crate::review::{self, Manuscript, Review, Reviser, Severity};
use crate::sys::clock::SystemClock;
use crate::sys::fs;
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `paper`.
#[derive(Debug, Args)]
pub struct PaperArgs {
    /// Campaign folder
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Do not typeset the PDF
    #[arg(long)]
    no_pdf: bool,
    /// Further works that may be cited, as BibTeX
    #[arg(long, value_name = "FILE")]
    bib: Option<PathBuf>,
    /// Ask no language model, although the campaign has one
    #[arg(long)]
    without_model: bool,
    /// Rounds of review and revision at most, where a language model can be asked
    #[arg(long, value_name = "N", default_value_t = 2)]
    rounds: usize,
    /// How to say what was written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Writes `DIR/paper/` with its review, and says what is in it.
pub fn run(args: &PaperArgs) -> Result<()> {
    folder::load(&args.folder)?;
    // What is asked for the paper itself is no part of what it tells.
    let state = campaign::load_research(&args.folder)?;
    campaign::project_missing(&args.folder, &state)?;
    let library = paper::library(args.bib.as_deref())?;
    let facts = paper::gather(&args.folder, &state);
    let clock = SystemClock::default();
    let mut desk = super::review::desk(&args.folder, &state, args.without_model, &clock)?;
    let mut author = Author {
        folder: &args.folder,
        draft: paper::draft(&args.folder, &state, &facts, &library),
        state: &state,
        facts: &facts,
        library: &library,
        written: None,
    };
    if let Some(desk) = desk.as_mut() {
        author.rewrite(desk, &[], 0)?;
    }
    let manuscript = author.write()?;
    let most = if desk.is_some() { args.rounds.max(1) } else { 1 };
    let reviews = review::rounds(&state, manuscript, desk.as_mut(), &mut author, most)?;
    // The campaign is free again before TeX takes its time.
    drop(desk);
    let Some(mut written) = author.written else { return Ok(()) };
    for path in review::write(&written.folder, &reviews)? {
        written.files.extend(path.file_name().map(|n| n.to_string_lossy().into_owned()));
    }
    if !args.no_pdf {
        paper::typeset(&mut written, state.updated)?;
    }
    if let Some(last) = reviews.last() {
        let n: usize = last.opinions.iter().map(|o| o.demands.len()).sum();
        let verdict = if last.passes { "passes" } else { "does not pass" };
        let rounds = report::counted(reviews.len(), "round");
        output::say(&format!(
            "the paper {verdict} its review after {rounds}, with {} left (review.md)",
            report::counted(n, "demand")
        ));
    }
    if args.format == Format::Json {
        output::print_json(&serde_json::json!({
            "folder": written.folder,
            "files": written.files,
            "facts": written.facts,
            "printed": written.printed,
            "cited": written.cited,
            "pdf": written.pdf,
        }));
        return Ok(());
    }
    for name in written.files.iter().filter(|name| !name.starts_with("figures/")) {
        output::print(&format!("{}\n", written.folder.join(name).display()));
    }
    output::say(&format!(
        "{} facts, {} of them printed; {} works cited",
        written.facts, written.printed, written.cited
    ));
    match &written.pdf {
        Some(Pdf::Made { by, pages, complaints }) => {
            let pages = pages.map(|n| format!(", {n} pages")).unwrap_or_default();
            output::say(&format!("paper.pdf by {by}{pages}"));
            for complaint in complaints {
                output::say(&format!("warning: the log says: {complaint}"));
            }
        }
        Some(Pdf::NoTex { command }) => output::say(&format!(
            "no TeX was found (tectonic, latexmk, pdflatex), so there is no paper.pdf; where there is one:\n  cd {} && {command}",
            written.folder.display()
        )),
        None => {}
    }
    Ok(())
}

/// Whoever changes the paper: rules make its first version; a language model, where there is one, writes in their place.
struct Author<'a> {
    folder: &'a Path,
    state: &'a State,
    facts: &'a Facts,
    library: &'a [Record],
    draft: Draft,
    written: Option<Written>,
}

impl Author<'_> {
    /// Whether the model's text was taken. What does not build changes nothing, and it is said why.
    fn rewrite(&mut self, desk: &mut Desk, demands: &[String], round: usize) -> Result<bool> {
        match paper::write_text(desk, self.facts, &self.draft, self.library, demands, round)? {
            Ok(draft) => {
                let changed = draft != self.draft;
                self.draft = draft;
                Ok(changed)
            }
            Err(why) => {
                output::say(&format!("the text stays as it was: {}", why.lines().next().unwrap_or_default()));
                Ok(false)
            }
        }
    }

    /// Writes the paper as it is now.
    fn write(&mut self) -> Result<Manuscript> {
        let written = paper::write(self.folder, self.state, self.facts, &self.draft, self.library)?;
        let text = fs::read_text(&written.folder.join("paper.md"))?;
        self.written = Some(written);
        Ok(Manuscript::of(&text))
    }
}

impl Reviser for Author<'_> {
    fn revise(&mut self, review: &Review, desk: Option<&mut Desk>) -> Result<Option<Manuscript>> {
        let Some(desk) = desk else { return Ok(None) };
        let demands: Vec<String> = review
            .demands(Severity::Major)
            .iter()
            .map(|d| {
                let quote = if d.quote.is_empty() { String::new() } else { format!(" (about: \"{}\")", d.quote) };
                format!("- {}: {}{quote}", d.severity.name(), d.what)
            })
            .collect();
        if demands.is_empty() || !self.rewrite(desk, &demands, review.round)? {
            return Ok(None);
        }
        self.write().map(Some)
    }
}
