//! Matrix products of one tile, by faer: its x86 micro-kernels were the fastest of the crates that were tried on the shapes
//! that matter.

use faer::{Accum, MatMut, MatRef, Par};

/// A matrix in somebody's memory.
#[derive(Clone, Copy)]
pub(in crate::engine::cpu) struct Strided {
    pub(in crate::engine::cpu) at: *const f32,
    pub(in crate::engine::cpu) rows: isize,
    pub(in crate::engine::cpu) columns: isize,
}

impl Strided {
    /// Row-major with this many elements from row to row.
    pub(in crate::engine::cpu) fn rows_of(at: *const f32, stride: usize) -> Self {
        Strided { at, rows: stride as isize, columns: 1 }
    }

    /// The transpose.
    pub(in crate::engine::cpu) fn transposed(self) -> Self {
        Strided { at: self.at, rows: self.columns, columns: self.rows }
    }

    /// From this row and column on.
    ///
    /// # Safety
    /// They must lie within the matrix.
    pub(in crate::engine::cpu) unsafe fn from(self, row: usize, column: usize) -> Self {
        let at = unsafe { self.at.offset(row as isize * self.rows + column as isize * self.columns) };
        Strided { at, ..self }
    }
}

/// `c [m, n] = a [m, k] b [k, n]`, or `+=`; `c` is row-major with `stride` elements from row to row.
///
/// # Safety
/// All elements named by the shapes and strides must be there, and nobody else may touch those of `c`.
pub(in crate::engine::cpu) unsafe fn gemm(
    (m, n, k): (usize, usize, usize),
    a: Strided,
    b: Strided,
    c: *mut f32,
    stride: usize,
    accumulate: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the caller's word.
    let (a, b, c) = unsafe {
        (
            MatRef::from_raw_parts(a.at, m, k, a.rows, a.columns),
            MatRef::from_raw_parts(b.at, k, n, b.rows, b.columns),
            MatMut::from_raw_parts_mut(c, m, n, stride as isize, 1),
        )
    };
    let mode = if accumulate { Accum::Add } else { Accum::Replace };
    faer::linalg::matmul::matmul(c, mode, a, b, 1.0f32, Par::Seq);
}

/// Elements of the right operand that the library packs of a product of so many columns, in memory that each thread keeps: whole
/// vectors of columns (96 with AVX-512), as deep as its blocks of the depth. What it packs of the left one is little beside it.
pub(in crate::engine::cpu) fn packed_elements(columns: usize, depth: usize) -> usize {
    columns.next_multiple_of(96) * depth.min(512)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn products_of_every_layout_agree_with_plain_loops(
            m in 1usize..40, n in 1usize..40, k in 1usize..50, ta: bool, tb: bool, add: bool
        ) {
            let value = |i: usize| ((i * 7919) % 101) as f32 / 50.0 - 1.0;
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(|i| value(i + 13)).collect();
            let mut c: Vec<f32> = (0..m * n).map(|i| value(i + 29)).collect();
            let wanted: Vec<f64> = (0..m * n).map(|i| {
                let (r, s) = (i / n, i % n);
                let at = |x: usize| f64::from(if ta { a[x * m + r] } else { a[r * k + x] });
                let bt = |x: usize| f64::from(if tb { b[s * k + x] } else { b[x * n + s] });
                (0..k).map(|x| at(x) * bt(x)).sum::<f64>() + if add { f64::from(c[i]) } else { 0.0 }
            }).collect();
            let left = if ta { Strided::rows_of(a.as_ptr(), m).transposed() } else { Strided::rows_of(a.as_ptr(), k) };
            let right = if tb { Strided::rows_of(b.as_ptr(), k).transposed() } else { Strided::rows_of(b.as_ptr(), n) };
            // SAFETY: the vectors have these sizes.
            unsafe { gemm((m, n, k), left, right, c.as_mut_ptr(), n, add) };
            for (got, want) in c.iter().zip(wanted) {
                prop_assert!((f64::from(*got) - want).abs() < 1e-5 * k as f64, "{got} {want}");
            }
        }
    }
}
