//! The parts of a layer, and searches for a key or a rank.

use super::chunk::Chunk;
use super::codec::Codec;
use super::layer_value::ValueAt;
use super::limits::KeyBounds;
use super::packed::{Child, IndexTree, prefetch_block, prefetch_node};
use super::values;
use crate::io::bytes::Bytes;
use crate::symbols::{Coder, Decoder, with_coder};
use crate::tree::prefetch;
use crate::value::ValueKind;
use std::ops::Range;

/// Chunks in order, and what they share.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) codec: Codec,
    /// The kind of the values, each of which a chunk has as the number that stands for it.
    pub(crate) kind: ValueKind,
    pub(crate) decoder: Decoder,
    /// The symbols of values that are byte strings.
    pub(crate) value_decoder: Option<Decoder>,
    /// The index of the chunks: nodes like those inside a chunk.
    pub(crate) index: Bytes,
    pub(crate) index_tree: IndexTree,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) len: usize,
}

/// Lookups that proceed together.
const KEYS_PER_GROUP: usize = 32;
impl Layer {
    /// Returns the number of the chunk in which a key belongs.
    #[inline(always)]
    pub(crate) fn index_of(&self, key: &[u8]) -> Option<usize> {
        if self.chunks.len() < 2 {
            Some(0)
        } else {
            Some(self.index_tree.search(self.index.as_slice(), key)?.0.index)
        }
    }

    /// Returns the chunk in which a key belongs.
    #[inline(always)]
    pub(crate) fn chunk_of(&self, key: &[u8]) -> Option<&Chunk> {
        self.chunks.get(self.index_of(key)?)
    }

    /// Checks everything of a chunk. Returns `None` if it is damaged.
    pub(crate) fn check(&self, chunk: &Chunk) -> Option<KeyBounds> {
        chunk.check(self.codec, &self.decoder, self.value_decoder.as_ref())
    }

    /// Returns the place of a value.
    #[inline(always)]
    pub(crate) fn value_at<'a>(&'a self, chunk: &'a Chunk, rank: usize) -> ValueAt<'a> {
        ValueAt { chunk, symbols: &self.value_decoder, rank }
    }

    /// Returns the place of a key's value, if the key is present.
    #[inline(always)]
    pub(crate) fn value_of(&self, key: &[u8]) -> Option<ValueAt<'_>> {
        let chunk = self.chunk_of(key)?;
        Some(self.value_at(chunk, chunk.find(self.codec, &self.decoder, key)?))
    }

    /// Returns the rank of a key, if it is present.
    #[inline(always)]
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        let chunk = self.chunk_of(key)?;
        Some(chunk.start + chunk.find(self.codec, &self.decoder, key)?)
    }

    /// Finds a key: `Ok` with its rank, or `Err` with that of the first greater key.
    pub(crate) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        self.chunk_of(key).map_or(Err(0), |chunk| self.search_in(chunk, key))
    }

    /// Finds a key like [`search`](Self::search), given its chunk.
    fn search_in(&self, chunk: &Chunk, key: &[u8]) -> Result<usize, usize> {
        match chunk.search(self.codec, &self.decoder, key) {
            Some(Ok(i)) => Ok(chunk.start + i),
            // More than all keys are less only in a damaged chunk.
            Some(Err(i)) => Err(chunk.start + i.min(chunk.len)),
            None => Err(chunk.start),
        }
    }

    /// Returns the length of the longest key that is a prefix of `key`, and the place of its value.
    ///
    /// Each chunk, and each node and block of one, that may have a prefix is searched once, from
    /// the last one back.
    pub(crate) fn longest_prefix(&self, key: &[u8]) -> Option<(usize, ValueAt<'_>)> {
        let longest_in = |chunk: usize, key: &[u8]| {
            let chunk = self.chunks.get(chunk)?;
            chunk.prefixes(self.codec, &self.decoder, key, &mut |position, len| {
                // More than all keys are found only in a damaged chunk.
                (position < chunk.len).then(|| (len, self.value_at(chunk, position)))
            })
        };
        if self.chunks.len() < 2 {
            return longest_in(0, key);
        }
        let data = self.index.as_slice();
        self.index_tree.walk_back(data, key, &mut |child, key, _| longest_in(child.index, key))
    }

    /// Returns the number of keys that are less than `key`, or with `or_equal` not greater.
    pub(crate) fn rank(&self, key: &[u8], or_equal: bool) -> usize {
        match self.search(key) {
            Ok(rank) => rank + usize::from(or_equal),
            Err(rank) => rank,
        }
    }

    /// Returns the number of keys that are less than `key`, or the nearest of the ranks if it is
    /// not one of them. A chunk that begins after them is not searched.
    pub(crate) fn rank_within(&self, key: &[u8], ranks: Range<usize>) -> usize {
        match self.chunk_of(key) {
            Some(chunk) if chunk.start < ranks.end => {
                let (Ok(rank) | Err(rank)) = self.search_in(chunk, key);
                rank.min(ranks.end).max(ranks.start)
            }
            _ => ranks.end,
        }
    }

    /// Returns the number of the chunk that has a rank.
    pub(crate) fn chunk_at(&self, rank: usize) -> Option<usize> {
        if rank >= self.len {
            return None;
        }
        self.chunks.partition_point(|chunk| chunk.start <= rank).checked_sub(1)
    }

    pub(crate) fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl Iterator<Item = K>,
        mut found: impl FnMut(Option<ValueAt<'_>>),
    ) {
        match self.codec {
            Codec::Packed => {
                with_coder!(&self.decoder, coder => self.get_many_packed(coder, keys, found))
            }
            Codec::Fst => keys.for_each(|key| found(self.value_of(key.as_ref()))),
        }
    }

    /// Searches for keys in groups, level by level: prefetches the next node of each key before it
    /// goes on with the others.
    fn get_many_packed<K: AsRef<[u8]>, C: Coder>(
        &self,
        coder: C,
        mut keys: impl Iterator<Item = K>,
        mut found: impl FnMut(Option<ValueAt<'_>>),
    ) {
        struct Lookup<'l, K> {
            key: K,
            chunk: Option<&'l Chunk>,
            at: Child,
            m: usize,
            position: Option<usize>,
        }
        let mut group: Vec<Lookup<'_, K>> = Vec::with_capacity(KEYS_PER_GROUP);
        loop {
            group.clear();
            for key in keys.by_ref().take(KEYS_PER_GROUP) {
                let chunk = self.chunk_of(key.as_ref());
                let root = chunk.map_or(0, |chunk| chunk.tree.root as usize);
                if let Some(chunk) = chunk {
                    prefetch_node(chunk.keys(), root);
                }
                group.push(Lookup {
                    key,
                    chunk,
                    at: Child { index: 0, offset: root },
                    m: 0,
                    position: None,
                });
            }
            if group.is_empty() {
                return;
            }
            let height = group
                .iter()
                .filter_map(|lookup| lookup.chunk)
                .map(|chunk| chunk.tree.height)
                .max()
                .unwrap_or(0);
            for level in 0..height {
                for lookup in &mut group {
                    let Some(chunk) = lookup.chunk else { continue };
                    if level < chunk.tree.height {
                        let data = chunk.keys();
                        if IndexTree::step(data, &mut lookup.at, lookup.key.as_ref(), &mut lookup.m)
                            .is_none()
                        {
                            lookup.chunk = None;
                        }
                        if level + 1 == chunk.tree.height {
                            prefetch_block(data, lookup.at.offset);
                        } else {
                            prefetch_node(data, lookup.at.offset);
                        }
                    }
                }
            }
            for lookup in &mut group {
                let Some(chunk) = lookup.chunk else { continue };
                let position =
                    chunk.packed().search_block(coder, lookup.key.as_ref(), &lookup.at, lookup.m);
                lookup.position = position.and_then(Result::ok);
                if let Some(value) = lookup
                    .position
                    .and_then(|position| values::first_byte(chunk.values(), chunk.layout, position))
                {
                    prefetch(value);
                }
            }
            for lookup in &group {
                found(
                    lookup
                        .chunk
                        .zip(lookup.position)
                        .map(|(chunk, position)| self.value_at(chunk, position)),
                );
            }
        }
    }
}
