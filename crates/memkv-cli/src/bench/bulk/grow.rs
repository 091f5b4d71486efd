//! One map that grows to `--n` generated keys. Workers generate, sort and insert ranges of them.

use super::load::SHARDS;
use crate::bench::memory::allocated;
use crate::bench::record::{
    Column, Record, cell, cells, large, number, put, times, titled, titles, wrapped,
};
use crate::bench::row::{Job, value_of};
use crate::bench::timer::Timer;
use crate::generate::{Kind, generate};
use crate::keys::KeyList;
use crate::rng::{Rng, hash};
use crate::source::Origin;
use anyhow::{Result, bail};
use memkv::{FrozenLayer, ShardedArt};
use serde_json::Value;
use std::hint::black_box;
use std::io::Write;
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
fn look_up(keys: &KeyList, numbers: &[u64], get: impl Fn(&[u8]) -> Option<u64>) -> (f64, usize) {
    let mut timer = Timer::default();
    let right = timer.time(|| {
        keys.iter()
            .zip(numbers)
            .filter(|(key, i)| black_box(get(key)) == Some(value_of(**i as usize)))
            .count()
    });
    (keys.len() as f64 / timer.cpu().max(1e-9), keys.len() - right)
}

/// Measures the map at each of [`SIZES`] up to the number of keys.
pub(super) fn measure(job: &Job) -> Result<Record> {
    let Origin::Generated { kind } = job.source.origin else {
        bail!("the part grow needs generated keys")
    };
    let generated = Generated { kind, seed: job.source.seed };
    let n = job.source.n;
    let mut rng = Rng::new(hash(job.source.seed, 5));
    let (sample, _) = generated.some(n, SHARDS * 512, &mut rng);
    let before = allocated()?;
    let map = ShardedArt::with_sample(SHARDS, sample.iter());
    let (mut loaded, mut raw, mut errors, mut sizes) = (0, 0u64, 0, Vec::new());
    while loaded < n {
        let to = SIZES.iter().copied().find(|&size| size > loaded).unwrap_or(n).min(n);
        let (next, bytes, begin) = (AtomicU64::new(loaded), AtomicU64::new(0), Instant::now());
        let work = || {
            loop {
                let from = next.fetch_add(KEYS_PER_RANGE, Relaxed);
                if from >= to {
                    break;
                }
                let keys = generated.keys(from, (from + KEYS_PER_RANGE).min(to));
                bytes.fetch_add(keys.raw_bytes() as u64, Relaxed);
                // Without a handle, which would stay pinned while the next range is generated.
                keys.sorted().iter().for_each(|&i| {
                    map.insert(keys.get(i as usize), value_of(from as usize + i as usize));
                });
            }
        };
        thread::scope(|scope| (0..job.threads).for_each(|_| _ = scope.spawn(work)));
        let seconds = begin.elapsed().as_secs_f64();
        map.reclaim();
        raw += bytes.into_inner();
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
        sizes.push(Value::from(record));
        loaded = to;
    }
    let lens: Vec<usize> = map.shards().iter().map(|shard| shard.len).collect();
    let mut record = Record::new();
    let most = lens.iter().max().map(|&most| most as f64 * lens.len() as f64 / n as f64);
    put(&mut record, "sizes", sizes);
    put(&mut record, "shards", lens.len());
    put(&mut record, "largest", most);
    let (held, begin) = (allocated()?, Instant::now());
    let layer = FrozenLayer::from(&map);
    put(&mut record, "frozen_seconds", begin.elapsed().as_secs_f64());
    put(&mut record, "frozen_per_key", (allocated()? - held) as f64 / n as f64);
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

/// Prints the sizes as a table, then the shards and the frozen layer.
pub(super) fn print(record: &Record, out: &mut impl Write) -> Result<()> {
    let sizes = record.get("sizes").and_then(Value::as_array).into_iter().flatten();
    let lines = sizes.filter_map(Value::as_object).map(|size| {
        let mut size = size.clone();
        let overhead = number(&size, "bytes_per_key").zip(number(&size, "raw_per_key"));
        put(&mut size, "overhead_per_key", overhead.map(|(bytes, raw)| bytes - raw));
        cells(&size, &COLUMNS).collect()
    });
    let what = "one map as it grows; allocated bytes, overhead less those of the keys; load rates \
        of wall time include generating and sorting the keys, lookups are of one thread's CPU time";
    writeln!(out, "\n{}", wrapped(what))?;
    writeln!(out, "{}", titled(1, &titles(&[], &COLUMNS), lines))?;
    writeln!(
        out,
        "{} shards, the largest {} of the mean",
        cell(record, "shards", |n| format!("{n}")),
        cell(record, "largest", times),
    )?;
    writeln!(
        out,
        "FrozenLayer of it: {} bytes a key in {} s, {} lookups/s",
        cell(record, "frozen_per_key", |bytes| format!("{bytes:.2}")),
        cell(record, "frozen_seconds", |s| format!("{s:.1}")),
        cell(record, "frozen_get_per_s", large),
    )?;
    Ok(())
}
