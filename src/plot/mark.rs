//! What a figure's series are drawn as: lines, steps, bands, points, whiskers, rules, and what has no value.

use super::canvas::{Area, Canvas, Point};
use super::glyph::Glyph;
use super::lanes::End;
use super::style::{SOLID, colour, dash, marker};

/// How a series is drawn. A value that is not finite (or not positive on a logarithmic axis) is a gap.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// Points `(x, y)` joined by straight lines; a point between two gaps is shown as a dot.
    Line(Vec<(f64, f64)>),
    /// Each y `(x, y)` holds until the next x.
    Steps(Vec<(f64, f64)>),
    /// Points `(x, y)` by themselves. One that lies above or below a fixed range stands as an arrowhead in a strip at that end.
    Points(Vec<(f64, f64)>),
    /// The area between `(x, low, high)`.
    Band(Vec<(f64, f64, f64)>),
    /// Points `(x, y, low, high)` with their intervals.
    Whiskers(Vec<(f64, f64, f64, f64)>),
    /// A horizontal line over the whole width.
    Rule(f64),
    /// Places `x` of what has no value, as crosses in a strip at that end of the vertical axis.
    Missing(Vec<f64>, End),
}

/// Turns a value into a share of an axis.
pub(super) type Share<'a> = &'a dyn Fn(f64) -> Option<f64>;

impl Mark {
    /// Everything that the axes have to hold, by axis: a rule has no x, what is missing no y.
    pub(super) fn extent(&self) -> Vec<(Option<f64>, Option<f64>)> {
        match self {
            Mark::Line(v) | Mark::Steps(v) | Mark::Points(v) => v.iter().map(|p| (Some(p.0), Some(p.1))).collect(),
            Mark::Band(v) => v.iter().flat_map(|p| [p.1, p.2].map(|y| (Some(p.0), Some(y)))).collect(),
            Mark::Whiskers(v) => v.iter().flat_map(|p| [p.1, p.2, p.3].map(|y| (Some(p.0), Some(y)))).collect(),
            Mark::Rule(y) => vec![(None, Some(*y))],
            Mark::Missing(v, _) => v.iter().map(|x| (Some(*x), None)).collect(),
        }
    }

    /// Places of the points that lie beyond this end of the vertical axis, as shares of the horizontal one.
    pub(super) fn beyond(&self, end: End, x: Share, y: Share) -> Vec<f64> {
        let Mark::Points(points) = self else { return Vec::new() };
        let out = |share: f64| if end == End::Low { share < 0.0 } else { share > 1.0 };
        let places = points.iter().filter(|p| y(p.1).is_some_and(out)).filter_map(|p| x(p.0));
        places.filter(|share| (0.0..=1.0).contains(share)).collect()
    }

    /// The legend's sample.
    pub(super) fn sample(&self, canvas: &mut Canvas, style: usize, area: Area) {
        let middle = |x| area.at((x, 0.5));
        match self {
            Mark::Line(_) | Mark::Steps(_) => {
                canvas.line(&[middle(0.0), middle(1.0)], colour(style), 2.0, dash(style));
            }
            Mark::Rule(_) => canvas.line(&[middle(0.0), middle(1.0)], colour(style), 1.0, dash(style)),
            Mark::Points(_) => canvas.marker(middle(0.5), marker(style), colour(style)),
            Mark::Missing(..) => canvas.glyph(middle(0.5), Glyph::Cross),
            Mark::Band(_) => canvas.fill(area, colour(style), 0.22),
            Mark::Whiskers(_) => {
                canvas.line(&[middle(0.0), middle(1.0)], colour(style), 1.5, SOLID);
                canvas.marker(middle(0.5), marker(style), colour(style));
            }
        }
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, style: usize, x: Share, y: Share, area: Area) {
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
                    // Edges in the series' dash tell overlapping bands apart where there is no colour.
                    for low in [true, false] {
                        canvas.line(&edge(low), ink, 0.75, dash(style));
                    }
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
            // In strips, which the figure draws.
            Mark::Missing(..) => {}
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
