//! How series are told apart: colour, dash, marker, hatching, all by one index.

use plotters::style::RGBColor;

/// Okabe and Ito's palette without its yellow, which vanishes on white ("Color Universal Design", 2008).
const PALETTE: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x33, 0x33, 0x33),
];

/// Drawn and skipped lengths in turn, in units; empty is solid. Five against seven colours: 35 combinations.
pub(super) const DASHES: [&[f64]; 5] = [&[], &[7.0, 3.0], &[2.0, 2.5], &[9.0, 3.0, 2.0, 3.0], &[13.0, 4.0]];
/// Index of the dash between a chart's field and its strips.
pub(super) const DOTTED: usize = 2;
/// Index of the undashed line.
pub(super) const SOLID: usize = 0;

/// Text.
pub(super) const INK: RGBColor = RGBColor(0x1c, 0x1c, 0x1c);
/// Axes.
pub(super) const AXIS: RGBColor = RGBColor(0x55, 0x55, 0x55);
/// Grid lines.
pub(super) const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
/// Grid lines between the labelled ones of a logarithmic axis.
pub(super) const FAINT: RGBColor = RGBColor(0xf0, 0xf0, 0xf0);
/// Paper.
pub(super) const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);

/// Shape of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    TriangleDown,
    TriangleLeft,
    TriangleRight,
}

/// Lines over a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hatch {
    None,
    Rising,
    Falling,
    Upright,
    Crossed,
}

pub(super) fn colour(series: usize) -> RGBColor {
    PALETTE[series % PALETTE.len()]
}

pub(super) fn dash(series: usize) -> usize {
    series % DASHES.len()
}

pub(super) fn marker(series: usize) -> Marker {
    [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::TriangleDown][series % 5]
}

pub(super) fn hatch(series: usize) -> Hatch {
    [Hatch::None, Hatch::Rising, Hatch::Falling, Hatch::Upright, Hatch::Crossed][series % 5]
}
