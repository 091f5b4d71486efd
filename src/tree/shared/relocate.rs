//! Compaction of a shared tree: its nodes are moved out of sparse pages of the pool, each as one more replacement, while others go on.
//!
//! Retired nodes come back long after those that took their place were allocated, so a tree that many threads fill stands strewn
//! over more pages than it needs.

use crate::pool;
use crate::reclaim;
use crate::tree::edit::mode::Stop;
use crate::tree::edit::path::{Level, locate};
use crate::tree::edit::pending::{Failed, try_copy};
use crate::tree::edit::relocate::{VISITS, is_idle, relocate};
use crate::tree::node::layout::Usage;
use crate::tree::shared::{Shared, SharedTree};
use crate::value::Bits;

/// The part of what is live that may lie idle after a flush, which is asked for.
const PART: usize = 32;

impl<B: Bits> SharedTree<B> {
    /// Frees what is retired, and moves nodes where that lets much memory come back. Without memory for that they stay.
    pub(crate) fn flush(&self) {
        Self::flush_all(&[self]);
    }

    /// [`flush`](Self::flush) of several trees, whose leaves stand in the same pages: those of all have to move before one is empty.
    pub(crate) fn flush_all(trees: &[&Self]) {
        reclaim::flush();
        let _closed = pool::close();
        if !is_idle(PART) {
            return;
        }
        pool::merge();
        // Says whether another visit may be worth it.
        let visit = || {
            let moved = trees.iter().filter(|tree| tree.compact().unwrap_or(false)).count() > 0;
            reclaim::flush();
            moved && is_idle(PART)
        };
        for _ in 0..VISITS {
            if !visit() {
                break;
            }
        }
        // What is idle now may be a good part of one large slab.
        if is_idle(PART) && pool::narrow() {
            visit();
        }
    }

    /// Moves the leaves, or the inner nodes. For models, whose pool has no pages.
    #[cfg(loom)]
    pub(crate) fn relocate(&self, leaves: bool) -> bool {
        crate::tree::node::layout::with_sparse(leaves, || self.compact().unwrap_or(false))
    }

    /// Moves the nodes that stand in sparse pages. Says whether there were any.
    fn compact(&self) -> Result<bool, Failed> {
        cover!(Compact);
        let (mut from, mut moved) = (Vec::new(), false);
        loop {
            // One pin for the leaves below one node.
            let pin = reclaim::pin_to_write();
            let (levels, ..) = locate(self.root(), &from)?;
            let Some(level) = levels.last() else { return Ok(moved) };
            let mut usage = Usage::default();
            level.keys.prefetch_children();
            // A node after all below it, so that what leads there still holds.
            let last = |level: &&Level<'_>| level.at == level.keys.count();
            let inner = std::iter::once(level)
                .chain(levels.iter().rev().skip(1).take_while(last))
                .map(|level| level.anchor);
            let result = (0..=level.keys.count())
                .map(|i| level.keys.owned(i))
                .chain(inner)
                .try_for_each(|anchor| {
                    // SAFETY: (N1, R1) nodes reached from the root are live while the thread is pinned.
                    match unsafe { relocate::<B, _>(Shared(&pin), &mut usage, anchor) } {
                        Ok(done) => moved |= done,
                        // Who came between has written a new node.
                        Err(Stop::Conflict) => {}
                        Err(Stop::Failed(failed)) => return Err(failed),
                    }
                    Ok(())
                });
            self.count(0, usage);
            result?;
            let Some(high) = level.fences.high() else { return Ok(moved) };
            from = try_copy(high)?;
        }
    }
}
