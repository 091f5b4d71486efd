//! The key of a cursor.

use crate::tree::node::{MAX_NARROW_LCP, NodeRef};
use std::mem::MaybeUninit;

/// Bytes that [`KeyBuf::put_short`] copies, of a rest of at most as many: more than most rests
/// have, since a copy of a length that is not known costs a branch that is often mispredicted.
pub(crate) const COPIED_BYTES: usize = 64;
/// Bytes after those that a narrow leaf strips, which any [`KeyBuf::put_short`] may write.
const ROOM: usize = MAX_NARROW_LCP + 1 + COPIED_BYTES;

/// The key of a cursor. Each step keeps its first bytes and replaces the others.
#[derive(Default)]
pub(crate) struct KeyBuf {
    /// The key, and room after it.
    bytes: Vec<u8>,
}

impl Clone for KeyBuf {
    /// Copies the key, and the room, on which the position in a leaf relies.
    fn clone(&self) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.capacity());
        bytes.extend_from_slice(&self.bytes);
        KeyBuf { bytes }
    }
}

impl KeyBuf {
    /// Returns the key.
    #[inline(always)]
    pub(crate) fn get(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn set(&mut self, key: &[u8]) {
        self.bytes.clear();
        self.bytes.reserve(key.len() + ROOM);
        self.bytes.extend_from_slice(key);
    }

    /// Keeps the first `keep` bytes, and appends a suffix.
    pub(crate) fn put(&mut self, keep: usize, first: Option<u8>, rest: &[u8]) {
        debug_assert!(keep <= self.bytes.len());
        self.bytes.truncate(keep);
        self.bytes.extend(first);
        self.bytes.extend_from_slice(rest);
    }

    /// Makes room for [`put_short`](Self::put_short) in a narrow leaf that strips `strip` bytes,
    /// which the buffer has.
    #[inline]
    pub(crate) fn make_room(&mut self, strip: usize) {
        debug_assert!(strip <= self.bytes.len());
        if self.bytes.capacity() < strip + ROOM {
            self.bytes.reserve(strip + ROOM - self.bytes.len());
        }
    }

    /// Keeps the first `keep` bytes, and appends `first` and `len` bytes from `rest` on.
    ///
    /// # Safety
    /// The buffer has `keep` bytes (N10), and since [`make_room`](Self::make_room) room for the
    /// strip and a narrow lcp, which are `keep`. `len` is at most [`COPIED_BYTES`], and as many
    /// bytes may be read at `rest`, the first `len` of which are written (N12).
    #[inline(always)]
    pub(crate) unsafe fn put_short(
        &mut self,
        keep: usize,
        first: u8,
        rest: *const MaybeUninit<u8>,
        len: usize,
    ) {
        debug_assert!(keep <= self.bytes.len() && len <= COPIED_BYTES);
        debug_assert!(keep + 1 + COPIED_BYTES <= self.bytes.capacity());
        // SAFETY: (N10, N12) by the caller. What is copied after the `len` bytes lands after the
        // key's end.
        unsafe {
            let to = self.bytes.as_mut_ptr().add(keep);
            to.write(first);
            to.add(1).cast::<MaybeUninit<u8>>().copy_from_nonoverlapping(rest, COPIED_BYTES);
            self.bytes.set_len(keep + 1 + len);
        }
    }

    /// Keeps the bytes that an inner node strips, and appends separator `i`.
    pub(crate) fn decode(&mut self, keys: &NodeRef<'_>, i: usize) {
        if keys.decode(i, &mut self.bytes).is_err() {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>());
        }
    }
}
