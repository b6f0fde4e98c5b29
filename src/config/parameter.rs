//! What a campaign varies: the values of one parameter of its `[space]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The values one parameter may take, written as one table: `{ type = "log-float", low = 1e-4, high = 1e-1 }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "WrittenParameter", into = "WrittenParameter")]
#[schemars(with = "WrittenParameter")]
pub struct Parameter {
    /// The range or the choices.
    pub domain: Domain,
    /// Only present when other parameters have one of these values: path to list. Default: always present.
    pub when: BTreeMap<String, Vec<Value>>,
}

/// A range (bounds are inclusive) or a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// Real numbers, uniform.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Grid points when a grid planner is used.
        points: usize,
    },
    /// Positive real numbers, uniform in the logarithm.
    LogFloat {
        /// Smallest value, above 0.
        low: f64,
        /// Largest value.
        high: f64,
        /// Grid points when a grid planner is used.
        points: usize,
    },
    /// Whole numbers.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
        /// Distance between neighbouring values, at least 1.
        step: i64,
        /// Uniform in the logarithm.
        log: bool,
    },
    /// Any value out of a list.
    Choice {
        /// The values, at least one, all different.
        values: Vec<Value>,
    },
}

/// Path of another parameter to the values of it beside which this one is present.
type When = BTreeMap<String, Vec<Value>>;

/// A parameter as files write it: one flat table. (serde cannot flatten a domain into a table and still refuse
/// unknown keys, so the flat form has a type of its own.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
enum WrittenParameter {
    /// Real numbers, uniform.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Grid points when a grid planner is used. Default 5.
        #[serde(default = "grid_points")]
        points: usize,
        /// Only present when other parameters have one of these values: path to list. Default: always present.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        when: When,
    },
    /// Positive real numbers, uniform in the logarithm.
    LogFloat {
        /// Smallest value, above 0.
        low: f64,
        /// Largest value.
        high: f64,
        /// Grid points when a grid planner is used. Default 5.
        #[serde(default = "grid_points")]
        points: usize,
        /// Only present when other parameters have one of these values: path to list. Default: always present.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        when: When,
    },
    /// Whole numbers.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
        /// Distance between neighbouring values, at least 1. Default 1.
        #[serde(default = "step")]
        step: i64,
        /// Uniform in the logarithm; needs a low above 0. Default false.
        #[serde(default)]
        log: bool,
        /// Only present when other parameters have one of these values: path to list. Default: always present.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        when: When,
    },
    /// Any value out of a list.
    Choice {
        /// The values, at least one, all different.
        values: Vec<Value>,
        /// Only present when other parameters have one of these values: path to list. Default: always present.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        when: When,
    },
}

impl From<WrittenParameter> for Parameter {
    fn from(written: WrittenParameter) -> Self {
        use WrittenParameter as W;
        let (domain, when) = match written {
            W::Float { low, high, points, when } => (Domain::Float { low, high, points }, when),
            W::LogFloat { low, high, points, when } => (Domain::LogFloat { low, high, points }, when),
            W::Int { low, high, step, log, when } => (Domain::Int { low, high, step, log }, when),
            W::Choice { values, when } => (Domain::Choice { values }, when),
        };
        Parameter { domain, when }
    }
}

impl From<Parameter> for WrittenParameter {
    fn from(Parameter { domain, when }: Parameter) -> Self {
        use WrittenParameter as W;
        match domain {
            Domain::Float { low, high, points } => W::Float { low, high, points, when },
            Domain::LogFloat { low, high, points } => W::LogFloat { low, high, points, when },
            Domain::Int { low, high, step, log } => W::Int { low, high, step, log, when },
            Domain::Choice { values } => W::Choice { values, when },
        }
    }
}

fn grid_points() -> usize {
    5
}
fn step() -> i64 {
    1
}
