//! One experiment: everything that decides what a run computes, and what it may use.

use super::{DataSpec, EvaluationSpec, ModelSpec, OptimizerSpec, ResourcesSpec, ScheduleSpec, TrainingSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// An experiment, in TOML or JSON. Relative paths in it refer to its own folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// What is learned from.
    pub data: DataSpec,
    /// What is trained. `preset = "NAME"` in this section starts from `models/NAME.toml`; the other keys then override it.
    pub model: ModelSpec,
    /// How gradients become updates.
    pub optimizer: OptimizerSpec,
    /// How the learning rate moves.
    #[serde(default)]
    pub schedule: ScheduleSpec,
    /// How long, in what portions, with which regularisation.
    #[serde(default)]
    pub training: TrainingSpec,
    /// When and on what it is evaluated and checkpointed.
    #[serde(default)]
    pub evaluation: EvaluationSpec,
    /// What it may use; never part of the run's identity.
    #[serde(default)]
    pub resources: ResourcesSpec,
}

impl Experiment {
    /// The same experiment for a file in another folder, from which `way` leads to the folder that its relative paths refer
    /// to now.
    pub fn seen_from(&self, way: &Path) -> Self {
        Experiment { data: self.data.clone().seen_from(way), ..self.clone() }
    }
}
