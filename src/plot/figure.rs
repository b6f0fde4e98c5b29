//! Series over two axes: lines, steps, bands, points, whiskers, rules.

use super::axis::{Axis, Scale};
use super::canvas::{Anchor, Area, Canvas, LINE, Point, Sheet, TEXT, render, width, wrap};
use super::legend::{Legend, SAMPLE};
use super::style::{AXIS, FAINT, GRID, SOLID, colour, dash, marker};
use super::tikz::UNIT;

const MARGIN: f64 = 10.0;

/// How a series is drawn. A value that is not finite (or not positive on a logarithmic axis) is a gap.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// Points `(x, y)` joined by straight lines; a point between two gaps is shown as a dot.
    Line(Vec<(f64, f64)>),
    /// Each y `(x, y)` holds until the next x.
    Steps(Vec<(f64, f64)>),
    /// Points `(x, y)` by themselves.
    Points(Vec<(f64, f64)>),
    /// The area between `(x, low, high)`.
    Band(Vec<(f64, f64, f64)>),
    /// Points `(x, y, low, high)` with their intervals.
    Whiskers(Vec<(f64, f64, f64, f64)>),
    /// A horizontal line over the whole width.
    Rule(f64),
}

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
}

impl Figure {
    /// An empty figure.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Figure { title: title.into(), x, y, height: 210.0, series: Vec::new() }
    }

    /// Adds a series.
    pub fn with(mut self, name: impl Into<String>, style: usize, mark: Mark) -> Self {
        self.series.push(Series { name: name.into(), style, mark });
        self
    }

    /// Coordinates of all points that can be shown: half a point must not stretch the other axis.
    fn extent(&self) -> (Vec<f64>, Vec<f64>) {
        let shown = |axis: &Axis, v: f64| v.is_finite() && (!axis.log || v > 0.0);
        let mut points: Vec<(Option<f64>, f64)> = self.series.iter().flat_map(|s| s.mark.extent()).collect();
        points.retain(|(x, y)| x.is_none_or(|x| shown(&self.x, x)) && shown(&self.y, *y));
        (points.iter().filter_map(|p| p.0).collect(), points.iter().map(|p| p.1).collect())
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
        let named: Vec<&Series> = self.series.iter().filter(|s| !s.name.is_empty()).collect();
        let legend = Legend::new(named.iter().map(|s| s.name.as_str()), room);
        let y_label = wrap(&self.y.label, room, TEXT, 2);
        let x_label = wrap(&self.x.label, room, TEXT, 2);
        let up = y.upward(self.height);
        let labels = up.iter().map(|t| width(&t.label, TEXT)).fold(0.0, f64::max);
        let legend_top = MARGIN + title.len() as f64 * (LINE + 2.0) + 2.0;
        let label_top = legend_top + legend.height();
        let top = label_top + y_label.len() as f64 * LINE + 6.0;
        let area = Area {
            left: (MARGIN + labels + 6.0).min(sheet.width / 2.0),
            top,
            right: sheet.width - MARGIN - 6.0,
            bottom: top + self.height,
        };
        let below = area.bottom + LINE + 6.0;
        let height = below + x_label.len() as f64 * LINE + MARGIN;
        render(sheet, &self.title, height, |canvas| {
            for (i, line) in title.iter().enumerate() {
                canvas.title(line, (MARGIN, MARGIN + (i as f64 + 0.5) * (LINE + 2.0)));
            }
            legend.draw(canvas, MARGIN, legend_top, |canvas, i, left, middle| {
                let end = left + SAMPLE;
                let swatch = Area { left, top: middle - 5.0, right: end, bottom: middle + 5.0 };
                named[i].mark.sample(canvas, named[i].style, swatch);
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
                canvas.line(&[area.at((0.0, share)), area.at((1.0, share))], FAINT, 1.0, SOLID);
            }
            for tick in &up {
                let (left, at) = area.at((0.0, tick.at));
                canvas.line(&[(left, at), (area.right, at)], GRID, 1.0, SOLID);
                canvas.text(&tick.label, (left - 6.0, at), Anchor::End, f64::INFINITY);
            }
            canvas.line(
                &[(area.left, area.top), (area.left, area.bottom), (area.right, area.bottom)],
                AXIS,
                1.0,
                SOLID,
            );
            if x.empty || y.empty {
                let middle = area.at((0.5, 0.5));
                canvas.text("no data yet", middle, Anchor::Middle, room);
            }
            for series in &self.series {
                series.mark.draw(canvas, series.style, &|v| x.share(v), &|v| y.share(v), area);
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

/// Turns a value into a share of an axis.
type Share<'a> = &'a dyn Fn(f64) -> Option<f64>;

impl Mark {
    /// Everything that the axes have to hold: points without an x (of rules) have `None` there.
    fn extent(&self) -> Vec<(Option<f64>, f64)> {
        match self {
            Mark::Line(v) | Mark::Steps(v) | Mark::Points(v) => v.iter().map(|p| (Some(p.0), p.1)).collect(),
            Mark::Band(v) => v.iter().flat_map(|p| [p.1, p.2].map(|y| (Some(p.0), y))).collect(),
            Mark::Whiskers(v) => v.iter().flat_map(|p| [p.1, p.2, p.3].map(|y| (Some(p.0), y))).collect(),
            Mark::Rule(y) => vec![(None, *y)],
        }
    }

    /// The legend's sample.
    fn sample(&self, canvas: &mut Canvas, style: usize, area: Area) {
        let middle = |x| area.at((x, 0.5));
        match self {
            Mark::Line(_) | Mark::Steps(_) => {
                canvas.line(&[middle(0.0), middle(1.0)], colour(style), 2.0, dash(style));
            }
            Mark::Rule(_) => canvas.line(&[middle(0.0), middle(1.0)], colour(style), 1.0, dash(style)),
            Mark::Points(_) => canvas.marker(middle(0.5), marker(style), colour(style)),
            Mark::Band(_) => canvas.fill(area, colour(style), 0.22),
            Mark::Whiskers(_) => {
                canvas.line(&[middle(0.0), middle(1.0)], colour(style), 1.5, SOLID);
                canvas.marker(middle(0.5), marker(style), colour(style));
            }
        }
    }

    fn draw(&self, canvas: &mut Canvas, style: usize, x: Share, y: Share, area: Area) {
        let ink = colour(style);
        let place = |points: &[(f64, f64)]| -> Vec<Option<Point>> {
            points.iter().map(|&(a, b)| Some((x(a)?, y(b)?))).collect()
        };
        match self {
            Mark::Line(points) => curve(canvas, style, decimate(place(points)), area),
            Mark::Steps(points) => {
                let mut corners: Vec<Option<Point>> = Vec::new();
                for point in place(points) {
                    if let (Some(Some(last)), Some(next)) = (corners.last().copied(), point) {
                        corners.push(Some((next.0, last.1)));
                    }
                    corners.push(point);
                }
                curve(canvas, style, corners, area);
            }
            Mark::Points(points) => {
                for point in place(points).into_iter().flatten().filter(inside) {
                    canvas.marker(area.at(point), marker(style), ink);
                }
            }
            Mark::Band(points) => {
                let edges: Vec<Option<(f64, f64, f64)>> = points
                    .iter()
                    .map(|&(a, low, high)| Some((x(a)?, y(low)?, y(high)?)))
                    .map(|e| e.filter(|e| (0.0..=1.0).contains(&e.0)))
                    .collect();
                for piece in edges.split(Option::is_none).filter(|p| !p.is_empty()) {
                    let piece: Vec<(f64, f64, f64)> = piece.iter().flatten().copied().collect();
                    let edge = |low: bool| {
                        piece
                            .iter()
                            .map(|e| area.at((e.0, if low { e.1 } else { e.2 }.clamp(0.0, 1.0))))
                            .collect::<Vec<_>>()
                    };
                    if piece.len() == 1 {
                        canvas.line(&[edge(true)[0], edge(false)[0]], ink, 1.5, SOLID);
                        continue;
                    }
                    let mut outline = edge(true);
                    outline.extend(edge(false).into_iter().rev());
                    canvas.polygon(&outline, ink, 0.22);
                }
            }
            Mark::Whiskers(points) => {
                for &(a, b, low, high) in points {
                    let (Some(a), Some(b)) = (x(a), y(b)) else { continue };
                    if let (Some(low), Some(high)) = (y(low), y(high))
                        && (0.0..=1.0).contains(&a)
                    {
                        let (low, high) = (low.clamp(0.0, 1.0), high.clamp(0.0, 1.0));
                        let ends = [area.at((a, low)), area.at((a, high))];
                        canvas.line(&ends, ink, 1.5, SOLID);
                        for (cx, cy) in ends {
                            canvas.line(&[(cx - 4.0, cy), (cx + 4.0, cy)], ink, 1.5, SOLID);
                        }
                    }
                    if inside(&(a, b)) {
                        canvas.marker(area.at((a, b)), marker(style), ink);
                    }
                }
            }
            Mark::Rule(value) => {
                if let Some(at) = y(*value).filter(|s| (0.0..=1.0).contains(s)) {
                    canvas.line(&[area.at((0.0, at)), area.at((1.0, at))], ink, 1.0, dash(style));
                }
            }
        }
    }
}

fn inside(point: &Point) -> bool {
    (0.0..=1.0).contains(&point.0) && (0.0..=1.0).contains(&point.1)
}

/// A line with gaps, cut to the area.
fn curve(canvas: &mut Canvas, style: usize, points: Vec<Option<Point>>, area: Area) {
    for piece in points.split(Option::is_none) {
        let piece: Vec<Point> = piece.iter().flatten().copied().collect();
        if let [only] = piece[..] {
            if inside(&only) {
                canvas.marker(area.at(only), marker(style), colour(style));
            }
            continue;
        }
        for run in clip(&piece) {
            let run: Vec<Point> = run.into_iter().map(|p| area.at(p)).collect();
            canvas.line(&run, colour(style), 2.0, dash(style));
        }
    }
}

/// The parts of a line inside the unit square (Liang and Barsky 1984, segment by segment).
fn clip(points: &[Point]) -> Vec<Vec<Point>> {
    let mut runs: Vec<Vec<Point>> = Vec::new();
    for ends in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (ends[0], ends[1]);
        let (dx, dy) = (x1 - x0, y1 - y0);
        let (mut from, mut to) = (0f64, 1f64);
        for (p, q) in [(-dx, x0), (dx, 1.0 - x0), (-dy, y0), (dy, 1.0 - y0)] {
            if p < 0.0 {
                from = from.max(q / p);
            } else if p > 0.0 {
                to = to.min(q / p);
            } else if q < 0.0 {
                to = -1.0;
            }
        }
        if from > to {
            continue;
        }
        let (a, b) = ((x0 + from * dx, y0 + from * dy), (x0 + to * dx, y0 + to * dy));
        match runs.last_mut() {
            Some(run) if from == 0.0 && run.last() == Some(&a) => run.push(b),
            _ => runs.push(vec![a, b]),
        }
    }
    runs
}

/// At most about four points for each unit of width, extremes kept: a long curve looks the same and stays a small file.
fn decimate(points: Vec<Option<Point>>) -> Vec<Option<Point>> {
    const COLUMNS: f64 = 460.0;
    if points.len() < 2000 || !points.is_sorted_by(|a, b| a.zip(*b).is_none_or(|(a, b)| a.0 <= b.0)) {
        return points;
    }
    let column = |p: &Option<Point>| p.map(|p| (p.0 * COLUMNS).floor() as i64);
    let mut out = Vec::new();
    for group in points.chunk_by(|a, b| column(a) == column(b)) {
        let lowest = group.iter().flatten().map(|p| p.1).fold(f64::INFINITY, f64::min);
        let highest = group.iter().flatten().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
        let last = group.len() - 1;
        let (mut low_kept, mut high_kept) = (false, false);
        for (i, point) in group.iter().enumerate() {
            let y = point.map(|p| p.1);
            let low = !low_kept && y == Some(lowest);
            let high = !high_kept && y == Some(highest);
            (low_kept, high_kept) = (low_kept || low, high_kept || high);
            if i == 0 || i == last || low || high {
                out.push(*point);
            }
        }
    }
    out
}
