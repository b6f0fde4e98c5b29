//! Aligned buffers, and pointers into them that several threads may use at once.

use crate::engine::plan::{Place, Tensor};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Elements of a cache line: buffers are whole lines and begin with one.
const LINE: usize = 16;
/// Bytes of a large page. A product reads lines that are a page apart; with pages of 4 KiB each costs a look into the page
/// tables, two of them in a virtual machine.
const LARGE_PAGE: usize = 2 << 20;

/// Elements side by side, beginning on a cache line.
pub(super) struct Buffer {
    at: NonNull<f32>,
    elements: usize,
}

// SAFETY: it owns its memory, as a vector does.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// All zero.
    pub(super) fn zeroed(elements: usize) -> Self {
        let layout = layout(elements);
        // SAFETY: the layout is not empty; all of it is written before anybody reads it.
        let at = unsafe {
            let Some(at) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            // Asked for before the first touch, when pages are handed out.
            ask_for_large_pages(at.as_ptr(), layout.size());
            at.as_ptr().write_bytes(0, layout.size());
            at.cast()
        };
        Buffer { at, elements }
    }

    pub(super) fn pointer(&mut self) -> *mut f32 {
        self.at.as_ptr()
    }

    pub(super) fn bytes(&self) -> usize {
        self.elements.div_ceil(LINE) * LINE * 4
    }

    pub(super) fn as_slice(&self) -> &[f32] {
        // SAFETY: that many initialised floats are there.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.elements) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.elements) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.at.as_ptr().cast(), layout(self.elements)) }
    }
}

/// Whole lines, at least one; on a large page where there is room for one.
fn layout(elements: usize) -> Layout {
    let bytes = elements.div_ceil(LINE).max(1) * LINE * 4;
    let align = if bytes >= LARGE_PAGE { LARGE_PAGE } else { LINE * 4 };
    Layout::from_size_align(bytes, align).expect("a buffer fits into the address space")
}

/// Asks the kernel for large pages, as many as fit in whole: no page holds more than was asked for. Where it has none to
/// give, small ones come.
fn ask_for_large_pages(at: *mut u8, bytes: usize) {
    let whole = bytes / LARGE_PAGE * LARGE_PAGE;
    #[cfg(target_os = "linux")]
    if whole > 0 {
        // SAFETY: advice about memory that is ours; it changes no contents.
        unsafe { libc::madvise(at.cast(), whole, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (at, whole);
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
