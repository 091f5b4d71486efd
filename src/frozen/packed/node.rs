//! Index nodes.
//!
//! ```text
//!   0  flags (1: wide)   1  separators n   2  two zeros   4  offset of child 0, u32
//!   8  length of the prefix, u32
//!  12  ends[0..=n]      start of separator i and end of separator i − 1, after the prefix;
//!                       u16, wide: u32
//!      starts[0..=n]    offset of child i, relative to child 0; u16, wide: u32
//!      prefix           common prefix of all separators
//!      the separators without the prefix
//! ```
//!
//! [`NODE_PADDING_BYTES`] zeros follow the last node.

use super::prefetch::prefetch_node;
use crate::tree::common_prefix;
use crate::words::{u32_at, u64_at};

/// Most children of a node.
pub(crate) const NODE_FANOUT: usize = 64;
const WIDE_NODE: u8 = 1;
const NODE_HEADER_BYTES: usize = 12;
/// Bytes after a separator that can be read.
pub(crate) const NODE_PADDING_BYTES: usize = 8;

/// A node in its chunk, with words of `W` bytes.
#[derive(Clone, Copy)]
struct IndexNode<'a, const W: usize> {
    base: u32,
    ends: &'a [[u8; W]],
    starts: &'a [[u8; W]],
    prefix: &'a [u8],
    /// The separators without the prefix, and what follows the node.
    rest: &'a [u8],
}

/// Runs code for a node of either width.
macro_rules! with_node {
    ($data:expr, $at:expr, $node:ident => $body:expr) => {{
        let (header, body) = $data.get($at..)?.split_first_chunk::<NODE_HEADER_BYTES>()?;
        if header[0] & WIDE_NODE == 0 {
            let $node = IndexNode::<2>::read(header, body)?;
            $body
        } else {
            let $node = IndexNode::<4>::read(header, body)?;
            $body
        }
    }};
}

/// A child that a search has reached: its number in its level, and its offset.
pub(crate) struct Child {
    pub(crate) index: usize,
    pub(crate) offset: usize,
}

/// What is known of a key above a node.
struct KeyAbove<'k> {
    key: &'k [u8],
    /// The bytes that it shares with the separator before the node.
    m: usize,
    /// The bytes that it shares at least with all separators of the node.
    known: usize,
}

impl<'a, const W: usize> IndexNode<'a, W> {
    #[inline(always)]
    fn read(header: &[u8; NODE_HEADER_BYTES], body: &'a [u8]) -> Option<Self> {
        let children = usize::from(header[1]) + 1;
        let (ends, body) = body.split_at_checked(W * children)?;
        let (starts, body) = body.split_at_checked(W * children)?;
        let (prefix, rest) = body.split_at_checked(u32_at(header, 8)? as usize)?;
        Some(IndexNode {
            base: u32_at(header, 4)?,
            ends: ends.as_chunks().0,
            starts: starts.as_chunks().0,
            prefix,
            rest,
        })
    }

    #[inline(always)]
    fn word(word: &[u8; W]) -> usize {
        word.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte))
    }

    /// Returns the offset of a child.
    #[inline(always)]
    fn child(&self, index: usize) -> Option<usize> {
        (self.base as usize).checked_add(Self::word(self.starts.get(index)?))
    }

    /// Returns the bounds of a separator in `rest`.
    #[inline(always)]
    fn bounds(&self, i: usize) -> Option<(usize, usize)> {
        let [start, end] = self.ends.get(i..)?.first_chunk()?;
        Some((Self::word(start), Self::word(end)))
    }

    /// Returns the bytes of the node, or `None` if it does not have `children` children, is not
    /// whole, or does not lead to `below`.
    fn check(&self, children: usize, below: Option<&[usize]>) -> Option<usize> {
        let ends = || self.ends.iter().map(Self::word);
        let last = ends().next_back()?;
        let is_right = self.ends.len() == children
            && ends().next()? == 0
            && ends().is_sorted()
            && last <= self.rest.len()
            && below.is_none_or(|below| {
                (0..children).map(|i| self.child(i)).eq(below.iter().map(|&at| Some(at)))
            });
        is_right.then_some(NODE_HEADER_BYTES + 2 * W * children + self.prefix.len() + last)
    }

    /// Returns the child for `key`, and the number of bytes that the key shares with the last
    /// separator that is not greater. That is `m` if none of this node's separators is.
    ///
    /// `left` and `right` are the numbers of bytes that the key shares with the two separators
    /// between which the search continues. All separators between them share at least the smaller
    /// number.
    #[inline(always)]
    fn search(&self, key: &[u8], m: usize) -> Option<(usize, usize)> {
        self.search_from(key, m, 0)
    }

    /// Searches as [`search`](Self::search) does, for a key of which `known` bytes are known to be
    /// those of every separator, as far as these go.
    #[inline(always)]
    fn search_from(&self, key: &[u8], m: usize, known: usize) -> Option<(usize, usize)> {
        let known = known.min(self.prefix.len());
        let shared = known + common_prefix(self.prefix.get(known..)?, key.get(known..)?);
        if shared < self.prefix.len() {
            let greater = key.get(shared).is_some_and(|byte| *byte > self.prefix[shared]);
            return Some(if greater { (self.ends.len() - 1, shared) } else { (0, m) });
        }
        let key = key.get(shared..)?;
        let (mut low, mut high, mut left, mut right) = (0, self.ends.len() - 1, 0, 0);
        while low < high {
            let middle = (low + high) / 2;
            let (start, end) = self.bounds(middle)?;
            let known = left.min(right);
            let (shared, not_greater) = compare(self.rest, start, end, key, known)?;
            if not_greater {
                (low, left) = (middle + 1, shared);
            } else {
                (high, right) = (middle, shared);
            }
        }
        Some((low, if low == 0 { m } else { self.prefix.len() + left }))
    }

    /// Returns the length of separator `i`.
    fn len(&self, i: usize) -> Option<usize> {
        let (start, end) = self.bounds(i)?;
        Some(self.prefix.len() + end.checked_sub(start)?)
    }

    /// Returns how many bytes separator `i` shares with `key`, which is a prefix of a later one.
    fn shared(&self, i: usize, key: &[u8]) -> Option<usize> {
        let Some(key) = key.get(self.prefix.len()..) else { return Some(key.len()) };
        let (start, end) = self.bounds(i)?;
        Some(self.prefix.len() + common_prefix(self.rest.get(start..end)?, key))
    }
}

/// Returns how many bytes `text[start..end]` and `key` share, of which `known` are known, and
/// whether the former is not greater.
#[inline(always)]
fn compare(
    text: &[u8],
    start: usize,
    end: usize,
    key: &[u8],
    known: usize,
) -> Option<(usize, bool)> {
    // Most differ within a word.
    if let (Some(a), Some(b)) = (u64_at(text, start.wrapping_add(known)), u64_at(key, known)) {
        let shared = known + (a ^ b).trailing_zeros() as usize / 8;
        if shared >= end.saturating_sub(start) {
            return Some((end.checked_sub(start)?, true));
        }
        if a != b {
            return Some((shared, a.swap_bytes() < b.swap_bytes()));
        }
    }
    let separator = text.get(start..end)?;
    let shared = known + common_prefix(separator.get(known..)?, key.get(known..)?);
    Some((shared, separator.get(shared) <= key.get(shared)))
}

/// A tree of index nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexTree {
    pub(crate) root: u32,
    /// Levels of nodes; 0 if there is only one child, which begins at `root`.
    pub(crate) height: u8,
}

impl IndexTree {
    /// Returns the child for `key`, and the number of bytes that the key shares with the separator
    /// before it.
    #[inline(always)]
    pub(crate) fn search(self, data: &[u8], key: &[u8]) -> Option<(Child, usize)> {
        let (mut child, mut m) = (Child { index: 0, offset: self.root as usize }, 0);
        for _ in 0..self.height {
            prefetch_node(data, child.offset);
            Self::step(data, &mut child, key, &mut m)?;
        }
        Some((child, m))
    }

    /// Moves from a node to the child for `key`.
    #[inline(always)]
    pub(crate) fn step(data: &[u8], at: &mut Child, key: &[u8], m: &mut usize) -> Option<()> {
        with_node!(data, at.offset, node => {
            let (index, shared) = node.search(key, *m)?;
            *m = shared;
            *at = Child { index: at.index * NODE_FANOUT + index, offset: node.child(index)? };
        });
        Some(())
    }

    /// Passes the children that may have a prefix of `key` to `visit`, the last one first, until it
    /// returns something.
    ///
    /// With each child go the longest prefix of `key` that it may have, and the number of bytes
    /// that this shares with the separator before the child. As in trees in memory, a child between
    /// two separators that share equally much with the key is passed over.
    ///
    /// # Complexity
    /// One search of each node on the way to a child that is visited. All searches of a level
    /// together compare O(`key.len()`) bytes for each child of a node.
    pub(crate) fn walk_back<R>(
        self,
        data: &[u8],
        key: &[u8],
        visit: &mut impl FnMut(&Child, &[u8], usize) -> Option<R>,
    ) -> Option<R> {
        let at = Child { index: 0, offset: self.root as usize };
        Self::walk_node_back(data, self.height, &KeyAbove { key, m: 0, known: 0 }, &at, visit)
    }

    fn walk_node_back<R>(
        data: &[u8],
        height: u8,
        above: &KeyAbove<'_>,
        at: &Child,
        visit: &mut impl FnMut(&Child, &[u8], usize) -> Option<R>,
    ) -> Option<R> {
        let &KeyAbove { mut key, m, mut known } = above;
        let Some(below) = height.checked_sub(1) else { return visit(at, key, m) };
        with_node!(data, at.offset, node => {
            let (mut i, mut shared) = node.search_from(key, m, known)?;
            loop {
                let is_prefix = i > 0 && node.len(i - 1)? == shared;
                if i == 0 || is_prefix || key.len() > shared {
                    let child = Child { index: at.index * NODE_FANOUT + i, offset: node.child(i)? };
                    let above = KeyAbove { key, m: shared, known: known.min(shared) };
                    let found = Self::walk_node_back(data, below, &above, &child, visit);
                    if found.is_some() {
                        return found;
                    }
                }
                i = i.checked_sub(1)?;
                // The separator itself is in the child after it.
                key = key.get(..shared.checked_sub(usize::from(is_prefix))?)?;
                shared = if i == 0 { m.min(key.len()) } else { node.shared(i - 1, key)? };
                // The separator after the next child begins with the key.
                known = key.len();
            }
        })
    }

    /// Returns the offset of the node on the way to child `index`, in a level counted from the
    /// lowest.
    fn node(self, data: &[u8], level: u32, index: usize) -> Option<usize> {
        let mut offset = self.root as usize;
        for above in (level..u32::from(self.height)).skip(1).rev() {
            let child = index / NODE_FANOUT.pow(above) % NODE_FANOUT;
            offset = with_node!(data, offset, node => node.child(child)?);
        }
        Some(offset)
    }

    /// Returns the offset of child `index`.
    pub(crate) fn child(self, data: &[u8], index: usize) -> Option<usize> {
        if self.height == 0 {
            return Some(self.root as usize);
        }
        with_node!(data, self.node(data, 0, index)?, node => node.child(index % NODE_FANOUT))
    }

    /// Writes the first `len` bytes of the separator before child `index` to `out`.
    pub(crate) fn separator(
        self,
        data: &[u8],
        index: usize,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        out.clear();
        if len == 0 {
            return Some(());
        }
        let [prefix, rest] = self.separator_parts(data, index)?;
        let from_prefix = prefix.len().min(len);
        out.extend_from_slice(&prefix[..from_prefix]);
        out.extend_from_slice(rest.get(..len - from_prefix)?);
        Some(())
    }

    /// Returns the separator before child `index` as two strings, which follow each other. It is in
    /// the lowest node in which the child is not the first.
    pub(crate) fn separator_parts(self, data: &[u8], index: usize) -> Option<[&[u8]; 2]> {
        for level in 0..u32::from(self.height) {
            if let Some(before) = (index / NODE_FANOUT.pow(level) % NODE_FANOUT).checked_sub(1) {
                return with_node!(data, self.node(data, level, index)?, node => {
                    let (start, end) = node.bounds(before)?;
                    Some([node.prefix, node.rest.get(start..end)?])
                });
            }
        }
        None
    }

    /// Returns the height of a tree of `children` children.
    pub(crate) fn height_of(children: usize) -> u8 {
        let (mut height, mut level) = (0, children);
        while level > 1 {
            (height, level) = (height + 1, level.div_ceil(NODE_FANOUT));
        }
        height
    }

    /// Returns the least number of bytes that the nodes over `children` children take, with the
    /// zeros after them.
    pub(crate) fn least_bytes(children: usize) -> usize {
        let (mut bytes, mut level) = (NODE_PADDING_BYTES, children);
        while level > 1 {
            let nodes = level.div_ceil(NODE_FANOUT);
            bytes += nodes * NODE_HEADER_BYTES + level * 4;
            level = nodes;
        }
        bytes
    }

    /// Checks the nodes of a tree of `children` children, which end `data`: nodes are adjacent,
    /// level by level, and as full as the number of children says. Returns the offset of the first
    /// node.
    ///
    /// Does not check the offsets of the tree's children, nor what the separators are. No two nodes
    /// share a byte afterwards, so each separator can be read once in O(bytes).
    pub(crate) fn check(self, data: &[u8], children: usize) -> Option<usize> {
        let end = data.len().checked_sub(NODE_PADDING_BYTES)?;
        if self.height != Self::height_of(children) || data[end..].iter().any(|&byte| byte != 0) {
            return None;
        }
        let first = if self.height == 0 { end } else { self.node(data, 0, 0)? };
        let (mut at, mut level, mut below) = (first, children, None);
        for _ in 0..self.height {
            let mut nodes = Vec::new();
            for child in (0..level).step_by(NODE_FANOUT) {
                let children = child..level.min(child + NODE_FANOUT);
                nodes.push(at);
                let expected = below.as_ref().map(|below: &Vec<usize>| &below[children.clone()]);
                let bytes = with_node!(data, at, node => node.check(children.len(), expected)?);
                // Flags and zeros.
                if data[at] > WIDE_NODE || data[at + 2..at + 4] != [0; 2] {
                    return None;
                }
                at += bytes;
            }
            (level, below) = (nodes.len(), Some(nodes));
        }
        let is_root = below.is_none_or(|nodes| nodes == [self.root as usize]);
        (at == end && is_root).then_some(first)
    }
}

/// Builds a tree from separators and the offsets of the children after them, in order.
pub(crate) struct IndexTreeBuilder {
    /// The separator before each child but the first.
    separators: Vec<u8>,
    ends: Vec<usize>,
    starts: Vec<u32>,
}

impl IndexTreeBuilder {
    /// Starts with the first child, which has no separator.
    pub(crate) fn new(start: u32) -> Self {
        IndexTreeBuilder { separators: Vec::new(), ends: vec![0], starts: vec![start] }
    }

    pub(crate) fn push(&mut self, separator: &[u8], start: u32) {
        self.separators.extend_from_slice(separator);
        self.ends.push(self.separators.len());
        self.starts.push(start);
    }

    fn separator(&self, child: usize) -> &[u8] {
        match child {
            0 => &[],
            _ => &self.separators[self.ends[child - 1]..self.ends[child]],
        }
    }

    /// Appends the nodes to `out`, level by level.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> IndexTree {
        let mut height = 0;
        let mut level = self;
        while level.starts.len() > 1 {
            let mut above: Option<IndexTreeBuilder> = None;
            for first in (0..level.starts.len()).step_by(NODE_FANOUT) {
                let start = out.len() as u32;
                match &mut above {
                    None => above = Some(IndexTreeBuilder::new(start)),
                    Some(above) => above.push(level.separator(first), start),
                }
                level.write(first..level.starts.len().min(first + NODE_FANOUT), out);
            }
            level = above.expect("a level has a node");
            height += 1;
        }
        IndexTree { root: level.starts[0], height }
    }

    fn write(&self, children: std::ops::Range<usize>, out: &mut Vec<u8>) {
        let (first, last) = (children.start, children.end - 1);
        let base = self.starts[first];
        let prefix = if first < last {
            common_prefix(self.separator(first + 1), self.separator(last))
        } else {
            0
        };
        let rest = |child: usize| &self.separator(child)[prefix..];
        let mut ends = vec![0];
        (first + 1..=last)
            .for_each(|child| ends.push(ends[child - first - 1] + rest(child).len() as u32));
        let starts: Vec<u32> = self.starts[first..=last].iter().map(|start| start - base).collect();
        let wide = ends.iter().chain(&starts).any(|&word| word > u16::MAX.into());
        out.extend_from_slice(&[if wide { WIDE_NODE } else { 0 }, (last - first) as u8, 0, 0]);
        out.extend_from_slice(&base.to_le_bytes());
        out.extend_from_slice(&(prefix as u32).to_le_bytes());
        for &word in ends.iter().chain(&starts) {
            if wide {
                out.extend_from_slice(&word.to_le_bytes());
            } else {
                out.extend_from_slice(&(word as u16).to_le_bytes());
            }
        }
        if first < last {
            out.extend_from_slice(&self.separator(last)[..prefix]);
        }
        (first + 1..=last).for_each(|child| out.extend_from_slice(rest(child)));
    }
}
