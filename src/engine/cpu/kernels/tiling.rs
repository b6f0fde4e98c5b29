//! How a product is cut into tiles.

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
const MOST: (usize, usize) = (512, 256);
/// What preparing a tile costs, in multiply-adds of each element of the right operand's columns and of the left one's rows:
/// fitted to times of this engine's shapes (`docs/benchmarks/gemm.md`).
const PREPARE: (f64, f64) = (24.0, 8.0);
/// The same where the left operand is read as its transpose along a great depth (gradients of weights): each of its columns
/// is a cache line and often a page apart, so wide tiles are better, and the depth is cut.
const MOST_DEEP: (usize, usize) = (512, 384);
const PREPARE_DEEP: (f64, f64) = (10.0, 16.0);
/// The library goes down the depth in blocks of this many. Where all tiles go down one of them before any goes on, they find
/// each other's rows of both operands in the caches; the bits are the same.
const BLOCK: usize = 512;
/// Operations of such a block at least.
const BLOCK_FLOPS: usize = 15_000_000;

/// A grid over the rows and columns of a product. Depends on the shape only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::cpu) struct Tiling {
    pub(in crate::engine::cpu) rows: usize,
    pub(in crate::engine::cpu) columns: usize,
    pub(in crate::engine::cpu) tile_rows: usize,
    pub(in crate::engine::cpu) tile_columns: usize,
    pub(in crate::engine::cpu) depth: usize,
    /// Of the depth, what all tiles are multiplied with before any goes on.
    pub(in crate::engine::cpu) block: usize,
}

impl Tiling {
    /// The cheapest grid with enough tiles for `[m, k] x [k, n]`. A tile of many rows and few columns is best for the library
    /// beneath, which packs the right operand once a tile, unless the left one is stored as its transpose.
    pub(in crate::engine::cpu) fn new((m, n, k): (usize, usize, usize), transposed: bool) -> Self {
        let flops = 2 * m * n * k;
        let deep = transposed && k >= 2 * BLOCK && 2 * m * n * BLOCK >= BLOCK_FLOPS;
        let (most, prepare, block) = if deep { (MOST_DEEP, PREPARE_DEEP, BLOCK) } else { (MOST, PREPARE, k) };
        let wanted = (flops / TILE_FLOPS).clamp(1 + usize::from(flops >= TWO_TILES_FLOPS), WANTED_TILES);
        let wanted = wanted.max((flops / LARGE_TILE_FLOPS).min(MOST_WANTED_TILES));
        // Multiples of a vector's length, so that tiles begin on cache lines where the rows do.
        let cut = |side: usize, parts: usize| side.div_ceil(parts).next_multiple_of(16).min(side.max(1));
        let least = (m.div_ceil(most.0).max(1), n.div_ceil(most.1).max(1));
        let enough = wanted.max(least.0 * least.1).min(m.div_ceil(16).max(1) * n.div_ceil(32).max(1));
        let grid = |along: usize, across: usize| {
            let (tile_rows, tile_columns) = (cut(m, along), cut(n, across));
            Tiling { rows: m, columns: n, tile_rows, tile_columns, depth: k, block }
        };
        let mut best: Option<(f64, Tiling)> = None;
        for across in least.1..=n.div_ceil(32).clamp(least.1, least.1.max(2 * enough)) {
            for along in least.0..=m.div_ceil(16).clamp(least.0, least.0.max(2 * enough)) {
                let tiling = grid(along, across);
                let count = tiling.count();
                if count < enough || count > 2 * enough {
                    continue;
                }
                // Idle threads of a machine that has eight, as far as there are tiles for them.
                let threads = wanted.min(8);
                let idle = (count.div_ceil(threads) * threads) as f64 / count as f64;
                let cost = prepare.0 / tiling.tile_rows as f64 + prepare.1 / tiling.tile_columns as f64;
                let cost = idle * (1.0 + cost);
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, tiling));
                }
            }
        }
        best.map_or(grid(least.0, least.1), |(_, tiling)| tiling)
    }

    fn across(&self) -> usize {
        self.columns.div_ceil(self.tile_columns).max(1)
    }

    /// Number of blocks that the depth is cut into; at least one.
    pub(in crate::engine::cpu) fn blocks(&self) -> usize {
        self.depth.div_ceil(self.block.max(1)).max(1)
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
        fn tiles_cover_every_element_once(m in 1usize..700, n in 1usize..700, k in 1usize..4000, transposed: bool) {
            let tiling = Tiling::new((m, n, k), transposed);
            prop_assert!(tiling.blocks() * tiling.block >= k && (tiling.blocks() - 1) * tiling.block < k);
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
    }
}
