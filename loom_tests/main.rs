//! Models for loom: `RUSTFLAGS="--cfg memkv_loom --cfg crossbeam_loom" cargo test -p memkv
//! --release --no-default-features --features _loom --test loom`. Without the first flag nothing is
//! compiled.

#![cfg(memkv_loom)]

mod batches;
mod coded;
mod hybrid;
mod pool;
mod sharded;
mod shared;
mod slots;
mod values;

use loom::sync::Arc;
use loom::thread;
use memkv::FastArt;

/// Keys that make three levels of a model's tiny nodes, in an order that neither ascends nor
/// descends.
fn keys(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|i| format!("key/{:02}", i * 7 % n).into_bytes()).collect()
}

fn filled(n: usize) -> FastArt {
    let mut map = FastArt::new();
    for (i, key) in keys(n).iter().enumerate() {
        assert_eq!(map.insert(key, i as u64), None);
        map.check().unwrap();
    }
    map
}

/// Explores every execution. A single one has more branches than loom allows by default.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 1_000_000;
    builder.check(f);
}

/// Number of keys for three levels, and prime to the step of [`keys`].
const N: usize = 30;

#[test]
fn inserts_split_and_removes_merge() {
    model(|| {
        let mut map = filled(N);
        for (i, key) in keys(N).iter().enumerate() {
            assert_eq!(map.get(key), Some(i as u64));
            assert_eq!(map.insert(key, 1 + i as u64), Some(i as u64));
        }
        assert!(map.keys().is_sorted());
        for (i, key) in keys(N).iter().enumerate() {
            assert_eq!(map.remove(key), Some(1 + i as u64));
            map.check().unwrap();
        }
        assert!(map.is_empty());
    });
}

#[test]
fn scans_see_every_key_both_ways() {
    model(|| {
        let map = filled(N);
        assert_eq!(map.iter().count(), N);
        assert_eq!(map.prefix("key/1").count(), 10);
        let mut backwards: Vec<_> = map.iter().rev().collect();
        backwards.reverse();
        assert!(map.iter().eq(backwards));
    });
}

#[test]
fn copies_and_bulk_loads_are_whole_and_freed() {
    model(|| {
        let map = filled(N);
        let mut copy = map.clone();
        let bulk = FastArt::from_sorted(map.iter()).unwrap();
        bulk.check().unwrap();
        assert!(copy == map && bulk == map);
        assert_eq!(copy.remove_range("key/05".."key/25"), 20);
        copy.check().unwrap();
        assert_eq!(copy.len(), N - 20);
        assert_eq!(map.into_iter().rev().count(), N);
    });
}

#[test]
fn ascending_keys_are_appended_to_the_open_leaf() {
    model(|| {
        let mut map: FastArt<u8> = FastArt::new();
        for i in 0..20u8 {
            map.insert([b'k', i], i);
        }
        map.insert("a", 0);
        map.check().unwrap();
        let mut long = FastArt::<()>::new();
        for i in 0..5u8 {
            // Lengths that do not fit into a byte make wide nodes.
            long.insert([&[b'x'; 300][..], &[i]].concat(), ());
            long.check().unwrap();
        }
        assert_eq!((map.len(), long.len()), (21, 5));
    });
}

#[test]
fn two_threads_read_one_map() {
    model(|| {
        // Two levels: the executions grow with each atomic that both threads use.
        let map = Arc::new(filled(5));
        let other = Arc::clone(&map);
        let reader = thread::spawn(move || {
            assert_eq!(other.get(&keys(5)[1]), Some(1));
        });
        assert_eq!(map.get(&keys(5)[1]), Some(1));
        assert_eq!(map.get("absent"), None);
        reader.join().unwrap();
    });
}
