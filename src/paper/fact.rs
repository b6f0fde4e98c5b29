//! A fact: one thing that a paper may say, with its subject, its value, how it is rounded, and where it comes from.
//!
//! Boundary: data, rounding and the file format; which facts a campaign has is in [`super::facts`], how prose refers to
//! them in [`super::prose`].

use crate::problem::{Problem, Result};
use crate::sys::fs;
use crate::units::{Bytes, DeviceTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of `facts.json`.
pub const FACTS_FORMAT: u32 = 1;
/// Its name in the paper's folder.
pub const FACTS_FILE: &str = "facts.json";
/// The subject of facts about the whole campaign: a sentence may use them whatever it is about.
pub const CAMPAIGN: &str = "campaign";

/// What is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// A number, in the fact's unit.
    Number(f64),
    /// Words: a name, a setting, a verdict.
    Text(String),
    /// Words of somebody else, a person or a language model: printed in quotation marks, asserted by nobody.
    Quote(String),
    /// It was not measured; why. It is shown as missing, and never replaced.
    Missing(String),
}

/// How a number is rounded and in what unit it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Show {
    /// Whole number, thousands apart.
    Count,
    /// So many decimals.
    Decimals(u8),
    /// The same with its sign.
    Signed(u8),
    /// So many significant digits; with a power of ten beyond everyday sizes.
    Significant(u8),
    /// A share, 0 to 1, as a percentage with so many decimals.
    Percent(u8),
    /// A p value: three decimals, `< 0.001` below.
    PValue,
    /// Seconds, in the unit a person would choose.
    Duration,
    /// Device-hours, in the unit a person would choose.
    DeviceTime,
    /// Joules, in the unit a person would choose.
    Energy,
    /// Bytes, in binary units.
    Memory,
    /// Dollars; four decimals where they are less than a cent.
    Dollars,
    /// Not a number.
    Words,
}

/// What a comparison or an association shows beyond noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shows {
    /// The whole interval lies beyond the noise floor in the good direction, and survives the correction for many
    /// comparisons.
    Improvement,
    /// The whole interval lies beyond the noise floor in the bad direction.
    Harm,
    /// An association that is told apart from none after the correction for many comparisons.
    Association,
    /// Nothing.
    Nothing,
}

/// Where a number comes from, so that it can be computed again. Runs are numbers of runs of the campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Basis {
    /// The metric at the last evaluation of a run.
    LastMetric {
        /// The run.
        run: u32,
        /// Name of the metric.
        metric: String,
    },
    /// Mean of the metric at the last evaluations of runs, with Student's interval.
    Mean {
        /// The runs.
        runs: Vec<u32>,
        /// Name of the metric.
        metric: String,
    },
    /// Mean of `runs[i] - against[i]`, with Student's interval.
    PairedDifference {
        /// The runs.
        runs: Vec<u32>,
        /// Their partners, in the same order.
        against: Vec<u32>,
        /// Name of the metric.
        metric: String,
    },
    /// The noise floor under a comparison of means, from the baseline's runs.
    NoiseFloor {
        /// The baseline's runs.
        runs: Vec<u32>,
        /// Name of the metric.
        metric: String,
    },
    /// Sum of the device time that attempts of runs held, in device-hours.
    DeviceHours {
        /// The runs.
        runs: Vec<u32>,
    },
    /// A setting of the campaign or of an experiment.
    Config {
        /// Its path.
        path: String,
    },
    /// Counted or summed over the journal's events.
    Journal,
    /// From the manifests, outcomes or looks of attempts.
    Attempts,
}

/// One thing that is known of a campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Readable name, unique: `candidate.best.metric`, `cost.allocated`.
    pub id: String,
    /// What it is about: a key of [`Facts::subjects`], or [`CAMPAIGN`].
    pub subject: String,
    /// What it is compared with, where it is a comparison: another key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versus: Option<String>,
    /// What it is, in words that go with the value: `mean validation accuracy over seeds`.
    pub what: String,
    /// The value.
    pub value: Value,
    /// Its unit, empty for plain numbers and where `show` chooses one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Bounds of its interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Bounds>,
    /// How many values it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<usize>,
    /// What it shows beyond noise; only such facts carry claims. Absent where the question does not arise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shows: Option<Shows>,
    /// How it is rounded.
    pub show: Show,
    /// How it can be computed again.
    pub basis: Basis,
    /// Files it comes from, relative to the campaign's folder.
    pub sources: Vec<String>,
}

/// An interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Nominal coverage, in (0, 1).
    pub confidence: f64,
}

/// All facts of a campaign: `paper/facts.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// [`FACTS_FORMAT`].
    pub format: u32,
    /// Name of the campaign.
    pub campaign: String,
    /// Version of the program that compiled them.
    pub version: String,
    /// What facts can be about: key to the names that prose uses for it (lower case).
    pub subjects: BTreeMap<String, Vec<String>>,
    /// Names that hold digits or number words and are no numbers: `GPT-2`, a CPU's model, paths of settings.
    pub names: Vec<String>,
    /// Words that name the objective in prose: `accuracy`, `validation loss`.
    pub metric_words: Vec<String>,
    /// The facts, in a fixed order.
    pub facts: Vec<Fact>,
}

impl Facts {
    /// The fact of that id.
    pub fn get(&self, id: &str) -> Option<&Fact> {
        self.facts.iter().find(|f| f.id == id)
    }

    /// The number of a fact; none where it is not there, not a number or missing.
    pub fn number(&self, id: &str) -> Option<f64> {
        match self.get(id)?.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The words of a fact.
    pub fn text(&self, id: &str) -> Option<&str> {
        match &self.get(id)?.value {
            Value::Text(text) | Value::Quote(text) => Some(text),
            _ => None,
        }
    }

    /// Whether something is known under this id.
    pub fn known(&self, id: &str) -> bool {
        self.get(id).is_some_and(|f| !matches!(f.value, Value::Missing(_)))
    }

    /// Reads `facts.json`.
    pub fn read(folder: &Path) -> Result<Facts> {
        let path = folder.join(FACTS_FILE);
        let refuse = |what: String| {
            Problem::usage(what).at(path.display().to_string()).remedy("write it again with `nanoresearch paper`")
        };
        let value: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)
            .map_err(|e| refuse(format!("this is not a file of facts: {e}")))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(found) if found == u64::from(FACTS_FORMAT) => {}
            Some(found) => return Err(refuse(format!("facts of format {found}; this program reads {FACTS_FORMAT}"))),
            None => return Err(refuse("this is not a file of facts: it has no `format` number".to_string())),
        }
        serde_path_to_error::deserialize(value)
            .map_err(|e| refuse(format!("this is not a file of facts: at `{}`, {}", e.path(), e.inner())))
    }

    /// `facts.json` as it is written.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut bytes =
            serde_json::to_vec_pretty(self).map_err(|e| Problem::failed(format!("facts cannot be written: {e}")))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// No-break space, between a number and its unit.
pub const NBSP: char = '\u{a0}';

impl Fact {
    /// The value as the paper shows it, with its unit: `0.9743`, `12.3 device-minutes`, `not measured`.
    pub fn shown(&self) -> String {
        match &self.value {
            Value::Number(number) => self.with_unit(&self.number(*number), *number),
            Value::Text(text) => text.clone(),
            Value::Quote(text) => format!("\u{201c}{}\u{201d}", text.trim()),
            Value::Missing(_) => "not measured".to_string(),
        }
    }

    /// The bounds, in brackets: `[0.9701, 0.9780]`; none where there are none, or only infinite ones.
    pub fn bounds(&self) -> Option<String> {
        let bounds = self.interval.filter(|b| b.low.is_finite() && b.high.is_finite())?;
        let scaled = |v: f64| self.number(v);
        Some(format!("[{}, {}]", scaled(bounds.low), scaled(bounds.high)))
    }

    /// A number by this fact's rule, without its unit.
    pub fn number(&self, number: f64) -> String {
        let text = match self.show {
            Show::Count => grouped(number),
            Show::Decimals(d) => fixed(number, d),
            Show::Signed(d) => {
                let text = fixed(number, d);
                if number > 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) { format!("+{text}") } else { text }
            }
            Show::Significant(d) => significant(number, d),
            Show::Percent(d) => format!("{}%", fixed(100.0 * number, d)),
            Show::PValue if number < 0.001 => "< 0.001".to_string(),
            Show::PValue => fixed(number, 3),
            Show::Duration => duration(number),
            Show::DeviceTime => device_time(number),
            Show::Energy => crate::campaign::energy(number),
            Show::Memory => Bytes(number.max(0.0) as u64).to_string(),
            Show::Dollars => dollars(number),
            Show::Words => String::new(),
        };
        text.replace('-', "\u{2212}").replace("device\u{2212}", "device-").replace(' ', "\u{a0}")
    }

    fn with_unit(&self, text: &str, number: f64) -> String {
        if self.unit.is_empty() {
            return text.to_string();
        }
        // One of a countable unit is singular.
        let unit = match self.unit.strip_suffix('s') {
            Some(one) if number == 1.0 && self.show == Show::Count => one,
            _ => &self.unit,
        };
        format!("{text}{NBSP}{unit}")
    }
}

/// With a fixed number of decimals; no negative zero.
fn fixed(number: f64, decimals: u8) -> String {
    let text = format!("{number:.*}", usize::from(decimals));
    match text.strip_prefix('-') {
        Some(rest) if !rest.bytes().any(|b| (b'1'..=b'9').contains(&b)) => rest.to_string(),
        _ => text,
    }
}

/// A whole number with a comma at every thousand.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if number < 0.0 && digits != "0" { format!("-{out}") } else { out }
}

/// So many significant digits, without trailing zeros behind the point.
pub(super) fn significant(number: f64, digits: u8) -> String {
    if number == 0.0 || !number.is_finite() {
        return if number == 0.0 { "0".to_string() } else { "unknown".to_string() };
    }
    let magnitude = number.abs().log10().floor() as i32;
    if !(-4..6).contains(&magnitude) {
        let text = format!("{number:.*e}", usize::from(digits.saturating_sub(1)));
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa =
            if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
        return if mantissa == "1" { format!("10^{power}") } else { format!("{mantissa}\u{d7}10^{power}") };
    }
    let decimals = (i32::from(digits) - 1 - magnitude).max(0) as usize;
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995 => format!("{} ms", significant(s * 1e3, 2)),
        s if s < 120.0 => format!("{} s", significant(s, 3)),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

fn device_time(hours: f64) -> String {
    let text = DeviceTime { ms: (hours.max(0.0) * 3.6e6).round() as u64 }.to_string();
    for (short, long) in [("device-ms", "device-milliseconds"), ("device-min", "device-minutes")] {
        if let Some(number) = text.strip_suffix(short) {
            return format!("{number}{long}");
        }
    }
    text.replace("device-s", "device-seconds").replace("device-h", "device-hours")
}

fn dollars(dollars: f64) -> String {
    if dollars > 0.0 && dollars < 0.01 { format!("${dollars:.4}") } else { format!("${dollars:.2}") }
}

/// A small count as a word: `five`; digits from eleven on.
pub fn in_words(number: f64) -> String {
    const WORDS: [&str; 11] = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    if number.fract() == 0.0 && (0.0..=10.0).contains(&number) {
        WORDS[number as usize].to_string()
    } else {
        grouped(number)
    }
}

/// Decimals at which a value of this noise has two digits that mean something.
pub fn decimals_for(noise: f64) -> u8 {
    if !(noise.is_finite() && noise > 0.0) {
        return 4;
    }
    (1.0 - noise.log10().floor()).clamp(2.0, 6.0) as u8
}

#[cfg(test)]
#[path = "fact_tests.rs"]
mod tests;
