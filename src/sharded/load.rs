//! Bulk loads: into empty shards as whole trees, into others by inserts in the order of the keys.

#![forbid(unsafe_code)]

use super::ShardedArt;
use super::table::{Shard, Table, TableEntry, quantiles};
use crate::error::{BuildError, InsertError, or_fail_build};
use crate::fast::FastArt;
use crate::load::{Gathered, LoadError, Pairs, Plan, Records, Text, sample};
use crate::reclaim;
use crate::sync::parallel::in_pool;
use crate::value::Value;
use rayon::prelude::*;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

/// About how often a load replaces the table.
const TABLES_PER_LOAD: usize = 64;

impl<V: Value + Send + Sync> ShardedArt<V> {
    /// Loads pairs in any order, on the threads of rayon's pool.
    ///
    /// Of equal keys the value of the last one is kept. It replaces a value that is already in the
    /// map.
    ///
    /// An empty map first gets boundaries from a sample of the keys, as many as [`new`](Self::new)
    /// was asked for. The pairs are divided by shards and sorted. An empty shard is then built
    /// bottom-up with full leaves, and installed as one atomic step; with many shards, several
    /// together. Into other shards the keys are inserted in order. Other threads may use the map
    /// while it runs.
    ///
    /// # Errors
    /// * A key is over the limit: the map has the pairs that it had, perhaps in other shards.
    /// * A key returns other bytes at each call, or there is no memory: some of the pairs may have
    ///   been loaded.
    ///
    /// # Panics
    /// Sorting keys that change may panic, as the standard library's sort does.
    ///
    /// # Complexity
    /// O(keys · log keys) time. Memory besides the map:
    ///
    /// * 4 bytes a key, and 16 for each key that is being sorted: about four parts of 4096 keys for
    ///   each thread, if keys are evenly spread.
    /// * 4 bytes for each shard and block; a block is 131,072 pairs or 4 MiB of text.
    /// * About 16 KiB for each shard for a sample, up to 128 MiB.
    ///
    /// ```
    /// let map = memkv::ShardedArt::new(4);
    /// let pairs = (0..1000).map(|i| (format!("{:03}", i * 7 % 1000), i));
    /// let pairs: Vec<(String, u64)> = pairs.collect();
    /// map.load(&pairs)?;
    /// assert_eq!((map.len(), map.shards().len()), (1000, 4));
    /// assert_eq!(map.get("007"), Some(1));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn load<K: AsRef<[u8]> + Sync>(&self, pairs: &[(K, V)]) -> Result<(), BuildError> {
        in_pool(|| self.load_records(&Pairs(pairs)))
    }

    /// Loads the lines of a text, as [`load`](Self::load) loads pairs.
    ///
    /// `parse` is called with a line, without its `\n`, and the offset of the line in the text. It
    /// returns the key, which is a slice of the line, and the value. It is called several times for
    /// each line, by several threads. The text is not copied.
    ///
    /// [`load_path`](Self::load_path) reads it from a file. `load_file` maps it, which is unsafe.
    ///
    /// # Errors
    /// Returns the errors of [`load`](Self::load).
    ///
    /// ```
    /// let map = memkv::ShardedArt::default();
    /// let text = b"https://example.org/b\nhttps://example.org/a\n";
    /// map.load_text(text, |line, at| (line, at))?;
    /// assert_eq!(map.get("https://example.org/a"), Some(22));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn load_text<'t>(
        &self,
        text: &'t [u8],
        parse: impl Fn(&'t [u8], u64) -> (&'t [u8], V) + Sync,
    ) -> Result<(), BuildError> {
        let text = Text::new(text, parse);
        in_pool(|| self.load_records(&text))
    }

    /// Loads the lines of a file, as [`load_reader`](Self::load_reader) does.
    ///
    /// This is the safe way to load a file: what other processes write to it can change what is
    /// read, and nothing else.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, and the errors of
    /// [`load_reader`](Self::load_reader).
    ///
    /// ```
    /// use memkv::{LoadError, ShardedArt};
    ///
    /// # let path = std::env::temp_dir().join(format!("memkv-path-{}", std::process::id()));
    /// std::fs::write(&path, "# pages\nindex.html\nabout.html\n")?;
    /// let map = ShardedArt::<u64>::default();
    /// let lines = |line: &[u8]| !line.starts_with(b"#");
    /// map.load_path(&path, |line, number| {
    ///     Ok::<_, std::io::Error>(lines(line).then_some((line, number)))
    /// })?;
    /// assert_eq!((map.len(), map.get("about.html")), (2, Some(3)));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load_path<E: Send>(
        &self,
        path: impl AsRef<Path>,
        parse: impl Fn(&[u8], u64) -> Result<Option<(&[u8], V)>, E> + Sync,
    ) -> Result<(), LoadError<E>> {
        self.load_reader(BufReader::new(File::open(path)?), parse)
    }

    /// Reads lines, and loads a pair for each of them, as [`load`](Self::load) does.
    ///
    /// `parse` is called once for each line, without its `\n`, and with its number. The first line
    /// is 1. It returns the key, which is a slice of the line, and the value; or `None` to skip the
    /// line; or an error, which ends the load. It is called by several threads, while this one
    /// reads on. After an error it may have been called for later lines.
    ///
    /// # Errors
    /// * The reader or `parse` fails, or a key is over the limit: the map is unchanged. If several
    ///   lines fail, the error is that of the first one.
    /// * There is no memory: some of the pairs may have been loaded.
    ///
    /// # Panics
    /// Passes on a panic of `parse` or of the reader. The map is then unchanged.
    ///
    /// # Complexity
    /// As [`load`](Self::load). All pairs are first copied, which takes the bytes of the keys, the
    /// values, and 4 bytes for each pair. Some 16 MiB of text for each thread are in memory.
    ///
    /// ```
    /// use memkv::{LoadError, ShardedArt};
    ///
    /// let map = ShardedArt::<u64>::default();
    /// let parse = |line: &[u8]| line.is_ascii().then_some(line.len() as u64).ok_or("not ASCII");
    /// let load = |text: &[u8]| map.load_reader(text, |line, _| Ok(Some((line, parse(line)?))));
    /// assert!(load(b"a\nabc\n").is_ok());
    /// assert_eq!(map.get("abc"), Some(3));
    /// let error = load(b"b\n\xff\n").unwrap_err();
    /// assert!(matches!(error, LoadError::Parse { line: 2, error: "not ASCII" }));
    /// assert!(!map.contains_key("b"));
    /// ```
    pub fn load_reader<E: Send>(
        &self,
        reader: impl BufRead + Send,
        parse: impl Fn(&[u8], u64) -> Result<Option<(&[u8], V)>, E> + Sync,
    ) -> Result<(), LoadError<E>> {
        let parse = &parse;
        in_pool(|| Ok(self.load_records(&Gathered::read(reader, parse)?)?))
    }

    /// Loads the pairs of a parallel iterator, as [`load`](Self::load) does.
    ///
    /// It first copies the pairs, which takes the bytes of the keys, the values, and 4 bytes for
    /// each pair.
    ///
    /// # Panics
    /// Panics if a key is over the limit. Calls
    /// [`handle_alloc_error`](std::alloc::handle_alloc_error) when out of memory.
    ///
    /// ```
    /// use rayon::prelude::*;
    ///
    /// let map = memkv::ShardedArt::new(4);
    /// map.par_extend((0..1000u64).into_par_iter().map(|i| (i.to_be_bytes(), i)));
    /// assert_eq!(map.get(7u64.to_be_bytes()), Some(7));
    /// ```
    #[track_caller]
    pub fn par_extend<K: AsRef<[u8]> + Send>(
        &self,
        pairs: impl IntoParallelIterator<Item = (K, V)>,
    ) {
        let pairs = pairs.into_par_iter();
        or_fail_build(in_pool(|| self.load_records(&Gathered::new(pairs))));
    }

    fn load_records<R: Records<V>>(&self, records: &R) -> Result<(), BuildError> {
        if records.blocks() == 0 {
            return Ok(());
        }
        let divides = self.is_empty();
        let sample = sample(records, if divides { self.target } else { 1 });
        if divides {
            self.set_boundaries(&quantiles(&sample, self.target));
        }
        let parts: Vec<TableEntry<V::Bits>> = {
            let pin = reclaim::pin();
            self.table.load(&pin).parts().to_vec()
        };
        let bounds: Vec<Arc<[u8]>> = parts[1..].iter().map(|(low, _)| Arc::clone(low)).collect();
        let plan = Plan::new(records, &bounds, &sample)?;
        let coder = parts[0].1.tree.coder();
        if let Some(coder) = coder {
            coder.train_for_load(records.approx_len(), &sample);
        }
        // Replacing the table takes O(shards), so with many shards several are installed at once.
        let batch = parts.len().div_ceil(TABLES_PER_LOAD);
        let batches = parts.len().div_ceil(batch);
        // The threads for each batch: with many batches, each has one.
        let threads = rayon::current_num_threads().div_ceil(batches);
        (0..batches).into_par_iter().try_for_each(|i| {
            let mut built = Vec::new();
            for i in i * batch..parts.len().min((i + 1) * batch) {
                let (low, shard) = &parts[i];
                let high = parts.get(i + 1).map(|(low, _)| &**low);
                let range = plan.parts(low, high);
                if shard.tree.len() > 0 {
                    plan.visit(range, threads, |key, _, value| {
                        self.try_insert(key, value).map(drop)
                    })?;
                } else {
                    built.push(Built {
                        low,
                        high,
                        shard,
                        map: plan.map(range, threads, coder.cloned())?,
                    });
                }
            }
            // Another thread was faster in the shards that are left.
            let result =
                self.install(built).into_iter().try_for_each(|map| Ok(self.insert_map(&map)?));
            // This thread may be idle for long, so it must not keep replaced tables.
            reclaim::reclaim();
            result
        })
    }

    fn insert_map(&self, map: &FastArt<V>) -> Result<(), InsertError> {
        let mut cursor = map.cursor();
        while let Some((key, value)) = cursor.next() {
            self.try_insert(key, value)?;
        }
        Ok(())
    }

    /// Replaces the boundaries of the map if it is still empty.
    fn set_boundaries(&self, bounds: &[Arc<[u8]>]) {
        let _admin = self.admin();
        let pin = reclaim::pin_to_write();
        let table = self.table.load(&pin);
        // Boundaries given by the caller stay.
        if table.len() >= self.target || bounds.is_empty() {
            return;
        }
        let _locked = table.lock_all();
        if table.parts().iter().all(|(_, shard)| shard.tree.len() == 0) {
            let lows = std::iter::once(Arc::default()).chain(bounds.iter().cloned());
            let parts = lows.map(|low| (low, Shard::empty_like(table.shard(0)))).collect();
            self.table.replace(Table::new(parts), &pin);
        }
    }

    /// Installs maps in the place of their shards if these are unchanged and empty, and returns the
    /// other maps.
    fn install(&self, built: Vec<Built<'_, V>>) -> Vec<FastArt<V>> {
        let _admin = self.admin();
        let pin = reclaim::pin_to_write();
        let _locked: Vec<_> = built.iter().map(|built| built.shard.lock.lock_all()).collect();
        let table = self.table.load(&pin);
        let (mut parts, mut left, mut changed) = (table.parts().to_vec(), Vec::new(), false);
        for Built { low, high, shard, map } in built {
            let i = table.route(low);
            if **table.low(i) == *low
                && table.high(i) == high
                && Arc::ptr_eq(table.shard(i), shard)
                && shard.tree.len() == 0
            {
                parts[i].1 = Shard::new(map.into_tree());
                changed = true;
            } else {
                left.push(map);
            }
        }
        if changed {
            self.table.replace(Table::new(parts), &pin);
        }
        left
    }
}

/// A map that was built for a shard.
struct Built<'p, V: Value> {
    low: &'p [u8],
    high: Option<&'p [u8]>,
    shard: &'p Arc<Shard<V::Bits>>,
    map: FastArt<V>,
}
