//! Compaction of a shared tree: its leaves are moved out of sparse pages of the pool, each as one more replacement, while others go on.
//!
//! Retired leaves come back long after those that took their place were allocated, so a tree that many threads fill stands strewn
//! over more pages than it needs. Inner nodes, a few in a hundred bytes, stay where they are.

use super::change::{Owned, Stop, replace_leaf};
use super::clear::copy_keys;
use super::compact::{VISITS, is_idle};
use super::keys::Keys;
use super::node::{Child, Usage};
use super::path::{copy, locate};
use super::run::Failed;
use super::shared::{Shared, SharedTree};
use crate::guard;
use crate::value::Bits;

impl<B: Bits> SharedTree<B> {
    /// Frees what is retired, and moves leaves where that lets much memory come back. Without memory for that they stay.
    pub(crate) fn flush(&self) {
        guard::flush();
        for _ in 0..VISITS {
            if !is_idle() || !self.compact().unwrap_or(false) {
                break;
            }
            guard::flush();
        }
    }

    /// Moves the leaves that stand in sparse pages. Says whether there were any.
    fn compact(&self) -> Result<bool, Failed> {
        count!(Compact);
        let (mut from, mut moved) = (Vec::new(), false);
        loop {
            // One pin for the leaves below one node.
            let pin = guard::pin_to_write();
            let (levels, ..) = locate(self.root(), &from)?;
            let Some(level) = levels.last() else { return Ok(moved) };
            let mut usage = Usage::default();
            let result: Result<(), Failed> = (0..=level.keys.count()).try_for_each(|i| {
                moved |= Self::relocate(Shared(&pin), &mut usage, level.keys.owned(i))?;
                Ok(())
            });
            self.count(0, usage);
            result?;
            let Some(high) = level.fences.high() else { return Ok(moved) };
            from = copy(high)?;
        }
    }

    /// Moves the leaf in a slot if it had better move, and nobody else replaces it.
    fn relocate(mode: Shared<'_>, usage: &mut Usage, top: Owned<'_>) -> Result<bool, Failed> {
        let Child::Leaf(node) = top.slot.load() else { return Ok(false) };
        // SAFETY: (N1, N5, R1) nodes reached from the root are live while the thread is pinned. (N4) The copy is ours alone until it is
        // published, with room for the same values; (N2) and is given back if it is not.
        unsafe {
            if !node.is_sparse() {
                return Ok(false);
            }
            let leaf = Keys::new(node);
            let new = copy_keys::<B>(usage, node).ok_or(Failed(leaf.info.size::<B>()))?;
            match replace_leaf::<B, _>(mode, usage, top, &leaf, (0, 0), (None, None), (new, leaf.info)) {
                Ok(_) => Ok(true),
                Err(Stop::Conflict) => {
                    usage.free::<B>(new);
                    Ok(false)
                }
                Err(Stop::Failed(failed)) => Err(failed),
            }
        }
    }
}
