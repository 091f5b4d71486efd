//! A leaf: a run of neighbouring keys, front-coded. Everything in it is relative to the path above.
//!
//! ```text
//!  narrow payload   lcp u8 × cap │ first u8 × cap │ len u8 × cap │ rest bytes │ to 16 bytes at least
//!  wide payload     lcp u32 × n  │ len u32 × n    │ first u8 × n │ rest bytes
//! ```
//!
//! Entry `i` shares `lcp[i]` bytes with entry `i - 1`; its suffix, what follows them, is `first[i]` and then `len[i]` bytes
//! of the rest. Keys are distinct and ascend, so only the first entry can have an empty suffix, which a flag in the
//! header says.
//!
//! A search keeps `m`, the bytes of the key matched so far. Entries that share more than `m` bytes with the entry before differ
//! from the key where that one did: skip them. One that shares less lies behind the key: absent. Of those that share just `m`, the first
//! whose first byte is at least the key's next decides. So no entry is ever decoded, and a step is a vector compare over
//! `lcp` and `first` (front coding as in Askitis and Zobel's B-tries, 2009).
//!
//! A leaf whose lengths do not fit a byte is wide and searched entry by entry.

use super::node::{Info, Node, Usage};
use super::simd;
use crate::value::Bits;

/// Largest lcp of a narrow leaf; one less than a byte holds, so that a clamped `m` never equals one.
pub(crate) const NARROW_LCP: usize = 254;
/// Largest rest length of a narrow leaf.
pub(crate) const NARROW_LEN: usize = 255;

/// A leaf, its header read.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<'a> {
    pub(crate) node: Node,
    pub(crate) info: Info,
    payload: &'a [u8],
}

/// Where an absent key would stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The entry it would stand before.
    pub(crate) at: usize,
    /// Bytes it shares with the entry before that.
    pub(crate) lcp: usize,
    /// Bytes it shares with the entry at `at`, 0 where there is none.
    pub(crate) next: usize,
}

/// One entry's front coding.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) lcp: usize,
    /// `None` for the empty suffix.
    pub(crate) first: Option<u8>,
    pub(crate) rest: &'a [u8],
}

impl<'a> Leaf<'a> {
    /// # Safety
    /// The node is a live leaf, published or written, for `'a` (N1, N5).
    #[inline(always)]
    pub(crate) unsafe fn new(node: Node) -> Leaf<'a> {
        // SAFETY: (N1, N5) by the caller.
        unsafe {
            let info = node.info();
            debug_assert!(info.is_leaf());
            Leaf { node, info, payload: node.payload(info) }
        }
    }

    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        self.info.count()
    }

    #[inline(always)]
    fn u32_at(&self, i: usize) -> usize {
        u32::from_le_bytes(self.payload[4 * i..4 * i + 4].try_into().unwrap()) as usize
    }

    #[inline(always)]
    pub(crate) fn lcp(&self, i: usize) -> usize {
        if self.info.is_wide() { self.u32_at(i) } else { self.payload[i].into() }
    }

    #[inline(always)]
    fn len(&self, i: usize) -> usize {
        if self.info.is_wide() {
            self.u32_at(self.count() + i)
        } else {
            self.payload[2 * self.info.capacity() + i].into()
        }
    }

    #[inline(always)]
    pub(crate) fn first(&self, i: usize) -> u8 {
        self.payload[if self.info.is_wide() { 8 * self.count() } else { self.info.capacity() } + i]
    }

    #[inline(always)]
    fn rest_at(&self) -> usize {
        if self.info.is_wide() { 9 * self.count() } else { 3 * self.info.capacity() }
    }

    /// Rest bytes of the entries before `i`.
    pub(crate) fn offset(&self, i: usize) -> usize {
        if self.info.is_wide() {
            (0..i).map(|j| self.len(j)).sum()
        } else {
            simd::sum(self.payload, 2 * self.info.capacity(), 0, i)
        }
    }

    /// Entry `i`, whose rest begins at `offset`.
    #[inline(always)]
    pub(crate) fn entry(&self, i: usize, offset: usize) -> Entry<'a> {
        let from = self.rest_at() + offset;
        let empty = i == 0 && self.info.empty_first();
        Entry {
            lcp: self.lcp(i),
            first: if empty { None } else { Some(self.first(i)) },
            rest: &self.payload[from..from + self.len(i)],
        }
    }

    /// Asks for the lines that a search reads first.
    #[inline(always)]
    pub(crate) fn prefetch(node: Node) {
        for line in 0..4 {
            simd::prefetch(node.address().wrapping_add(64 * line));
        }
    }

    /// The entry of `key`, or where it would stand.
    #[inline(always)]
    pub(crate) fn search(&self, key: &[u8]) -> Result<usize, Gap> {
        if key.is_empty() {
            return if self.info.empty_first() { Ok(0) } else { Err(Gap { at: 0, lcp: 0, next: 0 }) };
        }
        if self.info.is_wide() { self.search_wide(key) } else { self.search_narrow(key) }
    }

    #[inline(always)]
    fn search_narrow(&self, key: &[u8]) -> Result<usize, Gap> {
        let (n, cap) = (self.count(), self.info.capacity());
        let (mut i, mut offset, mut m) = (usize::from(self.info.empty_first()), 3 * cap, 0);
        loop {
            // `m` is below the key's length: where the key ends, the comparison below has decided.
            let byte = key[m];
            let j = simd::candidate(self.payload, 0, cap, i, n, m.min(0xFF) as u8, byte);
            if j == n {
                return Err(Gap { at: n, lcp: m, next: 0 });
            }
            let lcp = usize::from(self.payload[j]);
            if lcp < m || self.payload[cap + j] != byte {
                return Err(Gap { at: j, lcp: m, next: lcp });
            }
            offset += simd::sum(self.payload, 2 * cap, i, j);
            let len = usize::from(self.payload[2 * cap + j]);
            match compare(&self.payload[offset..offset + len], &key[m + 1..]) {
                Compared::Equal => return Ok(j),
                Compared::Before(c) => return Err(Gap { at: j, lcp: m, next: m + 1 + c }),
                Compared::Behind(c) => m += 1 + c,
            }
            offset += len;
            i = j + 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn search_wide(&self, key: &[u8]) -> Result<usize, Gap> {
        let (mut offset, mut m) = (0, 0);
        for i in 0..self.count() {
            let entry = self.entry(i, offset);
            offset += entry.rest.len();
            let Some(first) = entry.first else { continue };
            if entry.lcp > m {
                continue;
            }
            if entry.lcp < m || first > key[m] {
                return Err(Gap { at: i, lcp: m, next: entry.lcp });
            }
            if first == key[m] {
                match compare(entry.rest, &key[m + 1..]) {
                    Compared::Equal => return Ok(i),
                    Compared::Before(c) => return Err(Gap { at: i, lcp: m, next: m + 1 + c }),
                    Compared::Behind(c) => m += 1 + c,
                }
            }
        }
        Err(Gap { at: self.count(), lcp: m, next: 0 })
    }

    /// The entry that is the longest prefix of `key`, and its length: the last one behind which the search for `key` goes on with all of it matched.
    pub(crate) fn longest_prefix(&self, key: &[u8]) -> Option<(usize, usize)> {
        let mut best = self.info.empty_first().then_some((0, 0));
        let (mut offset, mut m) = (0, 0);
        for i in 0..self.count() {
            let entry = self.entry(i, offset);
            offset += entry.rest.len();
            let Some(first) = entry.first else { continue };
            if entry.lcp > m {
                continue;
            }
            if entry.lcp < m || m == key.len() || first > key[m] {
                break;
            }
            if first == key[m] {
                let shared = simd::common_prefix(entry.rest, &key[m + 1..]);
                if shared == entry.rest.len() {
                    best = Some((i, m + 1 + shared));
                } else if m + 1 + shared == key.len() || key[m + 1 + shared] < entry.rest[shared] {
                    break;
                }
                m += 1 + shared;
            }
        }
        best
    }

    /// Bytes of this leaf with `key` inserted at `gap`, where it stays narrow.
    #[inline(always)]
    pub(crate) fn grown(&self, key: &[u8], gap: Gap) -> Option<Info> {
        if self.info.is_wide() || key.is_empty() || gap.lcp > NARROW_LCP || key.len() - gap.lcp - 1 > NARROW_LEN {
            return None;
        }
        let n = self.count();
        let mut rest = self.offset(n) + key.len() - gap.lcp - 1;
        if gap.at < n {
            if gap.next > NARROW_LCP {
                return None;
            }
            rest -= gap.next - self.lcp(gap.at);
        }
        (rest <= 0xFFFF).then(|| Info::narrow(n + 1, n + 1, rest, self.info.empty_first()))
    }

    /// A copy of this leaf with `key` inserted at `gap`, of the shape that [`Leaf::grown`] gave; `None`: no memory.
    ///
    /// # Safety
    /// No value of this leaf changes meanwhile (N3).
    #[inline(always)]
    pub(crate) unsafe fn with<B: Bits>(&self, usage: &mut Usage, info: Info, key: &[u8], gap: Gap, value: B) -> Option<Node> {
        let node = usage.alloc::<B>(info)?;
        let (n, cap, at) = (self.count(), self.info.capacity(), gap.at);
        // What the entry behind loses to its longer lcp.
        let lost = if at < n { gap.next - self.lcp(at) } else { 0 };
        let old = |array: usize, i: usize| array * cap + i;
        let offset = simd::sum(self.payload, 2 * cap, 0, at);
        let rest = &key[gap.lcp + 1..];
        // SAFETY: (N4) the new node is ours alone and has the size that `info` says; the sums below follow `info`.
        unsafe {
            let to = node.payload_mut(info);
            let new = |array: usize, i: usize| to.add(array * (n + 1) + i);
            let src = self.payload.as_ptr();
            for array in 0..3 {
                src.add(old(array, 0)).copy_to_nonoverlapping(new(array, 0), at);
                src.add(old(array, at)).copy_to_nonoverlapping(new(array, at + 1), n - at);
            }
            new(0, at).write(gap.lcp as u8);
            new(1, at).write(key[gap.lcp]);
            new(2, at).write(rest.len() as u8);
            let (from, mut dst) = (src.add(3 * cap), to.add(3 * (n + 1)));
            from.copy_to_nonoverlapping(dst, offset);
            dst = dst.add(offset);
            rest.as_ptr().copy_to_nonoverlapping(dst, rest.len());
            dst = dst.add(rest.len());
            if lost > 0 {
                new(0, at + 1).write(gap.next as u8);
                new(1, at + 1).write(self.payload[3 * cap + offset + lost - 1]);
                new(2, at + 1).write(self.payload[2 * cap + at] - lost as u8);
            }
            let tail = info.rest() - offset - rest.len();
            from.add(offset + lost).copy_to_nonoverlapping(dst, tail);
            Node::copy_values::<B>(self.node, self.info, 0, node, info, 0, at);
            node.set_value(info, at, value);
            Node::copy_values::<B>(self.node, self.info, at, node, info, at + 1, n - at);
        }
        Some(node)
    }

    /// The shape of a copy without entry `at`, where it stays narrow.
    pub(crate) fn shrunk(&self, at: usize) -> Option<Info> {
        if self.info.is_wide() {
            return None;
        }
        let n = self.count();
        let empty_first = self.info.empty_first() && at != 0;
        let (mut rest, gained) = (self.offset(n) - self.len(at), self.gained(at));
        if at + 1 < n {
            if self.len(at + 1) + gained > NARROW_LEN {
                return None;
            }
            rest += gained;
        }
        Some(Info::narrow(n - 1, n - 1, rest, empty_first))
    }

    /// Bytes by which the suffix of the entry behind `at` grows when `at` goes.
    fn gained(&self, at: usize) -> usize {
        if at + 1 < self.count() { self.lcp(at + 1).saturating_sub(self.lcp(at)) } else { 0 }
    }

    /// A copy of this leaf without entry `at`, of the shape that [`Leaf::shrunk`] gave; `None`: no memory.
    ///
    /// # Safety
    /// No value of this leaf changes meanwhile (N3).
    pub(crate) unsafe fn without<B: Bits>(&self, usage: &mut Usage, info: Info, at: usize) -> Option<Node> {
        let node = usage.alloc::<B>(info)?;
        let (n, cap, gained) = (self.count(), self.info.capacity(), self.gained(at));
        let offset = simd::sum(self.payload, 2 * cap, 0, at);
        let len = self.len(at);
        // SAFETY: (N4) as in `with`.
        unsafe {
            let to = node.payload_mut(info);
            let new = |array: usize, i: usize| to.add(array * (n - 1) + i);
            let src = self.payload.as_ptr();
            for array in 0..3 {
                src.add(array * cap).copy_to_nonoverlapping(new(array, 0), at);
                src.add(array * cap + at + 1).copy_to_nonoverlapping(new(array, at), n - 1 - at);
            }
            let (from, mut dst) = (src.add(3 * cap), to.add(3 * (n - 1)));
            from.copy_to_nonoverlapping(dst, offset);
            dst = dst.add(offset);
            let mut tail = offset + len;
            if gained > 0 {
                // The removed suffix begins with the bytes that the entry behind shared with it alone.
                new(0, at).write(self.payload[at]);
                new(1, at).write(self.payload[cap + at]);
                new(2, at).write(self.payload[2 * cap + at + 1] + gained as u8);
                from.add(offset).copy_to_nonoverlapping(dst, gained - 1);
                dst.add(gained - 1).write(self.payload[cap + at + 1]);
                dst = dst.add(gained);
            }
            let end = offset + len + info.rest() - offset - gained;
            from.add(tail).copy_to_nonoverlapping(dst, end - tail);
            tail = end;
            debug_assert_eq!(tail, self.offset(n));
            Node::copy_values::<B>(self.node, self.info, 0, node, info, 0, at);
            Node::copy_values::<B>(self.node, self.info, at + 1, node, info, at, n - 1 - at);
        }
        Some(node)
    }
}

/// How a key's remainder stands to an entry's.
enum Compared {
    Equal,
    /// The key sorts before the entry; they share this many bytes.
    Before(usize),
    /// The key sorts behind the entry; they share this many bytes.
    Behind(usize),
}

#[inline(always)]
fn compare(entry: &[u8], key: &[u8]) -> Compared {
    let c = simd::common_prefix(entry, key);
    if c == key.len() {
        if c == entry.len() { Compared::Equal } else { Compared::Before(c) }
    } else if c < entry.len() && key[c] < entry[c] {
        Compared::Before(c)
    } else {
        Compared::Behind(c)
    }
}
