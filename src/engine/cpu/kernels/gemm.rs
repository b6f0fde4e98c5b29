//! Matrix products of one tile, by faer (its x86 micro-kernels were the fastest of the crates that were tried on the
//! shapes that matter), and how products are cut into tiles.

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

/// Tiles that a product is cut into at least, so that up to that many threads have work: with tiles of at least
/// [`TILE_FLOPS`], and more of them in a very large product, one for each [`LARGE_TILE_FLOPS`].
const WANTED_TILES: usize = 8;
const MOST_WANTED_TILES: usize = 32;
const LARGE_TILE_FLOPS: usize = 300_000_000;
/// Operations of a tile at least, where there are several: some 60 microseconds, well above what a barrier costs.
const TILE_FLOPS: usize = 6_000_000;
/// From this many operations on, a product is cut in two at least.
const TWO_TILES_FLOPS: usize = 1_200_000;
/// Rows and columns of a tile at most. What is packed of the right operand and the finished tile, which the tail goes over,
/// then fit the second-level cache together.
const MOST_ROWS: usize = 512;
const MOST_COLUMNS: usize = 256;
/// What preparing a tile costs, in multiply-adds of each element of the right operand's columns and of the left one's rows:
/// fitted to times of this engine's shapes (`benches/gemm.rs`).
const PREPARE_RIGHT: f64 = 24.0;
const PREPARE_LEFT: f64 = 8.0;

/// A grid over the rows and columns of a product. Depends on the shape only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::cpu) struct Tiling {
    pub(in crate::engine::cpu) rows: usize,
    pub(in crate::engine::cpu) columns: usize,
    pub(in crate::engine::cpu) tile_rows: usize,
    pub(in crate::engine::cpu) tile_columns: usize,
}

impl Tiling {
    /// The cheapest grid with enough tiles. A tile of many rows and few columns is best for the library beneath, which
    /// packs the right operand once a tile.
    pub(in crate::engine::cpu) fn new(m: usize, n: usize, k: usize) -> Self {
        let flops = 2 * m * n * k;
        let wanted = (flops / TILE_FLOPS).clamp(1 + usize::from(flops >= TWO_TILES_FLOPS), WANTED_TILES);
        let wanted = wanted.max((flops / LARGE_TILE_FLOPS).min(MOST_WANTED_TILES));
        // Multiples of a vector's length, so that tiles begin on cache lines where the rows do.
        let cut = |side: usize, parts: usize| side.div_ceil(parts).next_multiple_of(16).min(side.max(1));
        let least = (m.div_ceil(MOST_ROWS).max(1), n.div_ceil(MOST_COLUMNS).max(1));
        let enough = wanted.max(least.0 * least.1).min(m.div_ceil(16).max(1) * n.div_ceil(32).max(1));
        let mut best: Option<(f64, Tiling)> = None;
        for across in least.1..=n.div_ceil(32).clamp(least.1, least.1.max(2 * enough)) {
            for along in least.0..=m.div_ceil(16).clamp(least.0, least.0.max(2 * enough)) {
                let tiling = Tiling { rows: m, columns: n, tile_rows: cut(m, along), tile_columns: cut(n, across) };
                let count = tiling.count();
                if count < enough || count > 2 * enough {
                    continue;
                }
                // Idle threads of a machine that has eight, as far as there are tiles for them.
                let threads = wanted.min(8);
                let idle = (count.div_ceil(threads) * threads) as f64 / count as f64;
                let prepare = PREPARE_RIGHT / tiling.tile_rows as f64 + PREPARE_LEFT / tiling.tile_columns as f64;
                let cost = idle * (1.0 + prepare);
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, tiling));
                }
            }
        }
        let whole = Tiling { rows: m, columns: n, tile_rows: cut(m, least.0), tile_columns: cut(n, least.1) };
        best.map_or(whole, |(_, tiling)| tiling)
    }

    fn across(&self) -> usize {
        self.columns.div_ceil(self.tile_columns).max(1)
    }

    /// Number of tiles.
    pub(in crate::engine::cpu) fn count(&self) -> usize {
        self.rows.div_ceil(self.tile_rows).max(1) * self.across()
    }

    /// First row, rows, first column, columns of a tile.
    pub(in crate::engine::cpu) fn tile(&self, index: usize) -> (usize, usize, usize, usize) {
        let (row, column) = (index / self.across() * self.tile_rows, index % self.across() * self.tile_columns);
        (row, self.tile_rows.min(self.rows - row), column, self.tile_columns.min(self.columns - column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tiles_cover_every_element_once(m in 1usize..700, n in 1usize..700, k in 1usize..4000) {
            let tiling = Tiling::new(m, n, k);
            let mut seen = vec![0u8; m * n];
            for tile in 0..tiling.count() {
                let (row, rows, column, columns) = tiling.tile(tile);
                for r in row..row + rows {
                    seen[r * n + column..][..columns].iter_mut().for_each(|v| *v += 1);
                }
            }
            prop_assert!(seen.iter().all(|&v| v == 1), "{tiling:?}");
            prop_assert!(tiling.count() <= 2 * MOST_WANTED_TILES);
        }

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
