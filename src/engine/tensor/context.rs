//! What an op sees: its inputs, its declared outputs, the step it runs in, and constants that are kept from step to step.

use super::super::{EngineError, StepInputs};
use super::array::{Answer, Array};
use crate::graph::{Op, Value};
use candle_core::DType;
use std::cell::RefCell;
use std::collections::HashMap;

/// Arrays that depend on shapes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Constant {
    /// `[T, T]`: 0 on and below the diagonal, very negative above.
    Causal(usize),
    /// `[1, N]` u32: 0, 1, 2, ...
    Count(usize),
    /// `[1, N]` f32 ones.
    Ones(usize),
    /// `[T, 1, half]` cosines of the rotation by position; base as bits of f32.
    Cosines(usize, usize, u32),
    /// The sines.
    Sines(usize, usize, u32),
}

/// What is the same for all ops of an engine.
pub(super) struct Context<A: Array> {
    pub(super) device: A::Device,
    /// Type of the values between ops.
    pub(super) compute: DType,
    constants: RefCell<HashMap<Constant, A>>,
}

impl<A: Array> Context<A> {
    pub(super) fn new(device: A::Device, compute: DType) -> Self {
        Context { device, compute, constants: RefCell::default() }
    }

    /// The constants made so far, in an order of their own.
    pub(super) fn constants(&self) -> Vec<Constant> {
        let mut known: Vec<Constant> = self.constants.borrow().keys().copied().collect();
        known.sort_unstable();
        known
    }

    /// A constant, made where it is first wanted.
    pub(super) fn constant(&self, which: Constant) -> Answer<A> {
        if let Some(known) = self.constants.borrow().get(&which) {
            return Ok(known.clone());
        }
        let made = match which {
            Constant::Causal(n) => A::real(&self.device, &[n, n], || {
                (0..n * n).map(|i| if i % n > i / n { MASKED } else { 0.0 }).collect()
            })?,
            Constant::Count(n) => A::ids(&self.device, &[1, n], || (0..n as u32).collect())?,
            Constant::Ones(n) => A::filled(&self.device, &[1, n], 1.0)?,
            Constant::Cosines(length, half, base) => {
                A::real(&self.device, &[length, 1, half], || angles(length, half, base, f64::cos))?
            }
            Constant::Sines(length, half, base) => {
                A::real(&self.device, &[length, 1, half], || angles(length, half, base, f64::sin))?
            }
        };
        self.constants.borrow_mut().insert(which, made.clone());
        Ok(made)
    }
}

/// Added to scores that must not be seen. Finite, so that no difference of two of them is not a number.
const MASKED: f32 = -1e30;

/// `f(t * base^(-i/half))`, in f64 and rounded once.
fn angles(length: usize, half: usize, base: u32, f: impl Fn(f64) -> f64) -> Vec<f32> {
    let base = f64::from(f32::from_bits(base));
    (0..length * half).map(|i| f((i / half) as f64 * base.powf(-((i % half) as f64) / half as f64)) as f32).collect()
}

/// One op about to be computed.
pub(super) struct Call<'a, A: Array> {
    pub(super) op: &'a Op,
    pub(super) inputs: &'a [&'a A],
    pub(super) outputs: &'a [&'a Value],
    pub(super) context: &'a Context<A>,
    pub(super) inputs_of_step: &'a StepInputs,
    /// Global index of the batch's first sample in the step.
    pub(super) first_sample: u32,
}

impl<'a, A: Array> Call<'a, A> {
    /// Input `i`.
    pub(super) fn input(&self, i: usize) -> Answer<&'a A> {
        self.inputs.get(i).copied().ok_or_else(|| self.wrong(&format!("input {i} is missing")))
    }

    /// Input `i` in f32.
    pub(super) fn wide(&self, i: usize) -> Answer<A> {
        self.input(i)?.wide()
    }

    /// Input `i` as `[rows, features]` in f32.
    pub(super) fn matrix(&self, i: usize) -> Answer<A> {
        self.input(i)?.matrix()?.wide()
    }

    /// The shape of input `i`, which must have the given number of dimensions.
    pub(super) fn dims<const N: usize>(&self, i: usize) -> Answer<[usize; N]> {
        let dims = self.input(i)?.shape();
        dims.try_into().map_err(|_| self.wrong(&format!("input {i} has shape {dims:?}, not {N} dimensions")))
    }

    /// The declared shape of output `i`.
    pub(super) fn declared(&self, i: usize) -> Answer<&'a [usize]> {
        let value = self.outputs.get(i).ok_or_else(|| self.wrong(&format!("output {i} is not declared")))?;
        Ok(&value.shape)
    }

    /// An activation as output `i`: under its declared shape, in the compute type.
    pub(super) fn keep(&self, i: usize, array: &A) -> Answer<A> {
        self.exact(i, &array.cast(self.context.compute)?)
    }

    /// An array as output `i`, in the type it has.
    pub(super) fn exact(&self, i: usize, array: &A) -> Answer<A> {
        let declared = self.declared(i)?;
        if array.count() != declared.iter().product::<usize>() {
            return Err(self.wrong(&format!("output {i} is {:?} where {declared:?} is declared", array.shape())));
        }
        array.reshape(declared)
    }

    /// Sums of the columns of a matrix in f32, `[1, C]`, as a matrix product: one pass, the same order every time.
    pub(super) fn column_sums(&self, matrix: &A) -> Answer<A> {
        let rows = matrix.shape()[0];
        self.context.constant(Constant::Ones(rows))?.matmul(matrix, (false, false))
    }

    /// An error that names the op and its operands.
    pub(super) fn wrong(&self, what: &str) -> EngineError {
        let shapes: Vec<_> = self.inputs.iter().map(|a| a.shape()).collect();
        EngineError::Shape(format!("{what} in {:?} on {shapes:?}", self.op))
    }
}
