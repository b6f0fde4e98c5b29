//! The layout that charts with a row a name share: labels beside the rows or above them, notes at their right.

use super::canvas::{Anchor, Area, Canvas, LINE, Sheet, TEXT, width};
use super::style::PAPER;

pub(super) const MARGIN: f64 = 10.0;
const ROW: f64 = 21.0;
/// Share of the width that labels may take beside their rows; longer ones stand above them.
const BESIDE: f64 = 0.34;

/// Rows laid out.
pub(super) struct Rows {
    /// Between labels and notes, over all rows.
    pub area: Area,
    above: bool,
    label_room: f64,
    note_room: f64,
    paper: f64,
}

impl Rows {
    /// `n` rows from `top` downwards, with room for these labels and notes: their own, and those of charts whose areas are to
    /// be as wide as theirs.
    pub fn new<'a>(sheet: Sheet, top: f64, n: usize, texts: impl Iterator<Item = (&'a str, &'a str)>) -> Rows {
        let room = sheet.width - 2.0 * MARGIN;
        let (mut label, mut note) = (0.0f64, 0.0f64);
        for (name, remark) in texts {
            label = label.max(width(name, TEXT));
            note = note.max(width(remark, TEXT));
        }
        let above = label > room * BESIDE;
        let note_room = note.min(room * 0.34);
        let lift = if above { LINE } else { 0.0 };
        let area = Area {
            left: if above { MARGIN + 6.0 } else { MARGIN + label + 8.0 },
            top,
            right: sheet.width - MARGIN - if note_room > 0.0 { note_room + 8.0 } else { 6.0 },
            bottom: top + n.max(2) as f64 * (ROW + lift) + 6.0,
        };
        Rows { area, above, label_room: label, note_room, paper: sheet.width }
    }

    /// Height of the middle of a row.
    pub fn middle(&self, row: usize) -> f64 {
        let lift = if self.above { LINE } else { 0.0 };
        self.area.top + 3.0 + row as f64 * (ROW + lift) + lift + ROW / 2.0
    }

    /// A row's label and note.
    pub fn write(&self, canvas: &mut Canvas, row: usize, label: &str, note: &str) {
        let (area, middle) = (self.area, self.middle(row));
        if self.above {
            // On a patch of paper, so that no grid line runs through the words.
            let (left, at) = (area.left + 4.0, middle - ROW / 2.0 - LINE / 2.0 + 2.0);
            let right = (left + width(label, TEXT)).min(area.right);
            let patch = Area { left, top: at - LINE / 2.0, right, bottom: at + LINE / 2.0 };
            canvas.fill(patch, PAPER, 0.85);
            canvas.text(label, (left, at), Anchor::Start, area.right - left);
        } else {
            canvas.text(label, (area.left - 8.0, middle), Anchor::End, self.label_room);
        }
        canvas.text(note, (self.paper - MARGIN, middle), Anchor::End, self.note_room);
    }
}
