//! Aligned buffers, and pointers into them that several threads may use at once.

use crate::engine::plan::{Place, Tensor};

/// A cache line: the alignment of every buffer.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "only its memory is used")] [f32; 16]);

/// Elements side by side, beginning on a cache line.
pub(super) struct Buffer {
    lines: Vec<Line>,
    elements: usize,
}

impl Buffer {
    /// All zero.
    pub(super) fn zeroed(elements: usize) -> Self {
        Buffer { lines: vec![Line([0.0; 16]); elements.div_ceil(16)], elements }
    }

    pub(super) fn pointer(&mut self) -> *mut f32 {
        self.lines.as_mut_ptr().cast()
    }

    pub(super) fn bytes(&self) -> usize {
        self.lines.len() * 64
    }

    pub(super) fn as_slice(&self) -> &[f32] {
        // SAFETY: the lines hold at least that many initialised floats without gaps.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.elements) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.elements) }
    }
}

/// Where everything is while a program runs.
///
/// Threads that share one write to the same buffers at once. What makes that sound is the plan: within one job, tiles
/// write disjoint elements, and nobody reads what another tile of the same job writes; between jobs there is a barrier.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) arena: *mut f32,
    pub(super) state: *mut f32,
    pub(super) batch: [*const f32; 3],
    /// Partial sums of the running job, by chunk.
    pub(super) partials: *mut f32,
    /// Loss and count of right predictions, by chunk.
    pub(super) sums: *mut [f64; 2],
}

// SAFETY: see the type; the pointers outlive every run of the pool.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// The first element of a tensor.
    #[inline]
    pub(super) fn at(&self, tensor: &Tensor) -> *mut f32 {
        // SAFETY: places lie within their buffers, by the plan.
        unsafe {
            match tensor.place {
                Place::Arena(offset) => self.arena.add(offset),
                Place::State(offset) => self.state.add(offset),
                Place::Batch(index) => self.batch[index].cast_mut(),
            }
        }
    }

    /// `length` elements of a tensor from `start` on, for reading.
    ///
    /// # Safety
    /// No tile of the running job writes them.
    #[inline]
    pub(super) unsafe fn read<'m>(&self, tensor: &Tensor, start: usize, length: usize) -> &'m [f32] {
        debug_assert!(start + length <= tensor.elements());
        unsafe { std::slice::from_raw_parts(self.at(tensor).add(start), length) }
    }

    /// A whole tensor, for reading.
    ///
    /// # Safety
    /// As for [`read`](Self::read).
    #[inline]
    pub(super) unsafe fn all<'m>(&self, tensor: &Tensor) -> &'m [f32] {
        unsafe { self.read(tensor, 0, tensor.elements()) }
    }

    /// Ids: the same bytes as integers.
    ///
    /// # Safety
    /// As for [`read`](Self::read).
    #[inline]
    pub(super) unsafe fn ids<'m>(&self, tensor: &Tensor, start: usize, length: usize) -> &'m [u32] {
        debug_assert!(start + length <= tensor.elements());
        unsafe { std::slice::from_raw_parts(self.at(tensor).cast::<u32>().cast_const().add(start), length) }
    }

    /// `length` elements of a tensor from `start` on, for writing.
    ///
    /// # Safety
    /// Nobody else reads or writes them during the running job.
    #[inline]
    pub(super) unsafe fn write<'m>(&self, tensor: &Tensor, start: usize, length: usize) -> &'m mut [f32] {
        debug_assert!(start + length <= tensor.elements());
        unsafe { std::slice::from_raw_parts_mut(self.at(tensor).add(start), length) }
    }

    /// Partial sums of a chunk.
    ///
    /// # Safety
    /// One tile a chunk.
    #[inline]
    pub(super) unsafe fn partial<'m>(&self, chunk: usize, length: usize) -> &'m mut [f32] {
        unsafe { std::slice::from_raw_parts_mut(self.partials.add(chunk * length), length) }
    }
}
