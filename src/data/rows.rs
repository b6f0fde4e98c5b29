//! Data that comes as one row a sample: images, tables, pairs.

use super::batch::{Batch, Column, Part, weights};
use super::identity::Identity;

/// Inputs of all rows, in the narrowest form that loses nothing.
#[derive(Debug)]
pub(super) enum Inputs {
    /// Bytes to be divided by a constant when they are handed out: a quarter of the memory of f32.
    Scaled {
        /// `[rows, width]`.
        bytes: Vec<u8>,
        /// The value that becomes 1.
        divisor: f32,
    },
    /// Numbers `[rows, width]`.
    F32(Vec<f32>),
    /// Tokens `[rows, width]`.
    U32(Vec<u32>),
}

/// Targets of all rows, one each.
#[derive(Debug)]
pub(super) enum Targets {
    /// Classes.
    Class(Vec<u32>),
    /// Numbers.
    Real(Vec<f32>),
}

/// Rows with their split.
#[derive(Debug)]
pub(super) struct Rows {
    /// Numbers in a row's input.
    pub width: usize,
    /// All inputs.
    pub inputs: Inputs,
    /// All targets.
    pub targets: Targets,
    /// Rows to learn from.
    pub train: Vec<u32>,
    /// Rows to be judged by.
    pub validation: Vec<u32>,
}

impl Rows {
    /// Bytes that all of it takes in memory.
    pub fn size(&self) -> usize {
        let inputs = match &self.inputs {
            Inputs::Scaled { bytes, .. } => bytes.len(),
            Inputs::F32(v) => 4 * v.len(),
            Inputs::U32(v) => 4 * v.len(),
        };
        let targets = match &self.targets {
            Targets::Class(v) => v.len(),
            Targets::Real(v) => v.len(),
        };
        inputs + 4 * (targets + self.train.len() + self.validation.len())
    }

    /// Row numbers of a part.
    pub fn part(&self, part: Part) -> &[u32] {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
        }
    }

    /// The samples of a part with these indices, padded with sample 0 at weight 0.
    pub fn batch(&self, part: Part, indices: &[usize], pad_to: usize) -> Batch {
        let part = self.part(part);
        let samples = indices.len().max(pad_to);
        let rows: Vec<usize> =
            indices.iter().copied().chain(std::iter::repeat(0)).take(samples).map(|i| part[i] as usize).collect();
        let width = self.width;
        let input = match &self.inputs {
            Inputs::Scaled { bytes, divisor } => {
                let scaled: Vec<f32> = (0..=u8::MAX).map(|v| f32::from(v) / divisor).collect();
                let mut out = Vec::with_capacity(samples * width);
                for &r in &rows {
                    out.extend(bytes[r * width..][..width].iter().map(|&v| scaled[v as usize]));
                }
                Column::F32(out)
            }
            Inputs::F32(values) => Column::F32(gather(values, width, &rows)),
            Inputs::U32(values) => Column::U32(gather(values, width, &rows)),
        };
        let target = match &self.targets {
            Targets::Class(values) => Column::U32(gather(values, 1, &rows)),
            Targets::Real(values) => Column::F32(gather(values, 1, &rows)),
        };
        Batch { samples, input, target, weight: weights(indices.len(), samples, 1) }
    }

    /// Adds everything that a run can see to a dataset's identity.
    pub fn identify(&self, identity: &mut Identity) {
        identity.words("width", 1, std::iter::once(self.width as u32));
        match &self.inputs {
            Inputs::Scaled { bytes, divisor } => {
                identity.words("divisor", 1, std::iter::once(divisor.to_bits()));
                identity.bytes("inputs u8", bytes);
            }
            Inputs::F32(v) => identity.words("inputs f32", v.len(), v.iter().map(|x| x.to_bits())),
            Inputs::U32(v) => identity.words("inputs u32", v.len(), v.iter().copied()),
        }
        match &self.targets {
            Targets::Class(v) => identity.words("classes", v.len(), v.iter().copied()),
            Targets::Real(v) => identity.words("reals", v.len(), v.iter().map(|x| x.to_bits())),
        }
        identity.words("train", self.train.len(), self.train.iter().copied());
        identity.words("validation", self.validation.len(), self.validation.iter().copied());
    }
}

fn gather<T: Copy>(values: &[T], width: usize, rows: &[usize]) -> Vec<T> {
    let mut out = Vec::with_capacity(rows.len() * width);
    for &r in rows {
        out.extend_from_slice(&values[r * width..][..width]);
    }
    out
}
