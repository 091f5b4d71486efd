//! The memory of maps that several threads filled.

mod common {
    pub(crate) mod url;
}
mod counting;

use common::url::url;
use counting::LIVE;
use memkv::{ConcurrentArt, ShardedArt, pool};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The pool and the counter belong to the process, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a test, which must leave nothing of its maps in the pool.
fn alone(test: impl FnOnce()) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    test();
    let usage = pool::usage();
    assert_eq!((usage.reserved, usage.used), (0, 0));
}

/// Shards loaded by several threads take little more than by one: the threads share the pool's
/// pages, and keep no tables that were replaced.
#[test]
fn shards_loaded_by_threads_take_what_one_thread_needs() {
    alone(|| {
        let pairs: Vec<_> = (0..150_000).map(|i| (url(i), i as u64)).collect();
        let load = |threads: usize| {
            let workers = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            workers.broadcast(|_| ());
            let before = LIVE.load(Relaxed);
            let map = ShardedArt::new(64);
            workers.install(|| map.load(&pairs)).unwrap();
            map.reclaim();
            let taken = LIVE.load(Relaxed).saturating_sub(before);
            assert_eq!(map.len(), pairs.len());
            taken
        };
        let (four, one) = (load(4), load(1));
        // Perhaps one more slab.
        assert!(four <= one + one / 16 + (256 << 10), "{four} bytes by four threads, {one} by one");
    });
}

/// After `reclaim` little memory is idle beside a map that several threads filled, whichever heaps
/// they used.
#[test]
fn maps_filled_by_threads_leave_little_idle() {
    alone(|| {
        const THREADS: usize = 4;
        let n = 500_000;
        let map = ConcurrentArt::new();
        thread::scope(|scope| {
            let map = &map;
            let work =
                move |t| (t..n).step_by(THREADS).for_each(|i| _ = map.insert(url(i), i as u64));
            let handles: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || work(t))).collect();
            // So each thread has handed over what it retired; the end of a scope does not wait for
            // that.
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        });
        let end = Instant::now() + Duration::from_secs(60);
        while map.memory_usage().retired > 0 {
            assert!(Instant::now() < end, "{:?}", map.memory_usage());
            map.reclaim();
        }
        map.reclaim();
        let usage = pool::usage();
        assert!(usage.reserved - usage.used <= usage.used / 5 + (256 << 10), "{usage:?}");
        drop(map);
    });
}
