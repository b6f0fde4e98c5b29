//! Copies of matrices in another order, for products to read one element after the other.

use super::gemm::Strided;
use crate::engine::cpu::simd::{self, kernel};

/// Side of the squares that are transposed in registers.
const SQUARE: usize = 16;

/// `[rows, columns]` in any layout as rows that are `stride` apart.
///
/// # Safety
/// All elements must be there, and room for `rows * stride`.
pub(super) unsafe fn rows(from: Strided, rows: usize, columns: usize, into: &mut [f32], stride: usize) {
    debug_assert!(into.len() >= rows * stride && columns <= stride);
    if from.columns == 1 {
        copy(from.at, from.rows as usize, columns, &mut into[..rows * stride], stride);
    } else if from.rows == 1 {
        transpose(from.at, from.columns as usize, (rows, columns), into, stride);
    } else {
        for (row, into) in into.chunks_mut(stride).take(rows).enumerate() {
            for (column, into) in into[..columns].iter_mut().enumerate() {
                // SAFETY: the caller's word.
                *into = unsafe { *from.from(row, column).at };
            }
        }
    }
}

kernel! {
    fn copy(from: *const f32, from_stride: usize, columns: usize, into: &mut [f32], stride: usize) {
        for (row, into) in into.chunks_exact_mut(stride).enumerate() {
            // SAFETY: the word of the caller of `rows`.
            let from = unsafe { std::slice::from_raw_parts(from.add(row * from_stride), columns) };
            into[..columns].copy_from_slice(from);
        }
    }
}

/// `[rows, columns]` of which `columns` lie `stride` apart and the rows side by side.
fn transpose(from: *const f32, from_stride: usize, (rows, columns): (usize, usize), into: &mut [f32], stride: usize) {
    // What is done in squares; the rest goes element by element.
    let whole = if wide() { (rows - rows % SQUARE, columns - columns % SQUARE) } else { (0, 0) };
    for column in (0..whole.1).step_by(SQUARE) {
        for row in (0..whole.0).step_by(SQUARE) {
            // SAFETY: the instructions are there, and the square lies within both matrices.
            unsafe {
                let to = into.as_mut_ptr().add(row * stride + column);
                square(from.add(column * from_stride + row), from_stride, to, stride);
            }
        }
    }
    for column in 0..columns {
        let done = if column < whole.1 { whole.0 } else { 0 };
        for row in done..rows {
            // SAFETY: the word of the caller of `rows`.
            into[row * stride + column] = unsafe { *from.add(column * from_stride + row) };
        }
    }
}

/// Whether this CPU has the instructions for whole registers of sixteen.
fn wide() -> bool {
    simd::level() == simd::Level::Avx512
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn square(_: *const f32, _: usize, _: *mut f32, _: usize) {}

/// Transposes 16 x 16 elements.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn square(from: *const f32, from_stride: usize, to: *mut f32, stride: usize) {
    use std::arch::x86_64::{
        __m512, _mm512_castpd_ps, _mm512_castps_pd, _mm512_loadu_ps, _mm512_setzero_ps, _mm512_shuffle_f32x4,
        _mm512_storeu_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
    };
    let (mut a, mut b): ([__m512; 16], [__m512; 16]) = ([_mm512_setzero_ps(); 16], [_mm512_setzero_ps(); 16]);
    for (i, a) in a.iter_mut().enumerate() {
        // SAFETY: the caller's word.
        *a = unsafe { _mm512_loadu_ps(from.add(i * from_stride)) };
    }
    // Within quarters of 128 bits: pairs, then fours.
    for i in 0..8 {
        b[2 * i] = _mm512_unpacklo_ps(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm512_unpackhi_ps(a[2 * i], a[2 * i + 1]);
    }
    for i in 0..4 {
        let [p, q, r, s] = [b[4 * i], b[4 * i + 1], b[4 * i + 2], b[4 * i + 3]].map(|v| _mm512_castps_pd(v));
        a[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(p, r));
        a[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(p, r));
        a[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(q, s));
        a[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(q, s));
    }
    // Register 4 i + c now has, in quarter j, column 4 j + c of rows 4 i to 4 i + 3: the quarters are transposed.
    for c in 0..4 {
        let [p, q, r, s] = [a[c], a[4 + c], a[8 + c], a[12 + c]];
        let (even, odd) = (_mm512_shuffle_f32x4::<0x88>(p, q), _mm512_shuffle_f32x4::<0xdd>(p, q));
        let (even_, odd_) = (_mm512_shuffle_f32x4::<0x88>(r, s), _mm512_shuffle_f32x4::<0xdd>(r, s));
        b[c] = _mm512_shuffle_f32x4::<0x88>(even, even_);
        b[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd, odd_);
        b[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even, even_);
        b[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_);
    }
    for (i, &b) in b.iter().enumerate() {
        // SAFETY: the caller's word.
        unsafe { _mm512_storeu_ps(to.add(i * stride), b) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_layout_is_copied_element_by_element(rows in 1usize..70, columns in 1usize..70, more in 0usize..5) {
            let value = |row: usize, column: usize| (row * 1000 + column) as f32;
            let stride = columns + more;
            for layout in 0..3 {
                // Row-major, its transpose, and every second element.
                let (down, right) = [(columns as isize, 1), (1, rows as isize), (2 * columns as isize, 2)][layout];
                let mut matrix = vec![f32::NAN; 2 * rows * columns];
                for (row, column) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
                    matrix[row * down as usize + column * right as usize] = value(row, column);
                }
                let mut into = vec![f32::NAN; rows * stride];
                let from = Strided { at: matrix.as_ptr(), rows: down, columns: right };
                // SAFETY: vectors of these sizes.
                unsafe { super::rows(from, rows, columns, &mut into, stride) };
                for (row, column) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
                    prop_assert_eq!(into[row * stride + column], value(row, column));
                }
            }
        }
    }
}
