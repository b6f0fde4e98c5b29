//! The right operand of a product as panels, and products of a few rows with all of them.
//!
//! The library's micro-kernel goes down the depth with a few rows of the left operand and up to [`PANEL`] columns of the
//! right one, whose elements it reads in the order of the depth. Called for whole matrices it brings the right operand into
//! that order each time, which is cheap beside many rows; called for a [`STRIP`] of rows it takes what it is given. So where
//! few rows at a time are to be multiplied, a panel is packed here, once for all of them. (For whole products this is slower
//! than the library's own way: measured.)

use super::gemm::{Strided, gemm};
use super::pack;

/// Columns of a panel at most: what the widest micro-kernel holds in its registers.
pub(super) const PANEL: usize = 96;
/// Rows of a strip: as many as the library multiplies without packing the right operand anew.
pub(super) const STRIP: usize = 12;
/// How `[depth, columns]` is cut into panels: of equal width, but for the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panels {
    depth: usize,
    columns: usize,
    width: usize,
}

impl Panels {
    pub(super) fn new(depth: usize, columns: usize) -> Self {
        let count = columns.div_ceil(PANEL).max(1);
        Panels { depth, columns, width: columns.div_ceil(count).next_multiple_of(16) }
    }

    /// Elements of all panels.
    pub(super) fn elements(self) -> usize {
        self.depth * self.columns.next_multiple_of(16)
    }

    /// Packs a right operand.
    ///
    /// # Safety
    /// It must have this depth and these columns.
    pub(super) unsafe fn pack(self, b: Strided, into: &mut [f32]) -> Right {
        let into = &mut into[..self.elements()];
        for first in (0..self.columns).step_by(self.width) {
            let columns = self.width.min(self.columns - first);
            let stride = columns.next_multiple_of(16);
            let panel = &mut into[self.depth * first..][..self.depth * stride];
            // SAFETY: the caller's word.
            unsafe { pack::rows(b.from(0, first), self.depth, columns, panel, stride) };
        }
        Right { panels: self, at: into.as_ptr() }
    }
}

/// A right operand in panels.
#[derive(Clone, Copy)]
pub(super) struct Right {
    panels: Panels,
    at: *const f32,
}

impl Right {
    /// `c [rows, columns] = a [rows, depth] b`, or `+=`, with the first columns and the upper part of the right operand; at
    /// most [`STRIP`] rows.
    ///
    /// # Safety
    /// As for [`gemm`]; the operand that this was made of is still there.
    pub(super) unsafe fn multiply(
        self,
        (rows, columns, depth): (usize, usize, usize),
        a: Strided,
        c: *mut f32,
        stride: usize,
        accumulate: bool,
    ) {
        debug_assert!(rows <= STRIP && columns <= self.panels.columns && depth <= self.panels.depth);
        let width = self.panels.width;
        for first in (0..columns).step_by(width) {
            // SAFETY: the caller's word; panels lie one after the other.
            unsafe {
                let packed = width.min(self.panels.columns - first).next_multiple_of(16);
                let panel = Strided::rows_of(self.at.add(self.panels.depth * first), packed);
                gemm((rows, width.min(columns - first), depth), a, panel, c.add(first), stride, accumulate);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strips_agree_with_the_whole_product(
            rows in 1usize..=STRIP, n in 1usize..300, k in 1usize..80, transposed: bool, less in 0usize..20
        ) {
            let value = |i: usize| ((i * 7919) % 101) as f32 / 50.0 - 1.0;
            let a: Vec<f32> = (0..rows * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(|i| value(i + 13)).collect();
            let left = Strided::rows_of(a.as_ptr(), k);
            let right = if transposed { Strided::rows_of(b.as_ptr(), k).transposed() } else { Strided::rows_of(b.as_ptr(), n) };
            let panels = Panels::new(k, n);
            let (columns, depth) = (n.saturating_sub(less).max(1), k.saturating_sub(less).max(1));
            let mut scratch = vec![f32::NAN; panels.elements()];
            let mut wanted = vec![0.0f32; rows * columns];
            // SAFETY: the vectors have these sizes.
            unsafe {
                gemm((rows, columns, depth), left, right, wanted.as_mut_ptr(), columns, false);
                let given = panels.pack(right, &mut scratch);
                let mut c = vec![f32::NAN; rows * columns];
                given.multiply((rows, columns, depth), left, c.as_mut_ptr(), columns, false);
                for (got, want) in c.iter().zip(&wanted) {
                    prop_assert!((got - want).abs() <= 1e-5 * k as f32, "{got} {want}");
                }
                let packed = panels.pack(right, &mut scratch);
                packed.multiply((rows, columns, depth), left, c.as_mut_ptr(), columns, true);
                for (got, want) in c.iter().zip(&wanted) {
                    prop_assert!((got - 2.0 * want).abs() <= 2e-5 * k as f32, "{got} {want}");
                }
            }
        }
    }
}
