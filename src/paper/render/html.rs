//! `paper.html`: one file, figures and style within it. Every number carries the id of its fact.

use super::{citation, plain, reference};
use crate::figures::Chart;
use crate::paper::document::{Document, Figure, Table};
use crate::paper::prose::{Inline, Piece};

/// The whole page.
pub fn html(document: &Document) -> String {
    let title = escape(&plain(&document.title, &|_| String::new(), &[]));
    let mut out = format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<article>\n<h1>{}</h1>\n<p class=by>{}<br>{}</p>\n\
         <section class=abstract><h2>Abstract</h2>\n{}</section>\n",
        line(document, &document.title),
        escape(&document.byline),
        escape(&document.date),
        pieces(document, &document.summary)
    );
    for (i, section) in document.sections.iter().enumerate() {
        let text = pieces(document, &section.pieces);
        out += &format!(
            "<section id=\"{}\"><h2><span class=no>{}</span> {}</h2>\n{text}</section>\n",
            section.label,
            i + 1,
            line(document, &section.title)
        );
    }
    if !document.references.is_empty() {
        out += "<section><h2>References</h2>\n<ul class=refs>\n";
        for record in &document.references {
            let address = match (&record.doi, &record.url) {
                (Some(doi), _) => Some(format!("https://doi.org/{doi}")),
                (None, url) => url.clone(),
            };
            let link = address.map(|a| format!(" <a href=\"{0}\">{0}</a>", escape(&a))).unwrap_or_default();
            out += &format!("<li id=\"ref-{}\">{}{link}</li>\n", escape(&record.key), escape(&reference(record)));
        }
        out += "</ul></section>\n";
    }
    out + "</article>\n</html>\n"
}

fn pieces(document: &Document, pieces: &[Piece]) -> String {
    let one = |piece: &Piece| match piece {
        Piece::Paragraph(inlines) => format!("<p>{}</p>\n", line(document, inlines)),
        Piece::Heading(inlines) => format!("<h3>{}</h3>\n", line(document, inlines)),
        Piece::Items(items) => {
            let items: String = items.iter().map(|i| format!("<li>{}</li>\n", line(document, i))).collect();
            format!("<ul>\n{items}</ul>\n")
        }
        Piece::Float(label) => match (document.figures.get(label), document.tables.get(label)) {
            (Some(drawn), _) => figure(document, label, drawn),
            (_, Some(made)) => table(document, label, made),
            _ => String::new(),
        },
    };
    pieces.iter().map(one).collect()
}

fn figure(document: &Document, label: &str, figure: &Figure) -> String {
    let charts: String = figure
        .panels
        .iter()
        .map(|p| {
            format!("<div style=\"flex:1 1 {:.0}%\">{}</div>\n", (100.0 * p.width - 2.0).max(30.0), in_page(&p.chart))
        })
        .collect();
    format!(
        "<figure id=\"{label}\">\n<div class=panels>{charts}</div>\n<figcaption><b>{}.</b> {}</figcaption></figure>\n",
        name(document, label),
        line(document, &figure.caption)
    )
}

/// A chart as it stands in the page: its title is in the caption.
pub fn in_page(chart: &Chart) -> String {
    chart.clone().titled("").svg()
}

fn table(document: &Document, label: &str, table: &Table) -> String {
    let class = |i: usize| if table.columns.get(i).is_some_and(|c| c.1) { " class=n" } else { "" };
    let titles: String = table
        .columns
        .iter()
        .enumerate()
        .map(|(i, (t, _))| format!("<th{}>{}</th>", class(i), line(document, t)))
        .collect();
    let mut rows = String::new();
    for row in &table.rows {
        rows += if row.apart { "<tr class=apart>" } else { "<tr>" };
        for (i, cell) in row.cells.iter().enumerate() {
            let text = line(document, cell);
            let text = if row.bold.contains(&i) { format!("<b>{text}</b>") } else { text };
            rows += &format!("<td{}>{text}</td>", class(i));
        }
        rows += "</tr>\n";
    }
    format!(
        "<figure id=\"{label}\" class=table><figcaption><b>{}.</b> {}</figcaption>\n<div class=scroll><table><thead><tr>{titles}</tr></thead>\n<tbody>\n{rows}</tbody></table></div></figure>\n",
        name(document, label),
        line(document, &table.caption)
    )
}

fn name(document: &Document, label: &str) -> String {
    document.numbers.get(label).map_or_else(|| label.to_string(), |(word, n)| format!("{word} {n}"))
}

fn line(document: &Document, inlines: &[Inline]) -> String {
    inlines
        .iter()
        .map(|inline| match inline {
            Inline::Text(text) => escape(text),
            Inline::Fact { id, text } => {
                format!("<data class=fact value=\"{}\">{}</data>", escape(id), powers(&escape(text)))
            }
            Inline::Cite { keys, textual } => {
                let first = keys.first().map(String::as_str).unwrap_or_default();
                let text = escape(&citation(keys, *textual, &document.references));
                format!("<a class=cite href=\"#ref-{}\">{text}</a>", escape(first))
            }
            Inline::Refer(label) => format!("<a href=\"#{label}\">{}</a>", name(document, label)),
            Inline::Code(text) => format!("<code>{}</code>", escape(text)),
        })
        .collect()
}

/// `10^−8` as a power.
fn powers(text: &str) -> String {
    let Some((before, rest)) = text.split_once("10^") else { return text.to_string() };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '\u{2212}').unwrap_or(rest.len());
    format!("{before}10<sup>{}</sup>{}", &rest[..end], powers(&rest[end..]))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "
:root{--ink:#1c1c1c;--soft:#5a5a5a;--line:#d9d9d9;--paper:#fff;color-scheme:light}
body{margin:0;background:var(--paper);color:var(--ink);font:1.05rem/1.6 Georgia,'Iowan Old Style','Palatino Linotype',serif}
article{max-width:44rem;margin:0 auto;padding:2.5rem 1.2rem 5rem}
h1{font:700 1.7rem/1.25 system-ui,sans-serif;text-wrap:balance;text-align:center;margin:0 0 .6rem}
h2{font:700 1.2rem/1.3 system-ui,sans-serif;margin:2.2rem 0 .5rem}h2 .no{color:var(--soft);margin-right:.4em}
h3{font:700 1rem/1.3 system-ui,sans-serif;margin:1.4rem 0 .3rem}
.by{text-align:center;color:var(--soft);margin:0 0 1.5rem}
.abstract{font-size:.97rem;padding:0 1.6rem}.abstract h2{font-size:1rem;margin:0;text-align:center}
p{margin:.55rem 0;hyphens:auto}a{color:inherit;text-decoration-color:#9bbad0}
figure{margin:1.6rem 0}figcaption{font-size:.9rem;line-height:1.45;color:#333}
.panels{display:flex;flex-wrap:wrap;gap:.6rem 1rem;justify-content:center;margin-bottom:.4rem}.panels svg{width:100%;height:auto;display:block;margin:0 auto}
.scroll{overflow-x:auto;margin-top:.4rem}table{border-collapse:collapse;font-size:.84rem;margin:0 auto;border-top:2px solid var(--ink);border-bottom:2px solid var(--ink);font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;border-bottom:1px solid var(--ink);padding:.3rem .42rem}td{padding:.22rem .42rem;vertical-align:top}.n{text-align:right}td.n{white-space:nowrap}tr.apart td{border-top:1px solid var(--line)}
.refs{list-style:none;padding:0;font-size:.92rem}.refs li{padding-left:1.4em;text-indent:-1.4em;margin:.35rem 0}
code{font-size:.88em}
@media screen and (max-width:38rem){.panels>div{flex-basis:100%!important}.abstract{padding:0}article{padding:1.2rem 1rem 3rem}}
@media print{article{max-width:none;padding:0}figure,tr{break-inside:avoid}}
";
