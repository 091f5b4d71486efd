//! The rows of the suite `map`, and their structures' implementations of [`Index`].
//!
//! To add a row, implement [`Index`] and add the row to [`rows`].

use super::coded::Symbols;
use super::frozen::{self, BY_FST, FSST, ONPAIR, PLAIN};
use super::index::{Built, Index, SharedIndex};
use super::measure::{measure, measure_built};
use super::row::{Row, Suite};
use super::{bulk, external, shared_rows, sizes};
use anyhow::{Context, Result};
use memkv::{
    ArenaArt, ConcurrentArt, FastArt, FrozenLayer, HybridOptions, HybridStore, ShardedArt,
};
use std::{
    collections::BTreeMap,
    ops::Bound::{Included, Unbounded},
};

/// Creates the row of a structure that is filled by inserts.
pub fn row<I: Index + Default>(name: &'static str) -> Row {
    Row::new(Suite::Map, name, measure::<I>)
}

/// Creates the row of a structure that is built from sorted pairs.
fn built<I: Built>(name: &'static str) -> Row {
    Row::new(Suite::Map, name, measure_built::<I>)
}

/// Returns the rows of all suites of `memkv bench`.
pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        row::<FastArt>("fastart"),
        row::<Symbols<FastArt>>("fastart-symbols")
            .on_request()
            .note("FastArt with KeyCoding::Symbols: keys are coded from some thousands on"),
        row::<FastArt<()>>("fastset").on_request().note("FastArt<()>: no values are stored"),
        built::<FastArt>("fastart-bulk")
            .on_request()
            .note("inserts: FastArt::from_sorted, without the sorting"),
        row::<ArenaArt<u64>>("arenaart").note("ArenaArt<u64>: values of any type, borrowed"),
        row::<ConcurrentArt>("concurrentart").note("by one thread"),
        row::<Symbols<ConcurrentArt>>("concurrentart-symbols")
            .on_request()
            .note("by one thread; ConcurrentArt with KeyCoding::Symbols"),
        row::<ShardedArt>("shardedart")
            .note("by one thread; up to 64 shards, made as the map grows"),
        row::<Ordered>("btreemap").note("BTreeMap<Box<[u8]>, u64>"),
        row::<Hashed>("hashbrown").note("HashMap<Box<[u8]>, u64>, unordered"),
        built::<Frozen<AUTO>>("frozenlayer")
            .note("immutable; inserts: FrozenLayerBuilder on one thread, without the sorting"),
        built::<HybridStore>("hybridstore").note(
            "by one thread, over a frozenlayer with all keys; inserts: as there; \
             removes: changes, compacted when memory is measured",
        ),
        built::<Frozen<PLAIN>>("frozenlayer-plain")
            .on_request()
            .note("FrozenLayer without symbols"),
        built::<Frozen<FSST>>("frozenlayer-fsst")
            .on_request()
            .note("FrozenLayer with FSST symbols"),
        built::<Frozen<ONPAIR>>("frozenlayer-onpair")
            .on_request()
            .note("FrozenLayer with OnPair symbols"),
        built::<Frozen<BY_FST>>("frozenlayer-fst")
            .on_request()
            .note("FrozenLayer of fst's transducers and an array of values"),
        built::<Fst>("fst")
            .note("immutable; inserts: built in memory from sorted pairs, without the sorting"),
    ];
    rows.push(sizes::row());
    rows.extend(shared_rows::rows());
    rows.extend(bulk::rows());
    rows.push(external::row());
    rows
}

/// A value of memkv's maps that stands for a word.
trait Word: Sized {
    fn store(word: u64) -> Self;
    fn load(&self) -> u64;
}

impl Word for u64 {
    fn store(word: u64) -> Self {
        word
    }
    fn load(&self) -> u64 {
        *self
    }
}

impl Word for () {
    fn store(_: u64) -> Self {}
    fn load(&self) -> u64 {
        0
    }
}

/// Implements [`Index`] for memkv's trees. Those that threads share retire memory.
macro_rules! trees {
    ($($map:ty, values: $values:literal, reclaim: $reclaim:expr;)*) => {$(
        impl Index for $map {
            const VALUES: bool = $values;
            const GETS_MANY: bool = true;

            fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
                <$map>::insert(self, key, Word::store(value)).map(|old| old.load())
            }
            fn get(&self, key: &[u8]) -> Option<u64> {
                <$map>::get(self, key).map(|value| value.load())
            }
            fn get_many(&self, keys: &[&[u8]]) -> Vec<Option<u64>> {
                let values = <$map>::get_many(self, keys).into_iter();
                values.map(|value| value.map(|value| value.load())).collect()
            }
            fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
                let mut cursor = self.cursor();
                cursor.seek(from);
                for _ in 0..count {
                    let Some((key, value)) = cursor.next() else { break };
                    visit(key, value.load());
                }
            }
            fn remove(&mut self, key: &[u8]) -> Option<u64> {
                <$map>::remove(self, key).map(|old| old.load())
            }
            fn reclaim(&self) {
                $reclaim(self);
            }
            fn reported_bytes(&self) -> Option<usize> {
                Some(self.memory_usage().total())
            }
        }
    )*};
}
trees! {
    FastArt, values: true, reclaim: |_| ();
    FastArt<()>, values: false, reclaim: |_| ();
    ArenaArt<u64>, values: true, reclaim: |_| ();
    ConcurrentArt, values: true, reclaim: ConcurrentArt::reclaim;
    ShardedArt, values: true, reclaim: ShardedArt::reclaim;
}

impl Built for FastArt {
    fn build<'a>(pairs: impl Iterator<Item = (&'a [u8], u64)>) -> Result<Self> {
        FastArt::from_sorted(pairs).context("from_sorted")
    }
}

/// The standard library's ordered map, with which the others are compared.
type Ordered = BTreeMap<Box<[u8]>, u64>;

impl Index for Ordered {
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        BTreeMap::insert(self, key.into(), value)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        BTreeMap::get(self, key).copied()
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        for (key, &value) in self.range::<[u8], _>((Included(from), Unbounded)).take(count) {
            visit(key, value);
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        BTreeMap::remove(self, key)
    }
}

type Hashed = hashbrown::HashMap<Box<[u8]>, u64>;

impl Index for Hashed {
    const SCANS: bool = false;

    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        hashbrown::HashMap::insert(self, key.into(), value)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        hashbrown::HashMap::get(self, key).copied()
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        hashbrown::HashMap::remove(self, key)
    }
}

/// The default options, beside those of the suite `frozen`.
const AUTO: usize = usize::MAX;

/// A `FrozenLayer` with the options of a column of the suite `frozen`, or with [`AUTO`].
struct Frozen<const OPTIONS: usize>(FrozenLayer);

impl<const OPTIONS: usize> Built for Frozen<OPTIONS> {
    fn build<'a>(pairs: impl Iterator<Item = (&'a [u8], u64)>) -> Result<Self> {
        // Rates are of this thread's CPU time, so it must do all the work. An error means that
        // an earlier call has set this up.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global();
        let mut builder = frozen::options(OPTIONS).builder()?;
        for (key, value) in pairs {
            builder.insert(key, value)?;
        }
        Ok(Self(builder.finish()?))
    }
}

impl<const OPTIONS: usize> Index for Frozen<OPTIONS> {
    const GETS_MANY: bool = true;
    const REMOVES: bool = false;

    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key)
    }
    fn get_many(&self, keys: &[&[u8]]) -> Vec<Option<u64>> {
        self.0.get_many(keys)
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let mut cursor = self.0.lower_bound(from);
        for _ in 0..count {
            let Some((key, value)) = cursor.next() else { break };
            visit(key, value);
        }
    }
    fn reported_bytes(&self) -> Option<usize> {
        Some(self.0.memory_usage().total())
    }
}

impl Built for HybridStore {
    fn build<'a>(pairs: impl Iterator<Item = (&'a [u8], u64)>) -> Result<Self> {
        let base = Frozen::<AUTO>::build(pairs)?.0;
        Ok(HybridStore::with_base(base, HybridOptions::new().background(false))?)
    }
}

impl Index for HybridStore {
    const GETS_MANY: bool = true;

    fn get(&self, key: &[u8]) -> Option<u64> {
        HybridStore::get(self, key)
    }
    fn get_many(&self, keys: &[&[u8]]) -> Vec<Option<u64>> {
        HybridStore::get_many(self, keys)
    }
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
        SharedIndex::scan(self, from, count, visit);
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        // A failure counts as a wrong result.
        HybridStore::remove(self, key).unwrap_or(None)
    }
    fn reclaim(&self) {
        // A failure shows in the memory that is measured next.
        let _ = self.compact();
        HybridStore::reclaim(self);
    }
    fn reported_bytes(&self) -> Option<usize> {
        Some(self.memory_usage().total())
    }
}

type Fst = fst::Map<Vec<u8>>;

impl Built for Fst {
    fn build<'a>(pairs: impl Iterator<Item = (&'a [u8], u64)>) -> Result<Self> {
        let mut bytes = Self::from_iter(pairs)?.into_fst().into_inner();
        bytes.shrink_to_fit();
        Ok(Self::new(bytes)?)
    }
}

impl Index for Fst {
    const REMOVES: bool = false;

    fn get(&self, key: &[u8]) -> Option<u64> {
        fst::Map::get(self, key)
    }
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
        let stream = fst::IntoStreamer::into_stream(self.range().ge(from));
        frozen::visit_stream(stream, None, count, visit);
    }
}
