//! Horizontal bars, one row a name: magnitudes, stacks, timelines.

use super::axis::{Axis, Scale};
use super::canvas::{Anchor, Area, LINE, Sheet, TEXT, render, width, wrap};
use super::figure::vertical_grid;
use super::legend::{Legend, SAMPLE};
use super::style::{AXIS, INK, PAPER, SOLID, colour, hatch};
use super::tikz::UNIT;

const MARGIN: f64 = 10.0;
const ROW: f64 = 21.0;
/// Share of the width that labels may take beside their bars; longer ones stand above them.
const BESIDE: f64 = 0.34;

/// A piece of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Where it begins on the axis: 0 for a magnitude, the end of the bar before for a stack, a start time for a timeline.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Index into the chart's `series`; chooses colour and hatching.
    pub series: usize,
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
#[derive(Debug, Clone, PartialEq)]
pub struct BarChart {
    /// Heading; wraps.
    pub title: String,
    /// The axis of all bars.
    pub x: Axis,
    /// Names of the kinds of bars, for the legend; no legend if there is at most one.
    pub series: Vec<String>,
    /// From top to bottom.
    pub rows: Vec<BarRow>,
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

    fn draw(&self, sheet: Sheet) -> String {
        let values = self.rows.iter().flat_map(|r| {
            let ends = r.bars.iter().flat_map(|b| [b.from, b.to]);
            ends.chain(r.interval.into_iter().flat_map(|(low, high)| [low, high]))
        });
        let x = Scale::new(&self.x, values, true);
        let room = sheet.width - 2.0 * MARGIN;
        let title = sheet.title(&self.title, room);
        let names: &[String] = if self.series.len() > 1 { &self.series } else { &[] };
        let legend = Legend::new(names.iter().map(String::as_str), room);
        let widest = |texts: &mut dyn Iterator<Item = &String>| texts.map(|t| width(t, TEXT)).fold(0.0, f64::max);
        let label = widest(&mut self.rows.iter().map(|r| &r.label));
        let above = label > room * BESIDE;
        let lift = if above { LINE } else { 0.0 };
        let row_height = ROW + lift;
        let note_room = widest(&mut self.rows.iter().map(|r| &r.note)).min(room * 0.34);
        let x_label = wrap(&self.x.label, room, TEXT, 2);
        let legend_top = MARGIN + title.len() as f64 * (LINE + 2.0) + 2.0;
        let top = legend_top + legend.height() + 6.0;
        let area = Area {
            left: if above { MARGIN + 6.0 } else { MARGIN + label + 8.0 },
            top,
            right: sheet.width - MARGIN - if note_room > 0.0 { note_room + 8.0 } else { 6.0 },
            bottom: top + self.rows.len().max(2) as f64 * row_height + 6.0,
        };
        let below = area.bottom + LINE + 6.0;
        let height = below + x_label.len() as f64 * LINE + MARGIN;
        render(sheet, &self.title, height, |canvas| {
            for (i, line) in title.iter().enumerate() {
                canvas.title(line, (MARGIN, MARGIN + (i as f64 + 0.5) * (LINE + 2.0)));
            }
            legend.draw(canvas, MARGIN, legend_top, |canvas, i, left, middle| {
                let swatch = Area { left, top: middle - 5.5, right: left + SAMPLE, bottom: middle + 5.5 };
                canvas.bar(swatch, colour(i), hatch(i));
            });
            vertical_grid(canvas, &x, area, sheet.width);
            for (i, line) in x_label.iter().enumerate() {
                let centre = sheet.width / 2.0;
                canvas.text(line, (centre, below + (i as f64 + 0.5) * LINE), Anchor::Middle, room);
            }
            if x.empty {
                canvas.text("no data yet", area.at((0.5, 0.5)), Anchor::Middle, room);
            }
            for (i, row) in self.rows.iter().enumerate() {
                let middle = top + 3.0 + i as f64 * row_height + lift + ROW / 2.0;
                if above {
                    // On a patch of paper, so that no grid line runs through the words.
                    let (left, at) = (area.left + 4.0, middle - ROW / 2.0 - LINE / 2.0 + 2.0);
                    let right = (left + width(&row.label, TEXT)).min(area.right);
                    let patch = Area { left, top: at - LINE / 2.0, right, bottom: at + LINE / 2.0 };
                    canvas.fill(patch, PAPER, 0.85);
                    canvas.text(&row.label, (left, at), Anchor::Start, area.right - left);
                } else {
                    canvas.text(&row.label, (area.left - 8.0, middle), Anchor::End, label);
                }
                canvas.text(&row.note, (sheet.width - MARGIN, middle), Anchor::End, note_room);
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
                    canvas.bar(piece, colour(bar.series), hatch(bar.series));
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
