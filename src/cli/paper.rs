//! `paper`: writes a paper from a campaign's folder, every number resolved from its runs.

use super::folder;
use super::output::{self, Format};
use crate::campaign;
use crate::paper::{self, Pdf};
use crate::problem::Result;
use clap::Args;
use std::path::PathBuf;

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
    /// How to say what was written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Writes `DIR/paper/` and says what is in it.
pub fn run(args: &PaperArgs) -> Result<()> {
    let state = folder::load(&args.folder)?;
    campaign::project_missing(&args.folder, &state)?;
    let library = paper::library(args.bib.as_deref())?;
    let facts = paper::gather(&args.folder, &state);
    let draft = paper::draft(&args.folder, &state, &facts, &library);
    let mut written = paper::write(&args.folder, &state, &facts, &draft, &library)?;
    if !args.no_pdf {
        paper::typeset(&mut written, state.updated)?;
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
