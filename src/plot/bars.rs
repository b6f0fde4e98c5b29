//! Horizontal bars, one row a name: magnitudes, stacks, timelines.

use super::axis::{Axis, Scale};
use super::canvas::{Anchor, Area, LINE, Sheet, TEXT, render, wrap};
use super::figure::vertical_grid;
use super::glyph::glyph;
use super::legend::{Legend, SAMPLE};
use super::rows::{MARGIN, Rows};
use super::style::{AXIS, INK, PAPER, SOLID, colour, hatch};
use super::tikz::UNIT;

/// A piece of a row.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bar {
    /// Where it begins on the axis: 0 for a magnitude, the end of the bar before for a stack, a start time for a timeline.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Index into the chart's `series`; chooses colour and hatching.
    pub series: usize,
    /// Drawn as an empty frame: what is not taken.
    pub open: bool,
    /// Index into the chart's `signs` of the one at its beginning.
    pub begun: Option<usize>,
    /// And of the one at its end.
    pub ended: Option<usize>,
}

/// A named row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BarRow {
    /// Written at the left of the bars, or above them where the labels of a chart are long.
    pub label: String,
    /// Drawn in this order; one that is not finite is left out.
    pub bars: Vec<Bar>,
    /// An interval (low, high) drawn over the bars.
    pub interval: Option<(f64, f64)>,
    /// Written at the right: a value, a state.
    pub note: String,
}

/// Rows of horizontal bars over one axis.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BarChart {
    /// Heading; wraps.
    pub title: String,
    /// The axis of all bars.
    pub x: Axis,
    /// Names of the kinds of bars. The legend has those that occur; none where there is one kind at most.
    pub series: Vec<String>,
    /// Names of the signs at the ends of bars; the legend has those that occur.
    pub signs: Vec<String>,
    /// From top to bottom.
    pub rows: Vec<BarRow>,
}

/// What the legend has a sample of.
#[derive(Clone, Copy)]
enum Entry {
    Kind(usize),
    Sign(usize),
}

impl BarChart {
    /// Draws it as SVG text.
    pub fn svg(&self) -> String {
        self.draw(Sheet::SCREEN)
    }

    /// Draws it as a picture for TikZ, `points` wide, without its title.
    pub fn tikz(&self, points: f64) -> String {
        self.draw(Sheet::print(points / UNIT))
    }

    /// What occurs, with its name.
    fn entries(&self) -> Vec<(Entry, &str)> {
        let bars = || self.rows.iter().flat_map(|row| &row.bars);
        let occurs = |kind: usize| bars().any(|b| b.series == kind && !b.open);
        let signs = |sign: usize| bars().any(|b| b.begun == Some(sign) || b.ended == Some(sign));
        let kinds = self.series.iter().enumerate().filter(|(i, _)| self.series.len() > 1 && occurs(*i));
        let signs = self.signs.iter().enumerate().filter(|(i, _)| signs(*i));
        let kinds = kinds.map(|(i, name)| (Entry::Kind(i), name.as_str()));
        kinds.chain(signs.map(|(i, name)| (Entry::Sign(i), name.as_str()))).collect()
    }

    fn draw(&self, sheet: Sheet) -> String {
        let values = self.rows.iter().flat_map(|r| {
            let ends = r.bars.iter().flat_map(|b| [b.from, b.to]);
            ends.chain(r.interval.into_iter().flat_map(|(low, high)| [low, high]))
        });
        let x = Scale::new(&self.x, values, true);
        let room = sheet.width - 2.0 * MARGIN;
        let title = sheet.title(&self.title, room);
        let entries = self.entries();
        let legend = Legend::new(entries.iter().map(|e| e.1), room);
        let x_label = wrap(&self.x.label, room, TEXT, 2);
        let legend_top = MARGIN + title.len() as f64 * (LINE + 2.0) + 2.0;
        let top = legend_top + legend.height() + 6.0;
        let rows =
            Rows::new(sheet, top, self.rows.len(), self.rows.iter().map(|r| (r.label.as_str(), r.note.as_str())));
        let area = rows.area;
        let below = area.bottom + LINE + 6.0;
        let height = below + x_label.len() as f64 * LINE + MARGIN;
        render(sheet, &self.title, height, |canvas| {
            for (i, line) in title.iter().enumerate() {
                canvas.title(line, (MARGIN, MARGIN + (i as f64 + 0.5) * (LINE + 2.0)));
            }
            legend.draw(canvas, MARGIN, legend_top, |canvas, i, left, middle| match entries[i].0 {
                Entry::Kind(kind) => {
                    let swatch = Area { left, top: middle - 5.5, right: left + SAMPLE, bottom: middle + 5.5 };
                    canvas.bar(swatch, colour(kind), hatch(kind));
                }
                Entry::Sign(sign) => canvas.glyph((left + SAMPLE / 2.0, middle), glyph(sign)),
            });
            vertical_grid(canvas, &x, area, sheet.width);
            for (i, line) in x_label.iter().enumerate() {
                let centre = sheet.width / 2.0;
                canvas.text(line, (centre, below + (i as f64 + 0.5) * LINE), Anchor::Middle, room);
            }
            if x.empty {
                // In the last row, where a label above it is out of the way.
                let (centre, middle) = (area.at((0.5, 0.5)).0, rows.middle(self.rows.len().max(1) - 1));
                canvas.text("no data yet", (centre, middle), Anchor::Middle, room);
            }
            for (i, row) in self.rows.iter().enumerate() {
                let middle = rows.middle(i);
                rows.write(canvas, i, &row.label, &row.note);
                let mut signs = Vec::new();
                for bar in &row.bars {
                    let (Some(a), Some(b)) = (x.share(bar.from), x.share(bar.to)) else { continue };
                    let (low, high) = (a.min(b).max(0.0), a.max(b).min(1.0));
                    if low > high {
                        continue;
                    }
                    // What is too short to see is drawn two units long.
                    let (left, _) = area.at((low, 0.0));
                    let right = area.at((high, 0.0)).0.max(left + 2.0);
                    let piece = Area { left, top: middle - 7.0, right, bottom: middle + 7.0 };
                    if bar.open {
                        canvas.fill(piece, PAPER, 1.0);
                        canvas.frame(piece, INK, 0.75);
                    } else {
                        canvas.bar(piece, colour(bar.series), hatch(bar.series));
                    }
                    // Within the bar, so that an end and the beginning that follows at once do not cover each other.
                    signs.extend(bar.begun.map(|sign| (left + 5.0, sign)));
                    signs.extend(bar.ended.map(|sign| (right - 5.0, sign)));
                }
                // Over all bars of the row, so that the next one does not cover them.
                for (at, sign) in signs {
                    canvas.glyph((at, middle), glyph(sign));
                }
                if let Some((low, high)) = row.interval
                    && let (Some(low), Some(high)) = (x.share(low), x.share(high))
                    && high >= 0.0
                    && low <= 1.0
                {
                    let ends = [low.max(0.0), high.min(1.0)].map(|s| area.at((s, 0.0)).0);
                    canvas.line(&[(ends[0], middle), (ends[1], middle)], INK, 1.5, SOLID);
                    for at in ends {
                        canvas.line(&[(at, middle - 4.0), (at, middle + 4.0)], INK, 1.5, SOLID);
                    }
                }
            }
            let zero = x.share(0.0).filter(|s| (0.0..=1.0).contains(s)).unwrap_or(0.0);
            canvas.line(&[area.at((zero, 1.0)), area.at((zero, 0.0))], AXIS, 1.0, SOLID);
            canvas.line(&[area.at((0.0, 0.0)), area.at((1.0, 0.0))], AXIS, 1.0, SOLID);
        })
    }
}
