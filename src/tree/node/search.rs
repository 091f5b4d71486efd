//! The search of a node: of an inner node for the child of a key, of a leaf for its entry.
//!
//! A search of front-coded keys keeps `m`, the bytes of the key matched so far. Keys that share
//! more than `m` bytes with the one before differ from the sought key at the same byte as that one:
//! they are skipped. A key that shares less than `m` is greater than the sought key, which is
//! absent. Of the keys that share exactly `m`, the first one whose first byte is at least the next
//! sought byte decides. So no key is ever decoded, and a step is one vector compare of `lcp` and
//! `first`. A wide node is searched key by key.
//!
//! An inner node is searched by its heads first (heads.rs). The rests of a coded leaf (coded.rs)
//! are compared symbol by symbol.
//!
//! On x86-64 the searches are compiled twice: for processors with AVX2, which is found out at run
//! time, and for all.

use crate::symbols::{Coder, Fsst};
use crate::tree::node::heads::{self, Found};
use crate::tree::node::info::WORD_BYTES;
use crate::tree::node::{Gap, Info, Node, NodeRef, simd};
use std::cmp::Ordering;

impl NodeRef<'_> {
    /// Returns the index of the child of a key, which is led to this node.
    #[inline(always)]
    pub(crate) fn child(&self, key: &[u8]) -> usize {
        #[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
        if simd::has_avx2() {
            // SAFETY: (T2) the processor has what the function is compiled for.
            return unsafe { with_avx2::child(self.node, self.info, key) };
        }
        child(self.node, self.info, key)
    }

    /// Returns the entry of a key, which begins with the bytes that the node strips, or the
    /// position at which it would stand.
    #[inline(always)]
    pub(crate) fn search(&self, key: &[u8]) -> Result<usize, Gap> {
        #[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
        if simd::has_avx2() {
            // SAFETY: (T2) the processor has what the function is compiled for.
            return unsafe { with_avx2::search(self.node, self.info, key) };
        }
        search(self.node, self.info, key)
    }
}

#[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
mod with_avx2 {
    use super::*;

    /// As [`super::child`].
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn child(node: Node, info: Info, key: &[u8]) -> usize {
        child_by::<simd::ByAvx2>(node, info, key)
    }

    /// As [`super::search`].
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn search(node: Node, info: Info, key: &[u8]) -> Result<usize, Gap> {
        search_any(node, info, key)
    }
}

/// Returns the index of the child of a key. The caller has a reference to the node.
#[inline(never)]
fn child(node: Node, info: Info, key: &[u8]) -> usize {
    child_by::<simd::ByWords>(node, info, key)
}

/// Returns the entry of a key. The caller has a reference to the node.
#[inline(never)]
fn search(node: Node, info: Info, key: &[u8]) -> Result<usize, Gap> {
    search_any(node, info, key)
}

/// As [`child`], with a way to compare heads.
#[inline(always)]
fn child_by<C: simd::Compare>(node: Node, info: Info, key: &[u8]) -> usize {
    if info.head_words() == 0 {
        return child_by_keys(node, info, key);
    }
    // SAFETY: (N1, N5) the caller has a reference to the node.
    let heads = unsafe { node.heads(info) };
    match heads::find::<C>(heads, info, &key[info.narrow_strip()..]) {
        Found::Child(at) => at,
        Found::Tied(at) => tied_child(node, info, key, at),
        Found::Unknown => child_by_keys(node, info, key),
    }
}

/// Returns the index of the child of a key by the front-coded separators.
#[cold]
#[inline(never)]
fn child_by_keys(node: Node, info: Info, key: &[u8]) -> usize {
    // SAFETY: (N1, N5) the caller has a reference to the node.
    let keys = unsafe { NodeRef::with_info(node, info) };
    child_of(keys.search(key))
}

/// Returns the index of the child of a key, of which a search of the separators found this.
#[inline(always)]
fn child_of(found: Result<usize, Gap>) -> usize {
    match found {
        Ok(separator) => separator + 1,
        Err(gap) => gap.at,
    }
}

/// Returns the index of the child of a key, where the separators before `at` are less than the key,
/// and that at `at` shares all bytes of its head with it.
#[inline(never)]
fn tied_child(node: Node, info: Info, key: &[u8], at: usize) -> usize {
    // SAFETY: (N1, N5) the caller has a reference to the node.
    let payload = unsafe { node.payload(info) };
    let rest = &key[info.narrow_strip()..];
    let (n, m) = (info.count(), WORD_BYTES * info.head_words());
    let (lane, len) = (at % simd::LANES, usize::from(payload[2 * n + at]));
    let rests = 3 * n + simd::long_sum(payload, 2 * n, at - lane);
    let from = rests + simd::sum(payload, 2 * n + at - lane, lane);
    // The separator before is not tied, so this one shares less than `m` bytes with it.
    let skipped = m - usize::from(payload[at]) - 1;
    match Raw.decide(payload, from + skipped, len - skipped, rest, m) {
        Decided::Equal => at + 1,
        Decided::Less(_) => at,
        Decided::Greater(m) => {
            let block = Block { at: at - lane, rests, open: after(lane) };
            child_of(search_blocks(Raw, payload, info, block, rest, m))
        }
    }
}

/// As [`search`].
#[inline(always)]
fn search_any(node: Node, info: Info, key: &[u8]) -> Result<usize, Gap> {
    if info.is_wide() {
        return search_wide(node, info, key);
    }
    let rest = &key[info.narrow_strip()..];
    if rest.is_empty() {
        return search_empty(info);
    }
    // SAFETY: (N1, N5) the caller has a reference to the node.
    let payload = unsafe { node.payload(info) };
    let open = if info.empty_first() { !1 } else { !0 };
    let block = Block { at: 0, rests: 3 * info.capacity(), open };
    if info.is_leaf() && info.is_coded() {
        // SAFETY: (N1, N5) the caller has a reference to the leaf. (N13) Its table outlives it.
        let table = unsafe { &*node.table() };
        return search_blocks(table.decoder(), payload, info, block, rest, 0);
    }
    search_blocks(Raw, payload, info, block, rest, 0)
}

/// As [`search`], for the key that has no more bytes than the strip.
fn search_empty(info: Info) -> Result<usize, Gap> {
    if info.empty_first() { Ok(0) } else { Err(Gap { at: 0, lcp: 0, next: 0 }) }
}

/// A block of entries, where a search is.
struct Block {
    /// The first entry.
    at: usize,
    /// Where its rest begins in the payload.
    rests: usize,
    /// The lanes at which the search may end, as bits.
    open: u64,
}

/// Returns the lanes after one: none if it is the last.
#[inline(always)]
fn after(lane: usize) -> u64 {
    (!0 << lane) << 1
}

/// Searches the entries of a narrow node from a block on, of which those that share `m` bytes with
/// the key may decide.
#[inline(always)]
fn search_blocks(
    rests: impl Rests,
    payload: &[u8],
    info: Info,
    mut block: Block,
    key: &[u8],
    mut m: usize,
) -> Result<usize, Gap> {
    let (n, cap) = (info.count(), info.capacity());
    let values = payload.as_ptr_range().end;
    loop {
        // `m` is less than the key's length: at the key's end `decide` does.
        let byte = key[m];
        let mut found;
        loop {
            let lcp = m.min(0xFF) as u8;
            found = simd::candidates(payload, block.at, cap + block.at, lcp, byte);
            found.any &= block.open;
            if found.any != 0 {
                break;
            }
            if block.at + simd::LANES >= n {
                return Err(Gap { at: n, lcp: m, next: 0 });
            }
            block.rests += simd::sum(payload, 2 * cap + block.at, simd::LANES);
            block.at += simd::LANES;
            block.open = !0;
        }
        let lane = found.any.trailing_zeros() as usize;
        let j = block.at + lane;
        // The last value prefetched here is that of the entry found.
        simd::prefetch(values.wrapping_add(size_of::<u64>() * j));
        if j >= n {
            return Err(Gap { at: n, lcp: m, next: 0 });
        }
        if found.exact >> lane & 1 == 0 {
            return Err(Gap { at: j, lcp: m, next: usize::from(payload[j]) });
        }
        let from = block.rests + simd::sum(payload, 2 * cap + block.at, lane);
        let len = usize::from(payload[2 * cap + j]);
        match rests.decide(payload, from, len, key, m + 1) {
            Decided::Equal => return Ok(j),
            Decided::Less(next) => return Err(Gap { at: j, lcp: m, next }),
            Decided::Greater(more) => m = more,
        }
        block.open = after(lane);
    }
}

/// The order of an entry and the key, both of which begin with the bytes compared so far. With the
/// bytes that they share.
enum Decided {
    Equal,
    /// The key is less than the entry.
    Less(usize),
    /// The key is greater.
    Greater(usize),
}

/// The form of the rests of a node.
trait Rests: Copy {
    /// Compares the rest at `from`, of which `len` bytes are stored, with the key from `m` on.
    fn decide(self, payload: &[u8], from: usize, len: usize, key: &[u8], m: usize) -> Decided;
}

/// Rests that are stored as they are.
#[derive(Clone, Copy)]
struct Raw;

impl Rests for Raw {
    #[inline(always)]
    fn decide(self, payload: &[u8], from: usize, len: usize, key: &[u8], m: usize) -> Decided {
        let left = key.len() - m;
        if len == left && simd::same_end(payload, from + len, key, len) {
            return Decided::Equal;
        }
        let most = len.min(left);
        let shared = match simd::common_window(payload, from, key, m) {
            Some((shared, compared)) if shared < compared || most <= compared => shared.min(most),
            _ => simd::common_prefix(&payload[from..from + len], &key[m..]),
        };
        if shared == left || (shared < most && key[m + shared] < payload[from + shared]) {
            Decided::Less(m + shared)
        } else {
            Decided::Greater(m + shared)
        }
    }
}

/// Rests that are coded by this table.
impl Rests for &Fsst {
    #[inline(always)]
    fn decide(self, payload: &[u8], from: usize, len: usize, key: &[u8], m: usize) -> Decided {
        let (shared, order) = self.compare(&payload[from..from + len], &key[m..]);
        match order {
            Ordering::Equal => Decided::Equal,
            Ordering::Greater => Decided::Less(m + shared),
            Ordering::Less => Decided::Greater(m + shared),
        }
    }
}

/// Searches a wide node.
#[cold]
#[inline(never)]
fn search_wide(node: Node, info: Info, key: &[u8]) -> Result<usize, Gap> {
    // SAFETY: (N1, N5) the caller has a reference to the node.
    let keys = unsafe { NodeRef::with_info(node, info) };
    let key = &key[keys.strip()..];
    if key.is_empty() {
        return search_empty(info);
    }
    let (mut offset, mut m) = (0, 0);
    for i in 0..keys.count() {
        let entry = keys.entry(i, offset);
        let from = keys.rest_at() + offset;
        offset += entry.rest.len();
        let Some(first) = entry.first else { continue };
        if entry.lcp > m {
            continue;
        }
        if entry.lcp < m || first > key[m] {
            return Err(Gap { at: i, lcp: m, next: entry.lcp });
        }
        if first == key[m] {
            match Raw.decide(keys.payload(), from, entry.rest.len(), key, m + 1) {
                Decided::Equal => return Ok(i),
                Decided::Less(next) => return Err(Gap { at: i, lcp: m, next }),
                Decided::Greater(more) => m = more,
            }
        }
    }
    Err(Gap { at: keys.count(), lcp: m, next: 0 })
}
