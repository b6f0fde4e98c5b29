//! A second paper beside SVG: pictures for TikZ, whose text LaTeX sets in the document's own font.
//!
//! Coordinates are those of the SVG (quarters of a unit, from the top left). A unit is [`UNIT`] points, so that the smallest
//! text of a figure is printed at [`FONT`] points whatever the figure's width.

use super::canvas::{Anchor, SCALE, TEXT};
use plotters::style::RGBColor;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Size of the text in figures, in points.
pub const FONT: f64 = 8.0;
/// Length of a unit in points.
pub const UNIT: f64 = FONT / TEXT;

/// A picture being written. Colours are named by their value and defined at its beginning.
#[derive(Debug, Default)]
pub(super) struct Tikz {
    body: String,
    colours: BTreeSet<(u8, u8, u8)>,
}

/// Points of whole quarter units.
type At = (i32, i32);

impl Tikz {
    fn colour(&mut self, colour: RGBColor) -> String {
        let RGBColor(r, g, b) = colour;
        self.colours.insert((r, g, b));
        name((r, g, b))
    }

    fn options(&mut self, colour: RGBColor, opacity: f64) -> String {
        let colour = self.colour(colour);
        if opacity < 1.0 { format!("{colour},fill opacity={opacity:.2}") } else { colour }
    }

    /// A line; `dash` in quarter units, empty for solid.
    pub fn line(&mut self, points: &[At], colour: RGBColor, width: f64, dash: &[f64]) {
        let colour = self.colour(colour);
        let pattern: Vec<String> = dash
            .iter()
            .enumerate()
            .map(|(i, d)| format!("{} {:.2}pt", if i.is_multiple_of(2) { "on" } else { "off" }, d * UNIT))
            .collect();
        let dash = if dash.is_empty() { String::new() } else { format!(",dash pattern={}", pattern.join(" ")) };
        let _ = writeln!(self.body, "\\draw[{colour},line width={:.2}pt{dash}] {};", width * UNIT, path(points));
    }

    /// A filled polygon.
    pub fn polygon(&mut self, points: &[At], colour: RGBColor, opacity: f64) {
        let options = self.options(colour, opacity);
        let _ = writeln!(self.body, "\\fill[{options}] {} -- cycle;", path(points));
    }

    /// A filled rectangle.
    pub fn rectangle(&mut self, from: At, to: At, colour: RGBColor, opacity: f64) {
        let options = self.options(colour, opacity);
        let _ = writeln!(self.body, "\\fill[{options}] ({},{}) rectangle ({},{});", from.0, from.1, to.0, to.1);
    }

    /// A filled circle; its radius in units.
    pub fn circle(&mut self, at: At, radius: f64, colour: RGBColor) {
        let colour = self.colour(colour);
        let _ = writeln!(self.body, "\\fill[{colour}] ({},{}) circle[radius={:.2}pt];", at.0, at.1, radius * UNIT);
    }

    /// Text whose baseline lies at `at`.
    pub fn text(&mut self, text: &str, at: At, anchor: Anchor, colour: RGBColor) {
        let colour = self.colour(colour);
        let anchor = match anchor {
            Anchor::Start => "base west",
            Anchor::Middle => "base",
            Anchor::End => "base east",
        };
        let text = escape(text);
        let _ = writeln!(
            self.body,
            "\\node[{colour},anchor={anchor},inner sep=0pt] at ({},{}) {{\\figurefont {text}}};",
            at.0, at.1
        );
    }

    /// The whole picture of this size in quarter units.
    pub fn finish(self, width: i32, height: i32) -> String {
        let unit = UNIT / SCALE;
        let mut out = format!(
            "\\begin{{tikzpicture}}[x={unit:.5}pt,y=-{unit:.5}pt,line cap=butt,line join=round]\n\
             \\providecommand\\figurefont{{\\sffamily\\fontsize{{{FONT}}}{{{:.1}}}\\selectfont}}\n",
            FONT * 1.2
        );
        for colour in &self.colours {
            let (r, g, b) = colour;
            let _ = writeln!(out, "\\definecolor{{{}}}{{HTML}}{{{r:02X}{g:02X}{b:02X}}}", name(*colour));
        }
        let _ = writeln!(out, "\\useasboundingbox (0,0) rectangle ({width},{height});");
        out + &self.body + "\\end{tikzpicture}%\n"
    }
}

/// `nr0072b2`.
fn name((r, g, b): (u8, u8, u8)) -> String {
    format!("nr{r:02x}{g:02x}{b:02x}")
}

/// Points of a path, a few on a line.
fn path(points: &[At]) -> String {
    let mut out = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = write!(
            out,
            "{}({x},{y})",
            if i == 0 {
                ""
            } else if i.is_multiple_of(8) {
                "\n -- "
            } else {
                " -- "
            }
        );
    }
    out
}

/// Text as TeX sets it: what has a meaning in TeX is printed, what its fonts lack is named by its code.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out += "\\textbackslash{}",
            '{' => out += "\\{",
            '}' => out += "\\}",
            '$' | '&' | '#' | '%' | '_' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '<' => out += "\\textless{}",
            '>' => out += "\\textgreater{}",
            '|' => out += "\\textbar{}",
            '"' => out += "\\textquotedbl{}",
            '\u{a0}' => out.push('~'),
            '\u{2009}' | '\u{202f}' => out += "\\,",
            '\u{2212}' => out += "$-$",
            '\u{d7}' => out += "$\\times$",
            '\u{b1}' => out += "$\\pm$",
            '\u{b0}' => out += "\\textdegree{}",
            '\u{b5}' | '\u{3bc}' => out += "\\textmu{}",
            '\u{2026}' => out += "\\ldots{}",
            '\u{2013}' => out += "--",
            '\u{2014}' => out += "---",
            '\u{2018}' => out.push('`'),
            '\u{2019}' => out.push('\''),
            '\u{201c}' => out += "``",
            '\u{201d}' => out += "''",
            '\u{2264}' => out += "$\\le$",
            '\u{2265}' => out += "$\\ge$",
            '\u{2192}' => out += "$\\to$",
            '\u{3b1}' => out += "$\\alpha$",
            '\u{3b2}' => out += "$\\beta$",
            '\u{3c1}' => out += "$\\rho$",
            '\u{3c3}' => out += "$\\sigma$",
            c if c.is_control() => out.push(' '),
            // Latin letters that T1-encoded fonts have.
            c if c.is_ascii() || matches!(u32::from(c), 0xC0..=0x17E) => out.push(c),
            c => {
                let _ = write!(out, "[U+{:04X}]", u32::from(c));
            }
        }
    }
    out
}
