//! What a layer holds as values: numbers, or byte strings.

use super::chunk::Chunk;
use super::front_coded::Stored;
use super::number::{layer_kind, pack, unpack};
use crate::symbols::Decoder;
use crate::value::{Value, ValueKind};

mod sealed {
    use crate::value::Value;

    pub trait Sealed {}
    impl<V: Value> Sealed for V {}
    impl Sealed for [u8] {}
}

/// What a [`FrozenLayer`](crate::FrozenLayer) can hold: byte strings, which are `[u8]`, and every
/// [`Value`] type but those of the kind [`InMemory`](ValueKind::InMemory). Sealed.
pub trait LayerValue: sealed::Sealed {
    /// A value as a builder takes it and a scan lends it: the value itself, or `&[u8]`.
    type Lent<'v>;
    /// A value to keep: the value itself, or `Vec<u8>`.
    type Owned;

    /// The kind of the values, which a file names.
    #[doc(hidden)]
    const STORED: ValueKind;

    /// Returns what a chunk stores of a value.
    #[doc(hidden)]
    fn stored<'v>(value: Self::Lent<'v>) -> Stored<'v>;

    /// Reads a value, with a buffer to decode it into. Returns `None` if the chunk is damaged.
    #[doc(hidden)]
    fn lend<'w>(at: ValueAt<'w>, buffer: &'w mut Vec<u8>) -> Option<Self::Lent<'w>>;

    /// Reads a value to keep. Returns `None` if the chunk is damaged.
    #[doc(hidden)]
    fn get(at: ValueAt<'_>) -> Option<Self::Owned>;

    /// Returns a copy of a lent value.
    #[doc(hidden)]
    fn own(value: Self::Lent<'_>) -> Self::Owned;

    /// Returns a value as it is lent.
    #[doc(hidden)]
    fn of_owned(value: &Self::Owned) -> Self::Lent<'_>;

    /// Returns whether two values are equal.
    #[doc(hidden)]
    fn equal(a: Self::Lent<'_>, b: Self::Lent<'_>) -> bool
    where
        Self::Owned: PartialEq;
}

/// The place of a value in a layer.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct ValueAt<'a> {
    pub(super) chunk: &'a Chunk,
    /// The symbols of byte strings.
    pub(super) symbols: &'a Option<Decoder>,
    /// The rank of its key in the chunk.
    pub(super) rank: usize,
}

impl<'a> ValueAt<'a> {
    #[inline(always)]
    pub(super) fn number(self) -> Option<u64> {
        self.chunk.value(self.rank)
    }

    /// Returns a byte string that is raw, or decodes it into `buffer`.
    fn bytes(self, buffer: &mut Vec<u8>) -> Option<Option<&'a [u8]>> {
        buffer.clear();
        self.chunk.byte_values().read(self.rank, self.symbols.as_ref()?, buffer)
    }

    /// Appends a byte string.
    pub(super) fn append_to(self, out: &mut Vec<u8>) -> Option<()> {
        if let Some(raw) = self.chunk.byte_values().read(self.rank, self.symbols.as_ref()?, out)? {
            out.extend_from_slice(raw);
        }
        Some(())
    }
}

impl<V: Value> LayerValue for V {
    type Lent<'v> = V;
    type Owned = V;
    const STORED: ValueKind = layer_kind::<V>();

    #[inline(always)]
    fn stored<'v>(value: V) -> Stored<'v> {
        Stored::number(pack(value))
    }

    #[inline(always)]
    fn lend<'w>(at: ValueAt<'w>, _: &'w mut Vec<u8>) -> Option<V> {
        at.number().map(unpack)
    }

    #[inline(always)]
    fn get(at: ValueAt<'_>) -> Option<V> {
        at.number().map(unpack)
    }

    #[inline(always)]
    fn own(value: V) -> V {
        value
    }

    #[inline(always)]
    fn of_owned(value: &V) -> V {
        *value
    }

    #[inline(always)]
    fn equal(a: V, b: V) -> bool
    where
        V: PartialEq,
    {
        a == b
    }
}

impl LayerValue for [u8] {
    type Lent<'v> = &'v [u8];
    type Owned = Vec<u8>;
    const STORED: ValueKind = ValueKind::Bytes;

    #[inline]
    fn stored<'v>(value: Self::Lent<'v>) -> Stored<'v> {
        Stored::bytes(value)
    }

    fn lend<'w>(at: ValueAt<'w>, buffer: &'w mut Vec<u8>) -> Option<&'w [u8]> {
        Some(match at.bytes(buffer)? {
            Some(raw) => raw,
            None => buffer,
        })
    }

    fn get(at: ValueAt<'_>) -> Option<Vec<u8>> {
        let mut buffer = Vec::new();
        Some(match at.bytes(&mut buffer)? {
            Some(raw) => raw.to_vec(),
            None => buffer,
        })
    }

    fn own(value: &[u8]) -> Vec<u8> {
        value.to_vec()
    }

    fn of_owned(value: &Vec<u8>) -> &[u8] {
        value
    }

    fn equal(a: &[u8], b: &[u8]) -> bool {
        a == b
    }
}
