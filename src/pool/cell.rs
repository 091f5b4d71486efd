//! A cell: the memory of one node, and where it came from.

use std::ptr::NonNull;

/// Memory for a node.
#[derive(Debug)]
pub(crate) struct Cell {
    /// The first byte, aligned to 16.
    pub(crate) ptr: NonNull<u8>,
    /// The bytes that may be used, at least those asked for.
    pub(crate) size: usize,
    /// Must be passed when the cell is freed.
    pub(crate) origin: Origin,
}

/// Where a cell came from.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Origin {
    /// The global allocator.
    Direct = 0,
    /// A small slab.
    Small = 1,
    /// A large slab.
    Large = 2,
}

impl Origin {
    /// Returns the origin whose [`to_bits`](Self::to_bits) are the low two bits of `bits`.
    #[inline]
    pub(crate) const fn from_bits(bits: u8) -> Origin {
        match bits & 3 {
            0 => Origin::Direct,
            1 => Origin::Small,
            _ => Origin::Large,
        }
    }

    /// Returns the origin as two bits.
    #[inline]
    pub(crate) const fn to_bits(self) -> u8 {
        self as u8
    }
}

/// Requests the cache line at `ptr`; any address will do.
#[inline(always)]
pub(crate) fn prefetch(ptr: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: (T1) a prefetch reads nothing and accepts every address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(ptr.cast())
    };
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = ptr;
}
