//! Insertion: a new leaf in the old one's place; past the size limit two, and a separator for the node above.

use crate::InsertError;
use crate::tree::edit::append::Append;
use crate::tree::edit::coded_run::Parts;
use crate::tree::edit::commit::{LevelEdit, commit_new, replace_leaf};
use crate::tree::edit::decoded::{DecodedKeys, Sequence, Split};
use crate::tree::edit::mode::{Alone, Mode, Stop};
use crate::tree::edit::path::{self, Fences, Level, locate};
use crate::tree::edit::pending::{Failed, NewNodes, try_copy};
use crate::tree::node::coding::{Gap, LINES, NodeRef};
use crate::tree::node::layout::{Child, Info, Kind, Node};
use crate::tree::node::slot::SlotRef;
use crate::tree::{
    INNER_COUNT, INNER_SIZE, LEAF_COUNT, LEAF_SIZE, MAX_KEY_LEN, RawTree, SLOT, Usage,
};
use crate::value::Bits;

impl<B: Bits> RawTree<B> {
    /// Stores `value` under `key`, and gives the value it replaces.
    #[inline]
    pub(crate) fn insert(&mut self, key: &[u8], value: B) -> Result<Option<B>, InsertError> {
        if key.len() > MAX_KEY_LEN {
            return Err(InsertError::KeyTooLong { len: key.len() });
        }
        let mut open = None;
        if self.append_mode.is_open() {
            match self.append(key, value) {
                Append::Done => return Ok(None),
                // The leaf gives way to others of exact size.
                Append::Full => open = self.append_mode.open.take(),
                Append::Elsewhere => self.close_open_leaf(),
            }
        }
        let root = SlotRef::root(&self.root);
        let (old, last) =
            match Self::insert_below(root, &mut self.usage, key, value, self.append_mode.is_on()) {
                Ok(done) => done,
                Err(stop) => {
                    self.append_mode.open = open;
                    return Err(stop.into());
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

    /// The old value, and whether the key went behind all others.
    #[inline]
    fn insert_below(
        root: SlotRef<'_>,
        usage: &mut Usage,
        key: &[u8],
        value: B,
        appending: bool,
    ) -> Result<(Option<B>, bool), Stop> {
        let (mut anchor, mut last) = (root, true);
        loop {
            match anchor.slot.load() {
                Child::Inner(node) => {
                    // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
                    let keys = unsafe { NodeRef::new(node) };
                    let at = keys.child(&key[keys.strip()..]);
                    last &= at == keys.count();
                    anchor = keys.owned(at);
                }
                Child::Empty => {
                    Self::insert_first(Alone, anchor, usage, key, value)?;
                    return Ok((None, true));
                }
                Child::Leaf(node) => {
                    NodeRef::prefetch(node, LINES);
                    // SAFETY: (N1, N5) as above.
                    let leaf = unsafe { NodeRef::new(node) };
                    let gap = match leaf.search(&key[leaf.strip()..]) {
                        Err(gap) => gap,
                        Ok(i) => {
                            // SAFETY: (N1, N3) as above; the tree is borrowed for writing.
                            unsafe {
                                let old = node.value(leaf.info, i);
                                node.set_value(leaf.info, i, value);
                                return Ok((Some(old), false));
                            }
                        }
                    };
                    last &= gap.at == leaf.count();
                    if !Self::insert_at(Alone, anchor, usage, &leaf, gap, key, value)? {
                        let split =
                            if last && appending { Split::Right(LEAF_SIZE) } else { Split::Middle };
                        Self::insert_cold(Alone, root, usage, key, value, split)?;
                    }
                    return Ok((None, last));
                }
            }
        }
    }

    /// Inserts the first key of all.
    #[cold]
    pub(crate) fn insert_first<M: Mode>(
        mode: M,
        anchor: SlotRef<'_>,
        usage: &mut Usage,
        key: &[u8],
        value: B,
    ) -> Result<(), Stop> {
        let mut run = DecodedKeys::new();
        run.reserve(1, key.len())?;
        run.push(0, key, ());
        let mut made = NewNodes::new(usage, 1)?;
        let new = run.node(Kind::Leaf, &mut made, 0, 1, 0)?;
        let step = LevelEdit { old: [None; 2], at: 0, removed: 0, new: [Some(new), None] };
        // SAFETY: (N1, N4, R1) the mode's, by the caller; the leaf has room for one value.
        unsafe { commit_new(mode, &mut made, anchor, &[step], Some(value), None) }?;
        Ok(())
    }

    /// Inserts `key` at a gap of the leaf that `anchor` leads to. `false`: the leaf has no room, or is wide.
    #[inline(always)]
    pub(crate) fn insert_at<M: Mode>(
        mode: M,
        anchor: SlotRef<'_>,
        usage: &mut Usage,
        leaf: &NodeRef<'_>,
        gap: Gap,
        key: &[u8],
        value: B,
    ) -> Result<bool, Stop> {
        let rest = &key[leaf.strip()..];
        let fits = |info: &Info| info.count() <= LEAF_COUNT && info.size::<B>() <= LEAF_SIZE;
        let Some(info) = leaf.grown(rest, gap).filter(fits) else { return Ok(false) };
        let new = leaf.with::<B>(usage, info, rest, gap).ok_or(Failed(info.size::<B>()))?;
        // SAFETY: (N1, N4, R1) the mode's, by the caller; the leaf has room for one value more.
        match unsafe {
            replace_leaf(mode, usage, anchor, leaf, (gap.at, 0), (Some(value), None), (new, info))
        } {
            Ok(_) => Ok(true),
            Err(stop) => {
                // SAFETY: (N2) the leaf was not published.
                unsafe { usage.free::<B>(new) };
                Err(stop)
            }
        }
    }

    /// Inserts where the leaf has no room or is wide.
    #[cold]
    #[inline(never)]
    pub(crate) fn insert_cold<M: Mode>(
        mode: M,
        root: SlotRef<'_>,
        usage: &mut Usage,
        key: &[u8],
        value: B,
        split: Split,
    ) -> Result<(), Stop> {
        let (levels, anchor, fences) = locate(root, key)?;
        let Child::Leaf(node) = anchor.slot.load() else { return Err(Stop::Conflict) };
        // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed, or while the thread is pinned (R1).
        let leaf = unsafe { NodeRef::new(node) };
        let strip = leaf.strip();
        let Err(gap) = leaf.search(&key[strip..]) else { return Err(Stop::Conflict) };
        let way = (root, &levels[..], anchor, &fences);
        let mut parts = Parts::new(3)?;
        if parts.append_with(&leaf, &key[..strip], (gap, &key[strip..]))?
            && Self::insert_among(mode, way, usage, &parts, (key, value), (node, gap.at), split)?
        {
            return Ok(());
        }
        let mut run = DecodedKeys::new();
        run.append(&leaf, &key[..strip], |_| (), Some((gap, &key[strip..], ())))?;
        Self::insert_among(mode, way, usage, &run, (key, value), (node, gap.at), split)?;
        Ok(())
    }

    /// Replaces a leaf by one or two of the keys that it has and another, which is at `at` among them. `false`: these keys cannot make them.
    fn insert_among<M: Mode>(
        mode: M,
        (root, levels, anchor, fences): (SlotRef<'_>, &[Level<'_>], SlotRef<'_>, &Fences),
        usage: &mut Usage,
        keys: &impl Sequence,
        (key, value): (&[u8], B),
        (old, at): (Node, usize),
        split: Split,
    ) -> Result<bool, Stop> {
        let n = keys.len();
        let mut made = NewNodes::new(usage, 4 + 2 * levels.len())?;
        if n <= LEAF_COUNT && (n == 1 || keys.cost(fences.strip(), B::SIZE) <= LEAF_SIZE) {
            let Some(new) = keys.node(Kind::Leaf, &mut made, 0, n, fences.strip())? else {
                return Ok(false);
            };
            let step = LevelEdit { old: [Some(old), None], at, removed: 0, new: [Some(new), None] };
            // SAFETY: (N1, N4, R1) the mode's, by the caller; the leaf has room for one value more.
            unsafe { commit_new(mode, &mut made, anchor, &[step], Some(value), None) }?;
            return Ok(true);
        }
        let cut = keys.cut(Kind::Leaf, 1, n, B::SIZE, split);
        let separator = keys.separator(cut)?;
        let left =
            keys.node(Kind::Leaf, &mut made, 0, cut, path::strip(fences.low(), Some(&separator)))?;
        let right =
            keys.node(Kind::Leaf, &mut made, cut, n, path::strip(Some(&separator), fences.high()))?;
        if left.is_none() || right.is_none() {
            return Ok(false);
        }
        cover!(LeafSplit);
        if split != Split::Middle {
            cover!(LopsidedSplit);
        }
        let mut steps = Vec::new();
        steps.try_reserve_exact(2 + levels.len())?;
        steps.push(LevelEdit { old: [Some(old), None], at, removed: 0, new: [left, right] });
        let anchor =
            Self::insert_separator(root, levels, &mut made, key, separator, split, &mut steps)?;
        // SAFETY: (N1, N4, R1) as above; the two leaves together have room for one value more.
        unsafe { commit_new(mode, &mut made, anchor, &steps, Some(value), None) }?;
        Ok(true)
    }

    /// Plans two children and the separator between them in the place of the child where `levels` end. The slot where all of it hangs.
    fn insert_separator<'a>(
        root: SlotRef<'a>,
        levels: &[Level<'a>],
        made: &mut NewNodes<'_, B>,
        key: &[u8],
        mut separator: Vec<u8>,
        split: Split,
        steps: &mut Vec<LevelEdit>,
    ) -> Result<SlotRef<'a>, Failed> {
        for level in levels.iter().rev() {
            let keys = &level.keys;
            let strip = keys.strip();
            let rest = &separator[strip..];
            let Err(gap) = keys.search(rest) else { unreachable!("a separator is new") };
            debug_assert_eq!(gap.at, level.at);
            let old = keys.node;
            if let Some(info) = keys
                .grown(rest, gap)
                .filter(|info| info.count() <= INNER_COUNT && info.size::<B>() <= INNER_SIZE)
            {
                let node =
                    keys.with::<B>(made.usage, info, rest, gap).ok_or(Failed(info.size::<B>()))?;
                made.note(node);
                steps.push(LevelEdit::one(old, level.at, node));
                return Ok(level.anchor);
            }
            let mut run = DecodedKeys::new();
            run.append(keys, &key[..strip], |_| (), Some((gap, rest, ())))?;
            let n = run.len();
            if n < 3
                || (n <= INNER_COUNT && run.cost(0, n, level.fences.strip(), SLOT) <= INNER_SIZE)
            {
                let node = run.node(Kind::Inner, made, 0, n, level.fences.strip())?;
                steps.push(LevelEdit::one(old, level.at, node));
                return Ok(level.anchor);
            }
            cover!(InnerSplit);
            let split = if let Split::Right(_) = split { Split::Right(INNER_SIZE) } else { split };
            let (low, mid, high) =
                Self::split_inner(made, &run, split, (level.fences.low(), level.fences.high()))?;
            separator = try_copy(mid)?;
            steps.push(LevelEdit {
                old: [Some(old), None],
                at: level.at,
                removed: 1,
                new: [Some(low), Some(high)],
            });
        }
        cover!(RootSplit);
        let mut run = DecodedKeys::new();
        run.reserve(1, separator.len())?;
        run.push(0, &separator, ());
        let node = run.node(Kind::Inner, made, 0, 1, 0)?;
        steps.push(LevelEdit { old: [None; 2], at: 0, removed: 0, new: [Some(node), None] });
        Ok(root)
    }

    /// Two inner nodes of the separators of `run`, three at least, and the one between them that goes up.
    pub(crate) fn split_inner<'r>(
        made: &mut NewNodes<'_, B>,
        run: &'r DecodedKeys<()>,
        split: Split,
        (low, high): (Option<&[u8]>, Option<&[u8]>),
    ) -> Result<(Node, &'r [u8], Node), Failed> {
        let n = run.len();
        // One separator at least on either side.
        let at = run.cut(Kind::Inner, 1, n - 1, SLOT, split);
        let mid = run.key(at);
        let left = run.node(Kind::Inner, made, 0, at, path::strip(low, Some(mid)))?;
        let right = run.node(Kind::Inner, made, at + 1, n, path::strip(Some(mid), high))?;
        Ok((left, mid, right))
    }
}
