//! Small experiments of every kind, with a batch that fits each.

use super::super::{Precision, ReferenceEngine};
use crate::config::{DataShape, Experiment, InputShape, TargetShape};
use crate::data::{Batch, Column};
use crate::engine::{Engine, HostState, StepInputs};
use crate::graph::{self, StateRole, StepPrograms};
use crate::rng::{Sequence, Stream};
use serde_json::{Value, json};

/// A model with the shape of its data.
#[derive(Clone)]
pub(in crate::engine) struct Case {
    pub(in crate::engine) name: String,
    pub(in crate::engine) experiment: Experiment,
    pub(in crate::engine) shape: DataShape,
}

pub(in crate::engine) const BATCH: usize = 4;

fn case(name: &str, model: Value, optimizer: Value, input: InputShape, target: TargetShape) -> Case {
    let experiment = json!({
        "data": { "kind": "digits" },
        "model": model,
        "optimizer": optimizer,
        "training": { "batch_size": BATCH, "label_smoothing": if matches!(target, TargetShape::Real { .. }) { 0.0 } else { 0.1 } },
        "evaluation": { "batch_size": 3 },
    });
    Case {
        name: name.to_string(),
        experiment: serde_json::from_value(experiment).unwrap(),
        shape: DataShape { input, target },
    }
}

fn adamw() -> Value {
    json!({ "kind": "adamw", "learning_rate": 0.01, "beta2": 0.95, "weight_decay": 0.1 })
}

/// `base` with some keys replaced.
fn with(base: &Value, keys: Value) -> Value {
    let mut model = base.clone();
    for (key, value) in keys.as_object().unwrap() {
        model[key] = value.clone();
    }
    model
}

/// Every option of every model family at least once.
pub(in crate::engine) fn cases() -> Vec<Case> {
    let mut all = vec![];
    let classes = TargetShape::Class { classes: 3 };
    let mlp = json!({ "kind": "mlp", "widths": [6, 6], "activation": "tanh" });
    for (name, keys) in [
        ("linear", json!({ "widths": [] })),
        ("relu", json!({ "activation": "relu" })),
        ("layer norm, residual", json!({ "norm": "layer", "residual": true, "activation": "gelu" })),
        ("rms norm, dropout", json!({ "norm": "rms", "dropout": 0.3, "activation": "silu" })),
        ("relu squared", json!({ "activation": "relu-squared", "dropout": 0.2, "residual": true })),
    ] {
        let input = InputShape::Features(5);
        all.push(case(&format!("mlp {name}"), with(&mlp, keys), adamw(), input, classes.clone()));
    }
    let sgd = json!({ "kind": "sgd", "nesterov": true, "weight_decay": 0.01, "learning_rate": 0.05 });
    all.push(case("mlp regression", mlp, sgd, InputShape::Features(5), TargetShape::Real { outputs: 2 }));

    let gpt = json!({ "kind": "gpt", "depth": 2, "width": 8, "heads": 4, "context": 5, "init_scale": 0.3 });
    for (name, keys) in [
        ("plain", json!({})),
        ("rms, rotary, swiglu", json!({ "norm": "rms", "positions": "rotary", "feed_forward": "swiglu" })),
        ("grouped, untied, query-key norm", json!({ "kv_heads": 2, "tied": false, "qk_norm": true, "bias": false })),
        ("one kv head, rotary, query-key norm", json!({ "kv_heads": 1, "qk_norm": true, "positions": "rotary" })),
        ("relu squared, dropout", json!({ "feed_forward": "relu-squared", "dropout": 0.2, "expansion": 2.0 })),
        ("no norm, relu", json!({ "norm": "none", "feed_forward": "relu" })),
    ] {
        let input = InputShape::Tokens { vocabulary: 7, fixed: None };
        let target = TargetShape::NextToken { vocabulary: 7 };
        all.push(case(&format!("gpt {name}"), with(&gpt, keys), adamw(), input, target));
    }
    let input = InputShape::Tokens { vocabulary: 7, fixed: Some(3) };
    all.push(case(
        "gpt classes",
        with(&gpt, json!({ "tied": false })),
        adamw(),
        input,
        TargetShape::Class { classes: 6 },
    ));

    let image = InputShape::Image { height: 5, width: 6, channels: 2 };
    for (name, model) in [
        ("flatten, max", json!({ "stages": [{ "channels": 3 }, { "channels": 4, "kernel": 1, "pool": "none" }] })),
        (
            "residual, group norm, mean",
            json!({
                "stages": [{ "channels": 4, "convs": 2, "pool": "mean" }], "residual": true, "norm_groups": 2,
                "head": "mean", "activation": "gelu",
            }),
        ),
        (
            "dropout, kernel 5",
            json!({ "stages": [{ "channels": 2, "kernel": 5 }], "dropout": 0.25, "activation": "silu", "norm_groups": 1 }),
        ),
    ] {
        let model = with(&json!({ "kind": "cnn", "widths": [5], "activation": "tanh" }), model);
        all.push(case(&format!("cnn {name}"), model, adamw(), image.clone(), classes.clone()));
    }
    all
}

/// Everything needed to take steps on a case.
pub(in crate::engine) struct Bench {
    pub(in crate::engine) engine: ReferenceEngine,
    pub(in crate::engine) programs: StepPrograms,
    pub(in crate::engine) batch: Batch,
}

pub(in crate::engine) const INPUTS: StepInputs =
    StepInputs { seed: 5, step: 2, learning_rate: 0.01, bias_correction1: 0.271, bias_correction2: 0.142_625 };

impl Case {
    /// An engine at the initial values of seed 3, for micro-batches of the given size.
    pub(in crate::engine) fn bench(&self, precision: Precision, micro_batch: usize) -> Bench {
        self.bench_of(precision, micro_batch, BATCH)
    }

    /// The same with a batch of so many samples.
    pub(in crate::engine) fn bench_of(&self, precision: Precision, micro_batch: usize, samples: usize) -> Bench {
        let mut experiment = self.experiment.clone();
        experiment.resources.micro_batch = micro_batch;
        let programs = graph::build(&experiment, &self.shape).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let mut engine = ReferenceEngine::new(programs.clone(), precision).unwrap();
        engine.load(&initial(&programs)).unwrap();
        let batch = self.batch(&programs, samples, 1);
        Bench { engine, programs, batch }
    }

    /// A random batch; the last sample has weight 0, the one before it weight 1/2.
    pub(in crate::engine) fn batch(&self, programs: &StepPrograms, samples: usize, seed: u64) -> Batch {
        let mut draw = Sequence::new(seed, Stream::Data, 0, 0);
        let mut reals = |n: usize| Column::F32((0..n).map(|_| draw.normal() as f32).collect());
        let rows = samples * programs.targets_per_sample;
        let input = match self.shape.input {
            InputShape::Features(n) => reals(samples * n),
            InputShape::Image { height, width, channels } => reals(samples * height * width * channels),
            InputShape::Tokens { vocabulary, .. } => {
                let length: usize = programs.micro.batch[0].shape[1..].iter().product();
                Column::U32((0..samples * length).map(|_| draw.below(vocabulary as u64) as u32).collect())
            }
        };
        let mut draw = Sequence::new(seed, Stream::Data, 1, 0);
        let target = match self.shape.target {
            TargetShape::Class { classes: n } | TargetShape::NextToken { vocabulary: n } => {
                Column::U32((0..rows).map(|_| draw.below(n as u64) as u32).collect())
            }
            TargetShape::Real { outputs } => Column::F32((0..rows * outputs).map(|_| draw.normal() as f32).collect()),
        };
        let weight = (0..rows)
            .map(|r| match samples - r / programs.targets_per_sample {
                1 => 0.0,
                2 => 0.5,
                _ => 1.0,
            })
            .collect();
        Batch { samples, input, target, weight }
    }
}

/// Initial values, moved a little so that biases and gains are not all 0 and 1.
fn initial(programs: &StepPrograms) -> HostState {
    let mut draw = Sequence::new(1, Stream::Data, 2, 0);
    let values = graph::initial_values(&programs.state, 3).into_iter();
    let tensors = values.map(|(name, shape, mut values)| {
        if programs.state.params().any(|(_, p)| p.name == name) {
            values.iter_mut().for_each(|v| *v += (0.1 * draw.normal()) as f32);
        }
        (name, (shape, values))
    });
    HostState { tensors: tensors.collect() }
}

impl Bench {
    /// The part of the batch with these samples.
    pub(in crate::engine) fn slice(&self, first: usize, count: usize) -> Batch {
        let all = self.batch.samples;
        let cut = |column: &Column| match column {
            Column::F32(v) => Column::F32(v[v.len() / all * first..v.len() / all * (first + count)].to_vec()),
            Column::U32(v) => Column::U32(v[v.len() / all * first..v.len() / all * (first + count)].to_vec()),
        };
        let rows = self.batch.weight.len() / all;
        Batch {
            samples: count,
            input: cut(&self.batch.input),
            target: cut(&self.batch.target),
            weight: self.batch.weight[rows * first..rows * (first + count)].to_vec(),
        }
    }

    /// All micro-batches of one step.
    pub(in crate::engine) fn accumulate(&mut self) {
        let size = self.programs.micro_batch;
        for i in 0..self.programs.micro_steps {
            self.engine.micro(&self.slice(i * size, size), &INPUTS, (i * size) as u32).unwrap();
        }
    }

    /// The state index of the loss sum.
    pub(in crate::engine) fn loss_sum(&self) -> usize {
        self.programs.state.tensors.iter().position(|t| t.role == StateRole::LossSum).unwrap()
    }

    /// Parameters: (state index, index of the gradient, name).
    pub(in crate::engine) fn params(&self) -> Vec<(usize, usize, String)> {
        let tensors = &self.programs.state.tensors;
        let gradient = |i: usize| tensors.iter().position(|t| t.role == StateRole::Grad(i)).unwrap();
        self.programs.state.params().map(|(i, t)| (i, gradient(i), t.name.clone())).collect()
    }
}
