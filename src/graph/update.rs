//! The `apply` program: clip, update, average, and clear what accumulates.

use super::builder::Builder;
use super::net::Params;
use super::{HostScalar, Op, Program, StateRole, ValueId};
use crate::config::{OptimizerSpec, ParamGroup, ParamRole, TrainingSpec};
use crate::problem::Result;

/// State indices of what belongs to one parameter.
pub(super) struct Trained {
    pub(super) param: usize,
    pub(super) grad: usize,
    /// The optimiser's buffers, in the op's order.
    pub(super) slots: Vec<usize>,
    pub(super) average: Option<usize>,
}

/// Names of an optimiser's buffers, in the op's order.
fn slot_names(optimizer: &OptimizerSpec) -> &'static [&'static str] {
    match optimizer {
        // As the op sees it: in f32.
        OptimizerSpec::Sgd(sgd) if sgd.momentum as f32 == 0.0 => &[],
        OptimizerSpec::Sgd(_) => &["sgd.m"],
        OptimizerSpec::Adamw(_) => &["adam.m", "adam.v"],
    }
}

/// Completes the state after the parameters: slots, averages, gradients, loss sum (whose index comes second).
pub(super) fn complete_state(params: &mut Params, optimizer: &OptimizerSpec, ema: bool) -> (Vec<Trained>, usize) {
    let named: Vec<(usize, String, Vec<usize>)> =
        params.state.params().map(|(index, tensor)| (index, tensor.name.clone(), tensor.shape.clone())).collect();
    let mut add = |prefix: &str, role: fn(usize) -> StateRole| -> Vec<usize> {
        named
            .iter()
            .map(|(of, name, shape)| params.push(format!("{prefix}/{name}"), shape.clone(), role(*of)))
            .collect()
    };
    let slots: Vec<Vec<usize>> = slot_names(optimizer).iter().map(|prefix| add(prefix, StateRole::Slot)).collect();
    let averages = if ema { add("ema", StateRole::Ema) } else { vec![] };
    let grads = add("grad", StateRole::Grad);
    let loss_sum = params.push("loss_sum".into(), vec![], StateRole::LossSum);
    let trained: Vec<Trained> = (0..named.len())
        .map(|i| Trained {
            param: named[i].0,
            grad: grads[i],
            slots: slots.iter().map(|slot| slot[i]).collect(),
            average: averages.get(i).copied(),
        })
        .collect();
    params.averages = trained.iter().filter_map(|t| Some((t.param, t.average?))).collect();
    (trained, loss_sum)
}

/// The update op for parameters of a role: weight decay applies to weights and the head unless their group says otherwise.
fn update_op(optimizer: &OptimizerSpec, role: ParamRole) -> Op {
    let settings = |groups: &[ParamGroup], decay: f64| {
        let group = groups.iter().find(|group| group.role == role);
        let usual = if matches!(role, ParamRole::Weight | ParamRole::Head) { decay } else { 0.0 };
        let decay = group.and_then(|group| group.weight_decay).unwrap_or(usual);
        (decay as f32, group.map_or(1.0, |group| group.learning_rate_scale) as f32)
    };
    match optimizer {
        OptimizerSpec::Sgd(sgd) => {
            let (weight_decay, lr_scale) = settings(&sgd.groups, sgd.weight_decay);
            Op::Sgd { momentum: sgd.momentum as f32, nesterov: sgd.nesterov, weight_decay, lr_scale }
        }
        OptimizerSpec::Adamw(adam) => {
            let (weight_decay, lr_scale) = settings(&adam.groups, adam.weight_decay);
            Op::AdamW { beta1: adam.beta1, beta2: adam.beta2, eps: adam.epsilon as f32, weight_decay, lr_scale }
        }
    }
}

/// Builds `apply`. The norm is that of the whole accumulated gradient, before clipping.
pub(super) fn apply(
    params: &Params,
    trained: &[Trained],
    loss_sum: usize,
    optimizer: &OptimizerSpec,
    training: &TrainingSpec,
) -> Result<Program> {
    let mut builder = Builder::new("apply");
    let tensors = &params.state.tensors;
    let read = |builder: &mut Builder, index: usize| builder.state(index, &tensors[index].shape);
    let grads: Vec<ValueId> = trained.iter().map(|t| read(&mut builder, t.grad)).collect::<Result<_>>()?;
    let norm = builder.one(Op::GlobalNorm, &grads)?;
    let clip = if training.clip_norm > 0.0 {
        builder.one(Op::ClipFactor { max_norm: training.clip_norm as f32 }, &[norm])?
    } else {
        builder.one(Op::Fill(1.0), &[])?
    };
    let mut scalars = vec![clip, builder.one(Op::Host(HostScalar::LearningRate), &[])?];
    if matches!(optimizer, OptimizerSpec::Adamw(_)) {
        scalars.push(builder.one(Op::Host(HostScalar::BiasCorrection1), &[])?);
        scalars.push(builder.one(Op::Host(HostScalar::BiasCorrection2), &[])?);
    }
    for (item, &grad) in trained.iter().zip(&grads) {
        let tensor = &tensors[item.param];
        let StateRole::Param { role, .. } = tensor.role else { continue };
        let mut inputs = vec![read(&mut builder, item.param)?, grad];
        inputs.extend(&scalars);
        for &slot in &item.slots {
            inputs.push(read(&mut builder, slot)?);
        }
        let made = builder.push(update_op(optimizer, role), &inputs, &[])?;
        builder.write(item.param, made[0]);
        for (&slot, &value) in item.slots.iter().zip(&made[1..]) {
            builder.write(slot, value);
        }
        if let Some(average) = item.average {
            let old = read(&mut builder, average)?;
            let new = builder.one(Op::Ema { decay: training.ema_decay }, &[old, made[0]])?;
            builder.write(average, new);
        }
        let zero = builder.shaped(Op::Fill(0.0), &[], &tensor.shape)?;
        builder.write(item.grad, zero);
    }
    let sum = read(&mut builder, loss_sum)?;
    let zero = builder.one(Op::Fill(0.0), &[])?;
    builder.write(loss_sum, zero);
    builder.output("grad_norm", norm);
    builder.output("loss_sum", sum);
    Ok(builder.finish())
}
