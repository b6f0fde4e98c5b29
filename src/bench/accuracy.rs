//! How good the predictions are: every preset predicted, then measured.

use super::calibrate::profile;
use super::family::Family;
use super::measure::measure;
use crate::config::{self, DataShape, EngineKind, Experiment, InputShape, ModelSpec, TargetShape};
use crate::cost::predict;
use crate::engine::Placement;
use crate::problem::Result;
use serde::Serialize;

/// One preset, predicted and measured.
#[derive(Debug, Clone, Serialize)]
pub struct Accuracy {
    /// Name of the preset.
    pub preset: String,
    /// Samples in a step.
    pub batch_size: usize,
    /// Predicted seconds of a step.
    pub predicted: f64,
    /// Lower end of the 80% interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Measured seconds of a step.
    pub measured: f64,
}

impl Accuracy {
    /// |predicted - measured| / measured.
    pub fn error(&self) -> f64 {
        (self.predicted - self.measured).abs() / self.measured
    }
    /// Whether the interval holds the measured value.
    pub fn covered(&self) -> bool {
        (self.low..=self.high).contains(&self.measured)
    }
}

/// Predicts and measures every preset at two batch sizes.
pub fn accuracy(kind: EngineKind, threads: usize, say: &mut dyn FnMut(&str)) -> Result<Vec<Accuracy>> {
    let mut rows = Vec::new();
    for (name, _) in config::presets() {
        for batch_size in [16, 64] {
            let mut experiment = usual_experiment(name, batch_size)?;
            experiment.resources.threads = threads;
            experiment.resources.engine = Some(kind);
            let profile = profile(Placement::of(&experiment), Family::of(&experiment.model), say)?;
            let shape = usual_shape(name, &experiment.model);
            say(&format!("measuring {name}, batch {batch_size}"));
            let measured = measure(&experiment, &shape, 1.0, false)?;
            let step = predict(&measured.programs, &measured.tasks, &profile).step_seconds;
            rows.push(Accuracy {
                preset: (*name).to_string(),
                batch_size,
                predicted: step.seconds,
                low: step.low,
                high: step.high,
                measured: measured.step(),
            });
        }
    }
    Ok(rows)
}

/// A preset on data that it is made for.
pub(super) fn usual_experiment(name: &str, batch_size: usize) -> Result<Experiment> {
    let section = match name {
        "gpt-modular" => "kind = \"modular\"",
        gpt if gpt.starts_with("gpt") => "kind = \"text\"\nname = \"tinyshakespeare\"",
        _ => "kind = \"digits\"",
    };
    let text = format!(
        "[data]\n{section}\n[model]\npreset = \"{name}\"\n[optimizer]\nkind = \"adamw\"\n[training]\n\
         batch_size = {batch_size}\n[evaluation]\nbatch_size = {batch_size}\n"
    );
    config::parse_experiment(&text, name, &[])
}

/// The shape of the data a preset is made for.
pub(super) fn usual_shape(name: &str, model: &ModelSpec) -> DataShape {
    let (input, target) = match model {
        ModelSpec::Mlp(_) if name.contains("784") => (InputShape::Features(784), TargetShape::Class { classes: 10 }),
        ModelSpec::Mlp(_) => (InputShape::Features(64), TargetShape::Class { classes: 10 }),
        ModelSpec::Cnn(_) => {
            (InputShape::Image { height: 8, width: 8, channels: 1 }, TargetShape::Class { classes: 10 })
        }
        ModelSpec::Gpt(_) if name.contains("modular") => {
            (InputShape::Tokens { vocabulary: 114, fixed: Some(3) }, TargetShape::Class { classes: 113 })
        }
        ModelSpec::Gpt(_) => {
            (InputShape::Tokens { vocabulary: 65, fixed: None }, TargetShape::NextToken { vocabulary: 65 })
        }
    };
    DataShape { input, target }
}
