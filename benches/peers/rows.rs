//! Ordered maps of other crates, as the benchmark uses them.
//!
//! Where a crate's map cannot hold a key that is a prefix of another, keys get the NUL terminator that its
//! documentation recommends; keys with NULs are then no longer possible in general.

use crate::{
    bench::index::{self, Index, Row},
    bench::shared::{SharedIndex, SharedRow},
    probe::{Probe, probe},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops::Bound::{self, Included, Unbounded},
};

/// The structures of the table, each with its probe.
pub(crate) fn peers() -> Vec<(Row, Probe)> {
    fn peer<I: Index>(name: &'static str, note: &'static str) -> (Row, Probe) {
        (Row::of::<I>(name).note(note), probe::<I>)
    }
    let own = index::rows().into_iter().filter_map(|row| match row.name {
        "fastart" => Some((row, probe::<memkv::FastArt> as Probe)),
        "btreemap" => Some((row, probe::<BTreeMap<Box<[u8]>, u64>> as Probe)),
        _ => None,
    });
    own.chain([
        peer::<ArtTree>("art-tree", "Art<ByteString, u64>"),
        peer::<Blart>("blart", "TreeMap<Box<[u8]>, u64>; keys get a NUL terminator"),
        peer::<Rart>("rart", "AdaptiveRadixTree<VectorKey, u64>"),
        peer::<Artmap>("artmap", "ArtMap<Vec<u8>, u64>"),
        peer::<Arctic>("arctic-wt", "SequentialMap<BoxedSlice<Terminated<0>, [u8]>, u64>; keys get a NUL terminator"),
        peer::<SkipMap>("crossbeam-skiplist", "SkipMap<Box<[u8]>, u64>"),
        peer::<Scc>("scc", "TreeIndex<Box<[u8]>, u64>"),
    ])
    .collect()
}

fn from(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Included(key), Unbounded)
}

/// A key with a NUL after it, in memory that is used again.
#[derive(Default)]
struct Terminated(RefCell<Vec<u8>>);

impl Terminated {
    fn with<T>(&self, key: &[u8], f: impl FnOnce(&[u8]) -> T) -> T {
        let mut buffer = self.0.borrow_mut();
        buffer.clear();
        buffer.extend_from_slice(key);
        buffer.push(0);
        f(&buffer)
    }
}

fn unterminated(key: &[u8]) -> &[u8] {
    key.strip_suffix(b"\0").expect("keys are stored with a terminator")
}

struct ArtTree(art_tree::Art<art_tree::ByteString, u64>);

impl Index for ArtTree {
    fn new() -> Self {
        Self(art_tree::Art::new())
    }
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        if self.0.insert(art_tree::ByteString::new(key), value) {
            return None;
        }
        let old = self.get(key);
        self.0.upsert(art_tree::ByteString::new(key), value);
        old
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(&art_tree::ByteString::new(key)).copied()
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        for (key, &value) in self.0.range(art_tree::ByteString::new(from)..).take(count) {
            visit(std::borrow::Borrow::borrow(key), value);
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        self.0.remove(&art_tree::ByteString::new(key))
    }
}

struct Blart {
    map: blart::TreeMap<Box<[u8]>, u64>,
    terminated: Terminated,
}

impl Index for Blart {
    fn new() -> Self {
        Self { map: blart::TreeMap::new(), terminated: Terminated::default() }
    }
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        let map = &mut self.map;
        self.terminated.with(key, |key| map.try_insert(key.into(), value).expect("no key is a prefix of another"))
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.terminated.with(key, |key| self.map.get(key).copied())
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        self.terminated.with(from, |from| {
            for (key, &value) in self.map.range::<[u8], _>(self::from(from)).take(count) {
                visit(unterminated(key), value);
            }
        });
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        let map = &mut self.map;
        self.terminated.with(key, |key| map.remove(key))
    }
}

type Rart = rart::AdaptiveRadixTree<rart::VectorKey, u64>;

fn vector_key(key: &[u8]) -> rart::VectorKey {
    rart::VectorKey::new_from_vec(key.to_vec())
}

impl Index for Rart {
    fn new() -> Self {
        Self::new()
    }
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        self.insert_k(&vector_key(key), value)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.get_bytes(key).copied()
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        for (key, &value) in self.range(vector_key(from)..).take(count) {
            visit(key.as_ref(), value);
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        self.remove_k(&vector_key(key))
    }
}

type Artmap = artmap::ArtMap<Vec<u8>, u64>;

/// The structures of the suite `threads`: those of the tool, and artmap.
pub(crate) fn shared_peers() -> Vec<SharedRow> {
    let mut rows = crate::bench::shared::rows();
    rows.push(SharedRow::of::<Artmap>("artmap", "ArtMap<Vec<u8>, u64>; updates in F and hot are a get and an insert, not atomic"));
    rows
}

impl SharedIndex for Artmap {
    fn new() -> Self {
        Self::new()
    }
    fn insert(&self, key: &[u8], value: u64) {
        self.insert_cloned(key.to_vec(), value);
    }
    fn remove(&self, key: &[u8]) {
        self.remove_by_slice(key);
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.get_value(key)
    }
    fn add(&self, key: &[u8], value: u64) {
        // It has no atomic update: this one may lose some.
        let old = self.get_value(key).unwrap_or_default();
        self.insert_cloned(key.to_vec(), old.wrapping_add(value));
    }
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
        Index::scan(self, from, count, visit);
    }
}

impl Index for Artmap {
    fn new() -> Self {
        Self::new()
    }
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        self.insert_cloned(key.to_vec(), value)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.get_value(key)
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let mut left = count;
        artmap::ArtMap::scan::<_, [u8], _>(self, self::from(from), |key, &value| {
            visit(key, value);
            left -= 1;
            left > 0
        });
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        self.remove_by_slice(key).map(|entry| *entry.value())
    }
}

type ArcticKey = arctic::key::BoxedSlice<arctic::key::Terminated<0>, [u8]>;
type ArcticSlice = arctic::key::Slice<arctic::key::Terminated<0>, [u8]>;

struct Arctic {
    map: arctic::SequentialMap<ArcticKey, u64>,
    terminated: Terminated,
}

fn arctic_key(terminated: &[u8]) -> &ArcticSlice {
    ArcticSlice::new(terminated).expect("there is no NUL in the key")
}

impl Index for Arctic {
    fn new() -> Self {
        Self { map: arctic::SequentialMap::default(), terminated: Terminated::default() }
    }
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        let map = &mut self.map;
        self.terminated.with(key, |key| map.upsert(arctic_key(key), value).ok().map(|(old, _)| old))
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.terminated.with(key, |key| self.map.get(arctic_key(key)).copied())
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        self.terminated.with(from, |from| {
            let from = <ArcticKey as arctic::Key>::Read::from(arctic_key(from));
            let shard = self.map.range(from..);
            let mut entries = shard.entries(arctic::Order::Ascend);
            for _ in 0..count {
                let Some((key, &value)) = entries.lend() else { break };
                visit(unterminated(key.as_bytes()), value);
            }
        });
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        let map = &mut self.map;
        self.terminated.with(key, |key| map.remove(arctic_key(key)))
    }
}

type SkipMap = crossbeam_skiplist::SkipMap<Box<[u8]>, u64>;

impl Index for SkipMap {
    fn new() -> Self {
        Self::new()
    }
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        let old = Cell::new(None);
        self.compare_insert(key.into(), value, |&present| {
            old.set(Some(present));
            true
        });
        old.get()
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        crossbeam_skiplist::SkipMap::get(self, key).map(|entry| *entry.value())
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        for entry in self.range::<[u8], _>(self::from(from)).take(count) {
            visit(entry.key(), *entry.value());
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        crossbeam_skiplist::SkipMap::remove(self, key).map(|entry| *entry.value())
    }
}

type Scc = scc::TreeIndex<Box<[u8]>, u64>;

impl Index for Scc {
    fn new() -> Self {
        Self::new()
    }
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        let Err((key, value)) = self.insert_sync(key.into(), value) else { return None };
        // A key's value is never replaced in place.
        let old = Index::remove(self, &key);
        self.insert_sync(key, value).ok()?;
        old
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.peek_with(key, |_, &value| value)
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let guard = scc::Guard::new();
        for (key, &value) in self.range::<[u8], _>(self::from(from), &guard).take(count) {
            visit(key, value);
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        let mut old = None;
        self.remove_if_sync(key, |&value| {
            old = Some(value);
            true
        });
        old
    }
}
