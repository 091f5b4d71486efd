//! Bulk loading from unsorted keys, by all threads of rayon's pool.
//!
//! ```text
//!   records ─▶ sample ─▶ boundaries of parts ─▶ partition: of each block and part the places of its records ─▶ each part sorted ─▶ trees, bottom-up
//! ```
//! Keys are never copied: what moves are places of 4 bytes, and while a part is sorted, entries of 16. Of equal keys the last one counts.

#![forbid(unsafe_code)]

mod records;
mod sort;

pub(crate) use records::{Gathered, Pairs, Records, Text};

use crate::MAX_KEY_LEN;
use crate::concurrent::ConcurrentArt;
use crate::error::{BuildError, InsertError, fail_build};
use crate::fast::{FastArt, Sorted};
use crate::raw::common_prefix;
use crate::sharded::{Router, quantiles};
use crate::value::Value;
use crate::waves::in_waves;
use rayon::prelude::*;
use records::AHEAD;
use sort::Entry;
use std::ops::Range;
use std::sync::Arc;

/// Parts, of all shards together, at least: so many that each is sorted in a processor's own cache, or nearly.
const PARTS: usize = 256;
/// Bytes of a key that a sample holds: keys that differ only behind come into one part.
const LONGEST: usize = 1024;
/// Keys of a sample for each part.
const SAMPLE: usize = 128;

/// Records divided into parts of neighbouring keys.
pub(crate) struct Plan<'r, R> {
    records: &'r R,
    bounds: Vec<Arc<[u8]>>,
    /// Of each block, of each part: places.
    places: Vec<Vec<Vec<u32>>>,
}

/// Bytes that a sample takes in memory, with those that are read to find it.
const BUDGET: usize = 128 << 20;

/// Keys of some records, sorted: as many as make good boundaries between so many shards, if they fit the budget.
pub(crate) fn sample<V, R: Records<V>>(records: &R, shards: usize) -> Vec<Vec<u8>> {
    let (count, mut budget) = (SAMPLE * PARTS.max(4 * shards), BUDGET);
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for i in 0..count as u64 {
        // Words of equal distance in a shuffled order would do; these are Weyl's sequence, finalized.
        let word = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let word = (word ^ (word >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let Some(key) = records.some_key(word, &mut budget) else { break };
        let key = key[..key.len().min(LONGEST)].to_vec();
        let bytes = key.len() + 2 * size_of::<Vec<u8>>();
        keys.push(key);
        budget = budget.saturating_sub(bytes);
        if budget == 0 {
            break;
        }
    }
    keys.par_sort_unstable();
    keys
}

impl<'r, R> Plan<'r, R> {
    /// Divides records by these boundaries, and by those of a sample between them.
    ///
    /// # Errors
    /// A key is over the limit.
    pub(crate) fn new<V>(records: &'r R, bounds: &[Arc<[u8]>], sample: &[Vec<u8>]) -> Result<Self, BuildError>
    where
        R: Records<V>,
    {
        let mut bounds = bounds.to_vec();
        if bounds.len() < PARTS {
            bounds.extend(quantiles(sample, PARTS));
            bounds.sort_unstable();
            bounds.dedup();
        }
        let router = Router::new(bounds.clone());
        let divide = |block| {
            let (mut places, mut too_long) = (vec![Vec::new(); bounds.len() + 1], None);
            records.each(block, |at, key| {
                if key.len() > MAX_KEY_LEN {
                    too_long = Some(InsertError::KeyTooLong { len: key.len() });
                }
                places[router.route(key)].push(at);
            });
            too_long.map_or(Ok(places), |error| Err(error.into()))
        };
        let places = (0..records.blocks()).into_par_iter().map(divide).collect::<Result<_, BuildError>>()?;
        Ok(Plan { records, bounds, places })
    }

    /// The parts from one boundary to another.
    pub(crate) fn parts(&self, low: &[u8], high: Option<&[u8]>) -> Range<usize> {
        let number = |key: &[u8]| self.bounds.partition_point(|bound| &**bound <= key);
        number(low)..high.map_or(self.bounds.len() + 1, number)
    }

    fn sorted<V>(&self, part: usize) -> Vec<Entry>
    where
        R: Records<V>,
    {
        let place = |block: usize| self.places[block][part].iter().map(move |&at| Entry::new((block as u64) << 32 | u64::from(at)));
        let mut entries = Vec::with_capacity(self.places.iter().map(|parts| parts[part].len()).sum());
        entries.extend((0..self.places.len()).flat_map(place));
        let low = part.checked_sub(1).map(|before| &*self.bounds[before]);
        let depth = low.zip(self.bounds.get(part)).map_or(0, |(low, high)| common_prefix(low, high));
        sort::sort(&mut entries, depth, |at| self.record(at).0, |entries, i| self.soon(entries, i));
        entries
    }

    /// Asks for the memory of the records that come some entries behind `i`.
    #[inline]
    fn soon<V>(&self, entries: &[Entry], i: usize)
    where
        R: Records<V>,
    {
        for (ahead, next) in [(2 * AHEAD, false), (AHEAD, true)] {
            if let Some(entry) = entries.get(i + ahead) {
                self.records.prefetch((entry.at >> 32) as usize, entry.at as u32, next);
            }
        }
    }

    fn record<V>(&self, at: u64) -> (&[u8], V)
    where
        R: Records<V>,
    {
        self.records.get((at >> 32) as usize, at as u32)
    }

    /// Hands out the records of some parts in the order of their keys, of equal keys the last one, each with the bytes it shares with the one before.
    /// Some parts are sorted while those before are handed out.
    pub(crate) fn visit<V, E>(&self, parts: Range<usize>, mut visit: impl FnMut(&[u8], usize, V) -> Result<(), E>) -> Result<(), E>
    where
        R: Records<V>,
    {
        let mut last: Vec<u8> = Vec::new();
        in_waves(parts, |part| self.sorted(part), |entries| self.visit_part(&entries, &mut last, &mut visit))
    }

    /// The rest of [`visit`](Self::visit) for one part; `last` is the last key of the part before.
    fn visit_part<V, E>(
        &self,
        entries: &[Entry],
        last: &mut Vec<u8>,
        visit: &mut impl FnMut(&[u8], usize, V) -> Result<(), E>,
    ) -> Result<(), E>
    where
        R: Records<V>,
    {
        let Some(first) = entries.first() else { return Ok(()) };
        let (mut key, mut value) = self.record(first.at);
        let mut shared = common_prefix(last, key);
        for (i, entry) in entries.iter().enumerate().skip(1) {
            self.soon(entries, i);
            let (next, next_value) = self.record(entry.at);
            let lcp = common_prefix(key, next);
            if lcp < next.len() || lcp < key.len() {
                visit(key, shared, value)?;
                shared = lcp;
            }
            (key, value) = (next, next_value);
        }
        last.clear();
        last.extend_from_slice(key);
        visit(key, shared, value)
    }

    /// The map of some parts. The keys are the caller's to give, and need not be the same each time: what does not ascend is an error.
    pub(crate) fn map<V: Value + Send>(&self, parts: Range<usize>) -> Result<FastArt<V>, BuildError>
    where
        R: Records<V>,
    {
        let mut sorted = Sorted::new();
        self.visit(parts, |key, shared, value| sorted.push_behind(key, shared, value))?;
        sorted.finish()
    }
}

/// One map of all records.
fn map<V: Value + Send>(records: &impl Records<V>) -> Result<FastArt<V>, BuildError> {
    let plan = Plan::new(records, &[], &sample(records, 1))?;
    plan.map(plan.parts(&[], None))
}

impl<V: Value + Send + Sync> FastArt<V> {
    /// A map of pairs in any order, sorted by the threads of rayon's pool and built bottom-up as [`from_sorted`](Self::from_sorted) does. Of equal
    /// keys the last one's value stays. O(bytes of the keys), several times faster than inserts. Memory besides the map: 4 to 8 bytes a key, and 16
    /// for those that are being sorted, a few in a hundred.
    ///
    /// # Errors
    /// A key is over the limit, or is another one each time it is asked for, or there is no memory. Sorting keys that change may also panic, as the standard
    /// library's does.
    ///
    /// ```
    /// let map = memkv::FastArt::from_unsorted(&[("b", 1u64), ("a", 2), ("b", 3)])?;
    /// assert!(map.iter().eq([(b"a".to_vec(), 2), (b"b".to_vec(), 3)]));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn from_unsorted<K: AsRef<[u8]> + Sync>(pairs: &[(K, V)]) -> Result<Self, BuildError> {
        map(&Pairs(pairs))
    }
}

impl<V: Value + Send + Sync> ConcurrentArt<V> {
    /// [`FastArt::from_unsorted`], to share.
    ///
    /// # Errors
    /// A key is over the limit, or is another one each time it is asked for, or there is no memory. Sorting keys that change may also panic, as the standard
    /// library's does.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from_unsorted(&[("b", 1u64), ("a", 2)])?;
    /// assert_eq!(map.get("a"), Some(2));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn from_unsorted<K: AsRef<[u8]> + Sync>(pairs: &[(K, V)]) -> Result<Self, BuildError> {
        Ok(FastArt::from_unsorted(pairs)?.into())
    }
}

impl<K: AsRef<[u8]> + Send, V: Value + Send + Sync> FromParallelIterator<(K, V)> for FastArt<V> {
    /// Gathers the pairs, then as [`FastArt::from_unsorted`].
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(pairs: I) -> Self {
        match map(&Gathered::new(pairs)) {
            Ok(map) => map,
            Err(error) => fail_build(&error),
        }
    }
}

impl<K: AsRef<[u8]> + Send, V: Value + Send + Sync> FromParallelIterator<(K, V)> for ConcurrentArt<V> {
    /// Gathers the pairs, then as [`FastArt::from_unsorted`].
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(pairs: I) -> Self {
        FastArt::from_par_iter(pairs).into()
    }
}
