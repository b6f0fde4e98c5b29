//! Quantities with their unit in the type. Accounts are kept in integers so that sums are exact in any order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// Devices held times wall time, kept as whole device-milliseconds: sums are exact, whatever their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DeviceTime {
    /// Device-milliseconds.
    pub ms: u64,
}

impl DeviceTime {
    /// `devices` held for `seconds` of wall time, rounded up to the millisecond (a reservation must never be short).
    pub fn of(devices: u32, seconds: f64) -> Self {
        DeviceTime { ms: (f64::from(devices) * seconds.max(0.0) * 1e3).ceil() as u64 }
    }

    /// An equal share of one device among `sharers`, held for `seconds` of wall time; rounded up as well.
    pub fn share(sharers: usize, seconds: f64) -> Self {
        DeviceTime { ms: (seconds.max(0.0) * 1e3 / sharers.max(1) as f64).ceil() as u64 }
    }

    /// From device-hours, rounded down (a budget must never be exceeded).
    pub fn from_hours(hours: f64) -> Self {
        DeviceTime { ms: (hours.max(0.0) * 3.6e6) as u64 }
    }

    /// In device-hours.
    pub fn hours(self) -> f64 {
        self.ms as f64 / 3.6e6
    }

    /// In device-seconds.
    pub fn seconds(self) -> f64 {
        self.ms as f64 / 1e3
    }

    /// `self - other`, or zero where that would be negative.
    pub fn saturating_sub(self, other: Self) -> Self {
        DeviceTime { ms: self.ms.saturating_sub(other.ms) }
    }
}

impl Add for DeviceTime {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        DeviceTime { ms: self.ms + other.ms }
    }
}
impl AddAssign for DeviceTime {
    fn add_assign(&mut self, other: Self) {
        self.ms += other.ms;
    }
}
impl Sub for DeviceTime {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        DeviceTime { ms: self.ms - other.ms }
    }
}
impl SubAssign for DeviceTime {
    fn sub_assign(&mut self, other: Self) {
        self.ms -= other.ms;
    }
}
impl Sum for DeviceTime {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for DeviceTime {
    /// In the unit a person would choose: `250 device-ms`, `12.3 device-s`, `4.5 device-min`, `1.25 device-h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.seconds();
        if s > 0.0 && s < 1.0 {
            write!(f, "{} device-ms", self.ms)
        } else if s < 120.0 {
            write!(f, "{s:.1} device-s")
        } else if s < 7200.0 {
            write!(f, "{:.1} device-min", s / 60.0)
        } else {
            write!(f, "{:.2} device-h", s / 3600.0)
        }
    }
}

/// Bytes of memory or storage; shown in binary units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        let mut unit = "B";
        for next in ["KiB", "MiB", "GiB", "TiB"] {
            if value < 1024.0 {
                break;
            }
            value /= 1024.0;
            unit = next;
        }
        if unit == "B" { write!(f, "{value:.0} B") } else { write!(f, "{value:.1} {unit}") }
    }
}

/// Floating-point operations (a multiply and an add count as two); shown with an SI prefix.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Flops(pub f64);

impl fmt::Display for Flops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0;
        let mut prefix = "";
        for next in ["k", "M", "G", "T", "P", "E"] {
            if value < 1000.0 {
                break;
            }
            value /= 1000.0;
            prefix = next;
        }
        // An empty sum of floats is minus zero.
        if prefix.is_empty() { write!(f, "{:.0} FLOP", value + 0.0) } else { write!(f, "{value:.2} {prefix}FLOP") }
    }
}

/// Dollars, kept as whole micro-dollars so that sums are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Dollars {
    /// Micro-dollars.
    pub micro: u64,
}

impl Dollars {
    /// From dollars, rounded up (a reservation must never be short).
    pub fn of(dollars: f64) -> Self {
        Dollars { micro: (dollars.max(0.0) * 1e6).ceil() as u64 }
    }

    /// In dollars.
    pub fn value(self) -> f64 {
        self.micro as f64 / 1e6
    }
}

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is less than a cent is not nothing.
        if (1..10_000).contains(&self.micro) {
            write!(f, "${:.4}", self.value())
        } else {
            write!(f, "${:.2}", self.value())
        }
    }
}

/// A number with `digits` significant digits, without exponent for everyday sizes.
pub fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "-".to_string();
    }
    if value == 0.0 {
        return "0".to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..7).contains(&magnitude) {
        return format!("{value:.*e}", digits.saturating_sub(1));
    }
    let decimals = (digits as i32 - 1 - magnitude).max(0) as usize;
    format!("{value:.decimals$}")
}

/// Seconds in the unit a person would choose.
pub fn duration(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.0} us", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{} ms", significant(seconds * 1e3, 3))
    } else if seconds < 120.0 {
        format!("{} s", significant(seconds, 3))
    } else if seconds < 7200.0 {
        format!("{:.1} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(significant(0.012345, 3), "0.0123");
        assert_eq!(significant(1234.5, 3), "1234");
        assert_eq!(significant(3.2e-7, 2), "3.2e-7");
        assert_eq!(significant(f64::NAN, 3), "-");
        assert_eq!(duration(0.0005), "500 us");
        assert_eq!(duration(90.0), "90.0 s");
        assert_eq!(duration(600.0), "10.0 min");
    }

    #[test]
    fn small_amounts_are_shown_as_such() {
        let flops = [-0.0, 640.0, 5248.0].map(|f| Flops(f).to_string());
        assert_eq!(flops, ["0 FLOP", "640 FLOP", "5.25 kFLOP"]);
        let dollars = [0, 50, 4000, 10_000, 16_000_000].map(|micro| Dollars { micro }.to_string());
        assert_eq!(dollars, ["$0.00", "$0.0001", "$0.0040", "$0.01", "$16.00"]);
    }
}
