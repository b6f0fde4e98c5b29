//! What one op sees of the machine: its inputs as slices, its declared outputs, and the step it runs in.
//!
//! Values are contiguous tensors on the engine's device. An op either uses candle's forward ops, or reads slices here
//! and hands back a vector; off the CPU that goes through host memory, which is slow and plain.

use super::super::EngineError;
use super::real::Real;
use crate::graph::{Op, Value};
use candle_core::{DType, Device, Storage, StorageRef, Tensor, WithDType};
use std::ops::{Deref, Range};

impl From<candle_core::Error> for EngineError {
    fn from(error: candle_core::Error) -> Self {
        // Where RUST_BACKTRACE asks for one, candle sets a backtrace behind its words. They are to be one paragraph.
        let text = error.to_string();
        let words = text.split("\n   0: ").next().unwrap_or(&text);
        EngineError::Backend(words.trim_end().to_string())
    }
}

/// What is the same for all ops of one execution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) seed: u64,
    pub(super) step: u64,
    pub(super) first_sample: u32,
    /// Learning rate and the two bias corrections.
    pub(super) host: [f64; 3],
}

/// One op about to be computed.
pub(super) struct Call<'a> {
    pub(super) op: &'a Op,
    pub(super) inputs: &'a [&'a Tensor],
    pub(super) outputs: &'a [&'a Value],
    pub(super) device: &'a Device,
    pub(super) moment: &'a Moment,
}

/// The elements of a contiguous tensor, borrowed where it lives in host memory.
pub(super) enum Elements<'a, T> {
    Borrowed(StorageRef<'a>, Range<usize>),
    Owned(Vec<T>),
}

impl<T: WithDType> Deref for Elements<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            Elements::Borrowed(guard, range) => match &**guard {
                // The variant and dtype were checked when the guard was taken.
                Storage::Cpu(storage) => storage.as_slice::<T>().map_or(&[], |all| &all[range.clone()]),
                _ => &[],
            },
            Elements::Owned(values) => values,
        }
    }
}

/// The elements of a tensor in row-major order.
pub(super) fn elements<T: WithDType>(tensor: &Tensor) -> Result<Elements<'_, T>, EngineError> {
    if tensor.dtype() != T::DTYPE {
        return Err(EngineError::Shape(format!("a {:?} value where {:?} is wanted", tensor.dtype(), T::DTYPE)));
    }
    let (guard, layout) = tensor.storage_and_layout();
    if let (Storage::Cpu(_), Some((start, end))) = (&*guard, layout.contiguous_offsets()) {
        return Ok(Elements::Borrowed(guard, start..end));
    }
    drop(guard);
    Ok(Elements::Owned(tensor.flatten_all()?.to_vec1::<T>()?))
}

impl<'a> Call<'a> {
    /// The real elements of input `i`.
    pub(super) fn real<T: Real>(&self, i: usize) -> Result<Elements<'a, T>, EngineError> {
        elements::<T>(self.input(i)?)
    }

    /// The integer elements of input `i`.
    pub(super) fn integers(&self, i: usize) -> Result<Elements<'a, u32>, EngineError> {
        elements::<u32>(self.input(i)?)
    }

    /// A real scalar input.
    pub(super) fn scalar<T: Real>(&self, i: usize) -> Result<T, EngineError> {
        self.real::<T>(i)?.first().copied().ok_or_else(|| self.wrong("a scalar input is empty"))
    }

    /// Input `i`.
    pub(super) fn input(&self, i: usize) -> Result<&'a Tensor, EngineError> {
        self.inputs.get(i).copied().ok_or_else(|| self.wrong(&format!("input {i} is missing")))
    }

    /// The shape of input `i`, which must have the given number of dimensions.
    pub(super) fn dims<const N: usize>(&self, i: usize) -> Result<[usize; N], EngineError> {
        let dims = self.input(i)?.dims();
        dims.try_into().map_err(|_| self.wrong(&format!("input {i} has shape {dims:?}, not {N} dimensions")))
    }

    /// Length of the last dimension of input `i` (1 for a scalar).
    pub(super) fn features(&self, i: usize) -> Result<usize, EngineError> {
        Ok(self.input(i)?.dims().last().copied().unwrap_or(1))
    }

    /// Output `i` from its elements.
    pub(super) fn output<T: WithDType>(&self, i: usize, values: Vec<T>) -> Result<Tensor, EngineError> {
        let declared = self.outputs.get(i).ok_or_else(|| self.wrong(&format!("output {i} is not declared")))?;
        if declared.elements() != values.len() {
            return Err(self.wrong(&format!(
                "output {i} has {} elements where {:?} is declared",
                values.len(),
                declared.shape
            )));
        }
        Ok(Tensor::from_vec(values, declared.shape.as_slice(), self.device)?)
    }

    /// A tensor under output `i`'s declared shape.
    pub(super) fn shaped(&self, i: usize, tensor: &Tensor) -> Result<Tensor, EngineError> {
        let declared = self.outputs.get(i).ok_or_else(|| self.wrong(&format!("output {i} is not declared")))?;
        Ok(tensor.contiguous()?.reshape(declared.shape.as_slice())?)
    }

    /// An error that names the op and its operands.
    pub(super) fn wrong(&self, what: &str) -> EngineError {
        let shapes: Vec<_> = self.inputs.iter().map(|t| t.dims()).collect();
        EngineError::Shape(format!("{what} in {:?} on {shapes:?}", self.op))
    }
}

/// candle's name of the computing type.
pub(super) fn dtype<T: Real>() -> DType {
    T::DTYPE
}
