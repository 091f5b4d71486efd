//! Relocation in a shared tree: nodes are copied out of sparse pages of the pool, each as one more
//! replacement, while other threads go on.
//!
//! Retired nodes are freed long after the nodes that replaced them were allocated, so a tree that
//! many threads fill is spread over more pages than it needs.

use crate::pool;
use crate::reclaim;
use crate::tree::edit::{Failed, MAX_VISITS, is_idle, relocate_group, visit_groups};
use crate::tree::node::Usage;
use crate::tree::shared::SharedTree;
use crate::value::Bits;

/// Memory is reclaimed on request while more than one byte in this many live ones is idle.
const LIVE_PER_IDLE: usize = 32;

impl<B: Bits> SharedTree<B> {
    /// Frees what is retired, and relocates nodes where that lets much memory go back. Without
    /// memory for the copies they stay.
    pub(crate) fn reclaim(&self) {
        Self::reclaim_all(&[self]);
    }

    /// Reclaims memory of several trees, as [`reclaim`](Self::reclaim) does.
    ///
    /// Their leaves stand in the same pages: those of all trees have to move before a page is
    /// empty.
    pub(crate) fn reclaim_all(trees: &[&Self]) {
        reclaim::reclaim();
        let _closed = pool::disable_caches();
        if !is_idle(LIVE_PER_IDLE) {
            return;
        }
        pool::merge_heaps();
        // Returns whether another visit may be worth it.
        let visit = || {
            let moved =
                trees.iter().filter(|tree| tree.relocate_nodes().unwrap_or(false)).count() > 0;
            reclaim::reclaim();
            moved && is_idle(LIVE_PER_IDLE)
        };
        for _ in 0..MAX_VISITS {
            if !visit() {
                break;
            }
        }
        // What is idle now may be a good part of one large slab.
        if is_idle(LIVE_PER_IDLE) && pool::drain_large_slab() {
            visit();
        }
    }

    /// Relocates the leaves, or the inner nodes. For models, whose pool has no pages.
    #[cfg(memkv_loom)]
    pub(crate) fn relocate(&self, leaves: bool) -> bool {
        crate::tree::node::memory::with_sparse(leaves, || self.relocate_nodes().unwrap_or(false))
    }

    /// Relocates the nodes in sparse pages. Returns whether there were any.
    fn relocate_nodes(&self) -> Result<bool, Failed> {
        visit_groups(|from| {
            // One pin for the leaves below one node.
            let pin = reclaim::pin_to_write();
            let mut usage = Usage::default();
            // SAFETY: (N1, R1) nodes reached from the root are live while the thread is pinned.
            let visit = unsafe { relocate_group::<B, _>(self.target(&pin, &mut usage), from) };
            self.count(0, usage);
            visit
        })
    }
}
