//! The plan as pieces of work, for the cost model: a fused step is one task, and its tail another.

use super::{Plan, Root, Schedule, Step};
use crate::cost::{OpClass, StepTasks, Task};
use crate::graph::{Op, StepPrograms, Work};
use crate::units::{Bytes, Flops};

/// Attention over fewer positions than this is computed in registers, at a speed of its own.
const SHORT: usize = 8;

/// What a compiled engine executes for the programs.
pub(in crate::engine) fn tasks(plan: &Plan, programs: &StepPrograms) -> StepTasks {
    let of = |schedule: &Schedule| schedule.steps.iter().flat_map(of_step).collect();
    // The update is one pass over the flat state, whatever the number of its tensors.
    let update = Task { class: OpClass::Update, work: programs.apply.total_work() };
    StepTasks { micro: of(&plan.micro), apply: vec![update], eval: of(&plan.eval) }
}

/// A fused step and its tail.
pub(in crate::engine) fn of_step(step: &Step) -> Vec<Task> {
    let positions = || step.inputs.first().and_then(|t| t.shape.get(1)).copied().unwrap_or(0);
    let class = match &step.root {
        Root::LastQuery { .. } => OpClass::ShortAttention,
        Root::Op(Op::Attention { .. } | Op::AttentionGrad { .. }) if positions() <= SHORT => OpClass::ShortAttention,
        // A step that does nothing by itself is not there; the class of a pass over elements is as good as any.
        Root::Op(op) => OpClass::of(op).unwrap_or(OpClass::Elementwise),
        Root::Map => OpClass::Elementwise,
        Root::Loss { .. } => OpClass::Loss,
    };
    let root = Work { flops: Flops(step.work.flops.0 - step.tail_flops.0), bytes: step.work.bytes };
    let mut tasks = vec![Task { class, work: root }];
    if step.tail_flops.0 > 0.0 {
        tasks.push(Task { class: OpClass::Tail, work: Work { flops: step.tail_flops, bytes: Bytes(0) } });
    }
    tasks
}
