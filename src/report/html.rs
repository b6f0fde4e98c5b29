//! One self-contained HTML page: inline styles and SVG, no scripts, no network; legible on a phone and in print.
//!
//! Boundary: text in, text out; every string that comes from outside is escaped here.

use std::fmt::Write;

/// Escapes text for HTML content and attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A page under construction.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// A page with a title (also its first heading) and the line above it.
    pub fn new(kicker: &str, title: &str) -> Self {
        let mut page = Page { title: title.to_string(), body: String::new() };
        page.raw(&format!("<header><p class=kicker>{}</p><h1>{}</h1></header>", escape(kicker), escape(title)));
        page
    }

    fn raw(&mut self, html: &str) {
        self.body.push_str(html);
        self.body.push('\n');
    }

    /// A heading of the second level.
    pub fn heading(&mut self, text: &str) {
        self.raw(&format!("<h2>{}</h2>", escape(text)));
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.raw(&format!("<p>{}</p>", escape(text)));
    }

    /// The finding, set apart.
    pub fn finding(&mut self, text: &str) {
        self.raw(&format!("<p class=finding>{}</p>", escape(text)));
    }

    /// A remark in small letters: how to read a table.
    pub fn note(&mut self, text: &str) {
        self.raw(&format!("<p class=note>{}</p>", escape(text)));
    }

    /// A remark that only a print has.
    pub fn printed_only(&mut self, text: &str) {
        self.raw(&format!("<p class=printed>{}</p>", escape(text)));
    }

    /// Key figures side by side: (label, value, remark).
    pub fn cards(&mut self, cards: &[(String, String, String)]) {
        let mut html = String::from("<dl class=cards>");
        for (label, value, remark) in cards {
            let _ = write!(
                html,
                "<div><dt>{}</dt><dd>{}</dd><dd class=remark>{}</dd></div>",
                escape(label),
                escape(value),
                escape(remark)
            );
        }
        html.push_str("</dl>");
        self.raw(&html);
    }

    /// A figure (SVG from `plot`, trusted) with a caption.
    pub fn figure(&mut self, svg: &str, caption: &str) {
        let caption = escape(caption).replace("n = ", "n\u{a0}=\u{a0}");
        self.raw(&format!("<figure>{svg}<figcaption>{caption}</figcaption></figure>"));
    }

    /// Several small figures, side by side where there is room.
    pub fn figures(&mut self, drawn: &[(String, String)]) {
        self.raw("<div class=grid>");
        for (svg, caption) in drawn {
            self.figure(svg, caption);
        }
        self.raw("</div>");
    }

    /// A table; titles that start with `>` belong to numbers. On a phone each row becomes a block in which every cell carries
    /// its title, so that nothing has to be scrolled sideways.
    pub fn table(&mut self, titles: &[&str], rows: &[Vec<String>]) {
        let numeric: Vec<bool> = titles.iter().map(|t| t.starts_with('>')).collect();
        let class = |i: usize| if numeric.get(i) == Some(&true) { " class=n" } else { "" };
        let mut html = String::from("<div class=scroll><table><thead><tr>");
        for (i, title) in titles.iter().enumerate() {
            let _ = write!(html, "<th{}>{}</th>", class(i), escape(title.trim_start_matches('>')));
        }
        html.push_str("</tr></thead><tbody>");
        for row in rows {
            html.push_str("<tr>");
            for (i, cell) in row.iter().enumerate() {
                let title = titles.get(i).map_or("", |title| title.trim_start_matches('>'));
                let _ = write!(html, "<td{} data-t=\"{}\">{}</td>", class(i), escape(title), escape(cell));
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div>");
        self.raw(&html);
    }

    /// Long material behind a line that opens it; left out in print, where `campaign.toml` and the journal say the same.
    pub fn folded(&mut self, summary: &str, inside: impl FnOnce(&mut Page)) {
        self.raw(&format!("<details><summary>{}</summary>", escape(summary)));
        inside(self);
        self.raw("</details>");
    }

    /// Preformatted text: commands, configs.
    pub fn code(&mut self, text: &str) {
        self.raw(&format!("<pre>{}</pre>", escape(text.trim_end())));
    }

    /// The whole document.
    pub fn finish(self) -> String {
        format!(
            "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width, initial-scale=1\"><meta name=color-scheme content=light>\
             <title>{}</title><style>{STYLE}</style></head><body><main>\n{}</main></body></html>\n",
            escape(&self.title),
            self.body
        )
    }
}

const STYLE: &str = "
:root{--ink:#1b1f24;--soft:#59636e;--line:#d5dae0;--tint:#f5f7f9;--mark:#0072b2}
*{box-sizing:border-box}
body{margin:0;color:var(--ink);background:#fff;font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
header{border-bottom:2px solid var(--ink);margin-bottom:1.2rem}
.kicker{margin:0;color:var(--soft);font-size:.85rem;letter-spacing:.04em;text-transform:uppercase}
h1{font-size:1.7rem;line-height:1.25;margin:.2rem 0 .8rem;text-wrap:balance}
h2{font-size:1.2rem;margin:2.4rem 0 .6rem}
p{max-width:46rem}
.finding{font-size:1.12rem;border-left:4px solid var(--mark);padding:.2rem 0 .2rem .9rem;margin:1rem 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.7rem;margin:1.2rem 0}
.cards div{background:var(--tint);border:1px solid var(--line);border-radius:6px;padding:.6rem .8rem}
dt{color:var(--soft);font-size:.82rem}
dd{margin:0;font-size:1.2rem;font-weight:600;font-variant-numeric:tabular-nums}
dd.remark{font-size:.82rem;font-weight:400;color:var(--soft)}
figure{margin:1rem 0 1.6rem}
figure svg{width:100%;height:auto;display:block;max-width:36rem}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:0 1.4rem}
figcaption{color:var(--soft);font-size:.9rem;max-width:46rem}
.note{color:var(--soft);font-size:.85rem}
.printed{display:none}
.scroll{overflow-x:auto}
h1,p,dd,figcaption,td:last-child:not(.n){overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th{text-align:left;border-bottom:2px solid var(--ink);padding:.3rem .8rem .3rem 0;vertical-align:bottom}
td{border-bottom:1px solid var(--line);padding:.3rem .8rem .3rem 0;vertical-align:top}
.n{text-align:right}
td:last-child:not(.n){min-width:12rem}
pre{background:var(--tint);border:1px solid var(--line);border-radius:6px;padding:.7rem .9rem;overflow-x:auto;font-size:.85rem;line-height:1.45}
summary{cursor:pointer;font-weight:600;margin:.8rem 0}
@media screen and (max-width:40rem){
thead{display:none}
table,tbody{display:block}
tr{display:flex;flex-wrap:wrap;gap:.05rem .9rem;border-bottom:1px solid var(--line);padding:.5rem 0}
td{border:0;padding:0;text-align:left}
td:nth-child(n){max-width:100%;overflow-wrap:anywhere}
td.n{text-align:left}
td:last-child:not(.n){flex-basis:100%;min-width:0}
td:empty{display:none}
td::before{content:attr(data-t) ' ';color:var(--soft);font-size:.85em}
pre{white-space:pre-wrap;overflow-wrap:anywhere}
}
@media print{
@page{size:A4;margin:15mm 14mm 16mm}
html{font-size:9.5pt}
body{font-size:1rem}
main{max-width:none;padding:0}
h1{font-size:1.6rem}
h2{margin:1.6rem 0 .4rem;break-after:avoid}
h2+p{break-after:avoid}
p{orphans:3;widows:3}
figure,tr,.finding,.cards,pre{break-inside:avoid}
figure{margin:.6rem 0 1rem}
figure svg{max-width:11.5cm!important}
.grid{grid-template-columns:1fr 1fr;gap:0 .8cm}
.cards{grid-template-columns:repeat(3,1fr)}
table{font-size:.85rem}
td,th{padding:.12rem .5rem .12rem 0}
details{display:none}
.printed{display:block;break-before:avoid;color:var(--soft);font-size:.9rem}
pre{white-space:pre-wrap}
.scroll{overflow:visible}
}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_cannot_become_markup() {
        let mut page = Page::new("k", "<script>alert(1)</script>");
        page.table(&["a", ">b"], &[vec!["<b>".into(), "1 & 2".into()]]);
        page.code("\"'<");
        let html = page.finish();
        assert!(!html.contains("<script"), "{html}");
        assert!(
            html.contains("&lt;b&gt;")
                && html.contains("<td class=n data-t=\"b\">1 &amp; 2</td>")
                && html.contains("&quot;&#39;&lt;")
        );
    }
}
