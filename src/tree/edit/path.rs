//! The path from the root to a leaf, with the fence keys of each node on it.
//!
//! A node's fence keys are the separators to its left and right, from whichever node above has
//! them. All its keys lie between them, so they begin with the bytes that the fence keys share.
//! These are the bytes that the node may strip, and a key that is led there begins with them too.

use crate::tree::edit::{Failed, try_copy};
use crate::tree::node::{Child, NodeRef, SlotRef, simd};

/// The path that a key takes.
pub(crate) struct Path<'a> {
    pub(crate) root: SlotRef<'a>,
    /// The inner nodes, from the root down.
    pub(crate) levels: Vec<PathLevel<'a>>,
    /// The slot of the leaf.
    pub(crate) anchor: SlotRef<'a>,
    /// The fence keys of the leaf.
    pub(crate) fences: Fences,
}

/// An inner node on the path.
pub(crate) struct PathLevel<'a> {
    /// The slot that leads to it.
    pub(crate) anchor: SlotRef<'a>,
    pub(crate) keys: NodeRef<'a>,
    /// The position of the child taken.
    pub(crate) at: usize,
    /// The node's own fence keys.
    pub(crate) fences: Fences,
}

/// The bounds of a node's keys: the lower one inclusive, the upper one exclusive.
#[derive(Default)]
pub(crate) struct Fences {
    pub(crate) low: Option<Vec<u8>>,
    pub(crate) high: Option<Vec<u8>>,
}

/// Returns the number of bytes that two fence keys share, and with them all keys between.
pub(crate) fn strip(low: Option<&[u8]>, high: Option<&[u8]>) -> usize {
    match (low, high) {
        (Some(low), Some(high)) => simd::common_prefix(low, high),
        _ => 0,
    }
}

impl Fences {
    pub(crate) fn low(&self) -> Option<&[u8]> {
        self.low.as_deref()
    }

    pub(crate) fn high(&self) -> Option<&[u8]> {
        self.high.as_deref()
    }

    pub(crate) fn strip(&self) -> usize {
        strip(self.low(), self.high())
    }
}

impl<'a> PathLevel<'a> {
    /// Returns separator `i` as a whole key. `stripped` begins with the bytes that the node strips.
    pub(crate) fn separator(&self, i: usize, stripped: &[u8]) -> Result<Vec<u8>, Failed> {
        Ok(self.keys.key(i, stripped)?)
    }

    /// Returns the fence keys around the children `from..=to`. `key` is led to this node.
    pub(crate) fn fences_of(&self, from: usize, to: usize, key: &[u8]) -> Result<Fences, Failed> {
        let low = match from.checked_sub(1) {
            Some(i) => Some(self.separator(i, key)?),
            None => self.fences.low().map(try_copy).transpose()?,
        };
        let high = if to < self.keys.count() {
            Some(self.separator(to, key)?)
        } else {
            self.fences.high().map(try_copy).transpose()?
        };
        Ok(Fences { low, high })
    }
}

/// Returns the path to the leaf of `key`.
///
/// A slot leads to the same range of keys whatever node is in it, so the path also holds while
/// other threads change the tree (C1).
pub(crate) fn locate<'a>(root: SlotRef<'a>, key: &[u8]) -> Result<Path<'a>, Failed> {
    let (mut levels, mut anchor, mut fences) = (Vec::new(), root, Fences::default());
    while let Child::Inner(node) = anchor.slot.load() {
        // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed, or
        // while the thread is pinned (R1).
        let keys = unsafe { NodeRef::new(node) };
        let at = keys.child(key);
        let level = PathLevel { anchor, keys, at, fences };
        fences = level.fences_of(at, at, key)?;
        levels.try_reserve(1)?;
        levels.push(level);
        anchor = keys.slot_ref(at);
    }
    Ok(Path { root, levels, anchor, fences })
}
