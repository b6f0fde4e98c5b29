//! Products of embedded tokens, computed once for each entry of the vocabulary.
//!
//! `(table[ids] + positions) W' = (table W')[ids] + positions W'`: where a step has more tokens than the vocabulary and the
//! context have entries together, multiplying before the gathering is less work. Backward, the gradients of the products
//! are summed by entry before they are multiplied, by the same law. What this changes is rounding.

use crate::graph::{DType, Node, Op, Program, Value, ValueId};

/// The program with every product of embedded tokens moved before the gathering, where that saves at least half of it.
pub(super) fn products_before_gathering(program: &Program) -> Program {
    let mut rewriter = Rewriter::new(program.clone());
    if let Some(embedded) = rewriter.find() {
        rewriter.rewrite(&embedded);
        return rewriter.finish();
    }
    rewriter.program
}

/// Embedded tokens: their table and ids, and the positions added to them.
struct Embedded {
    table: ValueId,
    ids: ValueId,
    positions: Option<ValueId>,
    /// `table[ids] + positions`.
    x: ValueId,
}

struct Rewriter {
    program: Program,
    /// By position of the old program: what takes the node's place.
    instead: Vec<Option<Vec<Node>>>,
}

impl Rewriter {
    fn new(program: Program) -> Self {
        let instead = vec![None; program.nodes.len()];
        Rewriter { program, instead }
    }

    fn shape(&self, value: ValueId) -> &[usize] {
        &self.program.values[value.0].shape
    }

    fn readers(&self, value: ValueId) -> Vec<usize> {
        let nodes = self.program.nodes.iter().enumerate();
        nodes.filter(|(_, node)| node.inputs.contains(&value)).map(|(position, _)| position).collect()
    }

    fn reported(&self, value: ValueId) -> bool {
        self.program.writes.iter().any(|(_, v)| *v == value) || self.program.outputs.iter().any(|(_, v)| *v == value)
    }

    fn find(&self) -> Option<Embedded> {
        let node = self.program.nodes.iter().find(|node| node.op == Op::Embedding)?;
        let (table, ids, embedded) = (node.inputs[0], node.inputs[1], node.outputs[0]);
        let sum = match self.readers(embedded).as_slice() {
            &[only] => Some(&self.program.nodes[only]).filter(|n| n.op == Op::AddBroadcast && n.inputs[0] == embedded),
            _ => None,
        };
        let width = *self.shape(table).last()?;
        let sum = sum.filter(|n| self.shape(n.inputs[1]).len() == 2);
        let (positions, x) = sum.map_or((None, embedded), |n| (Some(n.inputs[1]), n.outputs[0]));
        let rows = self.program.values[x.0].elements() / width.max(1);
        let entries = self.shape(table)[0] + positions.map_or(0, |p| self.shape(p)[0]);
        (2 * entries <= rows).then_some(Embedded { table, ids, positions, x })
    }

    fn rewrite(&mut self, from: &Embedded) {
        let products: Vec<(usize, ValueId)> = self
            .readers(from.x)
            .into_iter()
            .filter(|&position| {
                let node = &self.program.nodes[position];
                node.op == (Op::MatMul { trans_a: false, trans_b: true }) && node.inputs[0] == from.x
            })
            .map(|position| (position, self.program.nodes[position].inputs[1]))
            .collect();
        for (position, weights) in products {
            self.forward(from, position, weights);
            self.backward(from, weights);
        }
    }

    /// A new value.
    fn value(&mut self, shape: Vec<usize>) -> ValueId {
        self.program.values.push(Value { shape, dtype: DType::F32 });
        ValueId(self.program.values.len() - 1)
    }

    /// A node that makes a new value of this shape.
    fn node(&mut self, op: Op, inputs: &[ValueId], shape: Vec<usize>) -> Node {
        let output = self.value(shape);
        Node { op, inputs: inputs.to_vec(), outputs: vec![output] }
    }

    /// A node that makes an old value.
    fn old(op: Op, inputs: &[ValueId], output: ValueId) -> Node {
        Node { op, inputs: inputs.to_vec(), outputs: vec![output] }
    }

    fn forward(&mut self, from: &Embedded, position: usize, weights: ValueId) {
        const PRODUCT: Op = Op::MatMul { trans_a: false, trans_b: true };
        let y = self.program.nodes[position].outputs[0];
        let (outputs, rows) = (self.shape(weights)[0], self.shape(from.table)[0]);
        let of_table = self.node(PRODUCT, &[from.table, weights], vec![rows, outputs]);
        let gathered = [of_table.outputs[0], from.ids];
        let nodes = match from.positions {
            None => vec![of_table, Self::old(Op::Embedding, &gathered, y)],
            Some(positions) => {
                let length = self.shape(positions)[0];
                let of_positions = self.node(PRODUCT, &[positions, weights], vec![length, outputs]);
                let shape = self.shape(y).to_vec();
                let gathered = self.node(Op::Embedding, &gathered, shape);
                let sum = [gathered.outputs[0], of_positions.outputs[0]];
                vec![of_table, of_positions, gathered, Self::old(Op::AddBroadcast, &sum, y)]
            }
        };
        self.instead[position] = Some(nodes);
    }

    /// The gradients of the weights, and of the table and the positions where nothing else comes between.
    fn backward(&mut self, from: &Embedded, weights: ValueId) {
        let find = |op: Op, wanted: &dyn Fn(&Node) -> bool| {
            self.program.nodes.iter().position(|node| node.op == op && wanted(node))
        };
        let weights_gradient =
            find(Op::MatMul { trans_a: true, trans_b: false }, &|node: &Node| node.inputs[1] == from.x);
        let Some(of_weights) = weights_gradient else { return };
        let dy = self.program.nodes[of_weights].inputs[0];
        let of_x = find(Op::MatMul { trans_a: false, trans_b: false }, &|node: &Node| node.inputs == [dy, weights]);
        let positions = from.positions;
        let of_bias = find(Op::SumLeading, &|node: &Node| node.inputs == [dy]);
        let of_bias = of_bias.filter(|&p| self.shape(self.program.nodes[p].outputs[0]).len() == 1);

        // What everything else is computed from: dy summed by entry and by position.
        let outputs = self.shape(weights)[0];
        let table_rows = self.shape(from.table)[0];
        let by_entry = self.node(Op::EmbeddingGrad, &[from.ids, dy], vec![table_rows, outputs]);
        let by_position = positions.map(|positions| {
            let length = self.shape(positions)[0];
            self.node(Op::SumLeading, &[dy], vec![length, outputs])
        });
        let sums = (by_entry.outputs[0], by_position.as_ref().map(|node| node.outputs[0]));
        let first = [Some(of_weights), of_x, of_bias].into_iter().flatten().min().unwrap_or(of_weights);
        let mut begin = vec![by_entry];
        begin.extend(by_position);

        let mut instead: Vec<(usize, Vec<Node>)> = Vec::new();
        let gradient = self.program.nodes[of_weights].outputs[0];
        instead.push((of_weights, self.sum(Op::MatMul { trans_a: true, trans_b: false }, sums, from, gradient)));
        if let Some(of_bias) = of_bias {
            let bias = self.program.nodes[of_bias].outputs[0];
            instead.push((of_bias, vec![Self::old(Op::SumLeading, &[sums.1.unwrap_or(sums.0)], bias)]));
        }
        if let Some(of_x) = of_x {
            instead.extend(self.through(from, of_x, sums, weights));
        }
        for (position, nodes) in instead {
            self.instead[position] = Some(nodes);
        }
        let kept = self.instead[first].take().unwrap_or_else(|| vec![self.program.nodes[first].clone()]);
        begin.extend(kept);
        self.instead[first] = Some(begin);
    }

    /// `op(by entry, table)`, plus `op(by position, positions)` where there are positions.
    fn sum(&mut self, op: Op, sums: (ValueId, Option<ValueId>), from: &Embedded, total: ValueId) -> Vec<Node> {
        let (Some(by_position), Some(positions)) = (sums.1, from.positions) else {
            return vec![Self::old(op, &[sums.0, from.table], total)];
        };
        let shape = self.shape(total).to_vec();
        let a = self.node(op.clone(), &[sums.0, from.table], shape.clone());
        let b = self.node(op, &[by_position, positions], shape);
        let both = [a.outputs[0], b.outputs[0]];
        vec![a, b, Self::old(Op::Add, &both, total)]
    }

    /// The gradients of the table and the positions, if `x`'s own gradient is read by nothing but these.
    fn through(
        &mut self,
        from: &Embedded,
        of_x: usize,
        sums: (ValueId, Option<ValueId>),
        weights: ValueId,
    ) -> Vec<(usize, Vec<Node>)> {
        const PRODUCT: Op = Op::MatMul { trans_a: false, trans_b: false };
        let dx = self.program.nodes[of_x].outputs[0];
        // A residual connection adds its part to it.
        let (mut total, mut residual, mut dropped) = (dx, None, vec![of_x]);
        if let &[only] = self.readers(dx).as_slice() {
            let node = &self.program.nodes[only];
            if node.op == Op::Add && node.inputs[0] != node.inputs[1] {
                residual = node.inputs.iter().copied().find(|&input| input != dx);
                total = node.outputs[0];
                dropped.push(only);
            }
        }
        let mut instead = Vec::new();
        let readers = self.readers(total);
        for &reader in &readers {
            let node = self.program.nodes[reader].clone();
            let output = node.outputs[0];
            let (op, sum, inputs) = match node.op {
                Op::EmbeddingGrad if node.inputs == [from.ids, total] => {
                    (node.op, sums.0, residual.map(|r| vec![from.ids, r]))
                }
                Op::SumLeading if from.positions.is_some_and(|p| self.shape(p) == self.shape(output)) => {
                    let Some(by_position) = sums.1 else { return Vec::new() };
                    (node.op, by_position, residual.map(|r| vec![r]))
                }
                _ => return Vec::new(),
            };
            let nodes = match inputs {
                None => vec![Self::old(PRODUCT, &[sum, weights], output)],
                Some(inputs) => {
                    let shape = self.shape(output).to_vec();
                    let rest = self.node(op, &inputs, shape.clone());
                    let product = self.node(PRODUCT, &[sum, weights], shape);
                    let both = [rest.outputs[0], product.outputs[0]];
                    vec![rest, product, Self::old(Op::Add, &both, output)]
                }
            };
            instead.push((reader, nodes));
        }
        if instead.is_empty() || self.reported(total) || self.reported(dx) {
            return Vec::new();
        }
        instead.extend(dropped.into_iter().map(|position| (position, Vec::new())));
        instead
    }

    /// Puts the new nodes in and leaves out what nothing reads any more.
    fn finish(mut self) -> Program {
        let old = std::mem::take(&mut self.program.nodes);
        let new: Vec<Node> = old
            .into_iter()
            .zip(self.instead)
            .flat_map(|(node, instead)| instead.unwrap_or_else(|| vec![node]))
            .collect();
        let mut program = self.program;
        let mut wanted = vec![false; program.values.len()];
        for value in program.writes.iter().map(|(_, v)| v).chain(program.outputs.iter().map(|(_, v)| v)) {
            wanted[value.0] = true;
        }
        let mut nodes = Vec::with_capacity(new.len());
        for node in new.into_iter().rev() {
            if matches!(node.op, Op::State(_) | Op::Batch(_)) || node.outputs.iter().any(|o| wanted[o.0]) {
                node.inputs.iter().for_each(|input| wanted[input.0] = true);
                nodes.push(node);
            }
        }
        nodes.reverse();
        // Values that nothing makes are left out, and the others counted anew.
        let mut place = vec![None; program.values.len()];
        let mut values = Vec::new();
        for node in &nodes {
            for output in &node.outputs {
                place[output.0] = Some(ValueId(values.len()));
                values.push(program.values[output.0].clone());
            }
        }
        let moved = |value: &mut ValueId| *value = place[value.0].unwrap_or(*value);
        for node in &mut nodes {
            node.inputs.iter_mut().chain(&mut node.outputs).for_each(moved);
        }
        program.writes.iter_mut().for_each(|(_, value)| moved(value));
        program.outputs.iter_mut().for_each(|(_, value)| moved(value));
        (program.nodes, program.values) = (nodes, values);
        program
    }
}
