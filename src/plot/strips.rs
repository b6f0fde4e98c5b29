//! Points along one axis in a row a name, with the middle of each row: what choices did, value by value.

use super::axis::{Axis, Scale};
use super::canvas::{Anchor, Area, Canvas, LINE, Sheet, TEXT, render, wrap};
use super::figure::vertical_grid;
use super::glyph::Glyph;
use super::lanes::{End, Lane, Lanes, beyond_name};
use super::legend::{Legend, SAMPLE};
use super::rows::{MARGIN, Rows};
use super::style::{AXIS, DOTTED, INK, PAPER, SOLID, colour, dash, marker};
use super::tikz::UNIT;

/// Width of a strip beside the field: a sign and a number of three digits.
const DEPTH: f64 = 40.0;
/// Heights at which points that nearly meet are drawn in turn, from the row's middle.
const OFFSETS: [f64; 5] = [0.0, -4.0, 4.0, -2.0, 2.0];

/// A named row of points.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StripRow {
    /// Written at the left, or above where the labels of a chart are long.
    pub label: String,
    /// In any order; one that is not finite is left out, one beyond a fixed range counted in a strip at that end.
    pub points: Vec<f64>,
    /// Drawn as a stroke: a median. None for no stroke.
    pub middle: Option<f64>,
    /// How many have no value.
    pub missing: usize,
    /// Written at the right.
    pub note: String,
}

/// Rows of points over one axis.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StripChart {
    /// Heading; wraps.
    pub title: String,
    /// The axis of all points.
    pub x: Axis,
    /// Colour and marker of the points.
    pub style: usize,
    /// What a point, the stroke and a cross are called in the legend.
    pub names: [String; 3],
    /// At which end what has no value is counted.
    pub missing: End,
    /// A vertical line over all rows: its name, its style and where.
    pub rule: Option<(String, usize, f64)>,
    /// From top to bottom.
    pub rows: Vec<StripRow>,
    /// Whether it has a legend.
    pub legend: bool,
    /// Rows of all charts of its figure: it leaves as much room for labels, notes and strips as these need, so that the fields
    /// of all have the same width.
    pub beside: Vec<StripRow>,
}

/// What the legend has a sample of.
#[derive(Clone, Copy)]
enum Entry {
    Point,
    Middle,
    Rule(usize),
    Beyond(End),
    Missing,
}

impl StripChart {
    /// Draws it as SVG text.
    pub fn svg(&self) -> String {
        self.draw(Sheet::SCREEN)
    }

    /// Draws it as a picture for TikZ, `points` wide, without its title.
    pub fn tikz(&self, points: f64) -> String {
        self.draw(Sheet::print(points / UNIT))
    }

    /// Strips at the ends of the axis of some rows: the second number of a point is its row.
    fn lanes(&self, rows: &[StripRow], x: &Scale) -> Lanes {
        let mut lanes = Lanes::default();
        for end in [End::Low, End::High] {
            let out = |share: f64| if end == End::Low { share < 0.0 } else { share > 1.0 };
            let beyond = rows.iter().enumerate().flat_map(|(i, row)| {
                let outside = row.points.iter().filter_map(|v| x.share(*v)).filter(|s| out(*s));
                outside.map(move |share| (share, i))
            });
            lanes.push(Lane::Beyond(end, beyond.collect()));
            let here = |row: &StripRow| if end == self.missing { row.missing } else { 0 };
            let missing = rows.iter().enumerate().flat_map(|(i, row)| vec![i as f64; here(row)]);
            lanes.push(Lane::Missing(end, missing.collect()));
        }
        lanes
    }

    fn entries(&self, beyond: &[(End, usize)]) -> Vec<(Entry, String)> {
        let [point, middle, missing] = &self.names;
        let mut entries = Vec::new();
        if !self.legend {
            return entries;
        }
        let failed: usize = self.rows.iter().map(|row| row.missing).sum();
        if self.rows.iter().any(|row| !row.points.is_empty()) {
            entries.push((Entry::Point, point.clone()));
            entries.push((Entry::Middle, middle.clone()));
        }
        entries.extend(self.rule.as_ref().map(|(name, style, _)| (Entry::Rule(*style), name.clone())));
        entries.extend(beyond_name(beyond).map(|name| (Entry::Beyond(beyond[0].0), name)));
        entries.extend((failed > 0).then(|| (Entry::Missing, format!("{missing} ({failed})"))));
        entries
    }

    fn draw(&self, sheet: Sheet) -> String {
        let rule = self.rule.iter().map(|r| r.2);
        let x = Scale::new(&self.x, self.rows.iter().flat_map(|r| r.points.iter().copied()).chain(rule), false);
        let room = sheet.width - 2.0 * MARGIN;
        let title = sheet.title(&self.title, room);
        let lanes = self.lanes(&self.rows, &x);
        let all: Vec<StripRow> = self.rows.iter().chain(&self.beside).cloned().collect();
        let entries = self.entries(&lanes.beyond());
        let legend = Legend::new(entries.iter().map(|e| e.1.as_str()), room);
        let x_label = wrap(&self.x.label, room, TEXT, 2);
        let legend_top = MARGIN + title.len() as f64 * (LINE + 2.0) + 2.0;
        let top = legend_top + legend.height() + 6.0;
        let texts = all.iter().map(|r| (r.label.as_str(), r.note.as_str()));
        let rows = Rows::new(sheet, top, self.rows.len(), texts);
        let field = self.lanes(&all, &x).inner_of_width(rows.area, DEPTH);
        let below = field.bottom + LINE + 6.0;
        let height = below + x_label.len() as f64 * LINE + MARGIN;
        render(sheet, &self.title, height, |canvas| {
            for (i, line) in title.iter().enumerate() {
                canvas.title(line, (MARGIN, MARGIN + (i as f64 + 0.5) * (LINE + 2.0)));
            }
            legend.draw(canvas, MARGIN, legend_top, |canvas, i, left, middle| {
                let centre = (left + SAMPLE / 2.0, middle);
                match entries[i].0 {
                    Entry::Point => canvas.marker(centre, marker(self.style), colour(self.style)),
                    Entry::Middle => stroke(canvas, centre, 6.0),
                    Entry::Rule(style) => {
                        canvas.line(&[(left, middle), (left + SAMPLE, middle)], colour(style), 1.0, dash(style));
                    }
                    Entry::Beyond(end) => canvas.marker(centre, end.horizontal(), AXIS),
                    Entry::Missing => canvas.glyph(centre, Glyph::Cross),
                }
            });
            vertical_grid(canvas, &x, field, sheet.width);
            for (i, line) in x_label.iter().enumerate() {
                canvas.text(line, (sheet.width / 2.0, below + (i as f64 + 0.5) * LINE), Anchor::Middle, room);
            }
            if x.empty {
                // In the last row, where a label above it is out of the way.
                let (centre, middle) = (field.at((0.5, 0.5)).0, rows.middle(self.rows.len().max(1) - 1));
                canvas.text("no data yet", (centre, middle), Anchor::Middle, room);
            }
            if let Some((_, style, value)) = &self.rule
                && let Some(share) = x.share(*value).filter(|s| (0.0..=1.0).contains(s))
            {
                canvas.line(&[field.at((share, 0.0)), field.at((share, 1.0))], colour(*style), 1.0, dash(*style));
            }
            for (i, row) in self.rows.iter().enumerate() {
                rows.write(canvas, i, &row.label, &row.note);
                self.points(canvas, row, &x, field, rows.middle(i));
            }
            for (lane, middle, edge) in lanes.beside(field, DEPTH) {
                canvas.line(&[(edge, field.top), (edge, field.bottom)], AXIS, 0.75, DOTTED);
                for i in 0..self.rows.len() {
                    let n = match lane {
                        Lane::Beyond(_, points) => points.iter().filter(|p| p.1 == i).count(),
                        Lane::Missing(_, places) => places.iter().filter(|p| **p as usize == i).count(),
                    };
                    if n == 0 {
                        continue;
                    }
                    let at = (if n > 1 { middle - 13.0 } else { middle }, rows.middle(i));
                    match lane {
                        Lane::Beyond(end, _) => canvas.marker(at, end.horizontal(), colour(self.style)),
                        Lane::Missing(..) => canvas.glyph(at, Glyph::Cross),
                    }
                    if n > 1 {
                        canvas.text(&n.to_string(), (at.0 + 8.0, at.1), Anchor::Start, f64::INFINITY);
                    }
                }
            }
            canvas.line(&[field.at((0.0, 1.0)), field.at((0.0, 0.0))], AXIS, 1.0, SOLID);
            canvas.line(&[(rows.area.left, field.bottom), (rows.area.right, field.bottom)], AXIS, 1.0, SOLID);
        })
    }

    /// A row's points, those that nearly meet at different heights, and its stroke over them.
    fn points(&self, canvas: &mut Canvas, row: &StripRow, x: &Scale, field: Area, middle: f64) {
        let inside = |v: &f64| x.share(*v).filter(|s| (0.0..=1.0).contains(s));
        let mut places: Vec<f64> = row.points.iter().filter_map(inside).map(|s| field.at((s, 0.0)).0).collect();
        places.sort_by(f64::total_cmp);
        if let Some(share) = row.middle.as_ref().and_then(inside) {
            stroke(canvas, (field.at((share, 0.0)).0, middle), 9.0);
        }
        let mut turn = 0;
        for (i, at) in places.iter().enumerate() {
            turn = if i > 0 && at - places[i - 1] < 7.0 { turn + 1 } else { 0 };
            canvas.marker((*at, middle + OFFSETS[turn % OFFSETS.len()]), marker(self.style), colour(self.style));
        }
    }
}

/// The stroke of a middle, this far up and down.
fn stroke(canvas: &mut Canvas, (x, y): (f64, f64), reach: f64) {
    for (ink, width, more) in [(PAPER, 4.5, 1.0), (INK, 2.5, 0.0)] {
        canvas.line(&[(x, y - reach - more), (x, y + reach + more)], ink, width, SOLID);
    }
}
