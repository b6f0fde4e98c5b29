//! `paper/`: facts, TeX, BibTeX, figures, Markdown, HTML, and the PDF where there is a TeX.
//!
//! Boundary: writes files below the campaign's folder and starts TeX; what the paper says is decided before.

use super::document::{Draft, Panel, compile};
use super::fact::{FACTS_FILE, Facts};
use super::render;
use super::tex::{self, Pdf};
use crate::campaign::State;
use crate::literature::{Record, read_bib, to_bib};
use crate::problem::{Problem, Result};
use crate::sys::clock::{day_in_words, rfc3339};
use crate::sys::fs;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Folder of the paper in the campaign's.
pub const PAPER_FOLDER: &str = "paper";

/// Works that describe this program's own methods.
const METHODS: &str = include_str!("methods.bib");

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The paper's folder.
    pub folder: PathBuf,
    /// Files, the folder's name left out, in the order in which a reader wants them.
    pub files: Vec<String>,
    /// Facts that are known.
    pub facts: usize,
    /// Of them, those that are printed.
    pub printed: usize,
    /// Works that are cited.
    pub cited: usize,
    /// The PDF, or why there is none.
    pub pdf: Option<Pdf>,
}

/// What may be cited: the program's own methods, then the entries of a `.bib` file whose keys are new. What could not be read of
/// the file is a problem, since somebody would miss it.
pub fn library(bib: Option<&Path>) -> Result<Vec<Record>> {
    let Some(path) = bib else { return Ok(with(Vec::new())) };
    let read = read_bib(&fs::read_text(path)?);
    if let Some(fault) = read.faults.first() {
        let more = if read.faults.len() > 1 { format!(" (and {} more)", read.faults.len() - 1) } else { String::new() };
        return Err(Problem::usage(format!("{}{more}", fault.what))
            .at(format!("{}:{}", path.display(), fault.line))
            .remedy("mend the entry, or leave it out"));
    }
    Ok(with(read.records))
}

/// The program's own works, and these where their keys are new.
pub(super) fn with(more: Vec<Record>) -> Vec<Record> {
    let mut records = read_bib(METHODS).records;
    records.extend(more);
    let mut seen = BTreeSet::new();
    records.retain(|r| seen.insert(r.key.clone()));
    records
}

/// Compiles a draft and writes everything but the PDF into `folder`/paper.
///
/// # Errors
/// A draft in which a sentence must not be printed: nothing is written then but the facts.
pub fn write(folder: &Path, state: &State, facts: &Facts, draft: &Draft, library: &[Record]) -> Result<Written> {
    let paper = folder.join(PAPER_FOLDER);
    fs::create_dir(&paper)?;
    fs::write_atomic(&paper.join(FACTS_FILE), &facts.to_json()?)?;
    let mut document = compile(facts, draft, library)?;
    document.date = date(state.updated);
    document.byline = format!("Written by nanoresearch {} from the campaign {}", facts.version, facts.campaign);
    let figures = paper.join("figures");
    // Figures of an earlier draft would be taken for this one's.
    if figures.exists() {
        fs::remove_dir(&figures)?;
    }
    fs::create_dir(&figures)?;
    let mut files =
        vec!["paper.tex".to_string(), "paper.bib".into(), "paper.html".into(), "paper.md".into(), FACTS_FILE.into()];
    for panel in document.figures.values().flat_map(|f| &f.panels) {
        for (name, text) in drawn(panel) {
            fs::write_atomic(&paper.join(&name), text.as_bytes())?;
            files.push(name);
        }
    }
    let texts = [
        ("paper.tex", render::latex(&document)),
        ("paper.bib", to_bib(&document.references)),
        ("paper.html", render::html(&document)),
        ("paper.md", render::markdown(&document)),
    ];
    for (name, text) in texts {
        fs::write_atomic(&paper.join(name), text.as_bytes())?;
    }
    Ok(Written {
        folder: paper,
        files,
        facts: facts.facts.len(),
        printed: document.facts().len(),
        cited: document.references.len(),
        pdf: None,
    })
}

/// A chart's files by their names in `paper/`.
fn drawn(panel: &Panel) -> [(String, String); 2] {
    let name = |kind: &str| format!("figures/{}.{kind}", panel.name);
    [(name("tex"), panel.chart.tikz(panel.width * render::WIDTH)), (name("svg"), panel.chart.svg())]
}

/// Every figure of a draft: files by their names in `paper/`, and the figures as they stand in the page.
pub fn drawings(draft: &Draft) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let panels = || draft.figures.iter().flat_map(|f| &f.panels);
    (panels().flat_map(drawn).collect(), panels().map(|p| render::in_page(&p.chart)).collect())
}

/// Makes `paper.pdf` of what [`write`] wrote. `epoch`: seconds since 1970 that the file says it was made at.
pub fn typeset(written: &mut Written, epoch: f64) -> Result<()> {
    let pdf = tex::build(&written.folder, epoch as u64)?;
    if matches!(pdf, Pdf::Made { .. }) {
        written.files.insert(0, "paper.pdf".to_string());
    }
    written.pdf = Some(pdf);
    Ok(())
}

/// `26 November 2026`, in UTC.
fn date(unix: f64) -> String {
    day_in_words(&rfc3339(unix)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_bibliography_is_whole() {
        let read = read_bib(METHODS);
        assert!(read.faults.is_empty(), "{:?}", read.faults);
        assert!(read.records.len() >= 25);
        for record in &read.records {
            assert!(record.year.is_some() && !record.authors.is_empty() && !record.title.is_empty(), "{record:?}");
        }
        assert_eq!(read_bib(&to_bib(&read.records)).records.len(), read.records.len());
    }

    #[test]
    fn dates_are_written_out() {
        assert_eq!(date(0.0), "1 January 1970");
        assert_eq!(date(1_795_000_000.0), "18 November 2026");
    }
}
