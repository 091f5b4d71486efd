//! Point operations of `FastArt` on generated URLs, by criterion, so that a change's effect can be seen:
//! `cargo bench -p memkv-bench --bench point_ops`.

use criterion::{BatchSize, Criterion, Throughput};
use memkv::FastArt;
use memkv_cli::{
    generate::{Kind, generate},
    keys::Keys,
};
use std::{cell::RefCell, hint::black_box};

/// Enough keys that the map does not fit a cache of the second level.
const N: u64 = 200_000;
/// Keys of one iteration, which is long enough to time and short enough to repeat.
const BATCH: usize = 1000;
/// Keys of a scan.
const SCAN: usize = 100;
const SEED: u64 = 1;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    point_ops(&mut criterion);
    criterion.final_summary();
}

fn point_ops(criterion: &mut Criterion) {
    // The generator's order is random with respect to the keys' order.
    let keys = generate(Kind::Urls, SEED, 0..N);
    let absent = generate(Kind::Urls, SEED, N..N + N / 10);
    let map = filled(&keys);
    let mut group = criterion.benchmark_group("fastart");

    group.throughput(Throughput::Elements(BATCH as u64));
    let mut batches = Batches::new(&keys);
    group.bench_function("get", |bencher| {
        bencher.iter_batched(
            || batches.next(),
            |batch| batch.iter().filter(|key| map.get(key).is_some()).count(),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("get_many", |bencher| {
        bencher.iter_batched(
            || batches.next(),
            |batch| map.get_many(&batch),
            BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(SCAN as u64));
    group.bench_function("scan", |bencher| {
        bencher.iter_batched(
            || batches.next()[0],
            |from| {
                let mut cursor = map.cursor();
                cursor.seek(from);
                for _ in 0..SCAN {
                    black_box(cursor.next());
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut batches = Batches::new(&absent);
    group.bench_function("miss", |bencher| {
        bencher.iter_batched(
            || batches.next(),
            |batch| batch.iter().filter(|key| map.get(key).is_some()).count(),
            BatchSize::SmallInput,
        );
    });
    // The map keeps its size: what an iteration inserts is removed before the next one, and the other way round.
    let map = RefCell::new(map);
    let insert = |batch: &[&[u8]]| {
        let mut map = map.borrow_mut();
        for key in batch {
            map.insert(key, 1);
        }
    };
    let remove = |batch: &[&[u8]]| {
        let mut map = map.borrow_mut();
        for key in batch {
            map.remove(key);
        }
    };
    let mut last = Vec::new();
    group.bench_function("insert", |bencher| {
        let setup = || {
            remove(&last);
            last = batches.next();
            last.clone()
        };
        bencher.iter_batched(setup, |batch| insert(&batch), BatchSize::PerIteration);
    });
    remove(&last);
    group.bench_function("remove", |bencher| {
        let setup = || {
            let batch = batches.next();
            insert(&batch);
            batch
        };
        bencher.iter_batched(setup, |batch| remove(&batch), BatchSize::PerIteration);
    });
    group.finish();
}

fn filled(keys: &Keys) -> FastArt {
    let mut map = FastArt::new();
    for (key, value) in keys.iter().zip(0..) {
        map.insert(key, value);
    }
    map
}

/// Hands out a list's strings in batches, over and over.
struct Batches<'a> {
    keys: &'a Keys,
    at: usize,
}

impl<'a> Batches<'a> {
    fn new(keys: &'a Keys) -> Self {
        Self { keys, at: 0 }
    }

    fn next(&mut self) -> Vec<&'a [u8]> {
        let batch = (0..BATCH).map(|i| self.keys.get((self.at + i) % self.keys.len())).collect();
        self.at = (self.at + BATCH) % self.keys.len();
        batch
    }
}
