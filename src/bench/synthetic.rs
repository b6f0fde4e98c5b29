//! Batches of the right shape and of no meaning, for measuring engines without any dataset.

use crate::data::{Batch, Column};
use crate::graph::{DType, Program};
use crate::rng::{Sequence, Stream};

/// A batch for a program's inputs. Ids stay below `ids` (vocabulary or classes, whichever is smaller); all weights are 1.
pub fn batch(program: &Program, ids: u64) -> Batch {
    let mut random = Sequence::new(0, Stream::Data, 0, 0);
    let mut column = |name: &str| {
        let input = program.batch.iter().find(|input| input.name == name);
        let n = input.map_or(0, |input| input.shape.iter().product());
        match input.map(|input| input.dtype) {
            Some(DType::U32) => Column::U32((0..n).map(|_| random.below(ids) as u32).collect()),
            _ => Column::F32((0..n).map(|_| random.uniform() as f32).collect()),
        }
    };
    let samples = program.batch.first().and_then(|input| input.shape.first()).copied().unwrap_or(0);
    let (input, target) = (column("input"), column("target"));
    let rows =
        program.batch.iter().find(|input| input.name == "weight").map_or(0, |input| input.shape.iter().product());
    Batch { samples, input, target, weight: vec![1.0; rows] }
}
