//! The structures that can be measured: a trait, and its implementation for each structure of the default table.
//!
//! To add a row, implement [`Index`] and name it in [`rows`].

use super::measure::{Job, Outcome, measure};
use super::shared::SharedIndex;
use anyhow::{Context, Result, bail};
use memkv::{
    ArenaArt, Codec, ConcurrentArt, FastArt, FrozenLayer, FrozenOptions, HybridOptions,
    HybridStore, ShardedArt, SymbolTable,
};
use std::{
    collections::BTreeMap,
    ops::Bound::{Included, Unbounded},
};

/// A map of byte strings to 64-bit words, as the benchmark uses it. What a structure cannot do it says by a constant.
pub trait Index: Sized {
    /// Whether it is built from sorted pairs, instead of by insertion.
    const BULK: bool = false;
    /// Whether it stores values; a set hands out 0.
    const VALUES: bool = true;
    /// Whether it looks up many keys in one call.
    const GETS_MANY: bool = false;
    /// Whether it scans in order.
    const SCANS: bool = true;
    /// Whether it removes keys.
    const REMOVES: bool = true;

    /// Creates an empty index.
    fn new() -> Self;

    /// Makes the index of sorted pairs.
    fn build<'a>(_pairs: impl Iterator<Item = (&'a [u8], u64)>) -> Result<Self> {
        bail!("not built from sorted pairs")
    }

    /// Sets a key's value and returns the one before.
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64>;

    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Option<u64>;

    /// Returns the values of the keys, in their order.
    fn get_many(&self, _keys: &[&[u8]]) -> Vec<Option<u64>> {
        unimplemented!("GETS_MANY is false")
    }

    /// Hands the first `count` pairs from the key `from` on to `visit`.
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64));

    /// Removes a key and returns its value.
    fn remove(&mut self, key: &[u8]) -> Option<u64>;

    /// Frees what waits to be freed, before memory is measured.
    fn settle(&mut self) {}

    /// Bytes it says it holds.
    fn reported_bytes(&self) -> Option<usize> {
        None
    }
}

/// A structure that can be measured.
#[derive(Debug)]
pub struct Row {
    /// The name on the command line and in the table.
    pub name: &'static str,
    /// Whether it is measured where no structure is named.
    pub by_default: bool,
    /// Printed under the table.
    pub note: &'static str,
    /// Measures the structure; runs in a process of its own.
    pub(crate) measure: fn(&Job) -> Result<Outcome>,
}

impl Row {
    /// Creates the row of a structure, measured by default.
    pub fn of<I: Index>(name: &'static str) -> Self {
        Self { name, by_default: true, note: "", measure: measure::<I> }
    }

    /// Measured only when named.
    pub fn on_request(self) -> Self {
        Self { by_default: false, ..self }
    }

    /// Sets the note.
    pub fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// The structures of `memkv bench`.
pub fn rows() -> Vec<Row> {
    vec![
        Row::of::<FastArt>("fastart"),
        Row::of::<Set>("fastart-set").on_request().note("FastArt<()>: no values are stored"),
        Row::of::<Bulk>("fastart-bulk").on_request().note("inserts: FastArt::from_sorted, the sorting not counted"),
        Row::of::<ArenaArt<u64>>("arenaart").note("ArenaArt<u64>: values of any type, lent"),
        Row::of::<ConcurrentArt>("concurrent-art").note("by one thread"),
        Row::of::<ShardedArt>("sharded-art").note("by one thread; 64 shards, which arise as the map grows"),
        Row::of::<Ordered>("btreemap").note("BTreeMap<Box<[u8]>, u64>"),
        Row::of::<Hashed>("hashbrown").note("HashMap<Box<[u8]>, u64>, unordered"),
        Row::of::<Frozen<AUTO>>("frozenlayer").note("immutable; inserts: FrozenLayerBuilder on one thread, the sorting not counted"),
        Row::of::<HybridStore>("hybridstore").note(
            "by one thread, over a frozenlayer with all keys; inserts: as there; removes: changes, compacted when memory is measured",
        ),
        Row::of::<Frozen<PLAIN>>("frozenlayer-plain").on_request().note("FrozenLayer without symbols"),
        Row::of::<Frozen<FSST>>("frozenlayer-fsst").on_request().note("FrozenLayer with FSST symbols"),
        Row::of::<Frozen<ONPAIR>>("frozenlayer-onpair").on_request().note("FrozenLayer with OnPair symbols"),
        Row::of::<Frozen<BY_FST>>("frozenlayer-fst").on_request().note("FrozenLayer of fst's transducers and an array of values"),
        Row::of::<Fst>("fst").note("immutable; inserts: built in memory from sorted pairs, the sorting not counted"),
    ]
}

impl Index for FastArt {
    const GETS_MANY: bool = true;

    fn new() -> Self {
        FastArt::new()
    }
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        FastArt::insert(self, key, value)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        FastArt::get(self, key)
    }
    fn get_many(&self, keys: &[&[u8]]) -> Vec<Option<u64>> {
        FastArt::get_many(self, keys)
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let mut cursor = self.cursor();
        cursor.seek(from);
        for _ in 0..count {
            let Some((key, value)) = cursor.next() else { break };
            visit(key, value);
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        FastArt::remove(self, key)
    }
    fn reported_bytes(&self) -> Option<usize> {
        Some(self.memory_usage().total())
    }
}

/// The maps that threads share.
macro_rules! shared {
    ($($map:ident),*) => {$(
        impl Index for $map {
            const GETS_MANY: bool = true;

            fn new() -> Self {
                SharedIndex::new()
            }
            fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
                $map::insert(self, key, value)
            }
            fn get(&self, key: &[u8]) -> Option<u64> {
                $map::get(self, key)
            }
            fn get_many(&self, keys: &[&[u8]]) -> Vec<Option<u64>> {
                $map::get_many(self, keys)
            }
            fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
                SharedIndex::scan(self, from, count, visit);
            }
            fn remove(&mut self, key: &[u8]) -> Option<u64> {
                $map::remove(self, key)
            }
            fn settle(&mut self) {
                self.reclaim();
            }
            fn reported_bytes(&self) -> Option<usize> {
                Some(self.memory_usage().total())
            }
        }
    )*};
}
shared!(ConcurrentArt, ShardedArt);

/// `FastArt` as a set of keys.
struct Set(FastArt<()>);

impl Index for Set {
    const VALUES: bool = false;
    const GETS_MANY: bool = true;

    fn new() -> Self {
        Self(FastArt::new())
    }
    fn insert(&mut self, key: &[u8], _: u64) -> Option<u64> {
        self.0.insert(key, ()).map(|()| 0)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key).map(|()| 0)
    }
    fn get_many(&self, keys: &[&[u8]]) -> Vec<Option<u64>> {
        self.0.get_many(keys).into_iter().map(|found| found.map(|()| 0)).collect()
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let mut cursor = self.0.cursor();
        cursor.seek(from);
        for _ in 0..count {
            let Some((key, ())) = cursor.next() else { break };
            visit(key, 0);
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        self.0.remove(key).map(|()| 0)
    }
    fn reported_bytes(&self) -> Option<usize> {
        Some(self.0.memory_usage().total())
    }
}

/// `FastArt` from sorted pairs.
struct Bulk(FastArt);

impl Index for Bulk {
    const BULK: bool = true;
    const GETS_MANY: bool = true;

    fn new() -> Self {
        Self(FastArt::new())
    }
    fn build<'a>(pairs: impl Iterator<Item = (&'a [u8], u64)>) -> Result<Self> {
        FastArt::from_sorted(pairs).map(Self).context("from_sorted")
    }
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        self.0.insert(key, value)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key)
    }
    fn get_many(&self, keys: &[&[u8]]) -> Vec<Option<u64>> {
        self.0.get_many(keys)
    }
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
        Index::scan(&self.0, from, count, visit);
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        self.0.remove(key)
    }
    fn reported_bytes(&self) -> Option<usize> {
        self.0.reported_bytes()
    }
}

impl Index for ArenaArt<u64> {
    const GETS_MANY: bool = true;

    fn new() -> Self {
        ArenaArt::new()
    }
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        ArenaArt::insert(self, key, value)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        ArenaArt::get(self, key).copied()
    }
    fn get_many(&self, keys: &[&[u8]]) -> Vec<Option<u64>> {
        ArenaArt::get_many(self, keys).into_iter().map(Option::<&u64>::copied).collect()
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let mut cursor = self.cursor();
        cursor.seek(from);
        for _ in 0..count {
            let Some((key, value)) = cursor.next() else { break };
            visit(key, *value);
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        ArenaArt::remove(self, key)
    }
    fn reported_bytes(&self) -> Option<usize> {
        Some(self.memory_usage().total())
    }
}

/// The standard library's ordered map: what the others are compared with.
type Ordered = BTreeMap<Box<[u8]>, u64>;

impl Index for Ordered {
    fn new() -> Self {
        Self::new()
    }
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

    fn new() -> Self {
        Self::new()
    }
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        hashbrown::HashMap::insert(self, key.into(), value)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        hashbrown::HashMap::get(self, key).copied()
    }
    fn scan(&self, _: &[u8], _: usize, _: impl FnMut(&[u8], u64)) {
        unimplemented!("SCANS is false")
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        hashbrown::HashMap::remove(self, key)
    }
}

const AUTO: u8 = 0;
const PLAIN: u8 = 1;
const FSST: u8 = 2;
const ONPAIR: u8 = 3;
const BY_FST: u8 = 4;

/// `FrozenLayer` of one of the kinds above.
struct Frozen<const KIND: u8>(FrozenLayer);

impl<const KIND: u8> Index for Frozen<KIND> {
    const BULK: bool = true;
    const GETS_MANY: bool = true;
    const REMOVES: bool = false;

    fn new() -> Self {
        Self::build(std::iter::empty())
            .unwrap_or_else(|error| unreachable!("nothing to go wrong: {error}"))
    }
    fn build<'a>(pairs: impl Iterator<Item = (&'a [u8], u64)>) -> Result<Self> {
        let options = match KIND {
            PLAIN => FrozenOptions::new().symbols(SymbolTable::None),
            FSST => FrozenOptions::new().symbols(SymbolTable::Fsst),
            ONPAIR => FrozenOptions::new().symbols(SymbolTable::OnPair),
            BY_FST => FrozenOptions::new().codec(Codec::Fst),
            _ => FrozenOptions::new(),
        };
        // Rates are of this thread's time, so it has to do all the work: from the first pool that is asked for on, it is the only worker.
        // A pool that is there already does as well.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global();
        let mut builder = options.builder()?;
        for (key, value) in pairs {
            builder.insert(key, value)?;
        }
        let layer = builder.finish()?;
        Ok(Self(layer))
    }
    fn insert(&mut self, _: &[u8], _: u64) -> Option<u64> {
        unimplemented!("BULK is true")
    }
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
    fn remove(&mut self, _: &[u8]) -> Option<u64> {
        unimplemented!("REMOVES is false")
    }
    fn reported_bytes(&self) -> Option<usize> {
        Some(self.0.memory_usage().total())
    }
}

impl Index for HybridStore {
    const BULK: bool = true;
    const GETS_MANY: bool = true;

    fn new() -> Self {
        HybridStore::new()
    }
    fn build<'a>(pairs: impl Iterator<Item = (&'a [u8], u64)>) -> Result<Self> {
        let base = Frozen::<AUTO>::build(pairs)?.0;
        Ok(HybridStore::with_base(base, HybridOptions::new().background(false))?)
    }
    fn insert(&mut self, _: &[u8], _: u64) -> Option<u64> {
        unimplemented!("BULK is true")
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        HybridStore::get(self, key)
    }
    fn get_many(&self, keys: &[&[u8]]) -> Vec<Option<u64>> {
        HybridStore::get_many(self, keys)
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let mut range = self.range(from..);
        for _ in 0..count {
            let Some((key, value)) = range.lend() else { break };
            visit(key, value);
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        // What fails is counted as a wrong result.
        HybridStore::remove(self, key).unwrap_or(None)
    }
    fn settle(&mut self) {
        // Where it fails, the memory shows it.
        let _ = self.compact();
        self.reclaim();
    }
    fn reported_bytes(&self) -> Option<usize> {
        Some(self.memory_usage().total())
    }
}

type Fst = fst::Map<Vec<u8>>;

impl Index for Fst {
    const BULK: bool = true;
    const REMOVES: bool = false;

    fn new() -> Self {
        Self::default()
    }
    fn build<'a>(pairs: impl Iterator<Item = (&'a [u8], u64)>) -> Result<Self> {
        let mut builder = fst::MapBuilder::memory();
        for (key, value) in pairs {
            builder.insert(key, value)?;
        }
        let mut bytes = builder.into_inner()?;
        bytes.shrink_to_fit();
        Ok(Self::new(bytes)?)
    }
    fn insert(&mut self, _: &[u8], _: u64) -> Option<u64> {
        unimplemented!("BULK is true")
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        fst::Map::get(self, key)
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        use fst::{IntoStreamer, Streamer};
        let mut stream = self.range().ge(from).into_stream();
        for _ in 0..count {
            let Some((key, value)) = stream.next() else { break };
            visit(key, value);
        }
    }
    fn remove(&mut self, _: &[u8]) -> Option<u64> {
        unimplemented!("REMOVES is false")
    }
}
