//! Point operations of `FastArt` on generated URLs, by criterion, to see the effect of a change:
//! `cargo bench -p memkv-bench --bench point_ops`.

use criterion::{BatchSize, Criterion, Throughput};
use memkv::FastArt;
use memkv_cli::{
    generate::{Kind, generate},
    keys::KeyList,
};
use std::{cell::RefCell, hint::black_box};

/// Enough keys that the map exceeds a second-level cache.
const KEYS: u64 = 200_000;
/// Keys of one iteration: long enough to time, short enough to repeat.
const KEYS_PER_GROUP: usize = 1000;
/// Keys of a scan.
const KEYS_PER_SCAN: usize = 100;
const SEED: u64 = 1;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    point_ops(&mut criterion);
    criterion.final_summary();
}

fn point_ops(criterion: &mut Criterion) {
    // The generator's order is random relative to the order of the keys.
    let keys = generate(Kind::Urls, SEED, 0..KEYS);
    let absent = generate(Kind::Urls, SEED, KEYS..KEYS + KEYS / 10);
    let map = filled(&keys);
    let mut group = criterion.benchmark_group("fastart");

    group.throughput(Throughput::Elements(KEYS_PER_GROUP as u64));
    for (name, keys) in [("get", &keys), ("miss", &absent)] {
        let mut groups = Groups::new(keys);
        group.bench_function(name, |bencher| {
            let look_up =
                |keys: Vec<&[u8]>| keys.iter().filter(|key| map.get(key).is_some()).count();
            bencher.iter_batched(|| groups.next(), look_up, BatchSize::SmallInput);
        });
    }
    let mut groups = Groups::new(&keys);
    group.bench_function("get_many", |bencher| {
        bencher.iter_batched(|| groups.next(), |keys| map.get_many(&keys), BatchSize::SmallInput);
    });
    group.throughput(Throughput::Elements(KEYS_PER_SCAN as u64));
    group.bench_function("scan", |bencher| {
        let scan = |from| {
            let mut cursor = map.cursor();
            cursor.seek(from);
            (0..KEYS_PER_SCAN).for_each(|_| _ = black_box(cursor.next()));
        };
        bencher.iter_batched(|| groups.next()[0], scan, BatchSize::SmallInput);
    });
    group.throughput(Throughput::Elements(KEYS_PER_GROUP as u64));
    let mut groups = Groups::new(&absent);
    // The map keeps its size: keys that an iteration inserts are removed before the next iteration,
    // and removed keys are inserted again.
    let map = RefCell::new(map);
    let insert = |group: &[&[u8]]| {
        let mut map = map.borrow_mut();
        for key in group {
            map.insert(key, 1);
        }
    };
    let remove = |group: &[&[u8]]| {
        let mut map = map.borrow_mut();
        for key in group {
            map.remove(key);
        }
    };
    let mut last = Vec::new();
    group.bench_function("insert", |bencher| {
        let setup = || {
            remove(&last);
            last = groups.next();
            last.clone()
        };
        bencher.iter_batched(setup, |group| insert(&group), BatchSize::PerIteration);
    });
    remove(&last);
    group.bench_function("remove", |bencher| {
        let setup = || {
            let group = groups.next();
            insert(&group);
            group
        };
        bencher.iter_batched(setup, |group| remove(&group), BatchSize::PerIteration);
    });
    group.finish();
}

fn filled(keys: &KeyList) -> FastArt {
    let mut map = FastArt::new();
    for (key, value) in keys.iter().zip(0..) {
        map.insert(key, value);
    }
    map
}

/// Returns the keys of a list in groups, again and again.
struct Groups<'a> {
    keys: &'a KeyList,
    at: usize,
}

impl<'a> Groups<'a> {
    fn new(keys: &'a KeyList) -> Self {
        Self { keys, at: 0 }
    }

    fn next(&mut self) -> Vec<&'a [u8]> {
        let group =
            (0..KEYS_PER_GROUP).map(|i| self.keys.get((self.at + i) % self.keys.len())).collect();
        self.at = (self.at + KEYS_PER_GROUP) % self.keys.len();
        group
    }
}
