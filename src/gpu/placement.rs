//! Where allocations come to lie in one block of device memory: the same code finds beforehand how large the block must
//! be, on arrays without elements, and places the real ones in it (`gpu::arena`). So what is predicted is what happens.
//!
//! Arrays that stay from one program to the next, a training's state, are made anew by each update while the old ones are
//! still read. Were they placed among what comes and goes, they would lie elsewhere after each step, and no number of
//! rehearsed steps would show the worst. So an allocation of the size of such an array gets a **slot**, which holds that size
//! and nothing else; how many slots of a size are needed depends on no places. Everything else has gone when a program
//! ends, and lies where it lay the last time: in the smallest gap that holds it, gaps that touch joined, **large** ones from
//! the beginning of the rest of the block upward, **small** ones from its end downward, so that a few bytes never split a
//! gap of many.

use std::collections::{BTreeMap, BTreeSet};

/// Allocations are rounded up to this many bytes, and begin at multiples of it: more than CUDA's own 256.
const GRAIN: u64 = 512;
/// Of slots of one grain there are so many more than arrays need: no operation puts as many shapes and strides on a device.
const SPARE_SLOTS: u64 = 16;
/// Allocations up to this size lie at the end of the block.
const SMALL: u64 = 1 << 20;

/// Bytes that an allocation takes; `None` beyond all memory. No bytes take a grain.
fn grains(bytes: u64) -> Option<u64> {
    bytes.max(1).checked_next_multiple_of(GRAIN)
}

/// How a block is divided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Number of slots by their size.
    slots: BTreeMap<u64, u64>,
    /// Bytes for all else.
    rest: u64,
}

impl Layout {
    /// Of a block without slots.
    pub fn of(bytes: u64) -> Self {
        Layout { slots: BTreeMap::new(), rest: bytes }
    }

    /// Size of the block.
    pub fn bytes(&self) -> u64 {
        self.slot_bytes() + self.rest
    }

    fn slot_bytes(&self) -> u64 {
        self.slots.iter().map(|(size, number)| size * number).sum()
    }

    /// With so many more bytes for what has no slot, up to a multiple of `page`, and a few more of the smallest slots.
    ///
    /// Shapes and strides that lie on the device while an operation is launched are no arrays, but take such slots. Without
    /// more of them an array of the state would lie among all else now and then, stay there, and split its gaps.
    pub fn with_spare(mut self, spare: u64, page: u64) -> Self {
        if let Some(number) = self.slots.get_mut(&GRAIN) {
            *number += SPARE_SLOTS;
        }
        let bytes = (self.bytes() + spare).next_multiple_of(page);
        self.rest = bytes - self.slot_bytes();
        self
    }
}

/// Where an allocation lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    part: Part,
    /// Of a slot its number; else bytes from the part's end of the block's rest.
    start: u64,
    size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Slot,
    Large,
    Small,
}

/// The slots of one size.
#[derive(Debug, Default)]
struct Slots {
    /// Bytes from the beginning of the block to the first of them.
    base: u64,
    number: u64,
    free: BTreeSet<u64>,
}

/// One end of a block: what is taken of it reaches from 0 to `top`, with gaps.
#[derive(Debug, Default)]
struct Side {
    /// Gaps below the top by (size, start).
    by_size: BTreeSet<(u64, u64)>,
    /// And by (start, size).
    by_start: BTreeSet<(u64, u64)>,
    top: u64,
}

impl Side {
    /// Takes the smallest gap that holds `size` bytes, or grows by as much where `room` allows it.
    fn place(&mut self, size: u64, room: u64) -> Option<u64> {
        let Some((gap, start)) = self.by_size.range((size, 0)..).next().copied() else {
            let start = self.top;
            self.top = start.checked_add(size).filter(|_| size <= room)?;
            return Some(start);
        };
        self.remove(start, gap);
        if gap > size {
            self.insert(start + size, gap - size);
        }
        Some(start)
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

/// Pieces of a block.
#[derive(Debug)]
pub struct Placement {
    slots: BTreeMap<u64, Slots>,
    slot_bytes: u64,
    large: Side,
    small: Side,
    /// Bytes beside the slots.
    rest: u64,
    /// Whether there is no end of slots and bytes.
    endless: bool,
    live: u64,
    peak: u64,
    extent: u64,
}

impl Placement {
    /// In a block of that layout.
    pub fn within(layout: &Layout) -> Self {
        let mut slots = BTreeMap::new();
        let mut base = 0;
        for (&size, &number) in &layout.slots {
            slots.insert(size, Slots { base, number, free: (0..number).collect() });
            base += size * number;
        }
        Placement { slots, slot_bytes: base, rest: layout.rest, endless: false, ..Placement::endless([]) }
    }

    /// To find out what layout is needed, where arrays of these sizes, in bytes, stay from program to program.
    pub fn endless(staying: impl IntoIterator<Item = u64>) -> Self {
        let slots = staying.into_iter().filter_map(grains).map(|size| (size, Slots::default())).collect();
        let (large, small) = Default::default();
        let rest = u64::MAX;
        Placement { slots, slot_bytes: 0, large, small, rest, endless: true, live: 0, peak: 0, extent: 0 }
    }

    /// The smallest layout that would have held everything so far, in an endless one.
    pub fn layout(&self) -> Layout {
        let slots = self.slots.iter().map(|(size, slots)| (*size, slots.number)).collect();
        Layout { slots, rest: self.extent }
    }

    /// Places an allocation; `None`, with nothing changed, where the block has no room for it.
    pub fn allocate(&mut self, bytes: u64) -> Option<Piece> {
        let size = grains(bytes)?;
        let piece = self.slot(size).or_else(|| self.among_all_else(size))?;
        self.live += size;
        self.peak = self.peak.max(self.live);
        Some(piece)
    }

    fn slot(&mut self, size: u64) -> Option<Piece> {
        let slots = self.slots.get_mut(&size)?;
        if slots.free.is_empty() && self.endless {
            slots.free.insert(slots.number);
            slots.number += 1;
        }
        Some(Piece { part: Part::Slot, start: slots.free.pop_first()?, size })
    }

    fn among_all_else(&mut self, size: u64) -> Option<Piece> {
        let room = self.rest - self.large.top - self.small.top;
        let (part, side) = if size <= SMALL { (Part::Small, &mut self.small) } else { (Part::Large, &mut self.large) };
        let start = side.place(size, room)?;
        self.extent = self.extent.max(self.large.top + self.small.top);
        Some(Piece { part, start, size })
    }

    /// Gives back what [`allocate`](Self::allocate) gave, once.
    pub fn free(&mut self, piece: Piece) {
        self.live -= piece.size;
        match piece.part {
            Part::Slot => {
                self.slots.entry(piece.size).or_default().free.insert(piece.start);
            }
            Part::Large => self.large.clear(piece.start, piece.size),
            Part::Small => self.small.clear(piece.start, piece.size),
        }
    }

    /// Bytes from the beginning of the block to a piece's.
    pub fn offset(&self, piece: Piece) -> u64 {
        match piece.part {
            Part::Slot => self.slots.get(&piece.size).map_or(0, |slots| slots.base) + piece.start * piece.size,
            Part::Large => self.slot_bytes + piece.start,
            Part::Small => self.slot_bytes + self.rest - piece.start - piece.size,
        }
    }

    /// Bytes allocated, in whole grains.
    pub fn live(&self) -> u64 {
        self.live
    }

    /// Most bytes allocated at once.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// Most bytes that what has no slot reached over, of those set aside for it.
    pub fn reached(&self) -> u64 {
        self.extent
    }

    /// Bytes that what has no slot reaches over now.
    pub fn reaching(&self) -> u64 {
        self.large.top + self.small.top
    }
}

#[cfg(test)]
mod tests {
    use super::super::arena::Placed;
    use super::*;
    use crate::rng::{Sequence, Stream};

    const MIB: u64 = 1 << 20;

    #[test]
    fn gaps_are_reused_and_joined() {
        let mut p = Placement::endless([]);
        let mut take = |mib: u64| p.allocate(mib * MIB).unwrap();
        let (a, b, c) = (take(10), take(10), take(12));
        p.free(a);
        assert_eq!(p.layout(), Layout::of(32 * MIB));
        let d = p.allocate(11 * MIB).unwrap();
        assert_eq!(p.reached(), 43 * MIB, "the gap of 10 holds no 11");
        p.free(b);
        let e = p.allocate(20 * MIB).unwrap();
        assert_eq!((p.reached(), p.offset(e)), (43 * MIB, 0), "joined, two gaps of 10 hold 20");
        [c, d, e].into_iter().for_each(|piece| p.free(piece));
        assert_eq!((p.live(), p.peak(), p.reaching()), (0, 43 * MIB, 0));
        assert_eq!((p.large.by_size.len(), p.large.by_start.len()), (0, 0));
        assert_eq!(p.reached(), 43 * MIB, "what was once needed is needed");
    }

    #[test]
    fn small_allocations_lie_at_the_end() {
        let mut p = Placement::within(&Layout::of(8 * MIB));
        let a = p.allocate(0).unwrap();
        let b = p.allocate(513).unwrap();
        assert_eq!((p.offset(a), p.offset(b)), (8 * MIB - 512, 8 * MIB - 512 - 1024));
        let c = p.allocate(3 * MIB).unwrap();
        assert_eq!((p.offset(c), p.reached(), p.live()), (0, 3 * MIB + 1536, 3 * MIB + 1536));
        assert_eq!(p.allocate(5 * MIB), None, "1.5 KiB of it are taken");
        assert_eq!((p.reached(), p.live()), (3 * MIB + 1536, 3 * MIB + 1536), "a refusal changes nothing");
        p.free(a);
        p.free(b);
        assert_eq!(p.allocate(5 * MIB).map(|d| p.offset(d)), Some(3 * MIB));
        assert_eq!(p.allocate(1), None);
        assert_eq!(p.allocate(u64::MAX), None);
    }

    /// A state that is made anew each step beside the old one, with what comes and goes between.
    #[test]
    fn what_stays_does_not_wander() {
        let sizes = [3 * MIB, 5 * MIB, 3 * MIB, 700];
        let step = |p: &mut Placement, state: &mut Vec<Piece>| {
            let passing: Vec<Piece> = [4 * MIB, 900, 6 * MIB].map(|bytes| p.allocate(bytes).unwrap()).to_vec();
            let new = sizes.iter().map(|bytes| p.allocate(*bytes).unwrap()).collect();
            passing.into_iter().chain(std::mem::replace(state, new)).for_each(|piece| p.free(piece));
        };
        let mut ghosts = Placement::endless(sizes);
        let mut state = sizes.map(|bytes| ghosts.allocate(bytes).unwrap()).to_vec();
        step(&mut ghosts, &mut state);
        let layout = ghosts.layout();
        assert_eq!(layout.slots, BTreeMap::from([(1024, 3), (3 * MIB, 4), (5 * MIB, 2)]));
        // The 900 bytes that pass are as large as the 700 that stay.
        assert_eq!((layout.rest, layout.bytes()), (10 * MIB, 32 * MIB + 3 * 1024));
        let mut real = Placement::within(&layout);
        let mut state = sizes.map(|bytes| real.allocate(bytes).unwrap()).to_vec();
        for _ in 0..1000 {
            step(&mut real, &mut state);
            assert_eq!((real.reaching(), real.reached()), (0, layout.rest), "nothing else stays");
        }
        let spare = layout.clone().with_spare(MIB, 2 * MIB);
        assert_eq!((spare.bytes(), spare.slots.clone()), (34 * MIB, layout.slots));
    }

    /// What no rehearsal shows: a few numbers beside each new array of the state, when as many arrays live as ever will.
    #[test]
    fn passing_numbers_displace_nothing_that_stays() {
        let sizes = [4, 500, 512, 3 * MIB];
        let step = |p: &mut Placement, state: &mut Vec<Piece>, passing: usize| {
            let large = p.allocate(6 * MIB).unwrap();
            let new = sizes.map(|bytes| {
                let numbers: Vec<Piece> = (0..passing).map(|_| p.allocate(80).unwrap()).collect();
                let new = p.allocate(bytes).unwrap();
                numbers.into_iter().for_each(|piece| p.free(piece));
                new
            });
            std::mem::replace(state, new.to_vec()).into_iter().chain([large]).for_each(|piece| p.free(piece));
        };
        let mut ghosts = Placement::endless(sizes);
        let mut state = sizes.map(|bytes| ghosts.allocate(bytes).unwrap()).to_vec();
        step(&mut ghosts, &mut state, 0);
        let mut real = Placement::within(&ghosts.layout().with_spare(MIB, 2 * MIB));
        let mut state = sizes.map(|bytes| real.allocate(bytes).unwrap()).to_vec();
        for _ in 0..100 {
            step(&mut real, &mut state, 4);
            assert_eq!((real.reaching(), real.reached()), (0, 6 * MIB), "nothing stays beside the slots");
        }
    }

    /// Allocations and frees of every size in random order: `bytes` to allocate, or which of the living to free.
    fn story(seed: u64, events: u32) -> Vec<Result<u64, usize>> {
        let mut random = Sequence::new(seed, Stream::Data, 0, 0);
        let mut living = 0usize;
        (0..events)
            .map(|i| {
                // Towards the end more is freed than allocated.
                if living > 0 && random.next_u32() % events < i {
                    let which = random.next_u32() as usize % living;
                    living -= 1;
                    return Err(which);
                }
                living += 1;
                // As many of each power of two, from bytes to 64 MiB; of sizes that come again and again too.
                let bytes = u64::from(random.next_u32()) >> (6 + random.next_u32() % 27);
                Ok(if i % 3 == 0 { bytes.next_power_of_two() } else { bytes })
            })
            .collect()
    }

    /// The same story in an endless block and, by address, in one of exactly the size that the first needed; without
    /// slots and with some.
    #[test]
    fn what_is_found_beforehand_is_what_happens() {
        for seed in 0..60 {
            let story = story(seed, 600);
            let staying: &[u64] = if seed % 2 == 0 { &[] } else { &[1 << 9, 1 << 14, 1 << 21, 1 << 23, 12345] };
            let mut ghosts = Placement::endless(staying.iter().copied());
            let mut pieces = Vec::new();
            for event in &story {
                match *event {
                    Ok(bytes) => pieces.push(ghosts.allocate(bytes).unwrap()),
                    Err(which) => ghosts.free(pieces.swap_remove(which)),
                }
            }
            let layout = ghosts.layout();
            assert_eq!(layout.slots.values().any(|number| *number > 0), seed % 2 == 1);
            let (base, block) = (7 * GRAIN, layout.bytes());
            let mut real = Placed::new(base, &layout);
            // (address, size) of what lives.
            let mut living: Vec<(u64, u64)> = Vec::new();
            for event in &story {
                match *event {
                    Ok(bytes) => {
                        let size = grains(bytes).unwrap();
                        let at = real.allocate(bytes).unwrap_or_else(|| panic!("story {seed}: {bytes} bytes"));
                        assert!(at.is_multiple_of(GRAIN) && at >= base && at + size <= base + block);
                        assert!(living.iter().all(|(a, n)| at + size <= *a || a + n <= at), "story {seed}: overlap");
                        living.push((at, size));
                    }
                    Err(which) => assert!(real.free(living.swap_remove(which).0)),
                }
            }
            let p = real.placement();
            assert_eq!((p.reached(), p.peak(), p.live()), (ghosts.reached(), ghosts.peak(), ghosts.live()));
            assert!(block >= p.peak() && p.peak() > 0 && p.reached() == layout.rest);
            // One grain less, and something does not fit.
            let mut less = Placed::new(base, &Layout { rest: layout.rest - GRAIN, ..layout });
            let mut addresses = Vec::new();
            let refused = story.iter().any(|event| match *event {
                Ok(bytes) => less.allocate(bytes).map(|at| addresses.push(at)).is_none(),
                Err(which) => !less.free(addresses.swap_remove(which)),
            });
            assert!(refused, "story {seed}");
            living.drain(..).for_each(|(at, _)| assert!(real.free(at) && !real.free(at)));
            assert!(real.is_empty() && real.placement().live() == 0);
            assert_eq!(real.placement().reaching(), 0, "no gap was lost");
        }
    }
}
