//! SLURM's times: points in time, and spans in all their forms.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Seconds.
    Seconds(u64),
    /// None at all.
    Unlimited,
    /// What the partition says.
    Partition,
}

impl Limit {
    /// Reads a limit as a command prints it; `None` for what is none (`INVALID`, `N/A`).
    pub fn parse(text: &str) -> Option<Limit> {
        match text.trim() {
            "UNLIMITED" | "INFINITE" | "infinite" | "Unlimited" => Some(Limit::Unlimited),
            "Partition_Limit" | "Partition_limit" => Some(Limit::Partition),
            text => printed(text).map(Limit::Seconds),
        }
    }

    /// Its seconds, where it is a number.
    pub fn seconds(self) -> Option<u64> {
        match self {
            Limit::Seconds(seconds) => Some(seconds),
            _ => None,
        }
    }
}

/// Seconds since the Unix epoch of `2026-11-23T03:43:51` in UTC, in which all commands are run. `None` for `Unknown`,
/// `None`, `N/A` and anything else.
pub fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    // jiff reads more than SLURM writes; only the one form is wanted.
    let bytes = text.as_bytes();
    let shape = bytes.len() == 19 && bytes[4] == b'-' && bytes[10] == b'T' && bytes[13] == b':';
    let stamp: DateTime = if shape { text.parse().ok()? } else { return None };
    stamp.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp().as_second())
}

/// Seconds of a span as people give it to `sbatch --time`: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`. A bare number is
/// minutes.
pub fn parse_duration(text: &str) -> Option<u64> {
    span(text, 60)
}

/// As the commands print it, where a bare number is seconds (`ElapsedRaw`) or does not occur.
fn printed(text: &str) -> Option<u64> {
    span(text, 1)
}

fn span(text: &str, bare: u64) -> Option<u64> {
    let (days, rest) = match text.trim().split_once('-') {
        Some((days, rest)) => (Some(number(days)?), rest),
        None => (None, text.trim()),
    };
    let parts = rest.split(':').map(number).collect::<Option<Vec<_>>>()?;
    let seconds = |h: u64, m: u64, s: u64| h.checked_mul(3600)?.checked_add(m.checked_mul(60)?)?.checked_add(s);
    let within = match (days, &parts[..]) {
        (None, [n]) => n.checked_mul(bare)?,
        (None, [m, s]) => seconds(0, *m, *s)?,
        (Some(_), [h]) => seconds(*h, 0, 0)?,
        (Some(_), [h, m]) => seconds(*h, *m, 0)?,
        (_, [h, m, s]) => seconds(*h, *m, *s)?,
        _ => return None,
    };
    days.unwrap_or(0).checked_mul(86400)?.checked_add(within)
}

fn number(text: &str) -> Option<u64> {
    // `parse` takes a sign too.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A span for `sbatch --time`, rounded up to whole seconds: `1-02:03:04`.
pub(super) fn show_duration(seconds: f64) -> String {
    let total = seconds.max(1.0).ceil() as u64;
    let (days, rest) = (total / 86400, total % 86400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60);
    if days > 0 { format!("{days}-{clock}") } else { clock }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_in_all_forms() {
        let cases = [("5", 300), ("1:30", 90), ("1:00:00", 3600), ("1-2", 93600), ("1-2:3", 93780), ("1-2:3:4", 93784)];
        for (text, seconds) in cases {
            assert_eq!(parse_duration(text), Some(seconds), "{text}");
        }
        for text in ["", "-", "1-", "+5", "1:2:3:4", "a", "1.5", "99999999999999999999", "9999999999999999-0"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(Limit::parse("2:00"), Some(Limit::Seconds(120)));
        assert_eq!(Limit::parse("UNLIMITED"), Some(Limit::Unlimited));
        assert_eq!(Limit::parse("Partition_Limit"), Some(Limit::Partition));
        assert_eq!(Limit::parse("INVALID"), None);
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for seconds in [1u64, 59, 60, 3599, 86399, 86400, 93784, 1_000_000] {
            assert_eq!(parse_duration(&show_duration(seconds as f64)), Some(seconds));
        }
        assert_eq!(show_duration(0.2), "00:00:01");
    }

    #[test]
    fn points_in_time_are_utc() {
        assert_eq!(parse_time("1970-01-02T00:00:01"), Some(86401));
        assert_eq!(parse_time("2026-11-23T03:43:51"), Some(1_795_405_431));
        for text in ["Unknown", "None", "N/A", "", "2026-11-23", "2026-13-23T03:43:51", "2026-11-23T03:43:5"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
