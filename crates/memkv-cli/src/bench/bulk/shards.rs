//! Measures what shards cost: routing, their sizes, and splits.

use super::load::{SHARDS, pairs};
use crate::bench::latencies::{Latencies, PERCENTILES};
use crate::bench::measure::KEYS_PER_CALL;
use crate::bench::record::{Record, median, put};
use crate::bench::row::{Job, value_of};
use crate::bench::timer::Timer;
use crate::keys::KeyList;
use crate::rng::{Rng, hash};
use anyhow::Result;
use memkv::{ConcurrentArt, ShardedArt};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Lookups of a comparison, and the number of comparisons.
const LOOKUPS: usize = 100_000;
const COMPARISONS: usize = 15;

/// The figures of [`routing`].
pub(super) const RATIOS: [&str; 5] =
    ["get_ratio", "pinned_ratio", "get_many_ratio", "miss_ratio", "insert_ratio"];

/// Compares lookups and inserts with and without shards, in turn, on maps of the same content.
pub(super) fn routing(job: &Job) -> Result<Record> {
    let keys = job.distinct_keys()?;
    let pairs = pairs(&keys);
    let (whole, sharded) = (ConcurrentArt::from_unsorted(&pairs)?, ShardedArt::new(SHARDS));
    sharded.load(&pairs)?;
    let (mut rng, mut errors) = (Rng::new(hash(job.source.seed, 1)), 0usize);
    let mut ratios: Vec<Vec<f64>> = vec![Vec::new(); RATIOS.len()];
    for round in 0..COMPARISONS {
        let (mut hits, mut misses, mut sum) = (KeyList::default(), KeyList::default(), 0u64);
        for _ in 0..LOOKUPS.min(keys.len()) {
            let i = rng.below(keys.len() as u64) as usize;
            hits.push(keys.get(i));
            misses.push(&[keys.get(i), b"\xFF"].concat());
            sum = sum.wrapping_add(value_of(i));
        }
        let hits: Vec<&[u8]> = hits.iter().collect();
        let misses: Vec<&[u8]> = misses.iter().collect();
        let fold = |values: &mut dyn Iterator<Item = Option<u64>>| {
            values.flatten().fold(0, u64::wrapping_add)
        };
        macro_rules! operations {
            ($map:expr, $pinned:expr) => {
                [
                    &|| fold(&mut hits.iter().map(|key| $map.get(key))),
                    &|| fold(&mut hits.iter().map(|key| $pinned.get(key))),
                    &|| {
                        let calls = hits.chunks(KEYS_PER_CALL);
                        fold(&mut calls.flat_map(|keys| $pinned.get_many(keys)))
                    },
                    &|| fold(&mut misses.iter().map(|key| $map.get(key))),
                    &|| fold(&mut hits.iter().map(|key| $map.update(key, |value| value))),
                ]
            };
        }
        let (of_whole, of_sharded) = (whole.pin(), sharded.pin());
        let of_whole: [&dyn Fn() -> u64; 5] = operations!(whole, of_whole);
        let of_sharded: [&dyn Fn() -> u64; 5] = operations!(sharded, of_sharded);
        for (i, name) in RATIOS.iter().enumerate() {
            let want = if *name == "miss_ratio" { 0 } else { sum };
            let mut time = |work: &dyn Fn() -> u64| {
                let mut timer = Timer::default();
                errors += usize::from(timer.time(|| black_box(work())) != want);
                timer.cpu()
            };
            // Which map is first alternates.
            let (whole, sharded) = if round % 2 == 0 {
                let whole = time(of_whole[i]);
                (whole, time(of_sharded[i]))
            } else {
                let sharded = time(of_sharded[i]);
                (time(of_whole[i]), sharded)
            };
            ratios[i].push(whole / sharded);
        }
    }
    let mut record = Record::new();
    RATIOS.iter().zip(ratios).for_each(|(name, ratios)| put(&mut record, name, median(ratios)));
    put(&mut record, "errors", errors);
    Ok(record)
}

/// Compares the largest shard with the mean.
pub(super) fn balance(job: &Job) -> Result<Record> {
    let keys = job.distinct_keys()?;
    let map = ShardedArt::new(SHARDS);
    map.load(&pairs(&keys))?;
    let shards = map.shards();
    let largest = |of: &dyn Fn(usize) -> usize| {
        let (most, sum) =
            (0..shards.len()).fold((0, 0), |(most, sum), i| (most.max(of(i)), sum + of(i)));
        most as f64 * shards.len() as f64 / sum.max(1) as f64
    };
    let mut record = Record::new();
    put(&mut record, "shards", shards.len());
    put(&mut record, "largest", largest(&|i| shards[i].len));
    put(&mut record, "largest_bytes", largest(&|i| shards[i].bytes));
    put(&mut record, "errors", usize::from(map.len() != keys.len()));
    Ok(record)
}

/// Measures the latencies of one reader: alone, beside a writer, and while the map's one shard is
/// split.
pub(super) fn split(job: &Job) -> Result<Record> {
    let keys = job.distinct_keys()?;
    // A map of one shard does not split by itself.
    let map = ShardedArt::new(1);
    map.load(&pairs(&keys))?;
    let mut sorted: Vec<&[u8]> = keys.iter().collect();
    sorted.sort_unstable();
    let (mut record, mut errors) = (Record::new(), 0usize);
    let mut read =
        |name: &str, beside: &(dyn Fn(&AtomicBool) + Sync), least: Duration| -> Result<()> {
            let (done, mut latencies) = (AtomicBool::new(false), Latencies::new()?);
            thread::scope(|scope| {
                let other = scope.spawn(|| beside(&done));
                let (mut rng, begin) = (Rng::new(hash(job.source.seed, 3)), Instant::now());
                // Beside a split as long as the split takes.
                while begin.elapsed() < least || name == "split" && !other.is_finished() {
                    for _ in 0..64 {
                        let i = rng.below(keys.len() as u64) as usize;
                        let found = latencies.time(|| map.get(keys.get(i)));
                        errors += usize::from(found != Some(value_of(i)));
                    }
                }
                done.store(true, Relaxed);
            });
            latencies.put(&mut record, name, &PERCENTILES[..3], "");
            Ok(())
        };
    let time = Duration::from_millis(job.millis);
    read("alone", &|_| (), time)?;
    // Inserts and removes, since an update to the same value would write nothing.
    let write = |done: &AtomicBool| {
        let mut rng = Rng::new(4);
        while !done.load(Relaxed) {
            let key = [sorted[rng.below(sorted.len() as u64) as usize], b"/"].concat();
            if map.insert(&key, 0).is_none() {
                map.remove(&key);
            }
        }
    };
    read("writer", &write, time)?;
    let begin = Instant::now();
    let moved = sorted.len() / 2;
    read("split", &|_| _ = map.split(sorted[moved]), Duration::ZERO)?;
    put(&mut record, "moved", moved);
    put(&mut record, "moved_per_s", moved as f64 / begin.elapsed().as_secs_f64());
    put(&mut record, "errors", errors + usize::from(map.len() != keys.len()));
    Ok(record)
}
