//! [`Array`] on candle's tensors.

use super::array::{Answer, Array, Binary, Compare, Reduce, Unary};
use candle_core::{DType, Device, Tensor};

impl Array for Tensor {
    type Device = Device;

    fn real(device: &Device, shape: &[usize], values: impl FnOnce() -> Vec<f32>) -> Answer<Self> {
        Ok(Tensor::from_vec(values(), shape, device)?)
    }

    fn ids(device: &Device, shape: &[usize], values: impl FnOnce() -> Vec<u32>) -> Answer<Self> {
        Ok(Tensor::from_vec(values(), shape, device)?)
    }

    fn filled(device: &Device, shape: &[usize], value: f64) -> Answer<Self> {
        Ok(Tensor::full(value as f32, shape, device)?.contiguous()?)
    }

    fn shape(&self) -> &[usize] {
        self.dims()
    }

    fn dtype(&self) -> DType {
        Tensor::dtype(self)
    }

    fn reshape(&self, shape: &[usize]) -> Answer<Self> {
        Ok(Tensor::reshape(self, shape)?)
    }

    fn cast(&self, dtype: DType) -> Answer<Self> {
        Ok(self.to_dtype(dtype)?)
    }

    fn permute(&self, order: &[usize]) -> Answer<Self> {
        Ok(Tensor::permute(self, order)?.contiguous()?)
    }

    fn narrow(&self, dim: usize, start: usize, length: usize) -> Answer<Self> {
        // A view would keep the whole array alive, and count for nothing in the prediction.
        Ok(Tensor::narrow(self, dim, start, length)?.force_contiguous()?)
    }

    fn cat(parts: &[Self], dim: usize) -> Answer<Self> {
        Ok(Tensor::cat(parts, dim)?.contiguous()?)
    }

    fn pad(&self, dim: usize, before: usize, after: usize) -> Answer<Self> {
        Ok(self.pad_with_zeros(dim, before, after)?.contiguous()?)
    }

    fn matmul(&self, other: &Self, transposed: (bool, bool)) -> Answer<Self> {
        let side = |x: &Tensor, t: bool| if t { x.t() } else { Ok(x.clone()) };
        Ok(Tensor::matmul(&side(self, transposed.0)?, &side(other, transposed.1)?)?)
    }

    fn binary(&self, op: Binary, other: &Self) -> Answer<Self> {
        let equal = self.dims() == other.dims();
        Ok(match op {
            Binary::Add if equal => Tensor::add(self, other)?,
            Binary::Sub if equal => Tensor::sub(self, other)?,
            Binary::Mul if equal => Tensor::mul(self, other)?,
            Binary::Div if equal => Tensor::div(self, other)?,
            Binary::Max if equal => self.maximum(other)?,
            Binary::Add => self.broadcast_add(other)?,
            Binary::Sub => self.broadcast_sub(other)?,
            Binary::Mul => self.broadcast_mul(other)?,
            Binary::Div => self.broadcast_div(other)?,
            Binary::Max => self.broadcast_maximum(other)?,
        })
    }

    fn compare(&self, op: Compare, other: &Self) -> Answer<Self> {
        Ok(match op {
            Compare::Eq => self.broadcast_eq(other)?,
            Compare::Ne => self.broadcast_ne(other)?,
            Compare::Gt => self.broadcast_gt(other)?,
        })
    }

    fn unary(&self, op: Unary) -> Answer<Self> {
        Ok(match op {
            Unary::Exp => Tensor::exp(self)?,
            Unary::Ln => self.log()?,
            Unary::Sqrt => Tensor::sqrt(self)?,
            Unary::Tanh => Tensor::tanh(self)?,
        })
    }

    fn affine(&self, factor: f64, offset: f64) -> Answer<Self> {
        Ok(Tensor::affine(self, factor, offset)?)
    }

    fn reduce(&self, op: Reduce, dim: usize) -> Answer<Self> {
        Ok(match op {
            Reduce::Sum => self.sum_keepdim(dim)?,
            Reduce::Max => self.max_keepdim(dim)?,
            Reduce::Min => self.min_keepdim(dim)?,
        })
    }

    fn choose(&self, yes: &Self, no: &Self) -> Answer<Self> {
        Ok(self.where_cond(yes, no)?)
    }

    fn rows(&self, ids: &Self) -> Answer<Self> {
        Ok(self.index_select(ids, 0)?)
    }

    fn scatter_rows(&self, ids: &Self, count: usize) -> Answer<Self> {
        let zeros = Tensor::zeros((count, self.features()), self.dtype(), self.device())?;
        Ok(zeros.index_add(ids, self, 0)?)
    }

    fn pick(&self, ids: &Self) -> Answer<Self> {
        Ok(self.gather(&Tensor::reshape(ids, (ids.elem_count(), 1))?, 1)?)
    }
}
