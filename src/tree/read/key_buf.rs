//! The key of a cursor.

use crate::symbols::{Fsst, MAX_FSST_BYTES};
use crate::tree::node::{MAX_NARROW_LCP, MAX_NARROW_LEN, NodeRef};
use std::mem::MaybeUninit;

/// Bytes of a rest that [`KeyBuf::put_narrow`] copies at once, however long the rest is. Most rests
/// have less: a branch on their length would often be mispredicted.
pub(crate) const COPIED_BYTES: usize = 64;
/// Codes that [`KeyBuf::put_coded`] reads at once, however long the rest is, for the same reason.
const CODES_AT_ONCE: usize = size_of::<u64>();
/// Bytes after those that a narrow leaf strips, which any [`KeyBuf::put_narrow`] may write.
const ROOM: usize = MAX_NARROW_LCP + 1 + MAX_NARROW_LEN;

/// Bytes after those that a coded leaf strips, which any [`KeyBuf::put_coded`] may write.
const CODED_ROOM: usize = MAX_NARROW_LCP + 1 + MAX_FSST_BYTES * (MAX_NARROW_LEN + 1);

/// The key of a cursor. Each step keeps its first bytes and replaces the others.
#[derive(Default)]
pub(crate) struct KeyBuf {
    /// The key, and room after it. Its own length counts only within `edit`.
    bytes: Vec<u8>,
    /// Length of the key, whose bytes are written. It is not the vector's, which is next to its
    /// pointer: to load both at once would wait for the store of the length.
    len: usize,
}

impl Clone for KeyBuf {
    /// Copies the key, and the room, on which the position in a leaf relies.
    fn clone(&self) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.capacity());
        bytes.extend_from_slice(self.get());
        KeyBuf { bytes, len: self.len }
    }
}

/// Returns whether a byte of `codes` is an escape, the byte whose bits are all set.
#[inline(always)]
fn has_escape(codes: u64) -> bool {
    const LOW_BITS: u64 = u64::MAX / 0xFF * 0x7F;
    const ONES: u64 = u64::MAX / 0xFF;
    // The highest bit of a byte is set in the sum if all lower ones were.
    ((codes & LOW_BITS) + ONES) & codes & !LOW_BITS != 0
}

impl KeyBuf {
    /// Returns the key.
    #[inline(always)]
    pub(crate) fn get(&self) -> &[u8] {
        // SAFETY: (N12) as many bytes are written.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr(), self.len) }
    }

    /// Changes the key as a vector.
    fn edit(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        // SAFETY: (N12) as many bytes are written.
        unsafe { self.bytes.set_len(self.len) };
        // A panic leaves the old length, and bytes that were written.
        change(&mut self.bytes);
        self.len = self.bytes.len();
    }

    pub(crate) fn set(&mut self, key: &[u8]) {
        self.len = 0;
        if self.bytes.capacity() < key.len() + ROOM {
            self.bytes = Vec::with_capacity(key.len() + ROOM);
        }
        self.put(0, None, key);
    }

    /// Keeps the first `keep` bytes, and appends a suffix.
    #[inline]
    pub(crate) fn put(&mut self, keep: usize, first: Option<u8>, rest: &[u8]) {
        assert!(keep <= self.len);
        self.len = keep;
        let len = keep + usize::from(first.is_some()) + rest.len();
        if self.bytes.capacity() < len {
            self.edit(|bytes| bytes.reserve(len - bytes.len()));
        }
        // SAFETY: (N12) there is room for the first byte, if there is one, and the others.
        unsafe {
            let mut to = self.bytes.as_mut_ptr().add(keep);
            if let Some(first) = first {
                to.write(first);
                to = to.add(1);
            }
            to.copy_from_nonoverlapping(rest.as_ptr(), rest.len());
        }
        self.len = len;
    }

    /// Keeps the first `keep` bytes, and appends `first` and what `len` bytes of codes stand for.
    ///
    /// # Safety
    /// `keep` is the sum of a coded leaf's strip and an lcp, and the codes are a rest of that leaf
    /// (N6), which is coded by `table` (N13). The buffer has `keep` bytes (N10), and since
    /// [`make_room`](Self::make_room) room for the others. From the codes on, `readable` bytes are
    /// written (N5), `len` at least.
    #[inline(always)]
    pub(crate) unsafe fn put_coded(
        &mut self,
        keep: usize,
        first: u8,
        table: &Fsst,
        (codes, len, readable): (*const u8, usize, usize),
    ) {
        debug_assert!(keep <= self.len && len <= readable);
        // SAFETY: (N6, N10, N13) by the caller. There is room for a whole word for each code and
        // one more, and an escape is followed by a byte.
        unsafe {
            let at = self.bytes.as_mut_ptr().add(keep);
            at.write(first);
            let (mut to, mut at) = (at.add(1), 0);
            while at < len && at + CODES_AT_ONCE <= readable {
                let left = (len - at).min(CODES_AT_ONCE);
                let word = codes.add(at).cast::<[u8; CODES_AT_ONCE]>().read();
                // Of the codes after the rest only the first symbol is left.
                let word = u64::from_le_bytes(word) & u64::MAX >> (u64::BITS as usize - 8 * left);
                if has_escape(word) {
                    break;
                }
                for (i, code) in word.to_le_bytes().into_iter().enumerate() {
                    let (word, bytes) = table.symbol(code);
                    to.cast::<[u8; MAX_FSST_BYTES]>().write_unaligned(word.to_le_bytes());
                    to = to.add(if i < left { bytes } else { 0 });
                }
                at += left;
            }
            while at < len {
                let (mut word, mut bytes) = table.symbol(codes.add(at).read());
                if bytes == 0 {
                    at += 1;
                    (word, bytes) = (codes.add(at).read().into(), 1);
                }
                to.cast::<[u8; MAX_FSST_BYTES]>().write_unaligned(word.to_le_bytes());
                to = to.add(bytes);
                at += 1;
            }
            self.len = to.offset_from(self.bytes.as_ptr()) as usize;
        }
        debug_assert!(self.len <= self.bytes.capacity());
    }

    /// Makes room for [`put_narrow`](Self::put_narrow) in a narrow leaf that strips `strip` bytes,
    /// which the buffer has, or for [`put_coded`](Self::put_coded) in a coded one.
    #[inline]
    pub(crate) fn make_room(&mut self, strip: usize, is_coded: bool) {
        debug_assert!(strip <= self.len);
        let room = strip + if is_coded { CODED_ROOM } else { ROOM };
        if self.bytes.capacity() < room {
            self.edit(|bytes| bytes.reserve(room.saturating_sub(bytes.len())));
        }
    }

    /// Keeps the first `keep` bytes, and appends `first` and `len` bytes from `rest` on.
    ///
    /// # Safety
    /// `keep` is the sum of a narrow leaf's strip and an lcp, and `len` a length of that leaf (N6).
    /// The buffer has `keep` bytes (N10), and since [`make_room`](Self::make_room) room for the
    /// others. From `rest` on, `len` bytes are written, and [`COPIED_BYTES`] may be read (N12).
    #[inline(always)]
    pub(crate) unsafe fn put_narrow(
        &mut self,
        keep: usize,
        first: u8,
        rest: *const MaybeUninit<u8>,
        len: usize,
    ) {
        debug_assert!(keep <= self.len && len <= MAX_NARROW_LEN);
        debug_assert!(keep + 1 + len.max(COPIED_BYTES) <= self.bytes.capacity());
        // SAFETY: (N6, N10, N12) by the caller. What is copied after the `len` bytes lands after
        // the key's end.
        unsafe {
            let at = self.bytes.as_mut_ptr().add(keep);
            at.write(first);
            let to = at.add(1).cast::<MaybeUninit<u8>>();
            to.copy_from_nonoverlapping(rest, COPIED_BYTES);
            if len > COPIED_BYTES {
                // The last copy ends where the rest does.
                let (mut at, last) = (COPIED_BYTES, len - COPIED_BYTES);
                while at < last {
                    to.add(at).copy_from_nonoverlapping(rest.add(at), COPIED_BYTES);
                    at += COPIED_BYTES;
                }
                to.add(last).copy_from_nonoverlapping(rest.add(last), COPIED_BYTES);
            }
        }
        self.len = keep + 1 + len;
    }

    /// Keeps the bytes that an inner node strips, and appends separator `i`.
    pub(crate) fn decode(&mut self, keys: &NodeRef<'_>, i: usize) {
        self.edit(|bytes| {
            if keys.decode(i, bytes).is_err() {
                std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>());
            }
        });
    }
}
