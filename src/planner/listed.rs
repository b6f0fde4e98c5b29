//! Experiments that somebody else made, in their order: for batches.

use super::{Assignment, Observation, Sampler, Space};
use crate::config::Experiment;
use serde_json::Value;

/// One of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Line of the file, from 1.
    pub line: u64,
    /// What its maker calls it.
    pub id: Option<Value>,
    /// Complete.
    pub experiment: Experiment,
}

/// The list as a sampler.
pub struct Listed {
    entries: Vec<Entry>,
}

impl Listed {
    /// Of these.
    pub fn new(entries: Vec<Entry>) -> Self {
        Listed { entries }
    }
}

impl Sampler for Listed {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn propose(&self, _: &Space, _: &[Observation], _: u64, _: &dyn Fn(&Assignment) -> bool) -> Option<Assignment> {
        None
    }

    fn experiment(&self, index: u64) -> Option<Experiment> {
        self.entries.get(index as usize).map(|e| e.experiment.clone())
    }

    fn label(&self, index: u64) -> Assignment {
        let mut label = Assignment::new();
        if let Some(entry) = self.entries.get(index as usize) {
            label.insert("line".to_string(), Value::from(entry.line));
            label.extend(entry.id.clone().map(|id| ("id".to_string(), id)));
        }
        label
    }
}
