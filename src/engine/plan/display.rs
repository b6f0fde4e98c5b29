//! The plan for people.

use super::step::{Into, LossKind, Place, Root, Schedule, Step, Tail, Tensor};
use super::update::UpdateRule;
use super::{Plan, Region};
use crate::units::{Bytes, Flops};
use std::fmt::Write;

/// The plan, a step a line: what it does, from where to where, operations and bytes.
pub fn describe(plan: &Plan) -> String {
    let mut text = String::new();
    for schedule in [&plan.micro, &plan.eval] {
        describe_schedule(&mut text, schedule);
    }
    let rule = match plan.update.rule {
        UpdateRule::Sgd { momentum: 0.0, .. } => "sgd".to_string(),
        UpdateRule::Sgd { momentum, nesterov } => {
            format!("sgd momentum {momentum}{}", if nesterov { " nesterov" } else { "" })
        }
        UpdateRule::AdamW { beta1, beta2, .. } => format!("adamw {beta1} {beta2}"),
    };
    let clip = plan.update.max_norm.map_or(String::new(), |norm| format!(" + clip {norm}"));
    let average = plan.update.average.map_or(String::new(), |decay| format!(" + average {decay}"));
    let layout = &plan.layout;
    let _ = writeln!(
        text,
        "apply: norm{clip} + {rule}{average} over {} elements in {} segments\n\
         state: {} (parameters at 0, gradients at {})",
        layout.region,
        plan.update.segments.len(),
        Bytes(4 * layout.elements() as u64),
        layout.start(Region::Grads),
    );
    text
}

fn describe_schedule(text: &mut String, schedule: &Schedule) {
    let (arena, unshared) = (Bytes(4 * schedule.arena as u64), Bytes(4 * schedule.unshared as u64));
    let nodes: usize = schedule.steps.iter().map(|s| s.nodes.len()).sum();
    let _ = writeln!(
        text,
        "{}: {} steps for {nodes} ops; arena {arena} for {unshared} of values",
        schedule.name,
        schedule.steps.len()
    );
    for (i, step) in schedule.steps.iter().enumerate() {
        let inputs = step.inputs.iter().map(show).collect::<Vec<_>>().join(", ");
        let outputs: Vec<String> = step.outputs.iter().zip(&step.into).map(|(t, into)| written(t, *into)).collect();
        let _ = writeln!(
            text,
            "{i:4}  {:<44} {inputs} -> {}  ({}, {})",
            name(step),
            if outputs.is_empty() { "sums".to_string() } else { outputs.join(", ") },
            Flops(step.work.flops.0),
            step.work.bytes
        );
    }
}

/// `matmul + bias + gelu`.
pub(in crate::engine) fn name(step: &Step) -> String {
    let mut parts = Vec::new();
    match &step.root {
        Root::Op(op) => parts.push(op.to_string()),
        Root::Map if step.tail.is_empty() => parts.push("accumulate".to_string()),
        Root::Map => {}
        Root::LastQuery { gradient, .. } => {
            parts.push(format!("attention{} of the last query", if *gradient { "_grad" } else { "" }));
        }
        Root::Loss { kind, gradient, correct } => {
            parts.push(match kind {
                LossKind::CrossEntropy { .. } => "cross-entropy".to_string(),
                LossKind::SquaredError => "squared error".to_string(),
            });
            parts.extend(gradient.map(|_| "gradient".to_string()));
            parts.extend(correct.then(|| "correct".to_string()));
        }
    }
    parts.extend(step.tail.iter().map(|stage| match stage {
        Tail::Bias(_) => "bias".to_string(),
        Tail::Add(_) => "add".to_string(),
        Tail::Scale(factor) => format!("scale {factor}"),
        Tail::Activate(f) => format!("{f:?}").to_lowercase(),
        Tail::ActivateKeepSlope(f, t) => format!("{} + keep slope {}", format!("{f:?}").to_lowercase(), show(t)),
        Tail::Multiply(_) => "times slope".to_string(),
        Tail::ActivateGrad(f, _) | Tail::ActivateGradFromOutput(f, _) => format!("{f:?}'").to_lowercase(),
        Tail::Dropout { p, .. } => format!("dropout {p}"),
        Tail::Store(t) => format!("keep {}", show(t)),
    }));
    parts.join(" + ")
}

fn show(tensor: &Tensor) -> String {
    let shape = tensor.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    match tensor.place {
        Place::Arena(at) => format!("[{shape}]@{at}"),
        Place::State(at) => format!("[{shape}]@state {at}"),
        Place::Batch(at) => format!("[{shape}]@batch {at}"),
    }
}

fn written(tensor: &Tensor, into: Into) -> String {
    match into {
        Into::Set => show(tensor),
        Into::Add => format!("+= {}", show(tensor)),
        Into::Gradient => format!("+= {} (set by the first micro-batch)", show(tensor)),
    }
}
