//! Reverse mode: from the forward nodes of a program to the nodes of their gradients.
//!
//! Every op has one explicit backward op (or a short fixed sequence of ops). Gradients that nobody needs, such as the
//! first layer's with respect to the batch, are never built. Where a value is used several times the contributions are
//! added in reverse order of use, so that the sum's order, and with it every bit of the result, is fixed.

use super::builder::Builder;
use super::{Node, Op, ValueId};
use crate::problem::{Problem, Result};
use std::collections::BTreeMap;

/// Appends the backward nodes of everything built so far. `seed` is a value and its gradient; the result maps each of
/// `wanted` that the value depends on to its gradient.
pub(super) fn backward(
    builder: &mut Builder,
    seed: (ValueId, ValueId),
    wanted: &[ValueId],
) -> Result<BTreeMap<ValueId, ValueId>> {
    let forward = builder.nodes().to_vec();
    let mut needed = vec![false; builder.value_count()];
    for value in wanted {
        needed[value.0] = true;
    }
    for node in &forward {
        if node.inputs.iter().any(|input| needed[input.0]) {
            node.outputs.iter().for_each(|output| needed[output.0] = true);
        }
    }

    let mut gradients = BTreeMap::from([seed]);
    for node in forward.iter().rev() {
        if node.inputs.is_empty() || !node.inputs.iter().any(|input| needed[input.0]) {
            continue;
        }
        // Gradients flow through first outputs only: the others are statistics that backward ops read.
        let Some(dy) = gradients.remove(&node.outputs[0]) else { continue };
        for (input, gradient) in node_backward(builder, node, dy, &needed)? {
            let total = match gradients.get(&input) {
                Some(&earlier) => builder.one(Op::Add, &[earlier, gradient])?,
                None => gradient,
            };
            gradients.insert(input, total);
        }
    }
    Ok(wanted.iter().filter_map(|value| Some((*value, *gradients.get(value)?))).collect())
}

/// The gradients of a node's inputs, for those that are needed.
fn node_backward(builder: &mut Builder, node: &Node, dy: ValueId, needed: &[bool]) -> Result<Vec<(ValueId, ValueId)>> {
    let inputs = &node.inputs;
    let needs = |position: usize| needed[inputs[position].0];
    let mut found = Vec::new();
    match &node.op {
        Op::MatMul { trans_a, trans_b } => {
            let (a, b) = (inputs[0], inputs[1]);
            // With Y = A'B' : dA' = dY B'^T and dB' = A'^T dY, transposed back where A' or B' is a transpose.
            if needs(0) {
                let (op, operands) = if *trans_a {
                    (Op::MatMul { trans_a: *trans_b, trans_b: true }, [b, dy])
                } else {
                    (Op::MatMul { trans_a: false, trans_b: !trans_b }, [dy, b])
                };
                let shape = builder.shape(a);
                found.push((a, builder.shaped(op, &operands, &shape)?));
            }
            if needs(1) {
                let (op, operands) = if *trans_b {
                    (Op::MatMul { trans_a: true, trans_b: *trans_a }, [dy, a])
                } else {
                    (Op::MatMul { trans_a: !trans_a, trans_b: false }, [a, dy])
                };
                let shape = builder.shape(b);
                found.push((b, builder.shaped(op, &operands, &shape)?));
            }
        }
        Op::Add => {
            for (position, &input) in inputs.iter().enumerate() {
                if needs(position) {
                    found.push((input, dy));
                }
            }
        }
        Op::AddBroadcast => {
            if needs(1) {
                let shape = builder.shape(inputs[1]);
                found.push((inputs[1], builder.shaped(Op::SumLeading, &[dy], &shape)?));
            }
            if needs(0) {
                found.push((inputs[0], dy));
            }
        }
        Op::Scale(factor) => found.push((inputs[0], builder.one(Op::Scale(*factor), &[dy])?)),
        Op::Activate(f) => found.push((inputs[0], builder.one(Op::ActivateGrad(*f), &[inputs[0], dy])?)),
        Op::Swiglu => found.push((inputs[0], builder.one(Op::SwigluGrad, &[inputs[0], dy])?)),
        Op::Dropout { p, site } => {
            found.push((inputs[0], builder.one(Op::Dropout { p: *p, site: *site }, &[dy])?));
        }
        Op::LayerNorm { .. } | Op::GroupNorm { .. } => {
            let op = match node.op {
                Op::GroupNorm { groups, .. } => Op::GroupNormGrad { groups },
                _ => Op::LayerNormGrad,
            };
            let operands = [inputs[0], inputs[1], node.outputs[1], node.outputs[2], dy];
            let gradients = builder.push(op, &operands, &[])?;
            found.extend(inputs.iter().copied().zip(gradients));
        }
        Op::RmsNorm { .. } => {
            let gradients = builder.push(Op::RmsNormGrad, &[inputs[0], inputs[1], node.outputs[1], dy], &[])?;
            found.extend(inputs.iter().copied().zip(gradients));
        }
        Op::Embedding => {
            let shape = builder.shape(inputs[0]);
            found.push((inputs[0], builder.shaped(Op::EmbeddingGrad, &[inputs[1], dy], &shape)?));
        }
        Op::Rope { rotated_heads, head_dim, base, inverse } => {
            let op = Op::Rope { rotated_heads: *rotated_heads, head_dim: *head_dim, base: *base, inverse: !inverse };
            found.push((inputs[0], builder.one(op, &[dy])?));
        }
        Op::QkNorm { normed_heads, head_dim, .. } => {
            let op = Op::QkNormGrad { normed_heads: *normed_heads, head_dim: *head_dim };
            found.push((inputs[0], builder.one(op, &[inputs[0], node.outputs[1], dy])?));
        }
        Op::Attention { heads, kv_heads } => {
            let op = Op::AttentionGrad { heads: *heads, kv_heads: *kv_heads };
            found.push((inputs[0], builder.one(op, &[inputs[0], node.outputs[0], node.outputs[1], dy])?));
        }
        Op::Conv2d => {
            if needs(1) {
                let shape = builder.shape(inputs[1]);
                found.push((inputs[1], builder.shaped(Op::Conv2dGradWeight, &[inputs[0], dy], &shape)?));
            }
            if needs(0) {
                found.push((inputs[0], builder.one(Op::Conv2dGradInput, &[inputs[1], dy])?));
            }
        }
        Op::MaxPool2 => {
            let shape = builder.shape(inputs[0]);
            found.push((inputs[0], builder.shaped(Op::MaxPool2Grad, &[node.outputs[1], dy], &shape)?));
        }
        Op::LastToken | Op::MeanPool2 | Op::MeanPixels | Op::Reshape => {
            let op = match node.op {
                Op::LastToken => Op::LastTokenGrad,
                Op::MeanPool2 => Op::MeanPool2Grad,
                Op::MeanPixels => Op::MeanPixelsGrad,
                _ => Op::Reshape,
            };
            let shape = builder.shape(inputs[0]);
            found.push((inputs[0], builder.shaped(op, &[dy], &shape)?));
        }
        // Leaves, losses (their gradient is the seed), backward and optimiser ops: never between a parameter and the seed.
        op => return Err(Problem::failed(format!("a gradient was asked of {op}, which has no backward op"))),
    }
    found.retain(|(input, _)| needed[input.0]);
    Ok(found)
}
