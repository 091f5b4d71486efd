//! A tree that many threads read and change at a time.
//!
//! Reads go down without a lock and without looking back: whatever node they meet, its range is exactly covered by what hangs below it,
//! now or at the moment when it was taken out of the tree (SAFETY.md, C). Changes are those of the tree with one owner, committed under
//! locks; a change that finds another in its place begins again.

pub(crate) mod cursor;
mod relocate;
#[cfg(all(test, not(loom)))]
mod tests;

use crate::InsertError;
use crate::reclaim::{self, Pin, RetiredKind};
use crate::sync::{fence, in_order, wait};
use crate::tree::edit::decoded::Split;
use crate::tree::edit::mode::{Mode, Stop};
use crate::tree::edit::pending::Failed;
use crate::tree::edit::remove::Removal;
use crate::tree::node::coding::{LINES, NodeRef};
use crate::tree::node::layout::{Child, Node, Usage};
use crate::tree::node::slot::SlotRef;
use crate::tree::{LEAF_SIZE, MAX_KEY_LEN, Place, RawTree};
use crate::value::Bits;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Conflicts in a row after which a change waits a little before it begins again.
const PATIENCE: u32 = 4;

/// The mode of a shared tree: nodes are locked, and freed when no pinned thread can read them.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'p>(pub(crate) &'p Pin);

impl Mode for Shared<'_> {
    #[inline]
    fn lock(self, anchor: SlotRef<'_>, child: Child) -> bool {
        if mutant!(SlotNotLocked) {
            return true;
        }
        loop {
            if !anchor.slot.lock(child) {
                return false;
            }
            // Who locks the owner waits for this slot, or did it before, which shows here (C2).
            in_order();
            let Some(owner) =
                anchor.parent_lock.filter(|owner| !owner.is_free() && !mutant!(OwnerNotChecked))
            else {
                return true;
            };
            anchor.slot.store(child);
            if !owner.wait() {
                return false;
            }
        }
    }
    #[inline]
    unsafe fn lock_old(self, node: Node) -> bool {
        // SAFETY: (N1) by the caller, for this and the next two.
        unsafe {
            if is(node, mutant!(LeafNotLocked), mutant!(InnerNotLocked)) {
                return true;
            }
            let locked = node.lock().lock();
            if locked && !node.info().is_leaf() && !mutant!(SlotsNotAwaited) {
                in_order();
                let keys = NodeRef::new(node);
                (0..=keys.count()).for_each(|i| keys.slot(i).wait());
            }
            locked
        }
    }
    #[inline]
    unsafe fn unlock_old(self, node: Node) {
        // SAFETY: (N1) as above.
        unsafe {
            if !is(node, mutant!(LeafNotLocked), mutant!(InnerNotLocked)) {
                node.lock().unlock();
            }
        }
    }
    #[inline]
    unsafe fn retire(self, node: Node) {
        // SAFETY: (N1) as above.
        unsafe {
            if is(node, false, mutant!(FrozenSlotsCleared)) {
                let keys = NodeRef::new(node);
                (0..=keys.count()).for_each(|i| keys.slot(i).store(Child::Empty));
            }
            if is(node, mutant!(LeafNotObsolete), mutant!(InnerNotObsolete)) {
                node.lock().unlock();
            } else {
                node.lock().retire();
            }
        }
    }
    #[inline]
    unsafe fn give_back<B: Bits>(self, usage: &mut Usage, node: Node) {
        // SAFETY: (N1) the thread is pinned, so the node is live. (N2, R2) By the caller no slot of the tree leads to it, so who pins from now on
        // cannot reach it.
        unsafe {
            let bytes = usage.forget::<B>(node);
            if mutant!(FreedAtOnce) {
                return node.free_late::<B>();
            }
            self.0.retire(RetiredKind::Node, bytes, move || node.free_late::<B>());
        }
    }
}

/// A change is done. What this thread reads from here on it reads after its change was visible to all (C6).
#[inline(always)]
fn visible() {
    if !mutant!(NoFence) {
        fence(SeqCst);
    }
}

/// Whether a mutant is about nodes of this kind.
///
/// # Safety
/// The node is live (N1).
#[inline(always)]
unsafe fn is(node: Node, leaf: bool, inner: bool) -> bool {
    // SAFETY: (N1) by the caller.
    (leaf || inner) && if unsafe { node.info() }.is_leaf() { leaf } else { inner }
}

/// What the current value must be for a change to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected<B> {
    Any,
    Absent,
    Value(B),
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome<B> {
    /// The value at that moment, before the change.
    pub(crate) old: Option<B>,
    /// Whether the change was made: whether that value was as expected.
    pub(crate) done: bool,
}

/// A stripe of what a map counts, modulo the word size.
#[derive(Default)]
#[repr(align(128))]
struct Counts {
    len: AtomicUsize,
    leaves: AtomicUsize,
    inner: AtomicUsize,
    slack_leaves: AtomicUsize,
    slack_inner: AtomicUsize,
}

/// A tree, and what its users count.
pub(crate) struct SharedTree<B: Bits> {
    tree: RawTree<B>,
    counts: Box<[Counts]>,
}

/// Changes that began again because another came between, of all maps. Counted where the way is lost already.
static RESTARTS: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn restarts() -> usize {
    RESTARTS.load(Relaxed)
}

/// Stripes that are worth while on this machine, a power of two.
pub(crate) fn stripes() -> usize {
    static COUNT: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    let threads = || std::thread::available_parallelism().map_or(1, usize::from);
    *COUNT.get_or_init(|| threads().next_power_of_two().min(reclaim::STRIPES))
}

impl<B: Bits> SharedTree<B> {
    pub(crate) fn new(mut tree: RawTree<B>) -> Self {
        tree.end_append_mode();
        SharedTree { tree, counts: (0..stripes()).map(|_| Counts::default()).collect() }
    }

    /// The tree, for one owner.
    pub(crate) fn into_raw(mut self) -> RawTree<B> {
        self.settle();
        std::mem::replace(&mut self.tree, RawTree::new())
    }

    /// Lets the tree's only user change it as one owner does.
    pub(crate) fn alone<R>(&mut self, work: impl FnOnce(&mut RawTree<B>) -> R) -> R {
        let result = work(&mut self.tree);
        self.tree.end_append_mode();
        result
    }

    /// Leaves the counts to the tree.
    fn settle(&mut self) {
        (self.tree.len, self.tree.usage) = (self.len(), self.usage());
        self.counts = Box::default();
    }

    fn sum(&self, own: usize, count: impl Fn(&Counts) -> &AtomicUsize) -> usize {
        let sum = self
            .counts
            .iter()
            .fold(own, |sum, counts| sum.wrapping_add(count(counts).load(Relaxed)));
        // Stripes are read one after the other, so while others count, their sum may be below zero.
        sum.cast_signed().max(0).cast_unsigned()
    }

    /// Keys; exact when nobody changes the tree.
    pub(crate) fn len(&self) -> usize {
        self.sum(self.tree.len, |counts| &counts.len)
    }

    /// What nodes take; exact when nobody changes the tree.
    pub(crate) fn usage(&self) -> Usage {
        let usage = &self.tree.usage;
        Usage {
            leaves: self.sum(usage.leaves, |counts| &counts.leaves),
            inner: self.sum(usage.inner, |counts| &counts.inner),
            slack_leaves: self.sum(usage.slack_leaves, |counts| &counts.slack_leaves),
            slack_inner: self.sum(usage.slack_inner, |counts| &counts.slack_inner),
        }
    }

    /// Bytes on the heap besides nodes.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.counts)
    }

    pub(crate) fn count(&self, len: usize, usage: Usage) {
        let counts = &self.counts[reclaim::stripe() & (self.counts.len() - 1)];
        let add = |count: &AtomicUsize, delta: usize| {
            if delta != 0 {
                count.fetch_add(delta, Relaxed);
            }
        };
        add(&counts.len, len);
        add(&counts.leaves, usage.leaves);
        add(&counts.slack_leaves, usage.slack_leaves);
        add(&counts.inner, usage.inner);
        add(&counts.slack_inner, usage.slack_inner);
    }

    pub(crate) fn root(&self) -> SlotRef<'_> {
        SlotRef::root(&self.tree.root)
    }

    /// The tree, to read. Reading a shared tree takes a pin, which must last as long as what was read of it is used.
    #[inline]
    pub(crate) fn read(&self, _: &Pin) -> &RawTree<B> {
        &self.tree
    }

    #[inline]
    pub(crate) fn get(&self, pin: &Pin, key: &[u8]) -> Option<B> {
        self.read(pin).get(key)
    }

    #[inline]
    pub(crate) fn contains(&self, pin: &Pin, key: &[u8]) -> bool {
        self.read(pin).find(key).is_some()
    }

    /// Looks keys up in batches and hands the values out in order, to a caller who has to be done before the pin is renewed.
    pub(crate) fn get_many<'k>(
        &self,
        pin: &Pin,
        keys: impl Iterator<Item = &'k [u8]>,
        out: impl FnMut(Option<B>),
    ) {
        self.read(pin).get_many(keys, out);
    }

    /// [`get_many`](Self::get_many) of keys that are each looked up in a tree of their own.
    pub(crate) fn get_many_of<'t, 'k>(
        pin: &Pin,
        keys: impl Iterator<Item = (&'t Self, &'k [u8])>,
        out: impl FnMut(Option<B>),
    ) where
        B: 't,
    {
        RawTree::get_many_of(keys.map(|(tree, key)| (tree.read(pin), key)), out);
    }

    /// Gives `key` a new value, or none, if its value is as expected.
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
            let outcome = match new {
                Some(value) => self.store(Shared(pin), usage, key, expected, value)?,
                None => self.remove(Shared(pin), usage, key, expected, None)?,
            };
            let len = match (outcome.done, outcome.old, new) {
                (true, None, Some(_)) => 1,
                (true, Some(_), None) => usize::MAX,
                _ => 0,
            };
            Ok((outcome, len))
        })
    }

    /// Gives `key` what `f` makes of its value, and gives the values before and after. `f` runs again where another came between.
    ///
    /// A value that stays in its leaf is overwritten there, by one descent; where that leaf was replaced meanwhile, and where keys come or go,
    /// it takes [`change`](Self::change).
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
            // A leaf that was replaced cannot be locked.
            let overwritten = match (place, seen, new) {
                (Some(place), Some(_), Some(value)) => self.overwrite(place, expected, value).ok(),
                _ => None,
            };
            let outcome = match overwritten {
                Some(outcome) => {
                    visible();
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

    /// Removes the least key, or the greatest, and gives its value; the key is in `key` then.
    pub(crate) fn pop(
        &self,
        pin: &Pin,
        last: bool,
        key: &mut Vec<u8>,
    ) -> Result<Option<B>, InsertError> {
        self.repeat(|usage| {
            let mut child = self.tree.root.load();
            while let Child::Inner(node) = child {
                // SAFETY: (N1, N5, R1) a node reached from the root is live while the thread is pinned.
                let keys = unsafe { NodeRef::new(node) };
                child = keys.slot(if last { keys.count() } else { 0 }).load();
            }
            let Child::Leaf(node) = child else { return Ok((None, 0)) };
            // SAFETY: (N1, N5, R1) as above.
            let leaf = unsafe { NodeRef::new(node) };
            key.clear();
            leaf.decode(if last { leaf.count() - 1 } else { 0 }, key)?;
            // The leaf has all keys on its side of the range, so as long as it is in the tree this key is the least, or the greatest.
            let only = if mutant!(PopFromAnyLeaf) { None } else { Some(node) };
            let outcome = self.remove(Shared(pin), usage, key, Expected::Any, only)?;
            if outcome.old.is_none() {
                return Err(Stop::Conflict);
            }
            cover!(Popped);
            Ok((outcome.old, usize::MAX))
        })
    }

    /// Tries until nobody comes between. `attempt` gives its result, and the change in the number of keys.
    #[inline]
    fn repeat<R>(
        &self,
        mut attempt: impl FnMut(&mut Usage) -> Result<(R, usize), Stop>,
    ) -> Result<R, InsertError> {
        let (mut usage, mut round) = (Usage::default(), 0);
        loop {
            match attempt(&mut usage) {
                Err(Stop::Conflict) => {
                    cover!(Restart);
                    RESTARTS.fetch_add(1, Relaxed);
                    if round >= PATIENCE {
                        wait(round);
                    }
                    round += 1;
                }
                Ok((result, len)) => {
                    self.count(len, usage);
                    visible();
                    return Ok(result);
                }
                Err(Stop::Failed(failed)) => {
                    self.count(0, usage);
                    return Err(failed.into());
                }
            }
        }
    }

    /// Stores a value.
    #[inline]
    fn store(
        &self,
        mode: Shared<'_>,
        usage: &mut Usage,
        key: &[u8],
        expected: Expected<B>,
        value: B,
    ) -> Result<Outcome<B>, Stop> {
        let root = self.root();
        let (mut anchor, mut last) = (root, true);
        let leaf = loop {
            match anchor.slot.load() {
                Child::Inner(node) => {
                    // SAFETY: (N1, N5, R1) a node reached from the root is live while the thread is pinned.
                    let keys = unsafe { NodeRef::new(node) };
                    let at = keys.child(&key[keys.strip()..]);
                    last &= at == keys.count();
                    anchor = keys.owned(at);
                }
                Child::Leaf(node) => {
                    NodeRef::prefetch(node, LINES);
                    // SAFETY: (N1, N5, R1) as above.
                    break Some(unsafe { NodeRef::new(node) });
                }
                Child::Empty => break None,
            }
        };
        let gap = match leaf.map(|leaf| leaf.search(&key[leaf.strip()..])) {
            Some(Ok(i)) => {
                let Some(leaf) = leaf else { return Err(Stop::Conflict) };
                return self.overwrite(
                    Place { node: leaf.node, info: leaf.info, index: i },
                    expected,
                    value,
                );
            }
            Some(Err(gap)) => Some(gap),
            None => None,
        };
        if let Expected::Value(_) = expected {
            return Ok(Outcome { old: None, done: false });
        }
        match (leaf, gap) {
            (Some(leaf), Some(gap)) => {
                if !RawTree::insert_at(mode, anchor, usage, &leaf, gap, key, value)? {
                    let appends = last && gap.at == leaf.count();
                    let split = if appends { Split::Right(LEAF_SIZE) } else { Split::Middle };
                    RawTree::insert_cold(mode, root, usage, key, value, split)?;
                }
            }
            _ => RawTree::insert_first(mode, anchor, usage, key, value)?,
        }
        Ok(Outcome { old: None, done: true })
    }

    /// Overwrites a value.
    #[inline]
    fn overwrite(
        &self,
        Place { node, info, index }: Place,
        expected: Expected<B>,
        value: B,
    ) -> Result<Outcome<B>, Stop> {
        // SAFETY: (N1, N6, R1) the leaf is live while the thread is pinned, and the index is a key's. (C4) The value is stored under the
        // leaf's lock.
        unsafe {
            if expected == Expected::Absent {
                return Ok(Outcome { old: Some(node.value(info, index)), done: false });
            }
            let lock = node.lock();
            if !mutant!(OverwriteUnlocked) && !lock.lock() {
                return Err(Stop::Conflict);
            }
            let old = node.value(info, index);
            let done = expected == Expected::Any || expected == Expected::Value(old);
            if done {
                node.set_value(info, index, value);
                cover!(Overwritten);
            }
            if !mutant!(OverwriteUnlocked) {
                lock.unlock();
            }
            Ok(Outcome { old: Some(old), done })
        }
    }

    /// Removes a key, with `only` from this leaf alone.
    #[inline]
    fn remove(
        &self,
        mode: Shared<'_>,
        usage: &mut Usage,
        key: &[u8],
        expected: Expected<B>,
        only: Option<Node>,
    ) -> Result<Outcome<B>, Stop> {
        let wanted = match expected {
            Expected::Any => None,
            Expected::Absent => {
                let old = self.tree.get(key);
                return Ok(Outcome { old, done: old.is_none() });
            }
            Expected::Value(wanted) => {
                let old = self.tree.get(key);
                if old != expected.value() {
                    return Ok(Outcome { old, done: false });
                }
                Some(wanted)
            }
        };
        let old = RawTree::remove_below(
            mode,
            self.root(),
            usage,
            Removal { key, keys: 1, expected: wanted, only },
        )?;
        Ok(Outcome { old, done: wanted.is_none() || old.is_some() })
    }

    /// Removes every key at one moment, and hands its values to `each` afterwards. Others wait for as long as it takes to lock each node and
    /// to take it out.
    pub(crate) fn clear(&self, pin: &Pin, mut each: impl FnMut(B)) -> Result<(), InsertError> {
        // An inner node has two children at least, so no tree is higher than this.
        let mut path = Vec::new();
        path.try_reserve_exact(usize::BITS as usize).map_err(Failed::from)?;
        let mode = Shared(pin);
        let (mut usage, mut len) = (Usage::default(), 0usize);
        let root = self.root();
        let mut anchor = root.slot.load();
        while !mode.lock(root, anchor) {
            anchor = root.slot.load();
        }
        // SAFETY: (N1, R1) nodes reached from the root are live while the thread is pinned. (C5) Each is locked after the one above it, so nobody
        // can replace it first.
        unsafe {
            walk(anchor, &mut path, |node| {
                let locked = mode.lock_old(node);
                debug_assert!(locked, "a node of a locked one is not obsolete");
                if node.info().is_leaf() {
                    len += node.info().count();
                }
            });
            root.slot.store(Child::Empty);
            walk(anchor, &mut path, |node| mode.retire(node));
            // (N2) The nodes hang nowhere now, and whoever locked them gives them back. (C2) Their values stay as they are.
            walk(anchor, &mut path, |node| {
                let info = node.info();
                (0..info.values()).take(info.count()).for_each(|i| each(node.value(info, i)));
                mode.give_back::<B>(&mut usage, node);
            });
        }
        self.count(len.wrapping_neg(), usage);
        visible();
        Ok(())
    }

    /// Says what is wrong with the tree, if anything is. Somebody who changes it meanwhile makes it look wrong.
    pub(crate) fn check(&self, pin: &Pin) -> Result<(), String> {
        self.read(pin).check_counted(self.len(), self.usage())
    }
}

/// Visits a node before its children, and these from left to right. `path` has room for the way to any leaf.
///
/// # Safety
/// The nodes are live (N1), and their slots stand still once they have been visited.
unsafe fn walk(anchor: Child, path: &mut Vec<(Node, usize)>, mut visit: impl FnMut(Node)) {
    let mut next = anchor;
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

impl<B> Expected<B> {
    fn value(self) -> Option<B> {
        match self {
            Expected::Value(value) => Some(value),
            _ => None,
        }
    }
}

impl<B: Bits> Drop for SharedTree<B> {
    fn drop(&mut self) {
        self.settle();
    }
}
