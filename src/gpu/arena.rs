//! One block of a device's memory for all arrays of an engine. The program owns the symbols by which cudarc allocates and
//! frees in stream order ([`super::memory`]); what is asked for on a stream that has an arena is placed in its block, by the
//! code that said beforehand how large it must be ([`super::placement`]).
//!
//! On one stream work is done in order. Memory that the host has freed may therefore be given to the next allocation on
//! that stream at once: whatever still reads it there was enqueued before whatever will write it. A piece that is freed on
//! another stream is first waited for.
//!
//! What does not fit is asked of the driver, and counted. An address that is in no arena is the driver's to free. An arena
//! ends with its [`Arena`], and its block goes back to the driver when nothing lies in it any more.

use super::placement::{Layout, Piece, Placement};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A result code of the driver's other than 0.
pub type Code = i32;

/// What the driver is asked for. Addresses and handles are numbers here.
pub(super) trait Driver {
    /// Memory outside any stream's order, in the current context.
    fn take(&self, bytes: u64) -> Result<u64, Code>;
    /// Gives such memory back, in the context it was taken in, when the stream's work so far is done.
    fn give(&self, base: u64, context: usize, stream: usize) -> Code;
    /// The current context.
    fn context(&self) -> usize;
    /// Memory in the order of a stream.
    fn allocate(&self, bytes: u64, stream: usize) -> Result<u64, Code>;
    /// Frees such memory.
    fn free(&self, address: u64, stream: usize) -> Code;
    /// Returns when a stream's work so far is done.
    fn wait(&self, stream: usize) -> Code;
}

/// What an arena has counted since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArenaCounts {
    /// Size of the block.
    pub block: u64,
    /// Most bytes allocated at once, what did not fit included.
    pub peak: u64,
    /// Bytes allocated now, what did not fit included.
    pub live: u64,
    /// Most bytes at once that did not fit.
    pub outside: u64,
    /// Allocations that were placed.
    pub placed: u64,
}

/// Placed allocations by their addresses, for those who are told only an address.
#[derive(Debug)]
pub(super) struct Placed {
    placement: Placement,
    base: u64,
    pieces: HashMap<u64, Piece>,
}

impl Placed {
    /// In a block at an address.
    pub(super) fn new(base: u64, layout: &Layout) -> Self {
        Placed { placement: Placement::within(layout), base, pieces: HashMap::new() }
    }

    /// The address of a new allocation; `None` where it does not fit.
    pub(super) fn allocate(&mut self, bytes: u64) -> Option<u64> {
        let piece = self.placement.allocate(bytes)?;
        let address = self.base + self.placement.offset(piece);
        self.pieces.insert(address, piece);
        Some(address)
    }

    /// Whether an allocation lies at this address; if so it is freed.
    pub(super) fn free(&mut self, address: u64) -> bool {
        let piece = self.pieces.remove(&address);
        piece.inspect(|piece| self.placement.free(*piece)).is_some()
    }

    /// Whether an allocation lies at this address.
    pub(super) fn holds(&self, address: u64) -> bool {
        self.pieces.contains_key(&address)
    }

    /// Whether nothing is allocated.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Address of the block.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// What is counted of it.
    pub(super) fn placement(&self) -> &Placement {
        &self.placement
    }
}

#[derive(Debug)]
struct Block {
    id: u64,
    context: usize,
    stream: usize,
    /// Ended: nothing more is placed.
    ended: bool,
    placed: Placed,
    /// What did not fit: size by address.
    outside: HashMap<u64, u64>,
    counts: ArenaCounts,
    outside_live: u64,
}

impl Block {
    fn count(&mut self) {
        let counts = &mut self.counts;
        counts.outside = counts.outside.max(self.outside_live);
        counts.live = self.placed.placement().live() + self.outside_live;
        counts.peak = counts.peak.max(counts.live);
    }
}

/// The arenas of a process.
#[derive(Debug)]
pub(super) struct Arenas {
    /// How many there are, so that nothing is locked where there are none.
    number: AtomicUsize,
    next: AtomicU64,
    blocks: Mutex<Vec<Block>>,
}

impl Arenas {
    pub(super) const fn new() -> Self {
        Arenas { number: AtomicUsize::new(0), next: AtomicU64::new(1), blocks: Mutex::new(Vec::new()) }
    }

    fn blocks(&self) -> MutexGuard<'_, Vec<Block>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a block for a stream of the current context and returns the arena's number.
    pub(super) fn open(&self, driver: &dyn Driver, stream: usize, layout: &Layout) -> Result<u64, Code> {
        let bytes = layout.bytes();
        let (base, context) = (driver.take(bytes)?, driver.context());
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let counts = ArenaCounts { block: bytes, ..ArenaCounts::default() };
        let placed = Placed::new(base, layout);
        let outside = HashMap::new();
        let mut blocks = self.blocks();
        blocks.push(Block { id, context, stream, ended: false, placed, outside, counts, outside_live: 0 });
        self.number.store(blocks.len(), Ordering::Release);
        Ok(id)
    }

    /// Ends an arena. Its block goes back now, or with the last allocation in it.
    pub(super) fn end(&self, driver: &dyn Driver, id: u64) {
        let done = {
            let mut blocks = self.blocks();
            let found = blocks.iter().position(|block| block.id == id);
            found.and_then(|i| {
                blocks[i].ended = true;
                self.taken_out(&mut blocks, i)
            })
        };
        give(driver, done);
    }

    /// A block that has no use any more, taken out of the list. Who makes it so gives it back: only there are its stream and
    /// context sure to live until that is done.
    fn taken_out(&self, blocks: &mut Vec<Block>, i: usize) -> Option<Block> {
        let block = &blocks[i];
        let done = (block.ended && block.placed.is_empty()).then(|| blocks.swap_remove(i));
        self.number.store(blocks.len(), Ordering::Release);
        done
    }

    pub(super) fn counts(&self, id: u64) -> Option<ArenaCounts> {
        self.blocks().iter().find(|block| block.id == id).map(|block| block.counts)
    }

    /// An allocation in the order of a stream.
    pub(super) fn allocate(&self, driver: &dyn Driver, bytes: u64, stream: usize) -> Result<u64, Code> {
        // No bytes (the strides of a scalar) are a piece like others.
        if self.number.load(Ordering::Acquire) == 0 {
            return driver.allocate(bytes, stream);
        }
        let open = |blocks: &mut Vec<Block>| blocks.iter().rposition(|block| block.stream == stream && !block.ended);
        let id = {
            let mut blocks = self.blocks();
            let Some(i) = open(&mut blocks) else {
                drop(blocks);
                return driver.allocate(bytes, stream);
            };
            let block = &mut blocks[i];
            if let Some(address) = block.placed.allocate(bytes) {
                block.counts.placed += 1;
                block.count();
                return Ok(address);
            }
            block.id
        };
        let address = driver.allocate(bytes, stream)?;
        if let Some(block) = self.blocks().iter_mut().find(|block| block.id == id) {
            block.outside.insert(address, bytes);
            block.outside_live += bytes;
            block.count();
        }
        Ok(address)
    }

    /// Frees in the order of a stream.
    pub(super) fn free(&self, driver: &dyn Driver, address: u64, stream: usize) -> Code {
        if self.number.load(Ordering::Acquire) == 0 {
            return driver.free(address, stream);
        }
        let elsewhere = {
            let mut blocks = self.blocks();
            for block in blocks.iter_mut() {
                if let Some(bytes) = block.outside.remove(&address) {
                    block.outside_live -= bytes;
                    block.count();
                }
            }
            let Some(block) = blocks.iter_mut().find(|block| block.placed.holds(address)) else {
                drop(blocks);
                return driver.free(address, stream);
            };
            block.stream != stream
        };
        // What that stream still does with it must be done before this one's next allocation may be given it.
        let code = if elsewhere { driver.wait(stream) } else { 0 };
        let done = {
            let mut blocks = self.blocks();
            let held = blocks.iter().position(|block| block.placed.holds(address));
            held.and_then(|i| {
                blocks[i].placed.free(address);
                blocks[i].count();
                self.taken_out(&mut blocks, i)
            })
        };
        give(driver, done);
        code
    }
}

fn give(driver: &dyn Driver, block: Option<Block>) {
    if let Some(block) = block {
        driver.give(block.placed.base(), block.context, block.stream);
    }
}

/// An open arena of this process, which ends when it is dropped.
#[cfg(feature = "candle-cuda")]
#[derive(Debug)]
pub struct Arena(u64);

#[cfg(feature = "candle-cuda")]
impl Arena {
    /// Takes a block in the current context for the allocations on one of its streams.
    pub fn open(stream: usize, layout: &Layout) -> Result<Self, Code> {
        super::memory::ARENAS.open(&super::memory::TheDriver, stream, layout).map(Arena)
    }

    /// What it has counted.
    pub fn counts(&self) -> ArenaCounts {
        super::memory::ARENAS.counts(self.0).unwrap_or_default()
    }
}

#[cfg(feature = "candle-cuda")]
impl Drop for Arena {
    fn drop(&mut self) {
        super::memory::ARENAS.end(&super::memory::TheDriver, self.0);
    }
}

#[cfg(test)]
#[path = "arena_tests.rs"]
mod tests;
