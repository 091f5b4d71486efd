//! Room to spare in a leaf, and edits of its entries in place.
//!
//! A leaf may have capacity for more entries and bytes of rest than it has. While its tree has one
//! owner, an entry is then inserted where the leaf stands: what comes after it in the three arrays,
//! in the rests and among the values moves by one entry. A removal leaves room. The capacity of a
//! leaf, and with it its size, is fixed.

use crate::pool;
use crate::tree::node::coding::Resized;
use crate::tree::node::simd::LANES;
use crate::tree::node::{Gap, HEADER_BYTES, Info, Node};
use crate::tree::{MAX_LEAF_BYTES, MAX_LEAF_KEYS};
use crate::value::Bits;

/// A leaf of a small tree is copied with this part of its size as room.
const ROOM_DIVISOR: usize = 4;

impl Info {
    /// Returns the shape of a leaf without room to spare, with the room that leaves of small trees
    /// get: up to the end of a cell, and to the limits of a leaf.
    ///
    /// The room is for entries of the average size, and what remains for their rests.
    pub(crate) fn with_room<B: Bits>(self) -> Info {
        let (n, size) = (self.count(), self.size::<B>());
        let roomy = (size + size / ROOM_DIVISOR).min(MAX_LEAF_BYTES);
        let whole = pool::cell_size(roomy).min(MAX_LEAF_BYTES);
        if self.is_wide() || whole <= size || self.capacity() != n {
            return self;
        }
        // Values are aligned: the gap before them must not grow the cell.
        let room = (whole - size).saturating_sub(B::SIZE.saturating_sub(1));
        let (fixed, entries) = (3 + B::SIZE, MAX_LEAF_KEYS.saturating_sub(n));
        let more = (room * n / (size - HEADER_BYTES)).min(entries);
        let rest = (self.rest() + room - more * fixed).min(0xFFFF);
        if more == 0 {
            return self;
        }
        self.resized(n + more, rest, self.empty_first())
    }
}

impl Node {
    /// Zeroes the parts of a payload of the shape `info` that the entries of `exact`, which has the
    /// same count and no room, leave unwritten, and sets the count (N5).
    ///
    /// # Safety
    /// The node is ours alone (N4), and was allocated with the shape `info`.
    #[inline(always)]
    pub(crate) unsafe fn zero_room(self, info: Info, exact: Info) {
        let (n, cap) = (exact.count(), info.capacity());
        if info.is_wide() || (n, exact.rest()) == (cap, info.rest()) {
            return;
        }
        // SAFETY: (N4, N6) by the caller; the entries of `exact` fit.
        unsafe {
            let payload = self.payload_mut(info);
            for array in 0..3 {
                payload.add(array * cap + n).write_bytes(0, cap - n);
            }
            payload.add(3 * cap + exact.rest()).write_bytes(0, info.rest() - exact.rest());
            self.set_info(self.info().with_count(n));
        }
    }

    /// Returns whether an edit of a leaf of the shape `info` can be made in place: whether there is
    /// room for what it becomes.
    #[inline(always)]
    pub(crate) fn has_room(info: Info, resized: &Resized) -> bool {
        resized.info.count() <= info.capacity()
            && resized.info.rest() <= info.rest()
            && resized.info.empty_first() == info.empty_first()
    }

    /// Inserts `key` at `gap`, as `NodeRef::grown` returned, and its value.
    ///
    /// # Safety
    /// The node is a live narrow leaf of `B` (N1) with [room](Self::has_room) (N6). The caller is
    /// its only writer, and no reference to its payload is used any more (N3).
    #[inline(always)]
    pub(crate) unsafe fn insert_in_place<B: Bits>(
        self,
        info: Info,
        (key, gap): (&[u8], Gap),
        grown: Resized,
        value: B,
    ) {
        let (n, cap) = (info.count(), info.capacity());
        let Resized { at, offset, used, moved: lost, .. } = grown;
        let rest = &key[gap.lcp + 1..];
        // SAFETY: (N3, N6) by the caller; `grown` summed up what is moved and written here.
        unsafe {
            let payload = self.payload_mut(info);
            let field = |array: usize, i: usize| payload.add(array * cap + i);
            let rests = payload.add(3 * cap + offset);
            let last_lost = if lost > 0 { rests.add(lost - 1).read() } else { 0 };
            rests.add(lost).copy_to(rests.add(rest.len()), used - offset - lost);
            rest.as_ptr().copy_to_nonoverlapping(rests, rest.len());
            open_gap(field(0, at), n - at, gap.lcp as u8);
            open_gap(field(1, at), n - at, key[gap.lcp]);
            open_gap(field(2, at), n - at, rest.len() as u8);
            if lost > 0 {
                field(0, at + 1).write(gap.next as u8);
                field(1, at + 1).write(last_lost);
                field(2, at + 1).write(field(2, at + 1).read() - lost as u8);
            }
            self.move_values::<B>(info, at, at + 1, n - at);
            self.set_value(info, at, value);
            self.set_info(info.with_count(n + 1));
        }
    }

    /// Removes an entry and its value, as `NodeRef::shrunk` returned.
    ///
    /// # Safety
    /// As for [`insert_in_place`](Self::insert_in_place).
    #[inline(always)]
    pub(crate) unsafe fn remove_in_place<B: Bits>(self, info: Info, shrunk: Resized) {
        let (n, cap) = (info.count(), info.capacity());
        let Resized { at, offset, used, moved: gained, .. } = shrunk;
        // SAFETY: (N3, N6) by the caller; `shrunk` summed up what is moved and written here.
        unsafe {
            let payload = self.payload_mut(info);
            let field = |array: usize, i: usize| payload.add(array * cap + i);
            let rests = payload.add(3 * cap + offset);
            let len = usize::from(field(2, at).read());
            rests.add(len).copy_to(rests.add(gained), used - offset - len);
            if gained > 0 {
                // The removed suffix begins with the bytes that only the next entry shared: the
                // next entry gets its lcp and first byte, and the other bytes stay.
                rests.add(gained - 1).write(field(1, at + 1).read());
                field(0, at + 1).write(field(0, at).read());
                field(1, at + 1).write(field(1, at).read());
                field(2, at + 1).write(field(2, at + 1).read() + gained as u8);
            }
            for array in 0..3 {
                close_gap(field(array, at), n - 1 - at);
            }
            self.move_values::<B>(info, at + 1, at, n - 1 - at);
            self.set_info(info.with_count(n - 1));
        }
    }
}

/// Bytes of an array that are moved at a time. A call to move a few dozen bytes would cost more.
const MOVED_BYTES: usize = size_of::<u128>();

// The bytes after the arrays are as many (L1).
const _: () = assert!(MOVED_BYTES <= LANES);

/// Returns the `MOVED_BYTES` bytes at `at`, the first one lowest.
///
/// # Safety
/// They are inside a payload that the caller alone reads and writes (N3).
#[inline(always)]
unsafe fn load(at: *const u8) -> u128 {
    // SAFETY: (N3, L1) by the caller.
    u128::from_le(unsafe { at.cast::<u128>().read_unaligned() })
}

/// Stores bytes that [`load`] returned.
///
/// # Safety
/// As for [`load`].
#[inline(always)]
unsafe fn store(at: *mut u8, bytes: u128) {
    // SAFETY: (N3, L1) by the caller.
    unsafe { at.cast::<u128>().write_unaligned(bytes.to_le()) }
}

/// Moves `n` elements of an array up by one, and writes `new` before them.
///
/// # Safety
/// `at` is an element of one of the three arrays of a payload, which has the element after the last
/// one moved, and which the caller alone reads and writes (N3, L1).
#[inline(always)]
unsafe fn open_gap(at: *mut u8, n: usize, new: u8) {
    // SAFETY: (N3, L1) by the caller. Bytes after the `n + 1` elements are stored as they were.
    unsafe {
        let first = load(at);
        if n < MOVED_BYTES {
            let kept = !0 << (8 * n) << 8;
            let moved = (first & !(!0 << (8 * n))) << 8;
            return store(at, first & kept | moved | u128::from(new));
        }
        let mut end = n;
        while end > MOVED_BYTES {
            end -= MOVED_BYTES;
            store(at.add(end + 1), load(at.add(end)));
        }
        store(at.add(1), first);
        at.write(new);
    }
}

/// Moves the `n` elements after `at` down by one.
///
/// # Safety
/// As for [`open_gap`].
#[inline(always)]
unsafe fn close_gap(at: *mut u8, n: usize) {
    // SAFETY: (N3, L1) by the caller. Bytes after the elements are stored as they were.
    unsafe {
        if n < MOVED_BYTES {
            let (bytes, kept) = (load(at), !0 << (8 * n));
            return store(at, bytes & kept | (bytes >> 8) & !kept);
        }
        let last = load(at.add(n + 1 - MOVED_BYTES));
        let mut i = 0;
        while i + MOVED_BYTES < n {
            store(at.add(i), load(at.add(i + 1)));
            i += MOVED_BYTES;
        }
        store(at.add(n - MOVED_BYTES), last);
    }
}
