//! Matrix products without a program, computed as those of a program are.

use super::kernels::gemm::{Strided, gemm};
use super::kernels::tiling::Tiling;
use super::memory::Buffer;
use super::pool::Pool;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The product of row-major matrices `[m, k] x [k, n]` on one thread; for fingerprints.
pub(in crate::engine) fn product((m, n, k): (usize, usize, usize), a: &[f32], b: &[f32]) -> Vec<f32> {
    assert!(a.len() == m * k && b.len() == k * n);
    let mut c = vec![0.0; m * n];
    // SAFETY: slices of these sizes.
    unsafe {
        gemm((m, n, k), Strided::rows_of(a.as_ptr(), k), Strided::rows_of(b.as_ptr(), n), c.as_mut_ptr(), n, false);
    }
    c
}

/// Rows and columns of the tiles that a product `[m, k] x [k, n]` is cut into, and what of the depth all of them take before
/// any goes on; the left operand may be stored as its transpose.
pub fn product_tile(size: (usize, usize, usize), transposed: bool) -> (usize, usize, usize) {
    let tiling = Tiling::new(size, transposed);
    (tiling.tile_rows, tiling.tile_columns, tiling.block)
}

/// The product of two square matrices, cut into tiles and spread over threads as a program's products are: how fast this
/// engine multiplies where nothing else is to be done.
pub struct SquareProduct {
    pool: Pool,
    tiling: Tiling,
    a: Buffer,
    b: Buffer,
    c: Buffer,
}

/// Where the result goes. Tiles of it are disjoint.
struct Target(*mut f32);
// SAFETY: each element is written by the one thread that has its tile.
unsafe impl Sync for Target {}

impl Target {
    /// Where element `index` is; a method, so that closures take the whole of it.
    ///
    /// # Safety
    /// It must be within the matrix.
    unsafe fn at(&self, index: usize) -> *mut f32 {
        unsafe { self.0.add(index) }
    }
}

impl SquareProduct {
    /// Two matrices of `side x side` made-up numbers, and `threads` threads.
    pub fn new(side: usize, threads: usize) -> Self {
        let matrix = |salt: usize| {
            let mut matrix = Buffer::zeroed(side * side);
            let values = matrix.as_mut_slice().iter_mut().enumerate();
            values.for_each(|(i, v)| *v = ((i * 7919 + salt) % 1000) as f32 / 1000.0 - 0.5);
            matrix
        };
        let tiling = Tiling::new((side, side, side), false);
        let c = Buffer::zeroed(side * side);
        SquareProduct { pool: Pool::new(threads), tiling, a: matrix(1), b: matrix(2), c }
    }

    /// Multiplies them once; the last element of the product.
    pub fn run(&mut self) -> f32 {
        let (tiling, side) = (self.tiling, self.tiling.rows);
        let (a, b) = (self.a.as_slice(), self.b.as_slice());
        let (target, next) = (Target(self.c.pointer()), AtomicUsize::new(0));
        self.pool.run(&|_| {
            loop {
                let tile = next.fetch_add(1, Ordering::Relaxed);
                if tile >= tiling.count() {
                    break;
                }
                let (row, rows, column, columns) = tiling.tile(tile);
                let (a, b) = (&a[row * side..], &b[column..]);
                let (a, b) = (Strided::rows_of(a.as_ptr(), side), Strided::rows_of(b.as_ptr(), side));
                // SAFETY: a tile lies within the matrices.
                unsafe { gemm((rows, columns, side), a, b, target.at(row * side + column), side, false) };
            }
        });
        self.c.as_slice().last().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tiles_make_the_whole_product() {
        for threads in [1, 3] {
            let mut square = SquareProduct::new(300, threads);
            let last = square.run();
            let wanted = product((300, 300, 300), square.a.as_slice(), square.b.as_slice());
            let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3;
            assert!(square.c.as_slice().iter().zip(&wanted).all(close) && close((&last, &wanted[wanted.len() - 1])));
        }
    }
}
