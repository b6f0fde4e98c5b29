//! `paper.tex`: an article of its own plain style, from packages that every TeX distribution has.

use crate::paper::document::{Document, Figure, Table};
use crate::paper::fact::NBSP;
use crate::paper::prose::{Inline, Piece};
use crate::plot::tex_escape;

/// Width of the text in points; the preamble sets it.
pub const WIDTH: f64 = 430.0;

/// Everything before the document begins.
const PREAMBLE: &str = include_str!("preamble.tex");

/// The whole file. Figures are read from `figures/`.
pub fn latex(document: &Document) -> String {
    let title = line(&document.title);
    let mut out = PREAMBLE.replace("@WIDTH@", &format!("{WIDTH}"));
    out += &format!("\\hypersetup{{pdftitle={{{}}}}}\n", bare(&document.title));
    out += &format!(
        "\\title{{{title}}}\n\\author{{{}}}\n\\date{{{}}}\n",
        tex_escape(&document.byline),
        tex_escape(&document.date)
    );
    out += "\n\\begin{document}\n\\maketitle\n\n\\begin{abstract}\n";
    out += &pieces(document, &document.summary);
    out += "\\end{abstract}\n";
    for section in &document.sections {
        out += &format!("\n\\section{{{}}}\\label{{{}}}\n\n", line(&section.title), section.label);
        out += &pieces(document, &section.pieces);
    }
    if !document.references.is_empty() {
        out += "\n\\bibliographystyle{plainnat}\n\\bibliography{paper}\n";
    }
    out + "\n\\end{document}\n"
}

fn pieces(document: &Document, pieces: &[Piece]) -> String {
    let mut out = String::new();
    for piece in pieces {
        out += &match piece {
            Piece::Paragraph(inlines) => format!("{}\n\n", line(inlines)),
            Piece::Heading(inlines) => format!("\\subsection{{{}}}\n\n", line(inlines)),
            Piece::Items(items) => {
                // The last two stay together, and each of them whole: no page begins with the end of a list.
                let keep = |at: usize| if at > 0 && at + 1 == items.len() { "\\keepwithlast" } else { "" };
                let items: String =
                    items.iter().enumerate().map(|(at, i)| format!("  {}\\item {}\n", keep(at), line(i))).collect();
                format!("\\begin{{itemize}}\n{items}\\end{{itemize}}\n\n")
            }
            Piece::Float(label) => match (document.figures.get(label), document.tables.get(label)) {
                (Some(drawn), _) => figure(label, drawn),
                (_, Some(made)) => table(label, made),
                _ => String::new(),
            },
        };
    }
    out
}

fn figure(label: &str, figure: &Figure) -> String {
    let mut panels = String::new();
    let mut used = 0.0;
    for (i, panel) in figure.panels.iter().enumerate() {
        if i > 0 {
            // A new row where this one is full.
            if used + panel.width > 1.001 {
                panels += "\n\n\\smallskip\n";
                used = 0.0;
            } else {
                panels += "\\hfill\n";
            }
        }
        used += panel.width + 0.01;
        let input = format!("\\input{{figures/{}.tex}}", panel.name);
        // Side by side they hang from one line.
        panels += &if figure.panels.len() > 1 { format!("\\hang{{{input}}}") } else { input };
    }
    format!(
        "\\begin{{figure}}[tbp]\n\\centering\n{panels}\n\\caption{{{}}}\\label{{{label}}}\n\\end{{figure}}\n\n",
        line(&figure.caption)
    )
}

fn table(label: &str, table: &Table) -> String {
    let columns: String = table.columns.iter().map(|(_, number)| if *number { 'r' } else { 'l' }).collect();
    let cells = |cells: Vec<String>| cells.join(" & ");
    let titles = cells(table.columns.iter().map(|(t, _)| line(t)).collect());
    let rows: String = table
        .rows
        .iter()
        .map(|row| {
            let set = row.cells.iter().enumerate().map(|(i, cell)| {
                let text = line(cell);
                if row.bold.contains(&i) { format!("\\textbf{{{text}}}") } else { text }
            });
            format!("{}{} \\\\\n", if row.apart { "\\midrule\n" } else { "" }, cells(set.collect()))
        })
        .collect();
    format!(
        "\\begin{{table}}[tbp]\n\\centering\\small\n\\caption{{{}}}\\label{{{label}}}\n\\fittable{{\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n\
         \\toprule\n{titles} \\\\\n\\midrule\n{rows}\\bottomrule\n\\end{{tabular}}}}\n\\end{{table}}\n\n",
        line(&table.caption)
    )
}

/// Text with its references.
fn line(inlines: &[Inline]) -> String {
    let mut out = String::new();
    for (i, inline) in inlines.iter().enumerate() {
        out += &match inline {
            Inline::Text(text) => prose(text, i == 0),
            Inline::Fact { id, text } => format!("\\fact{{{}}}{{{}}}", id_text(id), powers(&tex_escape(text))),
            Inline::Cite { keys, textual: false } => format!("\\citep{{{}}}", keys.join(",")),
            Inline::Cite { keys, textual: true } => format!("\\citet{{{}}}", keys.join(",")),
            Inline::Refer(label) => format!("\\nameof{{{label}}}"),
            // Long paths may break after their points.
            Inline::Code(name) => {
                format!("\\texttt{{{}}}", tex_escape(name).replace("--", "-{}-").replace('.', ".\\allowbreak{}"))
            }
        };
    }
    out
}

/// An id as it stands in the file, where it is for programs: it is never set.
fn id_text(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect()
}

/// Words; quotation marks are curled by what stands before them.
fn prose(text: &str, first: bool) -> String {
    let mut out = String::new();
    let mut before = if first { ' ' } else { 'x' };
    for c in text.chars() {
        match c {
            '"' if before.is_whitespace() || before == '(' => out += "``",
            '"' => out += "''",
            c => out += &tex_escape(&c.to_string()),
        }
        before = c;
    }
    out
}

/// `10^−8` as a power.
fn powers(text: &str) -> String {
    let mark = "10\\textasciicircum{}";
    let Some(at) = text.find(mark) else { return text.to_string() };
    let rest = text[at + mark.len()..].replace("$-$", "-");
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
    format!("{}$10^{{{}}}${}", &text[..at], &rest[..end], powers(&rest[end..]))
}

/// Text for the file's own data, without commands.
fn bare(inlines: &[Inline]) -> String {
    let text: String = inlines
        .iter()
        .map(|i| match i {
            Inline::Text(text) | Inline::Fact { text, .. } | Inline::Code(text) => text.as_str(),
            _ => "",
        })
        .collect();
    text.replace(NBSP, " ")
        .chars()
        .filter(|c| c.is_ascii() && !matches!(c, '\\' | '{' | '}' | '%' | '#' | '$' | '&' | '~' | '^' | '_'))
        .collect()
}
