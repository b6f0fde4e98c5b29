//! When each value of a program dies, and how much memory the program needs at its peak.

use super::super::lifetimes::dead_after;
use super::attention::SCORE_ELEMENTS;
use super::image::PATCH_ELEMENTS;
use crate::graph::{Op, Program};

/// The values to free after each node of a program.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// For each node, the values that nothing reads afterwards.
    pub(super) dead: Vec<Vec<usize>>,
    /// Elements alive at once at most, scratch of the ops included, the state not.
    pub(super) peak_elements: u64,
}

impl Plan {
    /// Finds the lifetimes in a program that was verified.
    pub(super) fn new(program: &Program) -> Self {
        let dead = dead_after(program);
        Plan { peak_elements: peak(program, &dead), dead }
    }
}

/// Simulates the allocations: state leaves cost nothing, a reshape shares its input's memory.
fn peak(program: &Program, dead: &[Vec<usize>]) -> u64 {
    let mut owner: Vec<Option<usize>> = vec![None; program.values.len()];
    let mut holders = vec![0u32; program.values.len()];
    let (mut live, mut peak) = (0u64, 0u64);
    for (i, node) in program.nodes.iter().enumerate() {
        for v in &node.outputs {
            owner[v.0] = match node.op {
                Op::State(_) => None,
                Op::Reshape => owner[node.inputs[0].0],
                _ => Some(v.0),
            };
            if owner[v.0] == Some(v.0) {
                live += program.values[v.0].elements() as u64;
            }
            if let Some(root) = owner[v.0] {
                holders[root] += 1;
            }
        }
        peak = peak.max(live + scratch(program, i));
        for &v in &dead[i] {
            if let Some(root) = owner[v] {
                holders[root] -= 1;
                if holders[root] == 0 {
                    live -= program.values[root].elements() as u64;
                }
            }
        }
    }
    peak
}

/// Elements that a node needs beside its inputs and outputs.
fn scratch(program: &Program, node: usize) -> u64 {
    let node = &program.nodes[node];
    let shape = |i: usize| &program.values[node.inputs[i].0].shape;
    let elements = |i: usize| program.values[node.inputs[i].0].elements();
    match node.op {
        Op::Attention { heads, .. } | Op::AttentionGrad { heads, .. } => {
            // One copy of the portion's qkv, and score matrices: two forward, four backward.
            let one = heads * shape(0).get(1).map_or(0, |t| t * t);
            let portion = one.max(SCORE_ELEMENTS.min(one * shape(0)[0]));
            let matrices = if matches!(node.op, Op::Attention { .. }) { 2 } else { 4 };
            (matrices * portion + elements(0)) as u64
        }
        Op::Conv2d | Op::Conv2dGradInput | Op::Conv2dGradWeight => {
            let images = if node.op == Op::Conv2dGradInput { shape(1) } else { shape(0) };
            let kernel = match node.op {
                Op::Conv2d => shape(1),
                Op::Conv2dGradInput => shape(0),
                _ => &program.values[node.outputs[0].0].shape,
            };
            let pixels: usize = images.get(1..3).map_or(0, |hw| hw.iter().product());
            let patches = pixels * kernel.get(1..).map_or(0, |k| k.iter().product::<usize>());
            2 * patches.max(PATCH_ELEMENTS.min(patches * images[0])) as u64
        }
        _ => 0,
    }
}
