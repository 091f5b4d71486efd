//! Measures the ways to fill a map.

use super::{Job, Numbers, SHARDS, put, value_of};
use crate::bench::measure::{allocated, with_peak};
use crate::keys::Keys;
use crate::lines::load_lines;
use crate::rng::{Rng, hash};
use anyhow::{Context, Result};
use memkv::{ConcurrentArt, ShardedArt};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::thread;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Way {
    Insert,
    InsertSharded,
    FromUnsorted,
    Load,
    LoadOne,
    ParExtend,
    Text,
    File,
}

impl Way {
    /// All ways. The others are compared with the first.
    pub(super) const ALL: [Way; 8] = [
        Way::Insert,
        Way::InsertSharded,
        Way::FromUnsorted,
        Way::Load,
        Way::LoadOne,
        Way::ParExtend,
        Way::Text,
        Way::File,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Way::Insert => "ConcurrentArt, inserts",
            Way::InsertSharded => "ShardedArt, inserts",
            Way::FromUnsorted => "ConcurrentArt::from_unsorted",
            Way::Load => "ShardedArt::load",
            Way::LoadOne => "ShardedArt::load, 1 shard",
            Way::ParExtend => "ShardedArt::par_extend",
            Way::Text => "file read, load_text",
            Way::File => "file mapped, load_file",
        }
    }
}

enum Map {
    Concurrent(ConcurrentArt),
    Sharded(ShardedArt),
}

impl Map {
    fn insert(&self, key: &[u8], value: u64) {
        match self {
            Map::Concurrent(map) => map.insert(key, value),
            Map::Sharded(map) => map.insert(key, value),
        };
    }

    fn get(&self, key: &[u8]) -> Option<u64> {
        match self {
            Map::Concurrent(map) => map.get(key),
            Map::Sharded(map) => map.get(key),
        }
    }

    fn len(&self) -> usize {
        match self {
            Map::Concurrent(map) => map.len(),
            Map::Sharded(map) => map.len(),
        }
    }

    fn reclaim(&self) {
        match self {
            Map::Concurrent(map) => map.reclaim(),
            Map::Sharded(map) => map.reclaim(),
        }
    }
}

/// The keys that differ, in the order to load them in.
pub(super) fn distinct(job: &Job, sorted: bool) -> Result<Keys> {
    let (keys, _) = job.source.load()?;
    let order = keys.sorted();
    let mut chosen: Vec<u32> = order
        .chunk_by(|&a, &b| keys.get(a as usize) == keys.get(b as usize))
        .map(|equal| equal[0])
        .collect();
    if !sorted {
        Rng::new(hash(job.source.seed, job.round)).shuffle(&mut chosen);
    }
    Ok(keys.select(&chosen))
}

pub(super) fn pairs(keys: &Keys) -> Vec<(&[u8], u64)> {
    keys.iter().enumerate().map(|(i, key)| (key, value_of(i))).collect()
}

/// Inserts the pairs: each thread every `threads`-th one.
fn insert(map: &Map, pairs: &[(&[u8], u64)], threads: usize) {
    thread::scope(|scope| {
        for t in 0..threads {
            scope.spawn(move || {
                pairs
                    .iter()
                    .skip(t)
                    .step_by(threads)
                    .for_each(|&(key, value)| map.insert(key, value))
            });
        }
    });
}

pub(super) fn measure(job: &Job, way: Way, sorted: bool) -> Result<Numbers> {
    let keys = distinct(job, sorted)?;
    let pairs = pairs(&keys);
    let mut text = Vec::with_capacity(keys.raw_bytes() + keys.len());
    keys.iter().for_each(|key| [key, b"\n"].iter().for_each(|part| text.extend_from_slice(part)));
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&text)?;
    drop(text);
    // The offset of each line, which is the value of its key.
    let starts: Vec<u64> = keys
        .iter()
        .scan(0, |at, key| Some(std::mem::replace(at, *at + key.len() as u64 + 1)))
        .collect();
    let by_offset = matches!(way, Way::Text | Way::File);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(job.threads)
        .build()
        .context("cannot start threads")?;
    pool.broadcast(|_| ());
    let fill = || -> Result<Map> {
        Ok(match way {
            Way::Insert | Way::InsertSharded => {
                let map = match way {
                    Way::Insert => Map::Concurrent(ConcurrentArt::new()),
                    _ => Map::Sharded(ShardedArt::new(SHARDS)),
                };
                insert(&map, &pairs, job.threads);
                map
            }
            Way::FromUnsorted => {
                Map::Concurrent(pool.install(|| ConcurrentArt::from_unsorted(&pairs))?)
            }
            Way::Load | Way::LoadOne => {
                let map = ShardedArt::new(if way == Way::Load { SHARDS } else { 1 });
                pool.install(|| map.load(&pairs))?;
                Map::Sharded(map)
            }
            Way::ParExtend => {
                let map = ShardedArt::new(SHARDS);
                pool.install(|| map.par_extend(pairs.par_iter().copied()));
                Map::Sharded(map)
            }
            Way::Text => {
                let map = ShardedArt::new(SHARDS);
                let text = std::fs::read(file.path())?;
                pool.install(|| map.load_text(&text, |line, at| (line, at)))?;
                Map::Sharded(map)
            }
            Way::File => {
                let map = ShardedArt::new(SHARDS);
                pool.install(|| load_lines(&map, file.path()))?;
                Map::Sharded(map)
            }
        })
    };
    let before = allocated()?;
    let begin = Instant::now();
    let map = fill()?;
    let seconds = begin.elapsed().as_secs_f64();
    map.reclaim();
    let index = allocated()? - before;
    let value = |i: usize| if by_offset { starts[i] } else { value_of(i) };
    let wrong =
        (0..keys.len()).step_by(7).filter(|&i| map.get(keys.get(i)) != Some(value(i))).count();
    let mut numbers = Numbers::new();
    put(&mut numbers, "n", keys.len());
    put(&mut numbers, "raw_bytes", keys.raw_bytes());
    put(&mut numbers, "keys_per_s", keys.len() as f64 / seconds);
    put(
        &mut numbers,
        "overhead_per_key",
        (index - keys.raw_bytes() as i64) as f64 / keys.len() as f64,
    );
    put(&mut numbers, "errors", wrong + usize::from(map.len() != keys.len()));
    // Filled again for the peak, since watching it takes processor time.
    drop(map);
    let before = allocated()?;
    let (map, peak) = with_peak(fill)?;
    drop(map?);
    put(
        &mut numbers,
        "peak_over_index_of_raw",
        (peak - before - index) as f64 / keys.raw_bytes() as f64,
    );
    Ok(numbers)
}
