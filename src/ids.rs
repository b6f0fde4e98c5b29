//! Newtypes for the things that are numbered or named, so that a run is never mistaken for an attempt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A run's number within its campaign, from 1; shown as `0007`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RunId(pub u32);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// One execution of a run: exactly one local process or SLURM job. Numbered from 1 within the run; shown as `0007/02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct AttemptId {
    /// The run this attempt executes.
    pub run: RunId,
    /// From 1, in the order of the attempts.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:02}", self.run, self.number)
    }
}

/// What a run *is*: the BLAKE3 hash of its config without resources and micro-batch, its dataset, its seed and the
/// numerics version. Two runs with equal keys would compute the same thing, so the second is never paid for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RunKey(pub String);

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.get(..12).unwrap_or(&self.0))
    }
}
