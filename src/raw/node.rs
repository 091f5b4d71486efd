//! A node: how its bytes are laid out, and the accessors through which everything else reaches them.
//!
//! ```text
//!  leaf   ┌ lock u64 ┬ info u64 ┬ payload: lcp, first, len, rest (leaf.rs) ┬ values, aligned, SIZE bytes each ┐
//!  inner  ┌ lock u64 ┬ info u64 ┬ payload: the prefix ┬ words: separators (inner.rs) ┬ slots: end, child 1.. ┐
//! ```
//!
//! `info` says which of the two it is and how large each part is, so a node knows its own size. The payload is plain
//! memory, written before the node can be reached and unchanged afterwards; info, words, slots and values are atomics
//! of one width. Under `cfg(loom)` the same accessors lead to loom's atomics in a boxed node.

use super::pool::{self, Home};
use crate::value::Bits;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

#[cfg(loom)]
#[path = "node_loom.rs"]
mod memory;
#[cfg(not(loom))]
#[path = "node_std.rs"]
mod memory;

pub(crate) use memory::Node;
use memory::{RawSlot, SlotPtr};

/// Bytes of lock and info.
pub(crate) const HEADER: usize = 16;
/// Every node stands at a multiple of this, which leaves the low bits of a pointer for its tag.
pub(crate) const ALIGN: usize = 16;

/// What a node is and how large its parts are, in one word.
///
/// ```text
///  bit 0..2 home in the pool · 2 leaf · 3 wide · 4 entry 0 is the empty suffix · 8..16 capacity class (inner)
///  16..32 count · leaf: 32..48 entry capacity, 48..64 rest capacity (wide: 32..64 rest bytes) · inner: 32..64 prefix bytes
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Info(pub(crate) u64);

const LEAF: u64 = 1 << 2;
const WIDE: u64 = 1 << 3;
const EMPTY_FIRST: u64 = 1 << 4;

/// Children an inner node may have room for, by capacity class.
pub(crate) const CAPACITIES: [usize; 12] = [4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
/// Above this many children a node has a 256-byte index in the place of sorted separators.
pub(crate) const SORTED_MAX: usize = 48;
/// Words of an indexed node: 256 slot numbers, then a bitmap of the separators.
pub(crate) const INDEX_WORDS: usize = 32 + 4;

impl Info {
    /// A narrow leaf: lengths of one byte, room for `cap` entries and `rest` bytes of suffixes.
    pub(crate) fn narrow(count: usize, cap: usize, rest: usize, empty_first: bool) -> Info {
        debug_assert!(count <= cap && cap <= 0xFFFF && rest <= 0xFFFF);
        Info(
            LEAF | if empty_first { EMPTY_FIRST } else { 0 }
                | (count as u64) << 16
                | (cap as u64) << 32
                | (rest as u64) << 48,
        )
    }

    /// A wide leaf: lengths of four bytes.
    pub(crate) fn wide(count: usize, rest: usize, empty_first: bool) -> Info {
        debug_assert!(count <= 0xFFFF && rest as u64 <= u64::from(u32::MAX));
        Info(
            LEAF | WIDE
                | if empty_first { EMPTY_FIRST } else { 0 }
                | (count as u64) << 16
                | (rest as u64) << 32,
        )
    }

    /// An inner node with `prefix` bytes of prefix.
    pub(crate) fn inner(count: usize, prefix: usize) -> Info {
        let class = CAPACITIES.iter().position(|&c| count <= c).expect("at most 256 children");
        Info((class as u64) << 8 | (count as u64) << 16 | (prefix as u64) << 32)
    }

    #[inline(always)]
    pub(crate) fn is_leaf(self) -> bool {
        self.0 & LEAF != 0
    }
    #[inline(always)]
    pub(crate) fn is_wide(self) -> bool {
        self.0 & WIDE != 0
    }
    /// The first entry's suffix is empty: a key ends here.
    #[inline(always)]
    pub(crate) fn empty_first(self) -> bool {
        self.0 & EMPTY_FIRST != 0
    }
    /// Entries of a leaf, children of an inner node (the end child apart).
    #[inline(always)]
    pub(crate) fn count(self) -> usize {
        (self.0 >> 16) as usize & 0xFFFF
    }
    #[inline(always)]
    pub(crate) fn with_count(self, count: usize) -> Info {
        Info(self.0 & !(0xFFFF << 16) | (count as u64) << 16)
    }
    /// Entries a leaf, children an inner node has room for.
    #[inline(always)]
    pub(crate) fn capacity(self) -> usize {
        if !self.is_leaf() {
            CAPACITIES[(self.0 >> 8) as usize & 0xFF]
        } else if self.is_wide() {
            self.count()
        } else {
            (self.0 >> 32) as usize & 0xFFFF
        }
    }
    /// Suffix bytes a leaf has room for.
    #[inline(always)]
    pub(crate) fn rest(self) -> usize {
        (self.0 >> if self.is_wide() { 32 } else { 48 }) as usize
    }
    #[inline(always)]
    pub(crate) fn prefix_len(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// Bytes of the payload.
    #[inline(always)]
    pub(crate) fn payload_len(self) -> usize {
        if !self.is_leaf() {
            self.prefix_len()
        } else if self.is_wide() {
            9 * self.count() + self.rest()
        } else {
            // A vector load from any element of the three arrays must end inside the payload.
            3 * self.capacity() + self.rest().max(super::simd::LANES)
        }
    }
    /// Where a leaf's bytes begin that its writer need not fill, from the node's start: all of it where there is room
    /// for more entries.
    #[inline(always)]
    pub(crate) fn padding_at(self) -> usize {
        if self.is_wide() {
            HEADER + self.payload_len()
        } else if self.count() < self.capacity() {
            HEADER
        } else {
            HEADER + 3 * self.capacity() + self.rest()
        }
    }
    /// Separator words of an inner node.
    #[inline(always)]
    pub(crate) fn words(self) -> usize {
        if self.is_leaf() {
            0
        } else {
            let cap = self.capacity();
            if cap > SORTED_MAX { INDEX_WORDS } else { cap.div_ceil(8) }
        }
    }
    /// Slots of an inner node, the end slot included.
    #[inline(always)]
    pub(crate) fn slots(self) -> usize {
        if self.is_leaf() { 0 } else { self.capacity() + 1 }
    }
    /// Values of a leaf, as room.
    #[inline(always)]
    pub(crate) fn values(self) -> usize {
        if self.is_leaf() { self.capacity() } else { 0 }
    }
    /// Where the values of `B` begin, from the node's start.
    #[inline(always)]
    pub(crate) fn values_at<B: Bits>(self) -> usize {
        (HEADER + self.payload_len()).next_multiple_of(B::SIZE.max(1))
    }
    /// Where the separator words begin.
    #[inline(always)]
    pub(crate) fn words_at(self) -> usize {
        HEADER + self.payload_len().next_multiple_of(8)
    }
    /// Where the slots begin.
    #[inline(always)]
    pub(crate) fn slots_at(self) -> usize {
        self.words_at() + 8 * self.words()
    }
    /// Bytes of the whole node.
    #[inline(always)]
    pub(crate) fn size<B: Bits>(self) -> usize {
        if self.is_leaf() {
            self.values_at::<B>() + B::SIZE * self.values()
        } else {
            self.slots_at() + size_of::<*mut u8>() * self.slots()
        }
    }

    #[inline(always)]
    pub(crate) fn home(self) -> Home {
        Home::from_bits((self.0 & 3) as u8)
    }
    #[inline(always)]
    pub(crate) fn with_home(self, home: Home) -> Info {
        Info(self.0 & !3 | u64::from(home.to_bits()))
    }
}

/// What a slot leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// Nothing.
    Empty,
    /// A run of keys.
    Leaf(Node),
    /// A branching of keys.
    Inner(Node),
}

impl Child {
    #[inline(always)]
    pub(crate) fn is_leaf(self) -> bool {
        matches!(self, Child::Leaf(_))
    }
    #[inline(always)]
    pub(crate) fn is_empty(self) -> bool {
        matches!(self, Child::Empty)
    }
}

/// Tag of a pointer to a leaf.
const LEAF_TAG: usize = 1;

/// A place that holds a child. The tag tells leaf from inner node before the child itself is touched.
#[repr(transparent)]
pub(crate) struct Slot(RawSlot);

impl Slot {
    /// A slot that leads nowhere.
    pub(crate) fn empty() -> Slot {
        Slot(RawSlot::new(std::ptr::null_mut()))
    }
    #[inline(always)]
    pub(crate) fn load(&self) -> Child {
        unpack(self.0.load(Acquire))
    }
    /// Every store is a release: a reader touches the child's header before it validates the parent.
    #[inline(always)]
    pub(crate) fn store(&self, child: Child) {
        self.0.store(pack(child), Release);
    }
}

#[inline(always)]
fn pack(child: Child) -> SlotPtr {
    match child {
        Child::Empty => std::ptr::null_mut(),
        Child::Leaf(node) => node.as_ptr().map_addr(|a| a | LEAF_TAG),
        Child::Inner(node) => node.as_ptr(),
    }
}

#[inline(always)]
fn unpack(ptr: SlotPtr) -> Child {
    match NonNull::new(ptr.map_addr(|a| a & !LEAF_TAG)) {
        None => Child::Empty,
        Some(node) if ptr.addr() & LEAF_TAG != 0 => Child::Leaf(Node::from_ptr(node)),
        Some(node) => Child::Inner(Node::from_ptr(node)),
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.load() {
            Child::Empty => "Empty",
            Child::Leaf(_) => "Leaf",
            Child::Inner(_) => "Inner",
        })
    }
}

impl Node {
    /// What this node is. Fixed for a leaf; of an inner node the count changes.
    ///
    /// # Safety
    /// The node is live (N1).
    #[inline(always)]
    pub(crate) unsafe fn info(self) -> Info {
        // SAFETY: (N1) by the caller.
        Info(unsafe { self.info_word() }.load(Relaxed))
    }

    /// # Safety
    /// The node is live (N1) and the caller its only writer (N3); `info` differs in the count only.
    #[inline(always)]
    pub(crate) unsafe fn set_info(self, info: Info) {
        // SAFETY: (N1) by the caller.
        unsafe { self.info_word() }.store(info.0, Relaxed);
    }

    /// # Safety
    /// The node is live (N1) and a leaf of `B`; `i` is below its capacity.
    #[inline(always)]
    pub(crate) unsafe fn value<B: Bits>(self, info: Info, i: usize) -> B {
        debug_assert!(i < info.values());
        // SAFETY: (N1) by the caller.
        unsafe { self.load_value(info, i) }
    }

    /// # Safety
    /// As [`Node::value`], and the caller is the only writer (N3).
    #[inline(always)]
    pub(crate) unsafe fn set_value<B: Bits>(self, info: Info, i: usize, value: B) {
        debug_assert!(i < info.values());
        // SAFETY: (N1) by the caller.
        unsafe { self.store_value(info, i, value) }
    }
}

/// Bytes held by nodes, kept by whoever owns the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes of leaf cells.
    pub(crate) leaves: usize,
    /// Bytes of inner nodes' cells.
    pub(crate) inner: usize,
    /// Bytes of leaf cells that no leaf fills.
    pub(crate) slack_leaves: usize,
    /// Bytes of inner nodes' cells that no inner node fills.
    pub(crate) slack_inner: usize,
}

impl Usage {
    /// A node of this shape, its payload, words, slots and values zero; `None` where the allocator has no memory.
    #[inline]
    pub(crate) fn alloc<B: Bits>(&mut self, info: Info) -> Option<Node> {
        let bytes = info.size::<B>();
        let (node, size) = Node::alloc::<B>(info, bytes)?;
        let (cells, slack) = self.kind(info);
        *cells += size;
        *slack += size - bytes;
        Some(node)
    }

    /// Gives a node's memory back.
    ///
    /// # Safety
    /// The node came from [`Usage::alloc`] with this `B`, nobody can reach it any more, and it is freed once (N2).
    #[inline]
    pub(crate) unsafe fn free<B: Bits>(&mut self, node: Node) {
        // SAFETY: (N1) the node is live until the end of this call.
        let info = unsafe { node.info() };
        let bytes = info.size::<B>();
        // SAFETY: (N2) by the caller; the size follows from the info it was allocated with.
        let size = unsafe { node.free(info, bytes) };
        let (cells, slack) = self.kind(info);
        *cells -= size;
        *slack -= size - bytes;
    }

    #[inline]
    fn kind(&mut self, info: Info) -> (&mut usize, &mut usize) {
        if info.is_leaf() {
            (&mut self.leaves, &mut self.slack_leaves)
        } else {
            (&mut self.inner, &mut self.slack_inner)
        }
    }
}

/// Cell of a node of `bytes` bytes.
fn take(bytes: usize) -> Option<pool::Cell> {
    pool::alloc(bytes)
}
