//! Strips at the ends of a chart's value axis, for what it does not hold: points beyond a fixed range, and what has no value.
//!
//! Without them an axis has to be stretched to the worst outlier, and what failed is not seen at all.

use super::canvas::Area;
use super::style::Marker;

/// Depth of a strip below or above a figure's field, in units.
pub(super) const LANE: f64 = 15.0;

/// An end of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    /// Where the small values are.
    #[default]
    Low,
    /// Where the large values are.
    High,
}

impl End {
    /// The arrowhead beyond this end of a vertical axis.
    pub(super) fn vertical(self) -> Marker {
        if self == End::Low { Marker::TriangleDown } else { Marker::Triangle }
    }

    /// The arrowhead beyond this end of a horizontal axis.
    pub(super) fn horizontal(self) -> Marker {
        if self == End::Low { Marker::TriangleLeft } else { Marker::TriangleRight }
    }

    /// What stands at the axis for its strip.
    pub(super) fn word(self) -> &'static str {
        if self == End::Low { "lower" } else { "higher" }
    }
}

/// A strip.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lane {
    /// Points beyond the axis: their share of the other axis, and their style.
    Beyond(End, Vec<(f64, usize)>),
    /// What has no value: its share of the other axis.
    Missing(End, Vec<f64>),
}

impl Lane {
    fn end(&self) -> End {
        match self {
            Lane::Beyond(end, _) | Lane::Missing(end, _) => *end,
        }
    }
}

/// The strips of a chart, from its field outwards.
#[derive(Debug, Default)]
pub(super) struct Lanes(Vec<Lane>);

impl Lanes {
    /// Adds one, unless nothing is in it.
    pub fn push(&mut self, lane: Lane) {
        let empty = match &lane {
            Lane::Beyond(_, points) => points.is_empty(),
            Lane::Missing(_, places) => places.is_empty(),
        };
        if !empty {
            self.0.push(lane);
        }
    }

    /// How many points lie beyond which end, where any do.
    pub fn beyond(&self) -> Vec<(End, usize)> {
        let count = |lane: &Lane| match lane {
            Lane::Beyond(end, points) => Some((*end, points.len())),
            Lane::Missing(..) => None,
        };
        self.0.iter().filter_map(count).collect()
    }

    fn at(&self, end: End) -> usize {
        self.0.iter().filter(|lane| lane.end() == end).count()
    }

    /// What all of them take, each `depth` deep.
    pub fn depth(&self, depth: f64) -> f64 {
        depth * self.0.len() as f64
    }

    /// What is left of an area between the strips below and above.
    pub fn inner_of_height(&self, area: Area, depth: f64) -> Area {
        let of = |end| depth * self.at(end) as f64;
        Area { top: area.top + of(End::High), bottom: area.bottom - of(End::Low), ..area }
    }

    /// What is left of an area between the strips at its left and right.
    pub fn inner_of_width(&self, area: Area, depth: f64) -> Area {
        let of = |end| depth * self.at(end) as f64;
        Area { left: area.left + of(End::Low), right: area.right - of(End::High), ..area }
    }

    /// The strips below and above a field: each with the height of its middle and of its edge towards the field.
    pub fn across(&self, field: Area, depth: f64) -> Vec<(&Lane, f64, f64)> {
        self.placed(field.bottom, field.top, depth)
    }

    /// The strips at the left and right of a field, likewise.
    pub fn beside(&self, field: Area, depth: f64) -> Vec<(&Lane, f64, f64)> {
        self.placed(-field.left, -field.right, depth).into_iter().map(|(lane, m, e)| (lane, -m, -e)).collect()
    }

    /// From the coordinates of the two ends, in a direction in which the low end has the larger one.
    fn placed<'a>(&'a self, low: f64, high: f64, depth: f64) -> Vec<(&'a Lane, f64, f64)> {
        let (mut before_low, mut before_high) = (0.0, 0.0);
        let place = |lane: &'a Lane| {
            let (edge, out, before) = match lane.end() {
                End::Low => (low, 1.0, &mut before_low),
                End::High => (high, -1.0, &mut before_high),
            };
            let edge = edge + out * depth * *before;
            *before += 1.0;
            (lane, edge + out * depth / 2.0, edge)
        };
        self.0.iter().map(place).collect()
    }
}

/// The legend's words for points beyond the axis, with their number; none where there are none.
pub(super) fn beyond_name(beyond: &[(End, usize)]) -> Option<String> {
    let n: usize = beyond.iter().map(|b| b.1).sum();
    (n > 0).then(|| format!("beyond the axis ({n})"))
}
