//! Removal: a leaf without the key replaces the old one, unless there is one owner and the old one
//! may keep what becomes unused. A leaf that has become small merges with a sibling, and so does an
//! inner node.

use crate::InsertError;
use crate::symbols::FsstTable;
use crate::tree::edit::{
    DecodedKeys, Edit, EditError, EntryRun, Failed, LeafEdit, LevelEdit, Mode, NewNodes, PathLevel,
    SortedKeys, Split, Target, commit, commit_new, locate, make_one, may_spare, replace_leaf,
    try_copy,
};
use crate::tree::node::{
    Child, Info, Kind, Node, NodeRef, PREFETCHED_LINES, Resized, Scratch, SlotRef,
};
use crate::tree::{
    MAX_INNER_BYTES, MAX_INNER_SEPARATORS, MAX_LEAF_BYTES, MAX_LEAF_KEYS, RawCursor, RawTree,
    SLOT_BYTES, Usage,
};
use crate::value::Bits;
use std::ops::Bound;

/// A node that shrinks below its limit divided by this looks for a sibling to merge with.
const UNDERFULL_DIVISOR: usize = 2;
/// Quarters of the limit that a merged node may take, so that the next insert does not split it.
const MERGED_QUARTERS: usize = 3;
/// Bytes by which a small leaf shrinks between two looks at its siblings. In a model a leaf is
/// small at once.
const MERGE_STEP_BYTES: usize = if cfg!(any(memkv_loom, memkv_shuttle)) { 1 } else { 128 };

/// The keys to be removed: `count` keys of one leaf from `key` on.
#[derive(Clone, Copy)]
pub(crate) struct Removal<'k, B> {
    pub(crate) key: &'k [u8],
    pub(crate) count: usize,
    /// The value that `key` must have; any, if `None`.
    pub(crate) expected: Option<B>,
    /// The leaf that the keys must be in; any, if `None`.
    pub(crate) only: Option<Node>,
}

/// How a leaf loses entries.
enum Shrunk {
    /// One entry of a leaf that is not coded.
    Raw(Resized),
    /// One entry of a coded leaf: the copy, and its shape.
    Coded((Node, Info)),
    /// The leaf's keys are decoded, and another leaf made of those left.
    Anew,
}

impl<B: Bits> RawTree<B> {
    /// Removes `key`. Returns its value.
    #[inline]
    pub(crate) fn remove(&mut self, key: &[u8]) -> Result<Option<B>, InsertError> {
        self.end_append_mode();
        let target = self.target();
        let removal = Removal { key, count: 1, expected: None, only: None };
        let old = Self::remove_below(target, removal)?;
        if old.is_some() {
            self.len -= 1;
        }
        self.relocate_if_shrunk();
        Ok(old)
    }

    /// Removes every key between the bounds. Returns how many there were.
    pub(crate) fn remove_between(
        &mut self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<usize, InsertError> {
        self.end_append_mode();
        let before = self.len;
        loop {
            // The first key of the range, and how many keys of the range are in its leaf.
            let mut cursor = RawCursor::new(self);
            match start {
                Bound::Unbounded => {}
                Bound::Included(key) => cursor.seek(key, false),
                Bound::Excluded(key) => cursor.seek(key, true),
            }
            let Some(leaf) = cursor.next_leaf() else { break };
            let inside = |key: &[u8]| match end {
                Bound::Unbounded => true,
                Bound::Included(end) => key <= end,
                Bound::Excluded(end) => key < end,
            };
            let (mut first, mut count) = (Vec::new(), 0);
            while cursor.next_leaf() == Some(leaf) {
                let Some((key, _)) = cursor.next().filter(|(key, _)| inside(key)) else { break };
                if count == 0 {
                    first = try_copy(key)?;
                }
                count += 1;
            }
            if count == 0 {
                break;
            }
            let target = self.target();
            Self::remove_below(target, Removal { key: &first, count, expected: None, only: None })?;
            self.len -= count;
        }
        self.relocate_if_shrunk();
        Ok(before - self.len)
    }

    /// Removes keys of one leaf, and merges the leaf with a sibling if both then fit in one.
    /// Returns the value of the first of these keys.
    #[inline]
    pub(crate) fn remove_below<M: Mode>(
        target: Target<'_, M>,
        removal: Removal<'_, B>,
    ) -> Result<Option<B>, EditError> {
        let Target { mode, root, usage, coder } = target;
        let Removal { key, count, expected, only } = removal;
        let (mut anchor, mut parent) = (root, None);
        let node = loop {
            match anchor.slot.load() {
                Child::Empty => return Ok(None),
                Child::Leaf(node) => break node,
                Child::Inner(node) => {
                    // SAFETY: (N1, N5) a node reached from the root is live while the tree is
                    // borrowed, or while the thread is pinned (R1).
                    let inner = unsafe { NodeRef::new(node) };
                    let at = inner.child(key);
                    anchor = inner.slot_ref(at);
                    parent = Some((inner, at));
                }
            }
        };
        if only.is_some_and(|only| only != node) {
            return Err(EditError::Conflict);
        }
        NodeRef::prefetch(node, PREFETCHED_LINES);
        // SAFETY: (N1, N5, R1) as above.
        let leaf = unsafe { NodeRef::new(node) };
        let Ok(at) = leaf.search(key) else { return Ok(None) };
        if leaf.count() == count {
            if parent.is_some() {
                let target = Target { mode, root, usage, coder };
                let old = Self::merge_leaf(target, key, Some(removal))?;
                cover!(LeafDropped);
                return Ok(old);
            }
            let leaves = LevelEdit { old: [Some(node), None], at, removed: count, new: [None; 2] };
            let edit = Edit { anchor, levels: &[leaves], value: None, expected };
            // SAFETY: (N1, R1) the mode's, by the caller; there are no new nodes.
            return unsafe { commit(mode, usage, edit) };
        }
        let target = Target { mode, root: anchor, usage: &mut *usage, coder };
        let (old, before, size) = Self::remove_at(target, &leaf, at, removal)?;
        // The siblings' cache lines are far away: they are not looked at after every removal.
        let small = size < MAX_LEAF_BYTES / UNDERFULL_DIVISOR
            && size / MERGE_STEP_BYTES != before / MERGE_STEP_BYTES;
        if small
            && parent.is_some_and(|(keys, at)| {
                Self::pairs(&keys, at).any(|left| Self::fit_in_one(&keys, left))
            })
        {
            // Without memory for it, or after a conflict, the leaf stays small. The tree is whole
            // either way.
            let _ = Self::merge_leaf(Target { mode, root, usage, coder }, key, None);
        }
        Ok(old)
    }

    /// Removes keys, from entry `at` on but not all, of the leaf to which the target's root leads.
    ///
    /// Returns the value of the first of these keys, and the bytes that the leaf's entries needed
    /// before and need now.
    #[inline(always)]
    fn remove_at<M: Mode>(
        target: Target<'_, M>,
        leaf: &NodeRef<'_>,
        at: usize,
        removal: Removal<'_, B>,
    ) -> Result<(Option<B>, usize, usize), EditError> {
        let table = target.table();
        let Target { mode, root: anchor, usage, .. } = target;
        let Removal { key, count, expected, .. } = removal;
        let (own, info) = (leaf.info.size::<B>(), leaf.info);
        let shrunk = if count > 1 {
            Shrunk::Anew
        } else if let Some(table) = leaf.table() {
            Self::remove_coded(usage, leaf, table, at)?.map_or(Shrunk::Anew, Shrunk::Coded)
        } else {
            leaf.shrunk(at).map_or(Shrunk::Anew, Shrunk::Raw)
        };
        let (new, new_info, before) = match shrunk {
            Shrunk::Coded((new, info)) => (new, info, own),
            Shrunk::Raw(shrunk) => {
                let size = shrunk.info.size::<B>();
                let before = size + 3 + B::SIZE + shrunk.used - shrunk.info.rest();
                if may_spare::<M>(usage, own, size)
                    && Node::has_room(info, &shrunk)
                    && expected.is_none()
                {
                    // SAFETY: (N1, N3, N5, N6) the leaf is live, and the tree borrowed for writing.
                    // Nothing of `leaf` is used from here on.
                    let old = unsafe {
                        let old = leaf.node.value(info, at);
                        leaf.node.remove_in_place::<B>(info, shrunk);
                        old
                    };
                    cover!(RemovedInPlace);
                    return Ok((Some(old), before, size));
                }
                let new = leaf.without::<B>(usage, shrunk).ok_or(Failed(size))?;
                (new, shrunk.info, before)
            }
            Shrunk::Anew => {
                let (strip, mut keys) = (leaf.strip(), DecodedKeys::new());
                keys.append(leaf, &key[..strip], None)?;
                keys.remove(at, at + count);
                if let Some(table) = table {
                    keys.encode_for_leaf(table, strip)?;
                }
                let all = 0..keys.len();
                let node = |new: &mut NewNodes<'_, B>| keys.node(Kind::Leaf, new, all, strip);
                let new = make_one::<B>(usage, table, node)?;
                // SAFETY: (N1) the new leaf is ours.
                (new, unsafe { new.info() }, own)
            }
        };
        let edit = LeafEdit {
            anchor,
            old: leaf,
            new,
            new_info,
            at,
            removed: count,
            value: None,
            expected,
        };
        // SAFETY: (N1, N4, R1) the mode's, by the caller; the leaf has room for the values left.
        let old = unsafe { replace_leaf(mode, usage, edit) }?;
        Ok((old, before, new_info.size::<B>()))
    }

    /// Returns a copy of a coded leaf without an entry, and its shape. `None` if the leaf must be
    /// coded anew.
    #[inline(never)]
    fn remove_coded(
        usage: &mut Usage,
        leaf: &NodeRef<'_>,
        table: &FsstTable,
        at: usize,
    ) -> Result<Option<(Node, Info)>, Failed> {
        let mut scratch = Scratch::new();
        let Some(splice) = leaf.coded_removal(table, at, &mut scratch) else { return Ok(None) };
        let new = leaf.without_entry::<B>(usage, &splice);
        Ok(Some((new.ok_or(Failed(splice.info.size::<B>()))?, splice.info)))
    }

    /// Returns the left positions of the pairs that the child at `at` forms with its siblings.
    fn pairs(keys: &NodeRef<'_>, at: usize) -> impl Iterator<Item = usize> + use<B> {
        [at.checked_sub(1), Some(at).filter(|&left| left < keys.count())].into_iter().flatten()
    }

    /// Returns whether the child at `left` and the one after it are leaves that fit in one.
    fn fit_in_one(keys: &NodeRef<'_>, left: usize) -> bool {
        let (Child::Leaf(a), Child::Leaf(b)) = (keys.slot(left).load(), keys.slot(left + 1).load())
        else {
            return false;
        };
        // SAFETY: (N1) nodes reached from the root are live while the tree is borrowed, or while
        // the thread is pinned (R1).
        let (a, b) = unsafe { (NodeRef::new(a), NodeRef::new(b)) };
        Self::fit(&a, &b)
    }

    fn fit(a: &NodeRef<'_>, b: &NodeRef<'_>) -> bool {
        a.count() + b.count() <= MAX_LEAF_KEYS
            && a.exact().size::<B>() + b.exact().size::<B>() <= MAX_LEAF_BYTES * MERGED_QUARTERS / 4
    }

    /// Merges the leaf of `key` with a sibling if both fit in one. With a `removal`, which takes
    /// all keys of the leaf, the sibling replaces both. Returns the value of the first key removed.
    #[cold]
    #[inline(never)]
    fn merge_leaf<M: Mode>(
        target: Target<'_, M>,
        key: &[u8],
        removal: Option<Removal<'_, B>>,
    ) -> Result<Option<B>, EditError> {
        let table = target.table();
        let Target { mode, root, usage, .. } = target;
        let mut levels = locate(root, key)?.levels;
        let Some(level) = levels.last() else { return Err(EditError::Conflict) };
        let (keys, at) = (level.keys, level.at);
        for left in Self::pairs(&keys, at) {
            let (Child::Leaf(a), Child::Leaf(b)) =
                (keys.slot(left).load(), keys.slot(left + 1).load())
            else {
                continue;
            };
            // SAFETY: (N1, N5) nodes reached from the root are live while the tree is borrowed, or
            // while the thread is pinned (R1).
            let leaves = unsafe { [NodeRef::new(a), NodeRef::new(b)] };
            let own = at - left;
            match removal {
                None if !Self::fit(&leaves[0], &leaves[1]) => continue,
                None => {}
                Some(removal) => {
                    let leaf = &leaves[own];
                    // Another thread may have changed the leaf since it was looked at.
                    let other = removal.only.is_some_and(|only| only != leaf.node);
                    if other || leaf.count() != removal.count || leaf.search(key) != Ok(0) {
                        return Err(EditError::Conflict);
                    }
                }
            }
            cover!(Merge);
            let separator = level.separator(left, key)?;
            let fences = level.fences_of(left, left + 1, key)?;
            let kept = || {
                let kept = leaves.iter().enumerate();
                kept.filter(|&(i, _)| removal.is_none() || i != own).map(|(_, leaf)| leaf)
            };
            let mut pending = NewNodes::new(usage, 2 + 2 * levels.len())?;
            pending.table = table;
            let mut run = EntryRun::new(2, table)?;
            let mut merged = None;
            if kept().try_fold(true, |narrow, leaf| {
                Ok::<_, Failed>(narrow && run.append(leaf, &separator[..leaf.strip()])?)
            })? {
                merged = run.node(Kind::Leaf, &mut pending, 0..run.len(), fences.strip())?;
            }
            if merged.is_none() {
                let mut keys = DecodedKeys::new();
                for leaf in kept() {
                    keys.append(leaf, &separator[..leaf.strip()], None)?;
                }
                if let Some(table) = table {
                    keys.encode_for_leaf(table, fences.strip())?;
                }
                let all = 0..keys.len();
                merged = Some(keys.node(Kind::Leaf, &mut pending, all, fences.strip())?);
            }
            if let Some(level) = levels.last_mut() {
                level.at = left;
            }
            let mut edits = Vec::new();
            edits.try_reserve_exact(1 + levels.len())?;
            edits.push(LevelEdit {
                old: [Some(a), Some(b)],
                at: if own == 0 { 0 } else { leaves[0].count() },
                removed: removal.map_or(0, |removal| removal.count),
                new: [merged, None],
            });
            let anchor = Self::replace_pair(&levels, &mut pending, key, &mut edits)?;
            let expected = removal.and_then(|removal| removal.expected);
            let edit = Edit { anchor, levels: &edits, value: None, expected };
            // SAFETY: (N1, N4, R1) the mode's, by the caller; the leaf has room for the values
            // left.
            return unsafe { commit_new(mode, &mut pending, edit) };
        }
        // A leaf whose keys are all removed has a sibling.
        if removal.is_some() { Err(EditError::Conflict) } else { Ok(None) }
    }

    /// Plans the edit of the inner nodes when one node replaces the child where `levels` end and
    /// the child after it. Returns the slot at which all of it is published.
    ///
    /// Inner nodes that become small in turn merge with a sibling, or take children from it.
    fn replace_pair<'a>(
        levels: &[PathLevel<'a>],
        pending: &mut NewNodes<'_, B>,
        key: &[u8],
        edits: &mut Vec<LevelEdit>,
    ) -> Result<SlotRef<'a>, Failed> {
        let mut left = levels.last().map_or(0, |level| level.at);
        // The separator between the nodes that replace the pair, if these are two.
        let mut separator: Option<Vec<u8>> = None;
        for (i, level) in levels.iter().enumerate().rev() {
            let (own, kind) = (level.keys.node, Kind::above(levels.len() - i));
            let replace_own =
                |new| LevelEdit { old: [Some(own), None], at: left, removed: 2, new: [new, None] };
            // The ordinary case: the node loses a separator and stays large enough.
            let large = |info: &Info| {
                info.count() > 0
                    && (i == 0 || info.size_without_heads() >= MAX_INNER_BYTES / UNDERFULL_DIVISOR)
            };
            if let Some(shrunk) =
                level.keys.shrunk(left).filter(|shrunk| separator.is_none() && large(&shrunk.info))
            {
                let new = level.keys.without::<B>(pending.usage, shrunk);
                let new = new.ok_or(Failed(shrunk.info.size::<B>()))?;
                pending.note(new);
                edits.push(replace_own(Some(new)));
                return Ok(level.anchor);
            }
            let mut keys = separators(&level.keys, &key[..level.keys.strip()])?;
            keys.remove(left, left + 1);
            if let Some(separator) = separator.take() {
                keys.insert(left, &separator, ())?;
            }
            let n = keys.len();
            let size = keys.cost(level.fences.strip(), SLOT_BYTES);
            let parent = i
                .checked_sub(1)
                .map(|i| &levels[i])
                .filter(|_| n == 0 || size < MAX_INNER_BYTES / UNDERFULL_DIVISOR);
            let pair = parent.map(|parent| {
                // The pair is this node and its left sibling, or its right one if it is the first.
                let first = parent.at.saturating_sub(1);
                let Child::Inner(sibling) =
                    parent.keys.slot(if parent.at == 0 { 1 } else { first }).load()
                else {
                    unreachable!("all leaves are equally deep")
                };
                // SAFETY: (N1, N5) nodes reached from the root are live while the tree is borrowed,
                // or while the thread is pinned (R1).
                (parent, first, unsafe { NodeRef::new(sibling) })
            });
            let mut without_sibling = || -> Result<SlotRef<'a>, Failed> {
                let new = match n {
                    // The root has one child left, which becomes the root.
                    0 => None,
                    _ => Some(keys.node(kind, pending, 0..n, level.fences.strip())?),
                };
                edits.push(replace_own(new));
                Ok(level.anchor)
            };
            let Some((parent, first, sibling)) = pair else {
                if n == 0 {
                    cover!(RootCollapse);
                }
                return without_sibling();
            };
            let between = parent.separator(first, key)?;
            let merged_size = size + sibling.info.size_without_heads() + between.len();
            let fits = merged_size <= MAX_INNER_BYTES * MERGED_QUARTERS / 4
                && n + sibling.count() < MAX_INNER_SEPARATORS;
            if !fits && n > 0 {
                return without_sibling();
            }
            let other = separators(&sibling, &between[..sibling.strip()])?;
            let (old, at, mut all, high) = match parent.at {
                0 => ([Some(own), Some(sibling.node)], left, keys, other),
                _ => ([Some(sibling.node), Some(own)], sibling.count() + 1 + left, other, keys),
            };
            all.insert(all.len(), &between, ())?;
            for j in 0..high.len() {
                all.insert(all.len(), high.key(j), ())?;
            }
            let fences = parent.fences_of(first, first + 1, key)?;
            let new = if fits || all.len() < 3 {
                cover!(InnerMerge);
                [Some(all.node(kind, pending, 0..all.len(), fences.strip())?), None]
            } else {
                cover!(InnerBorrow);
                let (low, middle, high) =
                    Self::split_inner(kind, pending, &all, Split::Middle, &fences)?;
                separator = Some(try_copy(middle)?);
                [Some(low), Some(high)]
            };
            edits.push(LevelEdit { old, at, removed: 2, new });
            left = first;
        }
        unreachable!("the root has no sibling")
    }
}

/// Returns the separators of an inner node as whole keys.
fn separators(keys: &NodeRef<'_>, stripped: &[u8]) -> Result<DecodedKeys<()>, Failed> {
    let mut separators = DecodedKeys::new();
    separators.append(keys, stripped, None)?;
    Ok(separators)
}
