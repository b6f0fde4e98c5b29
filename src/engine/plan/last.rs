//! Attention whose last query alone is read: nothing is computed for the others.

use crate::graph::{Node, Op, Program, ValueId};

/// Positions of the nodes that become one step forward and one backward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastQuery {
    pub(super) attention: usize,
    /// The op that keeps the last position.
    pub(super) last: usize,
    /// Where the program has a backward part: the op that spreads the gradient again, and attention's gradient.
    pub(super) grads: Option<(usize, usize)>,
}

/// The attention of which only the last position is read, if there is one.
pub(super) fn last_query(program: &Program) -> Option<LastQuery> {
    let readers = |value: ValueId| -> Vec<usize> {
        let nodes = program.nodes.iter().enumerate();
        nodes.filter(|(_, node)| node.inputs.contains(&value)).map(|(position, _)| position).collect()
    };
    let is = |position: usize, op: &dyn Fn(&Op) -> bool| op(&program.nodes[position].op);
    for (attention, Node { op, outputs, .. }) in program.nodes.iter().enumerate() {
        if !matches!(op, Op::Attention { .. }) {
            continue;
        }
        let (of_out, of_lse) = (readers(outputs[0]), readers(outputs[1]));
        let found = match (of_out.as_slice(), of_lse.as_slice()) {
            (&[last], []) => Some((last, None)),
            (&[last, grad], &[again]) if grad == again => Some((last, Some(grad))),
            _ => None,
        };
        let Some((last, grad)) = found.filter(|(last, _)| is(*last, &|op| *op == Op::LastToken)) else { continue };
        let Some(grad) = grad else { return Some(LastQuery { attention, last, grads: None }) };
        let node = &program.nodes[grad];
        if !matches!(node.op, Op::AttentionGrad { .. }) {
            continue;
        }
        let spread = program.nodes.iter().position(|n| n.outputs.contains(&node.inputs[3]));
        let spread = spread.filter(|&p| is(p, &|op| *op == Op::LastTokenGrad) && readers(node.inputs[3]) == [grad]);
        if let Some(spread) = spread {
            return Some(LastQuery { attention, last, grads: Some((spread, grad)) });
        }
    }
    None
}
