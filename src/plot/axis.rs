//! Axes: ranges from data, positions, ticks whose labels do not overlap.

use super::canvas::{TEXT, width};

/// What an axis shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    /// Quantity and unit: `validation loss (nats)`.
    pub label: String,
    /// Logarithmic; values that are not positive are then left out.
    pub log: bool,
    /// Lowest and highest value shown; from the data where absent. What lies outside is cut off.
    pub range: Option<(f64, f64)>,
}

impl Axis {
    /// A linear axis over the range of the data.
    pub fn linear(label: impl Into<String>) -> Self {
        Axis { label: label.into(), log: false, range: None }
    }

    /// A logarithmic axis over the range of the data.
    pub fn log(label: impl Into<String>) -> Self {
        Axis { label: label.into(), log: true, range: None }
    }

    /// The same axis over a fixed range.
    pub fn over(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }
}

/// A mark on an axis: its share of the axis's length, and its label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub at: f64,
    pub label: String,
}

/// An axis with its range: turns values into shares of its length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// Ends, as values or, if logarithmic, as powers of ten.
    low: f64,
    high: f64,
    log: bool,
    /// Whether there was anything to take the range from.
    pub empty: bool,
}

impl Scale {
    /// The range of the data with a margin of 4%, except at an end that is exactly zero if `from_zero`.
    pub fn new(axis: &Axis, values: impl Iterator<Item = f64>, from_zero: bool) -> Scale {
        let inner = |v: f64| if axis.log { v.log10() } else { v };
        let fixed = axis.range.map(|(a, b)| (inner(a), inner(b))).filter(|(a, b)| usable(*a, *b));
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for v in values.map(inner).filter(|v| v.is_finite()) {
            low = low.min(v);
            high = high.max(v);
        }
        let empty = low > high;
        if let Some((low, high)) = fixed {
            return Scale { low, high, log: axis.log, empty };
        }
        if empty {
            return Scale { low: 0.0, high: 1.0, log: axis.log, empty };
        }
        // Values that f64 or a label can hardly tell apart count as one.
        let (a, b) = if high - low > 1e-9 * low.abs().max(high.abs()) {
            let margin = (high / 2.0 - low / 2.0) * 0.08;
            (
                if from_zero && low == 0.0 { 0.0 } else { low - margin },
                if from_zero && high == 0.0 { 0.0 } else { high + margin },
            )
        } else {
            let margin = if axis.log {
                0.5
            } else if low == 0.0 {
                1.0
            } else {
                low.abs() * 0.1
            };
            (low - margin, high + margin)
        };
        let (low, high) = if usable(a, b) { (a, b) } else { (low, high) };
        Scale { low, high, log: axis.log, empty }
    }

    /// Share of the axis's length from its low end; outside [0, 1] for values beyond the range, `None` for values that
    /// cannot be shown.
    pub fn share(&self, value: f64) -> Option<f64> {
        self.inner_share(if self.log { value.log10() } else { value })
    }

    fn inner_share(&self, inner: f64) -> Option<f64> {
        // Halves, so that the widest ranges do not overflow.
        let share = (inner / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        share.is_finite().then_some(share)
    }

    /// Labelled ticks of a horizontal axis of this length whose first unit lies at `left` of the paper.
    pub fn across(&self, length: f64, left: f64, paper: f64) -> Vec<Tick> {
        let centre = |t: &Tick| {
            let half = width(&t.label, TEXT) / 2.0;
            (left + t.at * length).clamp(half, (paper - half).max(half))
        };
        let free =
            |a: &Tick, b: &Tick| centre(b) - centre(a) >= (width(&a.label, TEXT) + width(&b.label, TEXT)) / 2.0 + 8.0;
        let most = ((length / 45.0) as usize).clamp(4, 8);
        let tries: Vec<Vec<Tick>> = (2..=most).rev().map(|n| self.ticks(n)).collect();
        match tries.iter().find(|t| t.len() > 1 && t.windows(2).all(|w| free(&w[0], &w[1]))) {
            Some(ticks) => ticks.clone(),
            // Too narrow for a regular choice: as many as have room, of the coarsest that give so many.
            None => (2..=12).rev().map(|n| thin(self.ticks(n), free)).max_by_key(Vec::len).unwrap_or_default(),
        }
    }

    /// Labelled ticks of a vertical axis of this length.
    pub fn upward(&self, length: f64) -> Vec<Tick> {
        let most = ((length / 26.0) as usize).clamp(2, 8);
        thin(self.ticks(most), |a, b| (b.at - a.at) * length >= TEXT + 4.0)
    }

    /// Unlabelled lines between the decades of a logarithmic axis.
    pub fn minor(&self) -> Vec<f64> {
        if !self.log || self.empty || self.high - self.low > 8.0 {
            return Vec::new();
        }
        let decades = self.low.floor() as i32..=self.high.ceil() as i32;
        decades
            .flat_map(|k| (2..10).map(move |m| f64::from(k) + f64::from(m).log10()))
            .filter_map(|v| self.inner_share(v))
            .filter(|s| (0.0..=1.0).contains(s))
            .collect()
    }

    /// About `most` round values.
    fn ticks(&self, most: usize) -> Vec<Tick> {
        if self.empty {
            return Vec::new();
        }
        if !self.log {
            let (values, step) = round_values(self.low, self.high, most);
            let largest = values.iter().fold(0f64, |a, v| a.max(v.abs()));
            return self.place(values.iter().map(|&v| (v, plain(v, step, largest))));
        }
        let (first, last) = (self.low.ceil(), self.high.floor());
        let decades = last - first + 1.0;
        if decades >= 2.0 {
            let stride = (decades / most as f64).ceil().max(1.0);
            let first = (first / stride).ceil() * stride;
            let count = ((last - first) / stride) as usize + 1;
            return self.place((0..count.min(64)).map(|i| first + i as f64 * stride).map(|k| (k, decade(k))));
        }
        let (low, high) = (10f64.powf(self.low), 10f64.powf(self.high));
        if high / low > 4.0 {
            let mut values = Vec::new();
            for k in self.low.floor() as i32..=self.high.ceil() as i32 {
                values.extend([1.0, 2.0, 5.0].map(|m| (m, k)));
            }
            return self.place(values.into_iter().map(|(m, k)| {
                let v = m * 10f64.powi(k);
                (v.log10(), plain(v, v, v))
            }));
        }
        let (values, step) = round_values(low, high, most);
        self.place(values.iter().map(|&v| (v.log10(), plain(v, step, high))))
    }

    /// Ticks inside the range, without repeated labels.
    fn place(&self, ticks: impl Iterator<Item = (f64, String)>) -> Vec<Tick> {
        let mut out: Vec<Tick> = Vec::new();
        for (inner, label) in ticks {
            // A hair beyond the end is rounding.
            if let Some(at) = self.inner_share(inner).filter(|s| (-1e-9..=1.0 + 1e-9).contains(s))
                && out.last().is_none_or(|t| t.label != label)
            {
                out.push(Tick { at: at.clamp(0.0, 1.0), label });
            }
        }
        out
    }
}

fn usable(low: f64, high: f64) -> bool {
    low.is_finite() && high.is_finite() && low < high
}

/// Drops ticks that are too near to the one before.
fn thin(ticks: Vec<Tick>, free: impl Fn(&Tick, &Tick) -> bool) -> Vec<Tick> {
    let mut out: Vec<Tick> = Vec::new();
    for tick in ticks {
        if out.last().is_none_or(|last| free(last, &tick)) {
            out.push(tick);
        }
    }
    out
}

/// At most about `most` multiples of 1, 2 or 5 times a power of ten inside a range, and their distance.
fn round_values(low: f64, high: f64, most: usize) -> (Vec<f64>, f64) {
    let raw = (high / 2.0 - low / 2.0) / most as f64 * 2.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= raw * 0.999).unwrap_or(raw);
    let (first, last) = ((low / step).ceil(), (high / step).floor());
    // Where a step is below the resolution of the values, the ends have to do.
    if !(step > 0.0 && step.is_finite() && first.abs() < 1e15 && last.abs() < 1e15) {
        return (vec![low, high], high / 2.0 - low / 2.0);
    }
    let count = (last - first).clamp(-1.0, 64.0) as i64 + 1;
    ((0..count).map(|i| (first + i as f64) * step).collect(), step)
}

/// A value with as many decimals as its step needs; beyond five digits with a power of ten.
fn plain(value: f64, step: f64, largest: f64) -> String {
    let text = if value == 0.0 {
        "0".to_string()
    } else if (1e-4..1e6).contains(&largest) && step >= 1e-5 {
        let decimals = (-step.log10() - 1e-9).ceil().max(0.0) as usize;
        format!("{value:.decimals$}")
    } else {
        let digits = (value.abs() / step).log10().max(0.0) + 1e-9;
        let text = format!("{value:.*e}", (digits.floor() as usize).min(6));
        // 2.50e5 says no more than 2.5e5.
        match text.split_once('e') {
            Some((m, e)) if m.contains('.') => format!("{}e{e}", m.trim_end_matches('0').trim_end_matches('.')),
            _ => text,
        }
    };
    text.replace('-', "\u{2212}")
}

/// A power of ten: in digits where they are few.
fn decade(power: f64) -> String {
    if (-4.0..=5.0).contains(&power) {
        let decimals = (-power).max(0.0) as usize;
        format!("{:.decimals$}", 10f64.powf(power))
    } else {
        format!("1e{power:.0}").replace('-', "\u{2212}")
    }
}
