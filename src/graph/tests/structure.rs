//! What the three programs read, write and hand back, and a small one printed whole.

use super::*;
use crate::graph::{DType, HostScalar, Node, Op, Program, StateRole};

fn ops(program: &Program) -> Vec<&'static str> {
    program.nodes.iter().map(|node| node.op.name()).collect()
}

fn count(program: &Program, name: &str) -> usize {
    ops(program).iter().filter(|op| **op == name).count()
}

fn maker(program: &Program, value: crate::graph::ValueId) -> &Node {
    program.nodes.iter().find(|node| node.outputs.contains(&value)).expect("a verified program makes every value")
}

fn reads(program: &Program) -> Vec<usize> {
    program.nodes.iter().filter_map(|n| if let Op::State(index) = n.op { Some(index) } else { None }).collect()
}

/// The state is read and written as its roles say: `micro` adds to gradients and loss sum, `apply` renews everything.
pub(super) fn check_state_traffic(programs: &StepPrograms) {
    let StepPrograms { state, micro, apply, eval, .. } = programs;
    let with = |wanted: fn(&StateRole) -> bool| -> Vec<usize> {
        (0..state.tensors.len()).filter(|&i| wanted(&state.tensors[i].role)).collect()
    };
    let sums = with(|role| matches!(role, StateRole::Grad(_) | StateRole::LossSum));
    let mut written: Vec<usize> = micro.writes.iter().map(|(index, _)| *index).collect();
    written.sort_unstable();
    assert_eq!(written, sums, "micro writes every gradient and the loss sum");
    for &(index, value) in &micro.writes {
        let node = maker(micro, value);
        assert_eq!(node.op, Op::Add, "accumulated");
        assert_eq!(maker(micro, node.inputs[0]).op, Op::State(index), "onto what was there");
    }
    let mut written: Vec<usize> = apply.writes.iter().map(|(index, _)| *index).collect();
    written.sort_unstable();
    assert_eq!(written, (0..state.tensors.len()).collect::<Vec<_>>(), "apply renews the whole state");
    for &(index, value) in &apply.writes {
        let cleared = maker(apply, value).op == Op::Fill(0.0);
        assert_eq!(cleared, sums.contains(&index), "{}", state.tensors[index].name);
    }
    assert!(eval.writes.is_empty() && micro.outputs.is_empty());
    let averages = with(|role| matches!(role, StateRole::Ema(_)));
    let params = with(|role| matches!(role, StateRole::Param { .. }));
    let mut read = reads(eval);
    read.sort_unstable();
    assert_eq!(read, if averages.is_empty() { params } else { averages }, "eval reads averages where there are any");
    assert_eq!(apply.outputs.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["grad_norm", "loss_sum"]);
}

/// Nothing is computed in vain: of every node some output is read, written or handed back.
pub(super) fn check_no_dead_nodes(program: &Program) {
    let mut used = vec![false; program.values.len()];
    program.nodes.iter().flat_map(|node| &node.inputs).for_each(|input| used[input.0] = true);
    program.writes.iter().for_each(|(_, value)| used[value.0] = true);
    program.outputs.iter().for_each(|(_, value)| used[value.0] = true);
    for node in &program.nodes {
        assert!(node.outputs.iter().any(|output| used[output.0]), "{} in {} is of no use", node.op, program.name);
    }
}

#[test]
fn gradients_of_the_batch_are_dropped() {
    let mlp = built(json!({ "kind": "mlp", "widths": [8, 8] }), json!({}), &features(4, 3));
    // Three layers: a product each forward, one for each weight, and one for each input but the batch.
    assert_eq!(count(&mlp.micro, "matmul"), 3 + 3 + 2);
    let cnn = built(json!({ "kind": "cnn" }), json!({}), &image(8, 8, 1, 10));
    assert_eq!((count(&cnn.micro, "conv2d_grad_weight"), count(&cnn.micro, "conv2d_grad_input")), (2, 1));
}

#[test]
fn a_tied_embedding_sums_both_gradients() {
    let model = |tied| json!({ "kind": "gpt", "depth": 1, "positions": "rotary", "tied": tied });
    let programs = |tied| built(model(tied), json!({}), &text(20));
    let (tied, untied) = (programs(true), programs(false));
    assert_eq!(count(&tied.micro, "embedding_grad"), 1);
    assert_eq!(tied.state.params().filter(|(_, p)| p.name == "head.weight").count(), 0);
    // One addition more for the sum, one fewer for the accumulation of the head's own gradient.
    assert_eq!(count(&tied.micro, "add"), count(&untied.micro, "add"));
    let grad = tied.state.tensors.iter().position(|t| t.name == "grad/token_embedding").expect("gradient");
    let total = tied.micro.writes.iter().find(|(index, _)| *index == grad).expect("written").1;
    let gradient = maker(&tied.micro, maker(&tied.micro, total).inputs[1]);
    let terms: Vec<&str> = gradient.inputs.iter().map(|&v| maker(&tied.micro, v).op.name()).collect();
    assert_eq!(terms, ["matmul", "embedding_grad"]);
}

#[test]
fn micro_batches_change_the_rows_and_nothing_else() {
    let programs = |micro: usize| {
        let others = json!({ "training": { "batch_size": 48 }, "resources": { "micro_batch": micro } });
        built(json!({ "kind": "gpt", "depth": 1, "context": 10, "dropout": 0.1 }), others, &text(20))
    };
    let (whole, parts) = (programs(0), programs(6));
    assert_eq!((whole.micro_steps, whole.micro_batch), (1, 48));
    assert_eq!((parts.micro_steps, parts.micro_batch), (8, 6));
    assert_eq!(whole.state, parts.state);
    assert_eq!(whole.apply, parts.apply);
    assert_eq!(whole.micro.nodes, parts.micro.nodes, "the loss's scale is that of the whole batch in both");
    let scale = 1.0 / 480.0;
    assert!(parts.micro.nodes.iter().any(|n| n.op == Op::CrossEntropyGrad { smoothing: 0.0, scale }));
    let shapes: Vec<(&str, &[usize], DType)> =
        parts.micro.batch.iter().map(|b| (b.name, b.shape.as_slice(), b.dtype)).collect();
    let expected: [(&str, &[usize], DType); 3] =
        [("input", &[6, 10], DType::U32), ("target", &[60], DType::U32), ("weight", &[60], DType::F32)];
    assert_eq!(shapes, expected);
}

#[test]
fn regularisation_is_for_training_only() {
    let others = json!({ "training": { "label_smoothing": 0.1 } });
    let model = json!({ "kind": "gpt", "depth": 2, "dropout": 0.2 });
    let programs = built(model, others, &text(20));
    // The embedding and two parts of each block, forward and backward, each site with its own stream.
    assert_eq!(count(&programs.micro, "dropout"), 2 * (1 + 2 * 2));
    let mut sites: Vec<u32> = programs
        .micro
        .nodes
        .iter()
        .filter_map(|n| if let Op::Dropout { site, .. } = n.op { Some(site) } else { None })
        .collect();
    assert_eq!(sites, [0, 1, 2, 3, 4, 4, 3, 2, 1, 0]);
    sites.dedup();
    assert_eq!(count(&programs.eval, "dropout"), 0);
    assert!(programs.eval.nodes.iter().any(|n| n.op == Op::CrossEntropy { smoothing: 0.0 }));
    assert!(programs.micro.nodes.iter().any(|n| n.op == Op::CrossEntropy { smoothing: 0.1 }));
    assert_eq!(programs.eval.outputs.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["loss_sum", "correct_sum"]);
    let numbers = built(json!({ "kind": "mlp" }), json!({}), &regression(4, 2));
    assert_eq!(numbers.eval.outputs.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["loss_sum"]);
}

/// Only the last position goes on after the last attention, in the residual stream and out of the heads, and no gradient
/// but its own comes back.
#[test]
fn classes_are_read_from_the_last_position() {
    let model = json!({ "kind": "gpt", "depth": 1, "width": 16, "tied": false, "context": 999 });
    let programs = built(model, json!({ "training": { "batch_size": 5 } }), &modular(7));
    assert_eq!(programs.targets_per_sample, 1);
    assert_eq!(programs.micro.batch[0].shape, [5, 3]);
    assert_eq!(programs.micro.batch[1].shape, [5]);
    let logits = programs.micro.nodes.iter().find(|n| n.op.name() == "cross_entropy").expect("loss").inputs[0];
    assert_eq!(programs.micro.values[logits.0].shape, [5, 7]);
    assert_eq!((count(&programs.micro, "last_token"), count(&programs.micro, "last_token_grad")), (2, 2));
    let rows = |name: &str| -> Vec<usize> {
        let inputs = programs.micro.nodes.iter().filter(|n| n.op.name() == name).map(|n| n.inputs[0].0);
        inputs.map(|v| programs.micro.values[v].elements() / programs.micro.values[v].shape.last().unwrap()).collect()
    };
    assert_eq!(rows("gelu"), [5], "the feed-forward part sees one position a sample");
}

#[test]
fn groups_set_decay_and_rate_by_role() {
    let others = json!({ "optimizer": {
        "kind": "adamw", "weight_decay": 0.25,
        "groups": [{ "role": "embedding", "learning_rate_scale": 0.5, "weight_decay": 0.125 }, { "role": "head", "learning_rate_scale": 2.0 }]
    } });
    let programs = built(json!({ "kind": "gpt", "depth": 1, "tied": false }), others, &text(9));
    for (index, param) in programs.state.params() {
        let StateRole::Param { role, .. } = param.role else { unreachable!("params() yields parameters") };
        let value = programs.apply.writes.iter().find(|(state, _)| *state == index).expect("updated").1;
        let Op::AdamW { weight_decay, lr_scale, .. } = maker(&programs.apply, value).op else {
            panic!("{} is not updated by AdamW", param.name)
        };
        use crate::config::ParamRole as Role;
        let expected = match role {
            Role::Weight => (0.25, 1.0),
            Role::Head => (0.25, 2.0),
            Role::Embedding => (0.125, 0.5),
            Role::Bias | Role::Gain => (0.0, 1.0),
        };
        assert_eq!((weight_decay, lr_scale), expected, "{}", param.name);
    }
    let has = |programs: &StepPrograms, op: Op| programs.apply.nodes.iter().any(|n| n.op == op);
    assert!(has(&programs, Op::Host(HostScalar::BiasCorrection2)));
    assert!(has(&programs, Op::ClipFactor { max_norm: 1.0 }));
    let others = json!({ "optimizer": { "kind": "sgd", "momentum": 0.0 }, "training": { "clip_norm": 0.0 } });
    let plain = built(json!({ "kind": "mlp" }), others, &features(3, 2));
    assert!(has(&plain, Op::Fill(1.0)) && !has(&plain, Op::Host(HostScalar::BiasCorrection1)));
    assert!(!plain.state.tensors.iter().any(|t| matches!(t.role, StateRole::Slot(_))));
    assert_eq!(count(&plain.apply, "global_norm"), 1, "the norm is reported also without clipping");
}

#[test]
fn averages_follow_the_updated_weights() {
    let programs = built(json!({ "kind": "mlp" }), json!({ "training": { "ema_decay": 0.75 } }), &features(3, 2));
    check_state_traffic(&programs);
    let averaged = programs.apply.nodes.iter().filter(|n| n.op == Op::Ema { decay: 0.75 });
    let mut seen = 0;
    for node in averaged {
        assert_eq!(maker(&programs.apply, node.inputs[1]).op.name(), "adamw");
        seen += 1;
    }
    assert_eq!(seen, programs.state.params().count());
}

#[test]
fn a_small_program_printed() {
    let others = json!({
        "optimizer": { "kind": "sgd", "momentum": 0.0 }, "training": { "batch_size": 4 }, "evaluation": { "batch_size": 8 }
    });
    let programs = built(json!({ "kind": "mlp", "widths": [3] }), others, &features(5, 2));
    insta::assert_snapshot!(programs.to_string(), @r"
    state
      0 layers.0.weight [3, 5] Weight Uniform(0.4472135954999579)
      1 layers.0.bias [3] Bias Uniform(0.4472135954999579)
      2 head.weight [2, 3] Head Uniform(0.5773502691896258)
      3 head.bias [2] Bias Uniform(0.5773502691896258)
      4 grad/layers.0.weight [3, 5] gradient of 0
      5 grad/layers.0.bias [3] gradient of 1
      6 grad/head.weight [2, 3] gradient of 2
      7 grad/head.bias [2] gradient of 3
      8 loss_sum [] loss sum
    program micro
      batch 0 input f32[4, 5]
      batch 1 target u32[4]
      batch 2 weight f32[4]
      %0 f32[4, 5] = batch{0}()
      %1 u32[4] = batch{1}()
      %2 f32[4] = batch{2}()
      %3 f32[3, 5] = state{0}()
      %4 f32[4, 3] = matmul{trans_b}(%0, %3)
      %5 f32[3] = state{1}()
      %6 f32[4, 3] = add_broadcast(%4, %5)
      %7 f32[4, 3] = relu(%6)
      %8 f32[2, 3] = state{2}()
      %9 f32[4, 2] = matmul{trans_b}(%7, %8)
      %10 f32[2] = state{3}()
      %11 f32[4, 2] = add_broadcast(%9, %10)
      %12 f32[4], %13 f32[4] = cross_entropy{smoothing=0}(%11, %1)
      %14 f32[] = weighted_sum(%12, %2)
      %15 f32[4, 2] = cross_entropy_grad{smoothing=0 scale=0.25}(%11, %1, %13, %2)
      %16 f32[2] = sum_leading(%15)
      %17 f32[4, 3] = matmul(%15, %8)
      %18 f32[2, 3] = matmul{trans_a}(%15, %7)
      %19 f32[4, 3] = relu_grad(%6, %17)
      %20 f32[3] = sum_leading(%19)
      %21 f32[3, 5] = matmul{trans_a}(%19, %0)
      %22 f32[3, 5] = state{4}()
      %23 f32[3, 5] = add(%22, %21)
      %24 f32[3] = state{5}()
      %25 f32[3] = add(%24, %20)
      %26 f32[2, 3] = state{6}()
      %27 f32[2, 3] = add(%26, %18)
      %28 f32[2] = state{7}()
      %29 f32[2] = add(%28, %16)
      %30 f32[] = state{8}()
      %31 f32[] = add(%30, %14)
      write state 4 <- %23
      write state 5 <- %25
      write state 6 <- %27
      write state 7 <- %29
      write state 8 <- %31
    program apply
      %0 f32[3, 5] = state{4}()
      %1 f32[3] = state{5}()
      %2 f32[2, 3] = state{6}()
      %3 f32[2] = state{7}()
      %4 f32[] = global_norm(%0, %1, %2, %3)
      %5 f32[] = clip_factor{max_norm=1}(%4)
      %6 f32[] = host{learning_rate}()
      %7 f32[3, 5] = state{0}()
      %8 f32[3, 5] = sgd{momentum=0 weight_decay=0 lr_scale=1}(%7, %0, %5, %6)
      %9 f32[3, 5] = fill{0}()
      %10 f32[3] = state{1}()
      %11 f32[3] = sgd{momentum=0 weight_decay=0 lr_scale=1}(%10, %1, %5, %6)
      %12 f32[3] = fill{0}()
      %13 f32[2, 3] = state{2}()
      %14 f32[2, 3] = sgd{momentum=0 weight_decay=0 lr_scale=1}(%13, %2, %5, %6)
      %15 f32[2, 3] = fill{0}()
      %16 f32[2] = state{3}()
      %17 f32[2] = sgd{momentum=0 weight_decay=0 lr_scale=1}(%16, %3, %5, %6)
      %18 f32[2] = fill{0}()
      %19 f32[] = state{8}()
      %20 f32[] = fill{0}()
      write state 0 <- %8
      write state 4 <- %9
      write state 1 <- %11
      write state 5 <- %12
      write state 2 <- %14
      write state 6 <- %15
      write state 3 <- %17
      write state 7 <- %18
      write state 8 <- %20
      output grad_norm <- %4
      output loss_sum <- %19
    program eval
      batch 0 input f32[8, 5]
      batch 1 target u32[8]
      batch 2 weight f32[8]
      %0 f32[8, 5] = batch{0}()
      %1 u32[8] = batch{1}()
      %2 f32[8] = batch{2}()
      %3 f32[3, 5] = state{0}()
      %4 f32[8, 3] = matmul{trans_b}(%0, %3)
      %5 f32[3] = state{1}()
      %6 f32[8, 3] = add_broadcast(%4, %5)
      %7 f32[8, 3] = relu(%6)
      %8 f32[2, 3] = state{2}()
      %9 f32[8, 2] = matmul{trans_b}(%7, %8)
      %10 f32[2] = state{3}()
      %11 f32[8, 2] = add_broadcast(%9, %10)
      %12 f32[8], %13 f32[8] = cross_entropy{smoothing=0}(%11, %1)
      %14 f32[] = weighted_sum(%12, %2)
      %15 f32[] = correct_sum(%11, %1, %2)
      output loss_sum <- %14
      output correct_sum <- %15
    ");
}
