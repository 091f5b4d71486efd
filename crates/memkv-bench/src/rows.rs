//! Ordered maps of other crates, as the benchmark uses them.
//!
//! If a map cannot store a key that is a prefix of another, keys get the NUL terminator that its
//! documentation recommends. Keys that contain NUL are then impossible in general.

use crate::probe::{Probe, probe};
use memkv_cli::bench::{
    index::{Index, SharedIndex},
    row::Row,
    rows::{self, row},
    shared_rows::{self, shared_row},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops::{
        Bound::{self, Included, Unbounded},
        ControlFlow,
    },
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Returns the structures of the table, each with its probe.
pub fn peers() -> Vec<(Row, Probe)> {
    fn peer<I: Index + Default>(name: &'static str, note: &'static str) -> (Row, Probe) {
        (row::<I>(name).note(note), probe::<I>)
    }
    let own = rows::rows().into_iter().filter_map(|row| match row.name {
        "fastart" => Some((row, probe::<memkv::FastArt> as Probe)),
        "btreemap" => Some((row, probe::<BTreeMap<Box<[u8]>, u64>> as Probe)),
        _ => None,
    });
    own.chain([
        peer::<ArtTree>("art-tree", "Art<ByteString, u64>"),
        peer::<Blart>("blart", "TreeMap<Box<[u8]>, u64>; keys get a NUL terminator"),
        peer::<Rart>("rart", "AdaptiveRadixTree<VectorKey, u64>"),
        peer::<Artmap>("artmap", "ArtMap<Vec<u8>, u64>"),
        peer::<Arctic>(
            "arctic-wt",
            "SequentialMap<BoxedSlice<Terminated<0>, [u8]>, u64>; keys get a NUL terminator",
        ),
        peer::<SkipMap>("crossbeam-skiplist", "SkipMap<Box<[u8]>, u64>"),
        peer::<Scc>("scc", "TreeIndex<Box<[u8]>, u64>"),
    ])
    .collect()
}

fn from(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Included(key), Unbounded)
}

/// Calls `f` with a copy of the key that ends in NUL, in a buffer that is reused.
fn terminated<T>(key: &[u8], f: impl FnOnce(&[u8]) -> T) -> T {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.extend_from_slice(key);
        buffer.push(0);
        f(buffer)
    })
}

fn unterminated(key: &[u8]) -> &[u8] {
    key.strip_suffix(b"\0").expect("keys are stored with a terminator")
}

#[derive(Default)]
struct ArtTree(art_tree::Art<art_tree::ByteString, u64>);

impl Index for ArtTree {
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

#[derive(Default)]
struct Blart(blart::TreeMap<Box<[u8]>, u64>);

impl Index for Blart {
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        terminated(key, |key| {
            self.0.try_insert(key.into(), value).expect("no key is a prefix of another")
        })
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        terminated(key, |key| self.0.get(key).copied())
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        terminated(from, |from| {
            for (key, &value) in self.0.range::<[u8], _>(self::from(from)).take(count) {
                visit(unterminated(key), value);
            }
        });
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        terminated(key, |key| self.0.remove(key))
    }
}

#[derive(Default)]
struct Rart(rart::AdaptiveRadixTree<rart::VectorKey, u64>);

fn vector_key(key: &[u8]) -> rart::VectorKey {
    rart::VectorKey::new_from_vec(key.to_vec())
}

impl Index for Rart {
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        self.0.insert_k(&vector_key(key), value)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get_bytes(key).copied()
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        for (key, &value) in self.0.range(vector_key(from)..).take(count) {
            visit(key.as_ref(), value);
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        self.0.remove_k(&vector_key(key))
    }
}

#[derive(Default)]
struct Artmap(artmap::ArtMap<Vec<u8>, u64>);

/// Returns the structures of the suite `threads`: those of the tool and of other crates.
///
/// masstree is missing, since its recent versions need a later compiler than this crate.
pub fn shared_peers() -> Vec<Row> {
    let mut rows = shared_rows::rows();
    rows.extend([
        shared_row::<Artmap>(
            "artmap",
            "ArtMap<Vec<u8>, u64>; updates in F and hot are a get and an insert, not atomic",
        ),
        shared_row::<SharedArctic>(
            "arctic-wt",
            "ConcurrentMap<BoxedSlice<Terminated<0>, [u8]>, u64>; keys get a NUL terminator; scans \
             are not linearizable",
        ),
        shared_row::<Scc>(
            "scc",
            "TreeIndex<Box<[u8]>, u64>; an update is a removal and an insert, not atomic: reads \
             that find nothing between the two are its errors",
        ),
        shared_row::<PerThread>(
            "concurrent-map",
            "ConcurrentMap<Vec<u8>, u64>; each thread has a handle of its own; a write copies the \
             keys of its leaf",
        ),
    ]);
    rows
}

impl SharedIndex for Artmap {
    fn insert(&self, key: &[u8], value: u64) {
        self.0.insert_cloned(key.to_vec(), value);
    }
    fn remove(&self, key: &[u8]) {
        self.0.remove_by_slice(key);
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get_value(key)
    }
    fn add(&self, key: &[u8], value: u64) {
        // The map has no atomic update, so concurrent updates may be lost.
        let old = self.0.get_value(key).unwrap_or_default();
        self.0.insert_cloned(key.to_vec(), old.wrapping_add(value));
    }
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
        Index::scan(self, from, count, visit);
    }
}

impl Index for Artmap {
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        self.0.insert_cloned(key.to_vec(), value)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get_value(key)
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let mut left = count;
        self.0.scan::<_, [u8], _>(self::from(from), |key, &value| {
            visit(key, value);
            left -= 1;
            left > 0
        });
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        self.0.remove_by_slice(key).map(|entry| *entry.value())
    }
}

type ArcticKey = arctic::key::BoxedSlice<arctic::key::Terminated<0>, [u8]>;
type ArcticSlice = arctic::key::Slice<arctic::key::Terminated<0>, [u8]>;

fn arctic_key(terminated: &[u8]) -> &ArcticSlice {
    ArcticSlice::new(terminated).expect("the key contains no NUL")
}

#[derive(Default)]
struct Arctic(arctic::SequentialMap<ArcticKey, u64>);

/// Visits the first entries from a key on. The maps' ranges differ in type, not in methods.
macro_rules! arctic_scan {
    ($map:expr, $from:expr, $count:expr, $visit:expr) => {
        terminated($from, |from| {
            let from = <ArcticKey as arctic::Key>::Read::from(arctic_key(from));
            let shard = $map.range(from..);
            let mut entries = shard.entries(arctic::Order::Ascend);
            for _ in 0..$count {
                let Some((key, &value)) = entries.lend() else { break };
                $visit(unterminated(key.as_bytes()), value);
            }
        })
    };
}

impl Index for Arctic {
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        terminated(key, |key| self.0.upsert(arctic_key(key), value).ok().map(|(old, _)| old))
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        terminated(key, |key| self.0.get(arctic_key(key)).copied())
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        arctic_scan!(self.0, from, count, visit);
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        terminated(key, |key| self.0.remove(arctic_key(key)))
    }
}

#[derive(Default)]
struct SharedArctic(arctic::ConcurrentMap<ArcticKey, u64>);

impl SharedIndex for SharedArctic {
    fn insert(&self, key: &[u8], value: u64) {
        terminated(key, |key| drop(self.0.upsert(arctic_key(key), value)));
    }
    fn remove(&self, key: &[u8]) {
        terminated(key, |key| drop(self.0.remove(arctic_key(key))));
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        terminated(key, |key| self.0.get(arctic_key(key)).as_deref().copied())
    }
    fn add(&self, key: &[u8], value: u64) {
        terminated(key, |key| {
            drop(self.0.update_with(arctic_key(key), None, |old, _| {
                ControlFlow::Continue(old.wrapping_add(value))
            }));
        });
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        arctic_scan!(self.0, from, count, visit);
    }
}

#[derive(Default)]
struct SkipMap(crossbeam_skiplist::SkipMap<Box<[u8]>, u64>);

impl Index for SkipMap {
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        let old = Cell::new(None);
        self.0.compare_insert(key.into(), value, |&present| {
            old.set(Some(present));
            true
        });
        old.get()
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key).map(|entry| *entry.value())
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        for entry in self.0.range::<[u8], _>(self::from(from)).take(count) {
            visit(entry.key(), *entry.value());
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        self.0.remove(key).map(|entry| *entry.value())
    }
}

#[derive(Default)]
struct Scc(scc::TreeIndex<Box<[u8]>, u64>);

impl Index for Scc {
    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        let Err((key, value)) = self.0.insert_sync(key.into(), value) else { return None };
        // The map cannot replace a value in place.
        let old = Index::remove(self, &key);
        self.0.insert_sync(key, value).ok()?;
        old
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.peek_with(key, |_, &value| value)
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let guard = scc::Guard::new();
        for (key, &value) in self.0.range::<[u8], _>(self::from(from), &guard).take(count) {
            visit(key, value);
        }
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        let mut old = None;
        self.0.remove_if_sync(key, |&value| {
            old = Some(value);
            true
        });
        old
    }
}

impl SharedIndex for Scc {
    fn insert(&self, key: &[u8], value: u64) {
        let mut key = Box::from(key);
        while let Err((refused, _)) = self.0.insert_sync(key, value) {
            key = refused;
            self.0.remove_sync(&key);
        }
    }
    fn remove(&self, key: &[u8]) {
        self.0.remove_sync(key);
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.peek_with(key, |_, &value| value)
    }
    fn add(&self, key: &[u8], value: u64) {
        let old = SharedIndex::get(self, key).unwrap_or_default();
        SharedIndex::insert(self, key, old.wrapping_add(value));
    }
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
        Index::scan(self, from, count, visit);
    }
}

type Handle = concurrent_map::ConcurrentMap<Vec<u8>, u64>;

/// A map with one handle for each thread.
struct PerThread {
    first: Mutex<Handle>,
    number: usize,
}

impl PerThread {
    fn with<T>(&self, f: impl FnOnce(&Handle) -> T) -> T {
        thread_local! {
            /// This thread's handle, and the number of its map.
            static HANDLE: RefCell<Option<(usize, Handle)>> = const { RefCell::new(None) };
        }
        HANDLE.with_borrow_mut(|handle| {
            if handle.as_ref().is_none_or(|(number, _)| *number != self.number) {
                *handle = Some((
                    self.number,
                    self.first.lock().expect("no thread panics while it holds the lock").clone(),
                ));
            }
            f(&handle.as_ref().expect("the handle has just been set").1)
        })
    }
}

impl Default for PerThread {
    fn default() -> Self {
        static MAPS: AtomicUsize = AtomicUsize::new(0);
        PerThread { first: Mutex::default(), number: MAPS.fetch_add(1, Relaxed) }
    }
}

impl SharedIndex for PerThread {
    fn insert(&self, key: &[u8], value: u64) {
        self.with(|map| map.insert(key.to_vec(), value));
    }
    fn remove(&self, key: &[u8]) {
        self.with(|map| map.remove(key));
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.with(|map| map.get(key))
    }
    fn add(&self, key: &[u8], value: u64) {
        self.with(|map| {
            map.fetch_and_update(key.to_vec(), |old| old.map(|old| old.wrapping_add(value)))
        });
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        self.with(|map| {
            map.range::<[u8], _>(self::from(from))
                .take(count)
                .for_each(|(key, value)| visit(&key, value))
        });
    }
}
