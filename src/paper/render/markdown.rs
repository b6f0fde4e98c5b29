//! `paper.md`: the same document for repositories and mail.

use super::{citation, plain, reference};
use crate::paper::document::{Document, Figure, Table};
use crate::paper::prose::{Inline, Piece};

/// The whole file. Figures are in `figures/`.
pub fn markdown(document: &Document) -> String {
    let mut out = format!("# {}\n\n{}, {}\n\n", line(document, &document.title), document.byline, document.date);
    out += "**Abstract.** ";
    out += &pieces(document, &document.summary);
    for (i, section) in document.sections.iter().enumerate() {
        out += &format!("## {}. {}\n\n", i + 1, line(document, &section.title));
        out += &pieces(document, &section.pieces);
    }
    if !document.references.is_empty() {
        out += "## References\n\n";
        for record in &document.references {
            let address = match (&record.doi, &record.url) {
                (Some(doi), _) => format!(" <https://doi.org/{doi}>"),
                (None, Some(url)) => format!(" <{url}>"),
                _ => String::new(),
            };
            out += &format!("- {}{address}\n", escape(&reference(record)));
        }
    }
    out
}

fn pieces(document: &Document, pieces: &[Piece]) -> String {
    let one = |piece: &Piece| match piece {
        Piece::Paragraph(inlines) => format!("{}\n\n", line(document, inlines)),
        Piece::Heading(inlines) => format!("### {}\n\n", line(document, inlines)),
        Piece::Items(items) => items.iter().map(|i| format!("- {}\n", line(document, i))).collect::<String>() + "\n",
        Piece::Float(label) => match (document.figures.get(label), document.tables.get(label)) {
            (Some(drawn), _) => figure(document, label, drawn),
            (_, Some(made)) => table(document, label, made),
            _ => String::new(),
        },
    };
    pieces.iter().map(one).collect()
}

fn figure(document: &Document, label: &str, figure: &Figure) -> String {
    let caption = caption(document, label, &figure.caption);
    let images: String =
        figure.panels.iter().map(|p| format!("![{}](figures/{}.svg)\n", p.name.replace('-', " "), p.name)).collect();
    format!("{images}\n{caption}\n\n")
}

fn table(document: &Document, label: &str, table: &Table) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = format!("{}\n\n", caption(document, label, &table.caption));
    out += &row(table.columns.iter().map(|(t, _)| line(document, t)).collect());
    out += &row(table.columns.iter().map(|(_, number)| if *number { "---:" } else { "---" }.to_string()).collect());
    for made in &table.rows {
        let cells = made.cells.iter().enumerate().map(|(i, cell)| {
            let text = line(document, cell);
            if made.bold.contains(&i) { format!("**{text}**") } else { text }
        });
        out += &row(cells.collect());
    }
    out + "\n"
}

fn caption(document: &Document, label: &str, text: &[Inline]) -> String {
    format!("**{}.** {}", name(document, label), line(document, text))
}

fn name(document: &Document, label: &str) -> String {
    document.numbers.get(label).map_or_else(|| label.to_string(), |(word, n)| format!("{word} {n}"))
}

fn line(document: &Document, inlines: &[Inline]) -> String {
    inlines
        .iter()
        .map(|inline| match inline {
            Inline::Code(text) => format!("`{text}`"),
            Inline::Cite { keys, textual } => escape(&citation(keys, *textual, &document.references)),
            other => escape(&plain(std::slice::from_ref(other), &|label| name(document, label), &[])),
        })
        .collect()
}

/// What Markdown would take for its own.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '*' | '_' | '`' | '|' | '\\' | '<' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
