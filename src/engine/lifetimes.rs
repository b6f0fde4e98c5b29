//! When each value of a program dies.

use crate::graph::Program;

/// For each node of a verified program, the values that nothing reads afterwards. What the program writes or reports
/// lives to its end.
pub(super) fn dead_after(program: &Program) -> Vec<Vec<usize>> {
    let mut last = vec![0; program.values.len()];
    for (i, node) in program.nodes.iter().enumerate() {
        for value in node.inputs.iter().chain(&node.outputs) {
            last[value.0] = i;
        }
    }
    let kept = program.writes.iter().map(|(_, v)| v).chain(program.outputs.iter().map(|(_, v)| v));
    for value in kept {
        last[value.0] = usize::MAX;
    }
    let mut dead = vec![Vec::new(); program.nodes.len()];
    for (value, &node) in last.iter().enumerate() {
        if let Some(list) = dead.get_mut(node) {
            list.push(value);
        }
    }
    dead
}
