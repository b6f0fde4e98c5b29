//! From an experiment and the shape of its data to the three step programs.

use super::builder::Builder;
use super::loss::Predicted;
use super::net::{Net, Params};
use super::{DType, Op, Program, StepPrograms, ValueId, check, cnn, gpt, grad, mlp, recompute, update};
use crate::config::{DataShape, Experiment, InputShape, ModelSpec, TargetShape};
use crate::problem::{Problem, Result};

/// Builds the step programs of an experiment over data of this shape.
///
/// The micro-batch is `resources.micro_batch` or the whole batch; losses are normalised by the whole batch, so the
/// choice changes nothing but memory. Errors: a usage problem for everything that is impossible, with the config key,
/// the values and what would work.
pub fn build(experiment: &Experiment, shape: &DataShape) -> Result<StepPrograms> {
    check::refuse(experiment, shape)?;
    let training = &experiment.training;
    let micro_batch = match experiment.resources.micro_batch {
        0 => training.batch_size,
        micro => micro,
    };
    let targets_per_sample = match (&experiment.model, &shape.target) {
        (ModelSpec::Gpt(model), TargetShape::NextToken { .. }) => gpt::context(model, shape),
        _ => 1,
    };

    let mut params = Params::default();
    let mut net = Net::new(Builder::new("micro"), &mut params, true);
    let predicted = forward(&mut net, &experiment.model, shape, micro_batch)?;
    let mut builder = net.builder;
    let scale = 1.0 / (training.batch_size as f64 * targets_per_sample as f64);
    let (loss, seed) =
        predicted.training(&mut builder, &shape.target, training.label_smoothing as f32, scale as f32)?;
    let (trained, loss_sum) = update::complete_state(&mut params, &experiment.optimizer, training.ema_decay > 0.0);
    let tensors = &params.state.tensors;

    let wanted: Vec<ValueId> =
        trained.iter().map(|item| builder.state(item.param, &tensors[item.param].shape)).collect::<Result<_>>()?;
    let gradients = grad::backward(&mut builder, (predicted.output, seed), &wanted)?;
    for (item, value) in trained.iter().zip(&wanted) {
        let tensor = &tensors[item.param];
        let Some(&gradient) = gradients.get(value) else {
            return Err(Problem::failed(format!("parameter {} gets no gradient: the loss ignores it", tensor.name)));
        };
        let sum_so_far = builder.state(item.grad, &tensor.shape)?;
        let sum = builder.one(Op::Add, &[sum_so_far, gradient])?;
        builder.write(item.grad, sum);
    }
    let loss_so_far = builder.state(loss_sum, &[])?;
    let loss = builder.one(Op::Add, &[loss_so_far, loss])?;
    builder.write(loss_sum, loss);
    let micro = builder.finish();
    let micro = if experiment.resources.recompute { recompute::recompute(&micro) } else { micro };

    let apply = update::apply(&params, &trained, loss_sum, &experiment.optimizer, training)?;
    let eval = eval(experiment, shape, &mut params)?;
    Ok(StepPrograms {
        state: params.state,
        micro,
        apply,
        eval,
        micro_steps: training.batch_size / micro_batch,
        micro_batch,
        targets_per_sample,
    })
}

fn eval(experiment: &Experiment, shape: &DataShape, params: &mut Params) -> Result<Program> {
    let mut net = Net::new(Builder::new("eval"), params, false);
    // A batch is padded to its full size, so one that is larger than all that is evaluated would compute on padding.
    let evaluation = &experiment.evaluation;
    let batch = match evaluation.samples {
        0 => evaluation.batch_size,
        samples => evaluation.batch_size.min(samples),
    };
    let predicted = forward(&mut net, &experiment.model, shape, batch)?;
    let mut builder = net.builder;
    predicted.evaluation(&mut builder, &shape.target)?;
    Ok(builder.finish())
}

/// The batch inputs `input`, `target`, `weight`, and the model on top of the first.
fn forward(net: &mut Net, model: &ModelSpec, shape: &DataShape, batch: usize) -> Result<Predicted> {
    let (input_shape, input_type) = match (&shape.input, model) {
        (InputShape::Features(features), _) => (vec![batch, *features], DType::F32),
        (InputShape::Image { height, width, channels }, _) => (vec![batch, *height, *width, *channels], DType::F32),
        (InputShape::Tokens { .. }, ModelSpec::Gpt(model)) => (vec![batch, gpt::context(model, shape)], DType::U32),
        (InputShape::Tokens { .. }, _) => return Err(check::wrong_input("this model", "tokens", "gpt")),
    };
    let tokens = input_shape[1];
    let (target_shape, target_type, rows) = match shape.target {
        TargetShape::Class { .. } => (vec![batch], DType::U32, batch),
        TargetShape::NextToken { .. } => (vec![batch * tokens], DType::U32, batch * tokens),
        TargetShape::Real { outputs } => (vec![batch, outputs], DType::F32, batch),
    };
    let input = net.builder.batch("input", input_shape, input_type)?;
    let target = net.builder.batch("target", target_shape, target_type)?;
    let weight = net.builder.batch("weight", vec![rows], DType::F32)?;
    let outputs = match shape.target {
        TargetShape::Class { classes } => classes,
        TargetShape::NextToken { vocabulary } => vocabulary,
        TargetShape::Real { outputs } => outputs,
    };
    let output = match model {
        ModelSpec::Mlp(model) => mlp::forward(net, model, input, outputs)?,
        ModelSpec::Cnn(model) => cnn::forward(net, model, input, outputs)?,
        ModelSpec::Gpt(model) => gpt::forward(net, model, shape, input)?,
    };
    Ok(Predicted { output, target, weight })
}
