//! A node: how its bytes are laid out, and the accessors through which everything else reaches them.
//!
//! ```text
//!  leaf   ┌ info u64 ┬ payload: keys, front-coded (keys.rs)       ┬ values, aligned, SIZE bytes each ┐
//!  inner  ┌ info u64 ┬ payload: separators, front-coded (keys.rs) ┬ slots: children, one more        ┐
//! ```
//!
//! `info` says which of the two it is and how large each part is, so a node knows its own size. The payload is plain
//! memory, written before the node can be reached and unchanged afterwards; info, slots and values are atomics of one width.
//! Under `cfg(loom)` the same accessors lead to loom's atomics in a boxed node.

use crate::pool::Origin;
use crate::sync::{point, wait};
use crate::value::Bits;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

#[cfg(loom)]
#[path = "memory_loom.rs"]
mod memory;
#[cfg(not(loom))]
#[path = "memory_std.rs"]
mod memory;

pub(crate) use memory::Node;
#[cfg(loom)]
pub(crate) use memory::with_sparse;
use memory::{RawSlot, SlotPtr};

/// Bytes of the info word.
pub(crate) const HEADER: usize = 8;
/// What a node is and how large its parts are, in one word.
///
/// ```text
///  bit 0..2 home in the pool · 2 leaf · 3 wide · 4 key 0 is empty · 5..7 the lock (lock.rs) · 8..16 count
///  narrow: 16..24 capacity, 24..40 bytes of rest, 40..64 strip · wide: 16..48 bytes of rest, strip in the payload
/// ```
///
/// The strip is the number of bytes that every key below has in common and that the node leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Info(pub(crate) u64);

const LEAF: u64 = 1 << 2;
const WIDE: u64 = 1 << 3;
const EMPTY_FIRST: u64 = 1 << 4;

/// What distinguishes two nodes of the same sizes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Leaf,
    Inner,
}

impl Info {
    /// Keys a node may have at most.
    pub(crate) const MAX_COUNT: usize = 0xFF;
    /// The largest strip of a narrow node.
    pub(crate) const NARROW_STRIP: usize = 0xFF_FFFF;

    /// A narrow node: lengths of one byte, room for `capacity` keys and `rest` bytes of suffixes.
    pub(crate) fn narrow(
        kind: Kind,
        count: usize,
        capacity: usize,
        rest: usize,
        strip: usize,
        empty_first: bool,
    ) -> Info {
        debug_assert!(
            count <= capacity
                && capacity <= Self::MAX_COUNT
                && rest <= 0xFFFF
                && strip <= Self::NARROW_STRIP
        );
        Info(
            Self::flags(kind, empty_first)
                | (count as u64) << 8
                | (capacity as u64) << 16
                | (rest as u64) << 24
                | (strip as u64) << 40,
        )
    }

    /// A wide node: lengths of four bytes.
    ///
    /// # Panics
    /// If a length does not fit: the node's size would be wrong (N6).
    pub(crate) fn wide(kind: Kind, count: usize, rest: usize, empty_first: bool) -> Info {
        assert!(
            count <= Self::MAX_COUNT && rest as u64 <= u64::from(u32::MAX),
            "a node of {count} keys and {rest} bytes"
        );
        Info(Self::flags(kind, empty_first) | WIDE | (count as u64) << 8 | (rest as u64) << 16)
    }

    fn flags(kind: Kind, empty_first: bool) -> u64 {
        (if kind == Kind::Leaf { LEAF } else { 0 }) | (if empty_first { EMPTY_FIRST } else { 0 })
    }

    #[inline(always)]
    pub(crate) fn kind(self) -> Kind {
        if self.is_leaf() { Kind::Leaf } else { Kind::Inner }
    }
    #[inline(always)]
    pub(crate) fn is_leaf(self) -> bool {
        self.0 & LEAF != 0
    }
    #[inline(always)]
    pub(crate) fn is_wide(self) -> bool {
        self.0 & WIDE != 0
    }
    /// Key 0 is the empty one, or was before the strip.
    #[inline(always)]
    pub(crate) fn empty_first(self) -> bool {
        self.0 & EMPTY_FIRST != 0
    }
    /// Keys of a leaf, separators of an inner node.
    #[inline(always)]
    pub(crate) fn count(self) -> usize {
        (self.0 >> 8) as usize & 0xFF
    }
    #[inline(always)]
    pub(crate) fn with_count(self, count: usize) -> Info {
        Info(self.0 & !(0xFF << 8) | (count as u64) << 8)
    }
    /// Keys there is room for.
    #[inline(always)]
    pub(crate) fn capacity(self) -> usize {
        if self.is_wide() { self.count() } else { (self.0 >> 16) as usize & 0xFF }
    }
    /// Suffix bytes there is room for, the first byte of each apart.
    #[inline(always)]
    pub(crate) fn rest(self) -> usize {
        if self.is_wide() {
            (self.0 >> 16) as usize & 0xFFFF_FFFF
        } else {
            (self.0 >> 24) as usize & 0xFFFF
        }
    }
    /// The strip of a narrow node.
    #[inline(always)]
    pub(crate) fn narrow_strip(self) -> usize {
        debug_assert!(!self.is_wide());
        (self.0 >> 40) as usize
    }

    /// Bytes of the payload.
    #[inline(always)]
    pub(crate) fn payload_len(self) -> usize {
        if self.is_wide() {
            4 + 9 * self.count() + self.rest()
        } else {
            // A vector load from any element of the three arrays must end inside the payload.
            3 * self.capacity() + self.rest().max(crate::tree::node::simd::LANES)
        }
    }
    /// Where the payload's bytes begin that its writer need not fill, from the node's start: all of it where there is room for more keys.
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
    /// Slots of an inner node: a child before each separator, and one behind the last.
    #[inline(always)]
    pub(crate) fn slots(self) -> usize {
        if self.is_leaf() { 0 } else { self.capacity() + 1 }
    }
    /// Values a leaf has room for.
    #[inline(always)]
    pub(crate) fn values(self) -> usize {
        if self.is_leaf() { self.capacity() } else { 0 }
    }
    /// Where the values of `B` begin, from the node's start.
    #[inline(always)]
    pub(crate) fn values_at<B: Bits>(self) -> usize {
        (HEADER + self.payload_len()).next_multiple_of(B::SIZE.max(1))
    }
    /// Where the slots begin.
    #[inline(always)]
    pub(crate) fn slots_at(self) -> usize {
        (HEADER + self.payload_len()).next_multiple_of(size_of::<*mut u8>())
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
    pub(crate) fn home(self) -> Origin {
        Origin::from_bits((self.0 & 3) as u8)
    }
    #[inline(always)]
    pub(crate) fn with_home(self, home: Origin) -> Info {
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
    /// The node itself.
    #[inline(always)]
    pub(crate) fn node(self) -> Option<Node> {
        match self {
            Child::Empty => None,
            Child::Leaf(node) | Child::Inner(node) => Some(node),
        }
    }
}

/// Tag of a pointer to a leaf.
const LEAF_TAG: usize = 1;
/// Tag of a slot that is locked.
const LOCK_TAG: usize = 2;

/// A place that holds a child. The tag tells leaf from inner node before the child itself is touched.
///
/// Who is about to store another child locks the slot by a second tag, which readers do not see: so it writes this one cache line of the owner, and not
/// the one that all readers read, and need not wait for those who replace other children. The rules are in SAFETY.md, C2 and C3.
#[repr(transparent)]
pub(crate) struct Slot(RawSlot);

impl Slot {
    /// A slot that leads nowhere.
    pub(crate) fn empty() -> Slot {
        Slot(RawSlot::new(std::ptr::null_mut()))
    }
    #[inline(always)]
    pub(crate) fn load(&self) -> Child {
        point();
        unpack(self.0.load(Acquire))
    }
    /// Waits for the slot's lock. `false`: it does not lead to `child`, and is not locked.
    #[inline]
    pub(crate) fn lock(&self, child: Child) -> bool {
        let (mut round, mut free) = (0, pack(child));
        loop {
            point();
            match self.0.compare_exchange_weak(
                free,
                free.map_addr(|a| a | LOCK_TAG),
                SeqCst,
                Relaxed,
            ) {
                Ok(_) => {
                    cover!(LockTaken);
                    return true;
                }
                Err(other) => {
                    let other = other.map_addr(|a| a & !LOCK_TAG);
                    if other != free && !mutant!(ChildNotCompared) {
                        return false;
                    }
                    free = other;
                    wait(round);
                }
            }
            round += 1;
        }
    }

    /// Waits until nobody has the lock.
    #[inline(always)]
    pub(crate) fn wait(&self) {
        let mut round = 0;
        loop {
            point();
            if self.0.load(SeqCst).addr() & LOCK_TAG == 0 {
                return;
            }
            wait(round);
            round += 1;
        }
    }

    /// Every store is a release: a reader touches the child's header before it validates anything. It also unlocks the slot.
    #[inline(always)]
    pub(crate) fn store(&self, child: Child) {
        point();
        self.0.store(pack(child), if mutant!(SlotRelaxed) { Relaxed } else { Release });
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
    match NonNull::new(ptr.map_addr(|a| a & !(LEAF_TAG | LOCK_TAG))) {
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
    /// Gives back a node that [`Usage::forget`] was told of.
    ///
    /// # Safety
    /// As for [`Usage::free`] (N2).
    pub(crate) unsafe fn free_late<B: Bits>(self) {
        // SAFETY: (N1, N2) by the caller.
        unsafe {
            let info = self.info();
            self.free(info, info.size::<B>(), true);
        }
    }

    /// What this node is. Fixed, but for the count of a leaf with room to spare.
    ///
    /// # Safety
    /// The node is live (N1).
    #[inline(always)]
    pub(crate) unsafe fn info(self) -> Info {
        // SAFETY: (N1) by the caller.
        Info(unsafe { self.info_word() })
    }

    /// # Safety
    /// The node is live (N1) and the caller its only writer (N3); `info` differs in the count only.
    #[inline(always)]
    pub(crate) unsafe fn set_info(self, info: Info) {
        // SAFETY: (N1, N3) by the caller.
        unsafe { self.set_info_word(info.0) };
    }

    /// # Safety
    /// The node is live (N1) and a leaf of `B`; `i` is below its count (N5, N6).
    #[inline(always)]
    pub(crate) unsafe fn value<B: Bits>(self, info: Info, i: usize) -> B {
        debug_assert!(i < info.values());
        // SAFETY: (N1, N5, N6) by the caller.
        unsafe { self.load_value(info, i) }
    }

    /// # Safety
    /// The node is live (N1) and a leaf of `B`, `i` is below its capacity (N6), and the caller is the only writer (N3).
    #[inline(always)]
    pub(crate) unsafe fn set_value<B: Bits>(self, info: Info, i: usize, value: B) {
        debug_assert!(i < info.values());
        // SAFETY: (N1, N3, N6) by the caller.
        unsafe { self.store_value(info, i, value) }
    }
}

/// Bytes held by nodes, kept by whoever owns the tree; or how these change, modulo the word size.
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
        *cells = cells.wrapping_add(size);
        *slack = slack.wrapping_add(size - bytes);
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
        let size = unsafe { node.free(info, bytes, false) };
        self.subtract(info, size, bytes);
    }

    /// No longer counts a node that someone else will free by [`Node::free_late`]. Gives the bytes of its cell.
    ///
    /// # Safety
    /// The node is live (N1) and came from [`Usage::alloc`] with this `B`.
    pub(crate) unsafe fn forget<B: Bits>(&mut self, node: Node) -> usize {
        // SAFETY: (N1) by the caller.
        unsafe {
            let info = node.info();
            let bytes = info.size::<B>();
            let size = node.cell_size(info, bytes);
            self.subtract(info, size, bytes);
            size
        }
    }

    #[inline]
    fn subtract(&mut self, info: Info, size: usize, bytes: usize) {
        let (cells, slack) = self.kind(info);
        *cells = cells.wrapping_sub(size);
        *slack = slack.wrapping_sub(size - bytes);
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
