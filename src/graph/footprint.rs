//! How much memory a program's values need at once.

use super::{Op, Program, StateSpec};
use crate::units::Bytes;

impl Program {
    /// Peak over the nodes of all values alive at once: a value lives from the node that makes it to its last reader,
    /// what is written or handed back to the end. Reshapes share their input's memory; state tensors are not counted
    /// (see [`StateSpec::bytes`]), and neither is what an engine's op needs inside.
    pub fn peak_bytes(&self) -> Bytes {
        // The value whose memory a value uses; none for state tensors.
        let mut home: Vec<Option<usize>> = (0..self.values.len()).map(Some).collect();
        let mut last_use = vec![0; self.values.len()];
        for (position, node) in self.nodes.iter().enumerate() {
            match node.op {
                Op::State(_) => home[node.outputs[0].0] = None,
                Op::Reshape => home[node.outputs[0].0] = home[node.inputs[0].0],
                _ => {}
            }
            for value in node.inputs.iter().chain(&node.outputs) {
                if let Some(home) = home[value.0] {
                    last_use[home] = position;
                }
            }
        }
        for value in self.writes.iter().map(|(_, value)| value).chain(self.outputs.iter().map(|(_, value)| value)) {
            if let Some(home) = home[value.0] {
                last_use[home] = self.nodes.len();
            }
        }
        let mut freed_after = vec![0; self.nodes.len() + 1];
        let mut made_at = vec![0; self.nodes.len()];
        for (position, node) in self.nodes.iter().enumerate() {
            for output in &node.outputs {
                if home[output.0] == Some(output.0) {
                    let bytes = self.values[output.0].bytes().0;
                    made_at[position] += bytes;
                    freed_after[last_use[output.0]] += bytes;
                }
            }
        }
        let (mut alive, mut peak) = (0, 0);
        for (made, freed) in made_at.iter().zip(&freed_after) {
            alive += made;
            peak = peak.max(alive);
            alive -= freed;
        }
        Bytes(peak)
    }
}

impl StateSpec {
    /// Size of the whole state in memory, gradients included.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.tensors.iter().map(|tensor| 4 * tensor.shape.iter().product::<usize>() as u64).sum())
    }
}
