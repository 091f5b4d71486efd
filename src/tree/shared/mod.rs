//! A tree that many threads read and edit at a time.
//!
//! A lookup descends without a lock and without looking back. Whatever node it meets, the nodes
//! below it cover its key range exactly, now or at the moment when it was taken out of the tree
//! (SAFETY.md, C). Edits are those of the tree with one owner, committed under locks. An edit that
//! meets a conflict with another restarts.
//!
//! * `mode`: how nodes are locked and retired.
//! * `counts`: what a tree counts.
//! * `scan`: scans beside edits.
//! * `relocate`: moves nodes out of sparse pages.

mod counts;
mod mode;
mod relocate;
pub(crate) mod scan;
#[cfg(all(test, not(memkv_loom)))]
mod tests;

use crate::InsertError;
use crate::reclaim::Pin;
use crate::sync::{fence, own_changes, wait};
use crate::tree::edit::{
    EditError, Expected, Failed, Mode, Outcome, Removal, Target, Upsert, overwrite,
};
use crate::tree::node::{Child, Node, NodeRef, SlotRef, Usage};
use crate::tree::{LeafCoder, MAX_KEY_LEN, RawTree};
use crate::value::Bits;
use counts::Counts;
pub(crate) use counts::stripes;
use crossbeam_utils::CachePadded;
use mode::Shared;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
#[cfg(feature = "_testing")]
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Conflicts in a row after which an operation waits a little before it restarts.
const CONFLICTS_BEFORE_WAIT: u32 = 4;

/// Makes an edit that is done visible: what this thread reads from here on it reads after the edit
/// was visible to all (C6). Scans of this thread read it.
#[inline(always)]
fn make_visible() {
    own_changes::count();
    if !mutant!(NoFence) {
        fence(SeqCst);
    }
}

/// A shared tree, and what its users count.
pub(crate) struct SharedTree<B: Bits> {
    tree: RawTree<B>,
    counts: Box<[CachePadded<Counts>]>,
}

/// Restarts of operations after a conflict, of all maps. Counted on the slow path only.
#[cfg(feature = "_testing")]
static RESTARTS: AtomicUsize = AtomicUsize::new(0);

/// Returns how often operations restarted after a conflict.
#[cfg(feature = "_testing")]
pub(crate) fn restarts() -> usize {
    RESTARTS.load(Relaxed)
}

impl<B: Bits> SharedTree<B> {
    /// Creates a shared tree from a tree with one owner.
    pub(crate) fn new(mut tree: RawTree<B>) -> Self {
        tree.end_append_mode();
        SharedTree { tree, counts: counts::striped() }
    }

    /// Returns the tree to its one owner.
    pub(crate) fn into_raw(mut self) -> RawTree<B> {
        self.fold_counts();
        let coder = self.tree.coder().cloned();
        std::mem::replace(&mut self.tree, RawTree::with_coder(coder))
    }

    /// Edits the tree as its one owner.
    pub(crate) fn edit_exclusive<R>(&mut self, edit: impl FnOnce(&mut RawTree<B>) -> R) -> R {
        let result = edit(&mut self.tree);
        self.tree.end_append_mode();
        result
    }

    /// Moves the counts to the tree.
    fn fold_counts(&mut self) {
        (self.tree.len, self.tree.usage) = (self.len(), self.usage());
        self.counts = Box::default();
    }

    /// Returns the number of keys. It is exact if no thread edits the tree.
    pub(crate) fn len(&self) -> usize {
        counts::sum(&self.counts, self.tree.len, |counts| &counts.len)
    }

    /// Returns what the nodes take. It is exact if no thread edits the tree.
    pub(crate) fn usage(&self) -> Usage {
        let (stripes, base) = (&self.counts, &self.tree.usage);
        Usage {
            leaves: counts::sum(stripes, base.leaves, |counts| &counts.leaves),
            inner: counts::sum(stripes, base.inner, |counts| &counts.inner),
            slack_leaves: counts::sum(stripes, base.slack_leaves, |counts| &counts.slack_leaves),
            slack_inner: counts::sum(stripes, base.slack_inner, |counts| &counts.slack_inner),
        }
    }

    /// Returns the bytes on the heap other than nodes and symbol tables. Trees may share tables.
    pub(crate) fn counts_bytes(&self) -> usize {
        size_of_val(&*self.counts)
    }

    /// Returns the bytes on the heap other than nodes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.counts_bytes() + self.tree.heap_bytes()
    }

    /// Returns the symbol tables by which leaves are coded.
    pub(crate) fn coder(&self) -> Option<&Arc<LeafCoder>> {
        self.tree.coder()
    }

    /// Counts keys and bytes that came or, modulo the word size, went.
    pub(crate) fn count(&self, len: usize, usage: Usage) {
        counts::add(&self.counts, len, usage);
    }

    /// Returns the root slot.
    pub(crate) fn root(&self) -> SlotRef<'_> {
        SlotRef::root(&self.tree.root)
    }

    /// Returns the tree, to read.
    ///
    /// Reading a shared tree takes a pin, which must last as long as what was read is used.
    #[inline]
    pub(crate) fn read(&self, _: &Pin) -> &RawTree<B> {
        &self.tree
    }

    /// Returns the value of `key`.
    #[inline]
    pub(crate) fn get(&self, pin: &Pin, key: &[u8]) -> Option<B> {
        self.read(pin).get(key)
    }

    /// Returns whether the tree has `key`.
    #[inline]
    pub(crate) fn contains(&self, pin: &Pin, key: &[u8]) -> bool {
        self.read(pin).find(key).is_some()
    }

    /// Looks keys up in groups, and calls `out` with their values in order.
    ///
    /// `out` must use the values before the pin is renewed.
    pub(crate) fn get_many<'k>(
        &self,
        pin: &Pin,
        keys: impl Iterator<Item = &'k [u8]>,
        out: impl FnMut(Option<B>),
    ) {
        self.read(pin).get_many(keys, out);
    }

    /// Looks keys up as [`get_many`](Self::get_many) does, each in a tree of its own.
    pub(crate) fn get_many_of<'t, 'k>(
        pin: &Pin,
        keys: impl Iterator<Item = (&'t Self, &'k [u8])>,
        out: impl FnMut(Option<B>),
    ) where
        B: 't,
    {
        RawTree::get_many_of(keys.map(|(tree, key)| (tree.read(pin), key)), out);
    }

    /// Sets the value of `key`, or removes `key` if `new` is `None`, if its value is as expected.
    #[inline]
    pub(crate) fn change(
        &self,
        pin: &Pin,
        key: &[u8],
        expected: Expected<B>,
        new: Option<B>,
    ) -> Result<Outcome<B>, InsertError> {
        if new.is_some() && key.len() > MAX_KEY_LEN {
            return Err(InsertError::KeyTooLong { len: key.len() });
        }
        self.repeat(|usage| {
            let target = self.target(pin, usage);
            let outcome = match new {
                Some(value) => {
                    let upsert = Upsert { key, value, expected, appending: true };
                    RawTree::upsert(target, upsert)?.0
                }
                None => self.remove(target, key, expected, None)?,
            };
            let len = match (outcome.done, outcome.old, new) {
                (true, None, Some(_)) => 1,
                (true, Some(_), None) => usize::MAX,
                _ => 0,
            };
            Ok((outcome, len))
        })
    }

    /// Replaces the value of `key` by what `f` makes of it. Returns the values before and after.
    ///
    /// `f` runs again after a conflict. A value that stays in its leaf is overwritten there, by one
    /// descent. If the leaf was replaced since, and if a key comes or goes, it takes
    /// [`change`](Self::change).
    pub(crate) fn compute(
        &self,
        pin: &Pin,
        key: &[u8],
        mut f: impl FnMut(Option<B>) -> Option<B>,
    ) -> Result<(Option<B>, Option<B>), InsertError> {
        let tree = self.read(pin);
        let place = tree.find(key);
        let mut seen = place.map(|place| tree.value(place));
        loop {
            let new = f(seen);
            if new == seen {
                return Ok((seen, new));
            }
            let expected = seen.map_or(Expected::Absent, Expected::Value);
            let overwritten = match (place, seen, new) {
                // SAFETY: (N1, N9, R1) the leaf is live while the thread is pinned. A leaf that was
                // replaced cannot be locked (C4).
                (Some(place), Some(_), Some(value)) => unsafe {
                    overwrite(Shared(pin), place, expected, value).ok()
                },
                _ => None,
            };
            let outcome = match overwritten {
                Some(outcome) => {
                    make_visible();
                    outcome
                }
                None => self.change(pin, key, expected, new)?,
            };
            if outcome.done {
                return Ok((seen, new));
            }
            seen = outcome.old;
        }
    }

    /// Removes the first key, or the last, and writes it to `key`. Returns its value.
    pub(crate) fn pop(
        &self,
        pin: &Pin,
        last: bool,
        key: &mut Vec<u8>,
    ) -> Result<Option<B>, InsertError> {
        self.repeat(|usage| {
            let mut child = self.tree.root.load();
            while let Child::Inner(node) = child {
                // SAFETY: (N1, N5, R1) a node reached from the root is live while the thread is
                // pinned.
                let keys = unsafe { NodeRef::new(node) };
                child = keys.slot(if last { keys.count() } else { 0 }).load();
            }
            let Child::Leaf(node) = child else { return Ok((None, 0)) };
            // SAFETY: (N1, N5, R1) as above.
            let leaf = unsafe { NodeRef::new(node) };
            key.clear();
            leaf.decode(if last { leaf.count() - 1 } else { 0 }, key)?;
            // The leaf has all keys on its side of the range. So as long as it is in the tree this
            // key is the first, or the last.
            let only = if mutant!(PopFromAnyLeaf) { None } else { Some(node) };
            let outcome = self.remove(self.target(pin, usage), key, Expected::Any, only)?;
            if outcome.old.is_none() {
                return Err(EditError::Conflict);
            }
            cover!(Popped);
            Ok((outcome.old, usize::MAX))
        })
    }

    fn target<'t>(&'t self, pin: &'t Pin, usage: &'t mut Usage) -> Target<'t, Shared<'t>> {
        let coder = self.tree.coder().map(|coder| &**coder);
        Target { mode: Shared(pin), root: self.root(), usage, coder }
    }

    /// Repeats `attempt` until there is no conflict. It returns its result, and the change in the
    /// number of keys.
    #[inline]
    fn repeat<R>(
        &self,
        mut attempt: impl FnMut(&mut Usage) -> Result<(R, usize), EditError>,
    ) -> Result<R, InsertError> {
        let (mut usage, mut round) = (Usage::default(), 0);
        loop {
            match attempt(&mut usage) {
                Err(EditError::Conflict) => {
                    cover!(Restart);
                    #[cfg(feature = "_testing")]
                    RESTARTS.fetch_add(1, Relaxed);
                    if round >= CONFLICTS_BEFORE_WAIT {
                        wait(round);
                    }
                    round += 1;
                }
                Ok((result, len)) => {
                    self.count(len, usage);
                    make_visible();
                    return Ok(result);
                }
                Err(EditError::OutOfMemory(failed)) => {
                    self.count(0, usage);
                    return Err(failed.into());
                }
            }
        }
    }

    /// Removes a key if its value is as expected. With `only` it must be in this leaf.
    #[inline]
    fn remove(
        &self,
        target: Target<'_, Shared<'_>>,
        key: &[u8],
        expected: Expected<B>,
        only: Option<Node>,
    ) -> Result<Outcome<B>, EditError> {
        let wanted = match expected {
            Expected::Any => None,
            Expected::Absent => {
                let old = self.tree.get(key);
                return Ok(Outcome { old, done: old.is_none() });
            }
            Expected::Value(wanted) => {
                let old = self.tree.get(key);
                if old != Some(wanted) {
                    return Ok(Outcome { old, done: false });
                }
                Some(wanted)
            }
        };
        let removal = Removal { key, count: 1, expected: wanted, only };
        let old = RawTree::remove_below(target, removal)?;
        Ok(Outcome { old, done: wanted.is_none() || old.is_some() })
    }

    /// Removes every key at one moment, and then calls `each` with its value.
    ///
    /// Other threads wait for as long as it takes to lock each node and to take it out.
    pub(crate) fn clear(&self, pin: &Pin, mut each: impl FnMut(B)) -> Result<(), InsertError> {
        // An inner node has at least two children, so no tree is higher than this.
        let mut path = Vec::new();
        path.try_reserve_exact(usize::BITS as usize).map_err(Failed::from)?;
        let mode = Shared(pin);
        let (mut usage, mut len) = (Usage::default(), 0usize);
        let root = self.root();
        let mut root_child = root.slot.load();
        while !mode.lock_slot(root, root_child) {
            root_child = root.slot.load();
        }
        // SAFETY: (N1, R1) nodes reached from the root are live while the thread is pinned. (C5)
        // Each is locked after the one above it, so no thread can replace it first.
        unsafe {
            walk(root_child, &mut path, |node| {
                let locked = mode.lock_node(node);
                debug_assert!(locked, "a child of a locked node is obsolete");
                if node.info().is_leaf() {
                    len += node.info().count();
                }
            });
            root.slot.store(Child::Empty);
            walk(root_child, &mut path, |node| mode.mark_obsolete(node));
            // (N2) No slot leads to the nodes now, and the thread that locked them frees them. (C2)
            // Their values stay as they are.
            walk(root_child, &mut path, |node| {
                let info = node.info();
                (0..info.values()).take(info.count()).for_each(|i| each(node.value(info, i)));
                mode.free::<B>(&mut usage, node);
            });
        }
        self.count(len.wrapping_neg(), usage);
        make_visible();
        Ok(())
    }

    /// Checks the invariants of the tree, and describes the first violation.
    ///
    /// It may report false violations if another thread edits the tree at the same time.
    pub(crate) fn check(&self, pin: &Pin) -> Result<(), String> {
        self.read(pin).check_counted(self.len(), self.usage())
    }
}

/// Visits a node before its children, and these from left to right. `path` has room for the path to
/// any leaf.
///
/// # Safety
/// The nodes are live (N1), and their slots stand still once they have been visited.
unsafe fn walk(root: Child, path: &mut Vec<(Node, usize)>, mut visit: impl FnMut(Node)) {
    let mut next = root;
    loop {
        if let Some(node) = next.node() {
            visit(node);
        }
        if let Child::Inner(node) = next {
            path.push((node, 0));
        }
        next = loop {
            let Some((node, at)) = path.last_mut() else { return };
            // SAFETY: (N1) by the caller.
            let keys = unsafe { NodeRef::new(*node) };
            if *at <= keys.count() {
                *at += 1;
                break keys.slot(*at - 1).load();
            }
            path.pop();
        };
    }
}

impl<B: Bits> Drop for SharedTree<B> {
    fn drop(&mut self) {
        self.fold_counts();
    }
}
