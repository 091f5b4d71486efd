//! The frozen layer of a map that has grown, written to a file beside it.

use super::load::SHARDS;
use crate::bench::record::{Record, put};
use crate::bench::row::Job;
use crate::content::map;
use anyhow::{Context, Result};
use memkv::{FrozenLayer, FrozenLayerBuilder, FrozenOptions, ShardedArt, Value};
use std::path::PathBuf;
use std::time::Instant;
use tempfile::TempDir;

/// Runs of consecutive keys from which the symbols are chosen.
const SAMPLED_RUNS: usize = 8 * SHARDS;
/// Most keys of such a run. All runs together are some megabytes.
const KEYS_PER_RUN: usize = 1024;

/// The file of a layer in a folder of its own, which is removed when this is dropped.
pub(super) struct LayerFile(TempDir);

/// Returns options with runs of keys from all over the map as the sample of the symbols.
///
/// The first keys of a large map, which a builder takes without a sample, are of a few hosts. Keys
/// far apart would be front-coded less than those of the layer.
fn options<V: Value + Send + Sync>(
    map: &ShardedArt<V>,
    sorted: &[&[u8]],
    threads: usize,
) -> FrozenOptions {
    let starts: Vec<&[u8]> =
        sorted.iter().copied().step_by(sorted.len().div_ceil(SAMPLED_RUNS)).collect();
    let (mut sample, mut cursor) = (Vec::new(), map.cursor());
    for (i, start) in starts.iter().enumerate() {
        cursor.seek(start);
        for _ in 0..KEYS_PER_RUN {
            match (cursor.next(), starts.get(i + 1)) {
                (Some((key, _)), next) if next.is_none_or(|next| key < next) => {
                    sample.push(key.to_vec());
                }
                _ => break,
            }
        }
    }
    FrozenOptions::new().threads(threads).sample(sample)
}

impl LayerFile {
    /// Creates the folder.
    pub(super) fn new(job: &Job) -> Result<Self> {
        let dir = job.dir.clone().unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new().prefix("memkv-bench-").tempdir_in(&dir);
        let folder =
            folder.with_context(|| format!("cannot create a folder in {}", dir.display()))?;
        Ok(Self(folder))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("layer")
    }

    /// Writes the layer of a map chunk by chunk. `sorted` are keys from all over the map.
    pub(super) fn write<V: Value + Send + Sync>(
        &self,
        map: &ShardedArt<V>,
        sorted: &[&[u8]],
        threads: usize,
        record: &mut Record,
    ) -> Result<()> {
        let begin = Instant::now();
        let options = options(map, sorted, threads);
        let mut builder = FrozenLayerBuilder::<V>::create_as(self.path(), options)?;
        let mut cursor = map.cursor();
        while let Some((key, value)) = cursor.next() {
            builder.insert(key, value)?;
        }
        let keys = builder.finish_file()?;
        put(record, "frozen_seconds", begin.elapsed().as_secs_f64());
        let file = std::fs::metadata(self.path()).context("cannot read the layer's size")?;
        put(record, "frozen_per_key", file.len() as f64 / keys as f64);
        Ok(())
    }

    /// Maps the file and checks all of it, which also reads it into the page cache.
    pub(super) fn open<V: Value + Send + Sync>(
        &self,
        record: &mut Record,
    ) -> Result<FrozenLayer<V>> {
        let begin = Instant::now();
        let layer = map::<V>(&self.path())?;
        layer.verify()?;
        put(record, "frozen_verify_seconds", begin.elapsed().as_secs_f64());
        Ok(layer)
    }
}
