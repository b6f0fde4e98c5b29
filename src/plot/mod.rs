//! Figures from plain series, as SVG for screens and as TikZ pictures for print.
//!
//! Boundary: knows numbers, names and paper; must not know campaigns, runs or metrics. Layout is done here and not by
//! plotters' charts, because these figures are made unseen from whatever a campaign measured: no label may overlap or leave
//! the paper, a missing value is a gap, an empty series is a figure that says so. plotters draws the SVG (its backend); for print, LaTeX sets the text in the document's font, one size throughout.
//!
//! A figure is [`WIDTH`] units wide with text of [`TEXT`] units, so that it is legible at a phone's width as well as in a
//! printed column. Series differ by colour (Okabe and Ito's palette, safe for colour-blind readers) and by dash, marker or
//! hatching, so that a grey print tells them apart. A point beyond a fixed range is never dropped: it stands as an arrowhead in a
//! strip at that end, and what has no value as a cross beside it.

mod axis;
mod bars;
mod canvas;
mod figure;
mod glyph;
mod lanes;
mod legend;
mod mark;
mod rows;
mod strips;
mod style;
mod tikz;

#[cfg(test)]
mod tests;

pub use axis::Axis;
pub use bars::{Bar, BarChart, BarRow};
pub use canvas::{TEXT, WIDTH};
pub use figure::{Figure, Series};
pub use lanes::End;
pub use mark::Mark;
pub use strips::{StripChart, StripRow};
pub use tikz::{FONT, escape as tex_escape};
