//! Arrays without elements: what a program would allocate, found without doing any of it.

use super::array::{Answer, Array, Binary, Compare, Reduce, Unary};
use crate::gpu::{Layout, Piece, Placement};
use candle_core::DType;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Counts on behalf of all ghosts made with it.
#[derive(Debug, Clone)]
pub(super) struct Meter(Rc<Counts>);

#[derive(Debug)]
struct Counts {
    placement: RefCell<Placement>,
    launches: Cell<u64>,
}

impl Meter {
    /// Where arrays of these sizes, in bytes, stay from program to program.
    pub(super) fn new(staying: impl IntoIterator<Item = u64>) -> Self {
        let placement = RefCell::new(Placement::endless(staying));
        Meter(Rc::new(Counts { placement, launches: Cell::default() }))
    }

    /// Most bytes alive at once since the beginning.
    pub(super) fn peak(&self) -> u64 {
        self.0.placement.borrow().peak()
    }

    /// The block of memory that everything since the beginning would fit in.
    pub(super) fn layout(&self) -> Layout {
        self.0.placement.borrow().layout()
    }

    /// Bytes that what does not stay reaches over.
    #[cfg(test)]
    pub(super) fn reaching(&self) -> u64 {
        self.0.placement.borrow().reaching()
    }

    /// Bytes alive.
    #[cfg(test)]
    pub(super) fn live(&self) -> u64 {
        self.0.placement.borrow().live()
    }

    /// Operations that ran on the device.
    #[cfg(test)]
    pub(super) fn launches(&self) -> u64 {
        self.0.launches.get()
    }

    fn launch(&self) {
        self.0.launches.set(self.0.launches.get() + 1);
    }
}

/// An allocation; freed with its last owner.
#[derive(Debug)]
struct Block {
    /// None where there is no such memory in the world.
    piece: Option<Piece>,
    meter: Meter,
}

impl Block {
    fn new(bytes: u64, meter: &Meter) -> Rc<Self> {
        let piece = meter.0.placement.borrow_mut().allocate(bytes);
        Rc::new(Block { piece, meter: meter.clone() })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(piece) = self.piece {
            self.meter.0.placement.borrow_mut().free(piece);
        }
    }
}

/// An array that is only a shape.
#[derive(Debug, Clone)]
pub(super) struct Ghost {
    shape: Vec<usize>,
    dtype: DType,
    block: Rc<Block>,
}

impl Ghost {
    fn new(shape: &[usize], dtype: DType, meter: &Meter) -> Self {
        let bytes = shape.iter().product::<usize>() * dtype.size_in_bytes();
        Ghost { shape: shape.to_vec(), dtype, block: Block::new(bytes as u64, meter) }
    }

    /// The result of an operation.
    fn result(&self, shape: &[usize], dtype: DType) -> Answer<Ghost> {
        self.block.meter.launch();
        Ok(Ghost::new(shape, dtype, &self.block.meter))
    }
}

impl Array for Ghost {
    type Device = Meter;

    fn real(device: &Meter, shape: &[usize], _: impl FnOnce() -> Vec<f32>) -> Answer<Self> {
        Ok(Ghost::new(shape, DType::F32, device))
    }

    fn ids(device: &Meter, shape: &[usize], _: impl FnOnce() -> Vec<u32>) -> Answer<Self> {
        Ok(Ghost::new(shape, DType::U32, device))
    }

    fn filled(device: &Meter, shape: &[usize], _: f64) -> Answer<Self> {
        Ok(Ghost::new(shape, DType::F32, device))
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn reshape(&self, shape: &[usize]) -> Answer<Self> {
        Ok(Ghost { shape: shape.to_vec(), dtype: self.dtype, block: Rc::clone(&self.block) })
    }

    fn cast(&self, dtype: DType) -> Answer<Self> {
        if dtype == self.dtype { Ok(self.clone()) } else { self.result(&self.shape, dtype) }
    }

    fn permute(&self, order: &[usize]) -> Answer<Self> {
        let shape: Vec<usize> = order.iter().map(|&d| self.shape[d]).collect();
        // candle sees where only dimensions of length 1 move, and copies nothing.
        let moving = |dims: &mut dyn Iterator<Item = usize>| dims.filter(|&d| self.shape[d] != 1).collect::<Vec<_>>();
        if moving(&mut order.iter().copied()) == moving(&mut (0..self.shape.len())) {
            return self.reshape(&shape);
        }
        self.result(&shape, self.dtype)
    }

    fn narrow(&self, dim: usize, _: usize, length: usize) -> Answer<Self> {
        let mut shape = self.shape.clone();
        shape[dim] = length;
        self.result(&shape, self.dtype)
    }

    fn cat(parts: &[Self], dim: usize) -> Answer<Self> {
        let first = &parts[0];
        if parts.len() == 1 {
            return Ok(first.clone());
        }
        let mut shape = first.shape.clone();
        shape[dim] = parts.iter().map(|p| p.shape[dim]).sum();
        first.result(&shape, first.dtype)
    }

    fn pad(&self, dim: usize, before: usize, after: usize) -> Answer<Self> {
        if before + after == 0 {
            return Ok(self.clone());
        }
        let zeros = |length: usize| {
            let mut shape = self.shape.clone();
            shape[dim] = length;
            Ghost::new(&shape, self.dtype, &self.block.meter)
        };
        let mut parts = Vec::new();
        if before > 0 {
            parts.push(zeros(before));
        }
        parts.push(self.clone());
        if after > 0 {
            parts.push(zeros(after));
        }
        Ghost::cat(&parts, dim)
    }

    fn matmul(&self, other: &Self, transposed: (bool, bool)) -> Answer<Self> {
        let matrix = |shape: &[usize], t: bool| {
            let n = shape.len();
            if t { (shape[n - 1], shape[n - 2]) } else { (shape[n - 2], shape[n - 1]) }
        };
        let ((rows, _), (_, columns)) = (matrix(&self.shape, transposed.0), matrix(&other.shape, transposed.1));
        let mut shape = self.shape.clone();
        let n = shape.len();
        (shape[n - 2], shape[n - 1]) = (rows, columns);
        self.result(&shape, self.dtype)
    }

    fn binary(&self, _: Binary, other: &Self) -> Answer<Self> {
        self.result(&broadcast(&self.shape, &other.shape), self.dtype)
    }

    fn compare(&self, _: Compare, other: &Self) -> Answer<Self> {
        self.result(&broadcast(&self.shape, &other.shape), DType::U8)
    }

    fn unary(&self, _: Unary) -> Answer<Self> {
        self.result(&self.shape, self.dtype)
    }

    fn affine(&self, _: f64, _: f64) -> Answer<Self> {
        self.result(&self.shape, self.dtype)
    }

    fn reduce(&self, _: Reduce, dim: usize) -> Answer<Self> {
        let mut shape = self.shape.clone();
        shape[dim] = 1;
        self.result(&shape, self.dtype)
    }

    fn choose(&self, yes: &Self, _: &Self) -> Answer<Self> {
        self.result(&self.shape, yes.dtype)
    }

    fn rows(&self, ids: &Self) -> Answer<Self> {
        self.result(&[ids.count(), self.features()], self.dtype)
    }

    fn scatter_rows(&self, _: &Self, count: usize) -> Answer<Self> {
        // candle adds into a copy of the zeros.
        let _zeros = Ghost::new(&[count, self.features()], self.dtype, &self.block.meter);
        self.result(&[count, self.features()], self.dtype)
    }

    fn pick(&self, ids: &Self) -> Answer<Self> {
        self.result(&[ids.count(), 1], self.dtype)
    }
}

/// The shape of two arrays combined element by element.
fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let length = a.len().max(b.len());
    let at = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(length).map_or(1, |i| shape[i]);
    (0..length).map(|i| at(a, i).max(at(b, i))).collect()
}
