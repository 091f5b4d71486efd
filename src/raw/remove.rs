//! Removal: a new leaf without the key; a leaf that has become small merges with a neighbour, and a small inner node likewise.

use super::keys::{Keys, LINES};
use super::node::{Child, Node, Slot};
use super::path::{Level, copy, locate};
use super::run::{Failed, Made, Run, Split};
use super::{INNER_COUNT, INNER_SIZE, LEAF_COUNT, LEAF_SIZE, RawCursor, RawTree, SLOT, Usage};
use crate::InsertError;
use crate::value::Bits;
use std::ops::Bound;

/// A node that shrinks below this share of its limit looks for a neighbour to merge with.
const UNDERFULL: usize = 2;
/// Share of the limit, in quarters, that a merged node may take, so that the next insert does not split it again.
const MERGED: usize = 3;

/// Bytes by which a small leaf shrinks between two looks at its neighbours.
const MERGE_STEP: usize = 128;

/// What replaces two neighbouring children: one, or two and their separator.
type Merged = (Child, Option<(Vec<u8>, Child)>);

impl<B: Bits> RawTree<B> {
    /// Removes `key`, and gives its value.
    #[inline]
    pub(crate) fn remove(&mut self, key: &[u8]) -> Result<Option<B>, InsertError> {
        self.unsettle();
        let (old, small) = Self::remove_below(&self.root, &mut self.usage, key, 1)?;
        if old.is_some() {
            self.len -= 1;
        }
        if small {
            // Without memory for it the leaf stays small; the tree is whole either way.
            let _ = Self::merge_leaf(&self.root, &mut self.usage, key, false);
        }
        self.compact_if_shrunk();
        Ok(old)
    }

    /// Ends what is remembered of appends.
    fn unsettle(&mut self) {
        if self.tail.is_open() {
            self.close_tail();
        }
        self.tail.appends = 0;
    }

    /// Removes every key between the bounds, and says how many there were.
    pub(crate) fn remove_between(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<usize, InsertError> {
        self.unsettle();
        let before = self.len;
        loop {
            // The first key of the range, and how many there are of it in its leaf.
            let mut cursor = RawCursor::new(self);
            match start {
                Bound::Unbounded => cursor.seek_first(),
                Bound::Included(key) => cursor.seek(key, false),
                Bound::Excluded(key) => cursor.seek(key, true),
            }
            let Some((leaf, _)) = cursor.peek() else { break };
            let inside = |key: &[u8]| match end {
                Bound::Unbounded => true,
                Bound::Included(end) => key <= end,
                Bound::Excluded(end) => key < end,
            };
            let (mut first, mut count) = (Vec::new(), 0);
            while cursor.peek().is_some_and(|(node, _)| node == leaf) {
                let Some((key, _)) = cursor.next().filter(|(key, _)| inside(key)) else { break };
                if count == 0 {
                    first = copy(key)?;
                }
                count += 1;
            }
            if count == 0 {
                break;
            }
            let (_, small) = Self::remove_below(&self.root, &mut self.usage, &first, count)?;
            self.len -= count;
            if small {
                let _ = Self::merge_leaf(&self.root, &mut self.usage, &first, false);
            }
        }
        self.compact_if_shrunk();
        Ok(before - self.len)
    }

    /// Removes `key` and the `keys - 1` behind it in its leaf. The value of `key`, and whether the leaf has become so small that it fits
    /// in one with a neighbour.
    #[inline]
    fn remove_below(root: &Slot, usage: &mut Usage, key: &[u8], keys: usize) -> Result<(Option<B>, bool), Failed> {
        let (mut slot, mut above) = (root, None);
        let node = loop {
            match slot.load() {
                Child::Empty => return Ok((None, false)),
                Child::Leaf(node) => break node,
                Child::Inner(node) => {
                    // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
                    let inner = unsafe { Keys::new(node) };
                    let at = inner.child(&key[inner.strip()..]);
                    slot = inner.slot(at);
                    above = Some((inner, at));
                }
            }
        };
        Keys::prefetch(node, LINES);
        // SAFETY: (N1, N5) as above.
        let leaf = unsafe { Keys::new(node) };
        let strip = leaf.strip();
        let Ok(at) = leaf.search(&key[strip..]) else { return Ok((None, false)) };
        // SAFETY: (N1) as above.
        let old = unsafe { node.value(leaf.info, at) };
        if leaf.count() == keys {
            if std::ptr::eq(slot, root) {
                slot.store(Child::Empty);
                // SAFETY: (N2) no slot leads to the leaf any more.
                unsafe { usage.free::<B>(node) };
            } else {
                Self::merge_leaf(root, usage, key, true)?;
                count!(LeafDropped);
            }
            return Ok((Some(old), false));
        }
        let new = match if keys == 1 { leaf.shrunk(at) } else { None } {
            // SAFETY: (N3) the tree is borrowed for writing.
            Some(info) => unsafe { leaf.without::<B>(usage, info, at) }.ok_or(Failed(info.size::<B>()))?,
            None => {
                let mut run = Run::<B>::new();
                // SAFETY: (N3) as above.
                unsafe { run.append_leaf(&leaf, &key[..strip], None)? };
                run.remove(at, at + keys);
                let mut made = Made::new(usage, 1)?;
                let new = run.leaf(&mut made, 0, run.len(), strip)?;
                made.keep();
                new
            }
        };
        slot.store(Child::Leaf(new));
        // SAFETY: (N2) no slot leads to the old leaf any more.
        unsafe { usage.free::<B>(node) };
        // SAFETY: (N1) the new leaf is live.
        let size = unsafe { new.info() }.size::<B>();
        // The neighbours' lines are far away: not after every removal.
        let small = size < LEAF_SIZE / UNDERFULL && size / MERGE_STEP != leaf.info.size::<B>() / MERGE_STEP;
        let merges = |(keys, at): (Keys<'_>, usize)| Self::neighbours(&keys, at).any(|left| Self::fit_in_one(&keys, left));
        Ok((Some(old), small && above.is_some_and(merges)))
    }

    /// The left ones of the pairs that the child at `at` forms with its neighbours.
    fn neighbours(keys: &Keys<'_>, at: usize) -> impl Iterator<Item = usize> + use<B> {
        [at.checked_sub(1), Some(at).filter(|&left| left < keys.count())].into_iter().flatten()
    }

    /// Whether the children at `left` and behind it are leaves, and small enough for one.
    fn fit_in_one(keys: &Keys<'_>, left: usize) -> bool {
        let (Child::Leaf(a), Child::Leaf(b)) = (keys.slot(left).load(), keys.slot(left + 1).load()) else { return false };
        // SAFETY: (N1) nodes reached from the root are live while the tree is borrowed.
        let (a, b) = unsafe { (a.info(), b.info()) };
        a.size::<B>() + b.size::<B>() <= LEAF_SIZE * MERGED / 4 && a.count() + b.count() <= LEAF_COUNT
    }

    /// Merges the leaf to which `key` leads with a neighbour, where both fit in one; with `dropped`, its keys go and the neighbour takes its place.
    #[cold]
    #[inline(never)]
    fn merge_leaf(root: &Slot, usage: &mut Usage, key: &[u8], dropped: bool) -> Result<(), Failed> {
        let (mut levels, ..) = locate(root, key)?;
        let Some(level) = levels.last() else { return Ok(()) };
        let (keys, at) = (level.keys, level.at);
        for left in Self::neighbours(&keys, at) {
            let (Child::Leaf(a), Child::Leaf(b)) = (keys.slot(left).load(), keys.slot(left + 1).load()) else { continue };
            // SAFETY: (N1, N5) nodes reached from the root are live while the tree is borrowed.
            let (leaf_a, leaf_b) = unsafe { (Keys::new(a), Keys::new(b)) };
            if !dropped && !Self::fit_in_one(&keys, left) {
                continue;
            }
            count!(Merge);
            let between = level.fences_of(left, left, key)?.high.unwrap_or_default();
            let mut run = Run::<B>::new();
            for (i, leaf) in [(left, leaf_a), (left + 1, leaf_b)] {
                if !dropped || i != at {
                    // SAFETY: (N3) the tree is borrowed for writing.
                    unsafe { run.append_leaf(&leaf, &between[..leaf.strip()], None)? };
                }
            }
            let fences = level.fences_of(left, left + 1, key)?;
            let mut made = Made::new(usage, 2 + 2 * levels.len())?;
            let merged = run.leaf(&mut made, 0, run.len(), fences.strip())?;
            if let Some(level) = levels.last_mut() {
                level.at = left;
            }
            let mut old = Vec::new();
            old.try_reserve_exact(2 + 2 * levels.len())?;
            old.extend([a, b]);
            Self::replace_pair(root, &levels, &mut made, key, (Child::Leaf(merged), None), &mut old)?;
            for node in old {
                // SAFETY: (N2) no slot leads to it any more.
                unsafe { made.usage.free::<B>(node) };
            }
            return Ok(());
        }
        Ok(())
    }

    /// Puts `new` in the place of the two children at and behind where `levels` end. Inner nodes that become small in turn merge with
    /// a neighbour, or take from it. The nodes replaced are noted in `old`.
    fn replace_pair(
        root: &Slot,
        levels: &[Level<'_>],
        made: &mut Made<'_, B>,
        key: &[u8],
        mut new: Merged,
        old: &mut Vec<Node>,
    ) -> Result<(), Failed> {
        let mut left = levels.last().map_or(0, |level| level.at);
        for (i, level) in levels.iter().enumerate().rev() {
            old.push(level.keys.node);
            let (mut first, mut run) = separators(&level.keys, &key[..level.keys.strip()])?;
            let (child, behind) = new;
            run.remove(left, left + 1);
            match left.checked_sub(1) {
                None => first = child,
                Some(before) => run.set_item(before, child),
            }
            if let Some((separator, child)) = behind {
                run.insert(left, &separator, child)?;
            }
            let n = run.len();
            let size = run.cost(0, n, level.fences.strip(), SLOT);
            let above = i.checked_sub(1).map(|i| &levels[i]).filter(|_| n == 0 || size < INNER_SIZE / UNDERFULL);
            let Some(above) = above else {
                if n == 0 {
                    // The root has one child left: that is the root now.
                    count!(RootCollapse);
                    root.store(first);
                } else {
                    level.slot.store(Child::Inner(run.inner(made, first, 0, n, level.fences.strip())?));
                }
                made.keep();
                return Ok(());
            };
            // The pair is this node and its left neighbour, or its right one where it is the first.
            left = above.at.saturating_sub(1);
            let beside = if above.at == 0 { 1 } else { left };
            let Child::Inner(neighbour) = above.keys.slot(beside).load() else { unreachable!("all leaves are equally deep") };
            // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
            let neighbour = unsafe { Keys::new(neighbour) };
            let between = above.fences_of(left, left, key)?.high.unwrap_or_default();
            let fits = size + neighbour.info.size::<B>() + between.len() <= INNER_SIZE * MERGED / 4 && n + neighbour.count() < INNER_COUNT;
            if !fits && n > 0 {
                level.slot.store(Child::Inner(run.inner(made, first, 0, n, level.fences.strip())?));
                made.keep();
                return Ok(());
            }
            let (other_first, other) = separators(&neighbour, &between[..neighbour.strip()])?;
            let (first, mut all, middle, high) =
                if above.at == 0 { (first, run, other_first, other) } else { (other_first, other, first, run) };
            all.insert(all.len(), &between, middle)?;
            for j in 0..high.len() {
                all.insert(all.len(), high.key(j), high.item(j))?;
            }
            let fences = above.fences_of(left, left + 1, key)?;
            new = if fits || all.len() < 3 {
                count!(InnerMerge);
                (Child::Inner(all.inner(made, first, 0, all.len(), fences.strip())?), None)
            } else {
                count!(InnerBorrow);
                let (low, middle, high) = Self::split_inner(made, &all, first, Split::Middle, (fences.low(), fences.high()))?;
                (Child::Inner(low), Some((copy(middle)?, Child::Inner(high))))
            };
            old.push(neighbour.node);
        }
        Ok(())
    }
}

/// The first child of an inner node, and its separators, whole, with the children behind them.
fn separators(keys: &Keys<'_>, stripped: &[u8]) -> Result<(Child, Run<Child>), Failed> {
    let mut run = Run::new();
    run.append(keys, stripped, |i| keys.slot(i + 1).load(), None)?;
    Ok((keys.slot(0).load(), run))
}
