//! Slots: the pointers to children, their tags and their locks.

use crate::sync::{point, wait};
use crate::tree::node::{Lock, Node, RawSlot, SlotPtr};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

/// The child that a slot leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    Empty,
    Leaf(Node),
    Inner(Node),
}

impl Child {
    /// Returns the node, unless the child is empty.
    #[inline(always)]
    pub(crate) fn node(self) -> Option<Node> {
        match self {
            Child::Empty => None,
            Child::Leaf(node) | Child::Inner(node) => Some(node),
        }
    }
}

/// The tag of a pointer to a leaf.
const LEAF_TAG: usize = 1;
/// The tag of a locked slot.
const LOCK_TAG: usize = 2;

/// A pointer to a child, with two tags.
///
/// One tag tells a leaf from an inner node before the child itself is read. The other one is the
/// slot's lock, which a thread takes before it stores another child. Readers ignore it. So a writer
/// writes only this cache line of the parent, not the header that all readers read, and does not
/// wait for threads that replace other children. The rules are in SAFETY.md, C2 and C3.
#[repr(transparent)]
pub(crate) struct Slot(RawSlot);

impl Slot {
    /// Creates an empty slot.
    pub(crate) fn empty() -> Slot {
        Slot(RawSlot::new(std::ptr::null_mut()))
    }
    #[inline(always)]
    pub(crate) fn load(&self) -> Child {
        point();
        unpack(self.0.load(Acquire))
    }
    /// Locks the slot, and returns `true`. Returns `false`, without locking it, if it does not lead
    /// to `child`.
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

    /// Waits until the slot is unlocked.
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

    /// Stores a child, and unlocks the slot.
    ///
    /// The store is a release, since a reader reads the child's header without further checks.
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

/// A child slot and its parent's lock. The root slot has no parent.
#[derive(Clone, Copy)]
pub(crate) struct SlotRef<'a> {
    pub(crate) parent_lock: Option<&'a Lock>,
    pub(crate) slot: &'a Slot,
}

impl<'a> SlotRef<'a> {
    /// Returns a reference to a tree's root slot.
    #[inline(always)]
    pub(crate) fn root(slot: &'a Slot) -> Self {
        SlotRef { parent_lock: None, slot }
    }
}
