//! From `paper.tex` to `paper.pdf`: by tectonic, latexmk or pdflatex, whichever is found; and what its log complains of.
//!
//! Boundary: starts TeX through `sys` and reads its log; knows nothing of what the paper says.

use crate::problem::{Problem, Result};
use crate::sys::fs;
use crate::sys::process::{Answer, Asked};
use serde::Serialize;
use std::path::Path;

/// Longest that a TeX may take, in seconds.
const PATIENCE: f64 = 180.0;
/// Where its files go, in the paper's folder.
const BUILD: &str = "build";
/// Points by which a line may be too wide before anybody sees it.
const OVERFULL: f64 = 2.0;

/// What came of the typesetting.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "pdf", rename_all = "kebab-case")]
pub enum Pdf {
    /// There is one.
    Made {
        /// The program that made it.
        by: &'static str,
        /// Its pages, where the log tells them.
        pages: Option<usize>,
        /// What the log complains of that a reader would see: overfull lines, undefined references, missing glyphs.
        complaints: Vec<String>,
    },
    /// No TeX was found; the command that makes it where there is one.
    NoTex {
        /// To be run in the paper's folder.
        command: String,
    },
}

/// The command that a person runs where no TeX was found.
pub const COMMAND: &str = "latexmk -pdf -interaction=nonstopmode paper.tex";

/// Builds the PDF. `epoch`: what the file gives as its time, so that the same paper has the same bytes.
///
/// # Errors
/// A TeX that was found and failed: with the log's own words.
pub fn build(paper: &Path, epoch: u64) -> Result<Pdf> {
    let out = paper.join(BUILD);
    fs::create_dir(&out)?;
    let mut failed: Option<(&'static str, String)> = None;
    for (program, commands) in ways() {
        if !found(program) {
            continue;
        }
        let mut last = Answer::default();
        for command in &commands {
            last = run(paper, command, epoch);
            // BibTeX and a first pass may complain of what a later pass mends.
            if last.code.is_none() {
                break;
            }
        }
        let pdf = out.join("paper.pdf");
        if last.code == Some(0) && pdf.is_file() {
            fs::write_atomic(&paper.join("paper.pdf"), &fs::read(&pdf)?)?;
            let log = fs::read_if_there(&out.join("paper.log"))?.unwrap_or_default();
            let log = String::from_utf8_lossy(&log).into_owned();
            return Ok(Pdf::Made { by: program, pages: pages(&log), complaints: complaints(&log) });
        }
        failed = Some((program, why(&out, &last)));
    }
    match failed {
        None => Ok(Pdf::NoTex { command: COMMAND.to_string() }),
        Some((program, why)) => Err(Problem::failed(format!("{program} did not make the PDF: {why}"))
            .at(out.join("paper.log").display().to_string())
            .remedy("everything but paper.pdf is written; read the log, or leave the PDF out with --no-pdf")),
    }
}

/// Programs in the order in which they are tried, with their commands.
fn ways() -> Vec<(&'static str, Vec<Vec<&'static str>>)> {
    let tex = vec!["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-output-directory=build", "paper.tex"];
    // BibTeX writes beside the .aux file, and finds paper.bib in the folder it is started in.
    let bib = vec!["bibtex", "build/paper"];
    vec![
        ("tectonic", vec![vec!["tectonic", "--keep-logs", "--outdir", BUILD, "paper.tex"]]),
        (
            "latexmk",
            vec![vec!["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-outdir=build", "paper.tex"]],
        ),
        ("pdflatex", vec![tex.clone(), bib, tex.clone(), tex]),
    ]
}

/// Whether a program is in the path.
fn found(program: &str) -> bool {
    let arguments = ["-c", "command -v \"$1\" >/dev/null", "sh", program].map(String::from);
    Asked::start("sh", &arguments, |_| true, &[], 10.0).wait().code == Some(0)
}

fn run(paper: &Path, command: &[&str], epoch: u64) -> Answer {
    let mut arguments: Vec<String> =
        ["-c", "cd \"$1\" && shift && exec \"$@\"", "sh", &paper.display().to_string()].map(String::from).to_vec();
    arguments.extend(command.iter().map(|part| (*part).to_string()));
    let epoch = epoch.to_string();
    let set = [("SOURCE_DATE_EPOCH", epoch.as_str()), ("FORCE_SOURCE_DATE", "1"), ("max_print_line", "2000")];
    Asked::start("sh", &arguments, |_| true, &set, PATIENCE).wait()
}

/// The log's first error, or the last of what was said.
fn why(out: &Path, answer: &Answer) -> String {
    if answer.code.is_none() {
        return format!("it did not end within {PATIENCE} s");
    }
    let log = fs::read_if_there(&out.join("paper.log")).ok().flatten().unwrap_or_default();
    let log = String::from_utf8_lossy(&log).into_owned();
    let error = log.lines().skip_while(|l| !l.starts_with('!')).take(3).collect::<Vec<_>>().join(" ");
    if !error.is_empty() {
        return error;
    }
    let said = format!("{}\n{}", answer.stdout, answer.stderr);
    said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing").to_string()
}

/// `Output written on paper.pdf (7 pages, ...)`.
fn pages(log: &str) -> Option<usize> {
    let at = log.rfind("Output written on")?;
    let inside = log[at..].split_once('(')?.1;
    inside.split_whitespace().next()?.parse().ok()
}

/// What a reader would see.
fn complaints(log: &str) -> Vec<String> {
    let mut out = Vec::new();
    for line in log.lines() {
        let wide = line.strip_prefix("Overfull \\hbox (").and_then(|r| r.split_once("pt")?.0.parse::<f64>().ok());
        let seen = wide.is_some_and(|points| points > OVERFULL)
            || line.starts_with("Missing character:")
            || (line.starts_with("LaTeX Warning: ") && line.contains("undefined"))
            || (line.starts_with("Package natbib Warning: ") && line.contains("undefined"));
        if seen && !out.iter().any(|l| l == line) {
            out.push(line.to_string());
        }
    }
    // Of a first pass that a later one mended only the last log is left, so nothing here is out of date.
    out.truncate(20);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_read() {
        let log = "Overfull \\hbox (0.4pt too wide) in paragraph at lines 3--4\n\
                   Overfull \\hbox (23.1pt too wide) in paragraph at lines 9--9\n\
                   LaTeX Warning: Reference `fig:x' on page 2 undefined on input line 30.\n\
                   Package natbib Warning: Citation `a' on page 1 undefined on input line 3.\n\
                   Missing character: There is no \u{4e94} in font ec-lmr10!\n\
                   LaTeX Warning: Label(s) may have changed.\n\
                   Output written on build/paper.pdf (7 pages, 212345 bytes).\n";
        let found = complaints(log);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].contains("23.1pt") && found[3].contains("Missing"));
        assert_eq!(pages(log), Some(7));
        assert_eq!(pages(""), None);
    }
}
