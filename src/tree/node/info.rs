//! The info word of a node: its kind and the sizes of its parts.

use crate::pool::Origin;
use crate::tree::node::simd::LANES;
use crate::value::Bits;

/// The bytes of the info word, with which a node begins.
pub(crate) const HEADER_BYTES: usize = 8;
/// The bytes of a word of a head.
pub(crate) const WORD_BYTES: usize = size_of::<i64>();
/// The kind of a node and the sizes of its parts, in one word.
///
/// ```text
///  bits 0..2 origin · 2 leaf · 3 wide · 4 key 0 is empty · 5..7 lock (lock.rs) · 8..16 count
///  narrow: 16..24 capacity · 24..40 bytes of rest · 40..61 strip
///          61..64 words of a head, or in a leaf 1 if its rests are coded
///  wide:   16..48 bytes of rest, the strip is in the payload
/// ```
///
/// The strip is the number of bytes that all keys below share and that the node leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Info(pub(crate) u64);

const LEAF: u64 = 1 << 2;
const WIDE: u64 = 1 << 3;
const EMPTY_FIRST: u64 = 1 << 4;
const HEAD_WORDS_AT: u32 = 61;

/// The kind of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Leaf,
    /// An inner node whose children are leaves.
    Parent,
    /// An inner node whose children are inner nodes.
    Inner,
}

impl Kind {
    /// Returns the kind of an inner node that many levels above the leaves.
    pub(crate) fn above(levels: usize) -> Kind {
        if levels == 1 { Kind::Parent } else { Kind::Inner }
    }
}

impl Info {
    /// The most keys of a node.
    pub(crate) const MAX_COUNT: usize = 0xFF;
    /// The largest strip of a narrow node.
    pub(crate) const MAX_NARROW_STRIP: usize = (1 << (HEAD_WORDS_AT - 40)) - 1;

    /// Returns the info of a full narrow node: lengths of one byte, `count` keys with `rest` bytes
    /// of rest.
    pub(crate) fn narrow(
        kind: Kind,
        count: usize,
        rest: usize,
        strip: usize,
        empty_first: bool,
    ) -> Info {
        debug_assert!(
            count <= Self::MAX_COUNT && rest <= 0xFFFF && strip <= Self::MAX_NARROW_STRIP
        );
        Info(
            Self::flags(kind, empty_first)
                | (count as u64) << 8
                | (count as u64) << 16
                | (rest as u64) << 24
                | (strip as u64) << 40,
        )
    }

    /// Returns the info of a wide node: lengths of four bytes.
    ///
    /// # Panics
    /// Panics if a length does not fit, since the node's size would be wrong (N6).
    pub(crate) fn wide(kind: Kind, count: usize, rest: usize, empty_first: bool) -> Info {
        assert!(
            count <= Self::MAX_COUNT && rest as u64 <= u64::from(u32::MAX),
            "a node of {count} keys and {rest} bytes"
        );
        Info(Self::flags(kind, empty_first) | WIDE | (count as u64) << 8 | (rest as u64) << 16)
    }

    /// Returns the info of a full narrow node that differs in its keys alone.
    #[inline(always)]
    pub(crate) fn resized(self, count: usize, rest: usize, empty_first: bool) -> Info {
        debug_assert!(!self.is_wide());
        let kind = if self.is_leaf() { Kind::Leaf } else { Kind::Inner };
        let info = Info::narrow(kind, count, rest, self.narrow_strip(), empty_first);
        Info(info.0 | self.0 & !0 << HEAD_WORDS_AT)
    }

    fn flags(kind: Kind, empty_first: bool) -> u64 {
        (if kind == Kind::Leaf { LEAF } else { 0 }) | (if empty_first { EMPTY_FIRST } else { 0 })
    }

    #[inline(always)]
    pub(crate) fn is_leaf(self) -> bool {
        self.0 & LEAF != 0
    }
    #[inline(always)]
    pub(crate) fn is_wide(self) -> bool {
        self.0 & WIDE != 0
    }
    /// Returns `true` if key 0 without the strip is empty.
    #[inline(always)]
    pub(crate) fn empty_first(self) -> bool {
        self.0 & EMPTY_FIRST != 0
    }
    /// Returns the number of keys of a leaf, or of separators of an inner node.
    #[inline(always)]
    pub(crate) fn count(self) -> usize {
        (self.0 >> 8) as usize & 0xFF
    }
    /// Returns the info with another count, of at most the capacity.
    #[inline(always)]
    pub(crate) fn with_count(self, count: usize) -> Info {
        Info(self.0 & !(0xFF << 8) | (count as u64) << 8)
    }
    /// Returns the number of keys that fit.
    #[inline(always)]
    pub(crate) fn capacity(self) -> usize {
        if self.is_wide() { self.count() } else { (self.0 >> 16) as usize & 0xFF }
    }
    /// Returns the number of bytes of rest that fit: suffixes without their first bytes.
    #[inline(always)]
    pub(crate) fn rest(self) -> usize {
        if self.is_wide() {
            (self.0 >> 16) as usize & 0xFFFF_FFFF
        } else {
            (self.0 >> 24) as usize & 0xFFFF
        }
    }
    /// Returns the strip of a narrow node.
    #[inline(always)]
    pub(crate) fn narrow_strip(self) -> usize {
        debug_assert!(!self.is_wide());
        (self.0 >> 40) as usize & Self::MAX_NARROW_STRIP
    }

    /// Returns the number of words of each head of an inner node. Wide nodes have no heads.
    #[inline(always)]
    pub(crate) fn head_words(self) -> usize {
        debug_assert!(!self.is_leaf());
        (self.0 >> HEAD_WORDS_AT) as usize
    }
    /// Returns `true` if the rests of this leaf are coded (coded.rs).
    #[inline(always)]
    pub(crate) fn is_coded(self) -> bool {
        debug_assert!(self.is_leaf());
        self.0 >> HEAD_WORDS_AT != 0
    }
    /// Returns the info of a narrow leaf whose rests are coded.
    pub(crate) fn coded(self) -> Info {
        debug_assert!(self.is_leaf() && !self.is_wide());
        Info(self.0 | 1 << HEAD_WORDS_AT)
    }
    /// Returns the info of a narrow node with heads of this many words, none in a leaf.
    pub(crate) fn with_head_words(self, words: usize) -> Info {
        debug_assert!(!self.is_wide() && words < 1 << (u64::BITS - HEAD_WORDS_AT));
        Info(self.0 & !(!0 << HEAD_WORDS_AT) | (words as u64) << HEAD_WORDS_AT)
    }
    /// Returns the number of words after the info word: those of all heads, or of a coded leaf the
    /// address of its table.
    #[inline(always)]
    pub(crate) fn words(self) -> usize {
        if self.is_leaf() { self.is_coded().into() } else { self.head_words() * self.count() }
    }
    /// Returns the offset of the payload in the node.
    #[inline(always)]
    pub(crate) fn payload_at(self) -> usize {
        if self.is_leaf() {
            self.leaf_payload_at()
        } else {
            self.slots_at() + size_of::<*mut u8>() * self.slots()
        }
    }
    /// Returns the offset of the payload in a leaf.
    #[inline(always)]
    fn leaf_payload_at(self) -> usize {
        HEADER_BYTES + WORD_BYTES * usize::from(self.is_coded())
    }
    /// Returns the bytes of the payload.
    #[inline(always)]
    pub(crate) fn payload_len(self) -> usize {
        if self.is_wide() {
            4 + 9 * self.count() + self.rest()
        } else {
            // A vector load from any element of the three arrays must end inside the payload.
            3 * self.capacity() + self.rest().max(LANES)
        }
    }
    /// Returns the offset in the node from which on the payload's writer may leave bytes unwritten.
    ///
    /// This is the whole payload if there is capacity for more keys.
    #[inline(always)]
    pub(crate) fn padding_at(self) -> usize {
        if self.is_wide() {
            self.payload_at() + self.payload_len()
        } else if self.count() < self.capacity() {
            self.payload_at()
        } else {
            self.payload_at() + 3 * self.capacity() + self.rest()
        }
    }
    /// Returns the number of slots: a child before each separator, and one after the last.
    #[inline(always)]
    pub(crate) fn slots(self) -> usize {
        if self.is_leaf() { 0 } else { self.capacity() + 1 }
    }
    /// Returns the number of values that fit into a leaf.
    #[inline(always)]
    pub(crate) fn values(self) -> usize {
        if self.is_leaf() { self.capacity() } else { 0 }
    }
    /// Returns the offset of the values of `B` in the node.
    #[inline(always)]
    pub(crate) fn values_at<B: Bits>(self) -> usize {
        self.values_from(B::SIZE)
    }
    /// Returns the offset of values of `size` bytes, a power of two or 0, in the node.
    #[inline(always)]
    pub(crate) fn values_from(self, size: usize) -> usize {
        let mask = size.saturating_sub(1);
        (self.leaf_payload_at() + self.payload_len() + mask) & !mask
    }
    /// Returns the offset of the slots in the node.
    #[inline(always)]
    pub(crate) fn slots_at(self) -> usize {
        HEADER_BYTES + WORD_BYTES * self.head_words() * self.count()
    }
    /// Returns the bytes of the whole node.
    #[inline(always)]
    pub(crate) fn size<B: Bits>(self) -> usize {
        if self.is_leaf() {
            self.values_at::<B>() + B::SIZE * self.values()
        } else {
            self.payload_at() + self.payload_len()
        }
    }
    /// Returns the bytes of an inner node without its heads, by which it is split or merged.
    pub(crate) fn size_without_heads(self) -> usize {
        self.payload_at() + self.payload_len() - WORD_BYTES * self.words()
    }

    #[inline(always)]
    pub(crate) fn origin(self) -> Origin {
        Origin::from_bits((self.0 & 3) as u8)
    }
    #[inline(always)]
    pub(crate) fn with_origin(self, origin: Origin) -> Info {
        Info(self.0 & !3 | u64::from(origin.to_bits()))
    }
}
