//! Tests of the whole module: what is built, what is refused, what it costs.

mod costs;
mod models;
mod random;
mod refusals;
mod rules;
mod structure;

use super::{StepPrograms, build};
use crate::config::{DataShape, Experiment, InputShape, TargetShape};
use crate::problem::{Problem, Result};
use serde_json::{Value as Json, json};

/// An experiment from a model section and further sections; data are of no interest here.
fn experiment(model: Json, others: Json) -> Experiment {
    let mut whole = json!({ "data": { "kind": "digits" }, "model": model, "optimizer": { "kind": "adamw" } });
    for (key, value) in others.as_object().expect("sections") {
        whole[key] = value.clone();
    }
    serde_json::from_value(whole).expect("a well-formed experiment")
}

fn built(model: Json, others: Json, shape: &DataShape) -> StepPrograms {
    let programs = build(&experiment(model, others), shape).expect("an experiment that can be built");
    programs.verify().expect("programs that verify");
    programs
}

fn refused(model: Json, others: Json, shape: &DataShape) -> Problem {
    let result: Result<StepPrograms> = build(&experiment(model, others), shape);
    result.expect_err("an experiment that is refused")
}

fn features(features: usize, classes: usize) -> DataShape {
    DataShape { input: InputShape::Features(features), target: TargetShape::Class { classes } }
}

fn regression(features: usize, outputs: usize) -> DataShape {
    DataShape { input: InputShape::Features(features), target: TargetShape::Real { outputs } }
}

fn image(height: usize, width: usize, channels: usize, classes: usize) -> DataShape {
    DataShape { input: InputShape::Image { height, width, channels }, target: TargetShape::Class { classes } }
}

fn text(vocabulary: usize) -> DataShape {
    DataShape { input: InputShape::Tokens { vocabulary, fixed: None }, target: TargetShape::NextToken { vocabulary } }
}

fn modular(modulus: usize) -> DataShape {
    DataShape {
        input: InputShape::Tokens { vocabulary: modulus + 1, fixed: Some(3) },
        target: TargetShape::Class { classes: modulus },
    }
}
