//! Insertion: a new leaf in the old one's place; past the size limit two, and a separator for the node above.

use super::keys::{Gap, Item, Keys, LINES};
use super::node::{Child, Node, Slot};
use super::path::{self, Level, copy, locate};
use super::run::{Failed, Made, Run, Split};
use super::tail::APPENDS;
use super::{INNER_COUNT, INNER_SIZE, LEAF_COUNT, LEAF_SIZE, MAX_KEY_LEN, RawTree, SLOT, Usage};
use crate::InsertError;
use crate::value::Bits;

impl<B: Bits> RawTree<B> {
    /// Stores `value` under `key`, and gives the value it replaces.
    #[inline]
    pub(crate) fn insert(&mut self, key: &[u8], value: B) -> Result<Option<B>, InsertError> {
        if key.len() > MAX_KEY_LEN {
            return Err(InsertError::KeyTooLong { len: key.len() });
        }
        if self.tail.is_open() {
            if self.append(key, value) {
                return Ok(None);
            }
            self.close_tail();
        }
        let (old, last) = Self::insert_below(&self.root, &mut self.usage, key, value, self.tail.appends >= APPENDS)?;
        if old.is_none() {
            self.len += 1;
            if last {
                self.appended(key);
            } else {
                self.tail.appends = 0;
            }
        }
        Ok(old)
    }

    /// The old value, and whether the key went behind all others.
    #[inline]
    fn insert_below(root: &Slot, usage: &mut Usage, key: &[u8], value: B, appending: bool) -> Result<(Option<B>, bool), Failed> {
        let (mut slot, mut last) = (root, true);
        loop {
            match slot.load() {
                Child::Inner(node) => {
                    // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
                    let keys = unsafe { Keys::new(node) };
                    let at = keys.child(&key[keys.strip()..]);
                    last &= at == keys.count();
                    slot = keys.slot(at);
                }
                Child::Empty => {
                    let mut run = Run::new();
                    run.reserve(1, key.len())?;
                    run.push(0, key, value);
                    let mut made = Made::new(usage, 1)?;
                    slot.store(Child::Leaf(run.leaf(&mut made, 0, 1, 0)?));
                    made.keep();
                    return Ok((None, true));
                }
                Child::Leaf(node) => {
                    Keys::prefetch(node, LINES);
                    // SAFETY: (N1, N5) as above.
                    let leaf = unsafe { Keys::new(node) };
                    let rest = &key[leaf.strip()..];
                    let gap = match leaf.search(rest) {
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
                    match leaf.grown(rest, gap) {
                        Some(info) if info.count() <= LEAF_COUNT && info.size::<B>() <= LEAF_SIZE => {
                            // SAFETY: (N3) the tree is borrowed for writing.
                            let new = unsafe { leaf.with(usage, info, rest, gap, Item::Value(value)) };
                            slot.store(Child::Leaf(new.ok_or(Failed(info.size::<B>()))?));
                            // SAFETY: (N2) the slot leads to the new leaf now.
                            unsafe { usage.free::<B>(node) };
                        }
                        _ => {
                            let split = if last && appending { Split::Right(LEAF_SIZE) } else { Split::Middle };
                            Self::insert_cold(root, usage, key, gap, value, split)?;
                        }
                    }
                    return Ok((None, last));
                }
            }
        }
    }

    /// Inserts where the leaf has no room or is wide.
    #[cold]
    #[inline(never)]
    fn insert_cold(root: &Slot, usage: &mut Usage, key: &[u8], gap: Gap, value: B, split: Split) -> Result<(), Failed> {
        let (levels, slot, fences) = locate(root, key)?;
        let Child::Leaf(node) = slot.load() else { return Ok(()) };
        // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
        let leaf = unsafe { Keys::new(node) };
        let strip = leaf.strip();
        let mut run = Run::new();
        // SAFETY: (N3) the tree is borrowed for writing.
        unsafe { run.append_leaf(&leaf, &key[..strip], Some((gap, &key[strip..], value)))? };
        let n = run.len();
        let mut made = Made::new(usage, 4 + 2 * levels.len())?;
        if n <= LEAF_COUNT && (n == 1 || run.cost(0, n, fences.strip(), B::SIZE) <= LEAF_SIZE) {
            slot.store(Child::Leaf(run.leaf(&mut made, 0, n, fences.strip())?));
            made.keep();
        } else {
            count!(LeafSplit);
            if split != Split::Middle {
                count!(LopsidedSplit);
            }
            let at = run.cut(1, n, B::SIZE, split, |i| run.lcp(i));
            let separator = run.separator(at);
            let left = run.leaf(&mut made, 0, at, path::strip(fences.low(), Some(separator)))?;
            let right = run.leaf(&mut made, at, n, path::strip(Some(separator), fences.high()))?;
            let pair = (copy(separator)?, Child::Leaf(left), Child::Leaf(right));
            let replaced = Self::insert_separator(root, &levels, &mut made, key, pair, split)?;
            for level in &levels[replaced..] {
                // SAFETY: (N2) no slot leads to it any more.
                unsafe { made.usage.free::<B>(level.keys.node) };
            }
        }
        // SAFETY: (N2) no slot leads to the old leaf any more.
        unsafe { made.usage.free::<B>(node) };
        Ok(())
    }

    /// Puts two children and the separator between them in the place of the child where `levels` end. Says from which level on nodes were
    /// replaced.
    fn insert_separator(
        root: &Slot,
        levels: &[Level<'_>],
        made: &mut Made<'_, B>,
        key: &[u8],
        (mut separator, mut left, mut right): (Vec<u8>, Child, Child),
        split: Split,
    ) -> Result<usize, Failed> {
        for (i, level) in levels.iter().enumerate().rev() {
            let keys = &level.keys;
            let strip = keys.strip();
            let rest = &separator[strip..];
            let Err(gap) = keys.search(rest) else { unreachable!("a separator is new") };
            debug_assert_eq!(gap.at, level.at);
            if let Some(info) = keys.grown(rest, gap).filter(|info| info.count() <= INNER_COUNT && info.size::<B>() <= INNER_SIZE) {
                // SAFETY: (N3) the tree is borrowed for writing.
                let node = unsafe { keys.with::<B>(made.usage, info, rest, gap, Item::Children(left, right)) };
                level.slot.store(Child::Inner(node.ok_or(Failed(info.size::<B>()))?));
                made.keep();
                return Ok(i);
            }
            let mut run = Run::new();
            run.append(keys, &key[..strip], |i| keys.slot(i + 1).load(), Some((gap, rest, right)))?;
            let mut first = keys.slot(0).load();
            match gap.at.checked_sub(1) {
                None => first = left,
                Some(before) => run.set_item(before, left),
            }
            let n = run.len();
            if n < 3 || (n <= INNER_COUNT && run.cost(0, n, level.fences.strip(), SLOT) <= INNER_SIZE) {
                let node = run.inner(made, first, 0, n, level.fences.strip())?;
                level.slot.store(Child::Inner(node));
                made.keep();
                return Ok(i);
            }
            count!(InnerSplit);
            let split = if let Split::Right(_) = split { Split::Right(INNER_SIZE) } else { split };
            let (low, mid, high) = Self::split_inner(made, &run, first, split, (level.fences.low(), level.fences.high()))?;
            separator = copy(mid)?;
            (left, right) = (Child::Inner(low), Child::Inner(high));
        }
        count!(RootSplit);
        let mut run = Run::new();
        run.reserve(1, separator.len())?;
        run.push(0, &separator, right);
        root.store(Child::Inner(run.inner(made, left, 0, 1, 0)?));
        made.keep();
        Ok(0)
    }

    /// Two inner nodes of the separators of `run`, three at least, and the one between them that goes up.
    pub(crate) fn split_inner<'r>(
        made: &mut Made<'_, B>,
        run: &'r Run<Child>,
        first: Child,
        split: Split,
        (low, high): (Option<&[u8]>, Option<&[u8]>),
    ) -> Result<(Node, &'r [u8], Node), Failed> {
        let n = run.len();
        // One separator at least on either side.
        let at = run.cut(1, n - 1, SLOT, split, |i| run.key_len(i));
        let mid = run.key(at);
        let left = run.inner(made, first, 0, at, path::strip(low, Some(mid)))?;
        let right = run.inner(made, run.item(at), at + 1, n, path::strip(Some(mid), high))?;
        Ok((left, mid, right))
    }
}
