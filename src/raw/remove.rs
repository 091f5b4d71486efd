//! Removal: a new leaf without the entry; underfull neighbours merged; inner nodes with one child folded into it.

use super::inner::{self, Children, Found, Inner};
use super::insert::Parent;
use super::leaf::Leaf;
use super::node::{Child, Slot};
use super::run::{Failed, Made, Run};
use super::{LEAF_COUNT, LEAF_SIZE, RawCursor, RawTree, Usage};
use crate::InsertError;
use crate::value::Bits;
use std::ops::Bound;

/// A leaf that shrinks below this many bytes looks for a neighbour to merge with.
const UNDERFULL: usize = LEAF_SIZE / 2;
/// Bytes that a merged leaf may have, so that the next insert does not split it again.
const MERGED: usize = LEAF_SIZE * 3 / 4;

/// One inner node on the way down to a key: the slot that holds it, and where the way goes on.
#[derive(Clone, Copy)]
struct Level<'a> {
    slot: &'a Slot,
    position: Option<usize>,
}

impl<B: Bits> RawTree<B> {
    /// Removes `key`, and gives its value.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Result<Option<B>, InsertError> {
        if self.tail.is_open() {
            self.close_tail();
        }
        self.tail.appends = 0;
        let (old, underfull) = Self::remove_below(&self.root, &mut self.usage, key, 1)?;
        if old.is_some() {
            self.len -= 1;
        }
        if underfull {
            self.tidy(key);
        }
        Ok(old)
    }

    /// Removes every key between the bounds, and says how many there were.
    pub(crate) fn remove_between(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<usize, InsertError> {
        if self.tail.is_open() {
            self.close_tail();
        }
        self.tail.appends = 0;
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
                    first.try_reserve_exact(key.len()).map_err(Failed::from)?;
                    first.extend_from_slice(key);
                }
                count += 1;
            }
            if count == 0 {
                break;
            }
            let (_, underfull) = Self::remove_below(&self.root, &mut self.usage, &first, count)?;
            self.len -= count;
            if underfull {
                self.tidy(&first);
            }
        }
        Ok(before - self.len)
    }

    /// Removes `key` and the `keys - 1` behind it in its leaf. The value of `key`, and whether its surroundings may have become too sparse.
    fn remove_below(root: &Slot, usage: &mut Usage, key: &[u8], keys: usize) -> Result<(Option<B>, bool), Failed> {
        let (mut slot, mut parent, mut depth) = (root, None::<Parent<'_>>, 0);
        let node = loop {
            match slot.load() {
                Child::Empty => return Ok((None, false)),
                Child::Leaf(node) => break node,
                Child::Inner(node) => {
                    // SAFETY: (N1) a node reached from the root is live while the tree is borrowed.
                    let inner = unsafe { Inner::new(node) };
                    if !key[depth..].starts_with(inner.prefix()) {
                        return Ok((None, false));
                    }
                    depth += inner.prefix().len();
                    let Some(&byte) = key.get(depth) else {
                        (slot, parent) = (inner.end_slot(), None);
                        continue;
                    };
                    let Found::Child(position, child) = inner.find(byte) else { return Ok((None, false)) };
                    depth += usize::from(!child.is_leaf());
                    parent = Some(Parent { slot, inner, position });
                    slot = inner.slot(position);
                }
            }
        };
        Leaf::prefetch(node);
        // SAFETY: (N1, N5) as above.
        let leaf = unsafe { Leaf::new(node) };
        let Ok(at) = leaf.search(&key[depth..]) else { return Ok((None, false)) };
        // SAFETY: (N1) as above.
        let old = unsafe { node.value(leaf.info, at) };
        let mut underfull = true;
        if leaf.count() == keys {
            match parent {
                None => slot.store(Child::Empty),
                Some(parent) => {
                    let mut children = parent.inner.children();
                    children.splice(parent.position, parent.position + 1, &Children::new());
                    // SAFETY: (N3) the tree is borrowed for writing.
                    unsafe { parent.inner.store(&children) };
                }
            }
        } else {
            let new = match if keys == 1 { leaf.shrunk(at) } else { None } {
                // SAFETY: (N3) the tree is borrowed for writing.
                Some(info) => unsafe { leaf.without::<B>(usage, info, at) }.ok_or(Failed(info.size::<B>()))?,
                None => {
                    let mut run = Run::<B>::new();
                    // SAFETY: (N1, N3) as above.
                    unsafe { run.append(&leaf, &[], None)? };
                    run.remove(at, at + keys);
                    let mut made = Made::new(usage, 1)?;
                    let new = run.leaf(&mut made, 0, run.len(), 0)?;
                    made.keep();
                    new
                }
            };
            slot.store(Child::Leaf(new));
            // SAFETY: (N1) the new leaf is live.
            underfull = unsafe { new.info() }.size::<B>() < UNDERFULL;
        }
        // SAFETY: (N2) no slot leads to the old leaf any more.
        unsafe { usage.free::<B>(node) };
        Ok((Some(old), underfull))
    }

    /// Merges and folds along the way to where `key` was. Without memory for it the tree stays sparse, and whole.
    #[cold]
    #[inline(never)]
    pub(crate) fn tidy(&mut self, key: &[u8]) {
        let RawTree { root, usage, .. } = self;
        let mut levels: Vec<Level<'_>> = Vec::new();
        let (mut slot, mut depth) = (&*root, 0);
        while let Child::Inner(node) = slot.load() {
            // SAFETY: (N1) a node reached from the root is live while the tree is borrowed.
            let inner = unsafe { Inner::new(node) };
            if levels.try_reserve(1).is_err() {
                return;
            }
            let rest = &key[depth.min(key.len())..];
            if !rest.starts_with(inner.prefix()) {
                levels.push(Level { slot, position: None });
                break;
            }
            depth += inner.prefix().len();
            let position = match key.get(depth).map(|&b| inner.find(b)) {
                None => None,
                Some(Found::Child(position, _)) => Some(position),
                Some(Found::Gap(position)) => position.checked_sub(1).or((inner.count() > 0).then_some(0)),
            };
            levels.push(Level { slot, position });
            match position {
                Some(position) if matches!(key.get(depth).map(|&b| inner.find(b)), Some(Found::Child(..))) => {
                    slot = inner.slot(position);
                    depth += usize::from(!slot.load().is_leaf());
                }
                _ => break,
            }
        }
        while let Some(level) = levels.pop() {
            let above = levels.last().copied();
            if !matches!(Self::tidy_node(usage, level, above), Ok(true)) {
                return;
            }
        }
    }

    /// Tidies one inner node. Says whether it gave way to a leaf or vanished, so that the node above may have work too.
    fn tidy_node(usage: &mut Usage, level: Level<'_>, above: Option<Level<'_>>) -> Result<bool, Failed> {
        let Child::Inner(node) = level.slot.load() else { return Ok(false) };
        // SAFETY: (N1) a node reached from the root is live while the tree is borrowed.
        let mut inner = unsafe { Inner::new(node) };
        let above = match above {
            None => None,
            Some(Level { slot, position: Some(position) }) => {
                let Child::Inner(up) = slot.load() else { return Ok(false) };
                // SAFETY: (N1) as above.
                Some((unsafe { Inner::new(up) }, position))
            }
            Some(_) => return Ok(false),
        };
        if inner.count() == 0 && inner.end_slot().load().is_empty() {
            match above {
                None => level.slot.store(Child::Empty),
                Some((up, position)) => {
                    let mut children = up.children();
                    children.splice(position, position + 1, &Children::new());
                    // SAFETY: (N3) the tree is borrowed for writing.
                    unsafe { up.store(&children) };
                }
            }
            // SAFETY: (N2) no slot leads to the node any more.
            unsafe { usage.free::<B>(node) };
            return Ok(true);
        }
        if let Some(position) = level.position {
            for left in [position.checked_sub(1), Some(position)].into_iter().flatten() {
                if left + 1 < inner.count() && Self::merge(usage, level.slot, inner, left)? {
                    let Child::Inner(node) = level.slot.load() else { return Ok(false) };
                    // SAFETY: (N1) as above.
                    inner = unsafe { Inner::new(node) };
                    break;
                }
            }
        }
        let folded = Self::fold(usage, level.slot, inner, above.map(|(up, position)| up.separator(position)))?;
        if let (true, Some((up, _))) = (folded, above) {
            // A leaf covers a range where the inner node covered a byte.
            let mut children = up.children();
            children.settle();
            // SAFETY: (N3) the tree is borrowed for writing.
            unsafe { up.store(&children) };
        }
        Ok(folded)
    }

    /// Bytes of a leaf, and its entries.
    fn weight(child: Child) -> Option<(usize, usize)> {
        let Child::Leaf(node) = child else { return None };
        // SAFETY: (N1) the child was just read from a live node.
        let info = unsafe { node.info() };
        Some((info.size::<B>(), info.count()))
    }

    /// Makes one leaf of the leaves at `left` and behind it, where they are small enough.
    fn merge(usage: &mut Usage, slot: &Slot, inner: Inner<'_>, left: usize) -> Result<bool, Failed> {
        let (a, b) = (inner.slot(left).load(), inner.slot(left + 1).load());
        let (Some((size_a, n_a)), Some((size_b, n_b))) = (Self::weight(a), Self::weight(b)) else { return Ok(false) };
        if size_a + size_b > MERGED || n_a + n_b > LEAF_COUNT {
            return Ok(false);
        }
        count!(Merge);
        let mut run = Run::<B>::new();
        for child in [a, b] {
            Self::append_leaf(&mut run, child, &[])?;
        }
        let mut made = Made::new(usage, 2)?;
        let leaf = run.leaf(&mut made, 0, run.len(), 0)?;
        let mut new = Children::new();
        new.push(inner.separator(left), Child::Leaf(leaf));
        let parent = Parent { slot, inner, position: left };
        Self::replace(made, parent, 2, &new)?;
        for child in [a, b] {
            if let Child::Leaf(node) = child {
                // SAFETY: (N2) no slot leads to it any more.
                unsafe { usage.free::<B>(node) };
            }
        }
        Ok(true)
    }

    fn append_leaf(run: &mut Run<B>, child: Child, prefix: &[u8]) -> Result<(), Failed> {
        if let Child::Leaf(node) = child {
            // SAFETY: (N1, N3, N5) the child was just read from a live node; the tree is borrowed for writing.
            unsafe { run.append(&Leaf::new(node), prefix, None)? };
        }
        Ok(())
    }

    /// Folds an inner node that has one child left, or just leaves that fit in one, into its slot. Says whether a leaf stands there now.
    ///
    /// `byte` is the one that led to the node, which becomes part of what moves up; nothing led to the root.
    fn fold(usage: &mut Usage, slot: &Slot, inner: Inner<'_>, byte: Option<u8>) -> Result<bool, Failed> {
        let end = inner.end_slot().load();
        let children = inner.children();
        let (mut size, mut count) = Self::weight(end).unwrap_or((0, 0));
        let mut all_leaves = true;
        for i in 0..children.len() {
            match Self::weight(children.get(i).1) {
                Some((s, c)) => (size, count) = (size + s, count + c),
                None => all_leaves = false,
            }
        }
        let mut path = Vec::new();
        if all_leaves && ((size <= MERGED && count <= LEAF_COUNT) || (children.len() == 1 && end.is_empty())) {
            count!(Collapse);
            path.try_reserve_exact(inner.prefix().len() + 1)?;
            path.extend(byte);
            path.extend_from_slice(inner.prefix());
            let mut run = Run::<B>::new();
            Self::append_leaf(&mut run, end, &path)?;
            for i in 0..children.len() {
                Self::append_leaf(&mut run, children.get(i).1, &path)?;
            }
            let mut made = Made::new(usage, 1)?;
            slot.store(Child::Leaf(run.leaf(&mut made, 0, run.len(), 0)?));
            made.keep();
            for child in std::iter::once(end).chain((0..children.len()).map(|i| children.get(i).1)) {
                if let Child::Leaf(node) = child {
                    // SAFETY: (N2) no slot leads to it any more.
                    unsafe { made.usage.free::<B>(node) };
                }
            }
            // SAFETY: (N2) as above.
            unsafe { made.usage.free::<B>(inner.node) };
            return Ok(true);
        }
        if children.len() == 1 && end.is_empty() {
            let (separator, Child::Inner(below)) = children.get(0) else { return Ok(false) };
            count!(Collapse);
            // SAFETY: (N1) the child was just read from a live node.
            let below = unsafe { Inner::new(below) };
            path.try_reserve_exact(inner.prefix().len() + 1 + below.prefix().len()).map_err(Failed::from)?;
            path.extend_from_slice(inner.prefix());
            path.push(separator);
            path.extend_from_slice(below.prefix());
            let mut made = Made::<B>::new(usage, 1)?;
            let node = inner::build(&mut made, &path, below.end_slot().load(), &below.children())?;
            slot.store(Child::Inner(node));
            made.keep();
            // SAFETY: (N2) no slot leads to either any more.
            unsafe {
                made.usage.free::<B>(below.node);
                made.usage.free::<B>(inner.node);
            }
        }
        Ok(false)
    }
}
