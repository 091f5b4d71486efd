//! Bulk loads of unsorted keys, by all threads of rayon's pool.
//!
//! ```text
//!   records ─▶ sample ─▶ boundaries ─▶ partition each  ─▶ sort each ─▶ build trees
//!                        of parts      block by parts     part         bottom-up
//! ```
//! Keys are never copied, except those of iterators and readers, which are first gathered. What
//! moves are positions of 4 bytes, and while a part is sorted, sort records of 16 bytes. Of equal
//! keys the last one is kept.

#![forbid(unsafe_code)]

mod error;
mod ordered;
mod reader;
mod records;
pub(crate) mod sort;

pub use error::LoadError;
#[cfg(feature = "storage")]
pub(crate) use ordered::Ordered;
pub(crate) use ordered::ordered_parallel;
pub(crate) use records::{Gathered, Pairs, Records, Text};

use crate::MAX_KEY_LEN;
use crate::concurrent::ConcurrentArt;
use crate::error::{BuildError, InsertError, or_fail_build};
use crate::fast::{FastArt, Sorted};
use crate::sharded::{Router, quantiles};
use crate::sync::parallel::in_pool;
use crate::tree::LeafCoder;
use crate::tree::common_prefix;
use crate::value::Value;

use rayon::prelude::*;
use records::PREFETCH_DISTANCE;
use sort::SortRecord;
use std::ops::Range;
use std::sync::Arc;

/// Keys of a part: small enough to sort in one core's cache.
const KEYS_PER_PART: usize = 4096;
/// Parts, at most: partitioning a block writes to all of them alternately.
const MAX_PARTS: usize = 1024;
/// Bytes by which keys of a sample are sorted at a time.
const SAMPLE_BYTES_PER_STEP: usize = 1024;
/// Keys of a sample for each part, and for each shard. Shards have more, since they must be of
/// equal size.
const SAMPLE_KEYS_PER_PART: usize = 32;
const SAMPLE_KEYS_PER_SHARD: usize = 512;

/// Records partitioned into parts of neighbouring keys.
pub(crate) struct Plan<'r, R> {
    records: &'r R,
    bounds: Vec<Arc<[u8]>>,
    blocks: Vec<PartitionedBlock>,
}

/// The records of a block, partitioned by part.
struct PartitionedBlock {
    /// Positions, those of the first part first.
    positions: Vec<u32>,
    /// For each part, the end of its positions.
    ends: Vec<u32>,
}

impl PartitionedBlock {
    /// Partitions records, given as positions and parts.
    fn new(records: &[(u32, u32)], parts: usize) -> PartitionedBlock {
        let mut ends = vec![0; parts];
        records.iter().for_each(|&(_, part)| ends[part as usize] += 1);
        let mut sum = 0;
        for end in &mut ends {
            sum += std::mem::replace(end, sum);
        }
        let mut positions = vec![0; records.len()];
        // Each end is the start of its part at first, and is counted up to the end.
        for &(position, part) in records {
            let end = &mut ends[part as usize];
            positions[*end as usize] = position;
            *end += 1;
        }
        PartitionedBlock { positions, ends }
    }

    /// Returns the positions of a part, in the order of the block.
    fn part(&self, part: usize) -> &[u32] {
        let start = part.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.positions[start as usize..self.ends[part] as usize]
    }
}

/// Returns the number of parts for these records.
fn part_count<V>(records: &impl Records<V>) -> usize {
    (records.approx_len() / KEYS_PER_PART).clamp(1, MAX_PARTS)
}

/// Bytes that are read to find a sample, at most, and again to sort keys that begin alike.
const SAMPLE_BUDGET_BYTES: usize = 128 << 20;
/// Keys of a sample, at most.
const MAX_SAMPLE_KEYS: usize = 4 << 20;
/// Pieces of a sample that are found in parallel.
const SAMPLE_PIECES: usize = 16;

/// Returns a sorted sample of keys: as many as needed for good boundaries of parts and of `shards`
/// shards, or those that are found within [`SAMPLE_BUDGET_BYTES`].
pub(crate) fn sample<V, R: Records<V>>(records: &R, shards: usize) -> Vec<&[u8]> {
    let wanted = (SAMPLE_KEYS_PER_PART * (part_count(records) - 1))
        .max(SAMPLE_KEYS_PER_SHARD * (shards - 1));
    // A key may be found more than once, so the sample of a called records may exceed them.
    let count = wanted
        .min(records.approx_len().max(KEYS_PER_PART))
        .min(MAX_SAMPLE_KEYS)
        .div_ceil(SAMPLE_PIECES);
    let piece = |piece: usize| {
        let mut budget = SAMPLE_BUDGET_BYTES / SAMPLE_PIECES;
        let key = move |i: usize| {
            // Equidistant words in a shuffled order: Weyl's sequence, finalized.
            let word = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let word = (word ^ (word >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
            records.some_key(word, &mut budget)
        };
        (piece * count..(piece + 1) * count).map_while(key)
    };
    let mut keys: Vec<&[u8]> = (0..SAMPLE_PIECES).into_par_iter().flat_map_iter(piece).collect();
    sort_sample(&mut keys);
    keys
}

/// Sorts keys, and cuts them where they need not be longer to divide the records: what differs
/// after that is less than a part.
///
/// Keys that are alike so far, as many as a part has, are sorted by the bytes that follow, until
/// [`SAMPLE_BUDGET_BYTES`] are read.
fn sort_sample(keys: &mut [&[u8]]) {
    let mut budget = SAMPLE_BUDGET_BYTES;
    let mut alike = vec![(0..keys.len(), 0)];
    while let Some((range, start)) = alike.pop() {
        let first = range.start;
        let keys = &mut keys[range];
        let end = start + SAMPLE_BYTES_PER_STEP;
        let step = |key: &[u8]| key.len().min(end);
        keys.par_sort_unstable_by(|a, b| a[start..step(a)].cmp(&b[start..step(b)]));
        let mut at = first;
        for run in keys.chunk_by_mut(|a, b| a[start..step(a)] == b[start..step(b)]) {
            let bytes = run.len() * SAMPLE_BYTES_PER_STEP;
            if run.len() >= SAMPLE_KEYS_PER_PART && run[0].len() >= end && bytes <= budget {
                budget -= bytes;
                alike.push((at..at + run.len(), end));
            } else {
                run.iter_mut().for_each(|key| *key = &key[..step(key)]);
            }
            at += run.len();
        }
    }
}

impl<'r, R> Plan<'r, R> {
    /// Partitions records by `bounds`, and by further boundaries from the sample.
    ///
    /// # Errors
    /// Fails if a key is over the limit.
    pub(crate) fn new<V>(
        records: &'r R,
        bounds: &[Arc<[u8]>],
        sample: &[&[u8]],
    ) -> Result<Self, BuildError>
    where
        R: Records<V>,
    {
        let mut bounds = bounds.to_vec();
        bounds.extend(quantiles(sample, part_count(records)));
        bounds.sort_unstable();
        bounds.dedup();
        let router = Router::new(bounds.clone());
        let partition = |block| {
            let (mut routed, mut too_long) = (Vec::new(), None);
            records.each(block, |at, key| {
                if key.len() > MAX_KEY_LEN {
                    too_long = Some(InsertError::KeyTooLong { len: key.len() });
                }
                routed.push((at, router.route(key) as u32));
            });
            too_long.map_or_else(
                || Ok(PartitionedBlock::new(&routed, bounds.len() + 1)),
                |error| Err(error.into()),
            )
        };
        let blocks = (0..records.blocks())
            .into_par_iter()
            .map(partition)
            .collect::<Result<_, BuildError>>()?;
        Ok(Plan { records, bounds, blocks })
    }

    /// Returns the parts from one boundary to another.
    pub(crate) fn parts(&self, low: &[u8], high: Option<&[u8]>) -> Range<usize> {
        let index = |key: &[u8]| self.bounds.partition_point(|bound| &**bound <= key);
        index(low)..high.map_or(self.bounds.len() + 1, index)
    }

    /// Sorts a part.
    fn sort_part<V>(&self, part: usize) -> Vec<SortRecord>
    where
        R: Records<V>,
    {
        let mut entries =
            Vec::with_capacity(self.blocks.iter().map(|block| block.part(part).len()).sum());
        for (block, partitioned) in (0..).zip(&self.blocks) {
            entries.extend(
                partitioned
                    .part(part)
                    .iter()
                    .map(|&at| SortRecord::new(block << 32 | u64::from(at))),
            );
        }
        let low = part.checked_sub(1).map(|before| &*self.bounds[before]);
        let depth =
            low.zip(self.bounds.get(part)).map_or(0, |(low, high)| common_prefix(low, high));
        sort::sort(
            &mut entries,
            depth,
            |at| self.record(at).0,
            |entries, i| self.prefetch(entries, i),
        );
        entries
    }

    /// Prefetches the records that follow `entries[i]` by up to twice [`PREFETCH_DISTANCE`].
    #[inline]
    fn prefetch<V>(&self, entries: &[SortRecord], i: usize)
    where
        R: Records<V>,
    {
        for (ahead, next) in [(2 * PREFETCH_DISTANCE, false), (PREFETCH_DISTANCE, true)] {
            if let Some(entry) = entries.get(i + ahead) {
                self.records.prefetch((entry.at >> 32) as usize, entry.at as u32, next);
            }
        }
    }

    /// Returns the record at a position, given as block and position in one word.
    fn record<V>(&self, at: u64) -> (&[u8], V)
    where
        R: Records<V>,
    {
        self.records.get((at >> 32) as usize, at as u32)
    }

    /// Calls `visit` with the records of some parts in key order, each with the length of the
    /// prefix that its key shares with the one before. Of equal keys it visits the last one.
    ///
    /// The next parts are sorted by `threads` threads while earlier ones are visited.
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
            |part| self.sort_part(part),
            |entries| self.visit_part(&entries, &mut last, &mut visit),
        )
    }

    /// Does the work of [`visit`](Self::visit) for one part. `last` is the last key of the part
    /// before.
    fn visit_part<V, E>(
        &self,
        entries: &[SortRecord],
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
            self.prefetch(entries, i);
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

    /// Builds the map of some parts, sorted by `threads` threads.
    ///
    /// A caller's `as_ref` may return other bytes each time, so keys may not ascend. That is an
    /// error.
    pub(crate) fn map<V: Value + Send>(
        &self,
        parts: Range<usize>,
        threads: usize,
        coder: Option<Arc<LeafCoder>>,
    ) -> Result<FastArt<V>, BuildError>
    where
        R: Records<V>,
    {
        let mut sorted = Sorted::with_coder(coder);
        self.visit(parts, threads, |key, shared, value| sorted.push_sharing(key, shared, value))?;
        sorted.finish()
    }
}

/// Builds one map of all records.
fn map<V: Value + Send>(records: &impl Records<V>) -> Result<FastArt<V>, BuildError> {
    let sample = sample(records, 1);
    let plan = Plan::new(records, &[], &sample)?;
    let coder = LeafCoder::of_default();
    if let Some(coder) = &coder {
        coder.train_for_load(records.approx_len(), &sample);
    }
    plan.map(plan.parts(&[], None), rayon::current_num_threads(), coder)
}

impl<V: Value + Send + Sync> FastArt<V> {
    /// Creates a map from pairs in any order, which the threads of rayon's pool sort.
    ///
    /// The map is built bottom-up, as by [`from_sorted`](Self::from_sorted). Of equal keys the last
    /// one's value is kept. Several times faster than inserts.
    ///
    /// # Complexity
    /// Takes time in O(bytes of the keys). Besides the map it needs 4 bytes of memory for each key,
    /// and 16 for each key that is being sorted. These are some four parts for each thread, of 4096
    /// keys each, or of more if there are over four million keys.
    ///
    /// # Errors
    /// Fails if a key is over the limit, if memory runs out, or if a key's `as_ref` returns other
    /// bytes each time.
    ///
    /// # Panics
    /// May panic if a key's `as_ref` returns other bytes each time, as the standard library's sort.
    ///
    /// ```
    /// let map = memkv::FastArt::from_unsorted(&[("b", 1u64), ("a", 2), ("b", 3)])?;
    /// assert!(map.iter().eq([(b"a".to_vec(), 2), (b"b".to_vec(), 3)]));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn from_unsorted<K: AsRef<[u8]> + Sync>(pairs: &[(K, V)]) -> Result<Self, BuildError> {
        in_pool(|| map(&Pairs(pairs)))
    }
}

impl<V: Value + Send + Sync> ConcurrentArt<V> {
    /// Creates a map from pairs in any order, as [`FastArt::from_unsorted`] does.
    ///
    /// # Errors
    /// Returns the errors of [`FastArt::from_unsorted`].
    ///
    /// # Panics
    /// As [`FastArt::from_unsorted`].
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
    /// Copies the pairs, then sorts and builds as [`FastArt::from_unsorted`] does.
    #[track_caller]
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_par_iter();
        or_fail_build(in_pool(|| map(&Gathered::new(pairs))))
    }
}

impl<K: AsRef<[u8]> + Send, V: Value + Send + Sync> FromParallelIterator<(K, V)>
    for ConcurrentArt<V>
{
    /// Copies the pairs, then sorts and builds as [`FastArt::from_unsorted`] does.
    #[track_caller]
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

    /// A key that counts the calls of its `as_ref`.
    struct Counted<'c>(String, &'c AtomicUsize);

    impl AsRef<[u8]> for Counted<'_> {
        fn as_ref(&self) -> &[u8] {
            self.1.fetch_add(1, Relaxed);
            self.0.as_bytes()
        }
    }

    /// Two groups of keys, each of which has 5,000 bytes in common.
    #[test]
    fn keys_that_begin_alike_are_divided() {
        let key = |i: u32| {
            let group = if i.is_multiple_of(2) { "a" } else { "b" };
            format!("{group}{}{:06}", "/".repeat(5_000), i.wrapping_mul(7_919) % 20_000)
        };
        let pairs: Vec<(String, u32)> = (0..20_000).map(|i| (key(i), i)).collect();
        let map = ShardedArt::new(8);
        map.load(&pairs).unwrap();
        map.check().unwrap();
        assert_eq!(map.len(), pairs.len());
        let shards = map.shards();
        let largest = shards.iter().map(|shard| shard.len).max().unwrap();
        assert!(shards.len() == 8 && largest < 2 * pairs.len() / 8, "{largest} of {}", pairs.len());
    }

    #[test]
    fn samples_of_equal_long_keys_are_sorted() {
        let (long, longer) = ("x".repeat(2_048), "x".repeat(2_049));
        let mut keys: Vec<&[u8]> =
            [longer.as_bytes(), long.as_bytes(), b""].repeat(40).into_iter().collect();
        sort_sample(&mut keys);
        assert!(keys.is_sorted());
        assert_eq!(keys.iter().filter(|key| key.len() == 2_049).count(), 40);
        assert_eq!(keys.iter().filter(|key| key.is_empty()).count(), 40);
    }

    /// The size of a sample is in proportion to the load, so small loads read their keys a few
    /// times, too.
    #[test]
    fn each_key_is_read_a_few_times() {
        for n in [2, 1000, 100_000] {
            let calls = AtomicUsize::new(0);
            let pairs: Vec<(Counted<'_>, u64)> =
                (0..n).map(|i| (Counted(format!("{:08}", i * 7919 % n), &calls), i)).collect();
            let map = FastArt::from_unsorted(&pairs).unwrap();
            assert_eq!(map.len() as u64, n);
            let called = calls.swap(0, Relaxed);
            assert!(called < 20 * n as usize, "{called} times for {n} keys");
            let sharded = ShardedArt::new(64);
            sharded.load(&pairs).unwrap();
            assert_eq!(sharded.len() as u64, n);
            let called = calls.load(Relaxed);
            assert!(
                called < 20 * n.max(KEYS_PER_PART as u64) as usize,
                "{called} times for {n} keys"
            );
        }
    }

    #[test]
    fn blocks_are_partitioned_in_order() {
        let records = [(0, 2), (5, 0), (9, 2), (12, 4), (13, 0)];
        let partitioned = PartitionedBlock::new(&records, 5);
        let parts: [&[u32]; 5] = [&[5, 13], &[], &[0, 9], &[], &[12]];
        assert!((0..5).all(|part| partitioned.part(part) == parts[part]));
        assert!((0..3).all(|part| PartitionedBlock::new(&[], 3).part(part).is_empty()));
    }
}
