//! Series over two axes, with strips at the ends of the vertical one for what it does not hold.

use super::axis::{Axis, Scale, Tick};
use super::canvas::{Anchor, Area, Canvas, LINE, Sheet, TEXT, render, width, wrap};
use super::glyph::Glyph;
use super::lanes::{End, LANE, Lane, Lanes, beyond_name};
use super::legend::{Legend, SAMPLE};
use super::mark::Mark;
use super::style::{AXIS, DOTTED, FAINT, GRID, SOLID, colour};
use super::tikz::UNIT;

const MARGIN: f64 = 10.0;

/// Something drawn, with its name in the legend.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Legend entry; empty for none.
    pub name: String,
    /// Chooses colour, dash and marker. Marks that belong together (a line and its band) share it.
    pub style: usize,
    /// What is drawn.
    pub mark: Mark,
}

/// A figure with two numeric axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Heading; wraps.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Height of the plot itself, without title, legend and labels.
    pub height: f64,
    /// Drawn in this order.
    pub series: Vec<Series>,
    /// Whether it names its series; a figure among others like it may leave that to their caption.
    pub legend: bool,
}

impl Figure {
    /// An empty figure.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Figure { title: title.into(), x, y, height: 210.0, series: Vec::new(), legend: true }
    }

    /// Adds a series.
    pub fn with(mut self, name: impl Into<String>, style: usize, mark: Mark) -> Self {
        self.series.push(Series { name: name.into(), style, mark });
        self
    }

    /// Coordinates of all points that can be shown: half a point must not stretch the other axis.
    fn extent(&self) -> (Vec<f64>, Vec<f64>) {
        let shown = |axis: &Axis, v: f64| v.is_finite() && (!axis.log || v > 0.0);
        let mut points: Vec<_> = self.series.iter().flat_map(|s| s.mark.extent()).collect();
        points.retain(|(x, y)| x.is_none_or(|x| shown(&self.x, x)) && y.is_none_or(|y| shown(&self.y, y)));
        (points.iter().filter_map(|p| p.0).collect(), points.iter().filter_map(|p| p.1).collect())
    }

    /// What stands in strips at the ends of the vertical axis.
    fn lanes(&self, x: &Scale, y: &Scale) -> Lanes {
        let mut lanes = Lanes::default();
        for end in [End::Low, End::High] {
            let beyond = self.series.iter().flat_map(|s| {
                let places = s.mark.beyond(end, &|v| x.share(v), &|v| y.share(v));
                places.into_iter().map(|share| (share, s.style))
            });
            lanes.push(Lane::Beyond(end, beyond.collect()));
            let missing = self.series.iter().flat_map(|s| match &s.mark {
                Mark::Missing(places, at) if *at == end => places.as_slice(),
                _ => &[],
            });
            let places = missing.filter_map(|v| x.share(*v)).filter(|share| (0.0..=1.0).contains(share));
            lanes.push(Lane::Missing(end, places.collect()));
        }
        lanes
    }

    /// Draws it as SVG text.
    pub fn svg(&self) -> String {
        self.draw(Sheet::SCREEN)
    }

    /// Draws it as a picture for TikZ, `points` wide, without its title.
    pub fn tikz(&self, points: f64) -> String {
        self.draw(Sheet::print(points / UNIT))
    }

    fn draw(&self, sheet: Sheet) -> String {
        let (xs, ys) = self.extent();
        let x = Scale::new(&self.x, xs.into_iter(), false);
        let y = Scale::new(&self.y, ys.into_iter(), false);
        let room = sheet.width - 2.0 * MARGIN;
        let title = sheet.title(&self.title, room);
        let lanes = self.lanes(&x, &y);
        let beyond: Vec<(End, usize)> = lanes.beyond();
        let named: Vec<&Series> = self.series.iter().filter(|s| self.legend && !s.name.is_empty()).collect();
        let names = named.iter().map(|s| s.name.clone()).chain(beyond_name(&beyond).filter(|_| self.legend));
        let names: Vec<String> = names.collect();
        let legend = Legend::new(names.iter().map(String::as_str), room);
        let y_label = wrap(&self.y.label, room, TEXT, 2);
        let x_label = wrap(&self.x.label, room, TEXT, 2);
        // No tick so near to a strip that its label meets the strip's.
        let apart = |end: End, at: f64| beyond.iter().all(|b| b.0 != end) || at * self.height > TEXT - LANE / 2.0 + 2.0;
        let mut up: Vec<Tick> = y.upward(self.height);
        up.retain(|t| apart(End::Low, t.at) && apart(End::High, 1.0 - t.at));
        let strips = beyond.iter().map(|(end, _)| end.word());
        let labels = up.iter().map(|t| t.label.as_str()).chain(strips).map(|t| width(t, TEXT)).fold(0.0, f64::max);
        let legend_top = MARGIN + title.len() as f64 * (LINE + 2.0) + 2.0;
        let label_top = legend_top + legend.height();
        let top = label_top + y_label.len() as f64 * LINE + 6.0;
        let area = Area {
            left: (MARGIN + labels + 6.0).min(sheet.width / 2.0),
            top,
            right: sheet.width - MARGIN - 6.0,
            bottom: top + self.height + lanes.depth(LANE),
        };
        let field = lanes.inner_of_height(area, LANE);
        let below = area.bottom + LINE + 6.0;
        let height = below + x_label.len() as f64 * LINE + MARGIN;
        render(sheet, &self.title, height, |canvas| {
            for (i, line) in title.iter().enumerate() {
                canvas.title(line, (MARGIN, MARGIN + (i as f64 + 0.5) * (LINE + 2.0)));
            }
            legend.draw(canvas, MARGIN, legend_top, |canvas, i, left, middle| {
                let end = left + SAMPLE;
                let swatch = Area { left, top: middle - 5.0, right: end, bottom: middle + 5.0 };
                match named.get(i) {
                    Some(series) => series.mark.sample(canvas, series.style, swatch),
                    None => canvas.marker(swatch.at((0.5, 0.5)), beyond[0].0.vertical(), AXIS),
                }
            });
            for (i, line) in y_label.iter().enumerate() {
                canvas.text(line, (MARGIN, label_top + (i as f64 + 0.5) * LINE), Anchor::Start, room);
            }
            for (i, line) in x_label.iter().enumerate() {
                let centre = centred(line, (area.left + area.right) / 2.0, sheet.width);
                canvas.text(line, (centre, below + (i as f64 + 0.5) * LINE), Anchor::Middle, room);
            }
            vertical_grid(canvas, &x, area, sheet.width);
            for share in y.minor() {
                canvas.line(&[field.at((0.0, share)), field.at((1.0, share))], FAINT, 1.0, SOLID);
            }
            for tick in &up {
                let (left, at) = field.at((0.0, tick.at));
                canvas.line(&[(left, at), (field.right, at)], GRID, 1.0, SOLID);
                canvas.text(&tick.label, (left - 6.0, at), Anchor::End, f64::INFINITY);
            }
            canvas.line(
                &[(area.left, area.top), (area.left, area.bottom), (area.right, area.bottom)],
                AXIS,
                1.0,
                SOLID,
            );
            if x.empty || y.empty {
                canvas.text("no data yet", field.at((0.5, 0.5)), Anchor::Middle, room);
            }
            for series in &self.series {
                series.mark.draw(canvas, series.style, &|v| x.share(v), &|v| y.share(v), field);
            }
            for (lane, middle, edge) in lanes.across(field, LANE) {
                canvas.line(&[(area.left, edge), (area.right, edge)], AXIS, 0.75, DOTTED);
                let at = |share: f64| (field.at((share, 0.0)).0, middle);
                match lane {
                    Lane::Beyond(end, points) => {
                        canvas.text(end.word(), (area.left - 6.0, middle), Anchor::End, f64::INFINITY);
                        for (share, style) in points {
                            canvas.marker(at(*share), end.vertical(), colour(*style));
                        }
                    }
                    Lane::Missing(_, places) => places.iter().for_each(|s| canvas.glyph(at(*s), Glyph::Cross)),
                }
            }
        })
    }
}

/// Where a centred text has to be centred to stay on the paper.
fn centred(text: &str, at: f64, paper: f64) -> f64 {
    let half = width(text, TEXT) / 2.0;
    at.clamp(half.min(paper / 2.0), (paper - half).max(paper / 2.0))
}

/// Grid lines and labels of a horizontal axis.
pub(super) fn vertical_grid(canvas: &mut Canvas, x: &Scale, area: Area, paper: f64) {
    for share in x.minor() {
        canvas.line(&[area.at((share, 0.0)), area.at((share, 1.0))], FAINT, 1.0, SOLID);
    }
    for tick in x.across(area.right - area.left, area.left, paper) {
        let (at, bottom) = area.at((tick.at, 0.0));
        canvas.line(&[(at, area.top), (at, bottom)], GRID, 1.0, SOLID);
        canvas.text(&tick.label, (centred(&tick.label, at, paper), bottom + 12.0), Anchor::Middle, f64::INFINITY);
    }
}
