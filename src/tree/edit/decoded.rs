//! Decoded keys: sorted keys as whole strings, the form in which nodes are split, merged and built.
//!
//! Every buffer is reserved before it is filled, so only making decoded keys can fail, not using
//! them.

use crate::symbols::{FsstTable, MAX_FSST_BYTES};
use crate::tree::edit::{Failed, NewNodes, try_copy};
use crate::tree::node::{
    Child, Gap, HEADER_BYTES, Info, Kind, MAX_NARROW_LCP, MAX_NARROW_LEN, Node, NodeRef,
    WORD_BYTES, heads, simd,
};
use crate::value::Bits;
use std::collections::TryReserveError;
use std::ops::Range;

/// Bytes of imbalance that one byte less of separator is worth.
const IMBALANCE_PER_SEPARATOR_BYTE: usize = 8;

/// Where to split a node that is too large.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    /// Into halves, for keys that come in any order.
    Middle,
    /// As far right as the left part may go, in bytes, for keys that come in ascending order.
    Right(usize),
}

/// Sorted keys that nodes are made of.
pub(crate) trait SortedKeys {
    fn len(&self) -> usize;

    /// Calls `each` for each key with the number of bytes it shares with the one before, 0 for the
    /// first, and the number of bytes that follow these, as they are stored.
    fn for_each(&self, each: impl FnMut(usize, usize));

    /// Returns the shortest separator before key `i`, `i > 0` (Bayer and Unterauer, "Prefix
    /// B-trees", 1977).
    fn separator(&self, i: usize) -> Result<Vec<u8>, Failed>;

    /// Makes a node of some of the keys less their first `strip` bytes. Its values or slots are
    /// still to be written. Returns `None` if these keys are of a form that cannot make it.
    fn node<B: Bits>(
        &self,
        kind: Kind,
        pending: &mut NewNodes<'_, B>,
        keys: Range<usize>,
        strip: usize,
    ) -> Result<Option<Node>, Failed>;

    /// Returns the bytes of a node of all keys that strips `strip` bytes of each, with items of
    /// `size` bytes.
    fn cost(&self, strip: usize, size: usize) -> usize {
        let (mut cost, mut shared) = (HEADER_BYTES, strip);
        self.for_each(|_, suffix| {
            cost += entry_cost(suffix.saturating_sub(shared), size);
            shared = 0;
        });
        cost
    }

    /// Returns where to split: before one of the keys `among`.
    ///
    /// Of positions about as good, the one with the shortest separator is best: the keys on its two
    /// sides share least, so the nodes on either side strip more. In an inner node the separator is
    /// the key itself.
    fn split_index(&self, kind: Kind, among: Range<usize>, size: usize, split: Split) -> usize {
        let total = self.cost(0, size);
        let (mut best, mut best_off, mut left, mut i) = (among.start, usize::MAX, HEADER_BYTES, 0);
        self.for_each(|lcp, suffix| {
            if among.contains(&i) {
                let off = match split {
                    Split::Middle => left.abs_diff(total - left),
                    Split::Right(limit) if left <= limit => total - left,
                    Split::Right(_) => usize::MAX / 2,
                };
                let separator = if kind == Kind::Leaf { lcp } else { lcp + suffix };
                let off = off + IMBALANCE_PER_SEPARATOR_BYTE * separator;
                if off < best_off {
                    (best, best_off) = (i, off);
                }
            }
            left += entry_cost(suffix, size);
            i += 1;
        });
        best
    }
}

/// Returns the bytes that a key with this suffix takes in a node, with its item of `size` bytes.
#[inline(always)]
fn entry_cost(suffix: usize, size: usize) -> usize {
    2 + size + suffix.max(1)
}

/// Sorted whole keys, each with its value or, where they are separators, the child after it.
pub(crate) struct DecodedKeys<T> {
    /// The keys, one after the other.
    bytes: Vec<u8>,
    entries: Vec<DecodedEntry<T>>,
    codes: RestCodes,
}

/// The rests of keys as codes of a table: of no key, or of all. That of the first key depends on
/// where the keys are divided, and is coded again then.
#[derive(Default)]
struct RestCodes {
    /// The address of the table.
    table: usize,
    bytes: Vec<u8>,
    /// For each key, where its codes end.
    ends: Vec<usize>,
}

impl RestCodes {
    /// Empties it, for codes of this table.
    fn reset(&mut self, table: &FsstTable) {
        self.bytes.clear();
        self.ends.clear();
        self.table = std::ptr::from_ref(table).addr();
    }

    /// Returns whether it has the codes of the first `keys` keys by this table.
    fn is_of(&self, table: &FsstTable, keys: usize) -> bool {
        self.table == std::ptr::from_ref(table).addr() && self.ends.len() == keys
    }

    /// Returns where the codes of key `i` are.
    fn range(&self, i: usize) -> Range<usize> {
        i.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[i]
    }

    /// Removes the codes of the first keys.
    fn remove_first(&mut self, keys: usize) {
        let keys = keys.min(self.ends.len());
        let Some(last) = keys.checked_sub(1) else { return };
        let removed = self.ends[last];
        self.bytes.drain(..removed);
        self.ends.drain(..keys);
        self.ends.iter_mut().for_each(|end| *end -= removed);
    }
}

#[derive(Clone, Copy)]
struct DecodedEntry<T> {
    /// Where the key ends in `bytes`.
    end: usize,
    /// Bytes shared with the key before.
    lcp: usize,
    item: T,
}

impl<T: Copy> DecodedKeys<T> {
    pub(crate) fn new() -> Self {
        DecodedKeys { bytes: Vec::new(), entries: Vec::new(), codes: RestCodes::default() }
    }

    /// Reserves room for `keys` more keys of `bytes` bytes in all.
    pub(crate) fn reserve(&mut self, keys: usize, bytes: usize) -> Result<(), TryReserveError> {
        self.entries.try_reserve(keys)?;
        self.bytes.try_reserve(bytes)
    }

    /// Returns key `i`.
    #[inline]
    pub(crate) fn key(&self, i: usize) -> &[u8] {
        &self.bytes[self.start(i)..self.entries[i].end]
    }

    #[inline]
    pub(crate) fn key_len(&self, i: usize) -> usize {
        self.entries[i].end - self.start(i)
    }

    #[inline]
    fn start(&self, i: usize) -> usize {
        if i == 0 { 0 } else { self.entries[i - 1].end }
    }

    #[inline]
    pub(crate) fn lcp(&self, i: usize) -> usize {
        self.entries[i].lcp
    }

    #[inline]
    pub(crate) fn item(&self, i: usize) -> T {
        self.entries[i].item
    }

    /// Appends a key that shares `lcp` bytes with the last one. There is room for it.
    #[inline]
    pub(crate) fn push(&mut self, lcp: usize, key: &[u8], item: T) {
        self.bytes.extend_from_slice(key);
        self.entries.push(DecodedEntry { end: self.bytes.len(), lcp, item });
    }

    /// Inserts a key before key `i`.
    pub(crate) fn insert(&mut self, i: usize, key: &[u8], item: T) -> Result<(), TryReserveError> {
        self.reserve(1, key.len())?;
        let start = self.start(i);
        let shared = |keys: &Self, j: usize| simd::common_prefix(keys.key(j), key);
        if i < self.len() {
            self.entries[i].lcp = shared(self, i);
        }
        let lcp = if i > 0 { shared(self, i - 1) } else { 0 };
        self.bytes.splice(start..start, key.iter().copied());
        self.entries.insert(i, DecodedEntry { end: start, lcp, item });
        for entry in &mut self.entries[i..] {
            entry.end += key.len();
        }
        Ok(())
    }

    /// Removes the keys `from..to`.
    pub(crate) fn remove(&mut self, from: usize, to: usize) {
        if to < self.len() {
            self.entries[to].lcp = (from..=to).map(|i| self.lcp(i)).min().unwrap_or(0);
        }
        self.drain(from, to);
    }

    /// Codes the rests of the keys by this table, as far as they are not yet.
    ///
    /// Afterwards keys may be pushed and removed from the start, but not changed otherwise.
    pub(crate) fn encode(&mut self, table: &FsstTable) -> Result<(), TryReserveError> {
        if !self.codes.is_of(table, self.codes.ends.len()) {
            self.codes.reset(table);
        }
        let from = self.codes.ends.len();
        let bytes = self.bytes.len() - self.start(from.min(self.len()));
        self.codes.bytes.try_reserve(2 * bytes)?;
        self.codes.ends.try_reserve(self.len() - from)?;
        for i in from..self.len() {
            let end = self.entries[i].end;
            let rest = &self.bytes[end.min(self.start(i) + self.lcp(i) + 1)..end];
            table.encoder().append(rest, &mut self.codes.bytes);
            self.codes.ends.push(self.codes.bytes.len());
        }
        Ok(())
    }

    /// Codes the rests of the keys, unless a leaf of all, which strips `strip` bytes, could not be
    /// coded since a length does not fit. A leaf with long keys would be coded in vain at each
    /// change, and be too large by what its keys take as they are.
    pub(crate) fn encode_for_leaf(
        &mut self,
        table: &FsstTable,
        strip: usize,
    ) -> Result<(), TryReserveError> {
        let rest = |i| {
            let shared = if i == 0 { strip } else { self.lcp(i) };
            self.key(i).get(shared + 1..).unwrap_or_default()
        };
        let longest = (0..self.len()).map(rest).max_by_key(|rest| rest.len()).unwrap_or_default();
        let fits = strip <= Info::MAX_NARROW_STRIP
            && (1..self.len()).all(|i| self.lcp(i) - strip <= MAX_NARROW_LCP)
            && (longest.len() <= MAX_NARROW_LEN / 2 || table.coded_len(longest) <= MAX_NARROW_LEN);
        if fits { self.encode(table) } else { Ok(()) }
    }

    /// Returns the rests of the keys before `to`, except for the first, which depends on what a
    /// leaf strips.
    pub(crate) fn rests(&self, to: usize) -> impl Iterator<Item = &[u8]> {
        (1..to).map(|i| &self.key(i)[self.lcp(i) + 1..])
    }

    /// Removes the keys before `to`. The first one left becomes the first of all.
    pub(crate) fn remove_first(&mut self, to: usize) {
        self.codes.remove_first(to);
        self.drain(0, to);
        if let Some(first) = self.entries.first_mut() {
            first.lcp = 0;
        }
    }

    fn drain(&mut self, from: usize, to: usize) {
        let (start, end) = (self.start(from), self.start(to));
        self.bytes.drain(start..end);
        self.entries.drain(from..to);
        for entry in &mut self.entries[from..] {
            entry.end -= end - start;
        }
    }

    /// Returns the bytes that key `i` takes in a node that stores it from byte `shared` on, with
    /// items of `size` bytes.
    #[inline]
    pub(crate) fn entry_cost(&self, i: usize, shared: usize, size: usize) -> usize {
        entry_cost(self.stored(i, self.key_len(i) - shared), size)
    }

    /// Returns the bytes that a suffix of key `i` takes in a node.
    #[inline]
    fn stored(&self, i: usize, suffix: usize) -> usize {
        if i > 0 && i < self.codes.ends.len() { 1 + self.codes.range(i).len() } else { suffix }
    }

    /// Returns the bytes that key 0 takes in a node that strips `strip` bytes, or a few more.
    fn first_suffix(&self, strip: usize) -> usize {
        let suffix = self.key_len(0) - strip;
        let is_coded = !self.codes.ends.is_empty();
        if is_coded { suffix.min(1 + self.codes.range(0).len()) } else { suffix }
    }

    /// Returns the bytes that key 0 takes in a leaf that strips `strip` bytes, with items of `size`
    /// bytes. If the leaf is coded, by this table, the table's address is counted, too.
    pub(crate) fn first_cost(&self, table: Option<&FsstTable>, strip: usize, size: usize) -> usize {
        let key = self.key(0);
        match table.filter(|table| self.codes.is_of(table, self.len())) {
            Some(table) => {
                let rest = key.get(strip + 1..).unwrap_or_default();
                WORD_BYTES + entry_cost(1 + table.coded_len(rest), size)
            }
            None => entry_cost(key.len() - strip.min(key.len()), size),
        }
    }

    /// Returns the shape of a coded leaf of some of the keys less their first `strip` bytes, where
    /// the rest of the first key has this many bytes as codes. `None` if a length does not fit.
    fn coded_shape(&self, keys: Range<usize>, strip: usize, first: usize) -> Option<Info> {
        let Range { start, end } = keys;
        let mut rest = first;
        for i in start + 1..end {
            let len = self.codes.range(i).len();
            if self.lcp(i) - strip > MAX_NARROW_LCP || len > MAX_NARROW_LEN {
                return None;
            }
            rest += len;
        }
        if strip > Info::MAX_NARROW_STRIP || first > MAX_NARROW_LEN || rest > 0xFFFF {
            return None;
        }
        let empty_first = self.key_len(start) == strip;
        Some(Info::narrow(Kind::Leaf, end - start, rest, strip, empty_first).coded())
    }

    /// Makes a coded leaf of some of the keys less their first `strip` bytes, if that is smaller
    /// than `raw`, the leaf that is not coded. Its values are still to be written.
    fn coded_leaf<B: Bits>(
        &self,
        table: &FsstTable,
        pending: &mut NewNodes<'_, B>,
        (keys, strip): (Range<usize>, usize),
        raw: Info,
    ) -> Result<Option<Node>, Failed> {
        let suffix = &self.key(keys.start)[strip..];
        let rest = suffix.get(1..).unwrap_or_default();
        // A longer one does not fit.
        let mut first = [0; 2 * MAX_NARROW_LEN];
        if rest.len() > MAX_NARROW_LEN || !self.codes.is_of(table, self.len()) {
            return Ok(None);
        }
        let len = table.encoder().encode(rest, &mut first);
        let Some(info) = self
            .coded_shape(keys.clone(), strip, len)
            .filter(|info| info.size::<B>() < raw.size::<B>())
        else {
            return Ok(None);
        };
        let (node, info) = pending.alloc(info)?;
        cover!(LeafCoded);
        // SAFETY: (N4, N5, N6, N13) the node is ours alone, and has the shape of these keys. The
        // table is one of the map's.
        unsafe {
            node.set_table(table);
            let start = keys.start;
            self.write(node, info, keys, strip, |i| {
                if i == start { &first[..len] } else { &self.codes.bytes[self.codes.range(i)] }
            });
        }
        Ok(Some(node))
    }

    /// Returns the shape of a node of some of the keys less their first `strip` bytes.
    ///
    /// # Errors
    /// Several keys near the length limit may be too large for one node.
    fn shape(&self, kind: Kind, keys: Range<usize>, strip: usize) -> Result<Info, Failed> {
        let Range { start, end } = keys;
        let (mut rest, mut wide) = (0, strip > Info::MAX_NARROW_STRIP);
        for i in start..end {
            let lcp = if i == start { 0 } else { self.lcp(i) - strip };
            let len = (self.key_len(i) - strip - lcp).saturating_sub(1);
            wide |= lcp > MAX_NARROW_LCP || len > MAX_NARROW_LEN;
            rest += len;
        }
        if u32::try_from(rest).is_err() {
            return Err(Failed(rest));
        }
        let (n, empty_first) = (end - start, start < end && self.key_len(start) == strip);
        Ok(if wide || rest > 0xFFFF {
            cover!(Wide);
            if kind != Kind::Leaf {
                cover!(WideInner);
            }
            Info::wide(kind, n, rest, empty_first)
        } else {
            let lens = keys.map(|i| self.key_len(i) - strip);
            let info = Info::narrow(kind, n, rest, strip, empty_first);
            info.with_head_words(heads::words(kind, info, lens))
        })
    }

    /// Makes a node of some of the keys less their first `strip` bytes. Its values or slots are
    /// still to be written.
    pub(crate) fn node<B: Bits>(
        &self,
        kind: Kind,
        pending: &mut NewNodes<'_, B>,
        keys: Range<usize>,
        strip: usize,
    ) -> Result<Node, Failed> {
        let exact = self.shape(kind, keys.clone(), strip)?;
        if let (Kind::Leaf, Some(table)) = (kind, pending.table)
            && let Some(leaf) = self.coded_leaf(table, pending, (keys.clone(), strip), exact)?
        {
            return Ok(leaf);
        }
        let (node, info) = pending.alloc(exact)?;
        // SAFETY: (N4, N5, N6) the node is ours alone, and has at least the shape of these keys.
        unsafe {
            self.write(node, info, keys.clone(), strip, |i| {
                let lcp = if i == keys.start { strip } else { self.lcp(i) };
                self.key(i).get(lcp + 1..).unwrap_or_default()
            });
            node.zero_room(info, exact);
        }
        Ok(node)
    }

    /// Writes some of the keys less their first `strip` bytes into a node. `rest_of` returns the
    /// rest of a key as the node stores it.
    ///
    /// # Safety
    /// The node is ours alone (N4), and `info` its shape, with capacity for these keys (N6).
    #[inline(always)]
    unsafe fn write<'r>(
        &self,
        node: Node,
        info: Info,
        keys: Range<usize>,
        strip: usize,
        rest_of: impl Fn(usize) -> &'r [u8],
    ) {
        let (n, start) = (info.capacity(), keys.start);
        // SAFETY: (N4, N6) by the caller; the offsets follow the payload's layout for `info`.
        unsafe {
            let payload = node.payload_mut(info);
            let word = |at: usize, v: usize| {
                payload.add(4 * at).copy_from_nonoverlapping((v as u32).to_le_bytes().as_ptr(), 4);
            };
            if info.is_wide() {
                word(0, strip);
            }
            let mut rest = payload.add(if info.is_wide() { 4 + 9 * n } else { 3 * n });
            for i in keys {
                let lcp = if i == start { 0 } else { self.lcp(i) - strip };
                let first = self.key(i).get(strip + lcp).copied().unwrap_or(0);
                let tail = rest_of(i);
                let j = i - start;
                if info.is_wide() {
                    word(1 + j, lcp);
                    word(1 + n + j, tail.len());
                    payload.add(4 + 8 * n + j).write(first);
                } else {
                    payload.add(j).write(lcp as u8);
                    payload.add(n + j).write(first);
                    payload.add(2 * n + j).write(tail.len() as u8);
                }
                rest.copy_from_nonoverlapping(tail.as_ptr(), tail.len());
                rest = rest.add(tail.len());
                let words = if info.is_leaf() { 0 } else { info.head_words() };
                for at in 0..words {
                    let word = heads::word(&self.key(i)[strip..], at);
                    node.heads_mut().add(words * j + at).write(word);
                }
            }
        }
    }
}

impl<T: Copy> SortedKeys for DecodedKeys<T> {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn for_each(&self, mut each: impl FnMut(usize, usize)) {
        for i in 0..self.len() {
            let suffix = self.key_len(i) - self.lcp(i);
            each(self.lcp(i), if i == 0 { self.first_suffix(0) } else { self.stored(i, suffix) });
        }
    }

    fn cost(&self, strip: usize, size: usize) -> usize {
        if self.entries.is_empty() {
            return HEADER_BYTES;
        }
        let others = (1..self.len()).map(|i| self.entry_cost(i, self.lcp(i), size));
        HEADER_BYTES + entry_cost(self.first_suffix(strip), size) + others.sum::<usize>()
    }

    fn separator(&self, i: usize) -> Result<Vec<u8>, Failed> {
        try_copy(&self.key(i)[..self.lcp(i) + 1])
    }

    fn node<B: Bits>(
        &self,
        kind: Kind,
        pending: &mut NewNodes<'_, B>,
        keys: Range<usize>,
        strip: usize,
    ) -> Result<Option<Node>, Failed> {
        self.node(kind, pending, keys, strip).map(Some)
    }
}

impl DecodedKeys<()> {
    /// Appends the keys of a node, and among them `extra`, a key less the bytes that the node
    /// strips. These are `stripped`.
    pub(crate) fn append(
        &mut self,
        keys: &NodeRef<'_>,
        stripped: &[u8],
        extra: Option<(Gap, &[u8])>,
    ) -> Result<(), TryReserveError> {
        debug_assert_eq!(stripped.len(), keys.strip());
        let strip = stripped.len();
        let (mut offset, mut room) = (0, extra.map_or(0, |(_, key)| strip + key.len()));
        for i in 0..keys.count() {
            let entry = keys.entry(i, offset);
            offset += entry.rest.len();
            room += strip + entry.end();
        }
        // Decoding writes more than the key first.
        room += if keys.table().is_some() { MAX_FSST_BYTES * MAX_NARROW_LEN } else { 0 };
        self.reserve(keys.count() + usize::from(extra.is_some()), room)?;
        let begin = self.len();
        let mut previous = None; // where the node's previous key begins in `bytes`
        offset = 0;
        for i in 0..=keys.count() {
            let before = extra.filter(|(gap, _)| gap.at == i);
            if let Some((gap, key)) = before {
                self.bytes.extend_from_slice(stripped);
                self.push(if previous.is_some() { strip + gap.lcp } else { 0 }, key, ());
            }
            if i == keys.count() {
                break;
            }
            let entry = keys.entry(i, offset);
            offset += entry.rest.len();
            let start = self.bytes.len();
            match previous {
                None => self.bytes.extend_from_slice(stripped),
                Some(at) => self.bytes.extend_from_within(at..at + strip + entry.lcp),
            }
            self.bytes.extend(entry.first);
            let lcp = match before {
                Some((gap, _)) => strip + gap.next,
                None if previous.is_some() => strip + entry.lcp,
                None => 0,
            };
            entry.append_rest(&mut self.bytes);
            self.push(lcp, &[], ());
            previous = Some(start);
        }
        if begin > 0 && begin < self.len() {
            self.entries[begin].lcp = simd::common_prefix(self.key(begin - 1), self.key(begin));
        }
        Ok(())
    }
}

impl<B: Bits> DecodedKeys<B> {
    /// Makes a leaf of some of the keys less their first `strip` bytes, with their values.
    pub(crate) fn leaf(
        &self,
        pending: &mut NewNodes<'_, B>,
        keys: Range<usize>,
        strip: usize,
    ) -> Result<Node, Failed> {
        let node = self.node(Kind::Leaf, pending, keys.clone(), strip)?;
        // SAFETY: (N4, N5, N6) the node is ours alone, and has these keys.
        unsafe {
            let info = node.info();
            for (j, i) in keys.enumerate() {
                node.set_value(info, j, self.item(i));
            }
        }
        Ok(node)
    }
}

impl DecodedKeys<Child> {
    /// Makes an inner node of some of the separators less their first `strip` bytes, with their
    /// children. The first child is `first`.
    pub(crate) fn inner<B: Bits>(
        &self,
        kind: Kind,
        pending: &mut NewNodes<'_, B>,
        first: Child,
        keys: Range<usize>,
        strip: usize,
    ) -> Result<Node, Failed> {
        let node = self.node(kind, pending, keys.clone(), strip)?;
        // SAFETY: (N4, N6) the node is ours alone, and has these separators.
        unsafe {
            let info = node.info();
            node.slot(info, 0).store(first);
            for (j, i) in keys.enumerate() {
                node.slot(info, j + 1).store(self.item(i));
            }
        }
        Ok(node)
    }
}
