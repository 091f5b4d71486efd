//! The `Fst` codec: a transducer from a chunk's keys to their places in it. Places ascend with the keys, so it is searched both ways.

#![forbid(unsafe_code)]

use super::decoded_block::DecodedBlock;
use super::front_coded::FrontCoded;
use super::fst_check;
use crate::io::bytes::Bytes;
use crate::tree::common_prefix;
use fst::raw::{CompiledAddr, Node};
use fst::{IntoStreamer, Streamer};
use std::fmt;

/// Keys that are decoded together.
pub(crate) const KEYS_PER_BLOCK: usize = 64;

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// A chunk's keys, to read.
pub(crate) struct FstChunk(fst::raw::Fst<Bytes>);

/// Encodes a chunk's keys.
pub(crate) fn encode(pending: &FrontCoded) -> Vec<u8> {
    let mut builder = fst::MapBuilder::memory();
    let mut place = 0;
    let added = pending.for_each(|key, _| {
        place += 1;
        builder.insert(key, place - 1)
    });
    added.and_then(|()| builder.into_inner()).expect("keys ascend, and memory takes every write")
}

impl FstChunk {
    /// The transducer that was encoded here.
    pub(crate) fn of(bytes: Bytes) -> Option<Self> {
        fst::raw::Fst::new(bytes).ok().map(FstChunk)
    }

    /// A transducer of so many keys that comes from elsewhere.
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

    /// The bytes of the least key.
    pub(crate) fn first_key(&self) -> impl Iterator<Item = u8> + '_ {
        let mut node = self.root();
        std::iter::from_fn(move || {
            let transition = (!node.is_final() && !node.is_empty()).then(|| node.transition(0))?;
            node = self.node(transition.addr);
            Some(transition.inp)
        })
    }

    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        Some(self.0.get(key)?.value() as usize)
    }

    pub(crate) fn search(&self, key: &[u8], len: usize) -> Option<Result<usize, usize>> {
        if let Some(place) = self.find(key) {
            return Some(Ok(place));
        }
        let mut greater = self.0.range().ge(key).into_stream();
        Some(Err(greater.next().map_or(len, |(_, place)| place.value() as usize)))
    }

    pub(crate) fn read(&self, block: usize, len: usize, run: &mut DecodedBlock) -> Option<()> {
        run.clear(&[]);
        let first = block.checked_mul(KEYS_PER_BLOCK).filter(|&first| first < len)?;
        let mut before = Vec::new();
        // What the first key shares with the one before is not known, and not needed.
        let mut from = Vec::new();
        self.0.get_key_into(first as u64, &mut from).then_some(())?;
        let mut stream = self.0.range().ge(&from).into_stream();
        for _ in 0..KEYS_PER_BLOCK.min(len - first) {
            let (key, _) = stream.next()?;
            let lcp = common_prefix(&before, key);
            run.push(lcp, key.len() - lcp, |out| {
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
