//! An inner node: a compressed prefix, the child for the key that ends behind it, and children by the next byte.
//!
//! ```text
//!  up to 48 children   words: separators s0 < s1 < …, one byte each      slots: end, c0, c1, …
//!  more                words: slot number by byte (256), bitmap of the separators
//! ```
//!
//! A leaf `ci` covers the next bytes from `si` up to the next separator, an inner node just the byte `si`, which it consumes. Bytes
//! between an inner node and the next separator, or before the first, belong to nobody: a gap. [`Children::settle`] lets every leaf
//! begin as low as it can, so gaps are only where no leaf could take them.

use super::node::{Child, Info, Node, SORTED_MAX, Slot};
use super::run::{Failed, Made};
use super::simd;
use crate::value::Bits;
use std::sync::atomic::Ordering::Relaxed;

/// An inner node, its header read.
#[derive(Clone, Copy)]
pub(crate) struct Inner<'a> {
    pub(crate) node: Node,
    pub(crate) info: Info,
    _node: std::marker::PhantomData<&'a Slot>,
}

/// What an inner node has for a byte.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    /// The child at this position covers the byte.
    Child(usize, Child),
    /// None does; a child for it would stand at this position.
    Gap(usize),
}

impl<'a> Inner<'a> {
    /// # Safety
    /// The node is a live inner node, published or written, for `'a` (N1, N5).
    #[inline(always)]
    pub(crate) unsafe fn new(node: Node) -> Inner<'a> {
        // SAFETY: (N1) by the caller.
        let info = unsafe { node.info() };
        debug_assert!(!info.is_leaf());
        Inner { node, info, _node: std::marker::PhantomData }
    }

    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        self.info.count()
    }

    #[inline(always)]
    pub(crate) fn prefix(&self) -> &'a [u8] {
        // SAFETY: (N1, N5) since `new`.
        unsafe { self.node.payload(self.info) }
    }

    #[inline(always)]
    fn word(&self, i: usize) -> u64 {
        // SAFETY: (N1) since `new`; the callers stay below `info.words()`.
        unsafe { self.node.word(self.info, i) }.load(Relaxed)
    }

    #[inline(always)]
    fn is_indexed(&self) -> bool {
        self.info.capacity() > SORTED_MAX
    }

    /// The slot of the key that ends behind the prefix.
    #[inline(always)]
    pub(crate) fn end_slot(&self) -> &'a Slot {
        // SAFETY: (N1) since `new`; every inner node has slot 0.
        unsafe { self.node.slot(self.info, 0) }
    }

    /// The slot of the child at `position`.
    #[inline(always)]
    pub(crate) fn slot(&self, position: usize) -> &'a Slot {
        debug_assert!(position < self.info.capacity());
        // SAFETY: (N1) since `new`; positions are below the capacity.
        unsafe { self.node.slot(self.info, position + 1) }
    }

    /// The child that covers byte `b`.
    #[inline(always)]
    pub(crate) fn find(&self, b: u8) -> Found {
        if self.is_indexed() {
            return self.find_indexed(b);
        }
        let mut words = [0; SORTED_MAX / 8];
        for (i, word) in words[..self.info.words()].iter_mut().enumerate() {
            *word = self.word(i);
        }
        let at = simd::count_le(&words, self.count(), b);
        if at == 0 {
            return Found::Gap(0);
        }
        let child = self.slot(at - 1).load();
        let separator = (words[(at - 1) / 8] >> (8 * ((at - 1) % 8))) as u8;
        if !child.is_leaf() && separator != b { Found::Gap(at) } else { Found::Child(at - 1, child) }
    }

    fn find_indexed(&self, b: u8) -> Found {
        let number = (self.word(usize::from(b) / 8) >> (8 * (b % 8))) as u8;
        let (word, bit) = (usize::from(b) / 64, b % 64);
        // Slot numbers are positions here, modulo 256: number 0 is a gap unless the bitmap shows a child at or below.
        if number == 0 && !self.is_covered(b) {
            let below: u32 = (0..word).map(|i| self.word(32 + i).count_ones()).sum();
            let here = self.word(32 + word) & (u64::MAX >> (63 - bit));
            return Found::Gap((below + here.count_ones()) as usize);
        }
        Found::Child(number.into(), self.slot(number.into()).load())
    }

    /// Whether position 0 covers `b`, given that the index says 0 for it.
    fn is_covered(&self, b: u8) -> bool {
        let separator = self.separator(0);
        match self.slot(0).load() {
            Child::Leaf(_) => {
                separator <= b && (self.count() == 1 || b < self.separator(1))
            }
            _ => separator == b,
        }
    }

    /// The separator at `position`.
    pub(crate) fn separator(&self, position: usize) -> u8 {
        if !self.is_indexed() {
            return (self.word(position / 8) >> (8 * (position % 8))) as u8;
        }
        let mut left = position as u32;
        for i in 0..4 {
            let mut word = self.word(32 + i);
            if left >= word.count_ones() {
                left -= word.count_ones();
                continue;
            }
            for _ in 0..left {
                word &= word - 1;
            }
            return (64 * i as u32 + word.trailing_zeros()) as u8;
        }
        unreachable!("position {position} of {}", self.count())
    }

    /// All children, in order.
    pub(crate) fn children(&self) -> Children {
        let mut list = Children::new();
        if self.is_indexed() {
            for i in 0..4 {
                let mut word = self.word(32 + i);
                while word != 0 {
                    let separator = 64 * i as u32 + word.trailing_zeros();
                    list.push(separator as u8, self.slot(list.len).load());
                    word &= word - 1;
                }
            }
        } else {
            for i in 0..self.count() {
                list.push(self.separator(i), self.slot(i).load());
            }
        }
        list
    }

    /// Overwrites all children; there is room for them.
    ///
    /// # Safety
    /// The caller is the node's only writer (N3); whoever reads it meanwhile validates.
    pub(crate) unsafe fn store(&self, children: &Children) {
        debug_assert!(children.len <= self.info.capacity());
        let mut words = [0u64; super::node::INDEX_WORDS];
        if self.is_indexed() {
            for i in 0..children.len {
                let from = children.separators[i];
                let to = match children.children[i] {
                    Child::Leaf(_) if i + 1 < children.len => children.separators[i + 1] - 1,
                    Child::Leaf(_) => 255,
                    _ => from,
                };
                for b in usize::from(from)..=usize::from(to) {
                    words[b / 8] |= (i as u64) << (8 * (b % 8));
                }
                words[32 + usize::from(from) / 64] |= 1 << (from % 64);
            }
        } else {
            for i in 0..children.len {
                words[i / 8] |= u64::from(children.separators[i]) << (8 * (i % 8));
            }
        }
        for (i, word) in words[..self.info.words()].iter().enumerate() {
            // SAFETY: (N1) since `new`.
            unsafe { self.node.word(self.info, i) }.store(*word, Relaxed);
        }
        for i in 0..children.len {
            self.slot(i).store(children.children[i]);
        }
        // SAFETY: (N3) by the caller.
        unsafe { self.node.set_info(self.info.with_count(children.len)) };
    }
}

/// The children of an inner node, on the stack.
pub(crate) struct Children {
    len: usize,
    separators: [u8; 256],
    children: [Child; 256],
}

impl Children {
    pub(crate) fn new() -> Children {
        Children { len: 0, separators: [0; 256], children: [Child::Empty; 256] }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, i: usize) -> (u8, Child) {
        (self.separators[i], self.children[i])
    }

    pub(crate) fn push(&mut self, separator: u8, child: Child) {
        debug_assert!(self.len == 0 || self.separators[self.len - 1] < separator);
        self.separators[self.len] = separator;
        self.children[self.len] = child;
        self.len += 1;
    }

    /// Puts `new` in the place of the children `from..to`, and settles.
    pub(crate) fn splice(&mut self, from: usize, to: usize, new: &Children) {
        let tail = self.len - to;
        let behind = from + new.len;
        self.separators.copy_within(to..self.len, behind);
        self.children.copy_within(to..self.len, behind);
        self.separators[from..behind].copy_from_slice(&new.separators[..new.len]);
        self.children[from..behind].copy_from_slice(&new.children[..new.len]);
        self.len = behind + tail;
        self.settle();
    }

    /// Lets each leaf begin right behind an inner node before it, or at 0.
    pub(crate) fn settle(&mut self) {
        for i in 0..self.len {
            if self.children[i].is_leaf() {
                if i == 0 {
                    self.separators[0] = 0;
                } else if !self.children[i - 1].is_leaf() {
                    self.separators[i] = self.separators[i - 1] + 1;
                }
            }
        }
    }
}

/// A new inner node.
pub(crate) fn build<B: Bits>(
    made: &mut Made<'_, B>,
    prefix: &[u8],
    end: Child,
    children: &Children,
) -> Result<Node, Failed> {
    let node = made.alloc(Info::inner(children.len, prefix.len()))?;
    // SAFETY: (N4, N5) the node is ours alone, its words and slots are zero, its prefix is written here.
    unsafe {
        let inner = Inner::new(node);
        node.payload_mut(inner.info).copy_from_nonoverlapping(prefix.as_ptr(), prefix.len());
        inner.end_slot().store(end);
        inner.store(children);
    }
    Ok(node)
}
