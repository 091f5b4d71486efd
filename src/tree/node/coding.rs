//! The front coding of a node's keys: the keys of a leaf, the separators of an inner node.
//!
//! ```text
//!  narrow payload   lcp u8 × cap │ first u8 × cap │ len u8 × cap │ rest, at least 16 bytes
//!  wide payload     strip u32 │ lcp u32 × n │ len u32 × n │ first u8 × n │ rest bytes
//! ```
//!
//! Everything is relative to the node's strip. Key `i` shares `lcp[i]` bytes with key `i - 1`. The
//! suffix that follows them is `first[i]` and then `len[i]` bytes of the rest. Keys are distinct
//! and ascend, so only the first key can have an empty suffix; a flag in the header says so.
//!
//! A node whose lengths do not fit into a byte is wide. In a coded leaf the rests are codes of a
//! symbol table (coded.rs), and `len` counts the codes' bytes.

use crate::symbols::FsstTable;
use crate::tree::node::{Info, Node, Slot, SlotRef, Usage, heads, simd};
use crate::value::Bits;
use std::collections::TryReserveError;

/// The largest lcp of a narrow node: one less than a byte holds, so that a clamped `m` never equals
/// an lcp.
pub(crate) const MAX_NARROW_LCP: usize = 254;
/// The largest length of a rest in a narrow node.
pub(crate) const MAX_NARROW_LEN: usize = 255;

/// The cache lines of a leaf to prefetch before it is searched: nearly all of it. A search reads a
/// few distant lines, each found through the one before.
pub(crate) const PREFETCHED_LINES: usize = 18;
/// The cache lines of an inner node to prefetch: its heads, and some of its slots.
pub(crate) const PREFETCHED_INNER_LINES: usize = 8;

/// A node whose header has been read.
#[derive(Clone, Copy)]
pub(crate) struct NodeRef<'a> {
    pub(crate) node: Node,
    pub(crate) info: Info,
    payload: &'a [u8],
}

/// The position at which an absent key would stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The entry before which the key would stand.
    pub(crate) at: usize,
    /// The bytes that the key shares with the entry before `at`.
    pub(crate) lcp: usize,
    /// The bytes that the key shares with the entry at `at`, 0 if there is none.
    pub(crate) next: usize,
}

/// What a node becomes when one entry is inserted or removed. Of narrow nodes only, in which rests
/// are not coded.
#[derive(Clone, Copy)]
pub(crate) struct Resized {
    /// The shape of the node afterwards, without room to spare.
    pub(crate) info: Info,
    /// The position of the entry.
    pub(crate) at: usize,
    /// Bytes of rest of the entries before it.
    pub(crate) offset: usize,
    /// Bytes of rest of all entries before the change.
    pub(crate) used: usize,
    /// The bytes that the entry after it loses or gains.
    pub(crate) moved: usize,
}

/// The front coding of one key, as its node stores it.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) lcp: usize,
    /// `None` for the empty suffix.
    pub(crate) first: Option<u8>,
    pub(crate) rest: &'a [u8],
    /// The table by which the rest is coded, if it is.
    pub(crate) table: Option<&'a FsstTable>,
}

/// A copy of a narrow node with one entry inserted or removed: what changes, as it is stored.
pub(crate) struct Splice<'s> {
    /// The shape of the copy, without room to spare.
    pub(crate) info: Info,
    /// The position of the entry.
    pub(crate) at: usize,
    /// Bytes of rest of the entries before it.
    pub(crate) offset: usize,
    /// Bytes of rest of all entries before the change.
    pub(crate) used: usize,
    /// The bytes from `offset` on that the copy has not.
    pub(crate) dropped: usize,
    /// The bytes in their place: the rest of an inserted entry, and the beginning of the rest of
    /// the entry after it.
    pub(crate) rests: [&'s [u8]; 3],
    /// The lcp, the first byte and the length of the entry after it, if that changes.
    pub(crate) next: Option<[u8; 3]>,
}

impl<'a> NodeRef<'a> {
    /// Reads the header of a node.
    ///
    /// # Safety
    /// The node is live, published or written, for `'a` (N1, N5).
    #[inline(always)]
    pub(crate) unsafe fn new(node: Node) -> NodeRef<'a> {
        // SAFETY: (N1, N5) by the caller.
        unsafe { NodeRef::with_info(node, node.info()) }
    }

    /// As [`new`](Self::new), if the header has been read.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    pub(crate) unsafe fn with_info(node: Node, info: Info) -> NodeRef<'a> {
        // SAFETY: (N1, N5) by the caller.
        unsafe { NodeRef { node, info, payload: node.payload(info) } }
    }

    /// Returns the number of bytes that all keys below share and that this node leaves out.
    #[inline(always)]
    pub(crate) fn strip(&self) -> usize {
        if self.info.is_wide() { self.word(0) } else { self.info.narrow_strip() }
    }

    /// Returns the slot of child `i`, whose keys are at or above `i` separators.
    #[inline(always)]
    pub(crate) fn slot(&self, i: usize) -> &'a Slot {
        debug_assert!(!self.info.is_leaf() && i <= self.count());
        // SAFETY: (N1, N6) since `new`; there is one more slot than separators.
        unsafe { self.node.slot(self.info, i) }
    }

    /// Returns the slot of child `i`, with this node's lock.
    #[inline(always)]
    pub(crate) fn slot_ref(&self, i: usize) -> SlotRef<'a> {
        // SAFETY: (N1) since `new`.
        SlotRef { parent_lock: Some(unsafe { self.node.lock() }), slot: self.slot(i) }
    }

    /// Returns the words of all heads.
    #[inline(always)]
    pub(crate) fn heads(&self) -> &'a [i64] {
        // SAFETY: (N1, N5) since `new`.
        unsafe { self.node.heads(self.info) }
    }

    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        self.info.count()
    }

    #[inline(always)]
    fn word(&self, i: usize) -> usize {
        u32::from_le_bytes(self.payload[4 * i..4 * i + 4].try_into().unwrap()) as usize
    }

    #[inline(always)]
    pub(crate) fn lcp(&self, i: usize) -> usize {
        if self.info.is_wide() { self.word(1 + i) } else { self.payload[i].into() }
    }

    #[inline(always)]
    pub(crate) fn len(&self, i: usize) -> usize {
        if self.info.is_wide() {
            self.word(1 + self.count() + i)
        } else {
            self.payload[2 * self.info.capacity() + i].into()
        }
    }

    #[inline(always)]
    pub(crate) fn first(&self, i: usize) -> u8 {
        self.payload
            [if self.info.is_wide() { 4 + 8 * self.count() } else { self.info.capacity() } + i]
    }

    #[inline(always)]
    pub(crate) fn rest_at(&self) -> usize {
        if self.info.is_wide() { 4 + 9 * self.count() } else { 3 * self.info.capacity() }
    }

    /// Returns the bytes of rest of the entries before `i`.
    pub(crate) fn offset(&self, i: usize) -> usize {
        if self.info.is_wide() {
            (0..i).map(|j| self.len(j)).sum()
        } else {
            simd::long_sum(self.payload, 2 * self.info.capacity(), i)
        }
    }

    /// Returns the position in the payload of the rest of entry `i`, and its length. The entries
    /// before it have `offset` bytes of rest.
    #[inline(always)]
    pub(crate) fn rest_of(&self, i: usize, offset: usize) -> (usize, usize) {
        (self.rest_at() + offset, self.len(i))
    }

    #[inline(always)]
    pub(crate) fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Returns the entries `from..to` of a narrow node: lcps, first bytes, lengths, and rests.
    pub(crate) fn arrays(&self, from: usize, to: usize) -> [&'a [u8]; 4] {
        debug_assert!(!self.info.is_wide());
        let cap = self.info.capacity();
        let (begin, end) = (3 * cap + self.offset(from), 3 * cap + self.offset(to));
        let array = |i: usize| &self.payload[i * cap + from..i * cap + to];
        [array(0), array(1), array(2), &self.payload[begin..end]]
    }

    /// Writes entries, the [`arrays`](Self::arrays) of a narrow node, to another one.
    ///
    /// # Safety
    /// The other node is live (N1), has the shape `info`, with capacity for the entries (N6), and
    /// is the caller's alone (N4).
    pub(crate) unsafe fn write_arrays(arrays: [&[u8]; 4], node: Node, info: Info) {
        let cap = info.capacity();
        debug_assert!(!info.is_wide() && arrays[0].len() <= cap && arrays[3].len() <= info.rest());
        // SAFETY: (N1, N4, N6) by the caller.
        unsafe {
            let payload = node.payload_mut(info);
            for (i, part) in arrays.into_iter().enumerate() {
                payload.add(i * cap).copy_from_nonoverlapping(part.as_ptr(), part.len());
            }
        }
    }

    /// Returns entry `i`, whose rest begins at `offset`.
    #[inline(always)]
    pub(crate) fn entry(&self, i: usize, offset: usize) -> Stored<'a> {
        let (from, len) = self.rest_of(i, offset);
        let empty = i == 0 && self.info.empty_first();
        Stored {
            lcp: self.lcp(i),
            first: if empty { None } else { Some(self.first(i)) },
            rest: &self.payload[from..from + len],
            table: self.table(),
        }
    }

    /// Writes key `i` to `buf` after the stripped bytes, which `buf` has already.
    ///
    /// It writes from the end of the key to its start: the bytes that an entry shares with the one
    /// before come from the nearest earlier entry that shares fewer.
    ///
    /// # Complexity
    /// O(i).
    pub(crate) fn decode(&self, i: usize, buf: &mut Vec<u8>) -> Result<(), TryReserveError> {
        let strip = self.strip();
        let mut offset = self.offset(i);
        // The bytes of the key that are still to be written.
        let mut end = self.entry(i, offset).end();
        buf.truncate(strip);
        buf.try_reserve(end)?;
        buf.resize(strip + end, 0);
        let mut j = i;
        while end > 0 {
            let lcp = self.lcp(j);
            if lcp < end {
                let suffix = &mut buf[strip + lcp..strip + end];
                suffix[0] = self.first(j);
                self.entry(j, offset).read_rest(&mut suffix[1..]);
                end = lcp;
            }
            if end > 0 {
                j -= 1;
                offset -= self.len(j);
            }
        }
        Ok(())
    }

    /// Returns key `i` as a whole. `stripped` begins with the bytes that the node strips.
    pub(crate) fn key(&self, i: usize, stripped: &[u8]) -> Result<Vec<u8>, TryReserveError> {
        let (strip, mut key) = (self.strip(), Vec::new());
        key.try_reserve_exact(strip + self.entry(i, self.offset(i)).end())?;
        key.extend_from_slice(&stripped[..strip]);
        self.decode(i, &mut key)?;
        Ok(key)
    }

    /// Prefetches a node's first cache lines.
    #[inline(always)]
    pub(crate) fn prefetch(node: Node, lines: usize) {
        for line in 0..lines {
            simd::prefetch(node.address().wrapping_add(64 * line));
        }
    }

    /// Prefetches the headers of all children.
    pub(crate) fn prefetch_children(&self) {
        for child in (0..=self.count()).filter_map(|i| self.slot(i).load().node()) {
            NodeRef::prefetch(child, 1);
        }
    }

    /// Returns the node's shape without room to spare.
    #[inline]
    pub(crate) fn exact(&self) -> Info {
        if self.info.is_wide() {
            return self.info;
        }
        let (n, rest) = (self.count(), self.offset(self.count()));
        self.info.resized(n, rest, self.info.empty_first())
    }

    /// Returns what the node becomes with `key` inserted at `gap`, if it stays narrow.
    #[inline(always)]
    pub(crate) fn grown(&self, key: &[u8], gap: Gap) -> Option<Resized> {
        debug_assert!(self.table().is_none());
        if self.info.is_wide()
            || key.is_empty()
            || gap.lcp > MAX_NARROW_LCP
            || key.len() - gap.lcp - 1 > MAX_NARROW_LEN
        {
            return None;
        }
        let (n, at) = (self.count(), gap.at);
        let (offset, used) = self.offsets(at);
        let mut moved = 0;
        if at < n {
            if gap.next > MAX_NARROW_LCP {
                return None;
            }
            moved = gap.next - self.lcp(at);
        }
        let rest = used + key.len() - gap.lcp - 1 - moved;
        (rest <= 0xFFFF && n < Info::MAX_COUNT).then(|| {
            let info = self.info.resized(n + 1, rest, self.info.empty_first());
            Resized { info, at, offset, used, moved }
        })
    }

    /// Returns the bytes of rest of the entries before `at`, and of all, of a narrow node.
    #[inline(always)]
    pub(crate) fn offsets(&self, at: usize) -> (usize, usize) {
        let (n, lens) = (self.count(), 2 * self.info.capacity());
        let offset = simd::long_sum(self.payload, lens, at);
        (offset, offset + simd::long_sum(self.payload, lens + at, n - at))
    }

    /// Creates a copy with `key` inserted at `gap`, as [`NodeRef::grown`] returned. `info` has its
    /// shape, and may have room for more.
    ///
    /// Its values or slots are still to be written. Returns `None` when out of memory.
    #[inline(always)]
    pub(crate) fn with<B: Bits>(
        &self,
        usage: &mut Usage,
        info: Info,
        (key, gap): (&[u8], Gap),
        grown: Resized,
    ) -> Option<Node> {
        let Resized { info: exact, at, offset, used, moved: lost } = grown;
        let cap = self.info.capacity();
        let next = (lost > 0).then(|| {
            let first = self.payload[3 * cap + offset + lost - 1];
            [gap.next as u8, first, self.payload[2 * cap + at] - lost as u8]
        });
        let rests = [&key[gap.lcp + 1..], &[], &[]];
        let splice = Splice { info: exact, at, offset, used, dropped: lost, rests, next };
        self.with_entry::<B>(usage, info, (key, gap.lcp), &splice)
    }

    /// Creates a copy with an entry inserted, that of `key`, which shares `lcp` bytes with the one
    /// before. `info` has the shape of `splice`, and may have room for more.
    ///
    /// Its values or slots are still to be written. Returns `None` when out of memory.
    #[inline(always)]
    pub(crate) fn with_entry<B: Bits>(
        &self,
        usage: &mut Usage,
        info: Info,
        (key, lcp): (&[u8], usize),
        splice: &Splice<'_>,
    ) -> Option<Node> {
        let node = usage.alloc::<B>(info)?;
        let (n, cap, new_cap) = (self.count(), self.info.capacity(), info.capacity());
        let at = splice.at;
        // SAFETY: (N4, N5, N6) the new node is ours alone; the shape of the splice sums up what is
        // copied here.
        unsafe {
            let to = node.payload_mut(info);
            let src = self.payload.as_ptr();
            if cap == n && new_cap == n + 1 {
                // The end of one array and the start of the next are copied together.
                copy_short(src, to, at);
                for array in 0..2 {
                    copy_short(src.add(array * n + at), to.add(array * (n + 1) + at + 1), n);
                }
                copy_short(src.add(2 * n + at), to.add(2 * n + at + 3), n - at);
            } else {
                for array in 0..3 {
                    copy_short(src.add(array * cap), to.add(array * new_cap), at);
                    copy_short(src.add(array * cap + at), to.add(array * new_cap + at + 1), n - at);
                }
            }
            let new = |array: usize, i: usize| to.add(array * new_cap + i);
            new(0, at).write(lcp as u8);
            new(1, at).write(key[lcp]);
            new(2, at).write(splice.rests[0].len() as u8);
            if let Some(next) = splice.next {
                (0..3).for_each(|array| new(array, at + 1).write(next[array]));
            }
            self.write_rests(to.add(3 * new_cap), splice);
            node.zero_room(info, splice.info);
            if info.is_leaf() {
                self.copy_table(node);
            } else {
                let (words, from, to) = (info.head_words(), self.heads(), node.heads_mut());
                let (below, above) = from.split_at(words * at);
                to.copy_from_nonoverlapping(below.as_ptr(), below.len());
                (0..words).for_each(|i| to.add(words * at + i).write(heads::word(key, i)));
                to.add(words * (at + 1)).copy_from_nonoverlapping(above.as_ptr(), above.len());
            }
        }
        Some(node)
    }

    /// Writes the rests of a copy of this node.
    ///
    /// # Safety
    /// `dst` is where the rests of the copy begin, which has the shape of the splice (N6) and is
    /// the caller's alone (N4).
    #[inline(always)]
    unsafe fn write_rests(&self, mut dst: *mut u8, splice: &Splice<'_>) {
        let &Splice { offset, used, dropped, rests, .. } = splice;
        // SAFETY: (N4, N6) by the caller; this node has `used` bytes of rest.
        unsafe {
            let from = self.payload.as_ptr().add(self.rest_at());
            from.copy_to_nonoverlapping(dst, offset);
            dst = dst.add(offset);
            for part in rests {
                part.as_ptr().copy_to_nonoverlapping(dst, part.len());
                dst = dst.add(part.len());
            }
            let tail = used - offset - dropped;
            from.add(offset + dropped).copy_to_nonoverlapping(dst, tail);
        }
    }

    /// Returns what the node becomes without entry `at`, if it stays narrow.
    #[inline]
    pub(crate) fn shrunk(&self, at: usize) -> Option<Resized> {
        debug_assert!(self.table().is_none());
        if self.info.is_wide() {
            return None;
        }
        let n = self.count();
        let empty_first = self.info.empty_first() && at != 0;
        let (offset, used) = self.offsets(at);
        let mut moved = 0;
        if at + 1 < n {
            moved = self.lcp(at + 1).saturating_sub(self.lcp(at));
            if self.len(at + 1) + moved > MAX_NARROW_LEN {
                return None;
            }
        }
        let info = self.info.resized(n - 1, used - self.len(at) + moved, empty_first);
        Some(Resized { info, at, offset, used, moved })
    }

    /// Creates a copy without an entry, as [`NodeRef::shrunk`] returned.
    ///
    /// Its values or slots are still to be written. Returns `None` when out of memory.
    pub(crate) fn without<B: Bits>(&self, usage: &mut Usage, shrunk: Resized) -> Option<Node> {
        let Resized { info, at, offset, used, moved: gained } = shrunk;
        let cap = self.info.capacity();
        let (mut rests, mut next) = ([&[][..]; 3], None);
        if gained > 0 {
            // The removed suffix begins with the bytes that only the next entry shared.
            let from = 3 * cap + offset;
            rests[0] = &self.payload[from..from + gained - 1];
            rests[1] = &self.payload[cap + at + 1..cap + at + 2];
            let len = self.payload[2 * cap + at + 1] + gained as u8;
            next = Some([self.payload[at], self.payload[cap + at], len]);
        }
        let splice = Splice { info, at, offset, used, dropped: self.len(at), rests, next };
        self.without_entry::<B>(usage, &splice)
    }

    /// Creates a copy without an entry.
    ///
    /// Its values or slots are still to be written. Returns `None` when out of memory.
    #[inline(always)]
    pub(crate) fn without_entry<B: Bits>(
        &self,
        usage: &mut Usage,
        splice: &Splice<'_>,
    ) -> Option<Node> {
        let &Splice { info, at, .. } = splice;
        let node = usage.alloc::<B>(info)?;
        let (n, cap) = (self.count(), self.info.capacity());
        // SAFETY: (N4, N5, N6) as in `with_entry`.
        unsafe {
            let to = node.payload_mut(info);
            let new = |array: usize, i: usize| to.add(array * (n - 1) + i);
            let src = self.payload.as_ptr();
            for array in 0..3 {
                copy_short(src.add(array * cap), new(array, 0), at);
                copy_short(src.add(array * cap + at + 1), new(array, at), n - 1 - at);
            }
            if let Some(next) = splice.next {
                (0..3).for_each(|array| new(array, at).write(next[array]));
            }
            self.write_rests(to.add(3 * (n - 1)), splice);
            if info.is_leaf() {
                self.copy_table(node);
            } else {
                let (words, from, to) = (info.head_words(), self.heads(), node.heads_mut());
                let (below, above) = (&from[..words * at], &from[words * (at + 1)..]);
                to.copy_from_nonoverlapping(below.as_ptr(), below.len());
                to.add(words * at).copy_from_nonoverlapping(above.as_ptr(), above.len());
            }
        }
        Some(node)
    }
}

/// Copies a few bytes of an array without a call, which would cost more than the copy.
///
/// # Safety
/// The caller may read `n` bytes at `from` and write as many at `to`; they do not overlap.
#[inline(always)]
unsafe fn copy_short(from: *const u8, to: *mut u8, n: usize) {
    const COPY_BYTES: usize = 16;
    // SAFETY: (N6) by the caller; the last part ends at the last byte.
    unsafe {
        if n < COPY_BYTES {
            return from.copy_to_nonoverlapping(to, n);
        }
        let mut i = 0;
        while i + COPY_BYTES < n {
            from.add(i).copy_to_nonoverlapping(to.add(i), COPY_BYTES);
            i += COPY_BYTES;
        }
        from.add(n - COPY_BYTES).copy_to_nonoverlapping(to.add(n - COPY_BYTES), COPY_BYTES);
    }
}
