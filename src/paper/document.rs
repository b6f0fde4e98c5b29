//! From a draft to a document: every text compiled, every reference numbered, only what is cited in the bibliography.
//!
//! Boundary: knows form; what a draft says is decided by whoever wrote it, by rules or by a language model.

use super::fact::Facts;
use super::prose::{Compiler, Finding, Inline, Piece};
use crate::figures::Chart;
use crate::literature::Record;
use crate::problem::{Problem, Result};
use std::collections::{BTreeMap, BTreeSet};

/// A paper before it is checked: texts in markup, charts, tables of markup.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Draft {
    /// Title, in markup.
    pub title: String,
    /// Abstract, in markup.
    pub summary: String,
    /// In order.
    pub sections: Vec<DraftSection>,
    /// Every figure that a section may place.
    pub figures: Vec<FigureDraft>,
    /// Every table that a section may place.
    pub tables: Vec<TableDraft>,
    /// Names that hold digits and are no numbers, beside the facts' own.
    pub names: Vec<String>,
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftSection {
    /// `sec:results`.
    pub label: String,
    /// Its heading, in markup.
    pub title: String,
    /// Its text, in markup.
    pub source: String,
}

/// A figure of one or several charts.
#[derive(Debug, Clone, PartialEq)]
pub struct FigureDraft {
    /// `fig:curves`.
    pub label: String,
    /// In markup: what is drawn, n, and the interval.
    pub caption: String,
    /// Charts with their names for files, set side by side as they fit.
    pub panels: Vec<Panel>,
}

/// A chart of a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Name of its file.
    pub name: String,
    /// What is drawn.
    pub chart: Chart,
    /// Share of the text's width, 0 to 1.
    pub width: f64,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TableDraft {
    /// `tab:main`.
    pub label: String,
    /// In markup.
    pub caption: String,
    /// Titles of the columns, in markup; with `>` in front for columns of numbers.
    pub columns: Vec<String>,
    /// The subject of each column's facts, beside that of the row; may be shorter than the columns.
    pub about: Vec<Option<String>>,
    /// In order.
    pub rows: Vec<RowDraft>,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowDraft {
    /// The subject of its facts.
    pub about: Option<String>,
    /// Cells, in markup.
    pub cells: Vec<String>,
    /// Columns whose cell is printed bold.
    pub bold: Vec<usize>,
    /// A thin rule above.
    pub apart: bool,
}

/// A paper that may be printed.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Title.
    pub title: Vec<Inline>,
    /// `25 November 2026`.
    pub date: String,
    /// Who made it with what, below the title.
    pub byline: String,
    /// Abstract.
    pub summary: Vec<Piece>,
    /// Sections.
    pub sections: Vec<Section>,
    /// Figures, by label.
    pub figures: BTreeMap<String, Figure>,
    /// Tables, by label.
    pub tables: BTreeMap<String, Table>,
    /// What is cited, in the order of first authors.
    pub references: Vec<Record>,
    /// What a label is called: `Figure 2`, and its number.
    pub numbers: BTreeMap<String, (&'static str, usize)>,
}

/// A section.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// `sec:results`.
    pub label: String,
    /// Heading.
    pub title: Vec<Inline>,
    /// Text.
    pub pieces: Vec<Piece>,
}

/// A figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Caption.
    pub caption: Vec<Inline>,
    /// Charts.
    pub panels: Vec<Panel>,
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Caption.
    pub caption: Vec<Inline>,
    /// Titles, and whether the column holds numbers.
    pub columns: Vec<(Vec<Inline>, bool)>,
    /// Rows.
    pub rows: Vec<Row>,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Cells.
    pub cells: Vec<Vec<Inline>>,
    /// Bold columns.
    pub bold: Vec<usize>,
    /// A thin rule above.
    pub apart: bool,
}

/// Most findings that a message names.
const NAMED: usize = 12;

/// Compiles a draft; everything that must not be printed is in the findings, and then there is no document.
pub fn check(facts: &Facts, draft: &Draft, library: &[Record]) -> std::result::Result<Document, Vec<Finding>> {
    let labels: BTreeSet<String> = draft
        .sections
        .iter()
        .map(|s| &s.label)
        .chain(draft.figures.iter().map(|f| &f.label))
        .chain(draft.tables.iter().map(|t| &t.label))
        .cloned()
        .collect();
    let keys: BTreeSet<String> = library.iter().map(|r| r.key.clone()).collect();
    let compiler = Compiler::new(facts, keys, labels, &draft.names);
    let mut findings = Vec::new();
    let title = compiler.line("title", &draft.title, &[], &mut findings);
    let summary = compiler.compile("abstract", &draft.summary);
    findings.extend(summary.findings);
    let mut sections = Vec::new();
    for section in &draft.sections {
        let compiled = compiler.compile(&section.label, &section.source);
        findings.extend(compiled.findings);
        let title = compiler.line(&section.label, &section.title, &[], &mut findings);
        sections.push(Section { label: section.label.clone(), title, pieces: compiled.pieces });
    }
    let mut figures = BTreeMap::new();
    for figure in &draft.figures {
        let caption = compiler.line(&figure.label, &figure.caption, &[], &mut findings);
        figures.insert(figure.label.clone(), Figure { caption, panels: figure.panels.clone() });
    }
    let mut tables = BTreeMap::new();
    for table in &draft.tables {
        tables.insert(table.label.clone(), self::table(&compiler, table, &mut findings));
    }
    // What is in no section is not printed; what stands in two would be printed twice.
    let placed = |p: &Piece| if let Piece::Float(label) = p { Some(label.clone()) } else { None };
    let floats: Vec<String> = sections.iter().flat_map(|s| &s.pieces).filter_map(placed).collect();
    for (i, label) in floats.iter().enumerate() {
        if floats[..i].contains(label) {
            let what = "this figure or table stands in two places".to_string();
            findings.push(Finding { place: label.clone(), sentence: format!("!{label}"), what });
        }
    }
    figures.retain(|label, _| floats.contains(label));
    tables.retain(|label, _| floats.contains(label));
    let mut numbers: BTreeMap<String, (&'static str, usize)> = BTreeMap::new();
    for (i, section) in sections.iter().enumerate() {
        numbers.insert(section.label.clone(), ("Section", i + 1));
    }
    let (mut of_figures, mut of_tables) = (0, 0);
    for label in &floats {
        let (word, count) =
            if figures.contains_key(label) { ("Figure", &mut of_figures) } else { ("Table", &mut of_tables) };
        *count += 1;
        numbers.insert(label.clone(), (word, *count));
    }
    let mut document = Document {
        title,
        date: String::new(),
        byline: String::new(),
        summary: summary.pieces,
        sections,
        figures,
        tables,
        references: Vec::new(),
        numbers,
    };
    for label in document.referred() {
        if !document.numbers.contains_key(&label) {
            let what = format!("`{label}` is referred to and stands in no section");
            findings.push(Finding { place: label.clone(), sentence: format!("[#{label}]"), what });
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let cited = document.cited();
    document.references = library.iter().filter(|r| cited.contains(&r.key)).cloned().collect();
    let name = |r: &Record| r.authors.first().map(|a| a.family.to_lowercase()).unwrap_or_default();
    document.references.sort_by_key(|r| (name(r), r.year, r.key.clone()));
    Ok(document)
}

/// As [`check`], with the findings as one problem.
pub fn compile(facts: &Facts, draft: &Draft, library: &[Record]) -> Result<Document> {
    check(facts, draft, library).map_err(|findings| problem(&findings))
}

/// Findings as a problem that names the sentences.
pub fn problem(findings: &[Finding]) -> Problem {
    let mut text = format!(
        "the paper does not build: {} in it {} not what a run shows",
        if findings.len() == 1 { "a sentence".to_string() } else { format!("{} sentences", findings.len()) },
        if findings.len() == 1 { "is" } else { "are" },
    );
    for finding in findings.iter().take(NAMED) {
        text += &format!("\n  {}: {}\n    {}", finding.place, finding.what, finding.sentence);
    }
    if findings.len() > NAMED {
        text += &format!("\n  and {} more", findings.len() - NAMED);
    }
    Problem::failed(text).remedy("refer to a fact of paper/facts.json by {id}, or take the sentence out")
}

fn table(compiler: &Compiler, draft: &TableDraft, findings: &mut Vec<Finding>) -> Table {
    let caption = compiler.line(&draft.label, &draft.caption, &[], findings);
    let columns = draft
        .columns
        .iter()
        .map(|title| match title.strip_prefix('>') {
            Some(title) => (compiler.line(&draft.label, title, &[], findings), true),
            None => (compiler.line(&draft.label, title, &[], findings), false),
        })
        .collect();
    let rows = draft
        .rows
        .iter()
        .map(|row| Row {
            cells: row
                .cells
                .iter()
                .enumerate()
                .map(|(i, cell)| {
                    let column = draft.about.get(i).and_then(|a| a.as_deref());
                    let about: Vec<&str> = row.about.as_deref().into_iter().chain(column).collect();
                    compiler.line(&draft.label, cell, &about, findings)
                })
                .collect(),
            bold: row.bold.clone(),
            apart: row.apart,
        })
        .collect();
    Table { caption, columns, rows }
}

impl Document {
    /// All text in the order of the page: title, abstract, sections, captions, cells.
    pub fn inlines(&self) -> impl Iterator<Item = &Inline> {
        let pieces = self.summary.iter().chain(self.sections.iter().flat_map(|s| &s.pieces));
        let headings = self.sections.iter().flat_map(|s| &s.title);
        let figures = self.figures.values().flat_map(|f| &f.caption);
        let tables = self.tables.values().flat_map(|t| {
            let titles = t.columns.iter().flat_map(|c| &c.0);
            t.caption.iter().chain(titles).chain(t.rows.iter().flat_map(|r| r.cells.iter().flatten()))
        });
        let blocks = pieces.flat_map(|piece| match piece {
            Piece::Paragraph(inlines) | Piece::Heading(inlines) => inlines.iter().collect::<Vec<_>>(),
            Piece::Items(items) => items.iter().flatten().collect(),
            Piece::Float(_) => Vec::new(),
        });
        self.title.iter().chain(blocks).chain(headings).chain(figures).chain(tables)
    }

    /// Keys that are cited.
    pub fn cited(&self) -> BTreeSet<String> {
        let keys = |i: &Inline| if let Inline::Cite { keys, .. } = i { keys.clone() } else { Vec::new() };
        self.inlines().flat_map(keys).collect()
    }

    /// Ids of the facts that are printed.
    pub fn facts(&self) -> BTreeSet<String> {
        let id = |i: &Inline| if let Inline::Fact { id, .. } = i { Some(id.clone()) } else { None };
        self.inlines().filter_map(id).collect()
    }

    fn referred(&self) -> BTreeSet<String> {
        let label = |i: &Inline| if let Inline::Refer(label) = i { Some(label.clone()) } else { None };
        self.inlines().filter_map(label).collect()
    }
}
