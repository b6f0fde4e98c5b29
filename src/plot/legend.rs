//! Legends: names beside samples of what they name, in rows that wrap.

use super::canvas::{Anchor, Canvas, LINE, TEXT, fit, width};

/// Width of a sample.
pub(super) const SAMPLE: f64 = 26.0;
const GAP: f64 = 6.0;
const BETWEEN: f64 = 16.0;

/// A legend laid out: for each entry its left end, row, and text.
pub(super) struct Legend {
    entries: Vec<(f64, usize, String)>,
}

impl Legend {
    /// Lays names out in rows of this width.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>, room: f64) -> Legend {
        let (mut x, mut row) = (0.0, 0);
        let mut entries = Vec::new();
        for name in names {
            let text = fit(name, room - SAMPLE - GAP, TEXT);
            let needed = SAMPLE + GAP + width(&text, TEXT);
            if x > 0.0 && x + needed > room {
                (x, row) = (0.0, row + 1);
            }
            entries.push((x, row, text));
            x += needed + BETWEEN;
        }
        Legend { entries }
    }

    /// Height of all rows.
    pub fn height(&self) -> f64 {
        self.entries.last().map_or(0.0, |(_, row, _)| (row + 1) as f64 * LINE + 4.0)
    }

    /// Draws it with `sample(canvas, entry, left, middle)` for the samples.
    pub fn draw(&self, canvas: &mut Canvas, left: f64, top: f64, mut sample: impl FnMut(&mut Canvas, usize, f64, f64)) {
        for (i, (x, row, text)) in self.entries.iter().enumerate() {
            let middle = top + (*row as f64 + 0.5) * LINE;
            sample(canvas, i, left + x, middle);
            canvas.text(text, (left + x + SAMPLE + GAP, middle), Anchor::Start, f64::INFINITY);
        }
    }
}
