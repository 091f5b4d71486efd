//! A run: neighbouring keys written out in full, the form in which nodes are split, merged and built.
//!
//! Every buffer is reserved before it is filled, so that only making a run can fail, not using it.

use crate::tree::edit::pending::{Failed, NewNodes, try_copy};
use crate::tree::node::coding::{Gap, NARROW_LCP, NARROW_LEN, NodeRef};
use crate::tree::node::layout::{Child, HEADER, Info, Kind, Node};
use crate::tree::node::simd;
use crate::value::Bits;
use std::collections::TryReserveError;

/// Sorted keys that nodes are to be made of.
pub(crate) trait Sequence {
    fn len(&self) -> usize;

    /// Tells of each key how many bytes it shares with the one before, 0 for the first, and how many follow.
    fn for_each(&self, each: impl FnMut(usize, usize));

    /// The shortest separator before key `i`, `i > 0` (Bayer and Unterauer, "Prefix B-trees", 1977).
    fn separator(&self, i: usize) -> Result<Vec<u8>, Failed>;

    /// A node of the keys `from..to` less their first `strip` bytes, its values or slots still to be written. `None`: this kind of sequence
    /// cannot make it.
    fn node<B: Bits>(
        &self,
        kind: Kind,
        made: &mut NewNodes<'_, B>,
        from: usize,
        to: usize,
        strip: usize,
    ) -> Result<Option<Node>, Failed>;

    /// Bytes of a node of all keys that strips so many of each, items of `size` bytes.
    fn cost(&self, strip: usize, size: usize) -> usize {
        let (mut cost, mut shared) = (HEADER, strip);
        self.for_each(|_, suffix| {
            cost += entry_cost(suffix - shared, size);
            shared = 0;
        });
        cost
    }

    /// Where to cut: before one of the keys `from..to`.
    ///
    /// Of cuts about as good, the one with the shortest separator is best: the neighbours share least, so the nodes beside it strip more.
    /// In an inner node the separator is the key itself.
    fn cut(&self, kind: Kind, from: usize, to: usize, size: usize, split: Split) -> usize {
        let total = self.cost(0, size);
        let (mut best, mut best_off, mut left, mut i) = (from, usize::MAX, HEADER, 0);
        self.for_each(|lcp, suffix| {
            if (from..to).contains(&i) {
                let off = match split {
                    Split::Middle => left.abs_diff(total - left),
                    Split::Right(limit) if left <= limit => total - left,
                    Split::Right(_) => usize::MAX / 2,
                };
                let off =
                    off + SEPARATOR_WEIGHT * if kind == Kind::Leaf { lcp } else { lcp + suffix };
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

/// Bytes that a key with this suffix takes in a node, its item of `size` bytes.
#[inline(always)]
fn entry_cost(suffix: usize, size: usize) -> usize {
    2 + size + suffix.max(1)
}

/// Sorted keys, whole, each with a value or, where they are separators, the child behind it.
pub(crate) struct DecodedKeys<T> {
    /// The keys, one after the other.
    bytes: Vec<u8>,
    entries: Vec<Entry<T>>,
}

#[derive(Clone, Copy)]
struct Entry<T> {
    /// Where the key ends in `bytes`.
    end: usize,
    /// Bytes shared with the key before.
    lcp: usize,
    item: T,
}

impl<T: Copy> DecodedKeys<T> {
    pub(crate) fn new() -> Self {
        DecodedKeys { bytes: Vec::new(), entries: Vec::new() }
    }

    /// Makes room for `keys` more keys of `bytes` bytes in all.
    pub(crate) fn reserve(&mut self, keys: usize, bytes: usize) -> Result<(), TryReserveError> {
        self.entries.try_reserve(keys)?;
        self.bytes.try_reserve(bytes)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Key `i`.
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

    /// The shortest separator before key `i`, `i > 0` (Bayer and Unterauer, "Prefix B-trees", 1977).
    pub(crate) fn separator(&self, i: usize) -> &[u8] {
        &self.key(i)[..self.lcp(i) + 1]
    }

    /// Appends a key that shares `lcp` bytes with the last one; there is room for it.
    #[inline]
    pub(crate) fn push(&mut self, lcp: usize, key: &[u8], item: T) {
        self.bytes.extend_from_slice(key);
        self.entries.push(Entry { end: self.bytes.len(), lcp, item });
    }

    /// Inserts a key before key `i`.
    pub(crate) fn insert(&mut self, i: usize, key: &[u8], item: T) -> Result<(), TryReserveError> {
        self.reserve(1, key.len())?;
        let start = self.start(i);
        let shared = |run: &Self, j: usize| simd::common_prefix(run.key(j), key);
        if i < self.len() {
            self.entries[i].lcp = shared(self, i);
        }
        let lcp = if i > 0 { shared(self, i - 1) } else { 0 };
        self.bytes.splice(start..start, key.iter().copied());
        self.entries.insert(i, Entry { end: start, lcp, item });
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

    /// Forgets the keys before `to`; the first one left is the first of all.
    pub(crate) fn forget(&mut self, to: usize) {
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

    /// Appends the keys of a node, the bytes it strips, `stripped`, put back, with their items, and `extra` among them.
    pub(crate) fn append(
        &mut self,
        keys: &NodeRef<'_>,
        stripped: &[u8],
        item: impl Fn(usize) -> T,
        extra: Option<(Gap, &[u8], T)>,
    ) -> Result<(), TryReserveError> {
        debug_assert_eq!(stripped.len(), keys.strip());
        let strip = stripped.len();
        let (mut offset, mut room) = (0, extra.map_or(0, |(_, key, _)| strip + key.len()));
        for i in 0..keys.count() {
            let entry = keys.entry(i, offset);
            offset += entry.rest.len();
            room += strip + entry.lcp + usize::from(entry.first.is_some()) + entry.rest.len();
        }
        self.reserve(keys.count() + usize::from(extra.is_some()), room)?;
        let begin = self.len();
        let mut previous = None; // where the node's previous key begins in `bytes`
        offset = 0;
        for i in 0..=keys.count() {
            let before = extra.filter(|(gap, ..)| gap.at == i);
            if let Some((gap, key, item)) = before {
                self.bytes.extend_from_slice(stripped);
                self.push(if previous.is_some() { strip + gap.lcp } else { 0 }, key, item);
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
                Some((gap, ..)) => strip + gap.next,
                None if previous.is_some() => strip + entry.lcp,
                None => 0,
            };
            self.push(lcp, entry.rest, item(i));
            previous = Some(start);
        }
        if begin > 0 && begin < self.len() {
            self.entries[begin].lcp = simd::common_prefix(self.key(begin - 1), self.key(begin));
        }
        Ok(())
    }

    /// Bytes that key `i` takes in a node that stores it from byte `shared` on, items of `size` bytes.
    #[inline]
    pub(crate) fn entry_cost(&self, i: usize, shared: usize, size: usize) -> usize {
        entry_cost(self.key_len(i) - shared, size)
    }

    /// Bytes of a node with the keys `from..to`, items of `size` bytes.
    pub(crate) fn cost(&self, from: usize, to: usize, strip: usize, size: usize) -> usize {
        HEADER
            + (from..to)
                .map(|i| self.entry_cost(i, if i == from { strip } else { self.lcp(i) }, size))
                .sum::<usize>()
    }

    /// Shape of a node with the keys `from..to` less their first `strip` bytes. Several keys near the limit may be too large for one node.
    fn shape(&self, kind: Kind, from: usize, to: usize, strip: usize) -> Result<Info, Failed> {
        let (mut rest, mut wide) = (0, strip > Info::NARROW_STRIP);
        for i in from..to {
            let lcp = if i == from { 0 } else { self.lcp(i) - strip };
            let len = (self.key_len(i) - strip - lcp).saturating_sub(1);
            wide |= lcp > NARROW_LCP || len > NARROW_LEN;
            rest += len;
        }
        if u32::try_from(rest).is_err() {
            return Err(Failed(rest));
        }
        let empty_first = from < to && self.key_len(from) == strip;
        Ok(if wide || rest > 0xFFFF {
            cover!(Wide);
            if kind == Kind::Inner {
                cover!(WideInner);
            }
            Info::wide(kind, to - from, rest, empty_first)
        } else {
            Info::narrow(kind, to - from, to - from, rest, strip, empty_first)
        })
    }

    /// A node of the keys `from..to` less their first `strip` bytes. Its values or slots are still to be written.
    pub(crate) fn node<B: Bits>(
        &self,
        kind: Kind,
        made: &mut NewNodes<'_, B>,
        from: usize,
        to: usize,
        strip: usize,
    ) -> Result<Node, Failed> {
        let info = self.shape(kind, from, to, strip)?;
        let node = made.alloc(info)?;
        // SAFETY: (N4, N6) the node is ours alone, of the size `info` says.
        unsafe { self.write(node, info, from, to, strip) };
        Ok(node)
    }

    /// Writes the keys `from..to` less their first `strip` bytes into a node that has room for them.
    ///
    /// # Safety
    /// The node is ours alone (N4), and `info` its shape, with capacity for these keys.
    pub(crate) unsafe fn write(
        &self,
        node: Node,
        info: Info,
        from: usize,
        to: usize,
        strip: usize,
    ) {
        let n = info.capacity();
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
            for i in from..to {
                let lcp = if i == from { 0 } else { self.lcp(i) - strip };
                let suffix = &self.key(i)[strip + lcp..];
                let (&first, tail) = suffix.split_first().unwrap_or((&0, &[]));
                let j = i - from;
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
            }
        }
    }
}

impl Sequence for DecodedKeys<()> {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn for_each(&self, mut each: impl FnMut(usize, usize)) {
        (0..self.len()).for_each(|i| each(self.lcp(i), self.key_len(i) - self.lcp(i)));
    }

    fn separator(&self, i: usize) -> Result<Vec<u8>, Failed> {
        try_copy(self.separator(i))
    }

    fn node<B: Bits>(
        &self,
        kind: Kind,
        made: &mut NewNodes<'_, B>,
        from: usize,
        to: usize,
        strip: usize,
    ) -> Result<Option<Node>, Failed> {
        self.node(kind, made, from, to, strip).map(Some)
    }
}

impl<B: Bits> DecodedKeys<B> {
    /// A leaf of the keys `from..to` less their first `strip` bytes.
    pub(crate) fn leaf(
        &self,
        made: &mut NewNodes<'_, B>,
        from: usize,
        to: usize,
        strip: usize,
    ) -> Result<Node, Failed> {
        let node = self.node(Kind::Leaf, made, from, to, strip)?;
        // SAFETY: (N4, N5, N6) the node is ours alone, and has these keys.
        unsafe { self.write_values(node, node.info(), from, to) };
        Ok(node)
    }

    /// Writes the values of the keys `from..to` into a leaf that has room for them.
    ///
    /// # Safety
    /// The leaf is ours alone (N4), and `info` its shape.
    pub(crate) unsafe fn write_values(&self, node: Node, info: Info, from: usize, to: usize) {
        for i in from..to {
            // SAFETY: (N4, N6) by the caller.
            unsafe { node.set_value(info, i - from, self.item(i)) };
        }
    }
}

impl DecodedKeys<Child> {
    /// An inner node of the separators `from..to` less their first `strip` bytes, the first child being `first`.
    pub(crate) fn inner<B: Bits>(
        &self,
        made: &mut NewNodes<'_, B>,
        first: Child,
        from: usize,
        to: usize,
        strip: usize,
    ) -> Result<Node, Failed> {
        let node = self.node(Kind::Inner, made, from, to, strip)?;
        // SAFETY: (N4, N6) the node is ours alone, and has these separators.
        unsafe {
            let info = node.info();
            node.slot(info, 0).store(first);
            for i in from..to {
                node.slot(info, i - from + 1).store(self.item(i));
            }
        }
        Ok(node)
    }
}

/// Bytes of imbalance that one byte less of separator is worth.
const SEPARATOR_WEIGHT: usize = 8;

/// Where to cut a run that is too long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    /// Into halves, for keys that come in any order.
    Middle,
    /// As far right as the left part may go, in bytes, for keys that come in ascending order.
    Right(usize),
}
