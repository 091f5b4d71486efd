//! The same keys come and go from several threads, for seconds, or as many minutes as `MEMKV_CHURN_MINUTES` says: memory stays flat, and is in the end
//! what a `FastArt` that did the same takes. `MEMKV_CHURN_KEYS` says how many keys.

mod counting;

use counting::LIVE;
use memkv::{ConcurrentArt, FastArt, pool};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: u64 = 4;
/// A flush leaves half a mebibyte idle, and the pool holds slabs of two. With the usual number of keys this is much of what is held, so that is
/// compared with a map of many keys alone; what nodes fill always is.
const STEPS: usize = 3 << 20;
const MANY: u64 = 2_000_000;

/// A URL-like key.
fn url(i: u64) -> String {
    let i = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("https://www.host{}.example/path/{}/page-{}.html", i % 997, i / 997 % 89, i >> 24)
}

/// A stream of numbers that look random.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % n
    }
}

/// A number from the environment, or else this one.
fn asked<N: std::str::FromStr>(name: &str, otherwise: N) -> N {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
}

/// Bytes that nodes fill.
fn filled(usage: memkv::MemoryUsage) -> usize {
    usage.leaves + usage.inner
}

/// Flushes until nothing is retired, and says what was after the first time.
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

/// Lets threads insert and remove for a while: the most bytes held meanwhile.
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
                        map.insert(url(i), i)
                    } else {
                        map.remove(url(i))
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
        // So each has handed over what it retired; the end of a scope does not wait for that.
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        highest
    })
}

#[test]
fn memory_stays_flat_under_churn() {
    let start = LIVE.load(Relaxed);
    let map = ConcurrentArt::<u64>::new();
    let keys = asked("MEMKV_CHURN_KEYS", 200_000u64);
    let steps = if keys < MANY { STEPS } else { 0 };
    let time = Duration::from_secs_f64(asked("MEMKV_CHURN_MINUTES", 0.05) * 60.0);
    (0..keys).step_by(2).for_each(|i| _ = map.insert(url(i), i));
    // Bytes held after each half of the time, once nobody reads any more, and the most held in it.
    let halves = [1, 2].map(|half| {
        let highest = churn(&map, keys, half * THREADS, time / 2, start);
        let pending = flush(&map);
        let held = LIVE.load(Relaxed) - start;
        println!("half {half}: {pending} bytes were retired after a first flush");
        (filled(map.memory_usage()), held, highest)
    });
    let [(nodes, first, _), (nodes_then, second, _)] = halves;
    println!("of nodes after each half, held in all, and at most: {halves:?}");
    // The most depends on which threads have a processor, so it is only told.
    assert!(nodes_then <= nodes + nodes / 20, "{halves:?}");
    assert!(second <= first + first / 20 + steps, "{halves:?}");

    let content: Vec<_> = map.iter().collect();
    let raw: usize = content.iter().map(|(key, _)| key.len()).sum();
    println!("{} keys of {raw} bytes", content.len());
    let after = (LIVE.load(Relaxed) - start - content.capacity() * size_of::<(Vec<u8>, u64)>())
        .saturating_sub(raw);
    let usage = map.memory_usage();
    drop(map);
    // By one owner, who inserts and removes in the same way until the same content is left.
    let mut alone = FastArt::new();
    let mut rng = Rng(7);
    for _ in 0..6 * keys {
        let i = rng.below(keys);
        if rng.below(2) == 0 {
            alone.insert(url(i), i)
        } else {
            alone.remove(url(i))
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
        "bytes a key: shared {:.2} of nodes, {:.2} with what lies idle, {:.2} the allocator's; alone {:.2}, {:.2}; retired {}",
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
