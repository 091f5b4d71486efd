//! A run: neighbouring keys written out in full, the form in which leaves are split, merged, moved up or down, and built.
//!
//! Every buffer is reserved before it is filled, so that only making a run can fail, not using it.

use super::inner;
use super::leaf::{Leaf, NARROW_LCP, NARROW_LEN};
use super::node::{Child, Info, Node, Usage};
use super::{LEAF_COUNT, LEAF_SIZE, simd};
use crate::value::Bits;
use std::collections::TryReserveError;

/// Sorted keys with their values; all relative to the same path.
pub(crate) struct Run<B> {
    /// The keys, one after the other.
    bytes: Vec<u8>,
    entries: Vec<RunEntry<B>>,
}

#[derive(Clone, Copy)]
struct RunEntry<B> {
    /// Where the key ends in `bytes`.
    end: usize,
    /// Bytes shared with the key before.
    lcp: usize,
    value: B,
}

/// Nodes made by an operation that may still fail: freed when dropped, unless the operation keeps them.
pub(crate) struct Made<'u, B: Bits> {
    pub(crate) usage: &'u mut Usage,
    nodes: Vec<Node>,
    _bits: std::marker::PhantomData<B>,
}

impl<'u, B: Bits> Made<'u, B> {
    /// Room to note `nodes` nodes.
    pub(crate) fn new(usage: &'u mut Usage, nodes: usize) -> Result<Self, TryReserveError> {
        let mut list = Vec::new();
        list.try_reserve_exact(nodes)?;
        Ok(Made { usage, nodes: list, _bits: std::marker::PhantomData })
    }

    pub(crate) fn alloc(&mut self, info: Info) -> Result<Node, Failed> {
        let node = self.usage.alloc::<B>(info).ok_or(Failed(info.size::<B>()))?;
        self.nodes.push(node);
        Ok(node)
    }

    /// The nodes are published: they stay.
    pub(crate) fn keep(&mut self) {
        self.nodes.clear();
    }
}

impl<B: Bits> Drop for Made<'_, B> {
    fn drop(&mut self) {
        for node in self.nodes.drain(..) {
            // SAFETY: (N2) the nodes were never published.
            unsafe { self.usage.free::<B>(node) };
        }
    }
}

/// An allocation of this many bytes failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed(pub(crate) usize);

impl From<TryReserveError> for Failed {
    fn from(_: TryReserveError) -> Failed {
        // The error does not say how much was asked for.
        Failed(0)
    }
}

impl From<Failed> for crate::InsertError {
    fn from(failed: Failed) -> Self {
        crate::InsertError::OutOfMemory { bytes: failed.0 }
    }
}

impl<B: Bits> Run<B> {
    pub(crate) fn new() -> Self {
        Run { bytes: Vec::new(), entries: Vec::new() }
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

    /// Appends a key that shares `lcp` bytes with the last one.
    #[inline]
    pub(crate) fn push(&mut self, lcp: usize, key: &[u8], value: B) {
        self.bytes.extend_from_slice(key);
        self.entries.push(RunEntry { end: self.bytes.len(), lcp, value });
    }

    /// Removes the keys `from..to`.
    pub(crate) fn remove(&mut self, from: usize, to: usize) {
        if to < self.len() {
            self.entries[to].lcp = (from..=to).map(|i| self.lcp(i)).min().unwrap_or(0);
        }
        self.drain(from, to);
    }

    /// Forgets the keys `from..to`, which share with the key behind them what that one shares with the key before.
    pub(crate) fn drain(&mut self, from: usize, to: usize) {
        let (start, end) = (self.start(from), self.start(to));
        self.bytes.drain(start..end);
        self.entries.drain(from..to);
        for entry in &mut self.entries[from..] {
            entry.end -= end - start;
        }
    }

    /// Bytes and entries that [`Run::append`] of this leaf would add, each key with `prepend` bytes before it.
    fn room(leaf: &Leaf<'_>, prepend: usize) -> usize {
        let mut offset = 0;
        let mut bytes = 0;
        for i in 0..leaf.count() {
            let entry = leaf.entry(i, offset);
            offset += entry.rest.len();
            bytes += prepend + entry.lcp + usize::from(entry.first.is_some()) + entry.rest.len();
        }
        bytes
    }

    /// Appends the entries of a leaf, each with `prefix` before it, and `extra` = (gap, key, value) in its place among them.
    ///
    /// # Safety
    /// The leaf is a live leaf of `B` (N1) and its values do not change meanwhile (N3).
    pub(crate) unsafe fn append(
        &mut self,
        leaf: &Leaf<'_>,
        prefix: &[u8],
        extra: Option<(super::leaf::Gap, &[u8], B)>,
    ) -> Result<(), TryReserveError> {
        let added = extra.map_or(0, |(_, key, _)| prefix.len() + key.len());
        self.reserve(leaf.count() + usize::from(extra.is_some()), Self::room(leaf, prefix.len()) + added)?;
        let mut offset = 0;
        let boundary = self.len();
        let extra_at = extra.map(|(gap, ..)| gap.at);
        let mut previous = None; // start in `bytes` of the leaf's previous entry
        for i in 0..=leaf.count() {
            if let (Some((gap, key, value)), true) = (extra, extra_at == Some(i)) {
                self.bytes.extend_from_slice(prefix);
                self.bytes.extend_from_slice(key);
                let lcp = if previous.is_some() { prefix.len() + gap.lcp } else { 0 };
                self.entries.push(RunEntry { end: self.bytes.len(), lcp, value });
            }
            if i == leaf.count() {
                break;
            }
            let entry = leaf.entry(i, offset);
            offset += entry.rest.len();
            let start = self.bytes.len();
            match previous {
                None => self.bytes.extend_from_slice(prefix),
                Some(at) => self.bytes.extend_from_within(at..at + prefix.len() + entry.lcp),
            }
            self.bytes.extend(entry.first);
            self.bytes.extend_from_slice(entry.rest);
            let lcp = match extra {
                Some((gap, ..)) if gap.at == i => prefix.len() + gap.next,
                _ if previous.is_some() => prefix.len() + entry.lcp,
                _ => 0,
            };
            // SAFETY: (N1) by the caller.
            let value = unsafe { leaf.node.value::<B>(leaf.info, i) };
            self.entries.push(RunEntry { end: self.bytes.len(), lcp, value });
            previous = Some(start);
        }
        if boundary > 0 && boundary < self.len() {
            self.entries[boundary].lcp = simd::common_prefix(self.key(boundary - 1), self.key(boundary));
        }
        Ok(())
    }

    /// Shape of a leaf with the keys `from..to` less their first `strip` bytes.
    pub(crate) fn leaf_info(&self, from: usize, to: usize, strip: usize) -> Info {
        let mut rest = 0;
        let mut wide = false;
        for i in from..to {
            let lcp = if i == from { 0 } else { self.lcp(i) - strip };
            let len = (self.key_len(i) - strip - lcp).saturating_sub(1);
            wide |= lcp > NARROW_LCP || len > NARROW_LEN;
            rest += len;
        }
        let empty_first = self.key_len(from) == strip;
        if wide || rest > 0xFFFF {
            Info::wide(to - from, rest, empty_first)
        } else {
            Info::narrow(to - from, to - from, rest, empty_first)
        }
    }

    /// A leaf with the keys `from..to` less their first `strip` bytes.
    pub(crate) fn leaf(&self, made: &mut Made<'_, B>, from: usize, to: usize, strip: usize) -> Result<Node, Failed> {
        let info = self.leaf_info(from, to, strip);
        let node = made.alloc(info)?;
        // SAFETY: (N4, N5) the node is ours alone, of the size `info` says; `write` fills all of it.
        unsafe { self.write(node, info, from, to, strip) };
        Ok(node)
    }

    /// Writes the keys `from..to` less their first `strip` bytes into a leaf that has room for them.
    ///
    /// # Safety
    /// The node is ours alone (N4), and `info` its shape, with capacity for these entries.
    pub(crate) unsafe fn write(&self, node: Node, info: Info, from: usize, to: usize, strip: usize) {
        let n = info.capacity();
        // SAFETY: (N4) by the caller; the offsets follow the payload's layout for `info`.
        unsafe {
            let payload = node.payload_mut(info);
            let mut rest = payload.add(if info.is_wide() { 9 * n } else { 3 * n });
            for i in from..to {
                let lcp = if i == from { 0 } else { self.lcp(i) - strip };
                let suffix = &self.key(i)[strip + lcp..];
                let (&first, tail) = suffix.split_first().unwrap_or((&0, &[]));
                let j = i - from;
                if info.is_wide() {
                    let word = |at: usize, v: usize| {
                        payload.add(4 * at).copy_from_nonoverlapping((v as u32).to_le_bytes().as_ptr(), 4);
                    };
                    word(j, lcp);
                    word(n + j, tail.len());
                    payload.add(8 * n + j).write(first);
                } else {
                    payload.add(j).write(lcp as u8);
                    payload.add(n + j).write(first);
                    payload.add(2 * n + j).write(tail.len() as u8);
                }
                rest.copy_from_nonoverlapping(tail.as_ptr(), tail.len());
                rest = rest.add(tail.len());
                node.set_value(info, j, self.entries[i].value);
            }
        }
    }

    /// Bytes that the keys `from..to` take as a leaf below `strip` bytes, header and padding apart.
    pub(crate) fn cost(&self, from: usize, to: usize, strip: usize) -> usize {
        let mut total = 0;
        for i in from..to {
            total += self.entry_cost(i, if i == from { strip } else { self.lcp(i) });
        }
        total
    }

    /// Bytes that key `i` takes in a leaf when `shared` bytes of it need not be stored there.
    #[inline]
    pub(crate) fn entry_cost(&self, i: usize, shared: usize) -> usize {
        2 + B::SIZE + (self.key_len(i) - shared).max(1)
    }

    /// Whether the keys `from..to` may stand in one leaf.
    pub(crate) fn fits(&self, from: usize, to: usize, strip: usize) -> bool {
        to - from == 1 || (to - from <= LEAF_COUNT && self.cost(from, to, strip) <= LEAF_SIZE)
    }

    /// Leaves and inner nodes for the keys `from..to`, none of which ends at `strip`, as children of a node whose
    /// path is `strip` bytes long: (first byte, child), ascending.
    ///
    /// Recursion ends after a few levels: each has fewer keys than the one above, and a run holds little more than a leaf.
    pub(crate) fn parts(
        &self,
        made: &mut Made<'_, B>,
        (from, to): (usize, usize),
        strip: usize,
        split: Split,
        out: &mut inner::Children,
    ) -> Result<(), Failed> {
        let byte = self.key(from)[strip];
        if self.fits(from, to, strip) {
            out.push(byte, Child::Leaf(self.leaf(made, from, to, strip)?));
            return Ok(());
        }
        if self.halves(made, (from, to), strip, split, out)? {
            return Ok(());
        }
        out.push(byte, Child::Inner(self.inner(made, (from, to), strip + 1, split)?));
        Ok(())
    }

    /// [`Run::parts`] of the two sides of a boundary. Says whether there is one.
    fn halves(
        &self,
        made: &mut Made<'_, B>,
        (from, to): (usize, usize),
        strip: usize,
        split: Split,
        out: &mut inner::Children,
    ) -> Result<bool, Failed> {
        let Some(at) = self.boundary(from, to, strip, split) else { return Ok(false) };
        count!(LeafSplit);
        self.parts(made, (from, at), strip, split, out)?;
        self.parts(made, (at, to), strip, split, out)?;
        Ok(true)
    }

    /// An inner node over the keys `from..to`, which share at least `strip` bytes, those consumed above it.
    pub(crate) fn inner(
        &self,
        made: &mut Made<'_, B>,
        (mut from, to): (usize, usize),
        strip: usize,
        split: Split,
    ) -> Result<Node, Failed> {
        count!(PushDown);
        let path = (from + 1..to).map(|i| self.lcp(i)).min().unwrap_or(self.key_len(from));
        let prefix = &self.key(from)[strip..path];
        let mut end = Child::Empty;
        if self.key_len(from) == path {
            end = Child::Leaf(self.leaf(made, from, from + 1, path)?);
            from += 1;
        }
        let mut children = inner::Children::new();
        if !end.is_empty() && from < to {
            self.parts(made, (from, to), path, split, &mut children)?;
        } else if from < to {
            // Less their prefix the keys may fit in a leaf again, but one child would be none too few.
            self.halves(made, (from, to), path, split, &mut children)?;
        }
        children.settle();
        inner::build(made, prefix, end, &children)
    }

    /// The first key of the right part, where the keys `from..to` are to be cut at a change of byte `strip`.
    pub(crate) fn boundary(&self, from: usize, to: usize, strip: usize, split: Split) -> Option<usize> {
        let total = self.cost(from, to, strip);
        let (mut best, mut best_off, mut left) = (None, usize::MAX, 0usize);
        for i in from..to {
            if i > from && self.lcp(i) == strip {
                let off = match split {
                    Split::Middle => left.abs_diff(total - left),
                    Split::Right if left <= LEAF_SIZE => total - left,
                    Split::Right => usize::MAX - 1,
                };
                if off < best_off {
                    (best, best_off) = (Some(i), off);
                }
            }
            left += self.entry_cost(i, if i == from { strip } else { self.lcp(i) });
        }
        best
    }
}

/// Where to cut a run that is too long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    /// Into halves, for keys that come in any order.
    Middle,
    /// As far right as the left part may go, for keys that come in ascending order.
    Right,
}
