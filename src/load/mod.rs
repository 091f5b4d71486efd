//! Bulk loading from unsorted keys, by all threads of rayon's pool.
//!
//! ```text
//!   records ─▶ sample ─▶ boundaries of parts ─▶ partition: of each block and part the places of its records ─▶ each part sorted ─▶ trees, bottom-up
//! ```
//! Keys are never copied: what moves are places of 4 bytes, and while a part is sorted, entries of 16. Of equal keys the last one counts.

#![forbid(unsafe_code)]

mod ordered;
mod records;
mod sort;

#[cfg(feature = "storage")]
pub(crate) use ordered::Ordered;
pub(crate) use ordered::ordered_parallel;
pub(crate) use records::{Gathered, Pairs, Records, Text};

use crate::MAX_KEY_LEN;
use crate::concurrent::ConcurrentArt;
use crate::error::{BuildError, InsertError, fail_build};
use crate::fast::{FastArt, Sorted};
use crate::sharded::{Router, quantiles};
use crate::tree::common_prefix;
use crate::value::Value;

use rayon::prelude::*;
use records::AHEAD;
use sort::Entry;
use std::ops::Range;
use std::sync::Arc;

/// Records of a part: so few that it is sorted in a processor's own cache. There are not more than `PARTS`, or places of too many are written at a time.
const PART: usize = 4096;
const PARTS: usize = 1024;
/// Bytes of a key of a sample: keys that differ only behind come into one part.
const LONGEST: usize = 1024;
/// Keys of a sample for each part, and for each shard: those are to be equal.
const OF_PART: usize = 32;
const OF_SHARD: usize = 512;

/// Records divided into parts of neighbouring keys.
pub(crate) struct Plan<'r, R> {
    records: &'r R,
    bounds: Vec<Arc<[u8]>>,
    blocks: Vec<Divided>,
}

/// The records of a block, divided into parts.
struct Divided {
    /// Places, those of the first part first.
    places: Vec<u32>,
    /// Of each part, how many there are before it and in it.
    ends: Vec<u32>,
}

impl Divided {
    /// Of records that come each with its part's number.
    fn new(records: &[(u32, u32)], parts: usize) -> Divided {
        let mut ends = vec![0; parts];
        records.iter().for_each(|&(_, part)| ends[part as usize] += 1);
        let mut sum = 0;
        for end in &mut ends {
            sum += std::mem::replace(end, sum);
        }
        let mut places = vec![0; records.len()];
        // What is before a part becomes what is before it and in it.
        for &(place, part) in records {
            let end = &mut ends[part as usize];
            places[*end as usize] = place;
            *end += 1;
        }
        Divided { places, ends }
    }

    fn part(&self, part: usize) -> &[u32] {
        let start = part.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.places[start as usize..self.ends[part] as usize]
    }
}

/// Parts that some records are divided into, if they are not divided otherwise.
fn parts<V>(records: &impl Records<V>) -> usize {
    (records.about() / PART).clamp(1, PARTS)
}

/// Bytes that are read to find a sample, and keys in it, at most.
const BUDGET: usize = 128 << 20;
const MOST: usize = 4 << 20;
/// A sample is taken in so many pieces, in parallel.
const PIECES: usize = 16;

/// Keys of some records, sorted: as many as make good boundaries of parts, and between so many shards, if they are found within the budget.
pub(crate) fn sample<V, R: Records<V>>(records: &R, shards: usize) -> Vec<&[u8]> {
    let wanted = (OF_PART * (parts(records) - 1)).max(OF_SHARD * (shards - 1));
    // Some are found more than once, so of few there may be more than there are.
    let count = wanted.min(records.about().max(PART)).min(MOST).div_ceil(PIECES);
    let piece = |piece: usize| {
        let mut budget = BUDGET / PIECES;
        let key = move |i: usize| {
            // Words of equal distance in a shuffled order would do; these are Weyl's sequence, finalized.
            let word = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let word = (word ^ (word >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
            let key = records.some_key(word, &mut budget)?;
            Some(&key[..key.len().min(LONGEST)])
        };
        (piece * count..(piece + 1) * count).map_while(key)
    };
    let mut keys: Vec<&[u8]> = (0..PIECES).into_par_iter().flat_map_iter(piece).collect();
    keys.par_sort_unstable();
    keys
}

impl<'r, R> Plan<'r, R> {
    /// Divides records by these boundaries, and by those of a sample between them.
    ///
    /// # Errors
    /// A key is over the limit.
    pub(crate) fn new<V>(
        records: &'r R,
        bounds: &[Arc<[u8]>],
        sample: &[&[u8]],
    ) -> Result<Self, BuildError>
    where
        R: Records<V>,
    {
        let mut bounds = bounds.to_vec();
        bounds.extend(quantiles(sample, parts(records)));
        bounds.sort_unstable();
        bounds.dedup();
        let router = Router::new(bounds.clone());
        let divide = |block| {
            let (mut routed, mut too_long) = (Vec::new(), None);
            records.each(block, |at, key| {
                if key.len() > MAX_KEY_LEN {
                    too_long = Some(InsertError::KeyTooLong { len: key.len() });
                }
                routed.push((at, router.route(key) as u32));
            });
            too_long.map_or_else(
                || Ok(Divided::new(&routed, bounds.len() + 1)),
                |error| Err(error.into()),
            )
        };
        let blocks =
            (0..records.blocks()).into_par_iter().map(divide).collect::<Result<_, BuildError>>()?;
        Ok(Plan { records, bounds, blocks })
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
        let mut entries =
            Vec::with_capacity(self.blocks.iter().map(|block| block.part(part).len()).sum());
        for (block, divided) in (0..).zip(&self.blocks) {
            entries.extend(
                divided.part(part).iter().map(|&at| Entry::new(block << 32 | u64::from(at))),
            );
        }
        let low = part.checked_sub(1).map(|before| &*self.bounds[before]);
        let depth =
            low.zip(self.bounds.get(part)).map_or(0, |(low, high)| common_prefix(low, high));
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
    /// Some parts are sorted by so many threads while those before are handed out.
    pub(crate) fn visit<V, E>(
        &self,
        parts: Range<usize>,
        threads: usize,
        mut visit: impl FnMut(&[u8], usize, V) -> Result<(), E>,
    ) -> Result<(), E>
    where
        R: Records<V>,
    {
        let mut last: Vec<u8> = Vec::new();
        ordered_parallel(
            parts,
            threads,
            |part| self.sorted(part),
            |entries| self.visit_part(&entries, &mut last, &mut visit),
        )
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

    /// The map of some parts, sorted by so many threads. The keys are the caller's to give, and need not be the same each time: what does not ascend is an error.
    pub(crate) fn map<V: Value + Send>(
        &self,
        parts: Range<usize>,
        threads: usize,
    ) -> Result<FastArt<V>, BuildError>
    where
        R: Records<V>,
    {
        let mut sorted = Sorted::new();
        self.visit(parts, threads, |key, shared, value| sorted.push_sharing(key, shared, value))?;
        sorted.finish()
    }
}

/// One map of all records.
fn map<V: Value + Send>(records: &impl Records<V>) -> Result<FastArt<V>, BuildError> {
    let plan = Plan::new(records, &[], &sample(records, 1))?;
    plan.map(plan.parts(&[], None), rayon::current_num_threads())
}

impl<V: Value + Send + Sync> FastArt<V> {
    /// A map of pairs in any order, sorted by the threads of rayon's pool and built bottom-up as [`from_sorted`](Self::from_sorted) does. Of equal
    /// keys the last one's value stays. O(bytes of the keys), several times faster than inserts. Memory besides the map: 4 bytes a key, and 16
    /// for those that are being sorted, some four parts of 4096 for each thread, or larger ones of more than four million keys.
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

impl<K: AsRef<[u8]> + Send, V: Value + Send + Sync> FromParallelIterator<(K, V)>
    for ConcurrentArt<V>
{
    /// Gathers the pairs, then as [`FastArt::from_unsorted`].
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(pairs: I) -> Self {
        FastArt::from_par_iter(pairs).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharded::ShardedArt;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    /// A key that counts how often it is asked for.
    struct Asked<'c>(String, &'c AtomicUsize);

    impl AsRef<[u8]> for Asked<'_> {
        fn as_ref(&self) -> &[u8] {
            self.1.fetch_add(1, Relaxed);
            self.0.as_bytes()
        }
    }

    /// A sample is in proportion to what it is of, so small loads take no longer than their keys are worth.
    #[test]
    fn each_key_is_asked_for_a_few_times() {
        for n in [2, 1000, 100_000] {
            let asked = AtomicUsize::new(0);
            let pairs: Vec<(Asked<'_>, u64)> =
                (0..n).map(|i| (Asked(format!("{:08}", i * 7919 % n), &asked), i)).collect();
            let map = FastArt::from_unsorted(&pairs).unwrap();
            assert_eq!(map.len() as u64, n);
            let few = asked.swap(0, Relaxed);
            assert!(few < 20 * n as usize, "{few} times for {n} keys");
            let sharded = ShardedArt::new(64);
            sharded.load(&pairs).unwrap();
            assert_eq!(sharded.len() as u64, n);
            let few = asked.load(Relaxed);
            assert!(few < 20 * n.max(PART as u64) as usize, "{few} times for {n} keys");
        }
    }

    #[test]
    fn blocks_are_divided_in_their_order() {
        let records = [(0, 2), (5, 0), (9, 2), (12, 4), (13, 0)];
        let divided = Divided::new(&records, 5);
        let parts: [&[u32]; 5] = [&[5, 13], &[], &[0, 9], &[], &[12]];
        assert!((0..5).all(|part| divided.part(part) == parts[part]));
        assert!((0..3).all(|part| Divided::new(&[], 3).part(part).is_empty()));
    }
}
