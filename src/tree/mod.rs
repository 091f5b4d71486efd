//! The tree: a prefix B+-tree of front-coded nodes, all leaves equally deep.
//!
//! ```text
//!   slot ─▶ inner node                      leaf
//!           ┌──────────────────────┐        ┌──────────────────────┐
//!           │ lcp   first   len    │        │ lcp   first   len    │   coding.rs
//!           │ suffix bytes         │   ┌───▶│ suffix bytes         │
//!           │ children, one more ──┼───┘    │ values               │   layout.rs
//!           └──────────────────────┘        └──────────────────────┘
//! ```
//!
//! An inner node's keys are separators: the child before separator `i` has the keys below it, the
//! child after it has the keys from it on. A separator is the shortest string that tells its
//! neighbours apart. Both kinds of node leave out the bytes that all keys below them share.
//!
//! A radix tree has one byte a level; here separators are whole strings. Thanks to front coding one
//! search distinguishes up to 65 children, however long their common prefixes are, so a few levels
//! reach millions of keys.
//!
//! Shortest separators and stripped prefixes: Bayer and Unterauer, "Prefix B-trees", 1977. Runs of
//! keys as leaves: Heinz, Zobel and Williams, "Burst tries", 2002; Askitis and Zobel, "B-tries for
//! disk-based string management", 2009.
//!
//! * `node`: one node: layout, coding, lock, slots. `coder`: the symbol tables of coded leaves.
//! * `read`: lookups, cursors, split points, the check of invariants.
//! * `edit`: edits: each prepares new nodes, which may fail, and then commits by stores only.
//! * `shared`: the tree that many threads edit. `values`: a shared tree of values of any type.
//!
//! SAFETY.md numbers the invariants that `unsafe` blocks cite.

mod coder;
mod edit;
mod node;
mod read;
mod shared;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use coder::LeafCoder;
pub(crate) use edit::bulk::Builder;
pub(crate) use edit::mode::{Expected, Outcome};
pub(crate) use node::layout::Usage;
#[cfg(feature = "storage")]
pub(crate) use node::simd::{LANES, checked_candidates, checked_sum};
pub(crate) use node::simd::{common_prefix, prefetch};
pub(crate) use read::cursors::{OwnedCursors, RawCursor, RawRange, WriteCursor};
pub(crate) use read::get::EntryPos;
pub(crate) use shared::SharedTree;
#[cfg(feature = "_testing")]
pub(crate) use shared::restarts;
pub(crate) use shared::scan::{LeafRun, Position, Scan, ScanSource};
pub use values::Ref;
pub(crate) use values::{Change, Drain, PinnedTree, ValueCursor, ValueRef, ValueTree};
#[cfg(memkv_loom)]
pub use values::{FilledSlot, ModelSlots};

use crate::value::Bits;
use edit::append_mode::AppendMode;
use node::slot::Slot;
use std::sync::Arc;

/// The bytes of a leaf, all in all, above which it is split.
pub(crate) const MAX_LEAF_BYTES: usize = 1792;
/// The keys of a leaf above which it is split. In a model few keys must make several levels.
pub(crate) const MAX_LEAF_KEYS: usize = if cfg!(any(memkv_loom, memkv_shuttle)) { 3 } else { 192 };
/// The bytes of an inner node above which it is split.
pub(crate) const MAX_INNER_BYTES: usize = 768;
/// The separators of an inner node above which it is split.
pub(crate) const MAX_INNER_SEPARATORS: usize =
    if cfg!(any(memkv_loom, memkv_shuttle)) { 3 } else { 64 };
/// The bytes of a slot.
pub(crate) const SLOT_BYTES: usize = size_of::<*mut u8>();

/// The length of the longest key, in bytes: 1 GiB. Sizes inside the tree are 32-bit.
pub const MAX_KEY_LEN: usize = 1 << 30;

/// The tree, with the counts of its owner.
pub(crate) struct RawTree<B: Bits> {
    root: Slot,
    len: usize,
    usage: Usage,
    append_mode: AppendMode,
    /// The most bytes of leaves since the last relocation.
    peak_leaf_bytes: usize,
    /// The symbol tables by which leaves are coded, if they are. They outlive the nodes (N13).
    coder: Option<Arc<LeafCoder>>,
    _bits: std::marker::PhantomData<B>,
}

// SAFETY: (N7) nodes are reached through the tree alone, which follows the rules of borrowing as a
// whole: shared, it only reads.
unsafe impl<B: Bits> Send for RawTree<B> {}
// SAFETY: (N7) as above.
unsafe impl<B: Bits> Sync for RawTree<B> {}

impl<B: Bits> RawTree<B> {
    pub(crate) fn new() -> Self {
        Self::with_coder(LeafCoder::of_default())
    }

    /// Creates an empty tree, whose leaves are coded if there is a coder.
    pub(crate) fn with_coder(coder: Option<Arc<LeafCoder>>) -> Self {
        RawTree {
            root: Slot::empty(),
            len: 0,
            usage: Usage::default(),
            append_mode: AppendMode::new(),
            peak_leaf_bytes: 0,
            coder,
            _bits: std::marker::PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// Returns what codes the leaves.
    pub(crate) fn coder(&self) -> Option<&Arc<LeafCoder>> {
        self.coder.as_ref()
    }

    /// Gives the tree the coder that other trees share, or shares its own if they have none.
    pub(crate) fn share_coder(&mut self, shared: &mut Option<Arc<LeafCoder>>) {
        if self.coder.is_none() {
            self.coder.clone_from(shared);
        }
        if shared.is_none() {
            shared.clone_from(&self.coder);
        }
    }

    /// Returns the bytes on the heap other than nodes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.append_mode.heap_bytes() + self.coder.as_ref().map_or(0, |coder| coder.heap_bytes())
    }
}
