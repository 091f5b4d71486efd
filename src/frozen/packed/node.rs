//! Index nodes.
//!
//! ```text
//!   0  flags (1: wide separators, 2: wide starts)   1  separators n   2  two zeros   4  where child 0 begins, u32
//!   8  lcp[n]  first[n]  len[n]                     a byte each; wide: lcp[n] and len[n], u32 each
//!      starts[n]                                    u16 each, from child 0 on, of children 1..=n; wide: u32 each
//!      the separators behind their lcps             narrow: and behind their first bytes, which are in first
//! ```

use crate::frozen::bytes::{u16_at, u32_at};
use crate::raw::{LANES, checked_candidates, checked_sum, common_prefix};

/// Children of a node, at most.
pub(crate) const FANOUT: usize = 64;
const WIDE_KEYS: u8 = 1;
const WIDE_STARTS: u8 = 2;
const HEADER: usize = 8;
/// Zeros behind the last node, into which vector loads may reach.
pub(crate) const PADDING: usize = 16;

/// A node in its chunk.
#[derive(Clone, Copy)]
struct Node<'a> {
    data: &'a [u8],
    /// Where its arrays begin.
    at: usize,
    n: usize,
    flags: u8,
    base: u32,
}

/// Where a search went on to.
pub(crate) struct Child {
    pub(crate) index: usize,
    pub(crate) offset: usize,
}

impl<'a> Node<'a> {
    #[inline(always)]
    fn read(data: &'a [u8], at: usize) -> Option<Self> {
        let header: &[u8; HEADER] = data.get(at..)?.first_chunk()?;
        let n = usize::from(header[1]);
        (n < FANOUT).then_some(Node { data, at: at + HEADER, n, flags: header[0], base: u32_at(header, 4)? })
    }

    fn is_wide(&self) -> bool {
        self.flags & WIDE_KEYS != 0
    }

    #[inline(always)]
    fn starts(&self) -> usize {
        self.at + self.n * if self.is_wide() { 8 } else { 3 }
    }

    #[inline(always)]
    fn suffixes(&self) -> usize {
        self.starts() + self.n * if self.flags & WIDE_STARTS != 0 { 4 } else { 2 }
    }

    #[inline(always)]
    fn child(&self, index: usize) -> Option<Child> {
        let start = match index.checked_sub(1) {
            None => 0,
            Some(_) if index > self.n => return None,
            Some(before) if self.flags & WIDE_STARTS != 0 => u32_at(self.data, self.starts() + 4 * before)?,
            Some(before) => u16_at(self.data, self.starts() + 2 * before)?.into(),
        };
        Some(Child { index, offset: self.base.checked_add(start)? as usize })
    }

    /// The lcp of separator `i`, and what is behind it.
    fn separator(&self, i: usize) -> Option<(usize, Separator<'a>)> {
        if self.is_wide() {
            let mut at = self.suffixes();
            for j in 0..i {
                at = at.checked_add(u32_at(self.data, self.at + 4 * (self.n + j))? as usize)?;
            }
            let len = u32_at(self.data, self.at + 4 * (self.n + i))? as usize;
            let rest = self.data.get(at..)?.get(..len)?;
            let (&first, rest) = rest.split_first()?;
            return Some((u32_at(self.data, self.at + 4 * i)? as usize, Separator { first, rest }));
        }
        let at = self.suffixes() + self.data.get(self.at + 2 * self.n..)?.get(..i)?.iter().map(|&len| usize::from(len)).sum::<usize>();
        let len = usize::from(*self.data.get(self.at + 2 * self.n + i)?);
        let rest = self.data.get(at..)?.get(..len)?;
        Some((usize::from(*self.data.get(self.at + i)?), Separator { first: *self.data.get(self.at + self.n + i)?, rest }))
    }

    /// The child for `key`, which shares `m` bytes with the last separator above that is not greater, and how many it shares then.
    #[inline(always)]
    fn search(&self, key: &[u8], m: usize) -> Option<(usize, usize)> {
        if self.is_wide() { self.search_wide(key, m) } else { self.search_narrow(key, m) }
    }

    #[inline(always)]
    fn search_narrow(&self, key: &[u8], mut m: usize) -> Option<(usize, usize)> {
        let (n, lcps, firsts, lens) = (self.n, self.at, self.at + self.n, self.at + 2 * self.n);
        // Separators before this one are not greater than the key.
        let mut from = 0;
        'compare: loop {
            // A key that ends here equals the last separator, and the next one is greater.
            let Some(&byte) = key.get(m) else { return Some((from, m)) };
            let mut group = from & !(LANES - 1);
            let hit = loop {
                if group >= n {
                    return Some((n, m));
                }
                let mut hits = checked_candidates(self.data, lcps + group, firsts + group, m.min(255) as u8, byte)?;
                hits &= u64::MAX << from.saturating_sub(group);
                if hits != 0 {
                    break group + hits.trailing_zeros() as usize;
                }
                group += LANES;
            };
            if hit >= n {
                return Some((n, m));
            }
            if usize::from(*self.data.get(lcps + hit)?) < m || *self.data.get(firsts + hit)? > byte {
                return Some((hit, m));
            }
            let (mut at, mut i) = (self.suffixes(), 0);
            while i < hit {
                at += checked_sum(self.data, lens + i, (hit - i).min(LANES))?;
                i += LANES;
            }
            let rest = self.data.get(at..)?.get(..usize::from(*self.data.get(lens + hit)?))?;
            let left = &key[m + 1..];
            let shared = common_prefix(rest, left);
            if shared < rest.len() && left.get(shared).is_none_or(|byte| *byte < rest[shared]) {
                return Some((hit, m));
            }
            m += 1 + shared;
            from = hit + 1;
            continue 'compare;
        }
    }

    #[cold]
    fn search_wide(&self, key: &[u8], mut m: usize) -> Option<(usize, usize)> {
        let mut at = self.suffixes();
        for i in 0..self.n {
            let lcp = u32_at(self.data, self.at + 4 * i)? as usize;
            let rest = self.data.get(at..)?.get(..u32_at(self.data, self.at + 4 * (self.n + i))? as usize)?;
            at += rest.len();
            if lcp > m {
                continue;
            }
            if lcp < m {
                return Some((i, m));
            }
            let left = key.get(m..)?;
            let shared = common_prefix(rest, left);
            if shared < rest.len() && left.get(shared).is_none_or(|byte| *byte < rest[shared]) {
                return Some((i, m));
            }
            m += shared;
        }
        Some((self.n, m))
    }
}

/// A separator behind its lcp.
struct Separator<'a> {
    first: u8,
    rest: &'a [u8],
}

/// A tree of nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree {
    pub(crate) root: u32,
    /// Levels of nodes; 0 where there is one child in all, which begins at `root`.
    pub(crate) height: u8,
}

impl Tree {
    /// The child for `key`, and how many bytes this shares with the separator before it.
    #[inline(always)]
    pub(crate) fn search(self, data: &[u8], key: &[u8]) -> Option<(Child, usize)> {
        let (mut child, mut m) = (Child { index: 0, offset: self.root as usize }, 0);
        for _ in 0..self.height {
            let node = Node::read(data, child.offset)?;
            let (index, shared) = node.search(key, m)?;
            m = shared;
            child = Child { index: child.index * FANOUT + index, offset: node.child(index)?.offset };
        }
        Some((child, m))
    }

    /// The node one level down from `at` on the way to `key`: for searches that go on side by side.
    #[inline(always)]
    pub(crate) fn step(data: &[u8], at: &mut Child, key: &[u8], m: &mut usize) -> Option<()> {
        let node = Node::read(data, at.offset)?;
        let (index, shared) = node.search(key, *m)?;
        *m = shared;
        *at = Child { index: at.index * FANOUT + index, offset: node.child(index)?.offset };
        Some(())
    }

    /// Where child `index` begins.
    pub(crate) fn child(self, data: &[u8], index: usize) -> Option<usize> {
        let mut offset = self.root as usize;
        for level in (0..u32::from(self.height)).rev() {
            offset = Node::read(data, offset)?.child(index / FANOUT.pow(level) % FANOUT)?.offset;
        }
        Some(offset)
    }

    /// The first `len` bytes of the separator before child `index`, into `out`.
    ///
    /// From the last entry backwards: an entry has the bytes from its lcp on, and those before are the last earlier entry's with a smaller lcp.
    pub(crate) fn separator(self, data: &[u8], index: usize, len: usize, out: &mut Vec<u8>) -> Option<()> {
        out.clear();
        // The length comes from the file; the bytes have to be there.
        if len > data.len().saturating_mul(16) {
            return None;
        }
        out.resize(len, 0);
        let mut missing = len;
        for level in 0..u32::from(self.height) {
            if missing == 0 {
                break;
            }
            // The node of this level, counted from below, on the way to the child.
            let mut offset = self.root as usize;
            for above in (level + 1..u32::from(self.height)).rev() {
                offset = Node::read(data, offset)?.child(index / FANOUT.pow(above) % FANOUT)?.offset;
            }
            let node = Node::read(data, offset)?;
            for i in (0..index / FANOUT.pow(level) % FANOUT).rev() {
                let (lcp, separator) = node.separator(i)?;
                if lcp < missing {
                    let part = out.get_mut(lcp..missing)?;
                    part[0] = separator.first;
                    part[1..].copy_from_slice(separator.rest.get(..missing - lcp - 1)?);
                    missing = lcp;
                    if missing == 0 {
                        break;
                    }
                }
            }
        }
        (missing == 0).then_some(())
    }
}

/// Separators and where the children behind them begin, in order.
pub(crate) struct TreeBuilder {
    /// Of each child but the first.
    separators: Vec<u8>,
    ends: Vec<usize>,
    starts: Vec<u32>,
}

impl TreeBuilder {
    /// With the first child, which no separator is before.
    pub(crate) fn new(start: u32) -> Self {
        TreeBuilder { separators: Vec::new(), ends: vec![0], starts: vec![start] }
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
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Tree {
        let mut height = 0;
        let mut level = self;
        while level.starts.len() > 1 {
            let mut above: Option<TreeBuilder> = None;
            for first in (0..level.starts.len()).step_by(FANOUT) {
                let start = out.len() as u32;
                match &mut above {
                    None => above = Some(TreeBuilder::new(start)),
                    Some(above) => above.push(level.separator(first), start),
                }
                level.write(first..level.starts.len().min(first + FANOUT), out);
            }
            level = above.expect("there is a child");
            height += 1;
        }
        Tree { root: level.starts[0], height }
    }

    fn write(&self, children: std::ops::Range<usize>, out: &mut Vec<u8>) {
        let (first, n) = (children.start, children.len() - 1);
        let entries: Vec<(usize, &[u8])> = (first + 1..children.end)
            .map(|child| {
                let (before, separator) = (self.separator(child - 1), self.separator(child));
                let lcp = common_prefix(before, separator);
                (lcp, &separator[lcp..])
            })
            .collect();
        let wide_keys = entries.iter().any(|(lcp, suffix)| *lcp >= 255 || suffix.len() > 255);
        let wide_starts = self.starts[children.end - 1] - self.starts[first] > u16::MAX.into();
        out.extend_from_slice(&[if wide_keys { WIDE_KEYS } else { 0 } | if wide_starts { WIDE_STARTS } else { 0 }, n as u8, 0, 0]);
        out.extend_from_slice(&self.starts[first].to_le_bytes());
        if wide_keys {
            entries.iter().for_each(|(lcp, _)| out.extend_from_slice(&(*lcp as u32).to_le_bytes()));
            entries.iter().for_each(|(_, suffix)| out.extend_from_slice(&(suffix.len() as u32).to_le_bytes()));
        } else {
            out.extend(entries.iter().map(|(lcp, _)| *lcp as u8));
            out.extend(entries.iter().map(|(_, suffix)| suffix[0]));
            out.extend(entries.iter().map(|(_, suffix)| (suffix.len() - 1) as u8));
        }
        for start in &self.starts[first + 1..children.end] {
            let start = start - self.starts[first];
            if wide_starts {
                out.extend_from_slice(&start.to_le_bytes());
            } else {
                out.extend_from_slice(&(start as u16).to_le_bytes());
            }
        }
        entries.iter().for_each(|(_, suffix)| out.extend_from_slice(&suffix[usize::from(!wide_keys)..]));
    }
}
