//! Several threads insert and remove the same keys for seconds, or for `MEMKV_CHURN_MINUTES`
//! minutes: memory stays flat, and in the end is what a `FastArt` with the same history takes.
//! `MEMKV_CHURN_KEYS` is the number of keys.

mod common {
    pub(crate) mod rng;
    pub(crate) mod url;
}
mod counting;

use common::rng::Rng;
use common::url::url;
use counting::LIVE;
use memkv::{ConcurrentArt, FastArt, pool};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: u64 = 4;
/// The bytes that may be idle. `reclaim` leaves half a mebibyte idle, and slabs have two. With the
/// default number of keys this is much of what is held, so held bytes are compared with many keys
/// only; the bytes of nodes always are.
const STEPS: usize = 3 << 20;
const MANY: u64 = 2_000_000;

/// Returns a number from the environment, or a default.
fn asked<N: std::str::FromStr>(name: &str, otherwise: N) -> N {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
}

/// Returns the used bytes of nodes.
fn filled(usage: memkv::MemoryUsage) -> usize {
    usage.leaves + usage.inner
}

/// Reclaims until nothing is retired, and returns the bytes that were retired after the first call.
fn flush(map: &ConcurrentArt<u64>) -> usize {
    map.reclaim();
    let (pending, end) = (map.memory_usage().retired, Instant::now() + Duration::from_secs(60));
    while map.memory_usage().retired > 0 {
        assert!(Instant::now() < end, "{} bytes stay retired", map.memory_usage().retired);
        thread::yield_now();
        map.reclaim();
    }
    pending
}

/// Lets threads insert and remove for a while, and returns the most bytes that were held.
fn churn(map: &ConcurrentArt<u64>, keys: u64, seed: u64, time: Duration, start: usize) -> usize {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let spawn = |t| {
            scope.spawn(move || {
                let mut rng = Rng(seed + t + 1);
                while !stop.load(Relaxed) {
                    let i = rng.below(keys);
                    if rng.below(2) == 0 {
                        map.insert(url(i as usize), i)
                    } else {
                        map.remove(url(i as usize))
                    };
                }
            })
        };
        let handles: Vec<_> = (0..THREADS).map(spawn).collect();
        let (begin, mut highest) = (Instant::now(), 0);
        while begin.elapsed() < time {
            thread::sleep(Duration::from_millis(10));
            highest = highest.max(LIVE.load(Relaxed) - start);
        }
        stop.store(true, Relaxed);
        // So each thread has handed over what it retired; the end of a scope does not wait for
        // that.
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        highest
    })
}

#[test]
fn memory_stays_flat_under_churn() {
    memkv::code_small_maps();
    let start = LIVE.load(Relaxed);
    let map = ConcurrentArt::<u64>::new();
    let keys = asked("MEMKV_CHURN_KEYS", 200_000u64);
    let steps = if keys < MANY { STEPS } else { 0 };
    let time = Duration::from_secs_f64(asked("MEMKV_CHURN_MINUTES", 0.05) * 60.0);
    (0..keys).step_by(2).for_each(|i| _ = map.insert(url(i as usize), i));
    // The bytes held after each half of the time, when no thread reads, and the most held in it.
    let halves = [1, 2].map(|half| {
        let highest = churn(&map, keys, half * THREADS, time / 2, start);
        let pending = flush(&map);
        let held = LIVE.load(Relaxed) - start;
        println!("half {half}: {pending} bytes were retired after a first flush");
        (filled(map.memory_usage()), held, highest)
    });
    let [(nodes, first, _), (nodes_then, second, _)] = halves;
    println!("of nodes after each half, held in all, and at most: {halves:?}");
    // The maximum depends on scheduling, so it is only printed.
    assert!(nodes_then <= nodes + nodes / 20, "{halves:?}");
    assert!(second <= first + first / 20 + steps, "{halves:?}");

    let content: Vec<_> = map.iter().collect();
    let raw: usize = content.iter().map(|(key, _)| key.len()).sum();
    println!("{} keys of {raw} bytes", content.len());
    let after = (LIVE.load(Relaxed) - start - content.capacity() * size_of::<(Vec<u8>, u64)>())
        .saturating_sub(raw);
    let usage = map.memory_usage();
    drop(map);
    // One owner inserts and removes in the same way until the same content is left.
    let mut alone = FastArt::new();
    let mut rng = Rng(7);
    for _ in 0..6 * keys {
        let i = rng.below(keys);
        if rng.below(2) == 0 {
            alone.insert(url(i as usize), i)
        } else {
            alone.remove(url(i as usize))
        };
    }
    let wanted: std::collections::BTreeSet<_> = content.iter().map(|(key, _)| key).collect();
    let gone: Vec<_> = alone.keys().filter(|key| !wanted.contains(key)).collect();
    gone.iter().for_each(|key| _ = alone.remove(key));
    content.iter().for_each(|(key, value)| _ = alone.insert(key, *value));
    assert!(alone.iter().eq(content.iter().cloned()));
    let fast = alone.memory_usage();
    let per_key = |bytes: usize| bytes as f64 / content.len() as f64;
    println!(
        "bytes a key: shared {:.2} of nodes, {:.2} with idle bytes, {:.2} of the allocator; \
         alone {:.2}, {:.2}; retired {}",
        per_key(filled(usage)),
        per_key(usage.total() - usage.retired),
        per_key(after),
        per_key(filled(fast)),
        per_key(fast.total()),
        usage.retired
    );
    println!("{usage:?}\n{fast:?}\n{:?}", pool::usage());
    assert!(filled(usage) <= filled(fast) + filled(fast) / 20);
    assert!(usage.total() <= fast.total() + fast.total() / 20 + steps);
}
