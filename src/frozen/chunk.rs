//! A chunk of a layer: some tens of thousands of consecutive keys, encoded on their own by either
//! codec, and their values.

use super::byte_values::{self, ByteValues};
use super::codec::Codec;
use super::decoded_block::DecodedBlock;
use super::front_coded::FrontCoded;
use super::fst::FstChunk;
use super::limits::KeyBounds;
use super::packed::{self, IndexTree, PackedChunk};
use super::values::{self, ValueLayout};
use crate::io::bytes::Bytes;
use crate::symbols::{Decoder, Encoders, with_coder};
use crate::value::ValueKind;
use std::sync::OnceLock;

/// A chunk and the layout of its bytes.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Number of keys before this chunk.
    pub(crate) start: usize,
    pub(crate) len: usize,
    /// Keys, then values.
    pub(crate) data: Bytes,
    pub(crate) key_bytes: usize,
    pub(crate) tree: IndexTree,
    pub(crate) layout: ValueLayout,
    pub(crate) checksum: u32,
    /// Whether the chunk was encoded by this process, so that it needs no check.
    pub(crate) trusted: bool,
    /// The transducer once it was used; `None` if it is damaged.
    pub(crate) fst: OnceLock<Option<FstChunk>>,
}

/// What chunks of a layer have in common.
#[derive(Clone, Copy)]
pub(crate) struct ChunkForm {
    pub(crate) codec: Codec,
    pub(crate) kind: ValueKind,
    /// The number that stands for each value, if values are not stored.
    pub(crate) constant: Option<u64>,
}

/// Encodes keys and values.
pub(crate) fn encode(pending: &FrontCoded, encoders: &Encoders, form: ChunkForm) -> Chunk {
    let (mut data, tree) = match form.codec {
        Codec::Packed => packed::encode(pending, &encoders.keys),
        Codec::Fst => (super::fst::encode(pending), IndexTree { root: 0, height: 0 }),
    };
    let key_bytes = data.len();
    let layout = match (&encoders.values, form.constant) {
        (Some(encoder), _) => {
            byte_values::write(pending.values(), pending.value_bytes(), encoder, &mut data)
        }
        (None, constant) => {
            let layout =
                constant.map_or_else(|| ValueLayout::of(pending.values()), ValueLayout::constant);
            values::write(pending.values(), layout, &mut data);
            layout
        }
    };
    let checksum = crc32fast::hash(&data);
    let data = Bytes::from_vec(data);
    Chunk {
        start: 0,
        len: pending.len(),
        data,
        key_bytes,
        tree,
        layout,
        checksum,
        trusted: true,
        fst: OnceLock::new(),
    }
}

impl Chunk {
    /// Returns the same chunk for another layer.
    pub(crate) fn share(&self) -> Self {
        let Chunk { start, len, ref data, key_bytes, tree, layout, checksum, trusted, ref fst } =
            *self;
        let trusted = trusted || matches!(fst.get(), Some(Some(_)));
        Chunk {
            start,
            len,
            data: data.clone(),
            key_bytes,
            tree,
            layout,
            checksum,
            trusted,
            fst: OnceLock::new(),
        }
    }

    #[inline(always)]
    pub(crate) fn keys(&self) -> &[u8] {
        self.data.as_slice().get(..self.key_bytes).unwrap_or_default()
    }

    #[inline(always)]
    pub(crate) fn values(&self) -> &[u8] {
        self.data.as_slice().get(self.key_bytes..).unwrap_or_default()
    }

    #[inline(always)]
    pub(crate) fn value(&self, i: usize) -> Option<u64> {
        values::read(self.values(), self.layout, i)
    }

    /// Returns the values, which are byte strings.
    pub(super) fn byte_values(&self) -> ByteValues<'_> {
        ByteValues { section: self.values(), layout: self.layout, count: self.len }
    }

    #[inline(always)]
    pub(crate) fn packed(&self) -> PackedChunk<'_> {
        PackedChunk { data: self.keys(), tree: self.tree, len: self.len }
    }

    pub(crate) fn fst(&self) -> Option<&FstChunk> {
        let open = || match self.data.part(0, self.key_bytes as u64)? {
            keys if self.trusted => FstChunk::of(keys),
            keys if self.is_whole() => FstChunk::checked(keys, self.len),
            _ => None,
        };
        self.fst.get_or_init(open).as_ref()
    }

    /// Checks everything: the checksum, and that the keys ascend and are as many as they should be.
    /// `values` are the symbols of values that are byte strings. Returns the first and the last
    /// key, or `None` if the chunk is damaged.
    pub(crate) fn check(
        &self,
        codec: Codec,
        decoder: &Decoder,
        values: Option<&Decoder>,
    ) -> Option<KeyBounds> {
        if !self.is_whole() {
            return None;
        }
        if let Some(values) = values {
            self.byte_values().check(values)?;
        }
        match codec {
            Codec::Packed => {
                let chunk = self.packed();
                with_coder!(decoder, coder => chunk.check(coder))
            }
            Codec::Fst => self.fst().map(FstChunk::bounds),
        }
    }

    /// Returns whether the checksum is right.
    fn is_whole(&self) -> bool {
        crc32fast::hash(self.data.as_slice()) == self.checksum
    }

    /// Finds a key: `Ok` with its position, or `Err` with that of the first greater key. `None` if
    /// the chunk is damaged.
    #[inline(always)]
    pub(crate) fn search(
        &self,
        codec: Codec,
        decoder: &Decoder,
        key: &[u8],
    ) -> Option<Result<usize, usize>> {
        match codec {
            Codec::Packed => {
                let chunk = self.packed();
                with_coder!(decoder, coder => chunk.search(coder, key))
            }
            Codec::Fst => self.fst()?.search(key, self.len),
        }
    }

    /// Returns the position of a key, if it is present.
    #[inline(always)]
    pub(crate) fn find(&self, codec: Codec, decoder: &Decoder, key: &[u8]) -> Option<usize> {
        match codec {
            Codec::Packed => {
                let chunk = self.packed();
                let (child, m) = chunk.descend(key)?;
                // The value comes from elsewhere, so it is prefetched while the block is searched.
                if let Some(value) = values::first_byte(
                    self.values(),
                    self.layout,
                    child.index * packed::KEYS_PER_BLOCK,
                ) {
                    packed::prefetch_values(value);
                }
                with_coder!(decoder, coder => chunk.search_block(coder, key, &child, m))?.ok()
            }
            Codec::Fst => self.fst()?.find(key),
        }
    }

    /// Passes the keys that are prefixes of `key` to `each`, with their positions and lengths, the
    /// longest first, until it returns something.
    pub(crate) fn prefixes<R>(
        &self,
        codec: Codec,
        decoder: &Decoder,
        key: &[u8],
        each: &mut impl FnMut(usize, usize) -> Option<R>,
    ) -> Option<R> {
        match codec {
            Codec::Packed => {
                let chunk = self.packed();
                with_coder!(decoder, coder => chunk.prefixes(coder, key, each))
            }
            Codec::Fst => self.fst()?.prefixes(key, each),
        }
    }

    /// Decodes block `block` of `codec.keys_per_block()` keys. If `follows`, `out` holds the block
    /// before.
    pub(crate) fn read(
        &self,
        codec: Codec,
        decoder: &Decoder,
        block: usize,
        follows: bool,
        decoded: &mut DecodedBlock,
    ) -> Option<()> {
        match codec {
            Codec::Packed => {
                let chunk = self.packed();
                with_coder!(decoder, coder => chunk.read(coder, block, follows, decoded))
            }
            Codec::Fst => self.fst()?.read(block, self.len, decoded),
        }
    }
}
