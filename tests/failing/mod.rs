//! A global allocator whose next allocations fail.

use memkv::InsertError;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// The number of this thread's next allocations that succeed; `None` for all.
    pub(crate) static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    /// The bytes that this thread holds.
    pub(crate) static LIVE: Cell<isize> = const { Cell::new(0) };
}

struct Failing;

fn fails() -> bool {
    LEFT.with(|left| match left.get() {
        None => false,
        Some(0) => true,
        Some(n) => {
            left.set(Some(n - 1));
            false
        }
    })
}

// SAFETY: passes every call to `System`, or returns null.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        LIVE.set(LIVE.get() + layout.size() as isize);
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: by the caller.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Runs `step` with memory for 0, 1, 2, … allocations until it succeeds, and returns how often it
/// failed.
pub(crate) fn until_it_works<R, E>(
    step: impl FnMut() -> Result<R, E>,
    failed: impl FnMut(E),
) -> (R, u32) {
    until_it_works_from(0, step, failed)
}

/// As [`until_it_works`], with memory for `least` allocations at first.
pub(crate) fn until_it_works_from<R, E>(
    least: u32,
    mut step: impl FnMut() -> Result<R, E>,
    mut failed: impl FnMut(E),
) -> (R, u32) {
    for n in least.. {
        LEFT.set(Some(n));
        let result = step();
        LEFT.set(None);
        match result {
            Ok(done) => return (done, n),
            Err(error) => failed(error),
        }
    }
    unreachable!()
}

pub(crate) fn is_out_of_memory(error: InsertError) {
    assert!(matches!(error, InsertError::OutOfMemory { .. }), "{error}");
}
