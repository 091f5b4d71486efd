//! Insertion: a new leaf in the old one's place; a split past the size limit; a new inner node where a prefix differs.

use super::inner::{self, Children, Found, Inner};
use super::leaf::{Gap, Leaf};
use super::node::{Child, Slot};
use super::run::{Failed, Made, Run, Split};
use super::tail::APPENDS;
use super::{LEAF_COUNT, LEAF_SIZE, MAX_KEY_LEN, RawTree, Usage, simd};
use crate::InsertError;
use crate::value::Bits;

/// The inner node above a leaf: the slot that holds it, and the leaf's position in it.
#[derive(Clone, Copy)]
pub(crate) struct Parent<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) inner: Inner<'a>,
    pub(crate) position: usize,
}

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
        let (mut slot, mut parent, mut depth, mut last) = (root, None::<Parent<'_>>, 0, true);
        loop {
            match slot.load() {
                Child::Empty => {
                    let mut made = Made::<B>::new(usage, 1)?;
                    slot.store(single(&mut made, &key[depth..], value)?);
                    made.keep();
                    return Ok((None, last));
                }
                Child::Leaf(node) => {
                    Leaf::prefetch(node);
                    // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
                    let leaf = unsafe { Leaf::new(node) };
                    let gap = match leaf.search(&key[depth..]) {
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
                    let key = &key[depth..];
                    match leaf.grown(key, gap) {
                        Some(info) if info.count() <= LEAF_COUNT && info.size::<B>() <= LEAF_SIZE => {
                            // SAFETY: (N3) the tree is borrowed for writing.
                            let new = unsafe { leaf.with(usage, info, key, gap, value) };
                            slot.store(Child::Leaf(new.ok_or(Failed(info.size::<B>()))?));
                        }
                        _ => {
                            let split = if last && appending { Split::Right } else { Split::Middle };
                            Self::insert_and_split(usage, slot, parent, &leaf, (gap, key, value), split)?;
                        }
                    }
                    // SAFETY: (N2) the slot leads elsewhere now.
                    unsafe { usage.free::<B>(node) };
                    return Ok((None, last));
                }
                Child::Inner(node) => {
                    // SAFETY: (N1) as above.
                    let inner = unsafe { Inner::new(node) };
                    let prefix = inner.prefix();
                    let shared = simd::common_prefix(prefix, &key[depth..]);
                    if shared < prefix.len() {
                        last &= key.len() > depth + shared && key[depth + shared] > prefix[shared];
                        Self::split_prefix(usage, slot, inner, shared, &key[depth..], value)?;
                        return Ok((None, last));
                    }
                    depth += shared;
                    let Some(&byte) = key.get(depth) else {
                        last = false;
                        slot = inner.end_slot();
                        continue;
                    };
                    match inner.find(byte) {
                        Found::Child(position, child) => {
                            last &= position + 1 == inner.count();
                            depth += usize::from(!child.is_leaf());
                            parent = Some(Parent { slot, inner, position });
                            slot = inner.slot(position);
                        }
                        Found::Gap(position) => {
                            last &= position == inner.count();
                            let mut made = Made::<B>::new(usage, 2)?;
                            let mut new = Children::new();
                            new.push(byte, single(&mut made, &key[depth..], value)?);
                            Self::replace(made, Parent { slot, inner, position }, 0, &new)?;
                            return Ok((None, last));
                        }
                    }
                }
            }
        }
    }

    /// Puts leaves and inner nodes for the leaf's keys and one more in the leaf's place. The leaf itself is left alone.
    #[cold]
    #[inline(never)]
    fn insert_and_split(
        usage: &mut Usage,
        slot: &Slot,
        parent: Option<Parent<'_>>,
        leaf: &Leaf<'_>,
        (gap, key, value): (Gap, &[u8], B),
        split: Split,
    ) -> Result<(), Failed> {
        let mut run = Run::new();
        // SAFETY: (N1, N3) the leaf is live and the tree borrowed for writing.
        unsafe { run.append(leaf, &[], Some((gap, key, value)))? };
        let n = run.len();
        let mut made = Made::new(usage, 2 * n + 2)?;
        if run.fits(0, n, 0) {
            slot.store(Child::Leaf(run.leaf(&mut made, 0, n, 0)?));
            made.keep();
            return Ok(());
        }
        match parent {
            None => {
                slot.store(Child::Inner(run.inner(&mut made, (0, n), 0, split)?));
                made.keep();
            }
            Some(parent) => {
                let mut new = Children::new();
                run.parts(&mut made, (0, n), 0, split, &mut new)?;
                Self::replace(made, parent, 1, &new)?;
            }
        }
        Ok(())
    }

    /// Puts `new` in the place of `old` children of an inner node, in it or, where it lacks room or has far too much, in a new one.
    pub(crate) fn replace(mut made: Made<'_, B>, parent: Parent<'_>, old: usize, new: &Children) -> Result<(), Failed> {
        let Parent { slot, inner, position } = parent;
        let mut children = inner.children();
        children.splice(position, position + old, new);
        let capacity = inner.info.capacity();
        if children.len() <= capacity && (capacity == 4 || 3 * children.len() >= capacity) {
            // SAFETY: (N3) the tree is borrowed for writing.
            unsafe { inner.store(&children) };
            made.keep();
            return Ok(());
        }
        if children.len() > capacity {
            count!(Grow);
        } else {
            count!(Shrink);
        }
        let node = inner::build(&mut made, inner.prefix(), inner.end_slot().load(), &children)?;
        slot.store(Child::Inner(node));
        made.keep();
        // SAFETY: (N2) the slot leads to the new node now.
        unsafe { made.usage.free::<B>(inner.node) };
        Ok(())
    }

    /// Puts a new inner node above `inner`, whose prefix shares only `shared` bytes with `key`.
    #[cold]
    #[inline(never)]
    fn split_prefix(usage: &mut Usage, slot: &Slot, inner: Inner<'_>, shared: usize, key: &[u8], value: B) -> Result<(), Failed> {
        count!(PrefixSplit);
        let prefix = inner.prefix();
        let mut made = Made::<B>::new(usage, 3)?;
        let below = inner::build(&mut made, &prefix[shared + 1..], inner.end_slot().load(), &inner.children())?;
        let leaf = single(&mut made, &key[shared..], value)?;
        let (mut end, mut children) = (Child::Empty, Children::new());
        let old = prefix[shared];
        match key.get(shared) {
            None => end = leaf,
            Some(&b) if b < old => children.push(b, leaf),
            _ => {}
        }
        children.push(old, Child::Inner(below));
        match key.get(shared) {
            Some(&b) if b > old => children.push(b, leaf),
            _ => {}
        }
        children.settle();
        slot.store(Child::Inner(inner::build(&mut made, &prefix[..shared], end, &children)?));
        made.keep();
        // SAFETY: (N2) the slot leads to the new nodes now.
        unsafe { made.usage.free::<B>(inner.node) };
        Ok(())
    }
}

/// A leaf of one key.
fn single<B: Bits>(made: &mut Made<'_, B>, key: &[u8], value: B) -> Result<Child, Failed> {
    let mut run = Run::new();
    run.reserve(1, key.len())?;
    run.push(0, key, value);
    run.leaf(made, 0, 1, 0).map(Child::Leaf)
}
