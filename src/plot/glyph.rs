//! Small signs in ink over bars and in strips: how something ended, that it is a later try. Told apart by shape alone.

use super::canvas::{Canvas, Point};
use super::style::{INK, PAPER, SOLID};

/// A sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glyph {
    Cross,
    Diamond,
    Ring,
    Square,
    Arrow,
}

/// The sign of a chart's kind of mark, by its index.
pub(super) fn glyph(index: usize) -> Glyph {
    [Glyph::Cross, Glyph::Diamond, Glyph::Ring, Glyph::Square, Glyph::Arrow][index % 5]
}

impl Canvas<'_> {
    /// Draws a sign about eight units wide, on a rim of paper.
    pub fn glyph(&mut self, (x, y): Point, glyph: Glyph) {
        let outline: Vec<Point> = match glyph {
            Glyph::Cross => {
                for (ink, width) in [(PAPER, 4.5), (INK, 2.0)] {
                    let r = if ink == PAPER { 4.2 } else { 3.4 };
                    self.line(&[(x - r, y - r), (x + r, y + r)], ink, width, SOLID);
                    self.line(&[(x - r, y + r), (x + r, y - r)], ink, width, SOLID);
                }
                return;
            }
            Glyph::Diamond => vec![(0.0, -4.6), (4.6, 0.0), (0.0, 4.6), (-4.6, 0.0)],
            Glyph::Ring => (0..16)
                .map(|i| (f64::from(i) * std::f64::consts::TAU / 16.0).sin_cos())
                .map(|(s, c)| (3.8 * c, 3.8 * s))
                .collect(),
            Glyph::Square => vec![(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)],
            Glyph::Arrow => vec![(-3.5, -4.2), (4.4, 0.0), (-3.5, 4.2)],
        };
        let mut outline: Vec<Point> = outline.into_iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
        self.polygon(&outline, PAPER, 1.0);
        outline.push(outline[0]);
        self.line(&outline, INK, 1.5, SOLID);
    }
}
