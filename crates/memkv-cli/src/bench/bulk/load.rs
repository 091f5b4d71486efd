//! Measures the ways to fill a map.

use crate::bench::memory::{allocated, with_peak};
use crate::bench::record::{Record, put};
use crate::bench::row::{Job, value_of};
use crate::keys::KeyList;
use crate::lines::load_lines;
use anyhow::{Context, Result};
use memkv::{ConcurrentArt, ShardedArt};
use rayon::prelude::*;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Instant;

/// Shards of the maps that have more than one.
pub(super) const SHARDS: usize = 64;

/// Returns the keys with their values.
pub(super) fn pairs(keys: &KeyList) -> Vec<(&[u8], u64)> {
    keys.iter().enumerate().map(|(i, key)| (key, value_of(i))).collect()
}

/// A way to fill a map.
pub(super) type Way = (&'static str, fn(&Load<'_>) -> Result<Map>);

/// All ways. The others are compared with the first.
pub(super) const WAYS: [Way; 8] = [
    ("ConcurrentArt, inserts", |load| {
        let map = ConcurrentArt::new();
        load.insert(|key, value| _ = map.insert(key, value));
        Ok(Map::Concurrent(map))
    }),
    ("ShardedArt, inserts", |load| {
        let map = ShardedArt::new(SHARDS);
        load.insert(|key, value| _ = map.insert(key, value));
        Ok(Map::Sharded(map))
    }),
    ("ConcurrentArt::from_unsorted", |load| {
        Ok(Map::Concurrent(load.pool.install(|| ConcurrentArt::from_unsorted(load.pairs))?))
    }),
    ("ShardedArt::load", |load| load.sharded(SHARDS, |map| Ok(map.load(load.pairs)?))),
    ("ShardedArt::load, 1 shard", |load| load.sharded(1, |map| Ok(map.load(load.pairs)?))),
    ("ShardedArt::par_extend", |load| {
        load.sharded(SHARDS, |map| {
            map.par_extend(load.pairs.par_iter().copied());
            Ok(())
        })
    }),
    ("file read, load_text", |load| {
        let text = std::fs::read(load.file)?;
        load.sharded(SHARDS, |map| Ok(map.load_text(&text, |line, at| (line, at))?))
    }),
    ("file mapped, load_file", |load| load.sharded(SHARDS, |map| load_lines(map, load.file))),
];

/// What the ways load, and with which threads.
pub(super) struct Load<'a> {
    pairs: &'a [(&'a [u8], u64)],
    /// A file of the keys, one a line.
    file: &'a Path,
    threads: usize,
    pool: &'a rayon::ThreadPool,
}

impl Load<'_> {
    /// Inserts the pairs: each thread every `threads`-th one.
    fn insert(&self, insert: impl Fn(&[u8], u64) + Sync) {
        let insert = &insert;
        thread::scope(|scope| {
            for t in 0..self.threads {
                let pairs = self.pairs.iter().skip(t).step_by(self.threads);
                scope.spawn(move || pairs.for_each(|&(key, value)| insert(key, value)));
            }
        });
    }

    /// Creates a map of some shards and fills it in the pool.
    fn sharded(
        &self,
        shards: usize,
        fill: impl FnOnce(&ShardedArt) -> Result<()> + Send,
    ) -> Result<Map> {
        let map = ShardedArt::new(shards);
        self.pool.install(|| fill(&map))?;
        Ok(Map::Sharded(map))
    }
}

pub(super) enum Map {
    Concurrent(ConcurrentArt),
    Sharded(ShardedArt),
}

/// Evaluates an expression with the map of either type.
macro_rules! with_map {
    ($map:expr, $name:ident => $work:expr) => {
        match $map {
            Map::Concurrent($name) => $work,
            Map::Sharded($name) => $work,
        }
    };
}

/// Fills a map in the way that the job names, once for its time and size, once for the peak.
pub(super) fn measure(job: &Job) -> Result<Record> {
    let &(name, way) =
        WAYS.iter().find(|(name, _)| *name == job.row).context("unknown way to load")?;
    let keys = job.distinct_keys()?;
    let pairs = pairs(&keys);
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&text_of(&keys))?;
    // The offset of each line, which is the value of its key in a file.
    let offsets: Vec<u64> = keys
        .iter()
        .scan(0, |at, key| Some(std::mem::replace(at, *at + key.len() as u64 + 1)))
        .collect();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(job.threads)
        .build()
        .context("cannot start threads")?;
    pool.broadcast(|_| ());
    let load = Load { pairs: &pairs, file: file.path(), threads: job.threads, pool: &pool };
    let before = allocated()?;
    let begin = Instant::now();
    let map = way(&load)?;
    let seconds = begin.elapsed().as_secs_f64();
    with_map!(&map, map => map.reclaim());
    let index = allocated()? - before;
    let by_offset = name.starts_with("file");
    let value = |i: usize| if by_offset { offsets[i] } else { value_of(i) };
    let get = |i: usize| with_map!(&map, map => map.get(keys.get(i)));
    let wrong = (0..keys.len()).step_by(7).filter(|&i| get(i) != Some(value(i))).count();
    let len = with_map!(&map, map => map.len());
    let (n, raw) = (keys.len() as f64, keys.raw_bytes() as f64);
    let mut record = Record::new();
    put(&mut record, "n", keys.len());
    put(&mut record, "raw_bytes", keys.raw_bytes());
    put(&mut record, "keys_per_s", n / seconds);
    put(&mut record, "overhead_per_key", (index as f64 - raw) / n);
    put(&mut record, "errors", wrong + usize::from(len != keys.len()));
    // Filled again for the peak, since watching it takes processor time.
    drop(map);
    let before = allocated()?;
    let (map, peak) = with_peak(|| way(&load))?;
    drop(map?);
    put(&mut record, "peak_over_index_of_raw", (peak - before - index) as f64 / raw);
    Ok(record)
}

fn text_of(keys: &KeyList) -> Vec<u8> {
    let mut text = Vec::with_capacity(keys.raw_bytes() + keys.len());
    keys.iter().for_each(|key| [key, b"\n"].iter().for_each(|part| text.extend_from_slice(part)));
    text
}
