//! Before what a person is asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// When a campaign waits for a person's word.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Approval {
    /// Never.
    #[default]
    Never,
    /// Before the first run.
    First,
    /// Before every candidate's first run.
    Each,
    /// Before every run whose reservation is larger than so many device-hours.
    Above(f64),
}

impl Approval {
    /// Whether nobody is ever asked.
    pub fn is_never(&self) -> bool {
        *self == Approval::Never
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Approval::Never => f.write_str("never"),
            Approval::First => f.write_str("first"),
            Approval::Each => f.write_str("each"),
            Approval::Above(hours) => write!(f, "above-{hours}-gpu-hours"),
        }
    }
}

impl FromStr for Approval {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let hours = || text.strip_prefix("above-")?.strip_suffix("-gpu-hours")?.parse::<f64>().ok();
        match text {
            "never" => Ok(Approval::Never),
            "first" => Ok(Approval::First),
            "each" => Ok(Approval::Each),
            _ => match hours() {
                Some(hours) if hours.is_finite() && hours >= 0.0 => Ok(Approval::Above(hours)),
                _ => Err(format!("`{text}` is none of never, first, each, above-N-gpu-hours (above-2-gpu-hours)")),
            },
        }
    }
}

impl TryFrom<String> for Approval {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Approval> for String {
    fn from(approval: Approval) -> String {
        approval.to_string()
    }
}

impl JsonSchema for Approval {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Approval".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(never|first|each|above-[0-9.]+-gpu-hours)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::Approval;

    #[test]
    fn words_go_both_ways() {
        for (text, approval) in
            [("never", Approval::Never), ("each", Approval::Each), ("above-0.5-gpu-hours", Approval::Above(0.5))]
        {
            assert_eq!((text.parse(), approval.to_string().as_str()), (Ok(approval), text));
        }
        for wrong in ["", "always", "above--1-gpu-hours", "above-x-gpu-hours", "above-2"] {
            assert!(wrong.parse::<Approval>().unwrap_err().contains("above-N-gpu-hours"), "{wrong}");
        }
    }
}
