//! Removal: a new leaf without the key; a leaf that has become small merges with a neighbour, and a small inner node likewise.

use crate::InsertError;
use crate::tree::edit::coded_run::Parts;
use crate::tree::edit::commit::{LevelEdit, commit, commit_new, replace_leaf};
use crate::tree::edit::decoded::{DecodedKeys, Sequence, Split};
use crate::tree::edit::mode::{Alone, Mode, Stop};
use crate::tree::edit::path::{Level, locate};
use crate::tree::edit::pending::{Failed, NewNodes, try_copy};
use crate::tree::node::coding::{LINES, NodeRef};
use crate::tree::node::layout::{Child, Info, Kind, Node};
use crate::tree::node::slot::SlotRef;
use crate::tree::{
    INNER_COUNT, INNER_SIZE, LEAF_COUNT, LEAF_SIZE, RawCursor, RawTree, SLOT, Usage,
};
use crate::value::Bits;
use std::ops::Bound;

/// A node that shrinks below this share of its limit looks for a neighbour to merge with.
const UNDERFULL: usize = 2;
/// Share of the limit, in quarters, that a merged node may take, so that the next insert does not split it again.
const MERGED: usize = 3;

/// Bytes by which a small leaf shrinks between two looks at its neighbours. In a model a leaf is small at once.
const MERGE_STEP: usize = if cfg!(any(loom, shuttle)) { 1 } else { 128 };

/// What is to be removed: so many keys from one on, which has this value.
#[derive(Clone, Copy)]
pub(crate) struct Removal<'k, B> {
    pub(crate) key: &'k [u8],
    pub(crate) keys: usize,
    /// Any, if `None`.
    pub(crate) expected: Option<B>,
    /// The leaf that the keys must be in; any, if `None`.
    pub(crate) only: Option<Node>,
}

impl<B: Bits> RawTree<B> {
    /// Removes `key`, and gives its value.
    #[inline]
    pub(crate) fn remove(&mut self, key: &[u8]) -> Result<Option<B>, InsertError> {
        self.end_append_mode();
        let root = SlotRef::root(&self.root);
        let old = Self::remove_below(
            Alone,
            root,
            &mut self.usage,
            Removal { key, keys: 1, expected: None, only: None },
        )?;
        if old.is_some() {
            self.len -= 1;
        }
        self.compact_if_shrunk();
        Ok(old)
    }

    /// Removes every key between the bounds, and says how many there were.
    pub(crate) fn remove_between(
        &mut self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<usize, InsertError> {
        self.end_append_mode();
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
                    first = try_copy(key)?;
                }
                count += 1;
            }
            if count == 0 {
                break;
            }
            let root = SlotRef::root(&self.root);
            Self::remove_below(
                Alone,
                root,
                &mut self.usage,
                Removal { key: &first, keys: count, expected: None, only: None },
            )?;
            self.len -= count;
        }
        self.compact_if_shrunk();
        Ok(before - self.len)
    }

    /// Removes keys of one leaf, and merges the leaf with a neighbour where both fit in one then. The value of the first of these keys.
    #[inline]
    pub(crate) fn remove_below<M: Mode>(
        mode: M,
        root: SlotRef<'_>,
        usage: &mut Usage,
        removal: Removal<'_, B>,
    ) -> Result<Option<B>, Stop> {
        let Removal { key, keys, expected, only } = removal;
        let (mut anchor, mut above) = (root, None);
        let node = loop {
            match anchor.slot.load() {
                Child::Empty => return Ok(None),
                Child::Leaf(node) => break node,
                Child::Inner(node) => {
                    // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed, or while the thread is pinned (R1).
                    let inner = unsafe { NodeRef::new(node) };
                    let at = inner.child(&key[inner.strip()..]);
                    anchor = inner.owned(at);
                    above = Some((inner, at));
                }
            }
        };
        if only.is_some_and(|only| only != node) {
            return Err(Stop::Conflict);
        }
        NodeRef::prefetch(node, LINES);
        // SAFETY: (N1, N5) as above.
        let leaf = unsafe { NodeRef::new(node) };
        let strip = leaf.strip();
        let Ok(at) = leaf.search(&key[strip..]) else { return Ok(None) };
        if leaf.count() == keys {
            if above.is_some() {
                let old = Self::merge_leaf(mode, root, usage, key, Some(removal))?;
                cover!(LeafDropped);
                return Ok(old);
            }
            let step = LevelEdit { old: [Some(node), None], at, removed: keys, new: [None; 2] };
            // SAFETY: (N1, R1) the mode's, by the caller; there are no new nodes.
            return unsafe { commit(mode, usage, anchor, &[step], None, expected) };
        }
        let (new, info) = match if keys == 1 { leaf.shrunk(at) } else { None } {
            Some(info) => {
                (leaf.without::<B>(usage, info, at).ok_or(Failed(info.size::<B>()))?, info)
            }
            None => {
                let mut run = DecodedKeys::new();
                run.append(&leaf, &key[..strip], |_| (), None)?;
                run.remove(at, at + keys);
                let mut made = NewNodes::<B>::new(usage, 1)?;
                let new = run.node(Kind::Leaf, &mut made, 0, run.len(), strip)?;
                made.publish();
                // SAFETY: (N1) the new leaf is ours.
                (new, unsafe { new.info() })
            }
        };
        let size = info.size::<B>();
        // The neighbours' lines are far away: not after every removal.
        let small =
            size < LEAF_SIZE / UNDERFULL && size / MERGE_STEP != leaf.info.size::<B>() / MERGE_STEP;
        // SAFETY: (N1, N4, R1) the mode's, by the caller; the leaf has room for the values of the keys left.
        let old = match unsafe {
            replace_leaf(mode, usage, anchor, &leaf, (at, keys), (None, expected), (new, info))
        } {
            Ok(old) => old,
            Err(stop) => {
                // SAFETY: (N2) the leaf was not published.
                unsafe { usage.free::<B>(new) };
                return Err(stop);
            }
        };
        if small
            && above.is_some_and(|(keys, at)| {
                Self::neighbours(&keys, at).any(|left| Self::fit_in_one(&keys, left))
            })
        {
            // Without memory for it the leaf stays small, as it does where another thread comes between; the tree is whole either way.
            let _ = Self::merge_leaf(mode, root, usage, key, None);
        }
        Ok(old)
    }

    /// The left ones of the pairs that the child at `at` forms with its neighbours.
    fn neighbours(keys: &NodeRef<'_>, at: usize) -> impl Iterator<Item = usize> + use<B> {
        [at.checked_sub(1), Some(at).filter(|&left| left < keys.count())].into_iter().flatten()
    }

    /// Whether the children at `left` and behind it are leaves, and small enough for one.
    fn fit_in_one(keys: &NodeRef<'_>, left: usize) -> bool {
        let (Child::Leaf(a), Child::Leaf(b)) = (keys.slot(left).load(), keys.slot(left + 1).load())
        else {
            return false;
        };
        // SAFETY: (N1) nodes reached from the root are live while the tree is borrowed, or while the thread is pinned (R1).
        let (a, b) = unsafe { (NodeRef::new(a), NodeRef::new(b)) };
        Self::fit(&a, &b)
    }

    fn fit(a: &NodeRef<'_>, b: &NodeRef<'_>) -> bool {
        a.info.size::<B>() + b.info.size::<B>() <= LEAF_SIZE * MERGED / 4
            && a.count() + b.count() <= LEAF_COUNT
    }

    /// Merges the leaf to which `key` leads with a neighbour, where both fit in one; or removes all its keys and puts the neighbour in its
    /// place. The value of the first key removed.
    #[cold]
    #[inline(never)]
    fn merge_leaf<M: Mode>(
        mode: M,
        root: SlotRef<'_>,
        usage: &mut Usage,
        key: &[u8],
        removal: Option<Removal<'_, B>>,
    ) -> Result<Option<B>, Stop> {
        let (mut levels, ..) = locate(root, key)?;
        let Some(level) = levels.last() else { return Err(Stop::Conflict) };
        let (keys, at) = (level.keys, level.at);
        for left in Self::neighbours(&keys, at) {
            let (Child::Leaf(a), Child::Leaf(b)) =
                (keys.slot(left).load(), keys.slot(left + 1).load())
            else {
                continue;
            };
            // SAFETY: (N1, N5) nodes reached from the root are live while the tree is borrowed, or while the thread is pinned (R1).
            let leaves = unsafe { [NodeRef::new(a), NodeRef::new(b)] };
            let dropped = at - left;
            match removal {
                None if !Self::fit(&leaves[0], &leaves[1]) => continue,
                None => {}
                Some(removal) => {
                    let leaf = &leaves[dropped];
                    // Another thread may have been here since the leaf was looked at.
                    let other = removal.only.is_some_and(|only| only != leaf.node);
                    if other
                        || leaf.count() != removal.keys
                        || leaf.search(&key[leaf.strip()..]) != Ok(0)
                    {
                        return Err(Stop::Conflict);
                    }
                }
            }
            cover!(Merge);
            let between = level.fences_of(left, left, key)?.high.unwrap_or_default();
            let kept = || {
                leaves
                    .iter()
                    .enumerate()
                    .filter(|&(i, _)| removal.is_none() || i != dropped)
                    .map(|(_, leaf)| leaf)
            };
            let fences = level.fences_of(left, left + 1, key)?;
            let mut made = NewNodes::new(usage, 2 + 2 * levels.len())?;
            let mut parts = Parts::new(2)?;
            let mut merged = None;
            if kept().try_fold(true, |narrow, leaf| {
                Ok::<_, Failed>(narrow && parts.append(leaf, &between[..leaf.strip()])?)
            })? {
                merged = parts.node(Kind::Leaf, &mut made, 0, parts.len(), fences.strip())?;
            }
            if merged.is_none() {
                let mut run = DecodedKeys::new();
                for leaf in kept() {
                    run.append(leaf, &between[..leaf.strip()], |_| (), None)?;
                }
                merged = Some(run.node(Kind::Leaf, &mut made, 0, run.len(), fences.strip())?);
            }
            if let Some(level) = levels.last_mut() {
                level.at = left;
            }
            let mut steps = Vec::new();
            steps.try_reserve_exact(1 + levels.len())?;
            steps.push(LevelEdit {
                old: [Some(a), Some(b)],
                at: if dropped == 0 { 0 } else { leaves[0].count() },
                removed: removal.map_or(0, |removal| removal.keys),
                new: [merged, None],
            });
            let anchor = Self::replace_pair(&levels, &mut made, key, &mut steps)?;
            // SAFETY: (N1, N4, R1) the mode's, by the caller; the leaf has room for the values of the keys left.
            return unsafe {
                commit_new(
                    mode,
                    &mut made,
                    anchor,
                    &steps,
                    None,
                    removal.and_then(|removal| removal.expected),
                )
            };
        }
        // A leaf to be dropped has a neighbour.
        if removal.is_some() { Err(Stop::Conflict) } else { Ok(None) }
    }

    /// Plans one child in the place of the two at and behind where `levels` end. Inner nodes that become small in turn merge with a
    /// neighbour, or take from it. The slot where all of it hangs.
    fn replace_pair<'a>(
        levels: &[Level<'a>],
        made: &mut NewNodes<'_, B>,
        key: &[u8],
        steps: &mut Vec<LevelEdit>,
    ) -> Result<SlotRef<'a>, Failed> {
        let mut left = levels.last().map_or(0, |level| level.at);
        // The separator between the nodes that take the place of the pair, if these are two.
        let mut behind: Option<Vec<u8>> = None;
        for (i, level) in levels.iter().enumerate().rev() {
            let own = level.keys.node;
            // The ordinary case: a separator less, and that is all.
            let large = |info: &Info| {
                info.count() > 0 && (i == 0 || info.size::<B>() >= INNER_SIZE / UNDERFULL)
            };
            if let Some(info) =
                level.keys.shrunk(left).filter(|info| behind.is_none() && large(info))
            {
                let node = level
                    .keys
                    .without::<B>(made.usage, info, left)
                    .ok_or(Failed(info.size::<B>()))?;
                made.note(node);
                steps.push(LevelEdit {
                    old: [Some(own), None],
                    at: left,
                    removed: 2,
                    new: [Some(node), None],
                });
                return Ok(level.anchor);
            }
            let mut run = separators(&level.keys, &key[..level.keys.strip()])?;
            run.remove(left, left + 1);
            if let Some(separator) = behind.take() {
                run.insert(left, &separator, ())?;
            }
            let n = run.len();
            let size = run.cost(0, n, level.fences.strip(), SLOT);
            let above = i
                .checked_sub(1)
                .map(|i| &levels[i])
                .filter(|_| n == 0 || size < INNER_SIZE / UNDERFULL);
            let beside = above.map(|above| {
                // The pair is this node and its left neighbour, or its right one where it is the first.
                let first = above.at.saturating_sub(1);
                let Child::Inner(neighbour) =
                    above.keys.slot(if above.at == 0 { 1 } else { first }).load()
                else {
                    unreachable!("all leaves are equally deep")
                };
                // SAFETY: (N1, N5) nodes reached from the root are live while the tree is borrowed, or while the thread is pinned (R1).
                (above, first, unsafe { NodeRef::new(neighbour) })
            });
            let mut alone = || -> Result<SlotRef<'a>, Failed> {
                let node = match n {
                    // The root has one child left: that is the root now.
                    0 => None,
                    _ => Some(run.node(Kind::Inner, made, 0, n, level.fences.strip())?),
                };
                steps.push(LevelEdit {
                    old: [Some(own), None],
                    at: left,
                    removed: 2,
                    new: [node, None],
                });
                Ok(level.anchor)
            };
            let Some((above, first, neighbour)) = beside else {
                if n == 0 {
                    cover!(RootCollapse);
                }
                return alone();
            };
            let between = above.fences_of(first, first, key)?.high.unwrap_or_default();
            let fits = size + neighbour.info.size::<B>() + between.len() <= INNER_SIZE * MERGED / 4
                && n + neighbour.count() < INNER_COUNT;
            if !fits && n > 0 {
                return alone();
            }
            let other = separators(&neighbour, &between[..neighbour.strip()])?;
            let beside = neighbour.node;
            let (old, at, mut all, high) = match above.at {
                0 => ([Some(own), Some(beside)], left, run, other),
                _ => ([Some(beside), Some(own)], neighbour.count() + 1 + left, other, run),
            };
            all.insert(all.len(), &between, ())?;
            for j in 0..high.len() {
                all.insert(all.len(), high.key(j), ())?;
            }
            let fences = above.fences_of(first, first + 1, key)?;
            let new = if fits || all.len() < 3 {
                cover!(InnerMerge);
                [Some(all.node(Kind::Inner, made, 0, all.len(), fences.strip())?), None]
            } else {
                cover!(InnerBorrow);
                let (low, middle, high) =
                    Self::split_inner(made, &all, Split::Middle, (fences.low(), fences.high()))?;
                behind = Some(try_copy(middle)?);
                [Some(low), Some(high)]
            };
            steps.push(LevelEdit { old, at, removed: 2, new });
            left = first;
        }
        unreachable!("the root has no neighbour")
    }
}

/// The separators of an inner node, whole.
fn separators(keys: &NodeRef<'_>, stripped: &[u8]) -> Result<DecodedKeys<()>, Failed> {
    let mut run = DecodedKeys::new();
    run.append(keys, stripped, |_| (), None)?;
    Ok(run)
}
