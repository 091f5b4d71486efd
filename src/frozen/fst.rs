//! The `Fst` codec: a transducer from a chunk's keys to their positions. Positions ascend with the
//! keys, so both can be searched for.

use super::decoded_block::{DecodedBlock, KeySink};
use super::front_coded::FrontCoded;
use super::fst_check;
use super::limits::KeyBounds;
use crate::io::bytes::Bytes;
use crate::tree::common_prefix;
use fst::raw::{CompiledAddr, Node, Output};
use fst::{IntoStreamer, Streamer};
use std::fmt;

/// Keys that are decoded together.
pub(crate) const KEYS_PER_BLOCK: usize = 64;

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// The keys of a chunk.
pub(crate) struct FstChunk(fst::raw::Fst<Bytes>);

/// Encodes the keys of a chunk.
pub(crate) fn encode(pending: &FrontCoded) -> Vec<u8> {
    let mut builder = fst::MapBuilder::memory();
    let mut position = 0;
    let added = pending.for_each(|key, _| {
        position += 1;
        builder.insert(key, position - 1)
    });
    added
        .and_then(|()| builder.into_inner())
        .expect("keys ascend, and writes to memory do not fail")
}

impl FstChunk {
    /// Opens a transducer that this process encoded.
    pub(crate) fn of(bytes: Bytes) -> Option<Self> {
        fst::raw::Fst::new(bytes).ok().map(FstChunk)
    }

    /// Opens a transducer of `keys` keys that may be damaged.
    pub(crate) fn checked(bytes: Bytes, keys: usize) -> Option<Self> {
        fst_check::open(bytes, keys).map(FstChunk)
    }

    pub(crate) fn root(&self) -> Node<'_> {
        self.0.root()
    }

    #[inline]
    pub(crate) fn node(&self, address: CompiledAddr) -> Node<'_> {
        self.0.node(address)
    }

    /// Returns the bytes of the least key.
    pub(crate) fn first_key(&self) -> impl Iterator<Item = u8> + '_ {
        let mut node = self.root();
        std::iter::from_fn(move || {
            let transition = (!node.is_final() && !node.is_empty()).then(|| node.transition(0))?;
            node = self.node(transition.addr);
            Some(transition.inp)
        })
    }

    /// Returns the least and the greatest key.
    pub(crate) fn bounds(&self) -> KeyBounds {
        KeyBounds { first: self.first_key().collect(), last: fst_check::last_key(&self.0) }
    }

    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        Some(self.0.get(key)?.value() as usize)
    }

    /// Passes the keys that are prefixes of `key` to `each`, with their positions and lengths, the
    /// longest first, until it returns something.
    pub(crate) fn prefixes<R>(
        &self,
        key: &[u8],
        each: &mut impl FnMut(usize, usize) -> Option<R>,
    ) -> Option<R> {
        let (mut node, mut output, mut found) = (self.root(), Output::zero(), Vec::new());
        for len in 0..=key.len() {
            if node.is_final() {
                found.push((output.cat(node.final_output()).value() as usize, len));
            }
            let next = key.get(len).and_then(|&byte| node.find_input(byte));
            let Some(next) = next.map(|i| node.transition(i)) else { break };
            (node, output) = (self.node(next.addr), output.cat(next.out));
        }
        found.into_iter().rev().find_map(|(position, len)| each(position, len))
    }

    pub(crate) fn search(&self, key: &[u8], len: usize) -> Option<Result<usize, usize>> {
        if let Some(position) = self.find(key) {
            return Some(Ok(position));
        }
        let mut greater = self.0.range().ge(key).into_stream();
        Some(Err(greater.next().map_or(len, |(_, position)| position.value() as usize)))
    }

    pub(crate) fn read(&self, block: usize, len: usize, decoded: &mut DecodedBlock) -> Option<()> {
        decoded.clear(&[]);
        let first = block.checked_mul(KEYS_PER_BLOCK).filter(|&first| first < len)?;
        let mut before = Vec::new();
        // The lcp of the first key is unknown and not needed.
        let mut from = Vec::new();
        self.0.get_key_into(first as u64, &mut from).then_some(())?;
        let mut stream = self.0.range().ge(&from).into_stream();
        for _ in 0..KEYS_PER_BLOCK.min(len - first) {
            let (key, _) = stream.next()?;
            let lcp = common_prefix(&before, key);
            decoded.push(lcp, key.len() - lcp, |out| {
                out.copy_from_slice(&key[lcp..]);
                Some(key.len() - lcp)
            })?;
            before.truncate(lcp);
            before.extend_from_slice(&key[lcp..]);
        }
        Some(())
    }
}

impl fmt::Debug for FstChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FstChunk").field("bytes", &self.0.size()).finish()
    }
}
