//! Numbers as papers show them, and whether one is a rounding of a quantity.

use std::fmt;

/// A number in a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    /// As it stands there.
    pub text: String,
    /// Its value in the base unit: seconds, device-hours, joules, bytes, shares.
    pub value: f64,
    /// Half of its last digit, in the base unit.
    pub half: f64,
    /// `+`, `-`, or nothing.
    pub sign: Option<char>,
    /// `<0.001`: it is at most this.
    pub below: bool,
    /// Within square brackets: a bound.
    pub bound: bool,
    /// A whole number without a unit.
    pub whole: bool,
    /// Where it begins, in bytes.
    pub at: usize,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Units that scale, longest first; the base is what [`super::quantities`] counts in.
const UNITS: [(&str, f64); 22] = [
    ("device-milliseconds", 1.0 / 3.6e6),
    ("device-seconds", 1.0 / 3600.0),
    ("device-minutes", 1.0 / 60.0),
    ("device-hours", 1.0),
    ("device-ms", 1.0 / 3.6e6),
    ("device-min", 1.0 / 60.0),
    ("device-s", 1.0 / 3600.0),
    ("device-h", 1.0),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("kWh", 3.6e6),
    ("Wh", 3600.0),
    ("min", 60.0),
    ("ms", 1e-3),
    ("us", 1e-6),
    ("s", 1.0),
    ("h", 3600.0),
    ("B", 1.0),
    ("J", 1.0),
    ("%", 0.01),
];

/// Numbers written out that papers use for small counts.
const WORDS: [(&str, f64); 12] = [
    ("no", 0.0),
    ("zero", 0.0),
    ("one", 1.0),
    ("two", 2.0),
    ("three", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("six", 6.0),
    ("seven", 7.0),
    ("eight", 8.0),
    ("nine", 9.0),
    ("ten", 10.0),
];

/// One form for what is typeset differently: minus signs, spaces, powers.
pub(super) fn normal(text: &str) -> String {
    text.replace('\u{2212}', "-").replace(['\u{a0}', '\u{202f}', '\u{2009}'], " ").replace('\u{d7}', "x")
}

/// All numbers of a text in digits, in order.
pub(super) fn numbers(text: &str) -> Vec<Shown> {
    let text = normal(text);
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let mut found = Vec::new();
    let (mut at, mut depth) = (0, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if !digit(at) {
            at += 1;
            continue;
        }
        let start = at;
        let mut digits = String::new();
        let mut decimals = None;
        loop {
            if digit(at) {
                digits.push(bytes[at] as char);
                decimals = decimals.map(|d: i32| d + 1);
                at += 1;
            } else if bytes.get(at) == Some(&b',') && decimals.is_none() && thousands(bytes, at) {
                at += 1;
            } else if bytes.get(at) == Some(&b'.') && decimals.is_none() && digit(at + 1) {
                digits.push('.');
                decimals = Some(0);
                at += 1;
            } else {
                break;
            }
        }
        let mut scale = 1.0;
        let mut value: f64 = digits.parse().unwrap_or(f64::NAN);
        let mut half = 0.5 * 10f64.powi(-decimals.unwrap_or(0));
        // `2.5x10^-8`, and `10^-8` by itself.
        let rest = &text[at..];
        let power = rest.strip_prefix("x10^").or_else(|| if digits == "10" { rest.strip_prefix('^') } else { None });
        if let Some(rest) = power {
            let length = rest.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(rest.len());
            let exponent: i32 = rest[..length].parse().unwrap_or(0);
            let mantissa = if text[at..].starts_with("x10^") { value } else { 1.0 };
            let step = if text[at..].starts_with("x10^") { half } else { 0.5 };
            (value, half) = (mantissa * 10f64.powi(exponent), step * 10f64.powi(exponent));
            at = text.len() - rest.len() + length;
        }
        let rest = &text[at..];
        let unit = UNITS.iter().find(|(unit, _)| {
            let after = rest.strip_prefix(' ').unwrap_or(rest).strip_prefix(unit);
            after.is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
        });
        if let Some((_, factor)) = unit {
            scale = *factor;
        }
        let before = text[..start].chars().next_back();
        let two_before = text[..start].chars().rev().nth(1);
        let sign = before.filter(|c| matches!(c, '+' | '-')).filter(|_| !two_before.is_some_and(char::is_alphanumeric));
        if sign == Some('-') {
            value = -value;
        }
        found.push(Shown {
            text: text[start..at].to_string(),
            value: value * scale,
            half: half * scale,
            sign,
            below: before == Some('<') || (before == Some(' ') && two_before == Some('<')),
            bound: depth > 0,
            whole: decimals.is_none() && unit.is_none() && power.is_none(),
            at: start,
        });
    }
    found
}

/// A comma that parts thousands: three digits behind it and no fourth.
fn thousands(bytes: &[u8], at: usize) -> bool {
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    digit(at + 1) && digit(at + 2) && digit(at + 3) && !digit(at + 4)
}

/// The number that a text without digits begins with, written out: `five candidates`.
pub(super) fn in_words(text: &str) -> Option<f64> {
    let first = normal(text).trim().split(' ').next()?.to_lowercase();
    WORDS.iter().find(|(word, _)| *word == first).map(|(_, value)| *value)
}

/// Whether a word is a number written out that a text should not hold outside of a marked place.
pub(super) fn is_count(word: &str) -> bool {
    let lower = word.to_lowercase();
    WORDS[3..].iter().any(|(known, _)| *known == lower)
        || ["eleven", "twelve", "dozen", "twenty"].contains(&lower.as_str())
}

impl Shown {
    /// Whether it is `value` rounded to the digits that it shows. A number without a sign may be the size of a negative one.
    pub fn is(&self, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        if self.below {
            return value < self.value;
        }
        // A double's own rounding, where the digit behind the last is a five.
        let slack = self.half * (1.0 + 1e-6) + value.abs() * 1e-12;
        let near = |a: f64, b: f64| (a - b).abs() <= slack;
        near(self.value, value) || (self.sign.is_none() && near(self.value, value.abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, values) in [
            ("0.9743", vec![0.9743]),
            ("12,345 parameters", vec![12345.0]),
            ("1, 2,3", vec![1.0, 2.0, 3.0]),
            ("\u{2212}0.012 [\u{2212}0.02, +0.01]", vec![-0.012, -0.02, 0.01]),
            ("93%", vec![0.93]),
            ("22\u{a0}ms", vec![0.022]),
            ("1.5\u{a0}min", vec![90.0]),
            ("30.0\u{a0}device-minutes", vec![0.5]),
            ("2.0 Wh", vec![7200.0]),
            ("1.0\u{a0}MiB", vec![1_048_576.0]),
            ("2.5\u{d7}10^9", vec![2.5e9]),
            ("10^\u{2212}8", vec![1e-8]),
            ("1.5 nats", vec![1.5]),
            ("GPT-2", vec![2.0]),
            ("$0.0021", vec![0.0021]),
        ] {
            let got: Vec<f64> = numbers(text).iter().map(|n| n.value).collect();
            assert!(
                got.len() == values.len() && got.iter().zip(&values).all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs()),
                "{text}: {got:?}"
            );
        }
        let bounds = numbers("0.5 [0.4, 0.6]");
        assert_eq!(bounds.iter().map(|n| n.bound).collect::<Vec<_>>(), [false, true, true]);
        assert!(numbers("<0.001")[0].below && numbers("GPT-2")[0].sign.is_none());
        assert_eq!(
            (in_words("Five\u{a0}candidates"), in_words("no runs"), in_words("0.5")),
            (Some(5.0), Some(0.0), None)
        );
    }

    #[test]
    fn roundings_are_told_from_other_numbers() {
        for (text, value, is) in [
            ("0.9743", 0.97434999, true),
            ("0.9743", 0.97436, false),
            ("0.9743", 0.9742, false),
            ("93%", 0.934, true),
            ("93%", 0.936, false),
            ("\u{2212}0.012", -0.0123, true),
            ("\u{2212}0.012", 0.0123, false),
            ("0.012", -0.0123, true),
            ("+0.012", -0.0123, false),
            ("<0.001", 1e-7, true),
            ("<0.001", 0.002, false),
            ("12,345", 12345.0, true),
            ("12,346", 12345.0, false),
            ("22 ms", 0.0215, true),
            ("0.0123", f64::NAN, false),
        ] {
            assert_eq!(numbers(text)[0].is(value), is, "{text} {value}");
        }
    }
}
