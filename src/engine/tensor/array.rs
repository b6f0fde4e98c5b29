//! The vocabulary that ops are written in: operations on whole arrays.

use super::super::EngineError;
use candle_core::DType;

/// What array operations answer.
pub(super) type Answer<T> = Result<T, EngineError>;

/// Element by element over two arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Max,
}

/// Element by element over one array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Exp,
    Ln,
    Sqrt,
    Tanh,
}

/// Element by element over two arrays; the answer is 1 or 0 as u8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Eq,
    Ne,
    Gt,
}

/// Over one dimension, which stays with length 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduce {
    Sum,
    Max,
    Min,
}

/// An array in row-major order on some device, with or without elements. Cloning shares it; no operation changes one.
pub(super) trait Array: Clone {
    /// Where arrays are made.
    type Device: Clone;

    /// f32 elements from host memory.
    fn real(device: &Self::Device, shape: &[usize], values: impl FnOnce() -> Vec<f32>) -> Answer<Self>;
    /// u32 elements from host memory.
    fn ids(device: &Self::Device, shape: &[usize], values: impl FnOnce() -> Vec<u32>) -> Answer<Self>;
    /// All elements equal, f32.
    fn filled(device: &Self::Device, shape: &[usize], value: f64) -> Answer<Self>;

    /// Lengths of the dimensions.
    fn shape(&self) -> &[usize];
    /// Type of the elements.
    fn dtype(&self) -> DType;

    /// The same array under another shape; shares the elements.
    fn reshape(&self, shape: &[usize]) -> Answer<Self>;
    /// In another type; shares the elements where it has it already.
    fn cast(&self, dtype: DType) -> Answer<Self>;
    /// With its dimensions in another order: a copy.
    fn permute(&self, order: &[usize]) -> Answer<Self>;
    /// `length` places of a dimension from `start` on: a copy.
    fn narrow(&self, dim: usize, start: usize, length: usize) -> Answer<Self>;
    /// One behind the other along a dimension: a copy.
    fn cat(parts: &[Self], dim: usize) -> Answer<Self>;
    /// With zeros before and after along a dimension: a copy.
    fn pad(&self, dim: usize, before: usize, after: usize) -> Answer<Self>;

    /// Product of the last two dimensions, each side transposed or not; a leading dimension counts independent products.
    fn matmul(&self, other: &Self, transposed: (bool, bool)) -> Answer<Self>;
    /// Element by element; dimensions of length 1 in `other` repeat, missing leading ones too.
    fn binary(&self, op: Binary, other: &Self) -> Answer<Self>;
    /// As [`binary`](Self::binary).
    fn compare(&self, op: Compare, other: &Self) -> Answer<Self>;
    /// Element by element.
    fn unary(&self, op: Unary) -> Answer<Self>;
    /// `factor * x + offset`.
    fn affine(&self, factor: f64, offset: f64) -> Answer<Self>;
    /// Over one dimension.
    fn reduce(&self, op: Reduce, dim: usize) -> Answer<Self>;
    /// Where this u8 array is not 0 the one, else the other; equal shapes.
    fn choose(&self, yes: &Self, no: &Self) -> Answer<Self>;

    /// Rows of a matrix `[V, C]` by `ids [N]`: `[N, C]`.
    fn rows(&self, ids: &Self) -> Answer<Self>;
    /// The transpose of [`rows`](Self::rows): zeros `[count, C]` with row `i` of this one `[N, C]` added to row `ids[i]`.
    fn scatter_rows(&self, ids: &Self, count: usize) -> Answer<Self>;
    /// One element of each row of `[N, V]` by `ids [N]`: `[N, 1]`.
    fn pick(&self, ids: &Self) -> Answer<Self>;

    fn add(&self, other: &Self) -> Answer<Self> {
        self.binary(Binary::Add, other)
    }
    fn sub(&self, other: &Self) -> Answer<Self> {
        self.binary(Binary::Sub, other)
    }
    fn mul(&self, other: &Self) -> Answer<Self> {
        self.binary(Binary::Mul, other)
    }
    fn div(&self, other: &Self) -> Answer<Self> {
        self.binary(Binary::Div, other)
    }
    fn exp(&self) -> Answer<Self> {
        self.unary(Unary::Exp)
    }
    fn ln(&self) -> Answer<Self> {
        self.unary(Unary::Ln)
    }
    fn sqrt(&self) -> Answer<Self> {
        self.unary(Unary::Sqrt)
    }
    fn tanh(&self) -> Answer<Self> {
        self.unary(Unary::Tanh)
    }
    fn square(&self) -> Answer<Self> {
        self.mul(self)
    }
    fn scale(&self, factor: f64) -> Answer<Self> {
        self.affine(factor, 0.0)
    }
    fn sum(&self, dim: usize) -> Answer<Self> {
        self.reduce(Reduce::Sum, dim)
    }
    /// In f32.
    fn wide(&self) -> Answer<Self> {
        self.cast(DType::F32)
    }
    /// Number of elements.
    fn count(&self) -> usize {
        self.shape().iter().product()
    }
    /// Length of the last dimension, 1 for a scalar.
    fn features(&self) -> usize {
        self.shape().last().copied().unwrap_or(1)
    }
    /// As `[rows, features]`.
    fn matrix(&self) -> Answer<Self> {
        let features = self.features();
        self.reshape(&[self.count() / features.max(1), features])
    }
    /// Sum of all elements, as `[1, 1]`.
    fn total(&self) -> Answer<Self> {
        self.reshape(&[1, self.count()])?.sum(1)
    }
}
