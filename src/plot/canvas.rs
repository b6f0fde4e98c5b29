//! The paper: plain shapes and text in units, as SVG through plotters' backend or as a picture for TikZ.

use super::style::{DASHES, Hatch, INK, Marker, PAPER, SOLID};
use super::tikz::Tikz;
use plotters::prelude::{DrawingBackend, FontStyle, IntoFont, RGBColor, SVGBackend, ShapeStyle, TextStyle};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Width of every figure on a screen, in units. At a width of 360 px a unit is 0.78 px.
pub const WIDTH: f64 = 460.0;
/// Size of the smallest text, in units: 10 px at a width of 360 px, 18 px at 640 px.
pub const TEXT: f64 = 13.0;
/// Size of a title, and of a title's text in the estimate of widths: it is bold.
pub(super) const TITLE: f64 = 15.0;
pub(super) const TITLE_WIDE: f64 = TITLE * 1.14;
/// Distance of text lines.
pub(super) const LINE: f64 = 17.0;

/// The backend has whole coordinates only, so a unit is drawn as four.
pub(super) const SCALE: f64 = 4.0;
/// The backend knows no dashes and would have them drawn one by one, at many times the size. So a dashed line is drawn
/// with a stroke width beyond this, which is turned into the dash when the SVG is complete.
const DASHED: u32 = 20;
/// plotters' SVG backend divides font sizes by this.
const BACKEND_FONT: f64 = 1.24;

/// Which point of a text lies at its coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A point in units, from the top left.
pub(super) type Point = (f64, f64);

/// A rectangle in units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    /// A point given by its shares of width and height, from the bottom left as in a chart.
    pub fn at(&self, (x, y): Point) -> Point {
        (self.left + x * (self.right - self.left), self.bottom - y * (self.bottom - self.top))
    }
}

/// For what is drawn, and how wide it is in units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sheet {
    pub width: f64,
    /// A picture for TikZ, without a title: the caption has it.
    pub print: bool,
}

impl Sheet {
    /// SVG for screens.
    pub const SCREEN: Sheet = Sheet { width: WIDTH, print: false };

    /// TikZ, this wide in units.
    pub fn print(width: f64) -> Sheet {
        Sheet { width, print: true }
    }

    /// The lines of a title.
    pub fn title(&self, title: &str, room: f64) -> Vec<String> {
        if self.print { Vec::new() } else { wrap(title, room, TITLE_WIDE, 3) }
    }
}

/// What is being drawn on.
pub(super) struct Canvas<'a> {
    backend: Backend<'a>,
}

enum Backend<'a> {
    Svg(SVGBackend<'a>),
    Tikz(Tikz),
}

/// Draws on white paper of the sheet's width by `height` and returns the SVG (scalable, with the title for screen readers), or
/// the picture for TikZ.
pub(super) fn render(sheet: Sheet, title: &str, height: f64, draw: impl FnOnce(&mut Canvas)) -> String {
    let (width, height) = (whole(sheet.width), whole(height));
    if sheet.print {
        let mut canvas = Canvas { backend: Backend::Tikz(Tikz::default()) };
        draw(&mut canvas);
        return match canvas.backend {
            Backend::Tikz(tikz) => tikz.finish(width, height),
            Backend::Svg(_) => String::new(),
        };
    }
    let mut svg = String::new();
    {
        let backend = SVGBackend::with_string(&mut svg, (width as u32, height as u32));
        let mut canvas = Canvas { backend: Backend::Svg(backend) };
        let paper = Area { left: 0.0, top: 0.0, right: sheet.width, bottom: f64::from(height) / SCALE };
        canvas.fill(paper, PAPER, 1.0);
        draw(&mut canvas);
        if let Backend::Svg(svg) = &mut canvas.backend {
            // Writing to a string cannot fail.
            let _ = svg.present();
        }
    }
    let title = clean(title).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let svg = with_dashes(svg);
    let body = svg.split_once('\n').map_or("", |(_, body)| body);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"100%\" \
         style=\"max-width:{}px\" stroke-linejoin=\"round\" role=\"img\">\n<title>{title}</title>\n{body}",
        sheet.width * 1.5
    )
}

impl Canvas<'_> {
    /// Text at one line's middle height; what is wider than `room` is cut with an ellipsis.
    pub fn text(&mut self, text: &str, (x, y): Point, anchor: Anchor, room: f64) {
        self.styled(&fit(text, room, TEXT), (x, y), anchor, TEXT, false);
    }

    /// A title's line.
    pub fn title(&mut self, text: &str, at: Point) {
        self.styled(text, at, Anchor::Start, TITLE, true);
    }

    fn styled(&mut self, text: &str, (x, y): Point, anchor: Anchor, size: f64, bold: bool) {
        let h = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let font = ("sans-serif", size * SCALE * BACKEND_FONT).into_font();
        let font = if bold { font.style(FontStyle::Bold) } else { font };
        // The backend's vertical centring by `ex` differs between viewers: the baseline is placed here, a third of the
        // size below the middle, and the backend's own shift for `Bottom` (half an x-height up) is made up for.
        let style = TextStyle::from(font).color(&INK).pos(Pos::new(h, VPos::Bottom));
        match &mut self.backend {
            Backend::Svg(svg) => {
                let _ = svg.draw_text(text, &style, place((x, y + size * 0.61)));
            }
            Backend::Tikz(tikz) => tikz.text(text, place((x, y + size * 0.27)), anchor, INK),
        }
    }

    /// A line through points in one of the [`DASHES`].
    pub fn line(&mut self, points: &[Point], colour: RGBColor, width: f64, dash: usize) {
        let placed = points.iter().copied().map(place);
        match &mut self.backend {
            Backend::Svg(svg) => {
                let stroke_width = (whole(width) as u32).clamp(1, DASHED - 1) + dash as u32 * DASHED;
                let style = ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width };
                let _ = svg.draw_path(placed, &style);
            }
            Backend::Tikz(tikz) => tikz.line(&placed.collect::<Vec<_>>(), colour, width, DASHES[dash % DASHES.len()]),
        }
    }

    /// A filled rectangle.
    pub fn fill(&mut self, area: Area, colour: RGBColor, opacity: f64) {
        let style = ShapeStyle { color: colour.mix(opacity), filled: true, stroke_width: 0 };
        let corners = (place((area.left, area.top)), place((area.right, area.bottom)));
        match &mut self.backend {
            Backend::Svg(svg) => {
                let _ = svg.draw_rect(corners.0, corners.1, &style, true);
            }
            Backend::Tikz(tikz) => tikz.rectangle(corners.0, corners.1, colour, opacity),
        }
    }

    /// A filled polygon.
    pub fn polygon(&mut self, points: &[Point], colour: RGBColor, opacity: f64) {
        let style = ShapeStyle { color: colour.mix(opacity), filled: true, stroke_width: 0 };
        let placed = points.iter().copied().map(place);
        match &mut self.backend {
            Backend::Svg(svg) => {
                let _ = svg.fill_polygon(placed, &style);
            }
            Backend::Tikz(tikz) => tikz.polygon(&placed.collect::<Vec<_>>(), colour, opacity),
        }
    }

    /// The outline of a rectangle.
    pub fn frame(&mut self, a: Area, colour: RGBColor, width: f64) {
        let corners = [(a.left, a.top), (a.right, a.top), (a.right, a.bottom), (a.left, a.bottom), (a.left, a.top)];
        self.line(&corners, colour, width, SOLID);
    }

    /// A point's marker with a white rim, so that it stands out from what lies beneath.
    pub fn marker(&mut self, (x, y): Point, marker: Marker, colour: RGBColor) {
        for (r, colour) in [(4.6, PAPER), (3.6, colour)] {
            let shape: Vec<Point> = match marker {
                Marker::Circle => {
                    let style = ShapeStyle { color: colour.to_rgba(), filled: true, stroke_width: 0 };
                    match &mut self.backend {
                        Backend::Svg(svg) => {
                            let _ = svg.draw_circle(place((x, y)), whole(r) as u32, &style, true);
                        }
                        Backend::Tikz(tikz) => tikz.circle(place((x, y)), r, colour),
                    }
                    continue;
                }
                Marker::Square => vec![(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
                Marker::Triangle => vec![(0.0, -1.2), (1.15, 0.9), (-1.15, 0.9)],
                Marker::Diamond => vec![(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
                Marker::TriangleDown => vec![(0.0, 1.2), (1.15, -0.9), (-1.15, -0.9)],
                Marker::TriangleLeft => vec![(-1.2, 0.0), (0.9, -1.15), (0.9, 1.15)],
                Marker::TriangleRight => vec![(1.2, 0.0), (-0.9, -1.15), (-0.9, 1.15)],
            };
            let shape: Vec<Point> = shape.into_iter().map(|(dx, dy)| (x + dx * r, y + dy * r)).collect();
            self.polygon(&shape, colour, 1.0);
        }
    }

    /// A bar: filled, hatched, outlined.
    pub fn bar(&mut self, area: Area, colour: RGBColor, hatch: Hatch) {
        self.fill(area, colour, 1.0);
        let (rising, falling, upright) = match hatch {
            Hatch::None => (false, false, false),
            Hatch::Rising => (true, false, false),
            Hatch::Falling => (false, true, false),
            Hatch::Upright => (false, false, true),
            Hatch::Crossed => (true, true, false),
        };
        let height = area.bottom - area.top;
        let mut x = area.left - height;
        while x < area.right {
            // A line at 45 degrees from x at the bottom to x + height at the top, cut to the bar.
            let (from, to) = (x.max(area.left), (x + height).min(area.right));
            let (low, high) = (area.bottom - (from - x), area.bottom - (to - x));
            if rising && to > from {
                self.line(&[(from, low), (to, high)], PAPER, 1.25, SOLID);
            }
            if falling && to > from {
                let flip = |y: f64| area.top + area.bottom - y;
                self.line(&[(from, flip(low)), (to, flip(high))], PAPER, 1.25, SOLID);
            }
            if upright && x > area.left {
                self.line(&[(x, area.top), (x, area.bottom)], PAPER, 1.25, SOLID);
            }
            x += 6.0;
        }
        self.frame(area, INK, 0.75);
    }
}

fn whole(units: f64) -> i32 {
    // Saturating and never NaN, whatever the data were.
    let scaled = (units * SCALE).round();
    if scaled.is_finite() { scaled.clamp(-1e6, 1e6) as i32 } else { 0 }
}

fn place((x, y): Point) -> (i32, i32) {
    (whole(x), whole(y))
}

/// Replaces the stroke widths that stand for dashes.
fn with_dashes(mut svg: String) -> String {
    for (i, dash) in DASHES.iter().enumerate().skip(1) {
        let lengths: Vec<String> = dash.iter().map(|d| whole(*d).to_string()).collect();
        for width in 1..DASHED {
            let code = format!("stroke-width=\"{}\"", i as u32 * DASHED + width);
            if svg.contains(&code) {
                svg =
                    svg.replace(&code, &format!("stroke-width=\"{width}\" stroke-dasharray=\"{}\"", lengths.join(" ")));
            }
        }
    }
    svg
}

/// Without what may not stand in XML or would break a line.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c }).collect()
}

/// Width of a text, on the generous side: the viewer's sans-serif font is not known.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let em: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | 'I' => 0.34,
            'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' => 0.42,
            'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.96,
            'A'..='Z' | '+' | '=' | '<' | '>' | '\u{2212}' | '~' | '#' => 0.76,
            c if (c as u32) < 0x1100 => 0.63,
            _ => 1.0,
        })
        .sum();
    em * size
}

/// The text, or as much of it as fits, with an ellipsis.
pub(super) fn fit(text: &str, room: f64, size: f64) -> String {
    let text = clean(text);
    if width(&text, size) <= room {
        return text;
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if width(&short, size) + size > room {
            short.pop();
            break;
        }
    }
    format!("{}\u{2026}", short.trim_end())
}

/// Lines of at most `room`, broken at spaces where possible; the last of at most `lines` is cut with an ellipsis.
pub(super) fn wrap(text: &str, room: f64, size: f64, lines: usize) -> Vec<String> {
    let text = clean(text);
    let mut out: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let full = out.len() == lines;
        match out.last_mut() {
            Some(line) if full || width(&format!("{line} {word}"), size) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => out.push(word.to_string()),
        }
    }
    out.iter().map(|line| fit(line, room, size)).collect()
}
