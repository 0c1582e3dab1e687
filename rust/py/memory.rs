//! Large arrays in large pages.
//!
//! Linux clears memory when it is first touched, page by page: 512 times for what one large page holds. It gives large
//! pages to those who ask, as `NumPy` does for its arrays: asking here does so for every result and large scratch.

#![allow(unsafe_code)] // an allocator is unsafe to implement and to call

use std::alloc::{GlobalAlloc, Layout, System};

#[global_allocator]
static MEMORY: LargePages = LargePages;

/// Bytes from which on large pages are asked for, as in `NumPy`.
const LARGE: usize = 4 << 20;

/// The allocator of the system, asking for large pages.
struct LargePages;

// SAFETY: all memory is that of `System`, which is given what the caller has promised; advice changes no byte of it.
unsafe impl GlobalAlloc for LargePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        advised(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        advised(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        advised(unsafe { System.realloc(memory, layout, size) }, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

/// The same memory, after asking for large pages of its inner part. A refusal changes nothing.
fn advised(memory: *mut u8, size: usize) -> *mut u8 {
    if size >= LARGE && !memory.is_null() {
        const PAGE: usize = 4096;
        let skipped = memory.align_offset(PAGE);
        // SAFETY: the range is within an allocation of `size` bytes, which are more than a page.
        unsafe { libc::madvise(memory.add(skipped).cast(), size - skipped, libc::MADV_HUGEPAGE) };
    }
    memory
}
