//! One map that grows to `--n` generated keys. Workers generate, sort and insert ranges of them.

use super::grow_value::GrowValue;
use super::grown_layer::LayerFile;
use super::load::SHARDS;
use crate::bench::memory::allocated;
use crate::bench::record::{
    Column, Record, cell, cells, large, number, put, times, titled, titles, wrapped,
};
use crate::bench::row::{GrowValues, Job};
use crate::bench::timer::Timer;
use crate::generate::{Kind, generate};
use crate::keys::KeyList;
use crate::progress::note;
use crate::rng::{Rng, hash};
use crate::source::Origin;
use anyhow::{Result, bail};
use memkv::{KeyCoding, ShardedArt};
use serde_json::Value as Json;
use std::hint::black_box;
use std::io::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

/// Keys that a worker generates at a time.
const KEYS_PER_RANGE: u64 = 1 << 18;
/// Lookups at each size.
const LOOKUPS: usize = 1_000_000;
/// Numbers of keys at which the map is measured.
const SIZES: [u64; 7] =
    [1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000, 300_000_000, 1_000_000_000];

/// Generated keys, each identified by its number.
struct Generated {
    kind: Kind,
    seed: u64,
}

impl Generated {
    fn keys(&self, from: u64, to: u64) -> KeyList {
        generate(self.kind, self.seed, from..to)
    }

    /// Returns random keys of the first `n`, and their numbers.
    fn some(&self, n: u64, count: usize, rng: &mut Rng) -> (KeyList, Vec<u64>) {
        let (mut keys, mut numbers) = (KeyList::default(), Vec::new());
        for _ in 0..count {
            let i = rng.below(n);
            keys.push(self.keys(i, i + 1).get(0));
            numbers.push(i);
        }
        (keys, numbers)
    }
}

/// Returns lookups a second of CPU time, and the number of wrong results.
fn look_up<V: GrowValue>(
    keys: &KeyList,
    numbers: &[u64],
    get: impl Fn(&[u8]) -> Option<V>,
) -> (f64, usize) {
    let mut timer = Timer::default();
    let right = timer.time(|| {
        keys.iter().zip(numbers).filter(|(key, i)| black_box(get(key)) == Some(V::of(**i))).count()
    });
    (keys.len() as f64 / timer.cpu().max(1e-9), keys.len() - right)
}

/// Inserts a range of the keys by several threads. Returns the bytes of the keys.
fn insert<V: GrowValue>(
    map: &ShardedArt<V>,
    generated: &Generated,
    range: Range<u64>,
    threads: usize,
) -> u64 {
    let (next, bytes) = (AtomicU64::new(range.start), AtomicU64::new(0));
    let work = || {
        loop {
            let from = next.fetch_add(KEYS_PER_RANGE, Relaxed);
            if from >= range.end {
                break;
            }
            let keys = generated.keys(from, (from + KEYS_PER_RANGE).min(range.end));
            bytes.fetch_add(keys.raw_bytes() as u64, Relaxed);
            // Without a handle, which would stay pinned while the next range is generated.
            keys.sorted().iter().for_each(|&i| {
                map.insert(keys.get(i as usize), V::of(from + u64::from(i)));
            });
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    bytes.into_inner()
}

/// Measures the map at each of [`SIZES`] up to the number of keys, then its frozen layer.
pub(super) fn measure(job: &Job) -> Result<Record> {
    match job.values {
        GrowValues::U64 => measure_as::<u64>(job),
        GrowValues::U32 => measure_as::<u32>(job),
        GrowValues::None => measure_as::<()>(job),
    }
}

fn measure_as<V: GrowValue>(job: &Job) -> Result<Record> {
    let Origin::Generated { kind } = job.source.origin else {
        bail!("the part grow needs generated keys")
    };
    // Before hours of work, in case it fails.
    let file = LayerFile::new(job)?;
    let generated = Generated { kind, seed: job.source.seed };
    let n = job.source.n;
    let mut rng = Rng::new(hash(job.source.seed, 5));
    let (sample, _) = generated.some(n, SHARDS * 512, &mut rng);
    let before = allocated()?;
    let map = ShardedArt::<V>::with_coding(SHARDS, KeyCoding::Symbols);
    let (mut loaded, mut raw, mut errors, mut sizes) = (0, 0u64, 0, Vec::new());
    while loaded < n {
        let to = SIZES.iter().copied().find(|&size| size > loaded).unwrap_or(n).min(n);
        let begin = Instant::now();
        raw += insert(&map, &generated, loaded..to, job.threads);
        let seconds = begin.elapsed().as_secs_f64();
        map.reclaim();
        let held = allocated()? - before;
        let (keys, numbers) = generated.some(to, LOOKUPS.min(to as usize), &mut rng);
        let (rate, wrong) = look_up(&keys, &numbers, |key| map.get(key));
        errors += wrong + usize::from(map.len() as u64 != to);
        let mut record = Record::new();
        put(&mut record, "n", to);
        put(&mut record, "raw_per_key", raw as f64 / to as f64);
        put(&mut record, "bytes_per_key", held as f64 / to as f64);
        put(&mut record, "retired_per_key", map.memory_usage().retired as f64 / to as f64);
        put(&mut record, "load_per_s", (to - loaded) as f64 / seconds);
        put(&mut record, "get_per_s", rate);
        // A run that is cut off has shown the sizes before.
        note(&format!("{}, errors {errors}", described(&with_overhead(record.clone()))));
        sizes.push(Json::from(record));
        loaded = to;
    }
    let lens: Vec<usize> = map.shards().iter().map(|shard| shard.len).collect();
    let mut record = Record::new();
    let most = lens.iter().max().map(|&most| most as f64 * lens.len() as f64 / n as f64);
    put(&mut record, "sizes", sizes);
    put(&mut record, "value_bytes", size_of::<V>());
    put(&mut record, "shards", lens.len());
    put(&mut record, "largest", most);
    let sorted: Vec<&[u8]> = sample.sorted().iter().map(|&i| sample.get(i as usize)).collect();
    file.write(&map, &sorted, job.threads, &mut record)?;
    note(&layer_described(&record));
    // The file's pages need the memory.
    drop(map);
    let layer = file.open::<V>(&mut record)?;
    let (keys, some) = generated.some(n, LOOKUPS.min(n as usize), &mut rng);
    let (rate, wrong) = look_up(&keys, &some, |key| layer.get(key));
    put(&mut record, "frozen_get_per_s", rate);
    put(&mut record, "errors", errors + wrong + usize::from(layer.len() as u64 != n));
    Ok(record)
}

const COLUMNS: [Column; 7] = [
    ("keys", "n", large),
    ("raw/key", "raw_per_key", |bytes| format!("{bytes:.2}")),
    ("bytes/key", "bytes_per_key", |bytes| format!("{bytes:.2}")),
    ("overhead/key", "overhead_per_key", |bytes| format!("{bytes:+.2}")),
    ("retired/key", "retired_per_key", |bytes| format!("{bytes:.2}")),
    ("load keys/s", "load_per_s", large),
    ("lookups/s", "get_per_s", large),
];

/// Returns a line with the figures of one size.
fn described(record: &Record) -> String {
    let figures = COLUMNS.iter().zip(cells(record, &COLUMNS));
    figures.map(|(column, cell)| format!("{} {cell}", column.0)).collect::<Vec<_>>().join(", ")
}

/// Returns a line with the figures of the frozen layer that are known.
fn layer_described(record: &Record) -> String {
    format!(
        "FrozenLayer of it, in a file: {} bytes a key in {} s, checked in {} s, {} lookups/s",
        cell(record, "frozen_per_key", |bytes| format!("{bytes:.2}")),
        cell(record, "frozen_seconds", |s| format!("{s:.1}")),
        cell(record, "frozen_verify_seconds", |s| format!("{s:.1}")),
        cell(record, "frozen_get_per_s", large),
    )
}

/// Adds what a map takes besides its keys to the figures of a size.
fn with_overhead(mut size: Record) -> Record {
    let overhead = number(&size, "bytes_per_key").zip(number(&size, "raw_per_key"));
    put(&mut size, "overhead_per_key", overhead.map(|(bytes, raw)| bytes - raw));
    size
}

/// Prints the sizes as a table, then the shards and the frozen layer.
pub(super) fn print(record: &Record, out: &mut impl Write) -> Result<()> {
    let sizes = record.get("sizes").and_then(Json::as_array).into_iter().flatten();
    let lines = sizes
        .filter_map(Json::as_object)
        .map(|size| cells(&with_overhead(size.clone()), &COLUMNS).collect());
    let what = format!(
        "one map of coded keys and values of {} bytes as it grows; allocated bytes, overhead less \
         those of the keys; load rates of wall time include generating and sorting the keys, \
         lookups are of one thread's CPU time",
        cell(record, "value_bytes", |bytes| format!("{bytes}")),
    );
    writeln!(out, "\n{}", wrapped(&what))?;
    writeln!(out, "{}", titled(1, &titles(&[], &COLUMNS), lines))?;
    writeln!(
        out,
        "{} shards, the largest {} of the mean",
        cell(record, "shards", |n| format!("{n}")),
        cell(record, "largest", times),
    )?;
    writeln!(out, "{}", layer_described(record))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::look_up;
    use crate::bench::bulk::grow_value::GrowValue;
    use crate::bench::row::value_of;
    use crate::keys::KeyList;

    #[test]
    fn wrong_lookups_are_found() {
        fn wrong<V: GrowValue>(value: Option<V>) -> usize {
            let mut keys = KeyList::default();
            keys.push(b"a");
            look_up(&keys, &[3], |key| value.filter(|_| key == b"a")).1
        }
        let value = value_of(3);
        let low = value as u32;
        assert_eq!([Some(value), Some(value ^ 1 << 63), None].map(wrong::<u64>), [0, 1, 1]);
        assert_eq!([Some(low), Some(low ^ 1), None].map(wrong::<u32>), [0, 1, 1]);
        assert_eq!([Some(()), None].map(wrong::<()>), [0, 1]);
    }
}
