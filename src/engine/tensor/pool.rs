//! Where arrays come to lie in device memory, found beforehand.
//!
//! The CUDA driver's stream-ordered allocator grows by pieces of the size that is asked for. Grown bit by bit it took 1.1
//! to 1.9 times what the arrays of a training step add up to, because pieces that fit nothing that comes lie between them.
//! So an engine asks for one arena first, as large as its arrays need at their worst, and gives it back: the allocator
//! keeps it and serves everything from it. This file says how large that is, by placing the allocations of some steps in an
//! endless arena: each in the smallest gap that holds it, gaps that touch joined. Small allocations, which the driver keeps
//! apart, are counted by themselves.

use std::collections::BTreeSet;

/// Allocations are rounded up to this many bytes.
const GRAIN: u64 = 512;
/// Allocations beyond this are placed in the arena, at multiples of [`LARGE_GRAIN`].
const SMALL: u64 = 1 << 20;
/// More than the driver seems to ask for, to be on the safe side.
const LARGE_GRAIN: u64 = 2 << 20;
/// Memory for small allocations comes in portions of this size.
const PORTION: u64 = 32 << 20;

/// Where an allocation lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    start: u64,
    /// As placed.
    size: u64,
    /// As the driver counts it.
    counted: u64,
    small: bool,
}

/// An endless arena.
#[derive(Debug, Default)]
struct Arena {
    /// Gaps below the top by (size, start).
    by_size: BTreeSet<(u64, u64)>,
    /// And by (start, size).
    by_start: BTreeSet<(u64, u64)>,
    /// End of what is taken.
    top: u64,
    /// The highest that the top has been.
    extent: u64,
}

impl Arena {
    fn place(&mut self, size: u64) -> u64 {
        let Some((gap, start)) = self.by_size.range((size, 0)..).next().copied() else {
            let start = self.top;
            self.top += size;
            self.extent = self.extent.max(self.top);
            return start;
        };
        self.remove(start, gap);
        if gap > size {
            self.insert(start + size, gap - size);
        }
        start
    }

    fn clear(&mut self, mut start: u64, mut size: u64) {
        if let Some((next, gap)) = self.by_start.range((start, 0)..).next().copied().filter(|g| g.0 == start + size) {
            self.remove(next, gap);
            size += gap;
        }
        if let Some((previous, gap)) =
            self.by_start.range(..(start, 0)).next_back().copied().filter(|g| g.0 + g.1 == start)
        {
            self.remove(previous, gap);
            start = previous;
            size += gap;
        }
        if start + size == self.top { self.top = start } else { self.insert(start, size) }
    }

    fn insert(&mut self, start: u64, size: u64) {
        self.by_size.insert((size, start));
        self.by_start.insert((start, size));
    }

    fn remove(&mut self, start: u64, size: u64) {
        self.by_size.remove(&(size, start));
        self.by_start.remove(&(start, size));
    }
}

/// The memory of one device.
#[derive(Debug, Default)]
pub(super) struct Pool {
    large: Arena,
    small: Arena,
    live: u64,
    peak: u64,
}

impl Pool {
    /// Size of the arena that all large allocations so far fit in.
    pub(super) fn arena(&self) -> u64 {
        self.large.extent
    }

    /// The arena and what the small allocations take beside it.
    pub(super) fn reserved(&self) -> u64 {
        self.arena() + self.small.extent.next_multiple_of(PORTION)
    }

    /// Most bytes allocated at once.
    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    /// Bytes allocated.
    #[cfg(test)]
    pub(super) fn live(&self) -> u64 {
        self.live
    }

    pub(super) fn allocate(&mut self, bytes: u64) -> Piece {
        let counted = bytes.max(1).next_multiple_of(GRAIN);
        self.live += counted;
        self.peak = self.peak.max(self.live);
        let small = counted <= SMALL;
        let size = if small { counted } else { counted.next_multiple_of(LARGE_GRAIN) };
        let start = if small { self.small.place(size) } else { self.large.place(size) };
        Piece { start, size, counted, small }
    }

    pub(super) fn free(&mut self, piece: Piece) {
        self.live -= piece.counted;
        let arena = if piece.small { &mut self.small } else { &mut self.large };
        arena.clear(piece.start, piece.size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn gaps_are_reused_and_joined() {
        let mut pool = Pool::default();
        let (a, b, c) = (pool.allocate(10 * MIB), pool.allocate(10 * MIB), pool.allocate(12 * MIB));
        pool.free(a);
        assert_eq!(pool.arena(), 32 * MIB);
        let d = pool.allocate(11 * MIB);
        assert_eq!(pool.arena(), 44 * MIB, "the gap of 10 holds no 11, which takes 12");
        pool.free(b);
        let e = pool.allocate(20 * MIB);
        assert_eq!(pool.arena(), 44 * MIB, "joined, two gaps of 10 hold 20");
        [c, d, e].into_iter().for_each(|piece| pool.free(piece));
        assert_eq!((pool.live(), pool.peak()), (0, 43 * MIB));
        assert_eq!((pool.large.top, pool.large.by_size.len(), pool.large.by_start.len()), (0, 0, 0));
        assert_eq!(pool.arena(), 44 * MIB, "an arena does not shrink");
    }

    #[test]
    fn small_allocations_lie_apart() {
        let mut pool = Pool::default();
        let a = pool.allocate(1);
        let b = pool.allocate(513);
        assert_eq!((pool.live(), pool.arena(), pool.reserved()), (512 + 1024, 0, 32 * MIB));
        pool.allocate(3 * MIB);
        assert_eq!((pool.arena(), pool.reserved()), (4 * MIB, 36 * MIB));
        pool.free(a);
        pool.free(b);
        assert_eq!(pool.live(), 3 * MIB);
    }
}
