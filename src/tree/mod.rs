//! The tree: nodes of front-coded keys, all leaves equally deep, as raw bytes and the operations on it, one a file.
//!
//! ```text
//!   slot ─▶ inner node                      leaf
//!           ┌──────────────────────┐        ┌──────────────────────┐
//!           │ lcp   first   len    │        │ lcp   first   len    │   keys.rs: the front coding, the same in both
//!           │ suffix bytes         │   ┌───▶│ suffix bytes         │   node.rs: the layout
//!           │ children, one more ──┼───┘    │ values               │
//!           └──────────────────────┘        └──────────────────────┘
//! ```
//!
//! An inner node's keys are separators: the child before separator `i` has the keys below it, the child behind it those from it on.
//! A separator is the shortest string that tells its neighbours apart. Both kinds of node leave out the bytes that all keys below
//! them share.
//!
//! Separators of whole strings, where a radix tree has one byte a level: with front coding one search tells a hundred children
//! apart, however long the prefixes are that they share, so that a few levels reach millions of keys.
//!
//! Shortest separators and stripped prefixes: Bayer and Unterauer, "Prefix B-trees", 1977. Runs of keys below a trie, from which the
//! leaves come: Heinz, Zobel and Williams, "Burst tries", 2002; Askitis and Zobel, "B-tries for disk-based string management", 2009.
//!
//! A change prepares new nodes first, which may fail and publishes nothing, and then commits by stores only. All `unsafe` of
//! the library is in this folder, but for `guard` and the mapping of files; SAFETY.md numbers what it rests on.

mod edit;
mod node;
mod read;
mod shared;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use edit::bulk::Builder;
pub(crate) use edit::mode::{Expected, Outcome};
pub(crate) use node::layout::Usage;
#[cfg(feature = "storage")]
pub(crate) use node::simd::{LANES, checked_candidates, checked_sum};
pub(crate) use node::simd::{common_prefix, prefetch};
pub(crate) use read::cursor::{OwnedCursors, RawCursor, WriteCursor};
pub(crate) use read::get::EntryPos;
pub(crate) use shared::SharedTree;
pub(crate) use shared::cursor::SharedCursor;
#[cfg(feature = "_testing")]
pub(crate) use shared::restarts;
pub use values::Ref;
pub(crate) use values::{Change, Drain, PinnedTree, ValueCursor, ValueRef, ValueTree};

use crate::value::Bits;
use edit::append_mode::AppendMode;
use node::layout::Slot;

/// Bytes that a leaf may take before it is split, all in all.
pub(crate) const LEAF_SIZE: usize = 1792;
/// Keys that a leaf may have before it is split. In a model a few keys must make a tree of several levels.
pub(crate) const LEAF_COUNT: usize = if cfg!(any(loom, shuttle)) { 3 } else { 192 };
/// Bytes that an inner node may take before it is split.
pub(crate) const INNER_SIZE: usize = 768;
/// Separators that an inner node may have before it is split.
pub(crate) const INNER_COUNT: usize = if cfg!(any(loom, shuttle)) { 3 } else { 64 };
/// Bytes of a slot.
pub(crate) const SLOT: usize = size_of::<*mut u8>();

/// The longest key, in bytes: 1 GiB. Sizes inside the tree are 32-bit.
pub const MAX_KEY_LEN: usize = 1 << 30;

/// The tree and what its owner counts.
pub(crate) struct RawTree<B: Bits> {
    root: Slot,
    len: usize,
    usage: Usage,
    append_mode: AppendMode,
    /// The most bytes of leaves since the last compaction.
    most: usize,
    _bits: std::marker::PhantomData<B>,
}

// SAFETY: (N7) nodes are reached through the tree alone, which follows the rules of borrowing as a whole: shared, it only reads.
unsafe impl<B: Bits> Send for RawTree<B> {}
// SAFETY: (N7) as above.
unsafe impl<B: Bits> Sync for RawTree<B> {}

impl<B: Bits> RawTree<B> {
    pub(crate) fn new() -> Self {
        RawTree {
            root: Slot::empty(),
            len: 0,
            usage: Usage::default(),
            append_mode: AppendMode::new(),
            most: 0,
            _bits: std::marker::PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// Bytes on the heap besides nodes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.append_mode.heap_bytes()
    }
}
