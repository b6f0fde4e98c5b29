//! What is refused before anything is built, each with its config key, the values, and what would work.

use super::{cnn, gpt, mlp};
use crate::config::{DataShape, Experiment, InputShape, ModelSpec, OptimizerSpec, ParamGroup, TargetShape};
use crate::problem::{Problem, Result};

/// Largest width, number of channels, heads, tokens or samples: far above what fits, far below what overflows.
const MAX_SIZE: usize = 1 << 24;
/// Largest number of layers.
const MAX_COUNT: usize = 4096;

/// Refuses every experiment that cannot become programs over this data.
pub(super) fn refuse(experiment: &Experiment, data: &DataShape) -> Result<()> {
    data_shape(data)?;
    match &experiment.model {
        ModelSpec::Mlp(model) => mlp::refuse(model, data)?,
        ModelSpec::Gpt(model) => gpt::refuse(model, data)?,
        ModelSpec::Cnn(model) => cnn::refuse(model, data)?,
    }
    training(experiment, data)?;
    optimizer(&experiment.optimizer)
}

fn data_shape(data: &DataShape) -> Result<()> {
    let inputs: &[(&str, usize)] = match data.input {
        InputShape::Features(features) => &[("features", features)],
        InputShape::Image { height, width, channels } => {
            &[("image rows", height), ("image columns", width), ("image channels", channels)]
        }
        InputShape::Tokens { vocabulary, fixed } => {
            &[("input tokens", vocabulary), ("tokens a sample", fixed.unwrap_or(1))]
        }
    };
    let target = match data.target {
        TargetShape::Class { classes } => ("classes", classes),
        TargetShape::NextToken { vocabulary } => ("target tokens", vocabulary),
        TargetShape::Real { outputs } => ("target numbers", outputs),
    };
    for &(what, size) in inputs.iter().chain([&target]) {
        if size == 0 || size > MAX_SIZE {
            return Err(Problem::usage(format!("the data have {size} {what}"))
                .at("data.kind")
                .remedy(format!("use a dataset with 1 to {MAX_SIZE} {what}")));
        }
    }
    if matches!(data.target, TargetShape::NextToken { .. }) && !matches!(data.input, InputShape::Tokens { .. }) {
        return Err(Problem::usage("next tokens are to be predicted, but the inputs are not tokens")
            .at("data.kind")
            .remedy("use text data for next-token prediction"));
    }
    Ok(())
}

fn training(experiment: &Experiment, data: &DataShape) -> Result<()> {
    let training = &experiment.training;
    let (batch, micro) = (training.batch_size, experiment.resources.micro_batch);
    size("training.batch_size", batch)?;
    size("evaluation.batch_size", experiment.evaluation.batch_size)?;
    if micro > 0 && !batch.is_multiple_of(micro) {
        return Err(Problem::usage(format!("a micro-batch of {micro} does not divide the batch size of {batch}"))
            .at("resources.micro_batch")
            .remedy(format!("use 0 for the whole batch or a divisor of {batch}: {}", divisors(batch))));
    }
    probability("training.label_smoothing", training.label_smoothing)?;
    if training.label_smoothing > 0.0 && matches!(data.target, TargetShape::Real { .. }) {
        let what = format!("label smoothing of {} has no meaning for a regression", training.label_smoothing);
        return Err(Problem::usage(what).at("training.label_smoothing").remedy("leave it out, or set it to 0"));
    }
    probability("training.ema_decay", training.ema_decay)?;
    not_negative("training.clip_norm", training.clip_norm)
}

fn optimizer(optimizer: &OptimizerSpec) -> Result<()> {
    let groups: &[ParamGroup] = match optimizer {
        OptimizerSpec::Sgd(sgd) => {
            probability("optimizer.momentum", sgd.momentum)?;
            not_negative("optimizer.weight_decay", sgd.weight_decay)?;
            if sgd.nesterov && sgd.momentum == 0.0 {
                return Err(Problem::usage("Nesterov's form looks ahead along the momentum, and momentum is 0")
                    .at("optimizer.nesterov")
                    .remedy("set optimizer.momentum to, say, 0.9, or nesterov = false"));
            }
            &sgd.groups
        }
        OptimizerSpec::Adamw(adam) => {
            probability("optimizer.beta1", adam.beta1)?;
            probability("optimizer.beta2", adam.beta2)?;
            not_negative("optimizer.weight_decay", adam.weight_decay)?;
            if !(adam.epsilon.is_finite() && adam.epsilon as f32 > 0.0) {
                return Err(Problem::usage(format!("epsilon {} does not keep a division by zero away", adam.epsilon))
                    .at("optimizer.epsilon")
                    .remedy("use a small positive number such as 1e-8"));
            }
            &adam.groups
        }
    };
    for (i, group) in groups.iter().enumerate() {
        not_negative(&format!("optimizer.groups[{i}].learning_rate_scale"), group.learning_rate_scale)?;
        not_negative(&format!("optimizer.groups[{i}].weight_decay"), group.weight_decay.unwrap_or(0.0))?;
        if groups[..i].iter().any(|earlier| earlier.role == group.role) {
            let what = format!("a second group for the parameter role {:?}", group.role);
            return Err(Problem::usage(what)
                .at(format!("optimizer.groups[{i}].role"))
                .remedy("join both groups: each role may appear once"));
        }
    }
    Ok(())
}

/// A model family that cannot read this kind of input.
pub(super) fn wrong_input(model: &str, input: &str, fitting: &str) -> Problem {
    Problem::usage(format!("{model} cannot read this dataset: its inputs are {input}"))
        .at("model.kind")
        .remedy(format!("set model.kind = \"{fitting}\", or choose other data"))
}

/// A size must be at least 1.
pub(super) fn size(key: &str, value: usize) -> Result<()> {
    between(key, value, MAX_SIZE)
}

/// A number of layers must be at least 1.
pub(super) fn count(key: &str, value: usize) -> Result<()> {
    between(key, value, MAX_COUNT)
}

fn between(key: &str, value: usize, most: usize) -> Result<()> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(Problem::usage(format!("{value} is out of range"))
        .at(key)
        .remedy(format!("use a whole number from 1 to {most}")))
}

/// In [0, 1), also after rounding to f32.
pub(super) fn probability(key: &str, value: f64) -> Result<()> {
    if value >= 0.0 && (value as f32) < 1.0 {
        return Ok(());
    }
    Err(Problem::usage(format!("{value} is out of range"))
        .at(key)
        .remedy("use a number from 0 up to, but not including, 1"))
}

fn not_negative(key: &str, value: f64) -> Result<()> {
    if value >= 0.0 && (value as f32).is_finite() {
        return Ok(());
    }
    Err(Problem::usage(format!("{value} is out of range")).at(key).remedy("use 0 or a positive number"))
}

/// All divisors of a number for a message: `1, 2, 4, 8`; the smallest and largest where there are many.
pub(super) fn divisors(n: usize) -> String {
    let mut small: Vec<usize> = (1..).take_while(|d| d * d <= n).filter(|d| n.is_multiple_of(*d)).collect();
    let large: Vec<usize> = small.iter().rev().map(|d| n / d).filter(|d| d * d > n).collect();
    small.extend(large);
    let show = |list: &[usize]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if small.len() <= 16 {
        show(&small)
    } else {
        format!("{}, ..., {}", show(&small[..8]), show(&small[small.len() - 8..]))
    }
}
