//! Insertion: a new leaf replaces the old one, unless there is one owner and the leaf has room.
//! Past the size limit two leaves replace it, and the node above gets a separator.

use crate::InsertError;
use crate::symbols::{FsstTable, MAX_FSST_BYTES, Sample};
use crate::tree::coder::LeafCoder;
use crate::tree::edit::{
    Append, DecodedKeys, Edit, EditError, EntryRun, Exclusive, Expected, Failed, Fences, LeafEdit,
    LevelEdit, Mode, NewNodes, Outcome, Path, PathLevel, SortedKeys, Split, Target, commit_new,
    is_small, locate, overwrite, path, replace_leaf, try_copy,
};
use crate::tree::node::{
    Child, Gap, Info, Kind, MAX_NARROW_LEN, Node, NodeRef, PREFETCHED_LINES, Resized, Scratch,
    SlotRef,
};
use crate::tree::{
    EntryPos, MAX_INNER_BYTES, MAX_INNER_SEPARATORS, MAX_KEY_LEN, MAX_LEAF_BYTES, MAX_LEAF_KEYS,
    RawTree, SLOT_BYTES, Usage,
};
use crate::value::Bits;

/// A key to be inserted or overwritten, with its value.
#[derive(Clone, Copy)]
pub(crate) struct Upsert<'k, B> {
    pub(crate) key: &'k [u8],
    pub(crate) value: B,
    pub(crate) expected: Expected<B>,
    /// Whether keys come in ascending order, so that a leaf is best split at its end.
    pub(crate) appending: bool,
}

/// Returns whether a leaf of this shape is not too large.
#[inline(always)]
fn fits<B: Bits>(info: Info) -> bool {
    info.count() <= MAX_LEAF_KEYS && info.size::<B>() <= MAX_LEAF_BYTES
}

/// A leaf that gets another key, and how it is split.
#[derive(Clone, Copy)]
struct Grown<'k, B> {
    old: Node,
    /// The position of the key.
    at: usize,
    key: &'k [u8],
    value: B,
    split: Split,
    /// Whether it is split even if its keys fit into one leaf.
    divides: bool,
}

impl<B: Bits> RawTree<B> {
    /// Returns the tree as an operation of its one owner edits it.
    #[inline(always)]
    pub(crate) fn target(&mut self) -> Target<'_, Exclusive> {
        Target {
            mode: Exclusive,
            root: SlotRef::root(&self.root),
            usage: &mut self.usage,
            coder: self.coder.as_deref(),
        }
    }

    /// Inserts `key` with `value`, or overwrites its value. Returns the old value.
    #[inline]
    pub(crate) fn insert(&mut self, key: &[u8], value: B) -> Result<Option<B>, InsertError> {
        if key.len() > MAX_KEY_LEN {
            return Err(InsertError::KeyTooLong { len: key.len() });
        }
        let mut open = None;
        if self.append_mode.is_open() {
            match self.append(key, value) {
                Append::Done => return Ok(None),
                // Leaves of exact size will replace it.
                Append::Full => open = self.append_mode.open.take(),
                Append::Elsewhere => self.close_open_leaf(),
            }
        }
        let appending = self.append_mode.is_on();
        let target = self.target();
        let upsert = Upsert { key, value, expected: Expected::Any, appending };
        let (Outcome { old, .. }, last) = match Self::upsert(target, upsert) {
            Ok(done) => done,
            Err(error) => {
                self.append_mode.open = open;
                return Err(error.into());
            }
        };
        if old.is_none() {
            self.len += 1;
            if last {
                self.appended(key);
            } else {
                self.append_mode.appends = 0;
            }
        }
        Ok(old)
    }

    /// Inserts a key, or overwrites its value, if its value is as expected.
    ///
    /// Returns the outcome, and whether the key was inserted after all others.
    #[inline(always)]
    pub(crate) fn upsert<M: Mode>(
        target: Target<'_, M>,
        upsert: Upsert<'_, B>,
    ) -> Result<(Outcome<B>, bool), EditError> {
        let Upsert { key, value, expected, appending } = upsert;
        let (mut anchor, mut last) = (target.root, true);
        let absent = |done| Outcome { old: None, done };
        loop {
            match anchor.slot.load() {
                Child::Inner(node) => {
                    // SAFETY: (N1, N5) a node reached from the root is live while the tree is
                    // borrowed, or while the thread is pinned (R1).
                    let keys = unsafe { NodeRef::new(node) };
                    let at = keys.child(key);
                    last &= at == keys.count();
                    anchor = keys.slot_ref(at);
                }
                Child::Empty => {
                    if let Expected::Value(_) = expected {
                        return Ok((absent(false), false));
                    }
                    Self::insert_first(target, key, value)?;
                    return Ok((absent(true), true));
                }
                Child::Leaf(node) => {
                    NodeRef::prefetch(node, PREFETCHED_LINES);
                    // SAFETY: (N1, N5, R1) as above.
                    let leaf = unsafe { NodeRef::new(node) };
                    let gap = match leaf.search(key) {
                        Err(gap) => gap,
                        Ok(index) => {
                            let pos = EntryPos { node, info: leaf.info, index };
                            // SAFETY: (N1, N9, R1) as above; with one owner the tree is borrowed
                            // for writing.
                            let outcome = unsafe { overwrite(target.mode, pos, expected, value) };
                            return Ok((outcome?, false));
                        }
                    };
                    if let Expected::Value(_) = expected {
                        return Ok((absent(false), false));
                    }
                    last &= gap.at == leaf.count();
                    if !Self::insert_at(target.mode, target.usage, anchor, &leaf, gap, upsert)? {
                        let split = if last && appending {
                            Split::Right(MAX_LEAF_BYTES)
                        } else {
                            Split::Middle
                        };
                        Self::insert_cold(target, key, value, split)?;
                    }
                    return Ok((absent(true), last));
                }
            }
        }
    }

    /// Inserts the first key of a tree.
    #[cold]
    fn insert_first<M: Mode>(target: Target<'_, M>, key: &[u8], value: B) -> Result<(), EditError> {
        let mut keys = DecodedKeys::new();
        keys.reserve(1, key.len())?;
        keys.push(0, key, ());
        let mut pending = NewNodes::new(target.usage, 1)?;
        let new = keys.node(Kind::Leaf, &mut pending, 0..1, 0)?;
        let leaves = LevelEdit::add(new);
        let edit =
            Edit { anchor: target.root, levels: &[leaves], value: Some(value), expected: None };
        // SAFETY: (N1, N4, R1) the mode's, by the caller; the leaf has room for one value.
        unsafe { commit_new(target.mode, &mut pending, edit) }?;
        Ok(())
    }

    /// Inserts a key at a gap of the leaf that `anchor` leads to. Returns `false` if the leaf has
    /// no room or is wide.
    #[inline(always)]
    fn insert_at<M: Mode>(
        mode: M,
        usage: &mut Usage,
        anchor: SlotRef<'_>,
        leaf: &NodeRef<'_>,
        gap: Gap,
        upsert: Upsert<'_, B>,
    ) -> Result<bool, EditError> {
        let rest = &upsert.key[leaf.strip()..];
        if let Some(table) = leaf.table() {
            return Self::insert_coded((mode, usage, anchor), leaf, table, (rest, gap), upsert);
        }
        let Some(grown) = leaf.grown(rest, gap).filter(|grown| fits::<B>(grown.info)) else {
            return Ok(false);
        };
        if M::IN_PLACE && Node::has_room(leaf.info, &grown) {
            // SAFETY: (N1, N3, N6) the leaf is live, and the tree borrowed for writing. Of `leaf`
            // only the info and the address are used from here on.
            unsafe {
                leaf.node.insert_in_place::<B>(leaf.info, (rest, gap), grown, upsert.value);
            }
            cover!(InsertedInPlace);
            return Ok(true);
        }
        let exact = grown.info;
        let info = if is_small::<M>(usage) { exact.with_room::<B>() } else { exact };
        let new =
            leaf.with::<B>(usage, info, (rest, gap), grown).ok_or(Failed(info.size::<B>()))?;
        Self::replace_grown((mode, usage, anchor), leaf, (new, info), gap.at, upsert.value)
    }

    /// Inserts as [`insert_at`](Self::insert_at) does, in a coded leaf.
    #[inline(never)]
    fn insert_coded<M: Mode>(
        (mode, usage, anchor): (M, &mut Usage, SlotRef<'_>),
        leaf: &NodeRef<'_>,
        table: &FsstTable,
        (rest, gap): (&[u8], Gap),
        upsert: Upsert<'_, B>,
    ) -> Result<bool, EditError> {
        let mut scratch = Scratch::new();
        let Some(splice) = leaf
            .coded_insertion(table, rest, gap, &mut scratch)
            .filter(|splice| fits::<B>(splice.info))
        else {
            return Ok(false);
        };
        let info = splice.info;
        let new = leaf.with_entry::<B>(usage, info, (rest, gap.lcp), &splice);
        let new = new.ok_or(Failed(info.size::<B>()))?;
        Self::replace_grown((mode, usage, anchor), leaf, (new, info), gap.at, upsert.value)
    }

    /// Replaces a leaf by one with an entry more, at `at`. Returns `true`.
    #[inline(always)]
    fn replace_grown<M: Mode>(
        (mode, usage, anchor): (M, &mut Usage, SlotRef<'_>),
        leaf: &NodeRef<'_>,
        (new, new_info): (Node, Info),
        at: usize,
        value: B,
    ) -> Result<bool, EditError> {
        let edit = LeafEdit {
            anchor,
            old: leaf,
            new,
            new_info,
            at,
            removed: 0,
            value: Some(value),
            expected: None,
        };
        // SAFETY: (N1, N4, R1) the mode's, by the caller; the leaf has room for one value more.
        unsafe { replace_leaf(mode, usage, edit) }?;
        Ok(true)
    }

    /// Inserts a key where the leaf has no room or is wide.
    #[cold]
    #[inline(never)]
    fn insert_cold<M: Mode>(
        target: Target<'_, M>,
        key: &[u8],
        value: B,
        split: Split,
    ) -> Result<(), EditError> {
        let table = target.table();
        let Target { mode, root, usage, coder } = target;
        let path = locate(root, key)?;
        let Child::Leaf(node) = path.anchor.slot.load() else { return Err(EditError::Conflict) };
        // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed, or
        // while the thread is pinned (R1).
        let leaf = unsafe { NodeRef::new(node) };
        let strip = leaf.strip();
        let Err(gap) = leaf.search(key) else { return Err(EditError::Conflict) };
        // An open leaf, which is not coded, would be coded and decoded again for each key.
        let divides = table.is_some() && split != Split::Middle && leaf.table().is_none();
        let grown = Grown { old: node, at: gap.at, key, value, split, divides };
        // The tree may free the leaf when it is replaced.
        let is_sampling = coder.is_some_and(LeafCoder::is_sampling);
        let sampled = if is_sampling { Self::sample(&leaf) } else { None };
        let mut run = EntryRun::new(3, table)?;
        let is_done = run.append_with(&leaf, &key[..strip], (gap, &key[strip..]))?
            && Self::insert_among((mode, usage, table), &path, &run, grown)?;
        if is_done && table.is_some() {
            cover!(CodedSplit);
        }
        if !is_done {
            let mut keys = DecodedKeys::new();
            keys.append(&leaf, &key[..strip], Some((gap, &key[strip..])))?;
            if let Some(table) = table {
                keys.encode_for_leaf(table, path.fences.strip())?;
            }
            Self::insert_among((mode, usage, table), &path, &keys, grown)?;
        }
        if let Some(coder) = coder {
            let rest = key.get(strip + gap.lcp + 1..).unwrap_or_default();
            coder.split(rest, sampled.as_ref());
        }
        Ok(())
    }

    /// Returns the rests of a leaf, except for long ones. `None` when out of memory.
    #[cold]
    fn sample(leaf: &NodeRef<'_>) -> Option<Sample> {
        let (mut sample, mut offset, mut rest) = (Sample::default(), 0, Vec::new());
        // Decoding writes more than the rest first.
        rest.try_reserve_exact(MAX_FSST_BYTES * MAX_NARROW_LEN).ok()?;
        for i in 0..leaf.count() {
            let entry = leaf.entry(i, offset);
            offset += entry.rest.len();
            rest.clear();
            if entry.rest.len() <= MAX_NARROW_LEN {
                entry.append_rest(&mut rest);
                sample.try_push(&rest).ok()?;
            }
        }
        Some(sample)
    }

    /// Replaces a leaf by one or two that have its keys and the new one, all of which are in
    /// `keys`.
    ///
    /// Returns `false` if nodes cannot be made from these keys.
    fn insert_among<M: Mode>(
        (mode, usage, table): (M, &mut Usage, Option<&FsstTable>),
        path: &Path<'_>,
        keys: &impl SortedKeys,
        grown: Grown<'_, B>,
    ) -> Result<bool, EditError> {
        let Grown { old, at, key, value, split, divides } = grown;
        let (n, fences) = (keys.len(), &path.fences);
        let room = is_small::<M>(usage) && split == Split::Middle;
        let mut pending = NewNodes::new(usage, 4 + 2 * path.levels.len())?;
        pending.leaves_have_room = room;
        pending.table = table;
        let leaves = |new| LevelEdit { old: [Some(old), None], at, removed: 0, new };
        if n == 1
            || n <= MAX_LEAF_KEYS
                && !divides
                && keys.cost(fences.strip(), B::SIZE) <= MAX_LEAF_BYTES
        {
            let new = keys.node(Kind::Leaf, &mut pending, 0..n, fences.strip())?;
            if new.is_none() {
                return Ok(false);
            }
            let edit = Edit {
                anchor: path.anchor,
                levels: &[leaves([new, None])],
                value: Some(value),
                expected: None,
            };
            // SAFETY: (N1, N4, R1) the mode's, by the caller; the leaf has room for one value more.
            unsafe { commit_new(mode, &mut pending, edit) }?;
            return Ok(true);
        }
        let middle = keys.split_index(Kind::Leaf, 1..n, B::SIZE, split);
        let separator = keys.separator(middle)?;
        let (low_strip, high_strip) = (
            path::strip(fences.low(), Some(&separator)),
            path::strip(Some(&separator), fences.high()),
        );
        let low = keys.node(Kind::Leaf, &mut pending, 0..middle, low_strip)?;
        let high = keys.node(Kind::Leaf, &mut pending, middle..n, high_strip)?;
        if low.is_none() || high.is_none() {
            return Ok(false);
        }
        cover!(LeafSplit);
        if split != Split::Middle {
            cover!(LopsidedSplit);
        }
        let mut edits = Vec::new();
        edits.try_reserve_exact(2 + path.levels.len())?;
        edits.push(leaves([low, high]));
        let anchor = Self::insert_separator(path, &mut pending, key, separator, split, &mut edits)?;
        let edit = Edit { anchor, levels: &edits, value: Some(value), expected: None };
        // SAFETY: (N1, N4, R1) as above; the two leaves together have room for one value more.
        unsafe { commit_new(mode, &mut pending, edit) }?;
        Ok(true)
    }

    /// Plans the edit of the inner nodes when two leaves, with `separator` between them, replace
    /// the leaf of `path`. Returns the slot at which all of it is published.
    fn insert_separator<'a>(
        path: &Path<'a>,
        pending: &mut NewNodes<'_, B>,
        key: &[u8],
        mut separator: Vec<u8>,
        split: Split,
        edits: &mut Vec<LevelEdit>,
    ) -> Result<SlotRef<'a>, Failed> {
        for (above, level) in (1..).zip(path.levels.iter().rev()) {
            let PathLevel { anchor, keys, at, fences } = level;
            let (strip, at) = (keys.strip(), *at);
            let rest = &separator[strip..];
            let Err(gap) = keys.search(&separator) else { unreachable!("a separator is new") };
            debug_assert_eq!(gap.at, at);
            let old = keys.node;
            if let Some(grown) = keys.grown(rest, gap).filter(|Resized { info, .. }| {
                info.count() <= MAX_INNER_SEPARATORS && info.size_without_heads() <= MAX_INNER_BYTES
            }) {
                let info = grown.info;
                let new = keys.with::<B>(pending.usage, info, (rest, gap), grown);
                let new = new.ok_or(Failed(info.size::<B>()))?;
                pending.note(new);
                edits.push(LevelEdit::one(old, at, 1, new));
                return Ok(*anchor);
            }
            let mut decoded = DecodedKeys::new();
            decoded.append(keys, &key[..strip], Some((gap, rest)))?;
            let n = decoded.len();
            let fits = || {
                n <= MAX_INNER_SEPARATORS
                    && decoded.cost(fences.strip(), SLOT_BYTES) <= MAX_INNER_BYTES
            };
            if n < 3 || fits() {
                let new = decoded.node(Kind::above(above), pending, 0..n, fences.strip())?;
                edits.push(LevelEdit::one(old, at, 1, new));
                return Ok(*anchor);
            }
            cover!(InnerSplit);
            let split =
                if let Split::Right(_) = split { Split::Right(MAX_INNER_BYTES) } else { split };
            let (low, middle, high) =
                Self::split_inner(Kind::above(above), pending, &decoded, split, fences)?;
            separator = try_copy(middle)?;
            edits.push(LevelEdit {
                old: [Some(old), None],
                at,
                removed: 1,
                new: [Some(low), Some(high)],
            });
        }
        cover!(RootSplit);
        let mut keys = DecodedKeys::new();
        keys.reserve(1, separator.len())?;
        keys.push(0, &separator, ());
        let root = keys.node(Kind::above(path.levels.len() + 1), pending, 0..1, 0)?;
        edits.push(LevelEdit::add(root));
        Ok(path.root)
    }

    /// Makes two inner nodes of separators, at least three. Returns the left node, the separator
    /// between the two, which moves up, and the right node.
    pub(crate) fn split_inner<'r>(
        kind: Kind,
        pending: &mut NewNodes<'_, B>,
        keys: &'r DecodedKeys<()>,
        split: Split,
        fences: &Fences,
    ) -> Result<(Node, &'r [u8], Node), Failed> {
        let n = keys.len();
        // At least one separator on either side.
        let at = keys.split_index(kind, 1..n - 1, SLOT_BYTES, split);
        let middle = keys.key(at);
        let low_strip = path::strip(fences.low(), Some(middle));
        let high_strip = path::strip(Some(middle), fences.high());
        let low = keys.node(kind, pending, 0..at, low_strip)?;
        let high = keys.node(kind, pending, at + 1..n, high_strip)?;
        Ok((low, middle, high))
    }
}
